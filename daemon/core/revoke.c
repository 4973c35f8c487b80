/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is asked back is a mark on the device (Device.asked_back), so that it goes wherever the device goes: to the lease
 * that `Remove` splits off, or to none. The deadline is the lease's. */

#include <inttypes.h>

#include "daemon/core/broker-internal.h"
#include "daemon/core/revoke.h"

static bool is_asked_for(const Lease *lease)
{
        for (size_t i = 0; i < lease->n_devices; i++)
                if (!lease->settled[i] && lease->devices[i]->asked_back)
                        return true;
        return false;
}

static void mark(Lease *lease, const Device *only, bool asked_back)
{
        for (size_t i = 0; i < lease->n_devices; i++)
                if (!lease->settled[i] && (!only || lease->devices[i] == only))
                        lease->devices[i]->asked_back = asked_back;
}

/* The tenant's rule of today; of a tenant that is no more, the one that its lease was granted under. */
static PolicyRevoke rule_of(const Lease *lease)
{
        const char *name = lease->tenant->name;
        const PolicyTenant *tenant = policy_tenant_by_name(lease->broker->policy, name);

        if (!tenant)
                tenant = policy_tenant_by_name(lease->policy, name);
        return tenant ? tenant->revoke : POLICY_REVOKE_KILL;
}

/* Its end is final whatever the kill says: the reclaim waits for the last file, and tells where one stays open. */
static void end_by_force(Lease *lease)
{
        Broker *broker = lease->broker;
        const Host *host = broker->host;
        const Holder *holder = lease->holder;
        int r = holder ? host->ops->process_kill(broker->host, holder->pidfd) : 0;

        if (r < 0 && r != -ESRCH)
                broker_event(broker, EVENT_TROUBLE, lease, NULL, "", "Process %d cannot be killed: %s",
                             (int)lease->pid, strerror(-r));
        broker_lease_end(broker, lease, lease->revoke_end);
}

static void on_unit_killed(void *userdata, int error, const char *unit)
{
        Lease *lease = userdata;
        Broker *broker = lease->broker;

        lease->unit_kill = NULL;
        if (error != 0)
                broker_event(broker, EVENT_TROUBLE, lease, NULL, "",
                             "Unit %s cannot be killed (%s): its process %d alone is", unit, strerror(error),
                             (int)lease->pid);
        end_by_force(lease); /* may free it */
        broker_retry_stranded(broker);
}

static void on_deadline(void *userdata)
{
        Lease *lease = userdata;
        Broker *broker = lease->broker;
        Host *host = broker->host;
        PolicyRevoke rule = rule_of(lease);
        int r = -ENXIO;

        lease->revoke_timer = NULL;
        if (rule == POLICY_REVOKE_NEVER) {
                broker_event(broker, EVENT_REVOKED, lease, NULL, "kept",
                             "Lease %s of tenant %s, process %d, was not given back in time, and revoke = "
                             "never leaves it",
                             lease->id, lease->tenant->name, (int)lease->pid);
                return;
        }
        broker_event(broker, EVENT_REVOKED, lease, NULL, policy_revoke_to_string(rule),
                     "Lease %s of tenant %s, process %d, was not given back in time: revoke = %s", lease->id,
                     lease->tenant->name, (int)lease->pid, policy_revoke_to_string(rule));
        if (rule == POLICY_REVOKE_KILL_UNIT && lease->holder) {
                r = host->ops->unit_kill(host, lease->pid, lease->holder->pidfd, on_unit_killed, lease,
                                         &lease->unit_kill);
                if (r < 0 && r != -ESRCH)
                        broker_event(broker, EVENT_TROUBLE, lease, NULL, "",
                                     "Process %d is in no unit that can be killed (%s): it alone is",
                                     (int)lease->pid, strerror(-r));
        }
        if (r < 0)
                end_by_force(lease);
        broker_retry_stranded(broker);
}

static int start_timer(Lease *lease, uint64_t until)
{
        Broker *broker = lease->broker;
        Host *host = broker->host;
        uint64_t now = host->ops->monotonic(host);
        HostTimer *timer;
        int r;

        r = host->ops->timer_start(host, until > now ? until - now : 0, on_deadline, lease, &timer);
        if (r < 0)
                return r;
        host->ops->timer_stop(host, lease->revoke_timer);
        lease->revoke_timer = timer;
        lease->revoke_until = until;
        return 0;
}

static void tell(Lease *lease)
{
        Broker *broker = lease->broker;

        NOTIFY(broker, lease_changed, lease);
        NOTIFY(broker, lease_revoked, lease);
}

int broker_lease_revoke(Broker *broker, Lease *lease, Device *device, uint64_t grace_usec,
                        const char *reason, Refusal *refusal)
{
        EndReason end = device ? END_DEVICE_REMOVED : END_REVOKED;
        int r;

        if (lease->state == LEASE_RECLAIMING)
                return refuse(refusal, RESULT_NO_SUCH_LEASE, "Lease %s has ended already.", lease->id);
        if (grace_usec == REVOKE_GRACE_DEFAULT)
                grace_usec = broker->policy->broker.revoke_grace_usec;
        if (grace_usec > REVOKE_GRACE_MAX)
                return refuse(refusal, RESULT_INVALID_ARGS, "The grace is longer than a day.");
        if (lease->state == LEASE_OPENING) {
                broker_lease_end(broker, lease, end);
                return 0;
        }

        if (!lease->unit_kill) {
                r = start_timer(lease, broker->host->ops->monotonic(broker->host) + grace_usec);
                if (r < 0)
                        return r;
        }
        /* What was asked for before stays asked for, whether this device goes or not. */
        if (end == END_REVOKED || lease->state != LEASE_REVOKING)
                lease->revoke_end = end;
        lease->state = LEASE_REVOKING;
        (void)snprintf(lease->revoke_reason, sizeof(lease->revoke_reason), "%s", reason);
        mark(lease, device, true);
        (void)lease_put_record(lease);
        broker_event(broker, EVENT_REVOKED, lease, device, "asked",
                     "Lease %s of tenant %s, process %d, is asked for %s: %s (%" PRIu64 " ms)", lease->id,
                     lease->tenant->name, (int)lease->pid, device ? device->info.id : "all that it has",
                     reason, grace_usec / 1000);
        tell(lease);
        /* What would come in now nobody asks back. */
        if (!device)
                lease_end_additions(lease, END_REVOKED);
        return 0;
}

bool lease_revoke_check(Lease *lease)
{
        if (lease->state != LEASE_REVOKING || is_asked_for(lease))
                return false;
        lease_revoke_stop(lease);
        lease->state = LEASE_ACTIVE;
        return true;
}

void lease_revoke_stop(Lease *lease)
{
        Host *host = lease->broker->host;

        host->ops->timer_stop(host, lease->revoke_timer);
        lease->revoke_timer = NULL;
        if (lease->unit_kill)
                host->ops->unit_kill_disown(host, lease->unit_kill);
        lease->unit_kill = NULL;
        lease->revoke_until = 0;
        lease->revoke_reason[0] = 0;
        mark(lease, NULL, false);
}

int lease_revoke_restore(Lease *lease, const LeaseRecord *record)
{
        int r;

        for (size_t i = 0; i < record->n_devices; i++) {
                Device *device = broker_device(lease->broker, record->devices[i].id);

                if (device && device->lease == lease)
                        device->asked_back = record->devices[i].asked_back;
        }
        if (!is_asked_for(lease))
                return 0; /* what was asked for went */
        r = start_timer(lease, record->revoke_until);
        if (r < 0)
                return r;
        lease->state = LEASE_REVOKING;
        lease->revoke_end = record->revoke_removed ? END_DEVICE_REMOVED : END_REVOKED;
        memcpy(lease->revoke_reason, record->revoke_reason, sizeof(lease->revoke_reason));
        tell(lease);
        return 0;
}
