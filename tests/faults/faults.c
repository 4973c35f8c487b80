/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* faults [OPTION…] DEVICE: has each system call that the daemon or a worker makes in an operation fail, with one errno after
 * the other, and looks each time whether the answer is one that the interface has, and whether everything is as it was
 * after the same operation without a fault. Root in a lab machine, with a drop-in that starts the daemon by faults-exec
 * (tests/lab/scenarios/faults). Prints the table: operation, whose call, which, errno, what became of it how often. The last
 * line is a sum; the exit status 1 where one case did not end well, each of which is told in a line of its own.
 *
 *   --each N       of the calls of one kind only N for each errno, spread over them, and other ones for another errno
 *   --sample N     one case of N, spread over operations, calls and errnos (default: all)
 *   --from K       beginning with the K-th
 *   --seconds S    no new case of an operation after so many seconds of it
 *   --operation O  only this one
 *   --call NAME    only these calls
 *   --host FOLDER  not in the lab: tests/faults/on-host runs the daemon's core, bus layer and store on a fake machine, there */

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "policy/util.h"
#include "tests/faults/oracle.h"

#define ROWS_MAX   4096
#define START_USEC (60 * USEC_PER_SEC)

static const struct {
        int error;
        const char *name;
} errors[] = { { EIO, "EIO" },       { ENOMEM, "ENOMEM" }, { EMFILE, "EMFILE" },
               { ENOSPC, "ENOSPC" }, { EINTR, "EINTR" },   { EAGAIN, "EAGAIN" } };

static const struct rlimit usual_limit = { 1 << 20, 1 << 20 }; /* of locked memory, bytes */

/* What came of cases of one kind. */
typedef struct Row {
        char operation[16], call[80], error[8], outcome[128];
        unsigned n;
} Row;

typedef struct Run {
        Stage stage;
        char idle[1024], held[1024], last[256]; /* what the oracle says when all is well */
        Row rows[ROWS_MAX];
        size_t n_rows;
        unsigned n_cases, n_bad, n_missed;
        unsigned each, sample, from, seconds;
        const char *only, *call, *host;
        char socket[128],
                exits[128]; /* of exits a line for each end of the daemon: exited|killed|dumped STATUS */
        pid_t child;
        int child_pipe;
} Run;

typedef struct Operation {
        const char *name;
        bool start;                   /* the window begins with the daemon's own code */
        bool holds;                   /* a lease is there before and after */
        void (*prepare)(Run *run);    /* without a fault */
        const char *(*act)(Run *run); /* "" or the error's name */
        bool settles;                 /* and then the device comes back */
} Operation;

static uint64_t now_usec(void)
{
        struct timespec ts = {};

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

/* --- the operations ------------------------------------------------------------------------------------------------- */

static void must(Run *run, const char *what, const char *error)
{
        if (!streq(error, "")) {
                (void)fprintf(stderr, "faults: %s without a fault: %s (after %s)\n", what, run->stage.error,
                              run->last);
                exit(EXIT_FAILURE);
        }
}

static void nothing(Run *run)
{
}

static void take(Run *run)
{
        must(run, "Acquire", stage_acquire(&run->stage, run->stage.bus));
}

static const char *acquire(Run *run)
{
        return stage_acquire(&run->stage, run->stage.bus);
}

static const char *release(Run *run)
{
        return stage_call(&run->stage, run->stage.lease, BROKER ".Lease", "Release", NULL);
}

/* A process that takes the device and waits for its end. */
static void let_child_take(Run *run)
{
        int pipes[2];
        char word = 0;

        if (pipe(pipes) < 0)
                die("pipe", errno);
        run->child = fork();
        if (run->child < 0)
                die("fork", errno);
        if (run->child == 0) {
                sd_bus *bus = NULL;
                bool ok = sd_bus_open_system(&bus) >= 0 && streq(stage_acquire(&run->stage, bus), "");

                if (!ok)
                        (void)fprintf(stderr, "faults: the child: %s\n", run->stage.error);
                if (write(pipes[1], ok ? "y" : "n", 1) != 1)
                        _exit(1);
                for (;;)
                        (void)pause();
        }
        (void)close(pipes[1]);
        if (read(pipes[0], &word, 1) != 1 || word != 'y')
                die("a child's Acquire without a fault", EIO);
        (void)close(pipes[0]);
}

static const char *kill_child(Run *run)
{
        (void)kill(run->child, SIGKILL);
        (void)waitpid(run->child, NULL, 0);
        return "";
}

static const char *reload(Run *run)
{
        return stage_call(&run->stage, ROOT, BROKER ".Manager", "Reload", NULL);
}

/* The bus starts it where it has just failed, and systemd where it has not answered (TimeoutStartSec=). */
static bool await_daemon(Run *run)
{
        uint64_t end = now_usec() + START_USEC;

        while (!streq(stage_call(&run->stage, ROOT, "org.freedesktop.DBus.Peer", "Ping", NULL), "")) {
                if (now_usec() >= end)
                        return false;
                (void)poll(NULL, 0, 10);
        }
        return true;
}

static const char *restart(Run *run)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        unsigned before = inject_starts(run->stage.inject);
        uint64_t end = now_usec() + START_USEC;

        if (run->host) {
                if (inject_pid(run->stage.inject) > 0)
                        (void)kill(inject_pid(run->stage.inject), SIGTERM);
        } else if (sd_bus_call_method(run->stage.bus, "org.freedesktop.systemd1",
                                      "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                      "RestartUnit", &error, NULL, "ss", "vfiobrokerd.service",
                                      "replace") < 0)
                return "no restart";
        while (inject_starts(run->stage.inject) == before && now_usec() < end)
                (void)poll(NULL, 0, 2);
        return await_daemon(run) ? "" : "does not come back";
}

static const Operation operations[] = {
        { "Acquire", false, false, nothing, acquire, false },
        { "Release", false, false, take, release, true },
        { "reclaim", false, false, let_child_take, kill_child, true },
        { "Reload", false, false, nothing, reload, false },
        { "restart", true, true, nothing, restart, false },
};

/* --- one case ------------------------------------------------------------------------------------------------------- */

/* The names that the interface has (org.vfiobroker1(5)); where it is the answer that could not be sent, any errno's. */
static bool documented(const char *error, const Call *call)
{
        static const char *const standard[] = { "InvalidArgs", "AccessDenied", "NoMemory", "LimitsExceeded",
                                                "Failed" };

        if (strncmp(error, "org.vfiobroker1.Error.", 22) == 0)
                return true;
        for (size_t i = 0; i < ELEMENTSOF(standard); i++)
                if (strncmp(error, "org.freedesktop.DBus.Error.", 27) == 0 && streq(error + 27, standard[i]))
                        return true;
        return !call->worker && streq(call->name, "sendmsg") &&
               (strncmp(error, "System.Error.", 13) == 0 ||
                streq(error, "org.freedesktop.DBus.Error.IOError"));
}

/* What ends the daemon, and by that has it started again: its connection to the bus, its loop, and at a start anything that
 * it has to know (vfiobrokerd(8)). */
static bool may_restart(const Operation *operation, const Call *call)
{
        static const char *const names[] = { "epoll_wait", "epoll_ctl", "recvmsg", "sendmsg",
                                             "timerfd_settime" };

        if (operation->start)
                return true;
        if (streq(call->name, "read") && (streq(call->what, "timerfd") || streq(call->what, "signalfd")))
                return !call->worker;
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (!call->worker && streq(call->name, names[i]))
                        return true;
        return false;
}

/* libnss_systemd has a loop of its own, which waits for nothing where one of these fails in it, the second only if its other side
 * has answered by then (version 252); systemd ends such a start. */
static bool may_be_killed(const Operation *operation, const Call *call)
{
        return operation->start && (streq(call->name, "epoll_ctl") || streq(call->name, "recvfrom"));
}

static void read_exits(const Run *run, char *ret, size_t size)
{
        FILE *f = fopen(run->exits, "re");
        size_t n = f ? fread(ret, 1, size - 1, f) : 0;

        ret[n] = 0;
        if (f)
                (void)fclose(f);
        for (char *c = ret; *c; c++)
                if (*c == '\n')
                        *c = ' ';
        (void)unlink(run->exits);
}

static void count(Run *run, const char *operation, const char *call, const char *error, const char *outcome)
{
        Row *row = NULL;

        for (size_t i = 0; i < run->n_rows && !row; i++)
                if (streq(run->rows[i].operation, operation) && streq(run->rows[i].call, call) &&
                    streq(run->rows[i].error, error) && streq(run->rows[i].outcome, outcome))
                        row = run->rows + i;
        if (!row) {
                if (run->n_rows == ROWS_MAX)
                        return;
                row = run->rows + run->n_rows++;
                (void)snprintf(row->operation, sizeof(row->operation), "%s", operation);
                (void)snprintf(row->call, sizeof(row->call), "%s", call);
                (void)snprintf(row->error, sizeof(row->error), "%s", error);
                (void)snprintf(row->outcome, sizeof(row->outcome), "%s", outcome);
        }
        row->n++;
}

static const char *last_part(const char *name)
{
        const char *dot = strrchr(name, '.');

        return dot ? dot + 1 : name;
}

/* Everything as it was, by the way that an operator has. Returns what was wrong, "" for nothing. */
static const char *mend(Run *run, const Operation *operation, bool refused, bool restarted)
{
        static char wrong[2 * sizeof(run->idle) + 64];
        Stage *s = &run->stage;
        char state[32];
        int active = 0;

        wrong[0] = 0;
        if (!operation->holds)
                active = stage_release_all(s);
        if (operation->settles && !refused && !restarted && active > 0)
                (void)snprintf(wrong, sizeof(wrong), "a lease is left");
        if (!operation->settles && !operation->holds && refused && !restarted && active > 0)
                (void)snprintf(wrong, sizeof(wrong), "refused, and there is a lease");
        if (!operation->holds) {
                stage_settle(s, PATIENCE_USEC, state);
                if (streq(state, "quarantined")) {
                        const char *error =
                                stage_call(s, ROOT, BROKER ".Manager", "ResetDevice", "s", s->device);

                        if (!streq(error, ""))
                                (void)snprintf(wrong, sizeof(wrong), "ResetDevice: %s", s->error);
                        stage_settle(s, PATIENCE_USEC, state);
                }
                /* It was leased from no driver; where it did not get that back, it is for an operator to do. */
                if ((!streq(state, s->idle) && streq(state, "available")) || stage_not_put_back(s))
                        (void)stage_call(s, ROOT, BROKER ".Manager", "UnbindDevice", "s", s->device);
        }
        if (wrong[0] == 0 && !oracle_await(s, operation->holds ? run->held : run->idle))
                (void)snprintf(wrong, sizeof(wrong), "is: %s; was: %s", s->text,
                               operation->holds ? run->held : run->idle);
        /* And again, without a fault. Where the next case begins with a lease, that is it. */
        if (wrong[0] == 0 && !operation->holds && !operation->settles) {
                if (!streq(operation->act(run), ""))
                        (void)snprintf(wrong, sizeof(wrong), "again without a fault: %s", s->error);
                if (stage_release_all(s) > 0)
                        stage_settle(s, PATIENCE_USEC, state);
                if (wrong[0] == 0 && !oracle_await(s, run->idle))
                        (void)snprintf(wrong, sizeof(wrong), "again without a fault is: %s; was: %s",
                                       s->text, run->idle);
        }
        return wrong;
}

static void one_case(Run *run, const Operation *operation, const Call *call, unsigned nth, size_t e)
{
        Stage *s = &run->stage;
        unsigned starts = inject_starts(s->inject);
        char which[256], what[80], exits[256], state[32] = "", outcome[128], error[128], text[256];
        uint64_t began, took;
        const char *wrong;
        bool hit, restarted, not_put_back;

        operation->prepare(run);
        inject_begin(s->inject, call, nth, errors[e].error, operation->start);
        began = now_usec();
        (void)snprintf(error, sizeof(error), "%s", operation->act(run));
        memcpy(text, s->error, sizeof(text));
        if (operation->settles && streq(error, ""))
                stage_settle(s, 3 * USEC_PER_SEC, state);
        /* What it does after its answer belongs to it; and where it has ended, the next one is to be there. */
        if (!operation->start && !await_daemon(run))
                (void)fprintf(stderr, "faults: the daemon does not answer\n");
        hit = inject_end(s->inject, which);
        took = now_usec() - began;
        restarted = inject_starts(s->inject) - starts > (operation->start ? 1 : 0);

        not_put_back = operation->settles && stage_not_put_back(s);
        wrong = mend(run, operation, !streq(error, ""), restarted);
        read_exits(run, exits, sizeof(exits));
        if (!hit) {
                run->n_missed++;
                if (wrong[0] == 0)
                        return;
        }
        (void)snprintf(outcome, sizeof(outcome), "%s",
                       restarted                            ? "restarts"
                       : !streq(error, "")                  ? last_part(error)
                       : streq(state, "quarantined")        ? "quarantined"
                       : not_put_back                       ? "not put back"
                       : state[0] && !streq(state, s->idle) ? state
                                                            : "done");
        if (wrong[0] == 0 && strstr(exits, "killed") && !may_be_killed(operation, call))
                wrong = "the daemon was killed";
        if (wrong[0] == 0 && strstr(exits, "dumped"))
                wrong = "the daemon crashed";
        if (wrong[0] == 0 && restarted && !may_restart(operation, call))
                wrong = "nothing that the daemon may end by";
        if (wrong[0] == 0 && !restarted && !streq(error, "") && !documented(error, call))
                wrong = "an error that the interface does not have";
        (void)snprintf(what, sizeof(what), "%s %s%s%s", call->worker ? "worker" : "daemon", call->name,
                       call->what[0] ? " " : "", call->what);
        run->n_cases++;
        (void)snprintf(run->last, sizeof(run->last), "%s: %.200s", operation->name, which);
        count(run, operation->name, what, errors[e].name, wrong[0] ? "WRONG" : outcome);
        if (wrong[0] || run->call || took > 8 * USEC_PER_SEC)
                (void)printf("# %s%s: %s, %s: %s %s[%s] %s (%llu ms)\n", wrong[0] ? "WRONG " : "",
                             operation->name, which, errors[e].name, outcome, error[0] ? text : "", exits,
                             wrong, (unsigned long long)took / 1000);
        if (wrong[0]) {
                run->n_bad++;
                /* The next case is to begin well. */
                (void)setrlimit(RLIMIT_MEMLOCK, &usual_limit);
                (void)restart(run);
                (void)stage_release_all(s);
                stage_settle(s, PATIENCE_USEC, state);
                if (operation->holds)
                        take(run);
                (void)unlink(run->exits);
        }
        (void)fflush(stdout);
}

/* --- all of them ---------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
        const Call *x = a, *y = b;
        int r = (int)x->worker - (int)y->worker;

        r = r ? r : strcmp(x->name, y->name);
        return r ? r : strcmp(x->what, y->what);
}

/* From one case to the next: 1 for all of them, else the first number past the golden section of `n` that meets each of them
 * once. */
static unsigned stride(const Run *run, unsigned n)
{
        unsigned step = (unsigned)(n * 0.618), a, b;

        if (run->sample == 1 && run->seconds == 0)
                return 1;
        do
                for (a = ++step, b = n; b > 0;) {
                        unsigned rest = a % b;

                        a = b;
                        b = rest;
                }
        while (a != 1);
        return step;
}

/* How many calls of a kind are to fail, and which is the one after `before` of them. */
static unsigned n_tried(const Run *run, const Call *call)
{
        return run->each == 0 || run->each > call->n ? call->n : run->each;
}

static unsigned which_call(const Run *run, const Call *call, unsigned before, size_t e)
{
        unsigned n = n_tried(run, call);

        return 1 + (before * call->n + (unsigned)e * call->n / (unsigned)ELEMENTSOF(errors)) / n % call->n;
}

static void run_operation(Run *run, const Operation *operation)
{
        static Call calls[CALLS_MAX];
        uint64_t began, usual = 0;
        unsigned n_calls = 0, n_all = 0, n_before = run->n_cases;
        char which[256], state[32];
        const Call *seen;
        size_t n;

        if (operation->holds)
                take(run);
        /* Twice, so that what stays from the first time is there. */
        for (int i = 0; i < 2; i++) {
                operation->prepare(run);
                began = now_usec();
                inject_begin(run->stage.inject, NULL, 0, 0, operation->start);
                must(run, operation->name, operation->act(run));
                if (operation->settles)
                        stage_settle(&run->stage, PATIENCE_USEC, state);
                (void)await_daemon(run);
                (void)inject_end(run->stage.inject, which);
                usual = now_usec() - began;
                if (!operation->holds) {
                        (void)stage_release_all(&run->stage);
                        stage_settle(&run->stage, PATIENCE_USEC, state);
                }
        }
        seen = inject_calls(run->stage.inject, &n);
        memcpy(calls, seen, n * sizeof(calls[0]));
        qsort(calls, n, sizeof(calls[0]), by_name);
        (void)unlink(run->exits);
        if (operation->holds) {
                (void)poll(NULL, 0, 300);
                oracle_look(&run->stage);
                memcpy(run->held, run->stage.text, sizeof(run->held));
                run->stage.files_max = run->stage.files + 2;
                (void)printf("# held: %s, %u files\n", run->held, run->stage.files);
        } else if (!oracle_await(&run->stage, run->idle)) {
                (void)printf("# %s without a fault is: %s; was: %s\n", operation->name, run->stage.text,
                             run->idle);
                run->n_bad++;
        }

        (void)printf("# %s: %llu ms without a fault\n", operation->name, (unsigned long long)usual / 1000);
        for (size_t i = 0; i < n && getenv("FAULTS_SHOW"); i++)
                (void)printf("#   %s %s %s: %u\n", calls[i].worker ? "worker" : "daemon", calls[i].name,
                             calls[i].what, calls[i].n);
        (void)fflush(stdout);
        began = now_usec();
        for (size_t i = 0; i < n; i++) {
                n_calls += calls[i].n;
                n_all += n_tried(run, calls + i) * (unsigned)ELEMENTSOF(errors);
        }
        /* Some of them are spread over all, so that those for which there is time are. */
        for (unsigned i = 0, at = run->from; i < n_all / run->sample; i++, at += stride(run, n_all)) {
                unsigned k = at % n_all, before;
                size_t e = k % ELEMENTSOF(errors);
                const Call *call = calls;

                for (before = k / ELEMENTSOF(errors); before >= n_tried(run, call); call++)
                        before -= n_tried(run, call);
                if ((!run->call || streq(run->call, call->name)) &&
                    (run->seconds == 0 || now_usec() - began < run->seconds * USEC_PER_SEC))
                        one_case(run, operation, call, which_call(run, call, before, e), e);
        }
        (void)printf("# %s: %u calls of %zu kinds, %u cases, %llu s\n", operation->name, n_calls, n,
                     run->n_cases - n_before, (unsigned long long)(now_usec() - began) / USEC_PER_SEC);
        (void)fflush(stdout);
        if (operation->holds) {
                (void)stage_release_all(&run->stage);
                stage_settle(&run->stage, PATIENCE_USEC, state);
        }
}

/* Where it is the host's, it ends at last by itself, and a sanitizer has its say. */
static void end_daemon(Run *run)
{
        uint64_t end = now_usec() + PATIENCE_USEC;
        char path[128], exits[256];
        struct stat st;
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/orders", run->host);
        f = fopen(path, "we");
        if (!f || fputs("exit\n", f) < 0 || fclose(f) != 0)
                die(path, errno);
        while ((stat(run->exits, &st) < 0 || st.st_size == 0) && now_usec() < end)
                (void)poll(NULL, 0, 10);
        read_exits(run, exits, sizeof(exits));
        if (!streq(exits, "exited 0 ")) {
                (void)printf("# WRONG: the daemon's end: %s\n", exits);
                run->n_bad++;
        }
}

/* One line for each operation and call: what came of which errno. */
static void print_table(const Run *run)
{
        (void)printf("| operation | call | what became of it, by errno |\n|---|---|---|\n");
        for (size_t i = 0; i < run->n_rows; i++) {
                const Row *first = run->rows + i;
                bool before = false;

                for (size_t k = 0; k < i && !before; k++)
                        before = streq(run->rows[k].operation, first->operation) &&
                                 streq(run->rows[k].call, first->call);
                if (before)
                        continue;
                (void)printf("| %s | %s |", first->operation, first->call);
                for (size_t e = 0; e < ELEMENTSOF(errors); e++) {
                        const char *comma = "";
                        bool any = false;

                        for (size_t k = i; k < run->n_rows; k++) {
                                const Row *row = run->rows + k;

                                if (!streq(row->operation, first->operation) ||
                                    !streq(row->call, first->call) || !streq(row->error, errors[e].name))
                                        continue;
                                (void)printf("%s %s", any ? comma : " ", any ? "" : errors[e].name);
                                (void)printf("%s%s", any ? "" : " ", row->outcome);
                                if (row->n > 1)
                                        (void)printf("×%u", row->n);
                                any = true;
                                comma = ",";
                        }
                        if (any)
                                (void)printf(";");
                }
                (void)printf(" |\n");
        }
}

int main(int argc, char *argv[])
{
        static const struct option options[] = {
                { "each", required_argument, NULL, 'e' },      { "sample", required_argument, NULL, 'n' },
                { "from", required_argument, NULL, 'k' },      { "seconds", required_argument, NULL, 's' },
                { "operation", required_argument, NULL, 'o' }, { "call", required_argument, NULL, 'c' },
                { "host", required_argument, NULL, 'h' },      {}
        };
        static Run run = { .sample = 1 };
        Stage *s = &run.stage;
        char state[32];
        int c, r;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
                switch (c) {
                case 'e': run.each = (unsigned)strtoul(optarg, NULL, 10); break;
                case 'n': run.sample = (unsigned)strtoul(optarg, NULL, 10); break;
                case 'k': run.from = (unsigned)strtoul(optarg, NULL, 10); break;
                case 's': run.seconds = (unsigned)strtoul(optarg, NULL, 10); break;
                case 'o': run.only = optarg; break;
                case 'c': run.call = optarg; break;
                case 'h': run.host = optarg; break;
                default: return 2;
                }
        if (optind + 1 != argc || run.sample == 0)
                return fputs("usage: faults [OPTION…] DEVICE\n", stderr), 2;
        s->device = argv[optind];
        s->holder = getpid();
        (void)setrlimit(RLIMIT_MEMLOCK, &usual_limit);
        s->folder = "/run/vfiobroker";
        if (run.host)
                s->folder = strdupa(run.host);
        (void)snprintf(run.socket, sizeof(run.socket), "%s/faults.socket", run.host ? run.host : "/run/lab");
        (void)snprintf(run.exits, sizeof(run.exits), "%s/faults.exits", run.host ? run.host : "/run/lab");
        r = inject_new(run.socket, &s->inject);
        if (r < 0)
                die(run.socket, r);
        r = sd_bus_open_system(&s->bus);
        if (r >= 0)
                r = sd_bus_path_encode(ROOT "/device", s->device, &s->path);
        if (r >= 0)
                r = stage_watch(s);
        if (r < 0)
                die("the bus", r);

        must(&run, "start", restart(&run));
        stage_state(s, s->idle);
        for (int i = 0; i < 2; i++) { /* what a first lease leaves is there from now on */
                take(&run);
                (void)stage_release_all(s);
                stage_settle(s, PATIENCE_USEC, state);
        }
        if (!streq(state, s->idle))
                die("the device does not come back", EBUSY);
        (void)poll(NULL, 0, 300);
        oracle_look(s);
        memcpy(run.idle, s->text, sizeof(run.idle));
        s->files_max = s->files + 1;
        (void)printf("# idle: %s, %u files\n", run.idle, s->files);

        for (size_t i = 0; i < ELEMENTSOF(operations); i++)
                if ((!run.only || streq(run.only, operations[i].name)) && !(run.host && operations[i].start))
                        run_operation(&run, operations + i);
        if (run.host)
                end_daemon(&run);
        print_table(&run);
        (void)printf("sum: %u cases, %u wrong, %u calls that did not come again\n", run.n_cases, run.n_bad,
                     run.n_missed);
        inject_free(s->inject);
        sd_bus_flush_close_unref(s->bus);
        free(s->path);
        return run.n_bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
