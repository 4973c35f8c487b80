/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The broker on D-Bus: org.vfiobroker1, as org.vfiobroker1(5) describes it. This is all that main sees of it. */

#include <systemd/sd-event.h>

#include "daemon/core/broker.h"

typedef struct Bus Bus;

typedef struct BusCallbacks {
        /* Manager.Reload(). 0, or a negative errno; -EINVAL comes with all that is wrong with the policy in *ret_errors,
         * as "file:line: text" lines, which the caller frees. */
        int (*reload)(void *userdata, char **ret_errors);
} BusCallbacks;

/* Connects to the system bus (or to the address in $VFIOBROKER_BUS_ADDRESS), puts every object on it, observes the
 * broker, and takes the name last: then everything is answered. When the connection ends, the event loop ends with
 * EXIT_FAILURE. `broker` and `callbacks` are borrowed until bus_free(). */
int bus_new(sd_event *event, Broker *broker, const BusCallbacks *callbacks, void *userdata, Bus **ret);

/* Lets calls wait in the socket, or takes them up again. A negative errno where that fails. */
int bus_hold(Bus *bus, sd_event *event, bool hold);

/* After the leases of before a restart were taken up: finds the connections again that those of lifetime `connection`
 * belong to, and ends those whose connection is closed. A negative errno where that cannot be known. */
int bus_find_owners(Bus *bus);

/* Before broker_free(). Sends what is queued, tells nobody anything else; leases stay as they are. NULL is fine. */
Bus *bus_free(Bus *bus);

DEFINE_CLEANUP(Bus *, bus_free)
