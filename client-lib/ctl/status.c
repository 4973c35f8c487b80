/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl status: one device, group, container or lease in people's words; what does not apply to it is left
 * out. */

#include <inttypes.h>
#include <time.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"

/* A blank line between one and the next. */
static void begin(void)
{
        static bool begun;

        if (begun)
                putchar('\n');
        begun = true;
}

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

#define WHEN_MAX 64

static const char *format_time(uint64_t usec, char buffer[static WHEN_MAX])
{
        time_t seconds = (time_t)(usec / USEC_PER_SEC);
        struct tm tm;

        buffer[0] = 0;
        if (localtime_r(&seconds, &tm))
                (void)strftime(buffer, WHEN_MAX, "%Y-%m-%d %H:%M:%S %Z", &tm);
        return buffer;
}

static void print_last_reset(const struct vfiobroker_device *device)
{
        char when[WHEN_MAX];

        if (device->last_reset_usec == 0)
                return;
        printf("%17s: %s: ", "Last reset", format_time(device->last_reset_usec, when));
        text_print(stdout, device->last_reset);
        putchar('\n');
}

static void print_device(const struct vfiobroker_device *device)
{
        begin();
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

static void print_ranges(const char *name, const struct vfiobroker_range *ranges, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                printf("%17s: %#" PRIx64 "-%#" PRIx64 "%s", i == 0 ? name : "and", ranges[i].start,
                       ranges[i].end, *ranges[i].type ? " " : "");
                text_print(stdout, ranges[i].type);
                putchar('\n');
        }
}

static void lines_of(const char *name, const char *const *values)
{
        for (size_t i = 0; values[i]; i++)
                line(i == 0 ? name : "and", values[i]);
}

static void print_group(const struct vfiobroker_group_entry *group)
{
        begin();
        printf("group %" PRIu32 "\n", group->number);
        line("Viable", group->viable ? "yes" : "no");
        lines_of("because", group->blockers);
        if (*group->tenant)
                line("Tenant", group->tenant);
        if (*group->container)
                line("Container", group->container);
        if (*group->type)
                line("Type", group->type);
        lines_of("Devices", group->devices);
        print_ranges("Not for DMA", group->reserved, group->n_reserved);
}

static int status_group(struct vfiobroker *broker, const char *number, bool *ret_found)
{
        _cleanup_(vfiobroker_group_list_freep) struct vfiobroker_group_list *list = NULL;
        char text[16];
        int r;

        r = vfiobroker_list_groups(broker, &list);
        for (size_t i = 0; r >= 0 && i < list->n; i++) {
                (void)snprintf(text, sizeof(text), "%" PRIu32, list->groups[i]->number);
                if (!streq(text, number))
                        continue;
                print_group(list->groups[i]);
                *ret_found = true;
        }
        return r;
}

static void print_container(const struct vfiobroker_container_entry *container)
{
        begin();
        printf("container ");
        text_print(stdout, container->name);
        putchar('\n');
        line("Tenant", container->tenant);
        line("Backend", container->backend);
        line_of_many("Groups", container->groups);
        line_of_many("Leases", container->leases);
        print_ranges("For DMA", container->iova, container->n_iova);
}

/* An administrator sees the containers of all tenants, of whom two may use one name. */
static int status_container(struct vfiobroker *broker, const char *name, bool *ret_found)
{
        _cleanup_(vfiobroker_container_list_freep) struct vfiobroker_container_list *list = NULL;
        int r;

        r = vfiobroker_list_containers(broker, &list);
        for (size_t i = 0; r >= 0 && i < list->n; i++) {
                if (!streq(list->containers[i]->name, name))
                        continue;
                print_container(list->containers[i]);
                *ret_found = true;
        }
        return r;
}

static void line_of_size(const char *name, uint64_t bytes)
{
        char size[FORMAT_SIZE_MAX];

        line(name, format_size(bytes, size));
}

static void print_deadline(uint64_t usec)
{
        struct timespec ts = {};
        uint64_t now;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        now = (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
        if (usec > now)
                printf("%17s: within %" PRIu64 " s\n", "To be given back", (usec - now) / USEC_PER_SEC + 1);
        else
                printf("%17s: %" PRIu64 " s ago\n", "To be given back", (now - usec) / USEC_PER_SEC);
}

static int status_lease(struct vfiobroker *broker, const char *id, bool *ret_found)
{
        _cleanup_(vfiobroker_lease_info_freep) struct vfiobroker_lease_info *lease = NULL;
        char when[WHEN_MAX];
        int r;

        r = vfiobroker_get_lease(broker, id, &lease);
        if (r < 0)
                return r;

        begin();
        printf("lease ");
        text_print(stdout, id);
        if (*lease->label) {
                printf(" - ");
                text_print(stdout, lease->label);
        }
        putchar('\n');
        line("State", lease->state);
        if (lease->revoke_deadline_usec > 0)
                print_deadline(lease->revoke_deadline_usec);
        if (*lease->policy_refusal)
                line("Policy refuses", lease->policy_refusal);
        line("Tenant", lease->tenant);
        line_of_many("Devices", lease->devices);
        line("Backend", lease->backend);
        if (*lease->container)
                line("Container", lease->container);
        if (lease->pid > 0)
                printf("%17s: %" PRIu32 " of uid %" PRIu32 "\n", "Process", lease->pid, lease->uid);
        if (*lease->unit)
                line("Unit", lease->unit);
        line_of_size("May lock", lease->memlock_limit);
        line_of_size("Has locked", lease->memlock_used);
        line("Since", format_time(lease->since_usec, when));
        *ret_found = true;
        return 0;
}

static int status_device(struct vfiobroker *broker, const char *id, bool *ret_found)
{
        _cleanup_(vfiobroker_device_freep) struct vfiobroker_device *device = NULL;
        int r;

        r = vfiobroker_get_device(broker, id, &device);
        if (r < 0)
                return r;
        print_device(device);
        *ret_found = true;
        return 0;
}

static const struct {
        const char *prefix;
        int (*run)(struct vfiobroker *broker, const char *name, bool *ret_found);
} kinds[] = {
        { "group:", status_group },
        { "container:", status_container },
        { "lease:", status_lease },
        { "", status_device },
};

static int status(struct vfiobroker *broker, const char *what)
{
        bool found = false;
        size_t i = 0;
        int r;

        while (strncmp(what, kinds[i].prefix, strlen(kinds[i].prefix)) != 0)
                i++;

        r = kinds[i].run(broker, what + strlen(kinds[i].prefix), &found);
        if (r < 0 || found)
                return r;
        ctl_error("%s: There is none that you may see", what);
        return 1;
}

int verb_status(const Verb *verb, int argc, char **argv)
{
        return verb_for_each(verb, argc, argv, status);
}
