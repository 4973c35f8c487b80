/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening the devices of a lease: drivers, proof, reset, fds. All or nothing: where a step fails what this job did is
 * undone. */

#include "daemon/host/driver.h"
#include "daemon/host/iommufd.h"
#include "daemon/host/job-internal.h"
#include "daemon/host/vfio.h"

static int open_device(const JobDevice *device, JobDeviceResult *row, JobResult *result)
{
        bool fresh = !streq(row->driver_before, device->driver);
        uint64_t start;
        int r;

        r = job_prove_and_reset(device, row, result, device->prove && !fresh, fresh);
        if (r < 0)
                return r;

        start = job_now_usec();
        (void)snprintf(row->text, sizeof(row->text), "opening the VFIO device node");
        r = vfio_open_cdev(device->bus, job_device_name(device), &row->fd);
        result->usec[STEP_OPEN] += job_now_usec() - start;
        return r < 0 ? job_fail(row, STEP_OPEN, r) : 0;
}

static int open_iommufd(JobDeviceResult *row, int *ret_fd)
{
        int r;

        (void)snprintf(row->text, sizeof(row->text), "opening %s", IOMMUFD_PATH);
        r = iommufd_open(ret_fd);
        if (r >= 0) {
                (void)snprintf(row->text, sizeof(row->text), "IOMMU_OPTION_RLIMIT_MODE");
                r = iommufd_set_rlimit_mode_process(*ret_fd);
        }
        return r < 0 ? job_fail(row, STEP_OPEN, r) : 0;
}

/* All or nothing: what this job bound (n devices of it) goes back to the driver before. Errors of the undo do not hide
 * the first one. */
static void undo_open(const Job *job, JobResult *result, size_t n)
{
        char text[REASON_MAX];

        job_result_close(result);
        for (size_t i = 0; i < n; i++) {
                JobDeviceResult *row = result->devices + i;

                if (!row->driver_before_is_vfio)
                        (void)driver_restore(job->devices[i].bus, job_device_name(job->devices + i),
                                             row->driver_before, text);
        }
}

/* Drivers first, for all devices: the kernel lets nobody bind a member of a group that a host driver still has a share
 * in. */
void job_run_open(const Job *job, JobResult *result)
{
        size_t n_bound = 0;
        int r = 0;

        for (size_t i = 0; i < job->n_devices && r >= 0; i++) {
                r = job_read_driver(job->devices + i, result->devices + i, true);
                if (r < 0)
                        break;
                n_bound++;
                r = job_bind_device(job->devices + i, result->devices + i, result);
        }
        for (size_t i = 0; i < job->n_devices && r >= 0; i++)
                r = open_device(job->devices + i, result->devices + i, result);
        if (r >= 0)
                r = open_iommufd(result->devices, &result->iommufd);

        if (r < 0)
                undo_open(job, result, n_bound);
        for (size_t i = 0; i < n_bound; i++)
                (void)job_read_driver(job->devices + i, result->devices + i, false);
}
