/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Loading the module of a VFIO driver that is not there, by asking systemd to start `modprobe@MODULE.service`, as the
 * daemon's own unit does for vfio_pci. The daemon cannot do it itself: it has neither CAP_SYS_MODULE nor exec. The kernel
 * cannot be made to: it looks modules up by the modalias of devices, and that of a device never says `vfio_pci:`. Nor can
 * udev, which knows no other modalias. systemd answers uid 0 without further capabilities, and modprobe there follows the
 * operator's blacklist. Event loop only. */

#include <systemd/sd-event.h>

#include "daemon/core/host.h"

#define MODULE_LOAD_USEC (10 * USEC_PER_SEC) /* then it goes on without */

typedef struct ModuleLoad ModuleLoad;

/* Whether the job wants a driver that is not there and that it may have loaded. */
bool module_load_wanted(const Job *job);

/* Writes the drivers' names as the kernel has them now: policy may say vfio_pci for vfio-pci. */
void module_resolve_drivers(Job *job);

/* Starts to load what module_load_wanted() is about. `done` is called once, from the loop, when systemd is through, or
 * cannot, or takes too long; whether it helped shows by the driver. The callee frees. -errno: nothing was begun. */
int module_load_start(sd_event *event, const Job *job, HostCallback done, void *userdata, ModuleLoad **ret);
/* Forgets it; what systemd has begun it ends. NULL is fine. */
ModuleLoad *module_load_free(ModuleLoad *load);

DEFINE_CLEANUP(ModuleLoad *, module_load_free)
