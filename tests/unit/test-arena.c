/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/arena.c: memory that ends at once. Leaks and overruns are the sanitizer's to see. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/arena.h"

/* Zeroed, aligned for anything, and each its own. */
static void test_alloc(_unused_ void **state)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;

        for (size_t n = 0; n < 100; n++) {
                unsigned char *p = arena_alloc(&arena, n, 3);

                assert_non_null(p);
                assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
                for (size_t i = 0; i < 3 * n; i++) {
                        assert_int_equal(p[i], 0);
                        p[i] = 0xff;
                }
        }
}

/* A product or a sum that overflows is no small allocation. */
static void test_overflow(_unused_ void **state)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;

        assert_null(arena_alloc(&arena, SIZE_MAX, 2));
        assert_null(arena_alloc(&arena, SIZE_MAX, 1));
        assert_null(arena_alloc(&arena, SIZE_MAX / 2 + 1, 2));
        assert_null(arena.blocks);
}

static void test_strings(_unused_ void **state)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;

        assert_string_equal(arena_strdup(&arena, "abc"), "abc");
        assert_string_equal(arena_strdup(&arena, ""), "");
        assert_string_equal(arena_strndup(&arena, "abc", 2), "ab");
        assert_string_equal(arena_strndup(&arena, "abc", 9), "abc");
}

/* It can be ended twice, and used again. */
static void test_done(_unused_ void **state)
{
        Arena arena = ARENA_NULL;

        arena_done(&arena);
        assert_non_null(arena_alloc(&arena, 1, 1));
        arena_done(&arena);
        arena_done(&arena);
        assert_non_null(arena_alloc(&arena, 1, 1));
        arena_done(&arena);
        assert_null(arena.blocks);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_alloc),
                cmocka_unit_test(test_overflow),
                cmocka_unit_test(test_strings),
                cmocka_unit_test(test_done),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
