/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Links of sysfs, whose last part is what one wants of them: the name of a driver, the number of a group. */

#include "policy/util.h"

/* The last part of what the link points to. 0, -ENOENT where there is no link, -ENAMETOOLONG, or another -errno, with *ret
 * empty then. Thread-safe. */
int link_read_last(const char *path, char *ret, size_t size);
