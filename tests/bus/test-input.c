/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bad input: every argument of Acquire out of its bounds, and at them; messages of the wrong shape and of absurd size. The
 * answer is an error that names what is wrong, nothing changes, and the broker's memory stays flat. */

#include <sys/socket.h>
#include <sys/un.h>

#include "tests/bus/fixture.h"

#define INVALID STANDARD "InvalidArgs"

/* CheckAccess and Explain read their arguments with the same code, and have no rate. */
static void option_is_refused(sd_bus *bus, const char *key, const char *type, const void *value,
                              const char *error, const char *text)
{
        static const char *const members[] = { "Acquire", "CheckAccess", "Explain" };

        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                sd_bus_message *m = new_call(bus, members[i], DEVICE_BLUE);

                CHECK(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
                CHECK(sd_bus_message_open_container(m, 'e', "sv") >= 0);
                CHECK(sd_bus_message_append_basic(m, 's', key) >= 0);
                CHECK(sd_bus_message_open_container(m, 'v', type) >= 0);
                if (streq(type, "as"))
                        CHECK(sd_bus_message_append_strv(m, NULL) >= 0);
                else
                        CHECK(sd_bus_message_append_basic(m, type[0], value) >= 0);
                CHECK(sd_bus_message_close_container(m) >= 0);
                CHECK(sd_bus_message_close_container(m) >= 0);
                CHECK(sd_bus_message_close_container(m) >= 0);
                expect_error(bus, m, error, text);
        }
}

static const char *repeat(const char *s, size_t n)
{
        static char buffer[8192];

        buffer[0] = 0;
        CHECK(n * strlen(s) < sizeof(buffer));
        for (size_t i = 0; i < n; i++)
                strcat(buffer, s);
        return buffer;
}

static void gives_bad_options(Client *c, const void *arg)
{
        const uint64_t too_much = UINT64_MAX, too_long = UINT64_C(24) * 3600 * USEC_PER_SEC + 1, one = 1;
        const uint32_t number = 1;
        sd_bus *bus = c->bus;
        sd_bus_message *m;

        option_is_refused(bus, "colour", "s", "red", INVALID, "\"colour\"");
        option_is_refused(bus, "", "s", "red", INVALID, "\"\"");
        option_is_refused(bus, "Tenant", "s", "blue", INVALID, "\"Tenant\"");
        option_is_refused(bus, repeat("k", 5000), "s", "x", INVALID, "kkk…\"");
        option_is_refused(bus, "a\nb", "s", "x", INVALID, "\"a?b\"");
        option_is_refused(bus, "memlock", "u", &number, INVALID, "memlock");
        option_is_refused(bus, "memlock", "s", "64M", INVALID, "it must be t");
        option_is_refused(bus, "tenant", "o", "/", INVALID, "tenant");
        option_is_refused(bus, "tenant", "as", NULL, INVALID, "tenant");
        option_is_refused(bus, "wait", "u", &number, INVALID, "wait");
        option_is_refused(bus, "pidfd", "u", &number, INVALID, "pidfd");
        option_is_refused(bus, "label", "t", &one, INVALID, "label");

        option_is_refused(bus, "tenant", "s", "", INVALID, "tenant");
        option_is_refused(bus, "tenant", "s", repeat("t", 128), INVALID, "128 bytes");
        option_is_refused(bus, "tenant", "s", "a\tb", INVALID, "do not print");
        option_is_refused(bus, "container", "s", repeat("t", 128), INVALID, "128 bytes");
        option_is_refused(bus, "container", "s", "a/b", INVALID, "no slash");
        option_is_refused(bus, "backend", "s", "vfio", INVALID, "\"vfio\"");
        option_is_refused(bus, "lifetime", "s", "forever", INVALID, "\"forever\"");
        option_is_refused(bus, "memlock", "t", &too_much, INVALID, "memlock");
        option_is_refused(bus, "wait", "t", &too_long, INVALID, "wait");
        option_is_refused(bus, "label", "s", repeat("l", 65), INVALID, "65 bytes");
        option_is_refused(bus, "label", "s", "red\033[31m", INVALID, "do not print");
        option_is_refused(bus, "label", "s", "abc\u202egpj", INVALID, "do not print");
        option_is_refused(bus, "label", "s", "two\u2028lines", INVALID, "do not print");

        m = new_call(bus, "Acquire", DEVICE_BLUE);
        CHECK(sd_bus_message_append(m, "a{sv}", 2, "label", "s", "a", "label", "s", "b") >= 0);
        expect_error(bus, m, INVALID, "twice");
}

/* Proves: unknown keys, wrong types, keys given twice and values out of bounds are refused by name. */
static void test_options(void **state)
{
        run_as(*state, UID_BLUE, gives_bad_options, NULL);
        broker_await(*state, "leases", "0");
}

static void gives_options_at_bounds(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 6, "label", "s", repeat("é", 32), "memlock", "t",
                          UINT64_C(1) << 30, "tenant", "s", "blue", "backend", "s", "auto", "lifetime", "s",
                          "process", "wait", "t", UINT64_C(0));

        CHECK(streq(g.error, ""));
        CHECK(reads_property(c->bus, g.lease, "org.vfiobroker1.Lease", "Label", repeat("é", 32)));
}

/* Proves: what is just within the bounds is taken. */
static void test_options_at_bounds(void **state)
{
        run_as(*state, UID_BLUE, gives_options_at_bounds, NULL);
}

static const char *many_devices(unsigned n)
{
        static char list[1024];

        list[0] = 0;
        for (unsigned i = 0; i < n; i++)
                (void)snprintf(list + strlen(list), sizeof(list) - strlen(list), "0000:10:%02x.0 ", i);
        return list;
}

static void gives_bad_devices(Client *c, const void *arg)
{
        sd_bus *bus = c->bus;
        const struct {
                const char *devices, *error, *text;
        } table[] = {
                { "", INVALID, "empty" },
                { DEVICE_BLUE " " DEVICE_BLUE_2 " " DEVICE_BLUE, INVALID, "twice" },
                { "group:1x", INVALID, "group:1x" },
                { "group:7777", OURS "NoSuchDevice", "group 7777" },
                { "pool:", INVALID, "pool:NAME*K" },
                { "pool:nics", OURS "NoSuchDevice", "no pool nics" },
                { "0000:01:00.0\n", INVALID, "do not print" },
                { "../../etc/passwd", OURS "DeniedByPolicy", "" },
                { "0000:01:00", OURS "NoSuchDevice", "" },
                { "é", OURS "NoSuchDevice", "" },
        };
        sd_bus_message *m;
        Grant g;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g = acquire(bus, table[i].devices, "a{sv}", 0);
                if (!streq(g.error, table[i].error) || !strstr(g.text, table[i].text))
                        (void)fprintf(stderr, "client: \"%s\": got %s: %s\n", table[i].devices, g.error,
                                      g.text);
                CHECK(streq(g.error, table[i].error) && strstr(g.text, table[i].text));
        }

        g = acquire(bus, repeat("d", 127), "a{sv}", 0);
        CHECK(streq(g.error, OURS "DeniedByPolicy"));
        g = acquire(bus, repeat("d", 128), "a{sv}", 0);
        CHECK(streq(g.error, INVALID) && strstr(g.text, "128 bytes"));
        m = new_call(bus, "Acquire", "");
        CHECK(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        expect_error(bus, m, INVALID, "empty");

        g = acquire(bus, many_devices(16), "a{sv}", 0);
        CHECK(streq(g.error, STANDARD "LimitsExceeded") && strstr(g.text, "15 devices"));
        g = acquire(bus, many_devices(17), "a{sv}", 0);
        CHECK(streq(g.error, STANDARD "LimitsExceeded"));
        g = acquire(bus, many_devices(15), "a{sv}", 0);
        CHECK(streq(g.error, "") && g.n_fds == 16);
        CHECK(streq(g.fds[15].id, "0000:10:0e.0"));
        grant_done(&g);
}

/* Proves: 15 devices are granted with 16 fds in one message, 16 and 17 are too many; an empty list, a device twice, a name
 * too long by one byte are refused. */
static void test_devices(void **state)
{
        run_as(*state, UID_BLUE, gives_bad_devices, NULL);
        broker_await(*state, "leases", "0");
}

static void gives_wrong_signatures(Client *c, const void *arg)
{
        static const struct {
                const char *member, *types;
        } table[] = {
                { "Acquire", "s" },      { "Acquire", "" },      { "CheckAccess", "as" },
                { "Explain", "as" },     { "GetDevice", "" },    { "GetGroup", "s" },
                { "GetLease", "o" },     { "ListDevices", "s" }, { "BindDevice", "s" },
                { "ResetDevice", "ss" }, { "Reload", "s" },      { "SetVirtualFunctions", "s" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                sd_bus_message *m = NULL;

                CHECK(sd_bus_message_new_method_call(c->bus, &m, MANAGER, table[i].member) >= 0);
                for (const char *p = table[i].types; *p; p++) {
                        if (streq(table[i].types, "as")) {
                                CHECK(sd_bus_message_append_strv(m, NULL) >= 0);
                                break;
                        }
                        CHECK(sd_bus_message_append_basic(m, *p, *p == 'o' ? "/" : "x") >= 0);
                }
                expect_error(c->bus, m, INVALID, "");
        }
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "NoSuchMember", NULL),
                    STANDARD "UnknownMethod"));
}

/* Proves: a message of another signature is InvalidArgs for every method, before anybody is asked who it is. */
static void test_signatures(void **state)
{
        run_as(*state, UID_BLUE, gives_wrong_signatures, NULL);
}

#define HUGE_SIZE (1U << 20)

static void gives_huge_input(Client *c, const void *arg)
{
        char *huge = malloc(HUGE_SIZE + 64), *path;
        char word[64];

        CHECK(huge);
        memset(huge, 'd', HUGE_SIZE);
        huge[HUGE_SIZE] = 0;
        path = strdup(huge);
        CHECK(path);
        path[60000] = 0; /* sd-bus, at both ends, knows no path of more than 64 KiB */
        memcpy(path, "/org/vfiobroker1/lease/", strlen("/org/vfiobroker1/lease/"));

        for (int i = 0; i < 60; i++) {
                sd_bus_message *m = new_call(c->bus, "Acquire", "");

                if (i == 10) {
                        client_say(c, "warm");
                        client_hear(c, word);
                }
                sd_bus_message_unref(m);
                CHECK(sd_bus_message_new_method_call(c->bus, &m, MANAGER, "Acquire") >= 0);
                CHECK(sd_bus_message_append(m, "asa{sv}", 1, huge, 0) >= 0);
                expect_error(c->bus, m, INVALID, "1048576 bytes");

                m = new_call(c->bus, "Acquire", DEVICE_BLUE);
                CHECK(sd_bus_message_append(m, "a{sv}", 1, "label", "s", huge) >= 0);
                expect_error(c->bus, m, INVALID, "label");

                m = new_call(c->bus, "Acquire", DEVICE_BLUE);
                CHECK(sd_bus_message_append(m, "a{sv}", 1, huge, "s", "x") >= 0);
                expect_error(c->bus, m, INVALID, "not known");

                CHECK(sd_bus_message_new_method_call(c->bus, &m, MANAGER, "Acquire") >= 0);
                CHECK(sd_bus_message_open_container(m, 'a', "s") >= 0);
                for (int k = 0; k < 20000; k++)
                        CHECK(sd_bus_message_append(m, "s", "0000:10:00.0") >= 0);
                CHECK(sd_bus_message_close_container(m) >= 0);
                CHECK(sd_bus_message_append(m, "a{sv}", 0) >= 0);
                expect_error(c->bus, m, STANDARD "LimitsExceeded", "15 devices");

                CHECK(streq(
                        call_error(c->bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "GetDevice", huge),
                        OURS "NoSuchDevice"));
                CHECK(streq(call_error(c->bus, path, "org.vfiobroker1.Lease", "Release", NULL),
                            OURS "NoSuchLease"));
        }
        free(huge);
        free(path);
}

/* Proves: strings and paths of 1 MiB and arrays of 20000 are an error, and the broker's memory stays flat: 50 rounds of
 * them, 250 MiB, add less than 8 MiB. */
static void test_huge(void **state)
{
        Fixture *f = *state;
        Peer peer = peer_start(f, UID_BLUE, gives_huge_input, NULL);
        unsigned before, after;
        char word[64];

        peer_hear(&peer, word);
        before = broker_count(f, "rss");
        peer_finish(&peer);
        after = broker_count(f, "rss");
        assert_true(after < before + 8 * 1024);
}

/* --- a client that does not keep to the protocol --- */

static void put(unsigned char *buffer, size_t *n, const void *data, size_t size, size_t align)
{
        while (*n % align)
                buffer[(*n)++] = 0;
        memcpy(buffer + *n, data, size);
        *n += size;
}

static void put_u32(unsigned char *buffer, size_t *n, uint32_t u)
{
        put(buffer, n, &u, sizeof(u), 4);
}

static void put_string(unsigned char *buffer, size_t *n, const char *s)
{
        put_u32(buffer, n, (uint32_t)strlen(s));
        put(buffer, n, s, strlen(s) + 1, 1);
}

static void put_field(unsigned char *buffer, size_t *n, unsigned char code, char type, const char *s)
{
        unsigned char head[4] = { code, 1, (unsigned char)type, 0 };

        put(buffer, n, head, 4, 8);
        if (type == 'g') {
                unsigned char length = (unsigned char)strlen(s);

                put(buffer, n, &length, 1, 1);
                put(buffer, n, s, length + 1U, 1);
        } else
                put_string(buffer, n, s);
}

/* A little-endian method call; a body of one array of one string, and an empty array, where `device` is not NULL. */
static size_t new_raw_call(unsigned char *buffer, uint32_t serial, const char *destination, const char *path,
                           const char *interface, const char *member, const char *device)
{
        unsigned char body[256];
        size_t n = 0, n_body = 0, fields;
        uint32_t length;

        if (device) {
                put_u32(body, &n_body, (uint32_t)(4 + strlen(device) + 1));
                put_string(body, &n_body, device);
                put_u32(body, &n_body, 0);
                while (n_body % 8)
                        body[n_body++] = 0;
        }
        put(buffer, &n, "l\1\0\1", 4, 1);
        put_u32(buffer, &n, (uint32_t)n_body);
        put_u32(buffer, &n, serial);
        put_u32(buffer, &n, 0);
        fields = n;
        put_field(buffer, &n, 1, 'o', path);
        put_field(buffer, &n, 2, 's', interface);
        put_field(buffer, &n, 3, 's', member);
        put_field(buffer, &n, 6, 's', destination);
        if (device)
                put_field(buffer, &n, 8, 'g', "asa{sv}");
        length = (uint32_t)(n - fields);
        memcpy(buffer + fields - 4, &length, sizeof(length));
        while (n % 8)
                buffer[n++] = 0;
        memcpy(buffer + n, body, n_body);
        return n + n_body;
}

/* True where the bus closes the connection rather than answer. */
static bool bus_hangs_up(const Fixture *f, const char *device)
{
        static const char hello[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        unsigned char buffer[1024];
        bool answered = false;
        size_t size;
        ssize_t n;
        int fd;

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->address + strlen("unix:path="));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        CHECK(send(fd, hello, sizeof(hello) - 1, 0) == sizeof(hello) - 1);
        size = new_raw_call(buffer, 1, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                            "org.freedesktop.DBus", "Hello", NULL);
        CHECK(send(fd, buffer, size, 0) == (ssize_t)size);
        size = new_raw_call(buffer, 2, MANAGER, "Acquire", device);
        CHECK(send(fd, buffer, size, MSG_NOSIGNAL) == (ssize_t)size);
        while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
                if (memmem(buffer, (size_t)n, "org.vfiobroker1.Error.", strlen("org.vfiobroker1.Error."))) {
                        answered = true;
                        break;
                }
        (void)close(fd);
        return !answered;
}

static void breaks_protocol(Client *c, const void *arg)
{
        CHECK(!bus_hangs_up(c->fixture, "0000:99:00.0")); /* the same bytes, but good ones */
        CHECK(bus_hangs_up(c->fixture, "\xff\xfe:00.0"));
        CHECK(bus_hangs_up(c->fixture, "\xc0\xaf"));
        CHECK(bus_hangs_up(c->fixture, "\xed\xa0\x80"));
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.freedesktop.DBus.Peer", "Ping", NULL), ""));
}

/* Proves: a string that is not UTF-8 does not reach the broker: the bus hangs up on its sender. */
static void test_not_utf8(void **state)
{
        run_as(*state, UID_BLUE, breaks_protocol, NULL);
        broker_await(*state, "leases", "0");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_options, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_options_at_bounds, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_devices, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_signatures, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_huge, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_not_utf8, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
