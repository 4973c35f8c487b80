/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where systemd has a process: its unit, its slice, and the machine of systemd-machined that it is in. */

#include "daemon/core/host.h"

/* HostOps.process_placement. Does not block. */
int placement_read(pid_t pid, int pidfd, bool machine, ProcessPlacement *placement);
