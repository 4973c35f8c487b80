/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The decision, as one step for each rule, in the order of vfiobroker.conf(5): identity, tenant, selector,
 * whole group, reset set, virtual functions, isolation, backend, quotas, locked memory, state. A step
 * refuses or says nothing; the first that refuses is the answer, for all devices before the next step, so
 * that the answer does not depend on the order in which the devices were named. Texts are for the caller:
 * they name its own tenant, the rule and where it is written; another tenant, and what others have taken, only
 * where the caller is an administrator. */

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

/* Ends the text with the place of the rule, where one is given. */
static _printf_(5, 6) void verdict_set_at(Verdict *verdict, VerdictCode code, const PolicyTenant *tenant,
                                          const PolicyWhere *where, const char *format, ...)
{
        char buffer[WHERE_MAX];
        size_t n;
        va_list ap;

        verdict->code = code;
        verdict->tenant = tenant;
        verdict->where = where ? *where : (PolicyWhere){};
        va_start(ap, format);
        (void)vsnprintf(verdict->text, sizeof(verdict->text), format, ap);
        va_end(ap);
        if (!where)
                return;
        n = strlen(verdict->text);
        (void)snprintf(verdict->text + n, sizeof(verdict->text) - n, "%s", at(*where, buffer));
}

#define verdict_set(verdict, code, tenant, ...) verdict_set_at(verdict, code, tenant, NULL, __VA_ARGS__)

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

/* A string from outside, for a text: what does not print, or is not ASCII, becomes '?'. */
#define NAME_SHOWN_MAX 128U
static const char *shown(const char *s, char buffer[static NAME_SHOWN_MAX])
{
        size_t n = 0;

        for (; s[n] && n < NAME_SHOWN_MAX - 1; n++)
                buffer[n] = (char)(s[n] < ' ' || s[n] >= 0x7f ? '?' : s[n]);
        buffer[n] = '\0';
        return buffer;
}

/* --- the path, for people --- */

static _printf_(5, 6) void tell(const DecideTrace *trace, const char *name, const char *about, bool passed,
                                const char *format, ...)
{
        char text[VERDICT_TEXT_MAX];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        trace->step(trace->userdata,
                    &(DecideStep){ .name = name, .about = about, .passed = passed, .text = text });
}

/* A text that grows in a buffer, and is cut where that is full. */
typedef struct Text {
        char s[VERDICT_TEXT_MAX];
        size_t n;
} Text;

static _printf_(2, 3) void append(Text *text, const char *format, ...)
{
        va_list ap;

        if (text->n >= sizeof(text->s))
                return;
        va_start(ap, format);
        text->n += (size_t)vsnprintf(text->s + text->n, sizeof(text->s) - text->n, format, ap);
        va_end(ap);
}

/* What the caller is, of that which the key asks for. */
static void append_actual(Text *text, TenantMatchKey key, const CallerFacts *caller)
{
        const char *const strings[_TENANT_MATCH_MAX] = {
                [TENANT_MATCH_UNIT] = caller->unit,
                [TENANT_MATCH_SLICE] = caller->slice,
                [TENANT_MATCH_MACHINE] = caller->machine,
                [TENANT_MATCH_LABEL] = caller->label,
        };
        const char *name = tenant_match_key_to_string(key) + strlen("match-");
        char buffer[NAME_SHOWN_MAX];

        if (key == TENANT_MATCH_USER)
                append(text, "uid %u", caller->uid);
        else if (key == TENANT_MATCH_GROUP) {
                append(text, "gid");
                for (size_t i = 0; i < caller->n_gids; i++)
                        append(text, " %u", caller->gids[i]);
                if (caller->n_gids == 0)
                        append(text, " unknown");
        } else if (strings[key])
                append(text, "%s %s", name, shown(strings[key], buffer));
        else
                append(text, "no %s", name);
}

static void tell_identity(const DecideTrace *trace, const CallerFacts *caller)
{
        Text text = {};

        for (unsigned key = 0; key < _TENANT_MATCH_MAX; key++) {
                append(&text, "%s", key > 0 ? ", " : "");
                append_actual(&text, (TenantMatchKey)key, caller);
        }
        tell(trace, "identity", "", true, "%s", text.s);
}

/* Whether the tenant is the caller, and by which keys, or by which it is not. */
static void tell_tenant(const DecideTrace *trace, const PolicyTenant *tenant, const CallerFacts *caller)
{
        TenantMatchKey failed = _TENANT_MATCH_MAX;
        bool is = tenant_match(&tenant->match, caller, &failed);
        char where[WHERE_MAX];
        Text text = {};

        for (unsigned key = 0; key < _TENANT_MATCH_MAX; key++) {
                const TenantMatchValues *values = tenant->match.keys + key;

                if (!tenant_match_key_is_set(values) || (!is && key != failed))
                        continue;
                append(&text, "%s%s = %.100s%s", text.n > 0 ? "; " : "",
                       tenant_match_key_to_string((TenantMatchKey)key), strempty(values->text),
                       at(values->where, where));
        }
        if (!is) {
                append(&text, " does not hold: ");
                append_actual(&text, failed, caller);
        }
        tell(trace, "tenant", tenant->name, is, "%s", text.s);
}

void decide_tenant_traced(const Policy *policy, const CallerFacts *caller, const char *wanted,
                          const DecideTrace *trace, Verdict *ret_verdict)
{
        const PolicyTenant *match = NULL;
        char buffer[NAME_SHOWN_MAX];
        Text names = {};
        size_t n_matches = 0;

        if (trace)
                tell_identity(trace, caller);

        if (wanted && *wanted) {
                match = policy_tenant_by_name(policy, wanted);
                if (trace && match)
                        tell_tenant(trace, match, caller);
                if (match && decide_caller_matches(match, caller))
                        verdict_set_at(ret_verdict, VERDICT_ALLOWED, match, &match->where,
                                       "the caller is tenant %s", match->name);
                else if (!is_printable_name(wanted))
                        verdict_set(ret_verdict, VERDICT_NO_TENANT, NULL, "no tenant can be called so");
                else /* the same text whether there is such a tenant or not */
                        verdict_set(ret_verdict, VERDICT_NO_TENANT, NULL, "uid %u is not tenant \"%.64s\"",
                                    caller->uid, wanted);
                return;
        }

        for (size_t i = 0; i < policy->n_tenants; i++) {
                const PolicyTenant *tenant = policy->tenants + i;

                if (trace)
                        tell_tenant(trace, tenant, caller);
                if (!decide_caller_matches(tenant, caller))
                        continue;
                match = tenant;
                if (names.n < 256)
                        append(&names, "%s%s", n_matches > 0 ? ", " : "", tenant->name);
                n_matches++;
        }

        if (n_matches == 0)
                verdict_set(ret_verdict, VERDICT_NO_TENANT, NULL, "the policy maps uid %u%s%s to no tenant",
                            caller->uid, caller->unit ? " in " : "", shown(strempty(caller->unit), buffer));
        else if (n_matches > 1)
                verdict_set(ret_verdict, VERDICT_AMBIGUOUS_TENANT, NULL,
                            "uid %u is %zu tenants: %.256s%s; say which with the option tenant", caller->uid,
                            n_matches, names.s, names.n <= 256 ? "" : "...");
        else
                verdict_set_at(ret_verdict, VERDICT_ALLOWED, match, &match->where, "the caller is tenant %s",
                               match->name);
}

void decide_tenant(const Policy *policy, const CallerFacts *caller, const char *wanted, Verdict *ret_verdict)
{
        decide_tenant_traced(policy, caller, wanted, NULL, ret_verdict);
}

void decide_selector(_unused_ const Policy *policy, const PolicyTenant *tenant, const DeviceFacts *device,
                     Verdict *ret_verdict)
{
        const Selector *allow = selector_list_find(&tenant->devices, device);
        const Selector *deny = selector_list_find(&tenant->deny_devices, device);

        if (deny)
                verdict_set_at(ret_verdict, VERDICT_DENIED, tenant, &deny->where,
                               "tenant %s may not use %.64s: deny-devices has %.128s", tenant->name,
                               device->id, deny->text);
        else if (!allow)
                verdict_set_at(ret_verdict, VERDICT_DENIED, tenant, &tenant->where,
                               "tenant %s may not use %.64s: nothing in its devices selects it",
                               tenant->name, device->id);
        else
                verdict_set_at(ret_verdict, VERDICT_ALLOWED, tenant, &allow->where,
                               "tenant %s may use %.64s: devices has %.128s", tenant->name, device->id,
                               allow->text);
}

/* --- the steps --- */

/* One step at work. A step refuses, or lets pass; why it lets pass is put into words only where somebody listens. */
typedef struct Step {
        const DecideRequest *request;
        const DecideDevice *device; /* NULL in a step that looks at the whole request */
        bool told;
        Verdict verdict;
} Step;

#define refuse_step_at(step, code, where, ...)                                                              \
        (verdict_set_at(&(step)->verdict, code, (step)->request->tenant, where, __VA_ARGS__), true)
#define refuse_step(step, code, ...) refuse_step_at(step, code, NULL, __VA_ARGS__)
#define pass_step_at(step, where, ...)                                                                      \
        ((step)->told ? verdict_set_at(&(step)->verdict, VERDICT_ALLOWED, (step)->request->tenant, where,   \
                                       __VA_ARGS__)                                                         \
                      : (void)0,                                                                            \
         false)
#define pass_step(step, ...) pass_step_at(step, NULL, __VA_ARGS__)

/* Each returns true where it refused. */

static bool step_selector(Step *step)
{
        decide_selector(step->request->policy, step->request->tenant, step->device->facts, &step->verdict);
        return step->verdict.code != VERDICT_ALLOWED;
}

static bool is_other(const Step *step, const char *tenant)
{
        return tenant && !streq(tenant, step->request->tenant->name);
}

/* Another tenant, for a text. */
#define OTHER_MAX 80U
static const char *other(const Step *step, const char *tenant, char buffer[static OTHER_MAX])
{
        (void)snprintf(buffer, OTHER_MAX, step->request->admin ? "tenant %.64s" : "another tenant", tenant);
        return buffer;
}

static bool step_group(Step *step)
{
        const DecideDevice *device = step->device;
        char buffer[OTHER_MAX];

        if (is_other(step, device->group_tenant))
                return refuse_step(step, VERDICT_GROUP_SPLIT,
                                   "tenant %s cannot have %.64s now: %s uses its IOMMU group %d, and a "
                                   "group belongs to one tenant at a time",
                                   step->request->tenant->name, device->facts->id,
                                   other(step, device->group_tenant, buffer), device->facts->group);
        if (device->facts->group < 0)
                return pass_step(step, "it has no IOMMU group");
        return pass_step(step, "%s its IOMMU group %d",
                         device->group_tenant ? "the tenant itself uses" : "nobody else uses",
                         device->facts->group);
}

static bool step_reset_set(Step *step)
{
        const DecideDevice *device = step->device;
        char buffer[OTHER_MAX];

        if (device->facts->flr)
                return pass_step(step, "it has a reset of its own");
        if (is_other(step, device->reset_set_tenant))
                return refuse_step(step, VERDICT_RESET_SPLIT,
                                   "tenant %s cannot have %.64s now: %s uses a device that is reset "
                                   "together with it, and it has no reset of its own",
                                   step->request->tenant->name, device->facts->id,
                                   other(step, device->reset_set_tenant, buffer));
        return pass_step(step, "%s what is reset together with it",
                         device->reset_set_tenant ? "the tenant itself uses" : "nobody else uses");
}

/* Does the request itself ask for the physical function? */
static bool asks_for(const DecideRequest *request, const char *id)
{
        for (size_t i = 0; i < request->n_devices; i++)
                if (streq(request->devices[i].facts->id, id))
                        return true;
        return false;
}

static bool step_virtual_function(Step *step)
{
        const DecideDevice *device = step->device;
        const char *pf = device->facts->physical_function;

        if (!pf)
                return pass_step(step, "it is no virtual function");
        if (!device->pf_on_vfio)
                return pass_step(step, "its physical function %.64s is on no VFIO driver", pf);
        if (device->pf_tenant ? !is_other(step, device->pf_tenant) : asks_for(step->request, pf))
                return pass_step(step, "the tenant %s its physical function %.64s",
                                 device->pf_tenant ? "has" : "asks for", pf);
        return refuse_step(
                step, VERDICT_VF_OF_FOREIGN_PF,
                "tenant %s cannot have %.64s: its physical function %.64s is on a VFIO driver, so "
                "only the tenant that holds that one may use it",
                step->request->tenant->name, device->facts->id, pf);
}

static bool step_isolation(Step *step)
{
        const PolicyBroker *broker = &step->request->policy->broker;
        const DecideDevice *device = step->device;

        if (device->noiommu && !broker->noiommu)
                return refuse_step_at(step, VERDICT_NOIOMMU, &broker->noiommu_where,
                                      "%.64s has no IOMMU, and [broker] says noiommu = no",
                                      device->facts->id);
        if (device->noiommu)
                return pass_step_at(step, &broker->noiommu_where,
                                    "it has no IOMMU, and [broker] says noiommu = yes");
        if (device->msi_isolated)
                return pass_step(step, device->facts->group < 0 ? "it has no IOMMU group"
                                                                : "its interrupts are isolated");
        if (!broker->unsafe_interrupts)
                return refuse_step_at(step, VERDICT_UNSAFE_INTERRUPTS, &broker->unsafe_interrupts_where,
                                      "the interrupts of %.64s are not isolated, and [broker] says "
                                      "unsafe-interrupts = no",
                                      device->facts->id);
        return pass_step_at(step, &broker->unsafe_interrupts_where,
                            "its interrupts are not isolated, and [broker] says unsafe-interrupts = yes");
}

static bool step_state(Step *step)
{
        const DecideDevice *device = step->device;

        if (device->taken)
                return refuse_step(step, VERDICT_TAKEN, "%.64s is %.300s", device->facts->id,
                                   device->taken_text ? device->taken_text : "in use");
        return pass_step(step, "nobody uses it");
}

static const char *backend_names(unsigned backends)
{
        return backends == POLICY_BACKEND_ALL       ? "iommufd and group"
               : backends == POLICY_BACKEND_IOMMUFD ? "iommufd"
                                                    : "group";
}

static bool step_backend(Step *step)
{
        const PolicyTenant *tenant = step->request->tenant;
        unsigned backend = step->request->backend;

        if (backend != 0 && !(backend & tenant->backends))
                return refuse_step_at(step, VERDICT_BACKEND, &tenant->backends_where,
                                      "tenant %s may not use the %s backend, only %s", tenant->name,
                                      backend_names(backend), backend_names(tenant->backends));
        return pass_step_at(step, &tenant->backends_where, "%s will do; the tenant may use %s",
                            backend == 0 ? "any" : backend_names(backend), backend_names(tenant->backends));
}

static bool step_devices_max(Step *step)
{
        const DecideRequest *request = step->request;
        const PolicyTenant *tenant = request->tenant;

        if (tenant->devices_max == UINT_MAX)
                return pass_step(step, "%zu asked for, %u leased; not limited", request->n_devices,
                                 request->devices_leased);
        if ((uint64_t)request->devices_leased + request->n_devices > tenant->devices_max)
                return refuse_step_at(step, VERDICT_DEVICE_QUOTA, &tenant->devices_max_where,
                                      "tenant %s asks for %zu devices and has %u; devices-max = %u",
                                      tenant->name, request->n_devices, request->devices_leased,
                                      tenant->devices_max);
        return pass_step_at(step, &tenant->devices_max_where, "%zu asked for, %u leased; devices-max = %u",
                            request->n_devices, request->devices_leased, tenant->devices_max);
}

static bool step_leases_max(Step *step)
{
        const DecideRequest *request = step->request;
        const PolicyTenant *tenant = request->tenant;

        if (request->extends_lease)
                return pass_step(step, "no new lease");
        if (tenant->leases_max == UINT_MAX)
                return pass_step(step, "%u leases; not limited", request->leases);
        if (request->leases >= tenant->leases_max)
                return refuse_step_at(step, VERDICT_LEASE_QUOTA, &tenant->leases_max_where,
                                      "tenant %s has %u leases; leases-max = %u", tenant->name,
                                      request->leases, tenant->leases_max);
        return pass_step_at(step, &tenant->leases_max_where, "%u leases; leases-max = %u", request->leases,
                            tenant->leases_max);
}

/* What the request commits. What cannot be counted fits into no budget but an unlimited one, and the host's is not. */
static uint64_t asked_memlock(const DecideRequest *request)
{
        uint64_t asked;

        return __builtin_mul_overflow(request->memlock, (uint64_t)request->containers, &asked) ? UINT64_MAX
                                                                                               : asked;
}

/* Would a budget that has `used` taken from it hold `asked` more? Nothing always fits. ret_free is what it has left. */
static bool fits(uint64_t budget, uint64_t used, uint64_t asked, uint64_t *ret_free)
{
        *ret_free = used < budget ? budget - used : 0;
        return asked <= *ret_free;
}

#define ULL(n) ((unsigned long long)(n))

static bool step_memlock_tenant(Step *step)
{
        const DecideRequest *request = step->request;
        const PolicyTenant *tenant = request->tenant;
        uint64_t asked = asked_memlock(request), left;

        if (tenant->memlock_max == UINT64_MAX)
                return pass_step(step, "%llu bytes asked for; not limited", ULL(asked));
        if (!fits(tenant->memlock_max, request->memlock_committed, asked, &left))
                return refuse_step_at(step, VERDICT_MEMLOCK_TENANT, &tenant->memlock_max_where,
                                      "tenant %s asks to lock %llu bytes of memory; %llu are free of its "
                                      "memlock-max of %llu",
                                      tenant->name, ULL(asked), ULL(left), ULL(tenant->memlock_max));
        return pass_step_at(step, &tenant->memlock_max_where,
                            "%llu bytes asked for, %llu free; memlock-max = %llu", ULL(asked), ULL(left),
                            ULL(tenant->memlock_max));
}

static bool step_memlock_host(Step *step)
{
        const DecideRequest *request = step->request;
        const PolicyBroker *broker = &request->policy->broker;
        uint64_t ceiling = policy_memlock_ceiling(request->policy, request->mem_total);
        uint64_t asked = asked_memlock(request), left;

        if (!fits(ceiling, request->host_committed, asked, &left)) {
                /* what is left says what others have taken */
                char free[32] = "not so many";

                if (request->admin)
                        (void)snprintf(free, sizeof(free), "%llu", ULL(left));
                return refuse_step_at(step, VERDICT_MEMLOCK_HOST, &broker->memlock_max_where,
                                      "tenant %s asks to lock %llu bytes of memory; %s are free of the "
                                      "host's memlock-max of %llu",
                                      request->tenant->name, ULL(asked), free, ULL(ceiling));
        }
        return pass_step_at(step, &broker->memlock_max_where,
                            "%llu bytes asked for; the host's memlock-max = %llu", ULL(asked), ULL(ceiling));
}

/* The order of decision. */
static const struct {
        const char *name;
        bool (*decide)(Step *step);
        bool for_each_device;
        bool stands; /* it is the policy's alone, and so holds of a lease that there is too */
} steps[] = {
        { "selector", step_selector, true, true },
        { "group", step_group, true },
        { "reset-set", step_reset_set, true },
        { "virtual-function", step_virtual_function, true },
        { "isolation", step_isolation, true, true },
        { "backend", step_backend, false, true },
        { "devices-max", step_devices_max, false },
        { "leases-max", step_leases_max, false },
        { "memlock", step_memlock_tenant, false },
        { "memlock-host", step_memlock_host, false },
        { "state", step_state, true },
};

/* True where a step refused. */
static bool decide_steps(const DecideRequest *request, const DecideTrace *trace, bool standing,
                         Verdict *ret_verdict)
{
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                size_t n = steps[i].for_each_device ? request->n_devices : 1;

                for (size_t j = 0; j < n && (steps[i].stands || !standing); j++) {
                        Step step = {
                                .request = request,
                                .device = steps[i].for_each_device ? request->devices + j : NULL,
                                .told = trace != NULL,
                        };
                        bool refused = steps[i].decide(&step);

                        if (trace)
                                tell(trace, steps[i].name, step.device ? step.device->facts->id : "",
                                     !refused, "%s", step.verdict.text);
                        if (refused) {
                                *ret_verdict = step.verdict;
                                return true;
                        }
                }
        }
        return false;
}

void decide_acquire_traced(const DecideRequest *request, const DecideTrace *trace, Verdict *ret_verdict)
{
        if (decide_steps(request, trace, false, ret_verdict))
                return;

        /* allowed: the text is the first device's rule */
        if (request->n_devices > 0)
                decide_selector(request->policy, request->tenant, request->devices[0].facts, ret_verdict);
        else
                verdict_set(ret_verdict, VERDICT_ALLOWED, request->tenant, "tenant %s asks for no device",
                            request->tenant->name);
}

void decide_acquire(const DecideRequest *request, Verdict *ret_verdict)
{
        decide_acquire_traced(request, NULL, ret_verdict);
}

void decide_standing(const DecideRequest *request, const CallerFacts *caller, Verdict *ret_verdict)
{
        const PolicyTenant *tenant = request->tenant;
        TenantMatchKey failed = _TENANT_MATCH_MAX;

        if (caller && !tenant_match(&tenant->match, caller, &failed)) {
                bool none = failed == _TENANT_MATCH_MAX;

                verdict_set_at(ret_verdict, VERDICT_NO_TENANT, tenant,
                               none ? &tenant->where : &tenant->match.keys[failed].where,
                               "the caller is tenant %s no more: %s%s", tenant->name,
                               none ? "it has no match key" : tenant_match_key_to_string(failed),
                               none ? "" : " does not hold");
                return;
        }
        if (!decide_steps(request, NULL, true, ret_verdict))
                verdict_set_at(ret_verdict, VERDICT_ALLOWED, tenant, &tenant->where, "tenant %s may have it",
                               tenant->name);
}
