/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The last look at what the host does with a device, right before its driver is taken from it: since the plan was made
 * somebody may have mounted it. */

#include <limits.h>

#include "daemon/host/job-internal.h"
#include "daemon/host/usage.h"

int job_guard(const JobDevice *device, JobDeviceResult *row, UsageClaim *ret)
{
        char link[PATH_MAX], path[PATH_MAX];
        DeviceUsage usage;
        int r;

        if (row->driver_before_is_vfio)
                return 0;
        (void)snprintf(row->text, sizeof(row->text), "finding out what the host uses %s for", device->id);
        (void)snprintf(link, sizeof(link), "/sys/bus/%s/devices/%s", device->bus, job_device_name(device));
        if (!realpath(link, path))
                return job_fail(row, STEP_IN_USE, -errno);

        r = usage_find("", path, &usage);
        if (r >= 0 && usage.kind == USAGE_NONE && !device->force_unbind)
                r = usage_claim(path, ret, &usage);
        if (r < 0)
                return job_fail(row, STEP_IN_USE, r);
        if (usage.kind == USAGE_NONE || (usage.kind == USAGE_HOST && device->force_unbind))
                return 0;
        memcpy(row->text, usage.text, sizeof(row->text));
        return job_fail(row, STEP_IN_USE, -EBUSY);
}
