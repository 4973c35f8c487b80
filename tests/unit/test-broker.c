/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/broker.c: the tables, the policy in force, and who is told. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"

/* Tenants are those of the policy; a new policy is a new generation. */
static void test_policy(void **state)
{
        Core *core = *state;

        core_check(core);
        assert_int_equal(core->n_tenants, 2);
        assert_int_equal(core->broker->policy_generation, 1);
        assert_non_null(broker_tenant(core->broker, "red"));
        core_set_policy(core, POLICY_HEAD "[tenant green]\nmatch-user = 2004\ndevices = any\n");
        core_check(core);
        assert_int_equal(core->broker->policy_generation, 2);
        assert_null(broker_tenant(core->broker, "red"));
        assert_non_null(broker_tenant(core->broker, "green"));
        core_set_policy(core, "");
        core_check(core);
        assert_int_equal(core->n_tenants, 0);
}

/* A tenant that leaves the policy keeps what it has until it ends, under the terms that it was granted under, and gets
 * nothing more; then it is gone. */
static void test_swap_while_leased(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_RED);
        Policy *before = core->broker->policy;
        Lease *lease;

        (void)core_device(core, D1, 1, "igb");
        (void)core_device(core, D2, 2, "igb");
        lease = GRANT(core, vmm, { D1 }, .memlock = MIB);
        core_set_policy(core, POLICY_HEAD);
        core_check(core);
        assert_ptr_equal(lease->policy, before);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_false(lease->tenant->in_policy);
        assert_true(broker_tenant_may_see(core->broker, "red", broker_device(core->broker, D1)));
        assert_false(broker_tenant_may_see(core->broker, "red", broker_device(core->broker, D2)));
        (void)REFUSED(core, RESULT_NO_TENANT, vmm, { D2 });
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, core_process(core, 101, UID_BLUE), { D1 });

        core_set_policy(core, POLICY_HEAD POLICY_RED); /* and back: the same tenant */
        assert_ptr_equal(broker_tenant(core->broker, "red"), lease->tenant);
        core_set_policy(core, POLICY_HEAD);
        broker_lease_end(core->broker, lease, END_RELEASED);
        core_check(core);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_null(broker_tenant(core->broker, "red"));
        assert_string_equal(broker_device(core->broker, D1)->info.driver, "igb"); /* on-release = restore */
}

/* The policy changes while a lease is opened: it is granted, under the old one. */
static void test_swap_while_opening(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_RED);
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        core_set_policy(core, "");
        core_check(core);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(answer.error, 0);
        broker_lease_end(core->broker, answer.lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(core->n_tenants, 0);
}

/* A new policy that allows less than is used takes nothing away. */
static void test_smaller_budget(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .memlock = GIB);
        core_set_policy(core,
                        "[broker]\nmemlock-max = 512M\n[tenant blue]\nmatch-user = 2001\ndevices = any\n"
                        "devices-max = 1\n");
        core_check(core);
        assert_true(vmm->limit.soft == 8 * MIB + GIB + MIB);
        (void)REFUSED(core, RESULT_DEVICE_QUOTA_EXCEEDED, vmm, { D2 });
}

/* Look-ups find what there is. */
static void test_lookups(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");

        assert_ptr_equal(broker_device(core->broker, D1), device);
        assert_null(broker_device(core->broker, D2));
        assert_ptr_equal(broker_group(core->broker, 1), device->group);
        assert_null(broker_group(core->broker, 2));
        assert_null(broker_group(core->broker, -1));
        assert_null(broker_lease(core->broker, ""));
        assert_null(broker_tenant(core->broker, "green"));
        assert_true(broker_memlock_max(core->broker) == 8 * GIB);
}

/* A tenant sees what its selectors name, and what it has. */
static void test_may_see(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");

        assert_true(broker_tenant_may_see(core->broker, "blue", device));
        assert_false(broker_tenant_may_see(core->broker, "no such tenant", device));
        (void)GRANT(core, core_process(core, 100, UID_BLUE), { D1 });
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = pci:" D2 "\n[tenant red]\n"
                              "match-user = 2002\ndevices = any\ndeny-devices = pci:" D1 "\n");
        assert_true(broker_tenant_may_see(core->broker, "blue", device));
        assert_false(broker_tenant_may_see(core->broker, "red", device));
}

static unsigned told;

static void tell(void *userdata, const BrokerEvent *event)
{
        assert_string_equal(event->tenant, "");
        assert_string_equal(event->lease, "");
        assert_int_equal(event->n_devices, 0);
        assert_int_equal(event->pid, 0);
        assert_true(event->uid == (uid_t)-1);
        told++;
}

/* As many observers as there is room for; members may be missing; one that has gone hears nothing. */
static void test_observers(void **state)
{
        static const BrokerObserver none = {}, some = { .event = tell };
        Core *core = *state;
        int a, b, c, d;

        assert_int_equal(broker_observe(core->broker, &none, &a), 0);
        assert_int_equal(broker_observe(core->broker, &some, &b), 0);
        assert_int_equal(broker_observe(core->broker, &none, &c), 0);
        assert_int_equal(broker_observe(core->broker, &none, &d), -E2BIG);
        told = 0;
        broker_event(core->broker, EVENT_TROUBLE, NULL, NULL, "", "%s", "trouble");
        assert_int_equal(told, 1);
        assert_int_equal(core->events[EVENT_TROUBLE], 1);
        broker_unobserve(core->broker, &b);
        broker_event(core->broker, EVENT_TROUBLE, NULL, NULL, "", "%s", "trouble");
        assert_int_equal(told, 1);
        assert_int_equal(core->events[EVENT_TROUBLE], 2);
        (void)core_device(core, D1, 1, "vfio-pci"); /* with observers that have no member at all */
        broker_lease_end(core->broker, GRANT(core, core_process(core, 100, UID_BLUE), { D1 }), END_RELEASED);
        broker_device_remove(core->broker, D1);
        (void)fake_host_run(core->fake);
        core_set_policy(core, "");
        core_check_idle(core);
        assert_int_equal(broker_observe(core->broker, &none, &d), 0);
}

/* The broker goes with leases in every state: processes keep their devices and limits, records stay, jobs are disowned,
 * nobody is called. */
static void test_broker_goes(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)core_device(core, D3, 3, "vfio-pci");
        (void)core_device(core, "0000:04:00.0", 4, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .memlock = MIB);
        lease = GRANT(core, vmm, { D2, "0000:04:00.0" });
        fake_host_device(core->fake, D2)->prove_error = EBUSY;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake); /* it waits for another trial */
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D3 } }, &answer), 0);
        core_check(core);
        core->n_leases = 0;
        core->broker = broker_free(core->broker);
        assert_int_equal(core->n_leases, 0);
        assert_int_equal(fake_host_n_timers(core->fake), 0);
        assert_int_equal(fake_host_n_watches(core->fake), 0);
        core->fake->driver_changed = NULL;
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 0);
        assert_true(vmm->limit.soft == 10 * MIB);
        assert_int_equal(HASH_COUNT(core->leases), 3);
        assert_null(broker_free(NULL));
}

/* Without a store everything works but a restart. */
static void test_no_store(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Device *device;

        core->broker->store = NULL;
        core->record_failed = true;
        device = core_device(core, D1, 1, "igb");
        broker_lease_end(core->broker, GRANT(core, vmm, { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
        fake_host_device(core->fake, D1)->open_error = EIO;
        (void)FAILS(core, RESULT_BACKEND_UNAVAILABLE, vmm, { D1 });
        core->fake->job_start_error = EAGAIN;
        (void)REFUSED(core, RESULT_RATE_LIMITED, vmm, { D1 });
        broker_device_remove(core->broker, D1);
        core_check_idle(core);
}

/* Ids of leases are no one else's, and start with a letter whatever the machine's random numbers are. */
static void test_lease_ids(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        uint64_t random;
        Lease *first, *second;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        random = core->fake->next_random;
        first = GRANT(core, vmm, { D1 });
        core->fake->next_random = random; /* the machine repeats itself */
        second = GRANT(core, vmm, { D2 });
        assert_string_not_equal(first->id, second->id);
        assert_int_equal(strlen(first->id), 12);

        for (unsigned i = 0; i < 64; i++) {
                Lease *lease;

                assert_true(first->id[0] >= 'a' && first->id[0] <= 'p');
                assert_int_equal(strspn(first->id + 1, "0123456789abcdef"), 11);
                broker_lease_end(core->broker, first, END_RELEASED);
                (void)fake_host_run(core->fake);
                lease = GRANT(core, vmm, { D1 });
                assert_string_not_equal(lease->id, second->id);
                first = lease;
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(policy),   TEST(swap_while_leased), TEST(swap_while_opening), TEST(smaller_budget),
                TEST(lookups),  TEST(may_see),           TEST(observers),          TEST(broker_goes),
                TEST(no_store), TEST(lease_ids),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
