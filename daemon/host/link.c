/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading what a link of sysfs says. Does not block. */

#include <limits.h>
#include <unistd.h>

#include "daemon/host/link.h"

int link_read_last(const char *path, char *ret, size_t size)
{
        char target[PATH_MAX];
        const char *last;
        ssize_t n;

        ret[0] = 0;
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                return -errno;
        target[n] = 0;
        last = strrchr(target, '/');
        last = last ? last + 1 : target;
        if (strlen(last) >= size)
                return -ENAMETOOLONG;
        strcpy(ret, last);
        return 0;
}
