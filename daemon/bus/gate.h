/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a session's client sends, one whole message at a time, each within its bounds, before sd-bus sees any of it. */

#include "daemon/bus/bus-internal.h"

typedef struct Gate {
        int in;       /* the client's socket, borrowed */
        int out;      /* to sd-bus, owned */
        bool running; /* the client has said BEGIN */
        char line[128];
        size_t n_line, n_auth; /* bytes of this line; of all */
        uint8_t header[16];
        uint8_t *message; /* owned, while one is on its way; NULL: its header is not whole yet */
        size_t need, have;
        int fd; /* owned: came with the message, or -EBADF */
} Gate;

#define GATE_INIT                                                                                           \
        {                                                                                                   \
                .in = -EBADF, .out = -EBADF, .fd = -EBADF                                                   \
        }

typedef enum GateSays {
        GATE_WAIT,    /* nothing whole is there yet */
        GATE_LINE,    /* sd-bus has a line of the greeting to read */
        GATE_MESSAGE, /* or a message */
        GATE_TRIAL,   /* or one that came with an fd, without it: if sd-bus takes that, gate_hand_on_fd() */
} GateSays;

/* Reads what is there, up to the end of one line or message, and writes that to `out`. A GateSays, or a negative errno upon
 * which the session is to end: -ECONNRESET its client closed it, -EPROTO, -EMSGSIZE, -ETOOMANYREFS it broke the bounds. */
int gate_read(Gate *gate);

/* After GATE_TRIAL: the message once more, with its fd. 0 or a negative errno. */
int gate_hand_on_fd(Gate *gate);

void gate_done(Gate *gate);
