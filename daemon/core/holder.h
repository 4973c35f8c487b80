/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The process that holds leases, and its RLIMIT_MEMLOCK. The limit before the first lease is kept; while leases are
 * active it is that + what they commit + one slack (the largest of theirs); when the last one ends it goes back.
 * struct Holder stands in lease.h. */

#include "daemon/core/lease.h"
#include "daemon/core/result.h"

/* Finds the holder of this very process (pid and start time) in the broker's list, or makes one. `pidfd` is dup'd.
 * One reference, for holder_unref(). */
int holder_get(Broker *broker, pid_t pid, int pidfd, const ProcessFacts *facts, Holder **ret);
Holder *holder_unref(Broker *broker, Holder *holder);

/* Reads the limit that is to come back, once, so that it stands in the record before it is raised. */
int holder_read_base(Broker *broker, Holder *holder);

/* Counts the lease's memlock in and sets the limit. 0; -ESRCH where the process is gone; else -errno, nothing counted. */
int holder_commit(Lease *lease);

/* Takes it out and sets the limit; a process that is gone is fine. -errno where the limit could not be put back; the
 * lease is no longer counted even then. Nothing where it was not counted. */
int holder_uncommit(Lease *lease);
