/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerd: puts the layers together, in the order in which each needs the one before: policy, machine, broker,
 * records of an earlier life, bus; then gives up all that it no longer needs, says READY and runs the loop. A stop ends
 * no lease: the processes keep their devices, and the next start takes them over. */

#include <getopt.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "daemon/bus/bus.h"
#include "daemon/crash.h"
#include "daemon/host/machine.h"
#include "daemon/host/sysfs.h"
#include "daemon/journal.h"
#include "daemon/reload.h"
#include "daemon/sandbox.h"
#include "daemon/state/store.h"

typedef struct Daemon {
        sd_event *event;
        Host *host;
        Store *store;
        Broker *broker;
        Inventory *inventory;
        Bus *bus;
} Daemon;

static void daemon_done(Daemon *self)
{
        bus_free(self->bus);
        inventory_free(self->inventory);
        broker_free(self->broker);
        store_free(self->store);
        machine_free(self->host);
        sd_event_unref(self->event);
}

static int on_device(void *userdata, DeviceInfo *info)
{
        Daemon *self = userdata;

        return broker_device_update(self->broker, info);
}

static void on_device_gone(void *userdata, const char *id)
{
        Daemon *self = userdata;

        broker_device_remove(self->broker, id);
}

static void on_device_released(void *userdata, const char *path, bool done)
{
        Daemon *self = userdata;

        broker_device_released(self->broker, path, done);
}

static int on_reload(void *userdata, char **ret_errors)
{
        return reload_policy(((Daemon *)userdata)->broker, ret_errors);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        _cleanup_free_ char *errors = NULL;

        (void)on_reload(userdata, &errors);
        return 0;
}

static int start_loop(Daemon *self)
{
        sigset_t set;
        int r;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD); /* for the workers' ends */
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;

        r = sd_event_default(&self->event);
        if (r >= 0)
                r = sd_event_set_watchdog(self->event, true);
        if (r >= 0)
                r = sd_event_add_signal(self->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(self->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(self->event, NULL, SIGHUP | SD_EVENT_SIGNAL_PROCMASK, on_hangup,
                                        self);
        return r < 0 ? r : 0;
}

static int start(Daemon *self)
{
        static const BusCallbacks callbacks = { .reload = on_reload };
        const char *folder = getenv("RUNTIME_DIRECTORY");
        Policy *policy = NULL;
        int r;

        r = load_policy(&policy, NULL);
        if (r < 0)
                return r;
        r = start_loop(self);
        if (r >= 0)
                r = machine_new(self->event, sandbox_apply_worker, &self->host);
        if (r >= 0)
                r = store_new(folder ?: "/run/vfiobroker", &self->store);
        if (r >= 0) {
                machine_log_jobs(self->host, crash_log(&store_job_log), self->store);
                crash_host(self->host);
                r = broker_new(self->host, crash_store(&store_ops), self->store, policy, &self->broker);
        }
        if (r >= 0)
                r = broker_observe(self->broker, &journal_observer, NULL);
        if (r >= 0)
                r = inventory_new(self->event, on_device, on_device_gone, on_device_released, self,
                                  &self->inventory);
        if (r < 0)
                return r;

        /* Workers that take up what an earlier life left start in there: the confinement comes first. */
        r = bus_new(self->event, self->broker, &callbacks, self, &self->bus);
        if (r >= 0)
                r = sandbox_apply_daemon();
        if (r >= 0)
                r = store_load(self->store, self->broker);
        if (r >= 0)
                r = bus_find_owners(self->bus);
        if (r >= 0)
                r = make_functions(self->event, self->broker, self->bus);
        if (r >= 0)
                journal_divided(self->broker);
        return r;
}

int main(int argc, char *argv[])
{
        static const struct option options[] = { { "help", no_argument, NULL, 'h' },
                                                 { "version", no_argument, NULL, 'v' },
                                                 {} };
        _cleanup_(daemon_done) Daemon self = {};
        int c = getopt_long(argc, argv, "h", options, NULL), r;

        if (c == 'h')
                return puts("Usage: vfiobrokerd [--help] [--version]\n\nSee vfiobrokerd(8).") < 0;
        if (c == 'v')
                return puts("vfiobrokerd " VFIOBROKER_VERSION) < 0;
        if (c != -1 || optind < argc)
                return fputs("vfiobrokerd: it takes no arguments; see --help.\n", stderr), EXIT_FAILURE;

        r = start(&self);
        if (r >= 0) {
                (void)sd_notify(false, "READY=1");
                r = sd_event_loop(self.event);
                (void)sd_notify(false, "STOPPING=1");
                if (r != 0) /* sd-bus ends the loop with 1 */
                        (void)fprintf(stderr, SD_ERR "vfiobrokerd ends: %s%s\n",
                                      r > 0 ? "its connection to the bus is lost"
                                            : "its event loop failed: ",
                                      r > 0 ? "" : strerror(-r));
        } else
                (void)fprintf(stderr, SD_ERR "vfiobrokerd cannot start: %s\n", strerror(-r));
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
