/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The staged narrowing of the daemon and of its workers: what each may still ask of the kernel once it has everything
 * open that it needs. daemon/README.md tells the stages in prose. A process that breaks its filter is killed with
 * SIGSYS, and the kernel's log names the system call. Nothing here can be undone.
 *
 * Filters only ever narrow, and a worker inherits the daemon's before it adds its own: so the daemon's filter has to
 * let through what its workers need, and the workers' filter is a part of the daemon's. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One ioctl that may be used. Every row is open to the daemon, for its workers' sake; those with `worker` set to them. */
typedef struct SandboxIoctl {
        const char *name;
        unsigned long request;
        bool worker;
} SandboxIoctl;

/* The table, and its length. Static. */
const SandboxIoctl *sandbox_ioctls(size_t *ret_n);

/* The last step of start-up, before the first worker and before READY=1: loads the name-service modules (loading code is impossible afterwards),
 * keeps CAP_SYS_RESOURCE and CAP_KILL at most, makes the process undumpable, sets no_new_privs, installs the filter.
 * Everything that needs a socket of another family than AF_UNIX (the uevent monitor), an exec or a shared library must
 * be open or loaded before. Threads are not possible afterwards; plain fork() is. 0 or a negative errno; after an error
 * the process may be confined in part, and should exit. */
int sandbox_apply_daemon(void);

/* The first step of a worker, after fork() and before it looks at its job: keeps CAP_SYS_RESOURCE at most and installs
 * the narrower filter: files, the worker's ioctls, and the sockets that it was born with; no new process, no new
 * socket, no limit, no signal to anyone. Works whether or not the daemon's filter is there (unit tests). 0 or a
 * negative errno; after an error the worker must exit. It must leave by _exit(). */
int sandbox_apply_worker(void);

/* Lowers the capabilities of the process to those in `keep` (bits 1 << CAP_…) that it has; never raises one. The
 * bounding set follows where the process may change it; the ambient set is emptied. Part of the two above. 0 or a
 * negative errno. */
int sandbox_drop_capabilities(uint64_t keep);
