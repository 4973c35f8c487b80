/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What each uid has going on, so that one cannot crowd the others out: the rate of its Acquire calls, the answers that
 * it awaits, the connections of it that the broker remembers. */

#include "daemon/bus/bus-internal.h"

int uids_new(Uids **ret);
Uids *uids_free(Uids *uids);

/* Counts one Acquire at `now` (monotonic, microseconds) against `count` in each `interval`. 0, RATE_LIMITED with a text
 * that says when to come again, LIMITS_EXCEEDED where UIDS_MAX uids are counted, or -ENOMEM. */
int uids_take(Uids *uids, uid_t uid, unsigned count, uint64_t interval, uint64_t now, Refusal *refusal);

/* One answer more that the uid awaits, or, to take back, one less. As uids_take(). */
int uids_call_begin(Uids *uids, uid_t uid, uint64_t now, Refusal *refusal);
void uids_call_end(Uids *uids, uid_t uid);

/* Uids that are counted now. */
unsigned uids_count(const Uids *uids);
