/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Objects in folders. sd-bus asks find() before it does anything with a path below a folder, and the enumerator before
 * it lists one, whether for Introspect, GetManagedObjects or a property: so what these two do not show is not there.
 * Both know who asks from the message that sd-bus is at work on. Event loop only. */

#include "daemon/bus/object.h"

static const ObjectKind *const kinds[_OBJECT_MAX] = {
        [OBJECT_DEVICE] = &device_kind, [OBJECT_GROUP] = &group_kind,   [OBJECT_CONTAINER] = &container_kind,
        [OBJECT_LEASE] = &lease_kind,   [OBJECT_TENANT] = &tenant_kind,
};

int object_path(const ObjectKind *kind, const void *object, char **ret)
{
        char name[OBJECT_NAME_MAX];

        kind->name(object, name);
        return sd_bus_path_encode(kind->root, name, ret) < 0 ? -ENOMEM : 0;
}

int object_append_path(sd_bus_message *m, const ObjectKind *kind, const void *object)
{
        _cleanup_free_ char *path = NULL;
        int r;

        if (!object)
                return sd_bus_message_append(m, "o", "/");
        r = object_path(kind, object, &path);
        if (r < 0)
                return r;
        return sd_bus_message_append(m, "o", path);
}

static int find(sd_bus *sdbus, const char *path, const char *interface, void *userdata, void **ret,
                sd_bus_error *error)
{
        Object *object = userdata;
        const ObjectKind *kind = object->kind;
        _cleanup_free_ char *name = NULL, *canonical = NULL;
        Caller *caller;
        Refusal refusal;
        void *found;
        int r;

        r = sd_bus_path_decode(path, kind->root, &name);
        if (r <= 0)
                return r;
        if (!name[0] || strchr(path + strlen(kind->root) + 1, '/'))
                return 0; /* the folder itself, or something below an object */

        r = access_viewer(object->bus, &caller, error);
        if (r < 0)
                return r;
        found = kind->lookup(object->bus, name);
        if (found) {
                /* One object has one path: "/group/_37", not "/group/7", which decodes to the same. */
                r = object_path(kind, found, &canonical);
                if (r < 0)
                        return r;
        }
        if (!found || !streq(canonical, path) || !kind->sees(object->bus, caller, found)) {
                if (kind->missing == RESULT_OK)
                        return 0;
                (void)refuse(&refusal, kind->missing, "There is no %s for you to use.", path);
                return error_set(error, &refusal);
        }
        object->found = found;
        *ret = object;
        return 1;
}

static void free_paths(char **paths)
{
        for (char **p = paths; p && *p; p++)
                free(*p);
        free(paths);
}

static int enumerate(sd_bus *sdbus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error)
{
        Object *object = userdata;
        const ObjectKind *kind = object->kind;
        size_t n = 0, allocated = 0;
        char **paths = NULL;
        Caller *caller;
        int r;

        r = access_viewer(object->bus, &caller, error);
        if (r < 0)
                return r;
        for (void *it = kind->next(object->bus, NULL); it; it = kind->next(object->bus, it)) {
                if (!kind->sees(object->bus, caller, it))
                        continue;
                if (n + 1 >= allocated) {
                        char **more = reallocarray(paths, allocated + 64, sizeof(*paths));

                        if (!more) {
                                free_paths(paths);
                                return -ENOMEM;
                        }
                        memset(more + allocated, 0, 64 * sizeof(*paths));
                        paths = more;
                        allocated += 64;
                }
                r = object_path(kind, it, paths + n);
                if (r < 0) {
                        free_paths(paths);
                        return r;
                }
                n++;
        }
        *ret = paths;
        return 0;
}

int objects_register(Bus *bus, sd_bus *sdbus)
{
        int r;

        r = sd_bus_add_object_manager(sdbus, NULL, BUS_ROOT);
        if (r < 0)
                return r;

        for (int i = 0; i < _OBJECT_MAX; i++) {
                Object *object = bus->objects + i;

                *object = (Object){ .bus = bus, .kind = kinds[i] };
                r = sd_bus_add_fallback_vtable(sdbus, NULL, kinds[i]->root, kinds[i]->interface,
                                               kinds[i]->vtable, find, object);
                if (r < 0)
                        return r;
                r = sd_bus_add_node_enumerator(sdbus, NULL, kinds[i]->root, enumerate, object);
                if (r < 0)
                        return r;
        }
        return 0;
}

int object_append_property(Bus *bus, const ObjectKind *kind, void *object, const char *path,
                           const sd_bus_vtable *property, sd_bus_message *m)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Object userdata = { .bus = bus, .kind = kind, .found = object };
        int r;

        r = sd_bus_message_open_container(m, 'v', property->x.property.signature);
        if (r < 0)
                return r;
        r = property->x.property.get(bus->bus, path, kind->interface, property->x.property.member, m,
                                     &userdata, &error);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}
