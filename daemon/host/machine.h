/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Host on Linux: the implementation of core/host.h that main gives to the broker. Event loop only. */

#include <systemd/sd-event.h>

#include "daemon/core/host.h"

/* `confine` narrows each worker down (sandbox.h); NULL in tests. */
int machine_new(sd_event *event, int (*confine)(void), Host **ret);
/* Each worker from now on is recorded. */
void machine_log_jobs(Host *host, const JobLog *log, void *userdata);
Host *machine_free(Host *host); /* after everything that uses it */

DEFINE_CLEANUP(Host *, machine_free)
