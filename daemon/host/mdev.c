/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Types, parents and instances of mdevs (drivers/vfio/mdev/mdev_sysfs.c and mdev_core.c, Linux 6.12). */

#include <fcntl.h>
#include <limits.h>

#include "daemon/host/link.h"
#include "daemon/host/mdev.h"

#define PARENTS_PATH "/sys/class/mdev_bus"

static int write_file(const char *path, const char *value, char *ret_text)
{
        _cleanup_close_ int fd = -EBADF;

        (void)snprintf(ret_text, REASON_MAX, "writing %s to %s", value, path);
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* A line of at most size - 1 bytes; "" where there is none. 0, or -errno where that is not known. */
static int read_line(const char *path, char *ret, size_t size)
{
        _cleanup_(fclosep) FILE *file = fopen(path, "re");
        int r = 0;

        if (!file || !fgets(ret, (int)size, file)) {
                if ((!file || ferror(file)) && errno_is_trouble(errno))
                        r = -errno;
                ret[0] = 0;
        }
        ret[strcspn(ret, "\n")] = 0;
        return r;
}

static int add_type(const char *parent, const char *type, MdevType **types, size_t *n)
{
        MdevType found = {}, *more;
        char path[PATH_MAX], number[16];
        int length, r;

        if (strlen(parent) >= sizeof(found.parent) || strlen(type) >= sizeof(found.type))
                return 0;
        strcpy(found.parent, parent);
        strcpy(found.type, type);
        length = snprintf(path, sizeof(path), PARENTS_PATH "/%s/mdev_supported_types/%s/", parent, type);
        (void)snprintf(path + length, sizeof(path) - (size_t)length, "name");
        r = read_line(path, found.name, sizeof(found.name));
        if (r < 0)
                return r;
        if (!found.name[0])
                strcpy(found.name, type);
        (void)snprintf(path + length, sizeof(path) - (size_t)length, "available_instances");
        r = read_line(path, number, sizeof(number));
        if (r < 0 && r != -EIO) /* which its driver may say, of this one type */
                return r;
        found.available = (unsigned)strtoul(number, NULL, 10);
        (void)snprintf(path, sizeof(path), PARENTS_PATH "/%s/numa_node", parent);
        (void)read_line(path, number, sizeof(number));
        found.numa_node = number[0] ? (int)strtol(number, NULL, 10) : -1;

        more = reallocarray(*types, *n + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        *types = more;
        more[(*n)++] = found;
        return 0;
}

static int compare_types(const void *a, const void *b)
{
        const MdevType *x = a, *y = b;
        int r = strcmp(x->type, y->type);

        return r != 0 ? r : strcmp(x->parent, y->parent);
}

int mdev_types_read(MdevType **ret, size_t *ret_n)
{
        _cleanup_(closedirp) DIR *parents = opendir(PARENTS_PATH);
        _cleanup_free_ MdevType *types = NULL;
        const char *parent = "", *type = "";
        char path[PATH_MAX];
        size_t n = 0;
        int r;

        while ((r = link_next_name(parents, &parent)) > 0) {
                _cleanup_(closedirp) DIR *dir = NULL;

                (void)snprintf(path, sizeof(path), PARENTS_PATH "/%s/mdev_supported_types", parent);
                dir = opendir(path);
                while ((r = link_next_name(dir, &type)) > 0) {
                        r = add_type(parent, type, &types, &n);
                        if (r < 0)
                                return r;
                }
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        if (n > 0)
                qsort(types, n, sizeof(*types), compare_types);
        *ret = TAKE_PTR(types);
        *ret_n = n;
        return 0;
}

int mdev_create(const char *parent, const char *type, const char *uuid, char *ret_text)
{
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), PARENTS_PATH "/%s/mdev_supported_types/%s/create", parent, type);
        return write_file(path, uuid, ret_text);
}

int mdev_remove(const char *uuid, char *ret_text)
{
        char path[PATH_MAX];
        int r;

        (void)snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", uuid);
        r = write_file(path, "1", ret_text);
        /* Attribute and device leave the bus first, before any wait. */
        return r == -ENOENT ? -ENODEV : r == -EAGAIN ? -EBUSY : r;
}
