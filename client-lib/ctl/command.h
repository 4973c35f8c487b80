/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* COMMAND of `vfiobrokerctl exec`: its placeholders, and the arguments that QEMU wants. Pure; what is asked
 * of a lease is known before there is one, so that a mistake is found before a device is taken.
 *
 * A placeholder is {name} or {name:argument}, the name of small letters and the argument of letters, digits,
 * '-' and '_': {iommufd}, {container}, {group}, {device} (the first), {group:N} and {device:N}. Others are errors.
 * {{name} is the text {name}. Any other brace is text as well, so that JSON passes. */

#include "client-lib/vfiobroker.h"
#include "policy/util.h"

#define COMMAND_KINDS (VFIOBROKER_FD_DEVICE + 1)

/* What a command asks of a lease: how many fds of each enum vfiobroker_fd_kind, the highest index and one. */
typedef struct CommandNeeds {
        size_t n[COMMAND_KINDS];
} CommandNeeds;

/* An fd of the lease, borrowed, in the lease's order. command_build() marks those that it used. */
typedef struct CommandFd {
        enum vfiobroker_fd_kind kind;
        int fd;
        bool used;
} CommandFd;

typedef struct CommandFds {
        CommandFd *rows;
        size_t n_rows;
} CommandFds;

/* Reads the placeholders of a NULL-terminated command. -EINVAL with a text in *ret_error, the caller's to
 * free, where one is wrong. */
int command_scan(const char *const *command, CommandNeeds *ret, char **ret_error);

/* The backend that a lease must have for the command: what was asked for (NULL for nothing), or what its placeholders or
 * QEMU can have, or NULL. -EINVAL with a text as above where the two cannot be. */
int command_backend(const CommandNeeds *needs, bool qemu, const char *asked, const char **ret,
                    char **ret_error);

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
