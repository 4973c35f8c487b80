/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vfiobroker1.Container: one I/O address space and who is in it, for those who are its tenant or hold a lease of it.
 * Event loop only. */

#include "daemon/bus/object.h"

PROPERTY_APPEND(get_name, Container, container, "s", container->name)
PROPERTY_APPEND(get_backend, Container, container, "s",
                container->backend == POLICY_BACKEND_GROUP ? "group" : "iommufd")
PROPERTY_APPEND(get_tenant, Container, container, "s", container->tenant)

/* Whether the lease has a device of the group, and uses the container. */
static bool has_group(const Lease *lease, const Container *container, const Group *group)
{
        for (size_t i = 0; lease->container == container && i < lease->n_devices; i++)
                if (!lease->settled[i] && lease->devices[i]->group == group)
                        return true;
        return false;
}

PROPERTY_GETTER(get_groups)
{
        const Object *object = userdata;
        const Container *container = object->found;
        const Broker *broker = object->bus->broker;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (const Group *group = broker->groups; r >= 0 && group; group = group->hh.next)
                for (const Lease *lease = broker->leases; lease; lease = lease->hh.next)
                        if (has_group(lease, container, group)) {
                                r = object_append_path(reply, &group_kind, group);
                                break;
                        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

PROPERTY_GETTER(get_leases)
{
        const Object *object = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (const Lease *lease = object->bus->broker->leases; r >= 0 && lease; lease = lease->hh.next)
                if (lease->container == object->found)
                        r = object_append_path(reply, &lease_kind, lease);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

PROPERTY_GETTER(get_iova_ranges)
{
        const Object *object = userdata;
        const Container *container = object->found;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(tt)");
        for (size_t i = 0; r >= 0 && i < container->n_iova; i++)
                r = sd_bus_message_append(reply, "(tt)", container->iova[i].start, container->iova[i].end);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const sd_bus_vtable container_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Backend", "s", get_backend, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Tenant", "s", get_tenant, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Groups", "ao", get_groups, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Leases", "ao", get_leases, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("IovaRanges", "a(tt)", get_iova_ranges, 0, PROPERTY_CHANGES),
        SD_BUS_VTABLE_END,
};

/* "TENANT/NAME". */
static void *lookup(Bus *bus, const char *name)
{
        Container *container;

        HASH_FIND_STR(bus->broker->containers, name, container);
        return container;
}

static void *next(Bus *bus, void *after)
{
        return after ? ((Container *)after)->hh.next : bus->broker->containers;
}

static void name(const void *object, char ret[static OBJECT_NAME_MAX])
{
        const Container *container = object;

        (void)snprintf(ret, OBJECT_NAME_MAX, "%s", container->key);
}

static bool sees(Bus *bus, Caller *caller, const void *object)
{
        const Container *container = object;

        if (access_sees_tenant(bus, caller, container->tenant))
                return true;
        for (const Lease *lease = bus->broker->leases; lease; lease = lease->hh.next)
                if (lease->container == container && access_sees_lease(bus, caller, lease))
                        return true;
        return false;
}

const ObjectKind container_kind = {
        .root = BUS_CONTAINER_ROOT,
        .interface = BUS_CONTAINER_INTERFACE,
        .vtable = container_vtable,
        .lookup = lookup,
        .next = next,
        .name = name,
        .sees = sees,
};
