/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Links of sysfs, whose last part is what one wants of them: the name of a driver, the number of a group; and its folders,
 * whose names are what there is. */

#include <dirent.h>

#include "policy/util.h"

/* The last part of what the link points to. 0, -ENOENT where there is no link, -ENAMETOOLONG, or another -errno, with *ret
 * empty then. Thread-safe. */
int link_read_last(const char *path, char *ret, size_t size);

/* The next name of a folder that opendir() has just given, or NULL, but those with a dot in front; valid until the next
 * call. 1, 0 at the end or where there is no such folder, any other -errno where that is not known. As
 * thread-safe as `dir`. */
int link_next_name(DIR *dir, const char **ret);
