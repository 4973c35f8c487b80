/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/value.c: each parser at its limits, one past them, and on what only looks like a value. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/util.h"
#include "policy/value.h"

/* The words that are booleans, and their near misses. */
static void test_bool(_unused_ void **state)
{
        static const char *const yes[] = { "yes", "true", "on", "1" };
        static const char *const no[] = { "no", "false", "off", "0" };
        static const char *const neither[] = { "", "Yes", "y", "2", "01", "yes ", "truee" };
        bool value;

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                value = false;
                assert_int_equal(value_bool(yes[i], &value), 0);
                assert_true(value);
        }
        for (size_t i = 0; i < ELEMENTSOF(no); i++) {
                value = true;
                assert_int_equal(value_bool(no[i], &value), 0);
                assert_false(value);
        }
        for (size_t i = 0; i < ELEMENTSOF(neither); i++)
                assert_int_equal(value_bool(neither[i], &value), -EINVAL);
}

/* The output of a parser that refuses stays as it was. */
static void test_untouched(_unused_ void **state)
{
        uint64_t value = 42;
        unsigned small = 42;
        mode_t mode = 42;

        assert_int_equal(value_unsigned("x", 9, &value), -EINVAL);
        assert_int_equal(value_size("1x", &value), -EINVAL);
        assert_int_equal(value_duration("1", &value), -EINVAL);
        assert_int_equal(value_percent("101%", &small), -ERANGE);
        assert_int_equal(value_hex("12", 4, &small), -EINVAL);
        assert_int_equal(value_rate("1/0s", &small, &value), -ERANGE);
        assert_int_equal(value_mode("9", &mode), -EINVAL);
        assert_int_equal(value, 42);
        assert_int_equal(small, 42);
        assert_int_equal(mode, 42);
}

static void test_unsigned(_unused_ void **state)
{
        uint64_t value;

        assert_int_equal(value_unsigned("0", 0, &value), 0);
        assert_int_equal(value, 0);
        assert_int_equal(value_unsigned("4", 4, &value), 0);
        assert_int_equal(value, 4);
        assert_int_equal(value_unsigned("5", 4, &value), -ERANGE);
        assert_int_equal(value_unsigned("18446744073709551615", UINT64_MAX, &value), 0);
        assert_true(value == UINT64_MAX);
        assert_int_equal(value_unsigned("18446744073709551616", UINT64_MAX, &value), -ERANGE);
        assert_int_equal(value_unsigned("99999999999999999999999", UINT64_MAX, &value), -ERANGE);
        for (size_t i = 0; i < 7; i++)
                assert_int_equal(
                        value_unsigned((const char *[]){ "", "-1", "+1", " 1", "1 ", "0x1", "1.0" }[i], 9,
                                       &value),
                        -EINVAL);
}

static void test_hex(_unused_ void **state)
{
        unsigned value;

        assert_int_equal(value_hex("10ca", 4, &value), 0);
        assert_int_equal(value, 0x10ca);
        assert_int_equal(value_hex("FfFf", 4, &value), 0);
        assert_int_equal(value, 0xffff);
        assert_int_equal(value_hex("10cg", 4, &value), -EINVAL);
        assert_int_equal(value_hex("10c", 4, &value), -EINVAL);
        assert_int_equal(value_hex("10ca0", 4, &value), -EINVAL);
        assert_int_equal(value_hex("", 4, &value), -EINVAL);
}

static void test_size(_unused_ void **state)
{
        uint64_t value;

        assert_int_equal(value_size("0", &value), 0);
        assert_int_equal(value, 0);
        assert_int_equal(value_size("4096", &value), 0);
        assert_int_equal(value, 4096);
        assert_int_equal(value_size("1K", &value), 0);
        assert_int_equal(value, 1024);
        assert_int_equal(value_size("64M", &value), 0);
        assert_int_equal(value, 64 * 1024 * 1024);
        assert_int_equal(value_size("2G", &value), 0);
        assert_true(value == UINT64_C(2) << 30);
        assert_int_equal(value_size("16777215T", &value), 0);
        assert_true(value == UINT64_C(16777215) << 40);
        assert_int_equal(value_size("16777216T", &value), -ERANGE);
        /* stands for "not limited" */
        assert_int_equal(value_size("18446744073709551615", &value), -ERANGE);
        assert_int_equal(value_size("18446744073709551616K", &value), -ERANGE);
        for (size_t i = 0; i < 7; i++)
                assert_int_equal(
                        value_size((const char *[]){ "", "K", "1k", "1KB", "1 K", "-1K", "1.5G" }[i],
                                   &value),
                        -EINVAL);
}

static void test_percent(_unused_ void **state)
{
        unsigned value;

        assert_int_equal(value_percent("0%", &value), 0);
        assert_int_equal(value, 0);
        assert_int_equal(value_percent("100%", &value), 0);
        assert_int_equal(value, 100);
        assert_int_equal(value_percent("101%", &value), -ERANGE);
        assert_int_equal(value_percent("99999999999999999999%", &value), -ERANGE);
        assert_int_equal(value_percent("50", &value), -EINVAL);
        assert_int_equal(value_percent("%", &value), -EINVAL);
}

static void test_duration(_unused_ void **state)
{
        uint64_t value;

        assert_int_equal(value_duration("0", &value), 0);
        assert_int_equal(value, 0);
        assert_int_equal(value_duration("0s", &value), 0);
        assert_int_equal(value, 0);
        assert_int_equal(value_duration("7us", &value), 0);
        assert_int_equal(value, 7);
        assert_int_equal(value_duration("500ms", &value), 0);
        assert_int_equal(value, 500000);
        assert_int_equal(value_duration("10s", &value), 0);
        assert_int_equal(value, 10000000);
        assert_int_equal(value_duration("2min", &value), 0);
        assert_int_equal(value, 120000000);
        assert_int_equal(value_duration("1h", &value), 0);
        assert_true(value == UINT64_C(3600000000));
        assert_int_equal(value_duration("9223372036854775807us", &value), 0);
        assert_int_equal(value_duration("9223372036854775808us", &value), -ERANGE);
        assert_int_equal(value_duration("9999999999999999h", &value), -ERANGE);
        for (size_t i = 0; i < 6; i++)
                assert_int_equal(
                        value_duration((const char *[]){ "", "10", "s", "1d", "1 s", "1S" }[i], &value),
                        -EINVAL);
}

static void test_rate(_unused_ void **state)
{
        unsigned count;
        uint64_t usec;

        assert_int_equal(value_rate("20/10s", &count, &usec), 0);
        assert_int_equal(count, 20);
        assert_int_equal(usec, 10000000);
        assert_int_equal(value_rate("4294967295/1us", &count, &usec), 0);
        assert_int_equal(value_rate("4294967296/1us", &count, &usec), -ERANGE);
        assert_int_equal(value_rate("99999999999999999999/1us", &count, &usec), -ERANGE);
        assert_int_equal(value_rate("0/1s", &count, &usec), -ERANGE);
        assert_int_equal(value_rate("1/0", &count, &usec), -ERANGE);
        for (size_t i = 0; i < 5; i++)
                assert_int_equal(
                        value_rate((const char *[]){ "", "20", "20/", "/10s", "20/10" }[i], &count, &usec),
                        -EINVAL);
}

static void test_mode(_unused_ void **state)
{
        mode_t mode;

        assert_int_equal(value_mode("0660", &mode), 0);
        assert_int_equal(mode, 0660);
        assert_int_equal(value_mode("777", &mode), 0);
        assert_int_equal(mode, 0777);
        assert_int_equal(value_mode("1777", &mode), -ERANGE);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(value_mode((const char *[]){ "", "60", "00660", "0680" }[i], &mode),
                                 -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bool),     cmocka_unit_test(test_untouched),
                cmocka_unit_test(test_unsigned), cmocka_unit_test(test_hex),
                cmocka_unit_test(test_size),     cmocka_unit_test(test_percent),
                cmocka_unit_test(test_duration), cmocka_unit_test(test_rate),
                cmocka_unit_test(test_mode),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
