/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Over a restart of the broker: whose connection a lease of lifetime `connection` lasts as long as, and who hears of any
 * lease without having called again. The record has the unique name of the connection, which a
 * bus gives to nobody else as long as it lives, and before it the id of the bus, which is another one for each of its
 * lives. Event loop only, before the first message is looked at. */

#include <systemd/sd-id128.h>

#include "daemon/bus/owner.h"

#define BUS_ID_LENGTH (SD_ID128_STRING_MAX - 1)

static int bus_id(Bus *bus, char ret[static SD_ID128_STRING_MAX])
{
        sd_id128_t id;
        int r;

        r = sd_bus_get_bus_id(bus->bus, &id);
        if (r >= 0)
                (void)sd_id128_to_string(id, ret);
        return r < 0 ? r : 0;
}

int owner_name(Bus *bus, const Caller *caller, char ret[static LEASE_OWNER_MAX + 1])
{
        char id[SD_ID128_STRING_MAX];
        int r;

        ret[0] = 0;
        if (caller->session)
                return 0; /* a restart ends it */
        r = bus_id(bus, id);
        if (r < 0)
                return r;
        if (snprintf(ret, LEASE_OWNER_MAX + 1, "%s%s", id, caller->name) > LEASE_OWNER_MAX)
                ret[0] = 0;
        return 0;
}

/* -ENXIO, or a refusal, where nobody would tell of its end. */
static int find_owner(Bus *bus, const Lease *lease, const char *id, Caller **ret)
{
        const char *name = lease->owner_name;
        Refusal refusal;

        if (strncmp(name, id, BUS_ID_LENGTH) != 0 || name[BUS_ID_LENGTH] != ':')
                return -ENXIO;
        return caller_get_by_name(bus, name + BUS_ID_LENGTH, ret, &refusal);
}

/* Whose connection is closed, the lease ends. -errno: that cannot be told. */
static int find_lifeline(Bus *bus, Lease *lease, const char *id)
{
        Caller *caller;
        int r = find_owner(bus, lease, id, &caller);

        if (r == 0)
                broker_lease_owned(lease, caller->id);
        else if (r > 0 || r == -ENXIO)
                broker_lease_end(bus->broker, lease, END_CONNECTION_CLOSED);
        else
                return r;
        return 0;
}

int bus_find_owners(Bus *bus)
{
        char id[SD_ID128_STRING_MAX];
        Lease *lease, *next;
        Caller *caller;
        int r;

        r = bus_id(bus, id);
        if (r < 0)
                return r;
        for (lease = bus->broker->leases; lease && r >= 0; lease = next) {
                next = lease->hh.next;
                if (lease_is_held(lease) && lease->lifetime == LIFETIME_CONNECTION && lease->owner == 0)
                        r = find_lifeline(bus, lease, id);
        }
        /* The others need theirs for signals only, for which no lease ends; and after those, where callers are limited. */
        for (lease = bus->broker->leases; lease && r >= 0; lease = lease->hh.next)
                if (lease_is_held(lease) && lease->owner == 0 && find_owner(bus, lease, id, &caller) == 0)
                        broker_lease_owned(lease, caller->id);
        return r < 0 ? r : 0;
}
