/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See the header. Written from policy-format and vfiobroker.conf(5), not from decide.c. */

#include <fnmatch.h>

#include "tests/unit/policy-naive.h"

static bool like(const char *pattern, const char *s, bool fold)
{
        return s && fnmatch(pattern, s, FNM_NOESCAPE | (fold ? FNM_CASEFOLD : 0)) == 0;
}

static bool term_holds(const NaivePolicy *policy, const NaiveTerm *term, const DeviceFacts *d)
{
        bool pci = streq(d->bus, "pci"), mdev = streq(d->bus, "mdev");
        const char *kind = term->kind;
        char text[64];

        if (streq(kind, "any"))
                return true;
        if (streq(kind, "pool")) {
                const NaiveList *pool = policy->pools + term->pool;

                for (size_t i = 0; i < pool->n_items; i++)
                        if (naive_selects(policy, pool->items + i, d))
                                return true;
                return false;
        }
        if (streq(kind, "id"))
                return like(term->value, d->id, false);
        if (streq(kind, "pci"))
                return pci && like(term->value, d->id, true);
        if (streq(kind, "vf-of"))
                return pci && like(term->value, d->physical_function, true);
        if (streq(kind, "class")) {
                (void)snprintf(text, sizeof(text), "%06x", d->class);
                return pci && like(term->value, text, true);
        }
        if (streq(kind, "pci-id")) {
                const char *colon = strchr(term->value, ':');
                char pattern[64];

                /* two numbers stand for four, of which the last are any */
                (void)snprintf(text, sizeof(text), "%04x:%04x:%04x:%04x", d->vendor, d->product,
                               d->subsystem_vendor, d->subsystem_product);
                (void)snprintf(pattern, sizeof(pattern), "%s%s", term->value,
                               strchr(colon + 1, ':') ? "" : ":*:*");
                return pci && like(pattern, text, true);
        }
        if (streq(kind, "driver"))
                return d->driver && streq(term->value, d->driver);
        if (streq(kind, "group"))
                return atoi(term->value) == d->group;
        if (streq(kind, "numa"))
                return atoi(term->value) == d->numa_node;
        if (streq(kind, "mdev"))
                return mdev && strcasecmp(term->value, d->id) == 0;
        if (streq(kind, "mdev-type"))
                return mdev && d->mdev_type && streq(term->value, d->mdev_type);
        if (streq(kind, "bus"))
                return streq(term->value, d->bus);
        abort();
}

bool naive_selects(const NaivePolicy *policy, const NaiveSelector *selector, const DeviceFacts *device)
{
        bool all = true;

        for (size_t i = 0; i < selector->n_terms; i++)
                all &= term_holds(policy, selector->terms + i, device);
        return all;
}

static const NaiveSelector *first_of(const NaivePolicy *policy, const NaiveList *list,
                                     const DeviceFacts *device)
{
        for (size_t i = 0; i < list->n_items; i++)
                if (naive_selects(policy, list->items + i, device))
                        return list->items + i;
        return NULL;
}

/* Goes up from the inner slice: what is before its last dash, to the end, and then the root. */
static bool slice_within(const char *outer, const char *inner)
{
        char slice[128];

        (void)snprintf(slice, sizeof(slice), "%.100s", inner);
        for (;;) {
                char *dash = strrchr(slice, '-');

                if (streq(slice, outer) || streq(outer, "-.slice"))
                        return true;
                if (!dash || dash == slice)
                        return false;
                strcpy(dash, ".slice");
        }
}

static bool key_holds(const NaiveKey *key, TenantMatchKey which, const CallerFacts *caller)
{
        const char *strings[_TENANT_MATCH_MAX] = {
                NULL, NULL, caller->unit, caller->slice, caller->machine, caller->label
        };

        for (size_t i = 0; i < key->n; i++) {
                const char *actual = strings[which];

                if (which == TENANT_MATCH_USER && key->first[i] <= caller->uid &&
                    caller->uid <= key->last[i])
                        return true;
                for (size_t k = 0; which == TENANT_MATCH_GROUP && k < caller->n_gids; k++)
                        if (key->first[i] <= caller->gids[k] && caller->gids[k] <= key->last[i])
                                return true;
                if (!actual)
                        continue;
                if (which == TENANT_MATCH_SLICE && slice_within(key->strings[i], actual))
                        return true;
                if (which == TENANT_MATCH_MACHINE && streq(key->strings[i], actual))
                        return true;
                if ((which == TENANT_MATCH_UNIT || which == TENANT_MATCH_LABEL) &&
                    like(key->strings[i], actual, false))
                        return true;
        }
        return false;
}

bool naive_is_tenant(const NaiveTenant *tenant, const CallerFacts *caller)
{
        for (unsigned i = 0; i < _TENANT_MATCH_MAX; i++)
                if (tenant->match[i].n > 0 && !key_holds(tenant->match + i, (TenantMatchKey)i, caller))
                        return false;
        return true; /* a model has at least one key */
}

void naive_tenant(const NaivePolicy *policy, const CallerFacts *caller, const char *wanted,
                  NaiveVerdict *ret)
{
        size_t n = 0;

        *ret = (NaiveVerdict){ .code = VERDICT_NO_TENANT, .line = -1 };
        for (size_t i = 0; i < policy->n_tenants; i++) {
                const NaiveTenant *tenant = policy->tenants + i;

                if (!naive_is_tenant(tenant, caller) || (wanted && *wanted && !streq(wanted, tenant->name)))
                        continue;
                n++;
                *ret = (NaiveVerdict){ .code = VERDICT_ALLOWED, .tenant = tenant, .line = tenant->line };
        }
        if (n > 1)
                *ret = (NaiveVerdict){ .code = VERDICT_AMBIGUOUS_TENANT, .line = -1 };
}

/* What is wrong with one device in one step; VERDICT_ALLOWED for nothing. */
static NaiveVerdict judge_device(const NaivePolicy *policy, const NaiveTenant *tenant,
                                 const DecideRequest *request, const DecideDevice *row, unsigned step)
{
        const DeviceFacts *d = row->facts;
        const NaiveSelector *allow = first_of(policy, &tenant->devices, d);
        const NaiveSelector *deny = first_of(policy, &tenant->deny, d);
        bool asks_pf = false;

        for (size_t i = 0; i < request->n_devices; i++)
                asks_pf |=
                        d->physical_function && streq(request->devices[i].facts->id, d->physical_function);

#define BAD(c, ...)                                                                                         \
        return (NaiveVerdict)                                                                               \
        {                                                                                                   \
                .code = (c), .tenant = tenant, .device = d, __VA_ARGS__                                     \
        }
        switch (step) {
        case 0:
                if (deny)
                        BAD(VERDICT_DENIED, .selector = deny, .line = tenant->deny.line);
                if (!allow)
                        BAD(VERDICT_DENIED, .line = tenant->line);
                break;
        case 1:
                if (row->group_tenant && !streq(row->group_tenant, tenant->name))
                        BAD(VERDICT_GROUP_SPLIT, .line = -1);
                break;
        case 2:
                if (!d->flr && row->reset_set_tenant && !streq(row->reset_set_tenant, tenant->name))
                        BAD(VERDICT_RESET_SPLIT, .line = -1);
                break;
        case 3:
                if (d->physical_function && row->pf_on_vfio) {
                        bool own = row->pf_tenant && streq(row->pf_tenant, tenant->name);
                        bool unheld_and_asked = !row->pf_tenant && asks_pf;

                        if (!own && !unheld_and_asked)
                                BAD(VERDICT_VF_OF_FOREIGN_PF, .line = -1);
                }
                break;
        case 4:
                if (row->noiommu && !policy->noiommu)
                        BAD(VERDICT_NOIOMMU, .line = policy->noiommu_line);
                if (!row->noiommu && !row->msi_isolated && !policy->unsafe_interrupts)
                        BAD(VERDICT_UNSAFE_INTERRUPTS, .line = policy->unsafe_line);
                break;
        default:
                if (row->taken)
                        BAD(VERDICT_TAKEN, .line = -1);
        }
        return (NaiveVerdict){ .code = VERDICT_ALLOWED };
}

static bool judge_devices(const NaivePolicy *policy, const NaiveTenant *tenant, const DecideRequest *request,
                          unsigned first, unsigned last, NaiveVerdict *ret)
{
        for (unsigned step = first; step <= last; step++)
                for (size_t i = 0; i < request->n_devices; i++) {
                        *ret = judge_device(policy, tenant, request, request->devices + i, step);
                        if (ret->code != VERDICT_ALLOWED)
                                return true;
                }
        return false;
}

static bool judge_sums(const NaivePolicy *policy, const NaiveTenant *tenant, const DecideRequest *request,
                       NaiveVerdict *ret)
{
        unsigned __int128 asked = (unsigned __int128)request->memlock * request->containers;
        unsigned __int128 ceiling = policy->memlock_bytes >= 0 ? (unsigned __int128)policy->memlock_bytes
                                                               : (unsigned __int128)request->mem_total *
                                                                         policy->memlock_percent / 100;
        unsigned backends = tenant->backends ? tenant->backends & policy->backends : policy->backends;

        *ret = (NaiveVerdict){ .tenant = tenant };
        if (request->backend && !(request->backend & backends)) {
                ret->code = VERDICT_BACKEND;
                ret->line = tenant->backends ? tenant->backends_line : policy->backends_line;
        } else if (tenant->devices_max >= 0 &&
                   request->devices_leased + (long long)request->n_devices > tenant->devices_max) {
                ret->code = VERDICT_DEVICE_QUOTA;
                ret->line = tenant->devices_max_line;
        } else if (tenant->leases_max >= 0 && !request->extends_lease &&
                   request->leases + 1LL > tenant->leases_max) {
                ret->code = VERDICT_LEASE_QUOTA;
                ret->line = tenant->leases_max_line;
        } else if (tenant->memlock_max >= 0 && asked > 0 &&
                   request->memlock_committed + asked > (unsigned __int128)tenant->memlock_max) {
                ret->code = VERDICT_MEMLOCK_TENANT;
                ret->line = tenant->memlock_max_line;
        } else if (asked > 0 && request->host_committed + asked > ceiling) {
                ret->code = VERDICT_MEMLOCK_HOST;
                ret->line = policy->memlock_line;
        } else
                return false;
        return true;
}

void naive_acquire(const NaivePolicy *policy, const NaiveTenant *tenant, const DecideRequest *request,
                   NaiveVerdict *ret)
{
        if (judge_devices(policy, tenant, request, 0, 4, ret) || judge_sums(policy, tenant, request, ret) ||
            judge_devices(policy, tenant, request, 5, 5, ret))
                return;

        *ret = (NaiveVerdict){ .code = VERDICT_ALLOWED, .tenant = tenant, .line = -1 };
        if (request->n_devices > 0) {
                ret->device = request->devices[0].facts;
                ret->selector = first_of(policy, &tenant->devices, ret->device);
                ret->line = tenant->devices.line;
        }
}
