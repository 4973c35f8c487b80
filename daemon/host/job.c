/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The jobs of a worker.
 *
 * The proof that a device is free, which each grant and each reclaim rests on, has two parts, since a device can be
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

#include <fcntl.h>
#include <time.h>

#include "daemon/host/driver.h"
#include "daemon/host/iommufd.h"
#include "daemon/host/job.h"
#include "daemon/host/uapi.h"
#include "daemon/host/vfio.h"

#define BIND_TRIES      100 /* EAGAIN: the device's lock is busy (a reset, a sysfs write); 1 s in all */
#define BIND_PAUSE_NSEC 10000000L

static uint64_t now_usec(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static int fail(JobDeviceResult *row, JobStep step, int r)
{
        row->step = step;
        row->error = -r;
        return r;
}

/* The kernel's name of the device on its bus: what follows "BUS/" in the id of a device that is not PCI. */
static const char *device_name(const JobDevice *device)
{
        const char *slash = strchr(device->id, '/');

        return slash ? slash + 1 : device->id;
}

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
                        fail(row, STEP_RESET, -EOPNOTSUPP);
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
                fail(row, STEP_RESET, r);
}

/* Binds a fresh cdev to a scratch context, so that it fails where anybody else has the device bound; resets it in there
 * where `reset`. EINVAL is EBUSY's other name as long as files from before may exist (`suspect`). */
static int trial_bind(const JobDevice *device, JobDeviceResult *row, bool suspect, bool reset)
{
        _cleanup_close_ int iommufd = -EBADF, fd = -EBADF;
        int r;

        (void)snprintf(row->text, sizeof(row->text), "opening %s", IOMMUFD_PATH);
        r = iommufd_open(&iommufd);
        if (r < 0)
                return fail(row, STEP_OPEN, r);
        (void)snprintf(row->text, sizeof(row->text), "opening the VFIO device node");
        r = vfio_open_cdev(device->bus, device_name(device), &fd);
        if (r < 0)
                return fail(row, STEP_OPEN, r);

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
                return fail(row, STEP_PROVE_FREE, r);

        if (reset)
                reset_bound(fd, device, row);
        /* The fds close here, and with them the trial. */
        return -row->error;
}

/* The reset by sysfs: one of the device, where the way through a bind costs three, for the kernel resets at each open and
 * each close too. -ENOENT where the device has none there. */
static int reset_by_sysfs(const JobDevice *device, JobDeviceResult *row)
{
        int r = driver_reset_device(device->bus, device_name(device), row->text);

        if (r == -ENOENT)
                return r;
        if (r >= 0) {
                row->reset = RESET_DONE;
                return 0;
        }
        row->reset = RESET_FAILED;
        row->reset_errno = -r;
        return device->reset_required ? fail(row, STEP_RESET, r) : 0;
}

/* Both parts of the proof. The device is on its VFIO driver before and after. */
static int prove_free(const JobDevice *device, JobDeviceResult *row, JobResult *result)
{
        uint64_t start = now_usec();
        int r;

        (void)snprintf(row->text, sizeof(row->text), "opening the VFIO group");
        r = vfio_group_probe(device->bus, device_name(device));
        if (r == -EOPNOTSUPP)
                r = trial_bind(device, row, true, false);
        else if (r < 0)
                fail(row, STEP_PROVE_FREE, r);
        if (r >= 0) {
                r = driver_unbind(device->bus, device_name(device), row->text);
                if (r >= 0)
                        r = driver_bind(device->bus, device_name(device), device->driver, row->text);
                if (r < 0)
                        fail(row, STEP_BIND_DRIVER, r);
        }
        result->usec[STEP_PROVE_FREE] += now_usec() - start;
        return r;
}

/* The proof where it is due, and the reset after it. A device that came straight from a driver of the host is bound once
 * in a trial all the same, so that what the kernel has against it is known before the client runs into it. */
static int prove_and_reset(const JobDevice *device, JobDeviceResult *row, JobResult *result, bool suspect,
                           bool fresh)
{
        uint64_t start;
        int r = 0;

        if (suspect)
                r = prove_free(device, row, result);
        if (r < 0)
                return r;

        start = now_usec();
        r = suspect && device->reset ? reset_by_sysfs(device, row) : -ENOENT;
        if (r == -ENOENT)
                r = device->reset || fresh ? trial_bind(device, row, false, device->reset) : 0;
        result->usec[STEP_RESET] += now_usec() - start;
        return r;
}

static int read_driver(const JobDevice *device, JobDeviceResult *row, bool before)
{
        int r = driver_current(device->bus, device_name(device),
                               before ? row->driver_before : row->driver_now,
                               before ? &row->driver_before_is_vfio : &row->driver_is_vfio);

        if (r < 0 && before)
                (void)snprintf(row->text, sizeof(row->text), "reading the driver of %s", device->id);
        if (before)
                return r < 0 ? fail(row, STEP_BIND_DRIVER, r) : 0;
        row->driver_known = r >= 0;
        return r;
}

static int bind_device(const JobDevice *device, JobDeviceResult *row, JobResult *result)
{
        uint64_t start = now_usec();
        int r;

        /* Where another VFIO driver has it, it may be open as well: the unbind in driver_bind() waits for those. */
        r = driver_bind(device->bus, device_name(device), device->driver, row->text);
        result->usec[STEP_BIND_DRIVER] += now_usec() - start;
        return r < 0 ? fail(row, STEP_BIND_DRIVER, r) : 0;
}

static int open_device(const JobDevice *device, JobDeviceResult *row, JobResult *result)
{
        bool fresh = !streq(row->driver_before, device->driver);
        uint64_t start;
        int r;

        r = prove_and_reset(device, row, result, device->prove && !fresh, fresh);
        if (r < 0)
                return r;

        start = now_usec();
        (void)snprintf(row->text, sizeof(row->text), "opening the VFIO device node");
        r = vfio_open_cdev(device->bus, device_name(device), &row->fd);
        result->usec[STEP_OPEN] += now_usec() - start;
        return r < 0 ? fail(row, STEP_OPEN, r) : 0;
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
        return r < 0 ? fail(row, STEP_OPEN, r) : 0;
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
                        (void)driver_restore(job->devices[i].bus, device_name(job->devices + i),
                                             row->driver_before, text);
        }
}

/* Drivers first, for all devices: the kernel lets nobody bind a member of a group that a host driver still has a share
 * in. */
static void run_open(const Job *job, JobResult *result)
{
        size_t n_bound = 0;
        int r = 0;

        for (size_t i = 0; i < job->n_devices && r >= 0; i++) {
                r = read_driver(job->devices + i, result->devices + i, true);
                if (r < 0)
                        break;
                n_bound++;
                r = bind_device(job->devices + i, result->devices + i, result);
        }
        for (size_t i = 0; i < job->n_devices && r >= 0; i++)
                r = open_device(job->devices + i, result->devices + i, result);
        if (r >= 0)
                r = open_iommufd(result->devices, &result->iommufd);

        if (r < 0)
                undo_open(job, result, n_bound);
        for (size_t i = 0; i < n_bound; i++)
                (void)read_driver(job->devices + i, result->devices + i, false);
}

static void restore_drivers(const Job *job, JobResult *result)
{
        uint64_t start = now_usec();

        /* A member that goes back to a host driver takes its group from the others: all of them, or none yet. */
        for (size_t i = 0; i < job->n_devices; i++)
                if (result->devices[i].step == STEP_PROVE_FREE) {
                        for (size_t k = 0; k < job->n_devices; k++) {
                                if (!job->devices[k].restore[0] || result->devices[k].error != 0)
                                        continue;
                                (void)snprintf(result->devices[k].text, REASON_MAX,
                                               "another device of the lease is");
                                fail(result->devices + k, STEP_PROVE_FREE, -EBUSY);
                        }
                        return;
                }

        for (size_t i = 0; i < job->n_devices; i++) {
                const JobDevice *device = job->devices + i;
                JobDeviceResult *row = result->devices + i;
                int r;

                if (!device->restore[0] || row->error != 0)
                        continue;
                r = driver_restore(device->bus, device_name(device),
                                   streq(device->restore, "-") ? "" : device->restore, row->text);
                if (r < 0)
                        fail(row, STEP_RESTORE_DRIVER, r);
        }
        result->usec[STEP_RESTORE_DRIVER] += now_usec() - start;
}

static void run_reclaim(const Job *job, JobResult *result)
{
        for (size_t i = 0; i < job->n_devices; i++) {
                const JobDevice *device = job->devices + i;
                JobDeviceResult *row = result->devices + i;

                if (read_driver(device, row, true) < 0)
                        continue;
                if (row->driver_before_is_vfio)
                        (void)prove_and_reset(device, row, result, true, false);
                else if (job->kind == JOB_RESET && bind_device(device, row, result) >= 0)
                        (void)prove_and_reset(device, row, result, false, true);
                /* Else no VFIO driver has it, and none let go of it before its files were closed. */
        }
        restore_drivers(job, result);
        for (size_t i = 0; i < job->n_devices; i++)
                (void)read_driver(job->devices + i, result->devices + i, false);
}

/* An administrator's bind or unbind. A device that is in use is refused, since its unbind would wait. */
static void run_rebind(const Job *job, JobResult *result)
{
        const JobDevice *device = job->devices;
        JobDeviceResult *row = result->devices;
        int r;

        r = read_driver(device, row, true);
        if (r >= 0 && row->driver_before_is_vfio &&
            !(job->kind == JOB_BIND && streq(row->driver_before, device->driver)))
                r = trial_bind(device, row, true, false);
        if (r >= 0) {
                r = job->kind == JOB_BIND
                            ? driver_bind(device->bus, device_name(device), device->driver, row->text)
                            : driver_restore(device->bus, device_name(device), "", row->text);
                if (r < 0)
                        fail(row, STEP_BIND_DRIVER, r);
        }
        if (read_driver(device, row, false) >= 0 && r >= 0 && job->kind == JOB_BIND && !row->driver_is_vfio)
                /* The host's own driver: no override may keep it there. */
                (void)driver_restore(device->bus, device_name(device), device->driver, row->text);
}

void job_run(const Job *job, JobResult *ret)
{
        switch (job->kind) {
        case JOB_OPEN: run_open(job, ret); break;
        case JOB_RECLAIM:
        case JOB_RESET: run_reclaim(job, ret); break;
        case JOB_BIND:
        case JOB_UNBIND: run_rebind(job, ret); break;
        case _JOB_KIND_MAX: ret->error = EINVAL; break;
        }
}
