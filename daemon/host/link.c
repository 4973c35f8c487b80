/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading what links and folders of sysfs say. Does not block. */

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

int link_next_name(DIR *dir, const char **ret)
{
        const struct dirent *entry;

        if (!dir)
                return errno == ENOENT || errno == ENODEV ? 0 : -errno;
        do {
                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return -errno; /* 0: that was all */
        } while (entry->d_name[0] == '.');
        *ret = entry->d_name;
        return 1;
}
