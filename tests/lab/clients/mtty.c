/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* mtty [--hold] [--ports N] DEVICE: a driver in user space for the mediated serial card of the kernel's sample mtty
 * (samples/vfio-mdev/mtty.c), run by a process that may open nothing under /dev. Each of its N ports (1 or 2) is the
 * registers of a 16550 in a BAR, whose transmitter is wired to its own receiver: what is sent comes back. One line for
 * each step; the first that fails is named on stderr and the exit is 1. It says which device it got, and what the one
 * before has left in the scratch register. With --hold it then says "ready" and keeps the device until SIGTERM. */

#include <errno.h>
#include <getopt.h>
#include <linux/serial_reg.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vfio-client.h"

#define SCRATCH 0x5au
#define MESSAGE "no path to /dev" /* 15 bytes: what the sample's FIFO of 16 can hold */

static uint64_t port_offset(int fd, unsigned port)
{
        struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX + port };

        if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
                die(errno, "region of port %u", port);
        if (info.size < 8)
                die(0, "region of port %u: %llu bytes", port, (unsigned long long)info.size);
        return info.offset;
}

static uint8_t get(int fd, uint64_t offset)
{
        uint8_t value;

        if (pread(fd, &value, 1, (off_t)offset) != 1)
                die(errno, "read a register");
        return value;
}

static void put(int fd, uint64_t offset, uint8_t value)
{
        if (pwrite(fd, &value, 1, (off_t)offset) != 1)
                die(errno, "write a register");
}

static void try_port(int fd, unsigned port)
{
        uint64_t base = port_offset(fd, port);
        char back[sizeof(MESSAGE)] = "";

        (void)printf("ok scratch of port %u: was %#x\n", port, get(fd, base + UART_SCR));
        put(fd, base + UART_SCR, SCRATCH);
        if (get(fd, base + UART_SCR) != SCRATCH)
                die(0, "scratch of port %u: %#x", port, get(fd, base + UART_SCR));

        put(fd, base + UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
        if (get(fd, base + UART_LSR) & UART_LSR_DR)
                die(0, "port %u: there is data before any was sent", port);
        for (size_t i = 0; i < strlen(MESSAGE); i++)
                put(fd, base + UART_TX, (uint8_t)MESSAGE[i]);
        for (size_t i = 0; i < strlen(MESSAGE); i++) {
                if (!(get(fd, base + UART_LSR) & UART_LSR_DR))
                        die(0, "port %u: %zu bytes of %zu came back", port, i, strlen(MESSAGE));
                back[i] = (char)get(fd, base + UART_RX);
        }
        if (strcmp(back, MESSAGE) != 0)
                die(0, "port %u: \"%s\" came back", port, back);
        ok("port %u: \"%s\" there and back", port, back);
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "hold", no_argument, NULL, 'h' },
                { "ports", required_argument, NULL, 'p' },
                { NULL, 0, NULL, 0 },
        };
        struct vfio_device_info info = { .argsz = sizeof(info) };
        const struct vfiobroker_fd *row;
        unsigned ports = 1;
        bool held = false;
        Client client;
        int c, fd;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'h': held = true; break;
                case 'p': ports = (unsigned)number(optarg); break;
                default: return 2;
                }
        if (optind + 1 != argc)
                die(0, "usage: mtty [--hold] [--ports N] DEVICE");

        client_open(&client);
        client_acquire(&client, (const char *const[]){ argv[optind], NULL }, UINT64_MAX);
        for (size_t i = 0; (row = vfiobroker_lease_fd(client.lease, i)); i++)
                if (row->kind == VFIOBROKER_FD_DEVICE)
                        ok("acquire: %s", row->id);
        fd = client.devices[0].fd;

        client_bind(&client);
        if (ioctl(fd, VFIO_DEVICE_GET_INFO, &info) < 0)
                die(errno, "device info");
        ok("bind: by %s, %u regions", vfiobroker_lease_backend(client.lease), info.num_regions);
        for (unsigned port = 0; port < ports; port++)
                try_port(fd, port);
        if (held)
                client_hold();

        client_release(&client);
        ok("release");
        client_done(&client);
        return EXIT_SUCCESS;
}
