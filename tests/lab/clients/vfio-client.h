/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the lab's client programs share: devices from the broker, and the few VFIO calls that a driver in
 * user space makes. A step that fails ends the program with one line that names it. Nothing here needs a
 * privilege or a path under /dev. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfiobroker.h"

#define PAGE        4096u
#define MAX_DEVICES 16

typedef struct ClientDevice {
        int fd;                /* borrowed from the lease */
        volatile uint8_t *bar; /* BAR 0, once mapped */
        size_t bar_size;
} ClientDevice;

typedef struct Client {
        struct vfiobroker *broker;
        struct vfiobroker_lease *lease;
        bool group;    /* the lease's backend: group, else iommufd */
        int container; /* the iommufd or the type1 container, borrowed from the lease */
        uint32_t
                ioas; /* once bound; iommufd only; not 0 before: the one to attach to, of the process that made it */
        const char *container_name; /* of a named container, or NULL */
        uint64_t wait_usec;         /* how long client_acquire() waits for a device that somebody has */
        ClientDevice devices[MAX_DEVICES];
        size_t n_devices;
} Client;

/* "PROGRAM: STEP: reason" on stderr, and exit 1. `error` is an errno, 0 for none. */
void die(int error, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* "PROGRAM: STEP: the broker's error name: its text", and exit 1. */
void die_refused(const Client *client, int r, const char *step) __attribute__((noreturn));

/* "ok STEP" on stdout, at once. */
void ok(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Connects to the system bus. */
void client_open(Client *client);

/* Acquires devices (NULL-terminated), with the backend that policy and kernel leave. memlock UINT64_MAX is the
 * tenant's default. */
void client_acquire(Client *client, const char *const *devices, uint64_t memlock);

/* The fds of client->lease, for a program that gets it by itself. */
void client_take_fds(Client *client);

/* Fresh fds of a lease that there is. */
void client_reissue(Client *client, const char *lease);

/* Binds every device to the iommufd and attaches it to one new I/O address space. With the group backend both are
 * done already, so there is nothing to do but to look that it is so. */
void client_bind(Client *client);

/* Lets the device decode its memory and be a bus master, and maps its BAR 0. */
void client_map_bar(ClientDevice *device);

/* Maps memory of this process for DMA at an address of the device's. 0 or a negative errno. */
int client_map_dma(const Client *client, void *memory, size_t size, uint64_t iova);

/* Arms the device's first interrupt of that index (VFIO_PCI_MSI_IRQ_INDEX …); returns the eventfd that it signals. */
int client_arm(const ClientDevice *device, uint32_t index);

/* Waits for an eventfd; false where nothing came in time. */
bool client_wait_event(int fd, int timeout_ms);

/* Closes the fds and ends the lease. */
void client_release(Client *client);

/* Frees all; the lease goes on. */
void client_done(Client *client);

uint32_t read32(const ClientDevice *device, size_t offset);
void write32(const ClientDevice *device, size_t offset, uint32_t value);
void write64(const ClientDevice *device, size_t offset, uint64_t value);

/* Reads a register once a millisecond until the bits of `mask` are clear; false where they are not in time.
 */
bool wait_clear(const ClientDevice *device, size_t offset, uint32_t mask, unsigned timeout_ms);

/* A number of bytes or the like from the command line. */
uint64_t number(const char *s);

/* Says "ready" and keeps what it has until it is told to end by SIGTERM. */
void client_hold(void);

uint64_t now_nsec(void);
