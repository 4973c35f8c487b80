/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant many AT-ONCE DEVICE...: one process for each device, that acquires it and holds it until it is killed, as a host full
 * of small machines; at most AT-ONCE of them ask at the same time. "ready N" when all have theirs. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tenant.h"
#include "vfio-client.h"

#define WAIT_USEC (120ull * 1000000) /* for room among the broker's jobs */

static void hold(const char *device, int tokens, int free_tokens)
{
        const char *const devices[] = { device, NULL };
        Client client;
        char token;

        if (read(tokens, &token, 1) != 1)
                die(errno, "await a turn");
        client_open(&client);
        client.wait_usec = WAIT_USEC;
        client_acquire(&client, devices, UINT64_MAX);
        if (write(free_tokens, &token, 1) != 1)
                die(errno, "give the turn on");
        for (;;)
                (void)pause();
}

int tenant_many(int argc, char **argv)
{
        unsigned at_once = (unsigned)number(argv[1]), n = (unsigned)argc - 2;
        int turns[2], done[2];
        char token = 0;

        if (pipe(turns) < 0 || pipe(done) < 0)
                die(errno, "make a pipe");
        for (unsigned i = 0; i < n; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        die(errno, "fork");
                if (pid == 0) {
                        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
                        hold(argv[2 + i], turns[0], done[1]);
                }
        }
        for (unsigned given = 0, taken = 0; taken < n;) {
                if (given < n && given - taken < at_once) {
                        if (write(turns[1], &token, 1) != 1)
                                die(errno, "give a turn");
                        given++;
                } else {
                        if (read(done[0], &token, 1) != 1)
                                die(errno, "await an answer");
                        taken++;
                }
        }
        ok("ready %u", n);
        (void)wait(NULL);
        die(0, "one of them ended");
}
