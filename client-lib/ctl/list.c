/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl list, leases, groups, containers and tenants: one table each. */

#include <getopt.h>
#include <inttypes.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"

/* The options of both verbs; as verb_arguments(). */
static int list_arguments(const Verb *verb, int argc, char **argv, bool *ret_legend, int *ret_exit)
{
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "no-legend", no_argument, NULL, 'n' },
                { NULL, 0, NULL, 0 },
        };
        bool legend = true;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'n': legend = false; break;
                case 'h':
                        verb_print_help(verb);
                        *ret_exit = EXIT_SUCCESS;
                        return -1;
                default: *ret_exit = verb_usage(verb, "Wrong option"); return -1;
                }

        if (optind < argc) {
                *ret_exit = verb_usage(verb, "Too many arguments");
                return -1;
        }
        *ret_legend = legend;
        return 0;
}

/* One list as a table: `fill` asks the broker and adds the rows. */
static int show(const Verb *verb, int argc, char **argv, const char *const *headings, size_t n_columns,
                int (*fill)(struct vfiobroker *broker, Table *table))
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        _cleanup_(table_freep) Table *table = NULL;
        int code, r;
        bool legend;

        if (list_arguments(verb, argc, argv, &legend, &code) < 0)
                return code;

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;

        r = table_new(headings, n_columns, &table);
        if (r >= 0)
                r = fill(broker, table);
        if (r < 0) {
                (void)ctl_refused(broker, "Cannot list", r);
                return EXIT_FAILURE;
        }

        table_print(table, stdout, legend, terminal_width(stdout));
        return EXIT_SUCCESS;
}

static int add_device(Table *table, const struct vfiobroker_device_entry *device)
{
        char group[32] = "";
        const char *const cells[] = { device->id, device->bus,   device->driver,
                                      group,      device->state, device->description };

        if (device->group >= 0)
                (void)snprintf(group, sizeof(group), "%" PRIi64, device->group);
        return table_add_row(table, cells);
}

static int fill_devices(struct vfiobroker *broker, Table *table)
{
        _cleanup_(vfiobroker_device_list_freep) struct vfiobroker_device_list *list = NULL;
        int r;

        r = vfiobroker_list_devices(broker, &list);
        for (size_t i = 0; r >= 0 && i < list->n; i++)
                r = add_device(table, list->devices[i]);
        return r;
}

int verb_list(const Verb *verb, int argc, char **argv)
{
        static const char *const headings[] = { "ID", "BUS", "DRIVER", "GROUP", "STATE", "DESCRIPTION" };

        return show(verb, argc, argv, headings, ELEMENTSOF(headings), fill_devices);
}

static int add_lease(struct vfiobroker *broker, Table *table, const struct vfiobroker_lease_entry *lease)
{
        _cleanup_(vfiobroker_lease_info_freep) struct vfiobroker_lease_info *info = NULL;
        _cleanup_free_ char *policy = NULL;
        char pid[16] = "", size[FORMAT_SIZE_MAX];
        int r;

        r = vfiobroker_get_lease(broker, lease->id, &info);
        if (r == -ENXIO)
                return 0; /* it ended since the list */
        if (r < 0)
                return r;
        if (asprintf(&policy, "%s%s", *info->policy_refusal ? "refuses: " : "", info->policy_refusal) < 0) {
                policy = NULL;
                return -ENOMEM;
        }
        if (lease->pid > 0)
                (void)snprintf(pid, sizeof(pid), "%" PRIu32, lease->pid);
        return table_add_row(table, (const char *const[]){ lease->id, lease->tenant, lease->backend, pid,
                                                           format_size(lease->memlock, size), lease->label,
                                                           policy });
}

static int fill_leases(struct vfiobroker *broker, Table *table)
{
        _cleanup_(vfiobroker_lease_list_freep) struct vfiobroker_lease_list *list = NULL;
        int r;

        r = vfiobroker_list_leases(broker, &list);
        for (size_t i = 0; r >= 0 && i < list->n; i++)
                r = add_lease(broker, table, list->leases[i]);
        return r;
}

int verb_leases(const Verb *verb, int argc, char **argv)
{
        static const char *const headings[] = { "LEASE",   "TENANT", "BACKEND", "PID",
                                                "MEMLOCK", "LABEL",  "POLICY" };

        return show(verb, argc, argv, headings, ELEMENTSOF(headings), fill_leases);
}

/* On a terminal a cell that is not the last has so many names, and then their number, for the last is what one looks for;
 * elsewhere it has all. */
#define NAMES_MAX 1

static size_t names_max(void)
{
        return terminal_width(stdout) > 0 ? NAMES_MAX : SIZE_MAX;
}

static int add_group(Table *table, const struct vfiobroker_group_entry *group)
{
        _cleanup_free_ char *devices = NULL, *blockers = NULL, *viable = NULL;
        char number[16];
        int r;

        (void)snprintf(number, sizeof(number), "%" PRIu32, group->number);
        r = text_join(group->devices, names_max(), &devices);
        if (r >= 0)
                r = text_join(group->blockers, SIZE_MAX, &blockers);
        if (r < 0)
                return r;
        if (asprintf(&viable, "%s%s%s", group->viable ? "yes" : "no", *blockers ? ": " : "", blockers) < 0) {
                viable = NULL;
                return -ENOMEM;
        }
        return table_add_row(table,
                             (const char *const[]){ number, group->type, group->tenant, devices, viable });
}

static int by_number(const void *a, const void *b)
{
        const struct vfiobroker_group_entry *const *x = a, *const *y = b;

        return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

static int fill_groups(struct vfiobroker *broker, Table *table)
{
        _cleanup_(vfiobroker_group_list_freep) struct vfiobroker_group_list *list = NULL;
        int r;

        r = vfiobroker_list_groups(broker, &list);
        if (r < 0)
                return r;

        qsort((void *)list->groups, list->n, sizeof(*list->groups), by_number);
        for (size_t i = 0; r >= 0 && i < list->n; i++)
                r = add_group(table, list->groups[i]);
        return r;
}

int verb_groups(const Verb *verb, int argc, char **argv)
{
        static const char *const headings[] = { "GROUP", "TYPE", "TENANT", "DEVICES", "VIABLE" };

        return show(verb, argc, argv, headings, ELEMENTSOF(headings), fill_groups);
}

static int add_container(Table *table, const struct vfiobroker_container_entry *container)
{
        _cleanup_free_ char *groups = NULL, *leases = NULL;
        int r;

        r = text_join(container->groups, names_max(), &groups);
        if (r >= 0)
                r = text_join(container->leases, SIZE_MAX, &leases);
        if (r < 0)
                return r;
        return table_add_row(table, (const char *const[]){ container->name, container->backend,
                                                           container->tenant, groups, leases });
}

static int by_tenant_and_name(const void *a, const void *b)
{
        const struct vfiobroker_container_entry *const *x = a, *const *y = b;
        int order = strcmp((*x)->tenant, (*y)->tenant);

        return order != 0 ? order : strcmp((*x)->name, (*y)->name);
}

static int fill_containers(struct vfiobroker *broker, Table *table)
{
        _cleanup_(vfiobroker_container_list_freep) struct vfiobroker_container_list *list = NULL;
        int r;

        r = vfiobroker_list_containers(broker, &list);
        if (r < 0)
                return r;

        qsort((void *)list->containers, list->n, sizeof(*list->containers), by_tenant_and_name);
        for (size_t i = 0; r >= 0 && i < list->n; i++)
                r = add_container(table, list->containers[i]);
        return r;
}

int verb_containers(const Verb *verb, int argc, char **argv)
{
        static const char *const headings[] = { "CONTAINER", "BACKEND", "TENANT", "GROUPS", "LEASES" };

        return show(verb, argc, argv, headings, ELEMENTSOF(headings), fill_containers);
}

static const char *const tenant_headings[] = { "TENANT", "DEVICES", "LEASES", "COMMITTED", "USED", "MAX" };

int tenant_table_new(Table **ret)
{
        return table_new(tenant_headings, ELEMENTSOF(tenant_headings), ret);
}

/* "2/4", "2" where there is no limit. */
static void format_share(size_t n, uint32_t max, char *ret, size_t size)
{
        if (max == UINT32_MAX)
                (void)snprintf(ret, size, "%zu", n);
        else
                (void)snprintf(ret, size, "%zu/%" PRIu32, n, max);
}

int tenant_table_add(Table *table, const struct vfiobroker_tenant_entry *tenant)
{
        char devices[32], leases[32], committed[FORMAT_SIZE_MAX], used[FORMAT_SIZE_MAX],
                max[FORMAT_SIZE_MAX] = "";
        size_t n = 0;

        while (tenant->leases[n])
                n++;
        format_share(tenant->devices_leased, tenant->devices_max, devices, sizeof(devices));
        format_share(n, tenant->leases_max, leases, sizeof(leases));
        if (tenant->memlock_max != UINT64_MAX)
                (void)format_size(tenant->memlock_max, max);
        return table_add_row(table, (const char *const[]){ tenant->name, devices, leases,
                                                           format_size(tenant->memlock_committed, committed),
                                                           format_size(tenant->memlock_used, used), max });
}

static int by_name(const void *a, const void *b)
{
        const struct vfiobroker_tenant_entry *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

static int fill_tenants(struct vfiobroker *broker, Table *table)
{
        _cleanup_(vfiobroker_tenant_list_freep) struct vfiobroker_tenant_list *list = NULL;
        int r;

        r = vfiobroker_list_tenants(broker, &list);
        if (r < 0)
                return r;

        qsort((void *)list->tenants, list->n, sizeof(*list->tenants), by_name);
        for (size_t i = 0; r >= 0 && i < list->n; i++)
                r = tenant_table_add(table, list->tenants[i]);
        return r;
}

int verb_tenants(const Verb *verb, int argc, char **argv)
{
        return show(verb, argc, argv, tenant_headings, ELEMENTSOF(tenant_headings), fill_tenants);
}
