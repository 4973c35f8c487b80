/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/wait.c: who is woken, in which order, and when no more. The waiters here ask the core for a device as the
 * bus does for its callers. */

#include "daemon/core/wait.h"
#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"

/* One who waits. */
typedef struct Guest {
        Core *core;
        Ask ask;
        Answer answer;
        char name;
        bool waiting;
} Guest;

static char story
        [256]; /* what happened to whom: 'a' was granted, "a!" timed out, "a-" is gone, "a?" was refused */

static void tell(const Guest *guest, const char *what)
{
        size_t n = strlen(story);

        (void)snprintf(story + n, sizeof(story) - n, "%c%s", guest->name, what);
}

static bool guest_woken(void *userdata, WaitWake wake)
{
        Guest *guest = userdata;
        int r;

        guest->waiting = false;
        if (wake == WAIT_GONE) {
                tell(guest, "-");
                return false;
        }
        guest->ask.wait = wake != WAIT_TIMEOUT;
        r = core_ask(guest->core, &guest->ask, &guest->answer);
        if (r == 0)
                tell(guest, "");
        else if (wake == WAIT_TIMEOUT)
                tell(guest, "!");
        else if (!wait_may_help(r))
                tell(guest, "?");
        else
                guest->waiting = true;
        return guest->waiting;
}

/* Asks for `device`, finds it taken and waits. */
static void guest_waits(Core *core, Guest *guest, char name, FakeProcess *process, const char *device,
                        uint64_t usec)
{
        unsigned refusals = core->events[EVENT_REFUSED];
        Refusal refusal;

        *guest = (Guest){ .core = core, .name = name, .waiting = true };
        guest->ask =
                (Ask){ .process = process, .devices = { device }, .wait = usec, .owner = (uint64_t)name };
        assert_true(wait_may_help(core_ask(core, &guest->ask, &guest->answer)));
        assert_int_equal(core->events[EVENT_REFUSED], refusals); /* it is none yet */
        assert_int_equal(broker_wait(core->broker, (uint64_t)name, usec, guest_woken, guest, &refusal), 0);
}

static int setup(void **state)
{
        story[0] = 0;
        if (core_setup(state) < 0)
                return -1;
        (void)core_device(*state, D1, 1, "vfio-pci");
        (void)core_device(*state, D2, 2, "vfio-pci");
        return 0;
}

/* A tenant that has as many jobs at work as it may waits for room, for a device that is free; it gets it with the end of any of
 * its jobs, a lease that is opened among them. Who does not wait is refused. */
static void test_room(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *next = core_process(core, 101, UID_BLUE);
        Answer answers[TENANT_JOBS_MAX] = {};
        char ids[TENANT_JOBS_MAX][16];
        Guest guest;

        for (int i = 0; i < TENANT_JOBS_MAX; i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "0000:%02x:00.0", i + 3);
                (void)core_device(core, ids[i], i + 3, "vfio-pci");
                fake_host_device(core->fake, ids[i])->hang = true;
                assert_int_equal(core_ask(core, &(Ask){ vmm, { ids[i] } }, answers + i), 0);
        }
        (void)REFUSED(core, RESULT_RATE_LIMITED, next, { D1 });
        guest_waits(core, &guest, 'a', next, D1, USEC_PER_SEC);
        fake_host_advance(core->fake, USEC_PER_SEC / 2);
        assert_string_equal(story, "");
        fake_host_device(core->fake, ids[7])->hang = false;
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "a");
        assert_true(guest.answer.n_calls == 1 && guest.answer.error == 0);
        for (int i = 0; i < TENANT_JOBS_MAX; i++)
                fake_host_device(core->fake, ids[i])->hang = false;
        (void)fake_host_run(core->fake);
        fake_host_end_process(core->fake, vmm);
        fake_host_end_process(core->fake, next);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* Ten for one device, of two tenants: each in its turn, as the one before ends. */
static void test_order(void **state)
{
        Core *core = *state;
        FakeProcess *first = core_process(core, 99, UID_RED);
        Guest guests[10];
        Lease *lease = GRANT(core, first, { D1 });

        for (int i = 0; i < 10; i++)
                guest_waits(core, guests + i, (char)('a' + i),
                            core_process(core, 100 + i, i % 2 ? UID_RED : UID_BLUE), D1, USEC_PER_SEC);
        assert_int_equal(broker_n_waiters(core->broker), 10);
        core_check(core);
        broker_lease_end(core->broker, lease, END_RELEASED);
        for (int i = 0; i < 10; i++) {
                (void)fake_host_run(core->fake);
                assert_int_equal(strlen(story), i + 1);
                assert_int_equal(guests[i].answer.n_calls, 1);
                assert_int_equal(guests[i].answer.error, 0);
                broker_lease_end(core->broker, guests[i].answer.lease, END_RELEASED);
        }
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "abcdefghij");
        assert_int_equal(broker_n_waiters(core->broker), 0);
        core_check_idle(core);
}

/* Nobody waits for what is not what they wait for: the second is served while the first waits on. */
static void test_not_held_back(void **state)
{
        Core *core = *state;
        Lease *one = GRANT(core, core_process(core, 99, UID_RED), { D1 });
        Lease *two = GRANT(core, core_process(core, 98, UID_RED), { D2 });
        Guest both, second;

        guest_waits(core, &both, 'a', core_process(core, 100, UID_BLUE), D1, USEC_PER_SEC);
        both.ask.devices[1] = D2;
        guest_waits(core, &second, 'b', core_process(core, 101, UID_BLUE), D2, USEC_PER_SEC);
        broker_lease_end(core->broker, two, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "b");
        broker_lease_end(core->broker, second.answer.lease, END_RELEASED);
        broker_lease_end(core->broker, one, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "ba");
}

/* The time is over: asked once more, then refused, which is an event. */
static void test_timeout(void **state)
{
        Core *core = *state;
        Guest guests[2];
        Lease *lease = GRANT(core, core_process(core, 99, UID_RED), { D1 });

        guest_waits(core, guests, 'a', core_process(core, 100, UID_BLUE), D1, 5 * USEC_PER_SEC);
        guest_waits(core, guests + 1, 'b', core_process(core, 101, UID_BLUE), D1, 10 * USEC_PER_SEC);
        fake_host_advance(core->fake, 5 * USEC_PER_SEC - 1);
        assert_string_equal(story, "");
        fake_host_advance(core->fake, 1);
        assert_string_equal(story, "a!");
        assert_int_equal(core->events[EVENT_REFUSED], 1);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "a!b");
}

/* Who waits and hears that it is over is refused what it asked for, and who came before is asked before. */
static void test_timeout_in_order(void **state)
{
        Core *core = *state;
        Guest guests[2];
        Lease *lease = GRANT(core, core_process(core, 99, UID_RED), { D1 });

        guest_waits(core, guests, 'a', core_process(core, 100, UID_BLUE), D1, 10 * USEC_PER_SEC);
        guest_waits(core, guests + 1, 'b', core_process(core, 101, UID_BLUE), D1, 5 * USEC_PER_SEC);
        core->fail[OP_TIMER_START] = ENOMEM; /* nobody is woken when it becomes free */
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "");
        fake_host_advance(core->fake, 5 * USEC_PER_SEC);
        assert_string_equal(story, "ab!");
}

/* The connection closes, of one of them. */
static void test_gone(void **state)
{
        Core *core = *state;
        Guest guests[3];
        Lease *lease = GRANT(core, core_process(core, 99, UID_RED), { D1 });

        for (int i = 0; i < 3; i++)
                guest_waits(core, guests + i, (char)('a' + i), core_process(core, 100 + i, UID_BLUE), D1,
                            USEC_PER_SEC);
        broker_owner_gone(core->broker, 'b');
        broker_owner_gone(core->broker, 'a');
        assert_string_equal(story, "b-a-");
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "b-a-c");
        assert_int_equal(broker_n_waiters(core->broker), 0);
}

/* What policy no longer gives is refused at once; a process that ended too, when it is its turn. */
static void test_refused_anew(void **state)
{
        Core *core = *state;
        Guest guests[3];
        FakeProcess *gone = core_process(core, 101, UID_BLUE);
        Lease *lease = GRANT(core, core_process(core, 99, UID_RED), { D1 });

        guest_waits(core, guests, 'a', core_process(core, 100, UID_BLUE), D1, USEC_PER_SEC);
        guest_waits(core, guests + 1, 'b', gone, D1, USEC_PER_SEC);
        guest_waits(core, guests + 2, 'c', core_process(core, 102, UID_RED), D1, USEC_PER_SEC);
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = pci:" D2 "\n"
                              "[tenant red]\nmatch-user = 2002\ndevices = any\n");
        fake_host_end_process(core->fake, gone);
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "a?b?");
        assert_int_equal(guests[0].answer.code, RESULT_DENIED_BY_POLICY);
        assert_int_equal(guests[1].answer.code, RESULT_PROCESS_UNUSABLE);
        assert_int_equal(core->events[EVENT_REFUSED], 2);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "a?b?c");
}

/* Who comes between the end of a lease and the waking finds that the others were served. */
static void test_newcomer(void **state)
{
        Core *core = *state;
        Guest guest;
        Ask ask = { .process = core_process(core, 101, UID_RED), .devices = { D1 } };
        Lease *lease = GRANT(core, core_process(core, 99, UID_RED), { D1 });
        Answer answer = {};

        guest_waits(core, &guest, 'a', core_process(core, 100, UID_BLUE), D1, USEC_PER_SEC);
        broker_lease_end(core->broker, lease, END_RELEASED);
        while (broker_device(core->broker, D1)->lease)
                assert_true(fake_host_step(core->fake));
        broker_serve_waiters(core->broker);
        assert_int_equal(core_ask(core, &ask, &answer), RESULT_DEVICE_TAKEN);
        assert_string_equal(story, "a");
        (void)fake_host_run(core->fake);
        assert_int_equal(guest.answer.error, 0);
}

/* An administrator's work, quarantine and its end, a device that comes: each may be what one waits for. */
static void test_other_ends(void **state)
{
        Core *core = *state;
        Guest guest;
        Answer admin = {};
        Refusal refusal;

        assert_int_equal(broker_unbind_device(core->broker, D1, core_admin_done, &admin, &refusal), 0);
        guest_waits(core, &guest, 'a', core_process(core, 100, UID_BLUE), D1, USEC_PER_SEC);
        (void)fake_host_run(core->fake);
        assert_string_equal(story, "a");
        assert_int_equal(guest.answer.error, 0);
}

/* What makes it not worth asking: a device that somebody has, or works on. */
static void test_vain(void **state)
{
        Core *core = *state;
        const char *const one[] = { D1 }, *const both[] = { D2, D1 },
                          *const others[] = { "pool:x", "nothing" };
        Answer admin = {};
        Refusal refusal;
        Lease *lease;

        assert_false(wait_is_vain(core->broker, both, 2));
        assert_false(wait_is_vain(core->broker, others, 2));
        lease = GRANT(core, core_process(core, 99, UID_RED), { D1 });
        assert_true(wait_is_vain(core->broker, one, 1));
        assert_true(wait_is_vain(core->broker, both, 2));
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_false(wait_is_vain(core->broker, one, 1));
        assert_int_equal(broker_unbind_device(core->broker, D1, core_admin_done, &admin, &refusal), 0);
        assert_true(wait_is_vain(core->broker, one, 1));
        (void)fake_host_run(core->fake);
}

/* At the limit and one past; what is freed with the broker calls nobody. */
static void test_limit(void **state)
{
        Core *core = *state;
        static Guest guests[WAITERS_MAX];
        FakeProcess *process = core_process(core, 100, UID_BLUE);
        Refusal refusal;

        (void)GRANT(core, core_process(core, 99, UID_RED), { D1 });
        for (unsigned i = 0; i < WAITERS_MAX; i++)
                guest_waits(core, guests + i, 'a', process, D1, USEC_PER_SEC);
        assert_int_equal(broker_wait(core->broker, 1, 1, guest_woken, guests, &refusal),
                         RESULT_LIMITS_EXCEEDED);
        assert_non_null(strstr(refusal.text, "256 calls wait"));
        core->fail[OP_TIMER_START] = ENOMEM;
        broker_owner_gone(core->broker, 'a');
        assert_int_equal(broker_n_waiters(core->broker), 0);
        assert_int_equal(broker_wait(core->broker, 1, 1, guest_woken, guests, &refusal), -ENOMEM);
        core->fail[OP_TIMER_START] = 0;
        story[0] = 0;
        guest_waits(core, guests, 'a', process, D1, USEC_PER_SEC);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(room),
                TEST(order),
                TEST(not_held_back),
                TEST(timeout),
                TEST(timeout_in_order),
                TEST(gone),
                TEST(refused_anew),
                TEST(newcomer),
                TEST(other_ends),
                TEST(limit),
                TEST(vain),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
