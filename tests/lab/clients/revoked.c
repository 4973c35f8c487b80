/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Holders that are asked for their devices back. `revoked` hears of it by the library alone and gives all back at once;
 * `removed` only what it is asked for; `shared` never does, and a child of it has a copy of the device's fd too. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tenant.h"
#include "vfio-client.h"

/* Of a device that is to go the kernel may be quicker, once its fd is closed: the broker knows it no more then. */
static void give(Client *client, const struct vfiobroker_event *event, bool all)
{
        int r = all ? vfiobroker_lease_release(client->lease)
                    : vfiobroker_lease_remove(client->lease, (const char *const *)event->devices);

        if (r < 0 && r != -ENXIO && r != -ENODEV)
                die_refused(client, r, all ? "release" : "remove");
        if (all)
                client->lease = vfiobroker_lease_free(client->lease);
        ok(all ? "release" : "remove");
}

static int give_back(char **devices, bool all)
{
        struct pollfd poll_fd = { .events = POLLIN };
        Client client;

        client_open(&client);
        poll_fd.fd = vfiobroker_get_fd(client.broker);
        if (poll_fd.fd < 0)
                die(-poll_fd.fd, "vfiobroker_get_fd");
        client_acquire(&client, (const char *const *)devices, UINT64_MAX);
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
                        give(&client, event, all);
                }
                (void)fflush(stdout);
                vfiobroker_event_free(event);
        }
}

/* Prints "asked REASON: DEVICE…", releases, prints "ok release", and then "ended REASON" of each lease that ends. */
int tenant_revoked(int argc, char **argv)
{
        (void)argc;
        return give_back(argv + 1, true);
}

/* The same, with "ok remove" where what was asked for is out of the lease. */
int tenant_removed(int argc, char **argv)
{
        (void)argc;
        return give_back(argv + 1, false);
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
