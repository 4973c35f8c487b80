/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which devices an Acquire means. Ids and groups name theirs; they are looked up first, so that no pool gives what the
 * same call names. A pool's devices are then chosen by what policy/decide.c says of each alone; sums and the machine
 * (quotas, drivers, viability) are for the plan to check of all together. Event loop only. */

#include "daemon/core/mdev.h"
#include "daemon/core/plan.h"
#include "daemon/core/select.h"

#define GROUP_PREFIX "group:"
#define POOL_PREFIX  "pool:"

/* The devices of one argument, in order. */
typedef struct Choice {
        Device *devices[JOB_DEVICES_MAX];
        size_t n_devices;
} Choice;

_Static_assert(GROUP_DEVICES_MAX <= JOB_DEVICES_MAX, "a group fits in a call");

/* Those of a call, one for each argument. */
typedef struct Choices {
        Choice items[JOB_DEVICES_MAX];
} Choices;

static void choices_done(Choices *choices)
{
        for (size_t i = 0; i < ELEMENTSOF(choices->items); i++)
                mdev_drop_planned(choices->items[i].devices, choices->items[i].n_devices);
}

static bool has_prefix(const char *s, const char *prefix)
{
        return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* A number without sign, blanks or leading zeros; false where it is none. */
static bool parse_number(const char *s, unsigned *ret)
{
        uint64_t n = 0;

        if (!s[0] || (s[0] == '0' && s[1]))
                return false;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return false;
                n = n * 10 + (uint64_t)(*s - '0');
                if (n > INT32_MAX)
                        return false;
        }
        *ret = (unsigned)n;
        return true;
}

static int refuse_too_many(size_t n, Refusal *refusal)
{
        return refuse(refusal, RESULT_LIMITS_EXCEEDED,
                      "%zu devices asked for; one call has at most %d, and so has a lease. Ask for them in "
                      "several leases, with one container.",
                      n, JOB_DEVICES_MAX);
}

/* By id. */
static void insert_sorted(Choice *choice, Device *device)
{
        size_t i = choice->n_devices++;

        for (; i > 0 && strcmp(choice->devices[i - 1]->info.id, device->info.id) > 0; i--)
                choice->devices[i] = choice->devices[i - 1];
        choice->devices[i] = device;
}

static bool holds(const PolicyTenant *tenant, const Device *device)
{
        return device->lease && streq(device->lease->tenant->name, tenant->name);
}

static bool is_chosen(const Choice *choices, size_t n_choices, const Device *device)
{
        for (size_t i = 0; i < n_choices; i++)
                for (size_t k = 0; k < choices[i].n_devices; k++)
                        if (choices[i].devices[k] == device)
                                return true;
        return false;
}

/* The kernel names devices in ASCII. */
static bool can_be_id(const char *id)
{
        for (; *id; id++)
                if (*id <= ' ' || *id >= 0x7f)
                        return false;
        return true;
}

/* What is not the tenant's to use is looked at like what there is not, step by step, so that neither the answer nor the
 * time that it takes tells them apart. */
static int find_device(Broker *broker, const SelectFor *who, const char *id, Choice *ret, Refusal *refusal)
{
        Device *device = broker_device(broker, id);
        bool there = device && device->state != DEVICE_GONE, given;
        char bus[DEVICE_ID_MAX];
        DeviceFacts by_id = device_facts_of_id(id, bus), facts = there ? device_facts(device) : by_id;
        Verdict verdict;

        decide_selector(broker->policy, who->tenant, &facts, &verdict);
        given = there && (verdict.code == VERDICT_ALLOWED || holds(who->tenant, device));
        decide_selector(broker->policy, who->tenant, &by_id, &verdict);
        if (given || (there && who->admin)) {
                ret->devices[ret->n_devices++] = device;
                return 0;
        }
        if (who->admin)
                return refuse(refusal, RESULT_NO_SUCH_DEVICE, "There is no device %s in the machine.", id);
        if (verdict.code == VERDICT_ALLOWED || !can_be_id(id))
                return refuse(refusal, RESULT_NO_SUCH_DEVICE,
                              "There is no device %s that tenant %s may use; `vfiobrokerctl list` shows "
                              "those that there are.",
                              id, who->tenant->name);
        if (who->trace)
                who->trace->step(who->trace->userdata,
                                 &(DecideStep){ .name = "selector", .about = id, .text = verdict.text });
        return plan_result_of_verdict(&verdict, refusal);
}

static bool may_use_any(Broker *broker, const SelectFor *who, const Group *group)
{
        for (size_t i = 0; i < group->n_devices; i++)
                if (broker_tenant_may_see(broker, who->tenant->name, group->devices[i]))
                        return true;
        return who->admin;
}

static int find_group(Broker *broker, const SelectFor *who, const char *argument, Choice *ret,
                      Refusal *refusal)
{
        const Group *group;
        unsigned number;

        if (!parse_number(argument + strlen(GROUP_PREFIX), &number))
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "%s: write group:N, where N is the number of an IOMMU group.", argument);
        group = broker_group(broker, (int)number);
        if (!group || !may_use_any(broker, who, group))
                return refuse(refusal, RESULT_NO_SUCH_DEVICE,
                              "There is no IOMMU group %u with a device that tenant %s may use.", number,
                              who->tenant->name);

        for (size_t i = 0; i < group->n_devices; i++) {
                Device *device = group->devices[i];

                if (device->info.bridge || device->state == DEVICE_GONE)
                        continue;
                insert_sorted(ret, device);
        }
        if (ret->n_devices == 0)
                return refuse(refusal, RESULT_GROUP_NOT_VIABLE,
                              "IOMMU group %u has no device that can be passed, only bridges.", number);
        return 0;
}

/* Whether the device alone could be had now: 0, RESULT_DENIED_BY_POLICY where the tenant may not use it at all, or
 * RESULT_DEVICE_TAKEN where it may be free later. Quotas are for the sum. */
static int check_candidate(Broker *broker, const PolicyTenant *tenant, const Device *device,
                           Refusal *refusal)
{
        DeviceFacts facts;
        DecideDevice row;
        DecideRequest request = {
                .policy = broker->policy,
                .tenant = tenant,
                .devices = &row,
                .n_devices = 1,
                .extends_lease = true,
        };
        Verdict verdict;

        plan_decide_row(broker, tenant, device, &facts, &row);
        if (device->state == DEVICE_QUARANTINED)
                row.taken = true;
        decide_acquire(&request, &verdict);
        switch (verdict.code) {
        case VERDICT_ALLOWED:
        case VERDICT_DEVICE_QUOTA: return 0;
        case VERDICT_GROUP_SPLIT:
        case VERDICT_RESET_SPLIT:
        case VERDICT_TAKEN: return refuse(refusal, RESULT_DEVICE_TAKEN, "%s", verdict.text);
        /* Quotas, budgets and backends were not asked for, so that it is the policy's word on the device. */
        default: return plan_result_of_verdict(&verdict, refusal);
        }
}

/* The one answer for a pool that there is not and for one with nothing for the tenant. */
static int refuse_pool(const SelectFor *who, int length, const char *name, Refusal *refusal)
{
        return refuse(refusal, RESULT_NO_SUCH_DEVICE,
                      "There is no pool %.*s with a device that tenant %s may use.", length, name,
                      who->tenant->name);
}

/* "NAME" or "NAME*K". */
static int parse_pool(Broker *broker, const SelectFor *who, const char *argument, const PolicyPool **ret,
                      unsigned *ret_count, Refusal *refusal)
{
        const char *name = argument + strlen(POOL_PREFIX), *star = strrchr(name, '*');
        size_t n = star ? (size_t)(star - name) : strlen(name);
        char buffer[POLICY_NAME_MAX + 1];
        unsigned count = 1;

        if (n == 0 || (star && (!parse_number(star + 1, &count) || count == 0)))
                return refuse(
                        refusal, RESULT_INVALID_ARGS,
                        "%s: write pool:NAME for one device of the pool, or pool:NAME*K for K of them.",
                        argument);
        if (count > JOB_DEVICES_MAX)
                return refuse_too_many(count, refusal);
        *ret = NULL;
        if (n < sizeof(buffer)) {
                memcpy(buffer, name, n);
                buffer[n] = 0;
                *ret = policy_pool_by_name(broker->policy, buffer);
        }
        if (!*ret && !who->admin)
                return refuse_pool(who, (int)n, name, refusal);
        if (!*ret)
                return refuse(refusal, RESULT_NO_SUCH_DEVICE, "The policy has no pool %.*s.", (int)n, name);
        *ret_count = count;
        return 0;
}

/* What a look through a pool found. */
typedef struct Census {
        size_t n_usable; /* that the tenant may use: */
        size_t n_free, n_taken;
        Refusal denied, other;    /* by policy, by the host; the first of each; code RESULT_OK for none */
        char type[MDEV_TYPE_MAX]; /* of mdev that can be made for the pool, but too few; "" for none */
} Census;

/* Counts the device. Whether it is free. */
static bool weigh(Broker *broker, const PolicyTenant *tenant, const Device *device, const Choice *choices,
                  size_t n_choices, Census *census)
{
        Refusal why;
        int r = check_candidate(broker, tenant, device, &why);

        if (r == RESULT_DENIED_BY_POLICY) {
                if (census->denied.code == RESULT_OK)
                        census->denied = why;
                return false;
        }
        census->n_usable++;
        if (r != 0 || is_chosen(choices, n_choices, device)) {
                census->n_taken++;
                return false;
        }
        census->n_free++;
        return true;
}

/* How many mdevs of that type and parent the call has chosen to make already. */
static unsigned count_made(const Choice *choices, size_t n_choices, const MdevType *type)
{
        unsigned n = 0;

        for (size_t i = 0; i < n_choices; i++)
                for (size_t k = 0; k < choices[i].n_devices; k++) {
                        const Device *device = choices[i].devices[k];

                        n += device->made && streq(device->info.mdev_type, type->type) &&
                             streq(device->info.mdev_parent, type->parent);
                }
        return n;
}

/* One more of that type, where the pool has such made, the tenant may use it, and one is left. 1, 0 or a negative
 * errno. */
static int make_one(Broker *broker, const PolicyTenant *tenant, const PolicyPool *pool, const MdevType *type,
                    const Choice *choices, size_t n_choices, Choice *ret, Census *census)
{
        Device *device = mdev_new(broker, type);
        DeviceFacts facts;
        Refusal why;
        int r;

        if (!device)
                return -ENOMEM;
        facts = device_facts(device);
        r = mdev_pool_makes(pool, &facts) ? check_candidate(broker, tenant, device, &why)
                                          : RESULT_NO_SUCH_DEVICE;
        if (r == RESULT_DENIED_BY_POLICY && census->denied.code == RESULT_OK)
                census->denied = why;
        if (r == 0 && count_made(choices, n_choices, type) < type->available) {
                ret->devices[ret->n_devices++] = device;
                return 1;
        }
        if (r == 0 && !census->type[0])
                memcpy(census->type, type->type, sizeof(census->type));
        device_free(device);
        return 0;
}

/* Where too few are free: new ones, of the types that the pool names. `ret` is one of the choices. */
static int make_of_pool(Broker *broker, const PolicyTenant *tenant, const PolicyPool *pool, unsigned count,
                        const Choice *choices, size_t n_choices, Choice *ret, Census *census)
{
        _cleanup_free_ MdevType *types = NULL;
        size_t n_types = 0;
        int r = 0;

        if (ret->n_devices >= count || !mdev_pool_names_types(pool))
                return 0;
        r = broker->host->ops->mdev_types(broker->host, &types, &n_types);
        for (size_t i = 0; r >= 0 && i < n_types; i++)
                do
                        r = ret->n_devices < count ? make_one(broker, tenant, pool, types + i, choices,
                                                              n_choices, ret, census)
                                                   : 0;
                while (r > 0);
        return r;
}

/* A device of a pool that policy gives away, and how far it is from the process. */
typedef struct Candidate {
        Device *device;
        unsigned distance;
} Candidate;

static int compare_candidates(const void *a, const void *b)
{
        const Candidate *left = a, *right = b;

        if (left->distance != right->distance)
                return left->distance < right->distance ? -1 : 1;
        return strcmp(left->device->info.id, right->device->info.id);
}

/* The nearest first, and without those that the host uses: it is asked last and only for those that would be given, since
 * that costs most. */
static int take_nearest(Broker *broker, const NumaDistances *distances, Candidate *candidates, size_t n,
                        unsigned count, Choice *ret, Census *census)
{
        for (size_t i = 0; i < n; i++)
                candidates[i].distance =
                        candidates[i].device->kept_for[0]
                                ? 0 /* for this very tenant */
                                : numa_distance(distances, candidates[i].device->info.numa_node);
        qsort(candidates, n, sizeof(*candidates), compare_candidates);
        for (size_t i = 0; i < n && ret->n_devices < count; i++) {
                Refusal why;
                int r = plan_check_usage(broker, candidates[i].device, &why);

                if (r < 0)
                        return r;
                if (r == 0)
                        ret->devices[ret->n_devices++] = candidates[i].device;
                else {
                        census->n_free--;
                        if (census->other.code == RESULT_OK)
                                census->other = why;
                }
        }
        return 0;
}

static int choose_of_pool(Broker *broker, const SelectFor *who, const NumaDistances *distances,
                          const char *argument, Choice *choices, size_t n_choices, Choice *ret,
                          Refusal *refusal)
{
        const PolicyTenant *tenant = who->tenant;
        _cleanup_free_ Candidate *candidates = NULL;
        Census census = {};
        const PolicyPool *pool = NULL;
        unsigned count = 0;
        size_t n = 0;
        int r;

        r = parse_pool(broker, who, argument, &pool, &count, refusal);
        if (r != 0)
                return r;
        candidates = calloc(HASH_COUNT(broker->devices) + 1, sizeof(*candidates));
        if (!candidates)
                return -ENOMEM;

        for (Device *device = broker->devices; device; device = device->hh.next) {
                DeviceFacts facts = device_facts(device);

                if (device->state == DEVICE_GONE || device->info.bridge ||
                    (!device->group && device_needs_group(device)) ||
                    !selector_list_find(&pool->devices, &facts))
                        continue;
                if (weigh(broker, tenant, device, choices, n_choices, &census))
                        candidates[n++].device = device;
        }
        r = take_nearest(broker, distances, candidates, n, count, ret, &census);
        if (r < 0)
                return r;
        r = make_of_pool(broker, tenant, pool, count, choices, n_choices, ret, &census);
        if (r < 0)
                return r;
        if (ret->n_devices >= count)
                return 0;

        if (census.n_usable == 0 && census.type[0] == 0 && !who->admin)
                return refuse_pool(who, (int)strlen(pool->name), pool->name, refusal);
        if (census.n_usable == 0 && census.denied.code != RESULT_OK)
                return refuse(refusal, census.denied.code, "Pool %s has nothing for tenant %s: %s",
                              pool->name, tenant->name, census.denied.text);
        if (census.n_usable == 0 && census.type[0] == 0)
                return refuse(refusal, RESULT_NO_SUCH_DEVICE, "No device in the machine is of pool %s.",
                              pool->name);
        if (census.n_taken == 0 && census.other.code != RESULT_OK)
                return refuse(refusal, census.other.code, "Pool %s: %s", pool->name, census.other.text);
        return refuse(refusal, RESULT_DEVICE_TAKEN,
                      "Pool %s: %u asked for; of the %zu devices that tenant %s may use %zu %s free%s%s.",
                      pool->name, count, census.n_usable, tenant->name, census.n_free,
                      census.n_free == 1 ? "is" : "are",
                      census.type[0] ? ", and no more can be made of type " : "", census.type);
}

int select_devices(Broker *broker, const SelectFor *who, const char *const *arguments, size_t n_arguments,
                   Selection *ret, Refusal *refusal)
{
        NumaDistances distances = {};
        _cleanup_(choices_done) Choices all = {};
        Choice *choices = all.items;
        Selection selection = {};
        bool measured = false; /* distances, which only pools need */
        size_t n = 0;
        int r;

        if (n_arguments > ELEMENTSOF(all.items))
                return refuse_too_many(n_arguments, refusal);

        for (size_t i = 0; i < n_arguments; i++) {
                if (has_prefix(arguments[i], POOL_PREFIX))
                        continue;
                r = has_prefix(arguments[i], GROUP_PREFIX)
                            ? find_group(broker, who, arguments[i], choices + i, refusal)
                            : find_device(broker, who, arguments[i], choices + i, refusal);
                if (r != 0)
                        return r;
                for (size_t k = 0; k < choices[i].n_devices; k++)
                        if (is_chosen(choices, i, choices[i].devices[k]))
                                return refuse(refusal, RESULT_INVALID_ARGS,
                                              "Device %s is named twice in one call.",
                                              choices[i].devices[k]->info.id);
        }
        for (size_t i = 0; i < n_arguments; i++) {
                if (!has_prefix(arguments[i], POOL_PREFIX))
                        continue;
                if (!measured)
                        broker->host->ops->numa_distances(broker->host, who->pid, &distances);
                measured = true;
                r = choose_of_pool(broker, who, &distances, arguments[i], choices, n_arguments, choices + i,
                                   refusal);
                if (r != 0)
                        return r;
        }

        for (size_t i = 0; i < n_arguments; i++)
                n += choices[i].n_devices;
        if (n > ELEMENTSOF(selection.devices))
                return refuse_too_many(n, refusal);
        for (size_t i = 0; i < n_arguments; i++) {
                memcpy(selection.devices + selection.n_devices, choices[i].devices,
                       choices[i].n_devices * sizeof(choices[i].devices[0]));
                selection.n_devices += choices[i].n_devices;
                choices[i].n_devices = 0; /* the caller's */
        }
        *ret = selection;
        return 0;
}
