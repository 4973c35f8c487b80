/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Authorisation. Every answer is made from the caller's identity (caller.c) and the policy in force, anew for each
 * question; where memory is too short to tell, nothing is seen. Event loop only. */

#include "daemon/bus/access.h"
#include "daemon/bus/session.h"

bool access_is_admin(Bus *bus, const Caller *caller)
{
        CallerFacts facts = caller_facts(caller);

        return decide_is_admin(bus->broker->policy, &facts);
}

int access_require(Bus *bus, sd_bus_message *m, AccessLevel level, Caller **ret, sd_bus_error *error)
{
        Refusal refusal;
        Caller *caller;
        int r;

        r = caller_get(bus, m, &caller, &refusal);
        if (r != 0)
                return error_set_outcome(error, r, &refusal, "To identify the caller");

        if (level == ACCESS_ADMIN && !access_is_admin(bus, caller)) {
                const char *group = bus->broker->policy->broker.admin_group;

                (void)refuse(&refusal, RESULT_ACCESS_DENIED, "Only an administrator may: uid 0%s%s.",
                             group && group[0] ? ", or a member of the group " : "", strempty(group));
                return error_set(error, &refusal);
        }
        *ret = caller;
        return 0;
}

int access_viewer(Bus *bus, Caller **ret, sd_bus_error *error)
{
        if (bus->viewer) {
                *ret = bus->viewer;
                return 0;
        }
        return access_require(
                bus, sd_bus_get_current_message(bus->dispatching ? session_bus(bus->dispatching) : bus->bus),
                ACCESS_ANY, ret, error);
}

static bool is_tenant(Bus *bus, Caller *caller, const char *name)
{
        const PolicyTenant *const *tenants;
        size_t n;

        if (caller_tenants(bus, caller, &tenants, &n) < 0)
                return false;
        for (size_t i = 0; i < n; i++)
                if (streq(tenants[i]->name, name))
                        return true;
        return false;
}

bool access_sees_tenant(Bus *bus, Caller *caller, const char *name)
{
        return access_is_admin(bus, caller) || is_tenant(bus, caller, name);
}

bool access_sees_caller(Bus *bus, Caller *caller, Caller *other)
{
        const PolicyTenant *const *tenants;
        size_t n;

        if (caller == other || access_is_admin(bus, caller))
                return true;
        if (caller_tenants(bus, other, &tenants, &n) < 0)
                return false;
        for (size_t i = 0; i < n; i++)
                if (is_tenant(bus, caller, tenants[i]->name))
                        return true;
        return false;
}

bool access_sees_device(Bus *bus, Caller *caller, const Device *device)
{
        const PolicyTenant *const *tenants;
        size_t n;

        if (access_is_admin(bus, caller))
                return true;
        if (caller_tenants(bus, caller, &tenants, &n) < 0)
                return false;
        for (size_t i = 0; i < n; i++)
                if (broker_tenant_may_see(bus->broker, tenants[i]->name, device))
                        return true;
        return device->lease && access_sees_lease(bus, caller, device->lease);
}

bool access_sees_group(Bus *bus, Caller *caller, const Group *group)
{
        for (size_t i = 0; i < group->n_devices; i++)
                if (access_sees_device(bus, caller, group->devices[i]))
                        return true;
        return false;
}

/* A pidfd does not keep the number of a process that has ended from being given to another one, and a connection can
 * outlive the process that opened it. So one number is one process only as long as both are alive. */
bool access_is_holder(Bus *bus, const Caller *caller, const Lease *lease)
{
        Host *host = bus->broker->host;

        return lease->holder && caller->pidfd >= 0 && caller->pid == lease->pid &&
               host->ops->process_alive(host, caller->pidfd) > 0 &&
               host->ops->process_alive(host, lease->holder->pidfd) > 0;
}

bool access_sees_lease(Bus *bus, Caller *caller, const Lease *lease)
{
        if (access_sees_tenant(bus, caller, lease->tenant->name) || access_is_holder(bus, caller, lease))
                return true;
        return !lease->tenant->in_policy && caller->uid == lease->uid;
}
