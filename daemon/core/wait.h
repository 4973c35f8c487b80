/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Those who wait for a device that somebody has. The queue knows when to wake whom; what to ask, and what to answer, is
 * the waiter's, who asks anew from scratch each time: policy, quotas and the caller may have changed meanwhile. */

#include "daemon/core/broker.h"

#define WAITERS_MAX 256U /* all callers together */

typedef enum WaitWake {
        WAIT_RETRY, /* something became free: ask again, if it can be what is waited for (wait_is_vain()) */
        WAIT_ANEW,  /* policy changed: ask again in any case, for it may not be given any more */
        WAIT_TIMEOUT, /* the time is over: ask for the last time */
        WAIT_GONE,    /* the connection is closed: there is nobody to answer */
} WaitWake;

/* True where it waits on, which only the first two allow; else it is out of the queue when this returns. */
typedef bool (*WaitWoken)(void *userdata, WaitWake wake);

typedef struct Waiter Waiter;

/* Whether the refusal is one that time may mend: a device that is in use, or in a group or reset set of which another
 * tenant has a part, or as many jobs at work as may be. (The rate of a user's calls is not asked here.) */
bool wait_may_help(int result);

/* Puts a caller at the end of the queue, for at most `usec` microseconds. 0, LIMITS_EXCEEDED with `refusal`, or -errno.
 * No call of `woken` comes before this returns, and none after broker_free(). */
int broker_wait(Broker *broker, uint64_t owner, uint64_t usec, WaitWoken woken, void *userdata,
                Refusal *refusal);

/* Whether one of these arguments of an Acquire is a device that somebody has still, so that nothing else need be asked
 * yet: who waits with many others for one device is woken each time that it is free for one of them. */
bool wait_is_vain(Broker *broker, const char *const *devices, size_t n);

/* Something became free: all who wait are woken, in order, in the loop's next turn. */
void broker_wake_waiters(Broker *broker);
/* The same for a new policy. */
void broker_wake_waiters_anew(Broker *broker);

/* The same at once, for those who are to be woken and have not been: before anybody who comes now is served. */
void broker_serve_waiters(Broker *broker);

unsigned broker_n_waiters(const Broker *broker);

/* For broker_owner_gone() and broker_free(). */
void waiters_owner_gone(Broker *broker, uint64_t owner);
void waiters_free(Broker *broker);
