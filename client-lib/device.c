/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One device in full: its D-Bus properties, read through one table into a struct that owns all that it
 * points to. A property that the table does not have is skipped, one with another type than the interface's
 * is an error. Runs on the one thread of its connection. */

#include "client-lib/internal.h"

typedef enum FieldType {
        FIELD_U16,
        FIELD_U32,
        FIELD_I32,
        FIELD_STRING,
        FIELD_STRV,
        FIELD_DEVICE,     /* a device's path, kept as its id */
        FIELD_DEVICES,    /* the same, many */
        FIELD_LEASE,      /* a lease's path, kept as its id */
        FIELD_GROUP,      /* a group's path, kept as its number */
        FIELD_LAST_RESET, /* two members */
} FieldType;

typedef struct Field {
        const char *property;
        const char *signature;
        FieldType type;
        size_t offset;
} Field;

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
        { "ResetSet", "ao", FIELD_DEVICES, AT(reset_set) },
        { "VirtualFunctions", "ao", FIELD_DEVICES, AT(virtual_functions) },
        { "VirtualFunctionsMax", "u", FIELD_U32, AT(virtual_functions_max) },
        { "PhysicalFunction", "o", FIELD_DEVICE, AT(physical_function) },
        { "State", "s", FIELD_STRING, AT(state) },
        { "StateReason", "s", FIELD_STRING, AT(state_reason) },
        { "Lease", "o", FIELD_LEASE, AT(lease) },
        { "LastReset", "(ts)", FIELD_LAST_RESET, AT(last_reset) },
};

static void *member_of(struct vfiobroker_device *device, const Field *field)
{
        return (char *)device + field->offset;
}

static bool is_string(const Field *field)
{
        return field->type == FIELD_STRING || field->type == FIELD_LEASE || field->type == FIELD_DEVICE ||
               field->type == FIELD_LAST_RESET;
}

static bool is_strv(const Field *field)
{
        return field->type == FIELD_STRV || field->type == FIELD_DEVICES;
}

static char **strv_free(char **strv)
{
        if (strv)
                for (size_t i = 0; strv[i]; i++)
                        free(strv[i]);
        free(strv);
        return NULL;
}

DEFINE_CLEANUP(char **, strv_free)

/* Puts a copy into a string member, which may have one from a property that came twice. */
static int set_string(char **member, const char *value)
{
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*member);
        *member = copy;
        return 0;
}

static int path_to_device(const char *path, char **ret)
{
        return path_to_id(path, BROKER_DEVICE_PREFIX, ret);
}

static int path_to_group(const char *path, int64_t *ret)
{
        _cleanup_free_ char *number = NULL;
        unsigned long long group;
        char *end;
        int r;

        r = path_to_id(path, BROKER_GROUP_PREFIX, &number);
        if (r < 0)
                return r;

        if (!*number) {
                *ret = -1;
                return 0;
        }

        errno = 0;
        group = strtoull(number, &end, 10);
        if (errno != 0 || *end || group > UINT32_MAX)
                return -EBADMSG;
        *ret = (int64_t)group;
        return 0;
}

/* Reads `as` or `ao` into a new array, each string through `convert` where there is one. */
static int read_strv(sd_bus_message *m, char type, int (*convert)(const char *, char **), char ***ret)
{
        _cleanup_(strv_freep) char **strv = NULL;
        const char contents[] = { type, '\0' };
        const char *value;
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', contents);
        if (r < 0)
                return r;

        strv = calloc(1, sizeof(char *));
        if (!strv)
                return -ENOMEM;

        while ((r = sd_bus_message_read_basic(m, type, &value)) > 0) {
                char **more = reallocarray(strv, n + 2, sizeof(char *));

                if (!more)
                        return -ENOMEM;
                strv = more;
                strv[n] = strv[n + 1] = NULL;

                r = convert ? convert(value, &strv[n]) : set_string(&strv[n], value);
                if (r < 0)
                        return r;
                n++;
        }
        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(strv);
        return 0;
}

static int read_last_reset(sd_bus_message *m, struct vfiobroker_device *device)
{
        const char *result;
        int r;

        r = sd_bus_message_read(m, "(ts)", &device->last_reset_usec, &result);
        if (r < 0)
                return r;
        return set_string((char **)&device->last_reset, result);
}

static int read_field(sd_bus_message *m, struct vfiobroker_device *device, const Field *field)
{
        void *member = member_of(device, field);
        char **strv, *id;
        const char *s;
        int r;

        switch (field->type) {
        case FIELD_U16:
        case FIELD_U32:
        case FIELD_I32: return sd_bus_message_read_basic(m, field->signature[0], member);

        case FIELD_STRING:
                r = sd_bus_message_read_basic(m, 's', &s);
                if (r < 0)
                        return r;
                return set_string(member, s);

        case FIELD_DEVICE:
        case FIELD_LEASE:
                r = sd_bus_message_read_basic(m, 'o', &s);
                if (r < 0)
                        return r;

                r = path_to_id(s, field->type == FIELD_LEASE ? BROKER_LEASE_PREFIX : BROKER_DEVICE_PREFIX,
                               &id);
                if (r < 0)
                        return r;
                free(*(char **)member);
                *(char **)member = id;
                return 0;

        case FIELD_GROUP:
                r = sd_bus_message_read_basic(m, 'o', &s);
                if (r < 0)
                        return r;
                return path_to_group(s, member);

        case FIELD_STRV:
        case FIELD_DEVICES:
                r = read_strv(m, field->signature[1], field->type == FIELD_DEVICES ? path_to_device : NULL,
                              &strv);
                if (r < 0)
                        return r;
                strv_free(*(char ***)member);
                *(char ***)member = strv;
                return 0;

        case FIELD_LAST_RESET: return read_last_reset(m, device);
        }

        return -EINVAL;
}

static const Field *find_field(const char *property)
{
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (streq(fields[i].property, property))
                        return &fields[i];
        return NULL;
}

/* One {sv} that the message has just entered. */
static int read_property(struct vfiobroker *broker, sd_bus_message *m, struct vfiobroker_device *device)
{
        const char *name, *contents;
        const Field *field;
        char type;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return r;

        field = find_field(name);
        if (!field)
                return sd_bus_message_skip(m, "v");

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;
        if (!streq_ptr(contents, field->signature))
                return broker_error(broker, EBADMSG, "The broker's property %s has the type '%s', not '%s'",
                                    name, strempty(contents), field->signature);

        r = sd_bus_message_enter_container(m, 'v', field->signature);
        if (r < 0)
                return r;

        r = read_field(m, device, field);
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

static int read_properties(struct vfiobroker *broker, sd_bus_message *m, struct vfiobroker_device *device)
{
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_property(broker, m, device);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

/* What did not come must not be NULL for the caller. */
static int fill_in(struct vfiobroker_device *device)
{
        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                void *member = member_of(device, &fields[i]);

                if (is_string(&fields[i]) && !*(char **)member) {
                        int r = set_string(member, "");

                        if (r < 0)
                                return r;
                }
                if (is_strv(&fields[i]) && !*(char ***)member) {
                        *(char ***)member = calloc(1, sizeof(char *));
                        if (!*(char ***)member)
                                return -ENOMEM;
                }
        }
        return 0;
}

/* Asks the Manager where the object is: that is where a device that the caller may not see is refused. */
static int get_path(struct vfiobroker *broker, const char *id, sd_bus_message **ret_reply,
                    const char **ret_path)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        const char *path;
        int r;

        r = broker_call_new(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, "GetDevice", &call);
        if (r < 0)
                return r;

        r = sd_bus_message_append(call, "s", id);
        if (r < 0)
                return r;

        r = broker_call(broker, call, CALL_TIMEOUT_USEC, "o", &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return r;

        *ret_reply = TAKE_PTR(reply);
        *ret_path = path;
        return 0;
}

static int get_device(struct vfiobroker *broker, const char *id, struct vfiobroker_device **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *where = NULL, *call = NULL, *reply = NULL;
        _cleanup_(vfiobroker_device_freep) struct vfiobroker_device *device = NULL;
        const char *path;
        int r;

        r = get_path(broker, id, &where, &path);
        if (r < 0)
                return r;

        r = broker_call_new(broker, path, "org.freedesktop.DBus.Properties", "GetAll", &call);
        if (r < 0)
                return r;

        r = sd_bus_message_append(call, "s", BROKER_DEVICE);
        if (r < 0)
                return r;

        r = broker_call(broker, call, CALL_TIMEOUT_USEC, "a{sv}", &reply);
        if (r == -ENXIO)
                return broker_error(broker, ENODEV, "Device %s has gone", id);
        if (r < 0)
                return r;

        device = calloc(1, sizeof(*device));
        if (!device)
                return -ENOMEM;
        *device = (struct vfiobroker_device){ .group = -1, .numa_node = -1 };

        r = read_properties(broker, reply, device);
        if (r < 0)
                return r;

        r = fill_in(device);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(device);
        return 0;
}

_public_ int vfiobroker_get_device(struct vfiobroker *broker, const char *id, struct vfiobroker_device **ret)
{
        int r;

        if (!id || !ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = get_device(broker, id, ret);
        return broker_end(broker, r);
}

_public_ struct vfiobroker_device *vfiobroker_device_free(struct vfiobroker_device *device)
{
        if (!device)
                return NULL;

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                void *member = member_of(device, &fields[i]);

                if (is_string(&fields[i]))
                        free(*(char **)member);
                if (is_strv(&fields[i]))
                        strv_free(*(char ***)member);
        }
        free(device);
        return NULL;
}
