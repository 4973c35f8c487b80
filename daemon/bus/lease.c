/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vfiobroker1.Lease: one grant, for those who may see it (access.c); they may end it too. Event loop only. */

#include "daemon/bus/acquire.h"
#include "daemon/bus/object.h"
#include "daemon/bus/request.h"

PROPERTY_APPEND(get_tenant, Lease, lease, "s", lease->tenant->name)
PROPERTY_APPEND(get_label, Lease, lease, "s", lease->label)
PROPERTY_APPEND(get_backend, Lease, lease, "s", lease->backend == POLICY_BACKEND_GROUP ? "group" : "iommufd")
PROPERTY_APPEND(get_pid, Lease, lease, "u", (uint32_t)lease->pid)
PROPERTY_APPEND(get_uid, Lease, lease, "u", (uint32_t)lease->uid)
PROPERTY_APPEND(get_unit, Lease, lease, "s", lease->unit)
PROPERTY_APPEND(get_memlock_limit, Lease, lease, "t", lease->memlock)
PROPERTY_APPEND(get_policy_refusal, Lease, lease, "s", lease->refused)
PROPERTY_APPEND(get_revoke_deadline, Lease, lease, "t", lease->revoke_until)
PROPERTY_APPEND(get_since, Lease, lease, "t", lease->since)
PROPERTY_APPEND(get_state, Lease, lease, "s", lease_state_to_string(lease->state))

PROPERTY_GETTER(get_container)
{
        const Object *object = userdata;
        const Lease *lease = object->found;

        return object_append_path(reply, &container_kind, lease->container);
}

PROPERTY_GETTER(get_devices)
{
        const Object *object = userdata;
        const Lease *lease = object->found;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; r >= 0 && i < lease->n_devices; i++)
                if (!lease->settled[i])
                        r = object_append_path(reply, &device_kind, lease->devices[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

PROPERTY_GETTER(get_memlock_used)
{
        const Object *object = userdata;
        const Lease *lease = object->found;
        Host *host = object->bus->broker->host;
        uint64_t used = 0;

        if (lease->holder && host->ops->memlock_used(host, lease->pid, lease->holder->pidfd, &used) < 0)
                used = 0; /* the process is ending: it has none */
        return sd_bus_message_append(reply, "t", used);
}

static int method_release(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const Object *object = userdata;
        Lease *lease = object->found;
        Refusal refusal;

        if (lease->state == LEASE_RECLAIMING) {
                (void)refuse(&refusal, RESULT_NO_SUCH_LEASE, "Lease %s has ended already.", lease->id);
                return error_set(error, &refusal);
        }
        broker_lease_end(object->bus->broker, lease, END_RELEASED);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_add(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const Object *object = userdata;

        return acquire_add(object->bus, m, object->found, error);
}

static int method_reissue(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const Object *object = userdata;

        return acquire_reissue(object->bus, m, object->found, error);
}

static int method_remove(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const Object *object = userdata;
        Request request;
        Refusal refusal;
        int r;

        r = request_read_devices(m, SESSION_FDS_MAX, &request, &refusal);
        if (r == 0)
                r = broker_lease_remove(object->bus->broker, object->found, request.devices,
                                        request.acquire.n_devices, &refusal);
        if (r != 0)
                return error_set_outcome(error, r, &refusal, "Remove");
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable lease_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("Release", NULL, "", NULL, "", method_release, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Add", "as", SD_BUS_PARAM(devices), "a(ssh)", SD_BUS_PARAM(fds), method_add,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Remove", "as", SD_BUS_PARAM(devices), NULL, "", method_remove,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Reissue", NULL, "", "a(ssh)", SD_BUS_PARAM(fds), method_reissue,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Tenant", "s", get_tenant, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Label", "s", get_label, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Backend", "s", get_backend, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Container", "o", get_container, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Devices", "ao", get_devices, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Pid", "u", get_pid, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Uid", "u", get_uid, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Unit", "s", get_unit, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("MemlockLimit", "t", get_memlock_limit, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("MemlockUsed", "t", get_memlock_used, 0, 0),
        SD_BUS_PROPERTY("PolicyRefusal", "s", get_policy_refusal, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Since", "t", get_since, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("State", "s", get_state, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("RevokeDeadline", "t", get_revoke_deadline, 0, PROPERTY_CHANGES),
        SD_BUS_SIGNAL_WITH_NAMES("RevokeRequested", "aost",
                                 SD_BUS_PARAM(devices) SD_BUS_PARAM(reason) SD_BUS_PARAM(deadline_usec), 0),
        SD_BUS_SIGNAL_WITH_NAMES("Ended", "s", SD_BUS_PARAM(reason), 0),
        SD_BUS_VTABLE_END,
};

static void *lookup(Bus *bus, const char *name)
{
        return broker_lease(bus->broker, name);
}

static void *next(Bus *bus, void *after)
{
        return after ? ((Lease *)after)->hh.next : bus->broker->leases;
}

static void name(const void *object, char ret[static OBJECT_NAME_MAX])
{
        const Lease *lease = object;

        (void)snprintf(ret, OBJECT_NAME_MAX, "%s", lease->id);
}

static bool sees(Bus *bus, Caller *caller, const void *object)
{
        return access_sees_lease(bus, caller, object);
}

const ObjectKind lease_kind = {
        .root = BUS_LEASE_ROOT,
        .interface = BUS_LEASE_INTERFACE,
        .vtable = lease_vtable,
        .lookup = lookup,
        .next = next,
        .name = name,
        .sees = sees,
        .missing = RESULT_NO_SUCH_LEASE,
};
