/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The core where memory is short: in a run through all that it does, each allocation fails once, in turn, the host's and
 * the store's among them. Whatever fails, what is asked for is refused or done, everything stays as it must be, and in
 * the end all is put back. The allocator is put in between by the linker, for the files that are linked in alone. */

#include "daemon/core/revoke.h"
#include "daemon/core/wait.h"
#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"
#define D4 "0000:04:00.0"
#define D5 "0000:05:00.0"

#define POLICY_MORE                                                                                         \
        "[tenant green]\nmatch-user = 2004\ndevices = any\n"                                                \
        "[tenant pink]\nmatch-user = 2005\ndevices = any\n"
#define OWNER 7

#define POLICY_CONTAINER                                                                                    \
        "[container spare]\ntenant = blue\n[pool all]\ndevices = any\n[pool made]\ndevices = mdev-type:x\n"

static size_t countdown; /* allocations until one fails; 0: none does */
static bool armed;

static bool fails(void)
{
        return armed && countdown > 0 && --countdown == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *s);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t size)
{
        return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *s)
{
        return fails() ? NULL : __real_strdup(s);
}

/* Only the calls of the core run short of memory, not those of the fixture that makes them up. */
#define ARMED(call)                                                                                         \
        ({                                                                                                  \
                armed = true;                                                                               \
                __auto_type _r = (call);                                                                    \
                armed = false;                                                                              \
                _r;                                                                                         \
        })

static int update(Core *core, const char *id, int group, const char *driver)
{
        DeviceInfo info = fake_host_device_info(core->fake, id, group, driver);
        int r = ARMED(broker_device_update(core->broker, &info));

        device_info_done(&info);
        assert_true(r == 0 || r == -ENOMEM);
        core_check(core);
        return r;
}

static void run(Core *core)
{
        (void)ARMED(fake_host_run(core->fake));
        core_check(core);
}

static void advance(Core *core, uint64_t usec)
{
        armed = true;
        fake_host_advance(core->fake, usec);
        armed = false;
        core_check(core);
}

static Lease *acquire(Core *core, const Ask *ask)
{
        Answer answer = {};
        int r = ARMED(core_ask(core, ask, &answer));

        core_check(core);
        if (r != 0) {
                /* No memory, or the device was not added or has no group for want of it, or is still held. */
                assert_true(r == -ENOMEM || r == RESULT_NO_SUCH_DEVICE || r == RESULT_DEVICE_TAKEN ||
                            r == RESULT_NO_TENANT || r == RESULT_GROUP_NOT_VIABLE);
                return NULL;
        }
        run(core);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.error, 0);
        return answer.lease;
}

/* Back where it was, where there was no memory for another one. */
static void set_policy(Core *core, const char *text)
{
        Policy *policy = core_policy_of(text), *before = core->broker->policy;
        int r = ARMED(broker_set_policy(core->broker, policy));

        if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                assert_ptr_equal(core->broker->policy, before);
                assert_null(broker_tenant(core->broker, "green"));
                assert_null(broker_tenant(core->broker, "pink"));
                policy_unref(policy);
        } else
                assert_ptr_equal(core->broker->policy, policy);
        core_check(core);
}

static void end(Core *core, Lease *lease)
{
        armed = true;
        broker_lease_end(core->broker, lease, END_RELEASED);
        armed = false;
        core_check(core);
}

/* A start that takes the lease over; where memory is short it fails, and the next one does. */
static Lease *restart(Core *core, const Lease *lease)
{
        char id[LEASE_ID_MAX] = "";
        unsigned n = 0, kept;
        int r = 0;

        if (lease)
                memcpy(id, lease->id, sizeof(id));
        core_restart_empty(core);
        kept = core->n_kept;
        for (StoredLease *stored = core->leases, *next; stored && r == 0; stored = next) {
                LeaseRecord record = stored->record;

                next = stored->hh.next;
                r = ARMED(broker_restore_lease(core->broker, &record));
                n += r == 0;
        }
        assert_int_equal(core->broker->n_leases, n);
        for (const Tenant *tenant = core->broker->tenants; tenant; tenant = tenant->hh.next)
                assert_true(tenant->in_policy || tenant->leases);
        if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(core->n_kept, kept); /* for the next one */
                core_restart(core);
                assert_true(!lease || !broker_lease(core->broker, id)->container->lost);
        }
        core_check(core);
        return broker_lease(core->broker, id);
}

/* The lease grows, gets its fds once more, shrinks. */
static void change(Core *core, Lease *lease, FakeProcess *vmm)
{
        const char *ids[] = { D4 };
        Answer answer = {};
        Refusal refusal;
        int r;

        (void)update(core, D4, 5, "vfio-pci");
        (void)acquire(core, &(Ask){ vmm, { D4 }, .lease = lease });
        r = ARMED(core_reissue(core, lease, &answer));
        assert_true(r == 0 || r == -ENOMEM);
        core_check(core);
        run(core);
        assert_int_equal(answer.n_calls, r == 0);
        r = ARMED(broker_lease_remove(core->broker, lease, ids, 1, &refusal));
        assert_true(r == 0 || r == -ENOMEM || r == RESULT_NO_SUCH_DEVICE);
        core_check(core);
        run(core);
}

static bool woken(_unused_ void *userdata, _unused_ WaitWake wake)
{
        return false;
}

/* One who waits, and goes. */
static void wait_a_while(Core *core)
{
        Refusal refusal;
        int r = ARMED(broker_wait(core->broker, OWNER, USEC_PER_SEC, woken, NULL, &refusal));

        assert_true(r == 0 || r == -ENOMEM);
        assert_int_equal(broker_n_waiters(core->broker), r == 0);
        broker_owner_gone(core->broker, OWNER);
        assert_int_equal(broker_n_waiters(core->broker), 0);
}

/* One that is asked back, and whose process is killed at the deadline. */
static void ask_back(Core *core)
{
        FakeProcess *third = core_process(core, 102, UID_BLUE);
        Lease *lease = acquire(core, &(Ask){ third, { D5 }, .memlock = MIB });
        Refusal refusal;
        int r;

        if (!lease)
                return;
        r = ARMED(broker_lease_revoke(core->broker, lease, NULL, USEC_PER_SEC, "maintenance", &refusal));
        assert_true(r == 0 || r == -ENOMEM);
        core_check(core);
        advance(core, USEC_PER_SEC);
        advance(core, 2 * USEC_PER_SEC);
        assert_int_equal(third->alive, r < 0);
        fake_host_end_process(core->fake, third);
        run(core);
        advance(core, 2 * USEC_PER_SEC);
}

/* A run through it all. */
static void play(Core *core, FakeProcess *vmm, FakeProcess *other)
{
        Answer answer = {};
        Lease *lease, *second;
        Refusal refusal;
        int r;

        set_policy(core, POLICY_HEAD POLICY_RED POLICY_MORE POLICY_CONTAINER);
        (void)update(core, D1, 1, "igb");
        (void)update(core, D2, 2, "igb");
        (void)update(core, D2, 3, "igb"); /* another group */
        lease = acquire(core, &(Ask){ vmm, { D1, D2 }, .memlock = MIB, .container = "pair" });
        (void)acquire(core, &(Ask){ vmm, { D1 } });
        wait_a_while(core);
        second = acquire(core, &(Ask){ vmm, { "pool:all" } });
        if (second)
                end(core, second);
        if (lease)
                change(core, lease, vmm);
        set_policy(core, POLICY_HEAD POLICY_RED);

        /* a container that has a name, and files of groups */
        (void)update(core, D5, 6, "vfio-pci");
        second = acquire(core, &(Ask){ vmm, { D5 }, .container = "vm", .backend = POLICY_BACKEND_GROUP });
        if (second)
                end(core, second);
        advance(core, 2 * USEC_PER_SEC);
        ask_back(core);

        /* one of a process that ends */
        (void)update(core, D3, 4, "igb");
        second = acquire(
                core,
                &(Ask){ other, { D3 }, .memlock = MIB, .lifetime = LIFETIME_CONNECTION, .owner = OWNER });
        if (second) {
                armed = true;
                broker_owner_gone(core->broker, OWNER);
                armed = false;
                core_check(core);
        }
        run(core);
        (void)acquire(core, &(Ask){ other, { D3 } });
        set_policy(core, POLICY_HEAD);
        lease = restart(core, lease);
        fake_host_end_process(core->fake, other);
        run(core);

        /* removed and back, while the rest is reclaimed */
        fake_host_device(core->fake, D2)->prove_error = EBUSY;
        if (lease)
                end(core, lease);
        advance(core, 100 * USEC_PER_MSEC);
        armed = true;
        broker_device_remove(core->broker, D2);
        armed = false;
        core_check(core);
        (void)update(core, D2, 7, "igb");
        advance(core, 2 * USEC_PER_SEC);
        fake_host_device(core->fake, D2)->prove_error = 0;
        advance(core, 2 * USEC_PER_SEC);

        fake_host_device(core->fake, D1)->reset = RESET_FAILED;
        r = ARMED(broker_reset_device(core->broker, D1, core_admin_done, &answer, &refusal));
        core_check(core);
        run(core);
        assert_int_equal(answer.n_calls, r == 0);
        fake_host_device(core->fake, D1)->reset = RESET_NOT_TRIED;
}

/* Each allocation of the run fails, once. */
static void test_each_allocation(_unused_ void **state)
{
        size_t n = 1;

        for (bool more = true; more; n++) {
                FakeProcess *vmm, *other;
                Device *device;
                void *s = NULL;
                Core *core;

                (void)core_setup(&s);
                core = s;
                /* They exist before: the fake machine has nowhere to say that its memory is short. */
                (void)fake_host_device(core->fake, D1);
                (void)fake_host_device(core->fake, D2);
                (void)fake_host_device(core->fake, D3);
                (void)fake_host_device(core->fake, D4);
                (void)fake_host_device(core->fake, D5);
                vmm = core_process(core, 100, UID_BLUE);
                other = core_process(core, 101, UID_RED);

                countdown = n;
                play(core, vmm, other);
                more = countdown == 0;
                countdown = 0;

                /* With memory again, all that was begun ends by itself once anything happens. */
                fake_host_advance(core->fake, 2 * USEC_PER_SEC);
                fake_host_end_process(core->fake, vmm);
                (void)core_device(core, "0000:09:00.0", 9, "vfio-pci");
                (void)GRANT(core, core_process(core, 300, UID_BLUE), { "0000:09:00.0" });
                broker_lease_end(core->broker, core->broker->leases, END_RELEASED);
                fake_host_advance(core->fake, 2 * USEC_PER_SEC);
                core_check(core);
                while (core->broker->leases) {
                        broker_lease_end(core->broker, core->broker->leases, END_RELEASED);
                        fake_host_advance(core->fake, 2 * USEC_PER_SEC);
                }
                core_check_idle(core);
                device = broker_device(core->broker, D1);
                if (device && device->state == DEVICE_QUARANTINED) {
                        Answer answer = {};
                        Refusal refusal;

                        assert_int_equal(
                                broker_reset_device(core->broker, D1, core_admin_done, &answer, &refusal),
                                0);
                        (void)fake_host_run(core->fake);
                }
                for (device = core->broker->devices; device; device = device->hh.next)
                        assert_true(device->state == DEVICE_HOST || device->state == DEVICE_AVAILABLE);
                (void)core_teardown(&s);
        }
        assert_true(n > 50); /* it did play */
}

/* The tables while they grow. */
static void test_growth(_unused_ void **state)
{
        size_t n = 1;

        for (bool more = true; more; n++) {
                FakeProcess *processes[40];
                void *s = NULL;
                Core *core;

                (void)core_setup(&s);
                core = s;
                for (int i = 0; i < 40; i++) {
                        char id[DEVICE_ID_MAX];

                        (void)snprintf(id, sizeof(id), "0000:%02x:00.0", i);
                        (void)fake_host_device(core->fake, id);
                        processes[i] = core_process(core, 100 + i, UID_BLUE);
                }
                countdown = n;
                for (int i = 0; i < 40; i++) {
                        char id[DEVICE_ID_MAX];
                        DeviceInfo info;
                        Answer answer = {};

                        (void)snprintf(id, sizeof(id), "0000:%02x:00.0", i);
                        info = fake_host_device_info(core->fake, id, i, "vfio-pci");
                        (void)ARMED(broker_device_update(core->broker, &info));
                        device_info_done(&info);
                        (void)ARMED(core_ask(core, &(Ask){ processes[i], { id } }, &answer));
                        (void)ARMED(fake_host_run(core->fake));
                        assert_true(core->broker->n_leases >= (unsigned)i);
                }
                more = countdown == 0;
                countdown = 0;
                core_check(core);
                for (int i = 0; i < 40; i++)
                        fake_host_end_process(core->fake, processes[i]);
                fake_host_advance(core->fake, 2 * USEC_PER_SEC);
                core_check_idle(core);
                (void)core_teardown(&s);
        }
        assert_true(n > 200);
}

/* A question alone, about what there is and what would be made. */
static void test_check(void **state)
{
        static const char *const pools[] = { "pool:all", "pool:made" };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);

        core->fake->mdev_types[0] = (MdevType){ "parent", "x", "", 1, 0 };
        core->fake->n_mdev_types = 1;
        (void)core_device(core, D1, 1, "vfio-pci");
        core_set_policy(core, POLICY_HEAD POLICY_CONTAINER);
        for (size_t i = 0; i < ELEMENTSOF(pools); i++) {
                const AcquireRequest request = {
                        .caller = { .uid = UID_BLUE },
                        .caller_pid = vmm->pid,
                        .caller_pidfd = vmm->pidfd,
                        .target_pidfd = -EBADF,
                        .devices = pools + i,
                        .n_devices = 1,
                };
                int r = -ENOMEM;

                for (size_t n = 1; r < 0; n++) {
                        Refusal refusal;

                        countdown = n;
                        r = ARMED(broker_check(core->broker, &request, &refusal));
                        assert_true(r == -ENOMEM || (r == 0 && n > 1));
                        countdown = 0;
                        core_check_idle(core);
                }
        }
}

/* So many leases that their table grows while one is split in two. */
static void test_split(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 1, UID_BLUE);
        unsigned failed = 0;

        for (int i = 0; i < 200; i++) {
                char ids[2][DEVICE_ID_MAX];
                const char *second = ids[1];
                unsigned n = core->broker->n_leases;
                Answer answer = {};
                Refusal refusal;
                int r;

                for (int k = 0; k < 2; k++) {
                        (void)snprintf(ids[k], sizeof(ids[k]), "%04x:%02x:00.0", k, i);
                        (void)core_device(core, ids[k], 2 * i + k, "vfio-pci");
                }
                assert_int_equal(core_ask(core, &(Ask){ vmm, { ids[0], ids[1] } }, &answer), 0);
                (void)fake_host_run(core->fake);
                assert_int_equal(answer.error, 0);
                assert_int_equal(core->broker->n_leases, n + 1);
                countdown = 2;
                r = ARMED(broker_lease_remove(core->broker, answer.lease, &second, 1, &refusal));
                countdown = 0;
                assert_true(r == 0 || r == -ENOMEM);
                assert_int_equal(answer.lease->n_devices, r == 0 ? 1 : 2);
                failed += r < 0;
                (void)fake_host_run(core->fake);
                assert_int_equal(core->broker->n_leases, n + 1);
        }
        assert_true(failed > 0);
        core_check(core);
}

/* A broker that cannot be made is not there, and the policy is still the caller's. */
static void test_new(_unused_ void **state)
{
        Broker *broker = NULL;
        FakeHost *fake = fake_host_new(false);
        Policy *policy = core_policy_of(POLICY_HEAD POLICY_RED);
        int r = -ENOMEM;

        for (size_t n = 1; r < 0; n++) {
                countdown = n;
                r = ARMED(broker_new(&fake->host, NULL, NULL, policy, &broker));
                countdown = 0;
                if (r < 0) {
                        assert_int_equal(r, -ENOMEM);
                        assert_null(broker);
                }
        }
        assert_non_null(broker_tenant(broker, "red"));
        broker_free(broker);
        fake_host_free(fake);
}

/* A policy for which there is no memory leaves the one before as it was, also in what it says of containers. */
static void test_containers_of_policy(void **state)
{
        Core *core = *state;
        Policy *policy;
        size_t n = 0;
        int r;

        core_set_policy(core, POLICY_HEAD "[container one]\ntenant = blue\nbackend = iommufd\n");
        policy = core_policy_of(POLICY_HEAD "[container one]\ntenant = blue\nbackend = group\n"
                                            "[container two]\ntenant = blue\n");
        do {
                countdown = ++n;
                r = ARMED(broker_set_policy(core->broker, policy));
                countdown = 0;
                assert_true(r == 0 || r == -ENOMEM);
                assert_int_equal(broker_container(core->broker, "blue", "one")->declared_backend,
                                 r < 0 ? POLICY_BACKEND_IOMMUFD : POLICY_BACKEND_GROUP);
                core_check(core);
        } while (r < 0);
        assert_true(n > 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_allocation),
                cmocka_unit_test(test_growth),
                cmocka_unit_test_setup_teardown(test_check, core_setup, core_teardown),
                cmocka_unit_test_setup_teardown(test_split, core_setup, core_teardown),
                cmocka_unit_test(test_new),
                cmocka_unit_test_setup_teardown(test_containers_of_policy, core_setup, core_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
