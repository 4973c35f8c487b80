/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The VFIO edge of the kernel for the group backend. */

#include <fcntl.h>

#include "daemon/host/container.h"
#include "daemon/host/node.h"
#include "daemon/host/uapi.h"

static int open_node(const char *path, int *ret_fd)
{
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);

        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int container_open(int *ret_fd)
{
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = open_node(CONTAINER_PATH, &fd);
        if (r < 0)
                return r;
        r = ioctl(fd, VFIO_GET_API_VERSION);
        if (r != VFIO_API_VERSION)
                return r < 0 ? -errno : -EPROTO;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int container_set_iommu(int container)
{
        static const int types[] = { VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU,
                                     VFIO_SPAPR_TCE_IOMMU };
        int r = -ENODEV;

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                if (ioctl(container, VFIO_CHECK_EXTENSION, types[i]) <= 0)
                        continue;
                if (ioctl(container, VFIO_SET_IOMMU, types[i]) >= 0)
                        return 0;
                r = -errno;
                if (errno_is_trouble(r))
                        return r; /* the next type is not the one that it should be */
        }
        /* Set already: then it answers what only a container with an IOMMU answers. */
        if (r == -EINVAL || r == -EBUSY) {
                struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

                if (ioctl(container, VFIO_IOMMU_GET_INFO, &info) >= 0)
                        return 0;
        }
        return r;
}

int container_iova_ranges(int container, size_t *ret_n, struct IovaRange *ret)
{
        union {
                struct vfio_iommu_type1_info info;
                uint8_t bytes[4096];
        } buffer = { .info = { .argsz = sizeof(buffer) } };
        uint32_t next;

        *ret_n = 0;
        if (ioctl(container, VFIO_IOMMU_GET_INFO, &buffer.info) < 0)
                return -errno;
        if (!(buffer.info.flags & VFIO_IOMMU_INFO_CAPS) || buffer.info.argsz > sizeof(buffer))
                return 0;
        next = buffer.info.cap_offset;
        while (next >= sizeof(buffer.info) && next + sizeof(struct vfio_info_cap_header) <= sizeof(buffer)) {
                const struct vfio_info_cap_header *header = (const void *)(buffer.bytes + next);
                const struct vfio_iommu_type1_info_cap_iova_range *range = (const void *)header;

                if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE &&
                    next + sizeof(*range) + range->nr_iovas * sizeof(range->iova_ranges[0]) <=
                            sizeof(buffer)) {
                        for (uint32_t i = 0; i < range->nr_iovas && *ret_n < IOVA_RANGES_MAX; i++)
                                ret[(*ret_n)++] = (struct IovaRange){ range->iova_ranges[i].start,
                                                                      range->iova_ranges[i].end };
                        return 0;
                }
                if (header->next <= next)
                        return 0; /* the kernel counts upwards; whatever does not is no list */
                next = header->next;
        }
        return 0;
}

int group_open(int number, int *ret_fd)
{
        char path[64];
        int r;

        (void)snprintf(path, sizeof(path), "/dev/vfio/%d", number);
        r = open_node(path, ret_fd);
        if (r == -ENOENT) {
                /* A group without IOMMU has another name, so that nobody takes it by mistake. */
                (void)snprintf(path, sizeof(path), "/dev/vfio/noiommu-%d", number);
                r = access(path, F_OK) == 0 ? -EACCES : -ENOENT;
        }
        return r;
}

int group_viable_now(int group)
{
        struct vfio_group_status status = { .argsz = sizeof(status) };

        if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0)
                return -errno;
        return (status.flags & VFIO_GROUP_FLAGS_VIABLE) != 0;
}

int group_set_container(int group, int container)
{
        return ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0 ? -errno : 0;
}

int group_unset_container(int group)
{
        return ioctl(group, VFIO_GROUP_UNSET_CONTAINER) < 0 ? -errno : 0;
}

int group_get_device(int group, const char *name, int *ret_fd)
{
        int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);

        if (fd < 0)
                return -errno;
        *ret_fd = fd; /* the kernel makes it O_CLOEXEC */
        return 0;
}

int container_check(int fd, size_t *ret_n, struct IovaRange *ret)
{
        int r;

        r = node_check(fd, CONTAINER_PATH);
        if (r < 0)
                return r;
        r = ioctl(fd, VFIO_GET_API_VERSION);
        if (r != VFIO_API_VERSION)
                return r < 0 ? node_errno(errno) : -EBADF;
        r = container_iova_ranges(fd, ret_n, ret);
        return r < 0 && errno_is_trouble(r) ? r : 0; /* without an IOMMU it has none */
}

int group_check(int number, int fd)
{
        struct vfio_group_status status = { .argsz = sizeof(status) };
        char path[64];
        int r;

        (void)snprintf(path, sizeof(path), "/dev/vfio/%d", number);
        r = node_check(fd, path);
        if (r < 0)
                return r;
        if (ioctl(fd, VFIO_GROUP_GET_STATUS, &status) < 0)
                return node_errno(errno);
        return status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET ? 0 : -EBADF;
}
