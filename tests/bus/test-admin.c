/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What only administrators may, who they are, and what comes of it. */

#include "tests/bus/fixture.h"

#define MANAGER_PATH      "/org/vfiobroker1"
#define MANAGER_INTERFACE "org.vfiobroker1.Manager"

static const char *bind_error(sd_bus *bus, const char *id, const char *driver)
{
        static char name[256];
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(bus, MANAGER, "BindDevice", &error, NULL, "ss", id, driver);

        (void)snprintf(name, sizeof(name), "%s", r < 0 ? strempty(error.name) : "");
        return name;
}

static const char *functions_error(sd_bus *bus, const char *id, uint32_t count)
{
        static char name[256];
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(bus, MANAGER, "SetVirtualFunctions", &error, NULL, "su", id, count);

        (void)snprintf(name, sizeof(name), "%s", r < 0 ? strempty(error.name) : "");
        return name;
}

static void may_not(Client *c, const void *arg)
{
        Grant g;

        CHECK(streq(call_error(c->bus, MANAGER_PATH, MANAGER_INTERFACE, "Reload", NULL),
                    STANDARD "AccessDenied"));
        CHECK(streq(call_error(c->bus, MANAGER_PATH, MANAGER_INTERFACE, "ResetDevice", DEVICE_BLUE_2),
                    STANDARD "AccessDenied"));
        CHECK(streq(call_error(c->bus, MANAGER_PATH, MANAGER_INTERFACE, "ResetDevice", "nosuch"),
                    STANDARD "AccessDenied"));
        CHECK(streq(call_error(c->bus, MANAGER_PATH, MANAGER_INTERFACE, "UnbindDevice", DEVICE_BLUE_2),
                    STANDARD "AccessDenied"));
        CHECK(streq(bind_error(c->bus, DEVICE_BLUE, ""), STANDARD "AccessDenied"));
        CHECK(streq(functions_error(c->bus, DEVICE_BLUE, 1), STANDARD "AccessDenied"));
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "lifetime", "s", "explicit");
        CHECK(streq(g.error, STANDARD "AccessDenied"));
}

/* Proves: a tenant may do nothing of it, not even to its own device, nor learn by it what devices there are. */
static void test_tenant_may_not(void **state)
{
        Fixture *f = *state;

        run_as(f, UID_BLUE, may_not, NULL);
        assert_string_equal(broker_tell(f, "driver " DEVICE_BLUE), "igb");
        assert_string_equal(broker_tell(f, "driver " DEVICE_BLUE_2), "vfio-pci");
}

static void works_on_devices(Client *c, const void *arg)
{
        CHECK(streq(bind_error(c->bus, DEVICE_BLUE, ""), ""));
        CHECK(streq(bind_error(c->bus, DEVICE_RED, "igb"), ""));
        CHECK(streq(call_error(c->bus, MANAGER_PATH, MANAGER_INTERFACE, "ResetDevice", DEVICE_BLUE), ""));
        CHECK(streq(call_error(c->bus, MANAGER_PATH, MANAGER_INTERFACE, "UnbindDevice", DEVICE_HOST), ""));
        CHECK(streq(call_error(c->bus, MANAGER_PATH, MANAGER_INTERFACE, "ResetDevice", "nosuch"),
                    OURS "NoSuchDevice"));
        CHECK(streq(functions_error(c->bus, "nosuch", 1), OURS "NoSuchDevice"));
        CHECK(streq(functions_error(c->bus, DEVICE_RED, 1), STANDARD "InvalidArgs")); /* no SR-IOV */
        CHECK(streq(bind_error(c->bus, DEVICE_BLUE, "../x"), STANDARD "InvalidArgs"));
        CHECK(streq(bind_error(c->bus, DEVICE_BLUE,
                               "a-driver-with-a-name-that-is-longer-than-any-that-the-kernel-has"),
                    STANDARD "InvalidArgs"));
}

/* Proves: uid 0 and a member of admin-group bind, unbind and reset devices. */
static void test_administrators_may(void **state)
{
        static const uid_t uids[] = { 0, UID_ADMIN };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(uids); i++) {
                (void)broker_tell(f, "add " DEVICE_BLUE " 1 igb");
                (void)broker_tell(f, "add " DEVICE_HOST " 4 nvme");
                run_as(f, uids[i], works_on_devices, NULL);
                assert_string_equal(broker_tell(f, "driver " DEVICE_BLUE), "vfio-pci");
                assert_string_equal(broker_tell(f, "driver " DEVICE_RED), "igb");
                assert_string_equal(broker_tell(f, "driver " DEVICE_HOST), "");
        }
}

static uint64_t generation(sd_bus *bus)
{
        uint64_t t = 0;

        CHECK(sd_bus_get_property_trivial(bus, MANAGER, "PolicyGeneration", NULL, 't', &t) >= 0);
        return t;
}

static void reloads_bad(Client *c, const void *arg)
{
        uint64_t before = generation(c->bus);
        sd_bus_message *m = NULL;

        CHECK(sd_bus_message_new_method_call(c->bus, &m, MANAGER, "Reload") >= 0);
        expect_error(c->bus, sd_bus_message_ref(m), OURS "PolicyInvalid", "policy.conf:2: ");
        sd_bus_message_unref(m);
        m = NULL;
        CHECK(sd_bus_message_new_method_call(c->bus, &m, MANAGER, "Reload") >= 0);
        expect_error(c->bus, m, OURS "PolicyInvalid", "policy.conf:4: ");
        CHECK(generation(c->bus) == before);
}

static void reloads_good(Client *c, const void *arg)
{
        uint64_t before = generation(c->bus);

        CHECK(streq(call_error(c->bus, MANAGER_PATH, MANAGER_INTERFACE, "Reload", NULL), ""));
        CHECK(generation(c->bus) == before + 1);
}

static void sees_device(Client *c, const void *arg)
{
        CHECK(streq(call_error(c->bus, MANAGER_PATH, MANAGER_INTERFACE, "GetDevice", DEVICE_BLUE), arg));
}

static void holds(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 0);
        char word[64], text[256];

        CHECK(streq(g.error, ""));
        CHECK(reads_property(c->bus, g.lease, "org.vfiobroker1.Lease", "PolicyRefusal", ""));
        client_say(c, "held");
        client_hear(c, word);
        /* Its tenant is gone from the policy; its lease is not, and is told of it. */
        (void)snprintf(text, sizeof(text), "the policy has no tenant blue any more (%s/policy.conf:4)",
                       c->fixture->dir);
        CHECK(reads_property(c->bus, g.lease, "org.vfiobroker1.Lease", "PolicyRefusal", text));
        CHECK(reads_property(c->bus, g.lease, "org.vfiobroker1.Lease", "State", "active"));
        CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Release", NULL), ""));
        client_say(c, "released");
        client_hear(c, word);
        sees_device(c, OURS "NoSuchDevice");
}

/* Proves: a bad policy is refused whole, with all that is wrong in it, and the one before holds; a good one holds at once
 * for everybody, connections that are known already included, while a lease of before stays its holder's. */
static void test_reload(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer blue = peer_ready(f, UID_BLUE, holds, NULL, word);

        fixture_policy(f, "[tenant blue]\nmatch-usr = 1\n[tenant red]\ndevices-max = many\n");
        run_as(f, UID_ADMIN, reloads_bad, NULL);
        run_as(f, UID_TWO, sees_device, "");

        fixture_policy(
                f, "[broker]\nadmin-group = 2100\n[tenant red]\nmatch-user = 2\ndevices = pci:0000:01:*\n");
        run_as(f, UID_ADMIN, reloads_good, NULL);
        run_as(f, UID_TWO, sees_device, OURS "NoSuchDevice");
        run_as(f, UID_RED, sees_device, "");
        peer_say(&blue, "go");
        peer_hear(&blue, word);
        broker_await(f, "leases", "0");
        peer_finish(&blue);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_tenant_may_not, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_administrators_may, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_reload, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
