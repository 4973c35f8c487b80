/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant dma-loop EDU [IGB]: a VMM in the middle of its work, to be killed there. It keeps an edu doing DMA
 * without end, and leaves a value in a register of an igb, which the next tenant must not find: tenant
 * peek-igb IGB waits until the igb is free, and looks. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "edu-registers.h"
#include "tenant.h"
#include "vfio-client.h"

#define IOVA 0x100000u

/* The base address of receive queue 0: plain storage, that a reset clears. Its low bits are wired to 0. */
#define IGB_RDBAL0 0xc000u
#define SECRET     0x5ec2e700u

int tenant_dma_loop(int argc, char **argv)
{
        const char *const devices[] = { argv[1], argc > 2 ? argv[2] : NULL, NULL };
        Client client;
        void *pages;
        int r;

        client_open(&client);
        client_acquire(&client, devices, UINT64_MAX);
        client_bind(&client);
        client_map_bar(&client.devices[0]);

        pages = aligned_alloc(PAGE, 2 * PAGE);
        if (!pages)
                die(ENOMEM, "allocate two pages");
        r = client_map_dma(&client, pages, 2 * PAGE, IOVA);
        if (r < 0)
                die(-r, "map two pages for DMA");

        if (argc > 2) {
                client_map_bar(&client.devices[1]);
                write32(&client.devices[1], IGB_RDBAL0, SECRET);
                if (read32(&client.devices[1], IGB_RDBAL0) != SECRET)
                        die(0, "the igb's register is %#x after a write of %#x",
                            read32(&client.devices[1], IGB_RDBAL0), SECRET);
                ok("register %#x", read32(&client.devices[1], IGB_RDBAL0));
        }

        for (unsigned long n = 0;; n++) {
                if (!edu_dma(&client.devices[0], n % 2 != 0, IOVA + (n % 2) * PAGE))
                        die(0, "DMA %lu: still running after 5 s", n);
                /* Once in both directions, so that what is killed was working. */
                if (n == 1) {
                        (void)puts("ready");
                        (void)fflush(stdout);
                }
        }
}

int tenant_peek_igb(int argc, char **argv)
{
        Client client;

        (void)argc;
        client_open(&client);
        client.wait_usec = 30 * UINT64_C(1000000);
        client_acquire(&client, (const char *const[]){ argv[1], NULL }, UINT64_MAX);
        client_bind(&client);
        client_map_bar(&client.devices[0]);
        ok("register %#x", read32(&client.devices[0], IGB_RDBAL0));
        client_release(&client);
        client_done(&client);
        return EXIT_SUCCESS;
}
