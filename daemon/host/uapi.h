/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The part of the kernel's VFIO and iommufd interface that the broker uses and that Debian 12's <linux/vfio.h> (6.1)
 * lacks: requests, structures and names as in <linux/vfio.h> and <linux/iommufd.h> of Linux 6.12. Where the installed
 * headers have them, those are used. An ABI of the kernel: nothing in here may ever change. */

#include <linux/types.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#else

#define IOMMUFD_TYPE       (';')
#define IOMMUFD_CMD_OPTION 0x87

enum iommufd_option {
        IOMMU_OPTION_RLIMIT_MODE = 0,
        IOMMU_OPTION_HUGE_PAGES = 1,
};

enum iommufd_option_ops {
        IOMMU_OPTION_OP_SET = 0,
        IOMMU_OPTION_OP_GET = 1,
};

struct iommu_option {
        __u32 size;
        __u32 option_id;
        __u16 op;
        __u16 __reserved;
        __u32 object_id;
        __aligned_u64 val64;
};

#define IOMMU_OPTION _IO(IOMMUFD_TYPE, IOMMUFD_CMD_OPTION)

#endif

#ifndef VFIO_DEVICE_BIND_IOMMUFD

struct vfio_device_bind_iommufd {
        __u32 argsz;
        __u32 flags;
        __s32 iommufd;
        __u32 out_devid;
};

#define VFIO_DEVICE_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)

#endif
