/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A task may be closed by whoever it tells of its end, and a connection not from inside a callback of it: so the end comes
 * by an event source of its own. */

#include <systemd/sd-event.h>

#include "daemon/host/systemd-task.h"

static int on_finished(sd_event_source *source, void *userdata)
{
        SystemdTask *task = userdata;

        task->done(task->userdata);
        return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
        SystemdTask *task = userdata;

        (void)sd_event_source_set_enabled(task->finished, SD_EVENT_OFF);
        return on_finished(source, userdata);
}

int systemd_task_start(SystemdTask *task, sd_event *event, uint64_t usec, HostCallback done, void *userdata)
{
        int r;

        task->done = done;
        task->userdata = userdata;
        r = sd_bus_open_system(&task->bus);
        if (r >= 0)
                r = sd_bus_attach_event(task->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &task->late, CLOCK_MONOTONIC, usec, 0, on_late, task);
        if (r >= 0)
                r = sd_event_add_defer(event, &task->finished, on_finished, task);
        if (r >= 0)
                r = sd_event_source_set_enabled(task->finished, SD_EVENT_OFF);
        return r;
}

void systemd_task_finish(SystemdTask *task)
{
        (void)sd_event_source_set_enabled(task->late, SD_EVENT_OFF);
        (void)sd_event_source_set_enabled(task->finished, SD_EVENT_ONESHOT);
}

void systemd_task_close(SystemdTask *task)
{
        task->late = sd_event_source_disable_unref(task->late);
        task->finished = sd_event_source_disable_unref(task->finished);
        task->bus = sd_bus_close_unref(task->bus);
}
