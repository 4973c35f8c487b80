/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vfiobroker1.Tenant: what a section of the policy may have, and what it has. A tenant that has left the policy and
 * still holds leases may have nothing: its maxima are 0. Event loop only. */

#include <utlist.h>

#include "daemon/bus/object.h"

PROPERTY_APPEND(get_name, Tenant, tenant, "s", tenant->name)
PROPERTY_APPEND(get_memlock_committed, Tenant, tenant, "t", tenant->memlock_committed)
PROPERTY_APPEND(get_devices_leased, Tenant, tenant, "u", (uint32_t)tenant->devices_leased)

static const PolicyTenant *section(const Object *object)
{
        const Tenant *tenant = object->found;

        return policy_tenant_by_name(object->bus->broker->policy, tenant->name);
}

PROPERTY_GETTER(get_memlock_max)
{
        const PolicyTenant *tenant = section(userdata);

        return sd_bus_message_append(reply, "t", tenant ? tenant->memlock_max : 0);
}

PROPERTY_GETTER(get_devices_max)
{
        const PolicyTenant *tenant = section(userdata);

        return sd_bus_message_append(reply, "u", tenant ? (uint32_t)tenant->devices_max : 0);
}

PROPERTY_GETTER(get_leases_max)
{
        const PolicyTenant *tenant = section(userdata);

        return sd_bus_message_append(reply, "u", tenant ? (uint32_t)tenant->leases_max : 0);
}

/* Of all processes that hold its leases, each counted once. */
PROPERTY_GETTER(get_memlock_used)
{
        const Object *object = userdata;
        const Tenant *tenant = object->found;
        Host *host = object->bus->broker->host;
        uint64_t sum = 0;
        const Lease *lease, *other;

        DL_FOREACH(tenant->leases, lease) {
                uint64_t used;

                DL_FOREACH(tenant->leases, other)
                        if (other == lease || other->holder == lease->holder)
                                break;
                if (!lease->holder || other != lease)
                        continue;
                if (host->ops->memlock_used(host, lease->pid, lease->holder->pidfd, &used) >= 0)
                        sum += used;
        }
        return sd_bus_message_append(reply, "t", sum);
}

PROPERTY_GETTER(get_leases)
{
        const Object *object = userdata;
        const Tenant *tenant = object->found;
        const Lease *lease;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        DL_FOREACH(tenant->leases, lease) {
                if (r < 0)
                        break;
                r = object_append_path(reply, &lease_kind, lease);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const sd_bus_vtable tenant_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("MemlockMax", "t", get_memlock_max, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("MemlockCommitted", "t", get_memlock_committed, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("MemlockUsed", "t", get_memlock_used, 0, 0),
        SD_BUS_PROPERTY("DevicesMax", "u", get_devices_max, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("DevicesLeased", "u", get_devices_leased, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("LeasesMax", "u", get_leases_max, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Leases", "ao", get_leases, 0, PROPERTY_CHANGES),
        SD_BUS_VTABLE_END,
};

static void *lookup(Bus *bus, const char *name)
{
        return broker_tenant(bus->broker, name);
}

static void *next(Bus *bus, void *after)
{
        return after ? ((Tenant *)after)->hh.next : bus->broker->tenants;
}

static void name(const void *object, char ret[static OBJECT_NAME_MAX])
{
        const Tenant *tenant = object;

        (void)snprintf(ret, OBJECT_NAME_MAX, "%s", tenant->name);
}

static bool sees(Bus *bus, Caller *caller, const void *object)
{
        const Tenant *tenant = object;

        return access_sees_tenant(bus, caller, tenant->name);
}

const ObjectKind tenant_kind = {
        .root = BUS_TENANT_ROOT,
        .interface = BUS_TENANT_INTERFACE,
        .vtable = tenant_vtable,
        .lookup = lookup,
        .next = next,
        .name = name,
        .sees = sees,
};
