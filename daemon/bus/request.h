/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The arguments of Acquire and CheckAccess, `as a{sv}`, read strictly: an unknown key, a key given twice, a wrong type
 * or a value out of its bounds is refused by name, never passed over. */

#include "daemon/bus/bus-internal.h"

typedef struct Request {
        AcquireRequest
                acquire; /* of it: all that the arguments say; the caller's part is for the caller to fill in */
        const char *devices[JOB_DEVICES_MAX];
        char owner_name[LEASE_OWNER_MAX + 1];
        int pidfd; /* option `pidfd` as it came, or -EBADF */
} Request;

/* 0, a Result, or a negative errno where the message cannot be read. Everything in `ret` is borrowed from the message,
 * which must be kept; `ret` must stay where it is, since it points into itself. `fds_max`: how many fds one message to the
 * caller carries (caller_fds_max()), the container's among them. */
int request_read(sd_bus_message *m, unsigned fds_max, Request *ret, Refusal *refusal);

/* The same for a list of devices alone, `as`. */
int request_read_devices(sd_bus_message *m, unsigned fds_max, Request *ret, Refusal *refusal);

/* Printable: no control characters, no line or paragraph separators, nothing that reorders or hides text. `s` is valid
 * UTF-8. */
bool request_is_printable(const char *s);
