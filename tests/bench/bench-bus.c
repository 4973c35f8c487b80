/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* bench-bus ROUNDS: what the broker takes to answer over the bus, with 200 devices and a tenant who may use them all. The
 * real core and bus layer (tests/bus/test-broker.c) against the same calls to a service that only answers
 * (bench-service.c), on a bus of its own with the same configuration. The client is the tenant. */

#include "tests/bench/bench.h"
#include "tests/bus/fixture.h"

#define N_DEVICES 200
#define ROOT      "/org/vfiobroker1"
#define NAME      "org.vfiobroker1"
#define MANAGER_I "org.vfiobroker1.Manager"

/* The long answers, by their number at the service. */
enum { LIST, OBJECTS };

static const char policy[] = "[tenant blue]\nmatch-user = 1\ndevices = pci:0000:*\n";

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

int main(int argc, char *argv[])
{
        Stage stage = { .rounds = bench_rounds(argc > 1 ? argv[1] : NULL) };
        Fixture *f = fixture_start(NULL, policy);
        void *state;
        int r;

        stage.floor = fixture_start(BENCH_SERVICE, policy);
        for (unsigned i = 0; i < N_DEVICES; i++)
                (void)broker_tell(f, "add 0000:%02x:00.0 %u vfio-pci", i + 1, i + 1);
        run_as(f, UID_BLUE, measure, &stage);
        state = stage.floor;
        r = fixture_teardown(&state);
        state = f;
        return fixture_teardown(&state) == 0 && r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
