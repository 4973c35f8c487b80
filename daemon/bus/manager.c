/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vfiobroker1.Manager: the object that everybody may see. What it counts and lists is what the caller may see; only
 * to an administrator is that the whole. Event loop only. */

#include "daemon/bus/access.h"
#include "daemon/bus/acquire.h"
#include "daemon/bus/call.h"
#include "daemon/bus/manager.h"
#include "daemon/core/revoke.h"
#include "daemon/bus/object.h"
#include "daemon/bus/request.h"
#include "daemon/bus/session.h"
#include "daemon/bus/uids.h"

/* --- properties; userdata is the Bus --- */

PROPERTY_GETTER(get_version)
{
        return sd_bus_message_append(reply, "s", VFIOBROKER_VERSION);
}

static void read_isolation(const Bus *bus, HostIsolation *ret)
{
        bus->broker->host->ops->isolation(bus->broker->host, ret);
}

PROPERTY_GETTER(get_backends)
{
        Bus *bus = userdata;
        unsigned offered = bus->broker->host->ops->backends(bus->broker->host);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        if (r >= 0 && (offered & POLICY_BACKEND_IOMMUFD))
                r = sd_bus_message_append(reply, "s", "iommufd");
        if (r >= 0 && (offered & POLICY_BACKEND_GROUP))
                r = sd_bus_message_append(reply, "s", "group");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

PROPERTY_GETTER(get_iommu)
{
        HostIsolation host = {};

        read_isolation(userdata, &host);
        return sd_bus_message_append(reply, "s", host.iommu);
}

PROPERTY_GETTER(get_interrupt_isolation)
{
        HostIsolation host = {};

        read_isolation(userdata, &host);
        return sd_bus_message_append(reply, "s", isolation_to_string(host.interrupts));
}

PROPERTY_GETTER(get_unsafe_interrupts)
{
        HostIsolation host = {};
        int r;

        read_isolation(userdata, &host);
        r = sd_bus_message_open_container(reply, 'a', "s");
        if (r >= 0 && (host.unsafe_backends & POLICY_BACKEND_IOMMUFD))
                r = sd_bus_message_append(reply, "s", "iommufd");
        if (r >= 0 && (host.unsafe_backends & POLICY_BACKEND_GROUP))
                r = sd_bus_message_append(reply, "s", "vfio_iommu_type1");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

PROPERTY_GETTER(get_no_iommu)
{
        HostIsolation host = {};

        read_isolation(userdata, &host);
        return sd_bus_message_append(reply, "b", (int)host.noiommu);
}

PROPERTY_GETTER(get_policy_generation)
{
        Bus *bus = userdata;

        return sd_bus_message_append(reply, "t", bus->broker->policy_generation);
}

PROPERTY_GETTER(get_memlock_max)
{
        Bus *bus = userdata;

        return sd_bus_message_append(reply, "t", broker_memlock_max(bus->broker));
}

PROPERTY_GETTER(get_memlock_committed)
{
        Bus *bus = userdata;
        uint64_t sum = 0;
        Caller *viewer;
        int r;

        r = access_viewer(bus, &viewer, error);
        if (r < 0)
                return r;
        for (const Lease *lease = bus->broker->leases; lease; lease = lease->hh.next)
                if (access_sees_lease(bus, viewer, lease))
                        sum += lease->memlock;
        return sd_bus_message_append(reply, "t", sum);
}

/* How many of a kind the viewer sees. */
static int append_count(Bus *bus, const ObjectKind *kind, sd_bus_message *reply, sd_bus_error *error)
{
        uint32_t n = 0;
        Caller *viewer;
        int r;

        r = access_viewer(bus, &viewer, error);
        if (r < 0)
                return r;
        for (void *it = kind->next(bus, NULL); it; it = kind->next(bus, it))
                n += kind->sees(bus, viewer, it);
        return sd_bus_message_append(reply, "u", n);
}

PROPERTY_GETTER(get_leases)
{
        return append_count(userdata, &lease_kind, reply, error);
}

PROPERTY_GETTER(get_devices)
{
        return append_count(userdata, &device_kind, reply, error);
}

/* Those of the viewer's tenants, to an administrator all. */
PROPERTY_GETTER(get_waiting)
{
        Bus *of = userdata;
        uint32_t n = 0;
        Caller *viewer;
        int r;

        r = access_viewer(of, &viewer, error);
        if (r < 0)
                return r;
        for (const Call *call = of->calls; call; call = call->next) {
                Caller *caller = call->waiting ? caller_by_id(of, call->caller) : NULL;

                n += caller && access_sees_caller(of, viewer, caller);
        }
        return sd_bus_message_append(reply, "u", n);
}

/* --- lists --- */

static int append_device(Bus *bus, Caller *caller, const Device *device, sd_bus_message *reply)
{
        const Lease *lease =
                device->lease && access_sees_lease(bus, caller, device->lease) ? device->lease : NULL;
        _cleanup_free_ char *path = NULL;
        int r;

        if (lease) {
                r = object_path(&lease_kind, lease, &path);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_append(reply, "(ssssuss)", device->info.id, device->info.bus,
                                     device->info.description, device->info.driver,
                                     (uint32_t)device->info.group, device_state_to_string(device->state),
                                     strempty(path));
}

static int append_lease(Bus *bus, Caller *caller, const Lease *lease, sd_bus_message *reply)
{
        _cleanup_free_ char *path = NULL;
        int r;

        r = object_path(&lease_kind, lease, &path);
        if (r < 0)
                return r;
        return sd_bus_message_append(reply, "(osssut)", path, lease->tenant->name, lease->label,
                                     lease->backend == POLICY_BACKEND_GROUP ? "group" : "iommufd",
                                     (uint32_t)lease->pid, lease->memlock);
}

static int reply_list(Bus *bus, sd_bus_message *m, const ObjectKind *kind, const char *signature,
                      sd_bus_error *error)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        Caller *caller;
        int r;

        r = access_require(bus, m, ACCESS_ANY, &caller, error);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', signature);
        if (r < 0)
                return r;
        for (void *it = kind->next(bus, NULL); it; it = kind->next(bus, it)) {
                if (!kind->sees(bus, caller, it))
                        continue;
                r = kind == &device_kind ? append_device(bus, caller, it, reply)
                                         : append_lease(bus, caller, it, reply);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

static int method_list_devices(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return reply_list(userdata, m, &device_kind, "(ssssuss)", error);
}

static int method_list_leases(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return reply_list(userdata, m, &lease_kind, "(osssut)", error);
}

/* --- from names to paths --- */

/* What there is not and what the caller may not see have one answer. */
static int reply_path(Bus *bus, sd_bus_message *m, const ObjectKind *kind, const char *name, Result missing,
                      const char *what, sd_bus_error *error)
{
        _cleanup_free_ char *path = NULL;
        char echo[ECHO_MAX + 8];
        Caller *caller;
        Refusal refusal;
        void *object;
        int r;

        r = access_require(bus, m, ACCESS_ANY, &caller, error);
        if (r < 0)
                return r;
        object = kind->lookup(bus, name);
        if (!object || !kind->sees(bus, caller, object)) {
                (void)refuse(&refusal, missing, "There is no %s %s that you may use.", what,
                             bus_echo(name, echo));
                return missing == RESULT_OK
                               ? sd_bus_error_set(error, SD_BUS_ERROR_UNKNOWN_OBJECT, refusal.text)
                               : error_set(error, &refusal);
        }
        r = object_path(kind, object, &path);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(m, "o", path);
}

static int method_get_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *id;
        int r;

        r = sd_bus_message_read(m, "s", &id);
        if (r < 0)
                return r;
        return reply_path(userdata, m, &device_kind, id, RESULT_NO_SUCH_DEVICE, "device", error);
}

static int method_get_group(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        char name[OBJECT_NAME_MAX];
        uint32_t number;
        int r;

        r = sd_bus_message_read(m, "u", &number);
        if (r < 0)
                return r;
        (void)snprintf(name, sizeof(name), "%u", number);
        return reply_path(userdata, m, &group_kind, name, RESULT_OK, "group", error);
}

static int method_get_lease(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *id;
        int r;

        r = sd_bus_message_read(m, "s", &id);
        if (r < 0)
                return r;
        return reply_path(userdata, m, &lease_kind, id, RESULT_NO_SUCH_LEASE, "lease", error);
}

static int method_get_tenant(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *name;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        return reply_path(userdata, m, &tenant_kind, name, RESULT_OK, "tenant", error);
}

/* --- sessions --- */

static int refuse_session(Bus *bus, Caller *caller, Refusal *refusal)
{
        const PolicyBroker *policy = &bus->broker->policy->broker;
        Host *host = bus->broker->host;
        const PolicyTenant *const *tenants;
        size_t n;
        int r;

        /* Else whoever was handed a session could keep the power of who opened it, beyond its end. */
        if (caller->session)
                return refuse(refusal, RESULT_ACCESS_DENIED, "A session opens no other: call on the bus.");
        r = uids_take(bus->uids, caller->uid, policy->rate_count, policy->rate_interval_usec,
                      host->ops->monotonic(host), refusal);
        if (r == 0)
                r = caller_tenants(bus, caller, &tenants, &n);
        if (r == 0 && n == 0)
                return refuse(refusal, RESULT_NO_TENANT, "No tenant of the policy matches you.");
        return r;
}

static int method_open_session(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_close_ int fd = -EBADF;
        Bus *bus = userdata;
        Caller *caller;
        Refusal refusal;
        int r;

        if (sd_bus_message_get_expect_reply(m) <= 0)
                return 1; /* nobody would get it */
        r = access_require(bus, m, ACCESS_ANY, &caller, error);
        if (r < 0)
                return r;
        r = refuse_session(bus, caller, &refusal);
        if (r == 0) {
                r = caller_refresh(bus, caller, &refusal);
                if (r > 0) /* it may look, as on the bus */
                        r = 0;
        }
        if (r == 0)
                r = session_open(bus, caller, &fd, &refusal);
        if (r != 0)
                return error_set_outcome(error, r, &refusal, "OpenSession");
        return sd_bus_reply_method_return(m, "h", fd); /* where that fails our copy of its end is the last */
}

/* --- for administrators --- */

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Bus *bus = userdata;
        _cleanup_free_ char *errors = NULL;
        Caller *caller;
        int r;

        r = access_require(bus, m, ACCESS_ADMIN, &caller, error);
        if (r < 0)
                return r;
        r = bus->callbacks->reload(bus->userdata, &errors);
        if (r == -EINVAL)
                return sd_bus_error_set(error, error_name(RESULT_POLICY_INVALID),
                                        errors && errors[0] ? errors : "The policy is invalid.");
        if (r < 0)
                return error_set_errno(error, r, "To read the policy");
        return sd_bus_reply_method_return(m, NULL);
}

static int method_revoke(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Bus *bus = userdata;
        _cleanup_free_ char *name = NULL;
        const char *path, *reason;
        uint64_t grace_usec;
        Caller *caller;
        Refusal refusal;
        Lease *lease;
        int r;

        r = access_require(bus, m, ACCESS_ADMIN, &caller, error);
        if (r < 0)
                return r;
        r = sd_bus_message_read(m, "ots", &path, &grace_usec, &reason);
        if (r < 0)
                return r;
        if (strlen(reason) > REVOKE_REASON_MAX || !request_is_printable(reason))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "The reason is no printable text of at most %d bytes.",
                                         REVOKE_REASON_MAX);
        r = sd_bus_path_decode(path, BUS_LEASE_ROOT, &name);
        if (r < 0)
                return r;
        lease = r > 0 ? broker_lease(bus->broker, name) : NULL;
        if (!lease) {
                char echo[ECHO_MAX + 8];

                (void)refuse(&refusal, RESULT_NO_SUCH_LEASE, "There is no lease %s.", bus_echo(path, echo));
                return error_set(error, &refusal);
        }
        r = broker_lease_revoke(bus->broker, lease, NULL, grace_usec, reason[0] ? reason : "revoked",
                                &refusal);
        if (r != 0)
                return error_set_outcome(error, r, &refusal, "Revoke");
        return sd_bus_reply_method_return(m, NULL);
}

static void admin_done(void *userdata, int r, const Refusal *refusal)
{
        Call *call = userdata;
        sd_bus_message *reply;

        if (r == 0) {
                r = sd_bus_message_new_method_return(call->message, &reply);
                if (r >= 0) {
                        (void)call_reply(call, reply);
                        return;
                }
        }
        (void)call_fail(call, r, refusal, "The job");
}

typedef enum AdminVerb {
        ADMIN_BIND,
        ADMIN_UNBIND,
        ADMIN_RESET,
        ADMIN_FUNCTIONS,
} AdminVerb;

static int admin_method(Bus *bus, sd_bus_message *m, AdminVerb verb, sd_bus_error *error)
{
        _cleanup_(call_freep) Call *call = NULL;
        const char *id, *driver = "";
        uint32_t count = 0;
        Caller *caller;
        Refusal refusal;
        int r;

        r = access_require(bus, m, ACCESS_ADMIN, &caller, error);
        if (r < 0)
                return r;
        if (verb == ADMIN_BIND)
                r = sd_bus_message_read(m, "ss", &id, &driver);
        else if (verb == ADMIN_FUNCTIONS)
                r = sd_bus_message_read(m, "su", &id, &count);
        else
                r = sd_bus_message_read(m, "s", &id);
        if (r < 0)
                return r;
        if (strlen(id) > NAME_MAX_BYTES || !request_is_printable(id))
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "This is no device's id.");
        if (strlen(driver) >= DRIVER_NAME_MAX || !request_is_printable(driver))
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "This is no driver's name.");

        r = call_new(bus, m, caller, &refusal, &call);
        if (r == 0)
                switch (verb) {
                case ADMIN_BIND:
                        r = broker_bind_device(bus->broker, id, driver, admin_done, call, &refusal);
                        break;
                case ADMIN_UNBIND:
                        r = broker_unbind_device(bus->broker, id, admin_done, call, &refusal);
                        break;
                case ADMIN_RESET:
                        r = broker_reset_device(bus->broker, id, admin_done, call, &refusal);
                        break;
                case ADMIN_FUNCTIONS:
                        r = broker_set_virtual_functions(bus->broker, id, count, admin_done, call, &refusal);
                        break;
                }
        if (r != 0)
                return error_set_outcome(error, r, &refusal, "To start the job");
        call = NULL; /* admin_done()'s */
        return 1;
}

static int method_bind_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return admin_method(userdata, m, ADMIN_BIND, error);
}

static int method_unbind_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return admin_method(userdata, m, ADMIN_UNBIND, error);
}

static int method_reset_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return admin_method(userdata, m, ADMIN_RESET, error);
}

static int method_set_virtual_functions(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return admin_method(userdata, m, ADMIN_FUNCTIONS, error);
}

const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("Acquire", "asa{sv}", SD_BUS_PARAM(devices) SD_BUS_PARAM(options),
                                 "osa(ssh)", SD_BUS_PARAM(lease) SD_BUS_PARAM(backend) SD_BUS_PARAM(fds),
                                 method_acquire, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("CheckAccess", "asa{sv}", SD_BUS_PARAM(devices) SD_BUS_PARAM(options),
                                 "bss", SD_BUS_PARAM(allowed) SD_BUS_PARAM(error) SD_BUS_PARAM(text),
                                 method_check_access, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES(
                "Explain", "asa{sv}", SD_BUS_PARAM(devices) SD_BUS_PARAM(options), "a(ssbs)bss",
                SD_BUS_PARAM(path) SD_BUS_PARAM(allowed) SD_BUS_PARAM(error) SD_BUS_PARAM(text),
                method_explain, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListDevices", NULL, "", "a(ssssuss)", SD_BUS_PARAM(devices),
                                 method_list_devices, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListLeases", NULL, "", "a(osssut)", SD_BUS_PARAM(leases),
                                 method_list_leases, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("OpenSession", NULL, "", "h", SD_BUS_PARAM(socket), method_open_session,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetDevice", "s", SD_BUS_PARAM(id), "o", SD_BUS_PARAM(device),
                                 method_get_device, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetGroup", "u", SD_BUS_PARAM(number), "o", SD_BUS_PARAM(group),
                                 method_get_group, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetLease", "s", SD_BUS_PARAM(id), "o", SD_BUS_PARAM(lease),
                                 method_get_lease, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetTenant", "s", SD_BUS_PARAM(name), "o", SD_BUS_PARAM(tenant),
                                 method_get_tenant, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Revoke", "ots",
                                 SD_BUS_PARAM(lease) SD_BUS_PARAM(grace_usec) SD_BUS_PARAM(reason), NULL, "",
                                 method_revoke, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Reload", NULL, "", NULL, "", method_reload, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("BindDevice", "ss", SD_BUS_PARAM(id) SD_BUS_PARAM(driver), NULL, "",
                                 method_bind_device, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("UnbindDevice", "s", SD_BUS_PARAM(id), NULL, , method_unbind_device,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ResetDevice", "s", SD_BUS_PARAM(id), NULL, , method_reset_device,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetVirtualFunctions", "su", SD_BUS_PARAM(id) SD_BUS_PARAM(count), NULL, "",
                                 method_set_virtual_functions, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Backends", "as", get_backends, 0, PROPERTY_CONST),
        SD_BUS_PROPERTY("Iommu", "s", get_iommu, 0, 0),
        SD_BUS_PROPERTY("InterruptIsolation", "s", get_interrupt_isolation, 0, 0),
        SD_BUS_PROPERTY("UnsafeInterrupts", "as", get_unsafe_interrupts, 0, 0),
        SD_BUS_PROPERTY("NoIommu", "b", get_no_iommu, 0, 0),
        SD_BUS_PROPERTY("PolicyGeneration", "t", get_policy_generation, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("MemlockMax", "t", get_memlock_max, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("MemlockCommitted", "t", get_memlock_committed, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Leases", "u", get_leases, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Devices", "u", get_devices, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Waiting", "u", get_waiting, 0, 0),
        SD_BUS_VTABLE_END,
};

int manager_register(Bus *bus, sd_bus *sdbus)
{
        return sd_bus_add_object_vtable(sdbus, NULL, BUS_ROOT, BUS_MANAGER_INTERFACE, manager_vtable, bus);
}
