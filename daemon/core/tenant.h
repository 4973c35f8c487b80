/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A tenant at work: the sums of what its leases hold. The policy's section says what it may; this says what it has. A
 * tenant that has left the policy stays until its last lease ends. The tenant owns its leases. */

#include "daemon/core/lease.h"

struct Tenant {
        char *name;
        Lease *leases; /* utlist, by Lease.next */
        unsigned n_leases;
        unsigned devices_leased;
        uint64_t memlock_committed;
        bool in_policy;
        UT_hash_handle hh; /* in Broker.tenants, by name */
};

Tenant *tenant_new(const char *name);
Tenant *tenant_free(Tenant *tenant); /* its leases are gone before */

/* The tenant that holds or reclaims the device, or for whom it is reserved, or NULL. */
const char *device_tenant(const Device *device);
