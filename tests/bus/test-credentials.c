/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the broker makes of each thing that a bus says of a connection. The test is the bus: Debian 12's never gives a
 * pidfd, as dbus-broker from version 34 on does, and neither lies. The broker is the real one, the processes are real. */

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bus/fixture.h"

#define GID_VM 4242

static const char policy[] =
        "[tenant blue]\nmatch-user = 1\ndevices = pci:0000:01:*\n"
        "[tenant grouped]\nmatch-user = 2\nmatch-group = 4242\ndevices = pci:0000:01:*\n"
        "[tenant labelled]\nmatch-user = 3\nmatch-label = vm:*\ndevices = pci:0000:01:*\n";

/* What the bus says of one connection; pid 0, pidfd -1, label NULL: nothing. */
typedef struct Said {
        uid_t uid;
        pid_t pid;
        int pidfd;
        bool groups; /* says that it is in GID_VM */
        const char *label;
        bool gone;                /* when asked for again */
        const char *error, *text; /* that an Acquire of it is answered with, NULL for none */
        bool asks_again;          /* whether the broker has to */
} Said;

typedef struct FakeBus {
        sd_bus *bus;
        char dir[64];
        pid_t broker;
        FILE *orders, *answers;
        const Said *said;
        unsigned n_asked_again;
        bool named;
        /* the answer to the call at work */
        bool answered;
        char error[128], text[512];
} FakeBus;

static int say_credentials(FakeBus *fake, sd_bus_message *m)
{
        const Said *said = fake->said;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        assert_true(sd_bus_message_new_method_return(m, &reply) >= 0);
        assert_true(sd_bus_message_open_container(reply, 'a', "{sv}") >= 0);
        assert_true(sd_bus_message_append(reply, "{sv}", "UnixUserID", "u", (uint32_t)said->uid) >= 0);
        if (said->pid > 0)
                assert_true(sd_bus_message_append(reply, "{sv}", "ProcessID", "u", (uint32_t)said->pid) >=
                            0);
        if (said->pidfd >= 0)
                assert_true(sd_bus_message_append(reply, "{sv}", "ProcessFD", "h", said->pidfd) >= 0);
        if (said->groups)
                assert_true(sd_bus_message_append(reply, "{sv}", "UnixGroupIDs", "au", 1, GID_VM) >= 0);
        if (said->label) {
                assert_true(sd_bus_message_open_container(reply, 'e', "sv") >= 0);
                assert_true(sd_bus_message_append(reply, "s", "LinuxSecurityLabel") >= 0);
                assert_true(sd_bus_message_open_container(reply, 'v', "ay") >= 0);
                assert_true(sd_bus_message_append_array(reply, 'y', said->label, strlen(said->label) + 1) >=
                            0);
                assert_true(sd_bus_message_close_container(reply) >= 0);
                assert_true(sd_bus_message_close_container(reply) >= 0);
        }
        /* One that the broker does not know is none of its business. */
        assert_true(sd_bus_message_append(reply, "{sv}", "Colour", "s", "red") >= 0);
        assert_true(sd_bus_message_close_container(reply) >= 0);
        return sd_bus_send(NULL, reply, NULL);
}

/* What a bus itself is asked. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        FakeBus *fake = userdata;
        const char *member = strempty(sd_bus_message_get_member(m));

        if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus", NULL))
                return 0;
        if (streq(member, "Hello"))
                return sd_bus_reply_method_return(m, "s", ":1.0");
        if (streq(member, "RequestName")) {
                fake->named = true;
                return sd_bus_reply_method_return(m, "u", 1);
        }
        if (streq(member, "GetConnectionCredentials"))
                return say_credentials(fake, m);
        if (streq(member, "NameHasOwner")) {
                fake->n_asked_again++;
                return sd_bus_reply_method_return(m, "b", !fake->said->gone);
        }
        return sd_bus_reply_method_return(m, "");
}

static void spin(FakeBus *fake, const bool *done)
{
        for (unsigned i = 0; !*done && i < 10000; i++) {
                int r = sd_bus_process(fake->bus, NULL);

                assert_true(r >= 0);
                if (r == 0)
                        assert_true(sd_bus_wait(fake->bus, 10000) >= 0);
        }
        assert_true(*done);
}

static void start_broker(FakeBus *fake, const char *address)
{
        char file[128], *argv[] = { (char *)TEST_BROKER, file, NULL };
        int to[2], from[2];
        FILE *f;

        (void)snprintf(file, sizeof(file), "%s/policy.conf", fake->dir);
        f = fopen(file, "we");
        assert_true(f && fputs(policy, f) >= 0 && fclose(f) == 0);
        assert_int_equal(setenv("VFIOBROKER_BUS_ADDRESS", address, true), 0);
        assert_int_equal(pipe2(to, O_CLOEXEC), 0);
        assert_int_equal(pipe2(from, O_CLOEXEC), 0);
        fake->broker = fork();
        assert_true(fake->broker >= 0);
        if (fake->broker == 0) {
                if (dup2(to[0], STDIN_FILENO) < 0 || dup2(from[1], STDOUT_FILENO) < 0)
                        _exit(126);
                (void)execv(TEST_BROKER, argv);
                _exit(127);
        }
        (void)close(to[0]);
        (void)close(from[1]);
        fake->orders = fdopen(to[1], "we");
        fake->answers = fdopen(from[0], "re");
        assert_true(fake->orders && fake->answers);
}

static int setup(void **state)
{
        FakeBus *fake = calloc(1, sizeof(*fake));
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char name[160], line[64];
        sd_id128_t id = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
        int listening, fd;

        assert_non_null(fake);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)snprintf(fake->dir, sizeof(fake->dir), "/tmp/vfiobroker-bus-XXXXXX");
        assert_non_null(mkdtemp(fake->dir));
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/bus", fake->dir);
        listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(listening >= 0);
        assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(listening, 1), 0);
        (void)snprintf(name, sizeof(name), "unix:path=%s/bus", fake->dir);
        start_broker(fake, name);
        fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        assert_true(fd >= 0);
        (void)close(listening);
        assert_true(
                sd_bus_new(&fake->bus) >= 0 && sd_bus_set_fd(fake->bus, fd, fd) >= 0 &&
                sd_bus_set_server(fake->bus, true, id) >= 0 && sd_bus_negotiate_fds(fake->bus, true) >= 0 &&
                sd_bus_add_filter(fake->bus, NULL, on_message, fake) >= 0 && sd_bus_start(fake->bus) >= 0);
        spin(fake, &fake->named);
        assert_non_null(fgets(line, sizeof(line), fake->answers));
        assert_string_equal(line, "ready\n");
        assert_true(fputs("add " DEVICE_BLUE " 1 vfio-pci\n", fake->orders) >= 0 &&
                    fflush(fake->orders) == 0);
        assert_non_null(fgets(line, sizeof(line), fake->answers));
        *state = fake;
        return 0;
}

static int teardown(void **state)
{
        FakeBus *fake = *state;
        char path[128];
        int status;

        sd_bus_flush_close_unref(fake->bus);
        (void)fclose(fake->orders);
        assert_int_equal(waitpid(fake->broker, &status, 0), fake->broker);
        (void)fclose(fake->answers);
        for (size_t i = 0; i < 2; i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", fake->dir, i == 0 ? "bus" : "policy.conf");
                (void)unlink(path);
        }
        (void)rmdir(fake->dir);
        free(fake);
        return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        FakeBus *fake = userdata;
        const sd_bus_error *said = sd_bus_message_get_error(m);

        (void)snprintf(fake->error, sizeof(fake->error), "%s", said ? said->name : "");
        (void)snprintf(fake->text, sizeof(fake->text), "%s", said ? strempty(said->message) : "");
        fake->answered = true;
        return 0;
}

/* A connection of which the bus says that asks for the device. */
static void assert_answered(FakeBus *fake, const Said *said)
{
        static unsigned n;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char sender[32];

        fake->said = said;
        fake->answered = false;
        fake->n_asked_again = 0;
        (void)snprintf(sender, sizeof(sender), ":1.%u", ++n);
        assert_true(sd_bus_message_new_method_call(fake->bus, &m, MANAGER, "Acquire") >= 0);
        assert_true(sd_bus_message_append(m, "asa{sv}", 1, "0000:01:07.0", 0) >= 0);
        assert_true(sd_bus_message_set_sender(m, sender) >= 0);
        assert_true(sd_bus_call_async(fake->bus, NULL, m, on_answer, fake, 0) >= 0);
        spin(fake, &fake->answered);
        if (!streq(fake->error, said->error) || !strstr(fake->text, said->text))
                fail_msg("got %s: %s; expected %s: %s", fake->error, fake->text, said->error, said->text);
        assert_int_equal(fake->n_asked_again, said->asks_again);
}

/* A process of that user and group that waits to be killed. */
static pid_t start_child(uid_t uid, gid_t gid, int *ret_pidfd)
{
        int ready[2];
        pid_t pid;
        char byte;

        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                /* Not to keep the broker's input open. */
                if (dup2(ready[1], STDOUT_FILENO) < 0 || close_range(3, ~0U, 0) < 0 ||
                    setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ||
                    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || write(STDOUT_FILENO, "x", 1) != 1)
                        _exit(1);
                for (;;)
                        (void)pause();
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        (void)close(ready[1]);
        *ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        assert_true(*ret_pidfd >= 0);
        return pid;
}

/* Proves: a pidfd is believed, whose it is found out, and nothing more asked; a pid is believed after another question; and
 * what does not fit together is nobody's process. */
static void test_processes(void **state)
{
        FakeBus *fake = *state;
        int blue_fd, red_fd, dead_fd, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        pid_t blue = start_child(1, 1, &blue_fd), red = start_child(2, 2, &red_fd),
              dead = start_child(1, 1, &dead_fd);

        assert_int_equal(kill(dead, SIGKILL), 0);
        assert_int_equal(waitpid(dead, NULL, 0), dead);
#define SAID(...) assert_answered(fake, &(Said){ .uid = 1, __VA_ARGS__ })
#define REFUSED   OURS "ProcessUnusable"
        SAID(blue, blue_fd, .error = OURS "NoSuchDevice", .text = "");
        SAID(0, blue_fd, .error = OURS "NoSuchDevice", .text = "");
        SAID(blue, -1, .error = OURS "NoSuchDevice", .text = "", .asks_again = true);
        SAID(blue, -1, .error = STANDARD "Failed", .text = "identify", .gone = true, .asks_again = true);
        SAID(red, blue_fd, .error = REFUSED, .text = "another one has its number");
        SAID(dead, dead_fd, .error = REFUSED, .text = "has ended");
        SAID(0, dead_fd, .error = REFUSED, .text = "has ended");
        SAID(dead, -1, .error = REFUSED, .text = "has ended");
        SAID(0, -1, .error = REFUSED, .text = "does not know its process");
        SAID(red, -1, .error = REFUSED, .text = "another user", .asks_again = true);
        SAID(0, red_fd, .error = REFUSED, .text = "another user");
        SAID(blue, null, .error = STANDARD "Failed", .text = "identify");
        (void)kill(blue, SIGKILL);
        (void)kill(red, SIGKILL);
        assert_int_equal(waitpid(blue, NULL, 0), blue);
        assert_int_equal(waitpid(red, NULL, 0), red);
        (void)close(blue_fd);
        (void)close(red_fd);
        (void)close(dead_fd);
        (void)close(null);
}

/* Proves: groups and labels are those that the bus says, and where it says none there are none, whatever /proc has. */
static void test_groups_and_labels(void **state)
{
        FakeBus *fake = *state;
        int grouped_fd, alone_fd, labelled_fd;
        pid_t grouped = start_child(2, GID_VM, &grouped_fd), alone = start_child(2, 2, &alone_fd),
              labelled = start_child(3, 3, &labelled_fd);

#undef SAID
#define SAID(...) assert_answered(fake, &(Said){ __VA_ARGS__ })
        SAID(2, grouped, grouped_fd, .groups = true, .error = OURS "NoSuchDevice", .text = "");
        SAID(2, alone, alone_fd, .groups = true, .error = OURS "NoSuchDevice", .text = "");
        SAID(2, grouped, grouped_fd, .error = OURS "NoTenant", .text = "");
        SAID(3, labelled, labelled_fd, .label = "vm:1", .error = OURS "NoSuchDevice", .text = "");
        SAID(3, labelled, labelled_fd, .label = "host", .error = OURS "NoTenant", .text = "");
        SAID(3, labelled, labelled_fd, .error = OURS "NoTenant", .text = "");
        for (size_t i = 0; i < 3; i++) {
                pid_t pid = ((pid_t[]){ grouped, alone, labelled })[i];

                (void)kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                (void)close(((int[]){ grouped_fd, alone_fd, labelled_fd })[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_processes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_groups_and_labels, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
