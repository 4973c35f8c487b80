/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/ctl/topology.c and draw.c, on a sysfs of links and folders. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "client-lib/ctl/draw.h"
#include "client-lib/ctl/topology.h"

typedef struct Sysfs {
        char folder[64];
} Sysfs;

static void run(const char *format, ...) _printf_(1, 2);
static void run(const char *format, ...)
{
        char command[512];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(command, sizeof(command), format, ap);
        va_end(ap);
        assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): of our own making */
}

static int setup(void **state)
{
        Sysfs *sysfs = calloc(1, sizeof(*sysfs));

        assert_non_null(sysfs);
        (void)strcpy(sysfs->folder, "/tmp/test-client-tree.XXXXXX");
        assert_non_null(mkdtemp(sysfs->folder));
        *state = sysfs;
        return 0;
}

static int teardown(void **state)
{
        Sysfs *sysfs = *state;

        run("rm -r %s", sysfs->folder);
        free(sysfs);
        return 0;
}

/* A device at its place: "pci0000:00/0000:00:1c.0/0000:01:00.0". */
static void plug(const Sysfs *sysfs, const char *bus, const char *place)
{
        run("cd %s && mkdir -p devices/%s bus/%s/devices && ln -s ../../../devices/%s bus/%s/devices/",
            sysfs->folder, place, bus, place, bus);
}

static void bind_driver(const Sysfs *sysfs, const char *address, const char *driver)
{
        run("cd %s && mkdir -p bus/pci/drivers/%s && ln -s ../../../../bus/pci/drivers/%s "
            "bus/pci/devices/%s/driver",
            sysfs->folder, driver, driver, address);
}

static const char *const one[] = { "a", NULL };
static const char *const two[] = { "a", "b", NULL };

#define DEVICE(id, group, driver, state, lease)                                                             \
        &(const struct vfiobroker_device_entry)                                                             \
        {                                                                                                   \
                id, "pci", "", driver, group, state, lease                                                  \
        }
#define GROUP(number, viable, container, tenant)                                                            \
        &(const struct vfiobroker_group_entry)                                                              \
        {                                                                                                   \
                number, "DMA", viable, (const char *const[]){ NULL }, number == 16 ? two : one, container,  \
                        tenant, NULL, 0                                                                     \
        }

static void check(const Sysfs *sysfs, const struct vfiobroker_device_entry *const *devices, size_t n_devices,
                  const struct vfiobroker_group_entry *const *groups, size_t n_groups,
                  const struct vfiobroker_lease_entry *const *leases, size_t n_leases, const char *expected)
{
        const struct vfiobroker_device_list device_list = { n_devices, devices };
        const struct vfiobroker_group_list group_list = { n_groups, groups };
        const struct vfiobroker_lease_list lease_list = { n_leases, leases };
        _cleanup_(draw_freep) DrawNode *tree = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f;

        assert_int_equal(
                topology_draw(&(Topology){ sysfs->folder, &device_list, &group_list, &lease_list }, &tree),
                0);
        f = open_memstream(&text, &size);
        assert_non_null(f);
        assert_int_equal(draw_print(tree, f, true, 0), 0);
        assert_int_equal(fclose(f), 0);
        assert_string_equal(text, expected);
}

/* What an administrator sees of the usual: a port alone in its group is one line, a bridge that shares its group with
 * what is behind it is in that group with them, and a lease stands below each of its devices. */
static void test_everything(void **state)
{
        const struct vfiobroker_device_entry *const devices[] = {
                DEVICE("0000:02:00.0", 14, "vfio-pci", "leased", "a1"),
                DEVICE("0000:00:1c.0", 5, "pcieport", "host", ""),
                DEVICE("0000:00:00.0", 0, "", "host", ""),
                DEVICE("0000:08:02.0", 15, "vfio-pci", "available", ""),
                DEVICE("0000:07:00.0", 15, "", "host", ""),
                DEVICE("0000:08:01.0", 15, "vfio-pci", "leased", "a1"),
                DEVICE("0000:00:1d.0", 6, "pcieport", "host", ""),
                DEVICE("0000:01:00.1", 16, "snd", "host", ""),
                DEVICE("0000:00:02.0", 17, "i915", "host", ""),
        };
        const struct vfiobroker_group_entry *const groups[] = {
                GROUP(14, 1, "a1", "blue"),
                GROUP(15, 1, "vm-1", "blue"),
                GROUP(16, 0, "", ""),
                GROUP(17, 0, "", ""),
        };
        static const struct vfiobroker_lease_entry lease = { "a1", "", "blue", "web", "iommufd", 812, 0 };
        const Sysfs *sysfs = *state;

        plug(sysfs, "pci", "pci0000:00/0000:00:00.0");
        plug(sysfs, "pci", "pci0000:00/0000:00:1c.0");
        plug(sysfs, "pci", "pci0000:00/0000:00:1c.0/0000:02:00.0");
        plug(sysfs, "pci", "pci0000:00/0000:00:1d.0");
        plug(sysfs, "pci", "pci0000:00/0000:00:1d.0/0000:07:00.0");
        plug(sysfs, "pci", "pci0000:00/0000:00:1d.0/0000:07:00.0/0000:08:01.0");
        plug(sysfs, "pci", "pci0000:00/0000:00:1d.0/0000:07:00.0/0000:08:02.0");
        plug(sysfs, "pci", "pci0000:00/0000:00:1c.0/0000:01:00.1");
        plug(sysfs, "pci", "pci0000:00/0000:00:02.0");
        bind_driver(sysfs, "0000:00:1c.0", "pcieport");
        bind_driver(sysfs, "0000:00:1d.0", "shpchp");
        check(sysfs, devices, ELEMENTSOF(devices), groups, ELEMENTSOF(groups),
              (const struct vfiobroker_lease_entry *const[]){ &lease }, 1,
              "pci0000:00\n"
              "├─ group 0\n"
              "│  └─ 0000:00:00.0  host  no driver\n"
              "├─ group 17\n"
              "│  └─ 0000:00:02.0  host  i915\n"
              "├─ root port 0000:00:1c.0  group 5\n"
              "│  ├─ group 16  not viable\n"
              "│  │  └─ 0000:01:00.1  host  snd\n"
              "│  └─ group 14  tenant blue\n"
              "│     └─ 0000:02:00.0  leased  vfio-pci\n"
              "│        └─ lease a1  blue  pid 812  iommufd  web\n"
              "└─ bridge 0000:00:1d.0  group 6\n"
              "   └─ group 15  tenant blue  container vm-1\n"
              "      └─ 0000:07:00.0  host  no driver\n"
              "         ├─ 0000:08:01.0  leased  vfio-pci\n"
              "         │  └─ lease a1  blue  pid 812  iommufd  web\n"
              "         └─ 0000:08:02.0  available  vfio-pci\n");
}

/* What a tenant sees: ports that the broker does not list are there all the same, siblings of one group share its line,
 * and of a lease that is not shown there is the id. */
static void test_tenant(void **state)
{
        const struct vfiobroker_device_entry *const devices[] = {
                DEVICE("10000:e2:00.1", 9, "vfio-pci", "available", ""),
                DEVICE("10000:e2:00.0", 9, "vfio-pci", "reclaiming", "zz"),
        };
        const Sysfs *sysfs = *state;

        plug(sysfs, "pci", "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/10000:e2:00.0");
        plug(sysfs, "pci", "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/10000:e2:00.1");
        plug(sysfs, "pci", "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0");
        plug(sysfs, "pci", "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0");
        bind_driver(sysfs, "10000:e1:00.0", "pcieport");
        check(sysfs, devices, ELEMENTSOF(devices), NULL, 0, NULL, 0,
              "pci0000:00\n"
              "└─ bridge 0000:00:0e.0\n"
              "   └─ bridge 10000:e0:06.0\n"
              "      └─ switch port 10000:e1:00.0\n"
              "         └─ group 9\n"
              "            ├─ 10000:e2:00.0  reclaiming  vfio-pci\n"
              "            │  └─ lease zz\n"
              "            └─ 10000:e2:00.1  available  vfio-pci\n");
}

/* What is on no PCI bus is below its bus, what sysfs does not know as well, and a mediated device is below its parent,
 * which is no port for that. */
static void test_others(void **state)
{
        static const struct vfiobroker_device_entry mdev = { "8a6b", "mdev",      "mtty", "vfio_mdev",
                                                             4,      "available", "" };
        static const struct vfiobroker_device_entry child = { "77aa", "mdev",      "", "vfio_mdev",
                                                              3,      "available", "" };
        static const struct vfiobroker_device_entry soc = { "platform/dma.0", "platform", "", "", -1,
                                                            "host",           "" };
        const struct vfiobroker_device_entry *const devices[] = {
                &mdev,
                &child,
                &soc,
                DEVICE("0000:05:00.0", 2, "", "gone", ""),
                DEVICE("0000:00:02.0", 1, "i915", "host", ""),
        };
        const Sysfs *sysfs = *state;

        plug(sysfs, "mdev", "virtual/mtty/mtty/8a6b");
        plug(sysfs, "mdev", "pci0000:00/0000:00:02.0/77aa");
        plug(sysfs, "pci", "pci0000:00/0000:00:02.0");
        plug(sysfs, "platform", "platform/dma.0");
        check(sysfs, devices, ELEMENTSOF(devices), NULL, 0, NULL, 0,
              "mdev\n"
              "└─ group 4\n"
              "   └─ 8a6b  available  vfio_mdev  mtty\n"
              "pci\n"
              "└─ group 2\n"
              "   └─ 0000:05:00.0  gone  no driver\n"
              "pci0000:00\n"
              "└─ group 1\n"
              "   └─ 0000:00:02.0  host  i915\n"
              "      └─ group 3\n"
              "         └─ 77aa  available  vfio_mdev\n"
              "platform\n"
              "└─ platform/dma.0  host  no driver\n");
}

/* Nothing is nothing. */
static void test_nothing(void **state)
{
        check(*state, NULL, 0, NULL, 0, NULL, 0, "");
}

static void assert_drawn(const DrawNode *tree, bool unicode, size_t width, const char *expected)
{
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        assert_int_equal(draw_print(tree, f, unicode, width), 0);
        assert_int_equal(fclose(f), 0);
        assert_string_equal(text, expected);
}

/* Lines fit, whichever characters they are drawn with; where there is no room, some of the text stays; and what a
 * terminal would obey does not get through. */
static void test_draw(void **state)
{
        DrawNode *tree = draw_new(), *a, *b;

        assert_non_null(tree);
        a = draw_add(tree, "%s", "aaaaaaaaaaaaaaaaaaaaaaaaa");
        assert_non_null(a);
        b = draw_add(a, "%s", "bbbbbbbbbbbbbbbbbbbbbbbbb");
        assert_non_null(b);
        assert_non_null(draw_add(b, "%s", "c\033[2Jccccccccccccccccccccc"));
        assert_non_null(draw_add(a, "%s", "ééééééééééééééééééééééééé"));
        assert_non_null(draw_add(tree, "%s", "z"));

        assert_drawn(tree, true, 20,
                     "aaaaaaaaaaaaaaaaaaaa\n"
                     "├─ bbbbbbbbbbbbbbbbb\n"
                     "│  └─ c?[2Jccccccccc\n"
                     "└─ ééééééééééééééééé\n"
                     "z\n");
        assert_drawn(tree, false, 20,
                     "aaaaaaaaaaaaaaaaaaaa\n"
                     "|- bbbbbbbbbbbbbbbbb\n"
                     "|  `- c?[2Jccccccccc\n"
                     "`- ééééééééééééééééé\n"
                     "z\n");
        assert_drawn(tree, false, 5,
                     "aaaaaaaa\n"
                     "|- bbbbbbbb\n"
                     "|  `- c?[2Jccc\n"
                     "`- éééééééé\n"
                     "z\n");
        assert_null(draw_free(tree));
        assert_null(draw_free(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_everything, setup, teardown),
                cmocka_unit_test_setup_teardown(test_tenant, setup, teardown),
                cmocka_unit_test_setup_teardown(test_others, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
                cmocka_unit_test(test_draw),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
