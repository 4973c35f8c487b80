/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening the devices of a lease: drivers, proof, reset, fds. All or nothing: where a step fails what this job did is
 * undone. */

#include "daemon/host/container.h"
#include "daemon/host/driver.h"
#include "daemon/host/job-internal.h"
#include "daemon/host/vfio.h"
#include "policy/policy-file.h"

/* --- iommufd: a cdev for each device, which the client binds ------------------------------------------------------ */

static int open_cdev(const JobDevice *device, JobDeviceResult *row)
{
        int r;

        (void)snprintf(row->text, sizeof(row->text), "opening the VFIO device node");
        r = vfio_open_cdev(device->bus, job_device_name(device), &row->fd);
        return r < 0 ? job_fail(row, STEP_OPEN, r) : 0;
}

/* Whether the device can be in a context that others use already. What the client will do is tried: the kernel's answer
 * is then ours, before anybody has an fd. */
static int try_join(const JobDevice *device, int context, JobDeviceResult *row)
{
        int r = job_trial_bind(device, row, context, false, false);

        if (r < 0 && row->step == STEP_PROVE_FREE)
                row->step = STEP_JOIN;
        return r;
}

/* --- group: groups in a container, devices out of groups ------------------------------------------------------------ */

int job_open_group(int number, int container, JobDeviceResult *row, int *ret_fd)
{
        _cleanup_close_ int fd = -EBADF;
        int r;

        (void)snprintf(row->text, sizeof(row->text), "opening VFIO group %d", number);
        r = group_open(number, &fd);
        if (r < 0)
                return job_fail(row, r == -EBUSY ? STEP_PROVE_FREE : STEP_OPEN, r);
        (void)snprintf(row->text, sizeof(row->text), "VFIO_GROUP_GET_STATUS: group %d is not viable",
                       number);
        r = group_viable_now(fd);
        if (r <= 0)
                return job_fail(row, STEP_PROVE_FREE, r < 0 ? r : -EPERM);
        (void)snprintf(row->text, sizeof(row->text), "VFIO_GROUP_SET_CONTAINER of group %d", number);
        r = group_set_container(fd, container);
        if (r < 0)
                return job_fail(row, STEP_JOIN, r);
        (void)snprintf(row->text, sizeof(row->text), "VFIO_SET_IOMMU for group %d", number);
        r = container_set_iommu(container);
        if (r < 0)
                return job_fail(row, r == -EPERM ? STEP_PROVE_FREE : STEP_JOIN, r);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int group_fd(const Job *job, const JobResult *result, int number)
{
        for (size_t i = 0; i < job->n_groups; i++)
                if (job->groups[i].number == number)
                        return job->groups[i].fd >= 0 ? job->groups[i].fd : result->group_fds[i];
        return -EBADF;
}

/* The groups that are not in the container yet. A failure stands in the row of the group's first device. */
static int open_groups(const Job *job, JobResult *result)
{
        for (size_t i = 0; i < job->n_groups; i++) {
                const JobGroup *group = job->groups + i;
                size_t row = 0;
                int r;

                if (group->fd >= 0)
                        continue;
                while (row + 1 < job->n_devices && job->devices[row].group != group->number)
                        row++;
                r = job_open_group(group->number, job->context, result->devices + row,
                                   result->group_fds + i);
                if (r < 0)
                        return r;
        }
        (void)container_iova_ranges(job->context, &result->n_iova, result->iova);
        return 0;
}

static int open_member(const Job *job, const JobDevice *device, JobResult *result, JobDeviceResult *row)
{
        int r;

        (void)snprintf(row->text, sizeof(row->text), "VFIO_GROUP_GET_DEVICE_FD of %s", device->id);
        r = group_get_device(group_fd(job, result, device->group), job_device_name(device), &row->fd);
        if (r < 0)
                return job_fail(row, STEP_OPEN, r);
        if (job->kind == JOB_OPEN && device->reset && row->reset == RESET_NOT_TRIED)
                job_reset_open(row->fd, device, row);
        return -row->error;
}

/* --- both ------------------------------------------------------------------------------------------------------------ */

static int open_device(const Job *job, size_t i, JobResult *result)
{
        const JobDevice *device = job->devices + i;
        JobDeviceResult *row = result->devices + i;
        uint64_t start = job_now_usec();
        int r;

        if (job->backend == POLICY_BACKEND_GROUP)
                r = open_member(job, device, result, row);
        else {
                r = job->join && job->context >= 0 ? try_join(device, job->context, row) : 0;
                if (r >= 0)
                        r = open_cdev(device, row);
        }
        result->usec[STEP_OPEN] += job_now_usec() - start;
        return r;
}

static int prove_device(const Job *job, size_t i, JobResult *result)
{
        const JobDevice *device = job->devices + i;
        JobDeviceResult *row = result->devices + i;
        bool fresh = !streq(row->driver_before, device->driver);

        return job_prove_and_reset(job, device, row, result, device->prove && !fresh, fresh);
}

/* All or nothing: each device that this job may have bound (n of them) goes back to the driver and the override of
 * before, the last one first. Errors of the undo do not hide the first one; which driver has the device then is read by the
 * caller. */
static void undo_open(const Job *job, JobResult *result, size_t n)
{
        char text[REASON_MAX];

        /* Devices before their groups, which the kernel lets out of the container only then. */
        for (size_t i = 0; i < job->n_devices; i++)
                result->devices[i].fd = safe_close(result->devices[i].fd);
        for (size_t i = 0; i < job->n_groups; i++)
                if (result->group_fds[i] >= 0)
                        (void)group_unset_container(result->group_fds[i]);
        job_result_close(result);
        while (n-- > 0) {
                const JobDevice *device = job->devices + n;
                const JobDeviceResult *row = result->devices + n;

                (void)driver_restore(device->bus, job_device_name(device), row->driver_before,
                                     row->override_before, text);
        }
}

/* Drivers first, for all devices: the kernel lets nobody bind a member of a group that a host driver still has a share
 * in. */
void job_run_open(const Job *job, JobResult *result)
{
        size_t n_bound = 0;
        int r = 0;

        /* One that is in use is refused before any other is touched, and again when it is its turn. */
        for (size_t i = 0; i < job->n_devices && r >= 0; i++) {
                UsageClaim claim = {};

                r = job_read_driver(job->devices + i, result->devices + i, true);
                if (r >= 0)
                        r = job_guard(job->devices + i, result->devices + i, &claim);
                usage_claim_done(&claim);
        }
        for (size_t i = 0; i < job->n_devices && r >= 0; i++) {
                n_bound++;
                r = job_bind_device(job->devices + i, result->devices + i, result);
        }
        for (size_t i = 0; i < job->n_devices && r >= 0; i++)
                r = prove_device(job, i, result);
        if (r >= 0 && job->backend == POLICY_BACKEND_GROUP)
                r = open_groups(job, result);
        for (size_t i = 0; i < job->n_devices && r >= 0; i++)
                r = open_device(job, i, result);

        if (r < 0)
                undo_open(job, result, n_bound);
        for (size_t i = 0; i < n_bound; i++)
                (void)job_read_driver(job->devices + i, result->devices + i, false);
}

void job_run_reissue(const Job *job, JobResult *result)
{
        int r = 0;

        for (size_t i = 0; i < job->n_devices && r >= 0; i++)
                r = open_device(job, i, result);
        if (r < 0)
                job_result_close(result);
}
