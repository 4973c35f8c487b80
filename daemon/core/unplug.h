/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices that go while a lease holds them: hot unplug, `remove` in sysfs, an operator's unbind, a physical function that
 * loses its virtual ones. The kernel waits for whoever has the device open, uninterruptibly and for ever, often with a lock
 * on all of PCI; so its holder is asked for it at once, and what follows is a revocation like any other. A device that
 * has gone is the other half (lease_lose()). Event loop only. */

#include "daemon/core/broker.h"

/* How often it is looked whether a driver lets go of what leases hold, where the kernel tells only afterwards. */
#define UNPLUG_LOOK_USEC (1 * USEC_PER_SEC)

/* Asks the holder of the device for it where a driver is letting go of it just now. Once; nothing where no lease holds it. */
void unplug_check(Device *device);

/* The lease has become one that holds its devices, or has more of them: looks at them all, and keeps looking at such of
 * which the kernel would not tell in time. */
void unplug_watch(Lease *lease);

/* A lease holds its devices no more: nobody looks where no other one is left for which that is needed. */
void unplug_unwatch(Broker *broker);
