/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A lease that grows and shrinks while it is active. What is added is opened as a lease of its own, so that the checks,
 * the undo and the records are those of any other, and becomes part of the first when it is open. What is removed leaves
 * as a lease of its own, that is reclaimed like any other, while the first goes on. Where a crash leaves a device in two
 * records, restore.c takes the one that asks for more care. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/revoke.h"

static void put_device(Lease *lease, Device *device, bool took)
{
        lease->devices[lease->n_devices] = device;
        lease->settled[lease->n_devices] = false;
        lease->took[lease->n_devices++] = took;
        device->lease = lease;
}

static bool took_device(const Lease *lease, const Device *device)
{
        for (size_t i = 0; i < lease->n_devices; i++)
                if (lease->devices[i] == device)
                        return lease->took[i];
        return false;
}

/* Closes the gaps that devices left which belong to another lease now. None is settled in an active lease. */
static void keep_own_devices(Lease *lease)
{
        size_t kept = 0;

        for (size_t i = 0; i < lease->n_devices; i++) {
                if (lease->devices[i]->lease != lease)
                        continue;
                lease->devices[kept] = lease->devices[i];
                lease->took[kept++] = lease->took[i];
        }
        lease->n_devices = kept;
}

int lease_merge(Lease *lease)
{
        Broker *broker = lease->broker;
        Lease *target = lease->target;
        size_t first = target->n_devices;
        int r;

        if (first + lease->n_devices > JOB_DEVICES_MAX)
                return -E2BIG;
        for (size_t i = 0; i < lease->n_devices; i++)
                put_device(target, lease->devices[i], false);
        r = lease_put_record(target);
        if (r < 0) {
                target->n_devices = first;
                for (size_t i = 0; i < lease->n_devices; i++)
                        lease->devices[i]->lease = lease;
                return r;
        }
        /* The tenant's sum of devices stays as it is. */
        lease->n_devices = 0;
        if (broker->store)
                broker->store->lease_drop(broker->store_userdata, lease->id);
        for (size_t i = first; i < target->n_devices; i++) {
                (void)device_set_state(target->devices[i], DEVICE_LEASED, "%s", "");
                broker_device_notify(target->devices[i], broker);
        }
        lease_free(lease);
        lease_check_standing(target);
        NOTIFY(broker, lease_changed, target);
        container_notify(broker, target->container);
        return 0;
}

void lease_end_additions(Lease *lease, EndReason reason)
{
        Lease *other, *next;

        for (other = lease->tenant->leases; other; other = next) {
                next = other->next;
                if (other->target == lease && other->state == LEASE_OPENING) {
                        broker_lease_end(lease->broker, other, reason);
                        next = lease->tenant->leases; /* it may be gone, and others with it */
                }
        }
}

int broker_lease_add(Broker *broker, const AcquireRequest *request, AcquireDone done, void *userdata,
                     Refusal *refusal)
{
        Lease *lease = request->target, *added;

        if (lease->state != LEASE_ACTIVE)
                return refuse(refusal, RESULT_NO_SUCH_LEASE, "Lease %s is %s, not active.", lease->id,
                              lease_state_to_string(lease->state));
        if (lease->n_devices + request->n_devices > JOB_DEVICES_MAX)
                return refuse(
                        refusal, RESULT_LIMITS_EXCEEDED,
                        "A lease has at most %d devices. Put the others into a lease of their own, with "
                        "the same container.",
                        JOB_DEVICES_MAX);
        return broker_acquire(broker, request, done, userdata, refusal, &added);
}

/* The devices go from `lease` to a new one in RECLAIMING, whose record is on disk. -errno with nothing changed. */
static int split(Lease *lease, Device *const *devices, size_t n, EndReason reason, Lease **ret)
{
        Broker *broker = lease->broker;
        Lease *part = calloc(1, sizeof(*part));
        int r;

        if (!part)
                return -ENOMEM;
        lease_make_id(broker, part->id);
        part->state = LEASE_RECLAIMING;
        part->end_reason = reason;
        part->lifetime = lease->lifetime;
        part->backend = lease->backend;
        memcpy(part->label, lease->label, sizeof(part->label));
        memcpy(part->unit, lease->unit, sizeof(part->unit));
        part->pid = lease->pid;
        part->uid = lease->uid;
        part->since = lease->since;
        part->reset = lease->reset;
        part->restore_driver = lease->restore_driver;
        r = lease_register(broker, lease->tenant, NULL, part);
        if (r < 0) {
                free(part);
                return r;
        }
        part->policy = policy_ref(lease->policy);
        part->container = lease->container;
        part->container->n_leases++;
        for (size_t i = 0; i < n; i++)
                put_device(part, devices[i], took_device(lease, devices[i]));
        NOTIFY(broker, lease_added, part);
        r = lease_put_record(part);
        if (r < 0) {
                for (size_t i = 0; i < n; i++)
                        devices[i]->lease = lease;
                part->n_devices = 0;
                lease_free(part);
                return r;
        }
        keep_own_devices(lease);
        /* Where it fails, the part's record counts as long as there is one, and it is written before anybody is granted
         * what has left. */
        (void)lease_put_record(lease);
        *ret = part;
        return 0;
}

static void tell_of_split(Lease *lease, Device *const *devices, size_t n, const char *why)
{
        Broker *broker = lease->broker;

        for (size_t i = 0; i < n; i++) {
                if (devices[i]->state != DEVICE_GONE)
                        (void)device_set_state(devices[i], DEVICE_RECLAIMING, "%s", why);
                broker_device_notify(devices[i], broker);
        }
        lease_check_standing(lease);
        if (lease_revoke_check(lease))
                (void)lease_put_record(lease);
        NOTIFY(broker, lease_changed, lease);
        container_notify(broker, lease->container);
}

void lease_lose(Lease *lease, Device *device)
{
        Broker *broker = lease->broker;
        Lease *part;

        if (!lease_is_held(lease) || lease->n_devices < 2 ||
            split(lease, &device, 1, END_DEVICE_REMOVED, &part) < 0) {
                broker_lease_end(broker, lease, END_DEVICE_REMOVED);
                return;
        }
        tell_of_split(lease, &device, 1, "its driver was taken from it while it was leased");
        broker_event(broker, EVENT_ENDED, part, device, end_reason_to_string(part->end_reason),
                     "Lease %s of tenant %s, process %d, has lost device %s, which is reclaimed as lease "
                     "%s, and goes "
                     "on with what it has besides",
                     lease->id, lease->tenant->name, (int)lease->pid, device->info.id, part->id);
        lease_reclaim(part);
}

static int find_own_devices(const Lease *lease, const char *const *ids, size_t n, Device **ret,
                            Refusal *refusal)
{
        if (n == 0) {
                (void)refuse(refusal, RESULT_INVALID_ARGS,
                             "The list of devices is empty: name at least one.");
                return RESULT_INVALID_ARGS;
        }
        for (size_t i = 0; i < n; i++) {
                Device *device = broker_device(lease->broker, ids[i]);

                if (!device || !lease_has_device(lease, device)) {
                        (void)refuse(refusal, RESULT_NO_SUCH_DEVICE, "Lease %s has no device %s.", lease->id,
                                     ids[i]);
                        return RESULT_NO_SUCH_DEVICE;
                }
                for (size_t k = 0; k < i; k++)
                        if (ret[k] == device) {
                                (void)refuse(refusal, RESULT_INVALID_ARGS,
                                             "Device %s is named twice in one call.", ids[i]);
                                return RESULT_INVALID_ARGS;
                        }
                ret[i] = device;
        }
        return 0;
}

int broker_lease_remove(Broker *broker, Lease *lease, const char *const *ids, size_t n, Refusal *refusal)
{
        Device *devices[JOB_DEVICES_MAX] = {};
        Lease *part;
        int r;

        if (!lease_is_held(lease))
                return refuse(refusal, RESULT_NO_SUCH_LEASE, "Lease %s is %s, not active.", lease->id,
                              lease_state_to_string(lease->state));
        if (n > lease->n_devices)
                return refuse(refusal, RESULT_INVALID_ARGS, "Lease %s has %zu devices, not %zu.", lease->id,
                              lease->n_devices, n);
        r = find_own_devices(lease, ids, n, devices, refusal);
        if (r != 0)
                return r;
        if (n == lease->n_devices)
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "Lease %s would have no device left: Release ends it.", lease->id);

        for (size_t i = 0; i < n; i++)
                if (lease_reissues(lease, devices[i]))
                        return refuse(
                                refusal, RESULT_RATE_LIMITED,
                                "File descriptors of device %s are being opened for the lease; ask again.",
                                devices[i]->info.id);

        r = split(lease, devices, n, END_RELEASED, &part);
        if (r < 0)
                return r;
        tell_of_split(lease, devices, n, "taken out of its lease");
        broker_event(broker, EVENT_ENDED, part, devices[0], end_reason_to_string(part->end_reason),
                     "Lease %s of tenant %s, process %d: %zu device(s) from %s taken out, and reclaimed as "
                     "lease %s",
                     lease->id, lease->tenant->name, (int)lease->pid, n, devices[0]->info.id, part->id);
        lease_reclaim(part);
        return 0;
}
