/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clients and the daemon, as the works have them: telling the one, killing the other, and judging what is then. */

#include "oracle.h"

#define CRASH_AT "/run/vfiobroker/crash-at"
#define CRASHED  "/run/vfiobroker/crashed"

#define MEMLOCK  (4u * 1024 * 1024) /* what each lease commits */
#define SLACK    (1u * 1024 * 1024) /* the policy's */
#define IOVA_ONE 0x100000u
#define IOVA_TWO 0x8000000u

#define GUEST ROLES /* the place of one who lives for one work only */

extern const char *moment; /* what is going on, for the texts */
extern unsigned wrong;     /* how often something was */
extern Facts truth;        /* what must be after each death */

/* --- death --- */

extern unsigned n_deaths;
extern uint64_t strikes[2]; /* when to kill at random, by now_msec(); 0: never */

void kill_daemon(void);
/* Kills where the time has come, and says how long to wait at most until it is to be called again. */
int next_strike_msec(void);

/* The boundary at which the next daemon dies once arm() was called: the nth, "once" or "late" (crash.c); NULL: at none. */
extern const char *late;
extern unsigned long nth;
void arm(void);

/* --- clients --- */

void start_client(unsigned who);
void stop_guest(void);

/* Tells a client what to do (client.c); the answer, which begins with "ok", "none" or "error", is good until the next. Who
 * does not answer within 90 s, or has ended, ends the oracle. */
const char *tell(unsigned who, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same of a question, again where a further death has cost its answer. */
const char *ask(unsigned who, const char *question);
const char *last_answer(unsigned who);
bool begins(const char *text, const char *with);

/* --- judgement --- */

void blame(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The answer begins so, or somebody is to blame. */
void want(const char *what, const char *begin, const char *answer);
void want_refused(const char *device);
/* Everybody lives, can work and call, and nobody gets what another has. */
void look_at_clients(void);
/* Waits until the broker is at rest, looks at the clients, and holds all that is against the truth. */
void look_at_all(void);
