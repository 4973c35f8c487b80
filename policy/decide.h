/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The decision: given the policy and the facts, may this be done, and which rule says so. Pure functions
 * over values: nothing is allocated, read or remembered, and the same question has the same answer. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/facts.h"
#include "policy/policy-file.h"

#define VERDICT_TEXT_MAX 512U

/* In the order of decision: the first that applies is the answer. */
typedef enum VerdictCode {
        VERDICT_ALLOWED,
        VERDICT_NO_TENANT,        /* the caller is no tenant, or not the one that it asks to be */
        VERDICT_AMBIGUOUS_TENANT, /* it is several and did not say which */
        VERDICT_DENIED,           /* no selector of the tenant names the device, or deny-devices does */
        VERDICT_GROUP_SPLIT,      /* another tenant holds a device of the group */
        VERDICT_RESET_SPLIT, /* another tenant holds a device of the reset set, and only that resets it */
        VERDICT_VF_OF_FOREIGN_PF,  /* the physical function is on a VFIO driver and not the tenant's */
        VERDICT_UNSAFE_INTERRUPTS, /* interrupt remapping is missing */
        VERDICT_NOIOMMU,           /* there is no IOMMU */
        VERDICT_BACKEND,           /* the tenant may not use this backend */
        VERDICT_DEVICE_QUOTA,
        VERDICT_LEASE_QUOTA,
        VERDICT_MEMLOCK_TENANT,
        VERDICT_MEMLOCK_HOST,
        VERDICT_TAKEN, /* the device's state does not allow it */
        _VERDICT_MAX,
} VerdictCode;

/* `tenant` is whom it concerns, borrowed from the policy, or NULL. `text` names the tenant, the rule as it
 * is written and its file:line; only to an administrator does it say anything of another tenant. */
typedef struct Verdict {
        VerdictCode code;
        const PolicyTenant *tenant;
        PolicyWhere
                where; /* of the rule; no file where that is a built-in default, or no rule of the policy's */
        char text[VERDICT_TEXT_MAX];
} Verdict;

/* Identity → tenant. `wanted` NULL or "" stands for the only match. */
void decide_tenant(const Policy *policy, const CallerFacts *caller, const char *wanted,
                   Verdict *ret_verdict);

/* One step of a decision, as it is told to people. All strings are good during the call only, and ASCII. */
typedef struct DecideStep {
        const char *name; /* "identity", "tenant", then as decide.c has them: "selector", "group", … */
        const char *
                about; /* the tenant that is tried, the device that is looked at; "" for the request as a whole */
        bool passed;
        const char *text;
} DecideStep;

/* Who is told each step when it is taken, the one that refuses last. Tenants that the caller is not are tried aloud too:
 * who may not know of them must not be told those that did not pass. */
typedef struct DecideTrace {
        void (*step)(void *userdata, const DecideStep *step);
        void *userdata;
} DecideTrace;

/* As decide_tenant(), told step by step; `trace` NULL tells nobody. */
void decide_tenant_traced(const Policy *policy, const CallerFacts *caller, const char *wanted,
                          const DecideTrace *trace, Verdict *ret_verdict);

/* Is the caller this tenant? Also the rule of what a caller may see. */
bool decide_caller_matches(const PolicyTenant *tenant, const CallerFacts *caller);

/* Uid 0, or a member of admin-group. */
bool decide_is_admin(const Policy *policy, const CallerFacts *caller);

/* The selector step alone: may the tenant use this device at all? deny-devices wins. */
void decide_selector(const Policy *policy, const PolicyTenant *tenant, const DeviceFacts *device,
                     Verdict *ret_verdict);

/* One device of a request, as the inventory and the leases have it now. */
typedef struct DecideDevice {
        const DeviceFacts *facts;
        const char *group_tenant;     /* tenant that now holds the device's group, or NULL */
        const char *reset_set_tenant; /* the same for another device of its reset set; without flr only */
        bool pf_on_vfio;              /* a virtual function's physical function is bound to a VFIO driver */
        const char *pf_tenant;        /* tenant that leases the physical function, or NULL */
        bool msi_isolated;            /* interrupt remapping works for it */
        bool noiommu;
        bool taken;             /* leased, reclaiming, …: the state step */
        const char *taken_text; /* why; never names a holder. NULL for a plain text */
} DecideDevice;

typedef struct DecideRequest {
        const Policy *policy;
        const PolicyTenant *tenant;
        const DecideDevice *devices;
        size_t n_devices;
        unsigned backend; /* POLICY_BACKEND_* that was chosen; 0 = any */
        uint64_t memlock;
        unsigned containers;     /* that map it: memlock × containers is committed */
        bool extends_lease;      /* devices for a lease that exists: no new lease is counted */
        unsigned devices_leased; /* the tenant's, now; so the two below */
        unsigned leases;
        uint64_t memlock_committed;
        uint64_t host_committed; /* by all leases together, now */
        uint64_t mem_total;      /* RAM of the host */
        bool admin; /* who asks sees everything: texts name other tenants, and say what the host has left */
} DecideRequest;

/* All steps from the selector on, each for all devices before the next. Sums that would overflow are refused
 * as too large. */
void decide_acquire(const DecideRequest *request, Verdict *ret_verdict);

/* As decide_acquire(), told step by step; `trace` NULL tells nobody. */
void decide_acquire_traced(const DecideRequest *request, const DecideTrace *trace, Verdict *ret_verdict);

/* Whether a lease that was granted under an earlier policy would be granted by this one: who has it, what, and by which
 * backend. Quotas and budgets are for the next request, and what others hold is no matter of the policy. `caller` NULL:
 * it is not known any more who asked. */
void decide_standing(const DecideRequest *request, const CallerFacts *caller, Verdict *ret_verdict);

/* "denied", "group-split", … for people and tests. */
const char *verdict_code_to_string(VerdictCode code);
