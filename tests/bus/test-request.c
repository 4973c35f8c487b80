/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parts of reading a request that need no message: which text prints, and how a caller's own text is repeated. What
 * comes in messages is tried in test-input.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>

#include "daemon/bus/request.h"

/* Proves: letters of any script print; controls, separators and what reorders or hides text do not, at the edges of each
 * range. */
static void test_printable(void **state)
{
        static const char *const good[] = { "",       " ",          "~",          "vm 1",
                                            "\u00a0", "é",          "日本語",     "\u200a",
                                            "\u2010", "\u202f",     "\u205f",     "\u2070",
                                            "\ufefe", "\U0001f600", "\U000e0080", "\ufff8" };
        static const char *const bad[] = { "\x1f",     "\x01",       "a\x7f",      "\n",      "\xc2\x80",
                                           "\xc2\x9f", "\u200b",     "\u200f",     "\u2028",  "\u202e",
                                           "\u2060",   "\u206f",     "\ufeff",     "\ufff9",  "\ufffb",
                                           "\uffff",   "\U0001ffff", "\U000e0001", "ok\u202e" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(request_is_printable(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(request_is_printable(bad[i]));
}

/* Proves: a repeated text is in quotes, without controls, whole up to ECHO_MAX bytes, then cut between characters. */
static void test_echo(void **state)
{
        char echo[ECHO_MAX + 8], text[ECHO_MAX + 8], expected[ECHO_MAX + 32];

        assert_string_equal(bus_echo("", echo), "\"\"");
        assert_string_equal(bus_echo("a\nb\x7f", echo), "\"a?b?\"");

        memset(text, 'x', ECHO_MAX);
        text[ECHO_MAX] = 0;
        (void)snprintf(expected, sizeof(expected), "\"%s\"", text);
        assert_string_equal(bus_echo(text, echo), expected);

        (void)snprintf(expected, sizeof(expected), "\"%s…\"", text);
        text[ECHO_MAX] = 'x';
        text[ECHO_MAX + 1] = 0;
        assert_string_equal(bus_echo(text, echo), expected);

        text[ECHO_MAX - 1] = 0;
        strcat(text, "é"); /* its second byte would be the first one too many */
        assert_int_equal(strlen(text), ECHO_MAX + 1);
        (void)snprintf(expected, sizeof(expected), "\"%.*s…\"", ECHO_MAX - 1, text);
        assert_string_equal(bus_echo(text, echo), expected);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_printable),
                cmocka_unit_test(test_echo),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
