/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/decide.c, the path: what is told of each step, that it ends with the step that refuses and agrees with the answer,
 * and that it stays ASCII and whole whatever comes in. */

#include "tests/fixtures/policy-text.h"

#include "policy/decide.h"

#define GIB (UINT64_C(1) << 30)

/* What was told, as lines. */
typedef struct Path {
        char text[16384];
        size_t n, n_steps;
        bool refused; /* the last step */
} Path;

static void take(void *userdata, const DecideStep *step)
{
        Path *path = userdata;

        assert_false(path->refused && !streq(step->name, "tenant"));
        path->n += (size_t)snprintf(path->text + path->n, sizeof(path->text) - path->n, "%s%s%s %s: %s\n",
                                    step->name, *step->about ? " " : "", step->about,
                                    step->passed ? "yes" : "no", step->text);
        assert_true(path->n < sizeof(path->text));
        for (const char *p = step->text; *p; p++)
                assert_true(*p >= ' ' && *p < 0x7f);
        path->n_steps++;
        path->refused = !step->passed;
}

#define trace_of(path) (&(DecideTrace){ .step = take, .userdata = (path) })

static const gid_t gids[] = { 100, 200 };
static const CallerFacts full = {
        .uid = 2001,
        .gids = gids,
        .n_gids = 2,
        .unit = "vm@1.service",
        .slice = "blue-vms.slice",
        .machine = "m1",
        .label = "vm_t",
};

/* Each key is told where it does not hold, with what the caller is instead; where all hold, all. */
static void test_tenants(_unused_ void **state)
{
        static const struct {
                const char *keys;
                bool is;
                const char *text;
        } table[] = {
                { "match-user = 2001-2999", true, "match-user = 2001-2999 (t:2)" },
                { "match-user = 1, 2", false, "match-user = 1, 2 (t:2) does not hold: uid 2001" },
                { "match-group = 200", true, "match-group = 200 (t:2)" },
                { "match-group = 7", false, "match-group = 7 (t:2) does not hold: gid 100 200" },
                { "match-unit = vm@*.service", true, "match-unit = vm@*.service (t:2)" },
                { "match-unit = a.service", false,
                  "match-unit = a.service (t:2) does not hold: unit vm@1.service" },
                { "match-slice = blue.slice", true, "match-slice = blue.slice (t:2)" },
                { "match-slice = red.slice", false,
                  "match-slice = red.slice (t:2) does not hold: slice blue-vms.slice" },
                { "match-machine = m1", true, "match-machine = m1 (t:2)" },
                { "match-machine = m2", false, "match-machine = m2 (t:2) does not hold: machine m1" },
                { "match-label = vm_*", true, "match-label = vm_* (t:2)" },
                { "match-label = x", false, "match-label = x (t:2) does not hold: label vm_t" },
                { "match-unit = *\nmatch-user = 2001", true,
                  "match-user = 2001 (t:3); match-unit = * (t:2)" },
                { "match-unit = *\nmatch-user = 1\nmatch-label = x", false,
                  "match-user = 1 (t:3) does not hold: uid 2001" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_policy_ Policy *policy = NULL;
                _cleanup_free_ char *text = NULL, *expected = NULL;
                Path path = {}, asked = {};
                Verdict verdict;

                assert_true(asprintf(&text, "[tenant blue]\n%s\ndevices = any\n", table[i].keys) > 0);
                assert_true(asprintf(&expected,
                                     "identity yes: uid 2001, gid 100 200, unit vm@1.service, slice "
                                     "blue-vms.slice, machine m1, label vm_t\n"
                                     "tenant blue %s: %s\n",
                                     table[i].is ? "yes" : "no", table[i].text) > 0);
                policy = policy_of(text);
                decide_tenant_traced(policy, &full, NULL, trace_of(&path), &verdict);
                assert_string_equal(path.text, expected);
                assert_int_equal(verdict.code, table[i].is ? VERDICT_ALLOWED : VERDICT_NO_TENANT);

                decide_tenant_traced(policy, &full, "blue", trace_of(&asked), &verdict);
                assert_string_equal(asked.text, expected);
                assert_int_equal(verdict.code, table[i].is ? VERDICT_ALLOWED : VERDICT_NO_TENANT);
        }
}

/* What is not known is said to be so. A tenant that is asked for is tried alone; one that does not exist is not tried. */
static void test_unknown_caller(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("[tenant a]\nmatch-machine = m\ndevices = any\n"
                                                    "[tenant b]\nmatch-group = 1\ndevices = any\n"
                                                    "[tenant c]\nmatch-user = 5\ndevices = any\n");
        static const char identity[] =
                "identity yes: uid 5, gid unknown, no unit, no slice, no machine, no label\n";
        const CallerFacts who = { .uid = 5 };
        char expected[1024];
        Path path = {}, one = {}, none = {};
        Verdict verdict;

        decide_tenant_traced(policy, &who, "", trace_of(&path), &verdict);
        (void)snprintf(expected, sizeof(expected),
                       "%stenant a no: match-machine = m (t:2) does not hold: no machine\n"
                       "tenant b no: match-group = 1 (t:5) does not hold: gid unknown\n"
                       "tenant c yes: match-user = 5 (t:8)\n",
                       identity);
        assert_string_equal(path.text, expected);
        assert_int_equal(verdict.code, VERDICT_ALLOWED);

        decide_tenant_traced(policy, &who, "a", trace_of(&one), &verdict);
        (void)snprintf(expected, sizeof(expected),
                       "%stenant a no: match-machine = m (t:2) does not hold: no machine\n", identity);
        assert_string_equal(one.text, expected);

        decide_tenant_traced(policy, &who, "zebra", trace_of(&none), &verdict);
        assert_string_equal(none.text, identity);
        assert_int_equal(verdict.code, VERDICT_NO_TENANT);
}

/* Names from outside are bent to what prints; what is too long is cut. */
static void test_strange_caller(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("[tenant a]\nmatch-label = x\ndevices = any\n");
        gid_t many[4096];
        char unit[2000];
        CallerFacts who = { .uid = 5, .gids = many, .n_gids = ELEMENTSOF(many), .unit = unit };
        Path path = {};
        Verdict verdict;

        for (size_t i = 0; i < ELEMENTSOF(many); i++)
                many[i] = 4000000000U + (gid_t)i;
        memset(unit, 'u', sizeof(unit));
        unit[sizeof(unit) - 1] = '\0';
        decide_tenant_traced(policy, &who, NULL, trace_of(&path), &verdict);
        assert_int_equal(path.n_steps, 2);
        assert_int_equal(verdict.code, VERDICT_NO_TENANT);
        assert_non_null(strstr(verdict.text, "in uuu"));

        memset(&path, 0, sizeof(path));
        who = (CallerFacts){ .uid = 5, .unit = "a\x1b[1m\xc3\xbc.service", .label = "\x7f" };
        decide_tenant_traced(policy, &who, NULL, trace_of(&path), &verdict);
        assert_string_equal(path.text,
                            "identity yes: uid 5, gid unknown, unit a?[1m??.service, no slice, no machine, "
                            "label ?\n"
                            "tenant a no: match-label = x (t:2) does not hold: label ?\n");
        assert_string_equal(verdict.text, "the policy maps uid 5 in a?[1m??.service to no tenant");
}

/* --- the steps on devices --- */

static const char policy_text[] = "[broker]\n"               /* 1 */
                                  "memlock-max = 10G\n"      /* 2 */
                                  "unsafe-interrupts = %s\n" /* 3 */
                                  "noiommu = %s\n"           /* 4 */
                                  "[tenant blue]\n"          /* 5 */
                                  "match-user = 2001\n"      /* 6 */
                                  "devices = id:*\n"         /* 7 */
                                  "devices-max = 4\n"        /* 8 */
                                  "leases-max = 2\n"         /* 9 */
                                  "memlock-max = 4G\n"       /* 10 */
                                  "backends = iommufd\n"     /* 11 */
                                  "[tenant free]\n"          /* 12 */
                                  "match-user = 2002\n"      /* 13 */
                                  "devices = any\n";         /* 14 */

typedef struct Case {
        Policy *policy;
        DeviceFacts facts[2];
        DecideDevice devices[2];
        DecideRequest request;
        Path path;
        Verdict verdict;
} Case;

static void case_set(Case *c, bool lax)
{
        char text[1024];

        policy_unref(c->policy);
        (void)snprintf(text, sizeof(text), policy_text, lax ? "yes" : "no", lax ? "yes" : "no");
        c->policy = policy_of(text);
        c->facts[0] = (DeviceFacts){ .id = "A", .group = 7, .flr = true };
        c->facts[1] = (DeviceFacts){ .id = "B", .group = -1 };
        for (size_t i = 0; i < 2; i++)
                c->devices[i] = (DecideDevice){ .facts = c->facts + i, .msi_isolated = true };
        c->request = (DecideRequest){
                .policy = c->policy,
                .tenant = c->policy->tenants,
                .devices = c->devices,
                .n_devices = 1,
                .backend = POLICY_BACKEND_IOMMUFD,
                .memlock = GIB,
                .containers = 1,
                .mem_total = 64 * GIB,
        };
}

static void decide_case(Case *c)
{
        Verdict plain;

        memset(&c->path, 0, sizeof(c->path));
        decide_acquire_traced(&c->request, trace_of(&c->path), &c->verdict);
        decide_acquire(&c->request, &plain);
        assert_int_equal(c->verdict.code, plain.code);
        assert_string_equal(c->verdict.text, plain.text);
        assert_int_equal(c->path.refused, c->verdict.code != VERDICT_ALLOWED);
        if (c->path.refused) /* the last words are the answer */
                assert_non_null(strstr(c->path.text + c->path.n - strlen(plain.text) - 1, plain.text));
}

static int setup(void **state)
{
        *state = calloc(1, sizeof(Case));
        assert_non_null(*state);
        case_set(*state, false);
        return 0;
}

static int teardown(void **state)
{
        Case *c = *state;

        policy_unref(c->policy);
        free(c);
        return 0;
}

static void test_allowed(void **state)
{
        Case *c = *state;

        c->request.n_devices = 2;
        decide_case(c);
        assert_string_equal(c->path.text,
                            "selector A yes: tenant blue may use A: devices has id:* (t:7)\n"
                            "selector B yes: tenant blue may use B: devices has id:* (t:7)\n"
                            "group A yes: nobody else uses its IOMMU group 7\n"
                            "group B yes: it has no IOMMU group\n"
                            "reset-set A yes: it has a reset of its own\n"
                            "reset-set B yes: nobody else uses what is reset together with it\n"
                            "virtual-function A yes: it is no virtual function\n"
                            "virtual-function B yes: it is no virtual function\n"
                            "isolation A yes: its interrupts are isolated\n"
                            "isolation B yes: it has no IOMMU group\n"
                            "backend yes: iommufd will do; the tenant may use iommufd (t:11)\n"
                            "devices-max yes: 2 asked for, 0 leased; devices-max = 4 (t:8)\n"
                            "leases-max yes: 0 leases; leases-max = 2 (t:9)\n"
                            "memlock yes: 1073741824 bytes asked for, 4294967296 free; memlock-max = "
                            "4294967296 (t:10)\n"
                            "memlock-host yes: 1073741824 bytes asked for; the host's memlock-max = "
                            "10737418240 (t:2)\n"
                            "state A yes: nobody uses it\n"
                            "state B yes: nobody uses it\n");
}

/* Why a step lets pass where it need not have. */
static void test_passes(void **state)
{
        Case *c = *state;

        case_set(c, true);
        c->facts[1].physical_function = "A";
        c->devices[0].group_tenant = c->devices[1].reset_set_tenant = "blue";
        c->devices[0].noiommu = true;
        c->devices[1].msi_isolated = false;
        c->request.n_devices = 2;
        c->request.backend = 0;
        c->request.extends_lease = true;
        decide_case(c);
        assert_int_equal(c->verdict.code, VERDICT_ALLOWED);
        assert_non_null(strstr(c->path.text, "group A yes: the tenant itself uses its IOMMU group 7\n"));
        assert_non_null(strstr(c->path.text,
                               "reset-set B yes: the tenant itself uses what is reset together with it\n"));
        assert_non_null(
                strstr(c->path.text, "function B yes: its physical function A is on no VFIO driver\n"));
        assert_non_null(
                strstr(c->path.text, "A yes: it has no IOMMU, and [broker] says noiommu = yes (t:4)\n"));
        assert_non_null(strstr(c->path.text, "B yes: its interrupts are not isolated, and [broker] says "
                                             "unsafe-interrupts = yes (t:3)\n"));
        assert_non_null(
                strstr(c->path.text, "backend yes: any will do; the tenant may use iommufd (t:11)\n"));
        assert_non_null(strstr(c->path.text, "leases-max yes: no new lease\n"));

        c->devices[1].pf_on_vfio = true;
        decide_case(c);
        assert_non_null(strstr(c->path.text, "B yes: the tenant asks for its physical function A\n"));
        c->devices[1].pf_tenant = "blue";
        decide_case(c);
        assert_non_null(strstr(c->path.text, "B yes: the tenant has its physical function A\n"));
}

static void test_not_limited(void **state)
{
        Case *c = *state;

        c->request.tenant = c->policy->tenants + 1;
        c->request.backend = POLICY_BACKEND_GROUP;
        c->request.devices_leased = 3;
        c->request.leases = 5;
        decide_case(c);
        assert_int_equal(c->verdict.code, VERDICT_ALLOWED);
        assert_non_null(
                strstr(c->path.text, "group will do; the tenant may use iommufd and group (by default)\n"));
        assert_non_null(strstr(c->path.text, "devices-max yes: 1 asked for, 3 leased; not limited\n"));
        assert_non_null(strstr(c->path.text, "leases-max yes: 5 leases; not limited\n"));
        assert_non_null(strstr(c->path.text, "memlock yes: 1073741824 bytes asked for; not limited\n"));
}

/* Each refusal ends the path, and is what the plain decision says; nothing of the steps after it is told. */
static void test_refused(void **state)
{
        static const char *const names[] = { "selector",  "group",        "reset-set",   "virtual-function",
                                             "isolation", "backend",      "devices-max", "leases-max",
                                             "memlock",   "memlock-host", "state" };
        Case *c = *state;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char last[64];

                case_set(c, false);
                c->facts[0].flr = i != 2;
                c->facts[0].physical_function = i == 3 ? "P" : NULL;
                if (i == 0)
                        c->facts[0].id = ""; /* of no selector below */
                c->devices[0].group_tenant = i == 1 ? "red" : NULL;
                c->devices[0].reset_set_tenant = i == 2 ? "red" : NULL;
                c->devices[0].pf_on_vfio = i == 3;
                c->devices[0].msi_isolated = i != 4;
                c->request.backend = i == 5 ? POLICY_BACKEND_GROUP : POLICY_BACKEND_IOMMUFD;
                c->request.devices_leased = i == 6 ? 4 : 0;
                c->request.leases = i == 7 ? 2 : 0;
                c->request.memlock_committed = i == 8 ? 4 * GIB : 0;
                c->request.host_committed = i == 9 ? 10 * GIB : 0;
                c->devices[0].taken = i == 10;
                if (i == 0)
                        c->policy->tenants[0].devices.n_items = 0;
                decide_case(c);
                assert_true(c->path.refused);
                assert_int_equal(c->path.n_steps, i + 1);
                (void)snprintf(last, sizeof(last), "%s%s no: ", names[i],
                               i == 0               ? ""
                               : (i < 5 || i == 10) ? " A"
                                                    : "");
                assert_non_null(strstr(c->path.text, last));
                assert_null(strstr(c->path.text, "red"));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tenants),
                cmocka_unit_test(test_unknown_caller),
                cmocka_unit_test(test_strange_caller),
                cmocka_unit_test_setup_teardown(test_allowed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_passes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_limited, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
