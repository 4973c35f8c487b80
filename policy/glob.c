/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Shell patterns: fnmatch() does the matching; here is what it does not answer, whether a pattern can match
 * anything of a given shape at all. The question is put to a small automaton: a set of positions in the
 * shape, moved on by each token of the pattern, so that the cost is pattern × shape however many
 * stars there are. */

#include "policy/glob.h"

#include <fnmatch.h>
#include <stdint.h>

#include "policy/util.h"

#define BRACKET_MAX 256U

/* Past the `]` that closes the bracket at p, or NULL. */
static const char *bracket_end(const char *p)
{
        p++;
        if (*p == '!' || *p == '^')
                p++;
        if (*p == ']') /* the first one stands for itself */
                p++;

        while (*p != ']') {
                if (*p == '\0')
                        return NULL;
                if (*p == '[' && (p[1] == ':' || p[1] == '.' || p[1] == '=')) {
                        char closing[] = { p[1], ']', '\0' };
                        const char *end = strstr(p + 2, closing);

                        if (end)
                                p = end + 1;
                }
                p++;
        }
        return p + 1;
}

bool glob_is_valid(const char *pattern)
{
        while (*pattern) {
                if (*pattern == '[') {
                        const char *end = bracket_end(pattern);

                        if (!end || (size_t)(end - pattern) >= BRACKET_MAX)
                                return false;
                        pattern = end;
                } else
                        pattern++;
        }
        return true;
}

bool glob_is_literal(const char *pattern)
{
        return pattern[strcspn(pattern, "*?[")] == '\0';
}

bool glob_matches(const char *pattern, const char *s)
{
        return fnmatch(pattern, s, FNM_NOESCAPE) == 0;
}

/* The characters that one place of a shape allows. */
static const char *shape_set(const char *place, char literal[static 2])
{
        switch (*place) {
        case 'x': return "0123456789abcdef";
        case 'n': return "123456789abcdef";
        case 'b': return "01";
        case 'o': return "01234567";
        default:
                literal[0] = *place;
                literal[1] = '\0';
                return literal;
        }
}

/* Does the token, a single character or a bracket, match one of the set? */
static bool token_meets(const char *token, size_t length, const char *set)
{
        char pattern[BRACKET_MAX];

        if (length == 1)
                return strchr(set, *token) != NULL;

        memcpy(pattern, token, length);
        pattern[length] = '\0';
        for (; *set; set++)
                if (glob_matches(pattern, (const char[]){ *set, '\0' }))
                        return true;
        return false;
}

bool glob_fits(const char *pattern, const char *shape)
{
        size_t length = strnlen(shape, GLOB_SHAPE_MAX);
        uint64_t positions = 1;

        if (!glob_is_valid(pattern))
                return false;

        while (*pattern && positions) {
                size_t token = 1;
                uint64_t next = 0;

                if (*pattern == '*') {
                        /* from the first position on, every one */
                        uint64_t first = positions & -positions;

                        positions = (UINT64_MAX >> (GLOB_SHAPE_MAX - length)) & ~(first - 1);
                        pattern++;
                        continue;
                }

                if (*pattern == '[')
                        token = (size_t)(bracket_end(pattern) - pattern);

                for (size_t i = 0; i < length; i++) {
                        char literal[2];

                        if (!(positions & UINT64_C(1) << i))
                                continue;
                        if (*pattern == '?' || token_meets(pattern, token, shape_set(shape + i, literal)))
                                next |= UINT64_C(1) << (i + 1);
                }
                positions = next;
                pattern += token;
        }
        return *pattern == '\0' && (positions & UINT64_C(1) << length);
}

bool glob_disjoint(const char *a, const char *b)
{
        if (glob_is_literal(a))
                return !glob_matches(b, a);
        if (glob_is_literal(b))
                return !glob_matches(a, b);
        return false;
}
