/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Has one system call of the daemon or of its workers fail: the n-th of its kind from a moment on. Made with faults-exec,
 * which gives this its power over them. Linux 5.9 and later. */

#include <stdbool.h>
#include <stddef.h>

typedef struct Inject Inject;

/* A kind of call: whose, which, and of what ("unbind", "/proc", "socket", the name of an ioctl …). */
typedef struct Call {
        bool worker;
        char name[24];
        char what[40];
        unsigned n; /* so many were made */
} Call;

#define CALLS_MAX 512

/* Listens on that path. 0 or -errno. */
int inject_new(const char *path, Inject **ret);
Inject *inject_free(Inject *self);

/* The daemon was started that often; and its process now, 0 where it has ended. */
unsigned inject_starts(Inject *self);
int inject_pid(Inject *self);

/* From now on calls are counted, and the n-th of that kind fails with that errno; NULL for none. `start`: nothing counts
 * before a daemon that is started now has come to its own code. */
void inject_begin(Inject *self, const Call *call, unsigned nth, int error, bool start);
/* Until now. Whether a call was made to fail, and which. */
bool inject_end(Inject *self, char which[static 256]);
/* What was counted between the two; the array is good until the next begin. */
const Call *inject_calls(Inject *self, size_t *ret_n);
