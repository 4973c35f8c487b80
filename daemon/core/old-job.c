/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finding such workers at the start, and what follows from their end. Event loop only. */

#include <utlist.h>

#include "daemon/core/broker-internal.h"
#include "daemon/core/mdev.h"
#include "daemon/core/old-job.h"
#include "daemon/core/wait.h"

static OldJob *old_job_free(OldJob *old)
{
        Host *host = old->broker->host;

        host->ops->process_unwatch(host, old->watch);
        old->pidfd = safe_close(old->pidfd);
        free(old);
        return NULL;
}

void old_jobs_free(Broker *broker)
{
        OldJob *old, *next;

        DL_FOREACH_SAFE(broker->old_jobs, old, next) {
                DL_DELETE(broker->old_jobs, old);
                old_job_free(old);
        }
}

bool old_job_has(const Lease *lease)
{
        for (size_t i = 0; i < lease->n_devices; i++)
                if (!lease->settled[i] && lease->devices[i]->old_job)
                        return true;
        return false;
}

/* What it left is what a reclaim finds, or the inventory tells. */
static void let_device_go(Broker *broker, const char *id)
{
        Device *device = broker_device(broker, id);

        if (!device || !device->old_job)
                return;
        device->old_job = device->admin_job = false;
        device->proven = device->clean = false;
        if (!device->lease && device->made && !device->info.driver_is_vfio) {
                mdev_unregister(broker, device); /* it was never made, or is no more */
                return;
        }
        if (!device->lease && device->state == DEVICE_RECLAIMING)
                (void)device_set_state(device, device_idle_state(device), "%s", "");
        broker_device_notify(device, broker);
        broker_functions_check_policy(broker, device);
        broker_device_gc(broker, device);
}

static void on_end(void *userdata)
{
        OldJob *old = userdata;
        Broker *broker = old->broker;

        DL_DELETE(broker->old_jobs, old); /* what has come back in a place of its is nobody's */
        for (size_t i = 0; i < old->record.n_devices; i++)
                let_device_go(broker, old->record.devices[i].id);
        if (broker->store && broker->store->job_drop)
                broker->store->job_drop(broker->store_userdata, old->record.pid);
        broker_event(broker, EVENT_RECOVERED, NULL, NULL, "",
                     "Worker %d of an earlier life of the broker has ended", (int)old->record.pid);
        old_job_free(old);
        broker_reclaim_idle(broker);
        broker_wake_waiters(broker);
        broker_job_ended(broker);
}

/* An mdev that is still being made: the inventory will have it, or not. */
static int expect_device(Broker *broker, const JobRecord *record, size_t i)
{
        DeviceInfo info = { .bus = "mdev", .group = -1, .numa_node = -1 };
        Device *device;
        int r;

        memcpy(info.id, record->devices[i].id, sizeof(info.id));
        memcpy(info.mdev_parent, record->devices[i].mdev_parent, sizeof(info.mdev_parent));
        memcpy(info.mdev_type, record->devices[i].mdev_type, sizeof(info.mdev_type));
        device = device_new(&info);
        if (!device)
                return -ENOMEM;
        device->made = true;
        r = mdev_register(broker, &device, 1);
        if (r < 0)
                device_free(device);
        return r;
}

static void hold_device(Broker *broker, const OldJob *old, const char *id)
{
        Device *device = broker_device(broker, id);

        if (!device)
                return;
        device->old_job = device->admin_job = true;
        (void)device_set_state(device, DEVICE_RECLAIMING,
                               "a worker of an earlier life of the broker, process %d, waits in the kernel "
                               "for whoever has the device open",
                               (int)old->record.pid);
        broker_event(broker, EVENT_STUCK, NULL, device, "", "Device %s: %s", id, device->state_reason);
        broker_device_notify(device, broker);
}

void old_jobs_take(Broker *broker, const Device *device)
{
        const OldJob *old;

        DL_FOREACH(broker->old_jobs, old)
                for (size_t i = 0; i < old->record.n_devices; i++)
                        if (streq(old->record.devices[i].id, device->info.id))
                                hold_device(broker, old, device->info.id);
}

int broker_restore_job(Broker *broker, const JobRecord *record)
{
        Host *host = broker->host;
        ProcessFacts facts;
        uint64_t start_time;
        OldJob *old;
        int r = 0;

        old = calloc(1, sizeof(*old));
        if (!old)
                return -ENOMEM;
        old->broker = broker;
        old->record = *record;
        old->pidfd = -EBADF;
        r = host->ops->process_open(host, record->pid, &old->pidfd, &start_time);
        if (r >= 0)
                r = host_process_on_record(host, record->pid, old->pidfd, record->start_time, &facts);
        if (r >= 0)
                r = host->ops->process_watch(host, old->pidfd, on_end, old, &old->watch);
        for (size_t i = 0; i < record->n_devices && r >= 0; i++)
                if (record->kind == JOB_MAKE && !broker_device(broker, record->devices[i].id))
                        r = expect_device(broker, record, i);
        if (r < 0) {
                old_job_free(old);
                return r == -ESRCH ? -ENODEV : r;
        }
        DL_APPEND(broker->old_jobs, old);
        for (size_t i = 0; i < record->n_devices; i++)
                hold_device(broker, old, record->devices[i].id);
        return 0;
}
