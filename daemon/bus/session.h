/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sessions: private connections to the broker, with the objects and rules of the bus. A session is a Caller (caller.h) that
 * was identified when it was opened and stays so; whoever has its socket acts as the one who opened it. */

#include "daemon/bus/caller.h"

int sessions_new(Bus *bus, Sessions **ret);
/* Closes all; the leases stay as they are. NULL is fine. */
Sessions *sessions_free(Sessions *sessions);

/* A session of that caller: one end of a socket pair, the caller's to close. 0; LIMITS_EXCEEDED where it, or all together,
 * have too many; -errno. */
int session_open(Bus *bus, const Caller *of, int *ret_fd, Refusal *refusal);

/* Its connection, and its caller; borrowed. */
sd_bus *session_bus(Session *session);
Caller *session_caller(Session *session);

/* Whether so much lies unread that a signal is not to come on top. */
bool session_is_full(Session *session);

unsigned sessions_count(Bus *bus);
/* Messages that wait for a client to read. */
uint64_t sessions_unread(Bus *bus);
