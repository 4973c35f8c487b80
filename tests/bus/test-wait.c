/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Option wait of Acquire: callers in separate processes, whose calls are answered when the device is free, in the order
 * of their coming, or when their time is over. */

#include <time.h>

#include "tests/bus/fixture.h"

#define WAIT_LONG ((uint64_t)PATIENCE_USEC)

static void holds(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "wait", "t", WAIT_LONG);
        char word[64];

        CHECK(streq(g.error, ""));
        CHECK(g.n_fds == 2 && streq(g.fds[1].id, DEVICE_BLUE));
        client_say(c, "has it");
        client_hear(c, word);
}

static Peer starts_waiting(Fixture *f, unsigned n)
{
        Peer peer = peer_start(f, UID_BLUE, holds, NULL);
        char count[16];

        (void)snprintf(count, sizeof(count), "%u", n);
        broker_await(f, "waiters", count);
        return peer;
}

static void sees_waiting(Client *c, const void *arg)
{
        uint32_t n = UINT32_MAX;

        CHECK(sd_bus_get_property_trivial(c->bus, MANAGER, "Waiting", NULL, 'u', &n) >= 0);
        CHECK(n == *(const uint32_t *)arg);
}

/* Between a device that is free again and the reply to the one who waits for it, the time that is the broker's. */
#define GRANT_USEC_MAX 50000U

/* Proves: ten wait for one device; each gets it when the one before has ended, in their order, and soon. */
static void test_in_order(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer peers[10], holder = peer_ready(f, UID_BLUE, holds, NULL, word);

        for (unsigned i = 0; i < 10; i++)
                peers[i] = starts_waiting(f, i + 1);
        run_as(f, UID_BLUE, sees_waiting, &(uint32_t){ 10 });
        run_as(f, UID_ADMIN, sees_waiting, &(uint32_t){ 10 });
        run_as(f, UID_RED, sees_waiting, &(uint32_t){ 0 });
        peer_kill(&holder);
        for (unsigned i = 0; i < 10; i++) {
                peer_hear(peers + i, word);
                assert_int_equal(broker_count(f, "waiters"), 9 - i);
                assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
                peer_finish(peers + i);
        }
        broker_await(f, "state " DEVICE_BLUE, "available");
        broker_await(f, "callers", "0");
        assert_in_range(broker_count(f, "longest-grant"), 1, GRANT_USEC_MAX);
}

static void waits_in_vain(Client *c, const void *arg)
{
        struct timespec before, after;
        Grant g;

        (void)clock_gettime(CLOCK_MONOTONIC, &before);
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "wait", "t", (uint64_t)300000);
        (void)clock_gettime(CLOCK_MONOTONIC, &after);
        CHECK(streq(g.error, OURS "DeviceTaken"));
        CHECK(after.tv_sec - before.tv_sec + (double)(after.tv_nsec - before.tv_nsec) / 1e9 >= 0.3);
        /* What no waiting helps against is refused at once. */
        g = acquire(c->bus, "0000:01:99.0", "a{sv}", 1, "wait", "t", WAIT_LONG);
        CHECK(streq(g.error, OURS "NoSuchDevice"));
        g = acquire(c->bus, DEVICE_RED, "a{sv}", 1, "wait", "t", WAIT_LONG);
        CHECK(streq(g.error, OURS "DeniedByPolicy"));
}

/* Proves: the refusal comes when the time is over, not before; only a taken device is waited for. */
static void test_timeout(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer holder = peer_ready(f, UID_BLUE, holds, NULL, word);

        run_as(f, UID_BLUE, waits_in_vain, NULL);
        assert_int_equal(broker_count(f, "waiters"), 0);
        peer_finish(&holder);
}

/* Proves: who is killed while it waits is out of the queue, and the next is served. */
static void test_killed(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer holder = peer_ready(f, UID_BLUE, holds, NULL, word), first, second;

        first = starts_waiting(f, 1);
        second = starts_waiting(f, 2);
        peer_kill(&first);
        broker_await(f, "waiters", "1");
        peer_kill(&holder);
        peer_hear(&second, word);
        peer_finish(&second);
        broker_await(f, "leases", "0");
}

/* `arg`: the error. */
static void is_refused_later(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "wait", "t", WAIT_LONG);

        CHECK(streq(g.error, arg));
}

/* Proves: what a reload takes from the tenant it no longer waits for. */
static void test_reload(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer holder = peer_ready(f, UID_BLUE, holds, NULL, word), waiter;

        waiter = peer_start(f, UID_BLUE, is_refused_later, OURS "DeniedByPolicy");
        broker_await(f, "waiters", "1");
        fixture_policy(f, "[tenant blue]\nmatch-user = 1\ndevices = pci:" DEVICE_BLUE_2 "\n");
        fixture_reload(f);
        peer_end(&waiter);
        assert_int_equal(broker_count(f, "waiters"), 0);
        peer_finish(&holder);
}

/* Proves: who waits for a device that is removed hears at once that there is none, though its lease is not over yet. */
static void test_removed(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer holder = peer_ready(f, UID_BLUE, holds, NULL, word), waiter;

        waiter = peer_start(f, UID_BLUE, is_refused_later, OURS "NoSuchDevice");
        broker_await(f, "waiters", "1");
        (void)broker_tell(f, "let-go " DEVICE_BLUE);
        assert_int_equal(broker_count(f, "waiters"), 1); /* it may stay, without its driver */
        (void)broker_tell(f, "remove " DEVICE_BLUE);
        peer_end(&waiter);
        broker_await(f, "leases", "0");
        (void)broker_tell(f, "add " DEVICE_BLUE " 1 vfio-pci");
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "available");
        peer_finish(&holder);
}

/* Proves: a reload disturbs nobody whom it does not concern. Who is being served is, under the terms of its plan; who waits
 * keeps its place. */
static void test_reload_meanwhile(void **state)
{
        static const char without[] = "[tenant blue]\nmatch-user = 1\ndevices = pci:" DEVICE_BLUE_2 "\n";
        static const char with[] =
                "[tenant blue]\nmatch-user = 1\ndevices = pci:0000:01:*\nleases-max = 9\n";
        Fixture *f = *state;
        Peer opening, first, second;
        char word[64];

        (void)broker_tell(f, "hang " DEVICE_BLUE " 1");
        opening = peer_start(f, UID_BLUE, holds, NULL);
        broker_await(f, "jobs", "1");
        first = starts_waiting(f, 1);
        second = starts_waiting(f, 2);
        fixture_policy(f, with);
        fixture_reload(f);
        assert_int_equal(broker_count(f, "waiters"), 2);
        (void)broker_tell(f, "hang " DEVICE_BLUE " 0");
        peer_hear(&opening, word);
        peer_kill(&opening);
        peer_hear(&first, word);
        assert_int_equal(broker_count(f, "waiters"), 1);
        peer_kill(&first);
        peer_hear(&second, word);
        peer_finish(&second);
        broker_await(f, "leases", "0");

        (void)broker_tell(f, "hang " DEVICE_BLUE " 1");
        opening = peer_start(f, UID_BLUE, holds, NULL);
        broker_await(f, "jobs", "1");
        fixture_policy(f, without);
        fixture_reload(f);
        (void)broker_tell(f, "hang " DEVICE_BLUE " 0");
        peer_hear(&opening, word);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
        peer_finish(&opening);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = { TEST(in_order), TEST(timeout),          TEST(killed),
                                            TEST(reload),   TEST(reload_meanwhile), TEST(removed) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
