/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl status: one device in people's words; what does not apply to it is left out. */

#include <inttypes.h>
#include <time.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"

static void line(const char *name, const char *value)
{
        printf("%17s: ", name);
        text_print(stdout, value);
        putchar('\n');
}

/* Ids and such, with commas, after an optional text. */
static void line_of_many(const char *name, const char *const *values)
{
        printf("%17s: ", name);
        for (size_t i = 0; values[i]; i++) {
                if (i > 0)
                        printf(", ");
                text_print(stdout, values[i]);
        }
        putchar('\n');
}

static void print_driver(const struct vfiobroker_device *device)
{
        printf("%17s: ", "Driver");
        text_print(stdout, *device->driver ? device->driver : "none");
        if (*device->vfio_driver && !streq(device->driver, device->vfio_driver)) {
                printf(" (for VFIO: ");
                text_print(stdout, device->vfio_driver);
                putchar(')');
        }
        putchar('\n');
}

static void print_last_reset(const struct vfiobroker_device *device)
{
        time_t seconds = (time_t)(device->last_reset_usec / USEC_PER_SEC);
        char when[64] = "";
        struct tm tm;

        if (device->last_reset_usec == 0)
                return;

        if (localtime_r(&seconds, &tm))
                (void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %Z", &tm);
        printf("%17s: %s: ", "Last reset", when);
        text_print(stdout, device->last_reset);
        putchar('\n');
}

static void print_device(const struct vfiobroker_device *device)
{
        text_print(stdout, device->id);
        if (*device->description) {
                printf(" - ");
                text_print(stdout, device->description);
        }
        putchar('\n');

        line("State", device->state);
        if (*device->state_reason)
                line("Reason", device->state_reason);
        if (*device->lease)
                line("Lease", device->lease);
        line("Bus", device->bus);
        print_driver(device);
        if (device->vendor != 0)
                printf("%17s: %04x:%04x (subsystem %04x:%04x), class %06" PRIx32 "\n", "PCI ids",
                       device->vendor, device->product, device->subsystem_vendor, device->subsystem_product,
                       device->class_code);
        if (device->group >= 0)
                printf("%17s: %" PRIi64 "\n", "IOMMU group", device->group);
        else
                line("IOMMU group", "none");
        if (device->numa_node >= 0)
                printf("%17s: %" PRIi32 "\n", "NUMA node", device->numa_node);
        if (*device->physical_function)
                line("Function of", device->physical_function);
        if (device->virtual_functions_max > 0) {
                size_t n = 0;

                while (device->virtual_functions[n])
                        n++;
                printf("%17s: %zu of %" PRIu32 "\n", "Virtual functions", n, device->virtual_functions_max);
                if (n > 0)
                        line_of_many("which are", device->virtual_functions);
        }
        if (device->reset_methods[0])
                line_of_many("Can be reset by", device->reset_methods);
        else
                line("Can be reset by", "nothing");
        if (device->reset_set[0])
                line_of_many("Bus reset hits", device->reset_set);
        print_last_reset(device);
}

static int status(struct vfiobroker *broker, const char *id, bool first)
{
        _cleanup_(vfiobroker_device_freep) struct vfiobroker_device *device = NULL;
        int r;

        r = vfiobroker_get_device(broker, id, &device);
        if (r < 0)
                return r;

        if (!first)
                putchar('\n');
        print_device(device);
        return 0;
}

int verb_status(const Verb *verb, int argc, char **argv)
{
        return verb_for_each(verb, argc, argv, status);
}
