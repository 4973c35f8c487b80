/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/standing.c: leases under a policy that would not grant them: they stay, are marked, and an operator hears
 * of each once, with the rule. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"

static const gid_t gids[] = { 2001, 100 };
static const CallerFacts vm = { .uid = UID_BLUE,
                                .gids = gids,
                                .n_gids = ELEMENTSOF(gids),
                                .unit = "vm@1.service",
                                .slice = "blue-vms.slice",
                                .machine = "vm1",
                                .label = "system_u:vm" };

static void add_devices(Core *core)
{
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
}

/* The whole story: marked, told once, still there and whole; the mark goes with a policy that grants it again. */
static void test_story(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        unsigned changes;
        Lease *lease;

        add_devices(core);
        lease = GRANT(core, vmm, { D1, D2 }, .memlock = MIB);
        assert_string_equal(lease->refused, "");

        changes = core->n_lease_changes;
        core_set_policy(core,
                        "[tenant blue]\nmatch-user = 2001\ndevices = any\ndeny-devices = pci:" D2 "\n");
        assert_string_equal(lease->refused,
                            "tenant blue may not use " D2 ": deny-devices has pci:" D2 " (policy:4)");
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_int_equal(core->n_lease_changes, changes + 1);
        assert_int_equal(core->events[EVENT_NOT_COVERED], 1);
        assert_string_equal(core->last_rule[EVENT_NOT_COVERED], "policy:4");
        assert_non_null(strstr(core->last_event[EVENT_NOT_COVERED], lease->id));
        assert_non_null(strstr(core->last_event[EVENT_NOT_COVERED], lease->refused));
        core_check(core);

        /* Another reason is shown, and not told again; the same is nothing new. */
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = pci:" D2 "\n");
        assert_non_null(strstr(lease->refused, D1));
        assert_int_equal(core->n_lease_changes, changes + 2);
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = pci:" D2 "\n");
        assert_int_equal(core->n_lease_changes, changes + 2);
        assert_int_equal(core->events[EVENT_NOT_COVERED], 1);

        core_set_policy(core, POLICY_HEAD);
        assert_string_equal(lease->refused, "");
        assert_int_equal(core->n_lease_changes, changes + 3);
        assert_int_equal(core->events[EVENT_NOT_COVERED], 1);

        /* The next time it is told again. */
        core_set_policy(core, "");
        assert_int_equal(core->events[EVENT_NOT_COVERED], 2);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* A tenant that is gone keeps its leases until they end; the rule is the section that it had. */
static void test_tenant_gone(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        Lease *first, *second;

        add_devices(core);
        first = GRANT(core, vmm, { D1 });
        second = GRANT(core, vmm, { D2 });
        core_set_policy(core, POLICY_RED);
        assert_string_equal(first->refused, "the policy has no tenant blue any more (policy:3)");
        assert_string_equal(core->last_rule[EVENT_NOT_COVERED], "policy:3");
        assert_int_equal(core->events[EVENT_NOT_COVERED], 2);
        (void)REFUSED(core, RESULT_NO_TENANT, vmm, { D1 });
        broker_lease_end(core->broker, first, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_non_null(broker_tenant(core->broker, "blue"));
        assert_int_equal(second->state, LEASE_ACTIVE);
        broker_lease_end(core->broker, second, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_null(broker_tenant(core->broker, "blue"));
        core_check_idle(core);
}

/* What the policy alone decides marks a lease, key by key; what it may have at most, and when, does not. */
static void test_keys(void **state)
{
#define BLUE "[tenant blue]\nmatch-user = 2001\ndevices = any\n"
        static const struct {
                const char *policy, *says, *rule; /* says "": not marked */
        } cases[] = {
                { BLUE, "", "" },
                { BLUE "devices-max = 0\nleases-max = 0\nmemlock-max = 0\n", "", "" },
                { "[broker]\nmemlock-max = 0\nrate = 1/1s\n" BLUE, "", "" },
                { BLUE "memlock-default = 1G\nmemlock-slack = 0\nlinger = 1h\nrevoke = never\n", "", "" },
                { "[tenant blue]\nmatch-user = 2002\ndevices = any\n", "no more: match-user does not hold",
                  "policy:2" },
                { BLUE "match-group = 7\n", "match-group", "policy:4" },
                { BLUE "match-group = 100\n", "", "" },
                { BLUE "match-unit = vm@2.service\n", "match-unit", "policy:4" },
                { BLUE "match-unit = vm@*\n", "", "" },
                { BLUE "match-slice = red.slice\n", "match-slice", "policy:4" },
                { BLUE "match-slice = blue.slice\n", "", "" },
                { BLUE "match-machine = vm2\n", "match-machine", "policy:4" },
                { BLUE "match-machine = vm1\n", "", "" },
                { BLUE "match-label = *:other\n", "match-label", "policy:4" },
                { BLUE "match-label = *:vm\n", "", "" },
                { "[tenant blue]\nmatch-user = 2001\ndevices = pci:" D2 "\n", "nothing in its devices",
                  "policy:1" },
                { BLUE "deny-devices = any\n", "deny-devices has any", "policy:4" },
                { BLUE "backends = group\n", "may not use the iommufd backend", "policy:4" },
                { "[broker]\nbackends = group\n" BLUE, "may not use the iommufd backend", "policy:2" },
                { BLUE "share-containers = no\n", "share-containers = no", "policy:4" },
                { BLUE "allow-ipc-lock = no\n", "allow-ipc-lock = no", "policy:4" },
                { BLUE "allow-on-behalf = no\n", "allow-on-behalf = no", "policy:4" },
                { BLUE "[container vm]\ntenant = blue\nbackend = group\n", "of the other backend",
                  "policy:4" },
                { BLUE "[container vm]\ntenant = blue\nbackend = iommufd\n", "", "" },
                { BLUE "[container vm]\ntenant = blue\n", "", "" },
                { BLUE "[container other]\ntenant = blue\nbackend = group\n", "", "" },
                { BLUE "[container vm]\ntenant = red\nbackend = group\n[tenant red]\nmatch-user = 3\n", "",
                  "" },
        };
        Core *core = *state;
        FakeProcess *caller = core_process(core, 1, UID_BLUE), *vmm = core_process(core, 2, 77);
        Lease *lease;

        /* One for whom each key is needed: on behalf of another user's process with CAP_IPC_LOCK, in a named container. */
        add_devices(core);
        core_set_policy(core, BLUE "allow-on-behalf = yes\nallow-ipc-lock = yes\n");
        vmm->facts.ipc_lock = true;
        lease = GRANT(core, caller, { D1 }, .target = vmm, .caller = &vm, .container = "vm");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                /* The two that only this lease needs are given in all cases but their own. */
                const char *policy = cases[i].policy, *tail = strstr(policy, "[container");
                bool own = strstr(policy, "allow-") != NULL;
                int head = tail ? (int)(tail - policy) : (int)strlen(policy);

                assert_true(asprintf(&text, "%.*s%s%s%s", head, policy,
                                     own && strstr(policy, "ipc-lock") ? "" : "allow-ipc-lock = yes\n",
                                     own && strstr(policy, "on-behalf") ? "" : "allow-on-behalf = yes\n",
                                     strempty(tail)) > 0);
                core_set_policy(core, BLUE "allow-on-behalf = yes\nallow-ipc-lock = yes\n");
                assert_string_equal(lease->refused, "");
                core->events[EVENT_NOT_COVERED] = 0;
                core_set_policy(core, text);
                if (!cases[i].says[0] && lease->refused[0])
                        fail_msg("case %zu: %s", i, lease->refused);
                if (!strstr(lease->refused, cases[i].says))
                        fail_msg("case %zu: \"%s\"", i, lease->refused);
                assert_int_equal(core->events[EVENT_NOT_COVERED], cases[i].says[0] != 0);
                if (cases[i].says[0] && !tail)
                        assert_string_equal(core->last_rule[EVENT_NOT_COVERED], cases[i].rule);
        }
        core_check(core);
}

/* A key that is left out is said by the section. */
static void test_default(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);

        add_devices(core);
        core_set_policy(core, BLUE "allow-ipc-lock = yes\n");
        vmm->facts.ipc_lock = true;
        (void)GRANT(core, vmm, { D1 });
        core_set_policy(core, BLUE);
        assert_string_equal(core->last_rule[EVENT_NOT_COVERED], "policy:1");
}

/* Isolation, and a reset that the device has not. */
static void test_machine_keys(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        Device *device;
        Lease *lease;

        add_devices(core);
        device = broker_device(core->broker, D1);
        core->fake->isolation.interrupts = ISOLATION_NO;
        core->fake->isolation.unsafe_backends = POLICY_BACKEND_ALL;
        core_set_policy(core, "[broker]\nunsafe-interrupts = yes\n" BLUE);
        lease = GRANT(core, vmm, { D1 });
        core_set_policy(core, BLUE);
        assert_non_null(strstr(lease->refused, "unsafe-interrupts = no (by default)"));
        assert_string_equal(core->last_rule[EVENT_NOT_COVERED], "");
        core_set_policy(core, "[broker]\nunsafe-interrupts = yes\n" BLUE);
        assert_string_equal(lease->refused, "");

        core_set_policy(core, "[broker]\nunsafe-interrupts = yes\n" BLUE "reset = none\n");
        device->info.n_reset_methods = 0; /* as policy sees it: none */
        core_set_policy(core, "[broker]\nunsafe-interrupts = yes\n" BLUE "reset = best-effort\n");
        assert_string_equal(lease->refused, "");
        core_set_policy(core, "[broker]\nunsafe-interrupts = yes\n" BLUE "reset = required\n");
        assert_non_null(strstr(lease->refused, "no reset of its own"));
        assert_string_equal(core->last_rule[EVENT_NOT_COVERED], "policy:6");
}

/* Of a caller of whom not all could be kept, nothing is believed: no match key marks its lease, all else does. */
static void test_caller_unknown(void **state)
{
        static char huge[300];
        static gid_t many[LEASE_GIDS_MAX + 1];
        const CallerFacts callers[] = {
                { .uid = UID_BLUE, .gids = many, .n_gids = LEASE_GIDS_MAX + 1 },
                { .uid = UID_BLUE, .unit = huge },
                { .uid = UID_BLUE, .slice = huge },
                { .uid = UID_BLUE, .machine = huge },
                { .uid = UID_BLUE, .label = huge },
        };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);

        memset(huge, 'x', sizeof(huge) - 1);
        add_devices(core);
        for (size_t i = 0; i < ELEMENTSOF(callers); i++) {
                Lease *lease;

                core_set_policy(core, POLICY_HEAD);
                lease = GRANT(core, vmm, { D1 }, .caller = callers + i);
                assert_false(lease->caller.known);
                core_set_policy(core, "[tenant blue]\nmatch-user = 9\ndevices = any\n");
                assert_string_equal(lease->refused, "");
                core_set_policy(core, "[tenant blue]\nmatch-user = 9\n");
                assert_string_not_equal(lease->refused, "");
                broker_lease_end(core->broker, lease, END_RELEASED);
                (void)fake_host_run(core->fake);
        }
        core_set_policy(core, POLICY_HEAD);
        many[0] = 5;
        assert_true(
                GRANT(core, vmm, { D1 },
                      .caller = &(CallerFacts){ .uid = UID_BLUE, .gids = many, .n_gids = LEASE_GIDS_MAX })
                        ->caller.known);
}

/* Who asked and the mark are the same after a restart of the daemon, with the policy that there is then. */
static void test_restart(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        char id[LEASE_ID_MAX];
        Lease *lease;

        add_devices(core);
        lease = GRANT(core, vmm, { D1 }, .caller = &vm);
        memcpy(id, lease->id, sizeof(id));
        core_restart_empty(core);
        core_set_policy(core, BLUE "match-machine = vm2\n");
        core_read_records(core);
        lease = broker_lease(core->broker, id);
        assert_non_null(strstr(lease->refused, "match-machine"));
        assert_int_equal(core->events[EVENT_NOT_COVERED], 1);
        core_set_policy(core, BLUE "match-machine = vm1\nmatch-group = 100\n");
        assert_string_equal(lease->refused, "");

        /* No rule can be named of a tenant that was gone before the start. */
        core_restart_empty(core);
        core_set_policy(core, POLICY_RED);
        core_read_records(core);
        lease = broker_lease(core->broker, id);
        assert_string_equal(lease->refused, "the policy has no tenant blue any more");
        assert_string_equal(core->last_rule[EVENT_NOT_COVERED], "");
}

/* What is taken out of the lease, or no longer there, is no matter of it; what is added is. */
static void test_change(void **state)
{
        const char *const second[] = { D2 };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        Answer answer = {};
        Refusal refusal;
        Lease *lease;

        add_devices(core);
        lease = GRANT(core, vmm, { D1, D2 });
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = pci:" D1 "\n");
        assert_non_null(strstr(lease->refused, D2));
        assert_int_equal(broker_lease_remove(core->broker, lease, second, 1, &refusal), 0);
        assert_string_equal(lease->refused, "");
        (void)fake_host_run(core->fake);

        core_set_policy(core, POLICY_HEAD);
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D2 }, .lease = lease }, &answer), 0);
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = pci:" D1 "\n");
        assert_string_equal(lease->refused, "");
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
        assert_int_equal(lease->n_devices, 2);
        assert_non_null(strstr(lease->refused, D2));
}

/* A call in progress is carried out under the terms that it began with, and marked; what is being reclaimed is not. */
static void test_states(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        Answer answer = {};
        Lease *lease;

        add_devices(core);
        lease = GRANT(core, vmm, { D1 });
        fake_host_device(core->fake, D1)->hang = true;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D2 }, .memlock = MIB }, &answer), 0);
        core_set_policy(core, "");
        assert_string_equal(lease->refused, "");
        assert_int_equal(core->events[EVENT_NOT_COVERED], 1);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
        assert_int_equal(answer.lease->state, LEASE_ACTIVE);
        assert_true(vmm->limit.soft == 10 * MIB);
        assert_non_null(strstr(answer.lease->refused, "no tenant blue"));
        fake_host_device(core->fake, D1)->hang = false;
        (void)fake_host_run(core->fake);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(story),          TEST(tenant_gone), TEST(keys),   TEST(default), TEST(machine_keys),
                TEST(caller_unknown), TEST(restart),     TEST(change), TEST(states),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
