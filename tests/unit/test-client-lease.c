/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/acquire.c and lease.c against a broker that answers as each test says: what is sent, what is
 * accepted, and that nothing leaks where an answer is not what it should be. The devices are
 * pseudo-terminals: character devices whose other end sees when the last fd is closed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>

#include "tests/fixtures/count-fds.h"
#include "tests/fixtures/fake-grant.h"

/* A grant arrives whole: names, kinds and ids, and fds that are duplicates with O_CLOEXEC; nothing of it is
 * left when all is freed, and freeing is no release. */
static void test_acquire(void **state)
{
        Grant grant = GOOD_GRANT;
        unsigned before = count_fds();
        struct vfiobroker_lease *lease;
        const struct vfiobroker_fd *row;
        struct vfiobroker *broker;
        FakeBroker fake;
        int fd;

        broker = fake_broker_connect(&fake, fake_grant_handler, &grant);
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
        assert_true(fake_grant_closed(grant.terminal));

        fake_broker_disconnect(&fake, broker);
        fake_grant_done(&grant);
        assert_int_equal(fake.releases, 0);
        assert_int_equal(count_fds(), before);
}

/* Every option goes out under its key, and none that was not given. */
static void test_options(void **state)
{
        struct vfiobroker_acquire_options options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;
        const char *const devices[] = { "group:7", "pool:nics*2", NULL };
        Grant grant = GOOD_GRANT;
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

        broker = fake_broker_connect(&fake, fake_grant_handler, &grant);
        assert_int_equal(vfiobroker_acquire(broker, devices, &options, &lease), 0);
        assert_string_equal(grant.asked, "group:7 pool:nics*2 tenant=blue backend=auto memlock=0 pidfd=fd "
                                         "lifetime=process container=c label=vm 1 wait=5");
        vfiobroker_lease_free(lease);
        fake_broker_disconnect(&fake, broker);
        fake_grant_done(&grant);
}

/* The struct of an older program is too small to be one, or is read as far as it goes; that of a newer
 * program is taken where it asks for nothing new. */
static void test_options_size(void **state)
{
        struct {
                struct vfiobroker_acquire_options options;
                uint64_t news;
        } newer = { .options = VFIOBROKER_ACQUIRE_OPTIONS_INIT };
        Grant grant = GOOD_GRANT;
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = fake_broker_connect(&fake, fake_grant_handler, &grant);

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
        fake_broker_disconnect(&fake, broker);
        fake_grant_done(&grant);
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
                grant.terminal = grant.added_terminal = -EBADF;
                broker = fake_broker_connect(&fake, fake_grant_handler, &grant);
                assert_int_equal(vfiobroker_acquire(broker, one_device, NULL, &lease), -EPROTO);
                assert_ptr_equal(lease, (struct vfiobroker_lease *)-1);
                assert_string_not_equal(vfiobroker_last_error(broker)->text, "");
                fake_broker_disconnect(&fake, broker);

                assert_int_equal(fake.releases, 1);
                assert_string_equal(fake.released, LEASE_PATH);
                assert_true(grant.all_closed);
                fake_grant_done(&grant);
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
                .added_terminal = -EBADF,
        };
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = fake_broker_connect(&fake, fake_grant_handler, &grant);
        assert_int_equal(vfiobroker_acquire(broker, devices, NULL, &lease), 0);
        assert_int_equal(vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_DEVICE, 1),
                         vfiobroker_lease_fd(lease, 3)->fd);
        assert_int_equal(vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_IOMMUFD, 0), -ENOENT);
        vfiobroker_lease_free(lease);
        fake_broker_disconnect(&fake, broker);
        fake_grant_done(&grant);
}

/* Release closes the fds before the broker hears of it, and ends a lease once. */
static void test_release(void **state)
{
        Grant grant = GOOD_GRANT;
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = fake_broker_connect(&fake, fake_grant_handler, &grant);
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
        fake_grant_done(&grant);
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

                broker = fake_broker_connect(&fake, refuse_handler, &error);
                assert_int_equal(vfiobroker_acquire(broker, one_device, NULL, &lease), -cases[i].error);
                assert_null(lease);
                assert_string_equal(vfiobroker_last_error(broker)->name, cases[i].name);
                assert_string_equal(vfiobroker_last_error(broker)->text, "the reason");

                /* CheckAccess says the same in an answer that is no error. */
                assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, &text), -cases[i].error);
                assert_null(text);
                assert_string_equal(vfiobroker_last_error(broker)->name, cases[i].name);
                assert_string_equal(vfiobroker_last_error(broker)->text, "the reason");
                fake_broker_disconnect(&fake, broker);
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

        broker = fake_broker_connect(&fake, allow_handler, NULL);
        assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, &text), 0);
        assert_string_equal(text, "tenant blue, devices = any");
        free(text);
        assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, NULL), 0);
        assert_string_equal(vfiobroker_last_error(broker)->name, "");
        fake_broker_disconnect(&fake, broker);
}

static int explain_handler(FakeBroker *fake, sd_bus_message *call)
{
        const bool *allowed = fake->userdata;

        assert_true(sd_bus_message_is_method_call(call, NULL, "Explain"));
        return sd_bus_reply_method_return(call, "a(ssbs)bss", 2, "tenant", "blue", true, "it is", "selector",
                                          "0000:01:00.0", *allowed, "why", *allowed,
                                          *allowed ? "" : "org.vfiobroker1.Error.DeniedByPolicy", "the end");
}

static void take_step(void *userdata, const struct vfiobroker_step *step)
{
        char *text = userdata;

        (void)sprintf(text + strlen(text), "%s %s %d %s;", step->name, step->about, step->passed,
                      step->text);
}

/* Each step in order, and then the same answer as that of check_access. */
static void test_explain(void **state)
{
        char steps[256] = "";
        struct vfiobroker *broker;
        bool allowed = true;
        FakeBroker fake;
        char *text;

        broker = fake_broker_connect(&fake, explain_handler, &allowed);
        assert_int_equal(vfiobroker_explain(broker, one_device, NULL, take_step, steps, &text), 0);
        assert_string_equal(steps, "tenant blue 1 it is;selector 0000:01:00.0 1 why;");
        assert_string_equal(text, "the end");
        free(text);

        allowed = false;
        steps[0] = 0;
        assert_int_equal(vfiobroker_explain(broker, one_device, NULL, take_step, steps, NULL), -EACCES);
        assert_string_equal(steps, "tenant blue 1 it is;selector 0000:01:00.0 0 why;");
        assert_string_equal(vfiobroker_last_error(broker)->text, "the end");
        assert_int_equal(vfiobroker_explain(broker, one_device, NULL, NULL, NULL, NULL), -EINVAL);
        assert_int_equal(vfiobroker_explain(broker, NULL, NULL, take_step, steps, NULL), -EINVAL);
        fake_broker_disconnect(&fake, broker);
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

        broker = fake_broker_connect(&fake, strange_handler, NULL);
        assert_int_equal(vfiobroker_acquire(broker, one_device, NULL, &lease), -EBADMSG);
        assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, NULL), -EPROTO);
        fake_broker_disconnect(&fake, broker);
}

/* What D-Bus cannot carry is refused here, and the connection lives on. */
static void test_not_utf8(void **state)
{
        struct vfiobroker_acquire_options options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;
        const char *const devices[] = { "\xff\xfe", NULL };
        struct vfiobroker_lease *lease;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = fake_broker_connect(&fake, allow_handler, NULL);
        assert_int_equal(vfiobroker_acquire(broker, devices, NULL, &lease), -EINVAL);
        options.label = "\xff";
        assert_int_equal(vfiobroker_acquire(broker, one_device, &options, &lease), -EINVAL);
        options.label = NULL;
        options.pidfd = 1000;
        assert_int_equal(vfiobroker_acquire(broker, one_device, &options, &lease), -EBADF);
        assert_int_equal(fake.calls, 0);
        assert_int_equal(vfiobroker_check_access(broker, one_device, NULL, NULL), 0);
        fake_broker_disconnect(&fake, broker);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_acquire),         cmocka_unit_test(test_options),
                cmocka_unit_test(test_options_size),    cmocka_unit_test(test_bad_grants),
                cmocka_unit_test(test_group_backend),   cmocka_unit_test(test_release),
                cmocka_unit_test(test_refusals),        cmocka_unit_test(test_check_access),
                cmocka_unit_test(test_strange_answers), cmocka_unit_test(test_not_utf8),
                cmocka_unit_test(test_explain),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
