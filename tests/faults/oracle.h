/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the machine, systemd and the broker say of one device and of the daemon, as a text that is the same whenever
 * nothing is going on; and the calls that a client makes to the daemon. */

#include <systemd/sd-bus.h>

#include "tests/faults/inject.h"

#define BROKER  "org.vfiobroker1"
#define ROOT    "/org/vfiobroker1"
#define MANAGER BROKER, ROOT, BROKER ".Manager"

#define PATIENCE_USEC (20 * USEC_PER_SEC) /* for what comes at once, in an emulated machine under load */

typedef struct Stage {
        sd_bus *bus;
        Inject *inject;
        const char *folder; /* where the daemon keeps its records */
        const char *device;
        char *path;                /* of its object */
        char lease[256];           /* of the last stage_acquire() */
        char idle[32];             /* its state when it is nobody's */
        pid_t holder;              /* whose limit is looked at */
        bool changed;              /* the device has said so */
        char text[1024];           /* of oracle_look() */
        unsigned files, files_max; /* of the daemon; and how many there may be: some come late, and stay */
        char error[256];           /* name and text of the last call that failed */
} Stage;

void __attribute__((noreturn)) die(const char *what, int r);

/* A method without an answer: "" or the error's name, good until the next call. */
const char *stage_call(Stage *s, const char *path, const char *interface, const char *member,
                       const char *types, ...);
/* Acquire of the device on a connection; the fds are closed at once. */
const char *stage_acquire(Stage *s, sd_bus *bus);
/* Each lease that is there is released; returns how many of them were active, -1 where the daemon did not answer. */
int stage_release_all(Stage *s);
/* Whether its StateReason says that its driver, or what there was of an override, could not be put back. */
bool stage_not_put_back(Stage *s);
/* Hears of the device's changes from now on. 0 or -errno. */
int stage_watch(Stage *s);
/* The device's State, "" where nobody answers. */
void stage_state(Stage *s, char ret[static 32]);
/* Until the device is nobody's, or `usec` have passed; its state is in `ret`. */
void stage_settle(Stage *s, uint64_t usec, char ret[static 32]);

/* Into s->text. */
void oracle_look(Stage *s);
/* Until it is this text. False: it was not for PATIENCE_USEC, and s->text is what it was at last. */
bool oracle_await(Stage *s, const char *text);
