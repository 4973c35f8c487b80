/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant races N SEED DEVICE...: N callers that go while they are served. Each is a process that asks for one of the devices
 * and, at a random moment between the call and a little after the answer, is killed, execs with its connection, or closes the
 * connection and lives on for a while; some are killed while the call is only half written. Prints what the callers saw: how many had
 * their answer, and how long an Acquire takes that nobody disturbs. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "tenant.h"
#include "vfio-client.h"

/* Shared with the child. */
typedef struct Progress {
        volatile int asked, answered;
} Progress;

static uint64_t state;

static uint64_t up_to(uint64_t bound)
{
        uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (z ^ (z >> 31)) % (bound + 1);
}

static void pass_time(uint64_t nsec)
{
        struct timespec ts = { (time_t)(nsec / 1000000000), (long)(nsec % 1000000000) };

        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        (void)error;
        *(volatile int *)userdata = sd_bus_message_is_method_error(m, NULL) > 0 ? -1 : 1;
        return 0;
}

/* Asks on a connection of its own, for as long as the connection lives where `connection`. */
static sd_bus *ask(const char *device, bool connection, Progress *progress)
{
        sd_bus_message *m = NULL;
        sd_bus *bus = NULL;
        const char *name;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_get_unique_name(bus, &name);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &m, "org.vfiobroker1", "/org/vfiobroker1",
                                                   "org.vfiobroker1.Manager", "Acquire");
        if (r >= 0)
                r = sd_bus_message_append(m, "asa{sv}", 1, device, 2, "lifetime", "s",
                                          connection ? "connection" : "process", "wait", "t",
                                          UINT64_C(60000000));
        if (r >= 0)
                r = sd_bus_call_async(bus, NULL, m, on_answer, (void *)&progress->answered, 0);
        if (r >= 0)
                r = sd_bus_flush(bus);
        if (r < 0)
                die(-r, "ask");
        sd_bus_message_unref(m);
        progress->asked = 1;
        return bus;
}

static void serve(sd_bus *bus, const Progress *progress, uint64_t until)
{
        while (progress->answered == 0 || until > 0) {
                uint64_t now = now_nsec();

                if (until > 0 && now >= until)
                        return;
                if (sd_bus_process(bus, NULL) == 0)
                        (void)sd_bus_wait(bus, until > 0 ? (until - now) / 1000 : UINT64_MAX);
        }
}

enum { KILLED, CLOSES, EXECS, READS, N_WAYS };

static void be_caller(const char *device, unsigned way, uint64_t after, Progress *progress)
{
        sd_bus *bus;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        bus = ask(device, way != KILLED, progress);
        if (way == READS)
                serve(bus, progress, 0);
        if (way == CLOSES || way == EXECS)
                pass_time(after);
        if (way == CLOSES)
                (void)sd_bus_close_unref(bus);
        if (way == EXECS)
                (void)execl("/bin/sleep", "sleep", "1000", NULL); /* the connection closes with it */
        for (;;)
                (void)pause();
}

static void race(const char *device, uint64_t whole, Progress *progress, unsigned *n_answered)
{
        unsigned way = (unsigned)up_to(N_WAYS - 1);
        uint64_t after = up_to(whole * 5 / 4), lives = up_to(whole * 5 / 4);
        bool before = up_to(7) == 0; /* it has asked: in the greeting, in Hello, in the call */
        pid_t pid;

        *progress = (Progress){ 0, 0 };
        pid = fork();
        if (pid < 0)
                die(errno, "fork");
        if (pid == 0)
                be_caller(device, way, after, progress);
        while (!before && !progress->asked)
                pass_time(100000);
        pass_time(lives);
        if (kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) != pid)
                die(errno, "end a caller");
        *n_answered += progress->answered > 0;
}

int tenant_races(int argc, char **argv)
{
        unsigned n = (unsigned)number(argv[1]), n_devices = (unsigned)argc - 3, n_answered = 0;
        Progress *progress =
                mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        uint64_t whole = UINT64_MAX;

        if (progress == MAP_FAILED)
                die(errno, "map memory");
        state = number(argv[2]);
        (void)prctl(PR_SET_TIMERSLACK, 1UL);
        for (unsigned i = 0; i < 3; i++) {
                uint64_t began, took;
                sd_bus *bus;

                *progress = (Progress){ 0, 0 };
                began = now_nsec();
                bus = ask(argv[3 + i % n_devices], true, progress);
                serve(bus, progress, 0);
                took = now_nsec() - began;
                whole = took < whole ? took : whole;
                if (progress->answered < 0)
                        die(0, "an Acquire that nobody disturbs is refused");
                (void)sd_bus_flush_close_unref(bus);
        }
        for (unsigned i = 0; i < n; i++)
                race(argv[3 + i % n_devices], whole, progress, &n_answered);
        ok("%u callers gone, %u of them with their answer; an Acquire takes %llu us", n, n_answered,
           (unsigned long long)whole / 1000);
        return EXIT_SUCCESS;
}
