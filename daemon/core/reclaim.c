/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* After a lease: each device is proven free, reset, and only then idle again. A device that somebody still has open
 * stays RECLAIMING and is tried again; one whose reset fails is quarantined. The proof is the worker's
 * (daemon/host/job-proof.c); here is what follows from it. Event loop only. */

#include <inttypes.h>

#include "daemon/core/broker-internal.h"
#include "daemon/core/linger.h"
#include "daemon/core/old-job.h"
#include "daemon/core/wait.h"

/* Between two trials of a device that is still open: a dead VMM's last references go within milliseconds, a dup held
 * on purpose may stay for days. */
#define RETRY_MIN_USEC (20 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (1 * USEC_PER_SEC)

void broker_device_quarantine(Broker *broker, const Lease *lease, Device *device, const char *format, ...)
{
        char reason[REASON_MAX];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(reason, sizeof(reason), format, ap);
        va_end(ap);

        (void)device_set_state(device, DEVICE_QUARANTINED, "%s", reason);
        device->proven = false;
        device->clean = false;
        (void)broker_device_put_record(broker, device);
        broker_event(broker, EVENT_QUARANTINED, lease, device, "Quarantined", "Device %s is quarantined: %s",
                     device->info.id, reason);
}

/* The device stays the lease's, and is tried again. True. */
_printf_(4, 5) static bool stick(Broker *broker, const Lease *lease, Device *device, const char *format, ...)
{
        char reason[REASON_MAX];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(reason, sizeof(reason), format, ap);
        va_end(ap);

        if (device_set_state(device, DEVICE_RECLAIMING, "%s", reason))
                broker_event(broker, EVENT_STUCK, lease, device, "", "Device %s is %s", device->info.id,
                             reason);
        return true;
}

void reclaim_job_device(const Device *device, const Policy *policy, PolicyReset reset, bool restore,
                        JobDevice *ret)
{
        plan_job_device(device, policy, reset, ret);
        /* The VFIO driver that it has now is the one to come back to. */
        if (device->info.driver_is_vfio)
                memcpy(ret->driver, device->info.driver, sizeof(ret->driver));
        ret->prove = true;
        ret->reset = reset != POLICY_RESET_NONE;
        ret->remove = device->made;
        if (!restore || !device->prior_known)
                return;
        (void)snprintf(ret->restore, sizeof(ret->restore), "%s",
                       device->prior_driver[0] ? device->prior_driver : "-");
        memcpy(ret->restore_override, device->prior_override, sizeof(ret->restore_override));
}

/* An mdev can be unbound once only, so that the second part of the proof cannot be had of one that is to stay: a cdev that
 * was opened and never bound may be left (host/job-proof.c). So it stays with the tenant that got cdevs of it. */
static void keep_for(const Lease *lease, Device *device)
{
        if (lease && lease->backend == POLICY_BACKEND_IOMMUFD && streq(device->info.bus, "mdev"))
                (void)snprintf(device->only_for, sizeof(device->only_for), "%s", lease->tenant->name);
}

/* Who had all of a group may have its file, by which he opens each device of it again as long as he has any: what was proven
 * of this one is true no more then, and it is asked again when it is granted. */
static bool is_in_reach(const Device *device)
{
        for (size_t i = 0; device->group && i < device->group->n_devices; i++) {
                const Lease *other = device->group->devices[i]->lease;

                if (other && other != device->lease && other->backend == POLICY_BACKEND_GROUP)
                        return true;
        }
        return false;
}

/* Whether it is to be tried again: it is open, or the worker was short of what it would have asked with. An administrator asks
 * once; what his reset finds open is not free. */
static bool is_stuck(Broker *broker, const Lease *lease, Device *device, const JobResult *result,
                     const JobDeviceResult *row)
{
        if (result->error != 0)
                return lease && job_was_short(result->error) &&
                       stick(broker, lease, device, "not proven free yet: %s (%s)", result->text,
                             strerror(result->error));
        if (!job_is_unproven(row))
                return false;
        if (!job_was_short(row->error))
                return stick(broker, lease, device,
                             "still open: a process holds a copy of its file descriptor or a mapping of its "
                             "memory");
        return lease &&
               stick(broker, lease, device, "not proven free yet: %s: %s", row->text, strerror(row->error));
}

/* It is free, whoever has it now. */
static void take_free(Broker *broker, const Lease *lease, Device *device, const JobResult *result,
                      const JobDeviceResult *row, bool reset_wanted)
{
        device->proven = row->driver_known && row->driver_is_vfio && !is_in_reach(device);
        device->clean = device->proven && reset_wanted && row->reset == RESET_DONE;
        if (!device->info.driver_is_vfio) {
                device->prior_known = false;
                device->prior_driver[0] = 0;
        }
        if (row->error != 0) {
                (void)device_set_state(device, device_idle_state(device),
                                       "its driver was not put back: %s: %s", row->text,
                                       strerror(row->error));
                broker_event(broker, EVENT_TROUBLE, lease, device, "", "Device %s: %s", device->info.id,
                             device->state_reason);
        } else
                (void)device_set_state(device, device_idle_state(device), "%s", "");
        broker_event(
                broker, EVENT_RECLAIMED, lease, device, reset_outcome_to_string(row->reset),
                "Device %s is free%s (proof %" PRIu64 " µs, reset %" PRIu64 " µs, driver %" PRIu64 " µs)",
                device->info.id, row->reset == RESET_DONE ? " and was reset" : "",
                result->usec[STEP_PROVE_FREE], result->usec[STEP_RESET], result->usec[STEP_RESTORE_DRIVER]);
}

bool reclaim_take_row(Broker *broker, const Lease *lease, Device *device, const JobResult *result,
                      const JobDeviceResult *row, bool reset_wanted)
{
        device_take_result(broker, device, row);

        if (device->state == DEVICE_GONE)
                return true;
        if (row->removed) {
                (void)device_set_state(device, DEVICE_GONE, "removed after its lease");
                (void)broker_device_put_record(broker, device);
                broker_event(broker, EVENT_RECLAIMED, lease, device, "removed",
                             "Device %s is free and was removed", device->info.id);
                return true;
        }
        keep_for(lease, device);
        if (is_stuck(broker, lease, device, result, row))
                return false;
        if (result->error != 0)
                broker_device_quarantine(broker, lease, device,
                                         "the worker that was to prove it free failed: %s (%s)",
                                         result->text, strerror(result->error));
        else if (row->error != 0 && row->step != STEP_RESTORE_DRIVER)
                broker_device_quarantine(
                        broker, lease, device,
                        row->step == STEP_PROVE_FREE ? "it cannot be %s: %s: %s" : "%s failed: %s: %s",
                        row->step == STEP_PROVE_FREE ? "proven free" : job_step_to_string(row->step),
                        row->text, strerror(row->error));
        else
                take_free(broker, lease, device, result, row, reset_wanted);
        return broker_device_outcome(broker, lease, device);
}

/* Without a timer: whatever comes next from the loop tries again, no sooner than in `usec`. */
static void strand(Lease *lease, uint64_t usec)
{
        lease->stranded = lease->broker->host->ops->monotonic(lease->broker->host) + usec;
        lease->broker->n_stranded++;
}

static void on_retry(void *userdata)
{
        Lease *lease = userdata;
        Broker *broker = lease->broker;

        lease->retry = NULL;
        lease_reclaim(lease);
        broker_retry_stranded(broker);
}

void broker_retry_stranded(Broker *broker)
{
        uint64_t now;
        Lease *next;

        broker_put_stale_devices(broker);

        /* A reclaim that ends may come by here: where a device comes back, a request of an administrator may end. Whoever goes
         * through the leases already has the next one in hand. */
        if (broker->n_stranded == 0 || broker->reclaiming)
                return;
        broker->reclaiming = true;
        now = broker->host->ops->monotonic(broker->host);
        for (Lease *lease = broker->leases; lease; lease = next) {
                next = lease->hh.next;
                if (lease->stranded > 0 && lease->stranded <= now)
                        lease_reclaim(lease);
        }
        broker->reclaiming = false;
}

void broker_job_ended(Broker *broker)
{
        if (broker->room_wanted)
                broker_wake_waiters(broker);
        broker->room_wanted = false;
        broker_retry_stranded(broker);
}

void broker_reclaim_idle(Broker *broker)
{
        Lease *next;

        broker->reclaiming = true;
        for (Lease *lease = broker->leases; lease; lease = next) {
                next = lease->hh.next;
                if (lease->state == LEASE_RECLAIMING && !lease->job && !lease->retry && lease->stranded == 0)
                        lease_reclaim(lease);
        }
        broker->reclaiming = false;
}

static void retry_later(Lease *lease)
{
        Host *host = lease->broker->host;
        int r;

        lease->retry_usec = lease->retry_usec == 0 ? RETRY_MIN_USEC : lease->retry_usec * 2;
        if (lease->retry_usec > RETRY_MAX_USEC)
                lease->retry_usec = RETRY_MAX_USEC;
        r = host->ops->timer_start(host, lease->retry_usec, on_retry, lease, &lease->retry);
        if (r >= 0)
                return;
        strand(lease, lease->retry_usec);
        broker_event(lease->broker, EVENT_TROUBLE, lease, NULL, "",
                     "No timer for the reclaim of lease %s: %s; it is tried again when a job ends or "
                     "somebody asks",
                     lease->id, strerror(-r));
}

static bool lease_is_settled(const Lease *lease)
{
        for (size_t i = 0; i < lease->n_devices; i++)
                if (!lease->settled[i])
                        return false;
        return true;
}

/* The rows of a reclaim job are the unsettled devices in the lease's order, when the job began and when it ends alike:
 * only the job settles devices while it runs. */
static void reclaim_done(void *userdata, JobResult *result)
{
        Lease *lease = userdata;
        Broker *broker = lease->broker;
        size_t row = 0;

        lease->job = NULL;
        for (size_t i = 0; i < lease->n_devices && row < result->n_devices; i++) {
                Device *device = lease->devices[i];

                if (lease->settled[i] || device->held)
                        continue;
                if (reclaim_take_row(broker, lease, device, result, result->devices + row,
                                     lease->reset != POLICY_RESET_NONE))
                        lease_settle_device(lease, i);
                row++;
                broker_device_notify(device, broker);
                if (device->lease)
                        continue;
                broker_functions_check_policy(broker, device); /* the host's driver may be back */
                broker_device_gc(broker, device);
        }

        if (lease_is_settled(lease))
                lease_reclaim(lease); /* its end */
        else {
                if (lease->record_stale)
                        (void)lease_put_record(lease);
                NOTIFY(broker, lease_changed, lease);
                NOTIFY(broker, tenant_changed, lease->tenant);
                retry_later(lease);
        }
        broker_job_ended(broker);
}

static void reclaim_slow(void *userdata, uint64_t age_usec)
{
        Lease *lease = userdata;
        Broker *broker = lease->broker;

        for (size_t i = 0; i < lease->n_devices; i++) {
                Device *device = lease->devices[i];

                if (lease->settled[i] || device->held || device->state == DEVICE_GONE)
                        continue;
                if (!device_set_state(
                            device, DEVICE_RECLAIMING,
                            "still open: the driver's unbind waits for a process that holds a copy of its "
                            "file descriptor"))
                        continue;
                broker_event(broker, EVENT_STUCK, lease, device, "", "Device %s is %s (for %llu s)",
                             device->info.id, device->state_reason,
                             (unsigned long long)(age_usec / USEC_PER_SEC));
                broker_device_notify(device, broker);
        }
}

/* A device that a lease has just lost may still be opened for that lease. One that is gone stays gone until then, for what comes
 * back would be opened. */
static bool is_reissued(const Lease *lease)
{
        for (const Lease *other = lease->tenant->leases; other; other = other->next)
                for (size_t i = 0; i < lease->n_devices; i++)
                        if (!lease->settled[i] && lease_reissues(other, lease->devices[i]))
                                return true;
        return false;
}

/* Its turn comes with the end of another of the tenant's jobs. */
static void await_job(Lease *lease)
{
        if (lease->record_stale)
                (void)lease_put_record(lease);
        strand(lease, 0);
}

void lease_reclaim(Lease *lease)
{
        Broker *broker = lease->broker;
        Host *host = broker->host;
        JobResult *opened = lease->opened;
        _cleanup_close_ int barrier = -EBADF;
        Job job;
        int r;

        if (broker->restoring || old_job_has(lease))
                return;
        if (lease->stranded > 0)
                broker->n_stranded--;
        lease->stranded = 0;
        if (is_reissued(lease)) {
                await_job(lease);
                return;
        }
        lease->opened = NULL;
        job_init(&job, JOB_RECLAIM);
        for (size_t i = 0; i < lease->n_devices; i++) {
                Device *device = lease->devices[i];

                if (lease->settled[i])
                        continue;
                if (device->state == DEVICE_GONE) {
                        lease_settle_device(lease, i);
                        broker_device_gc(broker, device);
                        continue;
                }
                if (device->held) {
                        if (broker_device_outcome_again(broker, lease, device))
                                lease_settle_device(lease, i);
                        broker_device_notify(device, broker);
                        continue;
                }
                reclaim_job_device(device, lease->policy, lease->reset,
                                   lease->restore_driver || lease->took[i], job.devices + job.n_devices);
                if (opened)
                        job.devices[job.n_devices].fd = opened->devices[i].fd;
                job.n_devices++;
        }
        if (job.n_devices > 0 && tenant_is_busy(lease->tenant)) {
                await_job(lease);
                return;
        }
        /* A copy that the service manager has is one that keeps the device from being free. */
        if (container_release(broker, lease, &job) && broker->store && broker->store->fd_barrier &&
            broker->store->fd_barrier(broker->store_userdata, &barrier) >= 0)
                job.barrier = barrier;
        /* Even without a device there may be memory to unpin, which is for a worker. */
        if (job.n_devices == 0 && job.n_groups == 0 && (job.context < 0 || !lease->container->named)) {
                if (!lease_is_settled(lease)) { /* what is held */
                        if (lease->record_stale)
                                (void)lease_put_record(lease);
                        retry_later(lease);
                        return;
                }
                if (broker->store)
                        broker->store->lease_drop(broker->store_userdata, lease->id);
                lease_free(lease);
                return;
        }

        /* A device that is settled may be another lease's before this one is over, and a restart believes the record. */
        if (lease->record_stale)
                (void)lease_put_record(lease);
        r = host->ops->job_start(host, &job, reclaim_done, reclaim_slow, lease, &lease->job);
        if (r >= 0)
                container_released(lease->container, &job);
        else
                retry_later(lease);
}
