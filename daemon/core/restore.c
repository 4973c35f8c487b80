/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* After a restart: leases and devices as the store has them, held against what is true now. A lease whose very process
 * (pid and start time) still lives goes on; every other one is reclaimed, whatever its state was. Records of an earlier
 * boot never get here. Called after the inventory is complete and before the bus is. Event loop only. */

#include "daemon/core/broker-internal.h"

int broker_restore_device(Broker *broker, const DeviceRecord *record)
{
        Device *device = broker_device(broker, record->id);

        if (!device)
                return -ENODEV;
        if (record->prior_known && device->info.driver_is_vfio) {
                device->prior_known = true;
                memcpy(device->prior_driver, record->prior_driver, sizeof(device->prior_driver));
        }
        if (record->quarantined && !device->lease)
                (void)device_set_state(device, DEVICE_QUARANTINED, "%s", record->reason);
        return 0;
}

static void on_process_end(void *userdata)
{
        Lease *lease = userdata;

        broker_lease_end(lease->broker, lease, END_PROCESS_EXITED);
}

/* The pidfd of the process that the record means, or -ESRCH. */
static int find_process(Host *host, const LeaseRecord *record, int *ret_pidfd, ProcessFacts *ret_facts)
{
        _cleanup_close_ int pidfd = -EBADF;
        int r;

        r = host->ops->process_open(host, record->pid, &pidfd);
        if (r < 0)
                return r;
        r = host->ops->process_facts(host, record->pid, pidfd, ret_facts);
        if (r < 0)
                return r;
        if (ret_facts->start_time != record->start_time || ret_facts->zombie)
                return -ESRCH;
        *ret_pidfd = TAKE_FD(pidfd);
        return 0;
}

int broker_restore_lease(Broker *broker, const LeaseRecord *record)
{
        Host *host = broker->host;
        _cleanup_close_ int pidfd = -EBADF;
        ProcessFacts facts = {};
        Holder *holder = NULL;
        Tenant *tenant;
        Lease *lease;
        bool alive;
        int r;

        if (broker_lease(broker, record->id))
                return -EEXIST;
        r = broker_tenant_get(broker, record->tenant, &tenant);
        if (r < 0)
                return r;
        lease = calloc(1, sizeof(*lease));
        if (!lease)
                return -ENOMEM;

        memcpy(lease->id, record->id, sizeof(lease->id));
        memcpy(lease->label, record->label, sizeof(lease->label));
        memcpy(lease->unit, record->unit, sizeof(lease->unit));
        lease->state = record->state;
        lease->lifetime = record->lifetime;
        lease->backend = record->backend;
        lease->pid = record->pid;
        lease->uid = record->uid;
        lease->memlock = record->memlock;
        lease->slack = record->slack;
        lease->since = record->since;
        lease->reset = record->reset;
        lease->restore_driver = record->restore_driver;
        for (size_t i = 0; i < record->n_devices; i++) {
                Device *device = broker_device(broker, record->devices[i].id);

                if (!device || device->lease)
                        continue; /* it went while nobody looked */
                lease->devices[lease->n_devices++] = device;
                device->prior_known = record->devices[i].prior_known;
                memcpy(device->prior_driver, record->devices[i].prior_driver, sizeof(device->prior_driver));
        }

        alive = find_process(host, record, &pidfd, &facts) >= 0;
        if (alive) {
                r = holder_get(broker, record->pid, pidfd, &facts, &holder);
                if (r < 0) {
                        free(lease);
                        return r;
                }
                if (record->base_known && !holder->base_known) {
                        holder->base = record->base;
                        holder->base_known = true;
                }
        }
        r = lease_register(broker, tenant, holder, lease);
        if (r < 0) {
                holder_unref(broker, holder);
                free(lease);
                return r;
        }
        lease->policy = policy_ref(broker->policy);
        lease->memlock_raised = alive && record->base_known;
        NOTIFY(broker, lease_added, lease);
        broker_event(broker, EVENT_RECOVERED, lease, NULL, lease_state_to_string(record->state),
                     "Lease %s of tenant %s, process %d, taken over (%s, %s)", lease->id, tenant->name,
                     (int)lease->pid, lease_state_to_string(record->state),
                     alive ? "the process lives" : "the process has ended");

        if (alive && record->state == LEASE_ACTIVE && lease->n_devices == record->n_devices) {
                if (lease->memlock_raised)
                        (void)holder_commit(lease); /* sums the leases of the process anew */
                for (size_t i = 0; i < lease->n_devices; i++)
                        (void)device_set_state(lease->devices[i], DEVICE_LEASED, "%s", "");
                r = lease->lifetime == LIFETIME_EXPLICIT
                            ? 0
                            : host->ops->process_watch(host, holder->pidfd, on_process_end, lease,
                                                       &lease->watch);
                if (r >= 0)
                        return 0;
        }

        /* What was still opening, reclaiming, or has lost its process or a device. */
        lease->state = LEASE_ACTIVE;
        broker_lease_end(broker, lease,
                         record->state == LEASE_OPENING            ? END_FAILED
                         : lease->n_devices < record->n_devices    ? END_DEVICE_REMOVED
                         : record->state == LEASE_ACTIVE && !alive ? END_PROCESS_EXITED
                                                                   : END_RELEASED);
        return 0;
}
