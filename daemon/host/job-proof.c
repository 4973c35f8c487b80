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

#include "daemon/host/bus-table.h"
#include "daemon/host/container.h"
#include "daemon/host/driver.h"
#include "daemon/host/iommufd.h"
#include "daemon/host/job-internal.h"
#include "daemon/host/uapi.h"
#include "daemon/host/vfio.h"
#include "policy/policy-file.h"

#define LOCK_TRIES      100 /* EAGAIN: the device's lock is busy (a reset, a sysfs write or read); 1 s in all */
#define LOCK_PAUSE_NSEC 10000000L

/* Whether to try once more what the kernel refused because somebody has the device's lock, which any local user has while he
 * reads some of its attributes (driver_override_show() in drivers/pci/pci-sysfs.c, Linux 6.12). Waits a little. */
static bool lock_was_busy(int r, unsigned *tries)
{
        if (r != -EAGAIN || (*tries)++ == LOCK_TRIES)
                return false;
        (void)nanosleep(&(struct timespec){ .tv_nsec = LOCK_PAUSE_NSEC }, NULL);
        return true;
}

/* There is no way to reset it alone. */
static int no_reset(const JobDevice *device, JobDeviceResult *row)
{
        row->reset = RESET_UNSUPPORTED;
        if (!device->reset_required)
                return 0;
        (void)snprintf(row->text, sizeof(row->text), "the device has no reset of its own");
        return job_fail(row, STEP_RESET, -EOPNOTSUPP);
}

void job_reset_open(int device_fd, const JobDevice *device, JobDeviceResult *row)
{
        unsigned tries = 0;
        uint32_t flags;
        int r;

        (void)snprintf(row->text, sizeof(row->text), "VFIO_DEVICE_RESET");
        r = vfio_device_get_info(device_fd, &flags);
        if (r >= 0 && !(flags & VFIO_DEVICE_FLAGS_RESET)) {
                (void)no_reset(device, row);
                return;
        }
        if (r >= 0)
                do
                        r = vfio_device_reset(device_fd);
                while (lock_was_busy(r, &tries));
        if (r >= 0) {
                row->reset = RESET_DONE;
                return;
        }
        row->reset = RESET_FAILED;
        row->reset_errno = -r;
        if (device->reset_required)
                job_fail(row, STEP_RESET, r);
}

int job_trial_bind(const JobDevice *device, JobDeviceResult *row, int context, bool suspect, bool reset)
{
        _cleanup_close_ int iommufd = -EBADF, fd = -EBADF;
        unsigned tries = 0;
        int r;

        if (context < 0) {
                (void)snprintf(row->text, sizeof(row->text), "opening %s", IOMMUFD_PATH);
                r = iommufd_open(&iommufd);
                if (r < 0)
                        return job_fail(row, STEP_OPEN, r);
                context = iommufd;
        }
        (void)snprintf(row->text, sizeof(row->text), "opening the VFIO device node");
        r = vfio_open_cdev(device->bus, job_device_name(device), &fd);
        if (r < 0)
                return job_fail(row, STEP_OPEN, r);

        do
                r = vfio_device_bind_iommufd(fd, context);
        while (lock_was_busy(r, &tries));
        (void)snprintf(row->text, sizeof(row->text), "VFIO_DEVICE_BIND_IOMMUFD");
        if (r == -EINVAL && suspect)
                r = -EBUSY;
        if (r < 0)
                return job_fail(row, STEP_PROVE_FREE, r);

        if (reset)
                job_reset_open(fd, device, row);
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

/* Whether the group's file can be opened, which it can by one at a time and while no cdev of a member is in use
 * (drivers/vfio/group.c, Linux 6.12). Resets nothing. -EOPNOTSUPP where the question cannot be put; where it failed, what
 * errno_is_trouble() knows. */
static int probe_group(const JobDevice *device, JobDeviceResult *row)
{
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (device->group < 0 || device->group_shared)
                return -EOPNOTSUPP;
        (void)snprintf(row->text, sizeof(row->text), "opening VFIO group %d", device->group);
        r = group_open(device->group, &fd);
        return r >= 0 || r == -EBUSY || errno_is_trouble(r) ? r : -EOPNOTSUPP;
}

/* Whether it has a cdev, and with it a second part of the proof. Who cannot find out has proved nothing. */
static int find_cdev(const JobDevice *device, JobDeviceResult *row)
{
        int r = vfio_has_cdev(device->bus, job_device_name(device));

        if (r >= 0)
                return r;
        (void)snprintf(row->text, sizeof(row->text), "looking for the VFIO device node");
        return job_fail(row, STEP_OPEN, r);
}

int job_ask_politely(const JobDevice *device, unsigned backend, JobDeviceResult *row)
{
        int has_cdev = find_cdev(device, row), r;

        if (has_cdev < 0)
                return has_cdev;
        r = probe_group(device, row);
        if (r >= 0)
                return 1;
        /* A member that somebody else uses keeps the group's file busy; the cdev tells one from the other. Not where the
         * group is in a container: its file is open, for those who go on. */
        if (has_cdev && !(backend == POLICY_BACKEND_GROUP && device->group_shared)) {
                r = job_trial_bind(device, row, -EBADF, true, false);
                return r < 0 ? r : 1;
        }
        /* That it could not be asked is not that only the driver's unbind can tell: that one may wait for ever. */
        return r == -EBUSY || errno_is_trouble(r) ? job_fail(row, STEP_PROVE_FREE, r) : 0;
}

/* Both parts of the proof. The device is on its VFIO driver before and after. Of a device that cannot be bound again there
 * is the first part only (the core keeps such a one with its tenant). Without cdevs no file can be open that the
 * group's does not know of, and the first part says it all. */
static int prove_free(const JobDevice *device, unsigned backend, JobDeviceResult *row, JobResult *result)
{
        const BusFacts *facts = bus_facts(device->bus);
        uint64_t start = job_now_usec();
        int has_cdev, r;

        has_cdev = find_cdev(device, row);
        if (has_cdev < 0)
                return has_cdev;
        r = job_ask_politely(device, backend, row);
        if (facts && facts->ready) {
                if (r == 0) {
                        (void)snprintf(row->text, sizeof(row->text),
                                       "it has neither a cdev nor a VFIO group");
                        r = job_fail(row, STEP_PROVE_FREE, -EOPNOTSUPP);
                }
        } else if (r == 0 || (r > 0 && has_cdev)) {
                r = driver_rebind(device->bus, job_device_name(device), device->driver, row->text);
                if (r < 0) {
                        char driver[DRIVER_NAME_MAX];
                        bool vfio;
                        /* It is as it was: only the proof is missing. */
                        bool same =
                                driver_current(device->bus, job_device_name(device), driver, &vfio) >= 0 &&
                                streq(driver, row->driver_before);

                        job_fail(row, same && job_was_short(-r) ? STEP_PROVE_FREE : STEP_BIND_DRIVER, r);
                }
        }
        result->usec[STEP_PROVE_FREE] += job_now_usec() - start;
        return r < 0 ? r : 0;
}

/* The same as job_trial_bind(), for a kernel without cdevs: a scratch container. */
static int trial_group(const JobDevice *device, JobDeviceResult *row, bool reset)
{
        _cleanup_close_ int container = -EBADF, group = -EBADF, fd = -EBADF;
        int r;

        (void)snprintf(row->text, sizeof(row->text), "opening %s", CONTAINER_PATH);
        r = container_open(&container);
        if (r < 0)
                return job_fail(row, STEP_OPEN, r);
        r = job_open_group(device->group, container, row, &group);
        if (r >= 0) {
                (void)snprintf(row->text, sizeof(row->text), "VFIO_GROUP_GET_DEVICE_FD of %s", device->id);
                r = group_get_device(group, job_device_name(device), &fd);
                if (r < 0)
                        job_fail(row, STEP_PROVE_FREE, r);
        }
        if (r < 0)
                return r;
        if (reset)
                job_reset_open(fd, device, row);
        return -row->error;
}

int job_prove_and_reset(const Job *job, const JobDevice *device, JobDeviceResult *row, JobResult *result,
                        bool suspect, bool fresh)
{
        int has_cdev, r = 0;
        uint64_t start;

        if (suspect)
                r = prove_free(device, job->backend, row, result);
        if (r < 0)
                return r;
        has_cdev = find_cdev(device, row);
        if (has_cdev < 0)
                return has_cdev;

        start = job_now_usec();
        r = suspect && device->reset ? reset_by_sysfs(device, row) : -ENOENT;
        /* The group backend resets it once it is open: job-open.c. */
        if (r == -ENOENT &&
            ((job->kind == JOB_OPEN && job->backend == POLICY_BACKEND_GROUP) || !(device->reset || fresh)))
                r = 0;
        else if (r == -ENOENT && has_cdev)
                r = job_trial_bind(device, row, -EBADF, false, device->reset);
        else if (r == -ENOENT && !device->group_shared)
                r = trial_group(device, row, device->reset);
        else if (r == -ENOENT)
                r = no_reset(device, row);
        result->usec[STEP_RESET] += job_now_usec() - start;
        return r;
}
