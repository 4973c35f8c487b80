/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the parts of `oracle` share: the live clients, and facts as sorted lines of text, so that what is and what must be
 * can be held against each other and shown. One thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* --- facts --- */

typedef struct Facts {
        char **lines;
        size_t n;
} Facts;

void facts_add(Facts *facts, const char *format, ...) __attribute__((format(printf, 2, 3)));
void facts_sort(Facts *facts);
void facts_clear(Facts *facts);
bool facts_equal(const Facts *a, const Facts *b); /* both sorted */
/* What only one of them has, as lines of TAP's comments: - of what must be, + of what is. */
void facts_show_difference(const Facts *must, const Facts *is);

/* --- the live clients --- */

typedef enum Role {
        ONE,   /* has EDU in a named container */
        TWO,   /* joined it with EDU2 */
        THREE, /* has E1000E alone, taken from a driver of the host */
        FOUR,  /* comes and goes with IGB and NVME, on one connection to the bus */
        RIVAL, /* another tenant, who wants what the others have */
        ROLES
} Role;

extern const char *const role_names[ROLES];
extern pid_t role_pids[ROLES];

#define EDU    "0000:05:00.0"
#define EDU2   "0000:06:00.0"
#define E1000E "0000:02:00.0"
#define IGB    "0000:01:00.0"
#define NVME   "0000:03:00.0"

#define BASE_LIMIT (1024u * 1024) /* RLIMIT_MEMLOCK of each client before its first lease */

/* A client's whole life: commands come as lines on `socket`, each is answered with one line (client.c). */
void client_life(int socket, uid_t uid) __attribute__((noreturn));

/* --- the machine, as the kernel, systemd and the broker tell it --- */

extern bool by_group; /* the backend of this run */

void look_open(void);    /* connects */
pid_t daemon_pid(void);  /* 0 while there is none */
bool daemon_ready(void); /* whether systemd has it as started */
/* Adds everything that is; false where somebody did not answer. */
bool look_all(Facts *ret);
/* Whether the broker is at rest: it has the leases of the three, and nobody works on a device of the fourth. */
bool at_rest(void);
/* As an administrator. 0 or a negative errno. */
int ask_revoke(const char *lease);

uint64_t now_msec(void);
void pause_msec(unsigned msec);
