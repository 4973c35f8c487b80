/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The lists. Some are the answer of a Manager method, an array of rows; the others are all objects with an interface.
 * A table for each says what an entry has. Runs on the one thread of its connection. */

#include "client-lib/record.h"

/* Where a list comes from. */
typedef struct ListSource {
        const char *member;    /* of the Manager, or NULL */
        const char *row;       /* its signature */
        const char *interface; /* or this one, of objects */
        RecordType type;
} ListSource;

/* What has been read; owned. */
typedef struct Entries {
        void **entries;
        size_t n;
} Entries;

static void entries_free(const RecordType *type, void **entries, size_t n)
{
        for (size_t i = 0; i < n; i++)
                record_free(type, entries[i]);
        free((void *)entries);
}

static int entries_add(Entries *list, void *entry)
{
        /* Room for a power of two. */
        if ((list->n & (list->n - 1)) == 0) {
                void **grown =
                        reallocarray((void *)list->entries, list->n == 0 ? 1 : list->n * 2, sizeof(void *));

                if (!grown)
                        return -ENOMEM;
                list->entries = grown;
        }
        list->entries[list->n++] = entry;
        return 0;
}

static int read_rows(struct vfiobroker *broker, const ListSource *source, Entries *list)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        char signature[32];
        void *entry;
        int r;

        r = broker_call_new(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, source->member, &call);
        if (r < 0)
                return r;

        (void)snprintf(signature, sizeof(signature), "a%s", source->row);
        r = broker_call(broker, call, CALL_TIMEOUT_USEC, signature, &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_enter_container(reply, 'a', source->row);
        if (r < 0)
                return r;

        while ((r = record_read_row(reply, &source->type, &entry)) > 0) {
                r = entries_add(list, entry);
                if (r < 0) {
                        record_free(&source->type, entry);
                        return r;
                }
        }
        return r;
}

/* One {sa{sv}} that the message has just entered. */
static int read_interface(struct vfiobroker *broker, sd_bus_message *m, const ListSource *source,
                          Entries *list)
{
        const char *interface;
        void *entry;
        int r;

        r = sd_bus_message_read_basic(m, 's', &interface);
        if (r < 0)
                return r;
        if (!streq(interface, source->interface))
                return sd_bus_message_skip(m, "a{sv}");

        r = record_read_properties(broker, m, &source->type, &entry);
        if (r < 0)
                return r;
        r = entries_add(list, entry);
        if (r < 0)
                record_free(&source->type, entry);
        return r;
}

/* One {oa{sa{sv}}} that the message has just entered. */
static int read_object(struct vfiobroker *broker, sd_bus_message *m, const ListSource *source, Entries *list)
{
        int r;

        r = sd_bus_message_skip(m, "o");
        if (r < 0)
                return r;

        r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                r = read_interface(broker, m, source, list);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_objects(struct vfiobroker *broker, const ListSource *source, Entries *list)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        int r;

        r = broker_call_new(broker, BROKER_MANAGER_PATH, "org.freedesktop.DBus.ObjectManager",
                            "GetManagedObjects", &call);
        if (r < 0)
                return r;

        r = broker_call(broker, call, CALL_TIMEOUT_USEC, "a{oa{sa{sv}}}", &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}")) > 0) {
                r = read_object(broker, reply, source, list);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        return r;
        }
        return r;
}

static int list_read(struct vfiobroker *broker, const ListSource *source, Entries *ret)
{
        Entries list = { .entries = NULL };
        int r;

        r = source->member ? read_rows(broker, source, &list) : read_objects(broker, source, &list);
        if (r < 0) {
                entries_free(&source->type, list.entries, list.n);
                return r;
        }
        *ret = list;
        return 0;
}

/* The two public functions of a list: vfiobroker_list_NAMEs() and vfiobroker_NAME_list_free(). */
#define DEFINE_LIST(name, source)                                                                           \
        _public_ int vfiobroker_list_##name##s(struct vfiobroker *broker,                                   \
                                               struct vfiobroker_##name##_list **ret)                       \
        {                                                                                                   \
                struct vfiobroker_##name##_list *list;                                                      \
                Entries read = { .entries = NULL };                                                         \
                int r;                                                                                      \
                                                                                                            \
                if (!ret)                                                                                   \
                        return -EINVAL;                                                                     \
                                                                                                            \
                r = broker_begin(broker);                                                                   \
                if (r >= 0)                                                                                 \
                        r = list_read(broker, source, &read);                                               \
                if (r < 0)                                                                                  \
                        return broker_end(broker, r);                                                       \
                                                                                                            \
                list = malloc(sizeof(*list));                                                               \
                if (!list) {                                                                                \
                        entries_free(&(source)->type, read.entries, read.n);                                \
                        return broker_end(broker, -ENOMEM);                                                 \
                }                                                                                           \
                *list = (struct vfiobroker_##name##_list){                                                  \
                        read.n,                                                                             \
                        (const struct vfiobroker_##name##_entry *const *)read.entries,                      \
                };                                                                                          \
                *ret = list;                                                                                \
                return broker_end(broker, 0);                                                               \
        }                                                                                                   \
                                                                                                            \
        _public_ struct vfiobroker_##name##_list *vfiobroker_##name##_list_free(                            \
                struct vfiobroker_##name##_list *list)                                                      \
        {                                                                                                   \
                if (list)                                                                                   \
                        entries_free(&(source)->type, (void **)list->name##s, list->n);                     \
                free(list);                                                                                 \
                return NULL;                                                                                \
        }

#define AT(member) offsetof(struct vfiobroker_device_entry, member)
static const Field device_fields[] = {
        { NULL, "s", FIELD_STRING, AT(id) },
        { NULL, "s", FIELD_STRING, AT(bus) },
        { NULL, "s", FIELD_STRING, AT(description) },
        { NULL, "s", FIELD_STRING, AT(driver) },
        { NULL, "u", FIELD_GROUP, AT(group) },
        { NULL, "s", FIELD_STRING, AT(state) },
        { NULL, "s", FIELD_ID, AT(lease), .prefix = BROKER_LEASE_PREFIX },
};
#undef AT

static const ListSource devices = {
        .member = "ListDevices",
        .row = "(ssssuss)",
        .type = { sizeof(struct vfiobroker_device_entry), device_fields, ELEMENTSOF(device_fields) },
};

DEFINE_LIST(device, &devices)

#define AT(member) offsetof(struct vfiobroker_lease_entry, member)
static const Field lease_fields[] = {
        { NULL, "o", FIELD_PATH, AT(path), .prefix = BROKER_LEASE_PREFIX, .more = AT(id) },
        { NULL, "s", FIELD_STRING, AT(tenant) },
        { NULL, "s", FIELD_STRING, AT(label) },
        { NULL, "s", FIELD_STRING, AT(backend) },
        { NULL, "u", FIELD_U32, AT(pid) },
        { NULL, "t", FIELD_U64, AT(memlock) },
};
#undef AT

static const ListSource leases = {
        .member = "ListLeases",
        .row = "(osssut)",
        .type = { sizeof(struct vfiobroker_lease_entry), lease_fields, ELEMENTSOF(lease_fields) },
};

DEFINE_LIST(lease, &leases)

#define AT(member) offsetof(struct vfiobroker_group_entry, member)
static const Field group_fields[] = {
        { "Number", "u", FIELD_U32, AT(number) },
        { "Type", "s", FIELD_STRING, AT(type) },
        { "Viable", "b", FIELD_BOOL, AT(viable) },
        { "Blockers", "as", FIELD_STRV, AT(blockers) },
        { "Devices", "ao", FIELD_IDS, AT(devices), .prefix = BROKER_DEVICE_PREFIX },
        { "Container", "o", FIELD_CONTAINER, AT(container) },
        { "Tenant", "s", FIELD_STRING, AT(tenant) },
        { "ReservedRegions", "a(tts)", FIELD_RANGES, AT(reserved), .more = AT(n_reserved) },
};
#undef AT

static const ListSource groups = {
        .interface = BROKER_GROUP,
        .type = { sizeof(struct vfiobroker_group_entry), group_fields, ELEMENTSOF(group_fields) },
};

DEFINE_LIST(group, &groups)

#define AT(member) offsetof(struct vfiobroker_container_entry, member)
static const Field container_fields[] = {
        { "Name", "s", FIELD_STRING, AT(name) },
        { "Backend", "s", FIELD_STRING, AT(backend) },
        { "Tenant", "s", FIELD_STRING, AT(tenant) },
        { "Groups", "ao", FIELD_IDS, AT(groups), .prefix = BROKER_GROUP_PREFIX },
        { "Leases", "ao", FIELD_IDS, AT(leases), .prefix = BROKER_LEASE_PREFIX },
        { "IovaRanges", "a(tt)", FIELD_RANGES, AT(iova), .more = AT(n_iova) },
};
#undef AT

static const ListSource containers = {
        .interface = BROKER_CONTAINER,
        .type = { sizeof(struct vfiobroker_container_entry), container_fields,
                  ELEMENTSOF(container_fields) },
};

DEFINE_LIST(container, &containers)

#define AT(member) offsetof(struct vfiobroker_tenant_entry, member)
static const Field tenant_fields[] = {
        { "Name", "s", FIELD_STRING, AT(name) },
        { "DevicesLeased", "u", FIELD_U32, AT(devices_leased) },
        { "DevicesMax", "u", FIELD_U32, AT(devices_max) },
        { "LeasesMax", "u", FIELD_U32, AT(leases_max) },
        { "Leases", "ao", FIELD_IDS, AT(leases), .prefix = BROKER_LEASE_PREFIX },
        { "MemlockCommitted", "t", FIELD_U64, AT(memlock_committed) },
        { "MemlockUsed", "t", FIELD_U64, AT(memlock_used) },
        { "MemlockMax", "t", FIELD_U64, AT(memlock_max) },
};
#undef AT

static const ListSource tenants = {
        .interface = BROKER_TENANT,
        .type = { sizeof(struct vfiobroker_tenant_entry), tenant_fields, ELEMENTSOF(tenant_fields) },
};

DEFINE_LIST(tenant, &tenants)
