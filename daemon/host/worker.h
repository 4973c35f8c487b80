/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Workers: each job runs in a forked process of its own, since a thread that is stuck in the kernel would keep the
 * daemon from exiting, and its result comes back over a socket with the fds that it opened. A worker that cannot be
 * killed costs its own lease only.
 *
 * A worker is never killed for being late. All that can keep it is the kernel, which a signal would not reach before it
 * is through; and then the result would be lost, when it is good news: the file that everybody waited for is closed. */

#include <systemd/sd-event.h>

#include "daemon/core/host.h"

#define WORKERS_MAX 64 /* at once; more are refused with -EAGAIN */

typedef struct Workers Workers;

/* `confine` is called in each worker before its job and must narrow it down or fail; NULL in tests. */
int workers_new(sd_event *event, int (*confine)(void), Workers **ret);
/* From now on each worker is recorded before it begins, until it has ended. */
void workers_log(Workers *workers, const JobLog *log, void *userdata);
Workers *workers_free(Workers *workers); /* disowns what still runs */

int workers_start(Workers *workers, const Job *job, JobDone done, JobSlow slow, void *userdata,
                  HostJob **ret);
void workers_disown(HostJob *job);

DEFINE_CLEANUP(Workers *, workers_free)
