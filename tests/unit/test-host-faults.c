/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host's files say where one of them cannot be opened or read, for want of memory, files or luck: each call fails
 * once, in turn. A use that is there is found, or nothing is said; a process that lives is not taken for one that ended.
 * The linker puts the failing calls in between, for the files of daemon/host alone. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>
#include <sys/pidfd.h>
#include <sys/resource.h>

#include "daemon/host/process.h"
#include "daemon/host/usage.h"
#include "tests/fixtures/failing-calls.h"
#include "tests/unit/fake-root.h"

#define DISK "/sys/devices/pci0000:00/0000:00:03.0/0000:03:00.0"

WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(struct dirent *, readdir64, NULL, (DIR * dir), (dir))
WRAP(ssize_t, readlink, -1, (const char *path, char *ret, size_t size), (path, ret, size))
WRAP(int, prlimit64, -1,
     (pid_t pid, enum __rlimit_resource what, const struct rlimit *limit, struct rlimit *old),
     (pid, what, limit, old))
WRAP(int, access, -1, (const char *path, int mode), (path, mode))

static ssize_t read_nothing(void *cookie, char *buffer, size_t size)
{
        errno = with;
        return -1;
}

/* It fails, or is opened and cannot be read. */
FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode)
{
        if (fails())
                return NULL;
        if (fails())
                return fopencookie(NULL, "r", (cookie_io_functions_t){ .read = read_nothing });
        return __real_fopen64(path, mode);
}

static const int errors_tried[] = { EIO, ENOMEM, EMFILE, ENFILE, ENOSPC, EINTR, EAGAIN };

static int setup(void **state)
{
        if (fake_root_make() < 0)
                return -1;
        write_file("/proc/1", "mountinfo", "22 1 0:20 / / rw - tmpfs tmpfs rw\n");
        write_file("/proc", "swaps", "Filename Type Size Used Priority\n");
        make_folders(DISK "/nvme/nvme0/nvme0n1/holders");
        make_link("/sys/class/block", "nvme0n1",
                  "../../devices/pci0000:00/0000:00:03.0/0000:03:00.0/nvme/nvme0/nvme0n1");
        write_file(DISK "/nvme/nvme0/nvme0n1", "dev", "259:0\n");
        make_folders("/sys/class/net");
        make_folders("/sys/class/drm");
        make_folders("/sys/fs");
        return 0;
}

static int teardown(void **state)
{
        return fake_root_remove();
}

/* Each call of a search fails; the device is what `kind` says, or it is not known what it is. */
static void expect(UsageKind kind)
{
        for (size_t i = 0; i < ELEMENTSOF(errors_tried); i++) {
                size_t n = 0;
                bool over;

                with = errors_tried[i];
                do {
                        DeviceUsage usage = {};
                        int r;

                        countdown = ++n;
                        r = usage_find(root, DISK, &usage);
                        over = countdown > 0;
                        countdown = 0;
                        assert_true(r == 0 || r == -with);
                        if (r == 0)
                                assert_int_equal(usage.kind, kind);
                        if (over)
                                assert_int_equal(r, 0);
                } while (!over);
                assert_true(n > 10);
        }
}

static void test_unused(void **state)
{
        expect(USAGE_NONE);
}

static void test_mounted(void **state)
{
        write_file("/proc/1", "mountinfo", "30 22 259:0 / /srv rw - ext4 /dev/nvme0n1 rw\n");
        expect(USAGE_HOST);
}

static void test_root(void **state)
{
        write_file("/proc/1", "mountinfo",
                   "30 22 259:0 / /srv rw - ext4 /dev/nvme0n1 rw\n"
                   "31 1 259:0 / / rw - ext4 /dev/root rw\n");
        expect(USAGE_ROOT);
}

static void test_other_namespace(void **state)
{
        make_folders("/sys/fs/ext4/nvme0n1");
        expect(USAGE_HOST);
}

static void test_held(void **state)
{
        make_folders("/sys/devices/virtual/block/dm-0");
        make_link("/sys/class/block", "dm-0", "../../devices/virtual/block/dm-0");
        make_link(DISK "/nvme/nvme0/nvme0n1/holders", "dm-0", "../../../dm-0");
        expect(USAGE_HOST);
}

/* All that is asked of a process. */
static int ask_all(int pidfd)
{
        _cleanup_(process_credentials_done) ProcessCredentials credentials = {};
        ProcessFacts facts;
        uint64_t number;
        pid_t pid;
        int r;

        r = process_start_time(getpid(), &number);
        if (r >= 0)
                r = process_of_pidfd(pidfd, &pid);
        if (r >= 0)
                r = process_read_facts(getpid(), pidfd, &facts);
        if (r >= 0)
                r = process_read_credentials(getpid(), pidfd, &credentials);
        if (r >= 0)
                r = process_memlock_used(getpid(), pidfd, &number);
        return r;
}

static void test_process(void **state)
{
        int pidfd = pidfd_open(getpid(), 0);

        assert_true(pidfd >= 0);
        for (size_t i = 0; i < ELEMENTSOF(errors_tried); i++) {
                bool over = false;
                size_t n;
                int r = 0;

                with = errors_tried[i];
                for (n = 1; !over; n++) {
                        countdown = n;
                        r = ask_all(pidfd);
                        over = countdown > 0;
                        countdown = 0;
                        assert_true(r == 0 || r == -with);
                }
                assert_int_equal(r, 0);
                assert_true(n > 10);
        }
        (void)close(pidfd);
}

/* A limit that could not be set for a moment is set all the same. */
static void test_limit(_unused_ void **state)
{
        int pidfd = pidfd_open(getpid(), 0);
        MemlockLimit before, now;

        assert_true(pidfd >= 0);
        assert_int_equal(process_memlock_get(getpid(), pidfd, &before), 0);
        for (size_t i = 0; i < ELEMENTSOF(errors_tried); i++) {
                MemlockLimit wanted = { before.soft / 2, before.hard };

                with = errors_tried[i];
                countdown = 1;
                assert_int_equal(process_memlock_set(getpid(), pidfd, &wanted), 0);
                assert_int_equal(countdown, 0);
                assert_int_equal(process_memlock_get(getpid(), pidfd, &now), 0);
                assert_true(now.soft == wanted.soft);
                assert_int_equal(process_memlock_set(getpid(), pidfd, &before), 0);
        }
        with = EPERM;
        countdown = 1;
        assert_int_equal(process_memlock_set(getpid(), pidfd, &before), -EPERM);
        (void)close(pidfd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(unused), TEST(mounted), TEST(root),  TEST(other_namespace),
                TEST(held),   TEST(process), TEST(limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
