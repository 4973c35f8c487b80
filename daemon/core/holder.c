/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Processes that hold leases, one object for each, shared by its leases. Event loop only. */

#include <fcntl.h>
#include <utlist.h>

#include "daemon/core/broker.h"
#include "daemon/core/holder.h"
#include "daemon/core/keep.h"

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
        return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

int holder_get(Broker *broker, pid_t pid, int pidfd, const ProcessFacts *facts, Holder **ret)
{
        Holder *holder;

        DL_FOREACH(broker->holders, holder)
                if (holder->pid == pid && holder->start_time == facts->start_time) {
                        holder->n_leases++;
                        *ret = holder;
                        return 0;
                }

        holder = calloc(1, sizeof(*holder));
        if (!holder)
                return -ENOMEM;
        holder->pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
        if (holder->pidfd < 0) {
                int r = -errno;

                free(holder);
                return r;
        }
        holder->pid = pid;
        holder->uid = facts->uid;
        holder->start_time = facts->start_time;
        holder->n_leases = 1;
        DL_APPEND(broker->holders, holder);
        *ret = holder;
        return 0;
}

Holder *holder_unref(Broker *broker, Holder *holder)
{
        if (!holder || --holder->n_leases > 0)
                return NULL;
        keep_forget_holder(broker, holder);
        DL_DELETE(broker->holders, holder);
        holder->pidfd = safe_close(holder->pidfd);
        free(holder);
        return NULL;
}

/* The limit that the process must have now. A base without limit stays one. */
static MemlockLimit wanted_limit(const Holder *holder)
{
        MemlockLimit limit = holder->base;

        if (holder->committed == 0 && holder->slack == 0)
                return limit;
        limit.soft = add_saturated(limit.soft, add_saturated(holder->committed, holder->slack));
        if (limit.hard < limit.soft)
                limit.hard = limit.soft;
        return limit;
}

/* Sums the process's leases anew: with few leases for each process that is cheaper than to be wrong. */
static void holder_sum(Broker *broker, Holder *holder)
{
        holder->committed = 0;
        holder->slack = 0;
        for (Lease *lease = broker->leases; lease; lease = lease->hh.next) {
                if (lease->holder != holder || !lease->memlock_raised)
                        continue;
                holder->committed = add_saturated(holder->committed, lease->memlock);
                if (lease->slack > holder->slack)
                        holder->slack = lease->slack;
        }
}

int holder_read_base(Broker *broker, Holder *holder)
{
        Host *host = broker->host;
        int r;

        if (holder->base_known)
                return 0;
        r = host->ops->memlock_get(host, holder->pid, holder->pidfd, &holder->base);
        if (r >= 0)
                holder->base_known = true;
        return r;
}

int holder_commit(Lease *lease)
{
        Broker *broker = lease->broker;
        Holder *holder = lease->holder;
        Host *host = broker->host;
        MemlockLimit limit;
        int r;

        r = holder_read_base(broker, holder);
        if (r < 0)
                return r;

        lease->memlock_raised = true;
        holder_sum(broker, holder);
        limit = wanted_limit(holder);
        r = host->ops->memlock_set(host, holder->pid, holder->pidfd, &limit);
        if (r < 0) {
                lease->memlock_raised = false;
                holder_sum(broker, holder);
        }
        return r;
}

int holder_uncommit(Lease *lease)
{
        Broker *broker = lease->broker;
        Holder *holder = lease->holder;
        Host *host = broker->host;
        MemlockLimit limit;
        int r;

        if (!holder || !lease->memlock_raised)
                return 0;

        lease->memlock_raised = false;
        holder_sum(broker, holder);
        if (!holder->base_known)
                return 0;

        limit = wanted_limit(holder);
        r = host->ops->memlock_set(host, holder->pid, holder->pidfd, &limit);
        if (r == -ESRCH)
                r = 0;
        /* Where it did not go back, what the process has now is no base for a later lease. */
        if (r >= 0 && holder->committed == 0 && holder->slack == 0)
                holder->base_known = false;
        return r;
}
