/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/host/worker.c with real forks: results, fds, ends of every kind. The jobs are for a device that no machine has;
 * what they do to real ones is shown in the lab. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/host/worker.h"
#include "policy/policy-file.h"
#include "tests/fixtures/count-fds.h"

#define NOBODY "ffff:ff:1f.7"

typedef struct Seen {
        sd_event *event;
        unsigned calls;
        JobResult result;
} Seen;

static void on_done(void *userdata, JobResult *result)
{
        Seen *seen = userdata;

        seen->calls++;
        seen->result = *result;
        assert_int_equal(sd_event_exit(seen->event, 0), 0);
}

static Job nobody_job(void)
{
        Job job;

        job_init(&job, JOB_OPEN);
        job.backend = POLICY_BACKEND_IOMMUFD;
        job.n_devices = 2;
        for (size_t i = 0; i < job.n_devices; i++) {
                strcpy(job.devices[i].id, NOBODY);
                strcpy(job.devices[i].bus, "pci");
                strcpy(job.devices[i].driver, "vfio-pci");
        }
        return job;
}

/* Runs one job to its end on a loop of its own. */
static void run_job(Job job, int (*confine)(void), Seen *seen)
{
        Workers *workers;
        HostJob *handle;

        *seen = (Seen){};
        assert_int_equal(sd_event_new(&seen->event), 0);
        assert_int_equal(workers_new(seen->event, confine, &workers), 0);
        assert_int_equal(workers_start(workers, &job, on_done, NULL, seen, &handle), 0);
        assert_int_equal(seen->calls, 0);
        assert_int_equal(sd_event_loop(seen->event), 0);
        assert_int_equal(seen->calls, 1);
        workers_free(workers);
        sd_event_unref(seen->event);
}

static void run(int (*confine)(void), Seen *seen)
{
        run_job(nobody_job(), confine, seen);
}

/* After a restart a file of the job may be 3, which is the socket in the worker: it closes that file, and not its socket. */
static void test_file_is_three(void **state)
{
        int saved = fcntl(3, F_DUPFD_CLOEXEC, 10);
        Job job = nobody_job();
        int ends[2];
        Seen seen;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        if (ends[1] != 3) {
                assert_int_equal(dup3(ends[1], 3, O_CLOEXEC), 3);
                (void)close(ends[1]);
        }
        job.kind = JOB_RECLAIM;
        job.context = 3;
        run_job(job, NULL, &seen);
        assert_int_equal(seen.result.error, 0);
        assert_string_equal(seen.result.text, "");
        if (saved >= 0)
                (void)dup3(saved, 3, O_CLOEXEC);
        else
                (void)close(3);
        (void)safe_close(saved);
        if (ends[0] != 3)
                (void)close(ends[0]);
}

/* A job for a device that is not there says which step failed and why, and leaves no fd and no child. */
static void test_no_device(void **state)
{
        unsigned before = count_fds();
        Seen seen;

        run(NULL, &seen);
        assert_int_equal(seen.result.error, 0);
        assert_int_equal(seen.result.n_devices, 2);
        assert_int_equal(seen.result.devices[0].step, STEP_BIND_DRIVER);
        assert_int_equal(seen.result.devices[0].error, ENOENT);
        assert_non_null(strstr(seen.result.devices[0].text, NOBODY));
        assert_int_equal(seen.result.devices[1].step, STEP_NONE);
        assert_int_equal(count_fds(), before);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

static int refuse_confinement(void)
{
        return -EPERM;
}

/* A worker that cannot be confined does nothing and says so by its end. */
static void test_unconfined(void **state)
{
        Seen seen;

        run(refuse_confinement, &seen);
        assert_int_equal(seen.result.error, EIO);
        assert_non_null(strstr(seen.result.text, "status 1"));
        assert_int_equal(seen.result.devices[0].fd, -EBADF);
}

static int die_of_sigsys(void)
{
        return raise(SIGSYS);
}

/* A worker that breaks its filter gives an error that names the filter. */
static void test_killed(void **state)
{
        Seen seen;

        run(die_of_sigsys, &seen);
        assert_int_equal(seen.result.error, EIO);
        assert_non_null(strstr(seen.result.text, "seccomp"));
}

/* Fails where the worker has any fd beyond 0 to 3, or a signal blocked. */
static int check_inheritance(void)
{
        sigset_t blocked;

        for (int fd = 4; fd < 64; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        return -EEXIST;
        if (sigprocmask(SIG_SETMASK, NULL, &blocked) < 0 || sigismember(&blocked, SIGCHLD))
                return -EINVAL;
        return 0;
}

/* A worker inherits no fd but its socket, so that one that is stuck holds nothing of others. */
static void test_inherits_nothing(void **state)
{
        int fds[2];
        Seen seen;

        assert_int_equal(pipe(fds), 0);
        run(check_inheritance, &seen);
        assert_int_equal(seen.result.error, 0);
        (void)close(fds[0]);
        (void)close(fds[1]);
}

/* A result for two devices, with the file of the first. The kernel leaves those out that the one who gets them has no room
 * for. */
static int send_too_few(void)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {};
        JobResult result;
        struct iovec iov = { &result, sizeof(result) };
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        char word;

        assert_int_equal(recv(3, &word, 1, 0), 1);
        job_result_init(&result, 2);
        result.devices[0].fd = result.devices[1].fd = 0;
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &result.devices[0].fd, sizeof(int));
        _exit(sendmsg(3, &message, MSG_NOSIGNAL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* A device is not granted without its file. */
static void test_too_few_files(void **state)
{
        unsigned before = count_fds();
        Seen seen;

        run(send_too_few, &seen);
        assert_int_equal(seen.result.error, EMFILE);
        assert_non_null(strstr(seen.result.text, "no room"));
        assert_int_equal(seen.result.devices[0].fd, -EBADF);
        assert_int_equal(seen.result.devices[1].fd, -EBADF);
        assert_int_equal(count_fds(), before);
}

static int room; /* that a new socket has, or 0: as the kernel has it */

int __real_socketpair(int domain, int type, int protocol, int ret[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ret[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ret[2])
{
        int r = __real_socketpair(domain, type, protocol, ret);

        for (int i = 0; i < 2 && r == 0 && room > 0; i++)
                assert_int_equal(setsockopt(ret[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
        return r;
}

/* A result arrives on a host whose net.core.wmem_default is less than it has. */
static void test_little_room(void **state)
{
        Seen seen;

        room = 16384;
        run(NULL, &seen);
        room = 0;
        assert_int_equal(seen.result.error, 0);
        assert_int_equal(seen.result.devices[0].step, STEP_BIND_DRIVER);
}

static int watch_error;

int __real_sd_event_add_child(sd_event *event, sd_event_source **ret, pid_t pid, int options,
                              sd_event_child_handler_t callback, void *userdata);
int __wrap_sd_event_add_child(sd_event *event, sd_event_source **ret, pid_t pid, int options,
                              sd_event_child_handler_t callback, void *userdata);
int __wrap_sd_event_add_child(sd_event *event, sd_event_source **ret, pid_t pid, int options,
                              sd_event_child_handler_t callback, void *userdata)
{
        return watch_error < 0 ? watch_error
                               : __real_sd_event_add_child(event, ret, pid, options, callback, userdata);
}

/* A worker whose end would not be heard of does not begin, and leaves no zombie. */
static void test_unwatched(void **state)
{
        unsigned before = count_fds();
        Job job = nobody_job();
        Workers *workers;
        HostJob *handle;
        sd_event *event;

        assert_int_equal(sd_event_new(&event), 0);
        assert_int_equal(workers_new(event, NULL, &workers), 0);
        watch_error = -EMFILE;
        assert_int_equal(workers_start(workers, &job, on_done, NULL, NULL, &handle), -EMFILE);
        watch_error = 0;
        workers_free(workers);
        sd_event_unref(event);
        assert_int_equal(count_fds(), before);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

static int hang(void)
{
        for (;;)
                (void)pause();
        return 0;
}

/* WORKERS_MAX run at once, one more is refused; those that hang do not keep the owner from going. */
static void test_limit(void **state)
{
        unsigned before = count_fds();
        Seen seen = {};
        Workers *workers;
        HostJob *handle;
        Job job = nobody_job();

        assert_int_equal(sd_event_new(&seen.event), 0);
        assert_int_equal(workers_new(seen.event, hang, &workers), 0);
        for (unsigned i = 0; i < WORKERS_MAX; i++) {
                assert_int_equal(workers_start(workers, &job, on_done, NULL, &seen, &handle), 0);
                workers_disown(handle);
        }
        assert_int_equal(workers_start(workers, &job, on_done, NULL, &seen, &handle), -EAGAIN);
        workers_free(workers);
        sd_event_unref(seen.event);
        assert_int_equal(seen.calls, 0);
        assert_int_equal(count_fds(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_device),
                cmocka_unit_test(test_file_is_three),
                cmocka_unit_test(test_unconfined),
                cmocka_unit_test(test_killed),
                cmocka_unit_test(test_inherits_nothing),
                cmocka_unit_test(test_too_few_files),
                cmocka_unit_test(test_little_room),
                cmocka_unit_test(test_unwatched),
                cmocka_unit_test(test_limit), /* the last: its workers hang until the test ends */
        };
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
