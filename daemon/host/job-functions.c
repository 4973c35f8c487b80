/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The job that gives a physical function its virtual ones, by sriov_numvfs. The kernel goes from none to N and from N to
 * none only (sriov_numvfs_store() in drivers/pci/iov.c, Linux 6.12), so another number takes all away first.
 *
 * What the functions are made for is VFIO, so no driver of the host is to have them first, be it for a moment: as
 * network interfaces the host would name and configure them, and whatever it started there would be in the way when a
 * tenant asks. So sriov_drivers_autoprobe is switched off before they are made. It stays off as long as they are there,
 * since udev loads the driver's module when it sees them, and the module would take them all; driver_override, which the
 * broker works by, goes before it (pci_device_can_probe() in drivers/pci/pci-driver.c). It is switched on, the kernel's
 * default, when they are gone.
 *
 * A function that somebody has open is not taken away: the kernel would wait for it, uninterruptibly. */

#include <dirent.h>
#include <limits.h>

#include "daemon/host/driver.h"
#include "daemon/host/job-internal.h"
#include "daemon/host/link.h"

#define NUMBER    "sriov_numvfs"
#define AUTOPROBE "sriov_drivers_autoprobe"

/* The last part of what a link below a device points to. */
static int read_link(const char *bus, const char *name, const char *link, char *ret, size_t size)
{
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/%s", bus, name, link);
        return link_read_last(path, ret, size);
}

/* One function, by the name of the link to it: on a VFIO driver nobody may have it open. */
static int check_function(const JobDevice *pf, const char *link, JobDeviceResult *row)
{
        char driver[DRIVER_NAME_MAX], group[32];
        JobDevice function = { .group = -1 };
        bool vfio = false;
        int r;

        r = read_link(pf->bus, job_device_name(pf), link, function.id, sizeof(function.id));
        if (r >= 0)
                r = driver_current(pf->bus, function.id, driver, &vfio);
        if (r < 0 || !vfio)
                return r;
        memcpy(function.bus, pf->bus, sizeof(function.bus));
        r = read_link(pf->bus, function.id, "iommu_group", group, sizeof(group));
        if (r < 0 && errno_is_trouble(r))
                return r;
        if (r >= 0)
                function.group = atoi(group);

        r = job_ask_politely(&function, 0, row);
        if (r == -EBUSY)
                (void)snprintf(row->text, sizeof(row->text), "%s", function.id);
        return r;
}

static int check_functions(const JobDevice *pf, JobDeviceResult *row)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        const char *name = "";
        char path[PATH_MAX];
        int r;

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s", pf->bus, job_device_name(pf));
        (void)snprintf(row->text, sizeof(row->text), "looking for the virtual functions of %s", pf->id);
        dir = opendir(path);
        if (!dir)
                return -errno;
        while ((r = link_next_name(dir, &name)) > 0) {
                if (strncmp(name, "virtfn", 6) == 0)
                        r = check_function(pf, name, row);
                if (r < 0)
                        return r;
        }
        return r;
}

static int set_number(const JobDevice *pf, unsigned number, JobDeviceResult *row)
{
        char text[16];

        (void)snprintf(text, sizeof(text), "%u", number);
        return driver_write(pf->bus, job_device_name(pf), NUMBER, text, row->text);
}

static int set_autoprobe(const JobDevice *pf, bool on, JobDeviceResult *row)
{
        return driver_write(pf->bus, job_device_name(pf), AUTOPROBE, on ? "1" : "0", row->text);
}

/* From none to `number`. */
static int make(const JobDevice *pf, unsigned number, JobDeviceResult *row)
{
        char text[REASON_MAX];
        unsigned before = 1;
        int r;

        r = driver_read_number(pf->bus, job_device_name(pf), AUTOPROBE, &before, row->text);
        if (r >= 0)
                r = set_autoprobe(pf, false, row);
        if (r < 0)
                return r;
        r = set_number(pf, number, row);
        if (r < 0 && before != 0)
                (void)driver_write(pf->bus, job_device_name(pf), AUTOPROBE, "1", text);
        return r;
}

static int change(const Job *job, JobDeviceResult *row)
{
        const JobDevice *pf = job->devices;
        unsigned now = 0;
        int r;

        r = driver_read_number(pf->bus, job_device_name(pf), NUMBER, &now, row->text);
        if (r < 0)
                return r;
        row->functions = now;
        if (now == job->functions)
                return 0;
        if (now > 0) {
                if (job->keep_functions)
                        return -EEXIST;
                r = check_functions(pf, row);
                if (r >= 0)
                        r = set_number(pf, 0, row);
                if (r < 0)
                        return r;
                (void)set_autoprobe(pf, true, row);
                row->functions = 0;
        }
        if (job->functions > 0)
                r = make(pf, job->functions, row);
        return r < 0 ? r
                     : driver_read_number(pf->bus, job_device_name(pf), NUMBER, &row->functions, row->text);
}

void job_run_functions(const Job *job, JobResult *result)
{
        uint64_t start = job_now_usec();
        JobDeviceResult *row = result->devices;
        int r;

        r = change(job, row);
        if (r < 0 && row->error == 0)
                (void)job_fail(row, STEP_FUNCTIONS, r);
        result->usec[STEP_FUNCTIONS] += job_now_usec() - start;
}
