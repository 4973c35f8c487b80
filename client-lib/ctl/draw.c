/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Trees of texts, drawn as tree(1) does. A node owns its children and its text. Nothing here knows of the broker. */

#include <stdarg.h>

#include "client-lib/ctl/draw.h"
#include "client-lib/ctl/text.h"

/* Of one level, whatever is drawn. */
#define INDENT 3

struct DrawNode {
        char *text;
        DrawNode **children;
        size_t n_children;
};

/* What stands before a node, and below it before its children. */
typedef struct Lines {
        const char *branch, *last, *on, *nothing;
} Lines;

static const Lines unicode_lines = { "├─ ", "└─ ", "│  ", "   " };
static const Lines ascii_lines = { "|- ", "`- ", "|  ", "   " };

DrawNode *draw_new(void)
{
        return calloc(1, sizeof(DrawNode));
}

DrawNode *draw_free(DrawNode *root)
{
        if (!root)
                return NULL;

        for (size_t i = 0; i < root->n_children; i++)
                draw_free(root->children[i]);
        free((void *)root->children);
        free(root->text);
        free(root);
        return NULL;
}

DrawNode *draw_add(DrawNode *parent, const char *format, ...)
{
        _cleanup_(draw_freep) DrawNode *node = NULL;
        DrawNode **children;
        va_list ap;
        int r;

        node = draw_new();
        if (!node)
                return NULL;

        va_start(ap, format);
        r = vasprintf(&node->text, format, ap);
        va_end(ap);
        if (r < 0) {
                node->text = NULL;
                return NULL;
        }

        children = reallocarray((void *)parent->children, parent->n_children + 1, sizeof(DrawNode *));
        if (!children)
                return NULL;
        parent->children = children;
        parent->children[parent->n_children++] = node;
        return TAKE_PTR(node);
}

static void print_text(const DrawNode *node, FILE *f, size_t used, size_t width)
{
        size_t room = SIZE_MAX;

        /* Where next to nothing would be left, the line may be too long. */
        if (width > 0)
                room = width > used + 8 ? width - used : 8;
        text_print_cut(f, node->text, room);
        (void)fputc('\n', f);
}

static int print_children(const DrawNode *node, FILE *f, const Lines *lines, const char *prefix, size_t used,
                          size_t width)
{
        for (size_t i = 0; i < node->n_children; i++) {
                bool last = i + 1 == node->n_children;
                _cleanup_free_ char *below = NULL;
                int r;

                (void)fprintf(f, "%s%s", prefix, last ? lines->last : lines->branch);
                print_text(node->children[i], f, used + INDENT, width);

                if (asprintf(&below, "%s%s", prefix, last ? lines->nothing : lines->on) < 0) {
                        below = NULL;
                        return -ENOMEM;
                }
                r = print_children(node->children[i], f, lines, below, used + INDENT, width);
                if (r < 0)
                        return r;
        }
        return 0;
}

int draw_print(const DrawNode *root, FILE *f, bool unicode, size_t width)
{
        for (size_t i = 0; i < root->n_children; i++) {
                int r;

                print_text(root->children[i], f, 0, width);
                r = print_children(root->children[i], f, unicode ? &unicode_lines : &ascii_lines, "", 0,
                                   width);
                if (r < 0)
                        return r;
        }
        return 0;
}
