/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who calls: each connection is identified once, when it first asks, and remembered until it closes, so that it can be
 * told what concerns it. At most CALLERS_MAX, and CALLERS_UID_MAX of one uid: past that the least recently used one that
 * holds no lease and awaits no answer is forgotten, and identified anew when it next calls. */

#include <uthash.h>

#include "daemon/bus/bus-internal.h"

struct Caller {
        char *name;  /* unique name, ":1.42" */
        uint64_t id; /* never used twice; the broker's `owner` */
        uid_t uid;
        gid_t *gids;
        size_t n_gids;
        pid_t pid;   /* 0 where the bus does not say */
        int pidfd;   /* -EBADF where the process could not be made certain of */
        char *label; /* LSM label, or NULL */
        ProcessPlacement placement;
        char unusable[128]; /* why its process cannot hold a lease; "" where it can */

        /* The tenants that it is, under the policy of that generation. */
        const PolicyTenant **tenants;
        size_t n_tenants;
        uint64_t generation;

        bool gone;              /* as caller_is_gone() found it */
        uint64_t ask_after;     /* and when it may ask anew, monotonic */
        Session *session;       /* borrowed; NULL: a connection to the bus */
        unsigned n_calls;       /* answers it awaits */
        unsigned manager_dirty; /* properties of the Manager that have changed for it, signals.c */
        uint64_t busy;          /* scratch of the eviction */
        sd_bus_slot *match;     /* on the end of its name */
        bool covered;           /* or the match that many share */
        Caller *next, *prev;    /* by last use */
        UT_hash_handle hh, hh_id;
};

int callers_new(Bus *bus, Callers **ret);
Callers *callers_free(Callers *callers);

/* The sender of the message. 0 with a borrowed Caller, good until the loop runs again; a Result; or -errno. Asks the bus
 * where the sender is new, and waits for its answer DRIVER_TIMEOUT_USEC at most. */
int caller_get(Bus *bus, sd_bus_message *m, Caller **ret, Refusal *refusal);

/* The same for the connection of that unique name. -ENXIO where it is closed. */
int caller_get_by_name(Bus *bus, const char *name, Caller **ret, Refusal *refusal);

/* Whether a tenant of the policy in force is told by its machine. */
bool callers_ask_machine(Bus *bus);

/* Reads again what of a process may change while it lives: its unit, slice and machine. 0; PROCESS_UNUSABLE where it has
 * ended, or is not certain to be the one that opened the connection; -errno. */
int caller_refresh(Bus *bus, Caller *caller, Refusal *refusal);

/* One more caller, that is as `of` was identified and stays so: of a session. It is not forgotten; caller_drop() ends what
 * lasts as long as it does, and frees it. 0 or a negative errno. */
int caller_new_of_session(Bus *bus, const Caller *of, Session *session, Caller **ret);
void caller_drop(Bus *bus, Caller *caller);

/* Whether its connection to the bus is closed, though that has not been heard of: asked of the bus where its process has
 * ended, since of many that end at once each signal to one would be answered with an error. False where it cannot be told. */
bool caller_is_gone(Bus *bus, Caller *caller);

/* How many fds one message to it carries. */
static inline unsigned caller_fds_max(const Caller *caller)
{
        return caller->session ? SESSION_FDS_MAX : BUS_FDS_MAX;
}

/* NULL where it is gone. */
Caller *caller_by_id(Bus *bus, uint64_t id);

/* As the policy sees it; pointers are the caller's. */
CallerFacts caller_facts(const Caller *caller);

/* The tenants that it is now; borrowed until the policy changes or it is refreshed. -ENOMEM. */
int caller_tenants(Bus *bus, Caller *caller, const PolicyTenant *const **ret, size_t *ret_n);

/* For each: first, then caller->next. */
Caller *callers_first(Bus *bus);
unsigned callers_count(Bus *bus);
