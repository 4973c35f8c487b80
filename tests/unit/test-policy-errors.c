/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/errors.c: the list of what is wrong: its order, its bounds, its text. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/errors.h"

static PolicyWhere in(const char *file, unsigned line)
{
        return (PolicyWhere){ file, line };
}

/* file:line: text, warnings marked, in the order of files and lines; those of one line as they came. */
static void test_order(_unused_ void **state)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        const char *const files[] = { "z", "a" };
        _cleanup_free_ char *all = NULL;

        policy_errors_add(&errors, POLICY_ERROR, in("a", 2), "one");
        policy_errors_add(&errors, POLICY_WARNING, in("z", 9), "two %d", 2);
        policy_errors_add(&errors, POLICY_ERROR, in("other", 1), "three");
        policy_errors_add(&errors, POLICY_ERROR, in("a", 1), "four");
        policy_errors_add(&errors, POLICY_ERROR, in("z", 9), "five");
        policy_errors_add(&errors, POLICY_ERROR, in("z", 0), "six");
        policy_errors_sort(&errors, files, 2);
        assert_int_equal(errors.n_errors, 5);
        assert_int_equal(errors.n_warnings, 1);

        all = policy_errors_to_string(&errors);
        assert_string_equal(all,
                            "z:0: six\nz:9: warning: two 2\nz:9: five\na:1: four\na:2: one\nother:1: three");
}

static void test_none(_unused_ void **state)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_free_ char *all = policy_errors_to_string(&errors);

        assert_string_equal(all, "");
        policy_errors_add(NULL, POLICY_ERROR, in("a", 1), "nobody listens");
        policy_errors_sort(&errors, NULL, 0);
}

/* As many as are kept, and one more: it is counted, and the text says so. */
static void test_limit(_unused_ void **state)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_free_ char *full = NULL, *over = NULL;

        for (unsigned i = 0; i < POLICY_ERRORS_MAX; i++)
                policy_errors_add(&errors, POLICY_ERROR, in("a", i), "x");
        full = policy_errors_to_string(&errors);
        assert_int_equal(errors.n_items, POLICY_ERRORS_MAX);
        assert_null(strstr(full, "more)"));

        policy_errors_add(&errors, POLICY_WARNING, in("a", 1), "x");
        over = policy_errors_to_string(&errors);
        assert_int_equal(errors.n_items, POLICY_ERRORS_MAX);
        assert_int_equal(errors.n_warnings, 1);
        assert_non_null(strstr(over, "\n(and 1 more)"));
}

/* A text that is too long is cut, and a list can be used again. */
static void test_long_text(_unused_ void **state)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        char text[5000];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        policy_errors_add(&errors, POLICY_ERROR, in(NULL, 1), "%s", text);
        assert_int_equal(strlen(errors.items[0].text), 1023);
        assert_string_equal(errors.items[0].file, "");
        policy_errors_done(&errors);
        assert_int_equal(errors.n_errors, 0);
        policy_errors_add(&errors, POLICY_ERROR, in("b", 1), "again");
        assert_int_equal(errors.n_items, 1);
}

/* Near words are found, case aside, the nearest first; far ones are not. */
static void test_nearest(_unused_ void **state)
{
        const char *const words[] = { "devices", "devices-max", "leases-max", "reset" };
        char long_word[100];

        assert_string_equal(policy_nearest("device-max", words, 4), "devices-max");
        assert_string_equal(policy_nearest("DEVICES", words, 4), "devices");
        assert_string_equal(policy_nearest("rest", words, 4), "reset");
        assert_string_equal(policy_nearest("reset", words, 4), "reset");
        assert_null(policy_nearest("socket", words, 4));
        assert_null(policy_nearest("xyzzy", words, 4));
        assert_null(policy_nearest("a", words, 0));
        memset(long_word, 'a', 99);
        long_word[99] = '\0';
        assert_null(policy_nearest(long_word, words, 4));
        assert_null(policy_nearest("abcdef", (const char *const[]){ long_word }, 1));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),   cmocka_unit_test(test_none),
                cmocka_unit_test(test_limit),   cmocka_unit_test(test_long_text),
                cmocka_unit_test(test_nearest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
