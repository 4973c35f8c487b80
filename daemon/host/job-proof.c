/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The proof that a device is free, which each grant and each reclaim rests on, has two parts, since a device can be
 * open in two ways (drivers/vfio/device_cdev.c and vfio_main.c, Linux 6.12; both tried in the lab):
 *
 *  - A file that is bound to an iommufd: a trial bind of a fresh cdev to a scratch context fails with EINVAL as long as
 *    any reference to such a file lives, be it a dup, a message in flight, a mapping of a BAR, or KVM's VFIO device.
 *    An open of the group's file tells the same, where the device is alone in its group, without the two resets that a
 *    bind and its end cost. Either is polite: it blocks nobody, and so comes first.
 *  - A file that was opened and never bound. The trial bind does not see it, yet its holder could bind it at any later
 *    time: between two tenants, or the moment the next tenant's VMM dies. Only the unbind of the driver waits for these,
 *    and it cannot be interrupted. So once the trial bind has shown that nobody uses the device, the driver is unbound
 *    and bound again: when that returns, no file opened before exists. Here a hostile holder can make the worker wait,
 *    and nobody else.
 *
 * The reset comes after both, for a stale file could have been used in between. What has been proven stays so until the
 * broker opens the device for somebody, since nobody else but root can: a device that is available is granted without
 * another trial. */

#include <time.h>

#include "daemon/host/driver.h"
#include "daemon/host/iommufd.h"
#include "daemon/host/job-internal.h"
#include "daemon/host/uapi.h"
#include "daemon/host/vfio.h"

#define BIND_TRIES      100 /* EAGAIN: the device's lock is busy (a reset, a sysfs write); 1 s in all */
#define BIND_PAUSE_NSEC 10000000L

static void reset_bound(int device_fd, const JobDevice *device, JobDeviceResult *row)
{
        uint32_t flags;
        int r;

        (void)snprintf(row->text, sizeof(row->text), "VFIO_DEVICE_RESET");
        r = vfio_device_get_info(device_fd, &flags);
        if (r >= 0 && !(flags & VFIO_DEVICE_FLAGS_RESET)) {
                row->reset = RESET_UNSUPPORTED;
                if (device->reset_required) {
                        (void)snprintf(row->text, sizeof(row->text), "the device has no reset of its own");
                        job_fail(row, STEP_RESET, -EOPNOTSUPP);
                }
                return;
        }
        if (r >= 0)
                r = vfio_device_reset(device_fd);
        if (r >= 0) {
                row->reset = RESET_DONE;
                return;
        }
        row->reset = RESET_FAILED;
        row->reset_errno = -r;
        if (device->reset_required)
                job_fail(row, STEP_RESET, r);
}

int job_trial_bind(const JobDevice *device, JobDeviceResult *row, bool suspect, bool reset)
{
        _cleanup_close_ int iommufd = -EBADF, fd = -EBADF;
        int r;

        (void)snprintf(row->text, sizeof(row->text), "opening %s", IOMMUFD_PATH);
        r = iommufd_open(&iommufd);
        if (r < 0)
                return job_fail(row, STEP_OPEN, r);
        (void)snprintf(row->text, sizeof(row->text), "opening the VFIO device node");
        r = vfio_open_cdev(device->bus, job_device_name(device), &fd);
        if (r < 0)
                return job_fail(row, STEP_OPEN, r);

        for (unsigned i = 0;; i++) {
                r = vfio_device_bind_iommufd(fd, iommufd);
                if (r != -EAGAIN || i == BIND_TRIES)
                        break;
                (void)nanosleep(&(struct timespec){ .tv_nsec = BIND_PAUSE_NSEC }, NULL);
        }
        (void)snprintf(row->text, sizeof(row->text), "VFIO_DEVICE_BIND_IOMMUFD");
        if (r == -EINVAL && suspect)
                r = -EBUSY;
        if (r < 0)
                return job_fail(row, STEP_PROVE_FREE, r);

        if (reset)
                reset_bound(fd, device, row);
        /* The fds close here, and with them the trial. */
        return -row->error;
}

/* The reset by sysfs: one of the device, where the way through a bind costs three, for the kernel resets at each open and
 * each close too. -ENOENT where the device has none there. */
static int reset_by_sysfs(const JobDevice *device, JobDeviceResult *row)
{
        int r = driver_reset_device(device->bus, job_device_name(device), row->text);

        if (r == -ENOENT)
                return r;
        if (r >= 0) {
                row->reset = RESET_DONE;
                return 0;
        }
        row->reset = RESET_FAILED;
        row->reset_errno = -r;
        return device->reset_required ? job_fail(row, STEP_RESET, r) : 0;
}

/* Both parts of the proof. The device is on its VFIO driver before and after. */
static int prove_free(const JobDevice *device, JobDeviceResult *row, JobResult *result)
{
        uint64_t start = job_now_usec();
        int r;

        (void)snprintf(row->text, sizeof(row->text), "opening the VFIO group");
        r = vfio_group_probe(device->bus, job_device_name(device));
        if (r == -EOPNOTSUPP)
                r = job_trial_bind(device, row, true, false);
        else if (r < 0)
                job_fail(row, STEP_PROVE_FREE, r);
        if (r >= 0) {
                r = driver_unbind(device->bus, job_device_name(device), row->text);
                if (r >= 0)
                        r = driver_bind(device->bus, job_device_name(device), device->driver, row->text);
                if (r < 0)
                        job_fail(row, STEP_BIND_DRIVER, r);
        }
        result->usec[STEP_PROVE_FREE] += job_now_usec() - start;
        return r;
}

/* A device that came straight from a driver of the host is bound once in a trial all the same, so that what the kernel
 * has against it is known before the client runs into it. */
int job_prove_and_reset(const JobDevice *device, JobDeviceResult *row, JobResult *result, bool suspect,
                        bool fresh)
{
        uint64_t start;
        int r = 0;

        if (suspect)
                r = prove_free(device, row, result);
        if (r < 0)
                return r;

        start = job_now_usec();
        r = suspect && device->reset ? reset_by_sysfs(device, row) : -ENOENT;
        if (r == -ENOENT)
                r = device->reset || fresh ? job_trial_bind(device, row, false, device->reset) : 0;
        result->usec[STEP_RESET] += job_now_usec() - start;
        return r;
}
