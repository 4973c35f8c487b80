/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/acquire.c and lease.c against a broker that answers as each test says: what is sent, what is
 * accepted, and that nothing leaks where an answer is not what it should be. The devices are
 * pseudo-terminals: character devices whose other end sees when the last fd is closed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>

#include "client-lib/vfiobroker.h"
#include "policy/util.h"
#include "tests/fixtures/fake-broker.h"

#define LEASE_PATH "/org/vfiobroker1/lease/l_2d1"

typedef struct Row {
        const char *kind, *id;
} Row;

/* What the broker grants, and what it saw. */
typedef struct Grant {
        const char *backend;
        Row rows[8];
        int flags;         /* of open(), O_RDWR where 0 */
        const char *file;  /* instead of a terminal */
        int terminal;      /* the other end, for as long as the lease lives; -EBADF */
        bool all_closed;   /* whether every fd was closed when Release came */
        int release_error; /* what Release answers */
        char asked[512];   /* the request, as text */
} Grant;

/* The options as "key=value", in the order in which they came. */
static int read_options(sd_bus_message *m, char *text, size_t size)
{
        const char *key, *type, *s;
        uint64_t t;
        int r, fd;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                char c;

                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                r = sd_bus_message_peek_type(m, &c, &type);
                if (r < 0)
                        return r;
                if (streq(type, "s")) {
                        r = sd_bus_message_read(m, "v", "s", &s);
                        (void)snprintf(text + strlen(text), size - strlen(text), " %s=%s", key, s);
                } else if (streq(type, "t")) {
                        r = sd_bus_message_read(m, "v", "t", &t);
                        (void)snprintf(text + strlen(text), size - strlen(text), " %s=%llu", key,
                                       (unsigned long long)t);
                } else {
                        r = sd_bus_message_read(m, "v", "h", &fd);
                        (void)snprintf(text + strlen(text), size - strlen(text), " %s=fd", key);
                }
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r;
}

static int read_request(sd_bus_message *m, char *text, size_t size)
{
        const char *device;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "s", &device)) > 0)
                (void)snprintf(text + strlen(text), size - strlen(text), "%s%s", *text ? " " : "", device);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        return read_options(m, text, size);
}

/* Opens what the rows of the grant are to be: one file for all, each with its own fd in the message. */
static int open_device(Grant *grant)
{
        int flags = (grant->flags ? grant->flags : O_RDWR) | O_CLOEXEC | O_NOCTTY;

        if (grant->file)
                return open(grant->file, flags, 0600);

        grant->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (grant->terminal < 0 || grantpt(grant->terminal) < 0 || unlockpt(grant->terminal) < 0)
                return -1;
        return open(ptsname(grant->terminal), flags);
}

static int reply_grant(Grant *grant, sd_bus_message *call)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = open_device(grant);
        if (fd < 0)
                return -errno;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "os", LEASE_PATH, grant->backend);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(ssh)");
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(grant->rows) && grant->rows[i].kind; i++) {
                r = sd_bus_message_append(reply, "(ssh)", grant->rows[i].kind, grant->rows[i].id, fd);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        r = sd_bus_send(NULL, reply, NULL);
        return r < 0 ? r : 1;
}

/* Whether every fd of the device is closed: the other end of a terminal has then hung up. Those of this
 * process in messages that are being freed count, so it may take a moment. */
static bool wait_closed(int terminal)
{
        struct pollfd p = { .fd = terminal };

        return poll(&p, 1, 2000) == 1 && (p.revents & POLLHUP);
}

static int grant_handler(FakeBroker *fake, sd_bus_message *call)
{
        Grant *grant = fake->userdata;

        if (sd_bus_message_is_method_call(call, "org.vfiobroker1.Manager", "Acquire")) {
                int r = read_request(call, grant->asked, sizeof(grant->asked));

                return r < 0 ? r : reply_grant(grant, call);
        }

        if (sd_bus_message_is_method_call(call, "org.vfiobroker1.Lease", "Release")) {
                grant->all_closed = grant->terminal < 0 || wait_closed(grant->terminal);
                return grant->release_error;
        }
        return -ENOSYS;
}

static unsigned count_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        (void)closedir(dir);
        return n;
}

static struct vfiobroker *connect_to(FakeBroker *fake, FakeHandler handler, void *userdata)
{
        struct vfiobroker *broker;

        assert_int_equal(fake_broker_start(fake, handler, userdata), 0);
        assert_int_equal(vfiobroker_open_bus_address(fake->address, &broker), 0);
        return broker;
}

static const char *const one_device[] = { "0000:01:00.0", NULL };

static const Grant good_grant = {
        .backend = "iommufd",
        .rows = { { "iommufd", "c1" }, { "device", "0000:01:00.0" } },
        .terminal = -EBADF,
};

/* A grant arrives whole: names, kinds and ids, and fds that are duplicates with O_CLOEXEC; nothing of it is
 * left when all is freed, and freeing is no release. */
static void test_acquire(void **state)
{
        Grant grant = good_grant;
        unsigned before = count_fds();
        struct vfiobroker_lease *lease;
        const struct vfiobroker_fd *row;
        struct vfiobroker *broker;
        FakeBroker fake;
        int fd;

        broker = connect_to(&fake, grant_handler, &grant);
        assert_int_equal(vfiobroker_acquire(broker, one_device, NULL, &lease), 0);
        assert_string_equal(grant.asked, "0000:01:00.0");
        assert_string_equal(vfiobroker_lease_path(lease), LEASE_PATH);
        assert_string_equal(vfiobroker_lease_id(lease), "l-1");
        assert_string_equal(vfiobroker_lease_backend(lease), "iommufd");
        assert_int_equal(vfiobroker_lease_n_fds(lease), 2);
        assert_string_equal(vfiobroker_last_error(broker)->name, "");

        row = vfiobroker_lease_fd(lease, 0);
        assert_int_equal(row->kind, VFIOBROKER_FD_IOMMUFD);
        assert_string_equal(row->id, "c1");
        row = vfiobroker_lease_fd(lease, 1);
        assert_int_equal(row->kind, VFIOBROKER_FD_DEVICE);
        assert_string_equal(row->id, "0000:01:00.0");
        assert_int_equal(fcntl(row->fd, F_GETFD), FD_CLOEXEC);
        assert_null(vfiobroker_lease_fd(lease, 2));

        assert_int_equal(vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_DEVICE, 0), row->fd);
        assert_int_equal(vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_DEVICE, 1), -ENOENT);
        assert_int_equal(vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_GROUP, 0), -ENOENT);

        /* What is taken survives the handle, and is taken once. */
        fd = vfiobroker_lease_take_fd(lease, 1);
        assert_true(fd >= 3);
        assert_int_equal(vfiobroker_lease_take_fd(lease, 1), -EBADF);
        assert_int_equal(vfiobroker_lease_take_fd(lease, 2), -ENOENT);
        assert_int_equal(vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_DEVICE, 0), -EBADF);
        assert_null(vfiobroker_lease_free(lease));
        assert_true(fcntl(fd, F_GETFD) >= 0);
        (void)close(fd);
        assert_true(wait_closed(grant.terminal));

        assert_null(vfiobroker_close(broker));
        fake_broker_stop(&fake);
        (void)safe_close(grant.terminal);
        assert_int_equal(fake.releases, 0);
        assert_int_equal(count_fds(), before);
}

/* Every option goes out under its key, and none that was not given. */
static void test_options(void **state)
{
        struct vfiobroker_acquire_options options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;
        const char *const devices[] = { "group:7", "pool:nics*2", NULL };
        Grant grant = good_grant;
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        options.tenant = "blue";
        options.backend = "auto";
        options.memlock = 0;
        options.pidfd = STDERR_FILENO;
        options.lifetime = "process";
        options.container = "c";
        options.label = "vm 1";
        options.wait_usec = 5;

        broker = connect_to(&fake, grant_handler, &grant);
        assert_int_equal(vfiobroker_acquire(broker, devices, &options, &lease), 0);
        assert_string_equal(grant.asked, "group:7 pool:nics*2 tenant=blue backend=auto memlock=0 pidfd=fd "
                                         "lifetime=process container=c label=vm 1 wait=5");
        vfiobroker_lease_free(lease);
        vfiobroker_close(broker);
        fake_broker_stop(&fake);
        (void)safe_close(grant.terminal);
}

/* The struct of an older program is too small to be one, or is read as far as it goes; that of a newer
 * program is taken where it asks for nothing new. */
static void test_options_size(void **state)
{
        struct {
                struct vfiobroker_acquire_options options;
                uint64_t news;
        } newer = { .options = VFIOBROKER_ACQUIRE_OPTIONS_INIT };
        Grant grant = good_grant;
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = connect_to(&fake, grant_handler, &grant);

        newer.options.size = sizeof(newer.options) - 1;
        assert_int_equal(vfiobroker_acquire(broker, one_device, &newer.options, &lease), -EINVAL);
        newer.options.size = 0;
        assert_int_equal(vfiobroker_acquire(broker, one_device, &newer.options, &lease), -EINVAL);

        newer.options.size = sizeof(newer);
        newer.news = 1;
        assert_int_equal(vfiobroker_acquire(broker, one_device, &newer.options, &lease), -E2BIG);
        assert_non_null(strstr(vfiobroker_last_error(broker)->text, "too old"));
        assert_int_equal(fake.calls, 0);

        newer.news = 0;
        assert_int_equal(vfiobroker_acquire(broker, one_device, &newer.options, &lease), 0);
        assert_string_equal(vfiobroker_last_error(broker)->text, "");
        vfiobroker_lease_free(lease);
        vfiobroker_close(broker);
        fake_broker_stop(&fake);
        (void)safe_close(grant.terminal);
}

/* Each answer that the interface does not allow is an error, gives the lease back after the fds are closed,
 * and leaves nothing open. */
static void test_bad_grants(void **state)
{
        static const struct {
                const char *what;
                Grant grant;
        } cases[] = {
                { "unknown backend",
                  { .backend = "other", .rows = { { "iommufd", "c" }, { "device", "0000:01:00.0" } } } },
                { "no fds", { .backend = "iommufd" } },
                { "no iommufd", { .backend = "iommufd", .rows = { { "device", "0000:01:00.0" } } } },
                { "iommufd last",
                  { .backend = "iommufd", .rows = { { "device", "0000:01:00.0" }, { "iommufd", "c" } } } },
                { "two iommufds",
                  { .backend = "iommufd",
                    .rows = { { "iommufd", "c" }, { "iommufd", "d" }, { "device", "0000:01:00.0" } } } },
                { "a group with iommufd",
                  { .backend = "iommufd",
                    .rows = { { "iommufd", "c" }, { "group", "7" }, { "device", "0000:01:00.0" } } } },
                { "a container with iommufd",
                  { .backend = "iommufd", .rows = { { "container", "c" }, { "device", "0000:01:00.0" } } } },
                { "no device", { .backend = "iommufd", .rows = { { "iommufd", "c" } } } },
                { "another device",
                  { .backend = "iommufd", .rows = { { "iommufd", "c" }, { "device", "0000:02:00.0" } } } },
                { "a device too many",
                  { .backend = "iommufd",
                    .rows = { { "iommufd", "c" },
                              { "device", "0000:01:00.0" },
                              { "device", "0000:02:00.0" } } } },
                { "an unknown kind",
                  { .backend = "iommufd",
                    .rows = { { "iommufd", "c" }, { "device", "0000:01:00.0" }, { "other", "x" } } } },
                { "a container without device", { .backend = "group", .rows = { { "container", "c" } } } },
                { "a group after a device",
                  { .backend = "group",
                    .rows = { { "container", "c" }, { "device", "0000:01:00.0" }, { "group", "7" } } } },
                { "fds open for reading",
                  { .backend = "iommufd",
                    .rows = { { "iommufd", "c" }, { "device", "0000:01:00.0" } },
                    .file = "/dev/zero",
                    .flags = O_PATH } },
                { "a file",
                  { .backend = "iommufd",
                    .rows = { { "iommufd", "c" }, { "device", "0000:01:00.0" } },
                    .file = "/tmp",
                    .flags = O_TMPFILE | O_RDWR } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct vfiobroker_lease *lease = (struct vfiobroker_lease *)-1;
                Grant grant = cases[i].grant;
                unsigned before = count_fds();
                struct vfiobroker *broker;
                FakeBroker fake;

                print_message("%s\n", cases[i].what);
                grant.terminal = -EBADF;
                broker = connect_to(&fake, grant_handler, &grant);
                assert_int_equal(vfiobroker_acquire(broker, one_device, NULL, &lease), -EPROTO);
                assert_ptr_equal(lease, (struct vfiobroker_lease *)-1);
                assert_string_not_equal(vfiobroker_last_error(broker)->text, "");
                vfiobroker_close(broker);
                fake_broker_stop(&fake);

                assert_int_equal(fake.releases, 1);
                assert_string_equal(fake.released, LEASE_PATH);
                assert_true(grant.all_closed);
                (void)safe_close(grant.terminal);
                assert_int_equal(count_fds(), before);
        }
}

/* The group backend's order, and devices that only the broker can name. */
static void test_group_backend(void **state)
{
        const char *const devices[] = { "group:7", NULL };
        Grant grant = {
                .backend = "group",
                .rows = { { "container", "c" },
                          { "group", "7" },
                          { "device", "0000:08:01.0" },
                          { "device", "0000:08:02.0" } },
                .terminal = -EBADF,
        };
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = connect_to(&fake, grant_handler, &grant);
        assert_int_equal(vfiobroker_acquire(broker, devices, NULL, &lease), 0);
        assert_int_equal(vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_DEVICE, 1),
                         vfiobroker_lease_fd(lease, 3)->fd);
        assert_int_equal(vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_IOMMUFD, 0), -ENOENT);
        vfiobroker_lease_free(lease);
        vfiobroker_close(broker);
        fake_broker_stop(&fake);
        (void)safe_close(grant.terminal);
}

/* Release closes the fds before the broker hears of it, and ends a lease once. */
static void test_release(void **state)
{
        Grant grant = good_grant;
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = connect_to(&fake, grant_handler, &grant);
        assert_int_equal(vfiobroker_acquire(broker, one_device, NULL, &lease), 0);
        assert_int_equal(vfiobroker_lease_release(lease), 0);
        assert_true(grant.all_closed);
        assert_int_equal(fake.releases, 1);
        assert_string_equal(fake.released, LEASE_PATH);
        assert_int_equal(vfiobroker_lease_take_fd(lease, 0), -EBADF);

        assert_int_equal(vfiobroker_lease_release(lease), -ENXIO);
        assert_int_equal(fake.releases, 1);
        assert_string_not_equal(vfiobroker_last_error(broker)->text, "");

        /* Either handle may go first. */
        vfiobroker_close(broker);
        assert_int_equal(vfiobroker_lease_release(lease), -ENOTCONN);
        vfiobroker_lease_free(lease);
        fake_broker_stop(&fake);
        (void)safe_close(grant.terminal);
}

static int refuse_handler(FakeBroker *fake, sd_bus_message *call)
{
        const sd_bus_error *error = fake->userdata;

        if (sd_bus_message_is_method_call(call, NULL, "CheckAccess"))
                return sd_bus_reply_method_return(call, "bss", false, error->name, error->message);
        return sd_bus_reply_method_error(call, error);
}

/* A refusal is its errno, with the broker's own words; the next success forgets them. */
static void test_refusals(void **state)
{
        static const struct {
                const char *name;
                int error;
        } cases[] = {
                { "org.vfiobroker1.Error.DeviceTaken", EBUSY },
                { "org.vfiobroker1.Error.DeniedByPolicy", EACCES },
                { "org.vfiobroker1.Error.MemlockBudgetExceeded", EDQUOT },
                { "org.freedesktop.DBus.Error.InvalidArgs", EINVAL },
                { "org.freedesktop.DBus.Error.LimitsExceeded", ENOBUFS },
                { "com.example.Error", EIO },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                sd_bus_error error = { .name = cases[i].name, .message = "the reason" };
                struct vfiobroker_lease *lease = NULL;
                struct vfiobroker *broker;
                char *text = NULL;
                FakeBroker fake;

                broker = connect_to(&fake, refuse_handler, &error);
                assert_int_equal(vfiobroker_acquire(broker, one_device, NULL, &lease), -cases[i].error);
                assert_null(lease);
                assert_string_equal(vfiobroker_last_error(broker)->name, cases[i].name);
                assert_string_equal(vfiobroker_last_error(broker)->text, "the reason");

                /* CheckAccess says the same in an answer that is no error. */
                assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, &text), -cases[i].error);
                assert_null(text);
                assert_string_equal(vfiobroker_last_error(broker)->name, cases[i].name);
                assert_string_equal(vfiobroker_last_error(broker)->text, "the reason");
                vfiobroker_close(broker);
                fake_broker_stop(&fake);
        }
}

static int allow_handler(FakeBroker *fake, sd_bus_message *call)
{
        (void)fake;
        return sd_bus_reply_method_return(call, "bss", true, "", "tenant blue, devices = any");
}

/* The rule that allows comes with the answer, for those who want it. */
static void test_check_access(void **state)
{
        struct vfiobroker *broker;
        FakeBroker fake;
        char *text;

        broker = connect_to(&fake, allow_handler, NULL);
        assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, &text), 0);
        assert_string_equal(text, "tenant blue, devices = any");
        free(text);
        assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, NULL), 0);
        assert_string_equal(vfiobroker_last_error(broker)->name, "");
        vfiobroker_close(broker);
        fake_broker_stop(&fake);
}

static int strange_handler(FakeBroker *fake, sd_bus_message *call)
{
        (void)fake;
        if (sd_bus_message_is_method_call(call, NULL, "CheckAccess"))
                return sd_bus_reply_method_return(call, "bss", false, "", "");
        return sd_bus_reply_method_return(call, "s", "hello");
}

/* An answer of another signature is no lease, and a refusal without a name no success. */
static void test_strange_answers(void **state)
{
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = connect_to(&fake, strange_handler, NULL);
        assert_int_equal(vfiobroker_acquire(broker, one_device, NULL, &lease), -EBADMSG);
        assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, NULL), -EPROTO);
        vfiobroker_close(broker);
        fake_broker_stop(&fake);
}

/* What D-Bus cannot carry is refused here, and the connection lives on. */
static void test_not_utf8(void **state)
{
        struct vfiobroker_acquire_options options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;
        const char *const devices[] = { "\xff\xfe", NULL };
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = connect_to(&fake, allow_handler, NULL);
        assert_int_equal(vfiobroker_acquire(broker, devices, NULL, &lease), -EINVAL);
        options.label = "\xff";
        assert_int_equal(vfiobroker_acquire(broker, one_device, &options, &lease), -EINVAL);
        options.label = NULL;
        options.pidfd = 1000;
        assert_int_equal(vfiobroker_acquire(broker, one_device, &options, &lease), -EBADF);
        assert_int_equal(fake.calls, 0);
        assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, NULL), 0);
        vfiobroker_close(broker);
        fake_broker_stop(&fake);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_acquire),         cmocka_unit_test(test_options),
                cmocka_unit_test(test_options_size),    cmocka_unit_test(test_bad_grants),
                cmocka_unit_test(test_group_backend),   cmocka_unit_test(test_release),
                cmocka_unit_test(test_refusals),        cmocka_unit_test(test_check_access),
                cmocka_unit_test(test_strange_answers), cmocka_unit_test(test_not_utf8),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
