/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SIGKILL to all processes of a systemd unit, by asking systemd (KillUnit). The daemon's own kill is by pidfd and reaches one
 * process; of another that has a copy of the device's file it knows nothing. cgroup.kill would be the kernel's way, and
 * needs /sys/fs/cgroup to be writable for the daemon. Event loop only. */

#include <systemd/sd-event.h>

#include "daemon/core/host.h"

/* As HostOps.unit_kill() and .unit_kill_disown(), which say what they return. */
int unit_kill_start(sd_event *event, pid_t pid, int pidfd, UnitKilled done, void *userdata,
                    HostUnitKill **ret);
void unit_kill_disown(HostUnitKill *kill);
