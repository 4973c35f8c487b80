/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The match-* keys of a tenant: which processes are it. Every key that is given must hold; several values in
 * one key: any of them. A tenant with no key at all matches nobody. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/arena.h"
#include "policy/facts.h"
#include "policy/where.h"

#define TENANT_MATCH_ERROR_MAX 512U

typedef enum TenantMatchKey {
        TENANT_MATCH_USER,
        TENANT_MATCH_GROUP,
        TENANT_MATCH_UNIT,
        TENANT_MATCH_SLICE,
        TENANT_MATCH_MACHINE,
        TENANT_MATCH_LABEL,
        _TENANT_MATCH_MAX,
} TenantMatchKey;

/* Uids or gids, both ends included. uid_t and gid_t are the same type on Linux. */
typedef struct IdRange {
        uint32_t first;
        uint32_t last;
} IdRange;

/* The values of one key: ranges for user and group, strings for the others. */
typedef struct TenantMatchValues {
        IdRange *ranges;
        size_t n_ranges;
        const char **strings;
        size_t n_strings;
        const char *
                text; /* as written, for people; NULL where the key is not given. So the next: the loader's to fill in */
        PolicyWhere where;
} TenantMatchValues;

typedef struct TenantMatch {
        TenantMatchValues keys[_TENANT_MATCH_MAX];
} TenantMatch;

/* Parses the comma-separated value of one key into `match`, in place of what that key held before. An empty
 * value takes the key away. Users and groups are looked up by name in the system's database. Returns 0,
 * -EINVAL with a text in `error` (TENANT_MATCH_ERROR_MAX bytes), or -ENOMEM. */
int tenant_match_parse(Arena *arena, TenantMatch *match, TenantMatchKey key, const char *value, char *error);

/* Is this key given? Is any? */
bool tenant_match_key_is_set(const TenantMatchValues *values);
bool tenant_match_is_set(const TenantMatch *match);

/* Do all keys that are given hold for the caller, and is there one? Where not, and ret_failed is not NULL,
 * the first key that does not hold is stored there (_TENANT_MATCH_MAX where no key is given). */
bool tenant_match(const TenantMatch *match, const CallerFacts *caller, TenantMatchKey *ret_failed);

/* One user or group: a name of the system's database, or a number. Returns as tenant_match_parse(). */
int tenant_match_lookup_user(const char *text, uid_t *ret_uid, char *error);
int tenant_match_lookup_group(const char *text, gid_t *ret_gid, char *error);

/* "match-user", … and back; -EINVAL where there is none such. */
const char *tenant_match_key_to_string(TenantMatchKey key);
int tenant_match_key_from_string(const char *name);
