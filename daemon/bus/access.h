/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who may do and see what: the one place that says so. "See" covers every way in which the bus could tell of a thing:
 * look-ups, lists, introspection, GetManagedObjects, properties, signals. */

#include "daemon/bus/caller.h"

typedef enum AccessLevel {
        ACCESS_ANY,   /* whoever can be told apart */
        ACCESS_ADMIN, /* uid 0, or a member of the policy's admin-group */
} AccessLevel;

/* Identifies the sender and checks its level. 0, or the negative errno to return, `error` set. */
int access_require(Bus *bus, sd_bus_message *m, AccessLevel level, Caller **ret, sd_bus_error *error);

/* For whom an object is looked up or a property read: the receiver of a signal under construction, or the sender of the
 * message at work. As access_require(). */
int access_viewer(Bus *bus, Caller **ret, sd_bus_error *error);

bool access_is_admin(Bus *bus, const Caller *caller);

/* An administrator, or a process that is the tenant. */
bool access_sees_tenant(Bus *bus, Caller *caller, const char *name);
/* An administrator, the connection itself, or one that shares a tenant with it. */
bool access_sees_caller(Bus *bus, Caller *caller, Caller *other);
/* An administrator, or a process of a tenant that may use the device. */
bool access_sees_device(Bus *bus, Caller *caller, const Device *device);
/* Whoever sees a device of the group. */
bool access_sees_group(Bus *bus, Caller *caller, const Group *group);
/* Whether the caller is the process that holds the lease. False for a lease that has ended. */
bool access_is_holder(Bus *bus, const Caller *caller, const Lease *lease);
/* An administrator, whoever sees its tenant, or the very process that holds it; for a tenant that has left the policy,
 * its holder's user. Who sees a lease may release it. */
bool access_sees_lease(Bus *bus, Caller *caller, const Lease *lease);
