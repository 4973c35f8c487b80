/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The process that option `pidfd` means, where a lease is to be another process's than the caller's. */

#include "daemon/bus/bus-internal.h"

typedef struct Target {
        pid_t pid;
        int pidfd; /* the broker's own, or -EBADF */
        ProcessCredentials credentials;
        ProcessPlacement placement;
} Target;

#define TARGET_NONE ((Target){ .pidfd = -EBADF })

/* What there is to know of the process behind `pidfd`, which is borrowed. 0; INVALID_ARGS where it is no pidfd,
 * PROCESS_UNUSABLE where it is of none that can be used; -errno. target_done() afterwards. */
int target_open(Bus *bus, int pidfd, Target *ret, Refusal *refusal);
void target_done(Target *target);

/* As the policy sees it, but for the uid; pointers are the target's. */
CallerFacts target_facts(const Target *target);
