/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the confined daemon and a confined worker may and may not do. A filter cannot be taken off again, so each case
 * is a forked child that confines itself, does one thing, and leaves by _exit(); the parent looks at how it ended.
 *
 * Under a sanitizer this works unchanged, since what its run-time library needs after start-up (mmap, madvise,
 * sigaltstack, sched_getaffinity) is what malloc() and stdio need too; only the leak check at exit() wants threads and
 * ptrace, and _exit() goes past it. */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <systemd/sd-journal.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "daemon/host/uapi.h"
#include "daemon/host/route.h"
#include "daemon/sandbox.h"
#include "policy/util.h"

#define KEPT (UINT64_C(1) << CAP_SYS_RESOURCE | UINT64_C(1) << CAP_KILL)

typedef int (*Confine)(void);
typedef int (*Action)(void); /* 0, or a number that tells where it failed */

typedef struct Case {
        const char *name;
        Action action;
} Case;

/* An action that is one call, which fails on its own account where the filter lets it through. */
#define ACTION(name, call)                                                                                  \
        static int name(void)                                                                               \
        {                                                                                                   \
                return (call) < 0;                                                                          \
        }

/* How the child ended, as waitpid() tells it. */
static int run_confined(Confine confine, Action action)
{
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (confine() < 0)
                        _exit(99);
                _exit(action());
        }

        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static bool killed_by(int status, int sig)
{
        return WIFSIGNALED(status) && WTERMSIG(status) == sig;
}

static void expect_goes_on(const char *who, Confine confine, const Case *cases, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int status = run_confined(confine, cases[i].action);

                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                        fail_msg("%s: %s: wait status %#x", who, cases[i].name, (unsigned)status);
        }
}

static void expect_killed(const char *who, Confine confine, const Case *cases, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int status = run_confined(confine, cases[i].action);

                if (!killed_by(status, SIGSYS))
                        fail_msg("%s: %s was not killed with SIGSYS: wait status %#x", who, cases[i].name,
                                 (unsigned)status);
        }
}

/* A worker is what fork() made of the confined daemon. */
static int confine_worker(void)
{
        int r;

        r = sandbox_apply_daemon();
        if (r < 0)
                return r;

        return sandbox_apply_worker();
}

/* --- what goes on --------------------------------------------------------------------------------------------- */

static int do_read_file(void)
{
        _cleanup_close_ int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        char buffer[64];

        if (fd < 0)
                return 1;
        return read(fd, buffer, sizeof(buffer)) > 0 ? 0 : 2;
}

static int do_stdio(void)
{
        _cleanup_(fclosep) FILE *f = fopen("/proc/self/status", "re");
        char line[256];

        if (!f || !fgets(line, sizeof(line), f))
                return 1;

        (void)isatty(STDERR_FILENO);
        return 0;
}

static int do_memory(void)
{
        char *large = malloc(8 << 20); /* by mmap(), and freed by munmap() */
        void *p;

        if (!large)
                return 1;
        memset(large, 1, 8 << 20);
        free(large);

        p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ) < 0 || munmap(p, 4096) < 0)
                return 2;
        return 0;
}

static int do_replace_file(void)
{
        char from[] = "/tmp/test-sandbox.XXXXXX", to[sizeof(from) + 4];
        _cleanup_close_ int fd = mkostemp(from, O_CLOEXEC);

        if (fd < 0)
                return 1;

        (void)snprintf(to, sizeof(to), "%s.to", from);
        if (write(fd, "x", 1) != 1 || fsync(fd) < 0 || fchmod(fd, 0600) < 0 || rename(from, to) < 0)
                return 2;
        return unlink(to) < 0 ? 3 : 0;
}

static int do_unix_sockets(void)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un nowhere = { .sun_family = AF_UNIX, .sun_path = "/nowhere/at/all" };
        int pair[2];

        if (fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return 1;

        /* It reaches the kernel, and fails there. */
        if (connect(fd, (struct sockaddr *)&nowhere, sizeof(nowhere)) == 0 || errno != ENOENT)
                return 2;

        (void)close(pair[0]);
        (void)close(pair[1]);
        return 0;
}

static int do_fork(void)
{
        pid_t pid = fork();
        int status;

        if (pid < 0)
                return 1;
        if (pid == 0)
                _exit(7);
        if (waitpid(pid, &status, 0) != pid)
                return 2;
        return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : 3;
}

static int do_pidfd(void)
{
        pid_t pid = fork();
        int status, fd;

        if (pid < 0)
                return 1;
        if (pid == 0) {
                (void)poll(NULL, 0, -1);
                _exit(1);
        }

        fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0)
                return 2;
        if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0)
                return 3;
        if (waitpid(pid, &status, 0) != pid || !killed_by(status, SIGKILL))
                return 4;
        (void)close(fd);
        return 0;
}

static int do_move_memlock(void)
{
        struct rlimit limit, nofile;
        pid_t pid = fork();
        int status, r = 0;

        if (pid < 0)
                return 1;
        if (pid == 0) {
                (void)poll(NULL, 0, 10 * 1000);
                _exit(0);
        }

        if (prlimit(pid, RLIMIT_MEMLOCK, NULL, &limit) < 0 || prlimit(pid, RLIMIT_MEMLOCK, &limit, NULL) < 0)
                r = 2;
        else if (getrlimit(RLIMIT_NOFILE, &nofile) < 0) /* one's own may be read */
                r = 3;

        {
                _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);

                (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
        }
        (void)waitpid(pid, &status, 0);
        return r;
}

/* A policy reload: a user by name, one that no file has. */
static int do_name_lookup(void)
{
        if (!getpwnam("root"))
                return 1;
        return getpwnam("vfiobroker-somebody-else") ? 2 : 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        unsigned *fired = userdata;

        (*fired)++;
        return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        return sd_event_exit(sd_event_source_get_event(source), info->si_status == 7 ? 0 : 4);
}

static int on_pong(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        unsigned *pongs = userdata;

        if (!sd_bus_message_is_method_error(reply, NULL))
                (*pongs)++;
        return 0;
}

/* The loop as the daemon runs it: a timer, signals through a signalfd, the end of a forked worker, and two ends of a
 * bus connection that talk. */
static int do_loop(void)
{
        sd_bus *server = NULL, *client = NULL;
        unsigned fired = 0, pongs = 0;
        sd_event *event = NULL;
        sigset_t mask;
        sd_id128_t id = SD_ID128_MAKE(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45, 67, 89, ab, cd, ef);
        int pair[2], r;
        pid_t pid;

        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGCHLD);
        (void)sigaddset(&mask, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return 1;

        if (sd_event_new(&event) < 0 ||
            sd_event_add_time(event, NULL, CLOCK_MONOTONIC, 1, 1, on_timer, &fired) < 0 ||
            sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL) < 0)
                return 2;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return 3;
        if (sd_bus_new(&server) < 0 || sd_bus_set_fd(server, pair[0], pair[0]) < 0 ||
            sd_bus_set_server(server, 1, id) < 0 || sd_bus_negotiate_fds(server, 1) < 0 ||
            sd_bus_start(server) < 0 || sd_bus_attach_event(server, event, 0) < 0)
                return 4;
        if (sd_bus_new(&client) < 0 || sd_bus_set_fd(client, pair[1], pair[1]) < 0 ||
            sd_bus_negotiate_fds(client, 1) < 0 || sd_bus_start(client) < 0 ||
            sd_bus_attach_event(client, event, 0) < 0)
                return 5;
        if (sd_bus_call_method_async(client, NULL, NULL, "/", "org.freedesktop.DBus.Peer", "Ping", on_pong,
                                     &pongs, "") < 0)
                return 6;

        while (fired == 0 || pongs == 0) {
                r = sd_event_run(event, 10 * USEC_PER_SEC);
                if (r <= 0)
                        return 7;
        }

        pid = fork();
        if (pid < 0)
                return 8;
        if (pid == 0)
                _exit(7);
        if (sd_event_add_child(event, NULL, pid, WEXITED, on_child, NULL) < 0)
                return 9;

        r = sd_event_loop(event);
        sd_bus_close_unref(client);
        sd_bus_close_unref(server);
        sd_event_unref(event);
        return r;
}

/* READY=1 with an fd for the fdstore, and an entry for the journal; whether anyone listens is not the question. */
static int do_notify_and_log(void)
{
        static const char name[] = "\0vfiobroker-test-sandbox";
        _cleanup_close_ int listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        memcpy(address.sun_path, name, sizeof(name) - 1);
        if (listener < 0 || setenv("NOTIFY_SOCKET", "@vfiobroker-test-sandbox", 1) < 0)
                return 1;

        /* Nobody can bind() in here, so the message finds nobody: ECONNREFUSED comes from the kernel, past the filter. */
        if (sd_pid_notify_with_fds(0, false, "FDSTORE=1\nFDNAME=x", &listener, 1) != -ECONNREFUSED)
                return 2;

        (void)sd_journal_send("MESSAGE=test-sandbox says hello", "PRIORITY=7", NULL);
        return 0;
}

static const Case daemon_may[] = {
        { "read a file", do_read_file },
        { "stdio and isatty", do_stdio },
        { "memory", do_memory },
        { "write and rename a file", do_replace_file },
        { "AF_UNIX sockets", do_unix_sockets },
        { "fork", do_fork },
        { "watch and kill by pidfd", do_pidfd },
        { "move RLIMIT_MEMLOCK", do_move_memlock },
        { "look a user up", do_name_lookup },
        { "sd-event and sd-bus", do_loop },
        { "sd_notify and the journal", do_notify_and_log },
};

/* Proves that the daemon's work is possible under its filter. */
static void test_daemon_goes_on(void **state)
{
        expect_goes_on("daemon", sandbox_apply_daemon, daemon_may, ELEMENTSOF(daemon_may));
}

/* --- what kills the daemon ------------------------------------------------------------------------------------ */

ACTION(do_execve, execl("/bin/true", "true", (char *)NULL))
ACTION(do_socket_inet, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
ACTION(do_socket_netlink, socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG))

/* The upper half of the register is not the kernel's: it must not be the filter's either. */
ACTION(do_socket_inet_high_bits, syscall(SYS_socket, (UINT64_C(1) << 32) | AF_INET, SOCK_STREAM, 0))
ACTION(do_bind, bind(STDIN_FILENO, NULL, 0))
ACTION(do_tiocsti, ioctl(STDIN_FILENO, TIOCSTI, "x"))

/* A VFIO request, and one of those that only a tenant needs. */
ACTION(do_vfio_irqs, ioctl(-1, VFIO_DEVICE_SET_IRQS, NULL))
ACTION(do_ptrace, ptrace(PTRACE_TRACEME, 0, NULL, NULL))
ACTION(do_mmap_exec,
       mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0)
ACTION(do_mprotect_exec, mprotect(NULL, 0, PROT_READ | PROT_EXEC))
ACTION(do_mount, mount("none", "/nowhere", "tmpfs", 0, NULL))
ACTION(do_bpf, syscall(SYS_bpf, 0, NULL, 0))
ACTION(do_kill, kill(getppid(), 0))
ACTION(do_tgkill_other, syscall(SYS_tgkill, getppid(), getppid(), 0))
ACTION(do_unshare, unshare(CLONE_NEWUSER))
ACTION(do_clone_namespace, syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL))
ACTION(do_clone_thread, syscall(SYS_clone, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, NULL, NULL, NULL, NULL))

static const struct rlimit low = { 64, 64 };

ACTION(do_other_limit, prlimit(getppid(), RLIMIT_NOFILE, NULL, &(struct rlimit){}))
ACTION(do_own_limit, setrlimit(RLIMIT_NOFILE, &low))
ACTION(do_setuid, setuid(0))
ACTION(do_personality, personality(READ_IMPLIES_EXEC))
ACTION(do_undump, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
ACTION(do_io_uring, syscall(SYS_io_uring_setup, 1, NULL))
ACTION(do_peek_memory, syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0))
ACTION(do_pidfd_getfd, syscall(SYS_pidfd_getfd, -1, 0, 0))

#ifdef __x86_64__
/* getpid of the x32 table. */
ACTION(do_foreign_table, syscall(0x40000000 | SYS_getpid))
#endif

static const Case daemon_may_not[] = {
        { "execve", do_execve },
        { "socket(AF_INET)", do_socket_inet },
        { "socket(AF_NETLINK, other than routes)", do_socket_netlink },
        { "socket(AF_INET) with high bits", do_socket_inet_high_bits },
        { "bind", do_bind },
        { "ioctl TIOCSTI", do_tiocsti },
        { "ioctl VFIO_DEVICE_SET_IRQS", do_vfio_irqs },
        { "ptrace", do_ptrace },
        { "mmap PROT_EXEC", do_mmap_exec },
        { "mprotect PROT_EXEC", do_mprotect_exec },
        { "mount", do_mount },
        { "bpf", do_bpf },
        { "kill", do_kill },
        { "tgkill of another process", do_tgkill_other },
        { "unshare", do_unshare },
        { "clone with a namespace", do_clone_namespace },
        { "clone of a thread", do_clone_thread },
        { "reading another's RLIMIT_NOFILE", do_other_limit },
        { "setting one's own RLIMIT_NOFILE", do_own_limit },
        { "setuid", do_setuid },
        { "personality", do_personality },
        { "making itself dumpable again", do_undump },
        { "io_uring_setup", do_io_uring },
        { "process_vm_readv", do_peek_memory },
        { "pidfd_getfd", do_pidfd_getfd },
#ifdef __x86_64__
        { "a call of another table", do_foreign_table },
#endif
};

/* Proves that each of these ends the daemon at once. */
static void test_daemon_is_killed(void **state)
{
        expect_killed("daemon", sandbox_apply_daemon, daemon_may_not, ELEMENTSOF(daemon_may_not));
}

static int do_abort(void)
{
        abort();
}

/* Proves that a failed assertion shows as such. */
static void test_daemon_can_abort(void **state)
{
        assert_true(killed_by(run_confined(sandbox_apply_daemon, do_abort), SIGABRT));
}

/* 0 where a forked child that does execve() was killed for it. */
static int do_execve_in_child(void)
{
        pid_t pid = fork();
        int status;

        if (pid < 0)
                return 1;
        if (pid == 0)
                _exit(do_execve());
        if (waitpid(pid, &status, 0) != pid)
                return 2;
        return killed_by(status, SIGSYS) ? 0 : 3;
}

/* Proves that the filter is inherited, so that a worker starts from the daemon's. */
static void test_fork_inherits(void **state)
{
        assert_int_equal(run_confined(sandbox_apply_daemon, do_execve_in_child), 0);
}

/* --- workers -------------------------------------------------------------------------------------------------- */

static int pair_of_worker[2] = { -EBADF, -EBADF };

/* A result with an fd goes out by the socket that the worker was born with, and an answer comes in. */
static int do_send_fd(void)
{
        union {
                struct cmsghdr header;
                uint8_t space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { (void *)"result", 6 };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        struct pollfd p = { .fd = pair_of_worker[1], .events = POLLIN };
        _cleanup_close_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        char buffer[16];

        if (fd < 0)
                return 1;

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
        if (sendmsg(pair_of_worker[0], &message, MSG_NOSIGNAL) != 6)
                return 2;
        if (poll(&p, 1, 10 * 1000) != 1 ||
            recv(pair_of_worker[1], buffer, sizeof(buffer), MSG_DONTWAIT) != 6)
                return 3;
        return 0;
}

static int do_sysfs(void)
{
        struct timespec ms = { .tv_nsec = 1000000 };
        char target[256];

        if (readlink("/proc/self/exe", target, sizeof(target)) < 0)
                return 1;
        if (access("/sys", F_OK) < 0 || nanosleep(&ms, NULL) < 0)
                return 2;
        return 0;
}

static int do_ask_for_routes(void)
{
        char text[ROUTE_TEXT_MAX];

        return route_address(1, text) < 0 || route_over(1, text) < 0;
}

static const Case worker_may[] = {
        { "ask for addresses and routes", do_ask_for_routes },
        { "read a file", do_read_file },
        { "stdio", do_stdio },
        { "memory", do_memory },
        { "look around in sysfs, and wait", do_sysfs },
        { "send an fd", do_send_fd },
};

/* Proves that a worker can do its job and tell of it, under both filters and under its own alone. */
static void test_worker_goes_on(void **state)
{
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair_of_worker), 0);

        expect_goes_on("worker", confine_worker, worker_may, ELEMENTSOF(worker_may));
        expect_goes_on("worker alone", sandbox_apply_worker, worker_may, ELEMENTSOF(worker_may));

        pair_of_worker[0] = safe_close(pair_of_worker[0]);
        pair_of_worker[1] = safe_close(pair_of_worker[1]);
}

ACTION(do_fionread, ioctl(-1, FIONREAD, NULL))
ACTION(do_rename, rename("/nowhere/a", "/nowhere/b"))
ACTION(do_unlink, unlink("/nowhere/a"))
ACTION(do_pidfd_open, syscall(SYS_pidfd_open, getpid(), 0))
ACTION(do_memfd, memfd_create("x", MFD_CLOEXEC))
ACTION(do_setsockopt, setsockopt(-1, SOL_SOCKET, SO_PASSCRED, NULL, 0))
ACTION(do_capset, sandbox_drop_capabilities(0))

static const Case worker_may_not[] = {
        { "execve", do_execve },
        { "AF_UNIX sockets", do_unix_sockets },
        { "fork", do_fork },
        { "pidfd_open", do_pidfd_open },
        { "RLIMIT_MEMLOCK", do_move_memlock },
        { "one's own RLIMIT_NOFILE", do_own_limit },
        { "kill", do_kill },
        { "rename", do_rename },
        { "unlink", do_unlink },
        { "memfd_create", do_memfd },
        { "setsockopt", do_setsockopt },
        { "capset", do_capset },
        { "an ioctl of the daemon", do_fionread },
        { "ioctl TIOCSTI", do_tiocsti },
        { "mmap PROT_EXEC", do_mmap_exec },
};

/* Proves that a worker's filter is the narrower one, and does not lean on the daemon's. */
static void test_worker_is_killed(void **state)
{
        expect_killed("worker", confine_worker, worker_may_not, ELEMENTSOF(worker_may_not));
        expect_killed("worker alone", sandbox_apply_worker, worker_may_not, ELEMENTSOF(worker_may_not));
}

/* --- the table of ioctls -------------------------------------------------------------------------------------- */

static unsigned long request_to_try;

static int do_table_ioctl(void)
{
        return ioctl(-1, request_to_try, NULL) == -1 && errno == EBADF ? 0 : 1;
}

/* Proves that every row is let through to the kernel, to whom it says and to nobody else, and that its sign-extended
 * form, as some callers pass it, is the same request. */
static void test_ioctl_table(void **state)
{
        const SandboxIoctl *table;
        size_t n;

        table = sandbox_ioctls(&n);
        assert_true(n > 0);

        for (size_t i = 0; i < n; i++) {
                int daemon_status, worker_status;

                request_to_try = table[i].request;
                daemon_status = run_confined(sandbox_apply_daemon, do_table_ioctl);
                worker_status = run_confined(confine_worker, do_table_ioctl);

                if (daemon_status != 0)
                        fail_msg("%s: daemon: wait status %#x", table[i].name, (unsigned)daemon_status);
                if (table[i].worker ? worker_status != 0 : !killed_by(worker_status, SIGSYS))
                        fail_msg("%s: worker: wait status %#x", table[i].name, (unsigned)worker_status);

                request_to_try = table[i].request | UINT64_C(0xffffffff00000000);
                assert_int_equal(run_confined(sandbox_apply_daemon, do_table_ioctl), 0);
        }
}

/* Proves that a row stands for one request: the numbers beside those of the table kill, where no row has them. */
static void test_ioctl_neighbours(void **state)
{
        const SandboxIoctl *table;
        size_t n;

        table = sandbox_ioctls(&n);
        for (size_t i = 0; i < n; i++) {
                bool listed = false;

                request_to_try = table[i].request + 1;
                for (size_t k = 0; k < n; k++)
                        listed = listed || table[k].request == request_to_try;

                if (!listed)
                        assert_true(killed_by(run_confined(sandbox_apply_daemon, do_table_ioctl), SIGSYS));
        }
}

/* --- capabilities, and what else is set ------------------------------------------------------------------------ */

/* The value of a field of /proc/self/status, in the base given. */
static int status_field(const char *field, int base, uint64_t *ret)
{
        _cleanup_(fclosep) FILE *f = fopen("/proc/self/status", "re");
        char line[512];

        while (f && fgets(line, sizeof(line), f))
                if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':') {
                        *ret = strtoull(line + strlen(field) + 1, NULL, base);
                        return 0;
                }
        return -ENOENT;
}

static uint64_t permitted_before, expected_keep;

static int do_check_status(void)
{
        uint64_t value;

        if (status_field("CapPrm", 16, &value) < 0 || value != (permitted_before & expected_keep))
                return 1;
        if (status_field("CapEff", 16, &value) < 0 || value != (permitted_before & expected_keep))
                return 2;
        if (status_field("CapInh", 16, &value) < 0 || value != 0)
                return 3;
        if (status_field("CapAmb", 16, &value) < 0 || value != 0)
                return 4;
        /* A worker cannot lower it further: CAP_SETPCAP went with the daemon's step. */
        if (status_field("CapBnd", 16, &value) < 0 ||
            (permitted_before & UINT64_C(1) << CAP_SETPCAP && (value & ~KEPT) != 0))
                return 5;
        if (status_field("NoNewPrivs", 10, &value) < 0 || value != 1)
                return 6;
        if (status_field("Seccomp", 10, &value) < 0 || value != 2)
                return 7;
        return 0;
}

/* Proves that only the named capabilities stay, in every set, that a worker keeps less, and that both are under a
 * filter with no_new_privs. */
static void test_capabilities(void **state)
{
        assert_int_equal(status_field("CapPrm", 16, &permitted_before), 0);

        expected_keep = KEPT;
        assert_int_equal(run_confined(sandbox_apply_daemon, do_check_status), 0);

        expected_keep = UINT64_C(1) << CAP_SYS_RESOURCE;
        assert_int_equal(run_confined(confine_worker, do_check_status), 0);
}

static int drop_all(void)
{
        return sandbox_drop_capabilities(0);
}

static int do_ask_for_more(void)
{
        uint64_t value;

        if (sandbox_drop_capabilities(UINT64_MAX) < 0)
                return 1;
        if (status_field("CapPrm", 16, &value) < 0 || value != 0)
                return 2;
        return 0;
}

/* Proves that keeping what one has not got gives nothing. */
static void test_capabilities_never_rise(void **state)
{
        assert_int_equal(run_confined(drop_all, do_ask_for_more), 0);
}

/* Whether a process of the same uid and the same capabilities may look into `pid`. */
static bool same_uid_may_look_into(pid_t pid)
{
        char path[64], target[256];
        pid_t looker;
        int status;

        looker = fork();
        assert_true(looker >= 0);
        if (looker == 0) {
                (void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
                if (sandbox_drop_capabilities(KEPT) < 0)
                        _exit(99);
                _exit(readlink(path, target, sizeof(target)) < 0 ? 1 : 0);
        }

        assert_int_equal(waitpid(looker, &status, 0), looker);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        return WEXITSTATUS(status) == 0;
}

static int capabilities_only(void)
{
        return sandbox_drop_capabilities(KEPT);
}

/* Proves that the confined daemon is closed to others of its own uid, by the difference to one that is not. */
static void test_undumpable(void **state)
{
        static const Confine confines[] = { capabilities_only, sandbox_apply_daemon };

        for (size_t i = 0; i < ELEMENTSOF(confines); i++) {
                int ready[2], status;
                char byte;
                pid_t pid;

                assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0) {
                        if (confines[i]() < 0 || write(ready[1], "x", 1) != 1)
                                _exit(1);
                        (void)poll(NULL, 0, -1);
                        _exit(0);
                }

                (void)close(ready[1]);
                assert_int_equal(read(ready[0], &byte, 1), 1);
                (void)close(ready[0]);

                assert_int_equal(same_uid_may_look_into(pid), confines[i] == capabilities_only);

                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, &status, 0), pid);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_daemon_goes_on),   cmocka_unit_test(test_daemon_is_killed),
                cmocka_unit_test(test_daemon_can_abort), cmocka_unit_test(test_fork_inherits),
                cmocka_unit_test(test_worker_goes_on),   cmocka_unit_test(test_worker_is_killed),
                cmocka_unit_test(test_ioctl_table),      cmocka_unit_test(test_ioctl_neighbours),
                cmocka_unit_test(test_capabilities),     cmocka_unit_test(test_capabilities_never_rise),
                cmocka_unit_test(test_undumpable),
        };

        return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
