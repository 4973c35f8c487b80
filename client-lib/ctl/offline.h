/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The broker's decision without the broker: its own core, given the policy files and what this machine's /sys says, as if
 * nothing were leased. Needs no privilege but to read these. */

#include "daemon/core/broker.h"

/* As broker_check(), for a request of which everything but the caller's process is filled in; the process is supposed to
 * be fit to hold a lease. A negative errno where the inventory cannot be read. */
int offline_check(Policy *policy, const AcquireRequest *request, Refusal *refusal);
