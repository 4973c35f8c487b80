/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the host uses a device for, as a text for people: "nvme0n1p1 is mounted at /srv", "eth1 is up and has 192.0.2.1/24".
 * Two questions. usage_find() reads only what the kernel says in sysfs, /proc and rtnetlink: it does not block, and the
 * event loop asks it for each plan. usage_claim() opens block devices, which may take long, and so belongs to a worker. */

#include "daemon/core/host.h"

/* `path`: the device's folder in sysfs, links resolved. `root` is put before each path, "" but for tests. 0 with *ret, or
 * -errno where it cannot be told. A device that is not there is not in use. */
int usage_find(const char *root, const char *path, DeviceUsage *ret);

/* The disks of a device, each opened as the kernel opens it for a mount, so that nobody can mount it meanwhile. */
typedef struct UsageClaim {
        int *fds;
        size_t n;
} UsageClaim;

/* Finds what usage_find() cannot see, by O_EXCL: a file system in another mount namespace, a ZFS pool, a process that has
 * the disk to itself. 0 with the claim, or with *ret->kind not USAGE_NONE and no claim; -errno. */
int usage_claim(const char *path, UsageClaim *ret_claim, DeviceUsage *ret);
void usage_claim_done(UsageClaim *claim);
