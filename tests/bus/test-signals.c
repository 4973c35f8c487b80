/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Signals reach those whom they concern and nobody else, each once for each round, and say no more than a property read
 * would. A listener asks for every signal that the bus lets it have, of anyone, and writes down what came. */

#include <inttypes.h>

#include "tests/bus/fixture.h"

typedef struct Heard {
        char text[65536];
        unsigned n; /* signals of the broker */
        bool flushed;
} Heard;

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Heard *heard = userdata;
        char *dump = NULL;
        size_t size = 0;
        FILE *f;

        if (streq(strempty(sd_bus_message_get_interface(m)), "org.freedesktop.DBus"))
                return 0;
        f = open_memstream(&dump, &size);
        CHECK(f && sd_bus_message_dump(m, f, SD_BUS_MESSAGE_DUMP_WITH_HEADER) >= 0);
        (void)fclose(f);
        CHECK(strlen(heard->text) + size < sizeof(heard->text));
        strcat(heard->text, dump);
        free(dump);
        heard->n++;
        return 0;
}

static int on_flushed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        ((Heard *)userdata)->flushed = true;
        return 0;
}

/* Everything that the broker sent before now has come in. */
static void catch_up(sd_bus *bus, Heard *heard)
{
        heard->flushed = false;
        CHECK(sd_bus_call_method_async(bus, NULL, "org.vfiobroker1", "/org/vfiobroker1",
                                       "org.freedesktop.DBus.Peer", "Ping", on_flushed, heard, NULL) >= 0);
        CHECK(client_wait(bus, &heard->flushed));
}

static void wait_for(sd_bus *bus, Heard *heard, const char *what)
{
        for (unsigned i = 0; i < 2000 && !strstr(heard->text, what); i++)
                catch_up(bus, heard);
        if (!strstr(heard->text, what)) {
                (void)fprintf(stderr, "client: no \"%s\" in:\n%s\n", what, heard->text);
                _exit(1);
        }
}

static void listen_to_all(sd_bus *bus, Heard *heard)
{
        CHECK(sd_bus_add_match(bus, NULL, "type='signal'", on_signal, heard) >= 0);
        /* The bus refuses this to all but those whom its policy lets eavesdrop; where it does not, the more is heard. */
        (void)sd_bus_add_match(bus, NULL, "eavesdrop='true'", on_signal, heard);
}

/* Calls the broker once, so that it is known, and listens until told. */
static void listen_until_told(Client *c, Heard *heard)
{
        char word[64];

        listen_to_all(c->bus, heard);
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "ListDevices", NULL),
                    ""));
        client_say(c, "listening");
        client_hear(c, word);
}

/* `arg` says what must have come, or NULL: nothing. */
static void listens(Client *c, const void *arg)
{
        static Heard heard;
        const char *const *expected = arg;

        listen_until_told(c, &heard);
        for (; expected && *expected; expected++)
                wait_for(c->bus, &heard, *expected);
        catch_up(c->bus, &heard);
        if (!arg && heard.n > 0) {
                (void)fprintf(stderr, "client: heard:\n%s\n", heard.text);
                _exit(1);
        }
}

static void acquires_and_releases(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "label", "s", "label-of-blue");

        CHECK(streq(g.error, ""));
        CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Release", NULL), ""));
        grant_done(&g);
}

/* Proves: a stranger and a user without tenant hear nothing of a whole life of blue's lease; blue's other connections
 * and an administrator hear of lease, device, group, tenant and Manager. */
static void test_who_hears(void **state)
{
        static const char *const all[] = {
                "Member=InterfacesAdded",
                "label-of-blue",
                "Member=PropertiesChanged",
                "Path=/org/vfiobroker1/device/_30000_3a01_3a00_2e0",
                "Path=/org/vfiobroker1/group/_31",
                "Path=/org/vfiobroker1/tenant/blue",
                "MemlockCommitted",
                "Member=InterfacesRemoved",
                NULL,
        };
        static const struct {
                uid_t uid;
                const char *const *expected;
        } listeners[] = { { UID_RED, NULL },
                          { UID_NOBODY, NULL },
                          { UID_BLUE, all },
                          { UID_TWO, all },
                          { UID_ADMIN, all } };
        Fixture *f = *state;
        Peer peers[ELEMENTSOF(listeners)];
        char word[64];

        for (size_t i = 0; i < ELEMENTSOF(listeners); i++) {
                peers[i] = peer_ready(f, listeners[i].uid, listens, listeners[i].expected, word);
        }
        run_as(f, UID_BLUE, acquires_and_releases, NULL);
        broker_await(f, "leases", "0");
        for (size_t i = 0; i < ELEMENTSOF(listeners); i++) {
                peer_finish(&peers[i]);
        }
}

static void hears_of_device_only(Client *c, const void *arg)
{
        static Heard heard;

        listen_until_told(c, &heard);
        wait_for(c->bus, &heard, "Path=/org/vfiobroker1/device/_30000_3a01_3a00_2e0");
        catch_up(c->bus, &heard);
        CHECK(!strstr(heard.text, "/org/vfiobroker1/lease/") && !strstr(heard.text, "tenant/blue"));
        CHECK(!strstr(heard.text, "Member=Interfaces") && !strstr(heard.text, "Leases"));
}

/* Proves: who may use a device that another tenant takes hears that the device changed, and of no lease. */
static void test_shared_device(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer red;

        fixture_share(f);
        red = peer_ready(f, UID_RED, hears_of_device_only, NULL, word);
        run_as(f, UID_BLUE, acquires_and_releases, NULL);
        broker_await(f, "leases", "0");
        peer_finish(&red);
}

static void listens_unknown(Client *c, const void *arg)
{
        static Heard heard;
        char word[64];

        listen_to_all(c->bus, &heard);
        client_say(c, "listening");
        client_hear(c, word);
        catch_up(c->bus, &heard);
        CHECK(heard.n == 0);
}

/* Proves: who has never called the broker hears nothing, an administrator included: nothing is broadcast. */
static void test_no_broadcast(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer peer = peer_ready(f, 0, listens_unknown, NULL, word);

        run_as(f, UID_BLUE, acquires_and_releases, NULL);
        broker_await(f, "leases", "0");
        peer_finish(&peer);
}

static void hears_end(Client *c, const void *arg)
{
        static Heard heard, other_heard;
        sd_bus *other = client_connect(c->fixture);
        char word[64];
        Grant g;

        listen_to_all(c->bus, &heard);
        listen_to_all(other, &other_heard);
        CHECK(streq(call_error(other, "/org/vfiobroker1", "org.vfiobroker1.Manager", "ListDevices", NULL),
                    ""));
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 0);
        CHECK(streq(g.error, ""));
        client_say(c, "held");
        client_hear(c, word);
        wait_for(c->bus, &heard, "Member=Ended");
        wait_for(c->bus, &heard, "device-removed");
        wait_for(other, &other_heard, "Member=Ended");
        sd_bus_flush_close_unref(other);
}

static void hears_no_end(Client *c, const void *arg)
{
        static Heard heard;

        listen_until_told(c, &heard);
        wait_for(c->bus, &heard, "Member=InterfacesRemoved");
        CHECK(!strstr(heard.text, "Member=Ended"));
}

/* Proves: Ended goes to every connection of the process that held the lease, with the reason, and to no other process of
 * the tenant's. */
static void test_ended(void **state)
{
        Fixture *f = *state;
        Peer holder = peer_start(f, UID_BLUE, hears_end, NULL), other;
        char word[64];

        peer_hear(&holder, word);
        other = peer_ready(f, UID_TWO, hears_no_end, NULL, word);
        (void)broker_tell(f, "remove " DEVICE_BLUE);
        broker_await(f, "leases", "0");
        peer_say(&holder, "go");
        peer_say(&other, "go");
        peer_end(&holder);
        peer_end(&other);
}

static void hears_end_after_restart(Client *c, const void *arg)
{
        static Heard heard;
        char word[64];
        Grant g;

        listen_to_all(c->bus, &heard);
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 0);
        CHECK(streq(g.error, ""));
        catch_up(c->bus, &heard);
        heard.text[0] = 0;
        client_say(c, "held");
        client_hear(c, word); /* it calls nothing from here on */
        wait_for(c->bus, &heard, "Member=Ended");
        wait_for(c->bus, &heard, "device-removed");
}

/* Proves: over a restart of the broker the one who asked for a lease is known by the record, and hears of its end without
 * having called again. */
static void test_ended_after_restart(void **state)
{
        Fixture *f = *state;
        Peer holder = peer_start(f, UID_BLUE, hears_end_after_restart, NULL);
        char word[64];

        peer_hear(&holder, word);
        assert_string_equal(broker_tell(f, "restart"), "ok");
        assert_string_equal(broker_tell(f, "restart"), "ok");
        (void)broker_tell(f, "remove " DEVICE_BLUE);
        broker_await(f, "leases", "0");
        peer_finish(&holder);
}

/* Two leases: the first is given back when asked for, the second is kept. */
static void hears_request(Client *c, const void *arg)
{
        static Heard heard;
        char word[128];
        Grant g;

        listen_to_all(c->bus, &heard);
        for (int i = 0; i < 2; i++) {
                heard.text[0] = 0;
                g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 0);
                CHECK(streq(g.error, ""));
                client_say(c, g.lease);
                client_hear(c, word);
                wait_for(c->bus, &heard, "Member=RevokeRequested");
                CHECK(strstr(heard.text, "/org/vfiobroker1/device/_30000_3a01_3a00_2e0"));
                CHECK(strstr(heard.text, "\"new firmware\""));
                if (i == 0) {
                        CHECK(!strstr(heard.text, "Member=Ended"));
                        CHECK(reads_property(c->bus, g.lease, "org.vfiobroker1.Lease", "State", "revoking"));
                        CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Release", NULL),
                                    ""));
                }
                wait_for(c->bus, &heard, "Member=Ended");
                CHECK(strstr(heard.text, i == 0 ? "\"released\"" : "\"revoked\""));
                client_say(c, "ended");
                client_hear(c, word);
        }
}

static const char *revoke_error(sd_bus *bus, const char *lease, uint64_t grace_usec, const char *reason)
{
        static char name[128];
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call_method(bus, "org.vfiobroker1", "/org/vfiobroker1", "org.vfiobroker1.Manager",
                               "Revoke", &error, NULL, "ots", lease, grace_usec, reason);
        CHECK((r < 0) == (error.name != NULL));
        (void)snprintf(name, sizeof(name), "%s", strempty(error.name));
        sd_bus_error_free(&error);
        return name;
}

static void revokes(Client *c, const void *arg)
{
        char reason[67], lease[128];
        uint64_t grace_usec;

        CHECK(sscanf(arg, "%127s %" SCNu64, lease, &grace_usec) == 2);

        memset(reason, 'x', sizeof(reason));
        reason[65] = 0;
        CHECK(streq(revoke_error(c->bus, lease, 0, reason), SD_BUS_ERROR_INVALID_ARGS));
        CHECK(streq(revoke_error(c->bus, lease, 0, "a\nb"), SD_BUS_ERROR_INVALID_ARGS));
        CHECK(streq(revoke_error(c->bus, lease, UINT64_MAX - 1, ""), SD_BUS_ERROR_INVALID_ARGS));
        CHECK(streq(revoke_error(c->bus, "/org/vfiobroker1/lease/nosuch", 0, ""),
                    "org.vfiobroker1.Error.NoSuchLease"));
        CHECK(streq(revoke_error(c->bus, "/org/vfiobroker1", 0, ""), "org.vfiobroker1.Error.NoSuchLease"));
        CHECK(streq(revoke_error(c->bus, lease, grace_usec, "new firmware"), ""));
}

static void may_not_revoke(Client *c, const void *arg)
{
        CHECK(streq(revoke_error(c->bus, arg, 0, ""), SD_BUS_ERROR_ACCESS_DENIED));
}

/* Proves: only an administrator revokes; the holder is told what and why, and what it does not give back in time
 * is taken. */
static void test_revoke(void **state)
{
        Fixture *f = *state;
        Peer holder = peer_start(f, UID_BLUE, hears_request, NULL);
        char lease[128], request[160], word[128];

        for (int i = 0; i < 2; i++) {
                peer_hear(&holder, lease);
                run_as(f, UID_BLUE, may_not_revoke, lease);
                run_as(f, UID_RED, may_not_revoke, lease);
                (void)snprintf(request, sizeof(request), "%s %s", lease, i == 0 ? "60000000" : "1000");
                run_as(f, i == 0 ? 0 : UID_ADMIN, revokes, request);
                peer_say(&holder, "asked");
                peer_hear(&holder, word);
                broker_await(f, "leases", "0");
                peer_say(&holder, "go");
        }
        peer_end(&holder);
}

/* One device of two goes, and then the other. */
static void hears_removal(Client *c, const void *arg)
{
        static Heard heard;
        char word[64], first[sizeof(((Grant *)0)->lease)], *asked, *reason;
        Grant g;

        listen_to_all(c->bus, &heard);
        g = acquire(c->bus, DEVICE_BLUE " " DEVICE_BLUE_2, "a{sv}", 0);
        CHECK(streq(g.error, ""));
        (void)snprintf(first, sizeof(first), "%s", g.lease);
        heard.text[0] = 0;
        client_say(c, "has both");
        client_hear(c, word);
        wait_for(c->bus, &heard, "Member=RevokeRequested");
        asked = strstr(heard.text, "Member=RevokeRequested");
        reason = strstr(asked, "\"device-removed\"");
        CHECK(reason);
        *reason = 0; /* for that one, and not for the other */
        CHECK(strstr(asked, "_30000_3a01_3a00_2e0") && !strstr(asked, "_30000_3a01_3a00_2e1"));
        heard.text[0] = 0;
        client_say(c, "asked");
        client_hear(c, word);
        wait_for(c->bus, &heard, "Member=InterfacesRemoved");
        CHECK(!strstr(heard.text, "Member=Ended"));
        CHECK(reads_property(c->bus, first, "org.vfiobroker1.Lease", "State", "active"));
        client_say(c, "goes on");
        client_hear(c, word);
        wait_for(c->bus, &heard, "Member=Ended");
        CHECK(strstr(strstr(heard.text, "Member=Ended"), "\"device-removed\""));
}

/* Proves: who holds a device that goes is asked for it, and its lease goes on with the rest; with the last one it ends. */
static void test_removal(void **state)
{
        Fixture *f = *state;
        Peer blue = peer_start(f, UID_BLUE, hears_removal, NULL);
        char word[64];

        peer_hear(&blue, word);
        (void)broker_tell(f, "let-go " DEVICE_BLUE);
        peer_say(&blue, "go");
        peer_hear(&blue, word);
        (void)broker_tell(f, "remove " DEVICE_BLUE);
        peer_say(&blue, "go");
        peer_hear(&blue, word);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "none");
        (void)broker_tell(f, "remove " DEVICE_BLUE_2);
        peer_say(&blue, "go");
        peer_end(&blue);
        broker_await(f, "leases", "0");
}

static void hears_device(Client *c, const void *arg)
{
        static Heard heard;
        const char *added;
        char word[64];

        listen_until_told(c, &heard);
        wait_for(c->bus, &heard, "/org/vfiobroker1/device/_30000_3a02_3a00_2e1");
        wait_for(c->bus, &heard, "Devices");
        added = strstr(heard.text, "Member=InterfacesAdded");
        CHECK(added);
        CHECK(strstr(added, "\"0000:02:00.1\"") && strstr(added, "\"ResetMethods\"") &&
              strstr(added, "\"flr\""));
        CHECK(!strstr(heard.text, "0000:01:00.7"));
        heard.text[0] = 0;
        client_say(c, "added");
        client_hear(c, word);
        wait_for(c->bus, &heard, "Member=InterfacesRemoved");
        wait_for(c->bus, &heard, "/org/vfiobroker1/device/_30000_3a02_3a00_2e1");
        wait_for(c->bus, &heard, "/org/vfiobroker1/group/_360");
}

/* Proves: a device that comes is announced with all its properties to those who may use it, and when it goes, that, too. */
static void test_devices_come_and_go(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer red = peer_ready(f, UID_RED, hears_device, NULL, word);

        (void)broker_tell(f, "add 0000:01:00.7 61 vfio-pci");
        (void)broker_tell(f, "add 0000:02:00.1 60 vfio-pci");
        peer_say(&red, "go");
        peer_hear(&red, word);
        (void)broker_tell(f, "remove 0000:02:00.1");
        (void)broker_tell(f, "remove 0000:01:00.7");
        peer_finish(&red);
}

static void checks_values(Client *c, const void *arg)
{
        static Heard heard;

        listen_until_told(c, &heard);
        wait_for(c->bus, &heard, "Member=PropertiesChanged");
        catch_up(c->bus, &heard);
        CHECK(strstr(heard.text, "\"State\""));
        CHECK(!strstr(heard.text, "VARIANT"));
}

/* Proves: PropertiesChanged carries names only. */
static void test_no_values(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer blue = peer_ready(f, UID_BLUE, checks_values, NULL, word);

        (void)broker_tell(f, "add " DEVICE_BLUE " 1 vfio-pci"); /* another driver */
        peer_finish(&blue);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_who_hears, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_shared_device, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_ended_after_restart, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_no_broadcast, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_ended, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_revoke, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_removal, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_devices_come_and_go, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_no_values, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
