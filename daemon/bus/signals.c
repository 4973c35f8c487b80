/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From the broker's notices to signals. What was added or changed is noted by its path and told once for each round of
 * the event loop, however often it changed; what goes is told at once, while it can still be asked who may see it.
 * PropertiesChanged carries names, never values: a value is what the reader may see, when it reads. InterfacesAdded
 * carries values, so it is made anew for each receiver, with the receiver as the viewer of every property. A signal that
 * cannot be queued is dropped; the next call tells the truth.
 *
 * Where a host full of machines loses its tenants at once, there is as much to tell as there are objects times callers, each
 * a message of its own. So a round tells a part, and the rest waits for the next one, after whoever has called
 * meanwhile; most of those who were to hear of it are gone by then. Event loop only. */

#include <uthash.h>

#include "daemon/bus/manager.h"
#include "daemon/bus/object.h"
#include "daemon/bus/session.h"
#include "daemon/bus/signals.h"

#define OBJECT_MANAGER_INTERFACE "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES_INTERFACE     "org.freedesktop.DBus.Properties"

/* Messages after which a round of the loop leaves the rest to the next one; and as many that the bus has not taken yet are
 * enough for an answer to wait behind. */
#define FLUSH_MAX 128U

/* What of the Manager has changed for a caller. */
enum {
        MANAGER_DEVICES = 1,
        MANAGER_LEASES = 2,
        MANAGER_POLICY = 4,
};

static const struct {
        unsigned bit;
        const char *property;
} manager_table[] = {
        { MANAGER_POLICY, "PolicyGeneration" }, { MANAGER_POLICY, "MemlockMax" },
        { MANAGER_LEASES, "MemlockCommitted" }, { MANAGER_LEASES, "Leases" },
        { MANAGER_DEVICES, "Devices" },
};

typedef struct Change {
        char *path; /* key */
        const ObjectKind *kind;
        char name[OBJECT_NAME_MAX];
        bool added;
        UT_hash_handle hh;
} Change;

struct Signals {
        Bus *bus;
        Change *changes;
        sd_event_source *flush;
        bool waits;          /* with the rest for the bus to take what it has been sent */
        uint64_t generation; /* of the policy that was last told */
};

static void change_free(Signals *signals, Change *change)
{
        HASH_DEL(signals->changes, change);
        free(change->path);
        free(change);
}

/* Sends and drops the message. */
static void send_to(Bus *bus, const Caller *caller, sd_bus_message *m)
{
        if (!caller->session)
                (void)sd_bus_send_to(bus->bus, m, caller->name, NULL);
        else if (!session_is_full(caller->session))
                (void)sd_bus_send(NULL, m, NULL);
}

/* A signal that send_to() can send to this caller. -ENOTCONN where there is nobody any more. */
static int new_signal(Bus *bus, Caller *caller, const char *path, const char *interface, const char *member,
                      sd_bus_message **ret)
{
        if (caller_is_gone(bus, caller))
                return -ENOTCONN;
        return sd_bus_message_new_signal(caller->session ? session_bus(caller->session) : bus->bus, ret,
                                         path, interface, member);
}

static void send_properties_changed(Bus *bus, Caller *caller, const char *path, const char *interface,
                                    int (*append)(sd_bus_message *m, const void *what), const void *what)
{
        _cleanup_message_ sd_bus_message *m = NULL;

        if (new_signal(bus, caller, path, PROPERTIES_INTERFACE, "PropertiesChanged", &m) < 0 ||
            sd_bus_message_append(m, "sa{sv}", interface, 0) < 0 ||
            sd_bus_message_open_container(m, 'a', "s") < 0 || append(m, what) < 0 ||
            sd_bus_message_close_container(m) < 0)
                return;
        send_to(bus, caller, m);
}

static int append_changing(sd_bus_message *m, const void *what)
{
        const ObjectKind *kind = what;
        int r = 0;

        for (const sd_bus_vtable *row = kind->vtable; r >= 0 && row->type != _SD_BUS_VTABLE_END; row++)
                if (vtable_is_property(row) && (row->flags & SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION))
                        r = sd_bus_message_append(m, "s", row->x.property.member);
        return r;
}

static int append_manager(sd_bus_message *m, const void *what)
{
        const Caller *caller = what;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(manager_table); i++)
                if (caller->manager_dirty & manager_table[i].bit)
                        r = sd_bus_message_append(m, "s", manager_table[i].property);
        return r;
}

static int append_interfaces(Bus *bus, const Change *change, void *object, sd_bus_message *m)
{
        const ObjectKind *kind = change->kind;
        int r;

        r = sd_bus_message_append(m, "o", change->path);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "{sa{sv}}");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'e', "sa{sv}");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", kind->interface);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        for (const sd_bus_vtable *row = kind->vtable; row->type != _SD_BUS_VTABLE_END; row++) {
                if (!vtable_is_property(row))
                        continue;
                r = sd_bus_message_open_container(m, 'e', "sv");
                if (r < 0)
                        return r;
                r = sd_bus_message_append(m, "s", row->x.property.member);
                if (r < 0)
                        return r;
                r = object_append_property(bus, kind, object, change->path, row, m);
                if (r < 0)
                        return r;
                r = sd_bus_message_close_container(m);
                if (r < 0)
                        return r;
        }
        for (int i = 0; i < 3; i++) {
                r = sd_bus_message_close_container(m);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void send_added(Bus *bus, Caller *caller, const Change *change, void *object)
{
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        if (new_signal(bus, caller, BUS_ROOT, OBJECT_MANAGER_INTERFACE, "InterfacesAdded", &m) < 0)
                return;
        bus->viewer = caller;
        r = append_interfaces(bus, change, object, m);
        bus->viewer = NULL;
        if (r >= 0)
                send_to(bus, caller, m);
}

static void send_removed(Bus *bus, Caller *caller, const char *path, const ObjectKind *kind)
{
        _cleanup_message_ sd_bus_message *m = NULL;

        if (new_signal(bus, caller, BUS_ROOT, OBJECT_MANAGER_INTERFACE, "InterfacesRemoved", &m) < 0 ||
            sd_bus_message_append(m, "oas", path, 1, kind->interface) < 0)
                return;
        send_to(bus, caller, m);
}

/* --- once for each round of the loop --- */

/* Returns to how many. */
static unsigned tell_change(Signals *signals, const Change *change)
{
        Bus *bus = signals->bus;
        const ObjectKind *kind = change->kind;
        void *object = kind->lookup(bus, change->name);
        unsigned n = 0;

        if (!object)
                return 0;
        for (Caller *caller = callers_first(bus); caller; caller = caller->next) {
                if (!kind->sees(bus, caller, object))
                        continue;
                n++;
                if (kind == &lease_kind)
                        caller->manager_dirty |= MANAGER_LEASES;
                if (change->added) {
                        if (kind == &device_kind)
                                caller->manager_dirty |= MANAGER_DEVICES;
                        send_added(bus, caller, change, object);
                } else
                        send_properties_changed(bus, caller, change->path, kind->interface, append_changing,
                                                kind);
        }
        return n;
}

static void want_flush(Signals *signals)
{
        (void)sd_event_source_set_enabled(signals->flush, SD_EVENT_ONESHOT);
}

static bool is_full(const Bus *bus)
{
        uint64_t n;

        return sd_bus_get_n_queued_write(bus->bus, &n) >= 0 && n >= FLUSH_MAX;
}

void signals_resume(Signals *signals)
{
        if (!signals->waits || is_full(signals->bus))
                return;
        signals->waits = false;
        want_flush(signals);
}

static int on_flush(sd_event_source *source, void *userdata)
{
        Signals *signals = userdata;
        Bus *bus = signals->bus;
        bool policy_changed = signals->generation != bus->broker->policy_generation;
        Change *change, *next;
        unsigned n = 0;

        signals->waits = is_full(bus);
        if (signals->waits)
                return 0;
        HASH_ITER(hh, signals->changes, change, next) {
                if (n >= FLUSH_MAX) {
                        want_flush(signals);
                        return 0;
                }
                n += tell_change(signals, change);
                change_free(signals, change);
        }
        signals->generation = bus->broker->policy_generation;
        for (Caller *caller = callers_first(bus); caller; caller = caller->next) {
                if (policy_changed)
                        caller->manager_dirty |= MANAGER_POLICY | MANAGER_LEASES | MANAGER_DEVICES;
                if (caller->manager_dirty)
                        send_properties_changed(bus, caller, BUS_ROOT, BUS_MANAGER_INTERFACE, append_manager,
                                                caller);
                caller->manager_dirty = 0;
        }
        return 0;
}

/* Where memory is too short to note it, nobody is told. */
static void note(Signals *signals, const ObjectKind *kind, const void *object, bool added)
{
        _cleanup_free_ char *path = NULL;
        Change *change;

        if (object_path(kind, object, &path) < 0)
                return;
        HASH_FIND_STR(signals->changes, path, change);
        if (change)
                return;

        change = calloc(1, sizeof(*change));
        if (!change)
                return;
        change->path = TAKE_PTR(path);
        change->kind = kind;
        change->added = added;
        kind->name(object, change->name);
        HASH_ADD_KEYPTR(hh, signals->changes, change->path, strlen(change->path), change);
        if (!change->hh.tbl) {
                free(change->path);
                free(change);
                return;
        }
        want_flush(signals);
}

static void note_removed(Signals *signals, const ObjectKind *kind, const void *object)
{
        Bus *bus = signals->bus;
        _cleanup_free_ char *path = NULL;
        bool unheard_of = false;
        Change *change;

        if (object_path(kind, object, &path) < 0)
                return;
        HASH_FIND_STR(signals->changes, path, change);
        if (change) {
                unheard_of = change->added;
                change_free(signals, change);
        }
        if (unheard_of)
                return;
        for (Caller *caller = callers_first(bus); caller; caller = caller->next) {
                if (!kind->sees(bus, caller, object))
                        continue;
                if (kind == &device_kind)
                        caller->manager_dirty |= MANAGER_DEVICES;
                if (kind == &lease_kind)
                        caller->manager_dirty |= MANAGER_LEASES;
                send_removed(bus, caller, path, kind);
        }
        want_flush(signals);
}

/* --- what the broker says --- */

static void device_added(void *userdata, Device *device)
{
        note(userdata, &device_kind, device, true);
}

static void device_changed(void *userdata, Device *device)
{
        note(userdata, &device_kind, device, false);
}

static void device_removed(void *userdata, Device *device)
{
        note_removed(userdata, &device_kind, device);
}

static void group_added(void *userdata, Group *group)
{
        note(userdata, &group_kind, group, true);
}

static void group_changed(void *userdata, Group *group)
{
        note(userdata, &group_kind, group, false);
}

static void group_removed(void *userdata, Group *group)
{
        note_removed(userdata, &group_kind, group);
}

static void lease_added(void *userdata, Lease *lease)
{
        note(userdata, &lease_kind, lease, true);
}

static void lease_changed(void *userdata, Lease *lease)
{
        note(userdata, &lease_kind, lease, false);
}

static int append_ended(sd_bus_message *m, const Lease *lease)
{
        return sd_bus_message_append(m, "s", end_reason_to_string(lease->end_reason));
}

static int append_revoked(sd_bus_message *m, const Lease *lease)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "o");
        for (size_t i = 0; r >= 0 && i < lease->n_devices; i++)
                if (!lease->settled[i] && lease->devices[i]->asked_back)
                        r = object_append_path(m, &device_kind, lease->devices[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "st", lease->revoke_reason, lease->revoke_until);
}

/* To the holder's connections: those of the process that holds it, and the one that asked for it. */
static void tell_holder(Bus *bus, const Lease *lease, const char *member,
                        int (*append)(sd_bus_message *m, const Lease *lease))
{
        _cleanup_free_ char *path = NULL;

        if (object_path(&lease_kind, lease, &path) < 0)
                return;
        for (Caller *caller = callers_first(bus); caller; caller = caller->next) {
                _cleanup_message_ sd_bus_message *m = NULL;

                if (caller->id != lease->owner && (caller->pid != lease->pid || caller->uid != lease->uid))
                        continue;
                if (new_signal(bus, caller, path, BUS_LEASE_INTERFACE, member, &m) >= 0 &&
                    append(m, lease) >= 0)
                        send_to(bus, caller, m);
        }
}

static void lease_revoked(void *userdata, Lease *lease)
{
        Signals *signals = userdata;

        tell_holder(signals->bus, lease, "RevokeRequested", append_revoked);
}

static void lease_ended(void *userdata, Lease *lease, EndReason reason)
{
        Signals *signals = userdata;

        if (reason != END_FAILED)
                tell_holder(signals->bus, lease, "Ended", append_ended);
}

static void lease_removed(void *userdata, Lease *lease)
{
        note_removed(userdata, &lease_kind, lease);
}

static void container_added(void *userdata, Container *container)
{
        note(userdata, &container_kind, container, true);
}

static void container_changed(void *userdata, Container *container)
{
        note(userdata, &container_kind, container, false);
}

static void container_removed(void *userdata, Container *container)
{
        note_removed(userdata, &container_kind, container);
}

static void tenant_added(void *userdata, Tenant *tenant)
{
        note(userdata, &tenant_kind, tenant, true);
}

static void tenant_changed(void *userdata, Tenant *tenant)
{
        note(userdata, &tenant_kind, tenant, false);
}

static void tenant_removed(void *userdata, Tenant *tenant)
{
        note_removed(userdata, &tenant_kind, tenant);
}

static const BrokerObserver observer = {
        .device_added = device_added,
        .device_changed = device_changed,
        .device_removed = device_removed,
        .group_added = group_added,
        .group_changed = group_changed,
        .group_removed = group_removed,
        .lease_added = lease_added,
        .lease_changed = lease_changed,
        .lease_revoked = lease_revoked,
        .lease_ended = lease_ended,
        .lease_removed = lease_removed,
        .container_added = container_added,
        .container_changed = container_changed,
        .container_removed = container_removed,
        .tenant_added = tenant_added,
        .tenant_changed = tenant_changed,
        .tenant_removed = tenant_removed,
};

int signals_new(Bus *bus, Signals **ret)
{
        Signals *signals = calloc(1, sizeof(*signals));
        int r;

        if (!signals)
                return -ENOMEM;
        signals->bus = bus;
        signals->generation = bus->broker->policy_generation;
        r = sd_event_add_defer(sd_bus_get_event(bus->bus), &signals->flush, on_flush, signals);
        if (r >= 0)
                r = sd_event_source_set_enabled(signals->flush, SD_EVENT_OFF);
        if (r >= 0)
                r = broker_observe(bus->broker, &observer, signals);
        if (r < 0) {
                signals_free(signals);
                return r;
        }
        *ret = signals;
        return 0;
}

Signals *signals_free(Signals *signals)
{
        Change *change, *next;

        if (!signals)
                return NULL;
        broker_unobserve(signals->bus->broker, signals);
        HASH_ITER(hh, signals->changes, change, next)
                change_free(signals, change);
        sd_event_source_disable_unref(signals->flush);
        free(signals);
        return NULL;
}
