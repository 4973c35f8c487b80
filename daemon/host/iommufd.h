/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* iommufd contexts: opening one, and the one option that the broker sets. 0 or a negative errno. Never blocks. */

#include "policy/util.h"

#define IOMMUFD_PATH "/dev/iommu"

/* A fresh context, O_CLOEXEC, the caller's. -ENOENT where the kernel has no iommufd. */
int iommufd_open(int *ret_fd);

/* IOMMU_OPTION_RLIMIT_MODE = 1: pinned memory is charged to the process that maps it and not to its user. Needs
 * CAP_SYS_RESOURCE and a context without objects (drivers/iommu/iommufd/main.c, Linux 6.12); a holder without that
 * capability cannot set it back. */
int iommufd_set_rlimit_mode_process(int iommufd);

/* Whether it is a context, in that mode. 0, -EBADF where it is not, or -errno where that is not known. */
int iommufd_check(int fd);
