/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VFIO devices by their character device: finding and opening it, and one wrapper for each ioctl, named after it.
 * Opening never blocks; BIND and RESET may, and so run in workers. 0 or a negative errno; fds are O_CLOEXEC, the
 * caller's. */

#include "policy/util.h"

/* The cdev of a device, checked against the major:minor that sysfs gives: vfioN is renumbered at each bind. -ENODEV
 * where the device is on no VFIO driver, -ESTALE where node and sysfs do not agree. */
int vfio_open_cdev(const char *bus, const char *name, int *ret_fd);

/* 1 where it has one: the kernel offers them, and it is on a VFIO driver; 0; or -errno where that could not be found out. */
int vfio_has_cdev(const char *bus, const char *name);

/* Its IOMMU group, -1 for none. 0, or -errno where that could not be found out. */
int vfio_group_number(const char *bus, const char *name, int *ret);

int vfio_device_bind_iommufd(int device_fd, int iommufd);
int vfio_device_get_info(int device_fd, uint32_t *ret_flags); /* needs a bind before */
int vfio_device_reset(int device_fd);
