/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands between a device and the rest of the host, as far as the kernel says so without a device being bound:
 * which IOMMU there is, whether interrupts are isolated, and the module parameters that make VFIO do without. */

#include "daemon/core/host.h"

/* Reads what there is now; cheap enough for each request but for the interrupts, whose answer is kept once there is one,
 * since it is settled at boot. Event loop only. */
void isolation_read(HostIsolation *ret);

/* From the chips in /proc/interrupts, on a machine as uname(2) names it. */
Isolation isolation_of_interrupts(FILE *interrupts, const char *machine);
