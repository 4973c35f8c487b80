/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verdict of `vfiobrokerctl host`: from facts to lines, each with what to change where it is bad. Pure. */

#include "client-lib/vfiobroker.h"
#include "policy/util.h"

/* A PCI device as sysfs shows it to anybody. */
typedef struct HostDevice {
        char id[32];    /* "0000:01:00.0" */
        char path[512]; /* links resolved: "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0" */
        int group;      /* -1 for none */
        bool bridge;
        bool express;    /* has a PCI Express capability: it is not on a conventional bus */
        char driver[32]; /* of a bridge; "" for none */
} HostDevice;

/* Prints it, at most `rows` lines of at most 79 characters: groups past that are counted. True where the host is
 * good. */
bool verdict_print(const struct vfiobroker_host *host, const HostDevice *devices, size_t n_devices,
                   size_t rows, FILE *f);
