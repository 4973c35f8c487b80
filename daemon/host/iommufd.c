/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The iommufd edge of the kernel. */

#include <fcntl.h>

#include "daemon/host/iommufd.h"
#include "daemon/host/node.h"
#include "daemon/host/uapi.h"

int iommufd_open(int *ret_fd)
{
        int fd = open(IOMMUFD_PATH, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);

        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int iommufd_set_rlimit_mode_process(int iommufd)
{
        struct iommu_option option = {
                .size = sizeof(option),
                .option_id = IOMMU_OPTION_RLIMIT_MODE,
                .op = IOMMU_OPTION_OP_SET,
                .val64 = 1,
        };

        return ioctl(iommufd, IOMMU_OPTION, &option) < 0 ? -errno : 0;
}

int iommufd_check(int fd)
{
        struct iommu_option option = {
                .size = sizeof(option),
                .option_id = IOMMU_OPTION_RLIMIT_MODE,
                .op = IOMMU_OPTION_OP_GET,
        };

        int r;

        r = node_check(fd, IOMMUFD_PATH);
        if (r < 0)
                return r;
        if (ioctl(fd, IOMMU_OPTION, &option) < 0)
                return node_errno(errno);
        return option.val64 == 1 ? 0 : -EBADF;
}
