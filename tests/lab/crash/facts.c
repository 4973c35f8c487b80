/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Facts as lines. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"
#include "vfio-client.h"

void facts_add(Facts *facts, const char *format, ...)
{
        va_list ap;

        facts->lines = reallocarray(facts->lines, facts->n + 1, sizeof(char *));
        if (!facts->lines)
                die(ENOMEM, "a line");
        va_start(ap, format);
        if (vasprintf(facts->lines + facts->n++, format, ap) < 0)
                die(ENOMEM, "a line");
        va_end(ap);
}

static int compare(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

void facts_sort(Facts *facts)
{
        if (facts->n > 0)
                qsort(facts->lines, facts->n, sizeof(char *), compare);
}

void facts_clear(Facts *facts)
{
        for (size_t i = 0; i < facts->n; i++)
                free(facts->lines[i]);
        free(facts->lines);
        *facts = (Facts){};
}

bool facts_equal(const Facts *a, const Facts *b)
{
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (strcmp(a->lines[i], b->lines[i]) != 0)
                        return false;
        return true;
}

void facts_show_difference(const Facts *must, const Facts *is)
{
        size_t i = 0, j = 0;

        while (i < must->n || j < is->n) {
                int c = i == must->n ? 1 : j == is->n ? -1 : strcmp(must->lines[i], is->lines[j]);

                if (c < 0)
                        (void)printf("#   - %s\n", must->lines[i]);
                if (c > 0)
                        (void)printf("#   + %s\n", is->lines[j]);
                i += c <= 0;
                j += c >= 0;
        }
}
