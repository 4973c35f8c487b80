/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verdict of `vfiobrokerctl host`.
 *
 * Why devices share an IOMMU group is told by where they are, and needs no privilege; the ACS capability itself is in a
 * part of configuration space that the kernel shows to CAP_SYS_ADMIN alone. The kernel puts a device into the group of
 * the bridge above it where the way from that bridge up is not kept apart by ACS, into that of its other functions where
 * the device itself has none, and all that is on a conventional bus together (pci_device_group() in
 * drivers/iommu/iommu.c, Linux 6.12). So a bridge in the group, and the topmost one, is the one to look at. */

#include <stdarg.h>

#include "client-lib/ctl/text.h"
#include "client-lib/ctl/verdict.h"

#define WIDTH   79
#define INDENT  6
#define IDS_MAX 3 /* members that a line names; of the rest the number */

typedef struct Screen {
        FILE *f;
        size_t left; /* rows */
        bool good;
} Screen;

typedef enum Grade {
        GOOD,
        NOTE,
        BAD,
        MORE, /* goes on from the line above */
} Grade;

/* One line, or several where it is longer than the screen is wide; what it says is broken between words. */
static _printf_(3, 4) void say(Screen *screen, Grade grade, const char *format, ...)
{
        static const char *const marks[] = { "good  ", "note  ", "BAD   ", "      " };
        _cleanup_free_ char *text = NULL;
        const char *mark = marks[grade];
        va_list ap;
        char *rest;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0)
                return;
        screen->good &= grade != BAD;
        for (rest = text; rest; mark = marks[MORE]) {
                char *line = rest, *end = NULL;

                if (strlen(line) > WIDTH - INDENT)
                        for (end = line + WIDTH - INDENT; end > line && *end != ' ';)
                                end--;
                rest = end > line ? end + 1 : NULL;
                if (rest)
                        *end = 0;
                (void)fputs(mark, screen->f);
                text_print(screen->f, line);
                (void)fputc('\n', screen->f);
                if (screen->left > 0)
                        screen->left--;
        }
}

static bool has(const char *const *list, const char *word)
{
        for (; list && *list; list++)
                if (streq(*list, word))
                        return true;
        return false;
}

static void say_backends(Screen *screen, const struct vfiobroker_host *host)
{
        bool iommufd = has(host->backends, "iommufd"), group = has(host->backends, "group");

        if (iommufd || group) {
                say(screen, GOOD, "Backends: %s%s%s", iommufd ? "iommufd" : "", iommufd && group ? ", " : "",
                    group ? "group" : "");
                return;
        }
        say(screen, BAD, "Backends: none; the broker can lend no device");
        say(screen, MORE, "Use a kernel with VFIO, and load vfio_pci and iommufd or vfio_iommu_type1.");
}

static void say_iommu(Screen *screen, const struct vfiobroker_host *host)
{
        if (host->iommu[0]) {
                say(screen, GOOD, "IOMMU: %s", host->iommu);
                return;
        }
        say(screen, BAD, "IOMMU: none; devices can reach all memory, and none is lent");
        say(screen, MORE,
            "Switch it on in the firmware (VT-d, AMD-Vi, SMMU) and for the kernel: intel_iommu=on on "
            "Intel.");
}

static void say_interrupts(Screen *screen, const struct vfiobroker_host *host)
{
        if (streq(host->interrupt_isolation, "isolated"))
                say(screen, GOOD, "Interrupts: isolated; a device can raise its own only");
        else if (!streq(host->interrupt_isolation, "not-isolated")) {
                say(screen, NOTE, "Interrupts: nothing tells whether they are isolated");
                say(screen, MORE,
                    "The kernel knows, and refuses a device when it is bound where they are not.");
        } else {
                say(screen, BAD, "Interrupts: not isolated; a guest can forge those of the host");
                say(screen, MORE,
                    "Switch interrupt remapping on in the firmware, and take intremap=off, nox2apic and the "
                    "like from "
                    "the kernel's command line.");
        }
}

static void say_modules(Screen *screen, const struct vfiobroker_host *host)
{
        const char *const *module = host->unsafe_interrupts;

        if (!module || !*module)
                say(screen, GOOD, "Unsafe interrupts: no module allows them");
        for (; module && *module; module++) {
                say(screen, BAD, "Unsafe interrupts: module %s allows them to everybody", *module);
                say(screen, MORE,
                    "Remove allow_unsafe_interrupts from modprobe.d, and now: "
                    "echo N > /sys/module/%s/parameters/allow_unsafe_interrupts",
                    *module);
        }
        if (!host->no_iommu) {
                say(screen, GOOD, "No-IOMMU mode: off");
                return;
        }
        say(screen, BAD, "No-IOMMU mode: on; root's programs get devices that nothing holds back");
        say(screen, MORE,
            "Remove enable_unsafe_noiommu_mode from modprobe.d, and now: "
            "echo N > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
}

/* --- groups --- */

static bool is_below(const HostDevice *device, const HostDevice *bridge)
{
        size_t n = strlen(bridge->path);

        return n > 0 && strncmp(device->path, bridge->path, n) == 0 && device->path[n] == '/';
}

/* The device one step above, where it is one of the list. */
static const HostDevice *parent_of(const HostDevice *device, const HostDevice *devices, size_t n)
{
        const char *slash = strrchr(device->path, '/');
        size_t length = slash ? (size_t)(slash - device->path) : 0;

        for (size_t i = 0; i < n; i++)
                if (strlen(devices[i].path) == length && length > 0 &&
                    strncmp(devices[i].path, device->path, length) == 0)
                        return devices + i;
        return NULL;
}

/* "0000:08:01", of which the functions are. */
static size_t slot_length(const char *id)
{
        const char *dot = strrchr(id, '.');

        return dot ? (size_t)(dot - id) : strlen(id);
}

/* The topmost bridge of the group that has another member below it. */
static const HostDevice *top_bridge(int group, const HostDevice *devices, size_t n)
{
        const HostDevice *top = NULL;

        for (size_t i = 0; i < n; i++) {
                bool above = false;

                if (devices[i].group != group || !devices[i].bridge)
                        continue;
                for (size_t k = 0; k < n; k++)
                        above |= devices[k].group == group && is_below(devices + k, devices + i);
                if (above && (!top || is_below(top, devices + i)))
                        top = devices + i;
        }
        return top;
}

static void say_reason(Screen *screen, int group, const HostDevice *devices, size_t n)
{
        const HostDevice *top = top_bridge(group, devices, n), *first = NULL, *parent;
        bool conventional = true, one_slot = true, one_parent = true;

        for (size_t i = 0; i < n; i++) {
                if (devices[i].group != group || devices[i].bridge)
                        continue;
                first = first ?: devices + i;
                conventional &= !devices[i].express;
                one_slot &= slot_length(devices[i].id) == slot_length(first->id) &&
                            strncmp(devices[i].id, first->id, slot_length(first->id)) == 0;
                one_parent &= parent_of(devices + i, devices, n) == parent_of(first, devices, n);
        }
        if (!first)
                return;
        parent = parent_of(first, devices, n);

        if (one_parent && parent && conventional && !one_slot)
                say(screen, MORE,
                    "They are on a conventional PCI bus behind %s, where nothing tells one from the other: "
                    "put them into "
                    "slots of their own, or lend them together.",
                    parent->id);
        else if (top)
                say(screen, MORE,
                    "Bridge %s above them, or one between, has no ACS: use slots below another root port, "
                    "or lend them "
                    "together.",
                    top->id);
        else if (one_slot)
                say(screen, MORE,
                    "They are functions of one device, which has no ACS between them: lend them together.");
        else
                say(screen, MORE, "The platform keeps them together: lend them together.");
}

static void say_group(Screen *screen, int group, size_t n_members, const HostDevice *devices, size_t n)
{
        char ids[IDS_MAX * 34 + 32] = "";
        size_t used = 0, shown = 0;

        for (size_t i = 0; i < n && shown < IDS_MAX; i++)
                if (devices[i].group == group && !devices[i].bridge)
                        used += (size_t)snprintf(ids + used, sizeof(ids) - used, "%s%s",
                                                 shown++ > 0 ? ", " : "", devices[i].id);
        if (n_members > shown)
                (void)snprintf(ids + used, sizeof(ids) - used, " and %zu more", n_members - shown);
        say(screen, NOTE, "Group %d: %s", group, ids);
        say_reason(screen, group, devices, n);
}

static size_t count_members(int group, const HostDevice *devices, size_t n)
{
        size_t members = 0;

        for (size_t i = 0; i < n; i++)
                members += devices[i].group == group && !devices[i].bridge;
        return members;
}

/* Whether it is the first endpoint of a group that has several. */
static bool heads_group(const HostDevice *device, const HostDevice *devices, size_t n)
{
        if (device->bridge || device->group < 0 || count_members(device->group, devices, n) < 2)
                return false;
        for (const HostDevice *other = devices; other < device; other++)
                if (other->group == device->group && !other->bridge)
                        return false;
        return true;
}

#define GROUP_ROWS 3 /* that a group may take */

static void say_groups(Screen *screen, const struct vfiobroker_host *host, const HostDevice *devices,
                       size_t n)
{
        size_t shared = 0, shown = 0, without = 0;

        for (size_t i = 0; i < n; i++) {
                shared += heads_group(devices + i, devices, n);
                without += !devices[i].bridge && devices[i].group < 0;
        }
        if (host->iommu[0] && without > 0) {
                say(screen, NOTE, "Devices without an IOMMU group: %zu", without);
                say(screen, MORE,
                    "This kernel makes the group when a driver is bound: vfiobrokerctl bind DEVICE.");
        }
        if (shared == 0) {
                if (host->iommu[0])
                        say(screen, GOOD, "Groups: each device that has one is alone in it");
                return;
        }
        for (size_t i = 0; i < n; i++) {
                if (!heads_group(devices + i, devices, n))
                        continue;
                /* The last lines are for the rest of them, and for the verdict. */
                if (screen->left < GROUP_ROWS + 2)
                        break;
                say_group(screen, devices[i].group, count_members(devices[i].group, devices, n), devices, n);
                shown++;
        }
        if (shown < shared)
                say(screen, NOTE, "%zu more groups hold several devices: vfiobrokerctl groups",
                    shared - shown);
}

/* Drivers that leave the DMA of a group to user space are VFIO's, pci-stub and pcieport, and none does too
 * (driver_managed_dma and iommu_device_use_default_domain(), Linux 6.12). */
static bool blocks(const HostDevice *device)
{
        return device->bridge && device->driver[0] && !streq(device->driver, "pcieport") &&
               !streq(device->driver, "pci-stub") && !strstr(device->driver, "vfio");
}

/* Bridges that keep what is below them from being lent: the hot plug of conventional ones has a driver, and kernels have it
 * built in. */
static void say_blocking(Screen *screen, const HostDevice *devices, size_t n)
{
        for (size_t i = 0; i < n && screen->left >= GROUP_ROWS + 1; i++) {
                const HostDevice *bridge = devices + i;
                bool above = false;

                for (size_t k = 0; k < n && blocks(bridge); k++)
                        above |= devices[k].group >= 0 && devices[k].group == bridge->group &&
                                 !devices[k].bridge && is_below(devices + k, bridge);
                if (!above)
                        continue;
                say(screen, NOTE, "Group %d cannot be lent: its bridge %s is bound to %s", bridge->group,
                    bridge->id, bridge->driver);
                say(screen, MORE, "Unbind it: echo %s > /sys/bus/pci/drivers/%s/unbind", bridge->id,
                    bridge->driver);
        }
}

bool verdict_print(const struct vfiobroker_host *host, const HostDevice *devices, size_t n_devices,
                   size_t rows, FILE *f)
{
        Screen screen = { .f = f, .left = rows, .good = true };

        say_backends(&screen, host);
        say_iommu(&screen, host);
        say_interrupts(&screen, host);
        say_modules(&screen, host);
        say_blocking(&screen, devices, n_devices);
        say_groups(&screen, host, devices, n_devices);
        (void)fprintf(f, "%s\n",
                      screen.good ? "This host keeps its devices apart."
                                  : "This host does not keep its devices apart: change what is BAD.");
        return screen.good;
}
