/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The decision a second time, as plainly as it can be written: from a model of the policy, not from the policy, with
 * fnmatch(3) for patterns, 128 bits for sums and no thought of speed. It is held against policy/decide.c. */

#include "policy/decide.h"

#define NAIVE_ITEMS 4

typedef struct NaiveTerm {
        const char *kind; /* "pci" … "any" */
        const char *value;
        int pool; /* index */
} NaiveTerm;

typedef struct NaiveSelector {
        NaiveTerm terms[NAIVE_ITEMS];
        size_t n_terms;
        char text[256];
} NaiveSelector;

typedef struct NaiveList {
        NaiveSelector items[NAIVE_ITEMS];
        size_t n_items;
        int line;
} NaiveList;

/* Values of one match key; ids are first and last. */
typedef struct NaiveKey {
        const char *strings[NAIVE_ITEMS];
        unsigned first[NAIVE_ITEMS], last[NAIVE_ITEMS];
        size_t n;
} NaiveKey;

/* A line of 0: by default. Limits of -1: none. */
typedef struct NaiveTenant {
        char name[16];
        int line;
        NaiveKey match[_TENANT_MATCH_MAX];
        NaiveList devices, deny;
        long long devices_max, leases_max, memlock_max;
        int devices_max_line, leases_max_line, memlock_max_line;
        unsigned backends; /* as the tenant's section has it; 0: not given */
        int backends_line;
} NaiveTenant;

typedef struct NaivePolicy {
        NaiveTenant tenants[NAIVE_ITEMS];
        size_t n_tenants;
        NaiveList pools[NAIVE_ITEMS];
        size_t n_pools;
        long long memlock_bytes; /* -1: percent */
        unsigned memlock_percent, backends;
        bool unsafe_interrupts, noiommu;
        int memlock_line, backends_line, unsafe_line, noiommu_line;
} NaivePolicy;

typedef struct NaiveVerdict {
        VerdictCode code;
        const NaiveTenant *tenant;     /* or NULL */
        const DeviceFacts *device;     /* that decided, or NULL */
        const NaiveSelector *selector; /* that decided, or NULL */
        int line;                      /* 0: by default; -1: of no place */
} NaiveVerdict;

bool naive_selects(const NaivePolicy *policy, const NaiveSelector *selector, const DeviceFacts *device);
bool naive_is_tenant(const NaiveTenant *tenant, const CallerFacts *caller);
void naive_tenant(const NaivePolicy *policy, const CallerFacts *caller, const char *wanted,
                  NaiveVerdict *ret);

/* `request` without its policy and tenant. */
void naive_acquire(const NaivePolicy *policy, const NaiveTenant *tenant, const DecideRequest *request,
                   NaiveVerdict *ret);
