/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What goes on while the daemon dies. */

#include <stdbool.h>
#include <stdint.h>

/* The address space of the named container, which the one made. */
extern char ioas[16];
extern bool stops; /* at the first thing that is wrong */

/* Each work once while nobody dies: it is to succeed, and to leave nothing. */
void try_works(void);
/* A death at every boundary of each work, or of the one that is named: every step'th first, until the time is over. */
void boundaries(const char *only, unsigned long step, uint64_t budget_msec);
void random_deaths(unsigned kills);
