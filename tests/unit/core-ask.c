/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Asking the broker of the core's tests: a request in one line, carried out on the fake machine, and what must be true of its
 * answer, be it a lease or a refusal. */

#include "tests/unit/core-fixture.h"

/* Containers, groups, devices, in this order. */
static int rank(const char *kind)
{
        return streq(kind, "device") ? 2 : streq(kind, "group") ? 1 : 0;
}

static int acquire_done(void *userdata, Lease *lease, const AcquireOutcome *outcome)
{
        Answer *answer = userdata;

        answer->n_calls++;
        answer->error = outcome->error;
        if (outcome->error != 0) {
                assert_null(lease);
                assert_int_equal(outcome->n_fds, 0);
                if (outcome->error > 0) {
                        answer->code = outcome->refusal->code;
                        assert_int_equal(answer->code, outcome->error);
                        (void)snprintf(answer->text, sizeof(answer->text), "%s", outcome->refusal->text);
                }
        } else {
                assert_true(lease_is_held(lease));
                assert_true(outcome->n_fds > 0 && outcome->n_fds <= 2 * JOB_DEVICES_MAX + 1);
                answer->lease = lease;
                answer->n_fds = outcome->n_fds;
                for (size_t i = 0; i < outcome->n_fds; i++) {
                        assert_true(i == 0 || rank(outcome->fds[i].kind) >= rank(outcome->fds[i - 1].kind));
                        if (i == 0 && rank(outcome->fds[i].kind) == 0)
                                assert_string_equal(outcome->fds[i].kind,
                                                    lease->backend == POLICY_BACKEND_GROUP ? "container"
                                                                                           : "iommufd");
                        assert_true(outcome->fds[i].fd >= 0);
                        (void)snprintf(answer->ids[i], sizeof(answer->ids[i]), "%s", outcome->fds[i].id);
                }
        }
        return answer->reply;
}

void core_admin_done(void *userdata, int error, const Refusal *refusal)
{
        Answer *answer = userdata;

        answer->n_calls++;
        answer->error = error;
        if (error <= 0)
                return;
        answer->code = refusal->code;
        (void)snprintf(answer->text, sizeof(answer->text), "%s", refusal->text);
}

static void make_request(const Ask *ask, AcquireRequest *ret)
{
        *ret = (AcquireRequest){
                .caller = { .uid = ask->process->facts.uid, .unit = ask->unit },
                .admin = ask->admin,
                .caller_pid = ask->process->pid,
                .caller_pidfd = ask->process->pidfd,
                .target_pidfd = ask->target ? ask->target->pidfd : -EBADF,
                .target_pid = ask->target ? ask->target->pid : 0,
                .target_facts = { .unit = ask->target ? ask->target->unit : NULL },
                .owner = ask->owner,
                .owner_name = ask->owner_name,
                .devices = ask->devices,
                .tenant = ask->tenant,
                .backend = ask->backend,
                .memlock = ask->memlock,
                .lifetime = ask->lifetime,
                .container = ask->container,
                .label = ask->label,
                .wait_usec = ask->wait,
                .target = ask->lease,
                .fds_max = ask->fds_max,
        };
        if (ask->caller)
                ret->caller = *ask->caller;
        while (ret->n_devices < ELEMENTSOF(ask->devices) && ask->devices[ret->n_devices])
                ret->n_devices++;
}

int core_reissue(Core *core, Lease *lease, Answer *answer)
{
        Refusal refusal = {};
        int r;

        r = broker_lease_reissue(core->broker, lease, 0, acquire_done, answer, &refusal);
        assert_int_equal(answer->n_calls, 0);
        answer->code = refusal.code;
        (void)snprintf(answer->text, sizeof(answer->text), "%s", refusal.text);
        return r;
}

/* broker_lease_add(). */
static int add(Core *core, const AcquireRequest *request, Answer *answer)
{
        Refusal refusal = {};
        int r;

        r = broker_lease_add(core->broker, request, acquire_done, answer, &refusal);
        assert_int_equal(answer->n_calls, 0);
        answer->code = refusal.code;
        (void)snprintf(answer->text, sizeof(answer->text), "%s", refusal.text);
        return r;
}

int core_ask(Core *core, const Ask *ask, Answer *answer)
{
        AcquireRequest request;
        Refusal refusal = {};
        Lease *lease = NULL;
        int r;

        make_request(ask, &request);
        if (ask->lease)
                return add(core, &request, answer);
        r = broker_acquire(core->broker, &request, acquire_done, answer, &refusal, &lease);
        assert_int_equal(answer->n_calls, 0);
        answer->code = refusal.code;
        (void)snprintf(answer->text, sizeof(answer->text), "%s", refusal.text);
        answer->lease = lease;
        assert_true((lease != NULL) == (r == 0));
        if (r > 0)
                assert_int_equal(refusal.code, r);
        if (lease)
                assert_int_equal(lease->state, LEASE_OPENING);
        return r;
}

Lease *core_grant(Core *core, const Ask *ask)
{
        Answer answer = {};
        AcquireRequest request;
        Refusal refusal = {};
        size_t at;
        int r;

        make_request(ask, &request);
        r = broker_check(core->broker, &request, &refusal);
        if (r == 0)
                r = core_ask(core, ask, &answer);
        if (r != 0)
                fail_msg("refused: %s %s", result_to_string(answer.code), answer.text);
        core_check(core);
        (void)fake_host_run(core->fake);
        if (answer.error != 0)
                fail_msg("failed: %s %s", result_to_string(answer.code), answer.text);
        assert_int_equal(answer.n_calls, 1);
        at = answer.n_fds - answer.lease->n_devices; /* of the first device */
        for (size_t i = 0; i < answer.lease->n_devices; i++)
                assert_string_equal(answer.ids[i + at], answer.lease->devices[i]->info.id);
        /* Up to the first argument that may stand for several. */
        for (size_t i = 0; i < request.n_devices && broker_device(core->broker, ask->devices[i]); i++)
                assert_string_equal(answer.ids[i + at], ask->devices[i]);
        core_check(core);
        return answer.lease;
}

void core_crash(Core *core, const char *id)
{
        static pid_t pid = 100000;
        FakeProcess *process = core_process(core, ++pid, UID_BLUE);

        (void)GRANT(core, process, { id });
        fake_host_end_process(core->fake, process);
        (void)fake_host_run(core->fake);
        core_check(core);
}

const char *core_refused(Core *core, const Ask *ask, Result code)
{
        static char text[REFUSAL_TEXT_MAX];
        _cleanup_free_ char *before = core_dump(core), *after = NULL;
        Answer answer = {};
        int r = core_ask(core, ask, &answer);

        if (r != (int)code)
                fail_msg("%d %s instead of %s: %s", r, result_to_string(answer.code), result_to_string(code),
                         answer.text);
        after = core_dump(core);
        assert_string_equal(after, before);
        assert_true(r < 0 || answer.text[0]);
        core_check(core);
        (void)snprintf(text, sizeof(text), "%s", answer.text);
        return text;
}

const char *core_fails(Core *core, const Ask *ask, int error)
{
        static char text[REFUSAL_TEXT_MAX];
        Answer answer = {};

        assert_int_equal(core_ask(core, ask, &answer), 0);
        core_check(core);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        if (answer.error != error)
                fail_msg("%d %s instead of %d: %s", answer.error, result_to_string(answer.code), error,
                         answer.text);
        core_check(core);
        (void)snprintf(text, sizeof(text), "%s", answer.text);
        return text;
}
