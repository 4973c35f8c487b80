/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls that wait. The list is the bus's, so that they can be dropped with it; each is freed by its answer. Event loop
 * only. */

#include <utlist.h>

#include "daemon/bus/call.h"
#include "daemon/bus/uids.h"

int call_new(Bus *bus, sd_bus_message *message, Caller *caller, Refusal *refusal, Call **ret)
{
        Host *host = bus->broker->host;
        Call *call;
        int r;

        r = uids_call_begin(bus->uids, caller->uid, host->ops->monotonic(host), refusal);
        if (r != 0)
                return r;
        call = calloc(1, sizeof(*call));
        if (!call) {
                uids_call_end(bus->uids, caller->uid);
                return -ENOMEM;
        }
        *call = (Call){
                .bus = bus,
                .message = sd_bus_message_ref(message),
                .uid = caller->uid,
                .caller = caller->id,
        };
        caller->n_calls++;
        DL_APPEND(bus->calls, call);
        *ret = call;
        return 0;
}

Call *call_free(Call *call)
{
        Caller *caller;

        if (!call)
                return NULL;
        caller = caller_by_id(call->bus, call->caller);
        if (caller)
                caller->n_calls--;
        uids_call_end(call->bus->uids, call->uid);
        DL_DELETE(call->bus->calls, call);
        sd_bus_message_unref(call->message);
        free(call);
        return NULL;
}

int call_fail(Call *call, int r, const Refusal *refusal, const char *step)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        (void)error_set_outcome(&error, r, refusal, step);
        r = sd_bus_reply_method_error(call->message, &error);
        call_free(call);
        return r < 0 ? r : 0;
}

int call_reply(Call *call, sd_bus_message *reply)
{
        int r;

        r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        if (r < 0) {
                /* The kernel may have no room for its files: who asked is not to wait for ever. */
                (void)call_fail(call, r, NULL, "To send the reply");
                return r;
        }
        call_free(call);
        return 0;
}
