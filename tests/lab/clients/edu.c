/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* edu [--hold] [--memlock BYTES] DEVICE: a whole driver in user space for QEMU's edu device, from the
 * broker's fds to an interrupt, run by a process that may open nothing under /dev. It computes a factorial,
 * has the device read a page of this process and write it back elsewhere, and waits for an interrupt. One
 * line for each step; the first that fails is named on stderr and the exit is 1. With --hold it then says
 * "ready" and keeps the device until SIGTERM. */

#include <errno.h>
#include <getopt.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edu-registers.h"
#include "vfio-client.h"

/* Where the device finds the two pages: within its 28 bits, below what x86 reserves for interrupts. */
#define IOVA 0x100000u

#define MESSAGE 0x2au

static void factorial(const ClientDevice *edu)
{
        uint32_t value;

        write32(edu, EDU_FACTORIAL, 10);
        if (!wait_clear(edu, EDU_STATUS, EDU_STATUS_COMPUTING, 5000))
                die(0, "factorial: still computing after 5 s");
        value = read32(edu, EDU_FACTORIAL);
        if (value != 3628800)
                die(0, "factorial: 10! is %u", value);
        ok("factorial: 10! = %u", value);
}

static void dma(const Client *client, const ClientDevice *edu)
{
        uint8_t *pages;
        int r;

        pages = aligned_alloc(PAGE, 2 * PAGE);
        if (!pages)
                die(ENOMEM, "allocate two pages");
        for (size_t i = 0; i < PAGE; i++)
                pages[i] = (uint8_t)(i * 7 + i / 256 + 1);

        r = client_map_dma(client, pages, 2 * PAGE, IOVA);
        if (r < 0)
                die(-r, "map two pages for DMA");
        ok("map: two pages at %#x of the device's addresses", IOVA);

        if (!edu_dma(edu, false, IOVA))
                die(0, "DMA to the device: still running after 5 s");
        ok("DMA to the device: %u bytes", PAGE);

        if (!edu_dma(edu, true, IOVA + PAGE))
                die(0, "DMA from the device: still running after 5 s");
        if (memcmp(pages, pages + PAGE, PAGE) != 0)
                die(0, "DMA from the device: what came back is not what was sent");
        ok("DMA from the device: %u bytes, the same", PAGE);
}

static void interrupt(const ClientDevice *edu)
{
        int fd = client_arm(edu, VFIO_PCI_MSI_IRQ_INDEX);
        uint32_t status;

        write32(edu, EDU_IRQ_RAISE, MESSAGE);
        if (!client_wait_event(fd, 5000))
                die(0, "interrupt: none after 5 s");
        status = read32(edu, EDU_IRQ_STATUS);
        if (status != MESSAGE)
                die(0, "interrupt: the status is %#x, not %#x", status, MESSAGE);

        write32(edu, EDU_IRQ_ACK, status);
        status = read32(edu, EDU_IRQ_STATUS);
        if (status != 0)
                die(0, "interrupt: the status is %#x after the acknowledgement", status);
        ok("interrupt: by eventfd, status %#x, acknowledged", MESSAGE);
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "hold", no_argument, NULL, 'h' },
                { "memlock", required_argument, NULL, 'm' },
                { NULL, 0, NULL, 0 },
        };
        uint64_t memlock = UINT64_MAX;
        bool held = false;
        ClientDevice *edu;
        Client client;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'h': held = true; break;
                case 'm': memlock = number(optarg); break;
                default: return 2;
                }
        if (optind + 1 != argc)
                die(0, "usage: edu [--hold] [--memlock BYTES] DEVICE");

        client_open(&client);
        client_acquire(&client, (const char *const[]){ argv[optind], NULL }, memlock);
        ok("acquire: %s by %s", argv[optind], vfiobroker_lease_path(client.lease));
        edu = &client.devices[0];

        client_bind(&client);
        ok("bind: the device has an I/O address space, by %s", vfiobroker_lease_backend(client.lease));

        client_map_bar(edu);
        if (read32(edu, EDU_ID) != EDU_ID_VALUE)
                die(0, "BAR: the id is %#x, not %#x", read32(edu, EDU_ID), EDU_ID_VALUE);
        write32(edu, EDU_LIVENESS, 0x12345678);
        if (read32(edu, EDU_LIVENESS) != ~0x12345678u)
                die(0, "BAR: the liveness register is %#x", read32(edu, EDU_LIVENESS));
        ok("BAR: %zu bytes, id %#x, alive", edu->bar_size, EDU_ID_VALUE);

        /* QEMU's edu has no reset of its own: what the one before left here is still there. */
        write32(edu, EDU_STATUS, 0);
        write32(edu, EDU_IRQ_ACK, read32(edu, EDU_IRQ_STATUS));

        factorial(edu);
        dma(&client, edu);
        interrupt(edu);
        if (held)
                client_hold();

        client_release(&client);
        ok("release");
        client_done(&client);
        return EXIT_SUCCESS;
}
