/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/reclaim.c: what a lease leaves is proven free, reset, and nobody's before. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"

/* The plain case: proven once, reset once, and both are known of it from then on. */
static void test_proven_and_reset(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        FakeDevice *fake = fake_host_device(core->fake, D1);
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease = GRANT(core, vmm, { D1 });

        assert_false(device->proven || device->clean);
        fake->n_proofs = fake->n_resets = 0;
        broker_lease_end(core->broker, lease, END_RELEASED);
        assert_state(device, DEVICE_RECLAIMING);
        assert_string_equal(device->state_reason, "its lease ended (released)");
        assert_int_equal(core->fake->last_job.kind, JOB_RECLAIM);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
        assert_true(device->proven && device->clean);
        assert_int_equal(fake->n_proofs, 1);
        assert_int_equal(fake->n_resets, 1);
        assert_string_equal(device->last_reset, "success");
        assert_true(device->last_reset_usec > 0);

        /* So the next one gets it without either. */
        (void)GRANT(core, vmm, { D1 });
        assert_false(core->fake->last_job.devices[0].prove);
        assert_false(core->fake->last_job.devices[0].reset);
}

/* A device that a process still has open: RECLAIMING with a reason, reported once, tried again ever later but at least
 * once a second, granted to nobody, and free as soon as it is let go. */
static void test_still_open(void **state)
{
        static const int errors[] = { EBUSY, EPERM };
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        FakeDevice *fake = fake_host_device(core->fake, D1);
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *next = core_process(core, 200, UID_RED);

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                uint64_t waited = 0, before;
                unsigned started;
                Lease *lease = GRANT(core, vmm, { D1 });

                core->events[EVENT_STUCK] = 0;
                fake->prove_error = errors[i];
                fake_host_end_process(core->fake, vmm);
                (void)fake_host_run(core->fake);
                assert_state(device, DEVICE_RECLAIMING);
                assert_non_null(strstr(device->state_reason, "still open"));
                assert_int_equal(lease->state, LEASE_RECLAIMING);
                (void)REFUSED(core, RESULT_DEVICE_TAKEN, next, { D1 });

                before = 0;
                started = core->fake->n_jobs_started;
                while (waited < 20 * USEC_PER_SEC) {
                        uint64_t gap = 0;

                        while (core->fake->n_jobs_started == started) {
                                fake_host_advance(core->fake, 5 * USEC_PER_MSEC);
                                gap += 5 * USEC_PER_MSEC;
                        }
                        assert_true(gap >= before);
                        assert_true(gap <= USEC_PER_SEC);
                        assert_true(waited > 0 || gap == 20 * USEC_PER_MSEC);
                        before = gap;
                        waited += gap;
                        started = core->fake->n_jobs_started;
                        core_check(core);
                }
                assert_int_equal(before, USEC_PER_SEC);
                assert_int_equal(core->events[EVENT_STUCK], 1);

                fake->prove_error = 0;
                fake_host_advance(core->fake, USEC_PER_SEC);
                core_check_idle(core);
                assert_state(device, DEVICE_AVAILABLE);
                assert_string_equal(device->state_reason, "");
                vmm->alive = true; /* for the next round */
        }
}

/* The worker could not ask, for want of memory: no quarantine, it asks again, and nobody has the device before. EIO is the device's. */
static void test_cannot_ask(void **state)
{
        static const int errors[] = { ENOMEM, EMFILE, EAGAIN, EINTR, ENOSPC };
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        FakeDevice *fake = fake_host_device(core->fake, D1);
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *next = core_process(core, 200, UID_RED);

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                Lease *lease = GRANT(core, vmm, { D1 });

                core->events[EVENT_STUCK] = 0;
                fake->prove_error = errors[i];
                broker_lease_end(core->broker, lease, END_RELEASED);
                fake_host_advance(core->fake, 10 * USEC_PER_SEC);
                core_check(core);
                assert_state(device, DEVICE_RECLAIMING);
                assert_non_null(strstr(device->state_reason, "not proven free yet"));
                assert_non_null(strstr(device->state_reason, strerror(errors[i])));
                assert_int_equal(core->events[EVENT_STUCK], 1);
                (void)REFUSED(core, RESULT_DEVICE_TAKEN, next, { D1 });
                fake->prove_error = 0;
                fake_host_advance(core->fake, USEC_PER_SEC);
                core_check_idle(core);
                assert_state(device, DEVICE_AVAILABLE);
        }
        fake->prove_error = EIO;
        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_QUARANTINED);

        /* An administrator asks once. */
        fake->prove_error = ENOMEM;
        assert_int_equal(broker_reset_device(core->broker, D1, NULL, NULL, &(Refusal){}), 0);
        (void)fake_host_run(core->fake);
        assert_state(device, DEVICE_QUARANTINED);
        assert_non_null(strstr(device->state_reason, "cannot be proven free"));
}

/* Core and worker (restore_drivers()) are of one mind of what is to be tried again: an open that is refused is not. */
static void test_open_eperm(void **state)
{
        static const int errors[] = { EBUSY, EPERM };
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        Lease *lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1 });
        JobResult result = {};
        JobDeviceResult *row = result.devices;

        job_result_init(&result, 1);
        row->step = STEP_OPEN;
        row->driver_known = row->driver_is_vfio = row->driver_before_is_vfio = true;
        strcpy(row->driver_now, "vfio-pci");
        strcpy(row->driver_before, "vfio-pci");
        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                bool settled;

                row->error = errors[i];
                settled = reclaim_take_row(core->broker, lease, device, &result, row, true);
                assert_true(settled == !job_is_unproven(row));
        }
}

/* The devices of a lease come back one by one: one is free, one is quarantined, one is still open. */
static void test_one_by_one(void **state)
{
        Core *core = *state;
        Device *free_one = core_device(core, D1, 1, "vfio-pci"), *bad = core_device(core, D2, 2, "vfio-pci"),
               *held = core_device(core, D3, 3, "vfio-pci");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *next = core_process(core, 200, UID_RED);
        Lease *lease = GRANT(core, vmm, { D1, D2, D3 });

        fake_host_device(core->fake, D2)->reset = RESET_FAILED;
        fake_host_device(core->fake, D2)->reset_errno = EIO;
        fake_host_device(core->fake, D3)->prove_error = EBUSY;
        broker_lease_end(core->broker, lease, END_RELEASED);
        core->n_tenant_changes = 0;
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_state(free_one, DEVICE_AVAILABLE);
        assert_state(bad, DEVICE_QUARANTINED);
        assert_state(held, DEVICE_RECLAIMING);
        assert_int_equal(lease->tenant->devices_leased, 1);
        assert_true(core->n_tenant_changes > 0);
        assert_int_equal(core_lease_record(core, lease->id)->n_devices, 1);
        assert_string_equal(core_lease_record(core, lease->id)->devices[0].id, D3);

        /* What is free is there for others. */
        (void)GRANT(core, next, { D1 });
        (void)REFUSED(core, RESULT_QUARANTINED, next, { D2 });
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, next, { D3 });

        fake_host_device(core->fake, D3)->prove_error = 0;
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check(core);
        assert_state(held, DEVICE_AVAILABLE);
        assert_null(broker_lease(core->broker, "no such lease"));
        assert_int_equal(core->broker->n_leases, 1);
}

/* Whatever keeps a device from being proven or reset leads to quarantine, with the reason, on record; only the proof that
 * it is open leads to another trial. */
static void test_quarantine(void **state)
{
        static const struct {
                int bind, prove, reset;
                const char *reason;
        } cases[] = {
                { .prove = ENODEV, .reason = "it cannot be proven free" },
                { .reset = EIO, .reason = "reset failed" },
        };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Device *device = core_device(core, D1, 1, "igb");
                FakeDevice *fake = fake_host_device(core->fake, D1);
                Lease *lease = GRANT(core, vmm, { D1 });

                fake->prove_error = cases[i].prove;
                fake->reset = cases[i].reset ? RESET_FAILED : RESET_NOT_TRIED;
                fake->reset_errno = cases[i].reset;
                broker_lease_end(core->broker, lease, END_RELEASED);
                (void)fake_host_run(core->fake);
                core_check_idle(core);
                assert_state(device, DEVICE_QUARANTINED);
                assert_non_null(strstr(device->state_reason, cases[i].reason));
                assert_true(core_device_record(core, D1)->quarantined);
                assert_string_equal(core_device_record(core, D1)->reason, device->state_reason);
                assert_string_equal(core_device_record(core, D1)->prior_driver, "igb");
                assert_non_null(strstr(REFUSED(core, RESULT_QUARANTINED, vmm, { D1 }), cases[i].reason));
                fake->prove_error = 0;
                fake->reset = RESET_NOT_TRIED;
                broker_device_remove(core->broker, D1);
                assert_null(core_device_record(core, D1));
        }
        assert_int_equal(core->events[EVENT_QUARANTINED], ELEMENTSOF(cases));
}

/* The worker of a reclaim dies: nothing was proven. */
static void test_worker_dies(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        Lease *lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1 });

        broker_lease_end(core->broker, lease, END_RELEASED);
        fake_host_fail_jobs(core->fake, ENOMEM); /* or was never started */
        core_check(core);
        assert_state(device, DEVICE_RECLAIMING);
        assert_non_null(strstr(device->state_reason, "not proven free yet"));
        fake_host_device(core->fake, D1)->hang = true;
        fake_host_advance(core->fake, USEC_PER_SEC);
        fake_host_fail_jobs(core->fake, EIO);
        core_check_idle(core);
        assert_state(device, DEVICE_QUARANTINED);
        assert_non_null(strstr(device->state_reason, "the worker died"));
        assert_false(device->proven);
}

/* No job can be started, or then no timer: the device stays RECLAIMING until something happens. */
static void test_cannot_start(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        Lease *lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1 });
        Answer answer = {};
        FakeProcess *vmm;

        core->fake->job_start_error = EAGAIN;
        broker_lease_end(core->broker, lease, END_RELEASED);
        core_check(core);
        fake_host_advance(core->fake, 3 * USEC_PER_SEC);
        core_check(core);
        assert_state(device, DEVICE_RECLAIMING);
        core->fail[OP_TIMER_START] = ENOMEM;
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check(core);
        assert_non_null(strstr(core->last_event[EVENT_TROUBLE], "No timer"));
        assert_state(device, DEVICE_RECLAIMING);

        /* Whoever asks next sets it going. */
        core->fail[OP_TIMER_START] = core->fake->job_start_error = 0;
        fake_host_advance(core->fake, 3 * USEC_PER_SEC);
        assert_state(device, DEVICE_RECLAIMING);
        vmm = core_process(core, 101, UID_BLUE);
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), RESULT_DEVICE_TAKEN);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        (void)GRANT(core, vmm, { D1 });
}

/* Each thing that the loop can bring sets it going: the end of any job, a timer, the end of a process. */
static void test_set_going(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *other;
        FakeDevice *fake;

        (void)core_device(core, D2, 2, "vfio-pci");
        fake = fake_host_device(core->fake, D2);
        for (int way = 0; way < 5; way++) {
                Answer answer = {};
                Refusal refusal;
                Lease *lease = GRANT(core, vmm, { D1 });

                other = core_process(core, 200 + way, UID_BLUE);
                if (way < 3)
                        (void)GRANT(core, other, { D2 });
                core->fake->job_start_error = EAGAIN;
                core->fail[OP_TIMER_START] = ENOMEM;
                broker_lease_end(core->broker, lease, END_RELEASED);
                core->fake->job_start_error = core->fail[OP_TIMER_START] = 0;
                assert_int_equal(core->broker->n_stranded, 1);

                fake->hang = way != 1;
                fake->prove_error = way == 1 ? EBUSY : 0;
                if (way < 2)
                        broker_lease_end(core->broker, broker_device(core->broker, D2)->lease, END_RELEASED);
                if (way == 3)
                        assert_int_equal(core_ask(core, &(Ask){ other, { D2 } }, &answer), 0);
                if (way == 4)
                        assert_int_equal(
                                broker_unbind_device(core->broker, D2, core_admin_done, &answer, &refusal),
                                0);
                if (way == 1) {
                        (void)fake_host_run(core->fake); /* it will be tried again, and that will hang */
                        fake->hang = true;
                        assert_int_equal(fake_host_n_timers(core->fake), 1);
                        core->fake->time_usec += 30 * USEC_PER_MSEC;
                } else
                        fake_host_advance(core->fake, 30 * USEC_PER_MSEC);
                assert_int_equal(core->broker->n_stranded, 1);
                core_check(core);
                if (way == 2)
                        fake_host_end_process(core->fake, other);
                fake->hang = way == 1 || way == 2;
                (void)fake_host_run(core->fake);
                core_check(core);
                assert_int_equal(core->broker->n_stranded, 0);
                assert_state(device, DEVICE_AVAILABLE);

                fake->hang = false;
                fake->prove_error = 0;
                fake_host_end_process(core->fake, other);
                fake_host_advance(core->fake, 2 * USEC_PER_SEC);
                core_check_idle(core);
        }
}

/* Two that are still open and no timers: the end of a job of one tries the other, but not before its time, so that the
 * two do not keep each other busy. */
static void test_no_timers(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *one, *two;
        unsigned n;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        one = GRANT(core, vmm, { D1 });
        two = GRANT(core, vmm, { D2 });
        fake_host_device(core->fake, D1)->prove_error = EBUSY;
        fake_host_device(core->fake, D2)->prove_error = EBUSY;
        core->fail[OP_TIMER_START] = ENOMEM;
        n = core->fake->n_jobs_started;
        broker_lease_end(core->broker, one, END_RELEASED);
        broker_lease_end(core->broker, two, END_RELEASED);
        assert_true(fake_host_run(core->fake) < 10);
        core_check(core);
        assert_int_equal(core->fake->n_jobs_started, n + 2);
        assert_int_equal(core->broker->n_stranded, 2);

        for (int i = 0; i < 10; i++) {
                fake_host_advance(core->fake, 2 * USEC_PER_SEC);
                (void)core_device(core, D3, 3, "vfio-pci");
                broker_lease_end(core->broker, GRANT(core, vmm, { D3 }), END_RELEASED);
                assert_true(fake_host_run(core->fake) < 10);
                core_check(core);
        }
        assert_int_equal(core->fake->n_jobs_started, n + 2 + 10 * 4);
        fake_host_device(core->fake, D1)->prove_error = 0;
        fake_host_device(core->fake, D2)->prove_error = 0;
        core->fail[OP_TIMER_START] = 0;
        fake_host_advance(core->fake, 2 * USEC_PER_SEC);
        assert_int_equal(core->broker->n_stranded, 2);
        fake_host_end_process(core->fake, vmm); /* of whom no lease is left: nothing */
        broker_lease_end(core->broker, GRANT(core, core_process(core, 101, UID_BLUE), { D3 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* The event of the driver that is put back comes while its worker has the override set that binds it: the next lease's record
 * says what there is in the end, since a crash puts back what it says. */
static void test_override_in_between(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_RED);
        DeviceInfo info;
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
        info = fake_host_device_info(core->fake, D1, 1, "igb");
        strcpy(info.driver_override, "igb");
        assert_int_equal(broker_device_update(core->broker, &info), 0);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        assert_string_equal(core->leases->record.devices[0].prior_driver, "igb");
        assert_string_equal(core->leases->record.devices[0].prior_override, "");
        core_restart(core);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_string_equal(fake_host_device(core->fake, D1)->driver_override, "");
}

/* The driver before comes back where policy says so, none where there was none, and with it the override that an operator
 * had set, even one that the inventory had not heard of; over a restart too. Nothing is remembered then. */
static void test_restore_driver(void **state)
{
        static const char *const drivers[] = { "igb", "", "igb" };
        static const char *const overrides[] = { "", "pci-stub", "igb" };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_RED);

        for (size_t i = 0; i < 2 * ELEMENTSOF(drivers); i++) {
                size_t k = i / 2;
                Device *device = core_device(core, D1, 1, drivers[k]);
                FakeDevice *fake = fake_host_device(core->fake, D1);
                Lease *lease;

                strcpy(fake->driver_override, overrides[k]);
                lease = GRANT(core, vmm, { D1 });
                assert_string_equal(fake->driver_override, "vfio-pci");
                if (i % 2 == 1) {
                        core_restart(core);
                        lease = core->broker->leases;
                        device = broker_device(core->broker, D1);
                }
                broker_lease_end(core->broker, lease, END_RELEASED);
                assert_string_equal(core->fake->last_job.devices[0].restore, drivers[k][0] ? "igb" : "-");
                (void)fake_host_run(core->fake);
                core_check_idle(core);
                assert_state(device, DEVICE_HOST);
                assert_string_equal(device->info.driver, drivers[k]);
                assert_string_equal(fake->driver_override, overrides[k]);
                assert_false(device->prior_known || device->proven || device->clean);
                assert_null(core_device_record(core, D1));
        }
}

/* The driver cannot be put back: the device is free all the same, and an operator is told. */
static void test_restore_fails(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        Lease *lease = GRANT(core, core_process(core, 100, UID_RED), { D1 });

        fake_host_device(core->fake, D1)->restore_error = EBUSY;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
        assert_non_null(strstr(device->state_reason, "its driver was not put back"));
        assert_non_null(strstr(core->last_event[EVENT_TROUBLE], "its driver was not put back"));
        assert_true(device->proven && device->clean);
        assert_true(device->prior_known);
}

/* Kept on the VFIO driver, the device has its driver of before on record, for after a restart. */
static void test_keep_driver(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");

        broker_lease_end(core->broker, GRANT(core, core_process(core, 100, UID_BLUE), { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
        assert_string_equal(core_device_record(core, D1)->prior_driver, "igb");
        assert_false(core_device_record(core, D1)->quarantined);
}

/* No reset by policy: proven all the same, and not clean, so that the next tenant who wants a reset gets one. */
static void test_no_reset(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        core_set_policy(core, POLICY_HEAD "reset = none\n");
        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_int_equal(fake_host_device(core->fake, D1)->n_resets, 0);
        assert_true(device->proven && !device->clean);
        core_set_policy(core, POLICY_HEAD);
        (void)GRANT(core, vmm, { D1 });
        assert_int_equal(fake_host_device(core->fake, D1)->n_resets, 1);
        assert_true(core->fake->last_job.devices[0].reset_required);
}

/* A device that a driver of the host has while it is leased can have no open file: its lease is over, and it is free. */
static void test_on_host_driver(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");

        (void)GRANT(core, core_process(core, 100, UID_BLUE), { D1 });
        (void)core_device(core, D1, 1, "igb");
        assert_int_equal(core->last_end, END_DEVICE_REMOVED);
        assert_state(device, DEVICE_RECLAIMING);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_HOST);
        assert_false(device->proven || device->clean);
}

/* A reclaim that takes long says so, once, and for the devices that are still there. */
static void test_slow(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        Lease *lease;

        (void)core_device(core, D2, 2, "vfio-pci");
        lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1, D2 });
        fake_host_device(core->fake, D1)->hang = true;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        broker_device_remove(core->broker, D2);
        fake_host_slow(core->fake);
        core_check(core);
        assert_int_equal(core->events[EVENT_STUCK], 1);
        assert_non_null(strstr(device->state_reason, "unbind waits"));
        assert_state(broker_device(core->broker, D2), DEVICE_GONE);

        fake_host_device(core->fake, D1)->hang = false;
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_null(broker_device(core->broker, D2));
        assert_state(device, DEVICE_AVAILABLE);
}

/* Slow twice with the same reason is one event. */
static void test_slow_again(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci"), *other = core_device(core, D2, 2, "vfio-pci");
        Lease *lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1, D2 });

        fake_host_device(core->fake, D2)->prove_error = EBUSY;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_state(device, DEVICE_AVAILABLE); /* settled */
        fake_host_device(core->fake, D2)->hang = true;
        fake_host_advance(core->fake, USEC_PER_SEC);
        fake_host_slow(core->fake);
        assert_int_equal(core->events[EVENT_STUCK], 2); /* still open; the unbind waits */
        (void)device_set_state(other, DEVICE_RECLAIMING, "%s", other->state_reason);
        fake_host_device(core->fake, D2)->hang = false;
        fake_host_device(core->fake, D2)->prove_error = 0;
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* The group stays its tenant's until its last member is settled; a device that is gone counts as long as its lease. */
static void test_group_until_empty(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *red = core_process(core, 200, UID_RED);
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 1, "vfio-pci");
        (void)core_device(core, D3, 1, "vfio-pci");
        lease = GRANT(core, vmm, { D1, D2 });
        (void)REFUSED(core, RESULT_GROUP_SPLIT, red, { D3 });
        fake_host_device(core->fake, D2)->prove_error = EBUSY;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        (void)REFUSED(core, RESULT_GROUP_SPLIT, red, { D1 });
        (void)REFUSED(core, RESULT_GROUP_SPLIT, red, { D3 });
        broker_device_remove(core->broker, D2);
        (void)REFUSED(core, RESULT_GROUP_SPLIT, red, { D3 });
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
        broker_lease_end(core->broker, GRANT(core, red, { D1, D3 }), END_RELEASED);
}

/* A tenant whose leases all hang in the kernel has TENANT_JOBS_MAX workers and no more: what else it lets go of waits, what
 * else it asks for is refused, and others go on. */
static void test_jobs_of_one_tenant(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *other = core_process(core, 200, UID_RED);
        FakeProcess *quiet = core_process(core, 300, UID_BLUE);
        char ids[TENANT_JOBS_MAX + 4][16];
        Answer answer = {};
        Lease *kept, *idle;

        for (unsigned i = 0; i < ELEMENTSOF(ids); i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "0000:%02x:00.0", i + 1);
                (void)core_device(core, ids[i], (int)i + 1, "vfio-pci");
        }
        idle = GRANT(core, quiet, { ids[TENANT_JOBS_MAX + 3] });
        for (unsigned i = 0; i <= TENANT_JOBS_MAX; i++) {
                (void)GRANT(core, vmm, { ids[i] });
                fake_host_device(core->fake, ids[i])->hang = true;
        }
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        assert_int_equal(fake_host_n_jobs(core->fake), TENANT_JOBS_MAX);
        assert_state(broker_device(core->broker, ids[TENANT_JOBS_MAX]), DEVICE_RECLAIMING);
        vmm = core_process(core, 101, UID_BLUE);
        (void)REFUSED(core, RESULT_RATE_LIMITED, vmm, { ids[TENANT_JOBS_MAX + 1] });
        assert_int_equal(core_reissue(core, idle, &answer), RESULT_RATE_LIMITED);
        kept = GRANT(core, other, { ids[TENANT_JOBS_MAX + 2] });

        /* One is through: the one that waited has its turn. */
        fake_host_device(core->fake, ids[0])->hang = false;
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, ids[0]), DEVICE_AVAILABLE);
        assert_int_equal(fake_host_n_jobs_of(core->fake, ids[TENANT_JOBS_MAX]), 1);
        for (unsigned i = 0; i <= TENANT_JOBS_MAX; i++)
                fake_host_device(core->fake, ids[i])->hang = false;
        (void)fake_host_run(core->fake);
        broker_lease_end(core->broker, kept, END_RELEASED);
        broker_lease_end(core->broker, idle, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* 64 processes of one tenant end at once: TENANT_JOBS_MAX of their devices are worked at at any time, the next one as soon
 * as one is through, with no time in between, and in their order. */
static void test_killed_at_once(void **state)
{
        Core *core = *state;
        FakeProcess *vmms[64];
        FakeDevice *devices[64];
        char ids[64][16];

        core->fake->total = UINT64_C(1) << 40;
        for (int i = 0; i < 64; i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "0000:%02x:00.0", i + 1);
                (void)core_device(core, ids[i], i + 1, "vfio-pci");
                vmms[i] = core_process(core, 100 + i, UID_BLUE);
                (void)GRANT(core, vmms[i], { ids[i] });
                devices[i] = fake_host_device(core->fake, ids[i]);
                devices[i]->hang = true;
        }
        for (int i = 0; i < 64; i++)
                fake_host_end_process(core->fake, vmms[i]);
        (void)fake_host_run(core->fake);
        for (int i = 0; i < 64; i++) {
                unsigned left = 64U - (unsigned)i;

                assert_int_equal(fake_host_n_jobs(core->fake),
                                 left < TENANT_JOBS_MAX ? left : TENANT_JOBS_MAX);
                assert_int_equal(fake_host_n_jobs_of(core->fake, ids[i]), 1);
                assert_int_equal(fake_host_n_timers(core->fake), 0);
                assert_int_equal(core->broker->n_leases, left);
                core_check(core);
                devices[i]->hang = false;
                (void)fake_host_run(core->fake);
        }
        core_check_idle(core);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(killed_at_once),      TEST(proven_and_reset),
                TEST(still_open),          TEST(cannot_ask),
                TEST(open_eperm),          TEST(one_by_one),
                TEST(quarantine),          TEST(worker_dies),
                TEST(cannot_start),        TEST(no_timers),
                TEST(set_going),           TEST(restore_driver),
                TEST(override_in_between), TEST(restore_fails),
                TEST(keep_driver),         TEST(no_reset),
                TEST(on_host_driver),      TEST(slow),
                TEST(slow_again),          TEST(group_until_empty),
                TEST(jobs_of_one_tenant),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
