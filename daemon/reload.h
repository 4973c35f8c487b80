/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading the policy, at the start and again: what is wrong with it goes to the journal, line by line, and a reload is
 * told to the service manager (RELOADING, READY), as Type=notify-reload wants it. Event loop only. */

#include "daemon/core/broker.h"

/* The installed policy. Where it has errors, -EINVAL, and `ret_errors` (may be NULL) has them as text, the caller's. */
int load_policy(Policy **ret, char **ret_errors);

/* Puts the installed policy in force; where it has errors, the old one stays and the rest is as above. */
int reload_policy(Broker *broker, char **ret_errors);
