/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What administrators ask of single devices: reset (the way out of quarantine), bind, unbind, and in functions.c virtual
 * functions. Refused while a lease holds the device; each is one job with one answer. Event loop only. */

#include <utlist.h>

#include "daemon/core/broker-internal.h"
#include "daemon/core/linger.h"
#include "daemon/core/wait.h"

void broker_disown_admin_jobs(Broker *broker)
{
        while (broker->admin_jobs) {
                AdminJob *admin = broker->admin_jobs;

                DL_DELETE(broker->admin_jobs, admin);
                if (admin->job)
                        broker->host->ops->job_disown(broker->host, admin->job);
                broker->host->ops->timer_stop(broker->host, admin->settle);
                free(admin);
        }
}

/* The outcome of a reset: the device is idle, or in quarantine. */
static void take_reset(AdminJob *admin, Device *device, const JobResult *result, bool was_quarantined,
                       int error)
{
        Broker *broker = admin->broker;
        const JobDeviceResult *row = result->devices;

        if (!reclaim_take_row(broker, NULL, device, result, row, true))
                broker_device_quarantine(broker, NULL, device,
                                         "a process that did not get it from the broker has it open");
        else if (was_quarantined && error == 0 && device->state != DEVICE_GONE)
                broker_event(broker, EVENT_RECOVERED, NULL, device, "",
                             "Device %s was proven free%s and is out of quarantine", admin->id,
                             row->reset == RESET_DONE ? ", was reset" : ", has no reset of its own,");
}

/* The outcome of a bind or unbind. It is no way out of quarantine. */
static void take_driver(AdminJob *admin, Device *device, const JobResult *result, bool was_quarantined,
                        const Refusal *refusal)
{
        Broker *broker = admin->broker;

        device_take_result(broker, device, result->devices);
        device->proven = false;
        device->clean = false;
        if (!device->info.driver_is_vfio)
                device->prior_known = false;
        if (device->state == DEVICE_GONE)
                return;
        if (!was_quarantined)
                (void)device_set_state(device, device_idle_state(device), "%s", refusal->text);
        else
                (void)device_set_state(device, DEVICE_QUARANTINED, "%s",
                                       refusal->text[0] ? admin->reason
                                                        : "its driver was changed, a reset is due");
        (void)broker_device_put_record(broker, device);
}

void admin_job_end(AdminJob *admin, Device *device, int error, const Refusal *refusal)
{
        Broker *broker = admin->broker;

        DL_DELETE(broker->admin_jobs, admin);
        device->admin_job = false;
        broker_wake_waiters(broker);
        if (admin->done)
                admin->done(admin->userdata, error, refusal);
        broker_device_notify(device, broker);
        broker_functions_check_policy(broker, device);
        broker_device_gc(broker, device);
        free(admin);
        broker_job_ended(broker);
}

static void admin_done(void *userdata, JobResult *result)
{
        AdminJob *admin = userdata;
        /* It cannot have left the table: admin_job keeps it there. */
        Device *device = broker_device(admin->broker, admin->id);
        const JobDeviceResult *row = result->devices;
        bool was_quarantined;
        Refusal refusal = {};
        int r = 0;

        admin->job = NULL;
        if (admin->kind == JOB_FUNCTIONS) {
                functions_done(admin, device, result);
                return;
        }
        device->admin_job = false;
        was_quarantined = device->was_quarantined;
        device->was_quarantined = false;

        if (result->error != 0)
                r = refuse(&refusal, RESULT_DRIVER_BIND_FAILED,
                           "Device %s: the worker did not finish: %s (%s).", admin->id, result->text,
                           strerror(result->error));
        else if (row->error != 0)
                r = refuse(&refusal,
                           row->step == STEP_IN_USE                              ? RESULT_DEVICE_BUSY_ON_HOST
                           : row->step == STEP_RESET                             ? RESULT_RESET_FAILED
                           : row->step == STEP_PROVE_FREE && row->error == EBUSY ? RESULT_DEVICE_TAKEN
                                                                                 : RESULT_DRIVER_BIND_FAILED,
                           "Device %s: %s: %s.", admin->id, row->text, strerror(row->error));

        if (admin->kind == JOB_RESET)
                take_reset(admin, device, result, was_quarantined, r);
        else
                take_driver(admin, device, result, was_quarantined, &refusal);

        admin_job_end(admin, device, r, &refusal);
}

/* The one who asked waits; whoever looks at the host meanwhile is to see why. */
static void admin_slow(void *userdata, uint64_t age_usec)
{
        AdminJob *admin = userdata;
        Broker *broker = admin->broker;
        Device *device = broker_device(broker, admin->id);

        if (device->state == DEVICE_GONE ||
            !device_set_state(device, DEVICE_BINDING,
                              "the kernel has not finished what an administrator asked"))
                return;
        broker_event(broker, EVENT_STUCK, NULL, device, "", "Device %s: %s (for %llu s)", admin->id,
                     device->state_reason, (unsigned long long)(age_usec / USEC_PER_SEC));
        broker_device_notify(device, broker);
}

int admin_job_start(Device *device, Broker *broker, const Job *job, const char *why, AdminDone done,
                    void *userdata, Refusal *refusal, AdminJob **ret)
{
        AdminJob *admin;
        int r;

        admin = calloc(1, sizeof(*admin));
        if (!admin)
                return -ENOMEM;
        admin->broker = broker;
        admin->kind = job->kind;
        memcpy(admin->id, device->info.id, sizeof(admin->id));
        memcpy(admin->reason, device->state_reason, sizeof(admin->reason));
        admin->done = done;
        admin->userdata = userdata;

        r = broker->host->ops->job_start(broker->host, job, admin_done, admin_slow, admin, &admin->job);
        if (r < 0) {
                free(admin);
                return refuse_start(r, refusal);
        }
        DL_APPEND(broker->admin_jobs, admin);
        device->admin_job = true;
        linger_stop(broker, device); /* its record is written when the job ends */
        device->was_quarantined = device->state == DEVICE_QUARANTINED;
        (void)device_set_state(device, DEVICE_BINDING, "%s", why);
        broker_device_notify(device, broker);
        if (ret)
                *ret = admin;
        return 0;
}

int admin_check_idle(const Device *device, Refusal *refusal)
{
        const char *id = device->info.id;

        if (device->lease)
                return refuse(refusal, RESULT_DEVICE_TAKEN,
                              "Device %s is held by lease %s of tenant %s (%s).", id, device->lease->id,
                              device->lease->tenant->name, device_state_to_string(device->state));
        if (device->old_job)
                return refuse(refusal, RESULT_DEVICE_TAKEN, "Device %s is busy: %s.", id,
                              device->state_reason);
        if (device->admin_job)
                return refuse(refusal, RESULT_DEVICE_TAKEN,
                              "Another request of an administrator works on device %s.", id);
        return 0;
}

/* What is asked, against what the device is. 0 or a refusal. */
static int check(Broker *broker, const Device *device, JobKind kind, const char *driver, Refusal *refusal)
{
        const char *id = device->info.id;
        int r;

        r = admin_check_idle(device, refusal);
        if (r == 0)
                r = functions_check_pf(broker, device, refusal);
        if (r != 0)
                return r;
        if (broker_leased_function(broker, device, NULL))
                return refuse(refusal, RESULT_DEVICE_TAKEN, "A virtual function of device %s is leased: %s.",
                              id, broker_leased_function(broker, device, NULL)->info.id);
        if (strlen(driver) >= DRIVER_NAME_MAX || strchr(driver, '/'))
                return refuse(refusal, RESULT_INVALID_ARGS, "\"%s\" is no driver's name.", driver);
        if (kind == JOB_BIND && streq(driver, device->info.driver))
                return 0; /* nothing is taken away */
        if (kind != JOB_RESET || device->state == DEVICE_QUARANTINED) {
                r = functions_check_driver(broker, device, refusal);
                return r == 0 ? plan_check_usage(broker, device, refusal) : r;
        }
        if (!device->info.driver_is_vfio)
                return refuse(refusal, RESULT_DEVICE_BUSY_ON_HOST,
                              "Device %s is the host's (driver %s); `vfiobrokerctl bind %s` first.", id,
                              device->info.driver[0] ? device->info.driver : "none", id);
        if (!broker_can_reset(broker, device))
                return refuse(refusal, RESULT_RESET_FAILED, "Device %s has no reset of its own.", id);
        return 0;
}

static int admin_start(Broker *broker, JobKind kind, const char *id, const char *driver, AdminDone done,
                       void *userdata, Refusal *refusal)
{
        Device *device = broker_device(broker, id);
        Job job;
        int r;

        if (!device || device->state == DEVICE_GONE)
                return refuse(refusal, RESULT_NO_SUCH_DEVICE, "There is no device %s.", id);
        r = check(broker, device, kind, driver, refusal);
        if (r != 0)
                return r;

        job_init(&job, kind);
        job.n_devices = 1;
        /* One that has no reset would never leave quarantine if it were required. */
        reclaim_job_device(device, broker->policy,
                           broker_can_reset(broker, device) ? POLICY_RESET_REQUIRED
                                                            : POLICY_RESET_BEST_EFFORT,
                           false, job.devices);
        /* An administrator need not be root, and so may not have any module of the kernel loaded. */
        job.devices[0].load_module = !driver[0] || streq(job.devices[0].driver, driver);
        if (driver[0])
                (void)snprintf(job.devices[0].driver, sizeof(job.devices[0].driver), "%s", driver);
        if (kind != JOB_UNBIND && !job.devices[0].driver[0] && !device->made)
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "No VFIO driver is known for device %s on bus %s; name one.", id,
                              device->info.bus);

        return admin_job_start(device, broker, &job, "for an administrator", done, userdata, refusal, NULL);
}

int broker_reset_device(Broker *broker, const char *id, AdminDone done, void *userdata, Refusal *refusal)
{
        return admin_start(broker, JOB_RESET, id, "", done, userdata, refusal);
}

int broker_bind_device(Broker *broker, const char *id, const char *driver, AdminDone done, void *userdata,
                       Refusal *refusal)
{
        return admin_start(broker, JOB_BIND, id, driver, done, userdata, refusal);
}

int broker_unbind_device(Broker *broker, const char *id, AdminDone done, void *userdata, Refusal *refusal)
{
        return admin_start(broker, JOB_UNBIND, id, "", done, userdata, refusal);
}
