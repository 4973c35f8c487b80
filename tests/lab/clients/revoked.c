/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Holders that are asked for their devices back. `revoked` hears of it by the library alone and gives them back at once;
 * `shared` never does, and a child of it has a copy of the device's fd too. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tenant.h"
#include "vfio-client.h"

/* Prints "asked REASON: DEVICE…", releases, prints "ok release", and then "ended REASON" of each lease that ends. */
int tenant_revoked(int argc, char **argv)
{
        struct pollfd poll_fd = { .events = POLLIN };
        Client client;

        (void)argc;
        client_open(&client);
        poll_fd.fd = vfiobroker_get_fd(client.broker);
        if (poll_fd.fd < 0)
                die(-poll_fd.fd, "vfiobroker_get_fd");
        client_acquire(&client, (const char *const *)argv + 1, UINT64_MAX);
        (void)printf("ready %s\n", vfiobroker_lease_path(client.lease));
        (void)fflush(stdout);

        for (;;) {
                struct vfiobroker_event *event;
                int r;

                r = vfiobroker_next_event(client.broker, &event);
                if (r < 0)
                        die(-r, "vfiobroker_next_event");
                if (r == 0) {
                        if (poll(&poll_fd, 1, -1) < 0)
                                die(errno, "poll");
                        continue;
                }
                if (event->kind == VFIOBROKER_EVENT_ENDED)
                        (void)printf("ended %s\n", event->reason);
                else {
                        (void)printf("asked %s:", event->reason);
                        for (size_t i = 0; event->devices[i]; i++)
                                (void)printf(" %s", event->devices[i]);
                        (void)printf("\n");
                        client_release(&client);
                        ok("release");
                }
                (void)fflush(stdout);
                vfiobroker_event_free(event);
        }
}

int tenant_shared(int argc, char **argv)
{
        Client client;
        pid_t child;

        (void)argc;
        client_open(&client);
        client_acquire(&client, (const char *const *)argv + 1, UINT64_MAX);
        client_bind(&client);
        child = fork();
        if (child < 0)
                die(errno, "fork");
        if (child > 0) {
                (void)printf("ready %s\nchild %d\n", vfiobroker_lease_path(client.lease), (int)child);
                (void)fflush(stdout);
        }
        for (;;)
                (void)pause();
}
