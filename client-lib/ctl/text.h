/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Text as vfiobrokerctl reads and prints it: sizes, seconds, tables, and strings of other people's making. */

#include "policy/util.h"

/* "4096", "256M": a number of bytes, K, M, G or T being powers of 1024. -EINVAL for anything else, -ERANGE
 * for what does not fit; UINT64_MAX is left to mean "not given". */
int parse_size(const char *s, uint64_t *ret);

/* "10", "0.25": seconds, at most six digits after the point. -EINVAL, -ERANGE as above. */
int parse_seconds(const char *s, uint64_t *ret_usec);

/* "64M", "1.5G", "0": the shortest that is right to a tenth. */
#define FORMAT_SIZE_MAX 32
const char *format_size(uint64_t bytes, char buffer[static FORMAT_SIZE_MAX]);

/* Prints a string in which everything that a terminal could take as a command has become '?': control
 * characters, C0 and C1. text_print_lines() leaves newlines. */
void text_print(FILE *f, const char *s);
void text_print_lines(FILE *f, const char *s);

/* The same, at most `max` characters of it. */
void text_print_cut(FILE *f, const char *s, size_t max);

/* "a, b, c", or where there are more than `max` "a, b +4"; the caller's to free. -ENOMEM. */
int text_join(const char *const *values, size_t max, char **ret);

/* How many columns it takes, one for each character. */
size_t text_width(const char *s);

/* A table: cells are copied; every row has as many as there are headings. */
typedef struct Table Table;

int table_new(const char *const *headings, size_t n_columns, Table **ret);
Table *table_free(Table *table);

/* Adds one cell, rows being filled from the left. An empty one is shown as "-". */
int table_add(Table *table, const char *cell);

/* Adds a row: as many cells as there are headings. */
int table_add_row(Table *table, const char *const *cells);

/* Prints it with columns as wide as needed. The last column is cut so that lines fit `width`; 0: nothing is
 * cut. */
void table_print(const Table *table, FILE *f, bool legend, size_t width);

DEFINE_CLEANUP(Table *, table_free)

/* The terminal's width where f is one, else 0. */
size_t terminal_width(FILE *f);
