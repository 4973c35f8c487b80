/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Strict parsers of single values. They stand in place of iniparser's getters, which take "4x" for 4, wrap
 * what is too large and crash on some names. */

#include "policy/value.h"

#include "policy/util.h"

int value_bool(const char *s, bool *ret_value)
{
        static const char *const words[2][4] = {
                { "no", "false", "off", "0" },
                { "yes", "true", "on", "1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                for (size_t j = 0; j < ELEMENTSOF(words[i]); j++)
                        if (streq(s, words[i][j])) {
                                *ret_value = i == 1;
                                return 0;
                        }
        return -EINVAL;
}

/* The digits at the start of s as a number; ret_end is what follows them. */
static int leading_number(const char *s, uint64_t *ret_value, const char **ret_end)
{
        uint64_t value = 0;
        bool overflow = false;

        if (*s < '0' || *s > '9')
                return -EINVAL;

        for (; *s >= '0' && *s <= '9'; s++)
                if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
                        overflow = true;

        *ret_value = overflow ? UINT64_MAX : value;
        *ret_end = s;
        return overflow ? -ERANGE : 0;
}

int value_unsigned(const char *s, uint64_t max, uint64_t *ret_value)
{
        const char *end;
        uint64_t value;
        int r = leading_number(s, &value, &end);

        if (r == -EINVAL || *end)
                return -EINVAL;
        if (r < 0 || value > max)
                return -ERANGE;

        *ret_value = value;
        return 0;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int value_hex(const char *s, unsigned n, unsigned *ret_value)
{
        unsigned value = 0;

        if (strlen(s) != n)
                return -EINVAL;

        for (; *s; s++) {
                int digit = hex_digit(*s);

                if (digit < 0)
                        return -EINVAL;
                value = value << 4 | (unsigned)digit;
        }

        *ret_value = value;
        return 0;
}

typedef struct Unit {
        const char *name;
        uint64_t factor;
} Unit;

/* A number and the name of one of the units. */
static int number_with_unit(const char *s, const Unit *units, size_t n_units, uint64_t *ret_value)
{
        const char *end;
        uint64_t value;
        int r = leading_number(s, &value, &end);

        if (r == -EINVAL)
                return r;

        for (size_t i = 0; i < n_units; i++)
                if (streq(end, units[i].name)) {
                        if (r < 0 || __builtin_mul_overflow(value, units[i].factor, &value))
                                return -ERANGE;
                        *ret_value = value;
                        return 0;
                }
        return -EINVAL;
}

int value_size(const char *s, uint64_t *ret_bytes)
{
        static const Unit units[] = {
                { "", 1 },
                { "K", UINT64_C(1) << 10 },
                { "M", UINT64_C(1) << 20 },
                { "G", UINT64_C(1) << 30 },
                { "T", UINT64_C(1) << 40 },
        };
        uint64_t bytes;
        int r = number_with_unit(s, units, ELEMENTSOF(units), &bytes);

        if (r < 0)
                return r;
        if (bytes == UINT64_MAX) /* stands for "not limited" */
                return -ERANGE;

        *ret_bytes = bytes;
        return 0;
}

int value_percent(const char *s, unsigned *ret_percent)
{
        static const Unit units[] = { { "%", 1 } };
        uint64_t percent;
        int r = number_with_unit(s, units, ELEMENTSOF(units), &percent);

        if (r < 0)
                return r;
        if (percent > 100)
                return -ERANGE;

        *ret_percent = (unsigned)percent;
        return 0;
}

int value_duration(const char *s, uint64_t *ret_usec)
{
        static const Unit units[] = {
                { "us", 1 },
                { "ms", USEC_PER_MSEC },
                { "s", USEC_PER_SEC },
                { "min", 60 * USEC_PER_SEC },
                { "h", 3600 * USEC_PER_SEC },
        };
        uint64_t usec;
        int r;

        if (streq(s, "0")) {
                *ret_usec = 0;
                return 0;
        }

        r = number_with_unit(s, units, ELEMENTSOF(units), &usec);
        if (r < 0)
                return r;
        if (usec > INT64_MAX) /* so that a sum with the clock cannot wrap */
                return -ERANGE;

        *ret_usec = usec;
        return 0;
}

int value_rate(const char *s, unsigned *ret_count, uint64_t *ret_usec)
{
        const char *slash;
        uint64_t count, usec;
        int r = leading_number(s, &count, &slash);

        if (r == -EINVAL || *slash != '/')
                return -EINVAL;
        if (r < 0 || count < 1 || count > UINT32_MAX)
                return -ERANGE;

        r = value_duration(slash + 1, &usec);
        if (r < 0)
                return r;
        if (usec == 0)
                return -ERANGE;

        *ret_count = (unsigned)count;
        *ret_usec = usec;
        return 0;
}

int value_mode(const char *s, mode_t *ret_mode)
{
        size_t length = strlen(s);
        mode_t mode = 0;

        if (length < 3 || length > 4 || strspn(s, "01234567") != length)
                return -EINVAL;

        for (; *s; s++)
                mode = mode << 3 | (mode_t)(*s - '0');
        if (mode > 0777)
                return -ERANGE;

        *ret_mode = mode;
        return 0;
}
