/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files that came from somewhere else, held against the nodes in /dev that they are said to be of. Does not block. */

#include "policy/util.h"

/* Whether the file is an open of that very character device, by its numbers: 0, -EBADF where it is not, or -errno where that
 * is not known (errno_is_trouble()). Thread-safe. */
int node_check(int fd, const char *path);

/* What a failed ioctl says of such a file: -EBADF, or -errno where it says nothing. */
int node_errno(int error);
