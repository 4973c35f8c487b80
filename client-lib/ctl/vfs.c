/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl vfs: the virtual functions of a physical one, shown or set. */

#include <inttypes.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"

/* Decimal, up to what sriov_numvfs can hold. */
static bool read_count(const char *s, uint32_t *ret)
{
        uint32_t n = 0;

        if (!*s || strlen(s) > 5)
                return false;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return false;
                n = n * 10 + (uint32_t)(*s - '0');
        }
        *ret = n;
        return n <= UINT16_MAX;
}

static int add_function(struct vfiobroker *broker, Table *table, const char *id)
{
        _cleanup_(vfiobroker_device_freep) struct vfiobroker_device *device = NULL;
        char group[32] = "";
        int r;

        r = vfiobroker_get_device(broker, id, &device);
        if (r == -ENODEV)
                return 0; /* gone since, or not for the caller to see */
        if (r < 0)
                return ctl_refused(broker, id, r);

        if (device->group >= 0)
                (void)snprintf(group, sizeof(group), "%" PRIi64, device->group);
        r = table_add(table, device->id);
        if (r >= 0)
                r = table_add(table, device->driver);
        if (r >= 0)
                r = table_add(table, group);
        if (r >= 0)
                r = table_add(table, device->state);
        if (r >= 0)
                r = table_add(table, device->lease);
        if (r < 0)
                ctl_error("%s", strerror(-r));
        return r;
}

static int show(struct vfiobroker *broker, const char *id)
{
        static const char *const headings[] = { "ID", "DRIVER", "GROUP", "STATE", "LEASE" };
        _cleanup_(vfiobroker_device_freep) struct vfiobroker_device *device = NULL;
        _cleanup_(table_freep) Table *table = NULL;
        size_t n = 0;
        int r;

        r = vfiobroker_get_device(broker, id, &device);
        if (r < 0)
                return ctl_refused(broker, id, r);
        while (device->virtual_functions[n])
                n++;
        text_print(stdout, device->id);
        printf(": %zu of %" PRIu32 " virtual functions\n", n, device->virtual_functions_max);
        if (n == 0)
                return 0;

        r = table_new(headings, ELEMENTSOF(headings), &table);
        if (r < 0) {
                ctl_error("%s", strerror(-r));
                return r;
        }
        for (size_t i = 0; i < n; i++) {
                r = add_function(broker, table, device->virtual_functions[i]);
                if (r < 0)
                        return r;
        }
        table_print(table, stdout, true, terminal_width(stdout));
        return 0;
}

int verb_vfs(const Verb *verb, int argc, char **argv)
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        int first, r, code = EXIT_SUCCESS;
        uint32_t count = 0;

        first = verb_arguments(verb, argc, argv, 1, 2, &code);
        if (first < 0)
                return code;
        if (first + 1 < argc && !read_count(argv[first + 1], &count))
                return verb_usage(verb, "Not a number of virtual functions: %s", argv[first + 1]);

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;

        if (first + 1 == argc)
                return show(broker, argv[first]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        r = vfiobroker_set_virtual_functions(broker, argv[first], count);
        if (r < 0) {
                (void)ctl_refused(broker, argv[first], r);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
