/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One call of StartUnit for each module, and the signal that says that its job is through. */

#include "daemon/host/driver.h"
#include "daemon/host/module.h"
#include "daemon/host/systemd-task.h"

typedef struct Unit {
        ModuleLoad *load;
        char module[DRIVER_NAME_MAX];
        char *job; /* object path, once systemd has named it */
        bool through;
} Unit;

struct ModuleLoad {
        SystemdTask task;
        Unit units[JOB_DEVICES_MAX];
        size_t n;
};

/* Of the driver's name, if a module could have it: it becomes part of the name of a unit. */
static bool module_of_driver(const char *driver, char ret[static DRIVER_NAME_MAX])
{
        size_t i;

        for (i = 0; driver[i]; i++) {
                if (!((driver[i] >= 'a' && driver[i] <= 'z') || (driver[i] >= 'A' && driver[i] <= 'Z') ||
                      (driver[i] >= '0' && driver[i] <= '9') || driver[i] == '_' || driver[i] == '-'))
                        return false;
                ret[i] = (char)(driver[i] == '-' ? '_' : driver[i]);
        }
        ret[i] = 0;
        return i > 0;
}

static bool wants(const Job *job, const JobDevice *device, char ret_module[static DRIVER_NAME_MAX])
{
        return (job->kind == JOB_OPEN || job->kind == JOB_BIND || job->kind == JOB_RESET) &&
               device->load_module && !driver_exists(device->bus, device->driver) &&
               module_of_driver(device->driver, ret_module);
}

bool module_load_wanted(const Job *job)
{
        char module[DRIVER_NAME_MAX];

        for (size_t i = 0; i < job->n_devices; i++)
                if (wants(job, job->devices + i, module))
                        return true;
        return false;
}

void module_resolve_drivers(Job *job)
{
        for (size_t i = 0; i < job->n_devices; i++) {
                JobDevice *device = job->devices + i;
                char module[DRIVER_NAME_MAX], driver[DRIVER_NAME_MAX];

                if (!wants(job, device, module))
                        continue;
                driver_of_module(device->bus, module, driver);
                if (driver_exists(device->bus, driver))
                        memcpy(device->driver, driver, sizeof(device->driver));
        }
}

static void check_finished(ModuleLoad *load)
{
        for (size_t i = 0; i < load->n; i++)
                if (!load->units[i].through)
                        return;
        systemd_task_finish(&load->task);
}

static int on_started(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        Unit *unit = userdata;
        const char *job;

        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "o", &job) >= 0)
                unit->job = strdup(job);
        if (!unit->job)
                unit->through = true;
        check_finished(unit->load);
        return 0;
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        ModuleLoad *load = userdata;
        const char *job, *unit, *result;
        uint32_t id;

        if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
                return 0;
        for (size_t i = 0; i < load->n; i++)
                if (load->units[i].job && streq(load->units[i].job, job))
                        load->units[i].through = true;
        check_finished(load);
        return 0;
}

static int start_unit(ModuleLoad *load, const char *module)
{
        Unit *unit = load->units + load->n;
        char name[DRIVER_NAME_MAX + 32];
        int r;

        for (size_t i = 0; i < load->n; i++)
                if (streq(load->units[i].module, module))
                        return 0;
        unit->load = load;
        (void)snprintf(unit->module, sizeof(unit->module), "%s", module);
        (void)snprintf(name, sizeof(name), "modprobe@%s.service", module);
        r = sd_bus_call_method_async(load->task.bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_INTERFACE,
                                     "StartUnit", on_started, unit, "ss", name, "replace");
        if (r >= 0)
                load->n++;
        return r;
}

int module_load_start(sd_event *event, const Job *job, HostCallback done, void *userdata, ModuleLoad **ret)
{
        _cleanup_(module_load_freep) ModuleLoad *load = calloc(1, sizeof(*load));
        char module[DRIVER_NAME_MAX];
        int r;

        if (!load)
                return -ENOMEM;
        r = systemd_task_start(&load->task, event, MODULE_LOAD_USEC, done, userdata);
        /* The one who starts a job hears of its end without subscribing, but the bus must be told to pass it on. */
        if (r >= 0)
                r = sd_bus_match_signal_async(load->task.bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH,
                                              SYSTEMD_INTERFACE, "JobRemoved", on_job_removed, NULL, load);
        for (size_t i = 0; r >= 0 && i < job->n_devices; i++)
                if (wants(job, job->devices + i, module))
                        r = start_unit(load, module);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(load);
        return 0;
}

ModuleLoad *module_load_free(ModuleLoad *load)
{
        if (!load)
                return NULL;
        systemd_task_close(&load->task);
        for (size_t i = 0; i < load->n; i++)
                free(load->units[i].job);
        free(load);
        return NULL;
}
