/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A hundred thousand random requests to five thousand random policies: each policy is written as a file and as a model, the file goes through the whole of
 * policy/, the model through a naive second implementation, and who is which tenant, what is decided, about which device,
 * by which rule and line must be the same. A policy that is refused as impossible must be impossible by the model: nothing
 * in a universe of devices may match the selector that "can never match".
 *
 * Each policy has its own seed, made of DECIDE_RANDOM_SEED, which is printed, and its number. DECIDE_RANDOM_COUNT sets how
 * many requests there are. */

#include "tests/fixtures/policy-text.h"
#include "tests/fixtures/random.h"

#include "tests/unit/policy-naive.h"

#define COUNT     100000
#define ASKED     20 /* requests to one policy, which takes longer to make */
#define N_DEVICES 14
#define N_REQUEST 4

#define PICK(array) ((array)[below(ELEMENTSOF(array))])

/* --- a policy, as text and as a model --- */

typedef struct Case {
        NaivePolicy policy;
        char text[16384];
        size_t n;
        int line; /* that is written next */
        DeviceFacts facts[N_DEVICES];
        CallerFacts caller;
        gid_t gids[3];
        DecideDevice rows[N_REQUEST];
        DecideRequest request;
        const char *wanted;
} Case;

static _printf_(2, 3) int put(Case *c, const char *format, ...)
{
        va_list ap;
        int line = c->line;

        va_start(ap, format);
        c->n += (size_t)vsnprintf(c->text + c->n, sizeof(c->text) - c->n, format, ap);
        va_end(ap);
        c->n += (size_t)snprintf(c->text + c->n, sizeof(c->text) - c->n, "%s\n",
                                 *format != '[' && one_in(8) ? "  ; why" : "");
        assert_true(c->n < sizeof(c->text));
        c->line++;
        if (one_in(8)) {
                c->n += (size_t)snprintf(c->text + c->n, sizeof(c->text) - c->n, "# text\n\n");
                c->line += 2;
        }
        return line;
}

#define UUID1 "4b20d080-1b54-4048-85b3-a6a62d165c01"
#define UUID2 "4b20d080-1b54-4048-85b3-a6a62d165c02"

static const struct {
        const char *kind;
        const char *values[8];
} vocabulary[] = {
        { "pci",
          { "0000:01:00.*", "0000:01:00.0", "0000:01:00.[0-2]", "0000:??:00.0", "*", "0000:3B:00.0",
            "0001:*", "0000:01:00.[!1]" } },
        { "pci-id", { "8086:10ca", "8086:*", "*:*", "*:10CA", "8086:10ca:8086:*", "10de:*:*:1234" } },
        { "class", { "0200*", "020000", "0108*", "03????", "*", "0[12]*", "01080[!1]" } },
        { "driver", { "igb", "vfio-pci" } },
        { "group", { "0", "1", "2", "3" } },
        { "vf-of", { "0000:01:00.0", "0000:01:00.*", "*", "0000:3b:00.0" } },
        { "numa", { "0", "1" } },
        { "mdev", { UUID1, UUID2, "4B20D080-1B54-4048-85B3-A6A62D165C01" } },
        { "mdev-type", { "mtty-2", "i915-GVTg_V5_4" } },
        { "bus", { "pci", "mdev", "platform" } },
        { "id", { "*", "0000:*", "platform/*", "[0-9]*", "0000:01:00.0", "*uart*", "4b20*", "*2" } },
        { "any", {} },
        { "pool", {} },
};

static NaiveTerm make_term(size_t n_pools, char *text, size_t size)
{
        size_t kind = below(ELEMENTSOF(vocabulary) - (n_pools == 0));
        NaiveTerm term = { .kind = vocabulary[kind].kind };
        unsigned n = 0;

        while (n < 8 && vocabulary[kind].values[n])
                n++;
        if (streq(term.kind, "pool")) {
                term.pool = (int)below((unsigned)n_pools);
                (void)snprintf(text, size, "pool:p%d", term.pool);
        } else if (n == 0)
                (void)snprintf(text, size, "any");
        else {
                term.value = vocabulary[kind].values[below(n)];
                (void)snprintf(text, size, "%s:%s", term.kind, term.value);
        }
        return term;
}

/* Writes `key = selectors`; pools below n_pools may be named. */
static void make_list(Case *c, const char *key, size_t n_pools, size_t min, NaiveList *ret)
{
        char line[POLICY_LINE_MAX] = "";
        size_t n = 0;

        ret->n_items = min + below(NAIVE_ITEMS + 1 - (unsigned)min);
        for (size_t i = 0; i < ret->n_items; i++) {
                NaiveSelector *selector = ret->items + i;
                size_t used = 0;

                selector->n_terms = one_in(3) ? 1 + below(3) : 1;
                for (size_t k = 0; k < selector->n_terms; k++) {
                        char term[64];

                        selector->terms[k] = make_term(n_pools, term, sizeof(term));
                        used += (size_t)snprintf(selector->text + used, sizeof(selector->text) - used,
                                                 "%s%s", k > 0 ? "+" : "", term);
                }
                n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s%s", i > 0 ? "," : "",
                                      one_in(2) ? " " : "", selector->text);
        }
        if (n < sizeof(line))
                ret->line = put(c, "%s = %s", key, line);
        else
                ret->n_items = 0; /* too much for a line */
}

static void make_match(Case *c, NaiveTenant *tenant)
{
        static const char *const strings[_TENANT_MATCH_MAX][6] = {
                [TENANT_MATCH_UNIT] = { "vm@*.service", "vm@1.service", "*", "*.scope", "[a-v]m@?.service",
                                        "x.service" },
                [TENANT_MATCH_SLICE] = { "blue.slice", "blue-vms.slice", "-.slice", "red.slice", "b.slice",
                                         "blue-vms-1.slice" },
                [TENANT_MATCH_MACHINE] = { "m1", "m2", "m1", "m2", "m", "m.1" },
                [TENANT_MATCH_LABEL] = { "vm_t", "*", "vm_?", "[!v]*", "x_t", "v*t" },
        };
        bool any = false;

        while (!any)
                for (unsigned key = 0; key < _TENANT_MATCH_MAX; key++) {
                        NaiveKey *values = tenant->match + key;
                        char line[512] = "";
                        size_t n = 0;

                        if (values->n > 0 || !one_in(key == TENANT_MATCH_USER ? 2 : 5))
                                continue;
                        any = true;
                        values->n = 1 + below(3);
                        for (size_t i = 0; i < values->n; i++) {
                                const char *comma = i > 0 ? ", " : "";

                                if (key <= TENANT_MATCH_GROUP) {
                                        values->first[i] = below(8);
                                        values->last[i] = values->first[i] + (one_in(2) ? below(4) : 0);
                                        n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%u", comma,
                                                              values->first[i]);
                                        if (values->last[i] != values->first[i] || one_in(4))
                                                n += (size_t)snprintf(line + n, sizeof(line) - n, "-%u",
                                                                      values->last[i]);
                                } else {
                                        values->strings[i] = PICK(strings[key]);
                                        n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s", comma,
                                                              values->strings[i]);
                                }
                        }
                        (void)put(c, "%s = %s", tenant_match_key_to_string((TenantMatchKey)key), line);
                }
}

static const char *const backend_words[] = { "", "iommufd", "group", "group iommufd" };

static void make_tenant(Case *c, NaiveTenant *tenant)
{
        static const long long sizes[] = { 0, 4096, 1LL << 20, 3LL << 20, 1LL << 40 };

        tenant->line = put(c, "[tenant %s]", tenant->name);
        tenant->devices_max = tenant->leases_max = tenant->memlock_max = -1;
        make_match(c, tenant);
        make_list(c, "devices", c->policy.n_pools, 0, &tenant->devices);
        if (one_in(2))
                make_list(c, "deny-devices", c->policy.n_pools, 0, &tenant->deny);
        if (one_in(2))
                tenant->devices_max_line = put(c, "devices-max = %lld", tenant->devices_max = below(6));
        if (one_in(2))
                tenant->leases_max_line = put(c, "leases-max = %lld", tenant->leases_max = below(4));
        if (one_in(2))
                tenant->memlock_max_line = put(c, "memlock-max = %lld", tenant->memlock_max = PICK(sizes));
        if (one_in(3)) {
                tenant->backends = 1 + below(3);
                tenant->backends_line = put(c, "backends = %s", backend_words[tenant->backends]);
        }
}

static void make_policy(Case *c)
{
        static const char *const names[] = { "blue", "red", "green", "x.y-1" };
        NaivePolicy *policy = &c->policy;
        char name[16];

        c->line = 1;
        policy->backends = POLICY_BACKEND_ALL;
        policy->memlock_bytes = -1;
        policy->memlock_percent = 90;
        if (one_in(2)) {
                (void)put(c, "[broker]");
                if (one_in(3)) {
                        policy->backends = 1 + below(3);
                        policy->backends_line = put(c, "backends = %s", backend_words[policy->backends]);
                }
                if (one_in(2))
                        policy->unsafe_line = put(c, "unsafe-interrupts = %s",
                                                  (policy->unsafe_interrupts = one_in(2)) ? "yes" : "no");
                if (one_in(2))
                        policy->noiommu_line =
                                put(c, "noiommu = %s", (policy->noiommu = one_in(2)) ? "on" : "off");
                if (one_in(3))
                        policy->memlock_line =
                                put(c, "memlock-max = %u%%", policy->memlock_percent = below(101));
                else if (one_in(2))
                        policy->memlock_line = put(c, "memlock-max = %lldK",
                                                   (policy->memlock_bytes = 1024LL * below(1 << 12)) / 1024);
        }

        /* a pool may name those before it, and stands before or after the tenants: c->policy.n_pools is how many there are */
        for (unsigned n = below(NAIVE_ITEMS + 1); policy->n_pools < n; policy->n_pools++) {
                (void)snprintf(name, sizeof(name), "p%zu", policy->n_pools);
                (void)put(c, "[pool %s]", name);
                make_list(c, "devices", policy->n_pools, 1, policy->pools + policy->n_pools);
        }
        for (policy->n_tenants = 0; policy->n_tenants < 1 + c->n % NAIVE_ITEMS; policy->n_tenants++) {
                NaiveTenant *tenant = policy->tenants + policy->n_tenants;

                memcpy(tenant->name, names[policy->n_tenants], strlen(names[policy->n_tenants]) + 1);
                make_tenant(c, tenant);
                if (policy->n_tenants + 1 == NAIVE_ITEMS || one_in(3)) {
                        policy->n_tenants++;
                        break;
                }
        }
}

/* --- devices, callers, requests --- */

static void make_devices(Case *c)
{
        static const char *const ids[N_DEVICES] = {
                "0000:01:00.0", "0000:01:00.1",   "0000:01:00.2",  "0000:01:00.7",  "0000:3b:00.0",
                "0000:3b:00.1", "0000:02:1f.3",   "0001:02:00.0",  "10000:e1:00.0", UUID1,
                UUID2,          "platform/uart0", "platform/eth2", "fsl-mc/dprc.1",
        };
        static const uint32_t classes[] = { 0x020000, 0x010802, 0x010801, 0x030000, 0x030200, 0 };
        static const uint16_t vendors[] = { 0x8086, 0x10de, 0 }, products[] = { 0x10ca, 0x1234, 0 };
        static const char *const drivers[] = { "igb", "vfio-pci", "nvme", "", NULL };

        for (size_t i = 0; i < N_DEVICES; i++) {
                bool pci = i < 9, mdev = i == 9 || i == 10;

                c->facts[i] = (DeviceFacts){
                        .id = ids[i],
                        .bus = pci       ? "pci"
                               : mdev    ? "mdev"
                               : i == 13 ? "fsl-mc"
                                         : "platform",
                        .vendor = pci ? PICK(vendors) : 0,
                        .product = pci ? PICK(products) : 0,
                        .subsystem_vendor = pci ? PICK(vendors) : 0,
                        .subsystem_product = pci ? PICK(products) : 0,
                        .class = pci ? PICK(classes) : 0,
                        .driver = PICK(drivers),
                        .group = (int)below(5) - 1,
                        .numa_node = (int)below(3) - 1,
                        .physical_function =
                                pci && i != 0 && i != 4 && one_in(3) ? ids[one_in(2) ? 0 : 4] : NULL,
                        .mdev_type = mdev ? (one_in(2) ? "mtty-2" : "i915-GVTg_V5_4") : NULL,
                        .flr = one_in(2),
                };
        }
}

static void make_request(Case *c)
{
        static const char *const units[] = { NULL, "vm@1.service", "vm@22.service", "session-1.scope",
                                             "x.service" };
        static const char *const slices[] = {
                NULL,          "blue.slice",    "blue-vms.slice", "blue-vms-1.slice",
                "red-b.slice", "blueish.slice", "-.slice",        "b.slice"
        };
        static const char *const machines[] = { NULL, "m1", "m2", "m" }, *const labels[] = { NULL, "vm_t",
                                                                                             "x_t", "" };
        static const char *const holders[] = { NULL, NULL, NULL, "blue", "red", "green", "gone" };
        static const char *const wanted[] = { NULL, NULL, NULL, "", "blue", "red", "nobody", "x.y-1" };
        static const uint64_t memlocks[] = {
                0, 1, 4096, 1U << 20, (1U << 20) + 1, UINT64_C(1) << 40, UINT64_MAX, UINT64_MAX / 3
        };

        for (size_t i = 0; i < ELEMENTSOF(c->gids); i++)
                c->gids[i] = below(10);
        c->caller = (CallerFacts){
                .uid = below(10),
                .gids = c->gids,
                .n_gids = below(4),
                .unit = PICK(units),
                .slice = PICK(slices),
                .machine = PICK(machines),
                .label = PICK(labels),
        };
        c->wanted = PICK(wanted);
        c->request = (DecideRequest){
                .devices = c->rows,
                .n_devices = below(N_REQUEST + 1),
                .backend = below(3),
                .memlock = PICK(memlocks),
                .containers = 1 + below(4),
                .extends_lease = one_in(4),
                .devices_leased = one_in(50) ? UINT_MAX : below(4),
                .leases = one_in(50) ? UINT_MAX : below(4),
                .memlock_committed = one_in(50) ? UINT64_MAX : 4096 * below(600),
                .host_committed = one_in(50) ? UINT64_MAX : 4096 * below(600),
                .mem_total = one_in(50) ? UINT64_MAX / 2 : (uint64_t)below(1U << 22) * 7,
        };
        for (size_t i = 0, at = below(N_DEVICES); i < c->request.n_devices; i++, at += 1 + below(3)) {
                /* mostly nothing is in the way, so that the later steps have their turn too */
                bool quiet = !one_in(4);

                c->rows[i] = (DecideDevice){
                        .facts = c->facts + at % N_DEVICES,
                        .group_tenant = quiet ? NULL : PICK(holders),
                        .reset_set_tenant = quiet ? NULL : PICK(holders),
                        .pf_on_vfio = one_in(4),
                        .pf_tenant = one_in(2) ? NULL : PICK(holders),
                        .msi_isolated = !one_in(8),
                        .noiommu = one_in(16),
                        .taken = one_in(8),
                };
        }
}

/* --- holding the two together --- */

static uint64_t n_impossible, n_by_code[_VERDICT_MAX];

static void hold(const Case *c, const Verdict *verdict, const NaiveVerdict *naive)
{
        char place[32] = "";
        const char *name = verdict->tenant ? verdict->tenant->name : NULL;
        bool good =
                verdict->code == naive->code && streq_ptr(name, naive->tenant ? naive->tenant->name : NULL);

        if (naive->line > 0)
                (void)snprintf(place, sizeof(place), "(t:%d)", naive->line);
        else if (naive->line == 0)
                (void)snprintf(place, sizeof(place), "(by default)");
        good = good && strstr(verdict->text, place) && (naive->line >= 0 || !strstr(verdict->text, "(t:"));
        good = good && (!naive->device || strstr(verdict->text, naive->device->id));
        good = good && (!naive->selector || strstr(verdict->text, naive->selector->text));
        if (!good)
                fail_msg("%s\ndecided: %s for %s: %s\nnaively: %s for %s, %s, %s\n", c->text,
                         verdict_code_to_string(verdict->code), name, verdict->text,
                         verdict_code_to_string(naive->code), naive->tenant ? naive->tenant->name : NULL,
                         place, naive->selector ? naive->selector->text : "no selector");
        n_by_code[naive->code]++;
}

static void count_step(void *userdata, const DecideStep *step)
{
        unsigned *n_refused = userdata;

        *n_refused += !step->passed && !streq(step->name, "tenant");
        assert_true(*step->text);
}

static void decide_case(const Case *c, const Policy *policy)
{
        DecideRequest request = c->request;
        unsigned n_refused = 0;
        NaiveVerdict naive;
        Verdict verdict;

        decide_tenant(policy, &c->caller, c->wanted, &verdict);
        naive_tenant(&c->policy, &c->caller, c->wanted, &naive);
        hold(c, &verdict, &naive);

        /* whoever the caller is, for each tenant */
        for (size_t i = 0; i < policy->n_tenants; i++) {
                request.policy = policy;
                request.tenant = policy->tenants + i;
                assert_int_equal(decide_caller_matches(request.tenant, &c->caller),
                                 naive_is_tenant(c->policy.tenants + i, &c->caller));
                decide_acquire(&request, &verdict);
                naive_acquire(&c->policy, c->policy.tenants + i, &request, &naive);
                hold(c, &verdict, &naive);
                if (i > 0)
                        continue;
                decide_acquire_traced(&request, &(DecideTrace){ count_step, &n_refused }, &verdict);
                assert_int_equal(verdict.code, naive.code);
                assert_int_equal(n_refused, verdict.code != VERDICT_ALLOWED);
        }
}

/* Is there a selector of that text that a device satisfies? */
static bool can_match(const Case *c, const NaiveList *list, const char *text, size_t n)
{
        for (size_t i = 0; i < list->n_items; i++)
                for (size_t k = 0; k < N_DEVICES; k++)
                        if (strlen(list->items[i].text) == n && strncmp(list->items[i].text, text, n) == 0 &&
                            naive_selects(&c->policy, list->items + i, c->facts + k))
                                return true;
        return false;
}

/* What was refused must be wrong: two kinds of errors are possible at all. */
static void check_refused(const Case *c, const PolicyErrors *errors)
{
        for (size_t i = 0; i < errors->n_items; i++) {
                const char *text = strstr(errors->items[i].text, ": can never match");
                const char *start = errors->items[i].text;
                bool wrong = false;

                if (errors->items[i].severity == POLICY_WARNING)
                        continue;
                if (strncmp(start, "backends: [broker] allows none", 30) == 0) {
                        for (size_t k = 0; k < c->policy.n_tenants; k++)
                                wrong |= c->policy.tenants[k].backends &&
                                         !(c->policy.tenants[k].backends & c->policy.backends);
                } else if (text) {
                        /* "devices: " and the like come before what the parser says */
                        start = strstr(start, "devices: ") ? strstr(start, "devices: ") + strlen("devices: ")
                                                           : start;
                        wrong = true;
                        for (size_t k = 0; k < c->policy.n_tenants; k++)
                                wrong &= !can_match(c, &c->policy.tenants[k].devices, start,
                                                    (size_t)(text - start)) &&
                                         !can_match(c, &c->policy.tenants[k].deny, start,
                                                    (size_t)(text - start));
                        for (size_t k = 0; k < c->policy.n_pools; k++)
                                wrong &= !can_match(c, c->policy.pools + k, start, (size_t)(text - start));
                }
                if (!wrong)
                        fail_msg("%s\nrefused for nothing: %s", c->text, errors->items[i].text);
        }
        n_impossible++;
}

static void run_case(uint64_t seed)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;
        static Case c;
        int r;

        memset(&c, 0, sizeof(c));
        random_state = seed;
        make_policy(&c);
        make_devices(&c);

        r = policy_load_string("t", c.text, c.n, &policy, &errors);
        if (r == -EINVAL)
                check_refused(&c, &errors);
        else {
                assert_int_equal(r, 0);
                for (unsigned i = 0; i < ASKED; i++) {
                        if (i % 4 == 0)
                                make_devices(&c);
                        make_request(&c);
                        decide_case(&c, policy);
                }
        }
}

static void test_random(_unused_ void **state)
{
        uint64_t count = number_from_environment("DECIDE_RANDOM_COUNT", COUNT);
        uint64_t seed = random_seed("DECIDE_RANDOM_SEED");

        for (uint64_t i = 0; i < count; i += ASKED)
                run_case(seed + i / ASKED);

        print_message("%llu requests to %llu policies, %llu of which are impossible; decisions:",
                      (unsigned long long)count, (unsigned long long)(count / ASKED),
                      (unsigned long long)n_impossible);
        for (unsigned i = 0; i < _VERDICT_MAX; i++)
                print_message(" %s %llu", verdict_code_to_string((VerdictCode)i),
                              (unsigned long long)n_by_code[i]);
        print_message("\n");
        for (unsigned i = 0; i < _VERDICT_MAX && count >= COUNT; i++) /* no step is passed by */
                assert_true(n_by_code[i] > count / 10000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
