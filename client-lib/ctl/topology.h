/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where devices are plugged in, and what has them, as a tree: root port, group, device, lease. The broker tells all but
 * the ports: a device's place is in the path that /sys has for it, which everybody may read, so it is no property of the
 * bus; where there is no /sys, the ports are left out. */

#include "client-lib/ctl/draw.h"
#include "client-lib/vfiobroker.h"

/* What to draw; borrowed. `sysfs` is where /sys is. */
typedef struct Topology {
        const char *sysfs;
        const struct vfiobroker_device_list *devices;
        const struct vfiobroker_group_list *groups;
        const struct vfiobroker_lease_list *leases;
} Topology;

/* Makes the tree. -ENOMEM. */
int topology_draw(const Topology *topology, DrawNode **ret);
