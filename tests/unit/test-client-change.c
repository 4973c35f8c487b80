/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/change.c against a broker that answers as each test says: what is added and removed, what is given back
 * where an answer is not what it should be, and that no fd is left. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>

#include "tests/fixtures/count-fds.h"
#include "tests/fixtures/fake-grant.h"

static const char *const second_device[] = { "0000:02:00.0", NULL };

static const Grant good_grant = {
        .backend = "iommufd",
        .rows = { { "iommufd", "c1" }, { "device", "0000:01:00.0" } },
        .added = { { "device", "0000:02:00.0" } },
        .terminal = -EBADF,
        .added_terminal = -EBADF,
};

static const Grant group_grant = {
        .backend = "group",
        .rows = { { "container", "l-1" },
                  { "group", "1" },
                  { "group", "7" },
                  { "device", "0000:01:00.0" },
                  { "device", "0000:08:01.0" },
                  { "device", "0000:08:02.0" } },
        .added = { { "group", "9" }, { "device", "0000:09:00.0" } },
        .terminal = -EBADF,
        .added_terminal = -EBADF,
};

typedef struct Stage {
        Grant grant;
        FakeBroker fake;
        struct vfiobroker *broker;
        struct vfiobroker_lease *lease;
        unsigned fds;
} Stage;

/* A lease that has just been granted. */
static void begin(Stage *s, const Grant *grant, const char *const *devices)
{
        *s = (Stage){ .grant = *grant, .fds = count_fds() };
        s->broker = fake_broker_connect(&s->fake, fake_grant_handler, &s->grant);
        assert_int_equal(vfiobroker_acquire(s->broker, devices, NULL, &s->lease), 0);
}

static void end(Stage *s)
{
        assert_null(vfiobroker_lease_free(s->lease));
        fake_broker_disconnect(&s->fake, s->broker);
        fake_grant_done(&s->grant);
        assert_int_equal(count_fds(), s->fds);
}

static void assert_row(const struct vfiobroker_lease *lease, size_t index, enum vfiobroker_fd_kind kind,
                       const char *id)
{
        const struct vfiobroker_fd *row = vfiobroker_lease_fd(lease, index);

        assert_non_null(row);
        assert_int_equal(row->kind, kind);
        assert_string_equal(row->id, id);
}

/* A device comes and goes: its row is behind the others, with an fd that is closed before the broker hears that the
 * device goes, while the fds of the others stay. */
static void test_add_remove(void **state)
{
        size_t first = 42;
        int iommufd;
        Stage s;

        begin(&s, &good_grant, one_device);
        iommufd = vfiobroker_lease_find_fd(s.lease, VFIOBROKER_FD_IOMMUFD, 0);

        assert_int_equal(vfiobroker_lease_add(s.lease, second_device, &first), 0);
        assert_string_equal(s.grant.asked, "0000:02:00.0");
        assert_int_equal(first, 2);
        assert_int_equal(vfiobroker_lease_n_fds(s.lease), 3);
        assert_row(s.lease, 2, VFIOBROKER_FD_DEVICE, "0000:02:00.0");
        assert_int_equal(fcntl(vfiobroker_lease_fd(s.lease, 2)->fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(vfiobroker_lease_find_fd(s.lease, VFIOBROKER_FD_DEVICE, 1),
                         vfiobroker_lease_fd(s.lease, 2)->fd);

        assert_int_equal(vfiobroker_lease_remove(s.lease, second_device), 0);
        assert_true(s.grant.all_closed);
        assert_string_equal(s.grant.asked, "0000:02:00.0");
        assert_int_equal(vfiobroker_lease_n_fds(s.lease), 2);
        assert_row(s.lease, 1, VFIOBROKER_FD_DEVICE, "0000:01:00.0");
        assert_int_equal(vfiobroker_lease_find_fd(s.lease, VFIOBROKER_FD_IOMMUFD, 0), iommufd);
        assert_true(fcntl(iommufd, F_GETFD) >= 0);

        /* and again, by someone who does not want the index */
        assert_int_equal(vfiobroker_lease_add(s.lease, second_device, NULL), 0);
        assert_int_equal(vfiobroker_lease_remove(s.lease, one_device), 0);
        assert_row(s.lease, 1, VFIOBROKER_FD_DEVICE, "0000:02:00.0");
        end(&s);
}

/* What would empty the lease, what is not in it, and what has ended, is refused before anything is closed or sent. */
static void test_refused_here(void **state)
{
        static const char *const both[] = { "0000:01:00.0", "0000:02:00.0", NULL };
        static const char *const nothing[] = { NULL };
        unsigned calls;
        Stage s;
        int fd;

        begin(&s, &good_grant, one_device);
        fd = vfiobroker_lease_find_fd(s.lease, VFIOBROKER_FD_DEVICE, 0);
        calls = s.fake.calls;
        assert_int_equal(vfiobroker_lease_remove(s.lease, one_device), -EINVAL);
        assert_non_null(strstr(vfiobroker_last_error(s.broker)->text, "release"));
        assert_int_equal(vfiobroker_lease_remove(s.lease, both), -ENODEV);
        assert_non_null(strstr(vfiobroker_last_error(s.broker)->text, "0000:02:00.0"));
        assert_int_equal(s.fake.calls, calls);
        assert_true(fcntl(fd, F_GETFD) >= 0);
        assert_int_equal(vfiobroker_lease_find_fd(s.lease, VFIOBROKER_FD_DEVICE, 0), fd);

        /* Nothing to remove is for the broker to say. */
        assert_int_equal(vfiobroker_lease_remove(s.lease, nothing), 0);
        assert_int_equal(s.grant.removes, 1);

        assert_int_equal(vfiobroker_lease_release(s.lease), 0);
        calls = s.fake.calls;
        assert_int_equal(vfiobroker_lease_add(s.lease, second_device, NULL), -ENXIO);
        assert_int_equal(vfiobroker_lease_remove(s.lease, second_device), -ENXIO);
        assert_int_equal(s.fake.calls, calls);
        end(&s);
}

/* Where the broker refuses, the fds of what was to go are closed, the rows stay, and no other is touched. */
static void test_remove_refused(void **state)
{
        Grant grant = good_grant;
        size_t first;
        Stage s;

        grant.release_error = -EBUSY;
        begin(&s, &grant, one_device);
        assert_int_equal(vfiobroker_lease_add(s.lease, second_device, &first), 0);
        assert_int_equal(vfiobroker_lease_remove(s.lease, second_device), -EBUSY);
        assert_true(s.grant.all_closed);
        assert_int_equal(vfiobroker_lease_n_fds(s.lease), 3);
        assert_int_equal(vfiobroker_lease_take_fd(s.lease, first), -EBADF);
        assert_true(vfiobroker_lease_find_fd(s.lease, VFIOBROKER_FD_DEVICE, 0) >= 0);
        end(&s);
}

/* Each addition that the interface does not allow is an error, gives back what came, and leaves the lease as it was. */
static void test_bad_additions(void **state)
{
        static const struct {
                const char *what, *device, *given_back;
                Row rows[4];
                const char *file;
        } cases[] = {
                { "nothing", "0000:02:00.0", "0000:02:00.0", {}, NULL },
                { "another device", "0000:02:00.0", "0000:02:00.0", { { "device", "0000:03:00.0" } }, NULL },
                { "a second iommufd",
                  "0000:02:00.0",
                  "0000:02:00.0",
                  { { "iommufd", "c1" }, { "device", "0000:02:00.0" } },
                  NULL },
                { "a group with iommufd",
                  "0000:02:00.0",
                  "0000:02:00.0",
                  { { "group", "7" }, { "device", "0000:02:00.0" } },
                  NULL },
                { "an unknown kind", "0000:02:00.0", "0000:02:00.0", { { "other", "x" } }, NULL },
                { "no device node",
                  "0000:02:00.0",
                  "0000:02:00.0",
                  { { "device", "0000:02:00.0" } },
                  "/tmp" },
                { "of a pool, with one too odd",
                  "pool:nics*2",
                  "0000:02:00.0",
                  { { "device", "0000:02:00.0" }, { "other", "x" } },
                  NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *const devices[] = { cases[i].device, NULL };
                size_t first = 42;
                Stage s;

                print_message("%s\n", cases[i].what);
                begin(&s, &good_grant, one_device);
                memset(s.grant.added, 0, sizeof(s.grant.added));
                memcpy(s.grant.added, cases[i].rows, sizeof(cases[i].rows));
                s.grant.file = cases[i].file;
                s.grant.flags = cases[i].file ? O_TMPFILE | O_RDWR : 0;
                assert_int_equal(vfiobroker_lease_add(s.lease, devices, &first), -EPROTO);
                assert_string_not_equal(vfiobroker_last_error(s.broker)->text, "");
                assert_int_equal(first, 42);
                assert_int_equal(s.grant.removes, 1);
                assert_string_equal(s.grant.asked, cases[i].given_back);
                assert_true(s.grant.all_closed);
                assert_int_equal(s.fake.releases, 0);
                assert_int_equal(vfiobroker_lease_n_fds(s.lease), 2);
                end(&s);
        }
}

/* The group backend: what is added brings its group; what goes takes its group's fd along, which would keep the group
 * from everybody else, and the other group stays. */
static void test_groups(void **state)
{
        static const char *const devices[] = { "0000:01:00.0", "group:7", NULL };
        static const char *const bridged[] = { "0000:08:01.0", NULL };
        static const char *const ninth[] = { "0000:09:00.0", NULL };
        size_t first;
        Stage s;

        begin(&s, &group_grant, devices);
        assert_int_equal(vfiobroker_lease_add(s.lease, ninth, &first), 0);
        assert_int_equal(first, 6);
        assert_row(s.lease, 6, VFIOBROKER_FD_GROUP, "9");
        assert_row(s.lease, 7, VFIOBROKER_FD_DEVICE, "0000:09:00.0");
        s.grant.added_terminal = safe_close(s.grant.added_terminal); /* is not what goes now */

        assert_int_equal(vfiobroker_lease_remove(s.lease, bridged), 0);
        assert_int_equal(vfiobroker_lease_n_fds(s.lease), 6);
        assert_row(s.lease, 0, VFIOBROKER_FD_CONTAINER, "l-1");
        assert_row(s.lease, 1, VFIOBROKER_FD_GROUP, "1");
        assert_row(s.lease, 2, VFIOBROKER_FD_DEVICE, "0000:01:00.0");
        assert_row(s.lease, 3, VFIOBROKER_FD_DEVICE, "0000:08:02.0");
        assert_row(s.lease, 4, VFIOBROKER_FD_GROUP, "9");

        /* One that is gone is nobody's to ask about: its row goes, and nothing is guessed of its group. */
        s.grant.unknown = true;
        assert_int_equal(vfiobroker_lease_remove(s.lease, one_device), 0);
        assert_int_equal(vfiobroker_lease_n_fds(s.lease), 5);
        assert_row(s.lease, 1, VFIOBROKER_FD_GROUP, "1");
        assert_row(s.lease, 2, VFIOBROKER_FD_DEVICE, "0000:08:02.0");
        assert_string_equal(vfiobroker_last_error(s.broker)->name, "");
        end(&s);
}

/* Fresh fds by id and by path: a handle of its own, beside the first one, which keeps its fds. */
static void test_reissue(void **state)
{
        static const Grant *const grants[] = { &good_grant, &group_grant };
        static const char *const names[] = { "l-1", LEASE_PATH };

        for (size_t i = 0; i < ELEMENTSOF(grants); i++) {
                const char *const devices[] = { "pool:any", NULL };
                struct vfiobroker_lease *again;
                Stage s;

                begin(&s, grants[i], devices);
                assert_int_equal(vfiobroker_reissue(s.broker, names[i], &again), 0);
                assert_string_equal(vfiobroker_lease_id(again), "l-1");
                assert_string_equal(vfiobroker_lease_path(again), LEASE_PATH);
                assert_string_equal(vfiobroker_lease_backend(again), grants[i]->backend);
                assert_int_equal(vfiobroker_lease_n_fds(again), vfiobroker_lease_n_fds(s.lease));
                assert_true(vfiobroker_lease_find_fd(again, VFIOBROKER_FD_DEVICE, 0) >= 0);
                assert_true(vfiobroker_lease_find_fd(s.lease, VFIOBROKER_FD_DEVICE, 0) >= 0);
                vfiobroker_lease_free(again);
                assert_true(fake_grant_closed(s.grant.added_terminal));
                assert_int_equal(s.fake.releases, 0);
                end(&s);
        }
}

/* A bad answer to Reissue leaves the lease alone: it is whole, and others may have its fds. */
static void test_bad_reissue(void **state)
{
        static const Row rows[][2] = {
                { { NULL, NULL } },
                { { "device", "0000:01:00.0" } },
                { { "iommufd", "c1" } },
                { { "container", "c1" }, { "group", "1" } },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct vfiobroker_lease *again = NULL;
                Stage s;

                begin(&s, &good_grant, one_device);
                memset(s.grant.rows, 0, sizeof(s.grant.rows));
                memcpy(s.grant.rows, rows[i], sizeof(rows[i]));
                assert_int_equal(vfiobroker_reissue(s.broker, "l-1", &again), -EPROTO);
                assert_null(again);
                assert_string_not_equal(vfiobroker_last_error(s.broker)->text, "");
                assert_int_equal(s.fake.releases, 0);
                assert_int_equal(s.grant.removes, 0);
                assert_true(fake_grant_closed(s.grant.added_terminal));

                assert_int_equal(vfiobroker_reissue(s.broker, "l-2", &again), -ENXIO);
                assert_int_equal(vfiobroker_reissue(s.broker, "/x", &again), -ENXIO);
                end(&s);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_add_remove),     cmocka_unit_test(test_refused_here),
                cmocka_unit_test(test_remove_refused), cmocka_unit_test(test_bad_additions),
                cmocka_unit_test(test_groups),         cmocka_unit_test(test_reissue),
                cmocka_unit_test(test_bad_reissue),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
