/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/old-job.c: a worker that outlives its daemon has its devices until it ends, and nobody does its work twice. */

#include "daemon/core/old-job.h"
#include "tests/unit/core-fixture.h"

#define D1   "0000:01:00.0"
#define D2   "0000:02:00.0"
#define UUID "11111111-2222-4333-8444-555555555555"

static JobRecord job_of(const FakeProcess *worker, JobKind kind, const char *id)
{
        JobRecord record = {
                .pid = worker->pid, .start_time = worker->facts.start_time, .kind = kind, .n_devices = 1
        };

        strcpy(record.devices[0].id, id);
        return record;
}

/* A lease that was being opened: its device is the old worker's, then it is reclaimed, then free. */
static void test_opening(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *worker = core_process(core, 900, 0);
        JobRecord record = job_of(worker, JOB_OPEN, D1);
        const Device *device;
        Refusal refusal = {};
        unsigned jobs;
        Answer answer = {};

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        fake_host_device(core->fake, D1)->hang = true;
        assert_int_equal(core_ask(core, &(Ask){ .process = vmm, .devices = { D1 } }, &answer), 0);
        core_restart_empty(core);
        fake_host_device(core->fake, D1)->hang = false;
        jobs = core->fake->n_jobs_started;
        assert_int_equal(broker_restore_job(core->broker, &record), 0);
        core_read_records(core);
        core_check(core);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->fake->n_jobs_started, jobs); /* it is not doubled */
        device = broker_device(core->broker, D1);
        assert_state(device, DEVICE_RECLAIMING);
        assert_non_null(strstr(device->state_reason, "process 900"));
        assert_true(core->events[EVENT_STUCK] >= 1);
        assert_non_null(device->lease);
        assert_non_null(strstr(REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D1 }), "being reclaimed"));
        assert_int_equal(broker_reset_device(core->broker, D1, NULL, NULL, &refusal), RESULT_DEVICE_TAKEN);
        (void)GRANT(core, vmm, { D2 }); /* the others work */

        core_restart_empty(core); /* and once more: it is outlived */
        assert_int_equal(broker_restore_job(core->broker, &record), 0);
        core_read_records(core);
        assert_int_equal(core->dropped_job, 0);
        fake_host_end_process(core->fake, worker);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->dropped_job, 900);
        core_check(core);
        device = broker_device(core->broker, D1);
        assert_null(device->lease);
        assert_state(device, DEVICE_AVAILABLE);
        assert_true(device->proven);
        (void)GRANT(core, vmm, { D1 });
}

/* The fds of an active lease were being opened once more: nobody opens them beside the old worker, and where the lease ends
 * its device is reclaimed, not before that has ended. */
static void test_reissuing(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *worker = core_process(core, 900, 0);
        JobRecord record = job_of(worker, JOB_REISSUE, D1);
        Answer answer = {};
        const Device *device;
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, vmm, { D1 });
        core_restart_empty(core);
        assert_int_equal(broker_restore_job(core->broker, &record), 0);
        core_read_records(core);
        core_check(core);
        lease = core->broker->leases;
        device = broker_device(core->broker, D1);
        assert_state(device, DEVICE_LEASED);
        assert_int_equal(core_reissue(core, lease, &answer), RESULT_RATE_LIMITED);
        assert_int_equal(fake_host_n_jobs(core->fake), 0);

        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_state(device, DEVICE_RECLAIMING);
        assert_int_equal(fake_host_n_jobs(core->fake), 0);
        fake_host_end_process(core->fake, worker);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
}

/* What comes, or comes back, under a name that an old worker knows is that worker's, too: it goes by names. */
static void test_comes_back(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *worker = core_process(core, 900, 0);
        JobRecord record = job_of(worker, JOB_RECLAIM, D1);

        assert_int_equal(broker_restore_job(core->broker, &record), 0);
        (void)core_device(core, D1, 1, "vfio-pci");
        core_check(core);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D1 });
        broker_device_remove(core->broker, D1);
        (void)core_device(core, D1, 1, "vfio-pci");
        core_check(core);
        assert_int_not_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &(Answer){}), 0);
        fake_host_end_process(core->fake, worker);
        (void)fake_host_run(core->fake);
        core_check(core);
        (void)GRANT(core, vmm, { D1 });
}

/* Old ones count: a tenant has no more of them at a time by way of a restart. */
static void test_counted(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answers[TENANT_JOBS_MAX] = {};
        char ids[TENANT_JOBS_MAX][DEVICE_ID_MAX];

        (void)core_device(core, D1, 100, "vfio-pci");
        for (int i = 0; i < TENANT_JOBS_MAX; i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "0000:09:%02x.0", i);
                (void)core_device(core, ids[i], 200 + i, "vfio-pci");
                fake_host_device(core->fake, ids[i])->hang = true;
                assert_int_equal(
                        core_ask(core, &(Ask){ .process = vmm, .devices = { ids[i] } }, answers + i), 0);
        }
        core_restart_empty(core);
        for (int i = 0; i < TENANT_JOBS_MAX; i++) {
                FakeProcess *worker = core_process(core, 900 + i, 0);
                JobRecord record = job_of(worker, JOB_OPEN, ids[i]);

                fake_host_device(core->fake, ids[i])->hang = false;
                assert_int_equal(broker_restore_job(core->broker, &record), 0);
        }
        core_read_records(core);
        (void)REFUSED(core, RESULT_RATE_LIMITED, vmm, { D1 });
        for (FakeProcess *p = core->fake->processes; p; p = p->hh.next)
                if (p->pid == 900)
                        fake_host_end_process(core->fake, p);
        (void)fake_host_run(core->fake);
        (void)GRANT(core, vmm, { D1 });
}

/* A worker of an administrator's request: no lease has the device, nobody gets it, then it is idle and unproven. */
static void test_without_lease(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *worker = core_process(core, 900, 0);
        JobRecord record = job_of(worker, JOB_BIND, D1);
        Refusal refusal = {};

        (void)core_device(core, D1, 1, "vfio-pci");
        core_restart_empty(core);
        assert_int_equal(broker_restore_job(core->broker, &record), 0);
        core_read_records(core);
        core_check(core);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D1 });
        assert_int_equal(broker_bind_device(core->broker, D1, "vfio-pci", NULL, NULL, &refusal),
                         RESULT_DEVICE_TAKEN);
        assert_non_null(strstr(refusal.text, "process 900"));
        fake_host_end_process(core->fake, worker);
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
        assert_false(broker_device(core->broker, D1)->proven);
        (void)GRANT(core, vmm, { D1 });
}

/* Quarantine is not left by that way. */
static void test_quarantined(void **state)
{
        Core *core = *state;
        FakeProcess *worker = core_process(core, 900, 0);
        JobRecord record = job_of(worker, JOB_RESET, D1);
        DeviceRecord device = { .id = D1, .quarantined = true, .reason = "the reset failed" };

        (void)core_device(core, D1, 1, "vfio-pci");
        assert_int_equal(broker_restore_job(core->broker, &record), 0);
        assert_int_equal(broker_restore_device(core->broker, &device), 0);
        assert_state(broker_device(core->broker, D1), DEVICE_QUARANTINED);
        fake_host_end_process(core->fake, worker);
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, D1), DEVICE_QUARANTINED);
        assert_string_equal(broker_device(core->broker, D1)->state_reason, "the reset failed");
}

/* It has ended: by its number, its start time, or as a zombie. */
static void test_ended(void **state)
{
        Core *core = *state;
        FakeProcess *worker = core_process(core, 900, 0);
        JobRecord record = job_of(worker, JOB_OPEN, D1);

        (void)core_device(core, D1, 1, "vfio-pci");
        worker->facts.start_time++;
        assert_int_equal(broker_restore_job(core->broker, &record), -ENODEV);
        worker->facts.start_time--;
        worker->facts.zombie = true;
        assert_int_equal(broker_restore_job(core->broker, &record), -ENODEV);
        worker->facts.zombie = false;
        worker->alive = false;
        assert_int_equal(broker_restore_job(core->broker, &record), -ENODEV);
        worker->alive = true;
        core->fail[OP_PROCESS_WATCH] = EMFILE;
        assert_int_equal(broker_restore_job(core->broker, &record), -EMFILE);
        core->fail[OP_PROCESS_WATCH] = 0;
        assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
        assert_null(core->broker->old_jobs);
}

/* The device goes while the old worker has it: it leaves with the worker's end. */
static void test_device_goes(void **state)
{
        Core *core = *state;
        FakeProcess *worker = core_process(core, 900, 0);
        JobRecord record = job_of(worker, JOB_UNBIND, D1);

        (void)core_device(core, D1, 1, "vfio-pci");
        assert_int_equal(broker_restore_job(core->broker, &record), 0);
        broker_device_remove(core->broker, D1);
        assert_state(broker_device(core->broker, D1), DEVICE_GONE);
        fake_host_end_process(core->fake, worker);
        (void)fake_host_run(core->fake);
        assert_null(broker_device(core->broker, D1));
}

/* An mdev that an old worker still makes is not made behind our back: made or not, its lease removes it. */
static void test_make(void **state)
{
        Core *core = *state;
        FakeProcess *worker = core_process(core, 900, 0);
        JobRecord record = job_of(worker, JOB_MAKE, UUID);
        LeaseRecord lease = {
                .id = "a0000000000f",
                .tenant = "blue",
                .state = LEASE_OPENING,
                .container = "a0000000000f",
                .backend = POLICY_BACKEND_IOMMUFD,
                .pid = 100,
                .uid = UID_BLUE,
                .n_devices = 1,
        };

        strcpy(record.devices[0].mdev_parent, "mtty");
        strcpy(record.devices[0].mdev_type, "mtty-1");
        strcpy(lease.devices[0].id, UUID);
        lease.devices[0].made = true;
        for (int with_lease = 0; with_lease < 2; with_lease++) {
                worker->alive = true;
                assert_int_equal(broker_restore_job(core->broker, &record), 0);
                assert_non_null(broker_device(core->broker, UUID));
                assert_true(broker_device(core->broker, UUID)->made);
                if (with_lease) {
                        broker_restore_begin(core->broker);
                        assert_int_equal(broker_restore_lease(core->broker, &lease), 0);
                        broker_restore_end(core->broker);
                        assert_non_null(broker_device(core->broker, UUID)->lease);
                        assert_int_equal(core->fake->n_jobs_started, 0);
                }
                fake_host_end_process(core->fake, worker);
                (void)fake_host_run(core->fake);
                assert_null(broker_device(core->broker, UUID));
                if (with_lease) {
                        assert_int_equal(core->fake->last_job.kind, JOB_RECLAIM);
                        assert_true(core->fake->last_job.devices[0].remove);
                }
                core_check_idle(core);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(reissuing),   TEST(comes_back), TEST(opening),     TEST(counted), TEST(without_lease),
                TEST(quarantined), TEST(ended),      TEST(device_goes), TEST(make),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
