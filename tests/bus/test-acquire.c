/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Acquire and Release from end to end: the core, the bus layer and a bus are real, the machine is not. Whatever ends in
 * whatever way, the broker has afterwards what it had before: fds, leases, jobs, watches, drivers. */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/bus/fixture.h"

static unsigned fds_before;

static int setup(void **state)
{
        int r = fixture_setup(state);

        fds_before = broker_count(*state, "fds");
        return r;
}

static bool fd_is_open(int fd)
{
        return fcntl(fd, F_GETFD) >= 0;
}

static bool fd_is_named(int fd, const char *name)
{
        char path[64], target[128] = "", expected[128];

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        (void)snprintf(expected, sizeof(expected), "/memfd:%s (deleted)", name);
        return readlink(path, target, sizeof(target) - 1) > 0 && streq(target, expected);
}

static void grants(Client *c, const void *arg)
{
        _cleanup_free_ char *path = path_of_device(DEVICE_BLUE);
        Grant g = acquire(c->bus, DEVICE_BLUE_2 " " DEVICE_BLUE, "a{sv}", 1, "label", "s", "vm 1");

        CHECK(streq(g.error, ""));
        CHECK(streq(g.backend, "iommufd"));
        CHECK(g.n_fds == 3);
        CHECK(streq(g.fds[0].kind, "iommufd") && strstr(g.lease, g.fds[0].id + 1));
        CHECK(fd_is_named(g.fds[0].fd, "iommufd"));
        CHECK(streq(g.fds[1].kind, "device") && streq(g.fds[1].id, DEVICE_BLUE_2));
        CHECK(fd_is_named(g.fds[1].fd, DEVICE_BLUE_2));
        CHECK(streq(g.fds[2].kind, "device") && streq(g.fds[2].id, DEVICE_BLUE));
        CHECK(fd_is_named(g.fds[2].fd, DEVICE_BLUE));

        CHECK(reads_property(c->bus, path, "org.vfiobroker1.Device", "State", "leased"));
        CHECK(reads_property(c->bus, path, "org.vfiobroker1.Device", "Lease", g.lease));
        CHECK(reads_property(c->bus, path, "org.vfiobroker1.Device", "Driver", "vfio-pci"));
        CHECK(reads_property(c->bus, g.lease, "org.vfiobroker1.Lease", "Label", "vm 1"));
        CHECK(reads_property(c->bus, g.lease, "org.vfiobroker1.Lease", "Tenant", "blue"));
        CHECK(reads_property(c->bus, g.lease, "org.vfiobroker1.Lease", "State", "active"));

        CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Release", NULL), ""));
        grant_done(&g);
}

/* Proves: the fds come in the documented kinds and order, each the right one; Release gives everything back. */
static void test_granted_and_released(void **state)
{
        Fixture *f = *state;

        run_as(f, UID_BLUE, grants, NULL);
        broker_await(f, "state " DEVICE_BLUE, "available");
        broker_await(f, "state " DEVICE_BLUE_2, "available");
        broker_await_rest(f, fds_before);
}

static void acquires_twice(Client *c, const void *arg)
{
        Grant first = acquire(c->bus, DEVICE_BLUE, "a{sv}", 0), second;

        CHECK(streq(first.error, ""));
        second = acquire(c->bus, DEVICE_BLUE, "a{sv}", 0);
        CHECK(streq(second.error, OURS "DeviceTaken"));
        CHECK(fd_is_open(first.fds[0].fd) && fd_is_named(first.fds[1].fd, DEVICE_BLUE));
        CHECK(reads_property(c->bus, first.lease, "org.vfiobroker1.Lease", "State", "active"));
        CHECK(streq(call_error(c->bus, first.lease, "org.vfiobroker1.Lease", "Release", NULL), ""));
        CHECK(streq(call_error(c->bus, first.lease, "org.vfiobroker1.Lease", "Release", NULL),
                    OURS "NoSuchLease"));
        grant_done(&first);
}

/* Proves: the second Acquire of a device is refused, harms the first in nothing, and one Release ends it once. */
static void test_twice(void **state)
{
        Fixture *f = *state;

        run_as(f, UID_BLUE, acquires_twice, NULL);
        broker_await(f, "state " DEVICE_BLUE, "available");
        broker_await_rest(f, fds_before);
}

static void is_refused(Client *c, const void *arg)
{
        const char *const *expected = arg; /* devices, error, text */
        Grant g = acquire(c->bus, expected[0], "a{sv}", 0);

        if (!streq(g.error, expected[1]) || !strstr(g.text, expected[2]))
                (void)fprintf(stderr, "client: got %s: %s\n", g.error, g.text);
        CHECK(streq(g.error, expected[1]) && strstr(g.text, expected[2]));
        CHECK(g.n_fds == 0);
}

#define REFUSED(f, uid, ...) run_as(f, uid, is_refused, (const char *const[]){ __VA_ARGS__ })

/* Proves: the refusals of policy have their own names, and texts that name tenant and rule. */
static void test_refusals(void **state)
{
        Fixture *f = *state;

        REFUSED(f, UID_NOBODY, DEVICE_BLUE, OURS "NoTenant", "");
        REFUSED(f, UID_NOBODY, "0000:99:00.0", OURS "NoTenant", "");
        REFUSED(f, UID_RED, DEVICE_BLUE, OURS "DeniedByPolicy", "tenant red");
        REFUSED(f, UID_RED, DEVICE_BLUE, OURS "DeniedByPolicy", "policy.conf:");
        REFUSED(f, UID_RED, DEVICE_RED " " DEVICE_BLUE, OURS "DeniedByPolicy", DEVICE_BLUE);
        REFUSED(f, UID_RED, "0000:99:00.0", OURS "DeniedByPolicy", "0000:99:00.0");
        REFUSED(f, UID_RED, "0000:02:99.0", OURS "NoSuchDevice", "0000:02:99.0");
        REFUSED(f, UID_TWO, DEVICE_RED, OURS "AmbiguousTenant", "");
        REFUSED(f, 0, DEVICE_RED, OURS "NoTenant", "");
        assert_string_equal(broker_tell(f, "driver " DEVICE_BLUE), "igb");
        broker_await_rest(f, fds_before);
}

static void holds(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, arg, "a{sv}", 2, "label", "s", "holder-label", "tenant", "s",
                          streq(arg, DEVICE_RED) ? "red" : "blue");
        char word[64];

        CHECK(streq(g.error, ""));
        client_say(c, strrchr(g.lease, '/') + 1);
        client_hear(c, word);
}

static void sees_taken(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "tenant", "s", "blue");
        const char *lease = arg;

        CHECK(streq(g.error, OURS "DeviceTaken"));
        CHECK(!strstr(g.text, lease) && !strstr(g.text, "holder-label") && !strstr(g.text, "process"));
}

/* Proves: a device that is held is DeviceTaken to others, who learn nothing of the holder; it is free when the process
 * ends, with nothing said by it. */
static void test_taken_until_process_ends(void **state)
{
        Fixture *f = *state;
        char lease[64];
        Peer peer = peer_ready(f, UID_BLUE, holds, DEVICE_BLUE, lease);

        run_as(f, UID_TWO, sees_taken, lease);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
        peer_kill(&peer);
        broker_await(f, "state " DEVICE_BLUE, "available");
        broker_await_rest(f, fds_before);
}

/* Proves: several tenants, one named: that one acts. */
static void test_named_tenant(void **state)
{
        Fixture *f = *state;
        char lease[64];
        Peer peer = peer_ready(f, UID_TWO, holds, DEVICE_RED, lease);

        assert_string_equal(broker_tell(f, "state " DEVICE_RED), "leased");
        peer_finish(&peer);
        broker_await_rest(f, fds_before);
}

/* Proves: a driver that cannot be bound fails the call, and everything done for it is undone. */
static void test_bind_fails(void **state)
{
        Fixture *f = *state;

        (void)broker_tell(f, "bind-error " DEVICE_BLUE " 19");
        REFUSED(f, UID_BLUE, DEVICE_BLUE_2 " " DEVICE_BLUE, OURS "DriverBindFailed", DEVICE_BLUE);
        broker_await(f, "state " DEVICE_BLUE, "host");
        broker_await(f, "state " DEVICE_BLUE_2, "available");
        assert_string_equal(broker_tell(f, "driver " DEVICE_BLUE), "igb");
        broker_await_rest(f, fds_before);
}

static void is_reset(Client *c, const void *arg)
{
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "ResetDevice",
                               DEVICE_BLUE_2),
                    arg));
}

/* Proves: a reset that fails quarantines the device; ResetDevice, once it succeeds, brings it back. */
static void test_quarantine_and_way_out(void **state)
{
        Fixture *f = *state;

        (void)broker_tell(f, "reset-error " DEVICE_BLUE_2 " 25");
        REFUSED(f, UID_BLUE, DEVICE_BLUE_2, OURS "ResetFailed", DEVICE_BLUE_2);
        broker_await(f, "state " DEVICE_BLUE_2, "quarantined");
        REFUSED(f, UID_BLUE, DEVICE_BLUE_2, OURS "Quarantined", DEVICE_BLUE_2);
        run_as(f, UID_ADMIN, is_reset, OURS "ResetFailed");
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE_2), "quarantined");
        (void)broker_tell(f, "reset-error " DEVICE_BLUE_2 " 0");
        run_as(f, UID_ADMIN, is_reset, "");
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE_2), "available");
        broker_await_rest(f, fds_before);
}

static int on_never(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        CHECK(!"an answer came");
        return 0;
}

static void asks_and_waits(Client *c, const void *arg)
{
        sd_bus_message *m = new_call(c->bus, "Acquire", DEVICE_BLUE);
        sd_bus *other = c->bus;
        char word[64];

        if (arg)
                other = client_connect(c->fixture);
        CHECK(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        if (arg) {
                sd_bus_message_unref(m);
                m = new_call(other, "Acquire", DEVICE_BLUE);
                CHECK(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        }
        CHECK(sd_bus_call_async(other, NULL, m, on_never, NULL, 0) >= 0);
        CHECK(sd_bus_flush(other) >= 0);
        sd_bus_message_unref(m);
        client_say(c, "asked");
        client_hear(c, word);
        if (arg)
                sd_bus_close_unref(other);
        client_say(c, "closed");
        client_hear(c, word);
}

/* Proves: a caller that is killed while its device is being opened leaves nothing behind. */
static void test_caller_killed_midway(void **state)
{
        Fixture *f = *state;
        Peer peer;
        char word[64];

        (void)broker_tell(f, "hang " DEVICE_BLUE " 1");
        peer = peer_ready(f, UID_BLUE, asks_and_waits, NULL, word);
        broker_await(f, "state " DEVICE_BLUE, "binding");
        peer_kill(&peer);
        broker_await(f, "state " DEVICE_BLUE, "reclaiming");
        (void)broker_tell(f, "hang " DEVICE_BLUE " 0");
        broker_await(f, "leases", "0");
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE),
                            "host"); /* it was never granted: all is undone */
        broker_await_rest(f, fds_before);
}

/* Proves: the same where only the connection goes, and the process lives on. */
static void test_connection_closed_midway(void **state)
{
        Fixture *f = *state;
        Peer peer;
        char word[64];

        (void)broker_tell(f, "hang " DEVICE_BLUE " 1");
        peer = peer_ready(f, UID_BLUE, asks_and_waits, "own connection", word);
        broker_await(f, "state " DEVICE_BLUE, "binding");
        peer_say(&peer, "close");
        peer_hear(&peer, word);
        broker_await(f, "state " DEVICE_BLUE, "reclaiming");
        (void)broker_tell(f, "hang " DEVICE_BLUE " 0");
        broker_await(f, "leases", "0");
        peer_finish(&peer);
        broker_await_rest(f, fds_before);
}

static void pings(Client *c, const void *arg)
{
        double best = 1e9;

        for (int i = 0; i < 50; i++) {
                struct timespec a, b;
                double ms;

                (void)clock_gettime(CLOCK_MONOTONIC, &a);
                CHECK(streq(
                        call_error(c->bus, "/org/vfiobroker1", "org.freedesktop.DBus.Peer", "Ping", NULL),
                        ""));
                (void)clock_gettime(CLOCK_MONOTONIC, &b);
                ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
                best = ms < best ? ms : best;
        }
        CHECK(best < 5);
}

/* Proves: while a job hangs the loop answers others in under 5 ms, and the call that waits is answered as DriverBindFailed
 * when the job is slow. */
static void test_loop_answers_while_job_hangs(void **state)
{
        Fixture *f = *state;
        Peer peer;

        (void)broker_tell(f, "hang " DEVICE_BLUE " 1");
        peer = peer_start(f, UID_BLUE, is_refused,
                          (const char *const[]){ DEVICE_BLUE, OURS "DriverBindFailed", "10 s" });
        broker_await(f, "state " DEVICE_BLUE, "binding");
        run_as(f, UID_RED, pings, NULL);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "binding");
        (void)broker_tell(f, "slow");
        peer_end(&peer);
        (void)broker_tell(f, "hang " DEVICE_BLUE " 0");
        broker_await(f, "leases", "0");
        broker_await_rest(f, fds_before);
}

static void acquires_for_connection(Client *c, const void *arg)
{
        sd_bus *other = client_connect(c->fixture);
        Grant g = acquire(other, DEVICE_BLUE, "a{sv}", 1, "lifetime", "s", "connection");
        char word[64];

        CHECK(streq(g.error, ""));
        grant_done(&g);
        sd_bus_flush_close_unref(other);
        client_say(c, "closed");
        client_hear(c, word);
}

/* Proves: lifetime=connection ends with the connection, the process still there. */
static void test_lifetime_connection(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer peer = peer_ready(f, UID_BLUE, acquires_for_connection, NULL, word);

        broker_await(f, "state " DEVICE_BLUE, "available");
        peer_finish(&peer);
        broker_await_rest(f, fds_before);
}

static void holds_for_connection(Client *c, const void *arg)
{
        sd_bus *other = client_connect(c->fixture);
        Grant g = acquire(other, DEVICE_BLUE, "a{sv}", 1, "lifetime", "s", "connection");
        char word[64];

        CHECK(streq(g.error, ""));
        grant_done(&g);
        client_say(c, "held");
        client_hear(c, word);
        sd_bus_flush_close_unref(other);
        client_say(c, "closed");
        client_hear(c, word);
}

/* Proves: over a restart of the broker such a lease goes on, still ends with its connection, and ends at the start where
 * that is closed, or was of another life of the bus, or is not known; the process is there all the time. */
static void test_lifetime_connection_restart(void **state)
{
        static const char *const ends[] = { "restart", "restart other-bus", "restart no-name" };
        Fixture *f = *state;
        char word[64];
        Peer peer = peer_ready(f, UID_BLUE, holds_for_connection, NULL, word);

        assert_string_equal(broker_tell(f, "restart"), "ok");
        assert_string_equal(broker_tell(f, "restart"), "ok");
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
        peer_say(&peer, "close");
        peer_hear(&peer, word);
        broker_await(f, "state " DEVICE_BLUE, "available");
        peer_finish(&peer);

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                peer = peer_ready(f, UID_BLUE, holds_for_connection, NULL, word);
                if (i == 0) {
                        /* closed while no broker looks */
                        (void)broker_tell(f, "deaf");
                        peer_say(&peer, "close");
                        peer_hear(&peer, word);
                }
                assert_string_equal(broker_tell(f, "%s", ends[i]), "ok");
                broker_await(f, "state " DEVICE_BLUE, "available");
                if (i > 0) {
                        peer_say(&peer, "close");
                        peer_hear(&peer, word);
                }
                peer_finish(&peer);
        }
        broker_await_rest(f, fds_before);
}

static int open_pidfd(pid_t pid)
{
        return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void acquires_for_others(Client *c, const void *arg)
{
        pid_t foreign = *(const pid_t *)arg, child;
        int fd, status;
        Grant g;

        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "pidfd", "h", fd);
        CHECK(streq(g.error, STANDARD "InvalidArgs") && strstr(g.text, "pidfd"));
        (void)close(fd);

        fd = open_pidfd(foreign);
        CHECK(fd >= 0);
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "pidfd", "h", fd);
        CHECK(streq(g.error, OURS "ProcessUnusable"));
        (void)close(fd);

        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
                (void)pause();
                _exit(0);
        }
        fd = open_pidfd(child);
        CHECK(fd >= 0);
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "pidfd", "h", fd);
        CHECK(streq(g.error, ""));
        grant_done(&g);
        client_say(c, "child has it");
        CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);

        g = acquire(c->bus, DEVICE_BLUE_2, "a{sv}", 1, "pidfd", "h", fd);
        CHECK(streq(g.error, OURS "ProcessUnusable"));
        client_say(c, "child is gone");
        client_hear(c, (char[64]){});
}

/* Proves: option pidfd must be a pidfd, of a living process, of the caller's user; the lease then is that process's and
 * ends with it. */
static void test_pidfd(void **state)
{
        Fixture *f = *state;
        Peer foreign = peer_start(f, UID_RED, holds, DEVICE_RED), peer;
        char word[64];

        peer_hear(&foreign, word);
        peer = peer_ready(f, UID_BLUE, acquires_for_others, &foreign.pid, word);
        peer_hear(&peer, word);
        assert_string_equal(word, "child is gone");
        broker_await(f, "state " DEVICE_BLUE, "available");
        peer_finish(&peer);
        peer_kill(&foreign);
        broker_await_rest(f, fds_before);
}

static void is_mixed(Client *c, const void *arg)
{
        sd_bus *bus;
        Grant g;

        CHECK(setresgid((gid_t)-1, UID_BLUE, (gid_t)-1) == 0 &&
              setresuid((uid_t)-1, UID_BLUE, (uid_t)-1) == 0);
        bus = client_connect(c->fixture);
        g = acquire(bus, DEVICE_BLUE, "a{sv}", 0);
        CHECK(streq(g.error, OURS "ProcessUnusable"));
        sd_bus_flush_close_unref(bus);
}

/* Proves: where the connection's user is not wholly the process's, the process holds nothing. */
static void test_mixed_identity(void **state)
{
        Fixture *f = *state;

        run_as(f, 0, is_mixed, NULL);
        broker_await_rest(f, fds_before);
}

static void calls_without_reply(Client *c, const void *arg)
{
        sd_bus_message *m = new_call(c->bus, "Acquire", DEVICE_BLUE);

        CHECK(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        CHECK(sd_bus_message_set_expect_reply(m, false) >= 0);
        CHECK(sd_bus_send(c->bus, m, NULL) >= 0);
        sd_bus_message_unref(m);
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.freedesktop.DBus.Peer", "Ping", NULL), ""));
}

/* Proves: who wants no reply gets no lease either. */
static void test_no_reply_no_lease(void **state)
{
        Fixture *f = *state;

        run_as(f, UID_BLUE, calls_without_reply, NULL);
        assert_string_equal(broker_tell(f, "driver " DEVICE_BLUE), "igb");
        broker_await_rest(f, fds_before);
}

static void checks(Client *c, const void *arg)
{
        static const struct {
                const char *devices, *error, *text;
        } table[] = {
                { DEVICE_BLUE, "", "blue" },
                { DEVICE_RED, OURS "DeniedByPolicy", "tenant blue" },
                { "0000:99:00.0", OURS "DeniedByPolicy", "0000:99:00.0" },
                { "0000:01:99.0", OURS "NoSuchDevice", "0000:01:99.0" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                sd_bus_message *m = new_call(c->bus, "CheckAccess", table[i].devices), *reply = NULL;
                const char *error, *text;
                int allowed;

                CHECK(sd_bus_message_append(m, "a{sv}", 0) >= 0);
                CHECK(sd_bus_call(c->bus, m, 0, NULL, &reply) >= 0);
                CHECK(sd_bus_message_read(reply, "bss", &allowed, &error, &text) >= 0);
                CHECK(allowed == !table[i].error[0] && streq(error, table[i].error) &&
                      strstr(text, table[i].text));
                sd_bus_message_unref(m);
                sd_bus_message_unref(reply);
        }
}

/* Proves: CheckAccess gives the answer that Acquire would, and changes nothing. */
static void test_check_access(void **state)
{
        Fixture *f = *state;

        run_as(f, UID_BLUE, checks, NULL);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "host");
        broker_await_rest(f, fds_before);
}

/* What Explain tells, a line for each step. */
static void explain(sd_bus *bus, const char *device, char *ret, size_t size)
{
        sd_bus_message *m = new_call(bus, "Explain", device), *reply = NULL;
        const char *name, *about, *text, *error;
        int passed, allowed;
        size_t n = 0;

        CHECK(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        CHECK(sd_bus_call(bus, m, 0, NULL, &reply) >= 0);
        CHECK(sd_bus_message_enter_container(reply, 'a', "(ssbs)") > 0);
        while (sd_bus_message_read(reply, "(ssbs)", &name, &about, &passed, &text) > 0) {
                CHECK(*text);
                n += (size_t)snprintf(ret + n, size - n, "%s %s %d\n", name, about, passed);
        }
        CHECK(sd_bus_message_exit_container(reply) >= 0);
        CHECK(sd_bus_message_read(reply, "bss", &allowed, &error, &text) >= 0);
        CHECK(allowed == !*error && *text && n < size);
        (void)snprintf(ret + n, size - n, "%s", error);
        CHECK(!strstr(text, "red"));
        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
}

static void explains(Client *c, const void *arg)
{
        char path[2048];

        explain(c->bus, DEVICE_BLUE, path, sizeof(path));
        CHECK(streq(path, "identity  1\ntenant blue 1\nselector " DEVICE_BLUE " 1\ngroup " DEVICE_BLUE
                          " 1\nreset-set " DEVICE_BLUE " 1\nvirtual-function " DEVICE_BLUE
                          " 1\nisolation " DEVICE_BLUE " 1\nbackend  1\ndevices-max  1\nleases-max  "
                          "1\nmemlock  1\nmemlock-host  1\nstate " DEVICE_BLUE " 1\n"));
        explain(c->bus, DEVICE_RED, path, sizeof(path));
        CHECK(streq(path, "identity  1\ntenant blue 1\nselector " DEVICE_RED " 0\n" OURS "DeniedByPolicy"));
        explain(c->bus, "0000:99:00.0", path, sizeof(path));
        CHECK(streq(path, "identity  1\ntenant blue 1\nselector 0000:99:00.0 0\n" OURS "DeniedByPolicy"));
        explain(c->bus, "0000:01:99.0", path, sizeof(path));
        CHECK(streq(path, "identity  1\ntenant blue 1\nbroker  0\n" OURS "NoSuchDevice"));
}

static void explains_as_admin(Client *c, const void *arg)
{
        char path[2048];

        explain(c->bus, DEVICE_BLUE, path, sizeof(path));
        CHECK(strstr(path, "\ntenant blue 0\n") && strstr(path, "\ntenant red 0\n"));
        CHECK(strstr(path, "\nbroker  0\n" OURS "NoTenant"));
}

/* Proves: Explain tells the way to the answer of CheckAccess, and of other tenants to administrators only. */
static void test_explain(void **state)
{
        Fixture *f = *state;

        run_as(f, UID_BLUE, explains, NULL);
        run_as(f, 0, explains_as_admin, NULL);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "host");
        broker_await_rest(f, fds_before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_granted_and_released, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_twice, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_refusals, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_taken_until_process_ends, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_named_tenant, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_bind_fails, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_quarantine_and_way_out, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_caller_killed_midway, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_connection_closed_midway, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_loop_answers_while_job_hangs, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_lifetime_connection, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_lifetime_connection_restart, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_pidfd, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_mixed_identity, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_no_reply_no_lease, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_check_access, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_explain, setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
