/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Signals, each sent to those whom it concerns and to nobody else: the connections that have called the broker (caller.h)
 * and may see the object. Nothing is ever broadcast. */

#include "daemon/bus/bus-internal.h"

/* Observes the broker from now on. */
int signals_new(Bus *bus, Signals **ret);
Signals *signals_free(Signals *signals);

/* Goes on with what waits for the bus to take what it has been sent; called whenever it may have. */
void signals_resume(Signals *signals);
