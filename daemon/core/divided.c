/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What no parser can see of a policy: that it gives one part of an IOMMU group, or of what is reset together, to one tenant
 * and another part to another. Each then keeps the other out for as long as it has anything of it, which is
 * right (see policy/decide.c) and hardly what was meant. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "policy/errors.h"

/* What is one tenant's at a time; `n` at least 1. */
typedef struct Members {
        const Device *devices[GROUP_DEVICES_MAX];
        size_t n;
} Members;

/* What a tenant may use of it: bit i stands for device i. */
static uint64_t may_use(const Broker *broker, const PolicyTenant *tenant, const Members *members)
{
        uint64_t mask = 0;

        for (size_t i = 0; i < members->n; i++) {
                DeviceFacts facts = device_facts(members->devices[i]);
                Verdict verdict;

                decide_selector(broker->policy, tenant, &facts, &verdict);
                if (verdict.code == VERDICT_ALLOWED)
                        mask |= UINT64_C(1) << i;
        }
        return mask;
}

/* A device of `mine`, best one that is not in `others`. */
static const char *example(const Members *members, uint64_t mine, uint64_t others)
{
        uint64_t mask = mine & ~others ? mine & ~others : mine;

        return members->devices[__builtin_ctzll(mask)]->info.id;
}

/* The first two tenants between whom it is divided. Where all may use the same of it, they take turns, and that is a
 * policy. */
static void check_members(const Broker *broker, const Members *members, const char *what,
                          PolicyErrors *errors)
{
        const PolicyTenant *first = NULL;
        uint64_t first_mask = 0;

        for (size_t i = 0; members->n > 1 && i < broker->policy->n_tenants; i++) {
                const PolicyTenant *tenant = broker->policy->tenants + i;
                uint64_t mask = may_use(broker, tenant, members);

                if (mask == 0 || mask == first_mask)
                        continue;
                if (first) {
                        policy_errors_add(
                                errors, POLICY_WARNING, tenant->where,
                                "%s is divided: tenant %s may use %s, and tenant %s %s; it belongs "
                                "to one tenant at a time, so each keeps the other out",
                                what, first->name, example(members, first_mask, mask), tenant->name,
                                example(members, mask, first_mask));
                        return;
                }
                first = tenant;
                first_mask = mask;
        }
}

static bool can_be_given(const Device *device)
{
        return !device->info.bridge && device->state != DEVICE_GONE;
}

static void check_group(const Broker *broker, const Group *group, PolicyErrors *errors)
{
        Members members = {};
        char what[64];

        for (size_t i = 0; i < group->n_devices; i++)
                if (can_be_given(group->devices[i]))
                        members.devices[members.n++] = group->devices[i];
        (void)snprintf(what, sizeof(what), "IOMMU group %d", group->number);
        check_members(broker, &members, what, errors);
}

/* What only a bus reset resets, with all that this hits; once for each set, and not where the group says it already. */
static void check_reset_set(const Broker *broker, const Device *device, PolicyErrors *errors)
{
        Members members = { .devices = { device }, .n = 1 };
        bool beyond = false;
        char what[DEVICE_ID_MAX + 64];

        if (!can_be_given(device) || device_has_function_reset(device))
                return;
        for (const Device *other = broker->devices; other; other = other->hh.next) {
                if (!can_be_given(other) || !device_reset_hits(device, other))
                        continue;
                if (!device_has_function_reset(other) && device_reset_hits(other, device) &&
                    strcmp(other->info.id, device->info.id) < 0)
                        return;
                beyond = beyond || !device->group || other->group != device->group;
                if (members.n < GROUP_DEVICES_MAX)
                        members.devices[members.n++] = other;
        }
        if (!beyond)
                return;
        (void)snprintf(what, sizeof(what), "what is reset together with %s", device->info.id);
        check_members(broker, &members, what, errors);
}

void broker_check_divided(const Broker *broker, PolicyErrors *errors)
{
        for (const Group *group = broker->groups; group; group = group->hh.next)
                check_group(broker, group, errors);
        for (const Device *device = broker->devices; device; device = device->hh.next)
                check_reset_set(broker, device, errors);
}
