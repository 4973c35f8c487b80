/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sections and keys that there are, as tables: policy-sections.c reads files by them, policy-show.c writes what holds
 * by them. Of this folder alone. */

#include "policy/policy-file.h"

typedef enum PolicyKeyType {
        KEY_BOOL,
        KEY_UNSIGNED, /* UINT_MAX: not limited, or not given */
        KEY_SIZE,     /* UINT64_MAX: not limited */
        KEY_DURATION,
        KEY_CHOICE,
        KEY_BUDGET,
        KEY_RATE,
        KEY_BACKENDS,
        KEY_MATCH,
        KEY_SELECTORS,
        KEY_ADMIN_GROUP,
        KEY_NAME, /* of anything; NULL: not given */
        KEY_DRIVER,
        KEY_SOCKET,
        KEY_SOCKET_USER,
        KEY_SOCKET_GROUP,
        KEY_MODE,
        _KEY_TYPE_MAX,
} PolicyKeyType;

typedef struct PolicyKey {
        const char *name;
        PolicyKeyType type;
        size_t offset;            /* of the field in the section's struct */
        size_t where;             /* of the PolicyWhere that says where it was set; 0 for none */
        uint64_t max;             /* for numbers */
        unsigned match_key;       /* for match-* */
        const char *const *words; /* for a choice, in the order of its enum */
} PolicyKey;

/* Reads a value into its field, which is set only to a good one. Returns 0, also where it reported that the value is
 * wrong, or -ENOMEM. */
int policy_key_parse(Policy *policy, PolicyErrors *errors, const PolicyKey *key, const char *value,
                     PolicyWhere where, void *section);

/* May the key be left empty, which takes away what an earlier file said? */
bool policy_key_may_be_empty(const PolicyKey *key);

typedef enum PolicySectionKind {
        POLICY_SECTION_BROKER,
        POLICY_SECTION_TENANT,
        POLICY_SECTION_POOL,
        POLICY_SECTION_DEVICE,
        POLICY_SECTION_CONTAINER,
        _POLICY_SECTION_MAX,
} PolicySectionKind;

typedef struct PolicySection {
        const char *name; /* "tenant" */
        const PolicyKey *keys;
        size_t n_keys;
        size_t said; /* offset of PolicyWhere[POLICY_KEYS_MAX] in the section's struct */
} PolicySection;

extern const PolicySection policy_sections[_POLICY_SECTION_MAX];

#define POLICY_ADMIN_GROUP "vfiobroker-admin"
#define POLICY_NAME_CHARS  "abcdefghijklmnopqrstuvwxyz0123456789"
