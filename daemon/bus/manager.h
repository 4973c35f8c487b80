/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The Manager object at the root. */

#include "daemon/bus/bus-internal.h"

int manager_register(Bus *bus, sd_bus *sdbus);

extern const sd_bus_vtable manager_vtable[];
