/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fresh fds for a lease, for a VMM that starts itself anew: the devices stay its tenant's all the time. An iommufd of one
 * lease alone is made anew, since the broker did not keep it; everything else is opened beside the old fds, and a cdev
 * can be bound once the old ones are closed. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/old-job.h"

typedef struct Reissue {
        char ids[JOB_DEVICES_MAX][DEVICE_ID_MAX]; /* not pointers: what is removed meanwhile may be gone */
        size_t n_devices;
        AcquireDone done; /* NULL once it was called */
        void *userdata;
} Reissue;

static void reissue_fail(Lease *lease, int error, const Refusal *refusal)
{
        AcquireOutcome outcome = { .error = error, .refusal = refusal };
        AcquireDone done = lease->reissue->done;

        lease->reissue->done = NULL;
        if (done)
                (void)done(lease->reissue->userdata, NULL, &outcome);
}

void lease_fail_reissue(Lease *lease)
{
        Refusal refusal;
        int r;

        if (!lease->reissue)
                return;
        r = refuse(&refusal, RESULT_NO_SUCH_LEASE, "The lease has ended: %s.",
                   end_reason_to_string(lease->end_reason));
        reissue_fail(lease, r, &refusal);
}

bool lease_reissues(const Lease *lease, const Device *device)
{
        for (size_t i = 0; lease->reissue && i < lease->reissue->n_devices; i++)
                if (streq(lease->reissue->ids[i], device->info.id))
                        return true;
        return false;
}

static void reissue_free(Lease *lease)
{
        free(lease->reissue);
        lease->reissue = NULL;
}

/* The fds in the order of the lease's devices; -EBADF for what was added since. */
static void sort_fds(const Lease *lease, const JobResult *result, int *ret_fds)
{
        for (size_t i = 0; i < lease->n_devices; i++) {
                ret_fds[i] = -EBADF;
                for (size_t k = 0; k < lease->reissue->n_devices && !lease->settled[i]; k++)
                        if (streq(lease->reissue->ids[k], lease->devices[i]->info.id))
                                ret_fds[i] = result->devices[k].fd;
        }
}

static void take_reissue(Lease *lease, JobResult *result)
{
        Broker *broker = lease->broker;
        LeaseFd rows[LEASE_FDS_MAX];
        char numbers[JOB_DEVICES_MAX][12];
        int fds[JOB_DEVICES_MAX];
        AcquireOutcome outcome = { .fds = rows };
        Refusal refusal;
        AcquireDone done;
        int r = 0;

        lease->job = NULL;
        if (!lease_is_held(lease)) {
                reissue_free(lease);
                lease_reclaim(lease);
                return;
        }
        if (result->error != 0)
                r = refuse(&refusal, RESULT_BACKEND_UNAVAILABLE, "The worker did not finish: %s (%s).",
                           result->text, strerror(result->error));
        for (size_t i = 0; i < lease->reissue->n_devices && r == 0; i++)
                if (result->devices[i].error != 0) {
                        const Device *device = broker_device(broker, lease->reissue->ids[i]);

                        r = device && lease_has_device(lease, device)
                                    ? refuse_job(device, result->devices + i, &refusal)
                                    : 0;
                }
        if (r != 0) {
                reissue_fail(lease, r, &refusal);
                container_delivered(lease->container);
                reissue_free(lease);
                return;
        }

        sort_fds(lease, result, fds);
        outcome.n_fds = lease_fd_rows(lease, 0, true, fds, rows, numbers);
        done = lease->reissue->done;
        lease->reissue->done = NULL;
        r = done ? done(lease->reissue->userdata, lease, &outcome) : 0;
        container_delivered(lease->container);
        reissue_free(lease);
        if (r < 0)
                broker_event(broker, EVENT_TROUBLE, lease, NULL, "", "The reply cannot be queued: %s",
                             strerror(-r));
        else
                broker_event(broker, EVENT_GRANTED, lease, NULL, "reissued",
                             "Lease %s: fresh file descriptors for %zu device(s) to tenant %s, process %d",
                             lease->id, lease->n_devices, lease->tenant->name, (int)lease->pid);
}

static void reissue_done(void *userdata, JobResult *result)
{
        Lease *lease = userdata;
        Broker *broker = lease->broker;

        take_reissue(lease, result); /* may free it */
        broker_job_ended(broker);
}

static int start(Broker *broker, Lease *lease, AcquireDone done, void *userdata)
{
        Container *container = lease->container;
        Job job;
        int r;

        lease->reissue = calloc(1, sizeof(*lease->reissue));
        if (!lease->reissue)
                return -ENOMEM;
        if (container->fd < 0) {
                r = broker->host->ops->context_open(broker->host, lease->backend, &container->fd);
                if (r < 0)
                        return r;
        }
        job_init(&job, JOB_REISSUE);
        job.backend = lease->backend;
        for (size_t i = 0; i < lease->n_devices; i++) {
                memcpy(lease->reissue->ids[job.n_devices], lease->devices[i]->info.id, DEVICE_ID_MAX);
                plan_job_device(lease->devices[i], broker->policy, POLICY_RESET_NONE,
                                job.devices + job.n_devices++);
                if (lease->backend == POLICY_BACKEND_GROUP)
                        job_group(&job, lease->devices[i]->info.group)->fd =
                                container_group_fd(container, lease->devices[i]->info.group);
        }
        lease->reissue->n_devices = job.n_devices;
        r = broker->host->ops->job_start(broker->host, &job, reissue_done, NULL, lease, &lease->job);
        if (r < 0) {
                container_delivered(container);
                return r;
        }
        lease->reissue->done = done;
        lease->reissue->userdata = userdata;
        return 0;
}

int broker_lease_reissue(Broker *broker, Lease *lease, unsigned fds_max, AcquireDone done, void *userdata,
                         Refusal *refusal)
{
        size_t n_groups = 0;
        int r;

        if (lease->state != LEASE_ACTIVE)
                return refuse(refusal, RESULT_NO_SUCH_LEASE, "Lease %s is %s, not active.", lease->id,
                              lease_state_to_string(lease->state));
        if (lease->job || old_job_has(lease))
                return refuse(refusal, RESULT_RATE_LIMITED,
                              "File descriptors of lease %s are being opened already; ask again.",
                              lease->id);
        if (tenant_is_busy(lease->tenant))
                return refuse(
                        refusal, RESULT_RATE_LIMITED,
                        "%d leases of tenant %s are being opened or reclaimed, as many as may be at one "
                        "time; ask again.",
                        TENANT_JOBS_MAX, lease->tenant->name);
        if (lease->container->lost && (lease->container->named || lease->backend == POLICY_BACKEND_GROUP))
                return refuse(refusal, RESULT_CONTAINER_INCOMPATIBLE,
                              "Container %s is from before a restart of the broker, which has its file "
                              "descriptor no more: use the ones that you have.",
                              lease->container->name);
        for (size_t i = 0; i < lease->n_devices; i++)
                n_groups += lease->backend == POLICY_BACKEND_GROUP && !lease->settled[i];
        r = lease_check_fds(1 + n_groups + lease->n_devices, fds_max, refusal);
        if (r != 0)
                return r;

        r = start(broker, lease, done, userdata);
        if (r < 0)
                reissue_free(lease);
        return refuse_start(r, refusal);
}
