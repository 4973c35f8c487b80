/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* session DEVICE...: a program that confines itself as a VMM does. It opens a session, leaves the bus, and gives up by filter
 * all that could open, connect or execute anything; a call that it has no more kills it. Only then it asks for devices, for
 * as long as the session lasts. SIGUSR1 closes session and devices, SIGTERM ends it. */

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "vfio-client.h"

static void confine(void)
{
        static const int gone[] = {
                SCMP_SYS(open),        SCMP_SYS(openat),  SCMP_SYS(openat2),    SCMP_SYS(open_by_handle_at),
                SCMP_SYS(socket),      SCMP_SYS(connect), SCMP_SYS(socketpair), SCMP_SYS(bind),
                SCMP_SYS(accept4),     SCMP_SYS(execve),  SCMP_SYS(execveat),   SCMP_SYS(clone),
                SCMP_SYS(clone3),      SCMP_SYS(fork),    SCMP_SYS(vfork),      SCMP_SYS(ptrace),
                SCMP_SYS(pidfd_getfd),
        };
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

        if (!filter)
                die(ENOMEM, "make a filter");
        for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
                if (seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, gone[i], 0) < 0)
                        die(0, "add to the filter");
        if (seccomp_load(filter) < 0)
                die(0, "load the filter");
        seccomp_release(filter);
        ok("confined");
}

int main(int argc, char **argv)
{
        struct vfiobroker_acquire_options options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;
        struct vfiobroker *session;
        Client client;
        sigset_t set;
        int signal, r;

        if (argc < 2)
                die(0, "usage: session DEVICE...");
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGUSR1);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);

        client_open(&client);
        r = vfiobroker_open_session(client.broker, &session);
        if (r < 0)
                die_refused(&client, r, "open a session");
        (void)vfiobroker_close(client.broker);
        client.broker = session;
        confine();

        options.lifetime = "connection";
        options.memlock = 0;
        r = vfiobroker_acquire(session, (const char *const *)argv + 1, &options, &client.lease);
        if (r < 0)
                die_refused(&client, r, "acquire");
        ok("ready: %zu file descriptors", vfiobroker_lease_n_fds(client.lease));

        while (sigwait(&set, &signal) == 0 && signal == SIGUSR1) {
                client.lease = vfiobroker_lease_free(client.lease);
                client.broker = vfiobroker_close(client.broker);
                ok("closed");
        }
        return EXIT_SUCCESS;
}
