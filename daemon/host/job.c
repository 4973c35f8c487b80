/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The jobs of a worker, but for the opening (job-open.c): bringing devices back, and what administrators ask. */

#include <poll.h>
#include <time.h>

#include "daemon/host/bus-table.h"
#include "daemon/host/container.h"
#include "daemon/host/driver.h"
#include "daemon/host/job-internal.h"

uint64_t job_now_usec(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

int job_fail(JobDeviceResult *row, JobStep step, int r)
{
        row->step = step;
        row->error = -r;
        return r;
}

const char *job_device_name(const JobDevice *device)
{
        return bus_device_name(device->bus, device->id);
}

/* "" where its bus has none. One that could not be read is no "": that would be put back in its place. */
static int read_override(const JobDevice *device, JobDeviceResult *row, char ret[static DRIVER_NAME_MAX])
{
        int r = driver_read_override(device->bus, job_device_name(device), ret);

        if (r >= 0)
                return 0;
        ret[0] = 0;
        if (!errno_is_trouble(r))
                return 0;
        (void)snprintf(row->text, sizeof(row->text), "reading driver_override of %s", device->id);
        return r;
}

int job_read_driver(const JobDevice *device, JobDeviceResult *row, bool before)
{
        int r = driver_current(device->bus, job_device_name(device),
                               before ? row->driver_before : row->driver_now,
                               before ? &row->driver_before_is_vfio : &row->driver_is_vfio);

        if (r < 0 && before)
                (void)snprintf(row->text, sizeof(row->text), "reading the driver of %s", device->id);
        if (before && r >= 0)
                r = read_override(device, row, row->override_before);
        if (before)
                return r < 0 ? job_fail(row, STEP_BIND_DRIVER, r) : 0;
        row->override_now[0] = 0;
        /* Of no VFIO device: the attribute waits for whoever takes its driver away, who may wait for this process. */
        if (r >= 0 && row->driver_now[0] && !row->driver_is_vfio)
                r = read_override(device, row, row->override_now);
        row->driver_known = r >= 0;
        return r;
}

int job_bind_device(const JobDevice *device, JobDeviceResult *row, JobResult *result)
{
        uint64_t start = job_now_usec();
        UsageClaim claim = {};
        int r;

        r = job_guard(device, row, &claim);
        if (r < 0)
                return r;
        /* Where another VFIO driver has it, it may be open as well: the unbind in driver_bind() waits for those. */
        r = driver_bind(device->bus, job_device_name(device), device->driver, row->text);
        usage_claim_done(&claim);
        result->usec[STEP_BIND_DRIVER] += job_now_usec() - start;
        return r < 0 ? job_fail(row, STEP_BIND_DRIVER, r) : 0;
}

static void restore_drivers(const Job *job, JobResult *result)
{
        uint64_t start = job_now_usec();

        /* A member that goes back to a host driver takes its group from the others: all of them, or none yet. */
        for (size_t i = 0; i < job->n_devices; i++)
                if (job_is_unproven(result->devices + i)) {
                        for (size_t k = 0; k < job->n_devices; k++) {
                                if (!job->devices[k].restore[0] || result->devices[k].error != 0)
                                        continue;
                                (void)snprintf(result->devices[k].text, REASON_MAX,
                                               "another device of the lease is");
                                job_fail(result->devices + k, STEP_PROVE_FREE, -EBUSY);
                        }
                        return;
                }

        for (size_t i = 0; i < job->n_devices; i++) {
                const JobDevice *device = job->devices + i;
                JobDeviceResult *row = result->devices + i;
                int r;

                if (!device->restore[0] || row->error != 0)
                        continue;
                r = driver_restore(device->bus, job_device_name(device),
                                   streq(device->restore, "-") ? "" : device->restore,
                                   device->restore_override, row->text);
                if (r < 0)
                        job_fail(row, STEP_RESTORE_DRIVER, r);
        }
        result->usec[STEP_RESTORE_DRIVER] += job_now_usec() - start;
}

/* Before anything slow: copies of device fds that nobody took, then what the container kept, which pins the memory of a
 * process that has ended. Where a device is open still, its group stays in the container until that is closed, since our
 * file is not the last then, and the proof finds it. */
static void let_go(const Job *job)
{
        struct pollfd barrier = { .fd = job->barrier };

        /* Whoever has a copy of what is let go of has closed it then: so ours is the last. */
        if (job->barrier >= 0)
                (void)poll(&barrier, 1, (int)(JOB_BARRIER_USEC / USEC_PER_MSEC));
        for (size_t i = 0; i < job->n_devices; i++)
                (void)safe_close(job->devices[i].fd);
        for (size_t i = 0; i < job->n_groups; i++)
                if (job->groups[i].fd >= 0) {
                        (void)group_unset_container(job->groups[i].fd);
                        (void)close(job->groups[i].fd);
                }
        (void)safe_close(job->context);
}

/* Of a device that the host has, to its VFIO driver; where it does not get there, back to what it had. */
static int bind_for_reset(const JobDevice *device, JobDeviceResult *row, JobResult *result)
{
        char text[REASON_MAX];
        int r;

        r = job_bind_device(device, row, result);
        if (r < 0)
                (void)driver_restore(device->bus, job_device_name(device), row->driver_before,
                                     row->override_before, text);
        return r;
}

static void run_reclaim(const Job *job, JobResult *result)
{
        let_go(job);
        for (size_t i = 0; i < job->n_devices; i++) {
                const JobDevice *device = job->devices + i;
                JobDeviceResult *row = result->devices + i;
                int r;

                if (device->remove) {
                        (void)job_remove_mdev(job, device, row, result);
                        continue;
                }
                r = job_read_driver(device, row, true);
                if (r < 0) {
                        (void)job_fail(row, STEP_PROVE_FREE, r); /* nothing was bound yet */
                        continue;
                }
                if (row->driver_before_is_vfio)
                        (void)job_prove_and_reset(job, device, row, result, true, false);
                else if (job->kind == JOB_RESET && bind_for_reset(device, row, result) >= 0)
                        (void)job_prove_and_reset(job, device, row, result, false, true);
                else if (!row->driver_before[0] && device->driver[0]) {
                        /* One may just be letting go: by hot unplug, an operator, a worker of a daemon that died. */
                        r = driver_await_release(device->bus, job_device_name(device), device->driver,
                                                 row->text);
                        if (r < 0)
                                (void)job_fail(row, STEP_PROVE_FREE, r);
                }
                /* Else no VFIO driver has it, and none let go of it before its files were closed. */
        }
        restore_drivers(job, result);
        for (size_t i = 0; i < job->n_devices; i++)
                if (!result->devices[i].removed)
                        (void)job_read_driver(job->devices + i, result->devices + i, false);
}

/* An administrator's bind or unbind. A device that is in use is refused, since its unbind would wait. */
static void run_rebind(const Job *job, JobResult *result)
{
        const JobDevice *device = job->devices;
        JobDeviceResult *row = result->devices;
        UsageClaim claim = {};
        int r;

        r = job_read_driver(device, row, true);
        if (r >= 0 && row->driver_before_is_vfio &&
            !(job->kind == JOB_BIND && streq(row->driver_before, device->driver)))
                r = job_ask_politely(device, job->backend, row);
        if (r >= 0 && !(job->kind == JOB_BIND && streq(row->driver_before, device->driver)))
                r = job_guard(device, row, &claim);
        if (r >= 0) {
                const char *name = job_device_name(device);
                char text[REASON_MAX];

                r = job->kind == JOB_BIND ? driver_bind(device->bus, name, device->driver, row->text)
                                          : driver_restore(device->bus, name, "", "", row->text);
                if (r < 0) {
                        job_fail(row, STEP_BIND_DRIVER, r);
                        (void)driver_restore(device->bus, name, row->driver_before, row->override_before,
                                             text);
                }
        }
        usage_claim_done(&claim);
        if (job_read_driver(device, row, false) >= 0 && r >= 0 && job->kind == JOB_BIND &&
            !row->driver_is_vfio) {
                /* The host's own driver: no override may keep it there. */
                (void)driver_restore(device->bus, job_device_name(device), device->driver, "", row->text);
                (void)job_read_driver(device, row, false);
        }
}

/* What cannot be done with a device that went meanwhile is no fault of it. Its event may come later than this. */
static void note_removed(const Job *job, JobResult *result)
{
        for (size_t i = 0; i < job->n_devices; i++)
                if ((job->kind == JOB_RECLAIM || result->devices[i].error != 0) &&
                    !driver_device_exists(job->devices[i].bus, job_device_name(job->devices + i)))
                        result->devices[i].removed = true;
}

void job_run(const Job *job, JobResult *ret)
{
        switch (job->kind) {
        case JOB_OPEN: job_run_open(job, ret); break;
        case JOB_REISSUE: job_run_reissue(job, ret); break;
        case JOB_RECLAIM:
        case JOB_RESET: run_reclaim(job, ret); break;
        case JOB_BIND:
        case JOB_UNBIND: run_rebind(job, ret); break;
        case JOB_FUNCTIONS: job_run_functions(job, ret); break;
        case JOB_MAKE: job_run_make(job, ret); break;
        case _JOB_KIND_MAX: ret->error = EINVAL; break;
        }
        if (job->kind == JOB_OPEN || job->kind == JOB_RECLAIM)
                note_removed(job, ret);
}
