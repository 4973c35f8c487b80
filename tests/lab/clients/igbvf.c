/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant igbvf VF: a small driver in user space for a virtual function of an igb, whose physical function the host's igb
 * drives and has up. Asks the physical function for its MAC address through the mailbox, sends a frame from its own
 * memory and sees the device's note of it there, and has the device raise an interrupt. Says "ready", and does the DMA
 * again at each SIGUSR1, until SIGTERM. Registers: Intel 82576 data sheet, chapter 8; the mailbox's messages are the
 * igb driver's (drivers/net/ethernet/intel/igbvf/mbx.h, Linux 6.12). */

#include <errno.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tenant.h"
#include "vfio-client.h"

#define IOVA 0x100000u

#define VTCTRL   0x00000u
#define CTRL_RST 0x04000000u

#define VTEICS 0x01520u
#define VTEIMS 0x01524u

#define V2PMAILBOX    0x00c40u
#define MAILBOX_REQ   0x01u
#define MAILBOX_ACK   0x02u
#define MAILBOX_VFU   0x04u
#define MAILBOX_PFSTS 0x10u
#define VMBMEM        0x00800u
#define MESSAGE_RESET 0x00000001u
#define MESSAGE_ACK   0x80000000u

#define TDBAL         0x03800u
#define TDBAH         0x03804u
#define TDLEN         0x03808u
#define TDH           0x03810u
#define TDT           0x03818u
#define TXDCTL        0x03828u
#define TXDCTL_ENABLE 0x02000000u

/* An advanced transmit descriptor: to the device, and as the device writes it back. */
struct descriptor {
        uint64_t address;
        uint32_t command;
        uint32_t status;
};

#define DESCRIPTORS      8u
#define COMMAND_DATA     0x00300000u
#define COMMAND_EXTENDED 0x20000000u
#define COMMAND_REPORT   0x08000000u
#define COMMAND_CRC      0x02000000u
#define COMMAND_END      0x01000000u
#define STATUS_DONE      0x00000001u
#define FRAME_SIZE       64u
#define PAYLOAD_SHIFT    14

/* What the device reads and writes: the ring, and a page on the frame. */
static struct descriptor *ring;
static uint8_t *frame;
static unsigned tail;

static void pause_a_little(void)
{
        const struct timespec millisecond = { .tv_nsec = 1000 * 1000 };

        (void)nanosleep(&millisecond, NULL);
}

/* The reset message, and the answer of the physical function's driver: the MAC address that is ours. */
static void ask_for_mac(const ClientDevice *device)
{
        uint64_t deadline = now_nsec() + UINT64_C(10000000000);
        uint32_t answer[3];

        write32(device, V2PMAILBOX, MAILBOX_VFU);
        if (!(read32(device, V2PMAILBOX) & MAILBOX_VFU))
                die(0, "mailbox: the physical function holds it");
        write32(device, VMBMEM, MESSAGE_RESET);
        write32(device, V2PMAILBOX, MAILBOX_REQ);
        while (!(read32(device, V2PMAILBOX) & MAILBOX_PFSTS)) {
                if (now_nsec() > deadline)
                        die(0, "mailbox: no answer");
                pause_a_little();
        }
        for (unsigned i = 0; i < 3; i++)
                answer[i] = read32(device, VMBMEM + 4 * i);
        write32(device, V2PMAILBOX, MAILBOX_ACK);
        if (answer[0] != (MESSAGE_RESET | MESSAGE_ACK))
                die(0, "mailbox: the answer is %#x", answer[0]);
        ok("mac %02x:%02x:%02x:%02x:%02x:%02x", answer[1] & 0xff, answer[1] >> 8 & 0xff,
           answer[1] >> 16 & 0xff, answer[1] >> 24, answer[2] & 0xff, answer[2] >> 8 & 0xff);
}

/* Sends one frame: the device reads the descriptor and the frame, and writes that it is done. */
static void send_frame(const ClientDevice *device)
{
        volatile struct descriptor *next = ring + tail;
        uint64_t deadline = now_nsec() + UINT64_C(10000000000);

        *next = (struct descriptor){
                .address = IOVA + PAGE,
                .command = FRAME_SIZE | COMMAND_DATA | COMMAND_EXTENDED | COMMAND_REPORT | COMMAND_CRC |
                           COMMAND_END,
                .status = FRAME_SIZE << PAYLOAD_SHIFT,
        };
        tail = (tail + 1) % DESCRIPTORS;
        write32(device, TDT, tail);
        while (!(next->status & STATUS_DONE)) {
                if (now_nsec() > deadline)
                        die(0, "send: the device has not written back (TDH %u, TDT %u, TXDCTL %#x)",
                            read32(device, TDH), read32(device, TDT), read32(device, TXDCTL));
                pause_a_little();
        }
        ok("sent");
}

static void set_up_ring(Client *client)
{
        const ClientDevice *device = &client->devices[0];
        uint8_t *pages = aligned_alloc(PAGE, 2 * PAGE);
        int r;

        if (!pages)
                die(ENOMEM, "allocate two pages");
        memset(pages, 0, 2 * PAGE);
        ring = (struct descriptor *)pages;
        frame = pages + PAGE;
        memset(frame, 0xff, 6); /* to everybody */
        r = client_map_dma(client, pages, 2 * PAGE, IOVA);
        if (r < 0)
                die(-r, "map two pages for DMA");

        write32(device, TDBAL, IOVA);
        write32(device, TDBAH, 0);
        write32(device, TDLEN, DESCRIPTORS * (uint32_t)sizeof(*ring));
        write32(device, TDT, 0);
        write32(device, TXDCTL, TXDCTL_ENABLE);
        if (read32(device, TDBAL) != IOVA)
                die(0, "register TDBAL is %#x after a write of %#x", read32(device, TDBAL), IOVA);
}

int tenant_igbvf(int argc, char **argv)
{
        Client client;
        sigset_t set;
        int event, number;

        (void)argc;
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGUSR1);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);

        client_open(&client);
        client_acquire(&client, (const char *const[]){ argv[1], NULL }, UINT64_MAX);
        client_bind(&client);
        client_map_bar(&client.devices[0]);
        event = client_arm(&client.devices[0], VFIO_PCI_MSIX_IRQ_INDEX);

        write32(&client.devices[0], VTCTRL, CTRL_RST);
        ask_for_mac(&client.devices[0]);
        set_up_ring(&client);
        send_frame(&client.devices[0]);

        write32(&client.devices[0], VTEIMS, 1);
        write32(&client.devices[0], VTEICS, 1);
        if (!client_wait_event(event, 10000))
                die(0, "interrupt: none came");
        ok("interrupt");

        (void)puts("ready");
        (void)fflush(stdout);
        while (sigwait(&set, &number) == 0 && number == SIGUSR1)
                send_frame(&client.devices[0]);
        client_release(&client);
        client_done(&client);
        return EXIT_SUCCESS;
}
