/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The queue of those who wait. One for the whole broker, in the order of their coming: whoever wants a device came before
 * or after whoever else wants it, so the order for each device is that too, with priority to none. A waiter who cannot be
 * served yet holds nothing back: were one of several free devices kept for who waits for all of them, a tenant could keep
 * it from others for a day by waiting for what it holds itself. The price is that who waits for several may be overtaken.
 * Event loop only. */

#include <utlist.h>

#include "daemon/core/wait.h"

struct Waiter {
        Broker *broker;
        uint64_t owner;
        WaitWoken woken;
        void *userdata;
        HostTimer *timer; /* NULL once it has fired */
        bool due, anew;   /* something became free since it last asked; policy changed */
        struct Waiter *next, *prev;
};

bool wait_may_help(int result)
{
        return result == RESULT_DEVICE_TAKEN || result == RESULT_GROUP_SPLIT ||
               result == RESULT_RATE_LIMITED;
}

static void waiter_free(Waiter *waiter)
{
        Broker *broker = waiter->broker;

        if (waiter->timer)
                broker->host->ops->timer_stop(broker->host, waiter->timer);
        DL_DELETE(broker->waiters, waiter);
        broker->n_waiters--;
        free(waiter);
}

bool wait_is_vain(Broker *broker, const char *const *devices, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                const Device *device = broker_device(broker, devices[i]);

                if (device && device->state != DEVICE_GONE && (device->lease || device->admin_job))
                        return true;
        }
        return false;
}

static void wake(Waiter *waiter, WaitWake why)
{
        if (why == WAIT_RETRY && waiter->anew)
                why = WAIT_ANEW;
        waiter->due = waiter->anew = false;
        if (!waiter->woken(waiter->userdata, why))
                waiter_free(waiter);
}

static void on_timeout(void *userdata)
{
        Waiter *waiter = userdata;
        Broker *broker = waiter->broker;

        waiter->timer = NULL;
        /* Those before it first, where they are to be. */
        if (waiter->due)
                for (Waiter *other = broker->waiters, *next; other != waiter; other = next) {
                        next = other->next;
                        if (other->due)
                                wake(other, WAIT_RETRY);
                }
        wake(waiter, WAIT_TIMEOUT);
}

int broker_wait(Broker *broker, uint64_t owner, uint64_t usec, WaitWoken woken, void *userdata,
                Refusal *refusal)
{
        Waiter *waiter;
        int r;

        if (broker->n_waiters >= WAITERS_MAX)
                return refuse(refusal, RESULT_LIMITS_EXCEEDED,
                              "%u calls wait for devices already, the broker's limit; ask again later.",
                              WAITERS_MAX);
        waiter = calloc(1, sizeof(*waiter));
        if (!waiter)
                return -ENOMEM;
        *waiter = (Waiter){ .broker = broker, .owner = owner, .woken = woken, .userdata = userdata };
        r = broker->host->ops->timer_start(broker->host, usec, on_timeout, waiter, &waiter->timer);
        if (r < 0) {
                free(waiter);
                return r;
        }
        DL_APPEND(broker->waiters, waiter);
        broker->n_waiters++;
        return 0;
}

void broker_serve_waiters(Broker *broker)
{
        Waiter *next;

        if (broker->waiters_timer) {
                broker->host->ops->timer_stop(broker->host, broker->waiters_timer);
                broker->waiters_timer = NULL;
        }
        for (Waiter *waiter = broker->waiters; waiter; waiter = next) {
                /* A waiter that is woken frees no other. */
                next = waiter->next;
                if (waiter->due)
                        wake(waiter, WAIT_RETRY);
        }
}

static void on_free(void *userdata)
{
        Broker *broker = userdata;

        broker->waiters_timer = NULL;
        broker_serve_waiters(broker);
}

void broker_wake_waiters_anew(Broker *broker)
{
        for (Waiter *waiter = broker->waiters; waiter; waiter = waiter->next)
                waiter->anew = true;
        broker_wake_waiters(broker);
}

void broker_wake_waiters(Broker *broker)
{
        if (!broker->waiters)
                return;
        for (Waiter *waiter = broker->waiters; waiter; waiter = waiter->next)
                waiter->due = true;
        /* Not from here: whoever frees a device is in the middle of that. Where there is no timer, the next who comes
         * serves them, or their own time is over. */
        if (!broker->waiters_timer)
                (void)broker->host->ops->timer_start(broker->host, 0, on_free, broker,
                                                     &broker->waiters_timer);
}

unsigned broker_n_waiters(const Broker *broker)
{
        return broker->n_waiters;
}

void waiters_owner_gone(Broker *broker, uint64_t owner)
{
        Waiter *next;

        for (Waiter *waiter = broker->waiters; waiter; waiter = next) {
                next = waiter->next;
                if (waiter->owner == owner)
                        wake(waiter, WAIT_GONE);
        }
}

void waiters_free(Broker *broker)
{
        if (broker->waiters_timer)
                broker->host->ops->timer_stop(broker->host, broker->waiters_timer);
        broker->waiters_timer = NULL;
        while (broker->waiters)
                waiter_free(broker->waiters);
}
