/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/functions.c: virtual functions as an administrator asks and as the policy says, and what may not happen to
 * them, or to their physical one, while somebody has the other. */

#include "tests/unit/core-fixture.h"

#define PF     "0000:01:00.0"
#define VF0    "0000:01:10.0"
#define VF1    "0000:01:10.2"
#define OTHER  "0000:02:00.0"
#define SECOND USEC_PER_SEC

static Device *add_pf(Core *core, unsigned max)
{
        DeviceInfo info = fake_host_device_info(core->fake, PF, 1, "igb");

        info.virtual_functions_max = max;
        assert_int_equal(broker_device_update(core->broker, &info), 0);
        device_info_done(&info);
        return broker_device(core->broker, PF);
}

static Device *add_vf(Core *core, const char *id, int group)
{
        DeviceInfo info = fake_host_device_info(core->fake, id, group, "");

        strcpy(info.physical_function, PF);
        assert_int_equal(broker_device_update(core->broker, &info), 0);
        device_info_done(&info);
        return broker_device(core->broker, id);
}

static int ask(Core *core, const char *id, unsigned count, Answer *answer)
{
        Refusal refusal = {};
        int r;

        r = broker_set_virtual_functions(core->broker, id, count, core_admin_done, answer, &refusal);
        if (r > 0)
                (void)snprintf(answer->text, sizeof(answer->text), "%s", refusal.text);
        assert_int_equal(answer->n_calls, 0);
        core_check(core);
        return r;
}

/* Asked for, and answered without the inventory having anything to say. */
static int outcome(Core *core, unsigned count, Answer *answer)
{
        assert_int_equal(ask(core, PF, count, answer), 0);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(answer->n_calls, 1);
        return answer->error;
}

/* The answer comes with the last device, not with the kernel's word; both ways. */
static void test_made_and_taken(void **state)
{
        Core *core = *state;
        Device *pf = add_pf(core, 7);
        Answer answer = {}, none = {};

        assert_int_equal(ask(core, PF, 2, &answer), 0);
        assert_state(pf, DEVICE_BINDING);
        assert_true(core->fake->last_job.kind == JOB_FUNCTIONS && core->fake->last_job.functions == 2);
        assert_false(core->fake->last_job.keep_functions);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(answer.n_calls, 0);
        (void)add_vf(core, VF0, 2);
        core_check(core);
        assert_int_equal(answer.n_calls, 0);
        /* Not before it is known that all went well. */
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, core_process(core, 100, UID_BLUE), { VF0 });
        (void)add_vf(core, VF1, 3);
        core_check(core);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.error, 0);
        assert_state(pf, DEVICE_HOST);
        assert_int_equal(broker_n_functions(core->broker, pf), 2);
        assert_int_equal(core->events[EVENT_TROUBLE], 0);

        assert_int_equal(ask(core, PF, 0, &none), 0);
        (void)fake_host_run(core->fake);
        broker_device_remove(core->broker, VF0);
        assert_int_equal(none.n_calls, 0);
        broker_device_remove(core->broker, VF1);
        assert_int_equal(none.n_calls, 1);
        assert_int_equal(none.error, 0);
        core_check_idle(core);
        assert_int_equal(fake_host_n_timers(core->fake), 0);
}

/* Where udev is late the answer is not: the kernel has done it, and the journal says so. */
static void test_late(void **state)
{
        Core *core = *state;
        Answer answer = {};

        (void)add_pf(core, 7);
        assert_int_equal(ask(core, PF, 1, &answer), 0);
        (void)fake_host_run(core->fake);
        fake_host_advance(core->fake, 4 * SECOND);
        assert_int_equal(answer.n_calls, 0);
        fake_host_advance(core->fake, 2 * SECOND);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.error, 0);
        assert_int_equal(core->events[EVENT_TROUBLE], 1);
        core_check_idle(core);
}

/* What is refused before anything is tried. */
static void test_refused(void **state)
{
        Core *core = *state;
        Device *pf = add_pf(core, 7);
        Answer answer = {};

        (void)add_vf(core, VF0, 2);
        (void)core_device(core, OTHER, 4, "e1000e");
        assert_int_equal(ask(core, "0000:09:00.0", 1, &answer), RESULT_NO_SUCH_DEVICE);
        assert_int_equal(ask(core, OTHER, 1, &answer), RESULT_INVALID_ARGS);
        assert_int_equal(ask(core, VF0, 1, &answer), RESULT_INVALID_ARGS);
        assert_non_null(strstr(answer.text, PF));
        assert_int_equal(ask(core, PF, 8, &answer), RESULT_INVALID_ARGS);
        assert_non_null(strstr(answer.text, "at most 7"));
        core->fake->job_start_error = EAGAIN;
        assert_int_equal(ask(core, PF, 2, &answer), RESULT_RATE_LIMITED);
        core->fake->job_start_error = 0;
        assert_state(pf, DEVICE_HOST);

        strcpy(pf->info.driver, "");
        assert_int_equal(ask(core, PF, 2, &answer), RESULT_DRIVER_BIND_FAILED);
        assert_non_null(strstr(answer.text, "no driver"));
        assert_int_equal(core->fake->n_jobs_started, 0);
}

/* A lease on one of them keeps all of them, and names itself; also while it is reclaimed, and from a stranger who asks for
 * as many as there are it keeps nothing. */
static void test_leased(void **state)
{
        Core *core = *state;
        Device *pf = add_pf(core, 7), *vf = add_vf(core, VF0, 2);
        Answer answer = {}, same = {};
        Lease *lease;

        (void)add_vf(core, VF1, 3);
        fake_host_device(core->fake, PF)->functions = 2;
        lease = GRANT(core, core_process(core, 100, UID_BLUE), { VF0 });
        for (unsigned count = 0; count < 4; count++) {
                if (count == 2)
                        continue;
                assert_int_equal(ask(core, PF, count, &answer), RESULT_DEVICE_TAKEN);
                assert_non_null(strstr(answer.text, VF0 " (lease "));
                assert_non_null(strstr(answer.text, "of tenant blue"));
                assert_null(strstr(answer.text, VF1));
        }
        assert_int_equal(outcome(core, 2, &same), 0);
        assert_true(core->fake->last_job.keep_functions);

        fake_host_device(core->fake, VF0)->prove_error = EBUSY;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_state(vf, DEVICE_RECLAIMING);
        assert_int_equal(ask(core, PF, 0, &answer), RESULT_DEVICE_TAKEN);
        fake_host_device(core->fake, VF0)->prove_error = 0;
        fake_host_advance(core->fake, SECOND);
        assert_int_equal(ask(core, PF, 0, &answer), 0);
        broker_device_remove(core->broker, VF0);
        broker_device_remove(core->broker, VF1);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        assert_state(pf, DEVICE_HOST);
        core_check_idle(core);
}

/* A function that the host uses keeps all of them too. */
static void test_used_by_host(void **state)
{
        Core *core = *state;
        Device *pf = add_pf(core, 7), *vf = add_vf(core, VF0, 2);
        FakeDevice *fake = fake_host_device(core->fake, VF0);
        Answer answer = {};

        strcpy(vf->info.driver, "igbvf");
        vf->info.driver_is_vfio = false;
        fake_host_device(core->fake, PF)->functions = 1;
        fake->usage = (DeviceUsage){ USAGE_HOST, "eth3 is up and has 192.0.2.3/24" };
        assert_int_equal(ask(core, PF, 0, &answer), RESULT_DEVICE_BUSY_ON_HOST);
        assert_non_null(strstr(answer.text, VF0 " is in use on the host: eth3 is up"));
        assert_int_equal(ask(core, PF, 2, &answer), RESULT_DEVICE_BUSY_ON_HOST);
        fake->usage = (DeviceUsage){};
        assert_int_equal(ask(core, PF, 0, &answer), 0);
        broker_device_remove(core->broker, VF0);
        (void)fake_host_run(core->fake);
        assert_state(pf, DEVICE_HOST);
        core_check_idle(core);
}

/* Nobody gets a function while something works on its physical one, nor may an administrator bind it. */
static void test_pf_at_work(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE);
        Answer answer = {}, bind = {};
        Refusal refusal = {};

        (void)add_pf(core, 7);
        (void)add_vf(core, VF0, 2);
        fake_host_device(core->fake, PF)->hang = true;
        fake_host_device(core->fake, PF)->functions = 1;
        assert_int_equal(ask(core, PF, 0, &answer), 0);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { VF0 });
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { PF });
        assert_int_equal(broker_bind_device(core->broker, VF0, "", core_admin_done, &bind, &refusal),
                         RESULT_DEVICE_TAKEN);
        assert_int_equal(ask(core, PF, 0, &bind), RESULT_DEVICE_TAKEN);
        fake_host_slow(core->fake);
        assert_int_equal(core->events[EVENT_STUCK], 1);
        fake_host_fail_jobs(core->fake, EIO);
        assert_int_equal(answer.error, RESULT_DRIVER_BIND_FAILED);
        core_check_idle(core);
        (void)GRANT(core, blue, { VF0 });
}

/* A physical function with virtual ones is not taken from its driver; on a VFIO driver it is not asked for any, and its
 * virtual ones are for who holds it, from the moment that its lease begins. */
static void test_both_directions(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *red = core_process(core, 200, UID_RED);
        Device *pf = add_pf(core, 7), *vf;
        Answer answer = {}, opening = {};
        Refusal refusal = {};

        (void)add_vf(core, VF0, 2);
        assert_non_null(strstr(REFUSED(core, RESULT_DEVICE_BUSY_ON_HOST, blue, { PF }), "vfs " PF " 0"));
        assert_int_equal(broker_unbind_device(core->broker, PF, core_admin_done, &answer, &refusal),
                         RESULT_DEVICE_BUSY_ON_HOST);
        assert_int_equal(broker_bind_device(core->broker, PF, "", core_admin_done, &answer, &refusal),
                         RESULT_DEVICE_BUSY_ON_HOST);
        broker_device_remove(core->broker, VF0);

        fake_host_device(core->fake, PF)->hang = true;
        assert_int_equal(core_ask(core, &(Ask){ blue, { PF } }, &opening), 0);
        vf = add_vf(core, VF0, 2);
        assert_string_equal(pf->info.driver, "igb");
        (void)REFUSED(core, RESULT_DENIED_BY_POLICY, red, { VF0 });
        assert_int_equal(ask(core, PF, 1, &answer), RESULT_DEVICE_TAKEN);
        fake_host_device(core->fake, PF)->hang = false;
        (void)fake_host_run(core->fake);
        assert_int_equal(opening.error, 0);
        (void)REFUSED(core, RESULT_DENIED_BY_POLICY, red, { VF0 });
        (void)GRANT(core, blue, { VF0 });
        assert_state(vf, DEVICE_LEASED);

        broker_lease_end(core->broker, opening.lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_state(pf, DEVICE_AVAILABLE);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { PF });
        assert_int_equal(ask(core, PF, 0, &answer), RESULT_DRIVER_BIND_FAILED);
        assert_non_null(strstr(answer.text, "vfio-pci"));
}

/* What the kernel or the driver has against it, in words of its own. */
static void test_failures(void **state)
{
        static const struct {
                JobStep step;
                int error, made;
                Result result;
                const char *text;
        } table[] = {
                { STEP_PROVE_FREE, EBUSY, 0, RESULT_DEVICE_TAKEN, "did not get it from the broker" },
                { STEP_FUNCTIONS, ERANGE, 0, RESULT_INVALID_ARGS, "fewer" },
                { STEP_FUNCTIONS, ENOENT, 0, RESULT_DRIVER_BIND_FAILED, "does not make virtual functions" },
                { STEP_FUNCTIONS, ENOMEM, 0, RESULT_DRIVER_BIND_FAILED, "Cannot allocate" },
                { STEP_NONE, 0, 3, RESULT_DRIVER_BIND_FAILED, "made 3 virtual functions of the 5" },
        };
        Core *core = *state;
        FakeDevice *fake = fake_host_device(core->fake, PF);

        (void)add_pf(core, 7);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Answer answer = {};

                fake->functions = 0;
                fake->functions_step = table[i].step;
                fake->functions_error = table[i].error;
                fake->functions_made = (unsigned)table[i].made;
                assert_int_equal(outcome(core, 5, &answer), table[i].result);
                assert_non_null(strstr(answer.text, table[i].text));
                core_check_idle(core);
        }
}

#define POLICY_FUNCTIONS(n) POLICY_HEAD "[device pci:0000:01:*]\nvirtual-functions = " n "\n"

/* Policy acts from the start on, for devices that come or get their driver later too, and at a reload; it never takes any
 * away, and does not undo what an administrator does. */
static void test_policy(void **state)
{
        Core *core = *state;
        Device *pf;
        Answer answer = {};

        core_set_policy(core, POLICY_FUNCTIONS("2"));
        pf = add_pf(core, 7);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->fake->n_jobs_started, 0);
        assert_false(broker_functions_pending(core->broker));
        strcpy(pf->info.driver, "");
        broker_apply_virtual_functions(core->broker);
        assert_int_equal(core->fake->n_jobs_started, 0);
        (void)add_pf(core, 7); /* its driver is there */
        assert_int_equal(core->fake->n_jobs_started, 1);
        assert_true(core->fake->last_job.keep_functions);
        assert_true(broker_functions_pending(core->broker));
        (void)fake_host_run(core->fake);
        (void)add_vf(core, VF0, 2);
        (void)add_vf(core, VF1, 3);
        core_check(core);
        assert_false(broker_functions_pending(core->broker));
        assert_int_equal(core->events[EVENT_TROUBLE], 0);

        /* A reload wants more than there are, and leaves them. */
        core_set_policy(core, POLICY_FUNCTIONS("3"));
        (void)fake_host_run(core->fake);
        assert_int_equal(core->fake->n_jobs_started, 1);
        assert_int_equal(core->events[EVENT_TROUBLE], 1);
        assert_non_null(strstr(core->last_event[EVENT_TROUBLE], "vfs " PF " 3"));

        assert_int_equal(ask(core, PF, 0, &answer), 0);
        (void)fake_host_run(core->fake);
        broker_device_remove(core->broker, VF0);
        broker_device_remove(core->broker, VF1);
        (void)add_pf(core, 7);
        assert_int_equal(core->fake->n_jobs_started, 2);
        core_set_policy(core, POLICY_FUNCTIONS("3"));
        assert_int_equal(core->fake->n_jobs_started, 3);

        /* What goes wrong is told. */
        fake_host_fail_jobs(core->fake, EIO);
        assert_int_equal(core->events[EVENT_TROUBLE], 2);
        core_set_policy(core, POLICY_FUNCTIONS("8"));
        assert_int_equal(core->events[EVENT_TROUBLE], 3);
        assert_non_null(strstr(core->last_event[EVENT_TROUBLE], "at most 7"));
        core_check_idle(core);
}

/* The host's driver comes back by a job, whose uevent is told before that has ended: of a lease, of an administrator, of an
 * earlier life. */
static void test_policy_after_job(void **state)
{
        Core *core = *state;
        FakeProcess *red = core_process(core, 100, UID_RED), *worker = core_process(core, 900, 0);
        JobRecord old = {
                .pid = 900, .start_time = worker->facts.start_time, .kind = JOB_BIND, .n_devices = 1
        };
        Answer answer = {};
        Refusal refusal;
        Lease *lease;

        (void)add_pf(core, 7);
        lease = GRANT(core, red, { PF });
        core_set_policy(core, POLICY_FUNCTIONS("2"));
        broker_apply_virtual_functions(core->broker);
        assert_false(broker_functions_pending(core->broker));
        broker_lease_end(core->broker, lease, END_RELEASED);
        assert_true(fake_host_step(core->fake));
        assert_true(broker_functions_pending(core->broker));
        fake_host_fail_jobs(core->fake, EIO);

        assert_int_equal(broker_bind_device(core->broker, PF, "", core_admin_done, &answer, &refusal), 0);
        (void)fake_host_run(core->fake);
        broker_apply_virtual_functions(core->broker);
        assert_false(broker_functions_pending(core->broker));
        assert_int_equal(broker_bind_device(core->broker, PF, "igb", core_admin_done, &answer, &refusal), 0);
        assert_true(fake_host_step(core->fake));
        assert_true(broker_functions_pending(core->broker));
        fake_host_fail_jobs(core->fake, EIO);

        strcpy(old.devices[0].id, PF);
        assert_int_equal(broker_restore_job(core->broker, &old), 0);
        broker_apply_virtual_functions(core->broker);
        assert_false(broker_functions_pending(core->broker));
        fake_host_end_process(core->fake, worker);
        assert_true(fake_host_step(core->fake));
        assert_true(broker_functions_pending(core->broker));
        fake_host_fail_jobs(core->fake, EIO);
        core_check_idle(core);
}

/* A physical function that goes takes its job and its functions along. */
static void test_pf_goes(void **state)
{
        Core *core = *state;
        Answer answer = {};

        (void)add_pf(core, 7);
        (void)add_vf(core, VF0, 2);
        fake_host_device(core->fake, PF)->functions = 1;
        assert_int_equal(ask(core, PF, 2, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 0);
        broker_device_remove(core->broker, PF);
        core_check(core);
        broker_device_remove(core->broker, VF0);
        core_check(core);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(core->n_devices, 0);
        core_check_idle(core);
}

/* A function that comes back ends a request of an administrator, from within a round over the reclaims that wait: that ends
 * the next of them, and the round goes on after it. */
static void test_comes_back_in_a_round(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE);
        Lease *first, *second;
        Answer answer = {};

        (void)add_pf(core, 7);
        (void)add_vf(core, VF0, 2);
        (void)add_vf(core, VF1, 3);
        (void)core_device(core, OTHER, 4, "vfio-pci");
        fake_host_device(core->fake, PF)->functions = 2;
        first = GRANT(core, blue, { VF0 });
        second = GRANT(core, blue, { OTHER });
        core->fake->job_start_error = EAGAIN;
        core->fail[OP_TIMER_START] = ENOMEM;
        broker_lease_end(core->broker, first, END_RELEASED);
        broker_lease_end(core->broker, second, END_RELEASED);
        core->fake->job_start_error = core->fail[OP_TIMER_START] = 0;
        assert_int_equal(core->broker->n_stranded, 2);

        assert_int_equal(ask(core, PF, 2, &answer), 0);
        broker_device_remove(core->broker, VF0);
        (void)add_vf(core, VF0, 2);
        broker_device_remove(core->broker, OTHER);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 0);
        fake_host_advance(core->fake, SECOND);
        core_check(core);
        (void)core_ask(core, &(Ask){ blue, { "none" } }, &(Answer){}); /* which begins a round */
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(answer.error, 0);
        core_check_idle(core);
}

#define core_test(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                core_test(test_made_and_taken),
                core_test(test_late),
                core_test(test_refused),
                core_test(test_leased),
                core_test(test_pf_at_work),
                core_test(test_both_directions),
                core_test(test_failures),
                core_test(test_policy),
                core_test(test_pf_goes),
                core_test(test_used_by_host),
                core_test(test_comes_back_in_a_round),
                core_test(test_policy_after_job),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
