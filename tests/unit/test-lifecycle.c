/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/lifecycle.c and lease-table.c: from Acquire to the end of a lease, whatever happens on the way. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"

/* The first test of a broker: the same process asks for the same device again. It is refused, the first lease lives, its
 * limit too, and the device is released once. */
static void test_twice(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        MemlockLimit raised;
        Lease *lease;

        lease = GRANT(core, vmm, { D1 }, .memlock = 64 * MIB);
        assert_state(device, DEVICE_LEASED);
        raised = vmm->limit;
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D1 }, .memlock = 64 * MIB);
        assert_true(vmm->limit.soft == raised.soft);
        assert_int_equal(lease->state, LEASE_ACTIVE);

        broker_lease_end(core->broker, lease, END_RELEASED);
        core_check(core);
        broker_lease_end(core->broker, lease, END_RELEASED); /* again, while it is reclaimed: nothing */
        core_check(core);
        assert_int_equal(core->n_ended, 1);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
        assert_int_equal(core->events[EVENT_RECLAIMED], 1);
        assert_true(vmm->limit.soft == 8 * MIB);
}

/* While the first one is still being opened the answer is the same. */
static void test_twice_while_opening(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D1 });
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.error, 0);
}

/* The lease says who, what and for how long. */
static void test_granted(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;

        (void)core_device(core, D1, 1, "igb");
        (void)core_device(core, D2, 2, "vfio-pci");
        lease = GRANT(core, vmm, { D2, D1 }, .label = "vm 1", .unit = "vm@1.service", .memlock = MIB);
        assert_string_equal(lease->label, "vm 1");
        assert_string_equal(lease->unit, "vm@1.service");
        assert_string_equal(lease->tenant->name, "blue");
        assert_int_equal(lease->backend, POLICY_BACKEND_IOMMUFD);
        assert_int_equal(lease->pid, 100);
        assert_int_equal(lease->uid, UID_BLUE);
        assert_true(lease->memlock == MIB && lease->slack == MIB);
        assert_int_equal(core->events[EVENT_GRANTED], 1);
        assert_ptr_equal(broker_lease(core->broker, lease->id), lease);
        /* What its driver was is on record, and it stays away for now. */
        assert_int_equal(core_lease_record(core, lease->id)->n_devices, 2);
        assert_true(core_lease_record(core, lease->id)->devices[1].prior_known);
        assert_string_equal(core_lease_record(core, lease->id)->devices[1].prior_driver, "igb");
        assert_false(core_lease_record(core, lease->id)->devices[1].took);
        assert_false(core_lease_record(core, lease->id)->devices[0].prior_known);
}

/* Record, then act: before a driver is touched the record has the devices and the drivers that they have. */
static void test_record_before_act(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        const LeaseRecord *record;
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 }, .memlock = MIB }, &answer), 0);
        record = core_lease_record(core, answer.lease->id);
        assert_non_null(record);
        assert_int_equal(record->state, LEASE_OPENING);
        assert_int_equal(record->pid, 100);
        assert_int_equal(record->start_time, 1100);
        assert_true(record->base_known && record->base.soft == 8 * MIB);
        assert_string_equal(record->devices[0].prior_driver, "igb");
        assert_true(record->devices[0].prior_known && record->devices[0].took);
        assert_string_equal(fake_host_device(core->fake, D1)->driver, "igb");
}

/* The process ends: so does its lease, and the limit of nobody is set. */
static void test_process_ends(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)GRANT(core, vmm, { D1 });
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->last_end, END_PROCESS_EXITED);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
        assert_int_equal(core->events[EVENT_TROUBLE], 0);
}

/* The caller ends while the devices are opened: what the job opens is closed, the devices come back, and since nothing
 * was granted, to the driver that they had. */
static void test_process_ends_while_opening(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        fake_host_device(core->fake, D1)->hang = true;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 }, .memlock = MIB }, &answer), 0);
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.error, RESULT_PROCESS_UNUSABLE);
        assert_state(device, DEVICE_RECLAIMING);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, core_process(core, 101, UID_BLUE), { D1 });

        fake_host_device(core->fake, D1)->hang = false;
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_HOST);
        assert_string_equal(fake_host_device(core->fake, D1)->driver, "igb");
        assert_int_equal(fake_host_device(core->fake, D1)->n_resets, 2); /* by the job, and by the reclaim */
        assert_int_equal(answer.n_calls, 1);
}

/* A lease that is given up while it is opened gives back only what it took: not the driver from before an earlier lease
 * that kept the VFIO driver. */
static void test_undo_goes_back_one_step(void **state)
{
        Core *core = *state;
        Device *first = core_device(core, D1, 1, "igb"), *second = core_device(core, D2, 2, "nvme");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_state(first, DEVICE_AVAILABLE);
        assert_string_equal(first->prior_driver, "igb");

        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1, D2 } }, &answer), 0);
        broker_lease_end(core->broker, answer.lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(answer.error, RESULT_NO_SUCH_LEASE);
        assert_state(first, DEVICE_AVAILABLE);
        assert_state(second, DEVICE_HOST);
        assert_string_equal(second->info.driver, "nvme");
        assert_true(first->prior_known);
}

/* An Acquire fails and the worker cannot put a driver back: the device says so, is not lost, and can be had. */
static void test_undo_fails(void **state)
{
        Core *core = *state;
        Device *first = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D2, 2, "");
        fake_host_device(core->fake, D1)->restore_error = EIO;
        fake_host_device(core->fake, D2)->open_error = EIO;
        assert_non_null(strstr(FAILS(core, RESULT_BACKEND_UNAVAILABLE, vmm, { D1, D2 }), D2));
        assert_state(first, DEVICE_AVAILABLE);
        assert_string_equal(first->state_reason, "its driver igb was not put back");
        assert_non_null(strstr(core->last_event[EVENT_TROUBLE], "its driver igb was not put back"));
        fake_host_device(core->fake, D1)->restore_error = 0;
        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_string_equal(first->state_reason, "");
}

/* The driver that the worker found is the one to come back to, whatever the inventory had. */
static void test_driver_changed_before_the_job(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_RED);
        Lease *lease;
        Answer answer = {};

        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        strcpy(fake_host_device(core->fake, D1)->driver, "igb_uio");
        (void)fake_host_run(core->fake);
        lease = answer.lease;
        assert_string_equal(device->prior_driver, "igb_uio");
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(device->info.driver, "igb_uio");
        assert_state(device, DEVICE_HOST);
        core_check_idle(core);
}

/* The connection goes: leases that it opens end, and those that live as long as it; others do not. */
static void test_owner_gone(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *by_process, *by_connection, *of_another;
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        (void)core_device(core, D2, 2, "igb");
        (void)core_device(core, D3, 3, "igb");
        (void)core_device(core, "0000:04:00.0", 4, "igb");
        by_process = GRANT(core, vmm, { D1 }, .owner = 7);
        by_connection = GRANT(core, vmm, { D2 }, .owner = 7, .lifetime = LIFETIME_CONNECTION);
        of_another = GRANT(core, vmm, { D3 }, .owner = 8, .lifetime = LIFETIME_CONNECTION);
        assert_int_equal(core_ask(core, &(Ask){ vmm, { "0000:04:00.0" }, .owner = 7 }, &answer), 0);

        broker_owner_gone(core->broker, 0);
        assert_int_equal(core->n_ended, 0);
        broker_owner_gone(core->broker, 7);
        core_check(core);
        assert_int_equal(core->n_ended, 2);
        assert_int_equal(core->last_end, END_CONNECTION_CLOSED);
        assert_int_equal(by_connection->state, LEASE_RECLAIMING);
        assert_int_equal(answer.error, RESULT_PROCESS_UNUSABLE);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(core->broker->n_leases, 2);
        assert_int_equal(by_process->state, LEASE_ACTIVE);
        assert_int_equal(of_another->state, LEASE_ACTIVE);
}

/* An explicit lease, an administrator's, outlives the process and the connection, and ends when it is told to. */
static void test_explicit(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;

        (void)core_device(core, D1, 1, "igb");
        lease = GRANT(core, vmm, { D1 }, .lifetime = LIFETIME_EXPLICIT, .admin = true, .owner = 7);
        fake_host_end_process(core->fake, vmm);
        broker_owner_gone(core->broker, 7);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* Release while the devices are opened. */
static void test_release_while_opening(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        broker_lease_end(core->broker, answer.lease, END_RELEASED);
        core_check(core);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.error, RESULT_NO_SUCH_LEASE);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        core_check_idle(core);
}

/* A slow job: the one who waits is told, the device stays reserved, and comes back when the kernel lets it. */
static void test_slow(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        fake_host_device(core->fake, D1)->hang = true;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        (void)fake_host_run(core->fake);
        fake_host_slow(core->fake);
        core_check(core);
        assert_int_equal(answer.error, RESULT_DRIVER_BIND_FAILED);
        assert_non_null(strstr(answer.text, "10 s"));
        assert_state(device, DEVICE_RECLAIMING);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D1 });
        fake_host_device(core->fake, D1)->hang = false;
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_HOST);
        assert_int_equal(answer.n_calls, 1);
}

/* It is slow after its lease has ended already: nobody waits, nothing is said twice. */
static void test_slow_after_end(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        fake_host_device(core->fake, D1)->hang = true;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        fake_host_slow(core->fake);
        core_check(core);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(core->n_ended, 1);
}

/* Each step failing on one device of three, with each errno that has a meaning: the refusal names device and step, all
 * three are as before, and only a reset that failed leads to quarantine. */
static void test_job_fails(void **state)
{
        static const struct {
                int bind, prove, open, reset;
                const char *used;
                ResetOutcome outcome;
                Result code;
                const char *text;
                bool quarantined;
        } cases[] = {
                { .bind = ENODEV,
                  .code = RESULT_DRIVER_BIND_FAILED,
                  .text = "cannot be bound: bind-driver" },
                { .prove = EBUSY,
                  .code = RESULT_DEVICE_BUSY_ON_HOST,
                  .text = "did not get it from the broker" },
                { .prove = EPERM, .code = RESULT_GROUP_NOT_VIABLE, .text = "EPERM" },
                { .used = "eth1 is up and has 192.0.2.1/24",
                  .code = RESULT_DEVICE_BUSY_ON_HOST,
                  .text = "eth1 is up and has 192.0.2.1/24" },
                { .prove = EIO, .code = RESULT_DRIVER_BIND_FAILED, .text = "cannot be proven free" },
                { .open = ENOENT, .code = RESULT_BACKEND_UNAVAILABLE, .text = "cannot be opened" },
                { .outcome = RESET_FAILED,
                  .reset = EIO,
                  .code = RESULT_RESET_FAILED,
                  .text = "was not reset",
                  .quarantined = true },
                { .outcome = RESET_UNSUPPORTED,
                  .reset = ENOTTY,
                  .code = RESULT_RESET_FAILED,
                  .text = "was not reset" },
        };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t which = 0; which < 3; which++) {
                        static const char *const ids[] = { D1, D2, D3 };
                        Device *devices[] = { core_device(core, D1, 1, "igb"),
                                              core_device(core, D2, 2, "vfio-pci"),
                                              core_device(core, D3, 3, "") };
                        FakeDevice *bad = fake_host_device(core->fake, ids[which]);
                        const char *text;

                        if ((cases[i].bind != 0 || cases[i].used) && which == 1)
                                continue; /* it is bound already */
                        core->events[EVENT_QUARANTINED] = core->events[EVENT_REFUSED] = 0;
                        bad->bind_error = cases[i].bind;
                        bad->used_in_job = cases[i].used;
                        bad->prove_error = cases[i].prove;
                        bad->open_error = cases[i].open;
                        bad->reset = cases[i].outcome;
                        bad->reset_errno = cases[i].reset;
                        text = FAILS(core, cases[i].code, vmm, { D1, D2, D3 }, .memlock = MIB);
                        assert_non_null(strstr(text, ids[which]));
                        assert_non_null(strstr(text, cases[i].text));
                        core_check_idle(core);
                        assert_int_equal(core->events[EVENT_QUARANTINED], cases[i].quarantined);
                        assert_int_equal(core->events[EVENT_REFUSED], 1);
                        for (size_t k = 0; k < 3; k++)
                                assert_state(devices[k], k == which && cases[i].quarantined
                                                                 ? DEVICE_QUARANTINED
                                                         : k == 1 ? DEVICE_AVAILABLE
                                                                  : DEVICE_HOST);
                        assert_string_equal(devices[0]->info.driver, "igb");
                        assert_string_equal(devices[2]->info.driver, "");
                        assert_true(vmm->limit.soft == 8 * MIB);
                        bad->bind_error = bad->prove_error = bad->open_error = 0;
                        bad->used_in_job = NULL;
                        bad->reset = RESET_NOT_TRIED;
                        for (size_t k = 0; k < 3; k++)
                                broker_device_remove(core->broker, ids[k]);
                }
}

/* A best-effort reset that fails does not stand in the way. */
static void test_best_effort(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        core_set_policy(core, POLICY_HEAD "reset = best-effort\n");
        fake_host_device(core->fake, D1)->reset = RESET_FAILED;
        fake_host_device(core->fake, D1)->reset_errno = EIO;
        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
        assert_true(device->proven);
        assert_false(device->clean);
        assert_string_equal(device->last_reset, "failed: EIO");

        /* The next tenant requires one. */
        core_set_policy(core, POLICY_HEAD);
        (void)FAILS(core, RESULT_RESET_FAILED, vmm, { D1 });
        assert_state(device, DEVICE_QUARANTINED);
}

/* An errno that has no name is no reason to fail. */
static void test_errno_without_name(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");

        fake_host_device(core->fake, D1)->reset = RESET_FAILED;
        fake_host_device(core->fake, D1)->reset_errno = 4096;
        (void)FAILS(core, RESULT_RESET_FAILED, core_process(core, 100, UID_BLUE), { D1 });
        assert_string_equal(device->last_reset, "failed: unknown");
}

/* The worker dies: nothing is known of the devices, so they are proven and reset, and have their drivers back. */
static void test_worker_dies(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        FakeDevice *fake = fake_host_device(core->fake, D1);
        Answer answer = {};

        core->fake->job_start_error = 0;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        (void)core_device(core, D1, 1, "vfio-pci"); /* so far it came */
        core->fake->job_start_error = EAGAIN;       /* the reclaim has to wait */
        fake_host_fail_jobs(core->fake, EIO);
        core->fake->job_start_error = 0;
        core_check(core);
        assert_int_equal(answer.error, RESULT_DRIVER_BIND_FAILED);
        assert_non_null(strstr(answer.text, "the worker died"));
        assert_state(device, DEVICE_RECLAIMING);
        assert_int_equal(fake->n_proofs, 0);
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
        assert_int_equal(fake->n_proofs, 1);
        assert_int_equal(fake->n_resets, 1);
        assert_state(device, DEVICE_HOST);
        assert_string_equal(fake->driver, "igb");
}

/* Nothing can be started: each refusal leaves everything as it was, what was proven of the device too. */
static void test_cannot_start(void **state)
{
        static const struct {
                CoreOp op;
                int error, result;
        } cases[] = {
                { OP_LEASE_PUT, ENOSPC, -ENOSPC },
                { OP_MEMLOCK_GET, EPERM, -EPERM },
                { OP_MEMLOCK_GET, ESRCH, RESULT_PROCESS_UNUSABLE },
                { OP_PROCESS_WATCH, ENOMEM, -ENOMEM },
                { OP_PROCESS_FACTS, EMFILE, -EMFILE },
                { OP_PROCESS_FACTS, ESRCH, RESULT_PROCESS_UNUSABLE },
        };
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        for (int vfio = 0; vfio < 2; vfio++) {
                for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                        core->fail[cases[i].op] = cases[i].error;
                        (void)core_refused(core, &(Ask){ vmm, { D1 }, .memlock = MIB },
                                           (Result)cases[i].result);
                        core->fail[cases[i].op] = 0;
                        core_check_idle(core);
                }
                core->fake->job_start_error = ENOMEM;
                (void)core_refused(core, &(Ask){ vmm, { D1 } }, (Result)-ENOMEM);
                core->fake->job_start_error = EAGAIN;
                (void)REFUSED(core, RESULT_RATE_LIMITED, vmm, { D1 });
                core->fake->job_start_error = 0;

                if (vfio == 0) {
                        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
                        (void)fake_host_run(core->fake);
                        assert_true(device->proven && device->clean);
                        core->record_failed = false;
                }
        }
        assert_true(device->proven && device->clean);
        (void)device_set_state(device, device->state, "a remark of before");
        core->fake->job_start_error = EAGAIN;
        (void)REFUSED(core, RESULT_RATE_LIMITED, vmm, { D1 });
        assert_string_equal(device->state_reason, "a remark of before");
}

/* The pidfd of the request is no good any more. */
static void test_bad_pidfd(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        int pidfd = vmm->pidfd;

        (void)core_device(core, D1, 1, "igb");
        vmm->pidfd = -EBADF;
        (void)REFUSED(core, RESULT_PROCESS_UNUSABLE, vmm, { D1 });
        vmm->pidfd = pidfd;
}

/* The second record, of the lease that is active, cannot be written: the lease ends, its driver goes back, and so does the
 * limit. */
static void test_record_fails_late(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        core->fail[OP_LEASE_PUT] = ENOSPC;
        core->skip[OP_LEASE_PUT] = 1;
        (void)core_fails(core, &(Ask){ vmm, { D1 }, .memlock = MIB }, -ENOSPC);
        core->fail[OP_LEASE_PUT] = 0;
        core->record_failed = false;
        core_check_idle(core);
        assert_state(device, DEVICE_HOST);
        assert_string_equal(device->info.driver, "igb");
        assert_true(vmm->limit.soft == 8 * MIB);
        assert_true(core->events[EVENT_TROUBLE] > 0);
}

/* The record of the end cannot be written: the end comes all the same. That of the device cannot be: it is nobody's until it is. */
static void test_record_fails_at_end(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        Lease *lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1 });
        unsigned told;

        core->fail[OP_LEASE_PUT] = core->fail[OP_DEVICE_PUT] = ENOSPC;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_state(device, DEVICE_RECLAIMING);
        assert_non_null(strstr(device->state_reason, "record cannot be written: No space left"));
        assert_true(core->events[EVENT_TROUBLE] >= 2);
        told = core->events[EVENT_TROUBLE];
        core->fail[OP_LEASE_PUT] = 0;
        fake_host_advance(core->fake, 10 * USEC_PER_SEC);
        assert_state(device, DEVICE_RECLAIMING);
        assert_int_equal(core->events[EVENT_TROUBLE], told); /* once */
        core->fail[OP_DEVICE_PUT] = 0;
        core->record_failed = false;
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
        assert_string_equal(core_device_record(core, D1)->prior_driver, "igb");
}

/* The reply cannot be queued: the lease ends, and all is undone. */
static void test_reply_fails(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = { .reply = -ENOBUFS };

        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 }, .memlock = MIB }, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        core_check_idle(core);
        assert_state(device, DEVICE_HOST);
        assert_true(vmm->limit.soft == 8 * MIB);
        assert_int_equal(core->events[EVENT_GRANTED], 0);
}

/* The process ends between the job and the grant. */
static void test_process_ends_before_grant(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        assert_int_equal(
                core_ask(core, &(Ask){ vmm, { D1 }, .admin = true, .lifetime = LIFETIME_EXPLICIT }, &answer),
                0);
        fake_host_end_process(core->fake, vmm); /* nobody watches: the last look has to see it */
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, RESULT_PROCESS_UNUSABLE);
        assert_int_equal(core->last_end, END_PROCESS_EXITED);
        core_check_idle(core);
        assert_state(device, DEVICE_HOST);
}

/* The limit cannot be raised: an errno for the one who asked, and everything undone. */
static void test_limit_fails(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        vmm->memlock_error = EPERM;
        (void)core_fails(core, &(Ask){ vmm, { D1 }, .memlock = MIB }, -EPERM);
        core_check_idle(core);
        assert_state(device, DEVICE_HOST);
        assert_int_equal(core->last_end, END_FAILED);
}

/* A device goes while it is opened for somebody: NoSuchDevice, and the others come back. */
static void test_device_goes_while_opening(void **state)
{
        Core *core = *state;
        Device *other = core_device(core, D2, 2, "igb");
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1, D2 } }, &answer), 0);
        broker_device_remove(core->broker, D1);
        core_check(core);
        assert_int_equal(answer.error, RESULT_NO_SUCH_DEVICE);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_null(broker_device(core->broker, D1));
        assert_state(other, DEVICE_HOST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(twice),
                TEST(twice_while_opening),
                TEST(granted),
                TEST(record_before_act),
                TEST(process_ends),
                TEST(process_ends_while_opening),
                TEST(undo_goes_back_one_step),
                TEST(undo_fails),
                TEST(driver_changed_before_the_job),
                TEST(owner_gone),
                TEST(explicit),
                TEST(release_while_opening),
                TEST(slow),
                TEST(slow_after_end),
                TEST(job_fails),
                TEST(best_effort),
                TEST(errno_without_name),
                TEST(worker_dies),
                TEST(cannot_start),
                TEST(bad_pidfd),
                TEST(record_fails_late),
                TEST(record_fails_at_end),
                TEST(reply_fails),
                TEST(process_ends_before_grant),
                TEST(limit_fails),
                TEST(device_goes_while_opening),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
