/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Acquire, Add and Reissue, from message to message: who asks, how often, what for; then the core decides and works; then the reply with
 * the fds, or the refusal. The order is from cheap to dear, so that a flood is turned away first. The fds in a reply are
 * sd-bus's own copies, closed when the message is on its way; the core closes the originals. Event loop only. */

#include "daemon/bus/access.h"
#include "daemon/bus/acquire.h"
#include "daemon/bus/call.h"
#include "daemon/bus/object.h"
#include "daemon/bus/owner.h"
#include "daemon/bus/request.h"
#include "daemon/bus/target.h"
#include "daemon/bus/uids.h"
#include "daemon/core/wait.h"

/* Reads the arguments and fills the caller's part in, and that of the process it is for. As request_read(); target_done()
 * afterwards, whatever it is. */
static int prepare(Bus *bus, sd_bus_message *m, Caller *caller, Request *ret, Target *ret_target,
                   Refusal *refusal)
{
        int r;

        r = request_read(m, caller_fds_max(caller), ret, refusal);
        if (r == -EBADMSG || r == -ENXIO || r == -EINVAL)
                return refuse(refusal, RESULT_INVALID_ARGS, "The message cannot be read: %s.", strerror(-r));
        if (r != 0)
                return r;
        r = caller_refresh(bus, caller, refusal);
        if (r != 0)
                return r;
        if (ret->pidfd >= 0) {
                r = target_open(bus, ret->pidfd, ret_target, refusal);
                if (r != 0)
                        return r;
                ret->acquire.target_pid = ret_target->pid;
                ret->acquire.target_pidfd = ret_target->pidfd;
                ret->acquire.target_facts = target_facts(ret_target);
        }

        ret->acquire.caller = caller_facts(caller);
        ret->acquire.admin = access_is_admin(bus, caller);
        ret->acquire.caller_pid = caller->pid;
        ret->acquire.caller_pidfd = caller->pidfd;
        ret->acquire.owner = caller->id;
        ret->acquire.owner_name = ret->owner_name;
        return owner_name(bus, caller, ret->owner_name);
}

static int append_fds(sd_bus_message *reply, const AcquireOutcome *outcome)
{
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(ssh)");
        for (size_t i = 0; r >= 0 && i < outcome->n_fds; i++)
                r = sd_bus_message_append(reply, "(ssh)", outcome->fds[i].kind, outcome->fds[i].id,
                                          outcome->fds[i].fd);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int new_reply(Call *call, const Lease *lease, const AcquireOutcome *outcome, sd_bus_message **ret)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call->message, &reply);
        if (r < 0)
                return r;
        r = object_append_path(reply, &lease_kind, lease);
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "s", lease->backend == POLICY_BACKEND_GROUP ? "group" : "iommufd");
        if (r < 0)
                return r;
        r = append_fds(reply, outcome);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(reply);
        return 0;
}

static int acquire_done(void *userdata, Lease *lease, const AcquireOutcome *outcome)
{
        Call *call = userdata;
        sd_bus_message *reply = NULL;
        int r;

        if (outcome->error != 0)
                return call_fail(call, outcome->error, outcome->refusal, "To open the devices");

        r = new_reply(call, lease, outcome, &reply);
        if (r < 0) {
                (void)call_fail(call, r, NULL, "To build the reply");
                return r;
        }
        return call_reply(call, reply);
}

/* The answer to Add and Reissue: the caller knows the lease. */
static int fds_done(void *userdata, Lease *lease, const AcquireOutcome *outcome)
{
        Call *call = userdata;
        sd_bus_message *reply = NULL;
        int r;

        if (outcome->error != 0)
                return call_fail(call, outcome->error, outcome->refusal, "To open the devices");

        r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0)
                r = append_fds(reply, outcome);
        if (r < 0) {
                sd_bus_message_unref(reply);
                (void)call_fail(call, r, NULL, "To build the reply");
                return r;
        }
        return call_reply(call, reply);
}

/* What every call that opens devices begins with: who asks, how often. 1 with a call to answer, 0 where no answer is
 * awaited, to which the fds could go; or an error. */
static int begin(Bus *bus, sd_bus_message *m, Caller **ret_caller, Call **ret, sd_bus_error *error)
{
        const PolicyBroker *policy = &bus->broker->policy->broker;
        Host *host = bus->broker->host;
        Refusal refusal;
        Caller *caller;
        int r;

        if (sd_bus_message_get_expect_reply(m) <= 0)
                return 0;
        r = access_require(bus, m, ACCESS_ANY, &caller, error);
        if (r < 0)
                return r;
        r = uids_take(bus->uids, caller->uid, policy->rate_count, policy->rate_interval_usec,
                      host->ops->monotonic(host), &refusal);
        if (r == 0)
                r = call_new(bus, m, caller, &refusal, ret);
        if (r != 0) {
                r = error_set_outcome(error, r, &refusal, sd_bus_message_get_member(m));
                return r < 0 ? r : -EIO; /* it is always an error */
        }
        *ret_caller = caller;
        return 1;
}

int acquire_add(Bus *bus, sd_bus_message *m, Lease *lease, sd_bus_error *error)
{
        _cleanup_(call_freep) Call *call = NULL;
        Request request;
        Refusal refusal;
        Caller *caller;
        int r;

        r = begin(bus, m, &caller, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = request_read_devices(m, caller_fds_max(caller), &request, &refusal);
        if (r == 0) {
                request.acquire.caller = caller_facts(caller);
                request.acquire.owner = caller->id;
                request.acquire.target = lease;
                r = broker_lease_add(bus->broker, &request.acquire, fds_done, call, &refusal);
        }
        if (r != 0)
                return error_set_outcome(error, r, &refusal, "Add");
        call = NULL; /* fds_done()'s */
        return 1;
}

int acquire_reissue(Bus *bus, sd_bus_message *m, Lease *lease, sd_bus_error *error)
{
        _cleanup_(call_freep) Call *call = NULL;
        Refusal refusal;
        Caller *caller;
        int r;

        r = begin(bus, m, &caller, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = broker_lease_reissue(bus->broker, lease, caller_fds_max(caller), fds_done, call, &refusal);
        if (r != 0)
                return error_set_outcome(error, r, &refusal, "Reissue");
        call = NULL; /* fds_done()'s */
        return 1;
}

/* Asks the core, with what the message says. `waiting`: not the first time, and that long it will wait on. */
static int attempt(Call *call, Caller *caller, const uint64_t *waiting, uint64_t *ret_wait, Refusal *refusal)
{
        _cleanup_(target_done) Target target = TARGET_NONE;
        Bus *bus = call->bus;
        Request request;
        Lease *lease;
        int r;

        r = prepare(bus, call->message, caller, &request, &target, refusal);
        if (r != 0)
                return r;
        if (waiting)
                request.acquire.wait_usec = *waiting;
        *ret_wait = request.acquire.wait_usec;
        return broker_acquire(bus->broker, &request.acquire, acquire_done, call, refusal, &lease);
}

/* A device may be free now: everything anew, the identity too, since who waited long may have been moved. */
static bool woken(void *userdata, WaitWake wake)
{
        Call *call = userdata;
        Host *host = call->bus->broker->host;
        Caller *caller = caller_by_id(call->bus, call->caller);
        uint64_t now = host->ops->monotonic(host), left, wait;
        Request request;
        Refusal refusal;
        int r;

        if (wake == WAIT_GONE || !caller) {
                call_free(call);
                return false;
        }
        left = wake == WAIT_TIMEOUT || call->deadline <= now ? 0 : call->deadline - now;
        r = sd_bus_message_rewind(call->message, true);
        if (r >= 0 && wake == WAIT_RETRY && left > 0) {
                /* Before the caller is looked at anew, which is most of the work. */
                r = request_read_devices(call->message, caller_fds_max(caller), &request, &refusal);
                if (r == 0 && wait_is_vain(call->bus->broker, request.devices, request.acquire.n_devices))
                        return true;
                r = sd_bus_message_rewind(call->message, true);
        }
        if (r >= 0)
                r = attempt(call, caller, &left, &wait, &refusal);
        call->waiting = left > 0 && wait_may_help(r);
        if (r == 0 || call->waiting)
                return call->waiting;
        (void)call_fail(call, r, &refusal, "Acquire");
        return false;
}

int method_acquire(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Bus *bus = userdata;
        Host *host = bus->broker->host;
        _cleanup_(call_freep) Call *call = NULL;
        uint64_t wait = 0;
        Refusal refusal;
        Caller *caller;
        int r;

        r = begin(bus, m, &caller, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        broker_serve_waiters(bus->broker); /* who came before comes first */
        r = attempt(call, caller, NULL, &wait, &refusal);
        if (wait > 0 && wait_may_help(r)) {
                call->deadline = host->ops->monotonic(host) + wait;
                r = broker_wait(bus->broker, caller->id, wait, woken, call, &refusal);
                call->waiting = r == 0;
        }
        if (r != 0)
                return error_set_outcome(error, r, &refusal, "Acquire");
        call = NULL; /* acquire_done()'s, or woken()'s */
        return 1;
}

/* A call in bad form has no answer; any other refusal is one. */
static bool is_answer(int r)
{
        return r >= 0 && r != RESULT_INVALID_ARGS && r != RESULT_LIMITS_EXCEEDED;
}

int method_check_access(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Bus *bus = userdata;
        _cleanup_(target_done) Target target = TARGET_NONE;
        Request request;
        Refusal refusal = {};
        Caller *caller;
        int r;

        r = access_require(bus, m, ACCESS_ANY, &caller, error);
        if (r < 0)
                return r;
        r = prepare(bus, m, caller, &request, &target, &refusal);
        if (r == 0)
                r = broker_check(bus->broker, &request.acquire, &refusal);
        if (!is_answer(r))
                return error_set_outcome(error, r, &refusal, "CheckAccess");
        return sd_bus_reply_method_return(m, "bss", r == 0, r == 0 ? "" : error_name((Result)r),
                                          refusal.text);
}

/* The path of one decision, on its way into the reply. */
typedef struct Path {
        sd_bus_message *reply;
        bool admin;
        bool refused; /* the last step */
        int error;
} Path;

static void append_step(void *userdata, const DecideStep *step)
{
        Path *path = userdata;
        bool tenant = streq(step->name, "tenant");

        /* of a tenant that it is not, a caller does not learn that it is there */
        if (path->error < 0 || (tenant && !step->passed && !path->admin))
                return;
        path->refused = !step->passed && !tenant;
        path->error = sd_bus_message_append(path->reply, "(ssbs)", step->name, step->about, step->passed,
                                            step->text);
}

int method_explain(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Bus *bus = userdata;
        _cleanup_message_ sd_bus_message *reply = NULL;
        Path path = {};
        const DecideTrace trace = { append_step, &path };
        _cleanup_(target_done) Target target = TARGET_NONE;
        Request request;
        Refusal refusal = {};
        Caller *caller;
        int r;

        r = access_require(bus, m, ACCESS_ANY, &caller, error);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssbs)");
        if (r < 0)
                return r;
        path.reply = reply;
        path.admin = access_is_admin(bus, caller);

        r = prepare(bus, m, caller, &request, &target, &refusal);
        if (r == 0) {
                request.acquire.trace = &trace;
                r = broker_check(bus->broker, &request.acquire, &refusal);
        }
        if (!is_answer(r))
                return error_set_outcome(error, r, &refusal, "Explain");

        /* what the policy did not decide has the last word */
        if (r != 0 && !path.refused)
                append_step(&path, &(DecideStep){ .name = "broker", .about = "", .text = refusal.text });
        if (path.error < 0)
                return path.error;
        path.error = sd_bus_message_close_container(reply);
        if (path.error >= 0)
                path.error = sd_bus_message_append(reply, "bss", r == 0, r == 0 ? "" : error_name((Result)r),
                                                   refusal.text);
        return path.error < 0 ? path.error : sd_bus_send(NULL, reply, NULL);
}
