/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* 64 processes with a lease each end by one SIGKILL to all of them: what is reclaimed side by side, how long that takes, what
 * the limits refuse, and how quickly the loop answers others meanwhile. The lab does it with real devices (scenario `many`). */

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bus/fixture.h"

#define N_VMS       64U
#define JOB_USEC    100000U /* of each job */
#define TENANT_JOBS 16U     /* at one time: TENANT_JOBS_MAX */
#define DEVICE      "0000:12:%02x.0"

static uint64_t now_usec(void)
{
        struct timespec ts = {};

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static void hold_one(Client *c, unsigned i, int done)
{
        sd_bus *bus = client_connect(c->fixture);
        char device[32];
        Grant g;

        (void)snprintf(device, sizeof(device), DEVICE, i);
        g = acquire(bus, device, "a{sv}", 1, "wait", "t", (uint64_t)PATIENCE_USEC);
        if (!streq(g.error, ""))
                (void)fprintf(stderr, "client: got %s: %s\n", g.error, g.text);
        CHECK(streq(g.error, "") && write(done, "x", 1) == 1);
        for (;;)
                (void)pause();
}

static void hold_all(Client *c, const void *arg)
{
        int done[2];
        char byte;

        CHECK(setpgid(0, 0) == 0 && pipe(done) == 0);
        for (unsigned i = 0; i < N_VMS; i++) {
                pid_t pid = fork();

                CHECK(pid >= 0);
                if (pid == 0)
                        hold_one(c, i, done[1]);
                CHECK(read(done[0], &byte, 1) == 1);
        }
        client_say(c, "held");
        client_hear(c, (char[64]){});
}

static void is_served(Client *c, const void *arg)
{
        Grant g;

        client_say(c, "here");
        client_hear(c, (char[64]){});
        for (unsigned i = 0; i < 4; i++) {
                char device[32];

                (void)snprintf(device, sizeof(device), DEVICE, 64 + i);
                g = acquire(c->bus, device, "a{sv}", 1, "wait", "t", (uint64_t)PATIENCE_USEC);
                if (!streq(g.error, ""))
                        (void)fprintf(stderr, "client: got %s: %s\n", g.error, g.text);
                CHECK(streq(g.error, ""));
                grant_done(&g);
        }
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

typedef struct Pings {
        unsigned n;
        uint64_t usec[100000];
} Pings;

static void ping_until_told(Client *c, const void *arg)
{
        Pings *pings = calloc(1, sizeof(*pings));
        char word[64];

        CHECK(pings);
        client_say(c, "here");
        while (recv(c->sync, word, sizeof(word), MSG_DONTWAIT) != sizeof(word)) {
                uint64_t began = now_usec();

                CHECK(streq(
                        call_error(c->bus, "/org/vfiobroker1", "org.freedesktop.DBus.Peer", "Ping", NULL),
                        ""));
                if (pings->n < ELEMENTSOF(pings->usec))
                        pings->usec[pings->n++] = now_usec() - began;
        }
        qsort(pings->usec, pings->n, sizeof(pings->usec[0]), compare);
        (void)snprintf(word, sizeof(word), "%u %u %u", pings->n, (unsigned)pings->usec[pings->n / 2],
                       (unsigned)pings->usec[pings->n * 99 / 100]);
        client_say(c, word);
        free(pings);
}

static void tell_pings(Peer *peer, const char *when)
{
        char word[64];
        unsigned n, p50, p99;

        peer_say(peer, "enough");
        peer_hear(peer, word);
        peer_end(peer);
        assert_int_equal(sscanf(word, "%u %u %u", &n, &p50, &p99), 3);
        print_message("%s: %u pings, median %u us, 99th percentile %u us\n", when, n, p50, p99);
        /* A job that blocked the loop would take JOB_USEC. The median, for the machine has other work too. */
        assert_true(p50 < JOB_USEC / 10);
}

/* Proves: the devices of 64 that end at once are reclaimed TENANT_JOBS at a time and with nothing in between; who of the
 * same tenant asks meanwhile, and waits, is served; the loop answers. */
static void test_killed_at_once(void **state)
{
        Fixture *f = *state;
        Peer vms, other, pings;
        unsigned fds, rounds = N_VMS / TENANT_JOBS;
        uint64_t began, took;
        char word[64];

        fixture_policy(f, "[broker]\nadmin-group = 2100\nrate = 100000/1s\n"
                          "[tenant blue]\nmatch-user = 1\ndevices = pci:0000:12:*\n"
                          "devices-max = 100\nleases-max = 100\n");
        fixture_reload(f);
        for (unsigned i = 0; i < N_VMS + 4; i++)
                (void)broker_tell(f, "add " DEVICE " %u vfio-pci", i, 100 + i);
        broker_await(f, "callers", "0");
        fds = broker_count(f, "fds");

        vms = peer_ready(f, UID_BLUE, hold_all, NULL, word);
        assert_int_equal(broker_count(f, "leases"), N_VMS);
        other = peer_ready(f, UID_BLUE, is_served, NULL, word);
        pings = peer_ready(f, UID_ADMIN, ping_until_told, NULL, word);
        (void)poll(NULL, 0, 200);
        tell_pings(&pings, "quiet");

        (void)broker_tell(f, "job-usec %u", JOB_USEC);
        pings = peer_ready(f, UID_ADMIN, ping_until_told, NULL, word);
        began = now_usec();
        assert_int_equal(kill(-vms.pid, SIGKILL), 0);
        peer_say(&other, "go");
        while (broker_count(f, "leases") > 4)
                assert_true(broker_count(f, "jobs") <= TENANT_JOBS);
        took = now_usec() - began;
        tell_pings(&pings, "under load");
        peer_end(&other);
        print_message("%u leases in %u ms, jobs of %u ms, %u at a time\n", N_VMS, (unsigned)(took / 1000),
                      JOB_USEC / 1000, TENANT_JOBS);
        assert_true(took >= (uint64_t)rounds * JOB_USEC);
        /* Far from one after the other, on whatever machine; that nothing comes in between is test-reclaim.c's. */
        assert_true(took < (uint64_t)N_VMS * JOB_USEC / 2);

        assert_int_equal(waitpid(vms.pid, NULL, 0), vms.pid);
        vms.sync = safe_close(vms.sync);
        broker_await_rest(f, fds);
        assert_int_equal(broker_count(f, "raised"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_killed_at_once, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
