/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When a lease ends, and as what: each lifetime, asked for on the bus or on a session, for the caller or for another
 * process, and whatever can happen to connection, caller and process, with the daemon there, restarted before, or away
 * meanwhile. The table is that of org.vfiobroker1(5), LIFETIMES. Where a lease is to go on, it is shown to be the same one: it
 * can be released. Whatever happens, nothing is left. */

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bus/fixture.h"

typedef enum Event {
        NOTHING,
        CALLER_EXITS,
        CALLER_KILLED,
        CLOSES,       /* the connection on which it was asked */
        CLOSES_OTHER, /* the process's other connections, that to the bus where it was asked on a session */
        EXECS,
        EXECS_OPEN, /* and the connection's file stays open */
        TARGET_EXITS,
        TARGET_KILLED,
        TARGET_EXECS,
} Event;

static const char *const events[] = {
        [NOTHING] = "nothing",
        [CALLER_EXITS] = "the caller exits",
        [CALLER_KILLED] = "the caller is killed",
        [CLOSES] = "the connection is closed",
        [CLOSES_OTHER] = "another connection is closed",
        [EXECS] = "the caller execs",
        [EXECS_OPEN] = "the caller execs with the connection open",
        [TARGET_EXITS] = "the process exits",
        [TARGET_KILLED] = "the process is killed",
        [TARGET_EXECS] = "the process execs",
};

typedef enum Restart {
        NONE,
        BEFORE,
        MEANWHILE, /* it happens while no broker is there */
        _RESTART_MAX,
} Restart;

static const char *const restarts[] = { "", ", after a restart", ", while the daemon is away" };

#define ON     "" /* the lease goes on */
#define EXITED "process-exited"
#define CLOSED "connection-closed"
/* The process's end closes its connections: whichever is heard of first. */
#define EITHER EXITED " " CLOSED

/* Asked on the bus or a session makes no difference but over a restart, which no session survives. */
static const struct Row {
        const char *lifetime;
        Event event;
        const char *own;    /* for the caller; NULL where that cannot be */
        const char *others; /* for another process */
} rows[] = {
        { "process", NOTHING, ON, ON },
        { "process", CALLER_EXITS, EXITED, ON },
        { "process", CALLER_KILLED, EXITED, ON },
        { "process", CLOSES, ON, ON },
        { "process", CLOSES_OTHER, ON, ON },
        { "process", EXECS, ON, ON },
        { "process", EXECS_OPEN, ON, ON },
        { "process", TARGET_EXITS, NULL, EXITED },
        { "process", TARGET_KILLED, NULL, EXITED },
        { "process", TARGET_EXECS, NULL, ON },

        { "connection", NOTHING, ON, ON },
        { "connection", CALLER_EXITS, EITHER, CLOSED },
        { "connection", CALLER_KILLED, EITHER, CLOSED },
        { "connection", CLOSES, CLOSED, CLOSED },
        { "connection", CLOSES_OTHER, ON, ON },
        { "connection", EXECS, CLOSED, CLOSED },
        { "connection", EXECS_OPEN, ON, ON },
        { "connection", TARGET_EXITS, NULL, EXITED },
        { "connection", TARGET_KILLED, NULL, EXITED },
        { "connection", TARGET_EXECS, NULL, ON },

        { "explicit", NOTHING, ON, ON },
        { "explicit", CALLER_EXITS, ON, ON },
        { "explicit", CALLER_KILLED, ON, ON },
        { "explicit", CLOSES, ON, ON },
        { "explicit", CLOSES_OTHER, ON, ON },
        { "explicit", EXECS, ON, ON },
        { "explicit", EXECS_OPEN, ON, ON },
        { "explicit", TARGET_EXITS, NULL, ON },
        { "explicit", TARGET_KILLED, NULL, ON },
        { "explicit", TARGET_EXECS, NULL, ON },
};

typedef struct Case {
        const struct Row *row;
        bool session;
        pid_t target; /* 0: the caller */
        Restart restart;
} Case;

static char folder[64];
static char doing[256]; /* which case, said where it fails */
static unsigned fds_before;

static int setup(void **state)
{
        Fixture *f;

        (void)snprintf(folder, sizeof(folder), "/tmp/vfiobroker-state-XXXXXX");
        assert_non_null(mkdtemp(folder));
        assert_int_equal(setenv("VFIOBROKER_STATE", folder, true), 0);
        if (fixture_setup(state) < 0)
                return -1;
        f = *state;
        /* An administrator who is the tenant too, for `explicit`. */
        fixture_policy(f, "[broker]\nadmin-group = 2100\nrate = 1000/1s\n"
                          "[tenant blue]\nmatch-user = 1, 5\ndevices = pci:0000:01:*\n"
                          "memlock-default = 64M\n");
        assert_string_equal(broker_tell(f, "down"), "ok");
        assert_string_equal(broker_tell(f, "up"), "ok");
        fds_before = broker_count(f, "fds");
        return 0;
}

static int teardown(void **state)
{
        static const char *const inside[] = { "/leases", "/devices", "/jobs", "" };
        _cleanup_free_ char *device = path_of_device(DEVICE_BLUE);
        char path[128];
        int r;

        if (doing[0])
                (void)fprintf(stderr, "it was: %s\n", doing);
        r = fixture_teardown(state);

        (void)unsetenv("VFIOBROKER_STATE");
        (void)snprintf(path, sizeof(path), "%s/devices%s", folder, strrchr(device, '/'));
        (void)unlink(path); /* which driver it had before */
        for (size_t i = 0; i < ELEMENTSOF(inside); i++) {
                (void)snprintf(path, sizeof(path), "%s%s", folder, inside[i]);
                if (rmdir(path) < 0 && errno != ENOENT)
                        return -1; /* a record is left */
        }
        return r;
}

/* --- the processes --- */

/* Another program from here on, that ends by a signal only. */
static void become_another(void)
{
        (void)execlp("sleep", "sleep", "1000", NULL);
        _exit(1);
}

static void obeys(Client *c, sd_bus *connection)
{
        char word[64];

        client_hear(c, word);
        if (streq(word, "exec open"))
                CHECK(fcntl(sd_bus_get_fd(connection), F_SETFD, 0) == 0);
        if (strstr(word, "exec"))
                become_another();
}

static void is_target(Client *c, const void *arg)
{
        client_say(c, "here");
        obeys(c, NULL);
}

static void asks(Client *c, const void *arg)
{
        const Case *k = arg;
        sd_bus *bus = client_connect(c->fixture), *on = bus;
        const char *name;
        char word[64];
        Grant g;

        if (k->session)
                on = client_session(bus);
        if (k->target > 0) {
                int fd = (int)syscall(SYS_pidfd_open, k->target, 0);

                g = acquire(on, DEVICE_BLUE, "a{sv}", 2, "lifetime", "s", k->row->lifetime, "pidfd", "h",
                            fd);
                (void)close(fd);
        } else
                g = acquire(on, DEVICE_BLUE, "a{sv}", 1, "lifetime", "s", k->row->lifetime);
        if (!streq(g.error, ""))
                (void)fprintf(stderr, "client: got %s: %s\n", g.error, g.text);
        CHECK(streq(g.error, ""));
        grant_done(&g);
        CHECK(sd_bus_get_unique_name(bus, &name) >= 0);
        client_say(c, g.lease);
        client_say(c, name);

        if (k->row->event == CLOSES || k->row->event == CLOSES_OTHER) {
                client_hear(c, word);
                if (k->row->event == CLOSES)
                        on = sd_bus_flush_close_unref(on);
                else
                        c->bus = sd_bus_flush_close_unref(c->bus);
                if (k->session == (k->row->event == CLOSES_OTHER))
                        bus = k->session ? sd_bus_flush_close_unref(bus) : NULL;
                client_say(c, "closed");
        }
        obeys(c, on);
        if (on != bus)
                sd_bus_flush_close_unref(on);
        sd_bus_flush_close_unref(bus);
}

/* --- one case --- */

static void awaits_gone(Client *c, const void *arg)
{
        int there = true;

        while (there) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

                CHECK(sd_bus_call_method(c->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                         "org.freedesktop.DBus", "NameHasOwner", NULL, &reply, "s",
                                         arg) >= 0);
                CHECK(sd_bus_message_read(reply, "b", &there) >= 0);
        }
}

static void pings(Client *c, const void *arg)
{
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.freedesktop.DBus.Peer", "Ping", NULL), ""));
}

static void releases(Client *c, const void *arg)
{
        CHECK(streq(call_error(c->bus, arg, "org.vfiobroker1.Lease", "Release", NULL), ""));
}

/* The peer execs: its end of the socket closes. */
static void make_exec(Peer *peer, const char *how)
{
        char word[64];

        peer_say(peer, how);
        assert_int_equal(recv(peer->sync, word, sizeof(word), 0), 0);
}

static void make_happen(Event event, Peer *caller, Peer *target)
{
        char word[64];

        switch (event) {
        case CALLER_EXITS: peer_finish(caller); break;
        case CALLER_KILLED: peer_kill(caller); break;
        case TARGET_EXITS: peer_finish(target); break;
        case TARGET_KILLED: peer_kill(target); break;
        case EXECS: make_exec(caller, "exec"); break;
        case EXECS_OPEN: make_exec(caller, "exec open"); break;
        case TARGET_EXECS: make_exec(target, "exec"); break;
        case CLOSES:
        case CLOSES_OTHER:
                peer_say(caller, "close");
                peer_hear(caller, word);
                break;
        case NOTHING:
        default: break;
        }
}

/* Until the bus has told the broker of it, and the broker has heard that. */
static void settle(Fixture *f, const Case *k, const char *name, bool away)
{
        Event event = k->row->event;
        bool closes = event == CALLER_EXITS || event == CALLER_KILLED || event == EXECS;

        if (closes || (k->session ? event == EXECS_OPEN || event == CLOSES_OTHER : event == CLOSES))
                run_as(f, UID_ADMIN, awaits_gone, name);
        if (away)
                return;
        if (k->session && (closes || event == CLOSES))
                broker_await(f, "sessions", "0");
        run_as(f, UID_ADMIN, pings, NULL);
        (void)broker_tell(f, "leases");
}

static const char *expected_of(const Case *k)
{
        const char *expected = k->target > 0 ? k->row->others : k->row->own;

        if (!k->session || k->restart == NONE || !streq(k->row->lifetime, "connection"))
                return expected;
        return k->restart == BEFORE || streq(expected, ON) ? CLOSED : expected;
}

static bool ends_caller(Event event)
{
        return event == CALLER_EXITS || event == CALLER_KILLED;
}

static bool ends_target(Event event)
{
        return event == TARGET_EXITS || event == TARGET_KILLED;
}

static void run_case(Fixture *f, Case k)
{
        uid_t uid = streq(k.row->lifetime, "explicit") ? UID_ADMIN : UID_BLUE;
        Peer caller, target = { .sync = -EBADF };
        const char *expected, *end;
        char word[64], lease[64], name[64];

        if (k.target > 0) {
                target = peer_ready(f, uid, is_target, NULL, word);
                k.target = target.pid;
        }
        (void)broker_tell(f, "last-end");
        caller = peer_ready(f, uid, asks, &k, lease);
        peer_hear(&caller, name);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
        assert_int_equal(broker_count(f, "raised"), 1);

        if (k.restart != NONE)
                assert_string_equal(broker_tell(f, "down"), "ok");
        if (k.restart == BEFORE)
                assert_string_equal(broker_tell(f, "up"), "ok");
        make_happen(k.row->event, &caller, &target);
        settle(f, &k, name, k.restart == MEANWHILE);
        if (k.restart == MEANWHILE)
                assert_string_equal(broker_tell(f, "up"), "ok");

        expected = expected_of(&k);
        if (streq(expected, ON)) {
                settle(f, &k, name, false);
                assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
                run_as(f, UID_ADMIN, releases, lease);
                expected = "released";
        }
        broker_await(f, "leases", "0");
        end = broker_tell(f, "last-end");
        assert_non_null(strstr(expected, end));
        assert_true(end[0] != 0);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "available");
        assert_int_equal(broker_count(f, "raised"), 0);

        if (!ends_caller(k.row->event))
                peer_kill(&caller);
        if (k.target > 0 && !ends_target(k.row->event))
                peer_kill(&target);
        broker_await_rest(f, fds_before);
}

/* Proves: the table, each row in each way. */
static void test_table(void **state)
{
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (unsigned way = 0; way < 4 * _RESTART_MAX; way++) {
                        Case k = { rows + i, way & 1, way & 2 ? 1 : 0, (Restart)(way / 4) };

                        if (k.target == 0 && !k.row->own)
                                continue;
                        (void)snprintf(doing, sizeof(doing), "%s, asked for on %s for %s: %s%s",
                                       k.row->lifetime, k.session ? "a session" : "the bus",
                                       k.target > 0 ? "another process" : "itself", events[k.row->event],
                                       restarts[k.restart]);
                        run_case(f, k);
                }
        doing[0] = 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_table, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
