/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Mediated devices that the broker makes for a lease and removes after it. Until the kernel has it such a device is a
 * Device with a UUID of the broker's choice, no driver and no group; it is in the table, and in the lease's record, before
 * it is made, so that it has an owner whatever happens. */

#include "daemon/core/plan.h"

/* A device of that type which is not made yet, in no table. NULL when out of memory. */
Device *mdev_new(Broker *broker, const MdevType *type);

/* Whether any device can be made for the pool at all. */
bool mdev_pool_names_types(const PolicyPool *pool);

/* Whether the pool has devices made of that type for whoever asks: a selector of it that holds for such a device names
 * mdev-type. One that happens to hold for it (any, bus:mdev) has nothing made. */
bool mdev_pool_makes(const PolicyPool *pool, const DeviceFacts *facts);

/* Frees those of the devices that are in no table. */
void mdev_drop_planned(Device *const *devices, size_t n);

/* Puts those of the devices into the table that are in none. -ENOMEM, with nothing changed. */
int mdev_register(Broker *broker, Device *const *devices, size_t n);

/* Takes one out of the table that was never made, or is no more. It has no lease and no job. */
void mdev_unregister(Broker *broker, Device *device);

/* Starts the work for an OPENING lease: has its mdevs made, where it has any that are not, and then its devices opened
 * as in `open` (lifecycle.c, lease_start_open()). -errno with nothing begun. */
int mdev_start(Lease *lease, const Job *open);
