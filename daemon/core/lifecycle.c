/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From Acquire to the end of a lease. Record, then act: the record of an OPENING lease is on disk before the job that
 * touches a driver begins, so that a crash leaves an owner. Every undo of a lease that got as far as its job goes
 * through broker_lease_end(), which copes with a half-built one. Event loop only. */

#include <inttypes.h>

#include "daemon/core/broker-internal.h"
#include "daemon/core/keep.h"
#include "daemon/core/revoke.h"
#include "daemon/core/linger.h"
#include "daemon/core/unplug.h"
#include "daemon/core/wait.h"
#include "daemon/core/mdev.h"

/* 48 bits. The first character is a letter, since a digit there makes an object path that nobody can read: "_37…". */
void lease_make_id(Broker *broker, char *ret)
{
        do {
                uint64_t bits = broker->host->ops->random(broker->host);

                (void)snprintf(ret, LEASE_ID_MAX, "%c%011llx", (int)('a' + (bits >> 44) % 16),
                               (unsigned long long)(bits & 0xfffffffffffULL));
        } while (broker_lease(broker, ret));
}

static void on_process_end(void *userdata)
{
        Lease *lease = userdata;
        Broker *broker = lease->broker;

        /* Its end may be heard of before systemd's answer. */
        broker_lease_end(broker, lease, lease->unit_kill ? lease->revoke_end : END_PROCESS_EXITED);
        broker_retry_stranded(broker);
}

int lease_watch(Lease *lease)
{
        Host *host = lease->broker->host;

        if (lease->lifetime == LIFETIME_EXPLICIT)
                return 0;
        return host->ops->process_watch(host, lease->holder->pidfd, on_process_end, lease, &lease->watch);
}

static void notify_devices(Lease *lease)
{
        for (size_t i = 0; i < lease->n_devices; i++)
                if (!lease->settled[i])
                        broker_device_notify(lease->devices[i], lease->broker);
        NOTIFY(lease->broker, tenant_changed, lease->tenant);
}

void device_take_result(Broker *broker, Device *device, const JobDeviceResult *result)
{
        if (result->driver_known) {
                const char *before = result->driver_before;

                if (!device->prior_known && result->driver_is_vfio && !result->driver_before_is_vfio) {
                        (void)snprintf(device->prior_driver, sizeof(device->prior_driver), "%s", before);
                        (void)snprintf(device->prior_override, sizeof(device->prior_override), "%s",
                                       result->override_before);
                        device->prior_known = true;
                }
                (void)snprintf(device->info.driver, sizeof(device->info.driver), "%s", result->driver_now);
                device->info.driver_is_vfio = result->driver_is_vfio;
                /* The event of a driver that is put back is sent before the override is. */
                (void)snprintf(device->info.driver_override, sizeof(device->info.driver_override), "%s",
                               result->override_now);
                device->info.override_known = true;
        }
        if (result->reset == RESET_DONE || result->reset == RESET_FAILED) {
                device->last_reset_usec = broker->host->ops->now(broker->host);
                if (result->reset == RESET_DONE)
                        (void)snprintf(device->last_reset, sizeof(device->last_reset), "success");
                else
                        (void)snprintf(device->last_reset, sizeof(device->last_reset), "failed: %s",
                                       strerrorname_np(result->reset_errno) ?: "unknown");
        }
}

int refuse_start(int r, Refusal *refusal)
{
        if (r != -EAGAIN)
                return r;
        return refuse(refusal, RESULT_RATE_LIMITED,
                      "The broker has as many jobs at work as it allows; ask again.");
}

/* What the job could not do, as the refusal that the one who asked reads. */
int refuse_job(const Device *device, const JobDeviceResult *row, Refusal *refusal)
{
        const char *id = device->info.id;

        if (row->removed)
                return refuse(refusal, RESULT_NO_SUCH_DEVICE,
                              "Device %s was removed from the machine while it was opened.", id);
        switch (row->step) {
        case STEP_IN_USE:
                return refuse(refusal, RESULT_DEVICE_BUSY_ON_HOST,
                              row->error == EBUSY ? "Device %s is in use on the host: %s."
                                                  : "Device %s may be in use on the host: %s: %s.",
                              id, row->text, strerror(row->error));
        case STEP_PROVE_FREE:
                if (row->error == EBUSY)
                        return refuse(
                                refusal, RESULT_DEVICE_BUSY_ON_HOST,
                                "Device %s is held open by a process that did not get it from the broker.",
                                id);
                if (row->error == EPERM)
                        return refuse(refusal, RESULT_GROUP_NOT_VIABLE,
                                      "Device %s: the kernel refuses the bind (EPERM): a driver of the host "
                                      "or another "
                                      "context owns its group, or its interrupts are not isolated.",
                                      id);
                return refuse(refusal, RESULT_DRIVER_BIND_FAILED, "Device %s cannot be proven free: %s: %s.",
                              id, row->text, strerror(row->error));
        case STEP_RESET:
                return refuse(refusal, RESULT_RESET_FAILED, "Device %s was not reset: %s: %s.", id,
                              row->text, strerror(row->error));
        case STEP_JOIN:
                return refuse(refusal, RESULT_CONTAINER_INCOMPATIBLE,
                              "Device %s cannot be in that container: %s: %s. Ask for another container, or "
                              "leave it out for a private one.",
                              id, row->text, strerror(row->error));
        case STEP_OPEN:
                return refuse(refusal, RESULT_BACKEND_UNAVAILABLE, "Device %s cannot be opened: %s: %s.", id,
                              row->text, strerror(row->error));
        case STEP_BIND_DRIVER:
        default:
                return refuse(refusal, RESULT_DRIVER_BIND_FAILED, "Device %s cannot be bound: %s: %s.", id,
                              row->text, strerror(row->error));
        }
}

/* What the failed job has left of each device. False where one is held. */
static bool take_undone(Lease *lease, const JobResult *result)
{
        Broker *broker = lease->broker;
        bool all = true;

        for (size_t i = 0; i < lease->n_devices; i++) {
                Device *device = lease->devices[i];
                const JobDeviceResult *row = result->devices + i;

                if (!device->info.driver_is_vfio)
                        device->prior_known = false;
                if (row->step == STEP_RESET && row->reset == RESET_FAILED) {
                        broker_device_quarantine(broker, lease, device,
                                                 "the reset before a lease failed: %s",
                                                 strerror(row->reset_errno));
                        all = broker_device_outcome(broker, lease, device) && all;
                } else if (row->driver_known && !streq(row->driver_now, row->driver_before)) {
                        (void)device_set_state(device, device_idle_state(device),
                                               "its driver %s was not put back",
                                               row->driver_before[0] ? row->driver_before : "(none)");
                        broker_event(broker, EVENT_TROUBLE, lease, device, "", "Device %s: %s",
                                     device->info.id, device->state_reason);
                        all = broker_device_outcome(broker, lease, device) && all;
                } else
                        (void)device_set_state(device, device_idle_state(device), "%s", "");
        }
        return all;
}

/* The job has failed and says that it has undone what it did: the devices are idle again, or quarantined where their
 * reset failed, and the lease is gone; or, where it has to keep one, goes the way of all leases with that. */
static void open_undone(Lease *lease, const JobResult *result)
{
        Broker *broker = lease->broker;
        bool all = take_undone(lease, result);

        for (size_t i = 0; i < lease->n_devices; i++) {
                Device *device = lease->devices[i];

                if (device->held)
                        continue;
                lease_settle_device(lease, i);
                broker_device_notify(device, broker);
                broker_functions_check_policy(broker, device);
        }
        if (!all) {
                broker_lease_end(broker, lease, END_FAILED);
                return;
        }
        if (broker->store)
                broker->store->lease_drop(broker->store_userdata, lease->id);
        lease_free(lease);
}

/* The devices go over to the lease that they were opened for. */
static int deliver_added(Lease *lease, const JobResult *result)
{
        Broker *broker = lease->broker;
        Lease *target = lease->target;
        size_t first = target->n_devices, n = lease->n_devices;
        LeaseFd rows[LEASE_FDS_MAX];
        char numbers[JOB_DEVICES_MAX][12];
        bool took[JOB_DEVICES_MAX];
        int fds[JOB_DEVICES_MAX];
        AcquireOutcome outcome = { .fds = rows };
        AcquireDone done = lease->done;
        void *userdata = lease->done_userdata;
        int r;

        memcpy(took, lease->took, sizeof(took));
        r = lease_merge(lease);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                fds[i] = result->devices[i].fd;
        outcome.n_fds = lease_fd_rows(target, first, false, fds, rows, numbers);
        r = done ? done(userdata, target, &outcome) : 0;
        if (r < 0) {
                const char *ids[JOB_DEVICES_MAX];
                Refusal refusal;

                for (size_t i = 0; i < n; i++)
                        ids[i] = target->devices[first + i]->info.id;
                broker_event(broker, EVENT_TROUBLE, target, NULL, "", "The reply cannot be queued: %s",
                             strerror(-r));
                memcpy(target->took + first, took, n * sizeof(took[0]));
                (void)broker_lease_remove(broker, target, ids, n, &refusal);
                return 0;
        }
        broker_event(broker, EVENT_GRANTED, target, NULL, "added",
                     "Lease %s: %zu device(s) from %s added for tenant %s, process %d", target->id, n,
                     target->devices[first]->info.id, target->tenant->name, (int)target->pid);
        unplug_watch(target);
        return 0;
}

/* The lease is active, on disk, and its fds are on their way. */
static int deliver(Lease *lease, const JobResult *result)
{
        Broker *broker = lease->broker;
        LeaseFd rows[LEASE_FDS_MAX];
        char numbers[JOB_DEVICES_MAX][12];
        bool took[JOB_DEVICES_MAX];
        int fds[JOB_DEVICES_MAX];
        AcquireOutcome outcome = { .fds = rows };
        AcquireDone done;
        int r;

        r = holder_commit(lease);
        if (r < 0)
                return r;
        lease->state = LEASE_ACTIVE;
        lease->since = broker->host->ops->now(broker->host);
        for (size_t i = 0; i < lease->n_devices; i++) {
                (void)device_set_state(lease->devices[i], DEVICE_LEASED, "%s", "");
                fds[i] = result->devices[i].fd;
        }
        memcpy(took, lease->took, sizeof(took));
        memset(lease->took, 0, sizeof(lease->took));
        r = lease_put_record(lease);
        if (r >= 0) {
                outcome.n_fds = lease_fd_rows(lease, 0, true, fds, rows, numbers);
                done = lease->done;
                lease->done = NULL;
                r = done ? done(lease->done_userdata, lease, &outcome) : 0;
                if (r < 0)
                        broker_event(broker, EVENT_TROUBLE, lease, NULL, "",
                                     "The reply cannot be queued: %s", strerror(-r));
        }
        if (r < 0) {
                memcpy(lease->took, took, sizeof(took));
                return r;
        }

        container_delivered(lease->container);
        notify_devices(lease);
        NOTIFY(broker, lease_changed, lease);
        container_notify(broker, lease->container);
        broker_event(broker, EVENT_GRANTED, lease, NULL, "granted",
                     "Lease %s: %zu device(s) from %s granted to tenant %s, process %d (bind %" PRIu64
                     " µs, proof %" PRIu64 " µs, reset %" PRIu64 " µs, open %" PRIu64 " µs)",
                     lease->id, lease->n_devices, lease->devices[0]->info.id, lease->tenant->name,
                     (int)lease->pid, result->usec[STEP_BIND_DRIVER], result->usec[STEP_PROVE_FREE],
                     result->usec[STEP_RESET], result->usec[STEP_OPEN]);
        unplug_watch(lease);
        return 0;
}

/* The files of groups that the job opened are the container's from now on, whatever becomes of the lease: so their last
 * copies are closed in a worker. */
static int take_groups(Lease *lease, JobResult *result)
{
        Job job;

        job_init(&job, JOB_OPEN);
        for (size_t i = 0; i < lease->n_devices; i++)
                (void)job_group(&job, lease->devices[i]->info.group);
        return container_take_groups(lease->broker, lease->container, &job, result);
}

static bool has_made(const Lease *lease)
{
        for (size_t i = 0; i < lease->n_devices; i++)
                if (!lease->settled[i] && lease->devices[i]->made)
                        return true;
        return false;
}

static void take_open(Lease *lease, JobResult *result)
{
        Broker *broker = lease->broker;
        Refusal refusal = {};
        int r = 0;

        lease->job = NULL;
        for (size_t i = 0; i < lease->n_devices; i++) {
                const JobDeviceResult *row = result->devices + i;

                /* What the worker saw itself is surer than what the inventory had. */
                if (lease->took[i] && row->driver_known)
                        lease->devices[i]->prior_known = false;
                device_take_result(broker, lease->devices[i], row);
        }
        if (lease->backend == POLICY_BACKEND_GROUP)
                r = take_groups(lease, result);
        lease->opened = result;

        if (lease->state != LEASE_OPENING) {
                /* It ended while the job ran. */
                lease_reclaim(lease);
                return;
        }

        if (result->error != 0) {
                r = refuse(&refusal, RESULT_DRIVER_BIND_FAILED, "The worker did not finish: %s (%s).",
                           result->text, strerror(result->error));
                lease_fail(lease, r, &refusal);
                broker_event(broker, EVENT_REFUSED, lease, NULL, result_to_string(refusal.code), "%s",
                             refusal.text);
                broker_lease_end(broker, lease, END_FAILED);
                return;
        }
        for (size_t i = 0; i < lease->n_devices && r == 0; i++)
                if (result->devices[i].error != 0)
                        r = refuse_job(lease->devices[i], result->devices + i, &refusal);
        if (r > 0) {
                lease_fail(lease, r, &refusal);
                broker_event(broker, EVENT_REFUSED, lease, NULL, result_to_string(refusal.code), "%s",
                             refusal.text);
                if (has_made(lease))
                        broker_lease_end(broker, lease, END_FAILED); /* which removes them */
                else
                        open_undone(lease, result);
                return;
        }

        if (r == 0 && broker->host->ops->process_alive(broker->host, lease->holder->pidfd) <= 0)
                r = -ESRCH;
        if (r == 0 && lease->target) {
                lease->opened = NULL; /* the lease may be gone when this returns */
                r = deliver_added(lease, result);
                if (r == 0)
                        return;
                lease->opened = result;
        } else if (r == 0)
                r = deliver(lease, result);
        if (r == 0) {
                lease->opened = NULL;
                return;
        }

        if (r == -ESRCH) {
                r = refuse(&refusal, RESULT_PROCESS_UNUSABLE, "Process %d has ended.", (int)lease->pid);
                lease_fail(lease, r, &refusal);
                broker_lease_end(broker, lease, END_PROCESS_EXITED);
                return;
        }
        lease_fail(lease, r, NULL);
        broker_lease_end(broker, lease, END_FAILED);
}

static void open_done(void *userdata, JobResult *result)
{
        Lease *lease = userdata;
        Broker *broker = lease->broker;

        take_open(lease, result); /* may free it */
        broker_job_ended(broker);
}

static void open_slow(void *userdata, uint64_t age_usec)
{
        Lease *lease = userdata;
        Refusal refusal;
        int r;

        if (lease->state != LEASE_OPENING)
                return;
        r = refuse(&refusal, RESULT_DRIVER_BIND_FAILED,
                   "The kernel has not finished within %llu s: most likely a driver's unbind waits for a "
                   "process that "
                   "still uses the device. It stays reserved until that ends.",
                   (unsigned long long)(age_usec / USEC_PER_SEC));
        lease_fail(lease, r, &refusal);
        broker_lease_end(lease->broker, lease, END_FAILED);
}

int lease_start_open(Lease *lease, const Job *open)
{
        Host *host = lease->broker->host;

        return host->ops->job_start(host, open, open_done, open_slow, lease, &lease->job);
}

/* The Lease of a plan, not yet in any table. */
static Lease *lease_of_plan(Broker *broker, const AcquireRequest *request, const AcquirePlan *plan)
{
        Lease *lease = calloc(1, sizeof(*lease));

        if (!lease)
                return NULL;
        lease_make_id(broker, lease->id);
        lease->state = LEASE_OPENING;
        lease->lifetime = request->lifetime;
        lease->backend = plan->backend;
        (void)snprintf(lease->label, sizeof(lease->label), "%s", strempty(request->label));
        (void)snprintf(
                lease->unit, sizeof(lease->unit), "%s",
                strempty(request->target_pidfd >= 0 ? request->target_facts.unit : request->caller.unit));
        lease->owner = request->owner;
        (void)snprintf(lease->owner_name, sizeof(lease->owner_name), "%s", strempty(request->owner_name));
        lease->pid = plan->pid;
        lease->uid = plan->process.uid;
        lease_set_caller(lease, &request->caller);
        lease->on_behalf = plan->process.mixed_uids || plan->process.uid != request->caller.uid;
        lease->ipc_lock = plan->process.ipc_lock;
        lease->target = plan->target;
        lease->memlock = plan->memlock;
        lease->slack = plan->tenant->memlock_slack;
        lease->since = broker->host->ops->now(broker->host);
        lease->reset = plan->tenant->reset;
        lease->restore_driver = plan->tenant->on_release == POLICY_RESTORE;
        lease->n_devices = plan->n_devices;
        memcpy(lease->devices, plan->devices, sizeof(lease->devices));
        return lease;
}

static void drop_made(Broker *broker, Device *const *devices, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (devices[i]->made)
                        mdev_unregister(broker, devices[i]);
}

static int acquire(Broker *broker, const AcquireRequest *request, AcquireDone done, void *userdata,
                   Refusal *refusal, Lease **ret)
{
        _cleanup_(plan_done) AcquirePlan plan = {};
        Container *container;
        Holder *holder;
        Tenant *tenant;
        Lease *lease;
        int r;

        r = plan_acquire(broker, request, &plan, refusal);
        if (r != 0)
                return r;
        r = broker_tenant_get(broker, plan.tenant->name, &tenant);
        if (r < 0)
                return r;
        if (tenant_is_busy(tenant))
                return refuse(
                        refusal, RESULT_RATE_LIMITED,
                        "%d leases of tenant %s are being opened or reclaimed, as many as may be at one "
                        "time; ask again.",
                        TENANT_JOBS_MAX, tenant->name);
        r = holder_get(broker, plan.pid, plan.pidfd, &plan.process, &holder);
        if (r < 0)
                return r;
        lease = lease_of_plan(broker, request, &plan);
        if (!lease) {
                holder_unref(broker, holder);
                return -ENOMEM;
        }
        if (plan.target)
                container = container_ref(broker, plan.target->container);
        else
                r = container_get(broker, tenant->name, plan.container, lease->id, plan.backend, &container);
        if (r < 0) {
                holder_unref(broker, holder);
                free(lease);
                if (r == -ENOMEM || r == -EEXIST)
                        return r;
                return refuse(refusal, RESULT_BACKEND_UNAVAILABLE, "No container can be opened: %s.",
                              strerror(-r));
        }
        r = mdev_register(broker, plan.devices, plan.n_devices);
        if (r >= 0) {
                r = lease_register(broker, tenant, holder, lease);
                if (r < 0)
                        drop_made(broker, plan.devices, plan.n_devices);
                plan.n_devices = 0;
        }
        if (r < 0) {
                container_unref(broker, container);
                holder_unref(broker, holder);
                free(lease);
                return r;
        }
        lease->container = container;
        plan.job.context = container->fd;
        lease->policy = policy_ref(broker->policy);
        NOTIFY(broker, lease_added, lease);
        for (size_t i = 0; i < lease->n_devices; i++) {
                Device *device = lease->devices[i];

                /* The record has to say what a driver is taken from before it is. */
                lease->took[i] = !device->info.driver_is_vfio && !device->made;
                if (lease->took[i]) {
                        memcpy(device->prior_driver, device->info.driver, sizeof(device->prior_driver));
                        memcpy(device->prior_override, device->info.driver_override,
                               sizeof(device->prior_override));
                        device->prior_known = true;
                }
        }

        keep_holder(broker, holder, lease->id);
        r = holder_read_base(broker, holder);
        if (r >= 0)
                r = lease_put_stale_records(broker);
        if (r >= 0)
                r = lease_put_record(lease);
        if (r >= 0)
                r = lease_watch(lease);
        if (r >= 0)
                r = mdev_start(lease, &plan.job);
        if (r < 0) {
                for (size_t i = 0; i < lease->n_devices; i++) {
                        Device *device = lease->devices[i];

                        if (lease->took[i])
                                device->prior_known = false;
                        lease_settle_device(lease, i);
                        broker_device_notify(device, broker);
                        if (device->made)
                                mdev_unregister(broker, device);
                }
                if (broker->store)
                        broker->store->lease_drop(broker->store_userdata, lease->id);
                lease_free(lease);
                if (r == -ESRCH)
                        return refuse(refusal, RESULT_PROCESS_UNUSABLE, "Process %d has ended.",
                                      (int)plan.pid);
                return refuse_start(r, refusal);
        }

        for (size_t i = 0; i < lease->n_devices; i++) {
                Device *device = lease->devices[i];

                device->proven = false;
                device->clean = false;
                if (device->kept_for[0]) {
                        linger_stop(broker, device);
                        (void)broker_device_put_record(broker, device);
                }
                (void)device_set_state(device, DEVICE_BINDING, "%s", "");
        }
        lease->done = done;
        lease->done_userdata = userdata;
        notify_devices(lease);
        *ret = lease;
        return 0;
}

int broker_acquire(Broker *broker, const AcquireRequest *request, AcquireDone done, void *userdata,
                   Refusal *refusal, Lease **ret)
{
        int r;

        r = acquire(broker, request, done, userdata, refusal, ret);
        broker->room_wanted |= r == RESULT_RATE_LIMITED;
        if (r > 0 && !(request->wait_usec > 0 && wait_may_help(r)))
                broker_refused(broker, request, refusal);
        broker_retry_stranded(broker);
        return r;
}

int broker_check(Broker *broker, const AcquireRequest *request, Refusal *refusal)
{
        _cleanup_(plan_done) AcquirePlan plan = {};
        int r;

        r = plan_acquire(broker, request, &plan, refusal);
        if (r == 0)
                (void)refuse(refusal, RESULT_OK, "%s", plan.rule);
        return r;
}

/* Tells the one who asked that the lease ended before it was opened. */
static void fail_opening(Lease *lease, EndReason reason)
{
        Refusal refusal;
        int r;

        if (reason == END_DEVICE_REMOVED)
                r = refuse(&refusal, RESULT_NO_SUCH_DEVICE,
                           "A device of the lease was removed from the machine while it was opened.");
        else if (reason == END_RELEASED || reason == END_REVOKED)
                r = refuse(&refusal, RESULT_NO_SUCH_LEASE, "The lease was %s while it was opened.",
                           end_reason_to_string(reason));
        else
                r = refuse(&refusal, RESULT_PROCESS_UNUSABLE, "The lease ended while it was opened: %s.",
                           end_reason_to_string(reason));
        lease_fail(lease, r, &refusal);
}

void broker_lease_end(Broker *broker, Lease *lease, EndReason reason)
{
        Host *host = broker->host;
        int r;

        if (lease->state == LEASE_RECLAIMING)
                return;

        lease_end_additions(lease, END_FAILED);
        lease_revoke_stop(lease);
        lease->state = LEASE_RECLAIMING;
        lease->end_reason = reason;
        unplug_unwatch(broker);
        if (lease->done)
                fail_opening(lease, reason);
        lease_fail_reissue(lease);
        r = holder_uncommit(lease);
        if (r < 0)
                broker_event(broker, EVENT_TROUBLE, lease, NULL, "",
                             "RLIMIT_MEMLOCK of process %d cannot be put back: %s", (int)lease->pid,
                             strerror(-r));
        host->ops->process_unwatch(host, lease->watch);
        lease->watch = NULL;
        lease->holder = holder_unref(broker, lease->holder);

        for (size_t i = 0; i < lease->n_devices; i++)
                if (!lease->settled[i] && lease->devices[i]->state != DEVICE_GONE &&
                    !(lease->devices[i]->old_job && lease->devices[i]->state == DEVICE_RECLAIMING))
                        (void)device_set_state(lease->devices[i], DEVICE_RECLAIMING, "its lease ended (%s)",
                                               end_reason_to_string(reason));
        (void)lease_put_record(lease);
        NOTIFY(broker, lease_changed, lease);
        for (size_t i = 0; i < broker->n_observers; i++)
                if (broker->observers[i].observer->lease_ended)
                        broker->observers[i].observer->lease_ended(broker->observers[i].userdata, lease,
                                                                   reason);
        notify_devices(lease);
        broker_event(broker, EVENT_ENDED, lease, NULL, end_reason_to_string(reason),
                     "Lease %s of tenant %s, process %d, ended: %s", lease->id, lease->tenant->name,
                     (int)lease->pid, end_reason_to_string(reason));

        if (!lease->job)
                lease_reclaim(lease);
}

void broker_lease_owned(Lease *lease, uint64_t owner)
{
        lease->owner = owner;
}

void broker_owner_gone(Broker *broker, uint64_t owner)
{
        Lease *lease, *next;

        waiters_owner_gone(broker, owner);

        for (lease = broker->leases; lease; lease = next) {
                next = lease->hh.next;
                if (lease->owner != owner || owner == 0)
                        continue;
                if (lease->state == LEASE_OPENING || lease->lifetime == LIFETIME_CONNECTION)
                        broker_lease_end(broker, lease, END_CONNECTION_CLOSED);
        }
}
