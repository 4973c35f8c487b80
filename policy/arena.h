/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory with one owner and one end. Everything a policy is made of lives in its arena and dies with it, so
 * that no error path of the parser has anything to free. Each allocation is a malloc() of its own, kept on a
 * list: a sanitizer sees the bounds of every string. */

#include <stddef.h>

#include "policy/util.h"

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
        ArenaBlock *blocks;
} Arena;

#define ARENA_NULL                                                                                          \
        {                                                                                                   \
                .blocks = NULL                                                                              \
        }

/* Zeroed memory for n elements of the size given; NULL where there is none or n × size overflows. */
void *arena_alloc(Arena *arena, size_t n, size_t size);
char *arena_strdup(Arena *arena, const char *s);
char *arena_strndup(Arena *arena, const char *s, size_t n);

/* Frees all of it. The arena is empty afterwards and may be used again. */
void arena_done(Arena *arena);

#define _cleanup_arena_ _cleanup_(arena_done)
