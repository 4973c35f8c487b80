/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/host/process.c and placement.c on real processes: children of the test that live, stop being reaped, or end. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <threads.h>

#include "daemon/host/placement.h"
#include "daemon/host/process.h"

/* A child that waits for a signal. */
static pid_t start_child(int *ret_pidfd)
{
        uint64_t start_time;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
                for (;;)
                        (void)pause();
        assert_int_equal(process_open(pid, ret_pidfd, &start_time), 0);
        return pid;
}

/* Ends it and waits for the end, without reaping it: it is a zombie. */
static void make_zombie(pid_t pid)
{
        siginfo_t info;

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void reap(pid_t pid)
{
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* What /proc says of ourselves is what we are. */
static void test_facts_of_self(void **state)
{
        uint64_t start_time;
        _cleanup_close_ int pidfd = -EBADF;
        ProcessFacts facts;

        assert_int_equal(process_open(getpid(), &pidfd, &start_time), 0);
        assert_int_equal(process_read_facts(getpid(), pidfd, &facts), 0);
        assert_int_equal(facts.uid, getuid());
        assert_false(facts.mixed_uids);
        assert_false(facts.zombie);
        assert_false(facts.thread);
        assert_true(facts.start_time > 0);
        assert_true(facts.start_time == start_time);
        assert_int_equal(process_alive(pidfd), 1);
}

/* A pidfd knows its process, until that is reaped; and what is none is seen. */
static void test_is(void **state)
{
        _cleanup_close_ int pidfd = -EBADF, other = memfd_create("other", MFD_CLOEXEC);
        pid_t pid = start_child(&pidfd);

        assert_int_equal(process_is(pid, pidfd), 1);
        assert_int_equal(process_is(getpid(), pidfd), 0);
        make_zombie(pid);
        assert_int_equal(process_is(pid, pidfd), 1);
        reap(pid);
        assert_int_equal(process_is(pid, pidfd), -ESRCH);
        assert_int_equal(process_is(pid, other), -EBADF);
        assert_int_equal(process_is(pid, 9999), -EBADF);
}

/* A child of another uid is seen as that uid, and one whose effective uid differs as mixed. */
static void test_facts_of_uids(void **state)
{
        int ready[2];
        char byte;

        if (getuid() != 0)
                skip();
        for (int mixed = 0; mixed < 2; mixed++) {
                uint64_t start_time;
                _cleanup_close_ int pidfd = -EBADF;
                ProcessFacts facts;
                pid_t pid;

                assert_int_equal(pipe(ready), 0);
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0) {
                        if (setresuid(2001, mixed ? 2002 : 2001, 2001) < 0 || write(ready[1], "x", 1) != 1)
                                _exit(1);
                        for (;;)
                                (void)pause();
                }
                assert_int_equal(read(ready[0], &byte, 1), 1);
                assert_int_equal(process_open(pid, &pidfd, &start_time), 0);
                assert_int_equal(process_read_facts(pid, pidfd, &facts), 0);
                assert_int_equal(facts.uid, 2001);
                assert_int_equal(facts.mixed_uids, mixed);
                if (!mixed)
                        assert_false(facts.ipc_lock);
                make_zombie(pid);
                reap(pid);
                (void)close(ready[0]);
                (void)close(ready[1]);
        }
}

/* An ended process gives -ESRCH everywhere, reaped or not, and its pid is left alone. */
static void test_ended(void **state)
{
        MemlockLimit limit = { 4096, 4096 };
        _cleanup_close_ int pidfd = -EBADF;
        ProcessFacts facts;
        uint64_t bytes;
        pid_t pid = start_child(&pidfd);

        make_zombie(pid);
        for (int reaped = 0; reaped < 2; reaped++) {
                uint64_t start_time;
                int fd = -EBADF;

                assert_int_equal(process_alive(pidfd), 0);
                assert_int_equal(process_read_facts(pid, pidfd, &facts), -ESRCH);
                assert_int_equal(process_memlock_get(pid, pidfd, &limit), -ESRCH);
                assert_int_equal(process_memlock_set(pid, pidfd, &limit), -ESRCH);
                assert_int_equal(process_memlock_used(pid, pidfd, &bytes), -ESRCH);
                if (!reaped)
                        reap(pid);
                else
                        assert_int_equal(process_open(pid, &fd, &start_time), -ESRCH);
        }
}

/* A recycled pid: the pidfd of an ended process with the number of a live one changes nothing of the live one. */
static void test_recycled(void **state)
{
        _cleanup_close_ int dead = -EBADF, alive = -EBADF;
        MemlockLimit before, after, wanted;
        ProcessFacts facts;
        pid_t dead_pid = start_child(&dead), pid;

        make_zombie(dead_pid);
        reap(dead_pid);
        pid = start_child(&alive);
        assert_int_equal(process_memlock_get(pid, alive, &before), 0);
        wanted = (MemlockLimit){ before.soft / 2, before.hard };
        assert_int_equal(process_memlock_set(pid, dead, &wanted), -ESRCH);
        assert_int_equal(process_read_facts(pid, dead, &facts), -ESRCH);
        assert_int_equal(process_memlock_get(pid, alive, &after), 0);
        assert_int_equal(after.soft, before.soft);
        make_zombie(pid);
        reap(pid);
}

/* The limit of another process is set, read back, and put back; raising a hard one is shown in the lab. */
static void test_memlock(void **state)
{
        _cleanup_close_ int pidfd = -EBADF;
        MemlockLimit base, lowered, now;
        pid_t pid = start_child(&pidfd);

        assert_int_equal(process_memlock_get(pid, pidfd, &base), 0);
        assert_true(base.soft >= 8 * 4096);
        lowered = (MemlockLimit){ 4 * 4096, base.hard };
        assert_int_equal(process_memlock_set(pid, pidfd, &lowered), 0);
        assert_int_equal(process_memlock_get(pid, pidfd, &now), 0);
        assert_int_equal(now.soft, lowered.soft);
        assert_int_equal(now.hard, base.hard);
        assert_int_equal(process_memlock_set(pid, pidfd, &base), 0);
        assert_int_equal(process_memlock_get(pid, pidfd, &now), 0);
        assert_int_equal(now.soft, base.soft);
        make_zombie(pid);
        reap(pid);
}

/* Locked memory is read from the process. */
static void test_memlock_used(void **state)
{
        const size_t size = 16 * 4096;
        uint64_t start_time;
        _cleanup_close_ int pidfd = -EBADF;
        uint64_t before, after;
        void *memory;

        assert_int_equal(process_open(getpid(), &pidfd, &start_time), 0);
        assert_int_equal(process_memlock_used(getpid(), pidfd, &before), 0);
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(memory, MAP_FAILED);
        /* Not mlock(), which the address sanitizer makes do nothing. */
        assert_int_equal(syscall(SYS_mlock, memory, size), 0);
        assert_int_equal(process_memlock_used(getpid(), pidfd, &after), 0);
        assert_int_equal(after - before, size);
        assert_int_equal(munmap(memory, size), 0);
        assert_true(process_mem_total() > 64 * 1024 * 1024);
}

static int wait_on_pipe(void *userdata)
{
        int *fds = userdata;
        pid_t tid = (pid_t)syscall(SYS_gettid);
        char byte;

        if (write(fds[1], &tid, sizeof(tid)) != (ssize_t)sizeof(tid))
                return 1;
        return read(fds[2], &byte, 1) == 1 ? 0 : 1;
}

/* A thread's number is no process. */
static void test_thread(void **state)
{
        int up[2], down[2], fds[3], pidfd = -EBADF, result;
        uint64_t start_time;
        thrd_t thread;
        pid_t tid;

        assert_int_equal(pipe(up), 0);
        assert_int_equal(pipe(down), 0);
        fds[1] = up[1];
        fds[2] = down[0];
        assert_int_equal(thrd_create(&thread, wait_on_pipe, fds), thrd_success);
        assert_int_equal(read(up[0], &tid, sizeof(tid)), sizeof(tid));
        assert_int_equal(process_open(tid, &pidfd, &start_time), -ESRCH);
        assert_int_equal(write(down[1], "x", 1), 1);
        assert_int_equal(thrd_join(thread, &result), thrd_success);
        for (int i = 0; i < 2; i++) {
                (void)close(up[i]);
                (void)close(down[i]);
        }
}

/* The number behind a pidfd that somebody sent: of a process, a thread, one that ended, and of what is no pidfd. */
static void test_of_pidfd(void **state)
{
        _cleanup_close_ int pidfd = -EBADF, null = open("/dev/null", O_RDONLY | O_CLOEXEC), thread = -EBADF;
        pid_t pid = start_child(&pidfd), found = 0;

        assert_int_equal(process_of_pidfd(pidfd, &found), 0);
        assert_int_equal(found, pid);
        assert_int_equal(process_of_pidfd(null, &found), -EBADF);
        make_zombie(pid);
        reap(pid);
        assert_int_equal(process_of_pidfd(pidfd, &found), -ESRCH);

        /* One of a first thread alone has the process's number (PIDFD_THREAD, Linux 6.9). */
        thread = (int)syscall(SYS_pidfd_open, getpid(), O_EXCL);
        if (thread >= 0) {
                assert_int_equal(process_of_pidfd(thread, &found), 0);
                assert_int_equal(found, getpid());
        }
}

/* A child, waited for. */
static void assert_child_says_yes(bool (*run)(void *arg), void *arg)
{
        int status;
        pid_t pid;

        (void)fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(run(arg) ? 0 : 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* As the broker would be in a container: with a /proc of its own. */
static bool cannot_see(void *arg)
{
        pid_t found, pid;
        int status;

        if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return false;
        pid = fork();
        if (pid == 0)
                _exit(mount("proc", "/proc", "proc", 0, NULL) == 0 &&
                                      process_of_pidfd(*(int *)arg, &found) == -EREMOTE
                              ? 0
                              : 1);
        return waitpid(pid, &status, 0) == pid && status == 0;
}

/* A process has here the number that it has here, whatever it has in a namespace of its own; and one without a number here
 * is none. */
static void test_pid_namespaces(void **state)
{
        struct clone_args args = { .flags = CLONE_NEWPID | CLONE_PIDFD, .exit_signal = SIGCHLD };
        _cleanup_close_ int self = -EBADF;
        uint64_t start_time;
        ProcessFacts facts;
        int pidfd = -EBADF;
        pid_t pid, found;

        if (getuid() != 0)
                skip();
        args.pidfd = (uint64_t)(uintptr_t)&pidfd;
        pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
        if (pid < 0)
                skip();
        if (pid == 0) { /* it is 1 there */
                for (;;)
                        (void)pause();
        }
        assert_int_equal(process_of_pidfd(pidfd, &found), 0);
        assert_int_equal(found, pid);
        assert_int_not_equal(found, 1);
        assert_int_equal(process_read_facts(found, pidfd, &facts), 0);
        assert_false(facts.thread);
        make_zombie(pid);
        reap(pid);
        (void)close(pidfd);

        assert_int_equal(process_open(getpid(), &self, &start_time), 0);
        assert_child_says_yes(cannot_see, &self);
}

/* Groups are those that the kernel has, the effective one first; labels have no end of line. */
static void test_credentials(void **state)
{
        static const gid_t groups[] = { 4242, 4243 };
        _cleanup_(process_credentials_done) ProcessCredentials credentials = {};
        _cleanup_close_ int pidfd = -EBADF;
        uint64_t start_time;
        int ready[2];
        pid_t pid;
        char byte;

        if (getuid() != 0)
                skip();
        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (setgroups(ELEMENTSOF(groups), groups) < 0 || setresgid(70, 77, 70) < 0 ||
                    write(ready[1], "x", 1) != 1)
                        _exit(1);
                for (;;)
                        (void)pause();
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(process_open(pid, &pidfd, &start_time), 0);
        assert_int_equal(process_read_credentials(pid, pidfd, &credentials), 0);
        assert_int_equal(credentials.n_gids, 3);
        assert_int_equal(credentials.gids[0], 77);
        assert_int_equal(credentials.gids[1], 4242);
        assert_int_equal(credentials.gids[2], 4243);
        assert_true(!credentials.label || (credentials.label[0] && !strchr(credentials.label, '\n')));
        process_credentials_done(&credentials);
        make_zombie(pid);
        assert_int_equal(process_read_credentials(pid, pidfd, &credentials), -ESRCH);
        assert_int_equal(credentials.n_gids, 0);
        reap(pid);
        (void)close(ready[0]);
        (void)close(ready[1]);
}

static int outlive(void *userdata)
{
        (void)!write(*(int *)userdata, "x", 1);
        (void)pause();
        return 0;
}

/* A process whose first thread has ended is a zombie to look at, and lives. */
static void test_zombie_that_lives(void **state)
{
        _cleanup_close_ int pidfd = -EBADF;
        uint64_t start_time;
        ProcessFacts facts;
        int ready[2];
        pid_t pid;
        char byte;

        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                thrd_t thread;

                if (thrd_create(&thread, outlive, ready + 1) != thrd_success)
                        _exit(1);
                (void)syscall(SYS_exit, 0);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(process_open(pid, &pidfd, &start_time), 0);
        do
                assert_int_equal(process_read_facts(pid, pidfd, &facts), 0);
        while (!facts.zombie);
        assert_int_equal(process_alive(pidfd), 1);
        make_zombie(pid);
        reap(pid);
        (void)close(ready[0]);
        (void)close(ready[1]);
}

/* Its unit and slice are what sd-login says, and are asked for anew where its control group is another. */
static void test_placement(void **state)
{
        _cleanup_(process_placement_done) ProcessPlacement placement = {};
        _cleanup_free_ char *unit = NULL, *slice = NULL;
        _cleanup_close_ int self = -EBADF, pidfd = -EBADF;
        uint64_t start_time;
        pid_t pid;

        assert_int_equal(process_open(getpid(), &self, &start_time), 0);
        assert_int_equal(placement_read(getpid(), self, true, &placement), 1);
        (void)sd_pid_get_unit(0, &unit);
        (void)sd_pid_get_slice(0, &slice);
        assert_true(streq_ptr(placement.unit, unit) && streq_ptr(placement.slice, slice));
        if (placement.cgroup) {
                free(placement.slice);
                placement.slice = strdup("kept.slice");
                assert_int_equal(placement_read(getpid(), self, false, &placement), 0);
                assert_string_equal(placement.slice, "kept.slice");
                placement.cgroup[0] ^= 1;
                assert_int_equal(placement_read(getpid(), self, false, &placement), 1);
                assert_true(streq_ptr(placement.slice, slice));
        }

        pid = start_child(&pidfd);
        assert_true(placement_read(pid, pidfd, true, &placement) >= 0);
        make_zombie(pid);
        assert_int_equal(placement_read(pid, pidfd, true, &placement), -ESRCH);
        assert_null(placement.cgroup);
        assert_null(placement.slice);
        reap(pid);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_is),
                cmocka_unit_test(test_facts_of_self),
                cmocka_unit_test(test_facts_of_uids),
                cmocka_unit_test(test_ended),
                cmocka_unit_test(test_recycled),
                cmocka_unit_test(test_memlock),
                cmocka_unit_test(test_memlock_used),
                cmocka_unit_test(test_thread),
                cmocka_unit_test(test_of_pidfd),
                cmocka_unit_test(test_pid_namespaces),
                cmocka_unit_test(test_credentials),
                cmocka_unit_test(test_zombie_that_lives),
                cmocka_unit_test(test_placement),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
