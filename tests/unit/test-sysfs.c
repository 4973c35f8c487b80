/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/host/sysfs.c and bus-table.c on a sysfs that umockdev makes: one device of each bus that VFIO knows, as the
 * kernel lays them out. The test runs with libumockdev's preload library, which puts its folder in the place of /sys. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-device.h>
#include <umockdev.h>

#include "daemon/host/bus-table.h"
#include "daemon/host/driver.h"
#include "daemon/host/sysfs.h"
#include "tests/fixtures/count-fds.h"
#include "tests/fixtures/failing-calls.h"

#define UUID      "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define INFOS_MAX 16
#define DEVICES   "/sys/devices/"

typedef struct Machine {
        UMockdevTestbed *bed;
        sd_event *event;
        Inventory *inventory;
        DeviceInfo infos[INFOS_MAX]; /* as last told, by id; id "" where it was removed */
        size_t n_infos;
        unsigned n_updates, n_removes, n_released, n_done;
        char released[256]; /* path, as last told */
} Machine;

static DeviceInfo *find(Machine *machine, const char *id)
{
        for (size_t i = 0; i < machine->n_infos; i++)
                if (streq(machine->infos[i].id, id))
                        return machine->infos + i;
        return NULL;
}

static int on_update(void *userdata, DeviceInfo *info)
{
        Machine *machine = userdata;
        DeviceInfo *known = find(machine, info->id);

        machine->n_updates++;
        if (!known) {
                assert_true(machine->n_infos < INFOS_MAX);
                known = machine->infos + machine->n_infos++;
        } else
                device_info_done(known);
        *known = *info;
        *info = (DeviceInfo){};
        return 0;
}

static void on_remove(void *userdata, const char *id)
{
        Machine *machine = userdata;
        DeviceInfo *known = find(machine, id);

        machine->n_removes++;
        if (!known)
                return;
        device_info_done(known);
        *known = machine->infos[--machine->n_infos];
}

static void on_released(void *userdata, const char *path, bool done)
{
        Machine *machine = userdata;

        (void)snprintf(machine->released, sizeof(machine->released), "%s", path);
        machine->n_released++;
        machine->n_done += done;
}

/* --- the mocked machine --- */

static void make_folders(Machine *machine, const char *path)
{
        _cleanup_free_ char *root = umockdev_testbed_get_root_dir(machine->bed), *full = NULL;

        assert_true(asprintf(&full, "%s%s", root, path) > 0);
        umockdev_testbed_disable(machine->bed);
        for (char *p = full + strlen(root) + 1; *p; p++)
                if (*p == '/') {
                        *p = 0;
                        (void)mkdir(full, 0755);
                        *p = '/';
                }
        umockdev_testbed_enable(machine->bed);
}

/* A symbolic link below the root, its target absolute in the mocked machine: made relative, as sysfs does. */
static void make_link(Machine *machine, const char *path, const char *target)
{
        _cleanup_free_ char *root = umockdev_testbed_get_root_dir(machine->bed), *full = NULL;
        char relative[512] = "";

        make_folders(machine, path);
        for (const char *p = path + 1; (p = strchr(p, '/')); p++)
                strcat(relative, "../");
        strcat(relative, target + 1);
        assert_true(asprintf(&full, "%s%s", root, path) > 0);
        umockdev_testbed_disable(machine->bed);
        (void)unlink(full);
        if (symlink(relative, full) < 0)
                fail_msg("%s -> %s: %m", full, relative);
        umockdev_testbed_enable(machine->bed);
}

static void set_driver(Machine *machine, const char *path, const char *bus, const char *driver)
{
        char link[512], target[512];

        (void)snprintf(link, sizeof(link), DEVICES "%s/driver", path);
        (void)snprintf(target, sizeof(target), "/sys/bus/%s/drivers/%s", bus, driver);
        make_link(machine, link, target);
}

static void set_group(Machine *machine, const char *path, int group)
{
        char link[512], target[512];

        (void)snprintf(link, sizeof(link), DEVICES "%s/iommu_group", path);
        (void)snprintf(target, sizeof(target), "/sys/kernel/iommu_groups/%d", group);
        make_link(machine, link, target);
        (void)snprintf(link, sizeof(link), "/sys/kernel/iommu_groups/%d/devices/%s", group,
                       strrchr(path, '/') + 1);
        (void)snprintf(target, sizeof(target), DEVICES "%s", path);
        make_link(machine, link, target);
}

/* `path` below /sys/devices; group -1 for none, driver "" for none. */
static void add(Machine *machine, const char *path, const char *bus, const char *driver, int group,
                const char *attributes)
{
        _cleanup_free_ char *text = NULL;
        char link[512], target[512];

        assert_true(asprintf(&text, "P: /devices/%s\nE: SUBSYSTEM=%s\n%s\n", path, bus, attributes) > 0);
        assert_true(umockdev_testbed_add_from_string(machine->bed, text, NULL));
        (void)snprintf(link, sizeof(link), DEVICES "%s/subsystem", path);
        (void)snprintf(target, sizeof(target), "/sys/bus/%s", bus);
        make_link(machine, link, target);
        (void)snprintf(link, sizeof(link), "/sys/bus/%s/devices/%s", bus, strrchr(path, '/') + 1);
        (void)snprintf(target, sizeof(target), DEVICES "%s", path);
        make_link(machine, link, target);
        if (driver[0])
                set_driver(machine, path, bus, driver);
        if (group >= 0)
                set_group(machine, path, group);
}

static int setup(void **state)
{
        Machine *machine = calloc(1, sizeof(*machine));

        assert_non_null(machine);
        machine->bed = umockdev_testbed_new();
        assert_int_equal(sd_event_new(&machine->event), 0);
        *state = machine;
        return 0;
}

static int teardown(void **state)
{
        Machine *machine = *state;

        inventory_free(machine->inventory);
        for (size_t i = 0; i < machine->n_infos; i++)
                device_info_done(machine->infos + i);
        sd_event_unref(machine->event);
        g_object_unref(machine->bed);
        free(machine);
        return 0;
}

static void start(Machine *machine)
{
        assert_int_equal(inventory_new(machine->event, on_update, on_remove, on_released, machine,
                                       &machine->inventory),
                         0);
}

/* Runs the loop until `*count` is `wanted`. */
static void run_until(Machine *machine, const unsigned *count, unsigned wanted)
{
        for (unsigned i = 0; *count < wanted; i++) {
                assert_true(i < 100);
                assert_true(sd_event_run(machine->event, 5 * USEC_PER_SEC) > 0);
        }
}

/* As VFIO names the groups that it makes: for devices without an IOMMU, and for mdevs. */
static void name_group(Machine *machine, int group)
{
        FILE *file;
        char path[128];

        (void)snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/name", group);
        make_folders(machine, path);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs("vfio-noiommu\n", file) >= 0);
        assert_int_equal(fclose(file), 0);
}

/* --- the tests --- */

static const struct Case {
        const char *path, *bus, *driver;
        int group;
        const char *attributes, *id, *vfio_driver, *description;
        bool is_vfio, by_mdev;
} cases[] = {
        { "pci0000:00/0000:00:02.0", "pci", "igb", 1,
          "A: vendor=0x8086\nA: device=0x10c9\nA: class=0x020000\nA: numa_node=1\nA: "
          "reset_method=flr bus\n",
          "0000:00:02.0", "vfio-pci", "device 8086:10c9", false, false },
        /* Without an IOMMU group it is listed all the same, to be refused with the reason. */
        { "pci0000:00/0000:00:1f.0", "pci", "lpc_ich", -1, "A: vendor=0x8086\nA: device=0x2918\n",
          "0000:00:1f.0", "vfio-pci", "device 8086:2918", false, false },
        { "virtual/mtty/mtty/" UUID, "mdev", "mtty", 2, "", UUID, "mtty", "Dual port serial of mtty", true,
          false },
        { "platform/fe5c0000.dma", "platform", "vfio-platform", 3, "A: modalias=of:NdmaT(null)Carm,pl330\n",
          "platform/fe5c0000.dma", "vfio-platform", "platform device of:NdmaT(null)Carm,pl330", true,
          false },
        { "platform/bus/2b1f0000.mmu-dma", "amba", "", 4, "", "amba/2b1f0000.mmu-dma", "vfio-amba",
          "amba device", false, false },
        { "platform/80c000000.fsl-mc/dprc.1/dprc.2", "fsl-mc", "fsl_mc_dprc", 5,
          "A: modalias=fsl-mc:v00001957ddprc\n", "fsl-mc/dprc.2", "vfio-fsl-mc",
          "fsl-mc device fsl-mc:v00001957ddprc", false, false },
        { "platform/cdx/cdx-00:00", "cdx", "vfio-cdx", 6, "A: vfio-dev/vfio3/dev=240:3\n", "cdx/cdx-00:00",
          "vfio-cdx", "cdx device", true, false },
        { "css0/0.0.0313", "css", "vfio_ccw", -1, "A: modalias=css:t0\n", "css/0.0.0313", "vfio_ccw",
          "css device css:t0", false, true },
        { "ap/card03/03.0005", "ap", "vfio_ap", -1, "", "ap/03.0005", "vfio_ap", "ap device", false, true },
        { "platform/host1x/host1x-ctx.0", "host1x-context", "", 7, "", "host1x-context/host1x-ctx.0", "",
          "host1x-context device", false, false },
};

static void add_all(Machine *machine)
{
        add(machine, "virtual/mtty/mtty", "mtty", "", -1,
            "A: numa_node=1\nA: mdev_supported_types/mtty-2/name=Dual port serial\n");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                add(machine, cases[i].path, cases[i].bus, cases[i].driver, cases[i].group,
                    cases[i].attributes);
        make_link(machine, DEVICES "virtual/mtty/mtty/" UUID "/mdev_type",
                  DEVICES "virtual/mtty/mtty/mdev_supported_types/mtty-2");
        name_group(machine, 2);
        name_group(machine, 3);

        /* Such as the broker has nothing to do with. */
        add(machine, "platform/serial8250", "platform", "serial8250", -1, "");
        add(machine, "css0/0.0.0314", "css", "io_subchannel", -1, "");
        add(machine, "css0/0.0.0314/0.0.3f00", "ccw", "dasd-eckd", -1, "");
        add(machine, "ap/card03/03.0006", "ap", "cex4queue", -1, "");
}

/* One device of each bus: its id, driver, best VFIO driver, group, description; and nothing else. */
static void test_each_bus(void **state)
{
        Machine *machine = *state;

        add_all(machine);
        start(machine);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const struct Case *c = cases + i;
                const DeviceInfo *info = find(machine, c->id);

                if (!info) {
                        fail_msg("%s is not listed", c->id);
                        return; /* it does not come back, which the analyzer cannot know */
                }
                assert_string_equal(info->bus, c->bus);
                assert_string_equal(info->driver, c->driver);
                assert_string_equal(info->vfio_driver, c->vfio_driver);
                assert_string_equal(info->description, c->description);
                assert_int_equal(info->group, c->group);
                assert_int_equal(info->driver_is_vfio, c->is_vfio);
                assert_int_equal(info->by_mdev, c->by_mdev);
                assert_string_equal(bus_device_name(c->bus, info->id), strrchr(c->path, '/') + 1);
        }
        assert_int_equal(machine->n_infos, ELEMENTSOF(cases));
        assert_int_equal(machine->n_updates, ELEMENTSOF(cases));

        /* A cdev tells that a device on VFIO is for iommufd; the mocked machine has no /dev/iommu for the others. */
        for (size_t i = 0; i < machine->n_infos; i++)
                assert_int_equal(machine->infos[i].iommufd, streq(machine->infos[i].id, "cdx/cdx-00:00"));
        assert_int_equal(find(machine, "0000:00:02.0")->numa_node, 1);
        assert_int_equal(find(machine, "0000:00:02.0")->n_reset_methods, 2);
        assert_int_equal(find(machine, UUID)->numa_node, 1); /* its parent's */
        assert_string_equal(find(machine, UUID)->mdev_type, "mtty-2");
        assert_string_equal(find(machine, "cdx/cdx-00:00")->mdev_type, "");
        for (size_t i = 0; i < machine->n_infos; i++)
                assert_int_equal(machine->infos[i].noiommu, streq(machine->infos[i].id, cases[3].id));
}

/* Events of each bus, one without a row among them: a device that gets a VFIO driver, and one that goes. */
static void test_events(void **state)
{
        static const char *const ids[] = { "fsl-mc/dprc.2", "host1x-context/host1x-ctx.0", "0000:00:02.0" };
        Machine *machine = *state;

        add_all(machine);
        start(machine);
        machine->n_removes = 0;
        for (size_t k = 0; k < ELEMENTSOF(ids); k++)
                for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                        char path[512];

                        if (!streq(cases[i].id, ids[k]))
                                continue;
                        (void)snprintf(path, sizeof(path), DEVICES "%s", cases[i].path);
                        set_driver(machine, cases[i].path, cases[i].bus, "vfio-something");
                        umockdev_testbed_uevent(machine->bed, path, "bind");
                        run_until(machine, &machine->n_updates, (unsigned)(ELEMENTSOF(cases) + k + 1));
                        assert_string_equal(find(machine, ids[k])->driver, "vfio-something");
                        assert_true(find(machine, ids[k])->driver_is_vfio);
                }
        for (size_t k = 0; k < ELEMENTSOF(ids); k++)
                for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                        char path[512];

                        if (!streq(cases[i].id, ids[k]))
                                continue;
                        (void)snprintf(path, sizeof(path), DEVICES "%s", cases[i].path);
                        umockdev_testbed_uevent(machine->bed, path, "remove");
                        run_until(machine, &machine->n_removes, (unsigned)k + 1);
                        assert_null(find(machine, ids[k]));
                }
        assert_int_equal(machine->n_infos, ELEMENTSOF(cases) - ELEMENTSOF(ids));
}

/* A subchannel comes into the list with its VFIO driver, and leaves it with that. */
static void test_by_mdev(void **state)
{
        Machine *machine = *state;

        add_all(machine);
        start(machine);
        machine->n_removes = 0;
        assert_null(find(machine, "css/0.0.0314"));
        set_driver(machine, "css0/0.0.0314", "css", "vfio_ccw");
        umockdev_testbed_uevent(machine->bed, DEVICES "css0/0.0.0314", "bind");
        run_until(machine, &machine->n_updates, ELEMENTSOF(cases) + 1);
        assert_non_null(find(machine, "css/0.0.0314"));
        set_driver(machine, "css0/0.0.0314", "css", "io_subchannel");
        umockdev_testbed_uevent(machine->bed, DEVICES "css0/0.0.0314", "bind");
        run_until(machine, &machine->n_removes, 1);
        assert_null(find(machine, "css/0.0.0314"));
}

/* An mdev whose link to its type is not there at its last event gets its type all the same. */
static void test_late_type(void **state)
{
        Machine *machine = *state;

        add(machine, "virtual/mtty/mtty", "mtty", "", -1, "");
        add(machine, "virtual/mtty/mtty/" UUID, "mdev", "mtty", -1, ""); /* as where VFIO has no groups */
        start(machine);
        assert_int_equal(machine->n_updates, 1);
        assert_string_equal(find(machine, UUID)->mdev_type, "");
        make_link(machine, DEVICES "virtual/mtty/mtty/" UUID "/mdev_type",
                  DEVICES "virtual/mtty/mtty/mdev_supported_types/mtty-1");
        run_until(machine, &machine->n_updates, 2);
        assert_string_equal(find(machine, UUID)->mdev_type, "mtty-1");
}

/* A device that VFIO lets go of is told by its path, before it has let go and after; one that VFIO takes is not. What
 * the device has is asked of the machine. */
static void test_released(void **state)
{
#define IGB "pci0000:00/0000:00:02.0"
        Machine *machine = *state;
        _cleanup_free_ char *root = umockdev_testbed_get_root_dir(machine->bed), *link = NULL;

        add_all(machine);
        add(machine, IGB "/vfio-dev/vfio4", "vfio-dev", "", -1, "");
        set_driver(machine, IGB, "pci", "vfio-pci");
        start(machine);
        umockdev_testbed_uevent(machine->bed, DEVICES IGB "/vfio-dev/vfio4", "add");
        umockdev_testbed_uevent(machine->bed, DEVICES IGB "/vfio-dev/vfio4", "remove");
        run_until(machine, &machine->n_released, 1);
        assert_string_equal(machine->released, DEVICES IGB);
        assert_int_equal(machine->n_done, 0);
        assert_int_equal(machine->n_updates, ELEMENTSOF(cases));

        assert_int_equal(driver_has(DEVICES IGB), 1);
        assert_true(asprintf(&link, "%s" DEVICES IGB "/driver", root) > 0);
        umockdev_testbed_disable(machine->bed);
        assert_int_equal(unlink(link), 0);
        umockdev_testbed_enable(machine->bed);
        assert_int_equal(driver_has(DEVICES IGB), 0);
        assert_int_equal(driver_has(DEVICES "pci0000:00/0000:00:03.0"), -ENODEV);
        assert_true(driver_device_exists("pci", "0000:00:02.0"));
        assert_false(driver_device_exists("pci", "0000:00:03.0"));
        umockdev_testbed_uevent(machine->bed, DEVICES IGB, "unbind");
        run_until(machine, &machine->n_released, 2);
        assert_string_equal(machine->released, DEVICES IGB);
        assert_int_equal(machine->n_done, 1);
        assert_string_equal(find(machine, "0000:00:02.0")->driver, "");
}

/* driver_override is read where a driver of the host has the device, and not where the attribute may wait for whoever has
 * the device open. */
static void test_override(void **state)
{
        static const struct {
                const char *driver, *attributes, *override;
        } rows[] = {
                { "igb", "A: driver_override=igb\n", "igb" },
                { "vfio-pci", "A: driver_override=vfio-pci\n", "" },
                { "", "A: driver_override=none\n", "" },
                { "igb", "A: driver_override=igb\nA: sriov_totalvfs=7\n", "" },
        };
        Machine *machine = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char path[DEVICE_ID_MAX + 16], id[DEVICE_ID_MAX];

                (void)snprintf(id, sizeof(id), "0000:00:%02zx.0", i + 2);
                (void)snprintf(path, sizeof(path), "pci0000:00/%s", id);
                add(machine, path, "pci", rows[i].driver, 1, rows[i].attributes);
        }
        start(machine);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char id[DEVICE_ID_MAX];

                (void)snprintf(id, sizeof(id), "0000:00:%02zx.0", i + 2);
                assert_string_equal(find(machine, id)->driver_override, rows[i].override);
        }
}

/* --- calls that fail --- */

static const char *unreadable; /* a folder, or NULL */

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
        if (unreadable && streq(path, unreadable))
                errno = with;
        else if (!fails())
                return __real_opendir(path);
        return NULL;
}

WRAP(struct dirent64 *, readdir64, NULL, (DIR * dir), (dir))
WRAP(ssize_t, readlink, -1, (const char *path, char *ret, size_t size), (path, ret, size))
WRAP(int, access, -1, (const char *path, int mode), (path, mode))
WRAP(FILE *, fopen64, NULL, (const char *path, const char *mode), (path, mode))
WRAP(int, sd_device_get_sysattr_value, -with, (sd_device * device, const char *name, const char **ret),
     (device, name, ret))
WRAP(int, sd_device_new_from_syspath, -with, (sd_device * *ret, const char *path), (ret, path))
WRAP(int, sd_device_get_subsystem, -with, (sd_device * device, const char **ret), (device, ret))

/* What policy goes by. The modules' lists are not sysfs's. */
static void assert_igb(const Machine *machine, const DeviceInfo *info)
{
        assert_non_null(info);
        assert_int_equal(info->vendor, 0x8086);
        assert_int_equal(info->class, 0x060400);
        assert_true(info->bridge && info->noiommu);
        assert_int_equal(info->virtual_functions_max, 7);
        assert_int_equal(info->n_reset_methods, 1);
        assert_int_equal(info->group, 1);
        assert_string_equal(info->driver, "igb");
        assert_string_equal(info->physical_function, "0000:00:03.0");
}

/* An inventory is right, or is none: what could not be read is not what is not there. */
static void test_faults(void **state)
{
        Machine *machine = *state;
        size_t n = 0;
        bool over;

        add(machine, IGB, "pci", "igb", 1,
            "A: vendor=0x8086\nA: class=0x060400\nA: sriov_totalvfs=7\nA: reset_method=flr\n");
        make_link(machine, DEVICES IGB "/physfn", DEVICES "pci0000:00/0000:00:03.0");
        name_group(machine, 1);
        with = ENOMEM;
        do {
                int r;

                countdown = ++n;
                r = inventory_new(machine->event, on_update, on_remove, on_released, machine,
                                  &machine->inventory);
                over = countdown > 0;
                countdown = 0;
                if (r >= 0)
                        assert_igb(machine, find(machine, "0000:00:02.0"));
                else
                        assert_int_equal(r, -ENOMEM);
                machine->inventory = inventory_free(machine->inventory);
                while (machine->n_infos > 0)
                        on_remove(machine, machine->infos[0].id);
        } while (!over);
        assert_true(n > 20);
}

/* Where a bus's folder cannot be read there is no inventory: without its device a lease would be forgotten. */
static void test_unreadable(void **state)
{
        Machine *machine = *state;

        add(machine, IGB, "pci", "igb", 1, "");
        unreadable = "/sys/bus/pci/devices";
        with = EMFILE;
        assert_int_equal(inventory_new(machine->event, on_update, on_remove, on_released, machine,
                                       &machine->inventory),
                         -EMFILE);
        unreadable = NULL;
        start(machine);
}

/* While a driver probes the device nobody can read the attribute. So it is read once that driver is known to have done so;
 * what is told late of another one is no sign of it. */
static void test_override_while_probing(void **state)
{
        Machine *machine = *state;
        _cleanup_free_ char *root = umockdev_testbed_get_root_dir(machine->bed), *attribute = NULL;

        add(machine, IGB, "pci", "igb", 1, "A: driver_override=igb\nE: DRIVER=vfio-pci\n");
        start(machine);
        assert_string_equal(find(machine, "0000:00:02.0")->driver_override, "igb");
        assert_true(find(machine, "0000:00:02.0")->override_known);

        assert_true(asprintf(&attribute, "%s" DEVICES IGB "/driver_override", root) > 0);
        umockdev_testbed_disable(machine->bed);
        assert_int_equal(unlink(attribute), 0);
        assert_int_equal(mkfifo(attribute, 0600), 0);
        umockdev_testbed_enable(machine->bed);
        machine->n_updates = 0;
        (void)alarm(30); /* ends the test if it waits */
        umockdev_testbed_uevent(machine->bed, DEVICES IGB, "unbind");
        run_until(machine, &machine->n_updates, 1);
        umockdev_testbed_uevent(machine->bed, DEVICES IGB, "bind");
        run_until(machine, &machine->n_updates, 2);
        assert_string_equal(find(machine, "0000:00:02.0")->driver, "igb");
        assert_string_equal(find(machine, "0000:00:02.0")->driver_override, "");
        assert_false(find(machine, "0000:00:02.0")->override_known);
        (void)alarm(0);

        umockdev_testbed_disable(machine->bed);
        assert_int_equal(unlink(attribute), 0);
        umockdev_testbed_enable(machine->bed);
        umockdev_testbed_set_attribute(machine->bed, DEVICES IGB, "driver_override", "igb");
        umockdev_testbed_set_property(machine->bed, DEVICES IGB, "DRIVER", "igb");
        umockdev_testbed_uevent(machine->bed, DEVICES IGB, "bind");
        run_until(machine, &machine->n_updates, 3);
        assert_string_equal(find(machine, "0000:00:02.0")->driver_override, "igb");
}

/* The start does not wait for it either, for longer than a moment, and knows of the others. The process that waits leaves nothing
 * when it ends. */
static void test_start_while_probing(void **state)
{
        Machine *machine = *state;
        _cleanup_free_ char *root = umockdev_testbed_get_root_dir(machine->bed), *attribute = NULL;
        unsigned before = count_fds();
        int writer;

        add(machine, IGB, "pci", "igb", 1, "A: driver_override=igb\n");
        add(machine, "pci0000:00/0000:00:03.0", "pci", "igb", 2, "A: driver_override=igb\n");
        assert_true(asprintf(&attribute, "%s" DEVICES IGB "/driver_override", root) > 0);
        umockdev_testbed_disable(machine->bed);
        assert_int_equal(unlink(attribute), 0);
        assert_int_equal(mkfifo(attribute, 0600), 0);
        umockdev_testbed_enable(machine->bed);
        (void)alarm(30); /* ends the test if it waits */
        start(machine);
        (void)alarm(0);
        assert_false(find(machine, "0000:00:02.0")->override_known);
        assert_string_equal(find(machine, "0000:00:02.0")->driver, "igb");
        assert_true(find(machine, "0000:00:03.0")->override_known);
        assert_string_equal(find(machine, "0000:00:03.0")->driver_override, "igb");

        assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* one that lives */
        umockdev_testbed_disable(machine->bed);
        writer = open(attribute, O_WRONLY | O_CLOEXEC);
        umockdev_testbed_enable(machine->bed);
        assert_true(writer >= 0);
        assert_int_equal(close(writer), 0);
        assert_true(sd_event_run(machine->event, 5 * USEC_PER_SEC) > 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
        machine->inventory = inventory_free(machine->inventory);
        assert_int_equal(count_fds(), before);
}

static uint32_t n_dropped;

int __wrap_getsockopt(int fd, int level, int name, void *ret, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *ret, socklen_t *size)
{
        assert_true(level == SOL_SOCKET && name == SO_MEMINFO);
        assert_true(*size > SK_MEMINFO_DROPS * sizeof(uint32_t));
        ((uint32_t *)ret)[SK_MEMINFO_DROPS] = n_dropped;
        return 0;
}

/* The kernel has dropped events, one of a new device among them: all devices are looked at again, once for each time. */
static void test_lost_events(void **state)
{
        Machine *machine = *state;

        add(machine, IGB, "pci", "igb", 1, "");
        start(machine);
        add(machine, "pci0000:00/0000:00:03.0", "pci", "igb", 2, "");
        run_until(machine, &machine->n_updates, 2); /* of the folder that umockdev has made */
        on_remove(machine, "0000:00:03.0");         /* as if not */
        n_dropped = 7;
        umockdev_testbed_uevent(machine->bed, DEVICES IGB, "change");
        run_until(machine, &machine->n_updates, 5);
        assert_non_null(find(machine, "0000:00:03.0"));
        umockdev_testbed_uevent(machine->bed, DEVICES IGB, "change");
        run_until(machine, &machine->n_updates, 6);
        assert_int_equal(sd_event_run(machine->event, USEC_PER_SEC / 2), 0);
        assert_int_equal(machine->n_updates, 6);
}

/* Which drivers can be bound: by driver_override only, and where there is none the driver stays. */
static void test_bind(void **state)
{
        Machine *machine = *state;
        char text[REASON_MAX];

        add_all(machine);
        add(machine, "platform/dma.1", "platform", "pl330", 9, "A: driver_override=(null)\n");
        make_folders(machine, "/sys/bus/platform/drivers/pl330/");
        make_folders(machine, "/sys/bus/platform/drivers/vfio-platform/");

        assert_int_equal(driver_bind("mdev", UUID, "mtty", text), 0);
        assert_int_equal(driver_bind("mdev", UUID, "vfio_mdev", text), -EOPNOTSUPP);
        assert_non_null(strstr(text, "bus mdev"));
        assert_int_equal(driver_restore("mdev", UUID, "", "", text), -EOPNOTSUPP);
        assert_non_null(strstr(text, "bus mdev"));
        assert_int_equal(driver_restore("mdev", UUID, "mtty", "", text), 0); /* as it is */
        assert_int_equal(driver_rebind("mdev", UUID, "mtty", text), -ENOENT);
        assert_int_equal(driver_bind("ap", "03.0005", "vfio_ap", text), 0);
        assert_int_equal(driver_bind("ap", "03.0005", "zcrypt", text), -EOPNOTSUPP);
        assert_int_equal(driver_bind("host1x-context", "host1x-ctx.0", "vfio-x", text), -EOPNOTSUPP);
        assert_non_null(strstr(text, "bus host1x-context"));
        /* The mocked kernel cannot probe; that it is asked to comes after the override was written. */
        assert_int_equal(driver_bind("platform", "dma.1", "vfio-platform", text), -ENOENT);
        assert_non_null(strstr(text, "/sys/bus/platform/drivers_probe"));
        {
                _cleanup_(fclosep) FILE *f = fopen("/sys/bus/platform/devices/dma.1/driver_override", "re");
                char line[64];

                assert_non_null(f);
                assert_non_null(fgets(line, sizeof(line), f));
                assert_string_equal(line, "vfio-platform");
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        sigset_t set;
        const struct CMUnitTest tests[] = {
                TEST(each_bus),    TEST(events),
                TEST(by_mdev),     TEST(late_type),
                TEST(released),    TEST(override),
                TEST(bind),        TEST(faults),
                TEST(unreadable),  TEST(override_while_probing),
                TEST(lost_events), TEST(start_while_probing),
        };

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &set, NULL); /* as sd_event_add_child() wants it */
        return cmocka_run_group_tests(tests, NULL, NULL);
}
