/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/holder.c: one process, its leases, and its RLIMIT_MEMLOCK: the limit from before + what its active leases
 * commit + one slack, and what it was after the last. */

#include "tests/unit/core-fixture.h"

#include <utlist.h>

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"

static const char *const ids[] = { D1, D2, D3 };

static void add_devices(Core *core)
{
        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                (void)core_device(core, ids[i], (int)i + 1, "vfio-pci");
}

static void end(Core *core, Lease *lease)
{
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check(core);
}

static void assert_limit(const FakeProcess *process, uint64_t soft, uint64_t hard)
{
        assert_true(process->limit.soft == soft);
        assert_true(process->limit.hard == hard);
}

/* Three leases of one process, ended in every order: the slack counts once, and the limit is what it was in the end. */
static void test_sums(void **state)
{
        static const unsigned orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                              { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
        static const uint64_t memlock[] = { 64 * MIB, 0, 256 * MIB };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        add_devices(core);
        for (size_t i = 0; i < ELEMENTSOF(orders); i++) {
                uint64_t sum = 8 * MIB + MIB;
                Lease *leases[3];

                for (size_t k = 0; k < 3; k++) {
                        leases[k] = GRANT(core, vmm, { ids[k] }, .memlock = memlock[k]);
                        sum += memlock[k];
                        assert_limit(vmm, sum, sum);
                }
                assert_ptr_equal(leases[0]->holder, leases[2]->holder);
                for (size_t k = 0; k < 3; k++) {
                        end(core, leases[orders[i][k]]);
                        sum -= memlock[orders[i][k]];
                        if (k < 2)
                                assert_limit(vmm, sum, sum);
                }
                assert_limit(vmm, 8 * MIB, 8 * MIB);
                core_check_idle(core);
        }
}

/* --- four leases of one process, each ended in a way of its own, in every order, with a restart of the daemon at any point --- */

#define N 4
static const char *const four[N] = { D1, D2, D3, "0000:04:00.0" };
static const uint64_t four_memlock[N] = { 64 * MIB, 0, 256 * MIB, 4096 };

static void end_one(Core *core, unsigned which, const char *id)
{
        Lease *lease = broker_lease(core->broker, id);

        assert_non_null(lease);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        switch (which) {
        case 0: broker_lease_end(core->broker, lease, END_RELEASED); break;
        case 1: broker_owner_gone(core->broker, 40 + which); break;
        case 2: broker_lease_end(core->broker, lease, END_REVOKED); break;
        case 3: broker_device_remove(core->broker, four[which]); break;
        }
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_null(broker_lease(core->broker, id));
}

static void run_order(Core *core, FakeProcess *vmm, const unsigned order[N], unsigned restart_before)
{
        uint64_t sum = 9 * MIB;
        char held[N][LEASE_ID_MAX];

        for (unsigned i = 0; i < N; i++) {
                (void)core_device(core, four[i], (int)i + 1, "vfio-pci");
                memcpy(held[i],
                       GRANT(core, vmm, { four[i] }, .memlock = four_memlock[i], .owner = 40 + i,
                             .lifetime = i == 1 ? LIFETIME_CONNECTION : LIFETIME_PROCESS)
                               ->id,
                       LEASE_ID_MAX);
                sum += four_memlock[i];
        }
        for (unsigned i = 0; i < N; i++) {
                if (restart_before == i) {
                        core_restart(core);
                        for (unsigned k = i; k < N; k++)
                                broker_lease_owned(broker_lease(core->broker, held[order[k]]),
                                                   40 + order[k]);
                }
                assert_limit(vmm, sum, sum);
                end_one(core, order[i], held[order[i]]);
                sum -= four_memlock[order[i]];
        }
        assert_limit(vmm, 8 * MIB, 8 * MIB);
        core_check_idle(core);
}

static void test_every_order(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        unsigned n = 0;

        for (unsigned code = 0; code < N * N * N * N; code++) {
                unsigned order[N], seen = 0, rest = code;

                for (unsigned i = 0; i < N; i++, rest /= N) {
                        order[i] = rest % N;
                        seen |= 1U << order[i];
                }
                if (seen != (1U << N) - 1)
                        continue;
                n++;
                for (unsigned restart_before = 0; restart_before <= N; restart_before++)
                        run_order(core, vmm, order, restart_before);
        }
        assert_int_equal(n, 24);
}

/* The process ends with all of them, also where some ended before, on either side of a restart: nothing is committed, and
 * another process that has its number is not touched. */
static void test_all_at_once(void **state)
{
        Core *core = *state;

        for (unsigned restarts = 0; restarts < 2; restarts++) {
                FakeProcess *vmm = core_process(core, 100, UID_BLUE);

                for (unsigned i = 0; i < 3; i++) {
                        (void)core_device(core, four[i], (int)i + 1, "vfio-pci");
                        (void)GRANT(core, vmm, { four[i] }, .memlock = MIB);
                }
                end(core, broker_device(core->broker, D2)->lease);
                if (restarts)
                        core_restart(core);
                assert_true(core->broker->memlock_committed == 2 * MIB);
                fake_host_end_process(core->fake, vmm);
                (void)fake_host_run(core->fake);
                assert_true(core->broker->memlock_committed == 0);
                core_check_idle(core);
                fake_host_remove_process(core->fake, vmm);
                vmm = core_process(core, 100, UID_BLUE);
                assert_limit(vmm, 8 * MIB, 8 * MIB);
                fake_host_remove_process(core->fake, vmm);
        }
}

/* The slack is the largest of those that the process's leases were granted under, also by two tenants. */
static void test_slack(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BOTH);
        Lease *blue, *red;

        core_set_policy(core,
                        POLICY_HEAD "[tenant red]\nmatch-user = 2003\ndevices = any\nmemlock-slack = 5M\n");
        add_devices(core);
        blue = GRANT(core, vmm, { D1 }, .tenant = "blue", .memlock = 10 * MIB);
        assert_limit(vmm, 19 * MIB, 19 * MIB);
        red = GRANT(core, vmm, { D2 }, .tenant = "red", .memlock = 10 * MIB);
        assert_limit(vmm, 33 * MIB, 33 * MIB);
        end(core, red);
        assert_limit(vmm, 19 * MIB, 19 * MIB);
        end(core, blue);
        assert_limit(vmm, 8 * MIB, 8 * MIB);
}

/* No memory and no slack: nothing to raise, and the limit is left as it is. */
static void test_nothing(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *first, *second;

        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = any\nmemlock-slack = 0\n");
        add_devices(core);
        vmm->limit = (MemlockLimit){ 3 * MIB, 5 * MIB };
        first = GRANT(core, vmm, { D1 });
        assert_limit(vmm, 3 * MIB, 5 * MIB);
        /* Exactly what was asked for, without slack: the page after it is not to be had. */
        second = GRANT(core, vmm, { D2 }, .memlock = MIB);
        assert_limit(vmm, 4 * MIB, 5 * MIB);
        end(core, second);
        assert_limit(vmm, 3 * MIB, 5 * MIB);
        end(core, first);
        assert_limit(vmm, 3 * MIB, 5 * MIB);
}

/* Soft and hard limits from before: the hard one moves only where it has to, and no limit stays none. */
static void test_base(void **state)
{
        static const struct {
                MemlockLimit base, raised;
        } cases[] = {
                { { 0, 0 }, { 3 * MIB, 3 * MIB } },
                { { 8 * MIB, 8 * MIB }, { 11 * MIB, 11 * MIB } },
                { { 8 * MIB, 64 * MIB }, { 11 * MIB, 64 * MIB } },
                { { 8 * MIB, UINT64_MAX }, { 11 * MIB, UINT64_MAX } },
                { { UINT64_MAX, UINT64_MAX }, { UINT64_MAX, UINT64_MAX } },
                { { UINT64_MAX - MIB, UINT64_MAX - MIB }, { UINT64_MAX, UINT64_MAX } },
        };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        add_devices(core);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Lease *lease;

                vmm->limit = cases[i].base;
                lease = GRANT(core, vmm, { D1 }, .memlock = 2 * MIB);
                assert_limit(vmm, cases[i].raised.soft, cases[i].raised.hard);
                end(core, lease);
                assert_limit(vmm, cases[i].base.soft, cases[i].base.hard);
        }
}

/* Sums that overflow saturate; nothing wraps to a small limit, and the way back is exact. */
static void test_overflow(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *leases[3];

        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = any\nmemlock-slack = 16777215T\n"
                              "[broker]\nmemlock-max = 16777215T\n");
        add_devices(core);
        leases[0] = GRANT(core, vmm, { D1 }, .memlock = UINT64_MAX / 2);
        assert_limit(vmm, UINT64_MAX, UINT64_MAX);
        leases[1] = GRANT(core, vmm, { D2 }, .memlock = UINT64_MAX / 4);
        leases[2] = GRANT(core, vmm, { D3 }, .memlock = 1);
        assert_limit(vmm, UINT64_MAX, UINT64_MAX);
        for (size_t i = 0; i < 3; i++)
                end(core, leases[i]);
        assert_limit(vmm, 8 * MIB, 8 * MIB);
        core_check_idle(core);
}

/* The limit cannot be raised for a second lease: the first keeps what it has. */
static void test_second_fails(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;

        add_devices(core);
        lease = GRANT(core, vmm, { D1 }, .memlock = 10 * MIB);
        vmm->memlock_error = EPERM;
        (void)core_fails(core, &(Ask){ vmm, { D2 }, .memlock = 10 * MIB }, -EPERM);
        assert_true(lease->holder->committed == 10 * MIB);
        vmm->memlock_error = 0;
        assert_limit(vmm, 19 * MIB, 19 * MIB);
        end(core, lease);
        assert_limit(vmm, 8 * MIB, 8 * MIB);
}

/* The limit cannot be put back: an operator is told, and the raised one does not become the base of the next lease. */
static void test_put_back_fails(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *first;
        Answer answer = {};

        add_devices(core);
        first = GRANT(core, vmm, { D1 }, .memlock = 10 * MIB);
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D2 }, .memlock = 20 * MIB }, &answer), 0);
        vmm->memlock_error = EPERM;
        broker_lease_end(core->broker, first, END_RELEASED);
        assert_non_null(strstr(core->last_event[EVENT_TROUBLE], "cannot be put back"));
        vmm->memlock_error = 0;
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_limit(vmm, 29 * MIB, 29 * MIB);
        end(core, answer.lease);
        assert_limit(vmm, 8 * MIB, 8 * MIB);
}

/* A process that has gone meanwhile is no trouble. */
static void test_process_gone(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;

        add_devices(core);
        lease = GRANT(core, vmm, { D1 }, .memlock = MIB);
        vmm->alive = false;
        end(core, lease);
        assert_int_equal(core->events[EVENT_TROUBLE], 0);
        core_check_idle(core);
}

/* While one lease is opened and another ends, the limit counts who is active. */
static void test_end_while_opening(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *first;
        Answer answer = {};

        add_devices(core);
        first = GRANT(core, vmm, { D1 }, .memlock = 10 * MIB);
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D2 }, .memlock = 20 * MIB }, &answer), 0);
        assert_limit(vmm, 19 * MIB, 19 * MIB);
        broker_lease_end(core->broker, first, END_RELEASED);
        assert_limit(vmm, 8 * MIB, 8 * MIB);
        core_check(core);
        (void)fake_host_run(core->fake);
        assert_limit(vmm, 29 * MIB, 29 * MIB);
        end(core, answer.lease);
        assert_limit(vmm, 8 * MIB, 8 * MIB);
}

/* A recycled pid is another process: its own holder, its own limit. */
static void test_recycled_pid(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *old, *new;
        Holder *holder;
        unsigned n = 0;

        add_devices(core);
        old = GRANT(core, vmm, { D1 }, .memlock = MIB, .lifetime = LIFETIME_EXPLICIT, .admin = true);
        vmm->facts.start_time += 7; /* the one with this pid now; the fake has one pidfd for both */
        vmm->limit = (MemlockLimit){ MIB, MIB };
        new = GRANT(core, vmm, { D2 }, .memlock = MIB);
        assert_ptr_not_equal(old->holder, new->holder);
        DL_FOREACH(core->broker->holders, holder)
                n++;
        assert_int_equal(n, 2);
        assert_limit(vmm, 3 * MIB, 3 * MIB);
}

/* The pidfd of the holder is a dup: the caller's may be closed. */
static void test_pidfd_is_dup(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;

        add_devices(core);
        lease = GRANT(core, vmm, { D1 });
        assert_int_not_equal(lease->holder->pidfd, vmm->pidfd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(every_order),  TEST(all_at_once),       TEST(sums),
                TEST(slack),        TEST(nothing),           TEST(base),
                TEST(overflow),     TEST(second_fails),      TEST(put_back_fails),
                TEST(process_gone), TEST(end_while_opening), TEST(recycled_pid),
                TEST(pidfd_is_dup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
