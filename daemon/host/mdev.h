/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Mediated devices in sysfs, as Documentation/driver-api/vfio-mediated-device.rst has them: types of each parent, making
 * and removing. Names and UUIDs are the kernel's. 0 or a negative errno. */

#include "daemon/core/host.h"

/* Every type of every parent, by type, then parent; the caller frees. Reads what the kernel keeps in memory, or asks the
 * parent's driver: for the loop, once for a request. 0, or -errno where it cannot be told. */
int mdev_types_read(MdevType **ret, size_t *ret_n);

/* Makes one. Returns once it is on its driver, or with the driver's errno: for workers. `ret_text` has REASON_MAX bytes. */
int mdev_create(const char *parent, const char *type, const char *uuid, char *ret_text);

/* Removes one. Waits, and cannot be interrupted, while any file of it is open, bound or not: for workers. -ENODEV where there
 * is none that could be opened any more (one whose removal waits has left the bus already), -EBUSY where it is only being
 * made. */
int mdev_remove(const char *uuid, char *ret_text);
