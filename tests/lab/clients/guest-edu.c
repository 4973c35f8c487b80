/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The driver of an `edu` device inside a guest that had it passed through: run by the guest's init as root, linked
 * statically, since the guest has nothing but busybox. It knows nothing of VFIO or of a broker; the device looks to
 * it like any other on its PCI bus. It computes a factorial and waits for the interrupt that says so (uio), then
 * has the device read a page of the guest's memory and write it back elsewhere, and compares.
 *
 * The page's address on the bus is what /proc/self/pagemap says, for the guest has no IOMMU of its own. The
 * device's registers are those of QEMU's docs/specs/edu.rst.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        EDU_LIVENESS = 0x04,
        EDU_FACTORIAL = 0x08,
        EDU_STATUS = 0x20,
        EDU_IRQ_STATUS = 0x24,
        EDU_IRQ_ACK = 0x64,
        EDU_DMA_SOURCE = 0x80,
        EDU_DMA_DESTINATION = 0x88,
        EDU_DMA_COUNT = 0x90,
        EDU_DMA_COMMAND = 0x98,
        EDU_STATUS_WANT_IRQ = 0x80,
        EDU_DMA_START = 0x01,
        EDU_DMA_FROM_DEVICE = 0x02,
        EDU_DMA_WANT_IRQ = 0x04,
        EDU_IRQ_FACTORIAL = 0x001,
        EDU_IRQ_DMA = 0x100,
        EDU_BUFFER = 0x40000,
        EDU_BAR_SIZE = 0x100000,
        PAGE = 4096,
};

#define PCI_DEVICES "/sys/bus/pci/devices"

struct Edu {
        char path[300]; /* in sysfs */
        int uio;
        volatile uint8_t *registers;
};

static _Noreturn void die(const char *what)
{
        printf("guest: FAILED: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

static int open_at(const char *directory, const char *name, int flags)
{
        char path[512];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        fd = open(path, flags | O_CLOEXEC);
        if (fd < 0)
                die(path);
        return fd;
}

static void write_at(const char *directory, const char *name, const char *text)
{
        int fd = open_at(directory, name, O_WRONLY);

        if (write(fd, text, strlen(text)) < 0)
                die(name);
        close(fd);
}

static unsigned long read_hex(const char *directory, const char *name)
{
        char text[32] = "";
        int fd = open_at(directory, name, O_RDONLY);

        if (read(fd, text, sizeof(text) - 1) <= 0)
                die(name);
        close(fd);
        return strtoul(text, NULL, 16);
}

/* The sysfs folder of the first edu on the bus. */
static void find_edu(char *ret_path, size_t size)
{
        struct dirent *entry;
        DIR *bus = opendir(PCI_DEVICES);

        if (!bus)
                die(PCI_DEVICES);
        while ((entry = readdir(bus))) {
                if (entry->d_name[0] == '.')
                        continue;
                snprintf(ret_path, size, PCI_DEVICES "/%s", entry->d_name);
                if (read_hex(ret_path, "vendor") == 0x1234 && read_hex(ret_path, "device") == 0x11e8) {
                        printf("guest: found edu 1234:11e8 at %s\n", entry->d_name);
                        closedir(bus);
                        return;
                }
        }
        errno = ENODEV;
        die("an edu on the PCI bus");
}

/* Memory decoding, bus mastering and the interrupt line on. */
static void enable(const struct Edu *edu)
{
        uint16_t command;
        int fd = open_at(edu->path, "config", O_RDWR);

        if (pread(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
                die("reading the command register");
        command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
        command &= (uint16_t)~PCI_COMMAND_INTX_DISABLE;
        if (pwrite(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
                die("writing the command register");
        close(fd);
}

static uint64_t bus_address(const void *page)
{
        uint64_t entry;
        int fd = open_at("/proc/self", "pagemap", O_RDONLY);

        if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE * sizeof(entry))) !=
            sizeof(entry))
                die("reading pagemap");
        close(fd);
        if (!(entry >> 63)) {
                errno = EFAULT;
                die("the page is not in memory");
        }
        return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

static uint32_t get32(const struct Edu *edu, unsigned int offset)
{
        return *(volatile uint32_t *)(edu->registers + offset);
}

static void put32(const struct Edu *edu, unsigned int offset, uint32_t value)
{
        *(volatile uint32_t *)(edu->registers + offset) = value;
}

static void put64(const struct Edu *edu, unsigned int offset, uint64_t value)
{
        *(volatile uint64_t *)(edu->registers + offset) = value;
}

/* Waits for the device's next interrupt and acknowledges it. uio_pci_generic has switched the line off then, by
 * the command register: on again. */
static void take_interrupt(struct Edu *edu, uint32_t expected)
{
        struct pollfd interrupt = { .fd = edu->uio, .events = POLLIN };
        uint32_t count, status;

        errno = ETIMEDOUT;
        if (poll(&interrupt, 1, 20000) != 1)
                die("no interrupt came");
        if (read(edu->uio, &count, sizeof(count)) != sizeof(count))
                die("reading the interrupt count");
        status = get32(edu, EDU_IRQ_STATUS);
        put32(edu, EDU_IRQ_ACK, status);
        printf("guest: interrupt %u, status %#x\n", count, status);
        errno = EIO;
        if (!(status & expected))
                die("not the interrupt that was asked for");
        enable(edu);
}

static void dma(struct Edu *edu, uint64_t source, uint64_t destination, uint64_t command)
{
        put64(edu, EDU_DMA_SOURCE, source);
        put64(edu, EDU_DMA_DESTINATION, destination);
        put64(edu, EDU_DMA_COUNT, PAGE);
        put64(edu, EDU_DMA_COMMAND, command | EDU_DMA_START | EDU_DMA_WANT_IRQ);
        take_interrupt(edu, EDU_IRQ_DMA);
}

int main(void)
{
        struct Edu edu;
        uint32_t value;
        uint8_t *pages;
        int fd;

        setvbuf(stdout, NULL, _IOLBF, 0);
        find_edu(edu.path, sizeof(edu.path));

        write_at("/sys/bus/pci/drivers/uio_pci_generic", "new_id", "1234 11e8");
        edu.uio = open_at("/dev", "uio0", O_RDWR);
        enable(&edu);
        fd = open_at(edu.path, "resource0", O_RDWR);
        edu.registers = mmap(NULL, EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (edu.registers == MAP_FAILED)
                die("mapping the BAR");

        put32(&edu, EDU_LIVENESS, 0x12345678);
        value = get32(&edu, EDU_LIVENESS);
        errno = EIO;
        if (value != ~UINT32_C(0x12345678))
                die("liveness register");

        /* QEMU's edu has no reset of its own: what the one before left here is still there. */
        put32(&edu, EDU_IRQ_ACK, get32(&edu, EDU_IRQ_STATUS));
        put32(&edu, EDU_STATUS, EDU_STATUS_WANT_IRQ);
        put32(&edu, EDU_FACTORIAL, 10);
        take_interrupt(&edu, EDU_IRQ_FACTORIAL);
        value = get32(&edu, EDU_FACTORIAL);
        errno = EIO;
        if (value != 3628800)
                die("factorial");
        printf("guest: 10! = %u\n", value);
        put32(&edu, EDU_STATUS, 0);

        pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
                     0);
        if (pages == MAP_FAILED || mlock(pages, 2 * PAGE) < 0)
                die("two pages");
        for (int i = 0; i < PAGE; i++)
                pages[i] = (uint8_t)(i * 7 + 1);
        memset(pages + PAGE, 0, PAGE);
        dma(&edu, bus_address(pages), EDU_BUFFER, 0);
        dma(&edu, EDU_BUFFER, bus_address(pages + PAGE), EDU_DMA_FROM_DEVICE);
        errno = EIO;
        if (memcmp(pages, pages + PAGE, PAGE) != 0)
                die("the page that came back differs");
        printf("guest: DMA of %d bytes to the device and back: same\n", PAGE);
        printf("guest: PASSED\n");
        return EXIT_SUCCESS;
}
