/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of usage.h share: one search, and looking around in sysfs. */

#include <limits.h>

#include "daemon/host/usage.h"

typedef struct UsageSearch {
        const char *root;
        char *mounts; /* /proc/1/mountinfo */
        char *swaps;  /* /proc/swaps */
        DeviceUsage *ret;
        int *error; /* the first that kept something from being read: then "not used" is not known */
} UsageSearch;

/* Notes an errno that says nothing of what was asked for (errno_is_trouble()); any other is an answer. */
void usage_trouble(const UsageSearch *search, int error);

/* Notes a use, where none was noted yet that is as bad. */
void usage_found(UsageSearch *search, UsageKind kind, const char *format, ...) _printf_(3, 4);

/* The first line of a file below the root; "" where there is none. */
void usage_read(const UsageSearch *search, char *ret, size_t size, const char *format, ...) _printf_(4, 5);

/* The folder of a device of a class, as "/sys/devices/…"; false where there is none. */
bool usage_class_path(const UsageSearch *search, const char *class, const char *name,
                      char ret[static PATH_MAX]);

/* Whether `path` is `top` or below it. */
bool usage_is_below(const char *path, const char *top);

/* Calls `each` for every name in a folder below the root, but those with a dot in front. */
typedef void (*UsageEach)(UsageSearch *search, const char *name, const void *data);
void usage_each(UsageSearch *search, UsageEach each, const void *data, const char *format, ...)
        _printf_(4, 5);

/* usage-block.c: the disks below a device. */
void usage_blocks(UsageSearch *search, const char *path);
/* And their names, without partitions: `each` for each of them. */
void usage_each_disk(UsageSearch *search, const char *path, UsageEach each, const void *data);
