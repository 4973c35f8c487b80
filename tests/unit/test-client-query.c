/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/list.c, device.c, lease-info.c, record.c and admin.c against a broker that answers as each test says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client-lib/vfiobroker.h"
#include "policy/util.h"
#include "tests/fixtures/fake-broker.h"

#define DEVICE_PATH "/org/vfiobroker1/device/_30000_3a01_3a00_2e0"

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

        broker = fake_broker_connect(&fake, list_handler, NULL);
        assert_int_equal(vfiobroker_list_devices(broker, &devices), 0);
        assert_int_equal(vfiobroker_list_leases(broker, &leases), 0);
        fake_broker_disconnect(&fake, broker);

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

                broker = fake_broker_connect(&fake, many_handler, &n);
                assert_int_equal(vfiobroker_list_devices(broker, &list), 0);
                fake_broker_disconnect(&fake, broker);
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

        broker = fake_broker_connect(&fake, device_handler, &answer);
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
        fake_broker_disconnect(&fake, broker);
}

/* What a broker does not say is empty and never NULL. */
static void test_device_little(void **state)
{
        Answer answer = ANSWER_LITTLE;
        struct vfiobroker_device *device;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = fake_broker_connect(&fake, device_handler, &answer);
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
        fake_broker_disconnect(&fake, broker);
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

                broker = fake_broker_connect(&fake, device_handler, &answer);
                assert_int_equal(vfiobroker_get_device(broker, cases[i].id, &device), -cases[i].error);
                assert_null(device);
                assert_string_not_equal(vfiobroker_last_error(broker)->text, "");
                fake_broker_disconnect(&fake, broker);
        }
}

static int objects_handler(FakeBroker *fake, sd_bus_message *call)
{
        const char *wrong = fake->userdata;

        if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"))
                return -ENOSYS;
        return sd_bus_reply_method_return(
                call, "a{oa{sa{sv}}}", 4, /* objects */
                "/org/vfiobroker1/group/_37", 2, "org.freedesktop.DBus.Peer", 0, "org.vfiobroker1.Group", 9,
                "Number", "u", 7, "Type", "s", "DMA", "Viable", "b", 0, "Blockers", "as", 1,
                "0000:04:02.0 is bound to snd_hda_intel", "Devices", "ao", 2,
                "/org/vfiobroker1/device/_30000_3a04_3a02_2e0", "/org/vfiobroker1/device/platform_2fx",
                "Container", "o", "/org/vfiobroker1/container/blue_2fvm_2d1", "Tenant", "s", "blue",
                "ReservedRegions", "a(tts)", 2, UINT64_C(0xfee00000), UINT64_C(0xfeefffff), "msi",
                UINT64_C(0), UINT64_C(0xfff), "direct", "Future", "t", UINT64_C(1),
                /* one that says little */
                "/org/vfiobroker1/group/_38", 1, "org.vfiobroker1.Group", 1, "Number", "u", 8,
                /* one of another kind */
                "/org/vfiobroker1/tenant/blue", 1, "org.vfiobroker1.Tenant", 8, "Name", "s", "blue",
                "DevicesLeased", "u", 2, "DevicesMax", "u", 4, "LeasesMax", "u", UINT32_MAX, "Leases", "ao",
                1, "/org/vfiobroker1/lease/l_2d1", "MemlockCommitted", "t", UINT64_C(1) << 30, "MemlockUsed",
                "t", UINT64_C(4096), "MemlockMax", "t", UINT64_MAX,
                "/org/vfiobroker1/container/blue_2fvm_2d1", 1, "org.vfiobroker1.Container", 6, "Name", "s",
                "vm-1", "Backend", "s", "group", "Tenant", wrong ? wrong : "s", wrong ? "s" : "blue",
                "Groups", "ao", 2, "/org/vfiobroker1/group/_37", "/org/vfiobroker1/group/_38", "Leases",
                "ao", 1, "/org/vfiobroker1/lease/l_2d1", "IovaRanges", "a(tt)", 1, UINT64_C(0),
                UINT64_C(0xfedfffff));
}

/* Lists that are objects: each has its own and no other kind; what did not come is empty and not NULL. */
static void test_object_lists(void **state)
{
        struct vfiobroker_container_list *containers;
        const struct vfiobroker_container_entry *c;
        const struct vfiobroker_tenant_entry *t;
        struct vfiobroker_tenant_list *tenants;
        const struct vfiobroker_group_entry *g;
        struct vfiobroker_group_list *groups;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = fake_broker_connect(&fake, objects_handler, NULL);
        assert_int_equal(vfiobroker_list_groups(broker, &groups), 0);
        assert_int_equal(vfiobroker_list_containers(broker, &containers), 0);
        assert_int_equal(vfiobroker_list_tenants(broker, &tenants), 0);
        fake_broker_disconnect(&fake, broker);

        assert_int_equal(tenants->n, 1);
        t = tenants->tenants[0];
        assert_string_equal(t->name, "blue");
        assert_int_equal(t->devices_leased, 2);
        assert_int_equal(t->devices_max, 4);
        assert_true(t->leases_max == UINT32_MAX);
        assert_string_equal(t->leases[0], "l-1");
        assert_null(t->leases[1]);
        assert_true(t->memlock_committed == UINT64_C(1) << 30);
        assert_true(t->memlock_used == 4096);
        assert_true(t->memlock_max == UINT64_MAX);
        assert_null(vfiobroker_tenant_list_free(tenants));

        assert_int_equal(groups->n, 2);
        g = groups->groups[0];
        assert_int_equal(g->number, 7);
        assert_string_equal(g->type, "DMA");
        assert_false(g->viable);
        assert_string_equal(g->blockers[0], "0000:04:02.0 is bound to snd_hda_intel");
        assert_null(g->blockers[1]);
        assert_string_equal(g->devices[0], "0000:04:02.0");
        assert_string_equal(g->devices[1], "platform/x");
        assert_null(g->devices[2]);
        assert_string_equal(g->container, "vm-1");
        assert_string_equal(g->tenant, "blue");
        assert_int_equal(g->n_reserved, 2);
        assert_true(g->reserved[0].start == 0xfee00000 && g->reserved[0].end == 0xfeefffff);
        assert_string_equal(g->reserved[0].type, "msi");
        assert_string_equal(g->reserved[1].type, "direct");

        g = groups->groups[1];
        assert_int_equal(g->number, 8);
        assert_string_equal(g->type, "");
        assert_string_equal(g->tenant, "");
        assert_string_equal(g->container, "");
        assert_null(g->devices[0]);
        assert_null(g->blockers[0]);
        assert_int_equal(g->n_reserved, 0);
        assert_null(vfiobroker_group_list_free(groups));

        assert_int_equal(containers->n, 1);
        c = containers->containers[0];
        assert_string_equal(c->name, "vm-1");
        assert_string_equal(c->backend, "group");
        assert_string_equal(c->tenant, "blue");
        assert_string_equal(c->groups[0], "7");
        assert_string_equal(c->groups[1], "8");
        assert_null(c->groups[2]);
        assert_string_equal(c->leases[0], "l-1");
        assert_null(c->leases[1]);
        assert_int_equal(c->n_iova, 1);
        assert_true(c->iova[0].start == 0 && c->iova[0].end == 0xfedfffff);
        assert_string_equal(c->iova[0].type, "");
        assert_null(vfiobroker_container_list_free(containers));
}

/* A property of another type fails the list that has it, and no other. */
static void test_object_list_error(void **state)
{
        struct vfiobroker_container_list *containers = NULL;
        struct vfiobroker_group_list *groups;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = fake_broker_connect(&fake, objects_handler, (void *)"g");
        assert_int_equal(vfiobroker_list_containers(broker, &containers), -EBADMSG);
        assert_null(containers);
        assert_non_null(strstr(vfiobroker_last_error(broker)->text, "Tenant"));
        assert_int_equal(vfiobroker_list_groups(broker, &groups), 0);
        vfiobroker_group_list_free(groups);
        fake_broker_disconnect(&fake, broker);
}

static int lease_handler(FakeBroker *fake, sd_bus_message *call)
{
        const char *id;

        (void)fake;
        if (sd_bus_message_is_method_call(call, "org.vfiobroker1.Manager", "GetLease"))
                return sd_bus_message_read(call, "s", &id) >= 0 && streq(id, "l-1")
                               ? sd_bus_reply_method_return(call, "o", "/org/vfiobroker1/lease/l_2d1")
                               : sd_bus_reply_method_errorf(call, "org.vfiobroker1.Error.NoSuchLease",
                                                            "No lease");
        return sd_bus_reply_method_return(
                call, "a{sv}", 14, "RevokeDeadline", "t", UINT64_C(6), "Tenant", "s", "blue", "Label", "s",
                "vm", "Backend", "s", "iommufd", "Container", "o",
                "/org/vfiobroker1/container/blue_2fvm_2d1", "Devices", "ao", 1,
                "/org/vfiobroker1/device/_30000_3a01_3a00_2e0", "Pid", "u", 12, "Uid", "u", 2001, "Unit",
                "s", "vm.service", "MemlockLimit", "t", UINT64_C(5), "MemlockUsed", "t", UINT64_C(4),
                "Since", "t", UINT64_C(3), "State", "s", "active", "PolicyRefusal", "s", "no tenant");
}

/* Every property of a lease reaches its member, whether it is asked for by id or by path. */
static void test_lease(void **state)
{
        static const char *const names[] = { "l-1", "/org/vfiobroker1/lease/l_2d1" };
        struct vfiobroker_lease_info *info;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = fake_broker_connect(&fake, lease_handler, NULL);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                assert_int_equal(vfiobroker_get_lease(broker, names[i], &info), 0);
                assert_string_equal(info->tenant, "blue");
                assert_string_equal(info->label, "vm");
                assert_string_equal(info->backend, "iommufd");
                assert_string_equal(info->container, "vm-1");
                assert_string_equal(info->devices[0], "0000:01:00.0");
                assert_null(info->devices[1]);
                assert_int_equal(info->pid, 12);
                assert_int_equal(info->uid, 2001);
                assert_string_equal(info->unit, "vm.service");
                assert_true(info->memlock_limit == 5 && info->memlock_used == 4 && info->since_usec == 3);
                assert_string_equal(info->state, "active");
                assert_true(info->revoke_deadline_usec == 6);
                assert_string_equal(info->policy_refusal, "no tenant");
                assert_null(vfiobroker_lease_info_free(info));
        }
        assert_int_equal(vfiobroker_get_lease(broker, "l-2", &info), -ENXIO);
        fake_broker_disconnect(&fake, broker);
}

/* Writes down "MEMBER ARGUMENT…" of the calls without an answer; GetLease knows one lease. */
static int admin_handler(FakeBroker *fake, sd_bus_message *call)
{
        char *seen = fake->userdata;
        const char *s, *path;
        uint32_t count;
        char type;

        (void)sprintf(seen, "%s", sd_bus_message_get_member(call));
        while (sd_bus_message_at_end(call, false) == 0 && sd_bus_message_peek_type(call, &type, NULL) > 0 &&
               type == 's' && sd_bus_message_read(call, "s", &s) > 0)
                (void)sprintf(seen + strlen(seen), " %s", s);
        if (sd_bus_message_at_end(call, false) == 0 && sd_bus_message_read(call, "u", &count) > 0)
                (void)sprintf(seen + strlen(seen), " %u", count);

        if (sd_bus_message_is_method_call(call, NULL, "Revoke")) {
                uint64_t grace;

                assert_true(sd_bus_message_read(call, "ots", &path, &grace, &s) > 0);
                (void)sprintf(seen + strlen(seen), " %s %" PRIu64 " %s", path, grace, s);
        }
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

        broker = fake_broker_connect(&fake, admin_handler, seen);
        assert_int_equal(vfiobroker_reset_device(broker, "d"), 0);
        assert_string_equal(seen, "ResetDevice d");
        assert_int_equal(vfiobroker_bind_device(broker, "d", ""), 0);
        assert_string_equal(seen, "BindDevice d ");
        assert_int_equal(vfiobroker_bind_device(broker, "d", "vfio-pci"), 0);
        assert_string_equal(seen, "BindDevice d vfio-pci");
        assert_int_equal(vfiobroker_unbind_device(broker, "d"), 0);
        assert_string_equal(seen, "UnbindDevice d");
        assert_int_equal(vfiobroker_set_virtual_functions(broker, "d", 7), 0);
        assert_string_equal(seen, "SetVirtualFunctions d 7");
        assert_int_equal(vfiobroker_set_virtual_functions(broker, NULL, 7), -EINVAL);
        assert_int_equal(vfiobroker_reload(broker), 0);
        assert_string_equal(seen, "Reload");

        assert_int_equal(vfiobroker_revoke(broker, "l-1", 5, "why"), 0);
        assert_string_equal(seen, "Revoke /org/vfiobroker1/lease/l_2d1 5 why");
        assert_int_equal(vfiobroker_revoke(broker, "/org/vfiobroker1/lease/l_2d1", UINT64_MAX, NULL), 0);
        assert_string_equal(seen, "Revoke /org/vfiobroker1/lease/l_2d1 18446744073709551615 ");
        assert_int_equal(vfiobroker_revoke(broker, "l-2", 0, NULL), -ENXIO);
        assert_int_equal(vfiobroker_revoke(broker, NULL, 0, NULL), -EINVAL);

        assert_int_equal(vfiobroker_release(broker, "l-1"), 0);
        assert_string_equal(fake.released, "/org/vfiobroker1/lease/l_2d1");
        assert_int_equal(vfiobroker_release(broker, "/org/vfiobroker1/lease/l_2d1"), 0);
        assert_int_equal(fake.releases, 2);
        assert_int_equal(vfiobroker_release(broker, "l-2"), -ENXIO);
        assert_int_equal(vfiobroker_release(broker, "/org/vfiobroker1/device/x"), -ENXIO);
        assert_int_equal(vfiobroker_release(broker, "/not a path"), -ENXIO);
        assert_int_equal(fake.releases, 2);
        fake_broker_disconnect(&fake, broker);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lists),         cmocka_unit_test(test_list_sizes),
                cmocka_unit_test(test_device),        cmocka_unit_test(test_device_little),
                cmocka_unit_test(test_device_errors), cmocka_unit_test(test_admin),
                cmocka_unit_test(test_object_lists),  cmocka_unit_test(test_object_list_error),
                cmocka_unit_test(test_lease),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
