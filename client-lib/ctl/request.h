/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What `check` and `exec` have in common: the devices and the options of a request, from the command line. */

#include <getopt.h>

#include "client-lib/vfiobroker.h"
#include "policy/util.h"

/* Strings are the command line's. */
typedef struct Request {
        struct vfiobroker_acquire_options options;
        const char **devices; /* NULL-terminated once there is one */
        size_t n_devices;
} Request;

#define REQUEST_INIT                                                                                        \
        {                                                                                                   \
                .options = VFIOBROKER_ACQUIRE_OPTIONS_INIT                                                  \
        }

/* clang-format off */
#define REQUEST_OPTIONS                                                                                      \
        { "tenant", required_argument, NULL, 't' },                                                          \
        { "memlock", required_argument, NULL, 'm' },                                                         \
        { "backend", required_argument, NULL, 'b' },                                                         \
        { "container", required_argument, NULL, 'c' }
/* clang-format on */

/* Takes one of these options. -EINVAL for another, and for a memlock that is no size, in which case it says
 * so. */
int request_option(Request *request, int option, const char *value);

int request_add_device(Request *request, const char *device);

void request_done(Request *request);
