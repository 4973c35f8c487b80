/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading the policy, at the start and again: what is wrong with it goes to the journal, line by line, and a reload is
 * told to the service manager (RELOADING, READY), as Type=notify-reload wants it. Event loop only. */

#include "daemon/bus/bus.h"

/* The installed policy. Where it has errors, -EINVAL, and `ret_errors` (may be NULL) has them as text, the caller's. */
int load_policy(Policy **ret, char **ret_errors);

/* At the start: makes the virtual functions that the policy wants and waits for them, a few seconds at most. Calls of the
 * bus wait too, so that who starts the broker by asking for one finds it. */
int make_functions(sd_event *event, Broker *broker, Bus *bus);

/* What of the policy in force only the devices show (broker_check_divided()), to the journal. At the start, once they are
 * known; a reload does it by itself. */
void journal_divided(const Broker *broker);

/* Puts the installed policy in force; where it has errors, the old one stays and the rest is as above. */
int reload_policy(Broker *broker, char **ret_errors);
