/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon that dies on demand. Whatever it does between two of its instructions that anybody else can see is a record
 * written or dropped, a file stored, a limit set or a worker begun. Before each of these is a point, and after those which
 * something follows that is none of them: a reply, a signal, the word to a worker. A file
 * crash-at in the runtime directory with a number in it arms the daemon that comes to a point next: that many points later it
 * writes the point's name to `crashed` and aborts. The next life is not armed. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/crash.h"

#define FOLDER "/run/vfiobroker/"

static const BrokerStore *store;
static const JobLog *job_log;
static const HostOps *host_ops;

/* Before the call that records or acts, or after it. */
static void point(const char *what, const char *when)
{
        static unsigned long left;
        FILE *f;

        if (left == 0) {
                f = fopen(FOLDER "crash-at", "re");
                if (!f)
                        return;
                if (fscanf(f, "%lu", &left) != 1)
                        left = 0;
                (void)fclose(f);
                (void)unlink(FOLDER "crash-at");
                if (left == 0)
                        return;
        }
        if (--left > 0)
                return;
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
