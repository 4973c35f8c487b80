/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What only the whole policy can tell, once every section is read: that each pool exists, holds something
 * and does not contain itself; that selectors which name pools can match; that a tenant can be someone, and
 * can have something; and that tenants do not get into each other's way. */

#include "policy/errors.h"
#include "policy/loader.h"

/* How far pools are followed. One that is nested deeper than POLICY_POOL_DEPTH is an error anyway; what lies
 * below this bound is visited from there, so that a long chain costs no stack. */
#define FOLLOW_MAX 64U

typedef enum Visit {
        VISIT_NOT_YET,
        VISIT_ON_STACK,
        VISIT_DONE,
} Visit;

typedef struct PoolState {
        Visit visit;
        unsigned height; /* 1 for a pool without pools */
        bool one_bus;    /* everything in it is on one bus */
        const char *bus; /* which */
        size_t seen_by;  /* tenant that was collected last, by its number + 1 */
} PoolState;

typedef struct Check {
        Policy *policy;
        PolicyErrors *errors;
        PoolState *pools;
        size_t stack[FOLLOW_MAX];
        size_t n_stack;
        bool pools_broken;
} Check;

/* One tenant's claim on a whole IOMMU group. */
typedef struct Claim {
        int group;
        size_t tenant;
        PolicyWhere where;
} Claim;

typedef struct Claims {
        Claim *items;
        size_t n_items;
        size_t max;
} Claims;

#define complain(check, severity, where, ...)                                                               \
        policy_errors_add((check)->errors, severity, where, __VA_ARGS__)

static int compare_tenants(const void *a, const void *b)
{
        const PolicyTenant *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

static int compare_pools(const void *a, const void *b)
{
        const PolicyPool *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

static int make_indexes(Policy *policy)
{
        policy->tenants_by_name =
                arena_alloc(&policy->arena, policy->n_tenants, sizeof(*policy->tenants_by_name));
        policy->pools_by_name = arena_alloc(&policy->arena, policy->n_pools, sizeof(*policy->pools_by_name));
        if (!policy->tenants_by_name || !policy->pools_by_name)
                return -ENOMEM;

        for (size_t i = 0; i < policy->n_tenants; i++)
                policy->tenants_by_name[i] = policy->tenants + i;
        for (size_t i = 0; i < policy->n_pools; i++)
                policy->pools_by_name[i] = policy->pools + i;

        qsort(policy->tenants_by_name, policy->n_tenants, sizeof(*policy->tenants_by_name), compare_tenants);
        qsort(policy->pools_by_name, policy->n_pools, sizeof(*policy->pools_by_name), compare_pools);
        return 0;
}

const PolicyTenant *policy_tenant_by_name(const Policy *policy, const char *name)
{
        const PolicyTenant key = { .name = name }, *p = &key, **found;

        found = bsearch(&p, policy->tenants_by_name, policy->n_tenants, sizeof(*policy->tenants_by_name),
                        compare_tenants);
        return found ? *found : NULL;
}

const PolicyPool *policy_pool_by_name(const Policy *policy, const char *name)
{
        const PolicyPool key = { .name = name }, *p = &key, **found;

        found = bsearch(&p, policy->pools_by_name, policy->n_pools, sizeof(*policy->pools_by_name),
                        compare_pools);
        return found ? *found : NULL;
}

static void unknown_pool(Check *check, const Selector *selector, const char *name)
{
        const Policy *policy = check->policy;
        const char *nearest = NULL;

        for (size_t i = 0; i < policy->n_pools && !nearest; i++)
                nearest = policy_nearest(name, &policy->pools[i].name, 1);

        complain(check, POLICY_ERROR, selector->where,
                 "pool:%.64s: there is no section [pool %.64s]; %s%s%s", name, name,
                 nearest ? "did you mean pool:" : "write one, or correct the name", strempty(nearest),
                 nearest ? "?" : "");
}

/* Gives the pool terms of a selector their pools. */
static void link_selector(Check *check, Selector *selector)
{
        for (size_t i = 0; i < selector->n_terms; i++) {
                SelectorTerm *term = selector->terms + i;

                if (term->kind != SELECTOR_POOL)
                        continue;
                term->pool = policy_pool_by_name(check->policy, term->value);
                if (!term->pool)
                        unknown_pool(check, selector, term->value);
        }
}

static void link_list(Check *check, SelectorList *list)
{
        for (size_t i = 0; i < list->n_items; i++)
                link_selector(check, list->items + i);
}

static void link_all(Check *check)
{
        Policy *policy = check->policy;

        for (size_t i = 0; i < policy->n_pools; i++)
                link_list(check, &policy->pools[i].devices);
        for (size_t i = 0; i < policy->n_tenants; i++) {
                link_list(check, &policy->tenants[i].devices);
                link_list(check, &policy->tenants[i].deny_devices);
        }
        for (size_t i = 0; i < policy->n_devices; i++)
                link_selector(check, &policy->devices[i].selector);
}

static PoolState *state_of(const Check *check, const PolicyPool *pool)
{
        return check->pools + (pool - check->policy->pools);
}

/* The one bus that a selector can match on, its pools included; NULL where there is none such. Where its
 * pools contradict the rest of it, that is reported. */
static const char *bus_of(Check *check, const Selector *selector)
{
        const char *bus = selector_bus(selector);

        for (size_t i = 0; i < selector->n_terms; i++) {
                const PolicyPool *pool = selector->terms[i].pool;

                if (!pool || !state_of(check, pool)->one_bus)
                        continue;
                if (bus && !streq(bus, state_of(check, pool)->bus))
                        complain(check, POLICY_ERROR, selector->where,
                                 "%.200s: can never match: pool:%s has %s devices only, the rest asks for "
                                 "%s; correct "
                                 "one of them",
                                 selector->text, pool->name, state_of(check, pool)->bus, bus);
                bus = state_of(check, pool)->bus;
        }
        return bus;
}

static void complain_cycle(Check *check, const Selector *selector, size_t pool)
{
        const PolicyPool *pools = check->policy->pools;
        char path[256] = "";
        size_t n = 0, i = check->n_stack;

        do
                i--;
        while (check->stack[i] != pool);

        for (; i < check->n_stack && n < sizeof(path); i++)
                n += (size_t)snprintf(path + n, sizeof(path) - n, "%s -> ", pools[check->stack[i]].name);

        complain(check, POLICY_ERROR, selector->where,
                 "pool:%s: the pool contains itself (%s%s%s); take one out", pools[pool].name, path,
                 n < sizeof(path) ? "" : "... -> ", pools[pool].name);
        check->pools_broken = true;
}

/* Goes through a pool, depth first, and leaves in its state what it contains. */
static void visit_pool(Check *check, size_t number)
{
        const PolicyPool *pool = check->policy->pools + number;
        PoolState *state = check->pools + number;

        if (state->visit != VISIT_NOT_YET)
                return;
        if (check->n_stack == FOLLOW_MAX) { /* far too deep; whoever comes here is told */
                check->pools_broken = true;
                return;
        }

        state->visit = VISIT_ON_STACK;
        state->height = 1;
        check->stack[check->n_stack++] = number;

        for (size_t i = 0; i < pool->devices.n_items; i++) {
                const Selector *selector = pool->devices.items + i;
                const char *bus;

                for (size_t j = 0; j < selector->n_terms; j++) {
                        const PolicyPool *inner = selector->terms[j].pool;

                        if (!inner)
                                continue;
                        if (state_of(check, inner)->visit == VISIT_ON_STACK) {
                                complain_cycle(check, selector, (size_t)(inner - check->policy->pools));
                                continue;
                        }
                        visit_pool(check, (size_t)(inner - check->policy->pools));
                        if (state_of(check, inner)->height >= state->height)
                                state->height = state_of(check, inner)->height + 1;
                }

                bus = bus_of(check, selector);
                if (i == 0) {
                        state->one_bus = bus != NULL;
                        state->bus = bus;
                } else if (state->one_bus && !(bus && streq(bus, state->bus)))
                        state->one_bus = false;
        }

        check->n_stack--;
        state->visit = VISIT_DONE;

        if (state->height == POLICY_POOL_DEPTH + 1)
                complain(check, POLICY_ERROR, pool->where,
                         "[pool %s]: pools within pools more than %u deep; list the devices more directly",
                         pool->name, POLICY_POOL_DEPTH);
        if (state->height > POLICY_POOL_DEPTH)
                check->pools_broken = true;
}

static void check_pools(Check *check)
{
        const Policy *policy = check->policy;

        for (size_t i = 0; i < policy->n_pools; i++) {
                if (policy->pools[i].devices.n_items == 0)
                        complain(check, POLICY_ERROR, policy->pools[i].where,
                                 "[pool %s]: the pool is empty; give it devices = ..., or take it out",
                                 policy->pools[i].name);
                visit_pool(check, i);
        }
}

static void check_backends(Check *check, PolicyTenant *tenant)
{
        const PolicyBroker *broker = &check->policy->broker;

        if (tenant->backends == 0) {
                tenant->backends = broker->backends;
                tenant->backends_where = broker->backends_where;
        } else if (!(tenant->backends & broker->backends))
                complain(check, POLICY_ERROR, tenant->backends_where,
                         "backends: [broker] allows none of these; add one of them there, or change this "
                         "line");
        tenant->backends &= broker->backends;
}

static void check_tenant(Check *check, PolicyTenant *tenant)
{
        check_backends(check, tenant);

        if (!tenant_match_is_set(&tenant->match))
                complain(check, POLICY_ERROR, tenant->where,
                         "[tenant %s] says of nobody that they are it; give it a match-user or another "
                         "match-* key",
                         tenant->name);
        if (tenant->devices.n_items == 0)
                complain(check, POLICY_WARNING, tenant->where,
                         "[tenant %s] may use no device; give it devices = ...", tenant->name);
        if (tenant->memlock_default > tenant->memlock_max)
                complain(check, POLICY_WARNING, tenant->memlock_max_where,
                         "memlock-max is less than memlock-default: a request that does not say how much is "
                         "refused");
        if (!tenant->socket && (tenant->socket_user || tenant->socket_group))
                complain(check, POLICY_WARNING, tenant->where,
                         "[tenant %s] has an owner for a socket, but no socket; give it socket = PATH",
                         tenant->name);

        for (size_t i = 0; i < tenant->devices.n_items; i++)
                (void)bus_of(check, tenant->devices.items + i);
        for (size_t i = 0; i < tenant->deny_devices.n_items; i++)
                (void)bus_of(check, tenant->deny_devices.items + i);
}

static int compare_sockets(const void *a, const void *b)
{
        const PolicyTenant *const *x = a, *const *y = b;
        int r = strcmp(strempty((*x)->socket), strempty((*y)->socket));

        if (r != 0)
                return r;
        return (*x > *y) - (*x < *y); /* they are in one array, in the order of reading */
}

/* Two tenants cannot listen at one path. */
static int check_sockets(Check *check)
{
        const Policy *policy = check->policy;
        _cleanup_free_ const PolicyTenant **tenants =
                calloc(policy->n_tenants + 1, sizeof(const PolicyTenant *));

        if (!tenants)
                return -ENOMEM;
        for (size_t i = 0; i < policy->n_tenants; i++)
                tenants[i] = policy->tenants + i;
        qsort(tenants, policy->n_tenants, sizeof(*tenants), compare_sockets);

        for (size_t i = 1; i < policy->n_tenants; i++)
                if (tenants[i]->socket && streq_ptr(tenants[i - 1]->socket, tenants[i]->socket))
                        complain(check, POLICY_ERROR, tenants[i]->socket_where,
                                 "socket = %s: is [tenant %s]'s already; give each tenant its own",
                                 tenants[i]->socket, tenants[i - 1]->name);
        return 0;
}

static int add_claim(Claims *claims, int group, size_t tenant, PolicyWhere where)
{
        if (claims->n_items == claims->max) {
                size_t max = claims->max ? claims->max * 2 : 64;
                Claim *items = reallocarray(claims->items, max, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                claims->items = items;
                claims->max = max;
        }
        claims->items[claims->n_items++] = (Claim){ group, tenant, where };
        return 0;
}

/* The groups that a list names, its pools included, each pool once for a tenant. */
static int collect_claims(Check *check, Claims *claims, const SelectorList *list, size_t tenant,
                          const PolicyWhere *where)
{
        for (size_t i = 0; i < list->n_items; i++)
                for (size_t j = 0; j < list->items[i].n_terms; j++) {
                        const SelectorTerm *term = list->items[i].terms + j;
                        const PolicyWhere *at = where ? where : &list->items[i].where;
                        PoolState *state;
                        int r = 0;

                        if (term->kind == SELECTOR_GROUP)
                                r = add_claim(claims, term->number, tenant, *at);
                        else if (term->pool) {
                                state = state_of(check, term->pool);
                                if (state->seen_by == tenant + 1)
                                        continue;
                                state->seen_by = tenant + 1;
                                r = collect_claims(check, claims, &term->pool->devices, tenant, at);
                        }
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int compare_claims(const void *a, const void *b)
{
        const Claim *x = a, *y = b;

        if (x->group != y->group)
                return x->group < y->group ? -1 : 1;
        return (x->tenant > y->tenant) - (x->tenant < y->tenant);
}

/* A group belongs to one tenant at a time: where two name it, one of them will be refused now and then. */
static int check_groups(Check *check)
{
        const Policy *policy = check->policy;
        Claims claims = {};
        int r = 0;

        for (size_t i = 0; i < policy->n_tenants && r == 0; i++)
                r = collect_claims(check, &claims, &policy->tenants[i].devices, i, NULL);

        if (r == 0 && claims.n_items > 0) {
                qsort(claims.items, claims.n_items, sizeof(*claims.items), compare_claims);
                for (size_t i = 1; i < claims.n_items; i++) {
                        const Claim *claim = claims.items + i, *before = claim - 1;

                        if (claim->group == before->group && claim->tenant != before->tenant)
                                complain(check, POLICY_WARNING, claim->where,
                                         "group:%d is named by [tenant %s] and [tenant %s]: a group belongs "
                                         "to one tenant at "
                                         "a time, so each is refused while the other has a device of it; "
                                         "name it in one",
                                         claim->group, policy->tenants[before->tenant].name,
                                         policy->tenants[claim->tenant].name);
                }
        }
        free(claims.items);
        return r;
}

static void check_containers(Check *check)
{
        static const unsigned backends[] = { 0, POLICY_BACKEND_IOMMUFD, POLICY_BACKEND_GROUP };

        for (size_t i = 0; i < check->policy->n_containers; i++) {
                PolicyContainer *container = check->policy->containers + i;
                const PolicyTenant *tenant =
                        container->tenant ? policy_tenant_by_name(check->policy, container->tenant) : NULL;
                unsigned backend = backends[container->backend];

                if (!container->tenant)
                        complain(check, POLICY_ERROR, container->where,
                                 "[container %s] of which tenant? write tenant = NAME", container->name);
                else if (!tenant)
                        complain(check, POLICY_ERROR, container->tenant_where,
                                 "tenant = %.64s: there is no section [tenant %.64s]; write one, or correct "
                                 "the name",
                                 container->tenant, container->tenant);
                else if (!tenant->share_containers)
                        complain(check, POLICY_ERROR, container->tenant_where,
                                 "[container %s]: tenant %s has share-containers = no, and so no named ones",
                                 container->name, tenant->name);
                else if (backend && !(backend & tenant->backends))
                        complain(check, POLICY_ERROR, container->where,
                                 "[container %s]: tenant %s may not use that backend", container->name,
                                 tenant->name);
                container->backend = backend;
        }
}

int policy_check(Policy *policy, PolicyErrors *errors)
{
        _cleanup_free_ PoolState *pools = calloc(policy->n_pools + 1, sizeof(*pools));
        Check check = { .policy = policy, .errors = errors, .pools = pools };
        int r;

        if (!pools)
                return -ENOMEM;

        r = make_indexes(policy);
        if (r < 0)
                return r;

        link_all(&check);
        check_pools(&check);
        for (size_t i = 0; i < policy->n_tenants; i++)
                check_tenant(&check, policy->tenants + i);
        check_containers(&check);
        for (size_t i = 0; i < policy->n_devices; i++)
                (void)bus_of(&check, &policy->devices[i].selector);

        r = check_sockets(&check);
        if (r < 0)
                return r;
        return check.pools_broken ? 0 : check_groups(&check);
}
