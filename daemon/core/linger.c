/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reservations. A reserved device is nobody's: no process has it, and no memory is committed for it. For other tenants it
 * is taken, and so are its group and its reset set; for its own it counts in devices-max, or one process after the other
 * could gather more than a tenant may have. An administrator who works on it ends the reservation. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/linger.h"
#include "daemon/core/wait.h"

#define LINGER_REASON "reserved for the tenant that had it"

typedef struct LingerTimer {
        Broker *broker;
        Device *device;
        HostTimer *timer; /* NULL once it has fired */
} LingerTimer;

bool linger_is_for_other(const Device *device, const char *tenant)
{
        return device->kept_for[0] && !streq(device->kept_for, tenant);
}

unsigned linger_count(const Broker *broker, const char *tenant, Device *const *except, size_t n_except)
{
        unsigned n = 0;

        for (const Device *device = broker->devices; device; device = device->hh.next) {
                bool counts = streq(device->kept_for, tenant);

                for (size_t i = 0; counts && i < n_except; i++)
                        counts = except[i] != device;
                n += counts;
        }
        return n;
}

void linger_stop(Broker *broker, Device *device)
{
        if (!device->kept_for[0])
                return;
        device->kept_for[0] = 0;
        device->kept_until = 0;
        broker->host->ops->timer_stop(broker->host, device->kept_timer->timer);
        free(device->kept_timer);
        device->kept_timer = NULL;
        if (streq(device->state_reason, LINGER_REASON))
                device->state_reason[0] = 0;
        broker_wake_waiters(broker);
}

static void drop(Broker *broker, Device *device)
{
        linger_stop(broker, device);
        (void)broker_device_put_record(broker, device);
        broker_device_notify(device, broker);
}

static void on_end(void *userdata)
{
        LingerTimer *timer = userdata;

        timer->timer = NULL;
        drop(timer->broker, timer->device);
}

/* Where there is no timer there is no reservation: it would not end. */
static void reserve(Broker *broker, Device *device, const char *tenant, uint64_t until)
{
        uint64_t now = broker->host->ops->monotonic(broker->host);
        LingerTimer *timer = until > now ? calloc(1, sizeof(*timer)) : NULL;

        if (!timer)
                return;
        *timer = (LingerTimer){ .broker = broker, .device = device };
        if (broker->host->ops->timer_start(broker->host, until - now, on_end, timer, &timer->timer) < 0) {
                free(timer);
                return;
        }
        device->kept_timer = timer;
        device->kept_until = until;
        (void)snprintf(device->kept_for, sizeof(device->kept_for), "%s", tenant);
        if (!device->state_reason[0])
                (void)device_set_state(device, device->state, "%s", LINGER_REASON);
}

/* What policy says of it now, microseconds: 0 where the tenant may not use the device any more. */
static uint64_t linger_of(Broker *broker, const Device *device, const char *name)
{
        const PolicyTenant *tenant = policy_tenant_by_name(broker->policy, name);
        DeviceFacts facts = device_facts(device);
        Verdict verdict;

        if (!tenant || tenant->linger_usec == 0)
                return 0;
        decide_selector(broker->policy, tenant, &facts, &verdict);
        return verdict.code == VERDICT_ALLOWED ? tenant->linger_usec : 0;
}

void linger_start(Broker *broker, const Lease *lease, Device *device)
{
        uint64_t usec, now;

        if (lease->end_reason != END_PROCESS_EXITED && lease->end_reason != END_CONNECTION_CLOSED)
                return;
        usec = linger_of(broker, device, lease->tenant->name);
        now = broker->host->ops->monotonic(broker->host);
        if (usec > 0)
                reserve(broker, device, lease->tenant->name,
                        now + usec); /* which policy keeps from wrapping */
}

void linger_restore(Broker *broker, Device *device, const char *tenant, uint64_t until)
{
        if (tenant[0] && linger_of(broker, device, tenant) > 0)
                reserve(broker, device, tenant, until);
}

void linger_check_policy(Broker *broker)
{
        for (Device *device = broker->devices; device; device = device->hh.next)
                if (device->kept_for[0] && linger_of(broker, device, device->kept_for) == 0)
                        drop(broker, device);
}
