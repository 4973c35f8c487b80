/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/glob.c: patterns, and the proof that one can match nothing of a shape. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/glob.h"
#include "policy/util.h"

#define ADDRESS "xxxx:xx:bx.o"

/* A bracket must be closed; the first ] in one stands for itself. */
static void test_valid(_unused_ void **state)
{
        assert_true(glob_is_valid(""));
        assert_true(glob_is_valid("a*?"));
        assert_true(glob_is_valid("[a]"));
        assert_true(glob_is_valid("[]]"));
        assert_true(glob_is_valid("[!]a]"));
        assert_true(glob_is_valid("[^a]"));
        assert_true(glob_is_valid("[[:digit:]]"));
        assert_true(glob_is_valid("[[:digit]"));
        assert_false(glob_is_valid("["));
        assert_false(glob_is_valid("a[b"));
        assert_false(glob_is_valid("[]"));
        assert_false(glob_is_valid("[!]"));
        assert_false(glob_is_valid("[[:digit:]"));
}

/* A bracket that is longer than any that makes sense is refused, and not overrun. */
static void test_long_bracket(_unused_ void **state)
{
        char pattern[600];

        memset(pattern, 'a', sizeof(pattern));
        pattern[0] = '[';
        pattern[254] = ']';
        pattern[255] = '\0';
        assert_true(glob_is_valid(pattern));
        assert_true(glob_fits(pattern, "a") && !glob_fits(pattern, "z"));
        pattern[254] = 'a';
        pattern[255] = ']';
        pattern[256] = '\0';
        assert_false(glob_is_valid(pattern));
}

static void test_literal(_unused_ void **state)
{
        assert_true(glob_is_literal("a.b\\c"));
        assert_false(glob_is_literal("a*"));
        assert_false(glob_is_literal("a?"));
        assert_false(glob_is_literal("[a]"));
}

/* A backslash is itself, as unit names have it; a star passes dots and slashes. */
static void test_matches(_unused_ void **state)
{
        assert_true(glob_matches("vm\\x2d*", "vm\\x2da"));
        assert_true(glob_matches("*", ".a/b"));
        assert_false(glob_matches("a", "A"));
}

/* Patterns that some address fits. */
static void test_fits(_unused_ void **state)
{
        assert_true(glob_fits("0000:3b:00.0", ADDRESS));
        assert_true(glob_fits("*", ADDRESS));
        assert_true(glob_fits("**", ADDRESS));
        assert_true(glob_fits("0000:3b:00.*", ADDRESS));
        assert_true(glob_fits("*.7", ADDRESS));
        assert_true(glob_fits("????:??:??.?", ADDRESS));
        assert_true(glob_fits("0000:[0-3]?:*[!1-7]", ADDRESS));
        assert_true(glob_fits("*:*:*.*", ADDRESS));
        assert_true(glob_fits("[[:xdigit:]]*", ADDRESS));
        assert_true(glob_fits("", ""));
        assert_true(glob_fits("10000", "nxxxx"));
}

/* Patterns that none does, for each way of missing. */
static void test_fits_not(_unused_ void **state)
{
        assert_false(glob_fits("", ADDRESS));
        assert_false(glob_fits("3b:00.0", ADDRESS));
        assert_false(glob_fits("0000:3b:00.8", ADDRESS));
        assert_false(glob_fits("0000:3b:20.0", ADDRESS));
        assert_false(glob_fits("0000:3b:00.0 ", ADDRESS));
        assert_false(glob_fits("0000:3B:00.0", ADDRESS));
        assert_false(glob_fits("*g*", ADDRESS));
        assert_false(glob_fits("*.[89]", ADDRESS));
        assert_false(glob_fits("[!0-9a-f]*", ADDRESS));
        assert_false(glob_fits("?????:*:*:*", ADDRESS));
        assert_false(glob_fits("00000", "nxxxx"));
        assert_false(glob_fits("[", ADDRESS));
        assert_false(glob_fits("*[0", ADDRESS));
}

/* Many stars cost no more than one: this returns, and before the test's time is over. */
static void test_many_stars(_unused_ void **state)
{
        char pattern[1001];

        memset(pattern, '*', 1000);
        for (size_t i = 1; i < 1000; i += 2)
                pattern[i] = '0';
        pattern[1000] = '\0';
        assert_false(glob_fits(pattern, ADDRESS));
}

/* A shape as long as is allowed uses every bit of the automaton. */
static void test_longest_shape(_unused_ void **state)
{
        char shape[GLOB_SHAPE_MAX + 1];

        memset(shape, 'x', GLOB_SHAPE_MAX);
        shape[GLOB_SHAPE_MAX] = '\0';
        assert_true(glob_fits("*", shape));
        assert_true(glob_fits("0*f", shape));
        assert_false(glob_fits("*g", shape));
}

/* Disjoint only where it is certain. */
static void test_disjoint(_unused_ void **state)
{
        assert_true(glob_disjoint("a", "b"));
        assert_false(glob_disjoint("a", "a"));
        assert_true(glob_disjoint("a", "b*"));
        assert_true(glob_disjoint("b*", "a"));
        assert_false(glob_disjoint("a*", "ab"));
        assert_false(glob_disjoint("a*", "b*"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_valid),      cmocka_unit_test(test_long_bracket),
                cmocka_unit_test(test_literal),    cmocka_unit_test(test_matches),
                cmocka_unit_test(test_fits),       cmocka_unit_test(test_fits_not),
                cmocka_unit_test(test_many_stars), cmocka_unit_test(test_longest_shape),
                cmocka_unit_test(test_disjoint),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
