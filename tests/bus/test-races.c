/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Callers that go while they are being served: connections and sessions cut in the middle of the greeting or of a message,
 * closed, and processes killed, the caller or the one that the lease is for, at random moments from the first byte to a little
 * after the answer. Whatever is hit, nothing is left: no lease, no fd, no driver, no limit. How often each phase was hit is
 * printed.
 *
 * RACES_COUNT says how many (2,000 where it is not set; the whole is 100,000), RACES_SEED which. */

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bus/fixture.h"
#include "tests/fixtures/random.h"

#define N_DEVICES 16U
#define JOB_USEC  "400" /* of each job, so that there is a middle to hit */
#define BATCH     500U  /* after so many all must be as it was */
#define DEVICE    "0000:11:%02x.0"

typedef enum Way {
        BUS_CLOSED,     /* the connection, lifetime `connection` */
        SESSION_CLOSED, /* the same on a session */
        CALLER_KILLED,  /* lifetime `process`; in half of them it closes its connection before */
        TARGET_KILLED,  /* that the lease is for, another than the caller */
        _WAY_MAX,
} Way;

/* Where it was cut off, by what the client sent, and read. */
typedef enum Cut {
        IN_GREETING,
        IN_HELLO,
        IN_CALL,
        AFTER_CALL,   /* it did not see the answer: the broker knows more */
        AFTER_ANSWER, /* it had its file descriptors */
        _CUT_MAX,
} Cut;

/* What a client sends, as sd-bus writes it. */
typedef struct Stream {
        uint8_t data[2048];
        size_t greeting, call, n; /* where these end, begin, end */
} Stream;

typedef struct Racer {
        Client *c;
        Stream streams[_WAY_MAX][N_DEVICES];
        uint64_t whole_usec[_WAY_MAX]; /* that an Acquire takes which nobody disturbs */
        unsigned cuts[_CUT_MAX], n_measured;
        uint64_t random;
        unsigned n;
} Racer;

static uint64_t up_to(Racer *racer, uint64_t bound)
{
        return random_next(&racer->random) % (bound + 1);
}

static uint64_t now_usec(void)
{
        struct timespec ts = {};

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static void pass_time(uint64_t usec)
{
        struct timespec ts = { (time_t)(usec / USEC_PER_SEC), (long)(usec % USEC_PER_SEC) * 1000 };

        if (usec > 0)
                (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* --- streams --- */

static size_t drain(int fd, uint8_t *to, size_t size)
{
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = { to, size };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
        };
        ssize_t k = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        for (struct cmsghdr *header = k > 0 ? CMSG_FIRSTHDR(&m) : NULL; header;
             header = CMSG_NXTHDR(&m, header)) {
                int passed;

                memcpy(&passed, CMSG_DATA(header), sizeof(passed));
                (void)close(passed);
        }
        return k > 0 ? (size_t)k : 0;
}

/* What a client writes to whom it calls, taken from a socket on which nobody is. */
static void record(Stream *stream, bool bus_client, const char *device, const char *lifetime, bool pidfd)
{
        static const char answer[] = "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n";
        sd_bus_message *m;
        sd_bus *bus = NULL;
        uint8_t *begin;
        int pair[2];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
        CHECK(send(pair[1], answer, strlen(answer), 0) == (ssize_t)strlen(answer));
        CHECK(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, pair[0], pair[0]) >= 0);
        CHECK(sd_bus_set_bus_client(bus, bus_client) >= 0 && sd_bus_negotiate_fds(bus, true) >= 0);
        CHECK(sd_bus_start(bus) >= 0);
        while (sd_bus_process(bus, NULL) > 0)
                ;
        stream->call = drain(pair[1], stream->data, sizeof(stream->data));
        begin = memmem(stream->data, stream->call, "BEGIN\r\n", 7);
        CHECK(begin);
        stream->greeting = (size_t)(begin - stream->data) + 7;

        m = new_call(bus, "Acquire", device);
        if (pidfd)
                CHECK(sd_bus_message_append(m, "a{sv}", 2, "lifetime", "s", lifetime, "pidfd", "h",
                                            pair[0]) >= 0);
        else
                CHECK(sd_bus_message_append(m, "a{sv}", 1, "lifetime", "s", lifetime) >= 0);
        CHECK(sd_bus_send(bus, m, &(uint64_t){ 0 }) >= 0); /* who asks for no cookie awaits no answer */
        while (sd_bus_process(bus, NULL) > 0)
                ;
        sd_bus_message_unref(m);
        stream->n = stream->call +
                    drain(pair[1], stream->data + stream->call, sizeof(stream->data) - stream->call);
        CHECK(stream->n > stream->call && stream->n < sizeof(stream->data));
        (void)close(pair[1]);
        sd_bus_close_unref(bus);
}

/* sd-bus sends no fds before somebody has answered its Hello. */
static void prepend_hello(Stream *stream, const Stream *of)
{
        size_t n = stream->n - stream->call;

        memmove(stream->data + of->call, stream->data + stream->call, n);
        memcpy(stream->data, of->data, of->call);
        stream->greeting = of->greeting;
        stream->call = of->call;
        stream->n = of->call + n;
}

static void record_all(Racer *racer)
{
        for (unsigned i = 0; i < N_DEVICES; i++) {
                char device[32];

                (void)snprintf(device, sizeof(device), DEVICE, i);
                record(&racer->streams[BUS_CLOSED][i], true, device, "connection", false);
                record(&racer->streams[SESSION_CLOSED][i], false, device, "connection", false);
                record(&racer->streams[CALLER_KILLED][i], true, device, "process", false);
                record(&racer->streams[TARGET_KILLED][i], false, device, "process", true);
                prepend_hello(&racer->streams[TARGET_KILLED][i], &racer->streams[BUS_CLOSED][i]);
        }
}

/* --- one connection --- */

static int open_bus(const Fixture *f)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/bus", f->dir);
        CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        return fd;
}

/* Sessions that were closed may not be gone yet. */
static int open_session(Racer *racer)
{
        char error[128];
        int fd;

        while (sd_bus_process(racer->c->bus, NULL) > 0)
                ; /* signals, of all that the others do */
        while ((fd = client_session_fd(racer->c->bus, error)) < 0)
                CHECK(streq(error, STANDARD "LimitsExceeded"));
        return fd;
}

static void send_some(int fd, const uint8_t *data, size_t n, int pass)
{
        char control[CMSG_SPACE(sizeof(int))] = {};
        struct iovec iov = { (void *)data, n };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n == 0)
                return;
        if (pass >= 0) {
                struct cmsghdr *header;

                m.msg_control = control;
                m.msg_controllen = sizeof(control);
                header = CMSG_FIRSTHDR(&m);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(header), &pass, sizeof(pass));
        }
        CHECK(sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)n);
}

#define REFUSED "org.vfiobroker1.Error.DeviceTaken"

/* True where fds came: the answer. With `wait`, false for a refusal. */
static bool read_some(int fd, bool wait)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int) * 8)];
                struct cmsghdr align;
        } control;
        char data[16384]; /* no message of these is cut in two */
        bool came = false, refused = false;
        ssize_t k;

        do {
                struct iovec iov = { data, sizeof(data) };
                struct msghdr m = { .msg_iov = &iov,
                                    .msg_iovlen = 1,
                                    .msg_control = &control,
                                    .msg_controllen = sizeof(control) };

                k = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
                refused = wait && k > 0 && memmem(data, (size_t)k, REFUSED, strlen(REFUSED));
                for (struct cmsghdr *header = k > 0 ? CMSG_FIRSTHDR(&m) : NULL; header;
                     header = CMSG_NXTHDR(&m, header))
                        for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                                int passed;

                                memcpy(&passed, CMSG_DATA(header) + i * sizeof(int), sizeof(passed));
                                (void)close(passed);
                                came = true;
                        }
        } while (k > 0 && !came && !refused);
        CHECK(k != 0 || !wait);
        return came;
}

/* As a client has to: what comes after the greeting waits for its answer, since fds would be lost before. */
static void send_call(int fd, const Stream *stream, int pass)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };

        send_some(fd, stream->data, stream->greeting, -EBADF);
        CHECK(poll(&p, 1, (int)(PATIENCE_USEC / USEC_PER_MSEC)) == 1);
        (void)read_some(fd, false);
        send_some(fd, stream->data + stream->greeting, stream->call - stream->greeting, -EBADF);
        send_some(fd, stream->data + stream->call, stream->n - stream->call, pass);
}

/* In one of eight. */
static bool cut_short(Racer *racer, int fd, const Stream *stream, int pass)
{
        size_t n;

        if (up_to(racer, 7) != 0)
                return false;
        n = up_to(racer, stream->n - 1);
        if (n <= stream->call)
                send_some(fd, stream->data, n, -EBADF);
        else {
                Stream part = *stream;

                part.n = n;
                send_call(fd, &part, pass);
        }
        racer->cuts[n < stream->greeting ? IN_GREETING : n < stream->call ? IN_HELLO : IN_CALL]++;
        return true;
}

/* From nothing to a little more than all of it. */
static uint64_t delay(Racer *racer, Way way)
{
        return up_to(racer, racer->whole_usec[way] * 5 / 4);
}

static void race_connection(Racer *racer, Way way, const Stream *stream)
{
        int fd = way == SESSION_CLOSED ? open_session(racer) : open_bus(racer->c->fixture);

        if (!cut_short(racer, fd, stream, -EBADF)) {
                bool reads = up_to(racer, 1);

                send_call(fd, stream, -EBADF);
                pass_time(delay(racer, way));
                racer->cuts[reads && read_some(fd, false) ? AFTER_ANSWER : AFTER_CALL]++;
        }
        (void)close(fd);
}

static pid_t start_child(void)
{
        pid_t parent = getpid(), pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(1);
        }
        return pid;
}

static void end_child(pid_t pid)
{
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static void race_caller(Racer *racer, const Stream *stream)
{
        static volatile int *sent;
        uint64_t killed_after = delay(racer, CALLER_KILLED), closed_after = delay(racer, CALLER_KILLED);
        bool closes = up_to(racer, 1);
        pid_t pid;

        if (!sent) {
                void *page =
                        mmap(NULL, sizeof(*sent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

                CHECK(page != MAP_FAILED);
                sent = page;
        }
        *sent = 0;
        pid = start_child();
        if (pid == 0) {
                int fd = open_bus(racer->c->fixture);

                send_call(fd, stream, -EBADF);
                *sent = 1;
                if (closes) {
                        pass_time(closed_after);
                        (void)close(fd);
                }
                for (;;)
                        (void)pause();
        }
        while (!*sent)
                pass_time(20);
        pass_time(killed_after);
        end_child(pid);
        racer->cuts[AFTER_CALL]++;
}

static void race_target(Racer *racer, const Stream *stream)
{
        int fd = open_bus(racer->c->fixture), pidfd;
        pid_t pid = start_child();

        if (pid == 0)
                for (;;)
                        (void)pause();
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        CHECK(pidfd >= 0);
        if (!cut_short(racer, fd, stream, pidfd)) {
                send_call(fd, stream, pidfd);
                pass_time(delay(racer, TARGET_KILLED));
                racer->cuts[read_some(fd, false) ? AFTER_ANSWER : AFTER_CALL]++;
        }
        end_child(pid);
        (void)close(pidfd);
        pass_time(up_to(racer, 1) * delay(racer, TARGET_KILLED)); /* the caller may wait for the answer */
        (void)close(fd);
}

static void race(Racer *racer)
{
        Way way = (Way)up_to(racer, _WAY_MAX - 1);
        const Stream *stream = &racer->streams[way][racer->n++ % N_DEVICES];

        if (way == CALLER_KILLED)
                race_caller(racer, stream);
        else if (way == TARGET_KILLED)
                race_target(racer, stream);
        else
                race_connection(racer, way, stream);
}

/* The median of what an Acquire takes from its last byte to its answer. */
static uint64_t measure(Racer *racer, Way way)
{
        uint64_t usec[7];

        for (size_t i = 0; i < ELEMENTSOF(usec); i++) {
                uint64_t began;
                bool came;

                do {
                        int fd = way == SESSION_CLOSED ? open_session(racer) : open_bus(racer->c->fixture);

                        send_call(fd, &racer->streams[way][i], -EBADF);
                        began = now_usec();
                        came = read_some(fd, true);
                        usec[i] = now_usec() - began;
                        (void)close(fd);
                } while (!came); /* its last race is not over */
                racer->n_measured++;
                for (size_t k = i; k > 0 && usec[k] < usec[k - 1]; k--) {
                        uint64_t other = usec[k];

                        usec[k] = usec[k - 1];
                        usec[k - 1] = other;
                }
        }
        return usec[ELEMENTSOF(usec) / 2];
}

/* Again and again, since it is another time when others work on the machine. */
static void measure_all(Racer *racer)
{
        racer->whole_usec[BUS_CLOSED] = measure(racer, BUS_CLOSED);
        racer->whole_usec[SESSION_CLOSED] = measure(racer, SESSION_CLOSED);
        racer->whole_usec[CALLER_KILLED] = racer->whole_usec[TARGET_KILLED] = racer->whole_usec[BUS_CLOSED];
}

typedef struct Plan {
        unsigned n;
        uint64_t seed;
} Plan;

static void races(Client *c, const void *arg)
{
        const Plan *plan = arg;
        Racer *racer = calloc(1, sizeof(*racer));
        char word[64];

        CHECK(racer && prctl(PR_SET_TIMERSLACK, 1UL) == 0);
        racer->c = c;
        racer->random = plan->seed;
        record_all(racer);
        measure_all(racer);
        (void)snprintf(word, sizeof(word), "%" PRIu64 " %" PRIu64, racer->whole_usec[BUS_CLOSED],
                       racer->whole_usec[SESSION_CLOSED]);
        client_say(c, word);
        client_hear(c, word);
        racer->n_measured = 0;
        for (unsigned done = 0; done < plan->n; client_hear(c, word)) {
                unsigned end = done + BATCH < plan->n ? done + BATCH : plan->n;

                for (; done < end; done++) {
                        if (done % 100 == 99)
                                measure_all(racer);
                        race(racer);
                }
                (void)snprintf(word, sizeof(word), "%u", done);
                client_say(c, word);
        }
        (void)snprintf(word, sizeof(word), "%u %u %u %u %u %u", racer->cuts[0], racer->cuts[1],
                       racer->cuts[2], racer->cuts[3], racer->cuts[4], racer->n_measured);
        client_say(c, word);
        free(racer);
}

/* --- the test --- */

static void assert_as_before(Fixture *f, unsigned fds)
{
        static const char *const none[] = { "leases", "jobs", "watches", "sessions", "raised" };

        broker_await(f, "callers", "1"); /* the racer's own */
        for (size_t i = 0; i < ELEMENTSOF(none); i++)
                broker_await(f, none[i], "0");
        assert_int_equal(broker_count(f, "fds"), fds);
        for (unsigned i = 0; i < N_DEVICES; i++) {
                assert_string_equal(broker_tell(f, "state " DEVICE, i), "host");
                assert_string_equal(broker_tell(f, "driver " DEVICE, i), "igb");
                assert_string_equal(broker_tell(f, "override " DEVICE, i), "");
        }
}

/* Proves: 10^5 of these (RACES_COUNT) leave nothing behind, and every phase was hit. */
static void test_races(void **state)
{
        Fixture *f = *state;
        Plan plan = { (unsigned)number_from_environment("RACES_COUNT", 2000),
                      number_from_environment("RACES_SEED", 1) };
        unsigned cuts[_CUT_MAX], n_leases, n_granted, n_measured, fds;
        char word[64];
        Peer peer;

        fixture_policy(f, "[broker]\nrate = 1000000/1s\n"
                          "[tenant blue]\nmatch-user = 1\ndevices = pci:0000:11:*\n"
                          "memlock-default = 64M\non-release = restore\n");
        fixture_reload(f);
        for (unsigned i = 0; i < N_DEVICES; i++)
                (void)broker_tell(f, "add " DEVICE " %u igb", i, 40 + i);
        (void)broker_tell(f, "job-usec " JOB_USEC);
        peer = peer_ready(f, UID_BLUE, races, &plan, word);
        print_message("an Acquire takes, on the bus and on a session: %s us\n", word);
        broker_await(f, "leases", "0");
        broker_await(f, "sessions", "0");
        broker_await(f, "callers", "1");
        fds = broker_count(f, "fds");
        (void)broker_tell(f, "phases");

        for (unsigned done = 0; done < plan.n;) {
                peer_say(&peer, "go");
                peer_hear(&peer, word);
                done = (unsigned)strtoul(word, NULL, 10);
                assert_as_before(f, fds);
        }
        peer_say(&peer, "enough");
        peer_hear(&peer, word);
        assert_int_equal(
                sscanf(word, "%u %u %u %u %u %u", cuts, cuts + 1, cuts + 2, cuts + 3, cuts + 4, &n_measured),
                6);
        peer_end(&peer);

        assert_int_equal(sscanf(broker_tell(f, "phases"), "%u %u", &n_leases, &n_granted), 2);
        n_leases -= n_measured;
        n_granted -= n_measured;
        print_message("seed %" PRIu64
                      ", %u callers gone: in the greeting %u, in Hello %u, in the call %u, before the lease "
                      "%u, while it opened %u, granted and not read %u, with the answer %u\n",
                      plan.seed, plan.n, cuts[IN_GREETING], cuts[IN_HELLO], cuts[IN_CALL],
                      cuts[AFTER_CALL] + cuts[AFTER_ANSWER] - n_leases, n_leases - n_granted,
                      n_granted - cuts[AFTER_ANSWER], cuts[AFTER_ANSWER]);
        assert_true(cuts[IN_GREETING] > 0 && cuts[IN_HELLO] > 0 && cuts[IN_CALL] > 0 &&
                    cuts[AFTER_ANSWER] > 0);
        assert_true(cuts[AFTER_CALL] + cuts[AFTER_ANSWER] > n_leases && n_leases > n_granted &&
                    n_granted > cuts[AFTER_ANSWER]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_races, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
