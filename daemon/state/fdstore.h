/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files that outlive the daemon: systemd keeps a copy of each under a name of its own, and gives them to the next start
 * (sd_notify(3), FDSTORE=1). Without systemd, or where the unit has no store, nothing is kept, and the start is one without
 * files. Event loop only; a call may wait for room in the service manager's socket, as every sd_notify() does. */

#include "policy/util.h"

typedef struct FdStore FdStore;

/* Takes over what systemd passed to this process (sd_listen_fds_with_names(3)). Of a name that stands for two files neither
 * is believed; they count as left. 0 or -errno. */
int fdstore_new(FdStore **ret);
FdStore *fdstore_free(FdStore *fds); /* closes what nobody took; it stays kept */

/* A copy of `fd` is kept under that name, which has letters, digits and dashes. */
void fdstore_keep(FdStore *fds, const char *name, int fd);
void fdstore_forget(FdStore *fds, const char *name);
/* The file of that name, the caller's; it stays kept. -ENOENT. */
int fdstore_take(FdStore *fds, const char *name, int *ret_fd);
/* The end of a pipe, the caller's, that hangs up once systemd has closed all that was forgotten so far. -ENOENT where there is
 * nobody. */
int fdstore_barrier(FdStore *fds, int *ret_fd);

/* What nobody has taken is closed and forgotten; `told` hears the name of each. */
void fdstore_drop_rest(FdStore *fds, void (*told)(void *userdata, const char *name), void *userdata);

DEFINE_CLEANUP(FdStore *, fdstore_free)
