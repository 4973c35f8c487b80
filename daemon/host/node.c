/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which device an open file is of. */

#include <sys/stat.h>

#include "daemon/host/node.h"

bool node_is(int fd, const char *path)
{
        struct stat file, node;

        return fstat(fd, &file) >= 0 && lstat(path, &node) >= 0 && S_ISCHR(file.st_mode) &&
               S_ISCHR(node.st_mode) && file.st_rdev == node.st_rdev;
}
