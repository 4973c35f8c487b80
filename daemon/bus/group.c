/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vfiobroker1.Group: an IOMMU group, all its devices, and what keeps it from being given away. Which tenant has it
 * is told only to those who are that tenant. Event loop only. */

#include "daemon/bus/object.h"

/* Of the text that group_viable() makes: a line for each device. */
#define BLOCKERS_TEXT_MAX (GROUP_DEVICES_MAX * (DEVICE_ID_MAX + DRIVER_NAME_MAX + 16))

PROPERTY_APPEND(get_number, Group, group, "u", (uint32_t)group->number)
PROPERTY_APPEND(get_type, Group, group, "s", group->type)
PROPERTY_APPEND(get_viable, Group, group, "b", (int)group_viable(group, NULL, 0, NULL, 0))

PROPERTY_GETTER(get_devices)
{
        const Object *object = userdata;
        const Group *group = object->found;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; r >= 0 && i < group->n_devices; i++)
                r = object_append_path(reply, &device_kind, group->devices[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

PROPERTY_GETTER(get_blockers)
{
        const Object *object = userdata;
        const Group *group = object->found;
        _cleanup_free_ char *text = calloc(1, BLOCKERS_TEXT_MAX);
        int r;

        if (!text)
                return -ENOMEM;
        (void)group_viable(group, NULL, 0, text, BLOCKERS_TEXT_MAX);

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (char *line = text, *end; r >= 0 && line && line[0]; line = end) {
                end = strstr(line, ", ");
                if (end) {
                        *end = 0;
                        end += 2;
                }
                r = sd_bus_message_append(reply, "s", line);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* The kernel gives them for the group; every member's DeviceInfo has the same. */
PROPERTY_GETTER(get_reserved_regions)
{
        const Object *object = userdata;
        const Group *group = object->found;
        const DeviceInfo *info = group->n_devices > 0 ? &group->devices[0]->info : NULL;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(tts)");
        for (size_t i = 0; r >= 0 && info && i < info->n_reserved; i++)
                r = sd_bus_message_append(reply, "(tts)", info->reserved[i].start, info->reserved[i].end,
                                          info->reserved[i].type);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* With the iommufd backend members may be in several; the first is shown. */
PROPERTY_GETTER(get_container)
{
        const Object *object = userdata;
        const Group *group = object->found;
        const Container *container = NULL;
        Caller *viewer;
        int r;

        r = access_viewer(object->bus, &viewer, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < group->n_devices && !container; i++)
                if (group->devices[i]->lease)
                        container = group->devices[i]->lease->container;
        return object_append_path(
                reply, &container_kind,
                container && container_kind.sees(object->bus, viewer, container) ? container : NULL);
}

/* The worst of its devices: whoever has one of them reaches what the others do. */
PROPERTY_GETTER(get_interrupt_isolation)
{
        const Object *object = userdata;
        const Group *group = object->found;
        Host *host = object->bus->broker->host;
        Isolation worst = ISOLATION_YES;
        HostIsolation facts = {};

        host->ops->isolation(host, &facts);
        for (size_t i = 0; i < group->n_devices; i++) {
                Isolation isolation = device_isolation(group->devices[i], &facts);

                if (isolation == ISOLATION_NO || worst == ISOLATION_YES)
                        worst = isolation;
        }
        return sd_bus_message_append(reply, "s", isolation_to_string(worst));
}

PROPERTY_APPEND(get_no_iommu, Group, group, "b",
                (int)(group->n_devices > 0 && group->devices[0]->info.noiommu))

PROPERTY_GETTER(get_tenant)
{
        const Object *object = userdata;
        const char *tenant = group_tenant(object->found);
        Caller *viewer;
        int r;

        r = access_viewer(object->bus, &viewer, error);
        if (r < 0)
                return r;
        return sd_bus_message_append(
                reply, "s", tenant && access_sees_tenant(object->bus, viewer, tenant) ? tenant : "");
}

static const sd_bus_vtable group_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Number", "u", get_number, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Type", "s", get_type, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Devices", "ao", get_devices, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Viable", "b", get_viable, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Blockers", "as", get_blockers, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("ReservedRegions", "a(tts)", get_reserved_regions, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("InterruptIsolation", "s", get_interrupt_isolation, 0, 0),
        SD_BUS_PROPERTY("NoIommu", "b", get_no_iommu, 0, 0),
        SD_BUS_PROPERTY("Container", "o", get_container, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Tenant", "s", get_tenant, 0, PROPERTY_CHANGES),
        SD_BUS_VTABLE_END,
};

/* Only the canonical form is a name: "7", not "07" or "+7". */
static void *lookup(Bus *bus, const char *name)
{
        unsigned long number = 0;

        if (!name[0] || (name[0] == '0' && name[1]) || strlen(name) > 9)
                return NULL;
        for (const char *p = name; *p; p++) {
                if (*p < '0' || *p > '9')
                        return NULL;
                number = number * 10 + (unsigned long)(*p - '0');
        }
        return broker_group(bus->broker, (int)number);
}

static void *next(Bus *bus, void *after)
{
        return after ? ((Group *)after)->hh.next : bus->broker->groups;
}

static void name(const void *object, char ret[static OBJECT_NAME_MAX])
{
        const Group *group = object;

        (void)snprintf(ret, OBJECT_NAME_MAX, "%d", group->number);
}

static bool sees(Bus *bus, Caller *caller, const void *object)
{
        return access_sees_group(bus, caller, object);
}

const ObjectKind group_kind = {
        .root = BUS_GROUP_ROOT,
        .interface = BUS_GROUP_INTERFACE,
        .vtable = group_vtable,
        .lookup = lookup,
        .next = next,
        .name = name,
        .sees = sees,
};
