/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Workers that outlive the daemon which forked them. A signal does not reach one that waits in the kernel: it goes on to let
 * go of its device when somebody else closes a file, however many daemons that takes. Until then the device is neither free
 * nor anybody's, though it looks so: the kernel shows no driver. So the record of a worker (pid and start time) is
 * written before it begins, and a daemon that finds one alive leaves its devices to it, and reclaims them when it has
 * ended. Event loop only. */

#include "daemon/core/broker.h"

typedef struct OldJob {
        Broker *broker;
        JobRecord record;
        int pidfd; /* owned */
        HostWatch *watch;
        struct OldJob *next, *prev; /* utlist, in Broker.old_jobs */
} OldJob;

/* Whether a worker of an earlier life has a device of the lease that is not settled. */
bool old_job_has(const Lease *lease);
/* A device has come. One whose name such a worker has is its too: it came back while nobody looked, and it goes by names. */
void old_jobs_take(Broker *broker, const Device *device);
/* Forgets them; they run on, and their records stay. */
void old_jobs_free(Broker *broker);
