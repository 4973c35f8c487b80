/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which device an open file is of. */

#include <sys/stat.h>

#include "daemon/host/node.h"

int node_errno(int error)
{
        return errno_is_trouble(error) ? -error : -EBADF;
}

int node_check(int fd, const char *path)
{
        struct stat file, node;

        if (fstat(fd, &file) < 0 || lstat(path, &node) < 0)
                return node_errno(errno);
        return S_ISCHR(file.st_mode) && S_ISCHR(node.st_mode) && file.st_rdev == node.st_rdev ? 0 : -EBADF;
}
