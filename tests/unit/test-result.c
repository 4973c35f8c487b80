/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/result.c: the names of refusals, and their texts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/core/result.h"

/* Each result has a name, and no two the same. */
static void test_names(void **state)
{
        for (int i = 0; i < _RESULT_MAX; i++) {
                assert_true(strlen(result_to_string((Result)i)) > 1);
                for (int k = 0; k < i; k++)
                        assert_string_not_equal(result_to_string((Result)i), result_to_string((Result)k));
        }
        assert_string_equal(result_to_string(RESULT_OK), "OK");
        assert_string_equal(result_to_string(RESULT_GROUP_SPLIT), "GroupSplit");
        assert_string_equal(result_to_string(_RESULT_MAX), "Unknown");
        assert_string_equal(result_to_string((Result)-1), "Unknown");
}

/* A refusal has the code and the text, and returns the code. */
static void test_refuse(void **state)
{
        Refusal refusal;

        assert_int_equal(refuse(&refusal, RESULT_NO_TENANT, "uid %d is %s", 7, "nobody"), RESULT_NO_TENANT);
        assert_int_equal(refusal.code, RESULT_NO_TENANT);
        assert_string_equal(refusal.text, "uid 7 is nobody");
}

/* A text that does not fit ends with a whole character, whatever the length of its characters, and where they lie. */
static void test_cut(void **state)
{
        static const char *const characters[] = { "x", "é", "€", "🖧" };

        for (size_t c = 0; c < ELEMENTSOF(characters); c++)
                for (size_t before = 0; before < 5; before++) {
                        size_t n = strlen(characters[c]), end, max = REFUSAL_TEXT_MAX - 1 - before;
                        char text[REFUSAL_TEXT_MAX * 5] = "";
                        Refusal refusal;

                        for (size_t i = 0; i < REFUSAL_TEXT_MAX; i++)
                                strcat(text, characters[c]);
                        (void)refuse(&refusal, RESULT_INVALID_ARGS, "%.*s%s", (int)before, "12345", text);
                        end = strlen(refusal.text);
                        assert_int_equal(end, before + max / n * n);
                        assert_memory_equal(refusal.text + end - n, characters[c], n);
                }
}

/* The longest text that fits is left alone. */
static void test_fits(void **state)
{
        char text[REFUSAL_TEXT_MAX];
        Refusal refusal;

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        memcpy(text + sizeof(text) - 3, "é", 2);
        (void)refuse(&refusal, RESULT_INVALID_ARGS, "%s", text);
        assert_string_equal(refusal.text, text);
}

/* What is no UTF-8 at all is cut where the room ends. */
static void test_not_utf8(void **state)
{
        char text[REFUSAL_TEXT_MAX + 10];
        Refusal refusal;

        memset(text, 0x80, sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        (void)refuse(&refusal, RESULT_INVALID_ARGS, "%s", text);
        assert_int_equal(strlen(refusal.text), REFUSAL_TEXT_MAX - 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names), cmocka_unit_test(test_refuse),   cmocka_unit_test(test_cut),
                cmocka_unit_test(test_fits),  cmocka_unit_test(test_not_utf8),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
