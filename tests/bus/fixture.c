/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sets the stage of a bus test and clears it. Processes are forked and watched by their pids; whatever is awaited is
 * awaited by what it does, never by time alone. */

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/bus/errors.h"
#include "tests/bus/fixture.h"

static const char default_policy[] = "[broker]\n"
                                     "admin-group = 2100\n"
                                     "rate = 1000/1s\n"
                                     "[tenant blue]\n"
                                     "match-user = 1, 3\n"
                                     "devices = pci:0000:01:*, pci:0000:10:*\n"
                                     "memlock-max = 1G\n"
                                     "memlock-default = 64M\n"
                                     "devices-max = 16\n"
                                     "leases-max = 20\n"
                                     "[tenant red]\n"
                                     "match-user = 2, 3\n"
                                     "devices = pci:0000:02:*\n"
                                     "reset = best-effort\n";

/* As Debian's system bus: deny by default, no eavesdropping. */
static const char bus_config[] =
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n"
        " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
        "<busconfig><type>system</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>\n"
        "<policy context=\"default\"><allow user=\"*\"/><deny own=\"*\"/><deny send_type=\"method_call\"/>\n"
        "<allow send_type=\"signal\"/>\n"
        "<allow send_requested_reply=\"true\" send_type=\"method_return\"/>\n"
        "<allow send_requested_reply=\"true\" send_type=\"error\"/>\n"
        "<allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>\n"
        "<allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\n"
        "<allow send_destination=\"org.freedesktop.DBus\"/></policy>\n"
        "<include>%s/systemd/org.vfiobroker1.conf</include>\n"
        "<limit name=\"max_connections_per_user\">4096</limit>\n"
        "<limit name=\"max_completed_connections\">8192</limit>\n"
        "</busconfig>\n";

static void write_file(const char *path, const char *text)
{
        _cleanup_(fclosep) FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
}

void fixture_policy(Fixture *f, const char *text)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/policy.conf", f->dir);
        write_file(path, text ? text : default_policy);
}

/* Forks a program with these as its standard input and output; the rest of ours is closed there. */
static pid_t spawn(const char *const argv[], int in, int out)
{
        pid_t parent = getpid(), pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
                        _exit(126);
                (void)close_range(3, ~0U, 0);
                (void)execvp(argv[0], (char *const *)argv);
                _exit(127);
        }
        return pid;
}

static void start_bus(Fixture *f)
{
        char path[128], config[4096], line[256] = "";
        int out[2], in;
        size_t n = 0;

        (void)snprintf(path, sizeof(path), "%s/bus.conf", f->dir);
        (void)snprintf(config, sizeof(config), bus_config, f->dir, SOURCE_ROOT);
        write_file(path, config);

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        in = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(in >= 0);
        {
                char option[160];

                (void)snprintf(option, sizeof(option), "--config-file=%s", path);
                f->bus = spawn((const char *const[]){ "dbus-daemon", option, "--nofork", "--nopidfile",
                                                      "--nosyslog", "--print-address=1", NULL },
                               in, out[1]);
        }
        (void)close(in);
        (void)close(out[1]);
        while (n < sizeof(line) - 1 && read(out[0], line + n, 1) == 1 && line[n] != '\n')
                n++;
        (void)close(out[0]);
        assert_true(line[n] == '\n');
        (void)snprintf(f->address, sizeof(f->address), "unix:path=%s/bus", f->dir);
}

static void start_service(Fixture *f, const char *program)
{
        char policy[128], line[64];
        int to[2], from[2];

        (void)snprintf(policy, sizeof(policy), "%s/policy.conf", f->dir);
        assert_int_equal(setenv("VFIOBROKER_BUS_ADDRESS", f->address, true), 0);
        assert_int_equal(pipe2(to, O_CLOEXEC), 0);
        assert_int_equal(pipe2(from, O_CLOEXEC), 0);
        f->broker = spawn((const char *const[]){ program, policy, NULL }, to[0], from[1]);
        (void)close(to[0]);
        (void)close(from[1]);
        f->orders = fdopen(to[1], "we");
        f->answers = fdopen(from[0], "re");
        assert_non_null(f->orders);
        assert_non_null(f->answers);
        assert_non_null(fgets(line, sizeof(line), f->answers));
        assert_string_equal(line, "ready\n");
}

Fixture *fixture_start(const char *program, const char *policy)
{
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(geteuid(), 0);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)snprintf(f->dir, sizeof(f->dir), "/tmp/vfiobroker-bus-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        assert_int_equal(chmod(f->dir, 0755), 0);
        fixture_policy(f, policy);
        start_bus(f);
        start_service(f, program ? program : TEST_BROKER);
        return f;
}

int fixture_setup(void **state)
{
        Fixture *f = fixture_start(NULL, NULL);

        *state = f;

        (void)broker_tell(f, "add " DEVICE_BLUE " 1 igb");
        (void)broker_tell(f, "add " DEVICE_BLUE_2 " 2 vfio-pci");
        (void)broker_tell(f, "add " DEVICE_RED " 3 -");
        (void)broker_tell(f, "add " DEVICE_HOST " 4 nvme");
        for (unsigned i = 0; i <= 16; i++)
                (void)broker_tell(f, "add 0000:10:%02x.0 %u vfio-pci", i, 16 + i);
        return 0;
}

static int end_process(pid_t pid, int sig)
{
        int status;

        if (sig)
                (void)kill(pid, sig);
        if (waitpid(pid, &status, 0) != pid)
                return -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int fixture_teardown(void **state)
{
        Fixture *f = *state;
        char path[128];
        int r;

        (void)fclose(f->orders);
        r = end_process(f->broker, 0);
        (void)fclose(f->answers);
        (void)end_process(f->bus, SIGTERM);
        for (size_t i = 0; i < 3; i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", f->dir,
                               (const char *[]){ "bus", "bus.conf", "policy.conf" }[i]);
                (void)unlink(path);
        }
        (void)rmdir(f->dir);
        free(f);
        if (r != 0)
                (void)fprintf(stderr, "the broker ended with %d\n", r);
        return r == 0 ? 0 : -1;
}

const char *broker_tell(Fixture *f, const char *format, ...)
{
        static char answer[256];
        va_list ap;

        va_start(ap, format);
        assert_true(vfprintf(f->orders, format, ap) > 0);
        va_end(ap);
        assert_true(fputc('\n', f->orders) == '\n' && fflush(f->orders) == 0);
        assert_non_null(fgets(answer, sizeof(answer), f->answers));
        answer[strcspn(answer, "\n")] = 0;
        assert_string_not_equal(answer, "what?");
        return answer;
}

unsigned broker_count(Fixture *f, const char *what)
{
        return (unsigned)strtoul(broker_tell(f, "%s", what), NULL, 10);
}

static uint64_t now_usec(void)
{
        struct timespec ts = {};

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

void broker_await(Fixture *f, const char *order, const char *answer)
{
        uint64_t end = now_usec() + PATIENCE_USEC;

        while (!streq(broker_tell(f, "%s", order), answer) && now_usec() < end)
                (void)poll(NULL, 0, 2);
        assert_string_equal(broker_tell(f, "%s", order), answer);
}

void broker_await_rest(Fixture *f, unsigned fds)
{
        static const char *const nothing[] = { "leases", "callers", "sessions", "jobs", "watches" };

        for (size_t i = 0; i < ELEMENTSOF(nothing); i++)
                broker_await(f, nothing[i], "0");
        assert_int_equal(broker_count(f, "fds"), fds);
}

/* --- clients --- */

sd_bus *client_connect(const Fixture *f)
{
        sd_bus *bus = NULL;
        const char *name;

        CHECK(sd_bus_new(&bus) >= 0);
        CHECK(sd_bus_set_address(bus, f->address) >= 0);
        CHECK(sd_bus_set_bus_client(bus, true) >= 0);
        CHECK(sd_bus_negotiate_fds(bus, true) >= 0);
        CHECK(sd_bus_start(bus) >= 0);
        CHECK(sd_bus_get_unique_name(bus, &name) >= 0);
        return bus;
}

int client_session_fd(sd_bus *bus, char error[static 128])
{
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int fd;

        error[0] = 0;
        if (sd_bus_call_method(bus, MANAGER, "OpenSession", &e, &reply, NULL) < 0) {
                (void)snprintf(error, 128, "%s", strempty(e.name));
                return -1;
        }
        CHECK(sd_bus_message_read(reply, "h", &fd) >= 0);
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        CHECK(fd >= 0);
        return fd;
}

sd_bus *client_on_session(int fd)
{
        sd_bus *bus = NULL;
        sd_id128_t id;

        CHECK(sd_bus_new(&bus) >= 0);
        CHECK(sd_bus_set_fd(bus, fd, fd) >= 0);
        CHECK(sd_bus_negotiate_fds(bus, true) >= 0);
        CHECK(sd_bus_start(bus) >= 0);
        CHECK(sd_bus_get_bus_id(bus, &id) >= 0); /* waits for the greeting */
        return bus;
}

sd_bus *client_session(sd_bus *bus)
{
        char error[128];
        int fd = client_session_fd(bus, error);

        CHECK(streq(error, ""));
        return client_on_session(fd);
}

Peer peer_start(Fixture *f, uid_t uid, ClientRun run, const void *arg)
{
        pid_t parent = getpid();
        Peer peer;
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        (void)fflush(NULL);
        peer.pid = fork();
        assert_true(peer.pid >= 0);
        if (peer.pid == 0) {
                gid_t gid = uid == UID_ADMIN ? GID_ADMIN : uid;
                Client c = { .sync = pair[1], .fixture = f };

                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)close(pair[0]);
                /* Not to keep the broker's input open, nor to write to it at the end. */
                (void)close(fileno(f->orders));
                CHECK(getppid() == parent && setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
                      setresuid(uid, uid, uid) == 0);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                CHECK(error_register() == 0);
                c.bus = client_connect(f);
                run(&c, arg);
                sd_bus_flush_close_unref(c.bus);
                _exit(0);
        }
        (void)close(pair[1]);
        peer.sync = pair[0];
        return peer;
}

void peer_end(Peer *peer)
{
        int r = end_process(peer->pid, 0);

        peer->sync = safe_close(peer->sync);
        assert_int_equal(r, 0);
}

void peer_kill(Peer *peer)
{
        int r = end_process(peer->pid, SIGKILL);

        peer->sync = safe_close(peer->sync);
        assert_int_equal(r, -SIGKILL);
}

Peer peer_ready(Fixture *f, uid_t uid, ClientRun run, const void *arg, char word[static 64])
{
        Peer peer = peer_start(f, uid, run, arg);

        peer_hear(&peer, word);
        return peer;
}

void peer_finish(Peer *peer)
{
        peer_say(peer, "go");
        peer_end(peer);
}

void run_as(Fixture *f, uid_t uid, ClientRun run, const void *arg)
{
        Peer peer = peer_start(f, uid, run, arg);

        peer_end(&peer);
}

static void reloads(Client *c, const void *arg)
{
        CHECK(streq(call_error(c->bus, "/org/vfiobroker1", "org.vfiobroker1.Manager", "Reload", NULL), ""));
}

void fixture_reload(Fixture *f)
{
        run_as(f, 0, reloads, NULL);
}

void fixture_share(Fixture *f)
{
        fixture_policy(f, "[tenant blue]\nmatch-user = 1\ndevices = pci:0000:01:*\n"
                          "[tenant red]\nmatch-user = 2\ndevices = pci:0000:01:*\n");
        fixture_reload(f);
}

static bool say(int sync, const char *word)
{
        char buffer[64] = "";

        (void)snprintf(buffer, sizeof(buffer), "%s", word);
        return send(sync, buffer, sizeof(buffer), MSG_NOSIGNAL) == sizeof(buffer);
}

void peer_say(Peer *peer, const char *word)
{
        assert_true(say(peer->sync, word));
}

void peer_hear(Peer *peer, char word[static 64])
{
        assert_int_equal(recv(peer->sync, word, 64, 0), 64);
}

void client_say(Client *c, const char *word)
{
        CHECK(say(c->sync, word));
}

void client_hear(Client *c, char word[static 64])
{
        CHECK(recv(c->sync, word, 64, 0) == 64);
}

bool client_wait(sd_bus *bus, const bool *done)
{
        uint64_t end = now_usec() + PATIENCE_USEC, now;

        while (!*done && (now = now_usec()) < end) {
                int r = sd_bus_process(bus, NULL);

                CHECK(r >= 0);
                if (r == 0)
                        CHECK(sd_bus_wait(bus, end - now) >= 0);
        }
        return *done;
}

/* --- calls --- */

sd_bus_message *new_call(sd_bus *bus, const char *member, const char *devices)
{
        sd_bus_message *m = NULL;
        char list[4096], *rest = NULL;

        CHECK(strlen(devices) < sizeof(list));
        strcpy(list, devices);
        CHECK(sd_bus_message_new_method_call(bus, &m, MANAGER, member) >= 0);
        CHECK(sd_bus_message_open_container(m, 'a', "s") >= 0);
        for (char *id = strtok_r(list, " ", &rest); id; id = strtok_r(NULL, " ", &rest))
                CHECK(sd_bus_message_append(m, "s", id) >= 0);
        CHECK(sd_bus_message_close_container(m) >= 0);
        return m;
}

static void read_grant(sd_bus_message *reply, Grant *grant)
{
        const char *lease, *backend, *kind, *id;
        int fd, r;

        CHECK(sd_bus_message_read(reply, "os", &lease, &backend) >= 0);
        (void)snprintf(grant->lease, sizeof(grant->lease), "%s", lease);
        (void)snprintf(grant->backend, sizeof(grant->backend), "%s", backend);
        CHECK(sd_bus_message_enter_container(reply, 'a', "(ssh)") >= 0);
        while ((r = sd_bus_message_read(reply, "(ssh)", &kind, &id, &fd)) > 0) {
                CHECK(grant->n_fds < ELEMENTSOF(grant->fds));
                (void)snprintf(grant->fds[grant->n_fds].kind, sizeof(grant->fds[0].kind), "%s", kind);
                (void)snprintf(grant->fds[grant->n_fds].id, sizeof(grant->fds[0].id), "%s", id);
                grant->fds[grant->n_fds].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                CHECK(grant->fds[grant->n_fds++].fd >= 0);
        }
        CHECK(r == 0);
}

Grant acquire(sd_bus *bus, const char *devices, const char *options, ...)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = new_call(bus, "Acquire", devices), *reply = NULL;
        Grant grant = {};
        va_list ap;

        va_start(ap, options);
        CHECK(sd_bus_message_appendv(m, options, ap) >= 0);
        va_end(ap);
        if (sd_bus_call(bus, m, PATIENCE_USEC, &error, &reply) >= 0)
                read_grant(reply, &grant);
        else {
                (void)snprintf(grant.error, sizeof(grant.error), "%s", error.name);
                (void)snprintf(grant.text, sizeof(grant.text), "%s", strempty(error.message));
        }
        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
        return grant;
}

void grant_done(Grant *grant)
{
        for (size_t i = 0; i < grant->n_fds; i++)
                grant->fds[i].fd = safe_close(grant->fds[i].fd);
        grant->n_fds = 0;
}

void expect_error(sd_bus *bus, sd_bus_message *m, const char *name, const char *text)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call(bus, m, PATIENCE_USEC, &error, NULL);

        if (r >= 0 || !sd_bus_error_has_name(&error, name) || !strstr(strempty(error.message), text)) {
                (void)fprintf(stderr, "client: got %s: %s\n", strempty(error.name), strempty(error.message));
                (void)fprintf(stderr, "client: expected %s: %s\n", name, text);
                _exit(1);
        }
        sd_bus_message_unref(m);
}

const char *call_error(sd_bus *bus, const char *path, const char *interface, const char *member,
                       const char *arg)
{
        static char name[256];
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(bus, "org.vfiobroker1", path, interface, member, &error, NULL,
                                   arg ? "s" : NULL, arg);

        (void)snprintf(name, sizeof(name), "%s", r < 0 ? strempty(error.name) : "");
        return name;
}

char *path_of_device(const char *id)
{
        char *path = NULL;

        CHECK(sd_bus_path_encode("/org/vfiobroker1/device", id, &path) >= 0);
        return path;
}

bool reads_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                    const char *value)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *contents, *s;
        char type;

        if (sd_bus_get_property(bus, "org.vfiobroker1", path, interface, property, &error, &reply,
                                streq(property, "Lease") || streq(property, "Group") ? "o" : "s") < 0) {
                (void)fprintf(stderr, "client: %s.%s: %s\n", path, property, strempty(error.message));
                return false;
        }
        CHECK(sd_bus_message_peek_type(reply, &type, &contents) > 0);
        CHECK(sd_bus_message_read_basic(reply, type, (void *)&s) > 0);
        if (!streq(s, value))
                (void)fprintf(stderr, "client: %s.%s is %s, not %s\n", path, property, s, value);
        return streq(s, value);
}
