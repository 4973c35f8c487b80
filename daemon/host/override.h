/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading driver_override where that may wait for whoever has the device's lock: a driver that probes the device, which may
 * take minutes, a reset. A process of its own reads it, and is left behind where it does not come back in time; it holds no
 * file, and dies with the daemon, or with the end of its wait. For the start of the daemon, before it confines itself. */

#include "daemon/core/host.h"

/* 0; -ETIMEDOUT where it waits, and *ret_left is the process, for the caller to reap one day; or as driver_read_override(),
 * which this is for `usec` at most. */
int override_read(const char *bus, const char *name, uint64_t usec, char ret[static DRIVER_NAME_MAX],
                  pid_t *ret_left);
