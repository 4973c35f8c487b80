/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/linger.c: for whom a device stays reserved, how long, and what ends it before. */

#include "daemon/core/linger.h"
#include "daemon/core/wait.h"
#include "tests/unit/core-fixture.h"

#define D3 "0000:03:00.0"

#define POLICY                                                                                              \
        "[tenant blue]\nmatch-user = 2001\ndevices = any\nlinger = 60s\ndevices-max = 2\n"                  \
        "[tenant red]\nmatch-user = 2002\ndevices = any\nreset = best-effort\n"                             \
        "[pool all]\ndevices = any\n"

static int setup(void **state)
{
        if (core_setup_two(state, POLICY) < 0)
                return -1;
        (void)core_device(*state, D3, 2, "vfio-pci");
        return 0;
}

static Device *device(Core *core, const char *id)
{
        return broker_device(core->broker, id);
}

/* Reserved: proven, reset and idle; taken for red, to the last microsecond; blue may have it. */
static void test_reserved(void **state)
{
        Core *core = *state;
        FakeProcess *red = core_process(core, 1, UID_RED), *blue = core_process(core, 2, UID_BLUE);

        core_crash(core, D1);
        assert_int_equal(device(core, D1)->state, DEVICE_AVAILABLE);
        assert_true(device(core, D1)->clean);
        assert_string_equal(device(core, D1)->state_reason, "reserved for the tenant that had it");
        assert_non_null(strstr(REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 }), "reserved for"));
        broker_lease_end(core->broker, GRANT(core, blue, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        /* Released: no more. */
        assert_string_equal(device(core, D1)->state_reason, "");
        assert_null(core_device_record(core, D1));
        broker_lease_end(core->broker, GRANT(core, red, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);

        core_crash(core, D1);
        fake_host_advance(core->fake, 60 * USEC_PER_SEC - 1);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 });
        assert_non_null(core_device_record(core, D1));
        fake_host_advance(core->fake, 1);
        assert_null(core_device_record(core, D1));
        assert_string_equal(device(core, D1)->state_reason, "");
        core_check_idle(core);
        (void)GRANT(core, red, { D1 });
}

/* What goes with it by its group is not for red either; for blue it is. */
static void test_group(void **state)
{
        Core *core = *state;

        core_crash(core, D2);
        (void)REFUSED(core, RESULT_GROUP_SPLIT, core_process(core, 1, UID_RED), { D3 });
        (void)GRANT(core, core_process(core, 2, UID_BLUE), { D3 });
}

/* No tenant gathers more than it may have by one crash after the other. */
static void test_quota(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 2, UID_BLUE);

        core_crash(core, D1);
        core_crash(core, D2);
        (void)REFUSED(core, RESULT_DEVICE_QUOTA_EXCEEDED, blue, { D3 });
        (void)REFUSED(core, RESULT_DEVICE_QUOTA_EXCEEDED, blue, { D1, D3 });
        assert_int_equal(GRANT(core, blue, { D1, D2 })->n_devices, 2);
        (void)REFUSED(core, RESULT_DEVICE_QUOTA_EXCEEDED, blue, { D3 });
}

/* Its own comes first out of a pool. */
static void test_pool(void **state)
{
        Core *core = *state;

        core_crash(core, D2);
        (void)GRANT(core, core_process(core, 1, UID_RED), { "pool:all" });
        assert_ptr_equal(device(core, D1)->lease->uid == UID_RED ? device(core, D1) : NULL,
                         device(core, D1));
        assert_string_equal(
                GRANT(core, core_process(core, 2, UID_BLUE), { "pool:all" })->devices[0]->info.id, D2);
}

/* Over a restart it goes on for the time that is left, unless policy has changed. */
static void test_restart(void **state)
{
        Core *core = *state;
        FakeProcess *red = core_process(core, 1, UID_RED), *blue = core_process(core, 2, UID_BLUE);

        core_crash(core, D1);
        fake_host_advance(core->fake, 40 * USEC_PER_SEC);
        core_restart(core);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 });
        fake_host_advance(core->fake, 20 * USEC_PER_SEC - 1);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 });
        fake_host_advance(core->fake, 1);
        broker_lease_end(core->broker, GRANT(core, red, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);

        /* Also where it ends the lease in its reclaim, which knows why it is one. */
        broker_lease_end(core->broker, GRANT(core, blue, { D1 }), END_PROCESS_EXITED);
        core_restart(core);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 });
        fake_host_advance(core->fake, 60 * USEC_PER_SEC);
        broker_lease_end(core->broker, GRANT(core, blue, { D1 }), END_RELEASED);
        core_restart(core);
        (void)fake_host_run(core->fake);
        (void)GRANT(core, red, { D1 });
        broker_lease_end(core->broker, device(core, D1)->lease, END_RELEASED);
        (void)fake_host_run(core->fake);

        core_crash(core, D1);
        core_restart_empty(core);
        core->fake->time_usec += 60 * USEC_PER_SEC;
        core_read_records(core);
        (void)GRANT(core, red, { D1 });
}

/* A reload, an administrator and the device's going end it; a waiter of another tenant is served then. */
static void test_ended(void **state)
{
        Core *core = *state;
        FakeProcess *red = core_process(core, 1, UID_RED);
        Answer answer = {};
        Refusal refusal;

        core_crash(core, D1);
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = any\nlinger = 1s\n"
                              "[tenant red]\nmatch-user = 2002\ndevices = any\n");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 }); /* as it was when it began */
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = any\n"
                              "[tenant red]\nmatch-user = 2002\ndevices = any\n");
        assert_null(core_device_record(core, D1));
        broker_lease_end(core->broker, GRANT(core, red, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);

        core_set_policy(core, POLICY);
        core_crash(core, D1);
        assert_int_equal(broker_reset_device(core->broker, D1, core_admin_done, &answer, &refusal), 0);
        (void)fake_host_run(core->fake);
        assert_null(core_device_record(core, D1));
        core_check_idle(core);

        core_crash(core, D1);
        broker_device_remove(core->broker, D1);
        assert_null(device(core, D1));
        core_check_idle(core);
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, red, { D1 });
}

/* It begins when the record says so. */
static void test_no_record(void **state)
{
        Core *core = *state;
        FakeProcess *red = core_process(core, 1, UID_RED);

        core->fail[OP_DEVICE_PUT] = ENOSPC;
        core_crash(core, D1);
        assert_int_equal(device(core, D1)->state, DEVICE_RECLAIMING);
        fake_host_advance(core->fake, 90 * USEC_PER_SEC);
        assert_int_equal(device(core, D1)->state, DEVICE_RECLAIMING);
        core->fail[OP_DEVICE_PUT] = 0;
        core->record_failed = false;
        fake_host_advance(core->fake, USEC_PER_SEC);
        assert_int_equal(device(core, D1)->state, DEVICE_AVAILABLE);
        assert_int_equal(fake_host_n_timers(core->fake), 1);
        fake_host_advance(core->fake, 55 * USEC_PER_SEC);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 });
        fake_host_advance(core->fake, 5 * USEC_PER_SEC);
        assert_int_equal(fake_host_n_timers(core->fake), 0);
        (void)GRANT(core, red, { D1 });
}

/* Without a timer it would never end: then there is none. */
static void test_no_timer(void **state)
{
        Core *core = *state;

        core->fail[OP_TIMER_START] = ENOMEM;
        core_crash(core, D1);
        core->fail[OP_TIMER_START] = 0;
        (void)GRANT(core, core_process(core, 1, UID_RED), { D1 });
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(reserved), TEST(group), TEST(quota),     TEST(pool),
                TEST(restart),  TEST(ended), TEST(no_record), TEST(no_timer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
