/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon that dies on demand. Whatever it does between two of its instructions that anybody else can see is a record
 * written or dropped, a file stored, a limit set or a worker begun. Before each of these is a point, and after those which
 * something follows that is none of them: a reply, a signal, the word to a worker. A file
 * crash-at in the runtime directory, "N once|late TIMES", arms the daemon that comes to a point next: at the Nth point it writes
 * the point's name to `crashed` and aborts. So do the next lives, TIMES in all. `late` counts only points where the daemon has
 * a worker, and lets that one finish first: what it was told to do too early is done then, and not just begun. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/crash.h"

#define FOLDER "/run/vfiobroker/"

static const BrokerStore *store;
static const JobLog *job_log;
static const HostOps *host_ops;

/* What the nth point is to be: read once, by the daemon that comes to a point first. */
static unsigned long left;
static bool late;

static void read_order(void)
{
        unsigned long n = 0;
        unsigned times = 0;
        char mode[8] = "";
        FILE *f;

        f = fopen(FOLDER "crash-at", "re");
        if (!f)
                return;
        if (fscanf(f, "%lu %7s %u", &n, mode, &times) == 3) {
                left = n;
                late = strcmp(mode, "late") == 0;
        }
        (void)fclose(f);
        if (times <= 1) {
                (void)unlink(FOLDER "crash-at");
                return;
        }
        f = fopen(FOLDER "crash-at", "we");
        if (f) {
                (void)fprintf(f, "%lu %s %u\n", n, mode, times - 1);
                (void)fclose(f);
        }
}

/* Waits for the end of a worker; false where there is none that could end. It stays to be collected. */
static bool worker_ends(void)
{
        const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
        siginfo_t info = {};

        for (unsigned i = 0; i < 400; i++) {
                if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG) < 0)
                        return false;
                if (info.si_pid != 0)
                        return true;
                (void)nanosleep(&pause, NULL);
        }
        return true; /* it waits in the kernel */
}

/* Before the call that records or acts, or after it. */
static void point(const char *what, const char *when)
{
        FILE *f;

        if (left == 0)
                read_order();
        if (left == 0)
                return;
        /* A worker that is not on record yet waits for the word. */
        if (late &&
            (streq(what, "job_put") || waitid(P_ALL, 0, &(siginfo_t){}, WEXITED | WNOWAIT | WNOHANG) < 0))
                return;
        if (--left > 0)
                return;
        if (late)
                (void)worker_ends();
        f = fopen(FOLDER "crashed", "we");
        if (f) {
                (void)fprintf(f, "%s %s\n", when, what);
                (void)fclose(f);
        }
        abort();
}

#define BEFORE(call)                                                                                        \
        do {                                                                                                \
                point(__func__, "before");                                                                  \
                call;                                                                                       \
        } while (0)

#define AROUND(call)                                                                                        \
        do {                                                                                                \
                point(__func__, "before");                                                                  \
                call;                                                                                       \
                point(__func__, "after");                                                                   \
        } while (0)

static int lease_put(void *userdata, const Lease *lease)
{
        int r;

        AROUND(r = store->lease_put(userdata, lease));
        return r;
}

static void lease_drop(void *userdata, const char *id)
{
        BEFORE(store->lease_drop(userdata, id));
}

static int device_put(void *userdata, const Device *device)
{
        int r;

        BEFORE(r = store->device_put(userdata, device));
        return r;
}

static void device_drop(void *userdata, const char *id)
{
        BEFORE(store->device_drop(userdata, id));
}

static void old_job_drop(void *userdata, pid_t pid)
{
        BEFORE(store->job_drop(userdata, pid));
}

static void fd_keep(void *userdata, const char *name, int fd)
{
        BEFORE(store->fd_keep(userdata, name, fd));
}

static void fd_forget(void *userdata, const char *name)
{
        BEFORE(store->fd_forget(userdata, name));
}

static int fd_take(void *userdata, const char *name, int *ret_fd)
{
        int r;

        BEFORE(r = store->fd_take(userdata, name, ret_fd));
        return r;
}

static int job_put(void *userdata, pid_t pid, uint64_t start_time, const Job *job)
{
        int r;

        AROUND(r = job_log->put(userdata, pid, start_time, job));
        return r;
}

static void job_drop(void *userdata, pid_t pid)
{
        BEFORE(job_log->drop(userdata, pid));
}

static int memlock_set(Host *host, pid_t pid, int pidfd, const MemlockLimit *limit)
{
        int r;

        AROUND(r = host_ops->memlock_set(host, pid, pidfd, limit));
        return r;
}

static int job_start(Host *host, const Job *job, JobDone done, JobSlow slow, void *userdata, HostJob **ret)
{
        int r;

        AROUND(r = host_ops->job_start(host, job, done, slow, userdata, ret));
        return r;
}

const BrokerStore *crash_store(const BrokerStore *ops)
{
        static BrokerStore wrapped;

        store = ops;
        wrapped = *ops;
        wrapped.lease_put = lease_put;
        wrapped.lease_drop = lease_drop;
        wrapped.device_put = device_put;
        wrapped.device_drop = device_drop;
        wrapped.job_drop = old_job_drop;
        wrapped.fd_keep = fd_keep;
        wrapped.fd_forget = fd_forget;
        wrapped.fd_take = fd_take;
        return &wrapped;
}

const JobLog *crash_log(const JobLog *log)
{
        static const JobLog wrapped = { .put = job_put, .drop = job_drop };

        job_log = log;
        return &wrapped;
}

void crash_host(Host *host)
{
        static HostOps wrapped;

        host_ops = host->ops;
        wrapped = *host->ops;
        wrapped.memlock_set = memlock_set;
        wrapped.job_start = job_start;
        host->ops = &wrapped;
}
