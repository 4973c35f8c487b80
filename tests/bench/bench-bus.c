/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* bench-bus ROUNDS: what the broker takes to answer over the bus, with 200 devices and a tenant who may use them all. The
 * real core and bus layer (tests/bus/test-broker.c) against the same calls to a service that only answers
 * (bench-service.c), on a bus of its own with the same configuration. The client is the tenant.
 *
 * Two rows have a floor of their own. wait-10: one lets go of a device and the first of ten who wait has it, to the same
 * without a queue, letting go and asking. reload-2000: a policy of 2,000 sections comes in force, to the reading of its
 * file alone. */

#include "policy/policy-file.h"
#include "tests/bench/bench.h"
#include "tests/bench/sections.h"
#include "tests/bus/fixture.h"

#define N_DEVICES 200
#define ROOT      "/org/vfiobroker1"
#define NAME      "org.vfiobroker1"
#define MANAGER_I "org.vfiobroker1.Manager"

/* The long answers, by their number at the service. */
enum { LIST, OBJECTS };

#define N_WAITING 10
#define WAIT_USEC UINT64_C(60000000)

static const char policy[] = "[broker]\nrate = 1000000/1s\n"
                             "[tenant blue]\nmatch-user = 1\ndevices = pci:0000:*\n";

typedef struct Stage {
        Fixture *floor;
        unsigned rounds;
} Stage;

static uint64_t timed(sd_bus *bus, sd_bus_message *m)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t start = bench_now_nsec();
        int r;

        r = sd_bus_call(bus, m, 0, &error, &reply);
        start = bench_now_nsec() - start;
        if (r < 0)
                (void)fprintf(stderr, "bench-bus: %s: %s\n", sd_bus_message_get_member(m), error.message);
        CHECK(r >= 0);
        sd_bus_message_unref(m);
        return start;
}

static sd_bus_message *call_to(sd_bus *bus, const char *path, const char *interface, const char *member)
{
        sd_bus_message *m = NULL;

        CHECK(sd_bus_message_new_method_call(bus, &m, NAME, path, interface, member) >= 0);
        return m;
}

static sd_bus_message *get_state(sd_bus *bus, const char *path, const char *interface)
{
        sd_bus_message *m = call_to(bus, path, "org.freedesktop.DBus.Properties", "Get");

        CHECK(sd_bus_message_append(m, "ss", interface, "State") >= 0);
        return m;
}

static sd_bus_message *check_access(sd_bus *bus)
{
        sd_bus_message *m = call_to(bus, ROOT, MANAGER_I, "CheckAccess");

        CHECK(sd_bus_message_append(m, "asa{sv}", 1, "0000:01:00.0", 1, "memlock", "t", (uint64_t)1 << 30) >=
              0);
        return m;
}

static sd_bus_message *long_call(sd_bus *bus, unsigned which)
{
        return which == LIST ? call_to(bus, ROOT, MANAGER_I, "ListDevices")
                             : call_to(bus, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
}

/* The same from the floor's service. */
static sd_bus_message *kept_call(sd_bus *floor, unsigned which)
{
        return call_to(floor, ROOT, MANAGER_I, which == LIST ? "List" : "Objects");
}

/* Has the floor's service keep what the broker answers. */
static void keep(sd_bus *bus, sd_bus *floor, unsigned which)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = long_call(bus, which), *answer = NULL;
        sd_bus_message *k = call_to(floor, ROOT, MANAGER_I, "Keep");
        const char *signature;

        CHECK(sd_bus_call(bus, m, 0, NULL, &answer) >= 0);
        signature = sd_bus_message_get_signature(answer, true);
        CHECK(sd_bus_message_append(k, "u", which) >= 0 &&
              sd_bus_message_open_container(k, 'v', signature) >= 0 &&
              sd_bus_message_copy(k, answer, true) >= 0 && sd_bus_message_close_container(k) >= 0);
        (void)timed(floor, k);
}

static void measure(Client *c, const void *arg)
{
        const Stage *stage = arg;
        sd_bus *floor = client_connect(stage->floor);
        _cleanup_free_ char *device = path_of_device("0000:01:00.0");

        keep(c->bus, floor, LIST);
        keep(c->bus, floor, OBJECTS);
        for (unsigned i = 0; i < stage->rounds; i++) {
                uint64_t t;

                t = timed(floor, call_to(floor, ROOT, "org.freedesktop.DBus.Peer", "Ping"));
                bench_sample("bus/ping", t,
                             timed(c->bus, call_to(c->bus, ROOT, "org.freedesktop.DBus.Peer", "Ping")));
                t = timed(floor, get_state(floor, ROOT, MANAGER_I));
                bench_sample("bus/property", t,
                             timed(c->bus, get_state(c->bus, device, "org.vfiobroker1.Device")));
                t = timed(floor, check_access(floor));
                bench_sample("bus/check-access", t, timed(c->bus, check_access(c->bus)));
                t = timed(floor, kept_call(floor, LIST));
                bench_sample("bus/list-200", t, timed(c->bus, long_call(c->bus, LIST)));
                t = timed(floor, kept_call(floor, OBJECTS));
                bench_sample("bus/objects-200", t, timed(c->bus, long_call(c->bus, OBJECTS)));
        }
        sd_bus_flush_close_unref(floor);
}

/* --- waiting --- */

typedef struct Waiter {
        sd_bus *bus;
        bool has;
        char lease[256];
} Waiter;

static int granted(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Waiter *waiter = userdata;
        const char *lease;

        CHECK(!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "o", &lease) >= 0);
        (void)snprintf(waiter->lease, sizeof(waiter->lease), "%s", lease);
        waiter->has = true;
        return 0;
}

static sd_bus_message *acquire_waiting(sd_bus *bus)
{
        sd_bus_message *m = call_to(bus, ROOT, MANAGER_I, "Acquire");

        CHECK(sd_bus_message_append(m, "asa{sv}", 1, "0000:01:00.0", 1, "wait", "t", WAIT_USEC) >= 0);
        return m;
}

static void begin_waiting(Waiter *waiter)
{
        sd_bus_message *m = acquire_waiting(waiter->bus);

        waiter->has = false;
        CHECK(sd_bus_call_async(waiter->bus, NULL, m, granted, waiter, WAIT_USEC) >= 0);
        CHECK(sd_bus_flush(waiter->bus) >= 0);
        sd_bus_message_unref(m);
}

static void await_waiting(sd_bus *bus, uint32_t wanted)
{
        uint32_t n;

        do
                CHECK(sd_bus_get_property_trivial(bus, MANAGER, "Waiting", NULL, 'u', &n) >= 0);
        while (n != wanted);
}

static void release(Waiter *waiter)
{
        (void)timed(waiter->bus, call_to(waiter->bus, waiter->lease, "org.vfiobroker1.Lease", "Release"));
}

/* Ten stand in line, always: who was served goes to its end. */
static void measure_waiting(Client *c, const void *arg)
{
        const Stage *stage = arg;
        Waiter waiters[N_WAITING + 1] = {};

        for (size_t i = 0; i < ELEMENTSOF(waiters); i++) {
                waiters[i].bus = client_connect(c->fixture);
                begin_waiting(waiters + i);
                if (i == 0)
                        CHECK(client_wait(waiters[0].bus, &waiters[0].has));
        }
        for (unsigned i = 0; i < stage->rounds; i++) {
                Waiter *holder = waiters + i % ELEMENTSOF(waiters);
                Waiter *next = waiters + (i + 1) % ELEMENTSOF(waiters);
                uint64_t start, floor;

                /* The floor is another device, which nobody waits for. */
                {
                        Grant g = acquire(c->bus, "0000:02:00.0", "a{sv}", 0);

                        CHECK(streq(g.error, ""));
                        start = bench_now_nsec();
                        CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Release", NULL),
                                    ""));
                        grant_done(&g);
                        g = acquire(c->bus, "0000:02:00.0", "a{sv}", 1, "wait", "t", WAIT_USEC);
                        floor = bench_now_nsec() - start;
                        CHECK(streq(g.error, ""));
                        CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Release", NULL),
                                    ""));
                        grant_done(&g);
                }
                await_waiting(c->bus, N_WAITING);
                start = bench_now_nsec();
                release(holder);
                CHECK(client_wait(next->bus, &next->has));
                bench_sample("bus/wait-10", floor, bench_now_nsec() - start);
                for (size_t k = 0; k < ELEMENTSOF(waiters); k++)
                        CHECK(!waiters[k].has || waiters + k == next || waiters + k == holder);
                begin_waiting(holder);
        }
        for (size_t i = 0; i < ELEMENTSOF(waiters); i++)
                sd_bus_flush_close_unref(waiters[i].bus);
}

/* --- a reload --- */

static void measure_reload(Client *c, const void *arg)
{
        const Stage *stage = arg;
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/policy.conf", c->fixture->dir);
        for (unsigned i = 0; i < stage->rounds; i++) {
                char *files[] = { path };
                Policy *loaded = NULL;
                uint64_t start = bench_now_nsec(), floor;

                CHECK(policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &loaded, NULL) >= 0);
                floor = bench_now_nsec() - start;
                policy_unref(loaded);
                bench_sample("bus/reload-2000", floor,
                             timed(c->bus, call_to(c->bus, ROOT, MANAGER_I, "Reload")));
        }
}

static void write_sections(Fixture *f)
{
        char *text = NULL;
        size_t size;
        FILE *memory = open_memstream(&text, &size);

        assert_non_null(memory);
        sections_write(memory);
        (void)fputs(policy + strlen("[broker]\nrate = 1000000/1s\n"), memory);
        assert_int_equal(fclose(memory), 0);
        fixture_policy(f, text);
        free(text);
}

int main(int argc, char *argv[])
{
        Stage stage = { .rounds = bench_rounds(argc > 1 ? argv[1] : NULL) };
        Fixture *f = fixture_start(NULL, policy);
        void *state;
        int r;

        stage.floor = fixture_start(BENCH_SERVICE, policy);
        (void)broker_tell(f, "real-placement"); /* who calls is asked of systemd, as in the daemon */
        for (unsigned i = 0; i < N_DEVICES; i++)
                (void)broker_tell(f, "add 0000:%02x:00.0 %u vfio-pci", i + 1, i + 1);
        run_as(f, UID_BLUE, measure, &stage);
        run_as(f, UID_BLUE, measure_waiting, &stage);
        write_sections(f);
        run_as(f, 0, measure_reload, &stage);
        state = stage.floor;
        r = fixture_teardown(&state);
        state = f;
        return fixture_teardown(&state) == 0 && r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
