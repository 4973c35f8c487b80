/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The INI text as sections and entries, each with its line. */

#include <stddef.h>

#include "policy/arena.h"
#include "policy/policy-file.h"

typedef struct IniEntry {
        const char *key;
        const char *value; /* as iniparser gives it: without comment, quotes and outer blanks */
        unsigned line;
} IniEntry;

typedef struct IniSection {
        const char *kind; /* "tenant" of [tenant blue] */
        const char *name; /* "blue"; "" where there is none */
        unsigned line;
        IniEntry *entries;
        size_t n_entries;
} IniSection;

typedef struct IniFile {
        const char *name;
        IniSection *sections;
        size_t n_sections;
} IniFile;

/* Reads a text. What is not well-formed is added to `errors` and left out of the result. Returns 0 also
 * then, or a negative errno where memory or the system is at fault. `name` is borrowed. */
int ini_scan(Arena *arena, const char *name, const char *text, size_t size, IniFile *ret_file,
             PolicyErrors *errors);
