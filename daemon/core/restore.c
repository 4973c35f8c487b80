/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* After a restart: leases and devices as the store has them, held against what is true now. A lease whose very process
 * (pid and start time) still lives goes on, and so does an explicit one; every other is reclaimed, whatever its state
 * was. Whether the connection of a lease of lifetime `connection` is still there, the bus layer finds out afterwards
 * (bus_find_owners()). Records of an earlier boot never get here. Called after the inventory is complete, before anybody can ask.
 *
 * A device may stand in two records, where a crash came while it was added to a lease or taken out of one: the caller gives
 * the leases that reclaim first, then those that are active, then those that were opening, and the first one has it. Event
 * loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/keep.h"
#include "daemon/core/revoke.h"
#include "daemon/core/linger.h"
#include "daemon/core/unplug.h"

int broker_restore_device(Broker *broker, const DeviceRecord *record)
{
        Device *device = broker_device(broker, record->id);

        if (!device)
                return -ENODEV;
        if (record->prior_known && device->info.driver_is_vfio) {
                device->prior_known = true;
                memcpy(device->prior_driver, record->prior_driver, sizeof(device->prior_driver));
                memcpy(device->prior_override, record->prior_override, sizeof(device->prior_override));
        }
        device->made = record->made;
        memcpy(device->only_for, record->only_for, sizeof(device->only_for));
        if (!device->lease)
                linger_restore(broker, device, record->kept_for, record->kept_until);
        if (record->quarantined && !device->lease)
                (void)device_set_state(device, DEVICE_QUARANTINED, "%s", record->reason);
        return 0;
}

/* The Lease of a record, not yet in any table, with those of its devices that are still there. */
static Lease *lease_of_record(Broker *broker, const LeaseRecord *record, bool *ret_lost, bool *ret_nonsense)
{
        Lease *lease = calloc(1, sizeof(*lease));

        if (!lease)
                return NULL;
        memcpy(lease->id, record->id, sizeof(lease->id));
        memcpy(lease->label, record->label, sizeof(lease->label));
        memcpy(lease->owner_name, record->owner_name, sizeof(lease->owner_name));
        memcpy(lease->unit, record->unit, sizeof(lease->unit));
        lease->state = record->state;
        lease->lifetime = record->lifetime;
        lease->backend = record->backend;
        lease->pid = record->pid;
        lease->uid = record->uid;
        lease->caller = record->caller;
        lease->on_behalf = record->on_behalf;
        lease->ipc_lock = record->ipc_lock;
        lease->memlock = record->memlock;
        lease->slack = record->slack;
        lease->since = record->since;
        lease->reset = record->reset;
        lease->restore_driver = record->restore_driver;
        for (size_t i = 0; i < record->n_devices; i++) {
                Device *device = broker_device(broker, record->devices[i].id);

                if (!device)
                        *ret_lost = true; /* it went while nobody looked */
                else if (lease_has_device(lease, device))
                        *ret_nonsense = true;
                else if (!device->lease) {
                        lease->took[lease->n_devices] = record->devices[i].took;
                        lease->devices[lease->n_devices++] = device;
                }
        }
        return lease;
}

/* The process lives, or the lease does not depend on it. */
static int carry_on(Lease *lease, const LeaseRecord *record)
{
        Holder *holder = lease->holder;
        int r;

        lease->state = LEASE_ACTIVE;
        r = lease_watch(lease);
        if (r < 0)
                return r;
        if (holder) {
                keep_holder(lease->broker, holder, lease->id);
                if (!streq(holder->kept_as, record->process_kept_as))
                        (void)lease_put_record(lease); /* it was of a daemon that kept nothing */
        }
        if (lease->memlock_raised) {
                r = holder_commit(lease); /* sums the leases of the process anew */
                if (r < 0 && r != -ESRCH)
                        broker_event(lease->broker, EVENT_TROUBLE, lease, NULL, "",
                                     "RLIMIT_MEMLOCK of process %d cannot be set: %s", (int)lease->pid,
                                     strerror(-r));
        }
        for (size_t i = 0; i < lease->n_devices; i++) {
                (void)device_set_state(lease->devices[i], DEVICE_LEASED, "%s", "");
                broker_device_notify(lease->devices[i], lease->broker);
        }
        return 0;
}

static bool was_held(const LeaseRecord *record)
{
        return record->state == LEASE_ACTIVE || record->state == LEASE_REVOKING;
}

static EndReason end_reason(const LeaseRecord *record, bool lost, bool alive)
{
        if (record->state == LEASE_OPENING)
                return END_FAILED;
        if (record->state == LEASE_RECLAIMING)
                return record->end_reason;
        if (lost)
                return END_DEVICE_REMOVED;
        return alive ? END_RELEASED : END_PROCESS_EXITED;
}

/* The daemon ends as it starts. What is kept of a lease is for the next start. */
static void give_up(Broker *broker, Lease *lease, Container *container, Holder *holder)
{
        const BrokerStore *store = broker->store;

        broker->store = NULL;
        if (lease && lease->broker)
                lease_free(lease);
        else {
                container_unref(broker, container);
                holder_unref(broker, holder);
                free(lease);
        }
        broker->store = store;
}

int broker_restore_lease(Broker *broker, const LeaseRecord *record)
{
        _cleanup_close_ int pidfd = -EBADF;
        ProcessFacts facts = {};
        Container *container = NULL;
        Holder *holder = NULL;
        Tenant *tenant;
        Lease *lease;
        bool alive, kept = false, lost = false, nonsense = false;
        int r;

        if (broker_lease(broker, record->id))
                return -EEXIST;
        r = keep_take_process(broker, record, &pidfd, &facts, &kept);
        if (r < 0 && r != -ESRCH)
                return r; /* to take a living one for dead would end its lease */
        alive = r >= 0;

        r = broker_tenant_get(broker, record->tenant, &tenant);
        if (r < 0)
                return r;
        lease = lease_of_record(broker, record, &lost, &nonsense);
        r = lease ? 0 : -ENOMEM;
        if (r >= 0 && alive)
                r = holder_get(broker, record->pid, pidfd, &facts, &holder);
        if (holder && !holder->kept_as[0]) {
                memcpy(holder->kept_as, record->process_kept_as, sizeof(holder->kept_as));
                holder->kept = kept;
        }
        if (r >= 0)
                r = container_restore(broker, tenant->name, record->container, record->container_named,
                                      record->backend, record->container_kept_as, &container);
        if (r >= 0)
                r = keep_take_container(broker, container, lease, was_held(record));
        if (r >= 0)
                r = lease_register(broker, tenant, holder, lease);
        if (r < 0) {
                give_up(broker, lease, container, holder);
                broker_tenant_gc(broker, tenant);
                return r;
        }
        lease->container = container;
        lease->policy = policy_ref(broker->policy);
        for (size_t i = 0; i < record->n_devices; i++) {
                Device *device = broker_device(broker, record->devices[i].id);

                if (!device || device->lease != lease)
                        continue;
                linger_stop(broker, device);
                device->admin_job = false; /* it is the lease that an old worker is waited for with now */
                device->proven = false;
                device->clean = false;
                device->made |= record->devices[i].made;
                device->prior_known = record->devices[i].prior_known;
                memcpy(device->prior_driver, record->devices[i].prior_driver, sizeof(device->prior_driver));
                memcpy(device->prior_override, record->devices[i].prior_override,
                       sizeof(device->prior_override));
        }
        if (holder && record->base_known) {
                if (!holder->base_known)
                        holder->base = record->base;
                holder->base_known = true;
                lease->memlock_raised = true;
        }
        NOTIFY(broker, lease_added, lease);
        broker_event(broker, EVENT_RECOVERED, lease, NULL, lease_state_to_string(record->state),
                     "Lease %s of tenant %s, process %d, taken over (%s, %s)", lease->id, tenant->name,
                     (int)lease->pid, lease_state_to_string(record->state),
                     alive ? "the process lives" : "the process has ended");

        if ((alive || record->lifetime == LIFETIME_EXPLICIT) && was_held(record) && !nonsense &&
            lease->n_devices > 0) {
                if (lost)
                        broker_event(broker, EVENT_ENDED, lease, NULL,
                                     end_reason_to_string(END_DEVICE_REMOVED),
                                     "Lease %s of tenant %s, process %d, has lost devices that are no more, "
                                     "and goes on "
                                     "with what it has besides",
                                     lease->id, tenant->name, (int)lease->pid);
                r = carry_on(lease, record);
                if (r >= 0 && record->state == LEASE_REVOKING)
                        r = lease_revoke_restore(lease, record);
                /* What is gone, or another record has, may soon be another lease's. */
                if (r >= 0 && lease->n_devices < record->n_devices)
                        (void)lease_put_record(lease);
                if (r < 0) {
                        give_up(broker, lease, NULL, NULL);
                        return r;
                }
                lease_check_standing(lease);
                return 0;
        }

        /* What was still opening, reclaiming, or has lost its process or a device. */
        lease->state = LEASE_ACTIVE;
        broker_lease_end(broker, lease, end_reason(record, lost || nonsense, alive));
        return 0;
}

void broker_restore_begin(Broker *broker)
{
        broker->restoring = true;
}

void broker_restore_end(Broker *broker)
{
        broker->restoring = false;
        /* What began while nobody looked. */
        for (Lease *lease = broker->leases; lease; lease = lease->hh.next)
                unplug_watch(lease);
        broker_reclaim_idle(broker);
}
