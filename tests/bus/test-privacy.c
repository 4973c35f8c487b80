/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Non-interference: what a stranger can get does not change with what blue does. The stranger looks at everything there is
 * before blue begins, while it works in all the ways there are, and after; the three texts must be the same, letter by
 * letter, no signal may come, and nothing that is blue's may be in them. Strangers are another tenant, a user without
 * tenant, and a tenant under blue's own uid. */

#include <unistd.h>

#include "tests/bus/fixture.h"

#define LABEL     "the-vm-of-blue"
#define CONTAINER "nets-of-blue"
#define UNIT      "azure-7.service"
#define LEASE     "hbadbadbadba" /* like an id, and none */
#define COMMITTED 67108899       /* bytes */
#define WAIT_LONG (UINT64_C(1000) * USEC_PER_SEC)

#define LINGERS    "0000:10:01.0"
#define RECLAIMED  "0000:10:02.0"
#define QUARANTINE "0000:10:03.0"

static const char policy[] = "[broker]\nadmin-group = 2100\nrate = 100000/1s\nmemlock-max = 1G\n"
                             "[tenant blue]\nmatch-user = 1\nmatch-unit = azure-*\n"
                             "devices = pci:0000:01:*, pool:blues\nlinger = 1h\n"
                             "[tenant green]\nmatch-user = 1\nmatch-unit = green.service\n"
                             "devices = pci:0000:02:*\nmemlock-max = 512M\n"
                             "[tenant red]\nmatch-user = 2\ndevices = pci:0000:02:*, pci:0000:10:*\n"
                             "deny-devices = pci:0000:10:0[1-3].0, driver:vfio-pci\n"
                             "memlock-max = 512M\nreset = best-effort\n"
                             "[pool blues]\ndevices = pci:0000:10:*\n";

/* --- the stranger --- */

typedef struct Look {
        char *found;   /* by looking around */
        char *guessed; /* by asking for what blue has */
        unsigned n_signals;
        bool flushed;
} Look;

static void put(FILE *f, const char *what, sd_bus_message *reply, const sd_bus_error *error)
{
        (void)fprintf(f, "== %s\n", what);
        if (reply)
                CHECK(sd_bus_message_dump(reply, f, 0) >= 0);
        else
                (void)fprintf(f, "%s: %s\n", error->name, strempty(error->message));
}

static void ask(sd_bus *bus, FILE *f, const char *path, const char *interface, const char *member,
                const char *types, ...)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        char what[512];
        va_list ap;

        CHECK(sd_bus_message_new_method_call(bus, &m, "org.vfiobroker1", path, interface, member) >= 0);
        va_start(ap, types);
        CHECK(!types || sd_bus_message_appendv(m, types, ap) >= 0);
        va_end(ap);
        (void)sd_bus_call(bus, m, PATIENCE_USEC, &error, &reply);
        (void)snprintf(what, sizeof(what), "%s %s.%s", path, interface, member);
        put(f, what, reply, &error);
}

#define PROPERTIES       "org.freedesktop.DBus.Properties"
#define INTROSPECT       "org.freedesktop.DBus.Introspectable", "Introspect"
#define ROOT             "/org/vfiobroker1"
#define ASK_MANAGER(...) ask(bus, f, ROOT, "org.vfiobroker1.Manager", __VA_ARGS__)

/* Calls `each` with every word of the XML that stands in that attribute. */
static void for_each(const char *xml, const char *attribute, void (*each)(void *arg, const char *word),
                     void *arg)
{
        for (const char *p = xml; (p = strstr(p, attribute)); p++) {
                char word[256];

                p += strlen(attribute);
                (void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, "\""), p);
                if (word[0])
                        each(arg, word);
        }
}

typedef struct Node {
        sd_bus *bus;
        FILE *f;
        const char *path;
} Node;

static void look_at_interface(void *arg, const char *interface)
{
        const Node *node = arg;

        ask(node->bus, node->f, node->path, PROPERTIES, "GetAll", "s", interface);
}

static void walk(sd_bus *bus, FILE *f, const char *path);

static void look_at_child(void *arg, const char *name)
{
        const Node *node = arg;
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s", node->path, name);
        walk(node->bus, node->f, path);
}

/* Everything below `path`: introspection, each interface that it names, each child that it names. */
static void walk(sd_bus *bus, FILE *f, const char *path)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Node node = { bus, f, path };
        const char *xml;

        CHECK(sd_bus_call_method(bus, "org.vfiobroker1", path, INTROSPECT, NULL, &reply, NULL) >= 0);
        CHECK(sd_bus_message_read(reply, "s", &xml) >= 0);
        (void)fprintf(f, "== %s\n%s\n", path, xml);
        for_each(xml, "<interface name=\"", look_at_interface, &node);
        for_each(xml, "<node name=\"", look_at_child, &node);
}

static void look_around(sd_bus *bus, FILE *f)
{
        walk(bus, f, ROOT);
        ask(bus, f, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
        ASK_MANAGER("ListDevices", NULL);
        ASK_MANAGER("ListLeases", NULL);
}

/* Every call on an object of blue's, by its path. */
static void guess_object(sd_bus *bus, FILE *f, const char *kind, const char *name, const char *interface)
{
        static const char *const members[] = { "Release", "Reissue" };
        char folder[64];
        _cleanup_free_ char *path = NULL;

        (void)snprintf(folder, sizeof(folder), ROOT "/%s", kind);
        CHECK(sd_bus_path_encode(folder, name, &path) >= 0);
        ask(bus, f, path, INTROSPECT, NULL);
        ask(bus, f, path, PROPERTIES, "GetAll", "s", interface);
        ask(bus, f, path, PROPERTIES, "Get", "ss", interface, "Tenant");
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                ask(bus, f, path, interface, members[i], NULL);
        ask(bus, f, path, interface, "Add", "as", 1, DEVICE_RED);
        ask(bus, f, path, interface, "Remove", "as", 1, DEVICE_BLUE);
}

static void guess(sd_bus *bus, FILE *f, const char *lease)
{
        static const char *const devices[] = {
                DEVICE_BLUE,    LINGERS,   RECLAIMED,  QUARANTINE,    "0000:10:05.0", "0000:01:00.7",
                "0000:99:00.0", "group:1", "group:18", "pool:blues",  "pool:blues*2", "pool:none",
                "group:9999",   "x/y",     DEVICE_RED, "0000:02:00.1"
        };
        static const char *const members[] = { "CheckAccess", "Explain", "Acquire" };

        for (size_t i = 0; i < ELEMENTSOF(devices); i++)
                for (size_t k = 0; k < ELEMENTSOF(members); k++) {
                        if (streq(devices[i], DEVICE_RED) && k == 2)
                                continue; /* its own */
                        ASK_MANAGER(members[k], "asa{sv}", 1, devices[i], 0);
                        ASK_MANAGER(members[k], "asa{sv}", 1, devices[i], 1, "tenant", "s", "blue");
                        ASK_MANAGER(members[k], "asa{sv}", 1, devices[i], 2, "container", "s", CONTAINER,
                                    "memlock", "t", UINT64_C(2) << 30);
                        ASK_MANAGER(members[k], "asa{sv}", 2, DEVICE_RED, devices[i], 0);
                }
        ASK_MANAGER("CheckAccess", "asa{sv}", 1, DEVICE_RED, 1, "memlock", "t", UINT64_C(512) << 20);
        for (size_t i = 0; i < ELEMENTSOF(devices); i++) {
                ASK_MANAGER("GetDevice", "s", devices[i]);
                ASK_MANAGER("ResetDevice", "s", devices[i]);
                ASK_MANAGER("UnbindDevice", "s", devices[i]);
                ASK_MANAGER("BindDevice", "ss", devices[i], "");
                ASK_MANAGER("SetVirtualFunctions", "su", devices[i], 1);
        }
        for (uint32_t i = 0; i < 40; i++)
                ASK_MANAGER("GetGroup", "u", i);
        ASK_MANAGER("GetTenant", "s", "blue");
        ASK_MANAGER("GetTenant", "s", "blux");
        ASK_MANAGER("GetLease", "s", lease);
        ASK_MANAGER("Reload", NULL);
        guess_object(bus, f, "lease", lease, "org.vfiobroker1.Lease");
        guess_object(bus, f, "tenant", "blue", "org.vfiobroker1.Tenant");
        guess_object(bus, f, "container", "blue/" CONTAINER, "org.vfiobroker1.Container");
        guess_object(bus, f, "container", lease, "org.vfiobroker1.Container");
        guess_object(bus, f, "device", DEVICE_BLUE, "org.vfiobroker1.Device");
        guess_object(bus, f, "group", "1", "org.vfiobroker1.Group");
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        if (!streq(strempty(sd_bus_message_get_interface(m)), "org.freedesktop.DBus")) {
                (void)sd_bus_message_dump(m, stderr, SD_BUS_MESSAGE_DUMP_WITH_HEADER);
                ((Look *)userdata)->n_signals++;
        }
        return 0;
}

static int on_flushed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        ((Look *)userdata)->flushed = true;
        return 0;
}

static void replace(char *text, const char *what, const char *with)
{
        CHECK(strlen(what) == strlen(with));
        for (char *p = text; (p = strstr(p, what)); p += strlen(with))
                for (size_t i = 0; with[i]; i++)
                        p[i] = with[i];
}

static void look(sd_bus *bus, const char *lease, Look *look)
{
        size_t size;
        FILE *f = open_memstream(&look->found, &size);

        CHECK(f);
        look_around(bus, f);
        (void)fclose(f);
        f = open_memstream(&look->guessed, &size);
        CHECK(f);
        guess(bus, f, lease);
        (void)fclose(f);
        replace(look->guessed, lease, LEASE);
        look->flushed = false;
        CHECK(sd_bus_call_method_async(bus, NULL, "org.vfiobroker1", ROOT, "org.freedesktop.DBus.Peer",
                                       "Ping", on_flushed, look, NULL) >= 0);
        CHECK(client_wait(bus, &look->flushed));
}

/* Prints the first line that is not the same. */
static bool is_same(const char *before, const char *now)
{
        size_t line = 0;

        if (streq(before, now))
                return true;
        for (size_t i = 0; before[i] && before[i] == now[i]; i++)
                if (now[i] == '\n' && strncmp(now + i + 1, "== ", 3) == 0)
                        line = i + 1;
        (void)fprintf(stderr, "client: before:\n%.600s\nclient: now:\n%.600s\n", before + line, now + line);
        return false;
}

static void has_nothing(const char *text, const char *what)
{
        const char *p = strstr(text, what);

        if (!p)
                return;
        (void)fprintf(stderr, "client: there is \"%s\" in:\n%.300s\n", what,
                      p - text > 150 ? p - 150 : text);
        _exit(1);
}

/* Looks for each word that it hears, "LEASE PID" or "-", and at the end compares nothing more. */
static void spies(Client *c, const void *arg)
{
        Look first = {}, now = {};
        char word[64], lease[32], pid[64];
        unsigned number;

        client_say(c, "here");
        client_hear(c, word); /* its unit is set */
        CHECK(streq(call_error(c->bus, ROOT, "org.vfiobroker1.Manager", "ListLeases", NULL), ""));
        CHECK(sd_bus_add_match(c->bus, NULL, "type='signal'", on_signal, &now) >= 0);
        look(c->bus, LEASE, &first);
        client_say(c, "looked");
        for (client_hear(c, word); !streq(word, "go"); client_hear(c, word)) {
                CHECK(sscanf(word, "%31s %u", lease, &number) == 2);
                look(c->bus, lease, &now);
                CHECK(is_same(first.found, now.found) && is_same(first.guessed, now.guessed));
                CHECK(now.n_signals == 0);
                (void)snprintf(pid, sizeof(pid), "UINT32 %u;", number);
                has_nothing(now.found, pid);
                has_nothing(now.found, lease);
                has_nothing(now.found, "blue");
                has_nothing(now.found, DEVICE_BLUE);
                has_nothing(now.found, "0000:10:");
                (void)snprintf(pid, sizeof(pid), "process %u", number);
                has_nothing(now.guessed, pid);
                for (int i = 0; i < 2; i++) {
                        const char *text = i == 0 ? now.found : now.guessed;

                        has_nothing(text, LABEL);
                        has_nothing(text, "azure");
                        has_nothing(text, "67108899");
                        has_nothing(text, "pci:0000:01:");
                }
                free(now.found);
                free(now.guessed);
                client_say(c, "looked");
        }
        free(first.found);
        free(first.guessed);
}

/* --- blue --- */

static void work(Client *c, const void *arg)
{
        const char *const *what = arg;
        Grant g;
        char word[64];

        client_say(c, "here");
        client_hear(c, word); /* its unit is set */
        if (streq(what[1], "wait"))
                client_say(c, "waits");
        g = acquire(c->bus, what[0], "a{sv}", 4, "label", "s", LABEL, "container", "s", CONTAINER, "memlock",
                    "t", (uint64_t)COMMITTED, "wait", "t", streq(what[1], "wait") ? WAIT_LONG : 0);
        CHECK(streq(g.error, ""));
        client_say(c, strrchr(g.lease, '/') + 1);
        client_hear(c, word);
        if (streq(what[1], "release"))
                CHECK(streq(call_error(c->bus, g.lease, "org.vfiobroker1.Lease", "Release", NULL), ""));
        grant_done(&g);
}

static Peer start_blue(Fixture *f, const char *const *what, char word[static 64])
{
        Peer peer = peer_ready(f, UID_BLUE, work, what, word);

        assert_string_equal(broker_tell(f, "unit - %d " UNIT, (int)peer.pid), "ok");
        peer_say(&peer, "go");
        peer_hear(&peer, word);
        return peer;
}

static void let_look(Peer *stranger, const char *lease, pid_t pid)
{
        char word[64];

        (void)snprintf(word, sizeof(word), "%.31s %d", lease, (int)pid);
        peer_say(stranger, word);
        peer_hear(stranger, word);
}

static void runs_beside(Fixture *f, uid_t uid, const char *unit)
{
        static const char *const holds[] = { DEVICE_BLUE, "hold" }, *const waits[] = { DEVICE_BLUE, "wait" },
                                 *const lingers[] = { LINGERS, "hold" },
                                 *const reclaimed[] = { RECLAIMED, "release" },
                                 *const broken[] = { QUARANTINE, "release" };
        Peer stranger, holder, waiter, other;
        char word[64], lease[64];

        fixture_policy(f, policy);
        fixture_reload(f);
        stranger = peer_ready(f, uid, spies, NULL, word);
        assert_string_equal(broker_tell(f, "unit - %d %s", (int)stranger.pid, unit), "ok");
        peer_say(&stranger, "go");
        peer_hear(&stranger, word);

        holder = start_blue(f, holds, lease);
        waiter = start_blue(f, waits, word);
        broker_await(f, "waiters", "1");
        let_look(&stranger, lease, holder.pid);

        other = start_blue(f, lingers, word);
        peer_kill(&other);
        broker_await(f, "state " LINGERS, "available");
        other = start_blue(f, reclaimed, word);
        (void)broker_tell(f, "hang " RECLAIMED " 1");
        peer_finish(&other);
        broker_await(f, "state " RECLAIMED, "reclaiming");
        other = start_blue(f, broken, word);
        (void)broker_tell(f, "reset-error " QUARANTINE " 5");
        peer_finish(&other);
        broker_await(f, "state " QUARANTINE, "quarantined");
        let_look(&stranger, lease, holder.pid);

        peer_kill(&holder);
        peer_hear(&waiter, lease);
        let_look(&stranger, lease, waiter.pid);
        peer_kill(&waiter);
        (void)broker_tell(f, "hang " RECLAIMED " 0");
        broker_await(f, "leases", "0");
        let_look(&stranger, lease, waiter.pid);
        peer_finish(&stranger);
}

/* Proves: another tenant cannot tell whether blue works. */
static void test_another_tenant(void **state)
{
        runs_beside(*state, UID_RED, "red.service");
}

/* Proves: nor can who has no tenant. */
static void test_no_tenant(void **state)
{
        runs_beside(*state, UID_NOBODY, "nobody.service");
}

/* Proves: nor can a tenant that is told from blue by its unit alone. */
static void test_same_user(void **state)
{
        runs_beside(*state, UID_BLUE, "green.service");
}

static void asks_for_what_is_left(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_RED, "a{sv}", 1, "memlock", "t", UINT64_C(1000) << 20);

        CHECK(streq(g.error, OURS "MemlockBudgetExceeded"));
        CHECK(strstr(g.text, "of the host's") && !strstr(g.text, "1006632925"));
}

/* Proves: a request that others leave too little for is refused without the figure. */
static void test_what_is_left(void **state)
{
        static const char *const holds[] = { DEVICE_BLUE, "hold" };
        Fixture *f = *state;
        char word[64];
        Peer blue;

        fixture_policy(f, "[broker]\nmemlock-max = 1G\n[tenant blue]\nmatch-user = 1\ndevices = any\n"
                          "[tenant red]\nmatch-user = 2\ndevices = any\n");
        fixture_reload(f);
        blue = start_blue(f, holds, word);
        run_as(f, UID_RED, asks_for_what_is_left, NULL);
        peer_finish(&blue);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_another_tenant, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_no_tenant, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_same_user, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_what_is_left, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
