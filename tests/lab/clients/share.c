/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant share NAME EDU BYTES [IOAS IOVA]: one process of several in a named container, or "" for the only one in its
 * own. The first maps BYTES of its
 * memory, whose first page has a text, and says its I/O address space; a later one, given that, maps nothing but a
 * page of its own at IOVA, and has its own device read the text at the first one's address. Each then works until it
 * is killed.
 *
 * tenant reissue EDU: a program that replaces itself. It acquires, computes, closes everything, executes itself, has
 * its fds issued anew and computes again. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu-registers.h"
#include "tenant.h"
#include "vfio-client.h"

#define IOVA 0x100000u
#define TEXT "mapped by the one, read by the device of the other"

int tenant_share(int argc, char **argv)
{
        const char *const devices[] = { argv[2], NULL };
        bool peer = argc > 5;
        uint64_t own = peer ? number(argv[5]) : IOVA;
        size_t size = peer ? PAGE : number(argv[3]);
        Client client;
        char *memory;
        int r;

        client_open(&client);
        client.container_name = argv[1][0] ? argv[1] : NULL;
        client.ioas = peer ? (uint32_t)number(argv[4]) : 0;
        client_acquire(&client, devices, number(argv[3]));
        client_bind(&client);
        client_map_bar(&client.devices[0]);
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED)
                die(errno, "allocate %zu bytes", size);
        if (!peer)
                strcpy(memory, TEXT);
        r = client_map_dma(&client, memory, size, own);
        if (r < 0)
                die(-r, "map %zu bytes for DMA", size);
        if (peer) {
                if (!edu_dma(&client.devices[0], false, IOVA) || !edu_dma(&client.devices[0], true, own))
                        die(0, "DMA at the other's address: still running after 5 s");
                ok("shared %s", strcmp(memory, TEXT) == 0 ? "same" : "other");
        }
        (void)printf("ready %s %u\n", vfiobroker_lease_path(client.lease), client.ioas);
        (void)fflush(stdout);
        /* It goes on working, so that somebody can see that it does when the other one is gone. */
        for (unsigned long n = 0;; n++) {
                if (!edu_dma(&client.devices[0], n % 2 != 0, own))
                        die(0, "DMA %lu: still running after 5 s", n);
                (void)usleep(1000); /* a pace, not a condition */
        }
}

static void compute(Client *client, const char *when)
{
        client_bind(client);
        client_map_bar(&client->devices[0]);
        write32(&client->devices[0], EDU_FACTORIAL, 10);
        if (!wait_clear(&client->devices[0], EDU_STATUS, EDU_STATUS_COMPUTING, 5000) ||
            read32(&client->devices[0], EDU_FACTORIAL) != 3628800)
                die(0, "factorial %s: %u", when, read32(&client->devices[0], EDU_FACTORIAL));
        ok("factorial %s", when);
}

int tenant_reissue(int argc, char **argv)
{
        const char *lease = getenv("VFIOBROKER_LEASE"), *const devices[] = { argv[1], NULL };
        Client client;

        client_open(&client);
        if (!lease) {
                char *const again[] = { (char *)"/proc/self/exe", argv[0], argv[1], NULL };

                client_acquire(&client, devices, UINT64_MAX);
                compute(&client, "before");
                if (setenv("VFIOBROKER_LEASE", vfiobroker_lease_id(client.lease), 1) < 0)
                        die(errno, "setenv");
                (void)execv(again[0], again); /* all fds close on exec, and the mappings go */
                die(errno, "exec");
        }
        client_reissue(&client, lease);
        compute(&client, "after");
        client_release(&client);
        ok("release");
        client_done(&client);
        return argc > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
