/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/revoke.c: what the holder is told, what happens at the deadline by each `revoke`, what ends the matter
 * before, and that a restart changes none of it. */

#include "daemon/core/revoke.h"
#include "tests/unit/core-fixture.h"

#define POLICY(revoke)                                                                                      \
        "[broker]\nrevoke-grace = 10s\n"                                                                    \
        "[tenant blue]\nmatch-user = 2001\ndevices = any\nrevoke = " revoke "\n"                            \
        "[tenant red]\nmatch-user = 2002\ndevices = any\n"

static int setup(void **state)
{
        return core_setup_two(state, POLICY("kill"));
}

static void ask_back(Core *core, Lease *lease, uint64_t grace_usec)
{
        Refusal refusal;

        assert_int_equal(broker_lease_revoke(core->broker, lease, NULL, grace_usec, "maintenance", &refusal),
                         0);
        core_check(core);
}

/* What is on its way into a lease that is asked for is not to be had any more: nobody asked for it back. */
static void test_while_adding(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1 });
        Answer answer = {};

        assert_int_equal(core_ask(core, &(Ask){ blue, { D2 }, .lease = lease }, &answer), 0);
        ask_back(core, lease, REVOKE_GRACE_DEFAULT);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.error, RESULT_NO_SUCH_LEASE);
        assert_int_equal(lease->n_devices, 1);
        assert_state(broker_device(core->broker, D2), DEVICE_AVAILABLE);
        fake_host_advance(core->fake, 10 * USEC_PER_SEC);
        core_check_idle(core);
}

static Lease *first_lease(Core *core)
{
        return core->broker->leases;
}

/* Until the deadline the devices are the holder's, to the last microsecond; then it is killed, and they are not. */
static void test_kill(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1, D2 });

        ask_back(core, lease, REVOKE_GRACE_DEFAULT);
        assert_int_equal(lease->state, LEASE_REVOKING);
        assert_int_equal(core->n_revoked, 1);
        assert_int_equal(core->events[EVENT_REVOKED], 1);
        assert_string_equal(lease->revoke_reason, "maintenance");
        assert_true(lease->devices[0]->asked_back && lease->devices[1]->asked_back);
        assert_state(broker_device(core->broker, D1), DEVICE_LEASED);
        assert_int_equal(core_lease_record(core, lease->id)->state, LEASE_REVOKING);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, core_process(core, 2, UID_RED), { D1 });

        fake_host_advance(core->fake, 10 * USEC_PER_SEC - 1);
        assert_true(blue->alive);
        assert_int_equal(lease->state, LEASE_REVOKING);
        fake_host_advance(core->fake, 1);
        assert_true(blue->killed);
        assert_int_equal(core->last_end, END_REVOKED);
        core_check_idle(core);
        assert_false(broker_device(core->broker, D1)->asked_back);
        (void)GRANT(core, core_process(core, 3, UID_RED), { D1 });
}

/* Who gives it back is not killed. */
static void test_given_back(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1 });

        ask_back(core, lease, REVOKE_GRACE_DEFAULT);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        fake_host_advance(core->fake, 60 * USEC_PER_SEC);
        assert_true(blue->alive);
        assert_int_equal(core->last_end, END_RELEASED);

        lease = GRANT(core, blue, { D1 });
        ask_back(core, lease, REVOKE_GRACE_DEFAULT);
        fake_host_end_process(core->fake, blue);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->last_end, END_PROCESS_EXITED);
        core_check_idle(core);
}

/* Of one device: to take it out is enough. */
static void test_one_device(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1, D2 });
        Device *d1 = broker_device(core->broker, D1);
        Refusal refusal;

        assert_int_equal(
                broker_lease_revoke(core->broker, lease, d1, REVOKE_GRACE_DEFAULT, "it goes", &refusal), 0);
        assert_true(d1->asked_back);
        assert_false(broker_device(core->broker, D2)->asked_back);
        assert_int_equal(broker_lease_remove(core->broker, lease, (const char *const[]){ D2 }, 1, &refusal),
                         0);
        assert_int_equal(lease->state, LEASE_REVOKING);
        (void)fake_host_run(core->fake);
        core_check(core);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);

        lease = GRANT(core, blue, { D1, D2 });
        assert_int_equal(
                broker_lease_revoke(core->broker, lease, d1, REVOKE_GRACE_DEFAULT, "it goes", &refusal), 0);
        assert_int_equal(broker_lease_remove(core->broker, lease, (const char *const[]){ D1 }, 1, &refusal),
                         0);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_int_equal(lease->revoke_until, 0);
        assert_int_equal(core_lease_record(core, lease->id)->state, LEASE_ACTIVE);
        fake_host_advance(core->fake, 60 * USEC_PER_SEC);
        core_check(core);
        assert_true(blue->alive);
        assert_int_equal(lease->state, LEASE_ACTIVE);

        /* Kept, it costs the lease. */
        assert_int_equal(broker_lease_remove(core->broker, lease, (const char *const[]){ D1 }, 1, &refusal),
                         RESULT_NO_SUCH_DEVICE);
        assert_int_equal(broker_lease_revoke(core->broker, lease, broker_device(core->broker, D2), 0,
                                             "it goes", &refusal),
                         0);
        fake_host_advance(core->fake, 1);
        assert_int_equal(core->last_end, END_DEVICE_REMOVED);
        assert_true(blue->killed);
        core_check_idle(core);
}

/* Asked again: the new deadline counts, earlier or later. */
static void test_again(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1 });

        ask_back(core, lease, USEC_PER_SEC);
        ask_back(core, lease, 20 * USEC_PER_SEC);
        assert_int_equal(core->n_revoked, 2);
        fake_host_advance(core->fake, 19 * USEC_PER_SEC);
        assert_true(blue->alive);
        ask_back(core, lease, 0);
        assert_int_equal(fake_host_n_timers(core->fake), 1);
        fake_host_advance(core->fake, 1);
        assert_true(blue->killed);
        core_check_idle(core);
}

static void test_never(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease;

        core_set_policy(core, POLICY("never"));
        lease = GRANT(core, blue, { D1 });
        ask_back(core, lease, USEC_PER_SEC);
        fake_host_advance(core->fake, 60 * USEC_PER_SEC);
        assert_true(blue->alive);
        assert_int_equal(lease->state, LEASE_REVOKING);
        assert_int_equal(core->events[EVENT_REVOKED], 2);
        assert_non_null(strstr(core->last_event[EVENT_REVOKED], "never"));
        core_check(core);
        /* Policy of today decides, not that of the grant. */
        core_set_policy(core, POLICY("kill"));
        ask_back(core, lease, 0);
        fake_host_advance(core->fake, 1);
        assert_true(blue->killed);
}

/* Of a tenant that policy has no more, its last rule. */
static void test_tenant_gone(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease;

        core_set_policy(core, POLICY("never"));
        lease = GRANT(core, blue, { D1 });
        core_set_policy(core, "[tenant red]\nmatch-user = 2002\ndevices = any\n");
        ask_back(core, lease, 0);
        fake_host_advance(core->fake, 1);
        assert_true(blue->alive);
        assert_int_equal(lease->state, LEASE_REVOKING);
}

/* The unit, and where that cannot be, the process; either way the lease is over. */
static void test_unit(void **state)
{
        Core *core = *state;

        core_set_policy(core, POLICY("kill-unit"));
        for (int how = 0; how < 3; how++) {
                FakeProcess *blue = core_process(core, 10 + how, UID_BLUE);
                Lease *lease = GRANT(core, blue, { D1 });
                unsigned troubles = core->events[EVENT_TROUBLE];

                blue->unit = how == 0 ? NULL : "vm-blue.service";
                core->fake->unit_kill_error = how == 2 ? ETIMEDOUT : 0;
                ask_back(core, lease, 0);
                fake_host_advance(core->fake, 1);
                if (how != 0)
                        assert_ptr_equal(lease, first_lease(core)); /* it is systemd's turn */
                fake_host_advance(core->fake, USEC_PER_SEC);
                assert_true(blue->killed);
                assert_int_equal(core->last_end, END_REVOKED);
                assert_int_equal(core->events[EVENT_TROUBLE] - troubles, how == 1 ? 0 : 1);
                core_check_idle(core);
        }
}

/* A lease of `blue`, of a unit that systemd was asked to kill and has not answered yet. */
static Lease *asked_systemd(Core *core, FakeProcess *blue)
{
        Lease *lease;

        core_set_policy(core, POLICY("kill-unit"));
        blue->unit = "vm-blue.service";
        lease = GRANT(core, blue, { D1 });
        ask_back(core, lease, 0);
        fake_host_advance(core->fake, 1);
        assert_non_null(lease->unit_kill);
        return lease;
}

/* The lease ends meanwhile: nobody is told, nothing is freed twice. */
static void test_unit_disowned(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = asked_systemd(core, blue);

        ask_back(core, lease, 60 * USEC_PER_SEC); /* too late to put it off */
        broker_lease_end(core->broker, lease, END_RELEASED);
        fake_host_advance(core->fake, USEC_PER_SEC);
        assert_true(blue->killed);
        core_check_idle(core);
}

/* The end of the process is heard of before systemd's answer. */
static void test_unit_first(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);

        (void)asked_systemd(core, blue);
        fake_host_end_process(core->fake, blue);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->last_end, END_REVOKED);
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
}

static void test_opening(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Answer answer = {};

        assert_int_equal(core_ask(core, &(Ask){ .process = blue, .devices = { D1 } }, &answer), 0);
        ask_back(core, first_lease(core), REVOKE_GRACE_DEFAULT);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.code, RESULT_NO_SUCH_LEASE);
        assert_int_equal(core->n_revoked, 0);
        assert_true(blue->alive);
        core_check_idle(core);
}

static void test_refused(void **state)
{
        Core *core = *state;
        Lease *lease = GRANT(core, core_process(core, 1, UID_BLUE), { D1 });
        Refusal refusal;

        assert_int_equal(broker_lease_revoke(core->broker, lease, NULL, REVOKE_GRACE_MAX + 1, "", &refusal),
                         RESULT_INVALID_ARGS);
        core->fail[OP_TIMER_START] = ENOMEM;
        assert_int_equal(broker_lease_revoke(core->broker, lease, NULL, 0, "", &refusal), -ENOMEM);
        core->fail[OP_TIMER_START] = 0;
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_int_equal(core->n_revoked, 0);
        fake_host_device(core->fake, D1)->hang = true;
        ask_back(core, lease, 60 * USEC_PER_SEC);
        assert_true(lease->revoke_until > 0);
        broker_lease_end(core->broker, lease, END_RELEASED);
        assert_int_equal(lease->revoke_until, 0);
        assert_int_equal(broker_lease_revoke(core->broker, lease, NULL, 0, "", &refusal),
                         RESULT_NO_SUCH_LEASE);
        fake_host_fail_jobs(core->fake, EIO);
}

/* The deadline is the same after a restart, the holder is told again, and one that passed meanwhile is over. */
static void test_restart(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1, D2 });
        Refusal refusal;

        assert_int_equal(broker_lease_revoke(core->broker, lease, broker_device(core->broker, D2),
                                             10 * USEC_PER_SEC, "it goes", &refusal),
                         0);
        fake_host_advance(core->fake, 4 * USEC_PER_SEC);
        core_restart(core);
        lease = first_lease(core);
        assert_int_equal(lease->state, LEASE_REVOKING);
        assert_int_equal(core->n_revoked, 2);
        assert_string_equal(lease->revoke_reason, "it goes");
        assert_false(broker_device(core->broker, D1)->asked_back);
        assert_true(broker_device(core->broker, D2)->asked_back);
        core_check(core);
        fake_host_advance(core->fake, 6 * USEC_PER_SEC - 1);
        assert_true(blue->alive);
        fake_host_advance(core->fake, 1);
        assert_true(blue->killed);
        assert_int_equal(core->last_end, END_DEVICE_REMOVED);
        core_check_idle(core);

        blue = core_process(core, 2, UID_BLUE);
        ask_back(core, GRANT(core, blue, { D1 }), USEC_PER_SEC);
        core_restart_empty(core);
        core->fake->time_usec += 60 * USEC_PER_SEC;
        core_read_records(core);
        fake_host_advance(core->fake, 1);
        assert_true(blue->killed);
        core_check_idle(core);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_kill, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_given_back, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_one_device, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_again, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_never, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_tenant_gone, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_unit, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_unit_disowned, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_unit_first, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_opening, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_while_adding, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_restart, setup, core_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
