/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A broker for one question. It is the daemon's core on the daemon's view of the machine, with three things changed: the
 * process that asks is whoever the question is about, what an unprivileged reader cannot find out of a device's use counts
 * as none, and nothing is recorded. Nothing here starts a job, since only broker_check() is called. */

#include "client-lib/ctl/offline.h"
#include "daemon/host/machine.h"
#include "daemon/host/sysfs.h"

static const HostOps *machine_ops;
static uid_t supposed_uid; /* the machine's table has no place for it */

static int supposed_process(Host *host, pid_t pid, int pidfd, ProcessFacts *ret)
{
        *ret = (ProcessFacts){ .uid = supposed_uid };
        return 0;
}

static int readable_usage(Host *host, const DeviceInfo *info, DeviceUsage *ret)
{
        int r = machine_ops->device_usage(host, info, ret);

        if (r < 0 && r != -ENOMEM)
                *ret = (DeviceUsage){ .kind = USAGE_NONE };
        return r == -ENOMEM ? r : 0;
}

static int put_lease(void *userdata, const Lease *lease)
{
        return 0;
}

static int put_device(void *userdata, const Device *device)
{
        return 0;
}

static void drop(void *userdata, const char *id)
{
}

static const BrokerStore no_store = {
        .lease_put = put_lease,
        .lease_drop = drop,
        .device_put = put_device,
        .device_drop = drop,
};

typedef struct Offline {
        sd_event *event;
        Host *host;
        Broker *broker;
        Inventory *inventory;
} Offline;

static void offline_done(Offline *self)
{
        inventory_free(self->inventory);
        broker_free(self->broker);
        machine_free(self->host);
        sd_event_unref(self->event);
}

static int on_device(void *userdata, DeviceInfo *info)
{
        return broker_device_update(userdata, info);
}

static void on_device_gone(void *userdata, const char *id)
{
        broker_device_remove(userdata, id);
}

int offline_check(Policy *policy, const AcquireRequest *request, Refusal *refusal)
{
        _cleanup_(offline_done) Offline self = {};
        AcquireRequest asked = *request;
        sigset_t set;
        HostOps ops;
        int r;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD); /* the machine's part for workers listens for their ends */
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;

        r = sd_event_new(&self.event);
        if (r >= 0)
                r = machine_new(self.event, NULL, &self.host);
        if (r < 0)
                return r;

        machine_ops = self.host->ops;
        ops = *machine_ops;
        ops.process_facts = supposed_process;
        ops.device_usage = readable_usage;
        self.host->ops = &ops;
        supposed_uid = request->caller.uid;

        r = broker_new(self.host, &no_store, NULL, policy_ref(policy), &self.broker);
        if (r < 0) {
                policy_unref(policy);
                return r;
        }
        r = inventory_new(self.event, on_device, on_device_gone, NULL, self.broker, &self.inventory);
        if (r < 0)
                return r;

        asked.target_pidfd = -EBADF;
        asked.admin = true; /* who can read the policy and the machine is told all */
        asked.caller_pid = getpid();
        asked.caller_pidfd = STDIN_FILENO; /* a number: nobody looks at the process behind it */
        return broker_check(self.broker, &asked, refusal);
}
