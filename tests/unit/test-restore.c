/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/restore.c: after a restart, records held against what is true. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"

static Lease *only_lease(Core *core)
{
        assert_int_equal(core->broker->n_leases, 1);
        return core->broker->leases;
}

/* The process lives: the lease goes on as it was, is ended by the end of the process, and the limit goes back. */
static void test_goes_on(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        LeaseRecord before;
        Lease *lease;

        (void)core_device(core, D1, 1, "igb");
        lease = GRANT(core, vmm, { D1 }, .memlock = 64 * MIB, .label = "vm", .unit = "vm.service");
        before = *core_lease_record(core, lease->id);
        core_restart(core);
        core_check(core);
        lease = only_lease(core);
        assert_int_equal(core->events[EVENT_RECOVERED], 1);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_string_equal(lease->id, before.id);
        assert_string_equal(lease->tenant->name, "blue");
        assert_string_equal(lease->label, "vm");
        assert_string_equal(lease->unit, "vm.service");
        assert_int_equal(lease->pid, 100);
        assert_int_equal(lease->uid, UID_BLUE);
        assert_true(lease->since == before.since);
        assert_true(lease->memlock == 64 * MIB && lease->slack == MIB);
        assert_state(broker_device(core->broker, D1), DEVICE_LEASED);
        assert_string_equal(broker_device(core->broker, D1)->prior_driver, "igb");
        assert_true(vmm->limit.soft == 73 * MIB);
        assert_true(lease->holder->base.soft == 8 * MIB);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D1 });

        core_restart(core); /* and once more */
        broker_lease_end(core->broker, only_lease(core), END_RELEASED);
        assert_true(vmm->limit.soft == 8 * MIB && vmm->limit.hard == 8 * MIB);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* It is watched again. */
static void test_watched(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, vmm, { D1 });
        core_restart(core);
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(core->last_end, END_PROCESS_EXITED);
        assert_true(broker_device(core->broker, D1)->clean);
}

/* Two leases of one process: one limit, that is put back after the last, in either order. */
static void test_two_of_one_process(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .memlock = 10 * MIB);
        (void)GRANT(core, vmm, { D2 }, .memlock = 20 * MIB);
        core_restart(core);
        core_check(core);
        assert_ptr_equal(broker_device(core->broker, D1)->lease->holder,
                         broker_device(core->broker, D2)->lease->holder);
        assert_true(vmm->limit.soft == 39 * MIB);
        broker_lease_end(core->broker, broker_device(core->broker, D1)->lease, END_RELEASED);
        assert_true(vmm->limit.soft == 29 * MIB);
        broker_lease_end(core->broker, broker_device(core->broker, D2)->lease, END_RELEASED);
        assert_true(vmm->limit.soft == 8 * MIB);
}

/* The process ended while nobody looked: dead, a zombie, or its pid is another process's now, or nobody's. */
static void test_process_ended(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        uint64_t start_time = vmm->facts.start_time;

        for (int how = 0; how < 4; how++) {
                MemlockLimit limit;

                (void)core_device(core, D1, 1, "vfio-pci");
                (void)GRANT(core, vmm, { D1 }, .memlock = MIB);
                vmm->alive = how != 0;
                vmm->facts.zombie = how == 1;
                vmm->facts.start_time += how == 2;
                core->fail[OP_PROCESS_FACTS] = how == 3 ? ESRCH : 0;
                limit = vmm->limit;
                core_restart(core);
                core_check(core);
                assert_int_equal(core->last_end, END_PROCESS_EXITED);
                assert_state(broker_device(core->broker, D1), DEVICE_RECLAIMING);
                assert_true(vmm->limit.soft == limit.soft); /* it is not its process */
                (void)fake_host_run(core->fake);
                core_check_idle(core);
                assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
                assert_true(broker_device(core->broker, D1)->proven);
                vmm->alive = true;
                vmm->facts.zombie = false;
                vmm->facts.start_time = start_time;
                vmm->limit = (MemlockLimit){ 8 * MIB, 8 * MIB };
                core->fail[OP_PROCESS_FACTS] = 0;
        }
}

/* One that lasts as long as a connection goes on, and ends with that, once the bus layer has found it again. */
static void test_connection(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .lifetime = LIFETIME_CONNECTION, .owner = 3, .owner_name = "bus:1.3");
        core_restart(core);
        lease = only_lease(core);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_int_equal(lease->owner, 0);
        assert_string_equal(lease->owner_name, "bus:1.3");
        broker_owner_gone(core->broker, 3); /* another one's number now */
        assert_int_equal(lease->state, LEASE_ACTIVE);
        broker_lease_owned(lease, 7);
        broker_owner_gone(core->broker, 7);
        assert_int_equal(core->last_end, END_CONNECTION_CLOSED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* An explicit lease goes on without its process. */
static void test_explicit(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .lifetime = LIFETIME_EXPLICIT, .admin = true);
        core_restart(core);
        assert_non_null(only_lease(core)->holder);
        vmm->alive = false;
        core_restart(core);
        core_check(core);
        assert_int_equal(only_lease(core)->state, LEASE_ACTIVE);
        assert_null(only_lease(core)->holder);
        broker_lease_end(core->broker, only_lease(core), END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* What was still opened is undone: the driver that was taken goes back, whether the worker came so far or not, and the
 * limit, should it have been raised already. */
static void test_opening(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        for (int bound = 0; bound < 2; bound++) {
                Answer answer = {};

                (void)core_device(core, D1, 1, "igb");
                fake_host_device(core->fake, D1)->hang = true;
                assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 }, .memlock = MIB }, &answer), 0);
                if (bound)
                        (void)core_device(core, D1, 1, "vfio-pci");
                vmm->limit.soft = 10 * MIB;
                fake_host_device(core->fake, D1)->hang = false;
                core_restart(core);
                core_check(core);
                assert_int_equal(core->last_end, END_FAILED);
                assert_int_equal(answer.n_calls, 0);
                assert_true(vmm->limit.soft == 8 * MIB);
                (void)fake_host_run(core->fake);
                core_check_idle(core);
                assert_state(broker_device(core->broker, D1), DEVICE_HOST);
                assert_string_equal(fake_host_device(core->fake, D1)->driver, "igb");
        }
}

/* A device that was on its VFIO driver before the lease was opened stays there, with the driver of long ago known. */
static void test_opening_kept(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};
        Device *device;

        (void)core_device(core, D1, 1, "igb");
        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        core_restart(core);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        device = broker_device(core->broker, D1);
        assert_state(device, DEVICE_AVAILABLE);
        assert_string_equal(device->prior_driver, "igb");
        core_restart(core);
        assert_string_equal(broker_device(core->broker, D1)->prior_driver, "igb");
}

/* What was reclaimed is reclaimed again, although the process lives and has released it; also where it is still open. */
static void test_reclaiming(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        FakeDevice *fake;

        (void)core_device(core, D1, 1, "vfio-pci");
        fake = fake_host_device(core->fake, D1);
        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }, .memlock = MIB), END_RELEASED);
        fake->prove_error = EBUSY;
        core_restart(core);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_state(broker_device(core->broker, D1), DEVICE_RECLAIMING);
        assert_true(vmm->limit.soft == 8 * MIB);
        fake->prove_error = 0;
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
}

/* Policy gave the driver back at the end: so it does after a restart, without any policy. */
static void test_restores_driver(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_RED);

        (void)core_device(core, D1, 1, "igb");
        (void)GRANT(core, vmm, { D1 });
        core_set_policy(core, POLICY_HEAD);
        core_restart(core);
        core_check(core);
        assert_false(broker_tenant(core->broker, "red")->in_policy);
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_null(broker_tenant(core->broker, "red"));
        assert_string_equal(broker_device(core->broker, D1)->info.driver, "igb");
}

/* A device of the lease is gone: it goes on with the other one, also on record; with none left it ends at once. */
static void test_device_gone(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        LeaseRecord record;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        record = *core_lease_record(core, GRANT(core, vmm, { D1, D2 }, .memlock = MIB)->id);
        strcpy(core->leases->record.devices[1].id, "0000:ff:00.0");
        core_restart(core);
        core_check(core);
        assert_int_equal(core->n_ended, 0);
        assert_int_equal(core->events[EVENT_ENDED], 1);
        assert_state(broker_device(core->broker, D1), DEVICE_LEASED);
        assert_state(broker_device(core->broker, D2), DEVICE_AVAILABLE);
        assert_int_equal(core_lease_record(core, record.id)->n_devices, 1);
        assert_true(vmm->limit.soft > 8 * MIB);
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        core_check_idle(core);

        strcpy(record.devices[0].id, "0000:fe:00.0");
        strcpy(record.devices[1].id, "0000:ff:00.0");
        assert_int_equal(broker_restore_lease(core->broker, &record), 0);
        core_check_idle(core);
}

/* What a lease that is still reclaimed has let go of is not in its record: a restart leaves it with the lease that has it
 * now, whether it was unplugged and plugged in again, or settled before the others. */
static void test_settled_before(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        for (int unplugged = 0; unplugged < 2; unplugged++) {
                Lease *old;

                (void)core_device(core, D1, 1, "vfio-pci");
                (void)core_device(core, D2, 2, "vfio-pci");
                old = GRANT(core, vmm, { D1, D2 });
                fake_host_device(core->fake, D2)->prove_error = EBUSY;
                if (unplugged) {
                        broker_device_remove(core->broker, D1);
                        (void)core_device(core, D1, 1, "vfio-pci");
                }
                broker_lease_end(core->broker, old, END_RELEASED);
                (void)fake_host_run(core->fake);
                assert_state(broker_device(core->broker, D2), DEVICE_RECLAIMING);
                (void)GRANT(core, core_process(core, 101 + unplugged, UID_BLUE), { D1 });
                core_restart(core);
                core_check(core);
                assert_state(broker_device(core->broker, D1), DEVICE_LEASED);
                broker_lease_end(core->broker, broker_device(core->broker, D1)->lease, END_RELEASED);
                fake_host_device(core->fake, D2)->prove_error = 0;
                fake_host_advance(core->fake, USEC_PER_SEC);
                core_check_idle(core);
        }
}

/* Records that contradict each other or themselves harm nobody. */
static void test_nonsense(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        LeaseRecord record;
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        lease = GRANT(core, vmm, { D1 });
        record = *core_lease_record(core, lease->id);
        assert_int_equal(broker_restore_lease(core->broker, &record), -EEXIST);
        core_check(core);

        /* the same device in another record */
        strcpy(record.id, "abc");
        assert_int_equal(broker_restore_lease(core->broker, &record), 0);
        core_check(core);
        assert_int_equal(core->broker->n_leases, 1);
        assert_ptr_equal(broker_device(core->broker, D1)->lease, lease);

        /* the same device twice, no device, no process */
        strcpy(record.devices[0].id, D2);
        record.devices[1] = record.devices[0];
        record.n_devices = 2;
        assert_int_equal(broker_restore_lease(core->broker, &record), 0);
        core_check(core);
        (void)fake_host_run(core->fake);
        assert_true(broker_device(core->broker, D2)->proven);
        assert_int_equal(broker_restore_lease(core->broker, &record), 0);
        assert_false(broker_device(core->broker, D2)->proven);
        (void)fake_host_run(core->fake);
        record.n_devices = 0;
        record.pid = 0;
        assert_int_equal(broker_restore_lease(core->broker, &record), 0);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(core->broker->n_leases, 1);
}

/* What cannot be known now is an error and no end: the record stays, and nothing is left of the attempt. */
static void test_cannot_know(void **state)
{
        static const CoreOp ops[] = { OP_PROCESS_OPEN, OP_PROCESS_FACTS, OP_PROCESS_WATCH };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_RED);
        LeaseRecord record;
        unsigned fds;

        (void)core_device(core, D1, 1, "vfio-pci");
        record = *core_lease_record(core, GRANT(core, vmm, { D1 }, .memlock = MIB)->id);
        core_set_policy(core, POLICY_HEAD);
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        vmm->alive = true;
        fds = fake_host_count_fds();
        for (size_t i = 0; i < ELEMENTSOF(ops); i++) {
                core->fail[ops[i]] = EMFILE;
                assert_int_equal(broker_restore_lease(core->broker, &record), -EMFILE);
                core->fail[ops[i]] = 0;
                core_check_idle(core);
                assert_null(broker_tenant(core->broker, "red"));
                assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
                assert_int_equal(core->n_ended, 1);
                assert_int_equal(fake_host_count_fds(), fds);
        }
}

/* The limit cannot be set anew: an operator is told, the lease goes on. */
static void test_limit_fails(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .memlock = MIB);
        vmm->memlock_error = EPERM;
        core_restart(core);
        core_check(core);
        assert_int_equal(only_lease(core)->state, LEASE_ACTIVE);
        assert_non_null(strstr(core->last_event[EVENT_TROUBLE], "cannot be set"));
}

/* Quarantine persists, with its reason, through any number of restarts, and the way out of it too. */
static void test_quarantine(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};
        Refusal refusal;
        Device *device;

        (void)core_device(core, D1, 1, "vfio-pci");
        fake_host_device(core->fake, D1)->reset = RESET_FAILED;
        fake_host_device(core->fake, D1)->reset_errno = EIO;
        (void)FAILS(core, RESULT_RESET_FAILED, vmm, { D1 });
        for (int i = 0; i < 2; i++) {
                core_restart(core);
                core_check(core);
                device = broker_device(core->broker, D1);
                assert_state(device, DEVICE_QUARANTINED);
                assert_non_null(strstr(device->state_reason, "reset before a lease failed"));
                (void)REFUSED(core, RESULT_QUARANTINED, vmm, { D1 });
        }
        fake_host_device(core->fake, D1)->reset = RESET_NOT_TRIED;
        assert_int_equal(broker_reset_device(core->broker, D1, core_admin_done, &answer, &refusal), 0);
        (void)fake_host_run(core->fake);
        core_restart(core);
        assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
}

/* The daemon ended in the middle of an administrator's reset: still in quarantine. */
static void test_quarantine_midway(void **state)
{
        Core *core = *state;
        Answer answer = {};
        Refusal refusal;

        (void)core_device(core, D1, 1, "vfio-pci");
        fake_host_device(core->fake, D1)->reset = RESET_FAILED;
        (void)FAILS(core, RESULT_RESET_FAILED, core_process(core, 100, UID_BLUE), { D1 });
        assert_int_equal(broker_reset_device(core->broker, D1, core_admin_done, &answer, &refusal), 0);
        core_restart(core);
        core_check(core);
        assert_state(broker_device(core->broker, D1), DEVICE_QUARANTINED);
        assert_int_equal(answer.n_calls, 0);
}

/* Records of devices: of one that is gone, of one whose driver is the host's again, of one that a lease has. */
static void test_device_records(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        DeviceRecord record = { .id = D2, .prior_known = true, .prior_driver = "nvme" };

        assert_int_equal(broker_restore_device(core->broker, &record), -ENODEV);
        strcpy(record.id, D1);
        assert_int_equal(broker_restore_device(core->broker, &record), 0);
        assert_false(device->prior_known);
        (void)core_device(core, D1, 1, "vfio-pci");
        assert_int_equal(broker_restore_device(core->broker, &record), 0);
        assert_string_equal(device->prior_driver, "nvme");
        (void)GRANT(core, core_process(core, 100, UID_BLUE), { D1 });
        record.quarantined = true;
        assert_int_equal(broker_restore_device(core->broker, &record), 0);
        assert_state(device, DEVICE_LEASED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(goes_on),         TEST(watched),           TEST(two_of_one_process),
                TEST(process_ended),   TEST(connection),        TEST(explicit),
                TEST(opening),         TEST(opening_kept),      TEST(reclaiming),
                TEST(restores_driver), TEST(device_gone),       TEST(settled_before),
                TEST(nonsense),        TEST(cannot_know),       TEST(limit_fails),
                TEST(quarantine),      TEST(quarantine_midway), TEST(device_records),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
