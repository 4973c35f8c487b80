/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lines of a record: `KEY = VALUE`, INI, read back with iniparser. Each reader of a value keeps the first error in *r, and
 * does nothing once there is one: -EBADMSG where the record is to blame. Thread-safe. */

#include <iniparser/iniparser.h>
#include <limits.h>

#include "policy/util.h"

#define RECORD_NAME_SIZE (NAME_MAX - 5) /* with its NUL; a dot and ".new" come around it */

/* A file name out of an id: path separators and dots are encoded. 0, -ENAMETOOLONG or -ENOMEM. */
int record_encode_name(const char *id, char ret[static RECORD_NAME_SIZE]);

/* 0, -E2BIG where the reader would cut the line, or -ENOMEM. */
int record_put_string(FILE *file, const char *key, const char *value);
void record_put_number(FILE *file, const char *key, uint64_t value);

/* As it stands there, borrowed; NULL after an error. */
const char *record_get_raw(const dictionary *record, const char *section, const char *key, int *r);
void record_get_string(const dictionary *record, const char *section, const char *key, char *ret,
                       size_t size, int *r);
/* The same of a key that came with a later version of the daemon: where the record has none, "". */
void record_get_string_since(const dictionary *record, const char *section, const char *key, char *ret,
                             size_t size, int *r);
uint64_t record_get_number(const dictionary *record, const char *section, const char *key, uint64_t max,
                           int *r);
