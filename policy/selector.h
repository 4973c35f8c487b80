/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Selectors: the words by which a policy names devices. A selector is one or more terms joined with `+`, all
 * of which must hold; a list of selectors holds where any of them does. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/arena.h"
#include "policy/facts.h"
#include "policy/where.h"

typedef struct PolicyPool PolicyPool;

#define SELECTOR_TERMS_MAX 16U  /* terms that `+` may join */
#define SELECTOR_ERROR_MAX 512U /* bytes that an error text of the parser needs */

typedef enum SelectorKind {
        SELECTOR_PCI,       /* pci:ADDRESS, a glob */
        SELECTOR_PCI_ID,    /* pci-id:VVVV:DDDD[:SSSS:DDDD], * for any */
        SELECTOR_CLASS,     /* class:CCSSPP, a glob */
        SELECTOR_DRIVER,    /* driver:NAME */
        SELECTOR_GROUP,     /* group:N */
        SELECTOR_VF_OF,     /* vf-of:ADDRESS, a glob */
        SELECTOR_NUMA,      /* numa:N */
        SELECTOR_MDEV,      /* mdev:UUID */
        SELECTOR_MDEV_TYPE, /* mdev-type:NAME */
        SELECTOR_BUS,       /* bus:NAME */
        SELECTOR_ID,        /* id:GLOB */
        SELECTOR_POOL,      /* pool:NAME */
        SELECTOR_ANY,       /* any */
        _SELECTOR_KIND_MAX,
} SelectorKind;

typedef struct SelectorTerm {
        SelectorKind kind;
        const char *value;      /* pattern or name, lower-case where the kernel's is; NULL for any */
        bool literal;           /* value has no wildcard */
        int number;             /* group, numa */
        int ids[4];             /* pci-id: vendor, product, subsystem's two; -1 for any */
        const PolicyPool *pool; /* pool: set by the policy once all files are read */
} SelectorTerm;

typedef struct Selector {
        SelectorTerm *terms;
        size_t n_terms;
        const char *text; /* as written, for people */
        PolicyWhere where;
} Selector;

typedef struct SelectorList {
        Selector *items;
        size_t n_items;
} SelectorList;

/* A named set of devices. */
struct PolicyPool {
        const char *name;
        PolicyWhere where;
        SelectorList devices;
        PolicyWhere said[1]; /* where each key was given, as in policy-keys.c */
};

/* Parses one selector. Returns 0, -EINVAL with a text in `error` (at least SELECTOR_ERROR_MAX bytes) that
 * says what is wrong and what to write instead, also where its terms contradict each other so that nothing
 * can ever match, or -ENOMEM. `where` is stored as it is. Terms that name a pool are left without one. */
int selector_parse(Arena *arena, const char *text, PolicyWhere where, Selector *ret, char *error);

/* Does the device satisfy every term? A pool term without a pool holds for nothing. */
bool selector_matches(const Selector *selector, const DeviceFacts *device);

/* The first selector of the list that the device satisfies, or NULL. */
const Selector *selector_list_find(const SelectorList *list, const DeviceFacts *device);

/* The bus on which alone this selector can match ("pci"), or NULL where it does not say or names a pool. */
const char *selector_bus(const Selector *selector);

/* "pci-id", … for people. */
const char *selector_kind_to_string(SelectorKind kind);
