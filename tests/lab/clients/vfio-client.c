/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The VFIO side of the lab's client programs: one function for each thing that a driver in user space does
 * with the fds that the broker gave it. */

#include <errno.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vfio-client.h"

void die(int error, const char *format, ...)
{
        va_list ap;

        (void)fflush(stdout);
        (void)fprintf(stderr, "%s: ", program_invocation_short_name);
        va_start(ap, format);
        (void)vfprintf(stderr, format, ap);
        va_end(ap);
        (void)fprintf(stderr, "%s%s\n", error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
        exit(EXIT_FAILURE);
}

void die_refused(const Client *client, int r, const char *step)
{
        const struct vfiobroker_error *error = vfiobroker_last_error(client->broker);

        die(0, "%s: %s: %s", step, *error->name ? error->name : strerror(-r), error->text);
}

void ok(const char *format, ...)
{
        va_list ap;

        (void)fputs("ok ", stdout);
        va_start(ap, format);
        (void)vprintf(format, ap);
        va_end(ap);
        (void)putchar('\n');
        (void)fflush(stdout);
}

void client_open(Client *client)
{
        int r;

        *client = (Client){ .container = -1 };
        r = vfiobroker_open_system(&client->broker);
        if (r < 0)
                die(-r, "connect to the bus");
}

void client_take_fds(Client *client)
{
        client->group = strcmp(vfiobroker_lease_backend(client->lease), "group") == 0;
        client->container = vfiobroker_lease_find_fd(
                client->lease, client->group ? VFIOBROKER_FD_CONTAINER : VFIOBROKER_FD_IOMMUFD, 0);
        for (client->n_devices = 0; client->n_devices < MAX_DEVICES; client->n_devices++) {
                int fd = vfiobroker_lease_find_fd(client->lease, VFIOBROKER_FD_DEVICE, client->n_devices);

                if (fd < 0)
                        break;
                client->devices[client->n_devices] = (ClientDevice){ .fd = fd };
        }
}

void client_reissue(Client *client, const char *lease)
{
        int r = vfiobroker_reissue(client->broker, lease, &client->lease);

        if (r < 0)
                die_refused(client, r, "reissue");
        client_take_fds(client);
}

void client_acquire(Client *client, const char *const *devices, uint64_t memlock)
{
        struct vfiobroker_acquire_options options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;
        int r;

        options.memlock = memlock;
        options.container = client->container_name;
        options.label = program_invocation_short_name;
        options.wait_usec = client->wait_usec;
        r = vfiobroker_acquire(client->broker, devices, &options, &client->lease);
        if (r < 0)
                die_refused(client, r, "acquire");

        client_take_fds(client);
}

/* A device of a group whose IOMMU is set answers at once, and the container tells the IOMMU's page sizes. */
static void look_bound(const Client *client)
{
        struct vfio_iommu_type1_info iommu = { .argsz = sizeof(iommu) };

        if (ioctl(client->container, VFIO_IOMMU_GET_INFO, &iommu) < 0)
                die(errno, "ask the container for its IOMMU");
        if (!(iommu.flags & VFIO_IOMMU_INFO_PGSIZES) || !(iommu.iova_pgsizes & PAGE))
                die(0, "the container's IOMMU has no pages of %u bytes", PAGE);

        for (size_t i = 0; i < client->n_devices; i++) {
                struct vfio_device_info info = { .argsz = sizeof(info) };

                if (ioctl(client->devices[i].fd, VFIO_DEVICE_GET_INFO, &info) < 0)
                        die(errno, "ask device %zu what it is", i);
        }
}

static void bind_iommufd(Client *client)
{
        struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

        for (size_t i = 0; i < client->n_devices; i++) {
                struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind),
                                                         .iommufd = client->container };

                if (ioctl(client->devices[i].fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) < 0)
                        die(errno, "bind device %zu to the iommufd", i);
        }

        if (client->ioas == 0) {
                if (ioctl(client->container, IOMMU_IOAS_ALLOC, &alloc) < 0)
                        die(errno, "make an I/O address space");
                client->ioas = alloc.out_ioas_id;
        }

        for (size_t i = 0; i < client->n_devices; i++) {
                struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach),
                                                                .pt_id = client->ioas };

                if (ioctl(client->devices[i].fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) < 0)
                        die(errno, "attach device %zu to the I/O address space", i);
        }
}

void client_bind(Client *client)
{
        if (client->group)
                look_bound(client);
        else
                bind_iommufd(client);
}

static struct vfio_region_info region(const ClientDevice *device, uint32_t index)
{
        struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

        if (ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
                die(errno, "ask for region %u", index);
        return info;
}

/* A bus master may do DMA; without memory decoding the BAR cannot be read. */
static void enable(const ClientDevice *device)
{
        struct vfio_region_info config = region(device, VFIO_PCI_CONFIG_REGION_INDEX);
        off_t offset = (off_t)config.offset + PCI_COMMAND;
        uint16_t command;

        if (pread(device->fd, &command, sizeof(command), offset) != sizeof(command))
                die(errno, "read the PCI command register");
        command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
        if (pwrite(device->fd, &command, sizeof(command), offset) != sizeof(command))
                die(errno, "write the PCI command register");
}

void client_map_bar(ClientDevice *device)
{
        struct vfio_region_info bar = region(device, VFIO_PCI_BAR0_REGION_INDEX);
        void *p;

        enable(device);

        if (!(bar.flags & VFIO_REGION_INFO_FLAG_MMAP))
                die(0, "map BAR 0: the kernel does not offer it");
        p = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd, (off_t)bar.offset);
        if (p == MAP_FAILED)
                die(errno, "map BAR 0");
        device->bar = p;
        device->bar_size = bar.size;
}

static int map_type1(const Client *client, void *memory, size_t size, uint64_t iova)
{
        struct vfio_iommu_type1_dma_map map = {
                .argsz = sizeof(map),
                .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                .vaddr = (uintptr_t)memory,
                .iova = iova,
                .size = size,
        };

        return ioctl(client->container, VFIO_IOMMU_MAP_DMA, &map) < 0 ? -errno : 0;
}

static int map_iommufd(const Client *client, void *memory, size_t size, uint64_t iova)
{
        struct iommu_ioas_map map = {
                .size = sizeof(map),
                .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
                .ioas_id = client->ioas,
                .user_va = (uintptr_t)memory,
                .length = size,
                .iova = iova,
        };

        return ioctl(client->container, IOMMU_IOAS_MAP, &map) < 0 ? -errno : 0;
}

int client_map_dma(const Client *client, void *memory, size_t size, uint64_t iova)
{
        return client->group ? map_type1(client, memory, size, iova)
                             : map_iommufd(client, memory, size, iova);
}

int client_arm(const ClientDevice *device, uint32_t index)
{
        /* The set, and after it the fd as its data. */
        alignas(struct vfio_irq_set) uint8_t buffer[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
        struct vfio_irq_set set = {
                .argsz = sizeof(buffer),
                .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                .index = index,
                .count = 1,
        };
        int32_t fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        if (fd < 0)
                die(errno, "make an eventfd");

        memcpy(buffer, &set, sizeof(set));
        memcpy(buffer + sizeof(set), &fd, sizeof(fd));
        if (ioctl(device->fd, VFIO_DEVICE_SET_IRQS, buffer) < 0)
                die(errno, "arm interrupt %u", index);
        return fd;
}

bool client_wait_event(int fd, int timeout_ms)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint64_t count;
        int n;

        do
                n = poll(&p, 1, timeout_ms);
        while (n < 0 && errno == EINTR);

        return n == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void unmap_bars(Client *client)
{
        for (size_t i = 0; i < client->n_devices; i++) {
                if (client->devices[i].bar)
                        (void)munmap((void *)client->devices[i].bar, client->devices[i].bar_size);
                client->devices[i] = (ClientDevice){ .fd = -1 };
        }
        client->n_devices = 0;
        client->container = -1;
}

void client_release(Client *client)
{
        int r;

        unmap_bars(client);
        r = vfiobroker_lease_release(client->lease);
        if (r < 0)
                die_refused(client, r, "release");
        client->lease = vfiobroker_lease_free(client->lease);
}

void client_done(Client *client)
{
        unmap_bars(client);
        client->lease = vfiobroker_lease_free(client->lease);
        client->broker = vfiobroker_close(client->broker);
}

uint32_t read32(const ClientDevice *device, size_t offset)
{
        return *(volatile uint32_t *)(device->bar + offset);
}

void write32(const ClientDevice *device, size_t offset, uint32_t value)
{
        *(volatile uint32_t *)(device->bar + offset) = value;
}

void write64(const ClientDevice *device, size_t offset, uint64_t value)
{
        *(volatile uint64_t *)(device->bar + offset) = value;
}

bool wait_clear(const ClientDevice *device, size_t offset, uint32_t mask, unsigned timeout_ms)
{
        const struct timespec millisecond = { .tv_nsec = 1000 * 1000 };
        uint64_t deadline = now_nsec() + (uint64_t)timeout_ms * 1000 * 1000;

        while (read32(device, offset) & mask) {
                if (now_nsec() > deadline)
                        return false;
                (void)nanosleep(&millisecond, NULL);
        }
        return true;
}

uint64_t number(const char *s)
{
        unsigned long long value;
        char *end;

        errno = 0;
        value = strtoull(s, &end, 10);
        if (errno != 0 || end == s || *end || *s == '-')
                die(0, "not a number: %s", s);
        return value;
}

void client_hold(void)
{
        sigset_t set;
        int signal;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        (void)puts("ready");
        (void)fflush(stdout);
        (void)sigwait(&set, &signal);
}

uint64_t now_nsec(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 * 1000 * 1000 + (uint64_t)t.tv_nsec;
}
