/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl host: what of the host is fit for lending devices, on one screen. What the broker's backends and isolation
 * are the broker says, since it decides by that; how the devices hang together is in sysfs for everybody to read, also of
 * devices that the caller may not use. */

#include <dirent.h>
#include <limits.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/verdict.h"

#define ROWS    23 /* of a terminal of 24, with the prompt */
#define DEVICES "/sys/bus/pci/devices"

static bool exists(const char *id, const char *attribute)
{
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), DEVICES "/%s/%s", id, attribute);
        return access(path, F_OK) == 0;
}

static int read_device(const char *id, HostDevice *ret)
{
        _cleanup_(fclosep) FILE *class = NULL;
        char path[PATH_MAX], target[PATH_MAX];
        const char *slash;
        unsigned code = 0;
        ssize_t n;

        *ret = (HostDevice){ .group = -1 };
        if (strlen(id) >= sizeof(ret->id))
                return -ENAMETOOLONG;
        strcpy(ret->id, id);
        (void)snprintf(path, sizeof(path), DEVICES "/%s", id);
        if (!realpath(path, target))
                return -errno;
        if (strlen(target) >= sizeof(ret->path))
                return -ENAMETOOLONG;
        strcpy(ret->path, target);

        (void)snprintf(path, sizeof(path), DEVICES "/%s/class", id);
        class = fopen(path, "re");
        if (class && fscanf(class, "%x", &code) == 1)
                ret->bridge = code >> 16 == 0x06;
        ret->express = exists(id, "max_link_speed");

        (void)snprintf(path, sizeof(path), DEVICES "/%s/iommu_group", id);
        n = readlink(path, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = 0;
        slash = strrchr(target, '/');
        if (slash)
                ret->group = atoi(slash + 1);

        (void)snprintf(path, sizeof(path), DEVICES "/%s/driver", id);
        n = ret->bridge ? readlink(path, target, sizeof(target) - 1) : -1;
        target[n < 0 ? 0 : n] = 0;
        slash = strrchr(target, '/');
        if (slash)
                (void)snprintf(ret->driver, sizeof(ret->driver), "%.31s", slash + 1);
        return 0;
}

static int compare(const void *a, const void *b)
{
        return strcmp(((const HostDevice *)a)->id, ((const HostDevice *)b)->id);
}

/* A host without PCI has none. */
static int read_devices(HostDevice **ret, size_t *ret_n)
{
        _cleanup_(closedirp) DIR *dir = opendir(DEVICES);
        _cleanup_free_ HostDevice *devices = NULL;
        struct dirent *entry;
        size_t n = 0;

        while (dir && (entry = readdir(dir))) {
                HostDevice *more;

                if (entry->d_name[0] == '.')
                        continue;
                more = reallocarray(devices, n + 1, sizeof(*more));
                if (!more)
                        return -ENOMEM;
                devices = more;
                if (read_device(entry->d_name, devices + n) >= 0)
                        n++;
        }
        if (n > 0)
                qsort(devices, n, sizeof(*devices), compare);
        *ret = TAKE_PTR(devices);
        *ret_n = n;
        return 0;
}

int verb_host(const Verb *verb, int argc, char **argv)
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        _cleanup_(vfiobroker_host_freep) struct vfiobroker_host *host = NULL;
        _cleanup_free_ HostDevice *devices = NULL;
        size_t n = 0;
        int r, code;

        if (verb_arguments(verb, argc, argv, 0, 0, &code) < 0)
                return code;

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;
        r = vfiobroker_get_host(broker, &host);
        if (r < 0) {
                (void)ctl_refused(broker, "Cannot ask the broker", r);
                return EXIT_FAILURE;
        }
        r = read_devices(&devices, &n);
        if (r < 0) {
                ctl_error("%s", strerror(-r));
                return EXIT_FAILURE;
        }
        return verdict_print(host, devices, n, ROWS, stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
