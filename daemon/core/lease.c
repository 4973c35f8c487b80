/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The words for a lease's states, lifetimes and ends, as they stand on the bus, in records and in the journal. Pure. */

#include "daemon/core/lease.h"

static const char *const lease_state_table[_LEASE_STATE_MAX] = {
        [LEASE_OPENING] = "opening",
        [LEASE_ACTIVE] = "active",
        [LEASE_REVOKING] = "revoking",
        [LEASE_RECLAIMING] = "reclaiming",
};

static const char *const lifetime_table[_LIFETIME_MAX] = {
        [LIFETIME_PROCESS] = "process",
        [LIFETIME_CONNECTION] = "connection",
        [LIFETIME_EXPLICIT] = "explicit",
};

static const char *const end_reason_table[_END_MAX] = {
        [END_RELEASED] = "released",
        [END_PROCESS_EXITED] = "process-exited",
        [END_CONNECTION_CLOSED] = "connection-closed",
        [END_REVOKED] = "revoked",
        [END_DEVICE_REMOVED] = "device-removed",
        [END_FAILED] = "failed",
};

static int from_string(const char *const *table, int max, const char *s)
{
        for (int i = 0; i < max; i++)
                if (streq_ptr(table[i], s))
                        return i;
        return -EINVAL;
}

const char *lease_state_to_string(LeaseState state)
{
        return state >= 0 && state < _LEASE_STATE_MAX ? lease_state_table[state] : "unknown";
}

const char *lease_lifetime_to_string(LeaseLifetime lifetime)
{
        return lifetime >= 0 && lifetime < _LIFETIME_MAX ? lifetime_table[lifetime] : "unknown";
}

const char *end_reason_to_string(EndReason reason)
{
        return reason >= 0 && reason < _END_MAX ? end_reason_table[reason] : "unknown";
}

int lease_state_from_string(const char *s, LeaseState *ret)
{
        int r = from_string(lease_state_table, _LEASE_STATE_MAX, s);

        if (r >= 0)
                *ret = (LeaseState)r;
        return r < 0 ? r : 0;
}

int lease_lifetime_from_string(const char *s, LeaseLifetime *ret)
{
        int r = from_string(lifetime_table, _LIFETIME_MAX, s);

        if (r >= 0)
                *ret = (LeaseLifetime)r;
        return r < 0 ? r : 0;
}

bool lease_is_held(const Lease *lease)
{
        return lease->state == LEASE_ACTIVE || lease->state == LEASE_REVOKING;
}

bool lease_has_device(const Lease *lease, const Device *device)
{
        for (size_t i = 0; i < lease->n_devices; i++)
                if (lease->devices[i] == device && !lease->settled[i])
                        return true;
        return false;
}

int end_reason_from_string(const char *s, EndReason *ret)
{
        int r = from_string(end_reason_table, _END_MAX, s);

        if (r >= 0)
                *ret = (EndReason)r;
        return r < 0 ? r : 0;
}
