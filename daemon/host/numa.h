/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a process runs, and how far every NUMA node is from there. */

#include "daemon/core/host.h"

/* `root` is put before each path, "" but for tests. What cannot be read leaves *ret without figures: it is a hint. */
void numa_read_distances(const char *root, pid_t pid, NumaDistances *ret);
