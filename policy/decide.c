/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The decision, as one step for each rule, in the order of vfiobroker.conf(5): identity, tenant, selector,
 * whole group, reset set, virtual functions, isolation, backend, quotas, locked memory, state. A step
 * refuses or says nothing; the first that refuses is the answer, for all devices before the next step, so
 * that the answer does not depend on the order in which the devices were named. Texts are for the caller:
 * they name its own tenant, the rule and where it is written, and never another tenant. */

#include "policy/decide.h"

#include <stdarg.h>

#define WHERE_MAX 192U

static const char *const code_names[] = {
        [VERDICT_ALLOWED] = "allowed",
        [VERDICT_NO_TENANT] = "no-tenant",
        [VERDICT_AMBIGUOUS_TENANT] = "ambiguous-tenant",
        [VERDICT_DENIED] = "denied",
        [VERDICT_GROUP_SPLIT] = "group-split",
        [VERDICT_RESET_SPLIT] = "reset-split",
        [VERDICT_VF_OF_FOREIGN_PF] = "vf-of-foreign-pf",
        [VERDICT_UNSAFE_INTERRUPTS] = "unsafe-interrupts",
        [VERDICT_NOIOMMU] = "noiommu",
        [VERDICT_BACKEND] = "backend",
        [VERDICT_DEVICE_QUOTA] = "device-quota",
        [VERDICT_LEASE_QUOTA] = "lease-quota",
        [VERDICT_MEMLOCK_TENANT] = "memlock-tenant",
        [VERDICT_MEMLOCK_HOST] = "memlock-host",
        [VERDICT_TAKEN] = "taken",
};

const char *verdict_code_to_string(VerdictCode code)
{
        return (size_t)code < ELEMENTSOF(code_names) ? code_names[code] : NULL;
}

static _printf_(4, 5) void verdict_set(Verdict *verdict, VerdictCode code, const PolicyTenant *tenant,
                                       const char *format, ...)
{
        va_list ap;

        verdict->code = code;
        verdict->tenant = tenant;
        va_start(ap, format);
        (void)vsnprintf(verdict->text, sizeof(verdict->text), format, ap);
        va_end(ap);
}

/* " (/etc/vfiobroker/vfiobroker.conf:12)", or what stands for a built-in default. Of a long path the end is
 * shown. */
static const char *at(PolicyWhere where, char buffer[static WHERE_MAX])
{
        size_t n = strlen(strempty(where.file));
        bool cut = n > WHERE_MAX - 32;

        if (!where.file)
                (void)snprintf(buffer, WHERE_MAX, " (by default)");
        else
                (void)snprintf(buffer, WHERE_MAX, " (%s%s:%u)", cut ? "..." : "",
                               cut ? where.file + n - (WHERE_MAX - 32) : where.file, where.line);
        return buffer;
}

bool decide_caller_matches(const PolicyTenant *tenant, const CallerFacts *caller)
{
        return tenant_match(&tenant->match, caller, NULL);
}

bool decide_is_admin(const Policy *policy, const CallerFacts *caller)
{
        gid_t gid = policy->broker.admin_gid;

        if (caller->uid == 0)
                return true;
        if (gid == (gid_t)-1)
                return false;
        for (size_t i = 0; i < caller->n_gids; i++)
                if (caller->gids[i] == gid)
                        return true;
        return false;
}

/* A name that comes from outside goes into a text only if that leaves the text valid, however it is cut. */
static bool is_printable_name(const char *name)
{
        for (; *name; name++)
                if (*name <= ' ' || *name >= 0x7f)
                        return false;
        return true;
}

void decide_tenant(const Policy *policy, const CallerFacts *caller, const char *wanted, Verdict *ret_verdict)
{
        const PolicyTenant *match = NULL;
        char names[256] = "", where[WHERE_MAX];
        size_t n_matches = 0, n = 0;

        if (wanted && *wanted) {
                match = policy_tenant_by_name(policy, wanted);
                if (match && decide_caller_matches(match, caller))
                        verdict_set(ret_verdict, VERDICT_ALLOWED, match, "the caller is tenant %s%s",
                                    match->name, at(match->where, where));
                else if (!is_printable_name(wanted))
                        verdict_set(ret_verdict, VERDICT_NO_TENANT, NULL, "no tenant can be called so");
                else /* the same text whether there is such a tenant or not */
                        verdict_set(ret_verdict, VERDICT_NO_TENANT, NULL, "uid %u is not tenant \"%.64s\"",
                                    caller->uid, wanted);
                return;
        }

        for (size_t i = 0; i < policy->n_tenants; i++) {
                const PolicyTenant *tenant = policy->tenants + i;

                if (!decide_caller_matches(tenant, caller))
                        continue;
                match = tenant;
                if (n < sizeof(names))
                        n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s",
                                              n_matches > 0 ? ", " : "", tenant->name);
                n_matches++;
        }

        if (n_matches == 0)
                verdict_set(ret_verdict, VERDICT_NO_TENANT, NULL,
                            "the policy maps uid %u%s%.128s to no tenant", caller->uid,
                            caller->unit ? " in " : "", strempty(caller->unit));
        else if (n_matches > 1)
                verdict_set(ret_verdict, VERDICT_AMBIGUOUS_TENANT, NULL,
                            "uid %u is %zu tenants: %s%s; say which with the option tenant", caller->uid,
                            n_matches, names, n < sizeof(names) ? "" : "...");
        else
                verdict_set(ret_verdict, VERDICT_ALLOWED, match, "the caller is tenant %s%s", match->name,
                            at(match->where, where));
}

void decide_selector(_unused_ const Policy *policy, const PolicyTenant *tenant, const DeviceFacts *device,
                     Verdict *ret_verdict)
{
        const Selector *allow = selector_list_find(&tenant->devices, device);
        const Selector *deny = selector_list_find(&tenant->deny_devices, device);
        char where[WHERE_MAX];

        if (deny)
                verdict_set(ret_verdict, VERDICT_DENIED, tenant,
                            "tenant %s may not use %.64s: deny-devices has %.128s%s", tenant->name,
                            device->id, deny->text, at(deny->where, where));
        else if (!allow)
                verdict_set(ret_verdict, VERDICT_DENIED, tenant,
                            "tenant %s may not use %.64s: nothing in its devices selects it%s", tenant->name,
                            device->id, at(tenant->where, where));
        else
                verdict_set(ret_verdict, VERDICT_ALLOWED, tenant,
                            "tenant %s may use %.64s: devices has %.128s%s", tenant->name, device->id,
                            allow->text, at(allow->where, where));
}

/* The steps that look at one device. Each returns true where it refused. */

static bool step_selector(const DecideRequest *request, const DecideDevice *device, Verdict *verdict)
{
        decide_selector(request->policy, request->tenant, device->facts, verdict);
        return verdict->code != VERDICT_ALLOWED;
}

static bool is_other(const DecideRequest *request, const char *tenant)
{
        return tenant && !streq(tenant, request->tenant->name);
}

static bool step_group(const DecideRequest *request, const DecideDevice *device, Verdict *verdict)
{
        if (!is_other(request, device->group_tenant))
                return false;
        verdict_set(verdict, VERDICT_GROUP_SPLIT, request->tenant,
                    "tenant %s cannot have %.64s now: another tenant uses its IOMMU group %d, and a group "
                    "belongs to one "
                    "tenant at a time",
                    request->tenant->name, device->facts->id, device->facts->group);
        return true;
}

static bool step_reset_set(const DecideRequest *request, const DecideDevice *device, Verdict *verdict)
{
        if (device->facts->flr || !is_other(request, device->reset_set_tenant))
                return false;
        verdict_set(verdict, VERDICT_RESET_SPLIT, request->tenant,
                    "tenant %s cannot have %.64s now: another tenant uses a device that is reset together "
                    "with it, and it "
                    "has no reset of its own",
                    request->tenant->name, device->facts->id);
        return true;
}

/* Does the request itself ask for the physical function? */
static bool asks_for(const DecideRequest *request, const char *id)
{
        for (size_t i = 0; i < request->n_devices; i++)
                if (streq(request->devices[i].facts->id, id))
                        return true;
        return false;
}

static bool step_virtual_function(const DecideRequest *request, const DecideDevice *device, Verdict *verdict)
{
        const char *pf = device->facts->physical_function;

        if (!pf || !device->pf_on_vfio)
                return false;
        if (device->pf_tenant ? !is_other(request, device->pf_tenant) : asks_for(request, pf))
                return false;

        verdict_set(verdict, VERDICT_VF_OF_FOREIGN_PF, request->tenant,
                    "tenant %s cannot have %.64s: its physical function %.64s is on a VFIO driver, so only "
                    "the tenant that "
                    "holds that one may use it",
                    request->tenant->name, device->facts->id, pf);
        return true;
}

static bool step_isolation(const DecideRequest *request, const DecideDevice *device, Verdict *verdict)
{
        const PolicyBroker *broker = &request->policy->broker;
        char where[WHERE_MAX];

        if (device->noiommu && !broker->noiommu)
                verdict_set(verdict, VERDICT_NOIOMMU, request->tenant,
                            "%.64s has no IOMMU, and [broker] says noiommu = no%s", device->facts->id,
                            at(broker->noiommu_where, where));
        else if (!device->noiommu && !device->msi_isolated && !broker->unsafe_interrupts)
                verdict_set(verdict, VERDICT_UNSAFE_INTERRUPTS, request->tenant,
                            "the interrupts of %.64s are not isolated, and [broker] says unsafe-interrupts "
                            "= no%s",
                            device->facts->id, at(broker->unsafe_interrupts_where, where));
        else
                return false;
        return true;
}

static bool step_state(const DecideRequest *request, const DecideDevice *device, Verdict *verdict)
{
        if (!device->taken)
                return false;
        verdict_set(verdict, VERDICT_TAKEN, request->tenant, "%.64s is %.300s", device->facts->id,
                    device->taken_text ? device->taken_text : "in use");
        return true;
}

/* The steps that look at the whole request. */

static bool step_backend(const DecideRequest *request, Verdict *verdict)
{
        const PolicyTenant *tenant = request->tenant;
        char where[WHERE_MAX];

        if (request->backend == 0 || (request->backend & tenant->backends))
                return false;
        verdict_set(verdict, VERDICT_BACKEND, tenant, "tenant %s may not use the %s backend, only %s%s",
                    tenant->name, request->backend == POLICY_BACKEND_IOMMUFD ? "iommufd" : "group",
                    tenant->backends == POLICY_BACKEND_IOMMUFD ? "iommufd" : "group",
                    at(tenant->backends_where, where));
        return true;
}

static bool step_quotas(const DecideRequest *request, Verdict *verdict)
{
        const PolicyTenant *tenant = request->tenant;
        char where[WHERE_MAX];

        if ((uint64_t)request->devices_leased + request->n_devices > tenant->devices_max &&
            tenant->devices_max != UINT_MAX) {
                verdict_set(verdict, VERDICT_DEVICE_QUOTA, tenant,
                            "tenant %s asks for %zu devices and has %u; devices-max = %u%s", tenant->name,
                            request->n_devices, request->devices_leased, tenant->devices_max,
                            at(tenant->devices_max_where, where));
                return true;
        }

        if (!request->extends_lease && request->leases >= tenant->leases_max &&
            tenant->leases_max != UINT_MAX) {
                verdict_set(verdict, VERDICT_LEASE_QUOTA, tenant,
                            "tenant %s has %u leases; leases-max = %u%s", tenant->name, request->leases,
                            tenant->leases_max, at(tenant->leases_max_where, where));
                return true;
        }
        return false;
}

/* Would a budget that has `used` taken from it hold `asked` more? ret_free is what it has left. */
static bool fits(uint64_t budget, uint64_t used, uint64_t asked, uint64_t *ret_free)
{
        *ret_free = used < budget ? budget - used : 0;
        return asked <= *ret_free;
}

static bool step_memlock(const DecideRequest *request, Verdict *verdict)
{
        const PolicyTenant *tenant = request->tenant;
        const PolicyBroker *broker = &request->policy->broker;
        uint64_t ceiling = policy_memlock_ceiling(request->policy, request->mem_total);
        char where[WHERE_MAX];
        uint64_t asked, left;

        if (__builtin_mul_overflow(request->memlock, (uint64_t)request->containers, &asked))
                asked = UINT64_MAX; /* fits into no budget but an unlimited one, and the host's is not */
        if (asked == 0)
                return false;

        if (tenant->memlock_max != UINT64_MAX &&
            !fits(tenant->memlock_max, request->memlock_committed, asked, &left)) {
                verdict_set(verdict, VERDICT_MEMLOCK_TENANT, tenant,
                            "tenant %s asks to lock %llu bytes of memory; %llu are free of its memlock-max "
                            "of %llu%s",
                            tenant->name, (unsigned long long)asked, (unsigned long long)left,
                            (unsigned long long)tenant->memlock_max, at(tenant->memlock_max_where, where));
                return true;
        }
        if (!fits(ceiling, request->host_committed, asked, &left)) {
                verdict_set(verdict, VERDICT_MEMLOCK_HOST, tenant,
                            "tenant %s asks to lock %llu bytes of memory; %llu are free of the host's "
                            "memlock-max of "
                            "%llu%s",
                            tenant->name, (unsigned long long)asked, (unsigned long long)left,
                            (unsigned long long)ceiling, at(broker->memlock_max_where, where));
                return true;
        }
        return false;
}

typedef bool (*DeviceStep)(const DecideRequest *request, const DecideDevice *device, Verdict *verdict);
typedef bool (*RequestStep)(const DecideRequest *request, Verdict *verdict);

/* The order of decision. */
static const struct {
        DeviceStep device;
        RequestStep request;
} steps[] = {
        { .device = step_selector },         { .device = step_group },     { .device = step_reset_set },
        { .device = step_virtual_function }, { .device = step_isolation }, { .request = step_backend },
        { .request = step_quotas },          { .request = step_memlock },  { .device = step_state },
};

void decide_acquire(const DecideRequest *request, Verdict *ret_verdict)
{
        Verdict verdict;

        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                if (steps[i].request && steps[i].request(request, &verdict)) {
                        *ret_verdict = verdict;
                        return;
                }
                for (size_t j = 0; steps[i].device && j < request->n_devices; j++)
                        if (steps[i].device(request, request->devices + j, &verdict)) {
                                *ret_verdict = verdict;
                                return;
                        }
        }

        /* allowed: the text is the first device's rule */
        if (request->n_devices > 0)
                decide_selector(request->policy, request->tenant, request->devices[0].facts, ret_verdict);
        else
                verdict_set(ret_verdict, VERDICT_ALLOWED, request->tenant, "tenant %s asks for no device",
                            request->tenant->name);
}
