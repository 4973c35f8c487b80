/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making mdevs for a lease and removing them after it. The removal is the second part of the proof of freedom: it waits
 * for every file of the device, as the unbind of a driver does (mdev_device_remove() comes to vfio_unregister_group_dev(),
 * Linux 6.12), and leaves nothing that could be opened again. So it comes after the polite first part, which says without
 * waiting that somebody has it. */

#include "daemon/host/driver.h"
#include "daemon/host/job-internal.h"
#include "daemon/host/mdev.h"
#include "daemon/host/vfio.h"

/* What the kernel has made: its driver and group. */
static int look_at(const JobDevice *device, JobDeviceResult *row)
{
        int r = job_read_driver(device, row, false);

        row->driver_before_is_vfio = true; /* there was no other before */
        row->group = -1;
        if (r >= 0)
                r = vfio_group_number(device->bus, device->id, &row->group);
        if (r >= 0 && row->driver_is_vfio)
                return 0;
        (void)snprintf(row->text, sizeof(row->text),
                       r < 0 ? "looking for its driver and its group" : "its driver did not take it");
        return job_fail(row, STEP_MAKE, r < 0 ? r : -ENODEV);
}

void job_run_make(const Job *job, JobResult *result)
{
        uint64_t start = job_now_usec();
        char text[REASON_MAX];
        size_t n_made = 0;
        int r = 0;

        for (size_t i = 0; i < job->n_devices && r >= 0; i++) {
                const JobDevice *device = job->devices + i;
                JobDeviceResult *row = result->devices + i;

                r = mdev_create(device->mdev_parent, device->mdev_type, device->id, row->text);
                if (r < 0) {
                        job_fail(row, STEP_MAKE, r);
                        break;
                }
                n_made++;
                r = look_at(device, row);
        }
        for (size_t i = 0; i < n_made && r < 0; i++)
                (void)mdev_remove(job->devices[i].id, text); /* nobody can have it open */
        result->usec[STEP_MAKE] += job_now_usec() - start;
}

int job_remove_mdev(const Job *job, const JobDevice *device, JobDeviceResult *row, JobResult *result)
{
        uint64_t start = job_now_usec();
        int r;

        (void)snprintf(row->text, sizeof(row->text), "reading the driver of %s", device->id);
        r = driver_current(device->bus, device->id, row->driver_before, &row->driver_before_is_vfio);
        if (r < 0 && errno_is_trouble(r))
                return job_fail(row, STEP_PROVE_FREE, r);
        if (r >= 0 && row->driver_before_is_vfio) {
                r = job_ask_politely(device, job->backend, row);
                result->usec[STEP_PROVE_FREE] += job_now_usec() - start;
                if (r < 0)
                        return r;
                start = job_now_usec();
        }
        r = mdev_remove(device->id, row->text);
        result->usec[STEP_REMOVE] += job_now_usec() - start;
        row->removed = r >= 0 || r == -ENODEV;
        if (row->removed)
                return 0;
        return job_fail(row, r == -EBUSY ? STEP_PROVE_FREE : STEP_REMOVE, r);
}
