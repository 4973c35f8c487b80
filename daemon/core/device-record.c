/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a restart has to know of a device that no lease has: a quarantine, the driver before, the tenant that it is to stay with
 * or is reserved for. As long as that cannot be written a lease that ends keeps the device, so that its own record stands for
 * it; the device is RECLAIMING, and what became of it is remembered and written again. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/linger.h"

int broker_device_put_record(Broker *broker, Device *device)
{
        bool was_stale = device->record_stale;
        int r;

        device->record_stale = false;
        if (!broker->store)
                return 0;
        if (device->state == DEVICE_GONE || (device->state != DEVICE_QUARANTINED && !device->prior_known &&
                                             !device->only_for[0] && !device->kept_for[0])) {
                broker->store->device_drop(broker->store_userdata, device->info.id);
                return 0;
        }
        r = broker->store->device_put(broker->store_userdata, device);
        device->record_stale = r < 0;
        broker->devices_stale |= r < 0;
        if (r < 0 && !was_stale)
                broker_event(broker, EVENT_TROUBLE, NULL, device, "",
                             "The record of device %s cannot be written: %s", device->info.id, strerror(-r));
        return r;
}

void broker_put_stale_devices(Broker *broker)
{
        if (!broker->devices_stale)
                return;
        broker->devices_stale = false;
        for (Device *device = broker->devices; device; device = device->hh.next) {
                if (!device->record_stale)
                        continue;
                /* Its state is not what it will be remembered for: who works on it writes it at the end. */
                if (device->lease || device->admin_job || device->old_job)
                        broker->devices_stale = true;
                else
                        (void)broker_device_put_record(broker, device);
        }
}

bool broker_device_outcome(Broker *broker, const Lease *lease, Device *device)
{
        bool quarantined = device->state == DEVICE_QUARANTINED;
        int r;

        if (lease && !quarantined)
                linger_start(broker, lease, device);
        r = broker_device_put_record(broker, device);
        if (!lease || r >= 0)
                return true;
        linger_stop(broker, device);
        device->held = true;
        device->held_quarantined = quarantined;
        memcpy(device->held_reason, device->state_reason, sizeof(device->held_reason));
        device->proven = false;
        device->clean = false;
        (void)device_set_state(device, DEVICE_RECLAIMING, "its record cannot be written: %s", strerror(-r));
        return false;
}

bool broker_device_outcome_again(Broker *broker, const Lease *lease, Device *device)
{
        device->held = false;
        (void)device_set_state(device,
                               device->held_quarantined ? DEVICE_QUARANTINED : device_idle_state(device),
                               "%s", device->held_reason);
        return broker_device_outcome(broker, lease, device);
}
