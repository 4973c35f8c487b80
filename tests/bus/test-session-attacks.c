/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A session has no bus daemon in between, so its client can send any bytes and any fds, in any portions, and need not read.
 * What this does to the broker: nothing. It serves the others, its memory stays flat, no fd of anybody stays with it. */

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "daemon/bus/bus-internal.h"
#include "tests/bus/fixture.h"

/* --- bytes --- */

typedef struct Bytes {
        uint8_t data[2 * SESSION_MESSAGE_MAX];
        size_t n;
} Bytes;

static void add_u32(Bytes *b, uint32_t value)
{
        b->n = (b->n + 3) & ~(size_t)3;
        memcpy(b->data + b->n, &value, sizeof(value)); /* little endian, as every machine this runs on */
        b->n += sizeof(value);
}

static void add_field(Bytes *b, uint8_t code, char type, const char *value)
{
        b->n = (b->n + 7) & ~(size_t)7;
        memcpy(b->data + b->n, (uint8_t[]){ code, 1, (uint8_t)type, 0 }, 4);
        b->n += 4;
        if (type == 'u') {
                add_u32(b, (uint32_t)strtoul(value, NULL, 10));
                return;
        }
        if (type == 'g')
                b->data[b->n++] = (uint8_t)strlen(value);
        else
                add_u32(b, (uint32_t)strlen(value));
        memcpy(b->data + b->n, value, strlen(value) + 1);
        b->n += strlen(value) + 1;
}

typedef struct Forged {
        uint8_t type;                   /* 0: a method call */
        const char *sender;             /* or NULL */
        const char *interface, *member; /* NULL: Peer, Ping */
        bool one_fd;                    /* the header says so */
        size_t body;                    /* bytes of it, zeros, of no signature */
        uint32_t claim_body;            /* and what the header says, 0: the truth */
        bool broken;                    /* a field of a type that it must not have */
} Forged;

static Bytes *forge(const Forged *forged)
{
        Bytes *b = calloc(1, sizeof(*b));
        uint32_t fields;

        CHECK(b);
        memcpy(b->data, (uint8_t[]){ 'l', forged->type ?: 1, 0, 1 }, 4);
        b->n = 4;
        add_u32(b, forged->claim_body ?: (uint32_t)forged->body);
        add_u32(b, 77);
        add_u32(b, 0);
        add_field(b, 1, forged->broken ? 's' : 'o', "/org/vfiobroker1");
        add_field(b, 2, 's', forged->interface ?: "org.freedesktop.DBus.Peer");
        add_field(b, 3, 's', forged->member ?: "Ping");
        if (forged->sender)
                add_field(b, 7, 's', forged->sender);
        if (forged->one_fd)
                add_field(b, 9, 'u', "1");
        fields = (uint32_t)(b->n - 16);
        memcpy(b->data + 12, &fields, sizeof(fields));
        b->n = ((b->n + 7) & ~(size_t)7) + forged->body;
        CHECK(b->n <= sizeof(b->data));
        return b;
}

static ssize_t send_fds(int to, const void *data, size_t size, unsigned n)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int) * 8)];
                struct cmsghdr align;
        } control = {};
        struct iovec iov = { (void *)data, size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ssize_t r;

        CHECK(null >= 0 && n <= 8);
        if (n > 0) {
                struct cmsghdr *header;

                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
                header = CMSG_FIRSTHDR(&m);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(sizeof(int) * n);
                for (unsigned i = 0; i < n; i++)
                        memcpy(CMSG_DATA(header) + i * sizeof(int), &null, sizeof(int));
        }
        r = sendmsg(to, &m, MSG_NOSIGNAL);
        (void)close(null);
        return r;
}

static void send_all(int to, const void *data, size_t size)
{
        CHECK(send(to, data, size, MSG_NOSIGNAL) == (ssize_t)size);
}

static int new_session(Client *c)
{
        char error[128];
        int fd;

        /* Those that were closed before may not be gone yet. */
        while ((fd = client_session_fd(c->bus, error)) < 0)
                CHECK(streq(error, STANDARD "LimitsExceeded"));
        return fd;
}

#define GREETING "\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"

/* Waits for something to read. */
static void await(int fd)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };

        CHECK(poll(&p, 1, (int)(PATIENCE_USEC / USEC_PER_MSEC)) == 1);
}

static void read_greeting(int fd)
{
        char answer[256] = "";
        size_t n = 0;

        while (!strstr(answer, "AGREE_UNIX_FD\r\n")) {
                ssize_t k;

                await(fd);
                k = recv(fd, answer + n, 1, 0);
                CHECK(k == 1 && n < sizeof(answer) - 2);
                n += answer[n] ? 1 : 0;
        }
}

static int greeted_session(Client *c)
{
        int fd = new_session(c);

        send_all(fd, GREETING, sizeof(GREETING) - 1);
        read_greeting(fd);
        return fd;
}

/* The broker hangs up, having answered nothing. */
static void expect_end(int fd)
{
        char byte;
        ssize_t n;

        await(fd);
        n = recv(fd, &byte, 1, 0);
        CHECK(n == 0 || (n < 0 && errno == ECONNRESET));
        (void)close(fd);
}

/* It answers with that message type: 2 a return, 3 an error. */
static void expect_answer(int fd, uint8_t type)
{
        uint8_t data[4096];

        await(fd);
        CHECK(recv(fd, data, sizeof(data), 0) >= 16 && data[0] == 'l' && data[1] == type);
}

static void pings(int fd)
{
        _cleanup_free_ Bytes *ping = forge(&(Forged){});

        send_all(fd, ping->data, ping->n);
        expect_answer(fd, 2);
}

static void pings_on_session(Client *c, const void *arg)
{
        int fd = greeted_session(c);

        pings(fd);
        (void)close(fd);
}

/* --- the tests --- */

static void greets_badly(Client *c, const void *arg)
{
        static const struct {
                const char *text;
                size_t n;
        } table[] = {
#define TEXT(s) { s, sizeof(s) - 1 }
                TEXT("AUTH EXTERNAL\r\n"), /* without the NUL */
                TEXT("\0BEGIN\r\nBEGIN\r\n"),
                TEXT("\0AUTH DBUS_COOKIE_SHA1 00\r\nBEGIN\r\n"),
                TEXT("\0AUTH EXTERNAL\r\nDATA\r\nCANCEL\r\nBEGIN\r\n"),
        };
        char line[SESSION_AUTH_MAX + 2];
        int fd;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char rest[256];
                struct pollfd p;
                ssize_t n;

                fd = new_session(c);
                (void)send(fd, table[i].text, table[i].n, MSG_NOSIGNAL);
                p = (struct pollfd){ .fd = fd, .events = POLLIN };
                do {
                        CHECK(poll(&p, 1, (int)(PATIENCE_USEC / USEC_PER_MSEC)) == 1);
                        n = recv(fd, rest, sizeof(rest), 0); /* "REJECTED", "ERROR" */
                } while (n > 0);
                (void)close(fd);
        }
        /* A line without an end, and lines without number. */
        fd = new_session(c);
        memset(line, 'A', sizeof(line));
        line[0] = 0;
        (void)send(fd, line, sizeof(line), MSG_NOSIGNAL);
        expect_end(fd);
        fd = new_session(c);
        for (size_t i = 1; i + 1 < sizeof(line); i += 2)
                memcpy(line + i, "\r\n", 2);
        (void)send(fd, line, sizeof(line), MSG_NOSIGNAL);
        {
                char rest[16384];
                size_t all = 0;
                ssize_t n;

                for (;;) {
                        await(fd);
                        n = recv(fd, rest, sizeof(rest), 0);
                        if (n <= 0)
                                break;
                        all += (size_t)n;
                }
                CHECK(all <= SESSION_AUTH_MAX * 8);
                (void)close(fd);
        }
        /* Fds with the greeting. */
        for (unsigned n = 1; n <= 4; n += 3) {
                fd = new_session(c);
                (void)send_fds(fd, GREETING, sizeof(GREETING) - 1, n);
                expect_end(fd);
        }
        /* Cut in single bytes, and a message at once behind it, it is good. */
        fd = new_session(c);
        for (size_t i = 0; i < sizeof(GREETING) - 1; i++)
                send_all(fd, &GREETING[i], 1);
        read_greeting(fd);
        pings(fd);
        (void)close(fd);
        {
                Bytes *both = calloc(1, sizeof(*both)), *ping = forge(&(Forged){});

                CHECK(both);
                memcpy(both->data, GREETING, sizeof(GREETING) - 1);
                memcpy(both->data + sizeof(GREETING) - 1, ping->data, ping->n);
                fd = new_session(c);
                send_all(fd, both->data, sizeof(GREETING) - 1 + ping->n);
                read_greeting(fd);
                expect_answer(fd, 2);
                (void)close(fd);
                free(both);
                free(ping);
        }
}

/* Whatever blue does, and however it ends, the broker has no more than before. */
static void attack(Fixture *f, ClientRun run)
{
        unsigned fds = broker_count(f, "fds");

        run_as(f, UID_BLUE, run, NULL);
        broker_await(f, "sessions", "0");
        broker_await(f, "callers", "0");
        assert_int_equal(broker_count(f, "fds"), fds);
}

/* Proves: a greeting that is none ends the session; one in any portions is good. */
static void test_greeting(void **state)
{
        attack(*state, greets_badly);
}

static void sends_bad_messages(Client *c, const void *arg)
{
        static const Forged refused[] = {
                { .type = 2 },
                { .type = 3 },
                { .type = 4 }, /* NameOwnerChanged and all that */
                { .type = 9 },
                { .broken = true },
                { .claim_body = 128 * 1024 * 1024 },
                { .claim_body = UINT32_MAX },
        };
        Bytes *b = forge(&(Forged){});
        size_t head = b->n;
        int fd;

        free(b);
        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                b = forge(refused + i);
                fd = greeted_session(c);
                send_all(fd, b->data, b->n);
                expect_end(fd);
                free(b);
        }
        /* As large as may be, and one byte more. */
        fd = greeted_session(c);
        b = forge(&(Forged){ .body = SESSION_MESSAGE_MAX - head });
        CHECK(b->n == SESSION_MESSAGE_MAX);
        send_all(fd, b->data, b->n);
        free(b);
        expect_answer(fd, 2); /* Ping looks at no body */
        (void)close(fd);
        fd = greeted_session(c);
        b = forge(&(Forged){ .body = SESSION_MESSAGE_MAX - head + 1 });
        (void)send(fd, b->data, 16, MSG_NOSIGNAL); /* its header says enough */
        expect_end(fd);
        free(b);
        /* Too small to be one; another protocol; another byte order. */
        fd = greeted_session(c);
        send_all(fd, "l\1\0\1\0\0\0\0\1\0\0\0\0\0\0\0", 16);
        expect_end(fd);
        fd = greeted_session(c);
        send_all(fd, "l\1\0\2\0\0\0\0\1\0\0\0\20\0\0\0", 16);
        expect_end(fd);
        fd = greeted_session(c);
        send_all(fd, "x\1\0\1\0\0\0\0\1\0\0\0\20\0\0\0", 16);
        expect_end(fd);
}

static void sends_large_call(Client *c, const void *arg)
{
        sd_bus *session = client_session(c->bus);
        char *large = calloc(1, SESSION_MESSAGE_MAX);
        sd_bus_message *m = new_call(session, "Acquire", "");

        /* The largest that is one message: 64 KiB less its header, array and dictionary. */
        CHECK(large);
        memset(large, 'd', SESSION_MESSAGE_MAX - 512);
        sd_bus_message_unref(m);
        CHECK(sd_bus_message_new_method_call(session, &m, MANAGER, "Acquire") >= 0);
        CHECK(sd_bus_message_append(m, "asa{sv}", 1, large, 0) >= 0);
        expect_error(session, m, STANDARD "InvalidArgs", "65024 bytes");
        CHECK(sd_bus_message_new_method_call(session, &m, MANAGER, "Acquire") >= 0);
        memset(large, 'd', SESSION_MESSAGE_MAX - 1);
        CHECK(sd_bus_message_append(m, "asa{sv}", 1, large, 0) >= 0);
        CHECK(sd_bus_call(session, m, PATIENCE_USEC, NULL, NULL) < 0);
        sd_bus_message_unref(m);
        CHECK(!streq(call_error(session, "/org/vfiobroker1", "org.freedesktop.DBus.Peer", "Ping", NULL),
                     ""));
        sd_bus_flush_close_unref(session);
        free(large);
}

/* Proves: what is no call, is broken, or larger than SESSION_MESSAGE_MAX, ends the session and nothing else; what is as
 * large as that is read. */
static void test_messages(void **state)
{
        Fixture *f = *state;
        unsigned fds = broker_count(f, "fds");

        run_as(f, UID_BLUE, sends_bad_messages, NULL);
        run_as(f, UID_BLUE, sends_large_call, NULL);
        broker_await(f, "sessions", "0");
        broker_await(f, "callers", "0");
        assert_int_equal(broker_count(f, "fds"), fds);
}

static void sends_halves(Client *c, const void *arg)
{
        enum { N = 32 };
        Bytes *b = forge(&(Forged){ .claim_body = SESSION_MESSAGE_MAX - 512 });
        int fds[N];

        for (int i = 0; i < N; i++) {
                if (i % 2) {
                        fds[i] = greeted_session(c);
                        send_all(fds[i], b->data, i < N / 2 ? 7 : 20);
                } else {
                        fds[i] = new_session(c);
                        send_all(fds[i], GREETING, (size_t)i);
                }
        }
        client_say(c, "half");
        client_hear(c, (char[64]){});
        free(b);
        for (int i = 0; i < N; i++)
                (void)close(fds[i]);
}

static void is_served(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_RED, "a{sv}", 0);

        CHECK(streq(g.error, ""));
        grant_done(&g);
}

/* Proves: messages that stop in the middle hold nobody up, and cost the loop nothing while nothing comes. */
static void test_halves(void **state)
{
        Fixture *f = *state;
        unsigned fds = broker_count(f, "fds");
        char word[64], path[64], line[512];
        unsigned long ticks[2];
        Peer peer = peer_ready(f, UID_BLUE, sends_halves, NULL, word);

        run_as(f, UID_RED, is_served, NULL);
        broker_await(f, "leases", "0");
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)f->broker);
        for (int i = 0; i < 2; i++) {
                FILE *stat = fopen(path, "re");
                unsigned long user, system;

                assert_non_null(stat);
                assert_non_null(fgets(line, sizeof(line), stat));
                (void)fclose(stat);
                assert_int_equal(sscanf(strrchr(line, ')') + 2,
                                        "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                                        &system),
                                 2);
                ticks[i] = user + system;
                (void)poll(NULL, 0, i == 0 ? 500 : 0);
        }
        assert_true(ticks[1] - ticks[0] < 10); /* of 50 ticks */
        peer_finish(&peer);
        broker_await(f, "sessions", "0");
        assert_int_equal(broker_count(f, "fds"), fds);
}

static void sends_fds(Client *c, const void *arg)
{
        Bytes *with = forge(&(Forged){ .one_fd = true }), *without = forge(&(Forged){}),
              *broken = forge(&(Forged){ .one_fd = true, .broken = true });
        int fd;

        for (int i = 0; i < 20; i++) {
                /* One that belongs to its message is fine. */
                fd = greeted_session(c);
                CHECK(send_fds(fd, with->data, with->n, 1) == (ssize_t)with->n);
                expect_answer(fd, 2);
                /* Half a message with one more for each byte. */
                CHECK(send_fds(fd, with->data, 1, 1) == 1);
                (void)send_fds(fd, with->data + 1, 1, 1);
                expect_end(fd);
                fd = greeted_session(c);
                CHECK(send_fds(fd, with->data, with->n, 2) == (ssize_t)with->n);
                expect_end(fd);
                fd = greeted_session(c);
                CHECK(send_fds(fd, with->data, 20, 8) == 20);
                expect_end(fd);
                /* One that its message does not own up to, and one in a message that cannot be read. */
                fd = greeted_session(c);
                CHECK(send_fds(fd, without->data, without->n, 1) == (ssize_t)without->n);
                expect_end(fd);
                fd = greeted_session(c);
                CHECK(send_fds(fd, broken->data, broken->n, 1) == (ssize_t)broken->n);
                expect_end(fd);
                /* One where none was negotiated. */
                fd = new_session(c);
                send_all(fd, "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", 30);
                CHECK(send_fds(fd, with->data, with->n, 1) == (ssize_t)with->n);
                {
                        char rest[256];

                        do
                                await(fd);
                        while (recv(fd, rest, sizeof(rest), 0) > 0);
                        (void)close(fd);
                }
        }
        free(with);
        free(without);
        free(broken);
}

/* Proves: no fd that a client sends stays with the broker, however it is sent. */
static void test_fds(void **state)
{
        attack(*state, sends_fds);
}

static void acts_as_on_a_bus(Client *c, const void *arg)
{
        static const char driver[] = "org.freedesktop.DBus", path[] = "/org/freedesktop/DBus";
        static const char *const members[] = { "Hello", "AddMatch", "RequestName", "GetNameOwner",
                                               "GetConnectionCredentials" };
        sd_bus *session = client_session(c->bus);
        Grant g;

        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

                CHECK(sd_bus_call_method(session, driver, path, driver, members[i], &error, NULL, "s",
                                         ":1.1") < 0);
                CHECK(sd_bus_error_has_name(&error, STANDARD "UnknownObject"));
        }
        CHECK(!streq(call_error(session, "/org/freedesktop/DBus/Local", driver, "Disconnected", NULL), ""));
        sd_bus_flush_close_unref(session);
        session = client_session(c->bus);
        g = acquire(session, DEVICE_BLUE, "a{sv}", 0);
        CHECK(streq(g.error, ""));
        sd_bus_flush_close_unref(session);
}

/* Proves: what a client says to a bus means nothing on a session, and harms nothing. */
static void test_bus_calls(void **state)
{
        run_as(*state, UID_BLUE, acts_as_on_a_bus, NULL);
        broker_await(*state, "leases", "0");
}

static void holds_and_waits(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "lifetime", "s", "connection");
        const char *name;

        CHECK(streq(g.error, "") && sd_bus_get_unique_name(c->bus, &name) >= 0);
        client_say(c, name);
        client_hear(c, (char[64]){});
}

static void forges_senders(Client *c, const void *arg)
{
        const char *const names[] = { arg, ":1.0", "org.freedesktop.DBus", "org.vfiobroker1" };
        sd_bus *session = client_session(c->bus);

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
                const char *text;

                CHECK(sd_bus_message_new_method_call(session, &m, MANAGER, "ListLeases") >= 0);
                CHECK(sd_bus_message_set_sender(m, names[i]) >= 0);
                CHECK(sd_bus_call(session, m, PATIENCE_USEC, &error, &reply) >= 0);
                CHECK(sd_bus_message_enter_container(reply, 'a', "(osssut)") >= 0 &&
                      sd_bus_message_at_end(reply, false) > 0);
                sd_bus_message_unref(m);
                m = new_call(session, "CheckAccess", DEVICE_RED);
                CHECK(sd_bus_message_append(m, "a{sv}", 0) >= 0 &&
                      sd_bus_message_set_sender(m, names[i]) >= 0);
                reply = sd_bus_message_unref(reply);
                CHECK(sd_bus_call(session, m, PATIENCE_USEC, &error, &reply) >= 0);
                CHECK(sd_bus_message_read(reply, "bss", NULL, NULL, &text) >= 0 && !strstr(text, "blue"));
                sd_bus_message_unref(m);
                m = NULL;
                CHECK(sd_bus_message_new_method_call(session, &m, MANAGER, "Reload") >= 0);
                CHECK(sd_bus_message_set_sender(m, names[i]) >= 0);
                CHECK(sd_bus_call(session, m, PATIENCE_USEC, &error, NULL) < 0 &&
                      sd_bus_error_has_name(&error, STANDARD "AccessDenied"));
        }
        sd_bus_flush_close_unref(session);
}

/* Proves: a sender's name on a session is believed by nobody: red is red, with blue's name, an administrator's, the bus's. */
static void test_forged_senders(void **state)
{
        Fixture *f = *state;
        char name[64];
        Peer blue = peer_ready(f, UID_BLUE, holds_and_waits, NULL, name);

        run_as(f, UID_RED, forges_senders, name);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
        peer_finish(&blue);
        broker_await(f, "leases", "0");
}

/* --- not reading --- */

#define UNREAD_SESSIONS 24

static Bytes *ask_for_everything(void)
{
        return forge(&(Forged){ .interface = "org.freedesktop.DBus.ObjectManager",
                                .member = "GetManagedObjects" });
}

/* Asks for everything, as long as it is let, and reads nothing. */
static void reads_nothing(Client *c, const void *arg)
{
        Bytes *question = ask_for_everything();
        sd_bus *sessions[UNREAD_SESSIONS];
        char word[64];
        int fds[UNREAD_SESSIONS];

        for (int i = 0; i < UNREAD_SESSIONS; i++) {
                sessions[i] = client_session(c->bus);
                fds[i] = sd_bus_get_fd(sessions[i]);
        }
        client_say(c, "open");
        client_hear(c, word);
        for (int round = 0; round < 100; round++)
                for (int i = 0; i < UNREAD_SESSIONS; i++) {
                        /* Whole messages only: what does not fit now is left out. */
                        struct pollfd p = { .fd = fds[i], .events = POLLOUT };

                        if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT))
                                (void)send(fds[i], question->data, question->n, MSG_NOSIGNAL | MSG_DONTWAIT);
                }
        client_say(c, "asked");
        client_hear(c, word);
        for (int i = 0; i < UNREAD_SESSIONS; i++)
                sd_bus_close_unref(sessions[i]);
        client_say(c, "closed");
        client_hear(c, word);
        free(question);
}

/* So that an answer is larger than what the kernel keeps. */
static void add_200_devices(Fixture *f)
{
        fixture_policy(f, "[broker]\nrate = 1000/1s\n[tenant blue]\nmatch-user = 1\ndevices = pci:0000:4*\n"
                          "[tenant red]\nmatch-user = 2\ndevices = pci:0000:02:*\n");
        fixture_reload(f);
        for (unsigned i = 0; i < 200; i++)
                (void)broker_tell(f, "add 0000:4%x:%02x.0 %u vfio-pci", i / 32, i % 32, 100 + i);
}

/* Proves: sessions whose client does not read are not read from, and what the broker keeps for them is bounded, answers and
 * signals; the others are served; and when they are read or closed all goes on. */
static void test_unread(void **state)
{
        Fixture *f = *state;
        unsigned before, after;
        char word[64];
        Peer peer;

        add_200_devices(f);
        peer = peer_ready(f, UID_BLUE, reads_nothing, NULL, word);
        before = broker_count(f, "rss");
        peer_say(&peer, "go");
        peer_hear(&peer, word);
        run_as(f, UID_RED, is_served, NULL);
        after = broker_count(f, "rss");
        print_message("unread: %u KiB before, %u KiB with %d sessions of 100 questions each unread\n",
                      before, after, UNREAD_SESSIONS);
        assert_in_range(after, 0, before + 16 * 1024);

        /* Signals on top: each round is two for each session. */
        before = after;
        for (unsigned i = 0; i < 1000; i++)
                (void)broker_tell(f, "%s 0000:4f:00.0 900 vfio-pci", i % 2 ? "remove" : "add");
        after = broker_count(f, "rss");
        assert_in_range(after, 0, before + 8 * 1024);
        run_as(f, UID_RED, is_served, NULL);

        peer_say(&peer, "close");
        peer_hear(&peer, word);
        broker_await(f, "sessions", "0");
        peer_finish(&peer);
}

static void leaves_unread(Client *c, const void *arg)
{
        Bytes *question = ask_for_everything();
        int fds[REPLIES_UID_MAX];
        char word[64];
        sd_bus *session;

        session = client_session(c->bus);
        for (unsigned i = 0; i < REPLIES_UID_MAX; i++) {
                fds[i] = greeted_session(c);
                for (int k = 0; k < 4; k++)
                        send_all(fds[i], question->data, question->n);
                if (i + 2 < REPLIES_UID_MAX)
                        continue;
                client_say(c, "sent");
                client_hear(c, word);
                CHECK(streq(call_error(session, "/org/vfiobroker1", "org.freedesktop.DBus.ObjectManager",
                                       "GetManagedObjects", NULL),
                            i + 1 < REPLIES_UID_MAX ? "" : OURS "RateLimited"));
        }
        (void)close(fds[3]);
        client_say(c, "closed");
        client_hear(c, word);
        CHECK(streq(call_error(session, "/org/vfiobroker1", "org.freedesktop.DBus.ObjectManager",
                               "GetManagedObjects", NULL),
                    ""));
        for (unsigned i = 0; i < REPLIES_UID_MAX; i++)
                if (i != 3)
                        (void)close(fds[i]);
        sd_bus_flush_close_unref(session);
        free(question);
}

/* Proves: while REPLIES_UID_MAX answers lie unread on a user's sessions, and with not one less, its next is RateLimited;
 * another user's is not. */
static void test_unread_of_user(void **state)
{
        Fixture *f = *state;
        char word[64], expected[16];
        Peer peer;

        add_200_devices(f);
        peer = peer_ready(f, UID_BLUE, leaves_unread, NULL, word);
        for (unsigned n = REPLIES_UID_MAX - 1; n <= REPLIES_UID_MAX; n++) {
                (void)snprintf(expected, sizeof(expected), "%u", n);
                broker_await(f, "unread", expected);
                run_as(f, UID_RED, pings_on_session, NULL);
                peer_say(&peer, "go");
                peer_hear(&peer, word);
        }
        broker_await(f, "unread", "15");
        peer_finish(&peer);
        broker_await(f, "sessions", "0");
}

static int on_late(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        unsigned *n = userdata;

        CHECK(sd_bus_message_is_method_error(m, NULL) <= 0);
        ++*n;
        return 0;
}

static void reads_late(Client *c, const void *arg)
{
        enum { N = 300 };
        sd_bus *session = client_session(c->bus);
        unsigned n = 0;

        /* As many as one likes at once: they are answered as they are read. */
        for (int i = 0; i < N; i++)
                CHECK(sd_bus_call_method_async(session, NULL, "org.vfiobroker1", "/org/vfiobroker1",
                                               "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                                               on_late, &n, NULL) >= 0);
        while (n < N) {
                int r = sd_bus_process(session, NULL);

                CHECK(r >= 0 && (r > 0 || sd_bus_wait(session, PATIENCE_USEC) > 0));
        }
        sd_bus_flush_close_unref(session);
}

/* Proves: a client that sends its questions ahead and reads later gets every answer. */
static void test_reads_late(void **state)
{
        run_as(*state, UID_BLUE, reads_late, NULL);
}

static void opens_in_masses(Client *c, const void *arg)
{
        char error[128];

        for (int i = 0; i < 300; i++) {
                int fd = client_session_fd(c->bus, error);

                if (fd >= 0)
                        (void)close(fd);
                else
                        CHECK(streq(error, OURS "RateLimited") || streq(error, STANDARD "LimitsExceeded"));
        }
}

/* Proves: sessions opened and closed in masses leave nothing behind. */
static void test_masses(void **state)
{
        Fixture *f = *state;
        unsigned fds = broker_count(f, "fds"), before, after;

        run_as(f, UID_BLUE, opens_in_masses, NULL);
        broker_await(f, "sessions", "0");
        before = broker_count(f, "rss");
        for (int i = 0; i < 3; i++)
                run_as(f, UID_BLUE, opens_in_masses, NULL);
        broker_await(f, "sessions", "0");
        broker_await(f, "callers", "0");
        after = broker_count(f, "rss");
        assert_int_equal(broker_count(f, "fds"), fds);
        assert_in_range(after, 0, before + 4 * 1024);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(greeting),   TEST(messages),       TEST(halves), TEST(fds),
                TEST(bus_calls),  TEST(forged_senders), TEST(unread), TEST(unread_of_user),
                TEST(reads_late), TEST(masses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
