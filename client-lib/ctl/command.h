/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* COMMAND of `vfiobrokerctl exec`: its placeholders, and the arguments that QEMU wants. Pure; what is asked
 * of a lease is known before there is one, so that a mistake is found before a device is taken.
 *
 * A placeholder is {name} or {name:argument}, the name of small letters and the argument of letters, digits,
 * '-' and '_': {iommufd}, {device} (the first) and {device:N}. Others are errors. {{name} is the text
 * {name}. Any other brace is text as well, so that JSON passes. */

#include "policy/util.h"

/* What a command asks of a lease. */
typedef struct CommandNeeds {
        bool iommufd;
        size_t n_devices; /* the highest device index, and one */
} CommandNeeds;

/* What a lease has: fds, borrowed; -1 for none. command_build() sets the marks of those that it used. */
typedef struct CommandFds {
        int iommufd;
        const int *devices;
        size_t n_devices;
        bool iommufd_used;
        bool *devices_used; /* as many as devices */
} CommandFds;

/* Reads the placeholders of a NULL-terminated command. -EINVAL with a text in *ret_error, the caller's to
 * free, where one is wrong. */
int command_scan(const char *const *command, CommandNeeds *ret, char **ret_error);

/* Makes the command with placeholders replaced and, for `qemu`, an -object and one -device for each device
 * appended. The command has passed command_scan(). -ENOENT where the lease lacks what is asked. */
int command_build(const char *const *command, CommandFds *fds, bool qemu, char ***ret);

/* Frees a NULL-terminated array with its strings; NULL is nothing. Returns NULL. */
char **command_free(char **command);

DEFINE_CLEANUP(char **, command_free)

/* Finds what execvp() would run: 0, -ENOENT where there is nothing of that name, -EACCES where there is and
 * none of it can be run. */
int command_find(const char *name, const char *path);

/* How many devices the arguments of --device stand for: at least *ret, and exactly where this returns true.
 */
bool command_count_devices(const char *const *devices, size_t *ret);
