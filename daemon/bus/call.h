/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A method call whose answer comes later, when a job has ended. Counted for its uid and its connection. */

#include "daemon/bus/caller.h"

struct Call {
        Bus *bus;
        sd_bus_message *message; /* one reference */
        uid_t uid;
        uint64_t caller;   /* its id */
        bool waiting;      /* for a device, until: */
        uint64_t deadline; /* monotonic */
        Call *next, *prev; /* utlist, in Bus.calls */
};

/* 0, RATE_LIMITED where the uid awaits CALLS_UID_MAX answers already, or -ENOMEM. */
int call_new(Bus *bus, sd_bus_message *message, Caller *caller, Refusal *refusal, Call **ret);
Call *call_free(Call *call);

/* Sends the error of an outcome, and frees the call. -errno where it cannot be queued. */
int call_fail(Call *call, int r, const Refusal *refusal, const char *step);
/* Sends the reply (its reference is taken over), and frees the call. */
int call_reply(Call *call, sd_bus_message *reply);

DEFINE_CLEANUP(Call *, call_free)
