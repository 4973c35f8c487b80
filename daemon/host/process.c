/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading and limiting other processes. prlimit(2) knows pids only, so a pid is believed for as long as its pidfd says,
 * after the act, that the process still runs: a pid cannot have been another's in between. */

#include <linux/capability.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>

#include "daemon/host/process.h"

int process_alive(int pidfd)
{
        struct pollfd item = { .fd = pidfd, .events = POLLIN };
        int r = poll(&item, 1, 0);

        if (r < 0)
                return -errno;
        if (item.revents & POLLNVAL)
                return -EBADF;
        return r == 0;
}

static int still_alive(int pidfd)
{
        int r = process_alive(pidfd);

        if (r < 0)
                return r;
        return r > 0 ? 0 : -ESRCH;
}

static FILE *open_proc(pid_t pid, const char *name)
{
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        return fopen(path, "re");
}

/* Where a line is missing: what kept it from being read, or -ESRCH, for a process that went has no lines. After the read. */
static int why_missing(FILE *file)
{
        return ferror(file) && errno > 0 ? -errno : -ESRCH;
}

/* Field 22 of /proc/PID/stat; the name in field 2 may hold anything, a ")" too. */
int process_start_time(pid_t pid, uint64_t *ret)
{
        _cleanup_(fclosep) FILE *file = open_proc(pid, "stat");
        char line[1024];
        const char *p;

        if (!file)
                return errno == ENOENT ? -ESRCH : -errno;
        if (!fgets(line, sizeof(line), file))
                return why_missing(file);
        p = strrchr(line, ')');
        if (!p)
                return -EIO;
        p++;
        for (int field = 3; field < 22; field++) {
                p = strchr(p + 1, ' ');
                if (!p)
                        return -EIO;
        }
        errno = 0;
        *ret = strtoull(p, NULL, 10);
        return errno != 0 ? -errno : 0;
}

int process_open(pid_t pid, int *ret_pidfd, uint64_t *ret_start_time)
{
        uint64_t start_time;
        int fd, r;

        r = process_start_time(pid, &start_time);
        if (r < 0)
                return r;
        fd = pidfd_open(pid, 0);
        if (fd < 0)
                /* A thread's number, not a process's, is EINVAL, and since Linux 6.18 ENOENT. */
                return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
        *ret_pidfd = fd;
        *ret_start_time = start_time;
        return 0;
}

/* What the kernel calls the file of a pidfd, with pidfs (Linux 6.9) and before; a file that somebody made has a slash. */
static bool is_called_pidfd(int fd)
{
        static const char name[] = "anon_inode:[pidfd]";
        char path[64], target[sizeof(name)];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, target, sizeof(target));
        return n == (ssize_t)strlen(name) && memcmp(target, name, (size_t)n) == 0;
}

/* The kernel says it in fdinfo. Whether it is one it is asked first, since fdinfo of other files has text of their makers
 * (of a dma-buf its name, which may have lines). EINVAL is the answer for those, and for a process of a pid namespace that
 * is not below ours, which has the number 0 here; -1 is a process that was reaped (pidfd_send_signal() and
 * pidfd_show_fdinfo(), Linux 6.1 and 6.12). */
int process_of_pidfd(int pidfd, pid_t *ret_pid)
{
        _cleanup_(fclosep) FILE *file = NULL;
        char path[64], line[128];

        if (pidfd_send_signal(pidfd, 0, NULL, 0) < 0 && errno != ESRCH && errno != EPERM) {
                if (errno != EINVAL)
                        return -errno;
                return is_called_pidfd(pidfd) ? -EREMOTE : -EBADF;
        }
        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        file = fopen(path, "re");
        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file)) {
                long pid;

                if (sscanf(line, "Pid: %ld", &pid) != 1)
                        continue;
                if (pid <= 0)
                        return pid < 0 ? -ESRCH : -EREMOTE;
                *ret_pid = (pid_t)pid;
                return 0;
        }
        return ferror(file) ? why_missing(file) : -EBADF;
}

int process_is(pid_t pid, int pidfd)
{
        pid_t found = 0;
        int r;

        r = process_of_pidfd(pidfd, &found);
        if (r == -EREMOTE)
                return 0;
        return r < 0 ? r : found == pid;
}

int process_read_facts(pid_t pid, int pidfd, ProcessFacts *ret)
{
        _cleanup_(fclosep) FILE *file = open_proc(pid, "status");
        ProcessFacts facts = {};
        unsigned uids[4];
        int tgid = 0, r;
        bool have_uids = false, have_caps = false;
        char line[512];

        if (!file)
                return errno == ENOENT ? -ESRCH : -errno;
        while (fgets(line, sizeof(line), file)) {
                unsigned long long caps;
                char state;

                if (sscanf(line, "Uid: %u %u %u %u", uids, uids + 1, uids + 2, uids + 3) == 4)
                        have_uids = true;
                else if (sscanf(line, "Tgid: %d", &tgid) == 1)
                        ;
                else if (sscanf(line, "State: %c", &state) == 1)
                        facts.zombie = state == 'Z' || state == 'X';
                else if (sscanf(line, "CapPrm: %llx", &caps) == 1) {
                        facts.ipc_lock = caps & (1ULL << CAP_IPC_LOCK);
                        have_caps = true;
                }
        }
        if (!have_uids || !have_caps)
                return why_missing(file); /* it went while it was read? */
        r = process_start_time(pid, &facts.start_time);
        if (r < 0)
                return r;
        r = still_alive(pidfd);
        if (r < 0)
                return r;

        facts.uid = uids[0];
        facts.mixed_uids = uids[1] != uids[0] || uids[2] != uids[0] || uids[3] != uids[0];
        facts.thread = tgid != pid;
        *ret = facts;
        return 0;
}

/* "Gid:\t100\t100\t100\t100", of which the second counts, and "Groups:\t4 24 100 \n", of whatever length. */
static int read_gids(FILE *file, ProcessCredentials *ret)
{
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        while (getline(&line, &size, file) >= 0) {
                unsigned gid;
                char *p, *end;

                if (sscanf(line, "Gid: %*u %u", &gid) == 1) {
                        ret->gids = malloc(sizeof(gid_t));
                        if (!ret->gids)
                                return -ENOMEM;
                        ret->gids[ret->n_gids++] = gid;
                }
                if (strncmp(line, "Groups:", 7) != 0)
                        continue;
                for (p = line + 7;; p = end) {
                        unsigned long n = strtoul(p, &end, 10);
                        gid_t *more;

                        if (end == p)
                                break;
                        more = reallocarray(ret->gids, ret->n_gids + 1, sizeof(gid_t));
                        if (!more)
                                return -ENOMEM;
                        ret->gids = more;
                        ret->gids[ret->n_gids++] = (gid_t)n;
                }
        }
        return ferror(file) ? why_missing(file) : 0;
}

/* NULL where no LSM has a word for it. As SO_PEERSEC gives it to the bus, that is without the end of the line. */
static int read_label(pid_t pid, char **ret)
{
        _cleanup_(fclosep) FILE *file = open_proc(pid, "attr/current");
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        errno = file ? 0 : errno;
        if (!file || getline(&line, &size, file) < 0)
                return errno_is_trouble(errno) ? -errno : 0;
        line[strcspn(line, "\n")] = 0;
        if (line[0])
                *ret = TAKE_PTR(line);
        return 0;
}

int process_read_credentials(pid_t pid, int pidfd, ProcessCredentials *ret)
{
        _cleanup_(process_credentials_done) ProcessCredentials credentials = {};
        _cleanup_(fclosep) FILE *file = open_proc(pid, "status");
        int r;

        if (!file)
                return errno == ENOENT ? -ESRCH : -errno;
        r = read_gids(file, &credentials);
        if (r >= 0)
                r = read_label(pid, &credentials.label);
        if (r >= 0)
                r = still_alive(pidfd);
        if (r < 0)
                return r;
        *ret = credentials;
        credentials = (ProcessCredentials){};
        return 0;
}

static uint64_t bytes_of_limit(rlim_t limit)
{
        return limit == RLIM_INFINITY ? UINT64_MAX : limit;
}

int process_memlock_get(pid_t pid, int pidfd, MemlockLimit *ret)
{
        struct rlimit limit;
        int r;

        if (prlimit(pid, RLIMIT_MEMLOCK, NULL, &limit) < 0)
                return -errno;
        r = still_alive(pidfd);
        if (r < 0)
                return r;
        *ret = (MemlockLimit){ bytes_of_limit(limit.rlim_cur), bytes_of_limit(limit.rlim_max) };
        return 0;
}

static int set_memlock(pid_t pid, int pidfd, const MemlockLimit *limit)
{
        struct rlimit new = { .rlim_cur = limit->soft, .rlim_max = limit->hard }, old;
        int r;

        r = still_alive(pidfd);
        if (r < 0)
                return r;
        if (prlimit(pid, RLIMIT_MEMLOCK, &new, &old) < 0)
                return -errno;
        r = still_alive(pidfd);
        if (r < 0)
                /* The pid may have been given to another process in between, if in one in a million: put it back. */
                (void)prlimit(pid, RLIMIT_MEMLOCK, &old, NULL);
        return r;
}

int process_memlock_set(pid_t pid, int pidfd, const MemlockLimit *limit)
{
        /* The limit before a lease is put back once. */
        return TRY_AGAIN(set_memlock(pid, pidfd, limit));
}

int process_memlock_used(pid_t pid, int pidfd, uint64_t *ret_bytes)
{
        _cleanup_(fclosep) FILE *file = open_proc(pid, "status");
        unsigned long long pinned = 0, locked = 0;
        char line[512];
        int r;

        if (!file)
                return errno == ENOENT ? -ESRCH : -errno;
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "VmPin: %llu", &pinned) != 1)
                        (void)sscanf(line, "VmLck: %llu", &locked);
        if (ferror(file))
                return why_missing(file);
        r = still_alive(pidfd);
        if (r < 0)
                return r;
        *ret_bytes = (pinned > locked ? pinned : locked) * 1024;
        return 0;
}

uint64_t process_mem_total(void)
{
        _cleanup_(fclosep) FILE *file = fopen("/proc/meminfo", "re");
        unsigned long long kib;
        char line[256];

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "MemTotal: %llu", &kib) == 1)
                        return kib * 1024;
        return 0;
}
