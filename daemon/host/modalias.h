/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which module has the best VFIO driver of a PCI device. A VFIO driver lists the devices that it is for under
 * `vfio_pci:` instead of `pci:` (PCI_DRIVER_OVERRIDE_DEVICE_VFIO, include/linux/pci.h since Linux 5.16), so that no
 * driver core and no udev ever loads it for them; whoever wants the best driver asks with the device's modalias under that
 * name, and takes the most specific of the matches. Event loop only. */

#include "policy/util.h"

typedef struct Modaliases Modaliases;

/* `folder`: the kernel's folder of modules; NULL for that of the running kernel, /lib/modules/RELEASE. It may be absent. */
int modaliases_new(const char *folder, Modaliases **ret);
Modaliases *modaliases_free(Modaliases *aliases);

/* The module ("mlx5_vfio_pci", "vfio_pci"), or NULL where none says that it is for the device. `modalias` as in sysfs:
 * "pci:v000015B3d0000101E…"; only PCI devices have such drivers. Reads the lists anew where they have changed, upon
 * which an earlier answer is no longer valid. */
const char *modaliases_vfio_module(Modaliases *aliases, const char *modalias);

DEFINE_CLEANUP(Modaliases *, modaliases_free)
