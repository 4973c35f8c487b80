/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/admin.c: reset, bind and unbind of single devices, as administrators ask for them. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define VF "0000:01:10.0"

typedef enum What {
        RESET,
        BIND,
        UNBIND,
} What;

static int ask(Core *core, What what, const char *id, const char *driver, Answer *answer)
{
        Refusal refusal = {};
        int r;

        switch (what) {
        case RESET: r = broker_reset_device(core->broker, id, core_admin_done, answer, &refusal); break;
        case BIND:
                r = broker_bind_device(core->broker, id, driver, core_admin_done, answer, &refusal);
                break;
        default: r = broker_unbind_device(core->broker, id, core_admin_done, answer, &refusal); break;
        }
        if (r > 0) {
                assert_int_equal(refusal.code, r);
                (void)snprintf(answer->text, sizeof(answer->text), "%s", refusal.text);
        }
        assert_int_equal(answer->n_calls, 0);
        core_check(core);
        return r;
}

/* Asks and waits. The error that the answer has. */
static int done(Core *core, What what, const char *id, const char *driver, char *ret_text)
{
        Answer answer = {};

        assert_int_equal(ask(core, what, id, driver, &answer), 0);
        assert_state(broker_device(core->broker, id), DEVICE_BINDING);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(answer.n_calls, 1);
        if (ret_text)
                (void)snprintf(ret_text, REFUSAL_TEXT_MAX, "%s", answer.text);
        return answer.error;
}

static void quarantine(Core *core, const char *id)
{
        FakeDevice *fake = fake_host_device(core->fake, id);

        fake->reset = RESET_FAILED;
        fake->reset_errno = EIO;
        if (!core->fake->processes)
                (void)core_process(core, 100, UID_BLUE);
        (void)FAILS(core, RESULT_RESET_FAILED, core->fake->processes, { id });
        fake->reset = RESET_NOT_TRIED;
        assert_state(broker_device(core->broker, id), DEVICE_QUARANTINED);
}

/* The way out of quarantine: a reset that succeeds. One that fails again keeps the device there. */
static void test_reset_quarantined(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");

        quarantine(core, D1);
        fake_host_device(core->fake, D1)->reset = RESET_FAILED;
        assert_int_equal(done(core, RESET, D1, "", NULL), RESULT_RESET_FAILED);
        assert_state(device, DEVICE_QUARANTINED);
        assert_true(core_device_record(core, D1)->quarantined);
        assert_int_equal(core->events[EVENT_RECOVERED], 0);
        fake_host_device(core->fake, D1)->reset = RESET_NOT_TRIED;
        assert_int_equal(done(core, RESET, D1, "", NULL), 0);
        assert_state(device, DEVICE_AVAILABLE);
        assert_true(device->proven && device->clean);
        assert_int_equal(core->events[EVENT_RECOVERED], 1);
        assert_null(core_device_record(core, D1));
        core_check_idle(core);
        (void)GRANT(core, core->fake->processes, { D1 });
}

/* Out of quarantine also where the host's driver, or none, has the device: it is bound first, and that driver is known
 * from then on. */
static void test_reset_quarantined_on_host(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");

        quarantine(core, D1);
        assert_string_equal(device->info.driver, "igb");
        assert_int_equal(done(core, RESET, D1, "", NULL), 0);
        assert_state(device, DEVICE_AVAILABLE);
        assert_string_equal(device->prior_driver, "igb");
        assert_string_equal(core_device_record(core, D1)->prior_driver, "igb");
}

/* A device without a reset leaves quarantine by the proof alone; one that is in none is not put there by asking. */
static void test_no_reset(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        Answer answer = {};
        Lease *lease;

        device->info.n_reset_methods = 0;
        fake_host_device(core->fake, D1)->reset = RESET_UNSUPPORTED;
        fake_host_device(core->fake, D1)->reset_errno = EOPNOTSUPP;
        assert_int_equal(ask(core, RESET, D1, "", &answer), RESULT_RESET_FAILED);
        assert_state(device, DEVICE_AVAILABLE);

        core_set_policy(core, POLICY_HEAD "reset = none\n");
        lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1 });
        broker_lease_end(core->broker, lease, END_RELEASED);
        fake_host_fail_jobs(core->fake, EIO);
        assert_state(device, DEVICE_QUARANTINED);
        assert_int_equal(done(core, RESET, D1, "", NULL), 0);
        assert_state(device, DEVICE_AVAILABLE);
        assert_true(device->proven && !device->clean);
        assert_non_null(strstr(core->last_event[EVENT_RECOVERED], "has no reset of its own"));
}

/* A reset of a device that is in order. */
static void test_reset_available(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");

        assert_int_equal(done(core, RESET, D1, "", NULL), 0);
        assert_state(device, DEVICE_AVAILABLE);
        assert_true(device->clean);
        assert_int_equal(core->events[EVENT_RECOVERED], 0);
}

/* Somebody has it open who did not get it from the broker: the device is in quarantine. */
static void test_reset_open(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");

        fake_host_device(core->fake, D1)->prove_error = EBUSY;
        assert_int_equal(done(core, RESET, D1, "", NULL), RESULT_DEVICE_TAKEN);
        assert_state(device, DEVICE_QUARANTINED);
        assert_non_null(strstr(device->state_reason, "has it open"));
        fake_host_device(core->fake, D1)->prove_error = EIO;
        assert_int_equal(done(core, RESET, D1, "", NULL), RESULT_DRIVER_BIND_FAILED);
        assert_state(device, DEVICE_QUARANTINED);
}

/* Bind to the best driver, to one that is named; unbind. */
static void test_bind(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        char text[REFUSAL_TEXT_MAX];

        assert_int_equal(done(core, BIND, D1, "", NULL), 0);
        assert_state(device, DEVICE_AVAILABLE);
        assert_string_equal(device->info.driver, "vfio-pci");
        assert_string_equal(core_device_record(core, D1)->prior_driver, "igb");
        assert_false(device->proven);
        assert_int_equal(done(core, BIND, D1, "nvme", NULL), 0);
        assert_state(device, DEVICE_HOST);
        assert_string_equal(device->info.driver, "nvme");
        assert_null(core_device_record(core, D1));
        assert_int_equal(done(core, UNBIND, D1, "", NULL), 0);
        assert_string_equal(device->info.driver, "");
        fake_host_device(core->fake, D1)->bind_error = ENODEV;
        assert_int_equal(done(core, BIND, D1, "igb", text), RESULT_DRIVER_BIND_FAILED);
        assert_state(device, DEVICE_HOST);
        assert_string_equal(device->state_reason, text);
        core_check_idle(core);
}

/* A variant driver that an administrator has bound is kept by leases, and by their reclaim. */
static void test_variant_driver(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "mlx5_core");

        assert_int_equal(done(core, BIND, D1, "vfio-mlx5", NULL), 0);
        broker_lease_end(core->broker, GRANT(core, core_process(core, 100, UID_BLUE), { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(device->info.driver, "vfio-mlx5");
}

/* A bind is no way out of quarantine. One that fails leaves the reason as it was. */
static void test_bind_quarantined(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        char reason[REASON_MAX];

        quarantine(core, D1);
        memcpy(reason, device->state_reason, sizeof(reason));
        fake_host_device(core->fake, D1)->bind_error = ENODEV;
        assert_int_equal(done(core, BIND, D1, "igb", NULL), RESULT_DRIVER_BIND_FAILED);
        assert_state(device, DEVICE_QUARANTINED);
        assert_string_equal(device->state_reason, reason);
        fake_host_device(core->fake, D1)->bind_error = 0;
        assert_int_equal(done(core, BIND, D1, "igb", NULL), 0);
        assert_state(device, DEVICE_QUARANTINED);
        assert_non_null(strstr(device->state_reason, "a reset is due"));
        assert_string_equal(core_device_record(core, D1)->reason, device->state_reason);
        assert_int_equal(done(core, RESET, D1, "", NULL), 0);
        assert_state(device, DEVICE_AVAILABLE);
}

/* What is refused, with nothing changed. */
static void test_refused(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        char long_name[DRIVER_NAME_MAX + 1];
        Answer answer = {};

        assert_int_equal(ask(core, RESET, "0000:ff:00.0", "", &answer), RESULT_NO_SUCH_DEVICE);
        assert_int_equal(ask(core, RESET, D1, "", &answer), RESULT_DEVICE_BUSY_ON_HOST);
        assert_non_null(strstr(answer.text, "driver igb"));
        (void)core_device(core, D1, 1, "");
        assert_int_equal(ask(core, RESET, D1, "", &answer), RESULT_DEVICE_BUSY_ON_HOST);
        assert_non_null(strstr(answer.text, "driver none"));
        assert_int_equal(ask(core, BIND, D1, "../x", &answer), RESULT_INVALID_ARGS);
        memset(long_name, 'x', sizeof(long_name) - 1);
        long_name[sizeof(long_name) - 1] = 0;
        assert_int_equal(ask(core, BIND, D1, long_name, &answer), RESULT_INVALID_ARGS);
        device->info.vfio_driver[0] = 0; /* as on a bus that the broker does not know */
        assert_int_equal(ask(core, BIND, D1, "", &answer), RESULT_INVALID_ARGS);
        strcpy(device->info.vfio_driver, "vfio-pci");
        core->fake->job_start_error = EAGAIN;
        assert_int_equal(ask(core, BIND, D1, "", &answer), RESULT_RATE_LIMITED);
        core->fake->job_start_error = ENOMEM;
        assert_int_equal(ask(core, BIND, D1, "", &answer), -ENOMEM);
        assert_state(device, DEVICE_HOST);
        core_check_idle(core);
}

/* An administrator, who need not be root, has no module loaded that neither policy nor the kernel's lists name. */
static void test_load_module(void **state)
{
        Core *core = *state;

        (void)core_device(core, D1, 1, "igb");
        assert_int_equal(done(core, BIND, D1, "any_module", NULL), 0);
        assert_false(core->fake->last_job.devices[0].load_module);
        (void)core_device(core, D2, 2, "igb");
        assert_int_equal(done(core, BIND, D2, "", NULL), 0);
        assert_true(core->fake->last_job.devices[0].load_module);
        (void)core_device(core, D2, 2, "igb");
        assert_int_equal(done(core, BIND, D2, "vfio-pci", NULL), 0);
        assert_true(core->fake->last_job.devices[0].load_module);
}

/* Administrators take nothing from the host that it uses either, by plan or by job; what stays where it is is not taken. */
static void test_usage(void **state)
{
        Core *core = *state;
        Answer answer = {};
        FakeDevice *fake = fake_host_device(core->fake, D1);

        (void)core_device(core, D1, 1, "nvme");
        fake->usage = (DeviceUsage){ USAGE_HOST, "nvme0n1 is mounted at /srv" };
        assert_int_equal(ask(core, BIND, D1, "", &answer), RESULT_DEVICE_BUSY_ON_HOST);
        assert_non_null(strstr(answer.text, "mounted at /srv"));
        assert_int_equal(ask(core, UNBIND, D1, "", &answer), RESULT_DEVICE_BUSY_ON_HOST);
        assert_int_equal(done(core, BIND, D1, "nvme", NULL), 0);

        fake->usage = (DeviceUsage){};
        fake->used_in_job = "nvme0n1 is opened exclusively";
        assert_int_equal(ask(core, BIND, D1, "", &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, RESULT_DEVICE_BUSY_ON_HOST);
        assert_non_null(strstr(answer.text, "opened exclusively"));
        assert_state(broker_device(core->broker, D1), DEVICE_HOST);

        core_set_policy(core, POLICY_HEAD "[device id:" D1 "]\nforce-unbind = yes\n");
        fake->used_in_job = NULL;
        fake->usage = (DeviceUsage){ USAGE_HOST, "nvme0n1 is mounted at /srv" };
        assert_int_equal(done(core, BIND, D1, "", NULL), 0);
        core_check_idle(core);
}

/* One at a time; and not while a lease has the device, whose holder is named, for administrators see all. */
static void test_busy(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer first = {}, second = {};
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        assert_int_equal(ask(core, RESET, D1, "", &first), 0);
        assert_int_equal(ask(core, UNBIND, D1, "", &second), RESULT_DEVICE_TAKEN);
        assert_non_null(strstr(REFUSED(core, RESULT_DEVICE_TAKEN, vmm, { D1 }), "administrator"));
        (void)fake_host_run(core->fake);
        assert_int_equal(first.n_calls, 1);
        lease = GRANT(core, vmm, { D1 });
        assert_int_equal(ask(core, RESET, D1, "", &second), RESULT_DEVICE_TAKEN);
        assert_non_null(strstr(second.text, lease->id));
        assert_non_null(strstr(second.text, "blue"));
}

/* The physical function of a device that is leased is left alone. */
static void test_physical_function(void **state)
{
        Core *core = *state;
        Device *vf = core_device(core, VF, 2, "igbvf");
        Answer answer = {};

        (void)core_device(core, D1, 1, "igb");
        strcpy(vf->info.physical_function, D1);
        (void)GRANT(core, core_process(core, 100, UID_BLUE), { VF });
        for (What what = RESET; what <= UNBIND; what++) {
                assert_int_equal(ask(core, what, D1, "", &answer), RESULT_DEVICE_TAKEN);
                assert_non_null(strstr(answer.text, VF));
        }
}

/* The worker dies. */
static void test_worker_dies(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");
        Answer answer = {}, bind = {};

        assert_int_equal(ask(core, RESET, D1, "", &answer), 0);
        fake_host_fail_jobs(core->fake, EIO);
        core_check_idle(core);
        assert_int_equal(answer.error, RESULT_DRIVER_BIND_FAILED);
        assert_non_null(strstr(answer.text, "did not finish"));
        assert_state(device, DEVICE_QUARANTINED);
        assert_int_equal(done(core, RESET, D1, "", NULL), 0);
        assert_int_equal(ask(core, BIND, D1, "", &bind), 0);
        fake_host_fail_jobs(core->fake, EIO);
        core_check_idle(core);
        assert_state(device, DEVICE_AVAILABLE);
        assert_false(device->proven);
}

/* The device goes while the job runs, and perhaps comes back: the answer comes, then the device goes, and a new one may
 * enter. */
static void test_device_goes(void **state)
{
        Core *core = *state;

        for (What what = RESET; what <= UNBIND; what++)
                for (int returns = 0; returns < 2; returns++) {
                        Answer answer = {};

                        (void)core_device(core, D1, 1, "vfio-pci");
                        quarantine(core, D1);
                        core->events[EVENT_RECOVERED] = 0;
                        assert_int_equal(ask(core, what, D1, "", &answer), 0);
                        core->n_device_changes = 0;
                        broker_device_remove(core->broker, D1);
                        assert_true(core->n_device_changes > 0);
                        core_check(core);
                        assert_state(broker_device(core->broker, D1), DEVICE_GONE);
                        if (returns)
                                (void)core_device(core, D1, 3, "nvme");
                        (void)fake_host_run(core->fake);
                        core_check_idle(core);
                        assert_int_equal(answer.n_calls, 1);
                        assert_int_equal(core->events[EVENT_RECOVERED], 0);
                        assert_null(core_device_record(core, D1));
                        if (returns)
                                assert_state(broker_device(core->broker, D1), DEVICE_HOST);
                        else
                                assert_null(broker_device(core->broker, D1));
                        broker_device_remove(core->broker, D1);
                }
}

/* The broker goes while jobs run: they are disowned, nobody is called, nothing is left. */
static void test_broker_goes(void **state)
{
        Core *core = *state;
        Answer first = {}, second = {};

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, VF, 2, "igbvf");
        assert_int_equal(ask(core, RESET, D1, "", &first), 0);
        assert_int_equal(ask(core, BIND, VF, "", &second), 0);
        core->broker = broker_free(core->broker);
        core->fake->driver_changed = NULL;
        (void)fake_host_run(core->fake);
        assert_int_equal(first.n_calls + second.n_calls, 0);
        assert_int_equal(fake_host_n_jobs(core->fake), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(reset_quarantined), TEST(reset_quarantined_on_host),
                TEST(no_reset),          TEST(reset_available),
                TEST(reset_open),        TEST(bind),
                TEST(variant_driver),    TEST(bind_quarantined),
                TEST(refused),           TEST(busy),
                TEST(load_module),       TEST(usage),
                TEST(physical_function), TEST(worker_dies),
                TEST(device_goes),       TEST(broker_goes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
