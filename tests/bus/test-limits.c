/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What one user can make grow, at each limit and one past it; and that another user feels nothing of it. */

#include <poll.h>

#include "daemon/bus/bus-internal.h"
#include "tests/bus/fixture.h"

static void calls_at_rate(Client *c, const void *arg)
{
        Grant g;

        for (int i = 0; i < 3; i++) {
                g = acquire(c->bus, "0000:99:00.0", "a{sv}", 0);
                CHECK(streq(g.error, OURS "NoSuchDevice"));
        }
        g = acquire(c->bus, "0000:99:00.0", "a{sv}", 0);
        CHECK(streq(g.error, OURS "RateLimited") && strstr(g.text, "3 times"));
}

static void calls_once(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, "0000:99:00.0", "a{sv}", 0);

        CHECK(streq(g.error, arg));
}

/* Proves: the policy's rate holds for the user over all its connections, and for no other user. */
static void test_rate(void **state)
{
        Fixture *f = *state;

        fixture_policy(f, "[broker]\nrate = 3/1000s\n[tenant blue]\nmatch-user = 1\ndevices = any\n"
                          "[tenant red]\nmatch-user = 2\ndevices = any\n");
        fixture_reload(f);
        run_as(f, UID_BLUE, calls_at_rate, NULL);
        run_as(f, UID_BLUE, calls_once, OURS "RateLimited");
        run_as(f, UID_RED, calls_once, OURS "NoSuchDevice");
}

static unsigned n_answers;

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        CHECK(sd_bus_message_is_method_error(m, NULL) <= 0);
        *(bool *)userdata = ++n_answers == CALLS_UID_MAX;
        return 0;
}

static void fills_calls(Client *c, const void *arg)
{
        bool done = false;
        char id[32], word[64];
        Grant g;

        for (unsigned i = 0; i < CALLS_UID_MAX; i++) {
                sd_bus_message *m;

                (void)snprintf(id, sizeof(id), "0000:10:%02x.0", i);
                m = new_call(c->bus, "Acquire", id);
                CHECK(sd_bus_message_append(m, "a{sv}", 1, "memlock", "t", UINT64_C(0)) >= 0);
                CHECK(sd_bus_call_async(c->bus, NULL, m, on_answer, &done, 0) >= 0);
                sd_bus_message_unref(m);
        }
        g = acquire(c->bus, "0000:10:10.0", "a{sv}", 0);
        CHECK(streq(g.error, OURS "RateLimited") && strstr(g.text, "16 answers"));
        client_say(c, "full");
        client_hear(c, word);
        CHECK(client_wait(c->bus, &done));
        g = acquire(c->bus, "0000:10:10.0", "a{sv}", 0);
        CHECK(streq(g.error, OURS "DeviceQuotaExceeded")); /* no longer the calls */
}

/* Proves: one user awaits CALLS_UID_MAX answers at most; another user's call goes through meanwhile; all are answered. */
static void test_calls_in_progress(void **state)
{
        Fixture *f = *state;
        Peer peer;
        char word[64];

        for (unsigned i = 0; i < CALLS_UID_MAX; i++)
                (void)broker_tell(f, "hang 0000:10:%02x.0 1", i);
        peer = peer_ready(f, UID_BLUE, fills_calls, NULL, word);
        run_as(f, UID_RED, calls_once, OURS "DeniedByPolicy");
        for (unsigned i = 0; i < CALLS_UID_MAX; i++)
                (void)broker_tell(f, "hang 0000:10:%02x.0 0", i);
        peer_finish(&peer);
        broker_await(f, "leases", "0");
}

static void connects_often(Client *c, const void *arg)
{
        unsigned n = *(const unsigned *)arg;
        sd_bus **buses = calloc(n, sizeof(*buses));
        char word[64];

        CHECK(buses);
        for (unsigned i = 0; i < n; i++) {
                buses[i] = client_connect(c->fixture);
                CHECK(streq(call_error(buses[i], "/org/vfiobroker1", "org.vfiobroker1.Manager",
                                       "ListDevices", NULL),
                            ""));
        }
        /* The first was forgotten, and is known again when it calls. */
        CHECK(streq(call_error(buses[0], "/org/vfiobroker1", "org.vfiobroker1.Manager", "ListDevices", NULL),
                    ""));
        client_say(c, "connected");
        client_hear(c, word);
        for (unsigned i = 0; i < n; i++)
                sd_bus_flush_close_unref(buses[i]);
        free(buses);
}

/* Proves: of one user CALLERS_UID_MAX connections are remembered and no more, and all still work. */
static void test_callers_of_one_user(void **state)
{
        Fixture *f = *state;
        unsigned n = CALLERS_UID_MAX + 6;
        char word[64];
        Peer peer = peer_ready(f, UID_BLUE, connects_often, &n, word);

        assert_int_equal(broker_count(f, "callers"), CALLERS_UID_MAX);
        run_as(f, UID_RED, calls_once, OURS "DeniedByPolicy");
        peer_finish(&peer);
        broker_await(f, "callers", "0");
}

/* Users that every Debian has, with CALLERS_UID_MAX connections each: more than CALLERS_MAX together. */
static const uid_t users[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 33, 34, 38, 39, 65534, 0 };

/* Proves: of all users together CALLERS_MAX connections are remembered; every end is noticed, whether a match of its own
 * or the common one tells of it. */
static void test_callers_of_all(void **state)
{
        Fixture *f = *state;
        unsigned n = CALLERS_UID_MAX;
        Peer peers[ELEMENTSOF(users)];
        char word[64], expected[16];

        for (size_t i = 0; i < ELEMENTSOF(users); i++) {
                peers[i] = peer_ready(f, users[i], connects_often, &n, word);
        }
        assert_int_equal(broker_count(f, "callers"), CALLERS_MAX);
        for (size_t i = 0; i < ELEMENTSOF(users); i++) {
                peer_finish(&peers[i]);
                if (i == 12) {
                        /* The last four are left, the ones under the common match among them. */
                        (void)snprintf(expected, sizeof(expected), "%u", 4 * CALLERS_UID_MAX);
                        broker_await(f, "callers", expected);
                }
        }
        broker_await(f, "callers", "0");
}

static void holds_by_connection(Client *c, const void *arg)
{
        const unsigned n = CALLERS_UID_MAX;
        sd_bus *holder = client_connect(c->fixture), *others[CALLERS_UID_MAX];
        Grant g = acquire(holder, DEVICE_BLUE, "a{sv}", 1, "lifetime", "s", "connection");

        CHECK(streq(g.error, ""));
        for (unsigned i = 0; i < n; i++) {
                others[i] = client_connect(c->fixture);
                CHECK(streq(call_error(others[i], "/org/vfiobroker1", "org.vfiobroker1.Manager",
                                       "ListDevices", NULL),
                            ""));
        }
        client_say(c, "held");
        sd_bus_flush_close_unref(holder);
        client_hear(c, (char[64]){});
        for (unsigned i = 0; i < n; i++)
                sd_bus_flush_close_unref(others[i]);
}

/* Proves: a connection that holds a lease is not forgotten, however little it is used: its end still ends the lease. */
static void test_holder_is_not_forgotten(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer peer = peer_ready(f, UID_BLUE, holds_by_connection, NULL, word);

        broker_await(f, "state " DEVICE_BLUE, "available");
        peer_finish(&peer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_rate, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_calls_in_progress, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_callers_of_one_user, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_callers_of_all, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_holder_is_not_forgotten, fixture_setup,
                                                fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
