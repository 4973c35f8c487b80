/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/errors.c: the errno of every refusal, as the D-Bus interface documents it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client-lib/internal.h"

/* Each name of the interface has its errno; this is the page's own list. */
static void test_documented(void **state)
{
        static const struct {
                const char *name;
                int error;
        } cases[] = {
                { "NoSuchDevice", ENODEV },
                { "NoSuchLease", ENXIO },
                { "NoTenant", EACCES },
                { "AmbiguousTenant", EINVAL },
                { "DeniedByPolicy", EACCES },
                { "DeviceTaken", EBUSY },
                { "DeviceBusyOnHost", EBUSY },
                { "GroupNotViable", EPERM },
                { "GroupSplit", EPERM },
                { "ContainerIncompatible", EINVAL },
                { "MemlockBudgetExceeded", EDQUOT },
                { "DeviceQuotaExceeded", EDQUOT },
                { "LeaseQuotaExceeded", EDQUOT },
                { "RateLimited", EAGAIN },
                { "ProcessUnusable", ESRCH },
                { "BackendUnavailable", EOPNOTSUPP },
                { "DriverBindFailed", EIO },
                { "ResetFailed", EIO },
                { "Quarantined", EIO },
                { "PolicyInvalid", EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char name[128];
                sd_bus_error error = { .name = name, .message = "text" };

                (void)snprintf(name, sizeof(name), "org.vfiobroker1.Error.%s", cases[i].name);
                assert_int_equal(error_to_errno(&error), cases[i].error);
        }
}

/* The standard errors keep sd-bus's errnos, and one that nobody knows is EIO, never success. */
static void test_others(void **state)
{
        static const struct {
                const char *name;
                int error;
        } cases[] = {
                { SD_BUS_ERROR_INVALID_ARGS, EINVAL },        { SD_BUS_ERROR_ACCESS_DENIED, EACCES },
                { SD_BUS_ERROR_NO_MEMORY, ENOMEM },           { SD_BUS_ERROR_LIMITS_EXCEEDED, ENOBUFS },
                { SD_BUS_ERROR_UNKNOWN_OBJECT, ENXIO },       { "System.Error.EMFILE", EMFILE },
                { "org.vfiobroker1.Error.OfTheFuture", EIO }, { "org.vfiobroker1.Error.", EIO },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                sd_bus_error error = { .name = cases[i].name, .message = "text" };

                print_message("%s\n", cases[i].name);
                assert_int_equal(error_to_errno(&error), cases[i].error);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_documented),
                cmocka_unit_test(test_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
