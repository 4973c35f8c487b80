/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/state/store.c, writing, on real files: what is put comes back whole, and what cannot be written leaves the record
 * of before. */

#include "tests/unit/store-fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define D1 "0000:01:00.0"

/* --- what is put comes back --- */

/* Every field, with values at their ends and text that is out to break out of its line. */
static void test_round_trip(_unused_ void **state)
{
        StoreSample sample;

        for (size_t n = 1; n <= JOB_DEVICES_MAX; n += 7) {
                store_sample(&sample, n);
                store_put(&sample.lease);
                assert_int_equal(store_read_back(), 1);
                assert_int_equal(the_store.n_leases, 1);
                store_assert_same(&sample, &the_store.lease);
                assert_int_equal(the_store.core->events[EVENT_TROUBLE], 0);
        }
        for (int s = 0; s < _LEASE_STATE_MAX; s++)
                for (int l = 0; l < _LIFETIME_MAX; l++) {
                        store_sample(&sample, 1);
                        sample.lease.state = (LeaseState)s;
                        sample.lease.lifetime = (LeaseLifetime)l;
                        sample.lease.end_reason = (EndReason)(_END_MAX - 1 - l);
                        store_put(&sample.lease);
                        assert_int_equal(store_read_back(), 1);
                        store_assert_same(&sample, &the_store.lease);
                }
}

/* The longest strings there can be, of the bytes that take most room in a file. */
static void test_longest(_unused_ void **state)
{
        static char tenant[128];
        StoreSample sample;

        store_sample(&sample, 1);
        memset(tenant, '-', sizeof(tenant) - 1);
        sample.tenant.name = tenant;
        memset(sample.lease.id, 'f', sizeof(sample.lease.id) - 1);
        memset(sample.lease.label, '%', sizeof(sample.lease.label) - 1);
        memset(sample.lease.owner_name, ':', sizeof(sample.lease.owner_name) - 1);
        memset(sample.lease.unit, '@', sizeof(sample.lease.unit) - 1);
        memset(sample.devices[0].info.id, ':', sizeof(sample.devices[0].info.id) - 1);
        memset(sample.devices[0].prior_driver, '-', sizeof(sample.devices[0].prior_driver) - 1);
        store_put(&sample.lease);
        assert_int_equal(store_read_back(), 1);
        store_assert_same(&sample, &the_store.lease);
}

/* Without a process, and without the devices that are settled. */
static void test_what_is_left(_unused_ void **state)
{
        StoreSample sample;

        store_sample(&sample, 3);
        sample.lease.holder = NULL;
        sample.lease.settled[1] = true;
        sample.lease.devices[1] = NULL;
        store_put(&sample.lease);
        assert_int_equal(store_read_back(), 1);
        store_assert_same(&sample, &the_store.lease);
        assert_int_equal(the_store.lease.n_devices, 2);
        assert_int_equal(the_store.lease.start_time, 0);
}

static void test_device_round_trip(_unused_ void **state)
{
        Device device = { .info = { .id = "ab/c:1.0" }, .prior_driver = "x-y_z", .prior_known = true };

        for (int i = 0; i < 3; i++) {
                device.state = i == 1 ? DEVICE_QUARANTINED : DEVICE_AVAILABLE;
                if (i == 1)
                        memset(device.state_reason, '\n', sizeof(device.state_reason) - 1);
                if (i == 2) {
                        device.prior_driver[0] = 0;
                        device.prior_known = false;
                }
                assert_int_equal(store_ops.device_put(the_store.store, &device), 0);
                assert_int_equal(store_read_back(), 0);
                assert_int_equal(the_store.n_devices, 1);
                assert_int_equal(the_store.n_leases, 0);
                assert_string_equal(the_store.device.id, device.info.id);
                assert_string_equal(the_store.device.prior_driver, device.prior_driver);
                assert_string_equal(the_store.device.reason, device.state_reason);
                assert_true(the_store.device.prior_known == device.prior_known);
                assert_true(the_store.device.quarantined == (i == 1));
        }
        store_ops.device_drop(the_store.store, "ab/c:1.0");
        store_ops.device_drop(the_store.store, "ab/c:1.0"); /* is not there: nothing */
        assert_int_equal(store_read_back(), 0);
        assert_int_equal(the_store.n_devices, 0);
}

/* With the real broker and a process that lives: the lease goes on. */
static void test_restart(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Policy *policy = policy_ref(core->broker->policy);
        Lease *lease;

        core->broker->store = &store_ops;
        core->broker->store_userdata = the_store.store;
        (void)core_device(core, D1, 1, "igb");
        (void)GRANT(core, vmm, { D1 }, .memlock = MIB, .label = "vm 1");
        assert_int_equal(store_count("leases"), 1);

        core->broker = broker_free(core->broker);
        the_store.store = store_free(the_store.store);
        assert_int_equal(store_new(the_store.folder, &the_store.store), 0);
        assert_int_equal(broker_new(&core->fake->host, &store_ops, the_store.store, policy, &core->broker),
                         0);
        (void)core_device(core, D1, 1, "vfio-pci");
        the_store.real = true;
        assert_int_equal(store_read_back(), 1);
        lease = core->broker->leases;
        assert_int_equal(core->broker->n_leases, 1);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_string_equal(lease->label, "vm 1");
        assert_true(vmm->limit.soft == 10 * MIB);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->broker->n_leases, 0);
        assert_int_equal(store_count("leases"), 0);
}

/* --- writing --- */

/* Whoever reads finds the old record or the new one, never a mixture. */
static void test_replaced_whole(_unused_ void **state)
{
        _cleanup_free_ char *before = NULL, *after = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat old, new;
        char text[16384] = {};
        StoreSample sample;

        store_sample(&sample, 2);
        store_put(&sample.lease);
        before = store_read(SAMPLE_FILE);
        fd = open(store_path(SAMPLE_FILE), O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &old), 0);
        assert_int_equal(old.st_mode, S_IFREG | 0600);
        sample.lease.state = LEASE_RECLAIMING;
        store_put(&sample.lease);
        after = store_read(SAMPLE_FILE);
        assert_string_not_equal(before, after);
        assert_true(read(fd, text, sizeof(text) - 1) > 0);
        assert_string_equal(text, before);
        assert_int_equal(stat(store_path(SAMPLE_FILE), &new), 0);
        assert_true(old.st_ino != new.st_ino);
        assert_int_equal(store_count("leases"), 1);

        store_ops.lease_drop(the_store.store, "cafe00000000");
        assert_int_equal(store_count("leases"), 0);
}

/* It fails with this error; the record of before is there as it was, and nothing else is. */
static void assert_put_fails(const Lease *lease, int error, const char *before)
{
        unsigned fds = fake_host_count_fds(), n = store_count("leases");
        _cleanup_free_ char *after = NULL;

        assert_int_equal(store_ops.lease_put(the_store.store, lease), error);
        assert_int_equal(fake_host_count_fds(), fds);
        assert_int_equal(store_count("leases"), n);
        after = store_read(SAMPLE_FILE);
        assert_string_equal(after, before);
        assert_int_equal(store_read_back(), 1);
}

/* At each length at which the disk can be full. */
static void test_no_room(_unused_ void **state)
{
        _cleanup_free_ char *before = NULL;
        struct rlimit limit, old;
        void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
        StoreSample sample;

        store_sample(&sample, 3);
        store_put(&sample.lease);
        before = store_read(SAMPLE_FILE);
        sample.lease.label[0] = 'x';
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        for (size_t n = 0; n < strlen(before); n += 97) {
                int r;

                limit = (struct rlimit){ .rlim_cur = n, .rlim_max = old.rlim_max };
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
                r = store_ops.lease_put(the_store.store, &sample.lease);
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
                assert_int_equal(r, -EFBIG);
                assert_int_equal(store_count("leases"), 1);
                _cleanup_free_ char *after = store_read(SAMPLE_FILE);
                assert_string_equal(after, before);
        }
        (void)signal(SIGXFSZ, handler);
        store_put(&sample.lease);
}

/* A file system that is full (ENOSPC), and one that became read-only. */
static void test_full_disk(_unused_ void **state)
{
        static char junk[1 << 16];
        _cleanup_free_ char *before = NULL;
        StoreSample sample;
        int fd;

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", the_store.folder, "tmpfs", 0, "size=32k") < 0)
                skip();
        the_store.store = store_free(the_store.store);
        assert_int_equal(store_new(the_store.folder, &the_store.store), 0);
        store_sample(&sample, 3);
        store_put(&sample.lease);
        before = store_read(SAMPLE_FILE);
        fd = open(store_path("junk"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        while (write(fd, junk, sizeof(junk)) > 0)
                ;
        assert_int_equal(errno, ENOSPC);
        assert_int_equal(close(fd), 0);
        assert_put_fails(&sample.lease, -ENOSPC, before);
        assert_int_equal(unlink(store_path("junk")), 0);
        store_put(&sample.lease);

        assert_int_equal(mount("tmpfs", the_store.folder, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
        assert_put_fails(&sample.lease, -EROFS, before);
        the_store.store = store_free(the_store.store);
        assert_int_equal(umount(the_store.folder), 0);
}

/* The folder is gone; the temporary name is taken by what is no file; a name longer than names can be. */
static void test_cannot_write(_unused_ void **state)
{
        Device device = {};
        unsigned fds = fake_host_count_fds();
        StoreSample sample;

        store_sample(&sample, 1);
        assert_int_equal(mkdir(store_path("leases/.cafe00000000.new"), 0700), 0);
        assert_int_equal(store_ops.lease_put(the_store.store, &sample.lease), -EISDIR);
        assert_int_equal(rmdir(store_path("leases/.cafe00000000.new")), 0);
        assert_int_equal(symlink("/dev/null", store_path("leases/.cafe00000000.new")), 0);
        assert_int_equal(store_ops.lease_put(the_store.store, &sample.lease), -ELOOP);
        assert_int_equal(unlink(store_path("leases/.cafe00000000.new")), 0);
        assert_int_equal(rmdir(store_path("leases")), 0);
        assert_int_equal(store_ops.lease_put(the_store.store, &sample.lease), -ENOENT);
        store_ops.lease_drop(the_store.store, "cafe00000000");

        memset(device.info.id, ':', sizeof(device.info.id) - 1);
        assert_int_equal(store_ops.device_put(the_store.store, &device), -ENAMETOOLONG);
        store_ops.device_drop(the_store.store, device.info.id);
        assert_int_equal(store_count("devices"), 0);
        assert_int_equal(fake_host_count_fds(), fds);
}

/* --- the folder --- */

static void test_folders(_unused_ void **state)
{
        static const char *const names[] = { "leases", "devices" };
        Store *store = NULL;
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                unsigned fds = fake_host_count_fds();

                assert_int_equal(stat(store_path(names[i]), &st), 0);
                assert_int_equal(st.st_mode, S_IFDIR | 0700);
                assert_int_equal(chmod(store_path(names[i]), 0770), 0);
                assert_int_equal(store_new(the_store.folder, &store), -EPERM);
                assert_int_equal(chmod(store_path(names[i]), 0700), 0);
                if (geteuid() == 0) {
                        assert_int_equal(chown(store_path(names[i]), 1, 0), 0);
                        assert_int_equal(store_new(the_store.folder, &store), -EPERM);
                }
                assert_int_equal(rmdir(store_path(names[i])), 0);
                assert_int_equal(symlink("/tmp", store_path(names[i])), 0);
                assert_int_equal(store_new(the_store.folder, &store), -ENOTDIR);
                assert_int_equal(unlink(store_path(names[i])), 0);
                store_write(names[i], "x", 1);
                assert_int_equal(store_new(the_store.folder, &store), -ENOTDIR);
                assert_int_equal(unlink(store_path(names[i])), 0);
                assert_int_equal(fake_host_count_fds(), fds);
        }
        assert_int_equal(store_new(store_path("a/b"), &store), -ENOENT);
        assert_null(store);
        assert_int_equal(store_new(store_path("a"), &store), 0);
        assert_int_equal(stat(store_path("a"), &st), 0);
        assert_int_equal(st.st_mode & 0022, 0);
        store_free(store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, store_setup, store_teardown)
        const struct CMUnitTest tests[] = {
                TEST(round_trip),   TEST(longest),        TEST(what_is_left), TEST(device_round_trip),
                TEST(restart),      TEST(replaced_whole), TEST(no_room),      TEST(full_disk),
                TEST(cannot_write), TEST(folders),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
