/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* OpenSession: the same objects and rules as on the bus, for the caller as it was; what ends with a session and what does
 * not; and that a session is no way around what one user may have. */

#include <sys/socket.h>

#include "daemon/bus/bus-internal.h"
#include "tests/bus/fixture.h"

#define SIXTEEN                                                                                             \
        "0000:10:00.0 0000:10:01.0 0000:10:02.0 0000:10:03.0 0000:10:04.0 0000:10:05.0 0000:10:06.0 "       \
        "0000:10:07.0 0000:10:08.0 0000:10:09.0 0000:10:0a.0 0000:10:0b.0 0000:10:0c.0 0000:10:0d.0 "       \
        "0000:10:0e.0 0000:10:0f.0"

static const char *calls(sd_bus *bus, const char *member)
{
        return call_error(bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", member, NULL);
}

/* The answer of a method of a standard interface, as text. */
static char *dump_of(sd_bus *bus, const char *path, const char *interface, const char *member)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        CHECK(f &&
              sd_bus_call_method(bus, "org.vfiobroker1", path, interface, member, NULL, &reply, NULL) >= 0);
        CHECK(sd_bus_message_dump(reply, f, 0) >= 0);
        (void)fclose(f);
        return text;
}

static void sees_the_same(Client *c, const void *arg)
{
        static const char *const questions[][3] = {
                { "/org/vfiobroker1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects" },
                { "/org/vfiobroker1", "org.freedesktop.DBus.Introspectable", "Introspect" },
                { "/org/vfiobroker1/device", "org.freedesktop.DBus.Introspectable", "Introspect" },
                { "/org/vfiobroker1/lease", "org.freedesktop.DBus.Introspectable", "Introspect" },
                { "/org/vfiobroker1", "org.vfiobroker1.Manager", "ListDevices" },
                { "/org/vfiobroker1", "org.vfiobroker1.Manager", "ListLeases" },
        };
        sd_bus *session = client_session(c->bus);
        Grant g = acquire(session, DEVICE_BLUE, "a{sv}", 1, "label", "s", "vm-7");
        _cleanup_free_ char *path = path_of_device(DEVICE_BLUE), *red = path_of_device(DEVICE_RED);
        char hidden[128];
        uint32_t pid;

        CHECK(streq(g.error, "") && g.n_fds == 2);
        for (size_t i = 0; i < ELEMENTSOF(questions); i++) {
                const char *const *q = questions[i];
                _cleanup_free_ char *bus_says = dump_of(c->bus, q[0], q[1], q[2]),
                                    *session_says = dump_of(session, q[0], q[1], q[2]);

                CHECK(streq(bus_says, session_says) && strlen(bus_says) > 50);
        }
        CHECK(reads_property(session, path, "org.vfiobroker1.Device", "Lease", g.lease));
        CHECK(reads_property(session, g.lease, "org.vfiobroker1.Lease", "Label", "vm-7"));
        CHECK(sd_bus_get_property_trivial(session, "org.vfiobroker1", g.lease, "org.vfiobroker1.Lease",
                                          "Pid", NULL, 'u', &pid) >= 0 &&
              pid == (uint32_t)getpid());
        (void)snprintf(hidden, sizeof(hidden), "%s",
                       call_error(c->bus, red, "org.freedesktop.DBus.Properties", "GetAll",
                                  "org.vfiobroker1.Device"));
        CHECK(!streq(hidden, "") && streq(call_error(session, red, "org.freedesktop.DBus.Properties",
                                                     "GetAll", "org.vfiobroker1.Device"),
                                          hidden));
        CHECK(streq(calls(session, "Reload"), STANDARD "AccessDenied"));
        CHECK(streq(calls(session, "OpenSession"), STANDARD "AccessDenied"));
        CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Release", NULL), ""));
        grant_done(&g);
        sd_bus_flush_close_unref(session);
}

static void has_no_session(Client *c, const void *arg)
{
        char error[128];

        CHECK(client_session_fd(c->bus, error) < 0 && streq(error, OURS "NoTenant"));
}

/* Proves: a session shows and allows its user what the bus does, to the byte; a lease of it is the process's; it opens no
 * other; who has no tenant gets none. */
static void test_same_as_bus(void **state)
{
        Fixture *f = *state;

        run_as(f, UID_BLUE, sees_the_same, NULL);
        run_as(f, UID_NOBODY, has_no_session, NULL);
        broker_await(f, "sessions", "0");
        broker_await(f, "leases", "0");
}

static void acquires_many(Client *c, const void *arg)
{
        sd_bus *session = client_session(c->bus);
        Grant g = acquire(c->bus, SIXTEEN, "a{sv}", 0), added;

        CHECK(streq(g.error, STANDARD "LimitsExceeded") && strstr(g.text, "OpenSession"));
        g = acquire(session, SIXTEEN, "a{sv}", 1, "memlock", "t", UINT64_C(0));
        CHECK(streq(g.error, "") && g.n_fds == 17);
        for (size_t i = 0; i < g.n_fds; i++)
                CHECK(g.fds[i].fd >= 0);
        CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Reissue", NULL),
                    STANDARD "LimitsExceeded"));
        CHECK(streq(call_error(session, g.lease, "org.vfiobroker1.Lease", "Reissue", NULL), ""));
        added = acquire(session, DEVICE_BLUE, "a{sv}", 0);
        CHECK(streq(added.error, OURS "DeviceQuotaExceeded"));
        grant_done(&g);
        sd_bus_flush_close_unref(session);
}

/* Proves: 16 devices, 17 fds, come in one message on a session and not on the bus, where the refusal names the way out;
 * the same for Reissue; the tenant's own quota holds on both. */
static void test_many_fds(void **state)
{
        run_as(*state, UID_BLUE, acquires_many, NULL);
        broker_await(*state, "leases", "0");
}

static void has_too_many_devices(Client *c, const void *arg)
{
        sd_bus *session = client_session(c->bus);
        sd_bus_message *m = NULL;

        for (unsigned n = JOB_DEVICES_MAX; n <= JOB_DEVICES_MAX + 1; n++) {
                CHECK(sd_bus_message_new_method_call(session, &m, MANAGER, "Acquire") >= 0);
                CHECK(sd_bus_message_open_container(m, 'a', "s") >= 0);
                for (unsigned i = 0; i < n; i++) {
                        char id[32];

                        (void)snprintf(id, sizeof(id), "0000:77:%02x.0", i);
                        CHECK(sd_bus_message_append(m, "s", id) >= 0);
                }
                CHECK(sd_bus_message_close_container(m) >= 0 && sd_bus_message_append(m, "a{sv}", 0) >= 0);
                if (n <= JOB_DEVICES_MAX)
                        expect_error(session, m, OURS "DeniedByPolicy", "");
                else
                        expect_error(session, m, STANDARD "LimitsExceeded", "126 devices");
        }
        sd_bus_flush_close_unref(session);
}

/* Proves: a call on a session names JOB_DEVICES_MAX devices and not one more. */
static void test_devices_of_a_call(void **state)
{
        run_as(*state, UID_BLUE, has_too_many_devices, NULL);
}

static void holds_on_session(Client *c, const void *arg)
{
        sd_bus *session = client_session(c->bus), *other = client_session(c->bus);
        Grant by_session = acquire(session, DEVICE_BLUE, "a{sv}", 1, "lifetime", "s", "connection"),
              by_process = acquire(session, DEVICE_BLUE_2, "a{sv}", 0),
              by_other = acquire(other, "0000:10:00.0", "a{sv}", 1, "lifetime", "s", "connection");
        char word[64];

        CHECK(streq(by_session.error, "") && streq(by_process.error, "") && streq(by_other.error, ""));
        c->bus = sd_bus_flush_close_unref(c->bus); /* as before a sandbox */
        CHECK(streq(calls(session, "ListDevices"), ""));
        client_say(c, "held");
        client_hear(c, word);
        if (streq(word, "close"))
                session = sd_bus_flush_close_unref(session);
        client_say(c, "closed");
        client_hear(c, word);
        sd_bus_flush_close_unref(session);
        sd_bus_flush_close_unref(other);
}

/* Proves: a lease of lifetime `connection` ends with its session and with nothing else, not with the bus connection, not
 * with another session; one of lifetime `process` outlives the session. */
static void test_lifetime(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer peer = peer_ready(f, UID_BLUE, holds_on_session, NULL, word);

        broker_await(f, "callers", "0");
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
        peer_say(&peer, "close");
        peer_hear(&peer, word);
        broker_await(f, "state " DEVICE_BLUE, "available");
        broker_await(f, "sessions", "1");
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE_2), "leased");
        assert_string_equal(broker_tell(f, "state 0000:10:00.0"), "leased");
        peer_finish(&peer);
        broker_await(f, "sessions", "0");
        broker_await(f, "leases", "0");
}

/* Proves: the end of the process ends its sessions and all that it held. */
static void test_death(void **state)
{
        Fixture *f = *state;
        char word[64];
        unsigned fds = broker_count(f, "fds");
        Peer peer = peer_ready(f, UID_BLUE, holds_on_session, NULL, word);

        peer_kill(&peer);
        broker_await(f, "sessions", "0");
        broker_await(f, "leases", "0");
        broker_await(f, "callers", "0");
        assert_int_equal(broker_count(f, "fds"), fds);
}

static void outlives_broker(Client *c, const void *arg)
{
        sd_bus *session = client_session(c->bus);
        Grant by_session = acquire(session, DEVICE_BLUE, "a{sv}", 1, "lifetime", "s", "connection"),
              by_process = acquire(session, DEVICE_BLUE_2, "a{sv}", 0);

        CHECK(streq(by_session.error, "") && streq(by_process.error, ""));
        client_say(c, "held");
        client_hear(c, (char[64]){});
        CHECK(!streq(calls(session, "ListDevices"), "")); /* it is over */
        CHECK(streq(calls(c->bus, "ListDevices"), ""));
        sd_bus_flush_close_unref(session);
        session = client_session(c->bus);
        CHECK(streq(call_error(session, by_process.lease, "org.vfiobroker1.Lease", "Release", NULL), ""));
        sd_bus_flush_close_unref(session);
}

/* Proves: a restart of the broker ends sessions and the leases that were to last as long, and no others. */
static void test_restart(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer peer = peer_ready(f, UID_BLUE, outlives_broker, NULL, word);

        assert_string_equal(broker_tell(f, "restart"), "ok");
        broker_await(f, "state " DEVICE_BLUE, "available");
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE_2), "leased");
        peer_finish(&peer);
        broker_await(f, "leases", "0");
}

static bool ended, added;

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *reason;

        if (sd_bus_message_is_signal(m, "org.vfiobroker1.Lease", "Ended"))
                ended = sd_bus_message_read(m, "s", &reason) >= 0 && streq(reason, "device-removed");
        added |= sd_bus_message_is_signal(m, "org.freedesktop.DBus.ObjectManager", "InterfacesAdded") > 0;
        return 0;
}

static void hears_on_session(Client *c, const void *arg)
{
        sd_bus *session = client_session(c->bus);
        Grant g;

        CHECK(sd_bus_add_filter(session, NULL, on_signal, NULL) >= 0);
        c->bus = sd_bus_flush_close_unref(c->bus);
        g = acquire(session, DEVICE_BLUE, "a{sv}", 0);
        CHECK(streq(g.error, ""));
        client_say(c, "held");
        CHECK(client_wait(session, &ended) && added);
        sd_bus_flush_close_unref(session);
}

static void hears_nothing(Client *c, const void *arg)
{
        sd_bus *session = client_session(c->bus);

        CHECK(sd_bus_add_filter(session, NULL, on_signal, NULL) >= 0);
        client_say(c, "listening");
        client_hear(c, (char[64]){});
        CHECK(streq(calls(session, "ListDevices"), ""));
        while (sd_bus_process(session, NULL) > 0)
                ;
        CHECK(!ended && !added);
        sd_bus_flush_close_unref(session);
}

/* Proves: signals come on a session, to its user and nobody else. */
static void test_signals(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer red = peer_ready(f, UID_RED, hears_nothing, NULL, word);
        Peer blue = peer_ready(f, UID_BLUE, hears_on_session, NULL, word);

        (void)broker_tell(f, "remove " DEVICE_BLUE);
        peer_end(&blue);
        peer_finish(&red);
}

/* --- quotas --- */

static void opens_many(Client *c, const void *arg)
{
        const unsigned n = *(const unsigned *)arg;
        int *fds = calloc(n + 1, sizeof(*fds));
        char error[128], word[64];

        CHECK(fds);
        for (unsigned i = 0; i < n; i++) {
                fds[i] = client_session_fd(c->bus, error);
                CHECK(fds[i] >= 0);
        }
        client_say(c, "open");
        client_hear(c, word);
        if (streq(word, "one more")) {
                CHECK(client_session_fd(c->bus, error) < 0 && streq(error, STANDARD "LimitsExceeded"));
                (void)close(fds[0]);
                while ((fds[0] = client_session_fd(c->bus, error)) < 0)
                        CHECK(streq(error, STANDARD "LimitsExceeded"));
                CHECK(streq(calls(c->bus, "ListDevices"), ""));
                client_say(c, "same");
                client_hear(c, word);
        }
        for (unsigned i = 0; i < n; i++)
                (void)close(fds[i]);
        free(fds);
}

/* Proves: one user has SESSIONS_UID_MAX sessions and not one more, gets one where it closes one, and is still served on
 * the bus; another user has its own; all fds come back. */
static void test_sessions_of_one_user(void **state)
{
        Fixture *f = *state;
        unsigned n = SESSIONS_UID_MAX, one = 1, fds = broker_count(f, "fds");
        char word[64];
        Peer red, blue = peer_ready(f, UID_BLUE, opens_many, &n, word);

        peer_say(&blue, "one more");
        peer_hear(&blue, word);
        assert_int_equal(broker_count(f, "sessions"), SESSIONS_UID_MAX);
        red = peer_ready(f, UID_RED, opens_many, &one, word);
        peer_finish(&red);
        peer_finish(&blue);
        broker_await(f, "sessions", "0");
        broker_await(f, "callers", "0");
        assert_int_equal(broker_count(f, "fds"), fds);
}

/* Users that every Debian has. */
static const uid_t users[] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static void is_refused(Client *c, const void *arg)
{
        char error[128];

        CHECK(client_session_fd(c->bus, error) < 0 && streq(error, STANDARD "LimitsExceeded"));
        CHECK(streq(calls(c->bus, "ListDevices"), ""));
}

/* Proves: all users together have SESSIONS_MAX. */
static void test_sessions_of_all(void **state)
{
        Fixture *f = *state;
        unsigned n = SESSIONS_UID_MAX;
        Peer peers[ELEMENTSOF(users)];
        char word[64];

        assert_int_equal(ELEMENTSOF(users) * SESSIONS_UID_MAX, SESSIONS_MAX);
        fixture_policy(f, "[broker]\nrate = 1000/1s\n[tenant all]\nmatch-user = 1-100\ndevices = any\n");
        fixture_reload(f);
        for (size_t i = 0; i < ELEMENTSOF(users); i++)
                peers[i] = peer_ready(f, users[i], opens_many, &n, word);
        assert_int_equal(broker_count(f, "sessions"), SESSIONS_MAX);
        run_as(f, 9, is_refused, NULL);
        for (size_t i = 0; i < ELEMENTSOF(users); i++)
                peer_finish(&peers[i]);
        broker_await(f, "sessions", "0");
}

static void spends_its_rate(Client *c, const void *arg)
{
        char error[128];
        sd_bus *session = client_session(c->bus);
        Grant g = acquire(session, "0000:99:00.0", "a{sv}", 0);

        CHECK(streq(g.error, OURS "NoSuchDevice"));
        g = acquire(c->bus, "0000:99:00.0", "a{sv}", 0);
        CHECK(streq(g.error, OURS "NoSuchDevice"));
        g = acquire(session, "0000:99:00.0", "a{sv}", 0);
        CHECK(streq(g.error, OURS "RateLimited"));
        CHECK(client_session_fd(c->bus, error) < 0 && streq(error, OURS "RateLimited"));
        sd_bus_flush_close_unref(session);
}

/* Proves: OpenSession and what is called on sessions is of the user's one rate. */
static void test_rate(void **state)
{
        Fixture *f = *state;

        fixture_policy(f, "[broker]\nrate = 3/1000s\n[tenant blue]\nmatch-user = 1\ndevices = any\n");
        fixture_reload(f);
        run_as(f, UID_BLUE, spends_its_rate, NULL);
}

static unsigned n_answers;

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        CHECK(sd_bus_message_is_method_error(m, NULL) <= 0);
        *(bool *)userdata = ++n_answers % (CALLS_UID_MAX / 2) == 0;
        return 0;
}

static void fills_calls(Client *c, const void *arg)
{
        sd_bus *buses[2] = { c->bus, client_session(c->bus) };
        bool done[2] = {};
        char id[32];
        Grant g;

        for (unsigned i = 0; i < CALLS_UID_MAX; i++) {
                sd_bus_message *m;

                (void)snprintf(id, sizeof(id), "0000:10:%02x.0", i);
                m = new_call(buses[i % 2], "Acquire", id);
                CHECK(sd_bus_message_append(m, "a{sv}", 1, "memlock", "t", UINT64_C(0)) >= 0);
                CHECK(sd_bus_call_async(buses[i % 2], NULL, m, on_answer, done + i % 2, 0) >= 0);
                sd_bus_message_unref(m);
        }
        for (unsigned i = 0; i < 2; i++) /* that those before are in, too */
                CHECK(streq(calls(buses[i], "ListDevices"), ""));
        for (unsigned i = 0; i < 2; i++) {
                g = acquire(buses[i], "0000:10:10.0", "a{sv}", 0);
                CHECK(streq(g.error, OURS "RateLimited") && strstr(g.text, "16 answers"));
        }
        client_say(c, "full");
        client_hear(c, (char[64]){});
        CHECK(client_wait(buses[0], done) && client_wait(buses[1], done + 1));
        g = acquire(buses[1], "0000:10:10.0", "a{sv}", 0);
        CHECK(streq(g.error, OURS "DeviceQuotaExceeded"));
        sd_bus_flush_close_unref(buses[1]);
}

/* Proves: calls in progress are counted over the bus and sessions together. */
static void test_calls_in_progress(void **state)
{
        Fixture *f = *state;
        Peer peer;
        char word[64];

        for (unsigned i = 0; i < CALLS_UID_MAX; i++)
                (void)broker_tell(f, "hang 0000:10:%02x.0 1", i);
        peer = peer_ready(f, UID_BLUE, fills_calls, NULL, word);
        for (unsigned i = 0; i < CALLS_UID_MAX; i++)
                (void)broker_tell(f, "hang 0000:10:%02x.0 0", i);
        peer_finish(&peer);
        broker_await(f, "leases", "0");
}

static void asks_and_closes(Client *c, const void *arg)
{
        sd_bus *session = client_session(c->bus);
        sd_bus_message *m = new_call(session, "Acquire", DEVICE_BLUE);

        CHECK(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        CHECK(sd_bus_call_async(session, NULL, m, on_answer, NULL, 0) >= 0);
        sd_bus_message_unref(m);
        CHECK(streq(calls(session, "ListDevices"), ""));
        sd_bus_flush_close_unref(session);
        client_say(c, "closed");
        client_hear(c, (char[64]){});
}

/* Proves: where the session is gone before its answer, the device comes back although the process lives: nobody has its
 * fds. */
static void test_close_while_opening(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer peer;

        (void)broker_tell(f, "hang " DEVICE_BLUE " 1");
        peer = peer_ready(f, UID_BLUE, asks_and_closes, NULL, word);
        broker_await(f, "sessions", "0");
        (void)broker_tell(f, "hang " DEVICE_BLUE " 0");
        broker_await(f, "leases", "0");
        peer_finish(&peer);
}

/* --- who it is --- */

static void loses_its_tenant(Client *c, const void *arg)
{
        sd_bus *session = client_session(c->bus);
        Grant held = acquire(session, DEVICE_BLUE, "a{sv}", 0), g;

        CHECK(streq(held.error, ""));
        client_say(c, "held");
        client_hear(c, (char[64]){});
        g = acquire(session, DEVICE_BLUE_2, "a{sv}", 0);
        CHECK(streq(g.error, OURS "NoTenant"));
        CHECK(reads_property(session, held.lease, "org.vfiobroker1.Lease", "State", "active"));
        client_say(c, "lost");
        client_hear(c, (char[64]){});
        g = acquire(session, DEVICE_BLUE_2, "a{sv}", 0);
        CHECK(streq(g.error, ""));
        sd_bus_flush_close_unref(session);
}

/* Proves: a session whose tenant leaves the policy stays, and is told what the bus would tell; its leases stay; it works
 * again when the tenant is back. */
static void test_reload(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer peer = peer_ready(f, UID_BLUE, loses_its_tenant, NULL, word);

        fixture_policy(f, "[tenant red]\nmatch-user = 2\ndevices = any\n");
        fixture_reload(f);
        peer_say(&peer, "go");
        peer_hear(&peer, word);
        fixture_policy(f, NULL);
        fixture_reload(f);
        peer_finish(&peer);
}

static bool pass_fd(int to, int fd)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {};
        struct iovec iov = { (char[]){ 0 }, 1 };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        struct cmsghdr *header = CMSG_FIRSTHDR(&m);

        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof(int));
        return sendmsg(to, &m, 0) == 1;
}

static int receive_fd(int from)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control;
        char byte;
        struct iovec iov = { &byte, 1 };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        int fd;

        CHECK(recvmsg(from, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m));
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
        return fd;
}

static int handover[2];

static void hands_session_over(Client *c, const void *arg)
{
        char error[128];
        int fd = client_session_fd(c->bus, error);

        CHECK(fd >= 0 && pass_fd(handover[0], fd));
        (void)close(fd);
        client_say(c, "passed");
        client_hear(c, (char[64]){});
}

static void uses_anothers_session(Client *c, const void *arg)
{
        sd_bus *session = client_on_session(receive_fd(handover[1]));
        Grant g = acquire(session, DEVICE_RED, "a{sv}", 0);
        uint32_t uid;

        CHECK(streq(g.error, OURS "NoSuchDevice") || streq(g.error, OURS "DeniedByPolicy"));
        g = acquire(session, DEVICE_BLUE, "a{sv}", 1, "tenant", "s", "red");
        CHECK(streq(g.error, OURS "NoTenant"));
        g = acquire(session, DEVICE_BLUE, "a{sv}", 1, "lifetime", "s", "connection");
        CHECK(streq(g.error, ""));
        CHECK(sd_bus_get_property_trivial(session, "org.vfiobroker1", g.lease, "org.vfiobroker1.Lease",
                                          "Uid", NULL, 'u', &uid) >= 0 &&
              uid == UID_BLUE);
        CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Release", NULL),
                    OURS "NoSuchLease"));
        client_say(c, "held");
        client_hear(c, (char[64]){});
        g = acquire(session, DEVICE_BLUE_2, "a{sv}", 0);
        CHECK(streq(g.error, OURS "ProcessUnusable"));
        sd_bus_flush_close_unref(session);
}

/* Proves: whoever has a session's socket is to the broker who opened it, of another user or not: it gets nothing that its
 * own user may have, the lease is the opener's process's and ends with that, and then nothing can be held any more. */
static void test_passed_on(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer blue, red;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, handover), 0);
        blue = peer_ready(f, UID_BLUE, hands_session_over, NULL, word);
        red = peer_ready(f, UID_RED, uses_anothers_session, NULL, word);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
        peer_kill(&blue);
        broker_await(f, "leases", "0");
        assert_int_equal(broker_count(f, "sessions"), 1);
        peer_finish(&red);
        broker_await(f, "sessions", "0");
        (void)close(handover[0]);
        (void)close(handover[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(same_as_bus),     TEST(many_fds),  TEST(devices_of_a_call), TEST(lifetime),
                TEST(death),           TEST(restart),   TEST(signals),           TEST(sessions_of_one_user),
                TEST(sessions_of_all), TEST(rate),      TEST(calls_in_progress), TEST(close_while_opening),
                TEST(reload),          TEST(passed_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
