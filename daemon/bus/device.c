/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vfiobroker1.Device: what the inventory and the broker know of a device. Everything about the hardware is told to
 * whoever sees the device, other devices of its group or reset set included, since that is what the client must know
 * before it asks for it; who holds it is told only to those who see that lease. Event loop only. */

#include "daemon/bus/object.h"

PROPERTY_APPEND(get_id, Device, device, "s", device->info.id)
PROPERTY_APPEND(get_bus, Device, device, "s", device->info.bus)
PROPERTY_APPEND(get_vendor, Device, device, "q", device->info.vendor)
PROPERTY_APPEND(get_product, Device, device, "q", device->info.product)
PROPERTY_APPEND(get_subsystem_vendor, Device, device, "q", device->info.subsystem_vendor)
PROPERTY_APPEND(get_subsystem_product, Device, device, "q", device->info.subsystem_product)
PROPERTY_APPEND(get_class, Device, device, "u", device->info.class)
PROPERTY_APPEND(get_mdev_type, Device, device, "s", device->info.mdev_type)
PROPERTY_APPEND(get_description, Device, device, "s", device->info.description)
PROPERTY_APPEND(get_driver, Device, device, "s", device->info.driver)
PROPERTY_APPEND(get_numa_node, Device, device, "i", (int32_t)device->info.numa_node)
PROPERTY_APPEND(get_virtual_functions_max, Device, device, "u", (uint32_t)device->info.virtual_functions_max)
PROPERTY_APPEND(get_state, Device, device, "s", device_state_to_string(device->state))
PROPERTY_APPEND(get_last_reset, Device, device, "(ts)", device->last_reset_usec, device->last_reset)

PROPERTY_GETTER(get_vfio_driver)
{
        const Object *object = userdata;
        const Device *device = object->found;
        DeviceFacts facts = device_facts(device);
        const PolicyDevice *override = policy_device_override(object->bus->broker->policy, &facts);

        return sd_bus_message_append(
                reply, "s", override && override->driver ? override->driver : device->info.vfio_driver);
}

PROPERTY_GETTER(get_group)
{
        const Object *object = userdata;
        const Device *device = object->found;

        return object_append_path(reply, &group_kind, device->group);
}

PROPERTY_GETTER(get_reset_methods)
{
        const Object *object = userdata;
        const Device *device = object->found;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; r >= 0 && i < device->info.n_reset_methods; i++)
                r = sd_bus_message_append(reply, "s", device->info.reset_methods[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* The paths of the devices that are something to this one. */
static int append_related(sd_bus_message *reply, const Object *object,
                          bool (*is_related)(const Device *device, const Device *other))
{
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (const Device *other = object->bus->broker->devices; r >= 0 && other; other = other->hh.next)
                if (is_related(object->found, other))
                        r = object_append_path(reply, &device_kind, other);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

PROPERTY_GETTER(get_reset_set)
{
        return append_related(reply, userdata, device_reset_hits);
}

PROPERTY_GETTER(get_physical_function)
{
        const Object *object = userdata;
        const Device *device = object->found;
        const char *id = device->info.physical_function;

        return object_append_path(reply, &device_kind,
                                  id[0] ? broker_device(object->bus->broker, id) : NULL);
}

static bool is_virtual_function(const Device *device, const Device *other)
{
        return streq(other->info.physical_function, device->info.id) && other->state != DEVICE_GONE;
}

PROPERTY_GETTER(get_virtual_functions)
{
        return append_related(reply, userdata, is_virtual_function);
}

/* 1 where the device has no lease, or one that the reader may see; 0 where it is not to know of it. */
static int sees_lease(const Object *object, sd_bus_error *error)
{
        const Device *device = object->found;
        Caller *viewer;
        int r;

        r = access_viewer(object->bus, &viewer, error);
        if (r < 0)
                return r;
        return !device->lease || access_sees_lease(object->bus, viewer, device->lease);
}

/* The reason may say how its lease ended. */
PROPERTY_GETTER(get_state_reason)
{
        const Object *object = userdata;
        const Device *device = object->found;
        int r;

        r = sees_lease(object, error);
        return r < 0 ? r : sd_bus_message_append(reply, "s", r > 0 ? device->state_reason : "");
}

PROPERTY_GETTER(get_lease)
{
        const Object *object = userdata;
        const Device *device = object->found;
        int r;

        r = sees_lease(object, error);
        return r < 0 ? r : object_append_path(reply, &lease_kind, r > 0 ? device->lease : NULL);
}

static const sd_bus_vtable device_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "s", get_id, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Bus", "s", get_bus, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Vendor", "q", get_vendor, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Product", "q", get_product, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("SubsystemVendor", "q", get_subsystem_vendor, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("SubsystemProduct", "q", get_subsystem_product, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Class", "u", get_class, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Description", "s", get_description, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("MdevType", "s", get_mdev_type, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Driver", "s", get_driver, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("VfioDriver", "s", get_vfio_driver, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Group", "o", get_group, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("NumaNode", "i", get_numa_node, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("ResetMethods", "as", get_reset_methods, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("ResetSet", "ao", get_reset_set, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("PhysicalFunction", "o", get_physical_function, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("VirtualFunctions", "ao", get_virtual_functions, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("VirtualFunctionsMax", "u", get_virtual_functions_max, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("State", "s", get_state, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("StateReason", "s", get_state_reason, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Lease", "o", get_lease, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("LastReset", "(ts)", get_last_reset, 0, PROPERTY_CHANGES),
        SD_BUS_VTABLE_END,
};

static void *lookup(Bus *bus, const char *name)
{
        return broker_device(bus->broker, name);
}

static void *next(Bus *bus, void *after)
{
        return after ? ((Device *)after)->hh.next : bus->broker->devices;
}

static void name(const void *object, char ret[static OBJECT_NAME_MAX])
{
        const Device *device = object;

        (void)snprintf(ret, OBJECT_NAME_MAX, "%s", device->info.id);
}

static bool sees(Bus *bus, Caller *caller, const void *object)
{
        return access_sees_device(bus, caller, object);
}

const ObjectKind device_kind = {
        .root = BUS_DEVICE_ROOT,
        .interface = BUS_DEVICE_INTERFACE,
        .vtable = device_vtable,
        .lookup = lookup,
        .next = next,
        .name = name,
        .sees = sees,
};
