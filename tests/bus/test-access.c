/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a caller can find out, by every way there is: lists, look-ups, introspection of the whole tree, GetManagedObjects,
 * every property of every object, methods on paths that it was told by somebody else. */

#include <unistd.h>

#include "tests/bus/fixture.h"

#define SECRET_LABEL "the-vm-of-blue"

static void holds_with_label(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "label", "s", SECRET_LABEL);
        char word[64];

        CHECK(streq(g.error, ""));
        client_say(c, strrchr(g.lease, '/') + 1);
        client_hear(c, word);
}

/* The reply to a call, as text; NULL where it was an error. To be freed. */
static char *dump_call(sd_bus *bus, const char *path, const char *interface, const char *member,
                       const char *types, const char *arg)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        char *text = NULL;
        size_t size = 0;
        FILE *f;

        if (sd_bus_call_method(bus, "org.vfiobroker1", path, interface, member, NULL, &reply, types, arg) <
            0)
                return NULL;
        f = open_memstream(&text, &size);
        CHECK(f);
        CHECK(sd_bus_message_dump(reply, f, 0) >= 0);
        (void)fclose(f);
        return text;
}

static void add_text(FILE *f, char *text)
{
        if (text)
                (void)fputs(text, f);
        free(text);
}

static const char *const interfaces[] = { "org.vfiobroker1.Manager", "org.vfiobroker1.Device",
                                          "org.vfiobroker1.Group", "org.vfiobroker1.Lease",
                                          "org.vfiobroker1.Tenant" };

/* Walks the tree below `path` by introspection alone, writes all that it finds to `f`, counts the objects of ours. */
static unsigned walk(sd_bus *bus, const char *path, FILE *f)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        unsigned n = 0;
        const char *xml;

        if (sd_bus_call_method(bus, "org.vfiobroker1", path, "org.freedesktop.DBus.Introspectable",
                               "Introspect", &error, &reply, NULL) < 0) {
                (void)fprintf(stderr, "client: Introspect of %s: %s: %s\n", path, error.name, error.message);
                _exit(1);
        }
        CHECK(sd_bus_message_read(reply, "s", &xml) >= 0);
        (void)fprintf(f, "%s\n%s\n", path, xml);

        for (size_t i = 0; i < ELEMENTSOF(interfaces); i++) {
                char attribute[128];

                (void)snprintf(attribute, sizeof(attribute), "<interface name=\"%s\">", interfaces[i]);
                if (!strstr(xml, attribute))
                        continue;
                n++;
                add_text(f, dump_call(bus, path, "org.freedesktop.DBus.Properties", "GetAll", "s",
                                      interfaces[i]));
        }
        for (const char *p = xml; (p = strstr(p, "<node name=\"")); p++) {
                char child[512];
                int length;

                p += strlen("<node name=\"");
                length = (int)strcspn(p, "\"");
                if (length == 0)
                        continue;
                (void)snprintf(child, sizeof(child), "%s/%.*s", path, length, p);
                n += walk(bus, child, f);
        }
        return n;
}

typedef struct Everything {
        char *text;
        unsigned n_objects;
} Everything;

static Everything find_everything(sd_bus *bus)
{
        Everything found = {};
        size_t size = 0;
        FILE *f = open_memstream(&found.text, &size);

        CHECK(f);
        found.n_objects = walk(bus, "/org/vfiobroker1", f);
        add_text(f, dump_call(bus, "/org/vfiobroker1", "org.freedesktop.DBus.ObjectManager",
                              "GetManagedObjects", NULL, NULL));
        add_text(f,
                 dump_call(bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "ListDevices", NULL, NULL));
        add_text(f, dump_call(bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "ListLeases", NULL, NULL));
        (void)fclose(f);
        return found;
}

static void finds(const char *text, const char *what, bool expected)
{
        if (!!strstr(text, what) != expected) {
                (void)fprintf(stderr, "client: %s \"%s\" in:\n%s\n", expected ? "no" : "there is", what,
                              text);
                _exit(1);
        }
}

/* Nothing of blue's lease, by any way; `lease` is the end of its path, which a stranger could have been told. */
static void finds_nothing_of_blue(Client *c, const char *lease)
{
        Everything e = find_everything(c->bus);
        _cleanup_free_ char *id = NULL;
        char path[256];

        finds(e.text, lease, false);
        finds(e.text, SECRET_LABEL, false);
        finds(e.text, "\"blue\"", false);
        finds(e.text, "device/_30000_3a01_3a00_2e0", false);
        free(e.text);

        (void)snprintf(path, sizeof(path), "/org/vfiobroker1/lease/%s", lease);
        CHECK(sd_bus_path_decode(path, "/org/vfiobroker1/lease", &id) > 0);
        CHECK(streq(call_error(c->bus, path, "org.vfiobroker1.Lease", "Release", NULL), OURS "NoSuchLease"));
        CHECK(streq(call_error(c->bus, path, "org.freedesktop.DBus.Properties", "GetAll",
                               "org.vfiobroker1.Lease"),
                    OURS "NoSuchLease"));
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "GetLease", id),
                    OURS "NoSuchLease"));
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1/lease/nosuch", "org.vfiobroker1.Lease", "Release",
                               NULL),
                    OURS "NoSuchLease"));
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1/device/_30000_3a01_3a00_2e0",
                               "org.freedesktop.DBus.Properties", "GetAll", "org.vfiobroker1.Device"),
                    STANDARD "UnknownObject"));
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1/device/_30000_3a01_3a00_2e0",
                               "org.freedesktop.DBus.Introspectable", "Introspect", NULL),
                    STANDARD "UnknownObject"));
        CHECK(streq(
                call_error(c->bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "GetDevice", DEVICE_BLUE),
                OURS "NoSuchDevice"));
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "GetDevice", "nosuch"),
                    OURS "NoSuchDevice"));
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1/tenant/blue", "org.freedesktop.DBus.Properties",
                               "GetAll", "org.vfiobroker1.Tenant"),
                    STANDARD "UnknownObject"));
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "GetTenant", "blue"),
                    STANDARD "UnknownObject"));
}

static uint64_t get_number(sd_bus *bus, const char *property, char type)
{
        uint32_t u = 0;
        uint64_t t = 0;

        CHECK(sd_bus_get_property_trivial(bus, MANAGER, property, NULL, type,
                                          type == 'u' ? (void *)&u : (void *)&t) >= 0);
        return type == 'u' ? u : t;
}

static void sees_as_red(Client *c, const void *arg)
{
        Everything e = find_everything(c->bus);

        finds(e.text, DEVICE_RED, true);
        finds(e.text, "/org/vfiobroker1/tenant/red", true);
        finds(e.text, DEVICE_HOST, false);
        CHECK(e.n_objects == 4); /* manager, device, group, tenant */
        free(e.text);
        CHECK(get_number(c->bus, "Devices", 'u') == 1);
        CHECK(get_number(c->bus, "Leases", 'u') == 0);
        CHECK(get_number(c->bus, "MemlockCommitted", 't') == 0);
        finds_nothing_of_blue(c, arg);
}

/* Proves: a stranger learns nothing of another tenant's lease, device or section, and cannot release it. */
static void test_another_tenant(void **state)
{
        Fixture *f = *state;
        char lease[64];
        Peer blue = peer_ready(f, UID_BLUE, holds_with_label, NULL, lease);

        run_as(f, UID_RED, sees_as_red, lease);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
        peer_finish(&blue);
}

static void sees_as_nobody(Client *c, const void *arg)
{
        Everything e = find_everything(c->bus);

        CHECK(e.n_objects == 1);
        finds(e.text, DEVICE_RED, false);
        free(e.text);
        CHECK(get_number(c->bus, "Devices", 'u') == 0);
        finds_nothing_of_blue(c, arg);
}

/* Proves: who has no tenant sees the Manager and nothing else. */
static void test_no_tenant(void **state)
{
        Fixture *f = *state;
        char lease[64];
        Peer blue = peer_ready(f, UID_BLUE, holds_with_label, NULL, lease);

        run_as(f, UID_NOBODY, sees_as_nobody, lease);
        peer_finish(&blue);
}

static void sees_all_of_blue(Client *c, const void *arg)
{
        Everything e = find_everything(c->bus);
        const char *lease = arg;

        finds(e.text, lease, true);
        finds(e.text, SECRET_LABEL, true);
        finds(e.text, DEVICE_BLUE, true);
        finds(e.text, "/org/vfiobroker1/tenant/blue", true);
        free(e.text);
        CHECK(get_number(c->bus, "Leases", 'u') == 1);
        CHECK(get_number(c->bus, "MemlockCommitted", 't') == 64 << 20);
}

static void sees_all(Client *c, const void *arg)
{
        Everything e = find_everything(c->bus);

        finds(e.text, DEVICE_HOST, true);
        finds(e.text, "/org/vfiobroker1/tenant/red", true);
        CHECK(e.n_objects == 1 + 21 + 21 + 2 + 1);
        free(e.text);
        CHECK(get_number(c->bus, "Devices", 'u') == 21);
        sees_all_of_blue(c, arg);
}

/* Proves: the tenant's own processes see its lease, and administrators, by uid and by group, see everything. */
static void test_own_tenant_and_administrators(void **state)
{
        Fixture *f = *state;
        char lease[64];
        Peer blue = peer_ready(f, UID_BLUE, holds_with_label, NULL, lease);

        run_as(f, UID_BLUE, sees_all_of_blue, lease);
        run_as(f, UID_TWO, sees_all_of_blue, lease);
        run_as(f, UID_ADMIN, sees_all, lease);
        run_as(f, 0, sees_all, lease);
        peer_finish(&blue);
}

static void releases(Client *c, const void *arg)
{
        char path[256];

        (void)snprintf(path, sizeof(path), "/org/vfiobroker1/lease/%s", (const char *)arg);
        CHECK(streq(call_error(c->bus, path, "org.vfiobroker1.Lease", "Release", NULL), ""));
}

/* Proves: another process of the tenant's, or an administrator, may release a lease. */
static void test_release_by_others_who_may(void **state)
{
        Fixture *f = *state;

        for (int i = 0; i < 2; i++) {
                char lease[64];
                Peer blue = peer_ready(f, UID_BLUE, holds_with_label, NULL, lease);

                run_as(f, i == 0 ? UID_TWO : UID_ADMIN, releases, lease);
                broker_await(f, "state " DEVICE_BLUE, "available");
                peer_finish(&blue);
        }
}

static void sees_shared_device(Client *c, const void *arg)
{
        _cleanup_free_ char *path = path_of_device(DEVICE_BLUE);
        Everything e = find_everything(c->bus);
        const char *lease = arg;
        Grant g;

        finds(e.text, "\"leased\"", true);
        finds(e.text, lease, false);
        finds(e.text, SECRET_LABEL, false);
        finds(e.text, "\"blue\"", false);
        free(e.text);
        CHECK(reads_property(c->bus, path, "org.vfiobroker1.Device", "State", "leased"));
        CHECK(reads_property(c->bus, path, "org.vfiobroker1.Device", "Lease", "/"));
        CHECK(reads_property(c->bus, path, "org.vfiobroker1.Device", "StateReason", ""));
        CHECK(reads_property(c->bus, "/org/vfiobroker1/group/_31", "org.vfiobroker1.Group", "Tenant", ""));
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 0);
        CHECK(!streq(g.error, ""));
        CHECK(!strstr(g.text, lease) && !strstr(g.text, SECRET_LABEL) && !strstr(g.text, "blue"));
}

/* Proves: two tenants may use one device: the one that has not got it sees that it is leased, and neither by whom nor by
 * what lease. */
static void test_shared_device(void **state)
{
        Fixture *f = *state;
        char lease[64];
        Peer blue;

        fixture_share(f);
        blue = peer_ready(f, UID_BLUE, holds_with_label, NULL, lease);
        run_as(f, UID_RED, sees_shared_device, lease);
        peer_finish(&blue);
}

static void probes_paths(Client *c, const void *arg)
{
        static const char *const paths[] = {
                "/org/vfiobroker1/device",
                "/org/vfiobroker1/device/x",
                "/org/vfiobroker1/device/_30000_3a02_3a00_2e0/x",
                "/org/vfiobroker1/group/3",
                "/org/vfiobroker1/group/_303",
                "/org/vfiobroker1/group/4294967299",
                "/org/vfiobroker1/group/_2d1",
                "/org/vfiobroker1/tenant",
                "/org/vfiobroker1/container/x",
                "/org",
                "/",
        };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                for (size_t k = 0; k < ELEMENTSOF(interfaces); k++)
                        CHECK(!streq(call_error(c->bus, paths[i], "org.freedesktop.DBus.Properties",
                                                "GetAll", interfaces[k]),
                                     ""));
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1/group/_33", "org.freedesktop.DBus.Properties",
                               "GetAll", "org.vfiobroker1.Group"),
                    ""));
}

/* Proves: paths that are almost right are no objects. */
static void test_paths_near_objects(void **state)
{
        run_as(*state, UID_RED, probes_paths, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_another_tenant, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_no_tenant, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_own_tenant_and_administrators, fixture_setup,
                                                fixture_teardown),
                cmocka_unit_test_setup_teardown(test_release_by_others_who_may, fixture_setup,
                                                fixture_teardown),
                cmocka_unit_test_setup_teardown(test_shared_device, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_paths_near_objects, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
