/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One device in full, from its D-Bus properties. Runs on the one thread of its connection. */

#include "client-lib/record.h"

#define AT(member) offsetof(struct vfiobroker_device, member)

static const Field fields[] = {
        { "Id", "s", FIELD_STRING, AT(id) },
        { "Bus", "s", FIELD_STRING, AT(bus) },
        { "Description", "s", FIELD_STRING, AT(description) },
        { "Vendor", "q", FIELD_U16, AT(vendor) },
        { "Product", "q", FIELD_U16, AT(product) },
        { "SubsystemVendor", "q", FIELD_U16, AT(subsystem_vendor) },
        { "SubsystemProduct", "q", FIELD_U16, AT(subsystem_product) },
        { "Class", "u", FIELD_U32, AT(class_code) },
        { "Driver", "s", FIELD_STRING, AT(driver) },
        { "VfioDriver", "s", FIELD_STRING, AT(vfio_driver) },
        { "Group", "o", FIELD_GROUP, AT(group) },
        { "NumaNode", "i", FIELD_I32, AT(numa_node) },
        { "ResetMethods", "as", FIELD_STRV, AT(reset_methods) },
        { "ResetSet", "ao", FIELD_IDS, AT(reset_set), .prefix = BROKER_DEVICE_PREFIX },
        { "VirtualFunctions", "ao", FIELD_IDS, AT(virtual_functions), .prefix = BROKER_DEVICE_PREFIX },
        { "VirtualFunctionsMax", "u", FIELD_U32, AT(virtual_functions_max) },
        { "PhysicalFunction", "o", FIELD_ID, AT(physical_function), .prefix = BROKER_DEVICE_PREFIX },
        { "State", "s", FIELD_STRING, AT(state) },
        { "StateReason", "s", FIELD_STRING, AT(state_reason) },
        { "Lease", "o", FIELD_ID, AT(lease), .prefix = BROKER_LEASE_PREFIX },
        { "LastReset", "(ts)", FIELD_LAST_RESET, AT(last_reset_usec), .more = AT(last_reset) },
};

static const RecordType device_type = { sizeof(struct vfiobroker_device), fields, ELEMENTSOF(fields) };

int broker_get_device(struct vfiobroker *broker, const char *id, struct vfiobroker_device **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *where = NULL;
        const char *path;
        void *device;
        int r;

        r = broker_find(broker, "GetDevice", id, &where, &path);
        if (r < 0)
                return r;

        r = broker_get_properties(broker, path, BROKER_DEVICE, &device_type, &device);
        if (r == -ENXIO)
                return broker_error(broker, ENODEV, "Device %s has gone", id);
        if (r < 0)
                return r;

        *ret = device;
        return 0;
}

_public_ int vfiobroker_get_device(struct vfiobroker *broker, const char *id, struct vfiobroker_device **ret)
{
        int r;

        if (!id || !ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = broker_get_device(broker, id, ret);
        return broker_end(broker, r);
}

_public_ struct vfiobroker_device *vfiobroker_device_free(struct vfiobroker_device *device)
{
        return record_free(&device_type, device);
}
