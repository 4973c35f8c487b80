/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The broker of the bus tests: the real core and the real bus layer over the fake machine, on whatever bus
 * $VFIOBROKER_BUS_ADDRESS names, with the policy in the file that is its argument. What the machine does is told on
 * standard input, a line for each order, and answered with a line; the end of the input is the end of the program. */

#include <inttypes.h>
#include <systemd/sd-event.h>

#include "daemon/bus/bus.h"
#include "daemon/bus/session.h"
#include "daemon/bus/uids.h"
#include "daemon/core/wait.h"
#include "daemon/host/placement.h"
#include "daemon/state/store.h"
#include "tests/fixtures/fake-host.h"

typedef struct TestBroker {
        sd_event *event;
        FakeHost *fake;
        Store *store; /* where $VFIOBROKER_STATE names a folder, else NULL */
        Broker *broker;
        Bus *bus;
        const char *policy;
        unsigned n_events;
        unsigned n_leases, n_granted; /* since "phases" was asked */
        EndReason last_end;
        uint64_t free_since, longest_grant; /* from a device that is free again to the reply with its fds */
} TestBroker;

static int load(const char *file, Policy **ret, char **ret_errors)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        char *files[] = { (char *)file };
        int r;

        r = policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, ret, &errors);
        if (r < 0)
                *ret_errors = policy_errors_to_string(&errors);
        return r;
}

static int on_reload(void *userdata, char **ret_errors)
{
        TestBroker *self = userdata;
        Policy *policy = NULL;
        int r;

        r = load(self->policy, &policy, ret_errors);
        return r < 0 ? r : broker_set_policy(self->broker, policy);
}

static const BusCallbacks callbacks = { .reload = on_reload };

static void on_driver_changed(void *userdata, const FakeDevice *device)
{
        TestBroker *self = userdata;
        Device *known = broker_device(self->broker, device->id);
        DeviceInfo info;

        if (!known)
                return;
        info = fake_host_device_info(self->fake, device->id, known->info.group, device->driver);
        (void)broker_device_update(self->broker, &info);
        device_info_done(&info);
}

/* What of the processor this process has had. Not the clock: a machine under load has its own. */
static uint64_t spent_usec(void)
{
        struct timespec spent = {};

        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
        return (uint64_t)spent.tv_sec * USEC_PER_SEC + (uint64_t)spent.tv_nsec / 1000;
}

static void on_event(void *userdata, const BrokerEvent *event)
{
        TestBroker *self = userdata;

        self->n_events++;
        self->n_granted += event->kind == EVENT_GRANTED;
        if (event->kind == EVENT_RECLAIMED)
                self->free_since = spent_usec();
        else if (event->kind == EVENT_GRANTED && self->free_since > 0) {
                uint64_t usec = spent_usec() - self->free_since;

                self->longest_grant = usec > self->longest_grant ? usec : self->longest_grant;
                self->free_since = 0;
        }
}

static void on_lease_added(void *userdata, Lease *lease)
{
        ((TestBroker *)userdata)->n_leases++;
}

static void on_lease_ended(void *userdata, Lease *lease, EndReason reason)
{
        ((TestBroker *)userdata)->last_end = reason;
}

static const BrokerObserver observer = {
        .event = on_event,
        .lease_added = on_lease_added,
        .lease_ended = on_lease_ended,
};

static long resident_kib(void)
{
        _cleanup_(fclosep) FILE *f = fopen("/proc/self/statm", "re");
        long size, resident;

        if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
                return -1;
        return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void add_device(TestBroker *self, const char *id, int group, const char *driver)
{
        DeviceInfo info = fake_host_device_info(self->fake, id, group, streq(driver, "-") ? "" : driver);

        (void)broker_device_update(self->broker, &info);
        device_info_done(&info);
        fake_host_device(self->fake, id)->group = group;
}

static int new_broker(TestBroker *self)
{
        _cleanup_free_ char *errors = NULL;
        Policy *policy = NULL;
        int r;

        r = load(self->policy, &policy, &errors);
        if (r < 0) {
                (void)fprintf(stderr, "%s\n", errors ? errors : strerror(-r));
                return r;
        }
        r = broker_new(&self->fake->host, self->store ? &store_ops : NULL, self->store, policy,
                       &self->broker);
        return r < 0 ? r : broker_observe(self->broker, &observer, self);
}

/* As the daemon ends: nothing of it is left but the records. */
static void go_down(TestBroker *self)
{
        self->bus = bus_free(self->bus);
        self->broker = broker_free(self->broker);
}

/* As main() comes up. What `add` added is there. */
static int come_up(TestBroker *self)
{
        int r;

        r = new_broker(self);
        for (FakeDevice *device = self->fake->devices; r >= 0 && device; device = device->hh.next) {
                DeviceInfo info =
                        fake_host_device_info(self->fake, device->id, device->group, device->driver);

                r = broker_device_update(self->broker, &info);
                device_info_done(&info);
        }
        if (r >= 0)
                r = bus_new(self->event, self->broker, &callbacks, self, &self->bus);
        if (r >= 0)
                r = store_load(self->store, self->broker);
        return r < 0 ? r : bus_find_owners(self->bus);
}

/* What a restart is for the bus layer: a new one, and leases whose connections have no numbers yet. "other-bus": and the
 * bus was another one. */
static int restart(TestBroker *self, const char *how)
{
        self->bus = bus_free(self->bus);
        for (Lease *lease = self->broker->leases; lease; lease = lease->hh.next) {
                lease->owner = 0;
                if (streq(how, "other-bus"))
                        lease->owner_name[0] ^= 1;
                if (streq(how, "no-name"))
                        lease->owner_name[0] = 0;
        }
        if (bus_new(self->event, self->broker, &callbacks, self, &self->bus) < 0)
                return -EIO;
        return bus_find_owners(self->bus);
}

static int real_placement(Host *host, pid_t pid, int pidfd, bool machine, ProcessPlacement *placement)
{
        return placement_read(pid, pidfd, machine, placement);
}

/* From now on units are those of this machine's systemd, and cost what that costs. */
static void use_real_placement(TestBroker *self)
{
        static HostOps ops;

        ops = *self->fake->host.ops;
        ops.process_placement = real_placement;
        self->fake->host.ops = &ops;
}

/* "WORD [ID [NUMBER [WORD]]]" */
static void obey(TestBroker *self, const char *order)
{
        char verb[32] = "", id[DEVICE_ID_MAX] = "", word[64] = "";
        int number = 0;

        (void)sscanf(order, "%31s %127s %d %63s", verb, id, &number, word);
        if (streq(verb, "add"))
                add_device(self, id, number, word);
        else if (streq(verb, "remove"))
                broker_device_remove(self->broker, id);
        else if (streq(verb, "let-go")) { /* somebody takes its driver, and the kernel waits */
                fake_host_device(self->fake, id)->let_go = true;
                broker_device_released(self->broker, broker_device(self->broker, id)->info.path, false);
        } else if (streq(verb, "hang")) {
                fake_host_device(self->fake, id)->hang = number;
                fake_host_run(self->fake);
        } else if (streq(verb, "bind-error"))
                fake_host_device(self->fake, id)->bind_error = number;
        else if (streq(verb, "prove-error"))
                fake_host_device(self->fake, id)->prove_error = number;
        else if (streq(verb, "reset-error")) {
                fake_host_device(self->fake, id)->reset = number ? RESET_FAILED : RESET_DONE;
                fake_host_device(self->fake, id)->reset_errno = number;
        } else if (streq(verb, "job-usec"))
                self->fake->job_usec = (uint64_t)strtoul(id, NULL, 10);
        else if (streq(verb, "unit")) /* of the process NUMBER */
                fake_host_set_unit(self->fake, number, word);
        else if (streq(verb, "real-placement"))
                use_real_placement(self);
        else if (streq(verb, "stale"))
                self->fake->stale = number;
        else if (streq(verb, "reused"))
                self->fake->reused = number;
        else if (streq(verb, "slow"))
                fake_host_slow(self->fake);
        else if (streq(verb, "state")) {
                const Device *device = broker_device(self->broker, id);

                (void)printf("%s\n", device ? device_state_to_string(device->state) : "none");
                return;
        } else if (streq(verb, "driver")) {
                (void)printf("%s\n", fake_host_device(self->fake, id)->driver);
                return;
        } else if (streq(verb, "override")) {
                (void)printf("%s\n", fake_host_device(self->fake, id)->driver_override);
                return;
        } else if (streq(verb, "leases")) {
                (void)printf("%u\n", self->broker->n_leases);
                return;
        } else if (streq(verb, "jobs")) {
                (void)printf("%u\n", fake_host_n_jobs(self->fake));
                return;
        } else if (streq(verb, "watches")) {
                (void)printf("%u\n", fake_host_n_watches(self->fake));
                return;
        } else if (streq(verb, "waiters")) {
                (void)printf("%u\n", broker_n_waiters(self->broker));
                return;
        } else if (streq(verb, "longest-grant")) {
                (void)printf("%llu\n", (unsigned long long)self->longest_grant);
                self->longest_grant = 0;
                return;
        } else if (streq(verb, "fds")) {
                (void)printf("%u\n", fake_host_count_fds());
                return;
        } else if (streq(verb, "deaf")) {
                self->bus = bus_free(self->bus); /* until "restart" */
                (void)printf("ok\n");
                return;
        } else if (streq(verb, "restart")) {
                (void)printf("%s\n", restart(self, id) < 0 ? "failed" : "ok");
                return;
        } else if (streq(verb, "down")) {
                go_down(self); /* until "up" */
                (void)printf("ok\n");
                return;
        } else if (streq(verb, "up")) {
                (void)printf("%s\n", come_up(self) < 0 ? "failed" : "ok");
                return;
        } else if (streq(verb, "last-end")) {
                (void)printf("%s\n", self->last_end < _END_MAX ? end_reason_to_string(self->last_end) : "");
                self->last_end = _END_MAX;
                return;
        } else if (streq(verb, "phases")) {
                (void)printf("%u %u\n", self->n_leases, self->n_granted);
                self->n_leases = self->n_granted = 0;
                return;
        } else if (streq(verb, "raised")) {
                (void)printf("%u\n", fake_host_n_raised(self->fake));
                return;
        } else if (streq(verb, "exit")) {
                (void)sd_event_exit(self->event, EXIT_SUCCESS);
        } else if (streq(verb, "rss")) {
                (void)printf("%ld\n", resident_kib());
                return;
        } else if (streq(verb, "callers")) {
                (void)printf("%u\n", callers_count(self->bus));
                return;
        } else if (streq(verb, "unread")) {
                (void)printf("%" PRIu64 "\n", sessions_unread(self->bus));
                return;
        } else if (streq(verb, "sessions")) {
                (void)printf("%u\n", sessions_count(self->bus));
                return;
        } else {
                (void)printf("what?\n");
                return;
        }
        (void)printf("ok\n");
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        static char line[1024];
        static size_t n;
        TestBroker *self = userdata;
        char *end;
        ssize_t k;

        k = read(fd, line + n, sizeof(line) - 1 - n);
        if (k <= 0)
                return sd_event_exit(self->event, EXIT_SUCCESS);
        n += (size_t)k;
        line[n] = 0;
        while ((end = strchr(line, '\n'))) {
                *end++ = 0;
                obey(self, line);
                (void)fflush(stdout);
                n -= (size_t)(end - line);
                memmove(line, end, n + 1);
        }
        return 0;
}

static int on_machine(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        fake_host_run(((TestBroker *)userdata)->fake);
        return 0;
}

static int start(TestBroker *self)
{
        const char *folder = getenv("VFIOBROKER_STATE");
        int r = 0;

        self->fake = fake_host_new(true);
        if (!self->fake)
                return -ENOMEM;
        self->fake->driver_changed = on_driver_changed;
        self->fake->driver_changed_userdata = self;
        if (folder)
                r = store_new(folder, &self->store);
        if (r >= 0)
                r = new_broker(self);
        if (r >= 0)
                r = sd_event_default(&self->event);
        if (r >= 0)
                r = sd_event_add_io(self->event, NULL, STDIN_FILENO, EPOLLIN, on_input, self);
        if (r >= 0)
                r = sd_event_add_io(self->event, NULL, fake_host_fd(self->fake), EPOLLIN, on_machine, self);
        if (r >= 0)
                r = bus_new(self->event, self->broker, &callbacks, self, &self->bus);
        return r;
}

int main(int argc, char *argv[])
{
        TestBroker self = { .policy = argc > 1 ? argv[1] : "", .last_end = _END_MAX };
        int r;

        r = start(&self);
        if (r >= 0) {
                (void)puts("ready");
                (void)fflush(stdout);
                r = sd_event_loop(self.event);
        } else
                (void)fprintf(stderr, "test-broker cannot start: %s\n", strerror(-r));

        bus_free(self.bus);
        broker_free(self.broker);
        store_free(self.store);
        fake_host_free(self.fake);
        sd_event_unref(self.event);
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
