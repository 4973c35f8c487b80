/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The counting of each uid's calls, with a clock of the test's own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>

#include "daemon/bus/uids.h"

#define SECOND USEC_PER_SEC

static int setup(void **state)
{
        return uids_new((Uids **)state);
}

static int teardown(void **state)
{
        uids_free(*state);
        return 0;
}

/* Proves: a burst of `count` is taken, the next is refused with the time to wait, and after exactly that time one more. */
static void test_rate(void **state)
{
        Uids *uids = *state;
        uint64_t now = 100 * SECOND;
        Refusal refusal;

        for (int i = 0; i < 20; i++)
                assert_int_equal(uids_take(uids, 7, 20, 10 * SECOND, now, &refusal), 0);
        assert_int_equal(uids_take(uids, 7, 20, 10 * SECOND, now, &refusal), RESULT_RATE_LIMITED);
        assert_non_null(strstr(refusal.text, "0.5 s"));
        assert_int_equal(uids_take(uids, 8, 20, 10 * SECOND, now, &refusal), 0);
        assert_int_equal(uids_take(uids, 7, 20, 10 * SECOND, now + SECOND / 2 - 1, &refusal),
                         RESULT_RATE_LIMITED);
        assert_int_equal(uids_take(uids, 7, 20, 10 * SECOND, now + SECOND / 2, &refusal), 0);
        assert_int_equal(uids_take(uids, 7, 20, 10 * SECOND, now + SECOND / 2, &refusal),
                         RESULT_RATE_LIMITED);
        for (int i = 0; i < 20; i++)
                assert_int_equal(uids_take(uids, 7, 20, 10 * SECOND, now + 20 * SECOND, &refusal), 0);
}

/* Proves: a policy with a shorter interval holds at once for a uid that has used the longer one up. */
static void test_policy_changes(void **state)
{
        Uids *uids = *state;
        uint64_t now = 100 * SECOND;
        Refusal refusal;

        assert_int_equal(uids_take(uids, 7, 1, 1000 * SECOND, now, &refusal), 0);
        assert_int_equal(uids_take(uids, 7, 1, 1000 * SECOND, now, &refusal), RESULT_RATE_LIMITED);
        assert_int_equal(uids_take(uids, 7, 1, SECOND, now, &refusal), RESULT_RATE_LIMITED);
        assert_int_equal(uids_take(uids, 7, 1, SECOND, now + SECOND - 1, &refusal), RESULT_RATE_LIMITED);
        assert_int_equal(uids_take(uids, 7, 1, SECOND, now + SECOND, &refusal), 0);
}

/* Proves: CALLS_UID_MAX at one time, and one more when one has ended. */
static void test_calls(void **state)
{
        Uids *uids = *state;
        Refusal refusal;

        for (unsigned i = 0; i < CALLS_UID_MAX; i++)
                assert_int_equal(uids_call_begin(uids, 7, 1, &refusal), 0);
        assert_int_equal(uids_call_begin(uids, 7, 1, &refusal), RESULT_RATE_LIMITED);
        assert_int_equal(uids_call_begin(uids, 8, 1, &refusal), 0);
        uids_call_end(uids, 7);
        assert_int_equal(uids_call_begin(uids, 7, 1, &refusal), 0);
        uids_call_end(uids, 9); /* never began: nothing */
}

/* Proves: UIDS_MAX uids are counted and no more; those that say nothing any longer make room, the others do not. */
static void test_many_uids(void **state)
{
        Uids *uids = *state;
        Refusal refusal;

        for (unsigned i = 0; i < UIDS_MAX; i++)
                assert_int_equal(uids_take(uids, i, 2, SECOND, SECOND, &refusal), 0);
        assert_int_equal(uids_count(uids), UIDS_MAX);
        assert_int_equal(uids_take(uids, UIDS_MAX, 2, SECOND, SECOND, &refusal), RESULT_LIMITS_EXCEEDED);
        assert_int_equal(uids_call_begin(uids, 3, SECOND, &refusal), 0);
        assert_int_equal(uids_take(uids, UIDS_MAX, 2, SECOND, 3 * SECOND, &refusal), 0);
        assert_int_equal(uids_count(uids), 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
                cmocka_unit_test_setup_teardown(test_policy_changes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many_uids, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
