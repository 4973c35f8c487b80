/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The policy in its corners: values that only just are or are not good, each in a policy of its own; defaults of the calls
 * that load; files that are not what they seem. With the tests of each file it takes every branch of policy/. */

#include "tests/fixtures/policy-text.h"

#include <fcntl.h>

#include "policy/decide.h"

#define WHO  "[tenant blue]\ndevices = any\n"
#define BLUE "[tenant blue]\nmatch-user = 1\ndevices = any\n"

/* Text, and what of the answer is looked for; "" where it is good. */
static void test_values(_unused_ void **state)
{
        static const struct {
                const char *text, *says;
        } table[] = {
                { BLUE "socket = relative", "write an absolute path" },
                { BLUE "socket = /run/", "write an absolute path" },
                { BLUE "socket = /run//a", "write an absolute path" },
                { BLUE "socket = /run/../a", "write an absolute path" },
                { BLUE "socket = /run/./a", "write an absolute path" },
                { BLUE "socket = /run/..", "write an absolute path" },
                { BLUE "socket = /run/.", "write an absolute path" },
                { BLUE "socket = /", "write an absolute path" },
                { BLUE "socket = /a", "" },
                { BLUE "socket-group = root", "has an owner for a socket, but no socket" },
                { BLUE "[device any]\ndriver = vfio/pci", "write the name of a driver" },
                { BLUE "[device any]\n"
                       "driver = aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg",
                  "write the name of a driver" },
                { BLUE "match-unit = a.service ,b.service\t, c.service", "" },
                { WHO "match-user = $", "\"$\" is no user" },
                { WHO "match-user = -a", "\"-a\" is no user" },
                { WHO "match-user = no-such-user$", "there is no user" },
                { WHO "match-user = a,", "there is no user \"a\"" },
                { WHO "match-user = 1,", "take the comma away" },
                { BLUE "deny-devices = pci-id:1:2:3:4:5", "each four hexadecimal digits" },
                { BLUE "deny-devices = pci-id:8086:10ca:8086:10ca:8086", "each four hexadecimal digits" },
                { BLUE "deny-devices = pool:no\n[pool yes]\ndevices = any\n[pool not]\ndevices = any\n[pool "
                       "none]\ndevices = any",
                  "did you mean pool:not?" },
                { BLUE "deny-devices = id:[[:alpha:]]*, id:[[.a.]], id:[[=a=]], id:[[:alpha], id:[a[b]",
                  "" },
                { "[broker]\n[broker]\n", "the section [broker] is in line 1 already" },
                { BLUE "\x01 = 1 \\\n also broken \x01 \\\n and so on\n", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
                _cleanup_policy_ Policy *policy = NULL;
                _cleanup_free_ char *said = NULL;

                (void)policy_load_string("t", table[i].text, strlen(table[i].text), &policy, &errors);
                said = policy_errors_to_string(&errors);
                assert_non_null(said);
                if (!strstr(said, table[i].says) || (!*table[i].says && *said && i + 1 < ELEMENTSOF(table)))
                        fail_msg("%s\nsays: %s", table[i].text, said);
        }
}

/* A circle of pools that is too long to be told in full. */
static void test_long_circle(_unused_ void **state)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *said = NULL;
        char text[4096];
        size_t n = 0;

        for (unsigned i = 0; i < 8; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n,
                                      "[pool a-name-of-some-length-for-a-pool-%u]\ndevices = "
                                      "pool:a-name-of-some-length-for-a-pool-%u\n",
                                      i, (i + 1) % 8);
        assert_int_equal(policy_load_string("t", text, n, &policy, &errors), -EINVAL);
        said = policy_errors_to_string(&errors);
        assert_non_null(strstr(said, "... -> a-name-of-some-length-for-a-pool-0)"));
}

/* A line that is too long takes those that it goes on in with it. */
static void test_long_line(_unused_ void **state)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;
        char text[POLICY_LINE_MAX + 128];

        memset(text, 'x', sizeof(text));
        (void)strcpy(text + POLICY_LINE_MAX + 1, " \\\n = 1 \\\n and so on\n[broker]\n");
        assert_int_equal(policy_load_string("t", text, strlen(text), &policy, &errors), -EINVAL);
        assert_int_equal(errors.n_items, 1);
        assert_int_equal(errors.items[0].line, 1);
}

/* The helpers take what is not there. */
static void test_nothing(_unused_ void **state)
{
        _cleanup_(fclosep) FILE *f = NULL;
        char error[TENANT_MATCH_ERROR_MAX], name[300] = "";
        uid_t uid;

        assert_null(f);
        assert_true(streq_ptr(NULL, NULL));
        assert_false(streq_ptr("a", NULL));
        assert_int_equal(tenant_match_lookup_user("", &uid, error), -EINVAL);
        memset(name, 'a', sizeof(name) - 1);
        assert_int_equal(tenant_match_lookup_user(name, &uid, error), -EINVAL);
        assert_non_null(strstr(error, "is no user"));
}

/* A slice is within the root, and what is no slice is not. */
static void test_slices(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("[tenant a]\nmatch-slice = -.slice\ndevices = any\n"
                                                    "[tenant b]\nmatch-slice = b.slice\ndevices = any\n");
        static const struct {
                const char *slice;
                bool a, b;
        } table[] = { { "-.slice", true, false },  { "b.slice", true, true }, { "b-c.slice", true, true },
                      { "bc.slice", true, false }, { "b-c", false, false },   { "b-", false, false } };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                CallerFacts who = { .slice = table[i].slice };

                assert_int_equal(decide_caller_matches(policy->tenants, &who), table[i].a);
                assert_int_equal(decide_caller_matches(policy->tenants + 1, &who), table[i].b);
        }
}

/* What is asked to be a tenant by a name that none can have. */
static void test_wanted(_unused_ void **state)
{
        static const char *const names[] = { "a b", "a\x7f", "\n", "\xff" };
        _cleanup_policy_ Policy *policy = policy_of(BLUE);
        const CallerFacts who = { .uid = 1 };
        Verdict verdict;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                decide_tenant(policy, &who, names[i], &verdict);
                assert_int_equal(verdict.code, VERDICT_NO_TENANT);
                assert_string_equal(verdict.text, "no tenant can be called so");
        }
}

/* All that a call may leave out: the errors, the places, the name of a folder. */
static void test_calls(_unused_ void **state)
{
        char dir[] = "/tmp/test-corners-XXXXXX", name[64];
        const char *const none[] = { "/nowhere/at/all", NULL }, *const there[] = { ".", NULL };
        const PolicyDirs here = { .file = "main.conf", .dropin_dirs = none, .flags = POLICY_LOAD_ANY_OWNER };
        const PolicyDirs root = { .file = "/no-such-file",
                                  .dropin_dirs = none,
                                  .flags = POLICY_LOAD_ANY_OWNER };
        const PolicyDirs installed = { .flags = POLICY_LOAD_ANY_OWNER };
        char *files[] = { name, NULL };
        Policy *policy = NULL;
        int old = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        FILE *f;

        assert_true(old >= 0 && mkdtemp(dir) && chdir(dir) == 0);
        (void)snprintf(name, sizeof(name), "%s/main.conf", dir);
        f = fopen(name, "we");
        assert_non_null(f);
        assert_true(fputs(BLUE, f) >= 0 && fclose(f) == 0);

        assert_int_equal(policy_load(&here, &policy, NULL), 0);
        assert_int_equal(policy->n_tenants, 1);
        policy = policy_unref(policy);
        /* names that are no drop-in's */
        assert_true(close(creat("conf", 0600)) == 0 && close(creat(".a.conf", 0600)) == 0);
        assert_int_equal(policy_load(&(PolicyDirs){ .file = "main.conf",
                                                    .dropin_dirs = there,
                                                    .flags = POLICY_LOAD_ANY_OWNER },
                                     &policy, NULL),
                         0);
        assert_int_equal(policy->n_files, 2);
        policy = policy_unref(policy);
        assert_int_equal(unlink("conf") | unlink(".a.conf"), 0);

        assert_int_equal(policy_load(&root, &policy, NULL), 0);
        assert_int_equal(policy->n_tenants, 0);
        policy = policy_unref(policy);
        assert_int_equal(policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, NULL), 0);
        policy = policy_unref(policy);
        assert_null(policy_unref(NULL));
        assert_null(policy_ref(NULL));

        /* the installed places may hold anything, or nothing */
        if (policy_load(&installed, &policy, NULL) == 0)
                policy = policy_unref(policy);
        if (policy_load(NULL, &policy, NULL) == 0)
                policy = policy_unref(policy);

        /* neither a text nor nothing; and a file that has more in it than it says */
        strcpy(name, "/dev/zero");
        assert_int_equal(policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, NULL), -EINVAL);
        strcpy(name, "/dev/null");
        assert_int_equal(policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, NULL), 0);
        policy = policy_unref(policy);
        strcpy(name, "/proc/self/status");
        assert_int_equal(policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, NULL), -EINVAL);

        (void)snprintf(name, sizeof(name), "%s/main.conf", dir);
        assert_int_equal(unlink(name) | fchdir(old) | rmdir(dir) | close(old), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),    cmocka_unit_test(test_long_circle),
                cmocka_unit_test(test_slices),    cmocka_unit_test(test_wanted),
                cmocka_unit_test(test_long_line), cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_calls),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
