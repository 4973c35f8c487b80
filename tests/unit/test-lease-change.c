/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/lease-change.c and reissue.c: leases that grow, shrink, and hand their fds out once more. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"

static FakeProcess *setup_three(Core *core)
{
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "igb");
        (void)core_device(core, D3, 3, "vfio-pci");
        return core_process(core, 100, UID_BLUE);
}

static int take_out(Core *core, Lease *lease, const char *one, const char *two, Result code)
{
        const char *ids[] = { one, two };
        Refusal refusal = {};
        int r;

        r = broker_lease_remove(core->broker, lease, ids, two ? 2 : one ? 1 : 0, &refusal);
        assert_int_equal(r, code);
        core_check(core);
        return r;
}

/* A device is added, with rows for it alone; the lease's terms stay, and both end together. */
static void test_add(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core);
        Answer answer = {};
        uint64_t limit;
        Lease *lease;

        lease = GRANT(core, vmm, { D1 }, .memlock = 64 * MIB);
        limit = vmm->limit.soft;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D2 }, .lease = lease }, &answer), 0);
        assert_int_equal(core->broker->n_leases, 2);
        core_check(core);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(answer.error, 0);
        assert_ptr_equal(answer.lease, lease);
        assert_int_equal(answer.n_fds, 1);
        assert_string_equal(answer.ids[0], D2);
        assert_int_equal(core->broker->n_leases, 1);
        assert_int_equal(lease->n_devices, 2);
        assert_int_equal(core_lease_record(core, lease->id)->n_devices, 2);
        assert_state(broker_device(core->broker, D2), DEVICE_LEASED);
        assert_true(vmm->limit.soft == limit);

        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(broker_device(core->broker, D2), DEVICE_AVAILABLE);
}

/* Every refusal leaves the lease as it was. */
static void test_add_refused(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core);
        Lease *lease = GRANT(core, vmm, { D1 });

        (void)REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D1 }, .lease = lease);
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, vmm, { "0000:99:00.0" }, .lease = lease);
        fake_host_device(core->fake, D2)->open_error = EIO;
        (void)FAILS(core, RESULT_BACKEND_UNAVAILABLE, vmm, { D3, D2 }, .lease = lease);
        assert_int_equal(lease->n_devices, 1);
        assert_state(broker_device(core->broker, D3), DEVICE_AVAILABLE);
        assert_state(broker_device(core->broker, D2), DEVICE_HOST);

        core_set_policy(core, POLICY_HEAD "devices-max = 1\n");
        (void)REFUSED(core, RESULT_DEVICE_QUOTA_EXCEEDED, vmm, { D3 }, .lease = lease);
        core_set_policy(core, POLICY_RED);
        (void)REFUSED(core, RESULT_NO_TENANT, vmm, { D3 }, .lease = lease);
        /* The number of leases is no matter: it is no new one. */
        core_set_policy(core, POLICY_HEAD "leases-max = 1\n");
        fake_host_device(core->fake, D2)->open_error = 0;
        {
                Answer answer = {};

                assert_int_equal(core_ask(core, &(Ask){ vmm, { D3 }, .lease = lease }, &answer), 0);
                (void)fake_host_run(core->fake);
                assert_int_equal(answer.error, 0);
        }
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)REFUSED(core, RESULT_NO_SUCH_LEASE, vmm, { D2 }, .lease = lease);
}

/* A lease has as many devices as a message has room for fds, and the sum of two that are added at one time counts: the
 * second is given back. */
static void test_add_too_many(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Ask first = { .process = vmm }, second = { .process = vmm }, third = { .process = vmm };
        const char *all[JOB_DEVICES_MAX + 1];
        static char ids[JOB_DEVICES_MAX + 2][16];
        Answer answers[2] = {};
        Refusal refusal;
        Lease *lease;

        for (unsigned i = 0; i < ELEMENTSOF(ids); i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "0000:%02x:00.0", i + 0x20);
                (void)core_device(core, ids[i], (int)i + 40, "vfio-pci");
        }
        for (unsigned i = 0; i < JOB_DEVICES_MAX - 7; i++)
                first.devices[i] = ids[i];
        for (unsigned i = 0; i < 4; i++) {
                second.devices[i] = ids[JOB_DEVICES_MAX - 7 + i];
                third.devices[i] = ids[JOB_DEVICES_MAX - 3 + i];
        }
        lease = core_grant(core, &first);
        second.lease = third.lease = lease;
        assert_int_equal(core_ask(core, &second, answers), 0);
        assert_int_equal(core_ask(core, &third, answers + 1), 0);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(answers[0].error, 0);
        assert_int_equal(answers[1].error, -E2BIG);
        assert_int_equal(lease->n_devices, JOB_DEVICES_MAX - 3);
        assert_int_equal(core->broker->n_leases, 1);
        assert_state(broker_device(core->broker, ids[JOB_DEVICES_MAX - 4]), DEVICE_LEASED);
        assert_state(broker_device(core->broker, ids[JOB_DEVICES_MAX - 3]), DEVICE_AVAILABLE);
        (void)core_refused(core, &third, RESULT_LIMITS_EXCEEDED);

        for (unsigned i = 0; i < ELEMENTSOF(all); i++)
                all[i] = ids[i];
        assert_int_equal(broker_lease_remove(core->broker, lease, all, ELEMENTSOF(all), &refusal),
                         RESULT_INVALID_ARGS);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* The lease ends while the device is opened: that comes back with the rest, and nobody gets it. */
static void test_end_while_adding(void **state)
{
        for (int how = 0; how < 3; how++) {
                Core *core = *state;
                FakeProcess *vmm = how == 0 ? setup_three(core) : core_process(core, 100 + how, UID_BLUE);
                Lease *lease = GRANT(core, vmm, { D1 });
                Answer answer = {};

                assert_int_equal(core_ask(core, &(Ask){ vmm, { D2, D3 }, .lease = lease }, &answer), 0);
                if (how == 0)
                        fake_host_end_process(core->fake, vmm);
                else if (how == 1)
                        broker_lease_end(core->broker, lease, END_RELEASED);
                else
                        broker_device_remove(core->broker, D1);
                if (how > 0)
                        assert_int_equal(answer.n_calls, 1);
                (void)fake_host_run(core->fake);
                assert_int_equal(answer.n_calls, 1);
                assert_int_equal(answer.error, RESULT_PROCESS_UNUSABLE);
                core_check_idle(core);
                assert_state(broker_device(core->broker, D3), DEVICE_AVAILABLE);
                assert_state(broker_device(core->broker, D2), DEVICE_HOST); /* it goes back */
        }
}

/* The record of the grown lease cannot be written, or the answer not be sent: the device leaves again. */
static void test_add_not_delivered(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core);
        Lease *lease = GRANT(core, vmm, { D1 });
        Answer answer = {};

        core->skip[OP_LEASE_PUT] = 1; /* that of the lease that is opened */
        core->fail[OP_LEASE_PUT] = ENOSPC;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D3 }, .lease = lease }, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, -ENOSPC);
        core->fail[OP_LEASE_PUT] = 0;
        assert_int_equal(lease->n_devices, 1);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_state(broker_device(core->broker, D3), DEVICE_AVAILABLE);

        core->record_failed = false;
        answer = (Answer){ .reply = -ENOBUFS };
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D3 }, .lease = lease }, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(lease->n_devices, 1);
        assert_state(broker_device(core->broker, D3), DEVICE_AVAILABLE);
        core_check(core);
}

/* One that was the host's goes back to it, as after an Acquire that is not delivered. */
static void test_add_of_host_not_delivered(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core);
        Lease *lease = GRANT(core, vmm, { D1 });
        Answer answer = { .reply = -ENOBUFS };

        (void)core_device(core, D3, 3, "igb");
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D3 }, .lease = lease }, &answer), 0);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(lease->n_devices, 1);
        assert_state(broker_device(core->broker, D3), DEVICE_HOST);
        assert_string_equal(broker_device(core->broker, D3)->info.driver, "igb");
}

/* A device leaves, is proven free and reset, and the lease goes on. */
static void test_remove(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core);
        FakeDevice *fake = fake_host_device(core->fake, D3);
        Lease *lease = GRANT(core, vmm, { D1, D2, D3 }, .memlock = MIB);
        uint64_t limit = vmm->limit.soft;

        (void)take_out(core, lease, NULL, NULL, RESULT_INVALID_ARGS);
        (void)take_out(core, lease, D1, D1, RESULT_INVALID_ARGS);
        (void)take_out(core, lease, D1, "0000:99:00.0", RESULT_NO_SUCH_DEVICE);
        fake->prove_error = EBUSY;
        (void)take_out(core, lease, D3, D1, 0);
        assert_int_equal(core->broker->n_leases, 2);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
        assert_state(broker_device(core->broker, D3), DEVICE_RECLAIMING);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D3 }); /* not while a file of it is open */
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_true(vmm->limit.soft == limit);
        fake->prove_error = 0;
        fake_host_advance(core->fake, USEC_PER_SEC);
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, D3), DEVICE_AVAILABLE);
        assert_int_equal(core->broker->n_leases, 1);
        assert_int_equal(lease->n_devices, 1);
        (void)take_out(core, lease, D2, NULL, RESULT_INVALID_ARGS); /* the last one */
        assert_int_equal(lease->state, LEASE_ACTIVE);
}

/* Where the record of what leaves cannot be written, it does not leave. */
static void test_remove_without_record(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core);
        Lease *lease = GRANT(core, vmm, { D1, D3 });
        const char *id = D3;
        Refusal refusal;

        core->fail[OP_LEASE_PUT] = EIO;
        assert_int_equal(broker_lease_remove(core->broker, lease, &id, 1, &refusal), -EIO);
        core_check(core);
        assert_int_equal(lease->n_devices, 2);
        assert_state(broker_device(core->broker, D3), DEVICE_LEASED);
}

/* A crash while a device is in two records: the one that asks for more care has it. */
static void test_two_records(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core);
        Lease *lease = GRANT(core, vmm, { D1, D3 });
        LeaseRecord active, part;

        active = *core_lease_record(core, lease->id);
        part = active;
        strcpy(part.id, "part");
        part.state = LEASE_RECLAIMING;
        part.devices[0] = part.devices[1];
        part.n_devices = 1;
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        vmm->alive = true;

        core->record_failed = true;
        assert_int_equal(broker_restore_lease(core->broker, &part), 0);
        assert_int_equal(broker_restore_lease(core->broker, &active), 0);
        lease = broker_lease(core->broker, active.id);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_int_equal(lease->n_devices, 1);
        assert_state(broker_device(core->broker, D3), DEVICE_RECLAIMING);
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, D3), DEVICE_AVAILABLE);
        assert_state(broker_device(core->broker, D1), DEVICE_LEASED);
}

/* What has left is granted to another tenant only when no record gives it to the first any more. */
static void test_remove_half_recorded(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core), *red = core_process(core, 300, UID_RED);
        Lease *lease = GRANT(core, vmm, { D1, D3 });
        const char *id = D3;
        Refusal refusal;

        core->skip[OP_LEASE_PUT] = 1; /* that of the part */
        core->fail[OP_LEASE_PUT] = EIO;
        assert_int_equal(broker_lease_remove(core->broker, lease, &id, 1, &refusal), 0);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_state(broker_device(core->broker, D3), DEVICE_AVAILABLE);
        (void)REFUSED(core, (Result)-EIO, red, { D3 });
        core->fail[OP_LEASE_PUT] = 0;
        (void)GRANT(core, red, { D3 });
        core_restart(core);
        assert_string_equal(broker_device(core->broker, D3)->lease->tenant->name, "red");
        core->record_failed = false;
        core_check(core);
}

/* The same after a crash between the two records. */
static void test_remove_crash(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core), *red = core_process(core, 300, UID_RED);
        Lease *lease = GRANT(core, vmm, { D1, D3 });
        LeaseRecord active = *core_lease_record(core, lease->id), part;
        const char *id = D3;
        Refusal refusal;

        fake_host_device(core->fake, D3)->hang = true;
        assert_int_equal(broker_lease_remove(core->broker, lease, &id, 1, &refusal), 0);
        part = *core_lease_record(core, broker_device(core->broker, D3)->lease->id);
        core->leases->record = active;
        core->record_failed = true;
        core_restart_empty(core);
        fake_host_device(core->fake, D3)->hang = false;
        broker_restore_begin(core->broker);
        assert_int_equal(broker_restore_lease(core->broker, &part), 0);
        assert_int_equal(broker_restore_lease(core->broker, &active), 0);
        broker_restore_end(core->broker);
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, D3), DEVICE_AVAILABLE);
        (void)GRANT(core, red, { D3 });
        core_restart(core);
        assert_string_equal(broker_device(core->broker, D3)->lease->tenant->name, "red");
        assert_string_equal(broker_device(core->broker, D1)->lease->tenant->name, "blue");
        core->record_failed = false;
        core_check(core);
}

/* All fds once more: the device was neither reset nor given to anybody, and a private iommufd is a new one. */
static void test_reissue(void **state)
{
        static const unsigned backends[] = { POLICY_BACKEND_IOMMUFD, POLICY_BACKEND_GROUP };
        Core *core = *state;
        FakeProcess *vmm = setup_three(core);

        for (size_t i = 0; i < ELEMENTSOF(backends); i++) {
                Lease *lease = GRANT(core, vmm, { D1, D3 }, .backend = backends[i]);
                unsigned resets = fake_host_device(core->fake, D1)->n_resets, fds = fake_host_count_fds();
                Answer answer = {}, second = {};

                assert_int_equal(core_reissue(core, lease, &answer), 0);
                assert_int_equal(core_reissue(core, lease, &second), RESULT_RATE_LIMITED);
                (void)fake_host_run(core->fake);
                assert_int_equal(answer.n_calls, 1);
                assert_int_equal(answer.error, 0);
                assert_int_equal(answer.n_fds, i == 0 ? 3 : 5);
                assert_string_equal(answer.ids[0], lease->id);
                assert_string_equal(answer.ids[answer.n_fds - 1], D3);
                assert_int_equal(fake_host_device(core->fake, D1)->n_resets, resets);
                assert_int_equal(fake_host_count_fds(), fds);
                core_check(core);
                broker_lease_end(core->broker, lease, END_RELEASED);
                assert_int_equal(core_reissue(core, lease, &(Answer){}), RESULT_NO_SUCH_LEASE);
                (void)fake_host_run(core->fake);
                core_check_idle(core);
        }
}

/* What happens to the lease meanwhile: it ends, is to lose a device that is being opened, or one that is not, gets one. */
static void test_reissue_meanwhile(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = setup_three(core);
        Lease *lease = GRANT(core, vmm, { D1, D3 });
        unsigned fds = fake_host_count_fds();
        Answer answer = {}, added = {};

        assert_int_equal(core_reissue(core, lease, &answer), 0);
        (void)take_out(core, lease, D3, NULL, RESULT_RATE_LIMITED); /* two jobs for one device */
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D2 }, .lease = lease }, &added), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
        assert_int_equal(answer.n_fds, 3);
        assert_string_equal(answer.ids[1], D1);
        assert_string_equal(answer.ids[2], D3);
        assert_int_equal(added.error, 0);
        core_check(core);
        (void)take_out(core, lease, D3, NULL, RESULT_OK);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(fake_host_count_fds(), fds);

        answer = (Answer){};
        fake_host_device(core->fake, D1)->open_error = EMFILE;
        assert_int_equal(core_reissue(core, lease, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, RESULT_BACKEND_UNAVAILABLE);
        fake_host_device(core->fake, D1)->open_error = 0;
        core->fake->job_start_error = EAGAIN;
        assert_int_equal(core_reissue(core, lease, &(Answer){}), RESULT_RATE_LIMITED);
        core->fake->job_start_error = 0;
        assert_int_equal(fake_host_count_fds(), fds);

        answer = (Answer){};
        assert_int_equal(core_reissue(core, lease, &answer), 0);
        broker_lease_end(core->broker, lease, END_RELEASED);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.error, RESULT_NO_SUCH_LEASE);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        core_check_idle(core);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(add),
                TEST(add_refused),
                TEST(add_too_many),
                TEST(end_while_adding),
                TEST(add_not_delivered),
                TEST(add_of_host_not_delivered),
                TEST(remove),
                TEST(remove_without_record),
                TEST(two_records),
                TEST(remove_half_recorded),
                TEST(remove_crash),
                TEST(reissue),
                TEST(reissue_meanwhile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
