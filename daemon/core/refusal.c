/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Refusals for the journal: of an Acquire that policy or plan turned down before there was a lease. Who asks in vain may
 * do so as often as its rate lets it; so of the uids that share a row REFUSAL_BURST are told in each
 * REFUSAL_INTERVAL_USEC, the rest is counted and told with the next one. The rows are few and fixed: however many uids
 * somebody has, the journal gets REFUSAL_ROWS times that at most. Event loop only. */

#include <limits.h>

#include "daemon/core/broker-internal.h"

/* Who asked was told no more than it may know. An operator needs what an administrator would have been told. */
static void tell_all(Broker *broker, const AcquireRequest *request, const Refusal *refusal, Refusal *ret)
{
        _cleanup_(plan_done) AcquirePlan plan = {};
        AcquireRequest asked = *request;

        asked.admin = true;
        asked.trace = NULL;
        if (plan_acquire(broker, &asked, &plan, ret) <= 0)
                *ret = *refusal;
}

void broker_refused(Broker *broker, const AcquireRequest *request, const Refusal *refusal)
{
        RefusalRow *row = broker->refusals + request->caller.uid % REFUSAL_ROWS;
        uint64_t now = broker->host->ops->monotonic(broker->host);
        char text[REFUSAL_TEXT_MAX + 256], untold[128] = "";
        Verdict verdict;
        BrokerEvent event;
        Refusal whole;

        if (row->told == 0 || now - row->since >= REFUSAL_INTERVAL_USEC) {
                row->since = now;
                row->told = 0;
        }
        if (row->told == REFUSAL_BURST) {
                row->untold += row->untold < UINT_MAX;
                return;
        }
        row->told++;
        if (row->untold > 0)
                (void)snprintf(untold, sizeof(untold), " (%u refusals before this one were not logged)",
                               row->untold);
        row->untold = 0;

        tell_all(broker, request, refusal, &whole);
        decide_tenant(broker->policy, &request->caller, request->tenant, &verdict);
        (void)snprintf(text, sizeof(text), "User %u, process %d: %s%s", (unsigned)request->caller.uid,
                       (int)request->caller_pid, whole.text, untold);
        event = (BrokerEvent){
                .kind = EVENT_REFUSED,
                .tenant = verdict.code == VERDICT_ALLOWED ? verdict.tenant->name : "",
                .lease = "",
                .unit = strempty(request->caller.unit),
                .uid = request->caller.uid,
                .pid = request->caller_pid,
                .result = result_to_string(refusal->code),
                .rule = "",
                .text = text,
        };
        /* Those that there are: what else was named is in the text. */
        for (size_t i = 0; i < request->n_devices && i < ELEMENTSOF(event.devices); i++) {
                const Device *device = broker_device(broker, request->devices[i]);

                if (device)
                        event.devices[event.n_devices++] = device->info.id;
        }
        NOTIFY(broker, event, &event);
}
