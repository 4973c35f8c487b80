/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A process number that is used again. The attacker's connection is opened by a process that then ends, and is used by
 * another one, which had the socket; the number of the first is given to a process of the victim's, which is asked for by
 * clone3(2). To the broker the attacker's connection must not become the victim's. */

#include <linux/sched.h>
#include <signal.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/bus/fixture.h"

/* A process that waits to be killed, and is that user's when this returns. With `pid` not 0 it gets that number. */
static pid_t start_idle(pid_t pid, uid_t uid)
{
        struct clone_args args = {
                .exit_signal = SIGCHLD,
                .set_tid = pid ? (uint64_t)(uintptr_t)&pid : 0,
                .set_tid_size = pid ? 1 : 0,
        };
        pid_t parent = getpid();
        int ready[2], error;
        char byte;
        long r;

        assert_int_equal(pipe(ready), 0);
        r = syscall(SYS_clone3, &args, sizeof(args));
        if (r == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                /* Not to keep the broker's input open; and the end of its output says that it is ready. */
                if (dup2(ready[1], STDOUT_FILENO) < 0)
                        _exit(1);
                (void)close_range(3, ~0U, 0);
                if (getppid() != parent || setresuid(uid, uid, uid) < 0)
                        _exit(1);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)close(STDOUT_FILENO);
                for (;;)
                        (void)pause();
        }
        error = errno;
        (void)close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 0);
        (void)close(ready[0]);
        errno = error;
        return (pid_t)r;
}

/* The process that opens the connection: the bus has its number from the kernel, as of this connect(2). */
static pid_t start_opener(Client *c, int fd)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char done;
        int pair[2];
        pid_t pid;

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/bus", c->fixture->dir);
        CHECK(pipe(pair) == 0);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
                        (void)!write(pair[1], "x", 1);
                for (;;)
                        (void)pause();
        }
        (void)close(pair[1]);
        CHECK(read(pair[0], &done, 1) == 1);
        (void)close(pair[0]);
        return pid;
}

static void attacks(Client *c, const void *arg)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status;
        char word[64], path[256];
        sd_bus *bus = NULL;
        pid_t opener;

        CHECK(fd >= 0);
        opener = start_opener(c, fd);
        CHECK(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fd, fd) >= 0 &&
              sd_bus_set_bus_client(bus, true) >= 0 && sd_bus_negotiate_fds(bus, true) >= 0 &&
              sd_bus_start(bus) >= 0);
        /* The broker identifies it now, while its process lives. */
        CHECK(streq(call_error(bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "ListLeases", NULL), ""));
        CHECK(kill(opener, SIGKILL) == 0 && waitpid(opener, &status, 0) == opener);
        (void)snprintf(word, sizeof(word), "%d", (int)opener);
        client_say(c, word);

        client_hear(c, word); /* the lease's id */
        (void)snprintf(path, sizeof(path), "/org/vfiobroker1/lease/%s", word);
        CHECK(streq(call_error(bus, path, "org.vfiobroker1.Lease", "Reissue", NULL), OURS "NoSuchLease"));
        CHECK(streq(call_error(bus, path, "org.vfiobroker1.Lease", "Release", NULL), OURS "NoSuchLease"));
        sd_bus_flush_close_unref(bus);
}

static void acquires_for(Client *c, const void *arg)
{
        int fd = (int)syscall(SYS_pidfd_open, *(const pid_t *)arg, 0);
        char word[64];
        Grant g;

        CHECK(fd >= 0);
        g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 1, "pidfd", "h", fd);
        CHECK(streq(g.error, ""));
        client_say(c, strrchr(g.lease, '/') + 1);
        client_hear(c, word);
        grant_done(&g);
}

/* Proves: a connection whose process has ended is nobody's, whoever has its number now. */
static void test_number_of_the_dead(void **state)
{
        Fixture *f = *state;
        Peer attacker, blue;
        char word[64], lease[64];
        pid_t victim, number;

        attacker = peer_ready(f, UID_RED, attacks, NULL, word);
        number = (pid_t)strtol(word, NULL, 10);
        victim = start_idle(number, UID_BLUE);
        if (victim < 0 && errno == EPERM) {
                peer_kill(&attacker);
                skip(); /* a container that may not choose numbers */
        }
        assert_int_equal(victim, number);
        blue = peer_ready(f, UID_BLUE, acquires_for, &victim, lease);
        broker_await(f, "state " DEVICE_BLUE, "leased");
        peer_say(&attacker, lease);
        peer_end(&attacker);
        assert_string_equal(broker_tell(f, "state " DEVICE_BLUE), "leased");
        assert_int_equal(kill(victim, SIGKILL), 0);
        assert_int_equal(waitpid(victim, NULL, 0), victim);
        broker_await(f, "state " DEVICE_BLUE, "available");
        peer_finish(&blue);
}

static void is_another(Client *c, const void *arg)
{
        Grant g = acquire(c->bus, DEVICE_BLUE, "a{sv}", 0);

        CHECK(streq(g.error, OURS "ProcessUnusable") && strstr(g.text, "another one has its number"));
}

/* Proves: a number that goes to another process between a look at it and its pidfd is nobody's. */
static void test_number_that_changes_hands(void **state)
{
        Fixture *f = *state;

        (void)broker_tell(f, "reused - 1");
        run_as(f, UID_BLUE, is_another, NULL);
        assert_int_equal(broker_count(f, "leases"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_number_of_the_dead, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_number_that_changes_hands, fixture_setup,
                                                fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
