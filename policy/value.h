/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strict parsers of single values. Each takes the whole string or nothing: no blanks, no sign, no trailing
 * text, no silent wrap. Each returns 0, -EINVAL where it is not of the form, or -ERANGE where it is but is
 * too large or small. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* yes, true, on, 1; no, false, off, 0 */
int value_bool(const char *s, bool *ret_value);

/* decimal digits, at most max */
int value_unsigned(const char *s, uint64_t max, uint64_t *ret_value);

/* hexadecimal digits, exactly n of them */
int value_hex(const char *s, unsigned n, unsigned *ret_value);

/* bytes: digits and at most one of K, M, G, T, which are powers of 1024 */
int value_size(const char *s, uint64_t *ret_bytes);

/* 0% to 100% */
int value_percent(const char *s, unsigned *ret_percent);

/* digits and one of us, ms, s, min, h; or a plain 0 */
int value_duration(const char *s, uint64_t *ret_usec);

/* COUNT/DURATION, both at least 1 */
int value_rate(const char *s, unsigned *ret_count, uint64_t *ret_usec);

/* three or four octal digits */
int value_mode(const char *s, mode_t *ret_mode);
