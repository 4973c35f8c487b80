/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Keys of the policy that meet in one decision, two at a time: which of them has the word, and that neither takes the
 * other's away. By broker_check() and broker_acquire(), so that what decide.c says and what the core makes of it are one
 * story. Some pairs never get so far, for the parser refuses them (test-policy-check.c): a container of a backend that its
 * tenant may not use, or of a tenant that may have none. Keys that are not named together here are not looked at
 * together: `revoke` and `socket` come after a decision, `rate` and `admin-group` before one (tests/bus). */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0" /* group 1, vfio-pci */
#define D2 "0000:02:00.0" /* group 2, vfio-pci */
#define D3 "0000:03:00.0" /* group 3, with D4 */
#define D4 "0000:03:00.1"
#define D5 "0000:05:00.0" /* group 5, igb, in use on the host */
#define D6 "0000:06:00.0" /* group 6, vfio-pci, no reset of its own */

#define BLUE "[tenant blue]\nmatch-user = 2001\n"
#define ANY  BLUE "devices = any\n"

static const char *const inventory[] = { D1, D2, D3, D4, D5, D6 };

static int setup(void **state)
{
        static const int groups[] = { 1, 2, 3, 3, 5, 6 };
        Core *core;

        if (core_setup(state) < 0)
                return -1;
        core = *state;
        for (size_t i = 0; i < ELEMENTSOF(inventory); i++)
                (void)core_device(core, inventory[i], groups[i], i == 4 ? "igb" : "vfio-pci");
        fake_host_device(core->fake, D5)->usage = (DeviceUsage){ USAGE_HOST, "eth0 has an address" };
        broker_device(core->broker, D6)->info.n_reset_methods = 0;
        return 0;
}

/* --- the match keys: each pair, each of the two holding or not --- */

static void test_match_keys(void **state)
{
        static const struct {
                const char *key, *holds, *fails;
        } keys[] = {
                { "match-user", "2001", "2002" },        { "match-group", "100", "101" },
                { "match-unit", "vm@*.service", "x@*" }, { "match-slice", "blue.slice", "red.slice" },
                { "match-machine", "vm1", "vm2" },       { "match-label", "*:vm_t", "*:other_t" },
        };
        static const gid_t gids[] = { 2001, 100 };
        const CallerFacts caller = { .uid = UID_BLUE,
                                     .gids = gids,
                                     .n_gids = ELEMENTSOF(gids),
                                     .unit = "vm@1.service",
                                     .slice = "blue-vms.slice",
                                     .machine = "vm1",
                                     .label = "system_u:vm_t" };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);

        for (size_t a = 0; a < ELEMENTSOF(keys); a++)
                for (size_t b = a + 1; b < ELEMENTSOF(keys); b++)
                        for (unsigned holds = 0; holds < 4; holds++) {
                                char policy[512];

                                (void)snprintf(policy, sizeof(policy),
                                               "[tenant blue]\ndevices = any\n%s = %s\n%s = %s\n",
                                               keys[a].key, holds & 1 ? keys[a].holds : keys[a].fails,
                                               keys[b].key, holds & 2 ? keys[b].holds : keys[b].fails);
                                core_set_policy(core, policy);
                                if (holds != 3) {
                                        (void)REFUSED(core, RESULT_NO_TENANT, vmm, { D1 },
                                                      .caller = &caller);
                                        continue;
                                }
                                broker_lease_end(core->broker, GRANT(core, vmm, { D1 }, .caller = &caller),
                                                 END_RELEASED);
                                (void)fake_host_run(core->fake);
                        }
}

/* --- what one request shows --- */

typedef struct Case {
        const char *pair, *policy;
        Ask ask; /* its process is made */
        Result result;
        const char *text; /* in the refusal; of one that is granted, its devices */
        uint64_t limit;   /* of one that is granted, that the process then has; 0: not looked at */
} Case;

static const Case cases[] = {
        { "devices, deny-devices",
          BLUE "devices = pci:" D1 "\ndeny-devices = any\n",
          { .devices = { D1 } },
          RESULT_DENIED_BY_POLICY,
          "deny-devices has any (policy:4)" },
        { "devices, deny-devices",
          BLUE "devices = any\ndeny-devices = pci:" D2 "\n",
          { .devices = { D1 } },
          RESULT_OK,
          D1 },
        { "devices, pool",
          BLUE "devices = pool:p\n[pool p]\ndevices = pci:" D2 "\n",
          { .devices = { D2 } },
          RESULT_OK,
          D2 },
        { "devices, pool",
          BLUE "devices = pci:" D1 "\n[pool p]\ndevices = any\n",
          { .devices = { "pool:p" } },
          RESULT_OK,
          D1 },
        { "deny-devices, pool",
          ANY "deny-devices = pool:p\n[pool p]\ndevices = pci:" D2 "\n",
          { .devices = { D2 } },
          RESULT_DENIED_BY_POLICY,
          "deny-devices has pool:p" },
        { "deny-devices, pool",
          ANY "deny-devices = pci:" D1 "\n[pool p]\ndevices = pci:0000:0[12]:*\n",
          { .devices = { "pool:p" } },
          RESULT_OK,
          D2 },
        { "deny-devices, group:",
          ANY "deny-devices = pci:" D4 "\n",
          { .devices = { "group:3" } },
          RESULT_DENIED_BY_POLICY,
          D4 },
        { "devices-max, pool",
          ANY "devices-max = 1\n[pool p]\ndevices = pci:0000:0[12]:*\n",
          { .devices = { "pool:p*2" } },
          RESULT_DEVICE_QUOTA_EXCEEDED,
          "devices-max = 1" },
        { "devices-max, group:",
          ANY "devices-max = 1\n",
          { .devices = { "group:3" } },
          RESULT_DEVICE_QUOTA_EXCEEDED,
          "asks for 2 devices" },
        { "deny-devices, devices-max",
          ANY "deny-devices = pci:" D1 "\ndevices-max = 0\n",
          { .devices = { D1 } },
          RESULT_DENIED_BY_POLICY,
          "deny-devices" },
        { "devices-max, leases-max",
          ANY "devices-max = 0\nleases-max = 0\n",
          { .devices = { D1 } },
          RESULT_DEVICE_QUOTA_EXCEEDED,
          "devices-max = 0" },
        { "devices-max, leases-max",
          ANY "devices-max = 1\nleases-max = 0\n",
          { .devices = { D1 } },
          RESULT_LEASE_QUOTA_EXCEEDED,
          "leases-max = 0" },
        { "leases-max, memlock-max",
          ANY "leases-max = 0\nmemlock-max = 0\n",
          { .devices = { D1 }, .memlock = 1 },
          RESULT_LEASE_QUOTA_EXCEEDED,
          "leases-max = 0" },
        { "memlock-max, memlock-default",
          ANY "memlock-max = 1M\nmemlock-default = 2M\n",
          { .devices = { D1 }, .memlock = UINT64_MAX },
          RESULT_MEMLOCK_BUDGET_EXCEEDED,
          "2097152 bytes" },
        { "memlock-max, memlock-default",
          ANY "memlock-max = 1M\nmemlock-default = 2M\nmemlock-slack = 0\n",
          { .devices = { D1 }, .memlock = MIB },
          RESULT_OK,
          D1,
          9 * MIB },
        { "memlock-max, memlock-slack",
          ANY "memlock-max = 1M\nmemlock-slack = 64M\n",
          { .devices = { D1 }, .memlock = MIB },
          RESULT_OK,
          D1,
          73 * MIB },
        { "memlock-default, memlock-slack",
          ANY "memlock-default = 2M\nmemlock-slack = 3M\n",
          { .devices = { D1 }, .memlock = UINT64_MAX },
          RESULT_OK,
          D1,
          13 * MIB },
        { "memlock-max, [broker] memlock-max",
          "[broker]\nmemlock-max = 2M\n" ANY "memlock-max = 1M\n",
          { .devices = { D1 }, .memlock = 3 * MIB },
          RESULT_MEMLOCK_BUDGET_EXCEEDED,
          "its memlock-max of 1048576" },
        { "memlock-max, [broker] memlock-max",
          "[broker]\nmemlock-max = 2M\n" ANY "memlock-max = 4M\n",
          { .devices = { D1 }, .memlock = 3 * MIB },
          RESULT_MEMLOCK_BUDGET_EXCEEDED,
          "the host's memlock-max of 2097152" },
        { "memlock-default, [broker] memlock-max",
          "[broker]\nmemlock-max = 1M\n" ANY "memlock-default = 2M\n",
          { .devices = { D1 }, .memlock = UINT64_MAX },
          RESULT_MEMLOCK_BUDGET_EXCEEDED,
          "the host's" },
        { "memlock-slack, [broker] memlock-max",
          "[broker]\nmemlock-max = 1M\n" ANY "memlock-slack = 64M\n",
          { .devices = { D1 }, .memlock = MIB },
          RESULT_OK,
          D1,
          73 * MIB },
        { "backends, [broker] backends",
          "[broker]\nbackends = group\n" ANY "backends = iommufd group\n",
          { .devices = { D1 }, .backend = POLICY_BACKEND_IOMMUFD },
          RESULT_BACKEND_UNAVAILABLE,
          "only group" },
        { "backends, [broker] backends",
          "[broker]\nbackends = iommufd group\n" ANY "backends = group\n",
          { .devices = { D1 }, .backend = POLICY_BACKEND_IOMMUFD },
          RESULT_BACKEND_UNAVAILABLE,
          "only group" },
        { "backends, [broker] backends",
          "[broker]\nbackends = iommufd group\n" ANY "backends = group\n",
          { .devices = { D1 } },
          RESULT_OK,
          D1 },
        { "backends, [container] backend",
          ANY "backends = iommufd group\n[container c]\ntenant = blue\nbackend = group\n",
          { .devices = { D1 }, .container = "c", .backend = POLICY_BACKEND_IOMMUFD },
          RESULT_CONTAINER_INCOMPATIBLE,
          "of the group backend" },
        { "share-containers, devices-max",
          ANY "share-containers = no\ndevices-max = 0\n",
          { .devices = { D1 }, .container = "c" },
          RESULT_DEVICE_QUOTA_EXCEEDED,
          "devices-max" },
        { "unsafe-interrupts, devices",
          "[broker]\nunsafe-interrupts = yes\n" BLUE "devices = pci:" D2 "\n",
          { .devices = { D1 } },
          RESULT_DENIED_BY_POLICY,
          "nothing in its devices" },
        { "reset, deny-devices",
          ANY "reset = required\ndeny-devices = pci:" D6 "\n",
          { .devices = { D6 } },
          RESULT_DENIED_BY_POLICY,
          "deny-devices" },
        { "reset, devices",
          BLUE "devices = pci:" D6 "\nreset = required\n",
          { .devices = { D6 } },
          RESULT_RESET_FAILED,
          "reset = required" },
        { "reset, devices",
          BLUE "devices = pci:" D6 "\nreset = best-effort\n",
          { .devices = { D6 } },
          RESULT_OK,
          D6 },
        { "reset, pool",
          ANY "reset = required\n[pool p]\ndevices = pci:" D6 "\n",
          { .devices = { "pool:p" } },
          RESULT_RESET_FAILED,
          "reset = required" },
        { "force-unbind, devices",
          BLUE "devices = pci:" D1 "\n[device pci:" D5 "]\nforce-unbind = yes\n",
          { .devices = { D5 } },
          RESULT_DENIED_BY_POLICY,
          "nothing in its devices" },
        { "force-unbind, driver",
          ANY "[device pci:" D5 "]\nforce-unbind = no\ndriver = mlx5_vfio_pci\n",
          { .devices = { D5 } },
          RESULT_DEVICE_BUSY_ON_HOST,
          "eth0 has an address" },
        { "force-unbind, driver",
          ANY "[device pci:" D5 "]\nforce-unbind = yes\ndriver = mlx5_vfio_pci\n",
          { .devices = { D5 } },
          RESULT_OK,
          D5 },
        /* The last section that names the device has all of its keys from there, the defaults too. */
        { "force-unbind, force-unbind",
          ANY "[device any]\nforce-unbind = yes\n[device pci:" D5 "]\ndriver = vfio-pci\n",
          { .devices = { D5 } },
          RESULT_DEVICE_BUSY_ON_HOST,
          "eth0 has an address" },
};

static void test_cases(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const Case *c = cases + i;
                char ids[512] = "";
                Ask ask = c->ask;
                Answer answer = {};
                size_t n = 0;
                int r;

                ask.process = vmm;
                core_set_policy(core, c->policy);
                if (c->result != RESULT_OK) {
                        _cleanup_free_ char *before = core_dump(core), *after = NULL;

                        r = core_ask(core, &ask, &answer);
                        if (r != (int)c->result || !strstr(answer.text, c->text))
                                fail_msg("case %zu (%s): %d %s", i, c->pair, r, answer.text);
                        after = core_dump(core);
                        assert_string_equal(before, after);
                        continue;
                }
                r = core_ask(core, &ask, &answer);
                (void)fake_host_run(core->fake);
                if (r != 0 || answer.error != 0)
                        fail_msg("case %zu (%s): %d %s", i, c->pair, r, answer.text);
                for (size_t k = 0; k < answer.lease->n_devices; k++)
                        n += (size_t)snprintf(ids + n, sizeof(ids) - n, "%s%s", k ? " " : "",
                                              answer.lease->devices[k]->info.id);
                assert_string_equal(ids, c->text);
                if (c->limit && vmm->limit.soft != c->limit)
                        fail_msg("case %zu (%s): %llu", i, c->pair, (unsigned long long)vmm->limit.soft);
                core_check(core);
                broker_lease_end(core->broker, answer.lease, END_RELEASED);
                (void)fake_host_run(core->fake);
                if (streq(c->text, D5)) /* back to where it was */
                        (void)core_device(core, D5, 5, "igb");
                core_check_idle(core);
        }
}

/* --- the process: two keys that each allow a thing, four ways --- */

static void test_ipc_lock_on_behalf(void **state)
{
        Core *core = *state;
        FakeProcess *caller = core_process(core, 1, UID_BLUE), *target = core_process(core, 2, UID_NOONE);

        target->facts.ipc_lock = true;
        core_set_policy(core, ANY);
        (void)REFUSED(core, RESULT_PROCESS_UNUSABLE, caller, { D1 }, .target = target);
        core_set_policy(core, ANY "allow-ipc-lock = yes\n");
        (void)REFUSED(core, RESULT_PROCESS_UNUSABLE, caller, { D1 }, .target = target);
        core_set_policy(core, ANY "allow-on-behalf = yes\n");
        assert_non_null(strstr(REFUSED(core, RESULT_DENIED_BY_POLICY, caller, { D1 }, .target = target),
                               "CAP_IPC_LOCK"));
        core_set_policy(core, ANY "allow-on-behalf = yes\nallow-ipc-lock = yes\n");
        (void)GRANT(core, caller, { D1 }, .target = target);
}

/* allow-on-behalf and match-user: the tenant is the caller's, whatever tenant the process would be. */
static void test_on_behalf_match(void **state)
{
        Core *core = *state;
        FakeProcess *caller = core_process(core, 1, UID_BLUE), *target = core_process(core, 2, UID_RED);

        core_set_policy(core, ANY "allow-on-behalf = yes\n[tenant red]\nmatch-user = 2002\ndevices = any\n"
                                  "allow-on-behalf = no\n");
        assert_string_equal(GRANT(core, caller, { D1 }, .target = target)->tenant->name, "blue");
        (void)REFUSED(core, RESULT_PROCESS_UNUSABLE, target, { D2 }, .target = caller);
}

/* --- isolation: both keys, each yes and no, on a device that needs both --- */

static void test_unsafe_noiommu(void **state)
{
        static const struct {
                const char *unsafe, *noiommu, *text;
        } table[] = {
                { "no", "no", "noiommu = no" },
                { "yes", "no", "noiommu = no" },
                { "no", "yes", "CAP_SYS_RAWIO" },
                { "yes", "yes", "CAP_SYS_RAWIO" },
        };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);

        broker_device(core->broker, D1)->info.noiommu = true;
        core->fake->isolation.interrupts = ISOLATION_NO;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char policy[256];

                (void)snprintf(policy, sizeof(policy),
                               "[broker]\nunsafe-interrupts = %s\nnoiommu = %s\n" ANY, table[i].unsafe,
                               table[i].noiommu);
                core_set_policy(core, policy);
                assert_non_null(strstr(REFUSED(core,
                                               streq(table[i].noiommu, "no") ? RESULT_DENIED_BY_POLICY
                                                                             : RESULT_GROUP_NOT_VIABLE,
                                               vmm, { D1 }),
                                       table[i].text));
        }
}

/* --- what a lease that ended left, and what there is beside one --- */

/* linger and the quotas: a reserved device counts, its lease does not, nor does it commit memory. */
static void test_linger_quotas(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);

        core_set_policy(core, ANY "linger = 1h\ndevices-max = 1\nmemlock-default = 1M\n");
        core_crash(core, D1);
        (void)REFUSED(core, RESULT_DEVICE_QUOTA_EXCEEDED, vmm, { D2 });
        core_set_policy(core, ANY "linger = 1h\nleases-max = 1\nmemlock-max = 1M\n");
        broker_lease_end(core->broker, GRANT(core, vmm, { D2 }, .memlock = MIB), END_RELEASED);
        (void)fake_host_run(core->fake);
        (void)GRANT(core, vmm, { D1 }, .memlock = MIB);
}

/* linger and what takes the device from the tenant: it is reserved for nobody then. */
static void test_linger_deny(void **state)
{
        Core *core = *state;

        core_set_policy(core, ANY "linger = 1h\n");
        core_crash(core, D1);
        assert_string_equal(broker_device(core->broker, D1)->kept_for, "blue");
        core_set_policy(core, ANY "linger = 1h\ndeny-devices = pci:" D1 "\n");
        assert_string_equal(broker_device(core->broker, D1)->kept_for, "");
        core_set_policy(core, ANY "linger = 1h\n");
        core_crash(core, D1);
        core_set_policy(core, BLUE "devices = pci:" D2 "\nlinger = 1h\n");
        assert_string_equal(broker_device(core->broker, D1)->kept_for, "");
}

/* linger and on-release: the host has its driver back, and the device is still the tenant's to have next. */
static void test_linger_restore(void **state)
{
        static const char policy[] = ANY "linger = 1h\non-release = restore\n"
                                         "[tenant red]\nmatch-user = 2002\ndevices = any\n";
        Core *core = *state;
        FakeProcess *red = core_process(core, 2, UID_RED);

        fake_host_device(core->fake, D5)->usage.kind = USAGE_NONE;
        core_set_policy(core, policy);
        core_crash(core, D5);
        assert_string_equal(fake_host_device(core->fake, D5)->driver, "igb");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { D5 });
        core_crash(core, D5);
        assert_string_equal(fake_host_device(core->fake, D5)->driver, "igb");
}

/* on-release and driver: back to the one before, whichever VFIO driver policy named. */
static void test_restore_driver(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        Lease *lease;

        fake_host_device(core->fake, D5)->usage.kind = USAGE_NONE;
        core_set_policy(core, ANY "on-release = restore\n[device pci:" D5 "]\ndriver = vfio-other\n");
        lease = GRANT(core, vmm, { D5 });
        assert_string_equal(fake_host_device(core->fake, D5)->driver, "vfio-other");
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(fake_host_device(core->fake, D5)->driver, "igb");

        core_set_policy(core, ANY "on-release = keep\n[device pci:" D5 "]\ndriver = vfio-other\n");
        broker_lease_end(core->broker, GRANT(core, vmm, { D5 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(fake_host_device(core->fake, D5)->driver, "vfio-other");
}

/* reset and on-release: a reset that failed keeps the device from the host's driver as well. */
static void test_reset_restore(void **state)
{
        static const struct {
                const char *policy;
                DeviceState state;
                const char *driver;
        } table[] = {
                { ANY "reset = required\non-release = restore\n", DEVICE_QUARANTINED, "vfio-pci" },
                { ANY "reset = none\non-release = restore\n", DEVICE_HOST, "igb" },
        };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        FakeDevice *fake = fake_host_device(core->fake, D5);

        fake->usage.kind = USAGE_NONE;
        for (size_t i = ELEMENTSOF(table); i-- > 0;) {
                Lease *lease;

                core_set_policy(core, table[i].policy);
                lease = GRANT(core, vmm, { D5 });
                fake->reset = RESET_FAILED;
                fake->reset_errno = EIO;
                broker_lease_end(core->broker, lease, END_RELEASED);
                (void)fake_host_run(core->fake);
                fake->reset = RESET_DONE;
                assert_state(broker_device(core->broker, D5), table[i].state);
                assert_string_equal(fake->driver, table[i].driver);
        }
}

/* reset and linger: what is quarantined is reserved for nobody. */
static void test_reset_linger(void **state)
{
        Core *core = *state;
        FakeProcess *process = core_process(core, 1, UID_BLUE);
        FakeDevice *fake = fake_host_device(core->fake, D1);

        core_set_policy(core, ANY "reset = required\nlinger = 1h\n");
        (void)GRANT(core, process, { D1 });
        fake->reset = RESET_FAILED;
        fake->reset_errno = EIO;
        fake_host_end_process(core->fake, process);
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, D1), DEVICE_QUARANTINED);
        assert_string_equal(broker_device(core->broker, D1)->kept_for, "");
}

/* devices-max, leases-max and hot plug: what is added is counted, and no lease is. */
static void test_quotas_add(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        Answer answer = {};
        Lease *lease;

        core_set_policy(core, ANY "devices-max = 2\nleases-max = 1\n");
        lease = GRANT(core, vmm, { D1 });
        (void)REFUSED(core, RESULT_LEASE_QUOTA_EXCEEDED, vmm, { D2 });
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D2 }, .lease = lease }, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D3 }, .lease = lease }, &(Answer){}),
                         RESULT_DEVICE_QUOTA_EXCEEDED);
}

/* share-containers, leases-max and memlock-max: each lease of one container counts, with what it commits. */
static void test_container_quotas(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);

        core_set_policy(core, ANY "share-containers = yes\nleases-max = 2\nmemlock-max = 3M\n");
        (void)GRANT(core, vmm, { D1 }, .container = "c", .memlock = 2 * MIB);
        (void)REFUSED(core, RESULT_MEMLOCK_BUDGET_EXCEEDED, vmm, { D2 }, .container = "c",
                      .memlock = 2 * MIB);
        (void)GRANT(core, vmm, { D2 }, .container = "c", .memlock = MIB);
        (void)REFUSED(core, RESULT_LEASE_QUOTA_EXCEEDED, vmm, { D3 }, .container = "c");
}

/* Two tenants, their budgets and the host's: each its own, and the host's is what both have together. */
static void test_two_budgets(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE), *red = core_process(core, 2, UID_RED);

        core_set_policy(core, "[broker]\nmemlock-max = 5M\n" ANY "memlock-max = 3M\n"
                              "[tenant red]\nmatch-user = 2002\ndevices = any\nmemlock-max = 3M\n");
        (void)GRANT(core, blue, { D1 }, .memlock = 3 * MIB);
        (void)REFUSED(core, RESULT_MEMLOCK_BUDGET_EXCEEDED, red, { D2 }, .memlock = 3 * MIB);
        (void)GRANT(core, red, { D2 }, .memlock = 2 * MIB);
        assert_true(core->broker->memlock_committed == 5 * MIB);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(match_keys),       TEST(cases),         TEST(ipc_lock_on_behalf), TEST(on_behalf_match),
                TEST(unsafe_noiommu),   TEST(linger_quotas), TEST(linger_deny),        TEST(linger_restore),
                TEST(restore_driver),   TEST(reset_restore), TEST(reset_linger),       TEST(quotas_add),
                TEST(container_quotas), TEST(two_budgets),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
