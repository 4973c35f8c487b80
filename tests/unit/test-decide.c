/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/decide.c: each step by itself, the order of the steps, the limits, and that no text tells of
 * another tenant. */

#include "tests/fixtures/policy-text.h"

#include "policy/decide.h"

#define GIB (UINT64_C(1) << 30)

static const char text[] = "[broker]\n"                              /* 1 */
                           "admin-group = 500\n"                     /* 2 */
                           "memlock-max = 10G\n"                     /* 3 */
                           "[tenant blue]\n"                         /* 4 */
                           "match-user = 2001\n"                     /* 5 */
                           "devices = pci:0000:01:00.*, pool:more\n" /* 6 */
                           "deny-devices = class:0108*\n"            /* 7 */
                           "devices-max = 4\n"                       /* 8 */
                           "leases-max = 2\n"                        /* 9 */
                           "memlock-max = 4G\n"                      /* 10 */
                           "backends = iommufd\n"                    /* 11 */
                           "[tenant red]\n"                          /* 12 */
                           "match-user = 2001-2002\n"                /* 13 */
                           "match-group = 100\n"                     /* 14 */
                           "devices = any\n"                         /* 15 */
                           "[pool more]\n"                           /* 16 */
                           "devices = pci:0000:02:00.0\n";           /* 17 */

static const DeviceFacts nic = {
        .id = "0000:01:00.0",
        .bus = "pci",
        .class = 0x020000,
        .group = 7,
        .flr = true,
};
static const DeviceFacts nvme = {
        .id = "0000:01:00.1", .bus = "pci", .class = 0x010802, .group = 8, .flr = true
};
static const DeviceFacts pooled = { .id = "0000:02:00.0", .bus = "pci", .group = 9, .flr = true };
static const DeviceFacts foreign = { .id = "0000:03:00.0", .bus = "pci", .group = 10, .flr = true };
static const DeviceFacts vf = {
        .id = "0000:01:00.5",
        .bus = "pci",
        .class = 0x020000,
        .group = 11,
        .physical_function = "0000:01:00.0",
        .flr = true,
};

/* A request that is allowed, for the tests to spoil. */
typedef struct Case {
        Policy *policy;
        DecideDevice devices[4];
        DecideRequest request;
        Verdict verdict;
} Case;

static DecideDevice good(const DeviceFacts *facts)
{
        return (DecideDevice){ .facts = facts, .msi_isolated = true };
}

static int setup(void **state)
{
        Case *c = calloc(1, sizeof(*c));

        assert_non_null(c);
        c->policy = policy_of(text);
        c->devices[0] = good(&nic);
        c->devices[1] = good(&pooled);
        c->request = (DecideRequest){
                .policy = c->policy,
                .tenant = policy_tenant_by_name(c->policy, "blue"),
                .devices = c->devices,
                .n_devices = 2,
                .backend = POLICY_BACKEND_IOMMUFD,
                .memlock = GIB,
                .containers = 1,
                .mem_total = 64 * GIB,
        };
        *state = c;
        return 0;
}

static int teardown(void **state)
{
        Case *c = *state;

        policy_unref(c->policy);
        free(c);
        return 0;
}

static void assert_decides(Case *c, VerdictCode code, const char *expected)
{
        decide_acquire(&c->request, &c->verdict);
        if (c->verdict.code != code)
                fail_msg("%s, not %s: %s", verdict_code_to_string(c->verdict.code),
                         verdict_code_to_string(code), c->verdict.text);
        if (expected)
                assert_string_equal(c->verdict.text, expected);
        assert_ptr_equal(c->verdict.tenant, c->request.tenant);
}

static CallerFacts caller(uid_t uid)
{
        static const gid_t gids[] = { 5, 100 };

        return (CallerFacts){ .uid = uid, .gids = gids, .n_gids = uid == 2002 ? 2 : 1, .unit = "a.service" };
}

/* The only match; none; and one that the caller asks to be. */
static void test_tenant(void **state)
{
        Case *c = *state;
        CallerFacts blue = caller(2001), red = caller(2002), nobody = caller(2003);

        decide_tenant(c->policy, &blue, NULL, &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_ALLOWED);
        assert_string_equal(c->verdict.tenant->name, "blue");
        assert_string_equal(c->verdict.text, "the caller is tenant blue (t:4)");

        decide_tenant(c->policy, &red, "", &c->verdict);
        assert_string_equal(c->verdict.tenant->name, "red");
        decide_tenant(c->policy, &red, "red", &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_ALLOWED);
        assert_string_equal(c->verdict.tenant->name, "red");

        decide_tenant(c->policy, &nobody, NULL, &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_NO_TENANT);
        assert_null(c->verdict.tenant);
        assert_string_equal(c->verdict.text, "the policy maps uid 2003 in a.service to no tenant");
        nobody.unit = NULL;
        decide_tenant(c->policy, &nobody, NULL, &c->verdict);
        assert_string_equal(c->verdict.text, "the policy maps uid 2003 to no tenant");
}

/* A tenant that exists and one that does not are refused alike: who asks learns nothing. */
static void test_wanted_tenant(void **state)
{
        Case *c = *state;
        CallerFacts blue = caller(2001);

        decide_tenant(c->policy, &blue, "red", &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_NO_TENANT);
        assert_null(c->verdict.tenant);
        assert_string_equal(c->verdict.text, "uid 2001 is not tenant \"red\"");
        decide_tenant(c->policy, &blue, "rad", &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_NO_TENANT);
        assert_string_equal(c->verdict.text, "uid 2001 is not tenant \"rad\"");
        /* a text that cannot be sent on is not repeated */
        decide_tenant(c->policy, &blue, "f\xc3\xbcr", &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_NO_TENANT);
        assert_string_equal(c->verdict.text, "no tenant can be called so");
}

/* Several tenants at once are named, as many as there is room for. */
static void test_ambiguous(void **state)
{
        Case *c = *state;
        CallerFacts both = caller(2001);
        const gid_t red_gid = 100;
        char *many = NULL;
        size_t size;
        FILE *f;
        Policy *policy;

        both.gids = &red_gid;
        decide_tenant(c->policy, &both, NULL, &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_AMBIGUOUS_TENANT);
        assert_null(c->verdict.tenant);
        assert_string_equal(c->verdict.text,
                            "uid 2001 is 2 tenants: blue, red; say which with the option tenant");
        decide_tenant(c->policy, &both, "red", &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_ALLOWED);

        f = open_memstream(&many, &size);
        assert_non_null(f);
        for (unsigned i = 0; i < 100; i++)
                (void)fprintf(f, "[tenant t%u]\nmatch-user = 2001\ndevices = any\n", i);
        assert_int_equal(fclose(f), 0);
        policy = policy_of(many);
        decide_tenant(policy, &both, NULL, &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_AMBIGUOUS_TENANT);
        assert_non_null(strstr(c->verdict.text, "is 100 tenants: t0, t1, "));
        assert_non_null(strstr(c->verdict.text, "...; say which"));
        policy_unref(policy);
        free(many);
}

static void test_admin(void **state)
{
        Case *c = *state;
        const gid_t gids[] = { 5, 500 };
        CallerFacts who = { .uid = 1, .gids = gids, .n_gids = 2 };
        Policy *nobody = policy_of("[broker]\nadmin-group =\n");

        assert_true(decide_is_admin(c->policy, &who));
        assert_false(decide_is_admin(nobody, &who));
        who.n_gids = 1;
        assert_false(decide_is_admin(c->policy, &who));
        who.uid = 0;
        assert_true(decide_is_admin(c->policy, &who));
        assert_true(decide_is_admin(nobody, &who));
        /* (gid_t)-1 stands for no group: whoever should carry it is not in it */
        who = (CallerFacts){ .uid = 1, .gids = (const gid_t[]){ (gid_t)-1 }, .n_gids = 1 };
        assert_false(decide_is_admin(nobody, &who));
        policy_unref(nobody);
}

/* The deciding rule, as written, with its place. */
static void test_selector(void **state)
{
        Case *c = *state;
        const PolicyTenant *blue = c->request.tenant;

        decide_selector(c->policy, blue, &nic, &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_ALLOWED);
        assert_string_equal(c->verdict.text,
                            "tenant blue may use 0000:01:00.0: devices has pci:0000:01:00.* (t:6)");
        decide_selector(c->policy, blue, &pooled, &c->verdict);
        assert_string_equal(c->verdict.text,
                            "tenant blue may use 0000:02:00.0: devices has pool:more (t:6)");
        decide_selector(c->policy, blue, &nvme, &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_DENIED);
        assert_string_equal(c->verdict.text,
                            "tenant blue may not use 0000:01:00.1: deny-devices has class:0108* (t:7)");
        decide_selector(c->policy, blue, &foreign, &c->verdict);
        assert_int_equal(c->verdict.code, VERDICT_DENIED);
        assert_string_equal(c->verdict.text,
                            "tenant blue may not use 0000:03:00.0: nothing in its devices selects it (t:4)");
        assert_ptr_equal(c->verdict.tenant, blue);
}

static void test_allowed(void **state)
{
        Case *c = *state;

        assert_decides(c, VERDICT_ALLOWED,
                       "tenant blue may use 0000:01:00.0: devices has pci:0000:01:00.* (t:6)");
        c->request.n_devices = 0;
        assert_decides(c, VERDICT_ALLOWED, "tenant blue asks for no device");
}

/* A group that the tenant itself holds is no obstacle; another's is, and is not named. */
static void test_group(void **state)
{
        Case *c = *state;

        c->devices[1].group_tenant = "blue";
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->devices[1].group_tenant = "red";
        assert_decides(c, VERDICT_GROUP_SPLIT,
                       "tenant blue cannot have 0000:02:00.0 now: another tenant uses its IOMMU group 9, "
                       "and a group "
                       "belongs to one tenant at a time");
}

/* The reset set counts only for a device without a reset of its own. */
static void test_reset_set(void **state)
{
        Case *c = *state;
        DeviceFacts no_flr = nic;

        c->devices[0].reset_set_tenant = "red";
        assert_decides(c, VERDICT_ALLOWED, NULL);
        no_flr.flr = false;
        c->devices[0].facts = &no_flr;
        assert_decides(c, VERDICT_RESET_SPLIT, NULL);
        assert_null(strstr(c->verdict.text, "red"));
        c->devices[0].reset_set_tenant = "blue";
        assert_decides(c, VERDICT_ALLOWED, NULL);
}

/* A function whose physical one is on a VFIO driver: only for who holds that, or asks for both. */
static void test_virtual_function(void **state)
{
        Case *c = *state;

        c->devices[1] = good(&vf);
        c->devices[0] = good(&pooled);
        assert_decides(c, VERDICT_ALLOWED, NULL);

        c->devices[1].pf_on_vfio = true;
        assert_decides(c, VERDICT_VF_OF_FOREIGN_PF,
                       "tenant blue cannot have 0000:01:00.5: its physical function 0000:01:00.0 is on a "
                       "VFIO driver, "
                       "so only the tenant that holds that one may use it");
        c->devices[1].pf_tenant = "red";
        assert_decides(c, VERDICT_VF_OF_FOREIGN_PF, NULL);
        c->devices[1].pf_tenant = "blue";
        assert_decides(c, VERDICT_ALLOWED, NULL);

        c->devices[1].pf_tenant = NULL;
        c->devices[0] = good(&nic);
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->devices[1].pf_tenant = "red";
        assert_decides(c, VERDICT_VF_OF_FOREIGN_PF, NULL);
}

/* What [broker] does not say is refused, and the text says who said no. */
static void test_isolation(void **state)
{
        Case *c = *state;
        Policy *lax =
                policy_of("[broker]\nunsafe-interrupts = yes\nnoiommu = yes\n[tenant blue]\nmatch-user = 1\n"
                          "devices = any\n");
        Policy *strict = policy_of(
                "[broker]\nunsafe-interrupts = no\n[tenant blue]\nmatch-user = 1\ndevices = any\n");

        c->devices[1].msi_isolated = false;
        assert_decides(c, VERDICT_UNSAFE_INTERRUPTS,
                       "the interrupts of 0000:02:00.0 are not isolated, and [broker] says "
                       "unsafe-interrupts = no (by "
                       "default)");
        c->devices[1].noiommu = true;
        assert_decides(c, VERDICT_NOIOMMU,
                       "0000:02:00.0 has no IOMMU, and [broker] says noiommu = no (by default)");

        c->request.policy = lax;
        c->request.tenant = lax->tenants;
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->devices[1].noiommu = false;
        assert_decides(c, VERDICT_ALLOWED, NULL);

        c->request.policy = strict;
        c->request.tenant = strict->tenants;
        assert_decides(c, VERDICT_UNSAFE_INTERRUPTS,
                       "the interrupts of 0000:02:00.0 are not isolated, and [broker] says "
                       "unsafe-interrupts = no (t:2)");
        policy_unref(lax);
        policy_unref(strict);
}

static void test_backend(void **state)
{
        Case *c = *state;

        c->request.backend = 0;
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->request.backend = POLICY_BACKEND_GROUP;
        assert_decides(c, VERDICT_BACKEND, "tenant blue may not use the group backend, only iommufd (t:11)");
}

/* At the limit, and one past it. */
static void test_device_quota(void **state)
{
        Case *c = *state;

        c->request.devices_leased = 2;
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->request.devices_leased = 3;
        assert_decides(c, VERDICT_DEVICE_QUOTA,
                       "tenant blue asks for 2 devices and has 3; devices-max = 4 (t:8)");
        c->request.devices_leased = UINT_MAX;
        assert_decides(c, VERDICT_DEVICE_QUOTA, NULL);
        c->request.tenant = policy_tenant_by_name(c->policy, "red");
        assert_decides(c, VERDICT_ALLOWED, NULL);
}

static void test_lease_quota(void **state)
{
        Case *c = *state;

        c->request.leases = 1;
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->request.leases = 2;
        assert_decides(c, VERDICT_LEASE_QUOTA, "tenant blue has 2 leases; leases-max = 2 (t:9)");
        c->request.extends_lease = true;
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->request.extends_lease = false;
        c->request.leases = UINT_MAX;
        c->request.tenant = policy_tenant_by_name(c->policy, "red");
        assert_decides(c, VERDICT_ALLOWED, NULL);
}

/* Asked, free and budget; to the byte; once for each container; without wrapping round. */
static void test_memlock_tenant(void **state)
{
        Case *c = *state;

        c->request.memlock_committed = 3 * GIB;
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->request.memlock_committed++;
        assert_decides(c, VERDICT_MEMLOCK_TENANT,
                       "tenant blue asks to lock 1073741824 bytes of memory; 1073741823 are free of its "
                       "memlock-max of "
                       "4294967296 (t:10)");
        c->request.memlock_committed = 0;
        c->request.containers = 4;
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->request.containers = 5;
        assert_decides(c, VERDICT_MEMLOCK_TENANT, NULL);
        c->request.containers = 2;
        c->request.memlock = UINT64_MAX / 2 + 1;
        assert_decides(c, VERDICT_MEMLOCK_TENANT, NULL);
        assert_non_null(strstr(c->verdict.text, "18446744073709551615 bytes"));
        c->request.memlock = 1;
        c->request.memlock_committed = UINT64_MAX;
        assert_decides(c, VERDICT_MEMLOCK_TENANT, NULL);
        assert_non_null(strstr(c->verdict.text, "; 0 are free"));
        c->request.memlock = 0;
        assert_decides(c, VERDICT_ALLOWED, NULL);
}

static void test_memlock_host(void **state)
{
        Case *c = *state;

        c->request.host_committed = 9 * GIB;
        assert_decides(c, VERDICT_ALLOWED, NULL);
        c->request.host_committed++;
        /* what the host has left is what others have taken: an administrator's to know */
        assert_decides(
                c, VERDICT_MEMLOCK_HOST,
                "tenant blue asks to lock 1073741824 bytes of memory; not so many are free of the host's "
                "memlock-max of 10737418240 (t:3)");
        c->request.admin = true;
        assert_decides(
                c, VERDICT_MEMLOCK_HOST,
                "tenant blue asks to lock 1073741824 bytes of memory; 1073741823 are free of the host's "
                "memlock-max of 10737418240 (t:3)");
        c->request.admin = false;
        /* a tenant without a limit of its own has the host's, also where the sum would wrap */
        c->request.tenant = policy_tenant_by_name(c->policy, "red");
        c->request.memlock = UINT64_MAX;
        c->request.containers = 3;
        assert_decides(c, VERDICT_MEMLOCK_HOST, NULL);
        c->request.memlock = 1;
        c->request.containers = 1;
        c->request.host_committed = UINT64_MAX;
        assert_decides(c, VERDICT_MEMLOCK_HOST, NULL);
}

static void test_state(void **state)
{
        Case *c = *state;

        c->devices[1].taken = true;
        assert_decides(c, VERDICT_TAKEN, "0000:02:00.0 is in use");
        c->devices[1].taken_text = "reclaiming";
        assert_decides(c, VERDICT_TAKEN, "0000:02:00.0 is reclaiming");
}

/* Everything is wrong at once: the answer is the first step's, whichever device has it; each that is put
 * right gives the next. */
static void test_order(void **state)
{
        Case *c = *state;
        DeviceFacts spoilt = vf;

        spoilt.flr = false;
        c->devices[0] = (DecideDevice){
                .facts = &spoilt,
                .group_tenant = "red",
                .reset_set_tenant = "red",
                .pf_on_vfio = true,
                .noiommu = true,
                .taken = true,
        };
        c->devices[1] = good(&foreign);
        c->request.backend = POLICY_BACKEND_GROUP;
        c->request.devices_leased = 9;
        c->request.leases = 9;
        c->request.memlock = 100 * GIB;

        assert_decides(c, VERDICT_DENIED, NULL);
        c->devices[1] = good(&pooled);
        assert_decides(c, VERDICT_GROUP_SPLIT, NULL);
        c->devices[0].group_tenant = NULL;
        assert_decides(c, VERDICT_RESET_SPLIT, NULL);
        c->devices[0].reset_set_tenant = NULL;
        assert_decides(c, VERDICT_VF_OF_FOREIGN_PF, NULL);
        c->devices[0].pf_on_vfio = false;
        assert_decides(c, VERDICT_NOIOMMU, NULL);
        c->devices[0].noiommu = false;
        assert_decides(c, VERDICT_UNSAFE_INTERRUPTS, NULL);
        c->devices[0].msi_isolated = true;
        assert_decides(c, VERDICT_BACKEND, NULL);
        c->request.backend = POLICY_BACKEND_IOMMUFD;
        assert_decides(c, VERDICT_DEVICE_QUOTA, NULL);
        c->request.devices_leased = 0;
        assert_decides(c, VERDICT_LEASE_QUOTA, NULL);
        c->request.leases = 0;
        assert_decides(c, VERDICT_MEMLOCK_TENANT, NULL);
        c->request.memlock = 4 * GIB;
        c->request.host_committed = 9 * GIB;
        assert_decides(c, VERDICT_MEMLOCK_HOST, NULL);
        c->request.memlock = 0;
        assert_decides(c, VERDICT_TAKEN, NULL);
        c->devices[0].taken = false;
        assert_decides(c, VERDICT_ALLOWED, NULL);
}

/* The longest rule at the longest path still fits, cut where it must be. */
static void test_long_texts(_unused_ void **state)
{
        char policy_text[POLICY_LINE_MAX + 64] = "[tenant blue]\nmatch-user = 1\ndevices = id:", file[600];
        PolicyErrors errors = POLICY_ERRORS_NULL;
        Policy *policy = NULL;
        Verdict verdict;

        memset(policy_text + strlen(policy_text), '*', POLICY_LINE_MAX - strlen("devices = id:"));
        memset(file, 'f', sizeof(file) - 1);
        memcpy(file + sizeof(file) - 8, "/a.conf", 8);
        assert_int_equal(policy_load_string(file, policy_text, strlen(policy_text), &policy, &errors), 0);
        decide_selector(policy, policy->tenants, &nic, &verdict);
        assert_int_equal(verdict.code, VERDICT_ALLOWED);
        assert_true(strlen(verdict.text) < VERDICT_TEXT_MAX);
        assert_non_null(strstr(verdict.text, "/a.conf:3)"));
        assert_non_null(strstr(verdict.text, "(...f"));
        policy_unref(policy);
        policy_errors_done(&errors);
}

/* Of a lease that there is only the policy's own rules are asked: not what is full, taken or another's. */
static void test_standing(void **state)
{
        const PolicyTenant nobody = { .name = "nobody", .where = { "policy", 99 } };
        const CallerFacts blue = caller(2001), red = caller(2002);
        Case *c = *state;
        Verdict *v = &c->verdict;

        c->devices[0].taken = true;
        c->devices[0].group_tenant = c->devices[1].group_tenant = "red";
        c->request.devices_leased = c->request.leases = 99;
        c->request.memlock_committed = c->request.host_committed = 99 * GIB;
        decide_standing(&c->request, &blue, v);
        assert_int_equal(v->code, VERDICT_ALLOWED);
        assert_string_equal(v->text, "tenant blue may have it (t:4)");
        decide_standing(&c->request, NULL, v);
        assert_int_equal(v->code, VERDICT_ALLOWED);

        decide_standing(&c->request, &red, v);
        assert_int_equal(v->code, VERDICT_NO_TENANT);
        assert_string_equal(v->text, "the caller is tenant blue no more: match-user does not hold (t:5)");
        assert_int_equal(v->where.line, 5);
        c->devices[1].facts = &nvme;
        decide_standing(&c->request, &blue, v);
        assert_int_equal(v->code, VERDICT_DENIED);
        assert_int_equal(v->where.line, 7);
        c->devices[1].facts = &pooled;
        c->request.backend = POLICY_BACKEND_GROUP;
        decide_standing(&c->request, &blue, v);
        assert_int_equal(v->code, VERDICT_BACKEND);
        assert_int_equal(v->where.line, 11);
        c->devices[1].msi_isolated = false;
        decide_standing(&c->request, &blue, v);
        assert_int_equal(v->code, VERDICT_UNSAFE_INTERRUPTS);
        assert_null(v->where.file);

        /* The parser makes no such tenant. */
        c->request.tenant = &nobody;
        decide_standing(&c->request, &blue, v);
        assert_string_equal(v->text, "the caller is tenant nobody no more: it has no match key (policy:99)");
}

/* Where a key was said, or else the section. */
static void test_said(void **state)
{
        Case *c = *state;

        assert_int_equal(policy_tenant_said(c->request.tenant, "backends").line, 11);
        assert_int_equal(policy_tenant_said(c->request.tenant, "match-user").line, 5);
        assert_int_equal(policy_tenant_said(c->request.tenant, "reset").line, 4);
}

static void test_code_names(_unused_ void **state)
{
        for (unsigned i = 0; i < _VERDICT_MAX; i++)
                assert_non_null(verdict_code_to_string((VerdictCode)i));
        assert_string_equal(verdict_code_to_string(VERDICT_MEMLOCK_HOST), "memlock-host");
        assert_null(verdict_code_to_string(_VERDICT_MAX));
}

#define decide_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                decide_test(test_tenant),
                decide_test(test_wanted_tenant),
                decide_test(test_ambiguous),
                decide_test(test_admin),
                decide_test(test_selector),
                decide_test(test_allowed),
                decide_test(test_group),
                decide_test(test_reset_set),
                decide_test(test_virtual_function),
                decide_test(test_isolation),
                decide_test(test_backend),
                decide_test(test_device_quota),
                decide_test(test_lease_quota),
                decide_test(test_memlock_tenant),
                decide_test(test_memlock_host),
                decide_test(test_state),
                decide_test(test_order),
                decide_test(test_standing),
                decide_test(test_said),
                cmocka_unit_test(test_long_texts),
                cmocka_unit_test(test_code_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
