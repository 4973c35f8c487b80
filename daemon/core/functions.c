/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions: how many a physical one has, as an administrator asks or as the policy says, and what may not happen
 * to one while the other is in use. The kernel knows only all or none: another number takes every function away first. So
 * it is refused while anybody has one, and policy never takes any away, it only makes the first. Event loop only. */

#include <utlist.h>

#include "daemon/core/broker-internal.h"

/* After the kernel has made them, udev's events for them come within milliseconds; 64 of them on a host that is busy with
 * its boot take longer. */
#define SETTLE_USEC (5 * USEC_PER_SEC)

static bool is_function_of(const Device *device, const char *pf)
{
        return device->state != DEVICE_GONE && streq(device->info.physical_function, pf);
}

unsigned broker_n_functions(const Broker *broker, const Device *device)
{
        unsigned n = 0;

        for (const Device *other = broker->devices; other; other = other->hh.next)
                n += is_function_of(other, device->info.id);
        return n;
}

int functions_check_pf(Broker *broker, const Device *device, Refusal *refusal)
{
        const Device *pf = broker_device(broker, device->info.physical_function);

        if (!pf || !pf->admin_job)
                return 0;
        return refuse(refusal, RESULT_DEVICE_TAKEN,
                      "Something is changed about the physical function %s of device %s; ask again.",
                      pf->info.id, device->info.id);
}

int functions_check_driver(const Broker *broker, const Device *device, Refusal *refusal)
{
        unsigned n = broker_n_functions(broker, device);

        if (n == 0 || !device->info.driver[0] || device->info.driver_is_vfio)
                return 0;
        return refuse(
                refusal, RESULT_DEVICE_BUSY_ON_HOST,
                "Device %s has %u virtual functions, which its driver %s provides; an administrator can "
                "take them away (`vfiobrokerctl vfs %s 0`) first.",
                device->info.id, n, device->info.driver, device->info.id);
}

/* --- what is asked, against what there is --- */

/* The virtual functions that somebody has, in words; false for none. */
static bool list_taken(const Broker *broker, const Device *pf, char *ret, size_t size)
{
        size_t n = 0;

        ret[0] = 0;
        for (const Device *other = broker->devices; other; other = other->hh.next) {
                const Lease *lease = other->lease;

                /* Gone ones count: their lease has not let go. */
                if (!streq(other->info.physical_function, pf->info.id) || !(lease || other->admin_job))
                        continue;
                if (n < size)
                        n += (size_t)snprintf(
                                ret + n, size - n, "%s%s (%s%s%s%s)", n > 0 ? ", " : "", other->info.id,
                                lease ? "lease " : "a request of an administrator", lease ? lease->id : "",
                                lease ? " of tenant " : "", lease ? lease->tenant->name : "");
        }
        return n > 0;
}

static int check(Broker *broker, const Device *device, unsigned count, Refusal *refusal)
{
        const char *id = device->info.id, *pf = device->info.physical_function;
        unsigned now = broker_n_functions(broker, device), max = device->info.virtual_functions_max;
        char taken[REFUSAL_TEXT_MAX / 2];
        int r;

        if (pf[0])
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "Device %s is itself a virtual function; %s is the physical one.", id, pf);
        if (max == 0)
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "Device %s cannot have virtual functions: it, or its driver, has no SR-IOV.",
                              id);
        if (count > max)
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "Device %s can have at most %u virtual functions.", id, max);
        r = admin_check_idle(device, refusal);
        if (r != 0)
                return r;
        if (device->state == DEVICE_QUARANTINED)
                return refuse(refusal, RESULT_QUARANTINED, "Device %s is quarantined: %s.", id,
                              device->state_reason);
        if (device->info.driver_is_vfio || !device->info.driver[0])
                return refuse(refusal, RESULT_DRIVER_BIND_FAILED,
                              "Device %s is on %s, and only the host's own driver for it makes virtual "
                              "functions; `vfiobrokerctl bind %s DRIVER` gives it back.",
                              id, device->info.driver[0] ? device->info.driver : "no driver", id);
        if (now != count && list_taken(broker, device, taken, sizeof(taken)))
                return refuse(
                        refusal, RESULT_DEVICE_TAKEN,
                        "The %u virtual functions of device %s can only be taken away together, and these "
                        "are in use: %s.",
                        now, id, taken);
        for (const Device *other = broker->devices; other && now != count; other = other->hh.next) {
                r = streq(other->info.physical_function, id) ? plan_check_usage(broker, other, refusal) : 0;
                if (r != 0)
                        return r;
        }
        return 0;
}

static int start(Broker *broker, Device *device, unsigned count, bool by_policy, AdminDone done,
                 void *userdata, Refusal *refusal)
{
        Job job;
        AdminJob *admin = NULL;
        int r;

        r = check(broker, device, count, refusal);
        if (r != 0)
                return r;
        job_init(&job, JOB_FUNCTIONS);
        job.n_devices = 1;
        job.functions = count;
        job.keep_functions = by_policy || broker_n_functions(broker, device) == count;
        memcpy(job.devices[0].id, device->info.id, sizeof(job.devices[0].id));
        memcpy(job.devices[0].bus, device->info.bus, sizeof(job.devices[0].bus));
        r = admin_job_start(device, broker, &job, "its virtual functions are changed", done, userdata,
                            refusal, &admin);
        if (r != 0)
                return r;
        admin->functions = count;
        admin->by_policy = by_policy;
        device->functions_due = false;
        return 0;
}

int broker_set_virtual_functions(Broker *broker, const char *id, unsigned count, AdminDone done,
                                 void *userdata, Refusal *refusal)
{
        Device *device = broker_device(broker, id);

        if (!device || device->state == DEVICE_GONE)
                return refuse(refusal, RESULT_NO_SUCH_DEVICE, "There is no device %s.", id);
        return start(broker, device, count, false, done, userdata, refusal);
}

/* --- the outcome --- */

static void finish(AdminJob *admin, Device *device, int error, const Refusal *refusal)
{
        Broker *broker = admin->broker;

        broker->host->ops->timer_stop(broker->host, admin->settle);
        admin->settle = NULL;
        if (device->state != DEVICE_GONE)
                (void)device_set_state(device, device_idle_state(device), "%s", "");
        if (error != 0 && admin->by_policy)
                broker_event(broker, EVENT_TROUBLE, NULL, device, result_to_string(refusal->code),
                             "Policy gives device %s %u virtual functions: %s", admin->id, admin->functions,
                             refusal->text);
        admin_job_end(admin, device, error, refusal);
}

static void on_settle_timeout(void *userdata)
{
        AdminJob *admin = userdata;
        Broker *broker = admin->broker;
        Device *device = broker_device(broker, admin->id);
        Refusal refusal = {};

        admin->settle = NULL;
        broker_event(
                broker, EVENT_TROUBLE, NULL, device, "",
                "Device %s has %u virtual functions by the kernel's word, and the inventory has seen %u of "
                "them: udev is late",
                admin->id, admin->functions, broker_n_functions(broker, device));
        finish(admin, device, 0, &refusal);
}

static int refuse_outcome(const AdminJob *admin, const JobResult *result, Refusal *refusal)
{
        const JobDeviceResult *row = result->devices;

        if (result->error != 0)
                return refuse(refusal, RESULT_DRIVER_BIND_FAILED,
                              "Device %s: the worker did not finish: %s (%s).", admin->id, result->text,
                              strerror(result->error));
        if (row->error == 0 && row->functions != admin->functions)
                return refuse(refusal, RESULT_DRIVER_BIND_FAILED,
                              "Device %s: its driver made %u virtual functions of the %u asked for.",
                              admin->id, row->functions, admin->functions);
        if (row->error == 0)
                return 0;
        if (row->step == STEP_PROVE_FREE && row->error == EBUSY)
                return refuse(
                        refusal, RESULT_DEVICE_TAKEN,
                        "Device %s: a process that did not get it from the broker has a virtual function "
                        "open: %s.",
                        admin->id, row->text);
        if (row->step == STEP_FUNCTIONS && row->error == EEXIST)
                return refuse(refusal, RESULT_DEVICE_BUSY_ON_HOST,
                              "Device %s has %u virtual functions; they stay as they are.", admin->id,
                              row->functions);
        if (row->step == STEP_FUNCTIONS && row->error == ERANGE)
                return refuse(refusal, RESULT_INVALID_ARGS, "Device %s: its driver allows fewer: %s.",
                              admin->id, row->text);
        return refuse(refusal, RESULT_DRIVER_BIND_FAILED, "Device %s: %s: %s%s.", admin->id, row->text,
                      strerror(row->error),
                      row->error == ENOENT ? " (its driver does not make virtual functions)" : "");
}

void functions_done(AdminJob *admin, Device *device, const JobResult *result)
{
        Broker *broker = admin->broker;
        Host *host = broker->host;
        Refusal refusal = {};
        int r;

        r = refuse_outcome(admin, result, &refusal);
        /* The answer means that they can be asked for: it waits for the last of them. */
        if (r != 0 || device->state == DEVICE_GONE ||
            broker_n_functions(broker, device) == admin->functions ||
            host->ops->timer_start(host, SETTLE_USEC, on_settle_timeout, admin, &admin->settle) < 0)
                finish(admin, device, r, &refusal);
}

void broker_functions_changed(Broker *broker, const char *id)
{
        Device *device = id[0] ? broker_device(broker, id) : NULL;
        AdminJob *admin, *next;
        Refusal refusal = {};

        if (!device)
                return;
        broker_device_notify(device, broker);
        DL_FOREACH_SAFE(broker->admin_jobs, admin, next)
                if (admin->settle && streq(admin->id, id) &&
                    (device->state == DEVICE_GONE ||
                     broker_n_functions(broker, device) == admin->functions)) {
                        finish(admin, device, 0, &refusal);
                        return;
                }
}

/* --- the policy --- */

void broker_functions_check_policy(Broker *broker, Device *device)
{
        DeviceFacts facts = device_facts(device);
        const PolicyDevice *override = policy_device_override(broker->policy, &facts);
        unsigned now = broker_n_functions(broker, device);
        Refusal refusal = {};
        int r;

        if (!broker->functions_by_policy || !device->functions_due || device->state == DEVICE_GONE)
                return;
        /* A selector may name virtual functions, and devices without any, too. */
        if (!override || override->virtual_functions <= 0 || device->info.virtual_functions_max == 0 ||
            now == (unsigned) override->virtual_functions) {
                device->functions_due = false;
                return;
        }
        /* Not yet: its driver comes later in the boot, or is back when its lease has ended. */
        if (!device->info.driver[0] || device->info.driver_is_vfio || device->lease || device->admin_job ||
            device->state == DEVICE_QUARANTINED)
                return;
        device->functions_due = false;
        if (now > 0)
                r = refuse(&refusal, RESULT_DEVICE_BUSY_ON_HOST,
                           "it has %u, which stay; `vfiobrokerctl vfs %s %d` changes that", now,
                           device->info.id, override->virtual_functions);
        else
                r = start(broker, device, (unsigned) override->virtual_functions, true, NULL, NULL,
                          &refusal);
        if (r != 0)
                broker_event(broker, EVENT_TROUBLE, NULL, device,
                             r > 0 ? result_to_string(refusal.code) : "",
                             "Policy gives device %s %d virtual functions: %s", device->info.id,
                             override->virtual_functions, r > 0 ? refusal.text : strerror(-r));
}

void broker_apply_virtual_functions(Broker *broker)
{
        broker->functions_by_policy = true;
        for (Device *device = broker->devices, *next; device; device = next) {
                next = device->hh.next;
                device->functions_due = true;
                broker_functions_check_policy(broker, device);
        }
}

bool broker_functions_pending(const Broker *broker)
{
        const AdminJob *admin;

        DL_FOREACH(broker->admin_jobs, admin)
                if (admin->kind == JOB_FUNCTIONS)
                        return true;
        return false;
}
