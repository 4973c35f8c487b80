/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/device.c: what states and the kernel's facts of a device mean. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/core/device.h"

static Device *make_device(const char *id, const char *driver, bool vfio)
{
        DeviceInfo info = { .group = 1, .numa_node = -1, .bus = "pci", .driver_is_vfio = vfio };
        Device *device;

        (void)snprintf(info.id, sizeof(info.id), "%s", id);
        (void)snprintf(info.driver, sizeof(info.driver), "%s", driver);
        device = device_new(&info);
        assert_non_null(device);
        return device;
}

static void set_path(Device *device, const char *path)
{
        free(device->info.path);
        device->info.path = strdup(path);
        assert_non_null(device->info.path);
}

/* Each state has the name that the bus shows. */
static void test_state_names(void **state)
{
        static const char *const names[] = { "host",       "binding",     "available", "leased",
                                             "reclaiming", "quarantined", "gone" };

        assert_int_equal(ELEMENTSOF(names), _DEVICE_STATE_MAX);
        for (int i = 0; i < _DEVICE_STATE_MAX; i++)
                assert_string_equal(device_state_to_string((DeviceState)i), names[i]);
        assert_string_equal(device_state_to_string(_DEVICE_STATE_MAX), "unknown");
        assert_string_equal(device_state_to_string((DeviceState)-1), "unknown");
}

/* A new device takes over what it is made of, is what its driver makes it, and nothing is proven of it. */
static void test_new(void **state)
{
        DeviceInfo info = { .id = "0000:01:00.0", .group = 7, .driver = "vfio-pci", .driver_is_vfio = true };
        Device *device;

        info.path = strdup("/sys/devices/x");
        info.reserved = calloc(1, sizeof(*info.reserved));
        info.n_reserved = 1;
        device = device_new(&info);
        assert_non_null(device);
        assert_null(info.path);
        assert_null(info.reserved);
        assert_int_equal(info.group, -1);
        assert_int_equal(device->info.group, 7);
        assert_int_equal(device->state, DEVICE_AVAILABLE);
        assert_false(device->proven);
        assert_false(device->clean);
        device->info.driver_is_vfio = false;
        assert_int_equal(device_idle_state(device), DEVICE_HOST);
        assert_null(device_free(device));
        assert_null(device_free(NULL));
}

/* A change of state or of its reason is a change; the same again is none. A long reason is cut. */
static void test_set_state(void **state)
{
        Device *device = make_device("d", "", false);
        char reason[REASON_MAX * 2];

        assert_false(device_set_state(device, DEVICE_HOST, "%s", ""));
        assert_true(device_set_state(device, DEVICE_QUARANTINED, "error %d", 5));
        assert_string_equal(device->state_reason, "error 5");
        assert_false(device_set_state(device, DEVICE_QUARANTINED, "error %d", 5));
        assert_true(device_set_state(device, DEVICE_QUARANTINED, "error %d", 6));
        memset(reason, 'x', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = 0;
        assert_true(device_set_state(device, DEVICE_GONE, "%s", reason));
        assert_int_equal(strlen(device->state_reason), REASON_MAX - 1);
        assert_false(device_set_state(device, DEVICE_GONE, "%s", reason));
        device_free(device);
}

/* The policy sees what the kernel says, and NULL for no physical function. */
static void test_facts(void **state)
{
        Device *device = make_device("0000:01:10.0", "igbvf", false);
        DeviceFacts facts;

        device->info.vendor = 0x8086;
        device->info.product = 0x10ca;
        device->info.class = 0x020000;
        device->info.numa_node = 1;
        facts = device_facts(device);
        assert_string_equal(facts.id, "0000:01:10.0");
        assert_string_equal(facts.driver, "igbvf");
        assert_int_equal(facts.vendor, 0x8086);
        assert_int_equal(facts.product, 0x10ca);
        assert_int_equal(facts.class, 0x020000);
        assert_int_equal(facts.group, 1);
        assert_int_equal(facts.numa_node, 1);
        assert_false(facts.flr);
        assert_null(facts.physical_function);
        strcpy(device->info.physical_function, "0000:01:00.0");
        assert_string_equal(device_facts(device).physical_function, "0000:01:00.0");
        device_free(device);
}

/* What keeps a group from being viable is a driver of the host, and not those that the kernel exempts. */
static void test_blocks_group(void **state)
{
        static const struct {
                const char *driver;
                bool vfio, blocks;
        } cases[] = {
                { "", false, false },         { "igb", false, true },       { "vfio-pci", true, false },
                { "pcieport", false, false }, { "pci-stub", false, false }, { "pcieport2", false, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Device *device = make_device("d", cases[i].driver, cases[i].vfio);

                assert_int_equal(device_blocks_group(device), cases[i].blocks);
                device_free(device);
        }
}

/* A bus reset, of either kind, concerns others too; any other method is the function's own. */
static void test_function_reset(void **state)
{
        Device *device = make_device("d", "", false);

        assert_false(device_has_function_reset(device));
        strcpy(device->info.reset_methods[0], "bus");
        strcpy(device->info.reset_methods[1], "cxl_bus");
        device->info.n_reset_methods = 2;
        assert_false(device_has_function_reset(device));
        strcpy(device->info.reset_methods[2], "pm");
        device->info.n_reset_methods = 3;
        assert_true(device_has_function_reset(device));
        assert_true(device_facts(device).flr);
        device_free(device);
}

/* Only PCI has bus resets; elsewhere each device has its own, of which VFIO alone knows. */
static void test_other_buses(void **state)
{
        Device *device = make_device("d", "", false), *other = make_device("e", "", false);

        device->info.path = strdup("/sys/devices/virtual/mtty/mtty/d");
        other->info.path = strdup("/sys/devices/virtual/mtty/mtty/e");
        device->info.n_reset_methods = 0;
        assert_false(device_has_function_reset(device));
        assert_true(device_reset_hits(device, other));
        assert_true(device_reset_is_told(device));
        strcpy(device->info.bus, "mdev");
        strcpy(device->info.mdev_type, "mtty-2");
        assert_true(device_has_function_reset(device));
        assert_false(device_reset_hits(device, other));
        assert_false(device_reset_is_told(device));
        assert_string_equal(device_facts(device).mdev_type, "mtty-2");
        assert_null(device_facts(other).mdev_type);
        device_free(other);
        device_free(device);
}

/* A bus reset hits what is on the same bus or below it, and nothing on a root bus. */
static void test_reset_hits(void **state)
{
        static const struct {
                const char *device, *other;
                bool hits;
        } cases[] = {
                { "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0",
                  "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.1", true },
                { "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0",
                  "/sys/devices/pci0000:00/0000:00:02.0/0000:01:01.0/0000:02:00.0", true },
                /* the other way round: what is below does not hit what is above */
                { "/sys/devices/pci0000:00/0000:00:02.0/0000:01:01.0/0000:02:00.0",
                  "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0", false },
                /* another bridge, with a name that begins as the first one's does */
                { "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0",
                  "/sys/devices/pci0000:00/0000:00:02.00/0000:02:00.0", false },
                { "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0",
                  "/sys/devices/pci0000:00/0000:00:03.0/0000:02:00.0", false },
                { "/sys/devices/pci0000:00/0000:00:02.0", "/sys/devices/pci0000:00/0000:00:03.0", false },
                { "/sys/devices/pci0000:00/0000:00:02.0",
                  "/sys/devices/pci0000:00/0000:00:03.0/0000:02:00.0", false },
                { "nothing", "/sys/devices/pci0000:00/0000:00:03.0", false },
                { "/x", "/x/y", false },
                { "bridge/x", "bridge/y", true },
        };
        Device *device = make_device("a", "", false), *other = make_device("b", "", false);

        assert_false(device_reset_hits(device, other));
        set_path(device, "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0");
        assert_false(device_reset_hits(device, other));
        assert_false(device_reset_hits(other, device));
        assert_false(device_reset_hits(device, device));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                set_path(device, cases[i].device);
                set_path(other, cases[i].other);
                assert_int_equal(device_reset_hits(device, other), cases[i].hits);
        }
        device_free(device);
        device_free(other);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_state_names),  cmocka_unit_test(test_new),
                cmocka_unit_test(test_set_state),    cmocka_unit_test(test_facts),
                cmocka_unit_test(test_blocks_group), cmocka_unit_test(test_function_reset),
                cmocka_unit_test(test_other_buses),  cmocka_unit_test(test_reset_hits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
