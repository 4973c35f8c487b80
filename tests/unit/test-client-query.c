/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/list.c, device.c and admin.c against a broker that answers as each test says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client-lib/vfiobroker.h"
#include "policy/util.h"
#include "tests/fixtures/fake-broker.h"

#define DEVICE_PATH "/org/vfiobroker1/device/_30000_3a01_3a00_2e0"

static struct vfiobroker *connect_to(FakeBroker *fake, FakeHandler handler, void *userdata)
{
        struct vfiobroker *broker;

        assert_int_equal(fake_broker_start(fake, handler, userdata), 0);
        assert_int_equal(vfiobroker_open_bus_address(fake->address, &broker), 0);
        return broker;
}

static void disconnect(FakeBroker *fake, struct vfiobroker *broker)
{
        vfiobroker_close(broker);
        fake_broker_stop(fake);
}

static int list_handler(FakeBroker *fake, sd_bus_message *call)
{
        (void)fake;
        if (sd_bus_message_is_method_call(call, "org.vfiobroker1.Manager", "ListDevices"))
                return sd_bus_reply_method_return(call, "a(ssssuss)", 2, "0000:01:00.0", "pci",
                                                  "A network card", "igb", 7, "leased",
                                                  "/org/vfiobroker1/lease/l_2d1", "platform/x", "platform",
                                                  "", "", UINT32_MAX, "host", "");
        return sd_bus_reply_method_return(call, "a(osssut)", 1, "/org/vfiobroker1/lease/l_2d1", "blue", "vm",
                                          "iommufd", 1234, UINT64_C(1) << 32);
}

/* Lists arrive whole and outlive the connection; paths have become ids. */
static void test_lists(void **state)
{
        struct vfiobroker_device_list *devices;
        struct vfiobroker_lease_list *leases;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = connect_to(&fake, list_handler, NULL);
        assert_int_equal(vfiobroker_list_devices(broker, &devices), 0);
        assert_int_equal(vfiobroker_list_leases(broker, &leases), 0);
        disconnect(&fake, broker);

        assert_int_equal(devices->n, 2);
        assert_string_equal(devices->devices[0]->id, "0000:01:00.0");
        assert_string_equal(devices->devices[0]->bus, "pci");
        assert_string_equal(devices->devices[0]->description, "A network card");
        assert_string_equal(devices->devices[0]->driver, "igb");
        assert_int_equal(devices->devices[0]->group, 7);
        assert_string_equal(devices->devices[0]->state, "leased");
        assert_string_equal(devices->devices[0]->lease, "l-1");
        assert_int_equal(devices->devices[1]->group, -1);
        assert_string_equal(devices->devices[1]->lease, "");
        assert_null(vfiobroker_device_list_free(devices));

        assert_int_equal(leases->n, 1);
        assert_string_equal(leases->leases[0]->id, "l-1");
        assert_string_equal(leases->leases[0]->path, "/org/vfiobroker1/lease/l_2d1");
        assert_string_equal(leases->leases[0]->tenant, "blue");
        assert_string_equal(leases->leases[0]->label, "vm");
        assert_string_equal(leases->leases[0]->backend, "iommufd");
        assert_int_equal(leases->leases[0]->pid, 1234);
        assert_true(leases->leases[0]->memlock == UINT64_C(1) << 32);
        assert_null(vfiobroker_lease_list_free(leases));
}

static int many_handler(FakeBroker *fake, sd_bus_message *call)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        size_t n = *(size_t *)fake->userdata;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(ssssuss)");
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                char id[32];

                (void)snprintf(id, sizeof(id), "d%zu", i);
                r = sd_bus_message_append(reply, "(ssssuss)", id, "", "", "", 0, "", "/");
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        r = sd_bus_send(NULL, reply, NULL);
        return r < 0 ? r : 1;
}

/* Lists of any length, around the sizes at which the array grows. */
static void test_list_sizes(void **state)
{
        static const size_t sizes[] = { 0, 1, 2, 3, 4, 5, 8, 9, 1000 };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                struct vfiobroker_device_list *list;
                struct vfiobroker *broker;
                size_t n = sizes[i];
                FakeBroker fake;
                char id[32];

                broker = connect_to(&fake, many_handler, &n);
                assert_int_equal(vfiobroker_list_devices(broker, &list), 0);
                disconnect(&fake, broker);
                assert_int_equal(list->n, n);
                if (n > 0) {
                        (void)snprintf(id, sizeof(id), "d%zu", n - 1);
                        assert_string_equal(list->devices[n - 1]->id, id);
                        assert_string_equal(list->devices[n - 1]->lease, "");
                }
                vfiobroker_device_list_free(list);
        }
}

typedef enum Answer {
        ANSWER_FULL,
        ANSWER_LITTLE,
        ANSWER_WRONG_TYPE,
        ANSWER_WRONG_PATH,
        ANSWER_GONE,
} Answer;

static int device_handler(FakeBroker *fake, sd_bus_message *call)
{
        const char *id;

        if (sd_bus_message_is_method_call(call, "org.vfiobroker1.Manager", "GetDevice")) {
                if (sd_bus_message_read(call, "s", &id) < 0 || !streq(id, "0000:01:00.0"))
                        return sd_bus_reply_method_errorf(call, "org.vfiobroker1.Error.NoSuchDevice",
                                                          "No device %s", id);
                return sd_bus_reply_method_return(call, "o", DEVICE_PATH);
        }

        if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "GetAll") ||
            !streq(sd_bus_message_get_path(call), DEVICE_PATH))
                return -ENOSYS;

        switch (*(Answer *)fake->userdata) {
        case ANSWER_FULL:
                return sd_bus_reply_method_return(
                        call, "a{sv}", 22, "Id", "s", "0000:01:00.0", "Bus", "s", "pci", "Vendor", "q",
                        0x8086, "Product", "q", 0x10c9, "SubsystemVendor", "q", 1, "SubsystemProduct", "q",
                        2, "Class", "u", 0x020000, "Description", "s", "A network card", "Driver", "s",
                        "igb", "VfioDriver", "s", "vfio-pci", "Group", "o", "/org/vfiobroker1/group/_37",
                        "NumaNode", "i", 1, "ResetMethods", "as", 2, "flr", "bus", "ResetSet", "ao", 1,
                        "/org/vfiobroker1/device/_30000_3a01_3a00_2e1", "PhysicalFunction", "o", "/",
                        "VirtualFunctions", "ao", 0, "VirtualFunctionsMax", "u", 7, "State", "s", "leased",
                        "StateReason", "s", "why", "Lease", "o", "/org/vfiobroker1/lease/l_2d1", "LastReset",
                        "(ts)", UINT64_C(1000001), "ok", "Future", "(ss)", "a", "b");
        case ANSWER_LITTLE: return sd_bus_reply_method_return(call, "a{sv}", 1, "Id", "s", "0000:01:00.0");
        case ANSWER_WRONG_TYPE: return sd_bus_reply_method_return(call, "a{sv}", 1, "Vendor", "s", "8086");
        case ANSWER_WRONG_PATH:
                return sd_bus_reply_method_return(call, "a{sv}", 1, "Group", "o",
                                                  "/org/vfiobroker1/group/x");
        case ANSWER_GONE: break;
        }
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_UNKNOWN_OBJECT, "No object");
}

/* Every property reaches its member, and one of a later broker is no trouble. */
static void test_device(void **state)
{
        struct vfiobroker_device *device;
        Answer answer = ANSWER_FULL;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = connect_to(&fake, device_handler, &answer);
        assert_int_equal(vfiobroker_get_device(broker, "0000:01:00.0", &device), 0);
        assert_string_equal(device->id, "0000:01:00.0");
        assert_string_equal(device->bus, "pci");
        assert_string_equal(device->description, "A network card");
        assert_int_equal(device->vendor, 0x8086);
        assert_int_equal(device->product, 0x10c9);
        assert_int_equal(device->subsystem_vendor, 1);
        assert_int_equal(device->subsystem_product, 2);
        assert_int_equal(device->class_code, 0x020000);
        assert_string_equal(device->driver, "igb");
        assert_string_equal(device->vfio_driver, "vfio-pci");
        assert_int_equal(device->group, 7);
        assert_int_equal(device->numa_node, 1);
        assert_string_equal(device->reset_methods[0], "flr");
        assert_string_equal(device->reset_methods[1], "bus");
        assert_null(device->reset_methods[2]);
        assert_string_equal(device->reset_set[0], "0000:01:00.1");
        assert_null(device->reset_set[1]);
        assert_null(device->virtual_functions[0]);
        assert_int_equal(device->virtual_functions_max, 7);
        assert_string_equal(device->physical_function, "");
        assert_string_equal(device->state, "leased");
        assert_string_equal(device->state_reason, "why");
        assert_string_equal(device->lease, "l-1");
        assert_true(device->last_reset_usec == 1000001);
        assert_string_equal(device->last_reset, "ok");
        assert_null(vfiobroker_device_free(device));
        disconnect(&fake, broker);
}

/* What a broker does not say is empty and never NULL. */
static void test_device_little(void **state)
{
        Answer answer = ANSWER_LITTLE;
        struct vfiobroker_device *device;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = connect_to(&fake, device_handler, &answer);
        assert_int_equal(vfiobroker_get_device(broker, "0000:01:00.0", &device), 0);
        assert_string_equal(device->driver, "");
        assert_string_equal(device->lease, "");
        assert_string_equal(device->physical_function, "");
        assert_string_equal(device->last_reset, "");
        assert_int_equal(device->group, -1);
        assert_int_equal(device->numa_node, -1);
        assert_null(device->reset_methods[0]);
        assert_null(device->reset_set[0]);
        vfiobroker_device_free(device);
        disconnect(&fake, broker);
}

/* Unknown, gone meanwhile, or described in a way that the interface does not have: an error each. */
static void test_device_errors(void **state)
{
        static const struct {
                const char *id;
                Answer answer;
                int error;
        } cases[] = {
                { "0000:02:00.0", ANSWER_FULL, ENODEV },
                { "0000:01:00.0", ANSWER_GONE, ENODEV },
                { "0000:01:00.0", ANSWER_WRONG_TYPE, EBADMSG },
                { "0000:01:00.0", ANSWER_WRONG_PATH, EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct vfiobroker_device *device = NULL;
                Answer answer = cases[i].answer;
                struct vfiobroker *broker;
                FakeBroker fake;

                broker = connect_to(&fake, device_handler, &answer);
                assert_int_equal(vfiobroker_get_device(broker, cases[i].id, &device), -cases[i].error);
                assert_null(device);
                assert_string_not_equal(vfiobroker_last_error(broker)->text, "");
                disconnect(&fake, broker);
        }
}

/* Writes down "MEMBER ARGUMENT…" of the calls without an answer; GetLease knows one lease. */
static int admin_handler(FakeBroker *fake, sd_bus_message *call)
{
        char *seen = fake->userdata;
        const char *s;

        (void)sprintf(seen, "%s", sd_bus_message_get_member(call));
        while (sd_bus_message_read(call, "s", &s) > 0)
                (void)sprintf(seen + strlen(seen), " %s", s);

        if (sd_bus_message_is_method_call(call, NULL, "GetLease"))
                return streq(seen, "GetLease l-1")
                               ? sd_bus_reply_method_return(call, "o", "/org/vfiobroker1/lease/l_2d1")
                               : sd_bus_reply_method_errorf(call, "org.vfiobroker1.Error.NoSuchLease",
                                                            "No lease");
        return sd_bus_reply_method_return(call, "");
}

/* Each call is its method with its arguments; a lease is found by its id and by its path. */
static void test_admin(void **state)
{
        struct vfiobroker *broker;
        char seen[1024] = "";
        FakeBroker fake;

        broker = connect_to(&fake, admin_handler, seen);
        assert_int_equal(vfiobroker_reset_device(broker, "d"), 0);
        assert_string_equal(seen, "ResetDevice d");
        assert_int_equal(vfiobroker_bind_device(broker, "d", ""), 0);
        assert_string_equal(seen, "BindDevice d ");
        assert_int_equal(vfiobroker_bind_device(broker, "d", "vfio-pci"), 0);
        assert_string_equal(seen, "BindDevice d vfio-pci");
        assert_int_equal(vfiobroker_unbind_device(broker, "d"), 0);
        assert_string_equal(seen, "UnbindDevice d");
        assert_int_equal(vfiobroker_reload(broker), 0);
        assert_string_equal(seen, "Reload");

        assert_int_equal(vfiobroker_release(broker, "l-1"), 0);
        assert_string_equal(fake.released, "/org/vfiobroker1/lease/l_2d1");
        assert_int_equal(vfiobroker_release(broker, "/org/vfiobroker1/lease/l_2d1"), 0);
        assert_int_equal(fake.releases, 2);
        assert_int_equal(vfiobroker_release(broker, "l-2"), -ENXIO);
        assert_int_equal(vfiobroker_release(broker, "/org/vfiobroker1/device/x"), -ENXIO);
        assert_int_equal(vfiobroker_release(broker, "/not a path"), -ENXIO);
        assert_int_equal(fake.releases, 2);
        disconnect(&fake, broker);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lists),         cmocka_unit_test(test_list_sizes),
                cmocka_unit_test(test_device),        cmocka_unit_test(test_device_little),
                cmocka_unit_test(test_device_errors), cmocka_unit_test(test_admin),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
