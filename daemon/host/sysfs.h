/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inventory: every device that has an IOMMU group, on whatever bus, and every mdev, read once through sd-device and
 * kept current by uevents. Nothing is read again for a request. Event loop only. */

#include <systemd/sd-event.h>

#include "daemon/core/host.h"

typedef struct Inventory Inventory;

/* A device is there or changed; the callee takes the lists of `info` over. A negative errno is counted as trouble. */
typedef int (*InventoryUpdate)(void *userdata, DeviceInfo *info);
typedef void (*InventoryRemove)(void *userdata, const char *id);

/* A driver lets go of the device at that path in sysfs, or (`done`) has done so. May be NULL. */
typedef void (*InventoryReleased)(void *userdata, const char *path, bool done);

/* Starts the monitor first and enumerates then, so that nothing falls between. */
int inventory_new(sd_event *event, InventoryUpdate update, InventoryRemove remove,
                  InventoryReleased released, void *userdata, Inventory **ret);
Inventory *inventory_free(Inventory *inventory);

DEFINE_CLEANUP(Inventory *, inventory_free)
