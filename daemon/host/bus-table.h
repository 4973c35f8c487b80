/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What differs between the buses whose devices VFIO can pass: one row for each. A bus that has no row is one that the
 * broker knows nothing of: its devices are listed where they have an IOMMU group, and refused. Constant. */

#include "daemon/core/host.h"

typedef struct BusFacts {
        const char *name;        /* in /sys/bus */
        const char *vfio_driver; /* the one that passes any device of the bus; "" for none */
        bool driver_override; /* its devices have that attribute, so that a driver can be chosen for one of them */
        bool plain_id;        /* a device's id is the kernel's name alone, not BUS/NAME */
        bool by_mdev; /* not passed itself: its VFIO driver makes it, or a device of its own, a parent of mdevs */
        bool ready; /* made on its VFIO driver, without any other before or after */
} BusFacts;

/* NULL for a bus without a row. */
const BusFacts *bus_facts(const char *bus);

/* The rows one after the other; NULL past the last. */
const BusFacts *bus_facts_at(size_t i);

/* The broker's id of a device that the kernel calls `name` on `bus`: -ENAMETOOLONG. */
int bus_device_id(const char *bus, const char *name, char ret[static DEVICE_ID_MAX]);

/* The kernel's name again; points into `id`. */
const char *bus_device_name(const char *bus, const char *id);
