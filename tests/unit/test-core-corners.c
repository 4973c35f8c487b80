/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The planning and accounting of the core in the cases that no story of the other tests comes by: the last place of a
 * table, what is removed while it is looked at, the machine that cannot say. With them and the others every branch of those
 * files is taken (tests/coverage). */

#include "daemon/core/linger.h"
#include "daemon/core/wait.h"
#include "tests/unit/core-fixture.h"

#include <sys/resource.h>

#define D1  "0000:01:00.0"
#define D2  "0000:02:00.0"
#define D3  "0000:03:00.0"
#define ANY "[tenant blue]\nmatch-user = 2001\ndevices = any\n"

static void end(Core *core, Lease *lease)
{
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check(core);
}

static void add_devices(Core *core)
{
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)core_device(core, D3, 3, "vfio-pci");
}

/* --- plan.c --- */

static int check_raw(Core *core, pid_t pid, int pidfd, Refusal *refusal)
{
        const char *const devices[] = { D1 };

        return broker_check(core->broker,
                            &(AcquireRequest){ .caller = { .uid = UID_BLUE },
                                               .caller_pid = pid,
                                               .caller_pidfd = pidfd,
                                               .target_pidfd = -EBADF,
                                               .devices = devices,
                                               .n_devices = 1 },
                            refusal);
}

/* A caller of whom no process is known, a name that is too long, a lease whose process ended in an earlier life. */
static void test_request(void **state)
{
        char name[CONTAINER_NAME_MAX + 2] = "";
        Core *core = *state;
        FakeProcess *admin = core_process(core, 1, UID_BLUE);
        Answer answer = {};
        char id[LEASE_ID_MAX];
        Refusal refusal;

        add_devices(core);
        assert_int_equal(check_raw(core, 1, -EBADF, &refusal), RESULT_PROCESS_UNUSABLE);
        assert_int_equal(check_raw(core, 0, admin->pidfd, &refusal), RESULT_PROCESS_UNUSABLE);
        assert_int_equal(check_raw(core, 1, admin->pidfd, &refusal), 0);

        memset(name, 'c', CONTAINER_NAME_MAX + 1);
        (void)REFUSED(core, RESULT_INVALID_ARGS, admin, { D1 }, .container = name);
        name[CONTAINER_NAME_MAX] = 0;
        end(core, GRANT(core, admin, { D1 }, .container = name));

        memcpy(id, GRANT(core, admin, { D1 }, .lifetime = LIFETIME_EXPLICIT, .admin = true)->id, sizeof(id));
        fake_host_end_process(core->fake, admin);
        core_restart(core);
        assert_int_equal(broker_lease(core->broker, id)->state, LEASE_ACTIVE);
        assert_int_equal(
                core_ask(core, &(Ask){ admin, { D2 }, .lease = broker_lease(core->broker, id) }, &answer),
                RESULT_PROCESS_UNUSABLE);
}

/* Option pidfd: the process has to be the tenant that the caller is, by each key, unless the tenant may act for others. */
static void test_target(void **state)
{
        Core *core = *state;
        FakeProcess *caller = core_process(core, 1, UID_BLUE), *vmm = core_process(core, 2, UID_BLUE);
        const char *const devices[] = { D1 };
        AcquireRequest request = {
                .caller = { .uid = UID_BLUE, .unit = "vm@1.service" },
                .caller_pid = caller->pid,
                .caller_pidfd = caller->pidfd,
                .target_pid = vmm->pid,
                .target_pidfd = vmm->pidfd,
                .target_facts = { .unit = "vm@2.service" },
                .devices = devices,
                .n_devices = 1,
        };
        Refusal refusal;

        add_devices(core);
        core_set_policy(core, ANY "match-unit = vm@*.service\n");
        assert_int_equal(broker_check(core->broker, &request, &refusal), 0);
        request.target_facts.unit = "shell.service";
        assert_int_equal(broker_check(core->broker, &request, &refusal), RESULT_PROCESS_UNUSABLE);
        assert_non_null(strstr(refusal.text, "match-unit does not hold"));
        core_set_policy(core, ANY "match-unit = vm@*.service\nallow-on-behalf = yes\n");
        assert_int_equal(broker_check(core->broker, &request, &refusal), 0);
}

/* After a restart that lost the files: nothing joins a container whose file is needed for that; to an iommufd that one lease
 * has alone its holder can add by itself. */
static void test_lost(void **state)
{
        static const struct {
                const char *container;
                unsigned backend;
                bool joins;
        } table[] = {
                { NULL, POLICY_BACKEND_IOMMUFD, true },
                { NULL, POLICY_BACKEND_GROUP, false },
                { "c", POLICY_BACKEND_IOMMUFD, false },
                { "c", POLICY_BACKEND_GROUP, false },
        };
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);

        add_devices(core);
        core->without_keeper = true;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char id[LEASE_ID_MAX];
                Answer answer = {};
                int r;

                memcpy(id,
                       GRANT(core, blue, { D1 }, .container = table[i].container,
                             .backend = table[i].backend)
                               ->id,
                       sizeof(id));
                core_restart(core);
                r = core_ask(core, &(Ask){ blue, { D2 }, .lease = broker_lease(core->broker, id) }, &answer);
                if (r != (table[i].joins ? 0 : (int)RESULT_CONTAINER_INCOMPATIBLE))
                        fail_msg("case %zu: %d %s", i, r, answer.text);
                (void)fake_host_run(core->fake);
                assert_int_equal(answer.error, 0);
                end(core, broker_lease(core->broker, id));
                core_check_idle(core);
        }
}

/* The backend: what is offered is said, and what policy leaves is taken even where a device is better with another. */
static void test_backend(void **state)
{
        static const struct {
                unsigned offered, asked;
                const char *policy, *text;
        } table[] = {
                { 0, 0, ANY,
                  "tenant's backend is not offered here; this kernel has no /dev/iommu and no /dev" },
                { POLICY_BACKEND_GROUP, POLICY_BACKEND_IOMMUFD, ANY,
                  "iommufd backend is not offered here; this "
                  "kernel has no /dev/iommu and group is" },
                { POLICY_BACKEND_IOMMUFD, POLICY_BACKEND_GROUP, ANY,
                  "group backend is not offered here; iommufd "
                  "is and no /dev/vfio/vfio" },
                { POLICY_BACKEND_IOMMUFD, 0, ANY "backends = group\n", "tenant's backend" },
        };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);

        add_devices(core);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                core_set_policy(core, table[i].policy);
                core->fake->offered = table[i].offered;
                assert_non_null(strstr(
                        REFUSED(core, RESULT_BACKEND_UNAVAILABLE, vmm, { D1 }, .backend = table[i].asked),
                        table[i].text));
        }
        core->fake->offered = POLICY_BACKEND_ALL;
        core_set_policy(core, ANY "backends = iommufd\n");
        broker_device(core->broker, D1)->info.iommufd = false;
        end(core, GRANT(core, vmm, { D1 }));
        core_set_policy(core, ANY);
        assert_int_equal(GRANT(core, vmm, { D1 })->backend, POLICY_BACKEND_GROUP);

        core->fake->isolation.interrupts = ISOLATION_NO;
        core_set_policy(core, "[broker]\nunsafe-interrupts = yes\n" ANY);
        assert_non_null(
                strstr(REFUSED(core, RESULT_GROUP_NOT_VIABLE, vmm, { D2 }, .backend = POLICY_BACKEND_GROUP),
                       "of module vfio_iommu_type1 is on"));
}

/* --- select.c --- */

/* Ids that the kernel gives to nothing; a device of another's, and one that was the tenant's own. */
static void test_ids(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE), *red = core_process(core, 2, UID_RED);

        add_devices(core);
        core_set_policy(core, ANY "[tenant red]\nmatch-user = 2002\ndevices = pci:" D2 "\n");
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, red, { "a b" });
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, red, { "a\x7f" });
        (void)GRANT(core, blue, { D1 });
        (void)REFUSED(core, RESULT_DENIED_BY_POLICY, red, { D1 });
        (void)GRANT(core, red, { D2 });
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = pci:" D3 "\n" POLICY_RED);
        (void)REFUSED(core, RESULT_DENIED_BY_POLICY, blue, { D1 });
}

/* As many devices as a group can have, of which the broker heard in another order than that of their ids. */
static void test_large_group(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease;

        for (unsigned i = 0; i < GROUP_DEVICES_MAX; i++) {
                char id[DEVICE_ID_MAX];

                (void)snprintf(id, sizeof(id), "0000:%02x:00.0", GROUP_DEVICES_MAX - i);
                (void)core_device(core, id, 9, "vfio-pci");
        }
        lease = GRANT(core, blue, { "group:9" });
        assert_int_equal(lease->n_devices, GROUP_DEVICES_MAX);
        for (size_t i = 1; i < lease->n_devices; i++)
                assert_true(strcmp(lease->devices[i - 1]->info.id, lease->devices[i]->info.id) < 0);
}

/* What is gone, a bridge, or has no group is in no pool and no group. */
static void test_left_out(void **state)
{
        static const char policy[] = ANY "[pool p]\ndevices = any\n";
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 1, "vfio-pci");
        (void)core_device(core, D3, -1, "");
        (void)core_device(core, "0000:04:00.0", 1, "");
        broker_device(core->broker, "0000:04:00.0")->info.bridge = true;
        core_set_policy(core, policy);
        /* It is gone and still there while the worker has it. */
        lease = GRANT(core, blue, { D1 });
        fake_host_device(core->fake, D1)->hang = true;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        broker_device_remove(core->broker, D1);
        assert_state(broker_device(core->broker, D1), DEVICE_GONE);
        end(core, GRANT(core, blue, { "group:1" }));
        end(core, GRANT(core, blue, { "pool:p" }));
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:p*2" });
        fake_host_device(core->fake, D1)->hang = false;
        (void)fake_host_run(core->fake);
}

static int no_types(_unused_ Host *host, _unused_ MdevType **ret, _unused_ size_t *ret_n)
{
        return -ENOMEM;
}

/* A pool of which the host uses all: the first reason is told; where nothing can be told, that is no refusal. */
static void test_pool_of_host(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        (void)core_device(core, D2, 2, "igb");
        core_set_policy(core, ANY "[pool p]\ndevices = bus:pci\n[pool m]\ndevices = mdev-type:x\n");
        fake_host_device(core->fake, D1)->usage = (DeviceUsage){ USAGE_HOST, "one" };
        fake_host_device(core->fake, D2)->usage = (DeviceUsage){ USAGE_HOST, "two" };
        assert_non_null(strstr(REFUSED(core, RESULT_DEVICE_BUSY_ON_HOST, blue, { "pool:p" }), ": one."));
        fake_host_device(core->fake, D1)->usage_error = EIO;
        assert_int_equal(core_ask(core, &(Ask){ blue, { "pool:p" } }, &answer), -EIO);
        core->ops.mdev_types = no_types;
        assert_int_equal(core_ask(core, &(Ask){ blue, { "pool:m" } }, &answer), -ENOMEM);
}

/* Of several types, and parents of one: what a call has chosen to make of the one does not count for the other. */
static void test_made(void **state)
{
        static const MdevType types[] = { { "a", "one", "", 1, 0 },
                                          { "b", "one", "", 1, 0 },
                                          { "a", "two", "", 1, 0 } };
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Answer answer = {};

        memcpy(core->fake->mdev_types, types, sizeof(types));
        core->fake->n_mdev_types = ELEMENTSOF(types);
        core_set_policy(core, ANY "[pool m]\ndevices = mdev-type:one, mdev-type:two\n");
        /* One that is on its way is nobody's to have, and has no group yet. */
        assert_int_equal(core_ask(core, &(Ask){ blue, { "pool:m" } }, &answer), 0);
        assert_int_equal(core_ask(core, &(Ask){ blue, { "pool:m*4" } }, &(Answer){}), RESULT_DEVICE_TAKEN);
        (void)fake_host_run(core->fake);
        end(core, answer.lease);
        assert_int_equal(GRANT(core, blue, { "pool:m*2", "pool:m" })->n_devices, 3);
        assert_non_null(
                strstr(REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:m" }), "no more can be made"));
}

/* --- holder.c, lease-table.c, lease-change.c --- */

/* Where there is no file for the process there is no lease, and nothing is left of it. */
static void test_no_fd(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        struct rlimit limit, none;
        Answer answer = {};
        int r;

        add_devices(core);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = (struct rlimit){ 3, limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        r = core_ask(core, &(Ask){ blue, { D1 } }, &answer);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_true(r == -EMFILE || r == -EINVAL);
        core_check_idle(core);
}

/* The limit went back between the plan of a lease and its grant, and cannot be read again: it is not granted. */
static void test_no_limit(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Answer answer = {};
        Lease *first;

        add_devices(core);
        first = GRANT(core, blue, { D1 }, .memlock = MIB);
        assert_int_equal(core_ask(core, &(Ask){ blue, { D2 }, .memlock = MIB }, &answer), 0);
        broker_lease_end(core->broker, first, END_RELEASED);
        core->fail[OP_MEMLOCK_GET] = EIO;
        (void)fake_host_run(core->fake);
        core->fail[OP_MEMLOCK_GET] = 0;
        assert_int_equal(answer.error, -EIO);
        assert_true(blue->limit.soft == 8 * MIB);
        core_check_idle(core);
}

/* A broker that keeps no records does all the same. */
static void test_no_store(void **state)
{
        const char *const second[] = { D2 };
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Answer answer = {};
        Refusal refusal;
        Lease *lease;

        add_devices(core);
        core->record_failed = true;
        core->broker->store = NULL;
        fake_host_device(core->fake, D3)->open_error = EIO;
        (void)FAILS(core, RESULT_BACKEND_UNAVAILABLE, blue, { D3 });
        lease = GRANT(core, blue, { D1 });
        assert_int_equal(core_ask(core, &(Ask){ blue, { D2 }, .lease = lease }, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
        assert_int_equal(broker_lease_remove(core->broker, lease, second, 1, &refusal), 0);
        (void)fake_host_run(core->fake);
        end(core, lease);
        core_check_idle(core);
}

/* --- container.c --- */

/* The group backend: files of more groups than a container has room for are not kept, and a job takes as many as it has
 * rows. */
static void test_groups_max(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        static char ids[CONTAINER_GROUPS_MAX][DEVICE_ID_MAX];
        Answer answer = {};
        int i = 0;

        core->without_keeper = true;
        while (i < CONTAINER_GROUPS_MAX) {
                Ask ask = { .process = blue, .container = "c", .backend = POLICY_BACKEND_GROUP };

                for (int k = 0; k < JOB_DEVICES_MAX && i < CONTAINER_GROUPS_MAX; k++, i++) {
                        (void)snprintf(ids[i], sizeof(ids[i]), "0001:%02x:00.0", i);
                        (void)core_device(core, ids[i], 100 + i, "vfio-pci");
                        ask.devices[k] = ids[i];
                }
                (void)core_grant(core, &ask);
        }
        (void)core_device(core, D1, 1, "vfio-pci");
        assert_int_equal(core_ask(core,
                                  &(Ask){ blue, { D1 }, .container = "c", .backend = POLICY_BACKEND_GROUP },
                                  &answer),
                         0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, -E2BIG);
        core_check(core);
        /* No worker is to be had when they all end, so that the first one that comes finds the groups of all. */
        core->fake->job_start_error = EAGAIN;
        fake_host_end_process(core->fake, blue);
        (void)fake_host_run(core->fake);
        core->fake->job_start_error = 0;
        fake_host_advance(core->fake, 10 * USEC_PER_SEC);
        core_check_idle(core);
}

static uint64_t always_seven(_unused_ Host *host)
{
        return 7;
}

/* Of 2^48 ids of leases the one that a container has for a name: not while somebody uses that. And the other way around: a
 * policy that declares a container by the id of a lease declares nothing. */
static void test_name_is_id(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Answer answer = {};
        Lease *lease;

        add_devices(core);
        lease = GRANT(core, blue, { D1 }, .container = "a00000000007");
        core->ops.random = always_seven;
        assert_int_equal(core_ask(core, &(Ask){ blue, { D2 } }, &answer), -EEXIST);
        core_check(core);
        end(core, lease);
        core_set_policy(core, ANY "[container a00000000007]\ntenant = blue\n");
        lease = GRANT(core, blue, { D2 });
        assert_string_equal(lease->id, "a00000000007");
        end(core, lease);

        core_set_policy(core, ANY);
        lease = GRANT(core, blue, { D2 });
        core_set_policy(core, ANY "[container a00000000007]\ntenant = blue\n");
        assert_false(lease->container->declared);
        end(core, lease);
}

/* What a type1 container can map is kept with it. */
static void test_iova(void **state)
{
        Core *core = *state;
        Container container = {};
        JobResult result;
        Job job;

        job_init(&job, JOB_OPEN);
        job_result_init(&result, 1);
        result.n_iova = 1;
        result.iova[0] = (struct IovaRange){ 1, 2 };
        assert_int_equal(container_take_groups(core->broker, &container, &job, &result), 0);
        assert_int_equal(container.n_iova, 1);
        assert_int_equal(container.iova[0].end, 2);
        result.n_iova = 0;
        assert_int_equal(container_take_groups(core->broker, &container, &job, &result), 0);
        assert_int_equal(container.n_iova, 1);
}

/* --- wait.c --- */

typedef struct Guest {
        Core *core;
        Ask ask;
        unsigned n_woken;
        WaitWake last;
        bool stays;
} Guest;

static bool guest_woken(void *userdata, WaitWake wake)
{
        Guest *guest = userdata;

        guest->n_woken++;
        guest->last = wake;
        return guest->stays && wake != WAIT_TIMEOUT && wake != WAIT_GONE;
}

static void begin(Core *core, Guest *guest, uint64_t usec)
{
        Refusal refusal;

        assert_int_equal(broker_wait(core->broker, 0, usec, guest_woken, guest, &refusal), 0);
}

/* Three wait, two of them equally long, and something becomes free in the instant when their time is over: who came first
 * is asked once, not before each of the others; then nobody is due. */
static void test_wait_at_the_end(void **state)
{
        Core *core = *state;
        Guest a = { .stays = true }, b = {}, c = {};

        begin(core, &a, 100 * USEC_PER_SEC);
        begin(core, &b, 10 * USEC_PER_SEC);
        begin(core, &c, 10 * USEC_PER_SEC);
        core->fail[OP_TIMER_START] = ENOMEM; /* so that only their own time wakes them */
        broker_wake_waiters(core->broker);
        core->fail[OP_TIMER_START] = 0;
        fake_host_advance(core->fake, 10 * USEC_PER_SEC);
        assert_int_equal(a.n_woken, 1);
        assert_int_equal(b.last, WAIT_TIMEOUT);
        assert_int_equal(c.last, WAIT_TIMEOUT);
        broker_serve_waiters(core->broker); /* nobody is due any more */
        assert_int_equal(a.n_woken, 1);
        assert_true(wait_may_help(RESULT_GROUP_SPLIT));
        assert_false(wait_may_help(RESULT_DENIED_BY_POLICY));

        /* The daemon ends with one waiting, and a turn due. */
        broker_wake_waiters(core->broker);
        core_restart(core);
        assert_int_equal(fake_host_n_timers(core->fake), 0);
}

/* --- linger.c --- */

#define LINGER ANY "linger = 1h\non-release = restore\n"

/* What else there is to say of a reserved device stays said; the longest reservation is one; none is taken up again
 * that policy has no more. */
static void test_linger(void **state)
{
        Core *core = *state;
        Device *device;

        (void)core_device(core, D1, 1, "igb");
        (void)core_device(core, D2, 2, "vfio-pci");
        core_set_policy(core, LINGER);
        fake_host_device(core->fake, D1)->restore_error = EIO;
        core_crash(core, D1);
        device = broker_device(core->broker, D1);
        assert_string_equal(device->kept_for, "blue");
        assert_non_null(strstr(device->state_reason, "not put back"));

        core_set_policy(core, ANY "linger = 9223372036854775807us\n");
        core_crash(core, D2);
        assert_true(broker_device(core->broker, D2)->kept_until > INT64_MAX);
        core_restart_empty(core);
        core_set_policy(core, ANY);
        core_read_records(core);
        assert_string_equal(broker_device(core->broker, D2)->kept_for, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(request),         TEST(target),   TEST(lost),         TEST(backend),    TEST(ids),
                TEST(large_group),     TEST(left_out), TEST(pool_of_host), TEST(made),       TEST(no_fd),
                TEST(no_limit),        TEST(no_store), TEST(groups_max),   TEST(name_is_id), TEST(iova),
                TEST(wait_at_the_end), TEST(linger),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
