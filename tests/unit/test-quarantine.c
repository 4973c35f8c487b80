/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Quarantine as vfiobrokerd(8) has it: every reason for it, what is no way out of it, over restarts in between, and every
 * way out. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"

static const char policy[] = "[tenant blue]\nmatch-user = 2001\ndevices = any\nreset = %s\n";

typedef enum Cause {
        BEFORE_A_LEASE,
        RESET_AFTER_A_LEASE,
        NOT_PROVABLE,
        WORKER_DIES,
        DRIVER_AFTER_A_LEASE,
        ADMIN_RESET,
        ADMIN_FINDS_IT_OPEN,
        _CAUSE_MAX,
} Cause;

static const char *const reasons[] = {
        [BEFORE_A_LEASE] = "the reset before a lease failed",
        [RESET_AFTER_A_LEASE] = "reset failed",
        [NOT_PROVABLE] = "it cannot be proven free",
        [WORKER_DIES] = "the worker that was to prove it free failed",
        [DRIVER_AFTER_A_LEASE] = "bind-driver failed",
        [ADMIN_RESET] = "reset failed",
        [ADMIN_FINDS_IT_OPEN] = "has it open",
};

static int ask_admin(Core *core, int (*call)(Broker *, const char *, AdminDone, void *, Refusal *))
{
        Answer answer = {};
        Refusal refusal;
        int r;

        r = call(core->broker, D1, core_admin_done, &answer, &refusal);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, r == 0);
        return r != 0 ? r : answer.error;
}

static int bind_device(Broker *broker, const char *id, AdminDone done, void *userdata, Refusal *refusal)
{
        return broker_bind_device(broker, id, "", done, userdata, refusal);
}

static void put_there(Core *core, FakeProcess *vmm, Cause cause)
{
        FakeDevice *fake = fake_host_device(core->fake, D1);
        bool leased = cause != BEFORE_A_LEASE && cause != ADMIN_RESET && cause != ADMIN_FINDS_IT_OPEN;
        Lease *lease = leased ? GRANT(core, vmm, { D1 }) : NULL;

        if (cause == BEFORE_A_LEASE || cause == RESET_AFTER_A_LEASE || cause == ADMIN_RESET) {
                fake->reset = RESET_FAILED;
                fake->reset_errno = EIO;
        }
        fake->prove_error = cause == NOT_PROVABLE ? ENODEV : cause == ADMIN_FINDS_IT_OPEN ? EBUSY : 0;
        if (cause == DRIVER_AFTER_A_LEASE) {
                (void)snprintf(fake->driver, sizeof(fake->driver), "other-vfio-pci");
                fake->bind_error = EIO;
        }
        if (cause == BEFORE_A_LEASE)
                (void)FAILS(core, RESULT_RESET_FAILED, vmm, { D1 });
        else if (!leased)
                assert_true(ask_admin(core, broker_reset_device) > 0);
        else
                broker_lease_end(core->broker, lease, END_RELEASED);
        if (cause == WORKER_DIES)
                fake_host_fail_jobs(core->fake, EIO);
        (void)fake_host_run(core->fake);
}

/* It is in quarantine, for that reason, and for nobody. */
static void assert_there(Core *core, FakeProcess *vmm, const char *reason)
{
        const Device *device = broker_device(core->broker, D1);

        core_check_idle(core);
        assert_state(device, DEVICE_QUARANTINED);
        assert_non_null(strstr(device->state_reason, reason));
        assert_true(core_device_record(core, D1)->quarantined);
        assert_string_equal(core_device_record(core, D1)->reason, device->state_reason);
        assert_non_null(strstr(REFUSED(core, RESULT_QUARANTINED, vmm, { D1 }), reason));
}

static void set_policy(Core *core, const char *reset)
{
        char text[256];

        (void)snprintf(text, sizeof(text), policy, reset);
        core_set_policy(core, text);
}

static FakeProcess *begin(Core *core)
{
        set_policy(core, "required");
        (void)core_device(core, D1, 1, "vfio-pci");
        return core_process(core, 100, UID_BLUE);
}

/* Every reason leads there, with one event; a restart, a policy that asks for no reset, and a driver that is unbound and bound are
 * no way out; nor is a reset that fails. */
static void test_reasons(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = begin(core);
        FakeDevice *fake = fake_host_device(core->fake, D1);

        for (Cause cause = 0; cause < _CAUSE_MAX; cause++) {
                unsigned events = core->events[EVENT_QUARANTINED];

                put_there(core, vmm, cause);
                assert_int_equal(core->events[EVENT_QUARANTINED], events + 1);
                assert_there(core, vmm, reasons[cause]);
                core_restart(core);
                assert_there(core, vmm, reasons[cause]);
                set_policy(core, "none");
                assert_there(core, vmm, reasons[cause]);
                set_policy(core, "required");

                fake->bind_error = 0;
                assert_int_equal(ask_admin(core, broker_unbind_device), 0);
                assert_there(core, vmm, "a reset is due");
                core_restart(core);
                assert_int_equal(ask_admin(core, bind_device), 0);
                assert_there(core, vmm, "a reset is due");
                fake->prove_error = 0;
                fake->reset = RESET_FAILED;
                assert_int_equal(ask_admin(core, broker_reset_device), RESULT_RESET_FAILED);
                assert_there(core, vmm, "reset failed");
                core_restart(core);
                assert_there(core, vmm, "reset failed");

                /* The way out, over a restart too. */
                fake->reset = RESET_NOT_TRIED;
                assert_int_equal(ask_admin(core, broker_reset_device), 0);
                assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
                if (core_device_record(core, D1)) /* of its driver before */
                        assert_false(core_device_record(core, D1)->quarantined);
                core_restart(core);
                assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
                broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
                (void)fake_host_run(core->fake);
                core_check_idle(core);
                core_restart(core); /* it is not known to be clean any more */
        }
}

/* While there is no room for a device's record no lease is over that leads there: what stands for it is the lease's record, also over
 * a restart. */
static void test_no_record(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = begin(core);
        FakeDevice *fake = fake_host_device(core->fake, D1);

        for (Cause cause = 0; cause < _CAUSE_MAX; cause++) {
                bool admin = cause == ADMIN_RESET || cause == ADMIN_FINDS_IT_OPEN;
                /* The next daemon takes the driver that it has after a lease for its VFIO driver. */
                bool once = admin || cause == DRIVER_AFTER_A_LEASE;

                for (int restart = 0; restart < 2 - once; restart++) {
                        core->fail[OP_DEVICE_PUT] = ENOSPC;
                        put_there(core, vmm, cause);
                        core_check(core);
                        assert_state(broker_device(core->broker, D1),
                                     admin ? DEVICE_QUARANTINED : DEVICE_RECLAIMING);
                        assert_null(core_device_record(core, D1));
                        assert_int_equal(HASH_COUNT(core->leases), !admin);
                        core->fail[OP_DEVICE_PUT] = 0;
                        core->record_failed = false;
                        /* A worker dies once. */
                        fake->prove_error = cause == WORKER_DIES ? ENODEV : fake->prove_error;
                        if (restart)
                                core_restart(core);
                        else
                                broker_retry_stranded(core->broker); /* as on any word from the loop */
                        fake_host_advance(core->fake, USEC_PER_SEC);
                        assert_state(broker_device(core->broker, D1), DEVICE_QUARANTINED);
                        assert_true(core_device_record(core, D1)->quarantined);
                        core_check_idle(core);

                        fake->prove_error = fake->bind_error = 0;
                        fake->reset = RESET_NOT_TRIED;
                        (void)snprintf(fake->driver, sizeof(fake->driver), "vfio-pci");
                        assert_int_equal(ask_admin(core, broker_reset_device), 0);
                        assert_null(core_device_record(core, D1));
                        core_restart(core); /* it is not known to be clean any more */
                }
        }
}

/* A device that was removed and is back, and one after a reboot, of which there are no records, is like any that the broker has
 * not seen before: in no quarantine, and proven and reset before anybody has it. */
static void test_new_device(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = begin(core);
        FakeDevice *fake = fake_host_device(core->fake, D1);

        for (int reboot = 0; reboot < 2; reboot++) {
                unsigned proofs, resets;

                put_there(core, vmm, BEFORE_A_LEASE);
                assert_there(core, vmm, reasons[BEFORE_A_LEASE]);
                fake->reset = RESET_NOT_TRIED;
                broker_device_remove(core->broker, D1);
                assert_null(core_device_record(core, D1));
                if (reboot)
                        core_restart(core);
                (void)core_device(core, D1, 1, "vfio-pci");
                proofs = fake->n_proofs;
                resets = fake->n_resets;
                (void)GRANT(core, vmm, { D1 });
                assert_int_equal(fake->n_proofs, proofs + 1);
                assert_int_equal(fake->n_resets, resets + 1);
                broker_lease_end(core->broker, broker_device(core->broker, D1)->lease, END_RELEASED);
                (void)fake_host_run(core->fake);
                core_restart(core);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_reasons, core_setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_no_record, core_setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_new_device, core_setup, core_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
