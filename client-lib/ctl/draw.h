/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A tree of texts, and its drawing. Nothing here knows what the texts say. */

#include "policy/util.h"

typedef struct DrawNode DrawNode;

/* A tree without any text; draw_add() to it makes the top. NULL: no memory. */
DrawNode *draw_new(void);

/* Frees a tree by the node that draw_new() gave; NULL is nothing. Returns NULL. */
DrawNode *draw_free(DrawNode *root);

/* Adds a child behind those that there are, with a copy of the text: the tree's. NULL: no memory. */
DrawNode *draw_add(DrawNode *parent, const char *format, ...) _printf_(2, 3);

/* Draws it, a line for each node, with line characters of Unicode or with ASCII; texts are cut so that lines fit
 * `width`, 0: never. -ENOMEM. */
int draw_print(const DrawNode *root, FILE *f, bool unicode, size_t width);

DEFINE_CLEANUP(DrawNode *, draw_free)
