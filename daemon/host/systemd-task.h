/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What systemd is asked to do for the daemon, which has neither the capabilities nor the system calls for it: one
 * connection for one task, since it is needed at most a few times in the life of a machine. systemd answers uid 0 without
 * further capabilities. Event loop only. */

#include <systemd/sd-bus.h>

#include "daemon/core/host.h"

#define SYSTEMD_NAME      "org.freedesktop.systemd1"
#define SYSTEMD_PATH      "/org/freedesktop/systemd1"
#define SYSTEMD_INTERFACE "org.freedesktop.systemd1.Manager"

typedef struct SystemdTask {
        sd_bus *bus;
        sd_event_source *late, *finished;
        HostCallback done;
        void *userdata;
} SystemdTask;

/* `done` is called once, from the loop and outside of any callback of the connection: after systemd_task_finish(), or in
 * `usec` microseconds. It may close the task. -errno: nothing was begun, and the task is to be closed all the same. */
int systemd_task_start(SystemdTask *task, sd_event *event, uint64_t usec, HostCallback done, void *userdata);
void systemd_task_finish(SystemdTask *task);
void systemd_task_close(SystemdTask *task); /* of zeroes too */
