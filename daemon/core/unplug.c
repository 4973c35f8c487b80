/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How it is known that somebody takes a device away: a driver lets go of it while a lease holds it. The broker's own workers
 * never do that to a device of such a lease, only before it is granted and after it has ended, so it is somebody else.
 * What is asked is always the present state of the machine, never what an event said: one that comes late says nothing.
 *
 * When to ask. Since Linux 6.6 the kernel tells that the VFIO device is no more before it waits for its users; before, it
 * tells when they are gone. What shows there meanwhile is that the device has no driver any more, of which no event tells,
 * so it is looked at once a second while somebody holds such a device. At the grant and after a restart it is looked at
 * too, for what was told before. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/revoke.h"
#include "daemon/core/unplug.h"

#define REASON "device-removed"

static bool is_held(const Device *device)
{
        return device->lease && lease_is_held(device->lease) && device->state != DEVICE_GONE;
}

/* Whoever has a cdev has the kernel that tells in time. */
static bool is_told_late(const Device *device)
{
        return !device->info.iommufd;
}

/* Not later than by what the holder was asked for before. */
static uint64_t grace(const Lease *lease)
{
        Broker *broker = lease->broker;
        uint64_t usec = broker->policy->broker.revoke_grace_usec;
        uint64_t now = broker->host->ops->monotonic(broker->host);

        if (lease->revoke_timer && lease->revoke_until < now + usec)
                usec = lease->revoke_until > now ? lease->revoke_until - now : 0;
        return usec;
}

static void ask(Device *device)
{
        Lease *lease = device->lease;
        Broker *broker = lease->broker;
        Refusal refusal;
        int r;

        device->leaving = true;
        (void)device_set_state(
                device, DEVICE_LEASED,
                "it is being removed, or its driver taken from it: the kernel waits for process %d",
                (int)lease->pid);
        broker_event(broker, EVENT_REVOKED, lease, device, REASON,
                     "Device %s is being removed, or its driver taken from it, and the kernel waits for "
                     "process %d, "
                     "which has it by lease %s of tenant %s",
                     device->info.id, (int)lease->pid, lease->id, lease->tenant->name);
        broker_device_notify(device, broker);
        /* What it was asked for already it is not to keep for longer. */
        if (device->asked_back && (lease->revoke_timer || lease->unit_kill))
                return;
        r = broker_lease_revoke(broker, lease, device, grace(lease), REASON, &refusal);
        if (r < 0)
                broker_event(broker, EVENT_TROUBLE, lease, device, "",
                             "The holder of device %s cannot be asked for it: %s; vfiobrokerctl revoke asks "
                             "again",
                             device->info.id, strerror(-r));
}

static bool is_to_be_watched(const Lease *lease)
{
        for (size_t i = 0; i < lease->n_devices && lease_is_held(lease); i++)
                if ((is_told_late(lease->devices[i]) || lease->devices[i]->unseen) &&
                    !lease->devices[i]->leaving)
                        return true;
        return false;
}

static void on_look(void *userdata)
{
        Broker *broker = userdata;

        broker->unplug_timer = NULL;
        /* Which ends none: a lease that is held is asked, and has time. */
        for (Lease *lease = broker->leases; lease; lease = lease->hh.next)
                unplug_watch(lease);
}

/* Where there is no timer the next lease brings one. */
static void look_later(Broker *broker)
{
        Host *host = broker->host;

        if (!broker->unplug_timer)
                (void)host->ops->timer_start(host, UNPLUG_LOOK_USEC, on_look, broker, &broker->unplug_timer);
}

void unplug_check(Device *device)
{
        Host *host;
        int r;

        if (!is_held(device))
                return;
        host = device->lease->broker->host;
        if (device->info.driver[0] && !device->info.driver_is_vfio) {
                lease_lose(device->lease,
                           device); /* another driver has it, so the kernel waits for nobody */
                return;
        }
        if (device->leaving)
                return;
        r = host->ops->device_bound(host, &device->info);
        /* It was told of once, and will not be again. */
        device->unseen = r < 0 && r != -ENODEV;
        if (device->unseen)
                look_later(device->lease->broker);
        else if (r == 0)
                ask(device);
}

void broker_device_released(Broker *broker, const char *path, bool done)
{
        Device *device;

        for (device = broker->devices; device; device = device->hh.next)
                if (device->info.path && streq(device->info.path, path))
                        break;
        if (!device || !is_held(device))
                return;
        /* The end of what is not known to have begun is that of a worker of ours, told late. */
        if (done && device->leaving)
                lease_lose(device->lease, device);
        else
                unplug_check(device);
}

void unplug_watch(Lease *lease)
{
        /* From the end: one that is lost leaves the lease, and those after it move up. */
        for (size_t i = lease->n_devices; i-- > 0 && lease_is_held(lease);)
                unplug_check(lease->devices[i]);
        if (is_to_be_watched(lease))
                look_later(lease->broker);
}

void unplug_unwatch(Broker *broker)
{
        if (!broker->unplug_timer)
                return;
        for (Lease *lease = broker->leases; lease; lease = lease->hh.next)
                if (is_to_be_watched(lease))
                        return;
        broker->host->ops->timer_stop(broker->host, broker->unplug_timer);
        broker->unplug_timer = NULL;
}
