/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shell patterns as the policy uses them: `*`, `?` and `[…]`; a backslash is a character like any other,
 * since unit names have them. */

#include <stdbool.h>
#include <stddef.h>

/* Is every `[` closed? fnmatch() takes one that is not for itself: refuse such a pattern before it is used. */
bool glob_is_valid(const char *pattern);

/* Has it no wildcard at all? */
bool glob_is_literal(const char *pattern);

bool glob_matches(const char *pattern, const char *s);

/* Is there a string of the shape given that the pattern matches? In a shape `x` stands for a hexadecimal digit
 * in lower case, `n` for one that is not 0, `b` for 0 or 1, `o` for an octal digit; all else for itself. It has
 * at most GLOB_SHAPE_MAX characters. A pattern that is not valid fits none. */
#define GLOB_SHAPE_MAX 63U
bool glob_fits(const char *pattern, const char *shape);

/* Is it certain that no string matches both? */
bool glob_disjoint(const char *a, const char *b);
