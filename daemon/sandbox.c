/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The seccomp filters and the dropping of capabilities, for the daemon and for its workers. Both filters are made of
 * the two tables below: what is not in them kills. A row says who may call and, where the call is a power in itself,
 * with which arguments: no memory that can be written may become code, no process but a plain fork, no socket but
 * AF_UNIX and NETLINK_ROUTE, no limit of another process but RLIMIT_MEMLOCK, no signal but through a pidfd (and an abort of oneself).
 *
 * The columns nest: a worker is forked from the daemon and inherits its filter, and the kernel takes the strictest
 * answer of all filters, so whatever a worker may do the daemon's filter lets through as well, the VFIO requests
 * included. That the daemon itself makes none of them is the layering's doing (daemon/host/worker.c is their only
 * user), not this filter's. */

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/host/uapi.h"
#include "daemon/sandbox.h"
#include "policy/util.h"

enum {
        DAEMON = 1 << 0,
        WORKER = 1 << 1,
        BOTH = DAEMON | WORKER,
};

/* --- ioctls --------------------------------------------------------------------------------------------------- */

#define IOCTL(request, worker)                                                                              \
        {                                                                                                   \
#request, request, worker                                                                   \
        }

static const SandboxIoctl ioctls[] = {
        /* The trial bind that proves a device free, and the reset of the device that it opened. */
        IOCTL(VFIO_DEVICE_BIND_IOMMUFD, true),
        IOCTL(VFIO_DEVICE_GET_INFO, true),
        IOCTL(VFIO_DEVICE_RESET, true),
        /* The group backend: an empty container is the daemon's to open, the rest is the workers'. */
        IOCTL(VFIO_GET_API_VERSION, true),
        IOCTL(VFIO_CHECK_EXTENSION, true),
        IOCTL(VFIO_SET_IOMMU, true),
        IOCTL(VFIO_IOMMU_GET_INFO, true),
        IOCTL(VFIO_GROUP_GET_STATUS, true),
        IOCTL(VFIO_GROUP_SET_CONTAINER, true),
        IOCTL(VFIO_GROUP_UNSET_CONTAINER, true),
        IOCTL(VFIO_GROUP_GET_DEVICE_FD, true),
        /* IOMMU_OPTION_RLIMIT_MODE, before the context is handed out. */
        IOCTL(IOMMU_OPTION, true),
        /* isatty(), which stdio asks of a character device and libsystemd of standard error. */
        IOCTL(TCGETS, true),
        /* How much there is to read: libraries that read from sockets and inotify. */
        IOCTL(FIONREAD, false),
};

const SandboxIoctl *sandbox_ioctls(size_t *ret_n)
{
        *ret_n = ELEMENTSOF(ioctls);
        return ioctls;
}

/* --- system calls --------------------------------------------------------------------------------------------- */

/* The kernel reads an int from the lower half of the register; the upper half is whatever was there. */
#define LOW32 UINT64_C(0xffffffff)

/* clang-format off */
#define ARG_IS(n, value)       { .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = LOW32, .datum_b = (value) }
#define ARG_IS_NULL(n)         { .arg = (n), .op = SCMP_CMP_EQ, .datum_a = 0 }
#define ARG_HAS_NONE(n, flags) { .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (flags), .datum_b = 0 }

/* What fork() asks for, and a pidfd; every other flag shares something or makes a namespace. */
#define FORK_FLAGS (UINT64_C(0xff) | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | CLONE_PIDFD)

typedef struct Rule {
        int number;
        unsigned who;
        unsigned n_args;
        struct scmp_arg_cmp args[2];
} Rule;

#define CALL(name, who)                 { SCMP_SYS(name), who, 0, {} }
#define CALL_IF(name, who, one)         { SCMP_SYS(name), who, 1, { one } }
#define CALL_IF_BOTH(name, who, a, b)   { SCMP_SYS(name), who, 2, { a, b } }

static const Rule rules[] = {
        /* Reading and writing what is open. */
        CALL(read, BOTH), CALL(readv, BOTH), CALL(pread64, BOTH),
        CALL(write, BOTH), CALL(writev, BOTH), CALL(pwrite64, BOTH),
        CALL(lseek, BOTH), CALL(fcntl, BOTH), CALL(flock, DAEMON),
        CALL(close, BOTH), CALL(close_range, BOTH),
        CALL(dup, BOTH), CALL(dup2, BOTH), CALL(dup3, BOTH), CALL(pipe2, DAEMON),
        CALL(ftruncate, DAEMON), CALL(fallocate, DAEMON), CALL(fsync, DAEMON), CALL(fdatasync, DAEMON),

        /* Files: sysfs and /dev for the workers; records and policy for the daemon, so that only it may rename. */
        CALL(openat, BOTH), CALL(openat2, BOTH),
        CALL(fstat, BOTH), CALL(newfstatat, BOTH), CALL(statx, BOTH), CALL(statfs, BOTH), CALL(fstatfs, BOTH),
        CALL(readlink, BOTH), CALL(readlinkat, BOTH), CALL(getdents64, BOTH), CALL(getcwd, DAEMON),
        CALL(access, BOTH), CALL(faccessat, BOTH), CALL(faccessat2, BOTH),
        CALL(mkdir, DAEMON), CALL(mkdirat, DAEMON), CALL(rmdir, DAEMON), CALL(umask, DAEMON),
        CALL(rename, DAEMON), CALL(renameat, DAEMON), CALL(renameat2, DAEMON),
        CALL(unlink, DAEMON), CALL(unlinkat, DAEMON), CALL(fchmod, DAEMON), CALL(fchmodat, DAEMON),
        CALL(name_to_handle_at, DAEMON), /* libsystemd's test for a mount point; opening by handle is not allowed */
        CALL(inotify_init1, DAEMON), CALL(inotify_add_watch, DAEMON), CALL(inotify_rm_watch, DAEMON),

        /* Memory, none of it executable. */
        CALL_IF(mmap, BOTH, ARG_HAS_NONE(2, PROT_EXEC)), CALL_IF(mprotect, BOTH, ARG_HAS_NONE(2, PROT_EXEC)),
        CALL(munmap, BOTH), CALL(mremap, BOTH), CALL(madvise, BOTH), CALL(brk, BOTH), CALL(memfd_create, DAEMON),

        /* Waiting, and the time. */
        CALL(epoll_create1, DAEMON), CALL(epoll_ctl, DAEMON), CALL(epoll_wait, DAEMON),
        CALL(epoll_pwait, DAEMON), CALL(epoll_pwait2, DAEMON),
        CALL(eventfd2, DAEMON), CALL(signalfd4, DAEMON), CALL(poll, BOTH), CALL(ppoll, BOTH),
        CALL(timerfd_create, DAEMON), CALL(timerfd_settime, DAEMON), CALL(timerfd_gettime, DAEMON),
        CALL(clock_gettime, BOTH), CALL(clock_getres, BOTH), CALL(gettimeofday, BOTH), CALL(time, BOTH),
        CALL(clock_nanosleep, BOTH), CALL(nanosleep, BOTH), CALL(restart_syscall, BOTH),

        /* Sockets: the bus, the journal, the notify socket, name services. A worker has the one it was born with. And both
         * ask whether an interface is in use (daemon/host/route.c), which without CAP_NET_ADMIN is all that can be done by
         * rtnetlink. */
        CALL_IF(socket, DAEMON, ARG_IS(0, AF_UNIX)),
        CALL_IF_BOTH(socket, BOTH, ARG_IS(0, AF_NETLINK), ARG_IS(2, NETLINK_ROUTE)),
        CALL_IF_BOTH(setsockopt, WORKER, ARG_IS(1, SOL_NETLINK), ARG_IS(2, NETLINK_GET_STRICT_CHK)),
         CALL_IF(socketpair, DAEMON, ARG_IS(0, AF_UNIX)),
        CALL(connect, DAEMON), CALL(shutdown, DAEMON), CALL(getsockname, DAEMON), CALL(getpeername, DAEMON),
        CALL(getsockopt, DAEMON), CALL(setsockopt, DAEMON),
        CALL(sendto, BOTH), CALL(sendmsg, BOTH), CALL(recvfrom, BOTH), CALL(recvmsg, BOTH),

        /* Workers are forked; other processes are watched, have one limit moved, and are killed by pidfd. */
        CALL_IF(clone, DAEMON, ARG_HAS_NONE(0, LOW32 & ~FORK_FLAGS)),
        CALL(wait4, DAEMON), CALL(waitid, DAEMON), CALL(pidfd_open, DAEMON), CALL(pidfd_send_signal, DAEMON),
        CALL_IF(prlimit64, DAEMON, ARG_IS(1, RLIMIT_MEMLOCK)),
        CALL_IF_BOTH(prlimit64, DAEMON, ARG_IS(0, 0), ARG_IS_NULL(2)), /* reading one's own */
        CALL(exit, BOTH), CALL(exit_group, BOTH),

        /* Signals, and what libc does for itself. */
        CALL(rt_sigaction, BOTH), CALL(rt_sigprocmask, BOTH), CALL(rt_sigreturn, BOTH), CALL(rt_sigpending, BOTH),
        CALL(rt_sigtimedwait, BOTH), CALL(sigaltstack, BOTH),
        CALL(futex, BOTH), CALL(set_robust_list, BOTH), CALL(rseq, BOTH), CALL(getrandom, BOTH),
        CALL(sched_yield, BOTH), CALL(sched_getaffinity, BOTH), CALL(sysinfo, BOTH), CALL(uname, BOTH),
        CALL(getpid, BOTH), CALL(getppid, BOTH), CALL(gettid, BOTH),
        CALL(getuid, BOTH), CALL(geteuid, BOTH), CALL(getgid, BOTH), CALL(getegid, BOTH),
        CALL(getresuid, BOTH), CALL(getresgid, BOTH), CALL(getgroups, BOTH),
        CALL_IF(prctl, BOTH, ARG_IS(0, PR_SET_NAME)), CALL_IF(prctl, BOTH, ARG_IS(0, PR_SET_PDEATHSIG)),

        /* With which a worker narrows itself, from under the daemon's filter. None of them can widen anything. */
        CALL(seccomp, DAEMON), CALL(capget, DAEMON), CALL(capset, DAEMON),
        CALL_IF(prctl, DAEMON, ARG_IS(0, PR_SET_NO_NEW_PRIVS)),
        CALL_IF(prctl, DAEMON, ARG_IS(0, PR_CAPBSET_READ)), CALL_IF(prctl, DAEMON, ARG_IS(0, PR_CAPBSET_DROP)),
        CALL_IF_BOTH(prctl, DAEMON, ARG_IS(0, PR_CAP_AMBIENT), ARG_IS(1, PR_CAP_AMBIENT_CLEAR_ALL)),
        CALL_IF_BOTH(prctl, DAEMON, ARG_IS(0, PR_SET_DUMPABLE), ARG_IS(1, 0)),
};
/* clang-format on */

static int add_rules(scmp_filter_ctx filter, unsigned who)
{
        const struct scmp_arg_cmp self = ARG_IS(0, (uint64_t)getpid());
        int r;

        for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
                if (!(rules[i].who & who))
                        continue;

                r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].number, rules[i].n_args,
                                           rules[i].args);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < ELEMENTSOF(ioctls); i++) {
                const struct scmp_arg_cmp request = ARG_IS(1, ioctls[i].request & LOW32);

                if (who == WORKER && !ioctls[i].worker)
                        continue;

                r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &request);
                if (r < 0)
                        return r;
        }

        /* abort(). Not in a worker: its filter is made before it is there, and the daemon's, which it has too, is for the
         * daemon's pid; an assertion ends it with SIGSYS instead of SIGABRT: dead all the same. */
        r = who == WORKER ? 0 : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self);
        if (r < 0)
                return r;

        /* Its flags are behind a pointer, where no filter can look: libc falls back to clone(). */
        return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* A filter as the kernel takes it. */
typedef struct Program {
        struct sock_filter *code; /* owned */
        unsigned short length;
} Program;

static int read_program(int fd, Program *ret)
{
        struct sock_filter *code;
        struct stat st;
        size_t n;

        if (fstat(fd, &st) < 0)
                return -errno;
        n = (size_t)st.st_size / sizeof(*code);
        if (n == 0 || n > BPF_MAXINSNS)
                return -E2BIG;
        code = calloc(n, sizeof(*code));
        if (!code)
                return -ENOMEM;
        if (pread(fd, code, n * sizeof(*code), 0) != (ssize_t)(n * sizeof(*code))) {
                free(code);
                return -EIO;
        }
        *ret = (Program){ code, (unsigned short)n };
        return 0;
}

static int build_program(unsigned who, Program *ret)
{
        _cleanup_close_ int fd = memfd_create("filter", MFD_CLOEXEC);
        scmp_filter_ctx filter;
        int r;

        if (fd < 0)
                return -errno;
        filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        if (!filter)
                return -ENOMEM;

        /* 32-bit and x32 calls, whose numbers mean something else. */
        r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        /* A binary tree: a hundred comparisons for each call otherwise. */
        if (r >= 0)
                r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        if (r >= 0)
                r = add_rules(filter, who);
        if (r >= 0)
                r = seccomp_export_bpf(filter, fd);
        if (r >= 0)
                r = read_program(fd, ret);
        seccomp_release(filter);
        return r;
}

/* The workers', made once: it takes longer than most of what they do. */
static Program worker_program;

static int install_program(const Program *program)
{
        struct sock_fprog request = { .len = program->length, .filter = program->code };
        /* Synchronized: a thread that a library may have started is no way out. */
        long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &request);

        if (r < 0)
                return -errno;
        return r == 0 ? 0 : -ESRCH; /* the number of a thread that could not follow */
}

/* --- capabilities --------------------------------------------------------------------------------------------- */

int sandbox_drop_capabilities(uint64_t keep)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
        int in_set;

        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;

        /* First the bounding set, which needs CAP_SETPCAP; without it, it is whatever systemd left. */
        for (int cap = 0; cap < 64; cap++) {
                in_set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
                if (in_set < 0)
                        break; /* past the last capability that this kernel knows */

                if (in_set == 0 || keep & UINT64_C(1) << cap)
                        continue;

                if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
                        return -errno;
        }

        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -errno;

        for (size_t i = 0; i < ELEMENTSOF(data); i++) {
                uint32_t mask = (uint32_t)(keep >> (32 * i));

                data[i].permitted &= mask;
                data[i].effective = data[i].permitted;
                data[i].inheritable = 0;
        }

        if (syscall(SYS_capset, &header, data) < 0)
                return -errno;

        return 0;
}

/* --- the two stages ------------------------------------------------------------------------------------------- */

/* A policy reload looks user and group names up. The modules that answer are shared libraries, loaded at the first
 * name that the files do not have, and loading code is what the filter forbids: so ask for such a name now. */
static void preload_name_services(void)
{
        (void)getpwnam("vfiobroker-nobody-has-this-name");
        (void)getgrnam("vfiobroker-nobody-has-this-name");
}

static int apply(const Program *program, uint64_t keep)
{
        int r;

        r = sandbox_drop_capabilities(keep);
        if (r < 0)
                return r;

        /* Nobody of the same uid but fewer limits may attach, and no core holds what was in memory. */
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return -errno;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;

        return install_program(program);
}

int sandbox_apply_daemon(void)
{
        Program program = {};
        int r;

        preload_name_services();

        r = worker_program.code ? 0 : build_program(WORKER, &worker_program);
        if (r >= 0)
                r = build_program(DAEMON, &program);
        if (r >= 0)
                r = apply(&program, UINT64_C(1) << CAP_SYS_RESOURCE | UINT64_C(1) << CAP_KILL);
        free(program.code);
        return r;
}

int sandbox_apply_worker(void)
{
        int r = worker_program.code ? 0 : build_program(WORKER, &worker_program);

        return r < 0 ? r : apply(&worker_program, UINT64_C(1) << CAP_SYS_RESOURCE);
}
