/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Gathering what is wrong in a policy: a growing array that owns its texts, so that it outlives the policy
 * that was refused. */

#include "policy/errors.h"

#include <ctype.h>

#define TEXT_MAX    1024U
#define NEAREST_MAX 64U

void policy_errors_add(PolicyErrors *errors, PolicySeverity severity, PolicyWhere where, const char *format,
                       ...)
{
        char text[TEXT_MAX];
        PolicyError *items;
        PolicyError error = { .severity = severity, .line = where.line };
        va_list ap;

        if (!errors)
                return;

        if (severity == POLICY_ERROR)
                errors->n_errors++;
        else
                errors->n_warnings++;
        if (errors->n_items >= POLICY_ERRORS_MAX)
                return;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);

        error.file = strdup(strempty(where.file));
        error.text = strdup(text);
        items = reallocarray(errors->items, errors->n_items + 1, sizeof(*items));
        if (items)
                errors->items = items;
        if (!items || !error.file || !error.text) {
                free(error.file);
                free(error.text);
                return;
        }
        items[errors->n_items++] = error;
}

void policy_errors_done(PolicyErrors *errors)
{
        for (size_t i = 0; i < errors->n_items; i++) {
                free(errors->items[i].file);
                free(errors->items[i].text);
        }
        free(errors->items);
        *errors = (PolicyErrors)POLICY_ERRORS_NULL;
}

static size_t rank(const char *file, const char *const *files, size_t n_files)
{
        for (size_t i = 0; i < n_files; i++)
                if (streq(file, files[i]))
                        return i;
        return n_files;
}

static bool comes_after(const PolicyError *a, const PolicyError *b, const char *const *files, size_t n_files)
{
        size_t rank_a, rank_b;

        if (streq(a->file, b->file))
                return a->line > b->line;

        rank_a = rank(a->file, files, n_files);
        rank_b = rank(b->file, files, n_files);
        return rank_a > rank_b;
}

/* By insertion: there are few, most are in order already, and the order of equals must stay. */
void policy_errors_sort(PolicyErrors *errors, const char *const *files, size_t n_files)
{
        for (size_t i = 1; i < errors->n_items; i++) {
                PolicyError moved = errors->items[i];
                size_t j = i;

                for (; j > 0 && comes_after(errors->items + j - 1, &moved, files, n_files); j--)
                        errors->items[j] = errors->items[j - 1];
                errors->items[j] = moved;
        }
}

char *policy_error_to_string(const PolicyError *error)
{
        char *s;

        if (asprintf(&s, "%s:%u: %s%s", error->file, error->line,
                     error->severity == POLICY_WARNING ? "warning: " : "", error->text) < 0)
                return NULL;
        return s;
}

char *policy_errors_to_string(const PolicyErrors *errors)
{
        size_t found = errors->n_errors + errors->n_warnings;
        char *all = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&all, &size);

        if (!f)
                return NULL;

        for (size_t i = 0; i < errors->n_items; i++) {
                _cleanup_free_ char *line = policy_error_to_string(errors->items + i);

                (void)fprintf(f, "%s%s", i > 0 ? "\n" : "", line ? line : "(out of memory)");
        }
        if (found > errors->n_items)
                (void)fprintf(f, "\n(and %zu more)", found - errors->n_items);

        if (fclose(f) != 0) {
                free(all);
                return NULL;
        }
        return all;
}

/* How many characters have to be put in, taken out or replaced, case aside. */
static size_t distance(const char *a, const char *b)
{
        size_t row[NEAREST_MAX + 1];
        size_t n = strlen(b);

        for (size_t j = 0; j <= n; j++)
                row[j] = j;

        for (size_t i = 0; a[i]; i++) {
                size_t diagonal = row[0];

                row[0] = i + 1;
                for (size_t j = 0; j < n; j++) {
                        size_t best =
                                diagonal + (tolower((unsigned char)a[i]) != tolower((unsigned char)b[j]));

                        diagonal = row[j + 1];
                        if (row[j + 1] + 1 < best)
                                best = row[j + 1] + 1;
                        if (row[j] + 1 < best)
                                best = row[j] + 1;
                        row[j + 1] = best;
                }
        }
        return row[n];
}

const char *policy_nearest(const char *word, const char *const *words, size_t n_words)
{
        const char *nearest = NULL;
        size_t least = 1 + strlen(word) / 3; /* what is further away is another word */

        if (strlen(word) > NEAREST_MAX)
                return NULL;

        for (size_t i = 0; i < n_words; i++) {
                size_t d = strlen(words[i]) <= NEAREST_MAX ? distance(word, words[i]) : SIZE_MAX;

                if (d <= least) {
                        nearest = words[i];
                        least = d > 0 ? d - 1 : 0;
                        if (d == 0)
                                break;
                }
        }
        return nearest;
}
