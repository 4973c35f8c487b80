/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads PCI devices from sysfs through sd-device, names them by the hardware database, and follows uevents. The monitor
 * hears udev's events, which come after the kernel's and after the rules have run; where no udevd runs it hears the
 * kernel's own. */

#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <systemd/sd-device.h>
#include <systemd/sd-hwdb.h>

#include "daemon/host/driver.h"
#include "daemon/host/modalias.h"
#include "daemon/host/sysfs.h"

#define SUBSYSTEM "pci"

struct Inventory {
        sd_device_monitor *monitor;
        sd_hwdb *hwdb; /* NULL where there is none */
        Modaliases *modaliases;
        InventoryUpdate update;
        InventoryRemove remove;
        void *userdata;
};

static void copy_string(char *to, size_t size, const char *from)
{
        (void)snprintf(to, size, "%.*s", (int)size - 1, strempty(from));
}

static uint64_t read_number(sd_device *device, const char *attribute, uint64_t otherwise)
{
        const char *value;
        char *end;
        uint64_t n;

        if (sd_device_get_sysattr_value(device, attribute, &value) < 0)
                return otherwise;
        errno = 0;
        n = strtoull(value, &end, 0);
        return errno != 0 || end == value ? otherwise : n;
}

/* The last part of what a link below the device points to; "" where there is none. */
static void read_link(const char *path, const char *name, char *ret, size_t size)
{
        char link[PATH_MAX], target[PATH_MAX];
        const char *slash;
        ssize_t n;

        (void)snprintf(link, sizeof(link), "%s/%s", path, name);
        n = readlink(link, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = 0;
        slash = strrchr(target, '/');
        copy_string(ret, size, slash ? slash + 1 : target);
}

static void read_reset_methods(sd_device *device, DeviceInfo *info)
{
        const char *value;

        if (sd_device_get_sysattr_value(device, "reset_method", &value) < 0)
                return;
        while (*value && info->n_reset_methods < RESET_METHODS_MAX) {
                size_t n = strcspn(value, " \n");

                if (n > 0 && n < sizeof(info->reset_methods[0])) {
                        memcpy(info->reset_methods[info->n_reset_methods], value, n);
                        info->reset_methods[info->n_reset_methods++][n] = 0;
                }
                value += n + strspn(value + n, " \n");
        }
}

static int read_group(DeviceInfo *info)
{
        _cleanup_(fclosep) FILE *type = NULL, *regions = NULL;
        char path[PATH_MAX], number[32];
        struct ReservedRegion region;

        read_link(info->path, "iommu_group", number, sizeof(number));
        if (!number[0])
                return 0;
        info->group = atoi(number);

        (void)snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/type", info->group);
        type = fopen(path, "re");
        if (type && fscanf(type, "%31s", info->group_type) != 1)
                info->group_type[0] = 0;

        (void)snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/reserved_regions", info->group);
        regions = fopen(path, "re");
        while (regions && fscanf(regions, "%" SCNx64 " %" SCNx64 " %23s", &region.start, &region.end,
                                 region.type) == 3) {
                struct ReservedRegion *more =
                        reallocarray(info->reserved, info->n_reserved + 1, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                info->reserved = more;
                info->reserved[info->n_reserved++] = region;
        }
        return 0;
}

static void describe(Inventory *inventory, sd_device *device, DeviceInfo *info)
{
        const char *modalias, *key, *value, *vendor = NULL, *model = NULL;

        if (inventory->hwdb && sd_device_get_sysattr_value(device, "modalias", &modalias) >= 0) {
                SD_HWDB_FOREACH_PROPERTY(inventory->hwdb, modalias, key, value)
                {
                        if (streq(key, "ID_VENDOR_FROM_DATABASE"))
                                vendor = value;
                        else if (streq(key, "ID_MODEL_FROM_DATABASE"))
                                model = value;
                }
        }
        if (vendor && model)
                (void)snprintf(info->description, sizeof(info->description), "%s %s", vendor, model);
        else if (vendor)
                (void)snprintf(info->description, sizeof(info->description), "%s device %04x", vendor,
                               info->product);
        else
                (void)snprintf(info->description, sizeof(info->description), "device %04x:%04x",
                               info->vendor, info->product);
}

/* vfio-pci takes every PCI device, so it is the answer where no list tells: a kernel without modules has none. */
static void read_vfio_driver(Inventory *inventory, sd_device *device, DeviceInfo *info)
{
        const char *modalias, *module = NULL;

        if (sd_device_get_sysattr_value(device, "modalias", &modalias) >= 0)
                module = modaliases_vfio_module(inventory->modaliases, modalias);
        driver_of_module(SUBSYSTEM, module ?: "vfio_pci", info->vfio_driver);
}

static int read_device(Inventory *inventory, sd_device *device, DeviceInfo *ret)
{
        DeviceInfo info = { .group = -1, .numa_node = -1 };
        const char *name, *path;
        int r;

        r = sd_device_get_sysname(device, &name);
        if (r < 0)
                return r;
        r = sd_device_get_syspath(device, &path);
        if (r < 0)
                return r;
        if (strlen(name) >= sizeof(info.id))
                return -ENAMETOOLONG;

        copy_string(info.id, sizeof(info.id), name);
        copy_string(info.bus, sizeof(info.bus), SUBSYSTEM);
        info.path = strdup(path);
        if (!info.path)
                return -ENOMEM;
        info.vendor = (uint16_t)read_number(device, "vendor", 0);
        info.product = (uint16_t)read_number(device, "device", 0);
        info.subsystem_vendor = (uint16_t)read_number(device, "subsystem_vendor", 0);
        info.subsystem_product = (uint16_t)read_number(device, "subsystem_device", 0);
        info.class = (uint32_t)read_number(device, "class", 0);
        info.numa_node = (int)read_number(device, "numa_node", (uint64_t)-1);
        info.virtual_functions_max = (unsigned)read_number(device, "sriov_totalvfs", 0);
        info.bridge = info.class >> 16 == 0x06;
        read_link(path, "physfn", info.physical_function, sizeof(info.physical_function));
        read_reset_methods(device, &info);
        describe(inventory, device, &info);
        read_vfio_driver(inventory, device, &info);
        r = driver_current(SUBSYSTEM, name, info.driver, &info.driver_is_vfio);
        if (r >= 0)
                r = read_group(&info);
        if (r < 0) {
                device_info_done(&info);
                return r;
        }
        *ret = info;
        return 0;
}

static int take_device(Inventory *inventory, sd_device *device)
{
        DeviceInfo info;
        int r;

        r = read_device(inventory, device, &info);
        if (r < 0)
                return r;
        if (info.group < 0) {
                device_info_done(&info);
                return 0;
        }
        r = inventory->update(inventory->userdata, &info);
        device_info_done(&info);
        return r;
}

static int on_event(sd_device_monitor *monitor, sd_device *device, void *userdata)
{
        Inventory *inventory = userdata;
        const char *name;
        sd_device_action_t action;

        if (sd_device_get_sysname(device, &name) < 0 || sd_device_get_action(device, &action) < 0)
                return 0;
        if (action == SD_DEVICE_REMOVE) {
                inventory->remove(inventory->userdata, name);
                return 0;
        }

        {
                /* The event's own sd_device may carry attributes read long before: look anew. */
                sd_device *fresh = NULL;
                int r = sd_device_new_from_subsystem_sysname(&fresh, SUBSYSTEM, name);

                if (r >= 0)
                        (void)take_device(inventory, fresh);
                sd_device_unref(fresh);
        }
        return 0;
}

static int enumerate(Inventory *inventory)
{
        sd_device_enumerator *enumerator = NULL;
        sd_device *device;
        int r;

        r = sd_device_enumerator_new(&enumerator);
        if (r < 0)
                return r;
        r = sd_device_enumerator_allow_uninitialized(enumerator);
        if (r >= 0)
                r = sd_device_enumerator_add_match_subsystem(enumerator, SUBSYSTEM, 1);
        if (r >= 0)
                for (device = sd_device_enumerator_get_device_first(enumerator); device && r >= 0;
                     device = sd_device_enumerator_get_device_next(enumerator)) {
                        r = take_device(inventory, device);
                        if (r == -ENOENT || r == -ENODEV)
                                r = 0; /* it went while it was read; its event follows */
                }
        sd_device_enumerator_unref(enumerator);
        return r;
}

int inventory_new(sd_event *event, InventoryUpdate update, InventoryRemove remove, void *userdata,
                  Inventory **ret)
{
        _cleanup_(inventory_freep) Inventory *inventory = calloc(1, sizeof(*inventory));
        int r;

        if (!inventory)
                return -ENOMEM;
        inventory->update = update;
        inventory->remove = remove;
        inventory->userdata = userdata;
        (void)sd_hwdb_new(&inventory->hwdb);
        r = modaliases_new(NULL, &inventory->modaliases);
        if (r < 0)
                return r;

        r = sd_device_monitor_new(&inventory->monitor);
        if (r < 0)
                return r;
        r = sd_device_monitor_filter_add_match_subsystem_devtype(inventory->monitor, SUBSYSTEM, NULL);
        if (r < 0)
                return r;
        r = sd_device_monitor_attach_event(inventory->monitor, event);
        if (r < 0)
                return r;
        r = sd_device_monitor_start(inventory->monitor, on_event, inventory);
        if (r < 0)
                return r;
        r = enumerate(inventory);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(inventory);
        return 0;
}

Inventory *inventory_free(Inventory *inventory)
{
        if (!inventory)
                return NULL;
        sd_device_monitor_unref(inventory->monitor);
        sd_hwdb_unref(inventory->hwdb);
        modaliases_free(inventory->modaliases);
        free(inventory);
        return NULL;
}
