/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/device-record.c: what a restart has to know of a device is written, or the lease is not over. */

#include "tests/unit/core-fixture.h"

/* The reset before a lease fails, the device goes back to its driver of the host, and its record cannot be written: it is in
 * quarantine as soon as that can be, and nobody's before. */
static void test_quarantine_lost(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeDevice *fake = fake_host_device(core->fake, D1);

        fake->reset = RESET_FAILED;
        fake->reset_errno = EIO;
        core->fail[OP_DEVICE_PUT] = ENOSPC;
        (void)FAILS(core, RESULT_RESET_FAILED, core_process(core, 100, UID_BLUE), { D1 });
        fake_host_advance(core->fake, 10 * USEC_PER_SEC);
        core_check(core);
        assert_state(device, DEVICE_RECLAIMING);
        assert_string_equal(device->state_reason, "its record cannot be written: No space left on device");
        assert_string_equal(device->info.driver, "igb");
        core->fail[OP_DEVICE_PUT] = 0;
        core->record_failed = false;
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
        assert_state(device, DEVICE_QUARANTINED);
        assert_non_null(strstr(device->state_reason, "the reset before a lease failed"));
        assert_true(core_device_record(core, D1)->quarantined);
        assert_int_equal(core->events[EVENT_QUARANTINED], 1);
}

/* The stale record of a quarantined device is not written while an administrator's reset has it BINDING: that would be of one that
 * is in no quarantine, and a restart before the end of that job would let it out. */
static void test_stale_record_of_admin_job(void **state)
{
        Core *core = *state;
        FakeDevice *fake;
        Answer answer = {};
        Refusal refusal;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        fake = fake_host_device(core->fake, D1);
        fake->reset = RESET_FAILED;
        fake->reset_errno = EIO;
        broker_lease_end(core->broker, GRANT(core, core_process(core, 100, UID_BLUE), { D2 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        (void)FAILS(core, RESULT_RESET_FAILED, core_process(core, 101, UID_BLUE), { D1 });
        assert_state(broker_device(core->broker, D1), DEVICE_QUARANTINED);
        assert_true(core_device_record(core, D1)->quarantined); /* safely on disk */

        /* A reset that fails, and a moment without room for the record. */
        core->fail[OP_DEVICE_PUT] = ENOSPC;
        assert_int_equal(broker_reset_device(core->broker, D1, core_admin_done, &answer, &refusal), 0);
        (void)fake_host_run(core->fake);
        core->fail[OP_DEVICE_PUT] = 0;
        core->record_failed = false;
        assert_true(core_device_record(core, D1)->quarantined);

        /* Once more; it takes its time, and somebody asks for something else. */
        fake->hang = true;
        assert_int_equal(broker_reset_device(core->broker, D1, core_admin_done, &answer, &refusal), 0);
        broker_lease_end(core->broker, GRANT(core, core_process(core, 102, UID_BLUE), { D2 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        fake->hang = false;
        core_restart(core);
        assert_state(broker_device(core->broker, D1), DEVICE_QUARANTINED);
}

/* The stale record of a device that has gone is not written: what comes in its place would be taken for it after a restart. */
static void test_stale_record_of_gone(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;

        (void)core_device(core, D1, 1, "igb");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)core_device(core, "0000:03:00.0", 3, "vfio-pci");
        lease = GRANT(core, vmm, { D1, D2 });
        core->fail[OP_DEVICE_PUT] = ENOSPC;
        fake_host_device(core->fake, D2)->prove_error = EBUSY;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, D1), DEVICE_RECLAIMING);
        fake_host_device(core->fake, D2)->hang = true; /* the next try waits in the kernel */
        fake_host_advance(core->fake, USEC_PER_SEC);
        broker_device_remove(core->broker, D1); /* unplugged */
        fake_host_device(core->fake, D1)->gone = true;
        core->fail[OP_DEVICE_PUT] = 0;
        core->record_failed = false;
        broker_retry_stranded(core->broker); /* any word from the loop */

        fake_host_device(core->fake, D2)->hang = false;
        fake_host_device(core->fake, D2)->prove_error = 0;
        fake_host_advance(core->fake, 2 * USEC_PER_SEC);
        assert_null(broker_device(core->broker, D1));
        /* Another one in that slot, that an operator has given vfio-pci. */
        fake_host_device(core->fake, D1)->gone = false;
        (void)core_device(core, D1, 1, "vfio-pci");
        core_restart(core);
        assert_false(broker_device(core->broker, D1)->prior_known);
}

/* Of two devices one is held and the other still open: each goes its own way. */
static void test_one_held(void **state)
{
        Core *core = *state;
        Device *one = core_device(core, D1, 1, "igb"), *two = core_device(core, D2, 2, "vfio-pci");
        Lease *lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1, D2 });
        FakeDevice *fake = fake_host_device(core->fake, D1);
        unsigned proofs;

        core->fail[OP_DEVICE_PUT] = EMFILE;
        fake_host_device(core->fake, D2)->prove_error = EBUSY;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_non_null(strstr(one->state_reason, "record cannot be written: Too many open files"));
        assert_non_null(strstr(two->state_reason, "still open"));
        proofs = fake->n_proofs;
        fake_host_device(core->fake, D2)->prove_error = 0;
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check(core);
        assert_state(two, DEVICE_AVAILABLE);
        assert_null(two->lease);
        assert_state(one, DEVICE_RECLAIMING);
        assert_ptr_equal(one->lease, lease);
        core->fail[OP_DEVICE_PUT] = 0;
        core->record_failed = false;
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
        assert_state(one, DEVICE_AVAILABLE);
        assert_string_equal(one->state_reason, "");
        assert_string_equal(core_device_record(core, D1)->prior_driver, "igb");
        assert_int_equal(fake->n_proofs, proofs); /* it is not proven again */
        assert_false(one->proven);                /* but before its next lease */
}

/* Neither record can be written, as where there is no room: the journal has it once. */
static void test_journal(void **state)
{
        Core *core = *state;
        Lease *lease;
        unsigned told;

        (void)core_device(core, D1, 1, "igb");
        lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1 });
        core->fail[OP_LEASE_PUT] = core->fail[OP_DEVICE_PUT] = ENOSPC;
        broker_lease_end(core->broker, lease, END_RELEASED);
        fake_host_advance(core->fake, 2 * USEC_PER_SEC);
        told = core->events[EVENT_TROUBLE];
        fake_host_advance(core->fake, 60 * USEC_PER_SEC);
        assert_in_range(core->events[EVENT_TROUBLE] - told, 0, 5);
}

/* A device that is held is not proven again: with its group on a driver of the host by now the kernel would refuse that for
 * ever. */
static void test_group_gone_to_host(void **state)
{
        Core *core = *state;
        Device *one = core_device(core, D1, 1, "igb");
        FakeDevice *fake = fake_host_device(core->fake, D1);
        Lease *lease;

        (void)core_device(core, D2, 1, "igb");
        lease = GRANT(core, core_process(core, 100, UID_RED), { D1, D2 });
        fake->restore_error = ENODEV;
        core->fail[OP_DEVICE_PUT] = EMFILE;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, D2), DEVICE_HOST);
        assert_state(one, DEVICE_RECLAIMING);
        /* iommu_device_claim_dma_owner() of a group in which igb has a device */
        fake->prove_error = EPERM;
        core->fail[OP_DEVICE_PUT] = 0;
        core->record_failed = false;
        fake_host_advance(core->fake, 60 * USEC_PER_SEC);
        print_message("%s: %s; record %s\n", device_state_to_string(one->state), one->state_reason,
                      core_device_record(core, D1) ? "written" : "none");
        assert_int_equal(core->broker->n_leases, 0);
}

/* No lease is over before the driver to go back to is on record, be it one that never began. */
static void test_prior_driver_of_failed_open(void **state)
{
        Core *core = *state;
        FakeDevice *fake;

        (void)core_device(core, D1, 1, "igb");
        fake = fake_host_device(core->fake, D1);
        fake->open_error = ENODEV;
        fake->restore_error = EBUSY;
        core->fail[OP_DEVICE_PUT] = ENOSPC;
        (void)FAILS(core, RESULT_BACKEND_UNAVAILABLE, core_process(core, 100, UID_BLUE), { D1 });
        (void)fake_host_run(core->fake);
        core->fail[OP_DEVICE_PUT] = 0;
        core->record_failed = false;
        core_restart(core);
        fake->open_error = fake->restore_error = 0;
        fake_host_advance(core->fake, 2 * USEC_PER_SEC);
        assert_true(broker_device(core->broker, D1)->prior_known ||
                    streq(broker_device(core->broker, D1)->info.driver, "igb"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(quarantine_lost),
                TEST(stale_record_of_admin_job),
                TEST(stale_record_of_gone),
                TEST(journal),
                TEST(one_held),
                TEST(group_gone_to_host),
                TEST(prior_driver_of_failed_open),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
