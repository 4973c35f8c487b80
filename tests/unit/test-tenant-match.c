/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/tenant-match.c: who is a tenant. The only names looked up are those that every system has. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/tenant-match.h"

static int parse(Arena *arena, TenantMatch *match, const char *key, const char *value)
{
        char error[TENANT_MATCH_ERROR_MAX];
        int k = tenant_match_key_from_string(key);

        assert_true(k >= 0);
        return tenant_match_parse(arena, match, (TenantMatchKey)k, value, error);
}

/* Does a tenant with this one key match the caller? */
static bool holds(const char *key, const char *value, const CallerFacts *caller)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;
        TenantMatch match = {};

        assert_int_equal(parse(&arena, &match, key, value), 0);
        return tenant_match(&match, caller, NULL);
}

static void assert_refused(const char *key, const char *value, const char *why)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;
        char error[TENANT_MATCH_ERROR_MAX] = "";
        TenantMatch match = {};
        int k = tenant_match_key_from_string(key);

        assert_int_equal(tenant_match_parse(&arena, &match, (TenantMatchKey)k, value, error), -EINVAL);
        if (!strstr(error, why))
                fail_msg("%s = %s: \"%s\" does not say \"%s\"", key, value, error, why);
        assert_false(tenant_match_is_set(&match));
}

/* Numbers, ranges with both ends, and names. */
static void test_user(_unused_ void **state)
{
        CallerFacts caller = { .uid = 2001 };

        assert_true(holds("match-user", "2001", &caller));
        assert_true(holds("match-user", "2001-2999", &caller));
        assert_true(holds("match-user", "1-2001", &caller));
        assert_true(holds("match-user", "1, 5-7 ,2001", &caller));
        assert_false(holds("match-user", "2002-2999", &caller));
        assert_false(holds("match-user", "1-2000", &caller));
        assert_false(holds("match-user", "root", &caller));
        caller.uid = 0;
        assert_true(holds("match-user", "root", &caller));
        assert_true(holds("match-user", "0", &caller));
        caller.uid = UINT32_MAX - 1;
        assert_true(holds("match-user", "4294967294", &caller));
}

/* Any of the caller's groups will do. */
static void test_group(_unused_ void **state)
{
        const gid_t gids[] = { 100, 2001 };
        const CallerFacts with = { .uid = 1, .gids = gids, .n_gids = 2 };
        const CallerFacts without = { .uid = 2001 };

        assert_true(holds("match-group", "2001", &with));
        assert_true(holds("match-group", "90-110", &with));
        assert_false(holds("match-group", "root", &with));
        assert_false(holds("match-group", "2001", &without));
}

static void test_unit(_unused_ void **state)
{
        const CallerFacts caller = { .unit = "vm-blue@1.service" };
        const CallerFacts unknown = {};

        assert_true(holds("match-unit", "vm-blue@*.service", &caller));
        assert_true(holds("match-unit", "vm-blue@1.service", &caller));
        assert_true(holds("match-unit", "other.scope, vm-*", &caller));
        assert_false(holds("match-unit", "vm-red@*.service", &caller));
        assert_false(holds("match-unit", "*", &unknown));
}

/* A slice holds those below it, which their names say; a name that only begins alike is not below. */
static void test_slice(_unused_ void **state)
{
        const CallerFacts blue = { .slice = "blue.slice" }, below = { .slice = "blue-vms-1.slice" };
        const CallerFacts alike = { .slice = "blues.slice" }, unknown = {},
                          odd = { .slice = "blue-x.service" };

        assert_true(holds("match-slice", "blue.slice", &blue));
        assert_true(holds("match-slice", "blue.slice", &below));
        assert_true(holds("match-slice", "blue-vms.slice", &below));
        assert_true(holds("match-slice", "-.slice", &below));
        assert_true(holds("match-slice", "red.slice, blue.slice", &below));
        assert_false(holds("match-slice", "blue.slice", &alike));
        assert_false(holds("match-slice", "blue-vms.slice", &blue));
        assert_false(holds("match-slice", "vms.slice", &below));
        assert_false(holds("match-slice", "-.slice", &unknown));
        assert_false(holds("match-slice", "blue.slice", &odd));
}

static void test_machine_and_label(_unused_ void **state)
{
        const CallerFacts caller = { .machine = "web", .label = "system_u:system_r:svirt_t:s0:c1,c2" };

        assert_true(holds("match-machine", "db, web", &caller));
        assert_false(holds("match-machine", "we", &caller));
        assert_true(holds("match-label", "*:svirt_t:*", &caller));
        assert_false(holds("match-label", "*:other_t:*", &caller));
        assert_false(holds("match-machine", "web", &(CallerFacts){}));
}

/* Every key that is given must hold, and the first that does not is named. */
static void test_all_keys(_unused_ void **state)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;
        CallerFacts caller = { .uid = 2001, .slice = "blue.slice", .unit = "a.service" };
        TenantMatchKey failed = TENANT_MATCH_USER;
        TenantMatch match = {};

        assert_false(tenant_match_is_set(&match));
        assert_false(tenant_match(&match, &caller, &failed));
        assert_int_equal(failed, _TENANT_MATCH_MAX);
        assert_false(tenant_match(&match, &caller, NULL));

        assert_int_equal(parse(&arena, &match, "match-user", "2001"), 0);
        assert_int_equal(parse(&arena, &match, "match-slice", "blue.slice"), 0);
        assert_true(tenant_match_is_set(&match));
        assert_true(tenant_match(&match, &caller, &failed));

        caller.slice = "red.slice";
        assert_false(tenant_match(&match, &caller, &failed));
        assert_int_equal(failed, TENANT_MATCH_SLICE);
        caller.uid = 2002;
        assert_false(tenant_match(&match, &caller, &failed));
        assert_int_equal(failed, TENANT_MATCH_USER);
}

/* A second value replaces the first, an empty one takes the key away, a bad one changes nothing. */
static void test_replace(_unused_ void **state)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;
        const CallerFacts caller = { .uid = 2001 };
        TenantMatch match = {};

        assert_int_equal(parse(&arena, &match, "match-user", "1"), 0);
        assert_int_equal(parse(&arena, &match, "match-user", "2001"), 0);
        assert_true(tenant_match(&match, &caller, NULL));
        assert_int_equal(parse(&arena, &match, "match-user", "1, no such user"), -EINVAL);
        assert_true(tenant_match(&match, &caller, NULL));
        assert_int_equal(parse(&arena, &match, "match-user", " \t"), 0);
        assert_false(tenant_match_is_set(&match));
}

static void test_refused(_unused_ void **state)
{
        assert_refused("match-user", "no-such-user-here", "no user \"no-such-user-here\"");
        assert_refused("match-group", "no-such-group-here", "no group \"no-such-group-here\"");
        assert_refused("match-user", "a b", "is no user");
        assert_refused("match-user", "-5", "is no user");
        assert_refused("match-user", "*", "is no user");
        assert_refused("match-user", "1-", "FIRST-LAST");
        assert_refused("match-user", "1-2-3", "FIRST-LAST");
        assert_refused("match-user", "9-1", "the range is empty");
        assert_refused("match-user", "4294967295", "0 to 4294967294");
        assert_refused("match-user", "1-4294967295", "0 to 4294967294");
        assert_refused("match-user", "11111111111111111111111111111111111111", "0 to 4294967294");
        assert_refused("match-user", "1,", "two commas");
        assert_refused("match-user", ",1", "two commas");
        assert_refused("match-unit", "vm-blue", "vm-blue.service");
        assert_refused("match-unit", "[a.service", "not closed");
        assert_refused("match-slice", "blue", "blue.slice");
        assert_refused("match-slice", ".slice", "suffix");
        assert_refused("match-slice", "b*.slice", "not by a pattern");
        assert_refused("match-machine", "w*", "not as a pattern");
        assert_refused("match-label", "a,,b", "two commas");
}

/* One user or group, for the keys that name one. */
static void test_lookup(_unused_ void **state)
{
        char error[TENANT_MATCH_ERROR_MAX];
        uid_t uid = 7;
        gid_t gid = 7;

        assert_int_equal(tenant_match_lookup_user("1-2", &uid, error), -EINVAL);
        assert_int_equal(tenant_match_lookup_user("no-such-user-here", &uid, error), -EINVAL);
        assert_int_equal(uid, 7);
        assert_int_equal(tenant_match_lookup_user("root", &uid, error), 0);
        assert_int_equal(uid, 0);
        assert_int_equal(tenant_match_lookup_group("1234", &gid, error), 0);
        assert_int_equal(gid, 1234);
        assert_int_equal(tenant_match_lookup_group("1-1", &gid, error), 0);
        assert_int_equal(gid, 1);
}

/* A machine account's name may end in a dollar, but no other character may be in one. */
static void test_account_names(_unused_ void **state)
{
        assert_refused("match-user", "host$", "there is no user");
        assert_refused("match-user", "$", "is no user");
        assert_refused("match-user", "a$b", "is no user");
}

static void test_names(_unused_ void **state)
{
        for (unsigned i = 0; i < _TENANT_MATCH_MAX; i++) {
                const char *name = tenant_match_key_to_string((TenantMatchKey)i);

                assert_non_null(name);
                assert_int_equal(tenant_match_key_from_string(name), i);
        }
        assert_null(tenant_match_key_to_string(_TENANT_MATCH_MAX));
        assert_int_equal(tenant_match_key_from_string("match-nothing"), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_user),
                cmocka_unit_test(test_group),
                cmocka_unit_test(test_unit),
                cmocka_unit_test(test_slice),
                cmocka_unit_test(test_machine_and_label),
                cmocka_unit_test(test_all_keys),
                cmocka_unit_test(test_replace),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_lookup),
                cmocka_unit_test(test_account_names),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
