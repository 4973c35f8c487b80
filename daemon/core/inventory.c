/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The inventory's side of the broker: devices come, change and go as the kernel says, groups with them. A device that
 * goes while a lease holds it is GONE and stays in the table until the lease has let go. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/linger.h"
#include "daemon/core/old-job.h"
#include "daemon/core/unplug.h"
#include "daemon/core/wait.h"

static int join_group(Broker *broker, Device *device)
{
        int number = device->info.group;
        Group *group;
        int r;

        if (number < 0)
                return 0;
        group = broker_group(broker, number);
        if (!group) {
                group = group_new(number, device->info.group_type);
                if (!group)
                        return -ENOMEM;
                HASH_ADD_INT(broker->groups, number, group);
                if (!group->hh.tbl) {
                        group_free(group);
                        return -ENOMEM;
                }
                NOTIFY(broker, group_added, group);
        }
        r = group_add(group, device);
        if (r >= 0)
                NOTIFY(broker, group_changed, group);
        return r;
}

static void leave_group(Broker *broker, Device *device)
{
        Group *group = device->group;

        if (!group)
                return;
        if (group->n_devices > 1) {
                group_remove(group, device);
                NOTIFY(broker, group_changed, group);
                return;
        }
        /* Told while it still has its last device: by its devices is decided who may see it. */
        NOTIFY(broker, group_removed, group);
        group_remove(group, device);
        HASH_DEL(broker->groups, group);
        group_free(group);
}

static int add_device(Broker *broker, DeviceInfo *info)
{
        Device *device = device_new(info);
        int r;

        if (!device)
                return -ENOMEM;
        HASH_ADD_KEYPTR(hh, broker->devices, device->info.id, strlen(device->info.id), device);
        if (!device->hh.tbl) {
                device_free(device);
                return -ENOMEM;
        }
        r = join_group(broker, device);
        if (r < 0) {
                HASH_DEL(broker->devices, device);
                device_free(device);
                return r;
        }
        NOTIFY(broker, device_added, device);
        old_jobs_take(broker, device);
        broker_wake_waiters(broker);
        device->functions_due = true;
        broker_functions_check_policy(broker, device);
        broker_functions_changed(broker, device->info.physical_function);
        return 0;
}

int broker_device_update(Broker *broker, DeviceInfo *info)
{
        Device *device = broker_device(broker, info->id);
        bool idle, changed, moved;
        int r = 0;

        if (!device)
                return add_device(broker, info);

        if (device->state == DEVICE_GONE) {
                /* Back in the same place while a lease on the one before it still ends: a new device, which may not
                 * be taken for the old one. It enters when the old one has left (broker_device_gc). */
                device_info_done(&device->returned);
                device->returned = *info;
                *info = (DeviceInfo){ .group = -1, .numa_node = -1 };
                device->has_returned = true;
                return 0;
        }

        /* A driver that changed behind our back: whatever was proven of the device is not any more. A job of ours has
         * told its drivers already. */
        changed = !streq(device->info.driver, info->driver) && !device->lease && !device->admin_job;
        if (!info->override_known && streq(device->info.driver, info->driver)) {
                memcpy(info->driver_override, device->info.driver_override, sizeof(info->driver_override));
                info->override_known = device->info.override_known;
        }
        moved = device->info.group != info->group;
        if (moved)
                leave_group(broker, device);
        device_info_done(&device->info);
        device->info = *info;
        *info = (DeviceInfo){ .group = -1, .numa_node = -1 };
        if (moved)
                r = join_group(broker, device);
        else if (device->group && !device->group->type[0])
                memcpy(device->group->type, device->info.group_type, sizeof(device->group->type));
        if (changed) {
                device->proven = false;
                device->clean = false;
                device->prior_known = false;
                (void)broker_device_put_record(broker, device);
        }

        idle = device->state == DEVICE_HOST || device->state == DEVICE_AVAILABLE;
        if (idle && device->state != device_idle_state(device))
                (void)device_set_state(device, device_idle_state(device), "%s", "");
        broker_device_notify(device, broker);
        broker_functions_check_policy(broker, device);
        if (!device->info.driver_is_vfio)
                unplug_check(device);
        return r;
}

void broker_device_gc(Broker *broker, Device *device)
{
        DeviceInfo returned = { .group = -1, .numa_node = -1 };
        bool has_returned = device->has_returned;

        if (device->state != DEVICE_GONE || device->lease || device->admin_job)
                return;
        if (has_returned) {
                returned = device->returned;
                device->returned = (DeviceInfo){ .group = -1, .numa_node = -1 };
                device->has_returned = false;
        }
        linger_stop(broker, device);
        NOTIFY(broker, device_removed, device);
        leave_group(broker, device);
        HASH_DEL(broker->devices, device);
        device_free(device);
        if (has_returned) {
                if (broker_device_update(broker, &returned) < 0)
                        device_info_done(&returned);
        }
}

void broker_device_remove(Broker *broker, const char *id)
{
        Device *device = broker_device(broker, id);
        char pf[DEVICE_ID_MAX];
        Lease *lease;

        if (!device)
                return;
        if (device->state == DEVICE_GONE) {
                /* It had come back and went again. */
                device_info_done(&device->returned);
                device->has_returned = false;
                return;
        }
        lease = device->lease;
        memcpy(pf, device->info.physical_function, sizeof(pf));
        (void)device_set_state(device, DEVICE_GONE, "removed from the machine");
        (void)broker_device_put_record(broker, device); /* which drops it */
        if (lease || device->admin_job)
                broker_device_notify(device, broker);
        broker_wake_waiters(broker); /* to hear that there is no such device */
        if (lease)
                lease_lose(lease, device); /* may free the device */
        else
                broker_device_gc(broker, device);
        broker_functions_changed(broker, pf);
}
