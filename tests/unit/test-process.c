/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/host/process.c on real processes: children of the test that live, stop being reaped, or end. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>

#include "daemon/host/process.h"

/* A child that waits for a signal. */
static pid_t start_child(int *ret_pidfd)
{
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
                for (;;)
                        (void)pause();
        assert_int_equal(process_open(pid, ret_pidfd), 0);
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
        _cleanup_close_ int pidfd = -EBADF;
        ProcessFacts facts;

        assert_int_equal(process_open(getpid(), &pidfd), 0);
        assert_int_equal(process_read_facts(getpid(), pidfd, &facts), 0);
        assert_int_equal(facts.uid, getuid());
        assert_false(facts.mixed_uids);
        assert_false(facts.zombie);
        assert_false(facts.thread);
        assert_true(facts.start_time > 0);
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
                assert_int_equal(process_open(pid, &pidfd), 0);
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
                int fd = -EBADF;

                assert_int_equal(process_alive(pidfd), 0);
                assert_int_equal(process_read_facts(pid, pidfd, &facts), -ESRCH);
                assert_int_equal(process_memlock_get(pid, pidfd, &limit), -ESRCH);
                assert_int_equal(process_memlock_set(pid, pidfd, &limit), -ESRCH);
                assert_int_equal(process_memlock_used(pid, pidfd, &bytes), -ESRCH);
                if (!reaped)
                        reap(pid);
                else
                        assert_int_equal(process_open(pid, &fd), -ESRCH);
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
        _cleanup_close_ int pidfd = -EBADF;
        uint64_t before, after;
        void *memory;

        assert_int_equal(process_open(getpid(), &pidfd), 0);
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
        thrd_t thread;
        pid_t tid;

        assert_int_equal(pipe(up), 0);
        assert_int_equal(pipe(down), 0);
        fds[1] = up[1];
        fds[2] = down[0];
        assert_int_equal(thrd_create(&thread, wait_on_pipe, fds), thrd_success);
        assert_int_equal(read(up[0], &tid, sizeof(tid)), sizeof(tid));
        assert_int_equal(process_open(tid, &pidfd), -ESRCH);
        assert_int_equal(write(down[1], "x", 1), 1);
        assert_int_equal(thrd_join(thread, &result), thrd_success);
        for (int i = 0; i < 2; i++) {
                (void)close(up[i]);
                (void)close(down[i]);
        }
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
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
