/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the policy in force says of leases that were granted under an earlier one. None is taken away: the lease is
 * marked, an operator is told, and with a policy that would grant it again the mark goes. Looked at is what policy alone
 * decides: who asked, for what, and how. Quotas and budgets are for the next request, and what the machine or
 * another lease would refuse today is no matter of the policy. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "policy/decide.h"

void lease_set_caller(Lease *lease, const CallerFacts *caller)
{
        LeaseCaller *kept = &lease->caller;

        *kept = (LeaseCaller){ .uid = caller->uid };
        /* Of one that does not fit whole the rest would be believed to be all. */
        if (caller->n_gids > LEASE_GIDS_MAX || strlen(strempty(caller->slice)) >= sizeof(kept->slice) ||
            strlen(strempty(caller->machine)) >= sizeof(kept->machine) ||
            strlen(strempty(caller->label)) >= sizeof(kept->label) ||
            strlen(strempty(caller->unit)) >= sizeof(kept->unit))
                return;
        kept->n_gids = caller->n_gids;
        for (size_t i = 0; i < caller->n_gids; i++)
                kept->gids[i] = caller->gids[i];
        strcpy(kept->unit, strempty(caller->unit));
        strcpy(kept->slice, strempty(caller->slice));
        strcpy(kept->machine, strempty(caller->machine));
        strcpy(kept->label, strempty(caller->label));
        kept->known = true;
}

static const char *known(const char *s)
{
        return s[0] ? s : NULL;
}

static CallerFacts caller_of(const Lease *lease)
{
        const LeaseCaller *kept = &lease->caller;

        return (CallerFacts){
                .uid = kept->uid,
                .gids = kept->gids,
                .n_gids = kept->n_gids,
                .unit = known(kept->unit),
                .slice = known(kept->slice),
                .machine = known(kept->machine),
                .label = known(kept->label),
        };
}

static _printf_(4, 5) bool against(Verdict *verdict, const PolicyTenant *tenant, PolicyWhere where,
                                   const char *format, ...)
{
        va_list ap;
        size_t n;

        *verdict = (Verdict){ .code = VERDICT_DENIED, .tenant = tenant, .where = where };
        va_start(ap, format);
        (void)vsnprintf(verdict->text, sizeof(verdict->text), format, ap);
        va_end(ap);
        n = strlen(verdict->text);
        if (where.file)
                (void)snprintf(verdict->text + n, sizeof(verdict->text) - n, " (%s:%u)", where.file,
                               where.line);
        return true;
}

/* The keys of a tenant that are the broker's to honour and not decide.c's. True where one of them refuses. */
static bool terms_refuse(const Lease *lease, const PolicyTenant *tenant, Verdict *verdict)
{
        const Policy *policy = lease->broker->policy;
        const Container *container = lease->container;

        if (lease->ipc_lock && !tenant->allow_ipc_lock)
                return against(verdict, tenant, policy_tenant_said(tenant, "allow-ipc-lock"),
                               "process %d has CAP_IPC_LOCK, and tenant %s has allow-ipc-lock = no",
                               (int)lease->pid, tenant->name);
        if (lease->on_behalf && !tenant->allow_on_behalf)
                return against(verdict, tenant, policy_tenant_said(tenant, "allow-on-behalf"),
                               "process %d is another user's, and tenant %s has allow-on-behalf = no",
                               (int)lease->pid, tenant->name);
        if (container->named && !tenant->share_containers)
                return against(verdict, tenant, policy_tenant_said(tenant, "share-containers"),
                               "its container %s has a name, and tenant %s has share-containers = no",
                               container->name, tenant->name);
        for (size_t i = 0; container->named && i < policy->n_containers; i++) {
                const PolicyContainer *section = policy->containers + i;

                if (streq(section->tenant, tenant->name) && streq(section->name, container->name) &&
                    section->backend != 0 && section->backend != lease->backend)
                        return against(verdict, tenant, section->where,
                                       "container %s is to be of the other backend", container->name);
        }
        for (size_t i = 0; i < lease->n_devices && tenant->reset == POLICY_RESET_REQUIRED; i++)
                if (!broker_can_reset(lease->broker, lease->devices[i]))
                        return against(verdict, tenant, policy_tenant_said(tenant, "reset"),
                                       "%s has no reset of its own, and tenant %s requires one",
                                       lease->devices[i]->info.id, tenant->name);
        return false;
}

/* The tenant has left the policy; what is left to name is the section that it had. */
static void tenant_is_gone(const Lease *lease, Verdict *verdict)
{
        const PolicyTenant *tenant = policy_tenant_by_name(lease->policy, lease->tenant->name);

        (void)against(verdict, NULL, tenant ? tenant->where : (PolicyWhere){},
                      "the policy has no tenant %s any more", lease->tenant->name);
}

static void decide(const Lease *lease, Verdict *verdict)
{
        Broker *broker = lease->broker;
        const PolicyTenant *tenant = policy_tenant_by_name(broker->policy, lease->tenant->name);
        DeviceFacts facts[JOB_DEVICES_MAX];
        DecideDevice rows[JOB_DEVICES_MAX] = {};
        CallerFacts caller = caller_of(lease);
        DecideRequest request = {
                .policy = broker->policy,
                .tenant = tenant,
                .devices = rows,
                .n_devices = lease->n_devices, /* none is settled before the lease is reclaimed */
                .backend = lease->backend,
        };

        if (!tenant) {
                tenant_is_gone(lease, verdict);
                return;
        }
        for (size_t i = 0; i < lease->n_devices; i++)
                plan_decide_row(broker, tenant, lease->devices[i], facts + i, rows + i);
        decide_standing(&request, lease->caller.known ? &caller : NULL, verdict);
        if (verdict->code == VERDICT_ALLOWED)
                (void)terms_refuse(lease, tenant, verdict);
}

void lease_check_standing(Lease *lease)
{
        Broker *broker = lease->broker;
        bool was_refused = lease->refused[0];
        char text[VERDICT_TEXT_MAX] = "";
        Verdict verdict;

        if (lease->state == LEASE_RECLAIMING)
                return;
        decide(lease, &verdict);
        if (verdict.code != VERDICT_ALLOWED)
                (void)snprintf(text, sizeof(text), "%s", verdict.text);
        if (streq(text, lease->refused))
                return;
        strcpy(lease->refused, text);
        NOTIFY(broker, lease_changed, lease);
        if (text[0] && !was_refused)
                broker_event_by_rule(
                        broker, EVENT_NOT_COVERED, lease, NULL, &verdict.where,
                        verdict_code_to_string(verdict.code),
                        "Lease %s of tenant %s, process %d, goes on, but the policy in force would "
                        "not grant it: %s",
                        lease->id, lease->tenant->name, (int)lease->pid, text);
}

void broker_check_standing(Broker *broker)
{
        for (Lease *lease = broker->leases; lease; lease = lease->hh.next)
                lease_check_standing(lease);
}
