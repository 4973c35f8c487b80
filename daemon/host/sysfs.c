/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads devices from sysfs through sd-device, names them by the hardware database, and follows uevents. The monitor
 * hears udev's events, which come after the kernel's and after the rules have run; where no udevd runs it hears the
 * kernel's own.
 *
 * A PCI device is listed always, so that one without an IOMMU group can be asked for and refused with the reason; any other
 * where it has an IOMMU group; an mdev always is (its group is made by VFIO, and not by every
 * kernel); a device that is passed by mdevs only is listed as soon as its VFIO driver has it. */

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-device.h>
#include <systemd/sd-hwdb.h>

#include "daemon/host/bus-table.h"
#include "daemon/host/driver.h"
#include "daemon/host/iommufd.h"
#include "daemon/host/link.h"
#include "daemon/host/modalias.h"
#include "daemon/host/override.h"
#include "daemon/host/sysfs.h"
#include "daemon/host/vfio.h"

#define OTHER_BUSES_MAX 8 /* without a row in the table and with IOMMU groups; Linux 6.12 can have one */
#define AGAIN_USEC      (20 * USEC_PER_MSEC)
#define MISSED_USEC     (200 * USEC_PER_MSEC)
#define OVERRIDE_USEC   (200 * USEC_PER_MSEC)
#define WAITING_MAX     5 /* after so many none is asked any more: the start has other things to do */
#define GROUPS_PATH     "/sys/kernel/iommu_groups"
#define VFIO_DEVICES    "vfio-dev" /* the class of what VFIO makes of a device */

struct Inventory {
        sd_device_monitor *monitor;
        sd_hwdb *hwdb; /* NULL where there is none */
        Modaliases *modaliases;
        char other_buses[OTHER_BUSES_MAX][32];
        size_t n_other_buses;
        sd_event *event;
        sd_event_source
                *again;     /* looks at mdevs again whose type was not there yet, or at all after `missed` */
        bool missed;        /* an event's device could not be read */
        uint32_t n_lost;    /* events, as the kernel counts them */
        unsigned n_waiting; /* devices whose driver_override was waited for in vain, at the start */
        bool complete;      /* all that were there at the start have been told of */
        InventoryUpdate update;
        InventoryRemove remove;
        InventoryReleased released;
        void *userdata;
};

static void copy_string(char *to, size_t size, const char *from)
{
        (void)snprintf(to, size, "%.*s", (int)size - 1, strempty(from));
}

/* NULL where the device has no such attribute, or while *r is an error. An attribute that could not be read is no answer: a
 * device without its class would be no bridge, one without a number of functions no physical function. */
static const char *read_attribute(sd_device *device, const char *attribute, int *r)
{
        const char *value;
        int k = *r < 0 ? *r : sd_device_get_sysattr_value(device, attribute, &value);

        if (*r >= 0 && k < 0 && errno_is_trouble(k))
                *r = k;
        return k < 0 ? NULL : value;
}

static uint64_t read_number(sd_device *device, const char *attribute, uint64_t otherwise, int *r)
{
        const char *value = read_attribute(device, attribute, r);
        char *end;
        uint64_t n;

        if (!value)
                return otherwise;
        errno = 0;
        n = strtoull(value, &end, 0);
        return errno != 0 || end == value ? otherwise : n;
}

/* The last part of what a link below the device points to; "" where there is none. -errno where that could not be read. */
static int read_link(const char *path, const char *name, char *ret, size_t size)
{
        char link[PATH_MAX + 64], last[NAME_MAX + 1];
        int r;

        (void)snprintf(link, sizeof(link), "%s/%s", path, name);
        r = link_read_last(link, last, sizeof(last));
        copy_string(ret, size, last);
        return r < 0 && errno_is_trouble(r) ? r : 0;
}

static void read_reset_methods(sd_device *device, DeviceInfo *info, int *r)
{
        const char *value = read_attribute(device, "reset_method", r);

        while (value && *value && info->n_reset_methods < RESET_METHODS_MAX) {
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
        _cleanup_(fclosep) FILE *type = NULL, *name = NULL, *regions = NULL;
        char path[PATH_MAX], number[32], group_name[32];
        struct ReservedRegion region;
        int r;

        r = read_link(info->path, "iommu_group", number, sizeof(number));
        if (r < 0 || !number[0])
                return r;
        info->group = atoi(number);

        (void)snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/type", info->group);
        type = fopen(path, "re");
        if (type && fscanf(type, "%31s", info->group_type) != 1)
                info->group_type[0] = 0;

        (void)snprintf(path, sizeof(path), GROUPS_PATH "/%d/name", info->group);
        name = fopen(path, "re");
        if (!name && errno_is_trouble(errno))
                return -errno; /* it may have no IOMMU */
        /* The groups that VFIO makes for mdevs have that name too, where pages are pinned and no device does DMA
         * (vfio_noiommu_group_alloc() in drivers/vfio/group.c, Linux 6.12). */
        info->noiommu = !streq(info->bus, "mdev") && name && fscanf(name, "%31s", group_name) == 1 &&
                        streq(group_name, "vfio-noiommu");

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

/* "Intel Corporation 82576 …", and where the database has nothing what there is of numbers or names. */
static void describe(Inventory *inventory, sd_device *device, DeviceInfo *info)
{
        const char *modalias = NULL, *key, *value, *vendor = NULL, *model = NULL;

        if (info->description[0])
                return;
        if (sd_device_get_sysattr_value(device, "modalias", &modalias) >= 0 && inventory->hwdb) {
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
        else if (streq(info->bus, "pci"))
                (void)snprintf(info->description, sizeof(info->description), "device %04x:%04x",
                               info->vendor, info->product);
        else
                (void)snprintf(info->description, sizeof(info->description), "%s device%s%s", info->bus,
                               modalias ? " " : "", strempty(modalias));
}

/* The bus's own VFIO driver takes every device, so it is the answer where no list tells: a kernel without modules has
 * none. */
static void read_vfio_driver(Inventory *inventory, sd_device *device, DeviceInfo *info, int *r)
{
        const char *modalias = read_attribute(device, "modalias", r), *module = NULL;

        if (modalias)
                module = modaliases_vfio_module(inventory->modaliases, modalias);
        if (module)
                driver_of_module(info->bus, module, info->vfio_driver);
}

static int read_pci(Inventory *inventory, sd_device *device, DeviceInfo *info)
{
        int r = 0;

        info->vendor = (uint16_t)read_number(device, "vendor", 0, &r);
        info->product = (uint16_t)read_number(device, "device", 0, &r);
        info->subsystem_vendor = (uint16_t)read_number(device, "subsystem_vendor", 0, &r);
        info->subsystem_product = (uint16_t)read_number(device, "subsystem_device", 0, &r);
        info->class = (uint32_t)read_number(device, "class", 0, &r);
        info->virtual_functions_max = (unsigned)read_number(device, "sriov_totalvfs", 0, &r);
        info->bridge = info->class >> 16 == 0x06;
        read_reset_methods(device, info, &r);
        read_vfio_driver(inventory, device, info, &r);
        return r < 0 ? r
                     : read_link(info->path, "physfn", info->physical_function,
                                 sizeof(info->physical_function));
}

static void read_mdev(sd_device *device, DeviceInfo *info)
{
        sd_device *parent;
        const char *name, *type;

        (void)read_link(info->path, "mdev_type", info->mdev_type,
                        sizeof(info->mdev_type)); /* it is looked at again */
        if (sd_device_get_parent(device, &parent) < 0 || sd_device_get_sysname(parent, &name) < 0)
                return;
        copy_string(info->mdev_parent, sizeof(info->mdev_parent), name);
        info->numa_node = (int)read_number(parent, "numa_node", (uint64_t)-1, &(int){ 0 }); /* a hint */
        if (sd_device_get_sysattr_value(device, "mdev_type/name", &type) < 0)
                type = info->mdev_type;
        (void)snprintf(info->description, sizeof(info->description), "%s of %s", type, name);
}

/* Whether the driver that has the device has done its probe. The link to it is there before that, and with it the device's
 * lock, for as long as the driver likes (really_probe() in drivers/base/dd.c, Linux 6.12); a device that a tenant has left
 * in a bad state can make that long. An event that the probe is over is told late, maybe of another driver. */
static bool is_probed(sd_device *bound, const char *driver)
{
        const char *name;

        return sd_device_get_property_value(bound, "DRIVER", &name) >= 0 && streq(name, driver);
}

static int on_reader_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        (void)sd_event_source_set_floating(source,
                                           false); /* which frees it, and closes the pidfd that it has */
        return 0;                                  /* the loop reaps the process */
}

/* The attribute waits for the device's lock (driver_override_show() in drivers/pci/pci-sysfs.c, Linux 6.1). Whoever takes
 * a VFIO driver away, which is gone by then, has that until the last user has closed the device; and whoever takes virtual
 * functions away has the physical one's until all their users have. So of those it is not read: what the broker
 * would put back is read by its worker once more, and only a crash just then forgets it. */
static int read_override(Inventory *inventory, const char *name, DeviceInfo *info)
{
        pid_t left = 0;
        int r;

        if (!info->driver[0] || info->driver_is_vfio || info->virtual_functions_max > 0)
                return 0;
        if (inventory->complete)
                r = driver_read_override(info->bus, name, info->driver_override);
        else if (inventory->n_waiting == WAITING_MAX)
                return 0;
        else
                r = override_read(info->bus, name, OVERRIDE_USEC, info->driver_override, &left);
        if (left > 0) {
                inventory->n_waiting++;
                return sd_event_add_child(inventory->event, NULL, left, WEXITED, on_reader_end, NULL);
        }
        if (r < 0 && errno_is_trouble(r))
                return r;
        info->override_known = true; /* a bus may have none */
        return 0;
}

static int has_iommufd(void)
{
        if (access(IOMMUFD_PATH, F_OK) == 0)
                return 1;
        return errno_is_trouble(errno) ? -errno : 0;
}

/* `bound`: as take_device(). */
static int read_device(Inventory *inventory, sd_device *device, sd_device *bound, const char *bus,
                       DeviceInfo *ret)
{
        const BusFacts *facts = bus_facts(bus);
        DeviceInfo info = { .group = -1, .numa_node = -1 };
        const char *name, *path;
        int r;

        r = sd_device_get_sysname(device, &name);
        if (r < 0)
                return r;
        r = sd_device_get_syspath(device, &path);
        if (r < 0)
                return r;
        r = bus_device_id(bus, name, info.id);
        if (r < 0)
                return r;

        copy_string(info.bus, sizeof(info.bus), bus);
        copy_string(info.vfio_driver, sizeof(info.vfio_driver), facts ? facts->vfio_driver : "");
        info.by_mdev = facts && facts->by_mdev;
        info.path = strdup(path);
        if (!info.path)
                return -ENOMEM;
        info.numa_node = (int)read_number(device, "numa_node", (uint64_t)-1, &(int){ 0 }); /* a hint */
        if (streq(bus, "pci"))
                r = read_pci(inventory, device, &info);
        else if (streq(bus, "mdev"))
                read_mdev(device, &info);
        describe(inventory, device, &info);
        if (r >= 0)
                r = driver_current(bus, name, info.driver, &info.driver_is_vfio);
        if (r >= 0 && (!inventory->complete || (bound && is_probed(bound, info.driver))))
                r = read_override(inventory, name, &info);
        if (r >= 0)
                r = read_group(&info);
        if (r >= 0)
                r = info.driver_is_vfio ? vfio_has_cdev(bus, name) : has_iommufd();
        if (r < 0) {
                device_info_done(&info);
                return r;
        }
        info.iommufd = r > 0;
        if (facts && facts->ready)
                memcpy(info.vfio_driver, info.driver, sizeof(info.vfio_driver));
        *ret = info;
        return 0;
}

/* Whether the broker has to do with the device at all; cheap, since most have no group. */
static bool is_listed(sd_device *device, const char *bus)
{
        const BusFacts *facts = bus_facts(bus);
        char target[DRIVER_NAME_MAX];
        const char *path;

        if (sd_device_get_syspath(device, &path) < 0)
                return false;
        if ((facts && facts->ready) || streq(bus, "pci"))
                return true;
        if (facts && facts->by_mdev) {
                if (read_link(path, "driver", target, sizeof(target)) < 0)
                        return true; /* what follows will fail, and be tried again */
                return streq(target, facts->vfio_driver);
        }
        return read_link(path, "iommu_group", target, sizeof(target)) < 0 || target[0];
}

static int enumerate(Inventory *inventory, bool mdevs_only);
static int look_again(Inventory *inventory);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
        Inventory *inventory = userdata;
        bool missed = inventory->missed;
        int r;

        inventory->missed = false;
        r = enumerate(inventory, !missed);
        if (r < 0 && (missed || errno_is_trouble(r))) {
                inventory->missed = true;
                (void)look_again(inventory);
        }
        return 0;
}

/* The kernel links an mdev to its type after the last event that it sends of it (mdev_device_create() in
 * drivers/vfio/mdev/mdev_core.c, Linux 6.12), so that one who is quick does not find it. */
static int look_again(Inventory *inventory)
{
        uint64_t usec = inventory->missed ? MISSED_USEC : AGAIN_USEC;
        int r;

        if (!inventory->again)
                return sd_event_add_time_relative(inventory->event, &inventory->again, CLOCK_MONOTONIC, usec,
                                                  0, on_again, inventory);
        r = sd_event_source_set_time_relative(inventory->again, usec);
        return r < 0 ? r : sd_event_source_set_enabled(inventory->again, SD_EVENT_ONESHOT);
}

/* `bound`: the device of an event that its driver has it now, or NULL. */
static int take_device(Inventory *inventory, sd_device *device, sd_device *bound)
{
        char id[DEVICE_ID_MAX];
        const char *bus, *name;
        DeviceInfo info;
        int r;

        r = sd_device_get_subsystem(device, &bus);
        if (r >= 0 && !is_listed(device, bus)) {
                if (sd_device_get_sysname(device, &name) >= 0 && bus_device_id(bus, name, id) >= 0)
                        inventory->remove(inventory->userdata, id);
                return 0;
        }
        if (r >= 0)
                r = read_device(inventory, device, bound, bus, &info);
        if (r < 0)
                return r;
        if (streq(bus, "mdev") && !info.mdev_type[0])
                r = look_again(inventory);
        if (r >= 0)
                r = inventory->update(inventory->userdata, &info);
        device_info_done(&info);
        return r;
}

/* "…/0000:05:00.0/vfio-dev/vfio0", the VFIO device of the one two above, is no more. Since Linux 6.6 that is said before
 * the kernel waits for the last user (vfio_unregister_group_dev() in drivers/vfio/vfio_main.c). */
static void on_vfio_device_gone(Inventory *inventory, sd_device *device)
{
        char parent[PATH_MAX];
        const char *path;
        char *slash;

        if (!inventory->released || sd_device_get_syspath(device, &path) < 0)
                return;
        (void)snprintf(parent, sizeof(parent), "%s", path);
        for (int i = 0; i < 2; i++) {
                slash = strrchr(parent, '/');
                if (!slash)
                        return;
                *slash = 0;
        }
        inventory->released(inventory->userdata, parent, false);
}

/* Whether events were lost since this was asked last: the kernel drops those that the monitor's socket has no room for, and
 * libsystemd does not tell (version 252). What was told before is in the queue still, so there is an event to ask upon. */
static bool has_lost_events(Inventory *inventory)
{
        uint32_t info[SK_MEMINFO_VARS] = {}, lost;
        socklen_t size = sizeof(info);
        int fd;

        fd = sd_event_source_get_io_fd(sd_device_monitor_get_event_source(inventory->monitor));
        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0)
                return false;
        lost = info[SK_MEMINFO_DROPS] - inventory->n_lost;
        inventory->n_lost = info[SK_MEMINFO_DROPS];
        return lost > 0;
}

static int on_event(sd_device_monitor *monitor, sd_device *device, void *userdata)
{
        Inventory *inventory = userdata;
        char id[DEVICE_ID_MAX];
        const char *bus, *name, *path;
        sd_device_action_t action;

        if (has_lost_events(inventory)) {
                inventory->missed = true;
                (void)look_again(inventory);
        }
        if (sd_device_get_subsystem(device, &bus) < 0 || sd_device_get_sysname(device, &name) < 0 ||
            sd_device_get_action(device, &action) < 0)
                return 0;
        if (streq(bus, VFIO_DEVICES)) {
                if (action == SD_DEVICE_REMOVE)
                        on_vfio_device_gone(inventory, device);
                return 0;
        }
        if (action == SD_DEVICE_REMOVE) {
                if (bus_device_id(bus, name, id) >= 0)
                        inventory->remove(inventory->userdata, id);
                return 0;
        }

        {
                /* The event's own sd_device may carry attributes read long before: look anew. */
                sd_device *fresh = NULL;
                int r = sd_device_new_from_subsystem_sysname(&fresh, bus, name);

                if (r >= 0)
                        r = take_device(inventory, fresh, action == SD_DEVICE_BIND ? device : NULL);
                sd_device_unref(fresh);
                /* No other event may ever tell of it. */
                if (r < 0 && errno_is_trouble(r)) {
                        inventory->missed = true;
                        (void)look_again(inventory);
                }
        }
        if (inventory->released && action == SD_DEVICE_UNBIND && sd_device_get_syspath(device, &path) >= 0)
                inventory->released(inventory->userdata, path, true);
        return 0;
}

static int note_bus(Inventory *inventory, const char *device)
{
        char bus[sizeof(inventory->other_buses[0])];
        int r = read_link(device, "subsystem", bus, sizeof(bus));
        bool known = r < 0 || !bus[0] || bus_facts(bus);

        for (size_t i = 0; i < inventory->n_other_buses; i++)
                known |= streq(inventory->other_buses[i], bus);
        if (!known && inventory->n_other_buses < OTHER_BUSES_MAX)
                memcpy(inventory->other_buses[inventory->n_other_buses++], bus, sizeof(bus));
        return r;
}

/* The buses of devices that have an IOMMU group and no row in the table. Which there are does not change: a bus is told
 * to the IOMMU code when the kernel is built. */
static int find_other_buses(Inventory *inventory)
{
        _cleanup_(closedirp) DIR *groups = opendir(GROUPS_PATH);
        const char *group = "", *device = "";
        char path[PATH_MAX];
        int r;

        while ((r = link_next_name(groups, &group)) > 0) {
                _cleanup_(closedirp) DIR *devices = NULL;
                int n = snprintf(path, sizeof(path), GROUPS_PATH "/%s/devices", group);

                devices = opendir(path);
                while ((r = link_next_name(devices, &device)) > 0) {
                        (void)snprintf(path + n, sizeof(path) - (size_t)n, "/%s", device);
                        r = note_bus(inventory, path);
                        if (r < 0)
                                return r;
                }
                if (r < 0)
                        return r;
        }
        return r;
}

/* The buses that are looked at, one after the other; NULL past the last. */
static const char *bus_at(const Inventory *inventory, size_t i)
{
        const BusFacts *facts = bus_facts_at(i);

        if (facts)
                return facts->name;
        for (size_t n = 0;; n++)
                if (!bus_facts_at(n))
                        return i - n < inventory->n_other_buses ? inventory->other_buses[i - n] : NULL;
}

static int start_monitor(Inventory *inventory, sd_event *event)
{
        int r;

        r = sd_device_monitor_new(&inventory->monitor);
        for (size_t i = 0; r >= 0 && bus_at(inventory, i); i++)
                r = sd_device_monitor_filter_add_match_subsystem_devtype(inventory->monitor,
                                                                         bus_at(inventory, i), NULL);
        if (r >= 0)
                r = sd_device_monitor_filter_add_match_subsystem_devtype(inventory->monitor, VFIO_DEVICES,
                                                                         NULL);
        if (r >= 0)
                r = sd_device_monitor_attach_event(inventory->monitor, event);
        if (r >= 0)
                r = sd_device_monitor_start(inventory->monitor, on_event, inventory);
        return r;
}

/* Folder and devices one by one, since libsystemd shows no device where it could not read the folder, and says nothing
 * (sd_device_enumerator_get_device_first(), version 252); and a device that is not there has no lease any more. */
static int enumerate_bus(Inventory *inventory, const char *bus)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        const char *name = "";
        char path[PATH_MAX];
        int r;

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices", bus);
        dir = opendir(path);
        while ((r = link_next_name(dir, &name)) > 0) {
                sd_device *device = NULL;

                (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s", bus, name);
                r = sd_device_new_from_syspath(&device, path);
                if (r >= 0)
                        r = take_device(inventory, device, NULL);
                sd_device_unref(device);
                /* It went while it was read, its event follows; or it has no id. */
                if (r < 0 && r != -ENOENT && r != -ENODEV && r != -ENAMETOOLONG)
                        return r;
        }
        return r;
}

static int enumerate(Inventory *inventory, bool mdevs_only)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && bus_at(inventory, i); i++)
                if (!mdevs_only || streq(bus_at(inventory, i), "mdev"))
                        r = enumerate_bus(inventory, bus_at(inventory, i));
        return r;
}

int inventory_new(sd_event *event, InventoryUpdate update, InventoryRemove remove,
                  InventoryReleased released, void *userdata, Inventory **ret)
{
        _cleanup_(inventory_freep) Inventory *inventory = calloc(1, sizeof(*inventory));
        int r;

        if (!inventory)
                return -ENOMEM;
        inventory->update = update;
        inventory->remove = remove;
        inventory->released = released;
        inventory->userdata = userdata;
        inventory->event = sd_event_ref(event);
        (void)sd_hwdb_new(&inventory->hwdb);
        r = modaliases_new(NULL, &inventory->modaliases);
        if (r < 0)
                return r;

        r = find_other_buses(inventory);
        if (r >= 0)
                r = start_monitor(inventory, event);
        if (r < 0)
                return r;
        r = enumerate(inventory, false);
        if (r < 0)
                return r;
        inventory->complete = true;
        *ret = TAKE_PTR(inventory);
        return 0;
}

Inventory *inventory_free(Inventory *inventory)
{
        if (!inventory)
                return NULL;
        sd_device_monitor_unref(inventory->monitor);
        sd_event_source_disable_unref(inventory->again);
        sd_event_unref(inventory->event);
        sd_hwdb_unref(inventory->hwdb);
        modaliases_free(inventory->modaliases);
        free(inventory);
        return NULL;
}
