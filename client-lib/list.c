/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The two lists: devices and leases. A list owns its entries, an entry its strings, and nothing of it refers
 * to the connection or the message that it came from. Runs on the one thread of its connection. */

#include "client-lib/internal.h"

/* Makes room for one more pointer in a growing array. */
static int grow(void *array, size_t n)
{
        void **grown;

        if (n > 0 && (n & (n - 1)) != 0)
                return 0;

        grown = reallocarray(*(void ***)array, n == 0 ? 1 : n * 2, sizeof(void *));
        if (!grown)
                return -ENOMEM;
        *(void ***)array = grown;
        return 0;
}

static int list_call(struct vfiobroker *broker, const char *member, const char *row, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        char signature[32];
        int r;

        r = broker_call_new(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, member, &call);
        if (r < 0)
                return r;

        (void)snprintf(signature, sizeof(signature), "a%s", row);
        r = broker_call(broker, call, CALL_TIMEOUT_USEC, signature, &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_enter_container(reply, 'a', row);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(reply);
        return 0;
}

static void device_entry_free(struct vfiobroker_device_entry *entry)
{
        free((char *)entry->id);
        free((char *)entry->bus);
        free((char *)entry->description);
        free((char *)entry->driver);
        free((char *)entry->state);
        free((char *)entry->lease);
        free(entry);
}

static int device_entry_read(sd_bus_message *reply, struct vfiobroker_device_entry **ret)
{
        const char *id, *bus, *description, *driver, *state, *lease;
        struct vfiobroker_device_entry *entry;
        char *lease_id;
        uint32_t group;
        int r;

        r = sd_bus_message_read(reply, "(ssssuss)", &id, &bus, &description, &driver, &group, &state,
                                &lease);
        if (r <= 0)
                return r;

        r = path_to_id(*lease ? lease : "/", BROKER_LEASE_PREFIX, &lease_id);
        if (r < 0)
                return r;

        entry = malloc(sizeof(*entry));
        if (!entry) {
                free(lease_id);
                return -ENOMEM;
        }

        *entry = (struct vfiobroker_device_entry){
                .id = strdup(id),
                .bus = strdup(bus),
                .description = strdup(description),
                .driver = strdup(driver),
                .group = group == UINT32_MAX ? -1 : (int64_t)group,
                .state = strdup(state),
                .lease = lease_id,
        };
        if (!entry->id || !entry->bus || !entry->description || !entry->driver || !entry->state ||
            !entry->lease) {
                device_entry_free(entry);
                return -ENOMEM;
        }

        *ret = entry;
        return 1;
}

static int list_devices(struct vfiobroker *broker, struct vfiobroker_device_list **ret)
{
        _cleanup_(vfiobroker_device_list_freep) struct vfiobroker_device_list *list = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = list_call(broker, "ListDevices", "(ssssuss)", &reply);
        if (r < 0)
                return r;

        list = calloc(1, sizeof(*list));
        if (!list)
                return -ENOMEM;

        for (;;) {
                struct vfiobroker_device_entry *entry;

                r = grow(&list->devices, list->n);
                if (r < 0)
                        return r;

                r = device_entry_read(reply, &entry);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                ((const struct vfiobroker_device_entry **)list->devices)[list->n++] = entry;
        }

        *ret = TAKE_PTR(list);
        return 0;
}

_public_ int vfiobroker_list_devices(struct vfiobroker *broker, struct vfiobroker_device_list **ret)
{
        int r;

        if (!ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = list_devices(broker, ret);
        return broker_end(broker, r);
}

_public_ struct vfiobroker_device_list *vfiobroker_device_list_free(struct vfiobroker_device_list *list)
{
        if (!list)
                return NULL;

        for (size_t i = 0; i < list->n; i++)
                device_entry_free((struct vfiobroker_device_entry *)list->devices[i]);
        free((void *)list->devices);
        free(list);
        return NULL;
}

static void lease_entry_free(struct vfiobroker_lease_entry *entry)
{
        free((char *)entry->id);
        free((char *)entry->path);
        free((char *)entry->tenant);
        free((char *)entry->label);
        free((char *)entry->backend);
        free(entry);
}

static int lease_entry_read(sd_bus_message *reply, struct vfiobroker_lease_entry **ret)
{
        const char *path, *tenant, *label, *backend;
        struct vfiobroker_lease_entry *entry;
        uint64_t memlock;
        char *id;
        uint32_t pid;
        int r;

        r = sd_bus_message_read(reply, "(osssut)", &path, &tenant, &label, &backend, &pid, &memlock);
        if (r <= 0)
                return r;

        r = path_to_id(path, BROKER_LEASE_PREFIX, &id);
        if (r < 0)
                return r;

        entry = malloc(sizeof(*entry));
        if (!entry) {
                free(id);
                return -ENOMEM;
        }

        *entry = (struct vfiobroker_lease_entry){
                .id = id,
                .path = strdup(path),
                .tenant = strdup(tenant),
                .label = strdup(label),
                .backend = strdup(backend),
                .pid = pid,
                .memlock = memlock,
        };
        if (!entry->path || !entry->tenant || !entry->label || !entry->backend) {
                lease_entry_free(entry);
                return -ENOMEM;
        }

        *ret = entry;
        return 1;
}

static int list_leases(struct vfiobroker *broker, struct vfiobroker_lease_list **ret)
{
        _cleanup_(vfiobroker_lease_list_freep) struct vfiobroker_lease_list *list = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = list_call(broker, "ListLeases", "(osssut)", &reply);
        if (r < 0)
                return r;

        list = calloc(1, sizeof(*list));
        if (!list)
                return -ENOMEM;

        for (;;) {
                struct vfiobroker_lease_entry *entry;

                r = grow(&list->leases, list->n);
                if (r < 0)
                        return r;

                r = lease_entry_read(reply, &entry);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                ((const struct vfiobroker_lease_entry **)list->leases)[list->n++] = entry;
        }

        *ret = TAKE_PTR(list);
        return 0;
}

_public_ int vfiobroker_list_leases(struct vfiobroker *broker, struct vfiobroker_lease_list **ret)
{
        int r;

        if (!ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = list_leases(broker, ret);
        return broker_end(broker, r);
}

_public_ struct vfiobroker_lease_list *vfiobroker_lease_list_free(struct vfiobroker_lease_list *list)
{
        if (!list)
                return NULL;

        for (size_t i = 0; i < list->n; i++)
                lease_entry_free((struct vfiobroker_lease_entry *)list->leases[i]);
        free((void *)list->leases);
        free(list);
        return NULL;
}
