/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The small files of the core: lease.c, the words that stand in records and on the bus, tenant.c, and host.c, what
 * belongs to jobs and to no machine. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>

#include "daemon/core/tenant.h"

/* States are read back as they were written, and nothing else is. */
static void test_states(void **state)
{
        static const char *const wrong[] = { "", "Active", "active ", "unknown", "gone" };
        LeaseState read = LEASE_ACTIVE;

        for (int i = 0; i < _LEASE_STATE_MAX; i++) {
                assert_int_equal(lease_state_from_string(lease_state_to_string((LeaseState)i), &read), 0);
                assert_int_equal(read, i);
        }
        read = LEASE_ACTIVE;
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(lease_state_from_string(wrong[i], &read), -EINVAL);
        assert_int_equal(lease_state_from_string(NULL, &read), -EINVAL);
        assert_int_equal(read, LEASE_ACTIVE);
        assert_string_equal(lease_state_to_string(_LEASE_STATE_MAX), "unknown");
        assert_string_equal(lease_state_to_string((LeaseState)-1), "unknown");
}

/* So are lifetimes. */
static void test_lifetimes(void **state)
{
        LeaseLifetime read = LIFETIME_EXPLICIT;

        for (int i = 0; i < _LIFETIME_MAX; i++) {
                assert_int_equal(
                        lease_lifetime_from_string(lease_lifetime_to_string((LeaseLifetime)i), &read), 0);
                assert_int_equal(read, i);
        }
        assert_int_equal(lease_lifetime_from_string("for ever", &read), -EINVAL);
        assert_int_equal(read, LIFETIME_EXPLICIT);
        assert_string_equal(lease_lifetime_to_string(_LIFETIME_MAX), "unknown");
        assert_string_equal(lease_lifetime_to_string((LeaseLifetime)-1), "unknown");
}

/* The reasons have the words of the signal Ended. */
static void test_end_reasons(void **state)
{
        static const char *const words[] = { "released", "process-exited", "connection-closed",
                                             "revoked",  "device-removed", "failed" };

        assert_int_equal(ELEMENTSOF(words), _END_MAX);
        for (int i = 0; i < _END_MAX; i++)
                assert_string_equal(end_reason_to_string((EndReason)i), words[i]);
        assert_string_equal(end_reason_to_string(_END_MAX), "unknown");
        assert_string_equal(end_reason_to_string((EndReason)-1), "unknown");
}

/* A device that is settled is not the lease's any more. */
static void test_has_device(void **state)
{
        Device a = {}, b = {};
        Lease lease = { .devices = { &a, &b }, .n_devices = 2 };

        assert_true(lease_has_device(&lease, &a));
        assert_true(lease_has_device(&lease, &b));
        lease.settled[1] = true;
        assert_false(lease_has_device(&lease, &b));
        lease.n_devices = 0;
        assert_false(lease_has_device(&lease, &a));
}

/* A tenant keeps a name of its own. */
static void test_tenant(void **state)
{
        char name[] = "blue";
        Tenant *tenant = tenant_new(name);

        assert_non_null(tenant);
        name[0] = 'x';
        assert_string_equal(tenant->name, "blue");
        assert_null(tenant_free(tenant));
        assert_null(tenant_free(NULL));
}

/* Steps and outcomes of resets have words. */
static void test_job_words(void **state)
{
        for (int i = 0; i < _STEP_MAX; i++)
                assert_string_not_equal(job_step_to_string((JobStep)i), "unknown");
        assert_string_equal(job_step_to_string(_STEP_MAX), "unknown");
        assert_string_equal(job_step_to_string((JobStep)-1), "unknown");
        assert_string_equal(reset_outcome_to_string(RESET_NOT_TRIED), "none");
        assert_string_equal(reset_outcome_to_string(RESET_DONE), "success");
        assert_string_equal(reset_outcome_to_string(RESET_UNSUPPORTED), "unsupported");
        assert_string_equal(reset_outcome_to_string(RESET_FAILED), "failed");
        assert_string_equal(reset_outcome_to_string((ResetOutcome)99), "unknown");
}

/* A result that is closed has no fds, and the fds are closed. */
static void test_job_result(void **state)
{
        JobResult result;
        int fd;

        job_result_init(&result, 3);
        assert_int_equal(result.n_devices, 3);
        for (size_t i = 0; i < ELEMENTSOF(result.devices); i++) {
                assert_int_equal(result.devices[i].fd, -EBADF);
                assert_int_equal(result.group_fds[i], -EBADF);
        }
        result.devices[1].fd = fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        job_result_close(&result);
        assert_int_equal(result.devices[1].fd, -EBADF);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        job_result_close(&result);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_states),      cmocka_unit_test(test_lifetimes),
                cmocka_unit_test(test_end_reasons), cmocka_unit_test(test_has_device),
                cmocka_unit_test(test_tenant),      cmocka_unit_test(test_job_words),
                cmocka_unit_test(test_job_result),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
