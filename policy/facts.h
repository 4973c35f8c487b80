/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the policy is asked about: a device, and the process that asks. The layers above fill these in from
 * what they know; every pointer is borrowed from them and is read only during the call. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct DeviceFacts {
        const char *id;  /* "0000:01:00.0", an mdev's UUID, or "BUS/NAME" */
        const char *bus; /* "pci", "mdev", "platform", … */
        uint16_t vendor; /* PCI, else 0; so the three below */
        uint16_t product;
        uint16_t subsystem_vendor;
        uint16_t subsystem_product;
        uint32_t class;     /* PCI, 24 bits: CCSSPP */
        const char *driver; /* bound now; "" or NULL for none */
        int group;          /* IOMMU group number, -1 for none */
        int numa_node;      /* -1 where unknown */
        const char
                *physical_function; /* id of the physical function where this is a virtual one, else NULL */
        const char *mdev_type;      /* NULL where this is not an mdev */
        bool flr;                   /* has a reset that concerns this function alone */
} DeviceFacts;

/* Who asks, as the bus layer identified it, once. A string that is NULL is unknown and satisfies no match
 * key. */
typedef struct CallerFacts {
        uid_t uid;
        const gid_t *gids; /* primary and supplementary */
        size_t n_gids;
        const char *unit;    /* "vm-blue@1.service" */
        const char *slice;   /* the innermost one: "blue-vms.slice" */
        const char *machine; /* systemd-machined's name */
        const char *label;   /* LSM label */
} CallerFacts;
