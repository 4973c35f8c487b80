/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of errors, against the documented names and errnos. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>

#include "daemon/bus/errors.h"

#define OURS     "org.vfiobroker1.Error."
#define STANDARD "org.freedesktop.DBus.Error."

/* Proves: every Result but OK has a name that ends in the core's word for it, and an errno; nothing else has. */
static void test_table_is_whole(void **state)
{
        for (int i = RESULT_OK + 1; i < _RESULT_MAX; i++) {
                const char *name = error_name((Result)i);

                assert_non_null(name);
                assert_string_equal(strrchr(name, '.') + 1, result_to_string((Result)i));
                assert_true(error_errno((Result)i) > 0);
        }
        assert_null(error_name(RESULT_OK));
        assert_null(error_name(_RESULT_MAX));
        assert_int_equal(error_errno(RESULT_OK), 0);
}

/* Proves: the errnos that an sd-bus client sees are the documented ones. */
static void test_errnos(void **state)
{
        static const struct {
                const char *name;
                int error;
        } table[] = {
                { OURS "NoSuchDevice", ENODEV },
                { OURS "NoSuchLease", ENXIO },
                { OURS "NoTenant", EACCES },
                { OURS "AmbiguousTenant", EINVAL },
                { OURS "DeniedByPolicy", EACCES },
                { OURS "DeviceTaken", EBUSY },
                { OURS "DeviceBusyOnHost", EBUSY },
                { OURS "GroupNotViable", EPERM },
                { OURS "GroupSplit", EPERM },
                { OURS "ContainerIncompatible", EINVAL },
                { OURS "MemlockBudgetExceeded", EDQUOT },
                { OURS "DeviceQuotaExceeded", EDQUOT },
                { OURS "LeaseQuotaExceeded", EDQUOT },
                { OURS "RateLimited", EAGAIN },
                { OURS "ProcessUnusable", ESRCH },
                { OURS "BackendUnavailable", EOPNOTSUPP },
                { OURS "DriverBindFailed", EIO },
                { OURS "ResetFailed", EIO },
                { OURS "Quarantined", EIO },
                { OURS "PolicyInvalid", EINVAL },
                { STANDARD "InvalidArgs", EINVAL },
                { STANDARD "AccessDenied", EACCES },
                { STANDARD "NoMemory", ENOMEM },
                { STANDARD "LimitsExceeded", ENOBUFS },
        };

        assert_int_equal(error_register(), 0);
        assert_int_equal(ELEMENTSOF(table), _RESULT_MAX - 1);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

                (void)sd_bus_error_set(&error, table[i].name, "text");
                assert_int_equal(sd_bus_error_get_errno(&error), table[i].error);
        }
}

/* Proves: a refusal, an errno and the lack of memory each become the right error with the right text. */
static void test_set(void **state)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Refusal refusal;

        (void)refuse(&refusal, RESULT_DEVICE_TAKEN, "it is %s", "taken");
        assert_int_equal(error_set_outcome(&error, RESULT_DEVICE_TAKEN, &refusal, "Step"), -EBUSY);
        assert_string_equal(error.name, OURS "DeviceTaken");
        assert_string_equal(error.message, "it is taken");
        sd_bus_error_free(&error);

        assert_true(error_set_outcome(&error, -EMFILE, NULL, "Step") < 0);
        assert_string_equal(error.name, STANDARD "Failed");
        assert_string_equal(error.message, "Step failed: Too many open files.");
        sd_bus_error_free(&error);

        assert_int_equal(error_set_outcome(&error, -ENOMEM, NULL, "Step"), -ENOMEM);
        assert_string_equal(error.name, STANDARD "NoMemory");
        sd_bus_error_free(&error);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table_is_whole),
                cmocka_unit_test(test_errnos),
                cmocka_unit_test(test_set),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
