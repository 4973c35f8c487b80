/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of buses. Where each fact is from, all in Linux 6.12:
 *
 *  - The buses whose devices get IOMMU groups are iommu_buses[] in drivers/iommu/iommu.c: platform, pci, amba, fsl-mc,
 *    host1x-context, cdx. Tegra's host1x-context has no VFIO driver, so no row.
 *  - Names of drivers: drivers/vfio/pci/vfio_pci.c, platform/vfio_platform.c, platform/vfio_amba.c,
 *    fsl-mc/vfio_fsl_mc.c, cdx/main.c; drivers/s390/cio/vfio_ccw_drv.c, drivers/s390/crypto/vfio_ap_drv.c.
 *  - driver_override: drivers/pci/pci-sysfs.c, drivers/base/platform.c, drivers/amba/bus.c,
 *    drivers/bus/fsl-mc/fsl-mc-bus.c, drivers/cdx/cdx.c, drivers/s390/cio/css.c. The ap bus has none: which queues its
 *    VFIO driver may have is said by apmask and aqmask for all of them (drivers/s390/crypto/ap_bus.c).
 *  - On s390 an I/O device (bus ccw) is passed by its subchannel (bus css), and a crypto queue (bus ap) by the matrix;
 *    both as mdevs, and neither has an IOMMU group.
 *  - An mdev is bound by its parent's driver when it is made, and by nobody else: mdev_match() of
 *    drivers/vfio/mdev/mdev_driver.c holds for no driver, so that one which was unbound cannot be bound again. */

#include "daemon/host/bus-table.h"

static const BusFacts table[] = {
        { .name = "pci", .vfio_driver = "vfio-pci", .driver_override = true, .plain_id = true },
        { .name = "mdev", .vfio_driver = "", .plain_id = true, .ready = true },
        { .name = "platform", .vfio_driver = "vfio-platform", .driver_override = true },
        { .name = "amba", .vfio_driver = "vfio-amba", .driver_override = true },
        { .name = "fsl-mc", .vfio_driver = "vfio-fsl-mc", .driver_override = true },
        { .name = "cdx", .vfio_driver = "vfio-cdx", .driver_override = true },
        { .name = "css", .vfio_driver = "vfio_ccw", .driver_override = true, .by_mdev = true },
        { .name = "ap", .vfio_driver = "vfio_ap", .by_mdev = true },
};

const BusFacts *bus_facts_at(size_t i)
{
        return i < ELEMENTSOF(table) ? table + i : NULL;
}

const BusFacts *bus_facts(const char *bus)
{
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (streq(table[i].name, bus))
                        return table + i;
        return NULL;
}

static bool is_plain(const char *bus)
{
        const BusFacts *facts = bus_facts(bus);

        return facts && facts->plain_id;
}

int bus_device_id(const char *bus, const char *name, char ret[static DEVICE_ID_MAX])
{
        bool plain = is_plain(bus);
        int n = snprintf(ret, DEVICE_ID_MAX, "%s%s%s", plain ? "" : bus, plain ? "" : "/", name);

        return n < 0 || n >= DEVICE_ID_MAX ? -ENAMETOOLONG : 0;
}

const char *bus_device_name(const char *bus, const char *id)
{
        size_t n = strlen(bus);

        return !is_plain(bus) && strncmp(id, bus, n) == 0 && id[n] == '/' ? id + n + 1 : id;
}
