/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The policy from disk into the broker, and the part of it that acts on the machine by itself. */

#include <systemd/sd-daemon.h>
#include <time.h>

#include "daemon/journal.h"
#include "daemon/reload.h"

int load_policy(Policy **ret, char **ret_errors)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        int r;

        r = policy_load(NULL, ret, &errors);
        journal_policy(&errors);
        if (r < 0 && ret_errors)
                *ret_errors = policy_errors_to_string(&errors);
        return r;
}

/* A driver that takes longer is not waited for: its functions come when they come. */
#define FUNCTIONS_WAIT_USEC (10 * USEC_PER_SEC)

int make_functions(sd_event *event, Broker *broker, Bus *bus)
{
        uint64_t now = 0, end;
        int r;

        broker_apply_virtual_functions(broker);
        if (!broker_functions_pending(broker))
                return 0;

        r = sd_event_now(event, CLOCK_MONOTONIC, &now);
        if (r >= 0)
                r = bus_hold(bus, event, true);
        if (r < 0)
                return r;
        end = now + FUNCTIONS_WAIT_USEC;
        while (r >= 0 && now < end && broker_functions_pending(broker) &&
               sd_event_get_state(event) != SD_EVENT_FINISHED) {
                r = sd_event_run(event, end - now);
                if (r >= 0)
                        r = sd_event_now(event, CLOCK_MONOTONIC, &now);
        }
        return r < 0 ? r : bus_hold(bus, event, false);
}

void journal_divided(const Broker *broker)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;

        broker_check_divided(broker, &errors);
        journal_policy(&errors);
}

int reload_policy(Broker *broker, char **ret_errors)
{
        _cleanup_policy_ Policy *policy = NULL;
        struct timespec now = {};
        int r;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        (void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu",
                         (unsigned long long)now.tv_sec * USEC_PER_SEC +
                                 (unsigned long long)now.tv_nsec / 1000);
        r = load_policy(&policy, ret_errors);
        if (r >= 0)
                r = broker_set_policy(broker, policy);
        if (r >= 0) {
                (void)TAKE_PTR(policy);
                journal_divided(broker);
        }
        (void)sd_notify(false, "READY=1");
        return r;
}
