/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Memory with one owner and one end: a list of blocks, each a malloc() of its own with its link in front. */

#include "policy/arena.h"

#include <stdalign.h>

struct ArenaBlock {
        ArenaBlock *next;
        alignas(max_align_t) unsigned char data[];
};

void *arena_alloc(Arena *arena, size_t n, size_t size)
{
        ArenaBlock *block;
        size_t bytes;

        if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(bytes, sizeof(*block), &bytes))
                return NULL;

        block = calloc(1, bytes);
        if (!block)
                return NULL;

        block->next = arena->blocks;
        arena->blocks = block;
        return block->data;
}

static char *copy(Arena *arena, const char *s, size_t length)
{
        char *p = arena_alloc(arena, length + 1, 1);

        if (p)
                memcpy(p, s, length);
        return p;
}

char *arena_strndup(Arena *arena, const char *s, size_t n)
{
        return copy(arena, s, strnlen(s, n));
}

char *arena_strdup(Arena *arena, const char *s)
{
        return copy(arena, s, strlen(s));
}

void arena_done(Arena *arena)
{
        while (arena->blocks) {
                ArenaBlock *block = arena->blocks;

                arena->blocks = block->next;
                free(block);
        }
}
