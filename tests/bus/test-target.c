/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Option `pidfd`: which processes a lease can be for, and which not. The attacker has a tenant, and pidfds of whatever it
 * can open: a process of its own that is no such tenant, one of another user's, a thread, a dead one. */

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include "tests/bus/fixture.h"

#define GID_VM 4242

static const char policy[] = "[broker]\nadmin-group = 2100\nrate = 1000/1s\n"
                             "[tenant blue]\nmatch-user = 1\nmatch-unit = vm-*.service\n"
                             "devices = pci:0000:01:*\n"
                             "[tenant red]\nmatch-user = 2\nallow-on-behalf = yes\n"
                             "devices = pci:0000:02:*\n"
                             "[tenant two]\nmatch-user = 3\nmatch-group = 3\n"
                             "devices = pci:0000:01:*\n";

static int setup(void **state)
{
        Fixture *f;

        if (fixture_setup(state) < 0)
                return -1;
        f = *state;
        fixture_policy(f, policy);
        fixture_reload(f);
        return 0;
}

static int open_pidfd(pid_t pid, unsigned flags)
{
        return (int)syscall(SYS_pidfd_open, pid, flags);
}

/* A child that waits to be killed, or for our end, after `become`, which may be NULL. */
static pid_t start_child(int (*become)(void))
{
        int ready[2], life[2];
        pid_t pid;
        char byte;

        CHECK(pipe(ready) == 0 && pipe(life) == 0);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                (void)close(ready[0]);
                (void)close(life[1]);
                if (become && become() < 0)
                        _exit(1);
                (void)!write(ready[1], "x", 1);
                (void)!read(life[0], &byte, 1);
                _exit(0);
        }
        (void)close(ready[1]);
        (void)close(life[0]);
        CHECK(read(ready[0], &byte, 1) == 1);
        (void)close(ready[0]);
        return pid;
}

static void end_child(pid_t pid)
{
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

/* Takes `fd` over. */
static void expect(sd_bus *bus, const char *device, int fd, const char *error, const char *text)
{
        Grant g;

        CHECK(fd >= 0);
        g = acquire(bus, device, "a{sv}", 1, "pidfd", "h", fd);
        if (!streq(g.error, error) || !strstr(g.text, text)) {
                (void)fprintf(stderr, "client: got %s: %s; expected %s: %s\n", g.error, g.text, error, text);
                _exit(1);
        }
        grant_done(&g);
        (void)close(fd);
}

/* Tells the test of the child, and awaits that it has been put into its unit. */
static void be_placed(Client *c, pid_t child)
{
        char word[64];

        (void)snprintf(word, sizeof(word), "%d", (int)child);
        client_say(c, word);
        client_hear(c, word);
}

static void in_units(Client *c, const void *arg)
{
        _cleanup_free_ char *unit = NULL;
        uint32_t pid = 0;
        pid_t child;
        Grant g;
        int fd;

        be_placed(c, getpid()); /* vm-1.service */
        child = start_child(NULL);
        expect(c->bus, DEVICE_BLUE, open_pidfd(child, 0), OURS "ProcessUnusable",
               "match-unit does not hold");
        be_placed(c, child); /* build.service */
        expect(c->bus, DEVICE_BLUE, open_pidfd(child, 0), OURS "ProcessUnusable",
               "match-unit does not hold");
        be_placed(c, child); /* vm-2.service */
        fd = open_pidfd(child, 0);
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "pidfd", "h", fd);
        CHECK(streq(g.error, ""));
        CHECK(sd_bus_get_property_string(c->bus, "org.vfiobroker1", g.lease, "org.vfiobroker1.Lease", "Unit",
                                         NULL, &unit) >= 0);
        CHECK(streq(unit, "vm-2.service"));
        CHECK(sd_bus_get_property_trivial(c->bus, "org.vfiobroker1", g.lease, "org.vfiobroker1.Lease", "Pid",
                                          NULL, 'u', &pid) >= 0);
        CHECK((pid_t)pid == child);
        end_child(child);
        client_say(c, "ended");
        client_hear(c, (char[64]){});
}

/* Proves: a process that is not the tenant, though of the same user and sent by who is, gets nothing; one that is gets the
 * lease, in its own name, and the lease ends with it. */
static void test_units(void **state)
{
        static const char *const units[] = { "vm-1.service", "build.service", "vm-2.service" };
        Fixture *f = *state;
        Peer peer = peer_start(f, UID_BLUE, in_units, NULL);
        char word[64];

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                peer_hear(&peer, word);
                assert_string_equal(broker_tell(f, "unit - %s %s", word, units[i]), "ok");
                peer_say(&peer, "placed");
        }
        peer_hear(&peer, word);
        assert_string_equal(word, "ended");
        broker_await(f, "state " DEVICE_BLUE, "available");
        peer_finish(&peer);
}

static int leave_group(void)
{
        return setresgid(GID_VM, GID_VM, GID_VM);
}

static int leave_group_but_for_one(void)
{
        static const gid_t groups[] = { GID_VM, UID_TWO };

        return setgroups(2, groups) < 0 || setresgid(GID_VM, GID_VM, GID_VM) < 0 ? -1 : 0;
}

static int be_two(int (*change)(void))
{
        return change() < 0 || setresuid(UID_TWO, UID_TWO, UID_TWO) < 0 ? -1 : 0;
}

static int two_without_group(void)
{
        return be_two(leave_group);
}

static int two_with_group(void)
{
        return be_two(leave_group_but_for_one);
}

/* As root, who can make such children, and then becomes the tenant. */
static void in_groups(Client *c, const void *arg)
{
        pid_t without = start_child(two_without_group), with = start_child(two_with_group);
        gid_t gid = UID_TWO;
        sd_bus *bus;
        int fds[2] = { open_pidfd(without, 0), open_pidfd(with, 0) };

        CHECK(setgroups(1, &gid) == 0 && setresgid(gid, gid, gid) == 0 && setresuid(gid, gid, gid) == 0);
        bus = client_connect(c->fixture);
        expect(bus, DEVICE_BLUE, fds[0], OURS "ProcessUnusable", "match-group does not hold");
        expect(bus, DEVICE_BLUE, fds[1], "", "");
        sd_bus_flush_close_unref(bus);
        end_child(without);
        end_child(with);
}

/* Proves: the groups are those of the process, supplementary ones too, not the caller's. */
static void test_groups(void **state)
{
        run_as(*state, 0, in_groups, NULL);
        broker_await(*state, "leases", "0");
}

static int wait_on_thread(void *userdata)
{
        pid_t tid = (pid_t)syscall(SYS_gettid);

        (void)!write(((int *)userdata)[1], &tid, sizeof(tid));
        (void)pause();
        return 0;
}

static int outlives(void *userdata)
{
        (void)pause();
        return 0;
}

static int lose_first_thread(void)
{
        thrd_t thread;

        return thrd_create(&thread, outlives, NULL) == thrd_success ? 0 : -1;
}

/* A process whose first thread has ended, and the others not. */
static pid_t start_zombie(void)
{
        char path[64], line[512], state = 0;
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                if (lose_first_thread() < 0)
                        _exit(1);
                (void)syscall(SYS_exit, 0);
        }
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        while (state != 'Z') {
                FILE *f = fopen(path, "re");

                CHECK(f && fgets(line, sizeof(line), f));
                state = strrchr(line, ')')[2];
                (void)fclose(f);
        }
        return pid;
}

static void gives_no_processes(Client *c, const void *arg)
{
        int up[2], fd;
        thrd_t thread;
        pid_t pid, tid;

        expect(c->bus, DEVICE_RED, open("/dev/null", O_RDONLY | O_CLOEXEC), STANDARD "InvalidArgs",
               "none of pidfd_open");
        expect(c->bus, DEVICE_RED, eventfd(0, EFD_CLOEXEC), STANDARD "InvalidArgs", "none of pidfd_open");

        pid = start_child(NULL);
        fd = open_pidfd(pid, 0);
        CHECK(kill(pid, SIGKILL) == 0 && waitid(P_PID, (id_t)pid, &(siginfo_t){}, WEXITED | WNOWAIT) == 0);
        expect(c->bus, DEVICE_RED, fcntl(fd, F_DUPFD_CLOEXEC, 3), OURS "ProcessUnusable", "has ended");
        CHECK(waitpid(pid, NULL, 0) == pid);
        expect(c->bus, DEVICE_RED, fd, OURS "ProcessUnusable", "has ended");

        pid = start_zombie();
        expect(c->bus, DEVICE_RED, open_pidfd(pid, 0), OURS "ProcessUnusable", "is a zombie");
        end_child(pid);

        CHECK(pipe(up) == 0);
        CHECK(thrd_create(&thread, wait_on_thread, up) == thrd_success);
        CHECK(read(up[0], &tid, sizeof(tid)) == sizeof(tid));
        fd = open_pidfd(tid, O_EXCL); /* PIDFD_THREAD, Linux 6.9 */
        if (fd >= 0)
                expect(c->bus, DEVICE_RED, fd, OURS "ProcessUnusable", "is a thread");
        fd = open_pidfd(getpid(), O_EXCL);
        if (fd >= 0)
                expect(c->bus, DEVICE_RED, fd, "", ""); /* its process is told by it */
}

/* Proves: what is no process, or none any more, is refused by its own words. */
static void test_no_processes(void **state)
{
        run_as(*state, UID_RED, gives_no_processes, NULL);
        broker_await(*state, "leases", "0");
}

static void gives_stale(Client *c, const void *arg)
{
        pid_t ended = start_child(NULL), other = start_child(NULL);
        int fd = open_pidfd(ended, 0);

        end_child(ended);
        be_placed(c, other);
        expect(c->bus, DEVICE_RED, fd, OURS "ProcessUnusable", "has ended");
}

/* Proves: where the process ends and its number goes to another one while the broker looks, that is not taken for it. */
static void test_number_that_changes_hands(void **state)
{
        Fixture *f = *state;
        char word[64];
        Peer peer = peer_ready(f, UID_RED, gives_stale, NULL, word);

        assert_string_equal(broker_tell(f, "stale - %s", word), "ok");
        peer_say(&peer, "go");
        peer_end(&peer);
        assert_int_equal(broker_count(f, "leases"), 0);
}

static int be_nobody(void)
{
        return setresgid(UID_NOBODY, UID_NOBODY, UID_NOBODY) < 0 ||
                               setresuid(UID_NOBODY, UID_NOBODY, UID_NOBODY) < 0
                       ? -1
                       : 0;
}

static void acts_on_behalf(Client *c, const void *arg)
{
        bool red = *(const uid_t *)arg == UID_RED;
        pid_t child = start_child(be_nobody);
        int fd = open_pidfd(child, 0);
        gid_t gid = *(const uid_t *)arg;
        sd_bus *bus;

        CHECK(setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 && setresuid(gid, gid, gid) == 0);
        bus = client_connect(c->fixture);
        if (red)
                expect(bus, DEVICE_RED, fd, "", "");
        else
                expect(bus, DEVICE_BLUE, fd, OURS "ProcessUnusable", "does not run wholly as uid 3");
        sd_bus_flush_close_unref(bus);
        /* The child, whom it may not kill, ends with it. */
}

/* Proves: only with allow-on-behalf is a process of another user's taken, and then whatever it is. */
static void test_on_behalf(void **state)
{
        run_as(*state, 0, acts_on_behalf, &(uid_t){ UID_RED });
        broker_await(*state, "leases", "0");
        run_as(*state, 0, acts_on_behalf, &(uid_t){ UID_TWO });
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_units, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_groups, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_no_processes, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_number_that_changes_hands, setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_on_behalf, setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
