/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The VFIO edge of the kernel for the iommufd backend. */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "daemon/host/link.h"
#include "daemon/host/uapi.h"
#include "daemon/host/vfio.h"

/* "vfioN" and its device number, from the vfio-dev folder below the device. */
static int find_cdev(const char *bus, const char *name, char ret[static 32], dev_t *ret_dev)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        _cleanup_(fclosep) FILE *file = NULL;
        char path[PATH_MAX];
        unsigned major_number, minor_number;
        struct dirent *entry;
        int n;

        n = snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/vfio-dev", bus, name);
        dir = opendir(path);
        if (!dir)
                return errno == ENOENT ? -ENODEV : -errno;
        do {
                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return errno > 0 ? -errno : -ENODEV;
        } while (strncmp(entry->d_name, "vfio", 4) != 0 || strlen(entry->d_name) >= 32);
        memcpy(ret, entry->d_name, strlen(entry->d_name) + 1);

        (void)snprintf(path + n, sizeof(path) - (size_t)n, "/%s/dev", ret);
        file = fopen(path, "re");
        if (!file)
                return errno == ENOENT ? -EOPNOTSUPP : -errno; /* a kernel without VFIO_DEVICE_CDEV */
        if (fscanf(file, "%u:%u", &major_number, &minor_number) != 2)
                return -EIO;
        *ret_dev = makedev(major_number, minor_number);
        return 0;
}

int vfio_open_cdev(const char *bus, const char *name, int *ret_fd)
{
        _cleanup_close_ int fd = -EBADF;
        char node[32], path[PATH_MAX];
        struct stat st;
        dev_t dev = 0;
        int r;

        r = find_cdev(bus, name, node, &dev);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), "/dev/vfio/devices/%s", node);
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISCHR(st.st_mode) || st.st_rdev != dev)
                return -ESTALE;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int vfio_has_cdev(const char *bus, const char *name)
{
        char node[32];
        dev_t dev;
        int r;

        r = find_cdev(bus, name, node, &dev);
        return r >= 0 ? 1 : errno_is_trouble(r) ? r : 0;
}

int vfio_group_number(const char *bus, const char *name, int *ret)
{
        char path[PATH_MAX], number[32];
        int r;

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/iommu_group", bus, name);
        r = link_read_last(path, number, sizeof(number));
        if (r < 0 && errno_is_trouble(r))
                return r;
        *ret = r >= 0 ? atoi(number) : -1;
        return 0;
}

int vfio_device_bind_iommufd(int device_fd, int iommufd)
{
        struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };

        return ioctl(device_fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) < 0 ? -errno : 0;
}

int vfio_device_get_info(int device_fd, uint32_t *ret_flags)
{
        struct vfio_device_info info = { .argsz = sizeof(info) };

        if (ioctl(device_fd, VFIO_DEVICE_GET_INFO, &info) < 0)
                return -errno;
        *ret_flags = info.flags;
        return 0;
}

int vfio_device_reset(int device_fd)
{
        return ioctl(device_fd, VFIO_DEVICE_RESET) < 0 ? -errno : 0;
}
