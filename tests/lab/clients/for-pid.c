/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* for-pid PID DEVICE: a lease for another process, whose pidfd is passed. Says "ready PATH" and waits for its end, or is
 * refused like any other. */

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tenant.h"
#include "vfio-client.h"

int tenant_for_pid(int argc, char **argv)
{
        struct vfiobroker_acquire_options options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;
        const char *devices[] = { argv[2], NULL };
        Client client;
        int r;

        (void)argc;
        client_open(&client);
        options.pidfd = (int)syscall(SYS_pidfd_open, (pid_t)strtol(argv[1], NULL, 10), 0);
        if (options.pidfd < 0) {
                perror("pidfd_open");
                return EXIT_FAILURE;
        }
        r = vfiobroker_acquire(client.broker, devices, &options, &client.lease);
        (void)close(options.pidfd);
        if (r < 0)
                die_refused(&client, r, "acquire");
        (void)printf("ready %s\n", vfiobroker_lease_path(client.lease));
        (void)fflush(stdout);
        for (;;)
                (void)pause();
}
