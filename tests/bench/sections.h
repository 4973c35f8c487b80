/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The policy of 2,000 sections that the benches load. */

#include <stdio.h>

#define SECTIONS_TENANTS 1000
#define SECTIONS_POOLS   500
#define SECTIONS_DEVICES 500

static inline void sections_write(FILE *f)
{
        (void)fputs("[broker]\nrate = 20/10s\nmemlock-max = 90%\n", f);
        for (unsigned i = 0; i < SECTIONS_POOLS; i++)
                (void)fprintf(f, "[pool nics%u]\ndevices = pci:%04x:*, pci-id:8086:%04x+numa:%u\n", i, i, i,
                              i % 8);
        for (unsigned i = 0; i < SECTIONS_TENANTS; i++)
                (void)fprintf(f,
                              "[tenant vm%u]\nmatch-user = %u, %u-%u\nmatch-unit = vm%u@*.service\n"
                              "devices = pool:nics%u, pci:0000:%02x:00.*\ndeny-devices = class:0108*\n"
                              "devices-max = 4\nmemlock-max = 64G\nreset = required\n",
                              i, 2000 + i, 100000 + 10 * i, 100009 + 10 * i, i, i % SECTIONS_POOLS, i % 256);
        for (unsigned i = 0; i < SECTIONS_DEVICES; i++)
                (void)fprintf(f, "[device pci:%04x:01:00.0]\ndriver = vfio-pci\n", i);
}
