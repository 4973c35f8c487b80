/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From the words of a request to devices: ids, groups and pools. Pure, changes nothing. */

#include "daemon/core/broker.h"

/* Borrowed from the broker's table, in the order of the arguments, each device once; those that are `made` and in no table
 * are the caller's (core/mdev.h). */
typedef struct Selection {
        Device *devices[JOB_DEVICES_MAX];
        size_t n_devices;
} Selection;

/* For whom is selected. */
typedef struct SelectFor {
        const PolicyTenant *tenant;
        bool admin;               /* who asks may know all that there is */
        pid_t pid;                /* of the process that will use the devices */
        const DecideTrace *trace; /* or NULL: who is told where a device is refused for its id */
} SelectFor;

/* An argument is a device's id, "group:N" (each device of the group that can be passed, by id) or "pool:NAME[*K]" (K
 * free devices of the pool that the tenant may use and the host does not, 1 where no count is given; the nearest to process
 * `pid` by NUMA node and then the first by id, none that another argument names, and where they are too few mdevs that are
 * to be made, of types that the pool names). Pools choose one after the other. What is named is not looked at further, be
 * it free or not: that is the plan's.
 *
 * What the tenant may not use, and what there is not, have one answer, or a tenant could find out what there is by asking.
 * For an id that is what policy says of that id alone, as if nothing else were known of the device: DENIED_BY_POLICY where
 * it does not give it to the tenant, NO_SUCH_DEVICE where it would. A group or pool with nothing for the tenant is
 * NO_SUCH_DEVICE. An administrator is told which of the two it is.
 *
 * 0, a positive Result with `refusal` (an argument that is none, a thing that is not
 * there, a device named twice, too many, a pool that is not the tenant's, fewer free ones than asked for), or a negative
 * errno. */
int select_devices(Broker *broker, const SelectFor *who, const char *const *arguments, size_t n_arguments,
                   Selection *ret, Refusal *refusal);
