/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection that a lease belongs to, by a name that outlives the broker. bus_find_owners() is in bus.h. */

#include "daemon/bus/caller.h"

/* "" where there is none that a restart could find. 0 or a negative errno. */
int owner_name(Bus *bus, const Caller *caller, char ret[static LEASE_OWNER_MAX + 1]);
