/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Gathering what is wrong in a policy. For the files of this folder, and daemon/core/divided.c, which sees what only the
 * devices show; the callers' half is in policy-file.h. */

#include <stdarg.h>

#include "policy/policy-file.h"

/* Adds one. Never fails: where memory is short, or POLICY_ERRORS_MAX is reached, it is counted all the same,
 * so that a policy with an error is refused even where the text is lost. `errors` may be NULL. */
void policy_errors_add(PolicyErrors *errors, PolicySeverity severity, PolicyWhere where, const char *format,
                       ...) _printf_(4, 5);

/* Brings them into the order of the files given, then of lines; those of one line stay as they were found. */
void policy_errors_sort(PolicyErrors *errors, const char *const *files, size_t n_files);

/* The word of the list that is nearest to `word`, for "did you mean"; NULL where none is near. */
const char *policy_nearest(const char *word, const char *const *words, size_t n_words);
