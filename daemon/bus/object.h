/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What devices, groups, containers, leases and tenants have in common on the bus: a folder of paths, each shown to those who may see
 * the thing behind it and to nobody else. A kind says the rest; signals.c and introspection work from it too. */

#include "daemon/bus/access.h"

#define OBJECT_NAME_MAX 256 /* of a container's key */

struct ObjectKind {
        const char *root; /* "/org/vfiobroker1/device" */
        const char *interface;
        const sd_bus_vtable *vtable;
        void *(*lookup)(Bus *bus, const char *name); /* NULL where there is none */
        void *(*next)(Bus *bus, void *after);        /* after NULL: the first */
        void (*name)(const void *object, char ret[static OBJECT_NAME_MAX]);
        bool (*sees)(Bus *bus, Caller *caller, const void *object);
        Result missing; /* the error for one that there is not, or that the caller may not see; OK: UnknownObject */
};

extern const ObjectKind device_kind, group_kind, container_kind, lease_kind, tenant_kind;

/* Puts all kinds, and the root's ObjectManager, on the bus or a session of it. */
int objects_register(Bus *bus, sd_bus *sdbus);

/* The path of an object; "/org/vfiobroker1/device/…". 0 with a string to free, or -ENOMEM. */
int object_path(const ObjectKind *kind, const void *object, char **ret);
/* Appends it as an `o`; "/" where `object` is NULL. */
int object_append_path(sd_bus_message *m, const ObjectKind *kind, const void *object);

/* Calls `get` of a property for an object, and appends its value as a variant. */
int object_append_property(Bus *bus, const ObjectKind *kind, void *object, const char *path,
                           const sd_bus_vtable *property, sd_bus_message *m);

static inline bool vtable_is_property(const sd_bus_vtable *row)
{
        return row->type == _SD_BUS_VTABLE_PROPERTY || row->type == _SD_BUS_VTABLE_WRITABLE_PROPERTY;
}

/* Every getter has this signature. */
#define PROPERTY_GETTER(function)                                                                           \
        static int function(sd_bus *sdbus, const char *path, const char *interface, const char *property,   \
                            sd_bus_message *reply, void *userdata, sd_bus_error *error)

/* A getter that is one sd_bus_message_append(): `variable` is the object that it is of. */
#define PROPERTY_APPEND(function, type, variable, signature, ...)                                           \
        PROPERTY_GETTER(function)                                                                           \
        {                                                                                                   \
                const Object *_object = userdata;                                                           \
                const type *variable = _object->found;                                                      \
                                                                                                            \
                return sd_bus_message_append(reply, signature, __VA_ARGS__);                                \
        }

#define PROPERTY_CONST   SD_BUS_VTABLE_PROPERTY_CONST
#define PROPERTY_CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION
