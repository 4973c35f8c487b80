/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/refusal.c: who is refused is in the journal, and cannot fill it. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"

static BrokerEvent last; /* its strings are copies */
static char last_tenant[64], last_device[64], last_unit[64], last_text[REFUSAL_TEXT_MAX + 256];

static void on_event(void *userdata, const BrokerEvent *event)
{
        if (event->kind != EVENT_REFUSED)
                return;
        last = *event;
        (void)snprintf(last_tenant, sizeof(last_tenant), "%s", event->tenant);
        (void)snprintf(last_device, sizeof(last_device), "%s",
                       event->n_devices > 0 ? event->devices[event->n_devices - 1] : "");
        (void)snprintf(last_unit, sizeof(last_unit), "%s", event->unit);
        (void)snprintf(last_text, sizeof(last_text), "%s", event->text);
}

static const BrokerObserver observer = { .event = on_event };

/* Who, as which tenant, from where, for what, and why not. */
static void test_fields(void **state)
{
        Core *core = *state;

        (void)core_device(core, D1, 1, "vfio-pci");
        assert_int_equal(broker_observe(core->broker, &observer, &last), 0);

        (void)GRANT(core, core_process(core, 99, UID_RED), { D1 });
        assert_int_equal(core->events[EVENT_REFUSED], 0);
        (void)REFUSED(core, RESULT_INVALID_ARGS, core_process(core, 100, UID_BLUE), {});
        assert_string_equal(last_device, "");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, core_process(core, 101, UID_BLUE), { D1 },
                      .unit = "vm.service");
        assert_int_equal(core->events[EVENT_REFUSED], 2);
        assert_int_equal(last.uid, UID_BLUE);
        assert_int_equal(last.pid, 101);
        assert_string_equal(last_tenant, "blue");
        assert_string_equal(last_device, D1);
        assert_string_equal(last_unit, "vm.service");
        assert_string_equal(last.lease, "");
        assert_string_equal(last.result, "DeviceTaken");
        assert_int_equal(strncmp(last_text, "User 2001, process 101: ", 24), 0);
        assert_non_null(strstr(last_text, D1));

        (void)REFUSED(core, RESULT_NO_TENANT, core_process(core, 102, UID_NOONE), { "0000:09:00.0" });
        assert_int_equal(core->events[EVENT_REFUSED], 3);
        assert_string_equal(last_tenant, "");
        assert_string_equal(last_device, "");
        assert_string_equal(last.result, "NoTenant");
        (void)REFUSED(core, RESULT_AMBIGUOUS_TENANT, core_process(core, 103, UID_BOTH), { D1 });
        assert_string_equal(last_tenant, "");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, core_process(core, 104, UID_BOTH), { D1 }, .tenant = "red");
        assert_string_equal(last_tenant, "red");
}

/* Of more devices than a call may have, as many as an event has room for. */
static void test_too_many(void **state)
{
        Core *core = *state;
        Ask ask = { .process = core_process(core, 100, UID_BLUE) };

        (void)core_device(core, D1, 1, "vfio-pci");
        assert_int_equal(broker_observe(core->broker, &observer, &last), 0);
        for (size_t i = 0; i < JOB_DEVICES_MAX + 1; i++)
                ask.devices[i] = D1;
        (void)core_refused(core, &ask, RESULT_LIMITS_EXCEEDED);
        assert_int_equal(last.n_devices, JOB_DEVICES_MAX);
        assert_string_equal(last_device, D1);
}

/* What is refused only once the lease is there is told just the same; to ask whether is not to be refused. */
static void test_kinds(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        (void)core_device(core, D1, 1, "vfio-pci");
        core->fake->job_start_error = EAGAIN;
        (void)REFUSED(core, RESULT_RATE_LIMITED, vmm, { D1 });
        assert_int_equal(core->events[EVENT_REFUSED], 1);
        core->fake->job_start_error = EIO;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), -EIO);
        assert_int_equal(core->events[EVENT_REFUSED], 1);
}

/* A flood of one user is told of REFUSAL_BURST times, then counted; another user's refusals are still told; the count
 * comes with the first of the next interval. */
static void test_flood(void **state)
{
        Core *core = *state;
        FakeProcess *noisy = core_process(core, 100, UID_BLUE), *other = core_process(core, 101, UID_RED);

        for (int i = 0; i < 1000; i++)
                (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, noisy, { D1 });
        assert_int_equal(core->events[EVENT_REFUSED], REFUSAL_BURST);
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, other, { D1 });
        assert_int_equal(core->events[EVENT_REFUSED], REFUSAL_BURST + 1);
        assert_null(strstr(core->last_event[EVENT_REFUSED], "not logged"));

        fake_host_advance(core->fake, REFUSAL_INTERVAL_USEC - 1);
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, noisy, { D1 });
        assert_int_equal(core->events[EVENT_REFUSED], REFUSAL_BURST + 1);
        fake_host_advance(core->fake, 1);
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, noisy, { D1 });
        assert_int_equal(core->events[EVENT_REFUSED], REFUSAL_BURST + 2);
        assert_non_null(
                strstr(core->last_event[EVENT_REFUSED], "(996 refusals before this one were not logged)"));
        for (int i = 0; i < 1000; i++)
                (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, noisy, { D1 });
        assert_int_equal(core->events[EVENT_REFUSED], 2 * REFUSAL_BURST + 1);
        assert_null(strstr(core->last_event[EVENT_REFUSED], "not logged"));
}

/* Nor do any number of users fill it. */
static void test_many_users(void **state)
{
        Core *core = *state;
        FakeProcess *process = core_process(core, 100, UID_BLUE);

        for (uid_t uid = 100000; uid < 110000; uid++) {
                Answer answer = {};

                process->facts.uid = uid;
                assert_int_equal(core_ask(core, &(Ask){ process, { D1 } }, &answer), RESULT_NO_TENANT);
        }
        assert_int_equal(core->events[EVENT_REFUSED], REFUSAL_ROWS * REFUSAL_BURST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(fields), TEST(kinds), TEST(too_many), TEST(flood), TEST(many_users),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
