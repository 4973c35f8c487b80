/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The group backend's edge of the kernel: containers, groups in them, devices out of groups; one wrapper for each step,
 * as Documentation/driver-api/vfio.rst has them. Opening a container never blocks; a device's open resets it, and taking a
 * group out of its container unpins memory, so these run in workers. 0 or a negative errno; fds are O_CLOEXEC, the
 * caller's. */

#include "daemon/core/host.h"

#define CONTAINER_PATH "/dev/vfio/vfio"

/* A container without groups. -EPROTO where the kernel speaks another version of VFIO. */
int container_open(int *ret_fd);

/* Sets the best IOMMU type that the kernel has for the container, which needs a group in it: type1v2, type1, sPAPR TCE
 * v2, v1. Never no-IOMMU. Fine where another has set it in between. -ENODEV where there is no type. */
int container_set_iommu(int container);

/* The I/O addresses that it can map, at most IOVA_RANGES_MAX of them; 0 of them where the kernel does not say. 0 or -errno
 * where it does not even answer. */
int container_iova_ranges(int container, size_t *ret_n, struct IovaRange *ret);

/* The group's file. -EBUSY where it is open already, or a member's cdev is in use; -EACCES for a group without IOMMU. */
int group_open(int number, int *ret_fd);

/* Whether all of the group's devices are on VFIO drivers or on none. 1, 0 or -errno. */
int group_viable_now(int group);

/* Whether a file is a container, and what it can map; or that group's, in a container. 0, -EBADF where it is not, or -errno
 * where that is not known. */
int container_check(int fd, size_t *ret_n, struct IovaRange *ret);
int group_check(int number, int fd);

int group_set_container(int group, int container);
int group_unset_container(int group); /* -EBUSY while a device of the group is open */
int group_get_device(int group, const char *name, int *ret_fd);
