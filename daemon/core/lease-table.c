/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A lease enters and leaves the tables, with every sum that counts it: the tenant's devices, leases and bytes, the
 * host's bytes, the devices' back pointers. The only file that changes these sums. Event loop only. */

#include <utlist.h>

#include "daemon/core/broker-internal.h"
#include "daemon/core/old-job.h"
#include "daemon/core/revoke.h"
#include "daemon/core/wait.h"

int lease_register(Broker *broker, Tenant *tenant, Holder *holder, Lease *lease)
{
        HASH_ADD_STR(broker->leases, id, lease);
        if (!lease->hh.tbl)
                return -ENOMEM;

        lease->broker = broker;
        lease->tenant = tenant;
        lease->holder = holder;
        DL_APPEND(tenant->leases, lease);
        tenant->n_leases++;
        tenant->devices_leased += (unsigned)lease->n_devices;
        tenant->memlock_committed += lease->memlock;
        broker->memlock_committed += lease->memlock;
        broker->n_leases++;
        for (size_t i = 0; i < lease->n_devices; i++)
                lease->devices[i]->lease = lease;
        return 0;
}

bool tenant_is_busy(const Tenant *tenant)
{
        const Lease *lease;
        unsigned n = 0;

        DL_FOREACH(tenant->leases, lease)
                n += lease->job || old_job_has(lease);
        return n >= TENANT_JOBS_MAX;
}

void lease_settle_device(Lease *lease, size_t i)
{
        Device *device = lease->devices[i];

        if (lease->settled[i])
                return;
        lease->settled[i] = true;
        lease->record_stale = true;
        lease->devices[i] = NULL;
        device->asked_back = device->leaving = device->unseen = false;
        lease->tenant->devices_leased--;
        device->lease = NULL;
        device->held = false;
        broker_wake_waiters(lease->broker);
}

Lease *lease_free(Lease *lease)
{
        Broker *broker = lease->broker;
        Host *host = broker->host;
        Tenant *tenant = lease->tenant;

        for (size_t i = 0; i < lease->n_devices; i++)
                lease_settle_device(lease, i);
        if (lease->job)
                host->ops->job_disown(host, lease->job);
        lease_revoke_stop(lease);
        host->ops->process_unwatch(host, lease->watch);
        host->ops->timer_stop(host, lease->retry);
        broker->n_stranded -= lease->stranded > 0;

        NOTIFY(broker, lease_removed, lease);
        HASH_DEL(broker->leases, lease);
        DL_DELETE(tenant->leases, lease);
        tenant->n_leases--;
        tenant->memlock_committed -= lease->memlock;
        broker->memlock_committed -= lease->memlock;
        broker->n_leases--;
        NOTIFY(broker, tenant_changed, tenant);
        broker_tenant_gc(broker, tenant);

        free(lease->reissue);
        free(lease->pending);
        container_unref(broker, lease->container);
        holder_unref(broker, lease->holder);
        policy_unref(lease->policy);
        free(lease);
        return NULL;
}

void lease_fail(Lease *lease, int error, const Refusal *refusal)
{
        AcquireOutcome outcome = { .error = error, .refusal = refusal };
        AcquireDone done = lease->done;

        lease->done = NULL;
        if (done)
                (void)done(lease->done_userdata, NULL, &outcome);
}

int lease_put_record(Lease *lease)
{
        Broker *broker = lease->broker;
        int r;

        if (!broker->store)
                return 0;
        r = broker->store->lease_put(broker->store_userdata, lease);
        lease->record_stale = r < 0;
        if (r < 0 && !lease->record_told)
                broker_event(broker, EVENT_TROUBLE, lease, NULL, "",
                             "The record of lease %s cannot be written: %s", lease->id, strerror(-r));
        lease->record_told = r < 0;
        return r;
}

int lease_put_stale_records(Broker *broker)
{
        int r = 0;

        for (Lease *lease = broker->leases; lease && r >= 0; lease = lease->hh.next)
                if (lease->record_stale)
                        r = lease_put_record(lease);
        return r;
}
