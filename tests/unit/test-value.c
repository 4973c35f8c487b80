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

/* A parser of one value, whatever the value's type is. */
typedef int (*Parser)(const char *text, uint64_t *ret);

/* What is refused leaves the output as it was. */
typedef struct Case {
        const char *text;
        int error; /* positive; 0: the value */
        uint64_t value;
} Case;

static void check(Parser parser, const Case *cases, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                uint64_t value = 42;

                print_message("\"%s\"\n", cases[i].text);
                assert_int_equal(parser(cases[i].text, &value), -cases[i].error);
                assert_true(value == (cases[i].error ? 42 : cases[i].value));
        }
}

#define CHECK(parser, ...)                                                                                  \
        check(parser, (const Case[]){ __VA_ARGS__ }, ELEMENTSOF(((const Case[]){ __VA_ARGS__ })))

static int up_to_4(const char *text, uint64_t *ret)
{
        return value_unsigned(text, 4, ret);
}

static int up_to_max(const char *text, uint64_t *ret)
{
        return value_unsigned(text, UINT64_MAX, ret);
}

/* For those whose value is smaller. */
#define WIDE(name, type, call)                                                                              \
        static int name(const char *text, uint64_t *ret)                                                    \
        {                                                                                                   \
                type value = 42;                                                                            \
                int r = call;                                                                               \
                                                                                                            \
                *ret = value;                                                                               \
                return r;                                                                                   \
        }

WIDE(hex_4, unsigned, value_hex(text, 4, &value))
WIDE(percent, unsigned, value_percent(text, &value))
WIDE(mode, mode_t, value_mode(text, &value))

static void test_unsigned(_unused_ void **state)
{
        CHECK(up_to_4, { "0", 0, 0 }, { "4", 0, 4 }, { "5", ERANGE, 0 });
        CHECK(up_to_max, { "18446744073709551615", 0, UINT64_MAX }, { "18446744073709551616", ERANGE, 0 },
              { "99999999999999999999999", ERANGE, 0 }, { "", EINVAL, 0 }, { "-1", EINVAL, 0 },
              { "+1", EINVAL, 0 }, { " 1", EINVAL, 0 }, { "1 ", EINVAL, 0 }, { "0x1", EINVAL, 0 },
              { "1.0", EINVAL, 0 });
}

static void test_hex(_unused_ void **state)
{
        CHECK(hex_4, { "10ca", 0, 0x10ca }, { "FfFf", 0, 0xffff }, { "10cg", EINVAL, 0 },
              { "10c", EINVAL, 0 }, { "10ca0", EINVAL, 0 }, { "", EINVAL, 0 });
}

static void test_size(_unused_ void **state)
{
        CHECK(value_size, { "0", 0, 0 }, { "4096", 0, 4096 }, { "1K", 0, 1024 },
              { "64M", 0, UINT64_C(64) << 20 }, { "2G", 0, UINT64_C(2) << 30 },
              { "16777215T", 0, UINT64_C(16777215) << 40 }, { "16777216T", ERANGE, 0 },
              { "18446744073709551615", ERANGE, 0 }, /* stands for "not limited" */
              { "18446744073709551616K", ERANGE, 0 }, { "", EINVAL, 0 }, { "K", EINVAL, 0 },
              { "1k", EINVAL, 0 }, { "1KB", EINVAL, 0 }, { "1 K", EINVAL, 0 }, { "-1K", EINVAL, 0 },
              { "1.5G", EINVAL, 0 });
}

static void test_percent(_unused_ void **state)
{
        CHECK(percent, { "0%", 0, 0 }, { "100%", 0, 100 }, { "101%", ERANGE, 0 },
              { "99999999999999999999%", ERANGE, 0 }, { "50", EINVAL, 0 }, { "%", EINVAL, 0 });
}

static void test_duration(_unused_ void **state)
{
        CHECK(value_duration, { "0", 0, 0 }, { "0s", 0, 0 }, { "7us", 0, 7 }, { "500ms", 0, 500000 },
              { "10s", 0, 10000000 }, { "2min", 0, 120000000 }, { "1h", 0, UINT64_C(3600000000) },
              { "9223372036854775807us", 0, INT64_MAX }, { "9223372036854775808us", ERANGE, 0 },
              { "9999999999999999h", ERANGE, 0 }, { "", EINVAL, 0 }, { "10", EINVAL, 0 }, { "s", EINVAL, 0 },
              { "1d", EINVAL, 0 }, { "1 s", EINVAL, 0 }, { "1S", EINVAL, 0 });
}

static void test_rate(_unused_ void **state)
{
        unsigned count = 42;
        uint64_t usec = 42;

        assert_int_equal(value_rate("1/0s", &count, &usec), -ERANGE);
        assert_int_equal(count, 42);
        assert_int_equal(usec, 42);

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
        CHECK(mode, { "0660", 0, 0660 }, { "777", 0, 0777 }, { "1777", ERANGE, 0 }, { "", EINVAL, 0 },
              { "60", EINVAL, 0 }, { "00660", EINVAL, 0 }, { "0680", EINVAL, 0 });
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bool),    cmocka_unit_test(test_unsigned),
                cmocka_unit_test(test_hex),     cmocka_unit_test(test_size),
                cmocka_unit_test(test_percent), cmocka_unit_test(test_duration),
                cmocka_unit_test(test_rate),    cmocka_unit_test(test_mode),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
