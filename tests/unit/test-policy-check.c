/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/policy-check.c: what only the whole policy can tell. The texts are in tests/fixtures/policy; here
 * are the cases beside them that must pass, the limits, and shapes that would break a careless walk. */

#include "tests/fixtures/policy-text.h"

#define BLUE "[tenant blue]\nmatch-user = 1\n"

/* Pools are found by name, in whatever order they are written, and are what the selectors see. */
static void test_pools(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy =
                policy_of(BLUE "devices = pool:all\n"
                               "[pool all]\ndevices = pool:b, pool:a\n"
                               "[pool b]\ndevices = group:2\n[pool a]\ndevices = group:1\n"
                               "[device pool:a]\nforce-unbind = yes\n");
        const DeviceFacts in = { .id = "x", .group = 1 }, out = { .id = "y", .group = 3 };

        assert_string_equal(policy_pool_by_name(policy, "a")->name, "a");
        assert_string_equal(policy_pool_by_name(policy, "all")->name, "all");
        assert_null(policy_pool_by_name(policy, "c"));
        assert_non_null(selector_list_find(&policy->tenants[0].devices, &in));
        assert_null(selector_list_find(&policy->tenants[0].devices, &out));
        assert_true(policy_device_override(policy, &in)->force_unbind);
        assert_null(policy_device_override(policy, &out));
}

/* A diamond is no cycle. */
static void test_diamond(_unused_ void **state)
{
        assert_says(BLUE "devices = pool:a\n[pool a]\ndevices = pool:b, pool:c\n[pool b]\ndevices = pool:d\n"
                         "[pool c]\ndevices = pool:d+pool:d\n[pool d]\ndevices = any\n",
                    "");
}

/* n pools, each in the one before; the last has what is given. */
static char *chain(size_t n, const char *last)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        for (size_t i = 1; i < n; i++)
                (void)fprintf(f, "[pool p%zu]\ndevices = pool:p%zu\n", i, i + 1);
        (void)fprintf(f, "[pool p%zu]\ndevices = %s\n", n, last);
        assert_int_equal(fclose(f), 0);
        return text;
}

/* As deep as is allowed, and one deeper; and a chain so long that following it would end the stack. */
static void test_depth(_unused_ void **state)
{
        _cleanup_free_ char *deepest = chain(POLICY_POOL_DEPTH, "any"),
                            *deeper = chain(POLICY_POOL_DEPTH + 1, "any"), *endless = chain(20000, "any");
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        Policy *policy = NULL;

        assert_says(deepest, "");
        assert_says(deeper,
                    "t:1: [pool p1]: pools within pools more than 8 deep; list the devices more directly");
        assert_int_equal(policy_load_string("t", endless, strlen(endless), &policy, &errors), -EINVAL);
        assert_true(errors.n_errors > 0);
        assert_non_null(strstr(errors.items[0].text, "more than 8 deep"));
}

/* A cycle is told by its path; one that is longer than is followed ends, too, and is an error. */
static void test_cycle(_unused_ void **state)
{
        _cleanup_free_ char *shorter = chain(5, "pool:p3"), *longer = chain(500, "pool:p1");
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        Policy *policy = NULL;

        assert_says(shorter, "t:10: pool:p3: the pool contains itself (p3 -> p4 -> p5 -> p3); take one out");
        assert_int_equal(policy_load_string("t", longer, strlen(longer), &policy, &errors), -EINVAL);
        assert_non_null(strstr(errors.items[0].text, "more than 8 deep"));
}

/* A tenant has those of its backends that the broker allows. */
static void test_backends(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("[broker]\nbackends = group\n" BLUE "devices = any\n"
                                                    "[tenant red]\nmatch-user = 2\ndevices = any\n"
                                                    "backends = group iommufd\n");

        assert_int_equal(policy->tenants[0].backends, POLICY_BACKEND_GROUP);
        assert_int_equal(policy->tenants[0].backends_where.line, 2);
        assert_int_equal(policy->tenants[1].backends, POLICY_BACKEND_GROUP);
        assert_int_equal(policy->tenants[1].backends_where.line, 9);
}

/* A pool on one bus may be joined with that bus; one on several with any. */
static void test_pool_bus(_unused_ void **state)
{
        assert_says(BLUE "devices = pool:nics+bus:pci, pool:mixed+bus:platform, pool:open+bus:mdev\n"
                         "[pool nics]\ndevices = class:0200*, vf-of:*\n[pool mixed]\ndevices = pool:nics, "
                         "bus:platform\n"
                         "[pool open]\ndevices = class:*, any\n",
                    "");
        assert_says(BLUE "devices = pool:nics+pool:tty\n[pool nics]\ndevices = class:0200*\n"
                         "[pool tty]\ndevices = mdev-type:mtty-1, mdev-type:mtty-2\n"
                         "[device pool:nics+bus:ccw]\ndriver = x\n",
                    "t:3: pool:nics+pool:tty: can never match: pool:tty has mdev devices only, the rest "
                    "asks for pci; "
                    "correct one of them\n"
                    "t:8: pool:nics+bus:ccw: can never match: pool:nics has pci devices only, the rest asks "
                    "for ccw; "
                    "correct one of them");
}

/* A group that one tenant names twice, itself and through pools, is no split. */
static void test_group_once(_unused_ void **state)
{
        assert_says("[pool a]\ndevices = group:7, pool:b\n[pool b]\ndevices = group:7\n" BLUE
                    "devices = group:7, pool:a, pool:b\n[tenant red]\nmatch-user = 2\ndevices = group:6\n"
                    "deny-devices = group:7\n",
                    "");
}

/* More groups than the first array holds; every second is shared, and each is told. */
static void test_many_groups(_unused_ void **state)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;
        char text[2200] = BLUE "devices = group:0";

        for (int i = 1; i < 80; i++)
                (void)sprintf(text + strlen(text), ",group:%d", i);
        strcat(text, "\n[tenant red]\nmatch-user = 2\ndevices = group:0");
        for (int i = 2; i < 80; i += 2)
                (void)sprintf(text + strlen(text), ",group:%d", i);
        assert_int_equal(policy_load_string("t", text, strlen(text), &policy, &errors), 0);
        assert_int_equal(errors.n_errors, 0);
        assert_int_equal(errors.n_warnings, 40);
}

/* Sockets of their own are fine, and so are tenants without. */
static void test_sockets(_unused_ void **state)
{
        assert_says(BLUE "devices = any\nsocket = /run/a\n[tenant b]\nmatch-user = 2\ndevices = any\n"
                         "[tenant c]\nmatch-user = 2\ndevices = any\n"
                         "[tenant d]\nmatch-user = 2\ndevices = any\nsocket = /run/b\nsocket-user = root\n",
                    "");
}

/* Tenants are found by name among many. */
static void test_tenants_by_name(_unused_ void **state)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_policy_ Policy *policy = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        char name[16];

        assert_non_null(f);
        for (unsigned i = 0; i < 100; i++)
                (void)fprintf(f, "[tenant t%u]\nmatch-user = %u\ndevices = any\n", i * 37 % 100, i);
        assert_int_equal(fclose(f), 0);

        policy = policy_of(text);
        for (unsigned i = 0; i < 100; i++) {
                (void)snprintf(name, sizeof(name), "t%u", i);
                assert_string_equal(policy_tenant_by_name(policy, name)->name, name);
        }
        assert_null(policy_tenant_by_name(policy, "t100"));
        assert_null(policy_tenant_by_name(policy, ""));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pools),      cmocka_unit_test(test_diamond),
                cmocka_unit_test(test_depth),      cmocka_unit_test(test_cycle),
                cmocka_unit_test(test_backends),   cmocka_unit_test(test_pool_bus),
                cmocka_unit_test(test_group_once), cmocka_unit_test(test_many_groups),
                cmocka_unit_test(test_sockets),    cmocka_unit_test(test_tenants_by_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
