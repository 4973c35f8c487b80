/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A device and its state. Nothing here decides: broker.c moves devices from state to state, this file knows what the
 * states and the kernel's facts mean. Event loop only. */

#include <stdarg.h>

#include "daemon/core/device.h"

Device *device_new(DeviceInfo *info)
{
        Device *device = calloc(1, sizeof(*device));

        if (!device)
                return NULL;
        device->info = *info;
        *info = (DeviceInfo){ .group = -1, .numa_node = -1 };
        device->state = device_idle_state(device);
        return device;
}

Device *device_free(Device *device)
{
        if (!device)
                return NULL;
        device_info_done(&device->info);
        device_info_done(&device->returned);
        free(device);
        return NULL;
}

const char *device_state_to_string(DeviceState state)
{
        static const char *const table[_DEVICE_STATE_MAX] = {
                [DEVICE_HOST] = "host",
                [DEVICE_BINDING] = "binding",
                [DEVICE_AVAILABLE] = "available",
                [DEVICE_LEASED] = "leased",
                [DEVICE_RECLAIMING] = "reclaiming",
                [DEVICE_QUARANTINED] = "quarantined",
                [DEVICE_GONE] = "gone",
        };

        return state >= 0 && state < _DEVICE_STATE_MAX ? table[state] : "unknown";
}

DeviceFacts device_facts(const Device *device)
{
        const DeviceInfo *info = &device->info;

        return (DeviceFacts){
                .id = info->id,
                .bus = info->bus,
                .vendor = info->vendor,
                .product = info->product,
                .subsystem_vendor = info->subsystem_vendor,
                .subsystem_product = info->subsystem_product,
                .class = info->class,
                .driver = info->driver,
                .group = info->group,
                .numa_node = info->numa_node,
                .physical_function = info->physical_function[0] ? info->physical_function : NULL,
                .mdev_type = info->mdev_type[0] ? info->mdev_type : NULL,
                .flr = device_has_function_reset(device),
        };
}

DeviceFacts device_facts_of_id(const char *id, char bus[static DEVICE_ID_MAX])
{
        const char *slash = strchr(id, '/');

        if (slash)
                (void)snprintf(bus, DEVICE_ID_MAX, "%.*s", (int)(slash - id), id);
        else
                (void)snprintf(bus, DEVICE_ID_MAX, "%s", strchr(id, ':') ? "pci" : "mdev");
        return (DeviceFacts){ .id = id, .bus = bus, .driver = "", .group = -1, .numa_node = -1 };
}

DeviceState device_idle_state(const Device *device)
{
        return device->info.driver_is_vfio ? DEVICE_AVAILABLE : DEVICE_HOST;
}

bool device_set_state(Device *device, DeviceState state, const char *format, ...)
{
        char reason[REASON_MAX];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(reason, sizeof(reason), format, ap);
        va_end(ap);
        if (device->state == state && streq(device->state_reason, reason))
                return false;
        device->state = state;
        memcpy(device->state_reason, reason, sizeof(reason));
        return true;
}

bool device_blocks_group(const Device *device)
{
        const char *driver = device->info.driver;

        return driver[0] && !device->info.driver_is_vfio && !streq(driver, "pcieport") &&
               !streq(driver, "pci-stub");
}

static bool is_pci(const Device *device)
{
        return streq(device->info.bus, "pci");
}

bool device_has_function_reset(const Device *device)
{
        if (!is_pci(device))
                return true;
        for (size_t i = 0; i < device->info.n_reset_methods; i++) {
                const char *method = device->info.reset_methods[i];

                if (!streq(method, "bus") && !streq(method, "cxl_bus"))
                        return true;
        }
        return false;
}

bool device_needs_group(const Device *device)
{
        return !streq(device->info.bus, "mdev");
}

bool device_reset_is_told(const Device *device)
{
        return is_pci(device);
}

Isolation device_isolation(const Device *device, const HostIsolation *host)
{
        const char *bus = device->info.bus;

        /* Software raises them. */
        if (streq(bus, "mdev"))
                return ISOLATION_YES;
        /* A PCI domain past 0xffff is made by a driver (Intel VMD), which hands interrupts on in its own way. */
        if (streq(bus, "pci") && strcspn(device->info.id, ":") > 4 && host->interrupts == ISOLATION_YES)
                return ISOLATION_UNKNOWN;
        return host->interrupts;
}

bool device_reset_hits(const Device *device, const Device *other)
{
        const char *path = device->info.path, *slash;
        size_t n;

        if (!is_pci(device) || !path || !other->info.path || device == other)
                return false;
        slash = strrchr(path, '/');
        if (!slash || slash == path)
                return false;
        n = (size_t)(slash - path);
        /* On a root bus ("…/pci0000:00") there is no bridge whose reset line could be pulled. */
        for (const char *parent = slash - 1; parent >= path; parent--)
                if (*parent == '/') {
                        if (strncmp(parent + 1, "pci", 3) == 0)
                                return false;
                        break;
                }
        return strncmp(other->info.path, path, n) == 0 && other->info.path[n] == '/';
}
