/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager.Acquire, CheckAccess and Explain: method handlers, userdata is the Bus. */

#include "daemon/bus/bus-internal.h"

int method_acquire(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_check_access(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_explain(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* Lease.Add and Lease.Reissue, for the lease that the object stands for. */
int acquire_add(Bus *bus, sd_bus_message *m, Lease *lease, sd_bus_error *error);
int acquire_reissue(Bus *bus, sd_bus_message *m, Lease *lease, sd_bus_error *error);
