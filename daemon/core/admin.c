/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What administrators ask of single devices: reset (the way out of quarantine), bind, unbind. Refused while a lease
 * holds the device; each is one job with one answer. Event loop only. */

#include "daemon/core/broker-internal.h"

typedef struct AdminJob {
        Broker *broker;
        JobKind kind;
        char id[DEVICE_ID_MAX]; /* not a pointer: the device may go while the job runs */
        AdminDone done;
        void *userdata;
        HostJob *job;
} AdminJob;

static void admin_done(void *userdata, JobResult *result)
{
        AdminJob *admin = userdata;
        Broker *broker = admin->broker;
        Device *device = broker_device(broker, admin->id);
        const JobDeviceResult *row = result->devices;
        bool was_quarantined, free_again;
        Refusal refusal = {};
        int r = 0;

        /* The device cannot have left the table: admin_job keeps it there. */
        device->admin_job = false;
        was_quarantined = device->was_quarantined;
        device->was_quarantined = false;

        if (result->error != 0)
                r = refuse(&refusal, RESULT_DRIVER_BIND_FAILED,
                           "Device %s: the worker did not finish: %s (%s).", admin->id, result->text,
                           strerror(result->error));
        else if (row->error != 0)
                r = refuse(&refusal,
                           row->step == STEP_RESET                               ? RESULT_RESET_FAILED
                           : row->step == STEP_PROVE_FREE && row->error == EBUSY ? RESULT_DEVICE_TAKEN
                                                                                 : RESULT_DRIVER_BIND_FAILED,
                           "Device %s: %s: %s.", admin->id, row->text, strerror(row->error));

        if (admin->kind == JOB_RESET) {
                free_again = reclaim_take_row(broker, NULL, device, result, row, true);
                if (!free_again)
                        broker_device_quarantine(
                                broker, NULL, device,
                                "a process that did not get it from the broker has it open");
                else if (was_quarantined && r == 0)
                        broker_event(broker, EVENT_RECOVERED, NULL, device, "",
                                     "Device %s was reset and is out of quarantine", admin->id);
        } else {
                device_take_result(broker, device, row);
                device->proven = false;
                device->clean = false;
                if (device->state != DEVICE_GONE && was_quarantined)
                        (void)device_set_state(device, DEVICE_QUARANTINED,
                                               "its driver was changed, a reset is due");
                else if (device->state != DEVICE_GONE)
                        (void)device_set_state(device, device_idle_state(device), "%s",
                                               r != 0 ? refusal.text : "");
        }

        admin->done(admin->userdata, r, &refusal);
        broker_device_notify(device, broker);
        broker_device_gc(broker, device);
        free(admin);
}

static int admin_start(Broker *broker, JobKind kind, const char *id, const char *driver, AdminDone done,
                       void *userdata, Refusal *refusal)
{
        Device *device = broker_device(broker, id);
        Job job = { .kind = kind, .n_devices = 1 };
        AdminJob *admin;
        int r;

        if (!device || device->state == DEVICE_GONE)
                return refuse(refusal, RESULT_NO_SUCH_DEVICE, "There is no device %s.", id);
        if (device->lease)
                return refuse(refusal, RESULT_DEVICE_TAKEN,
                              "Device %s is held by lease %s of tenant %s (%s).", id, device->lease->id,
                              device->lease->tenant->name, device_state_to_string(device->state));
        if (device->admin_job)
                return refuse(refusal, RESULT_DEVICE_TAKEN,
                              "Another request of an administrator works on device %s.", id);
        if (kind == JOB_RESET && !device->info.driver_is_vfio && device->state != DEVICE_QUARANTINED)
                return refuse(refusal, RESULT_DEVICE_BUSY_ON_HOST,
                              "Device %s is the host's (driver %s); `vfiobrokerctl bind %s` first.", id,
                              device->info.driver[0] ? device->info.driver : "none", id);
        if (strlen(driver) >= DRIVER_NAME_MAX || strchr(driver, '/'))
                return refuse(refusal, RESULT_INVALID_ARGS, "\"%s\" is no driver's name.", driver);

        admin = calloc(1, sizeof(*admin));
        if (!admin)
                return -ENOMEM;
        admin->broker = broker;
        admin->kind = kind;
        memcpy(admin->id, device->info.id, sizeof(admin->id));
        admin->done = done;
        admin->userdata = userdata;

        reclaim_job_device(device, broker->policy, POLICY_RESET_REQUIRED, false, job.devices);
        if (driver[0])
                (void)snprintf(job.devices[0].driver, sizeof(job.devices[0].driver), "%s", driver);

        r = broker->host->ops->job_start(broker->host, &job, admin_done, NULL, admin, &admin->job);
        if (r < 0) {
                free(admin);
                return r;
        }
        device->admin_job = true;
        device->was_quarantined = device->state == DEVICE_QUARANTINED;
        (void)device_set_state(device, DEVICE_BINDING, "for an administrator");
        broker_device_notify(device, broker);
        return 0;
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
