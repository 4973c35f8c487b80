/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The policy from disk into the broker. */

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
        if (r >= 0)
                (void)TAKE_PTR(policy);
        (void)sd_notify(false, "READY=1");
        return r;
}
