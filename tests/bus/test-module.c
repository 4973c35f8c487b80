/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/host/module.c with a systemd that is a script, on a bus of its own. That the real one loads a module for the
 * confined daemon is shown in the lab. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

#include "daemon/host/module.h"
#include "daemon/host/worker.h"

typedef struct Stage {
        char dir[64];
        pid_t bus, systemd;
        int told; /* what the systemd did: 's' for each unit that is started, 'r' for each whose job ends */
        bool refuses;
        sd_event *event;
        unsigned n_done;
        char seen[16]; /* of `told`, when done was called */
} Stage;

/* --- the other systemd, in a process of its own --- */

static int on_start_unit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const Stage *stage = userdata;
        sd_bus *bus = sd_bus_message_get_bus(m);
        const char *name, *mode;

        if (sd_bus_message_read(m, "ss", &name, &mode) < 0 || !streq(mode, "replace") ||
            write(stage->told, "s", 1) != 1)
                _exit(EXIT_FAILURE);
        if (stage->refuses)
                return sd_bus_reply_method_errorf(m, "org.freedesktop.systemd1.NoSuchUnit", "no such unit");
        if (!streq(name, "modprobe@no_such_vfio_pci.service") && !streq(name, "modprobe@other_vfio.service"))
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "%s", name);

        /* Another's job ends first. */
        if (sd_bus_reply_method_return(m, "o", name[9] == 'n' ? "/job/7" : "/job/8") < 0 ||
            sd_bus_emit_signal(bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                               "JobRemoved", "uoss", 6, "/job/6", name, "done") < 0 ||
            sd_bus_flush(bus) < 0 || usleep(50000) < 0 || write(stage->told, "r", 1) != 1)
                _exit(EXIT_FAILURE);
        return sd_bus_emit_signal(bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                  "JobRemoved", "uoss", 7, name[9] == 'n' ? "/job/7" : "/job/8", name,
                                  "done");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("StartUnit", "ss", "o", on_start_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void __attribute__((noreturn)) be_systemd(Stage *stage)
{
        sd_bus *bus;

        if (sd_bus_open_system(&bus) < 0 ||
            sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1",
                                     "org.freedesktop.systemd1.Manager", vtable, stage) < 0 ||
            sd_bus_request_name(bus, "org.freedesktop.systemd1", 0) < 0 || write(stage->told, "!", 1) != 1)
                _exit(EXIT_FAILURE);
        for (;;)
                if (sd_bus_process(bus, NULL) == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
                        _exit(EXIT_SUCCESS);
}

/* --- the stage --- */

static void start_bus(Stage *stage)
{
        char address[128], option[160];
        int pair[2];
        char byte;

        (void)snprintf(address, sizeof(address), "unix:path=%s/bus", stage->dir);
        (void)snprintf(option, sizeof(option), "--address=%s", address);
        assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", address, true), 0);
        assert_int_equal(pipe2(pair, 0), 0);
        stage->bus = fork();
        if (stage->bus == 0) {
                (void)dup2(pair[1], STDOUT_FILENO);
                execlp("dbus-daemon", "dbus-daemon", "--session", option, "--nofork", "--nopidfile",
                       "--print-address=1", NULL);
                _exit(EXIT_FAILURE);
        }
        (void)close(pair[1]);
        assert_int_equal(read(pair[0], &byte, 1), 1); /* it listens */
        (void)close(pair[0]);
}

static void start_systemd(Stage *stage)
{
        int pair[2];
        char byte;

        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        stage->systemd = fork();
        if (stage->systemd == 0) {
                stage->told = pair[1];
                be_systemd(stage);
        }
        (void)close(pair[1]);
        stage->told = pair[0];
        assert_int_equal(read(pair[0], &byte, 1), 1);
}

static int setup(void **state)
{
        static Stage stage;

        stage = (Stage){ .dir = "/tmp/test-module.XXXXXX", .told = -EBADF };
        *state = &stage;
        return mkdtemp(stage.dir) && sd_event_new(&stage.event) >= 0 ? 0 : -1;
}

static void end(pid_t pid)
{
        if (pid > 0) {
                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, NULL, 0);
        }
}

static int teardown(void **state)
{
        Stage *stage = *state;
        char path[96];

        end(stage->systemd);
        end(stage->bus);
        stage->told = safe_close(stage->told);
        sd_event_unref(stage->event);
        (void)snprintf(path, sizeof(path), "%s/bus", stage->dir);
        (void)unlink(path);
        return rmdir(stage->dir);
}

static Job make_job(JobKind kind, const char *first, const char *second)
{
        Job job = { .kind = kind, .n_devices = 2 };

        for (size_t i = 0; i < job.n_devices; i++) {
                strcpy(job.devices[i].bus, "pci");
                (void)snprintf(job.devices[i].driver, DRIVER_NAME_MAX, "%s", i == 0 ? first : second);
                job.devices[i].load_module = true;
        }
        return job;
}

static void on_done(void *userdata)
{
        Stage *stage = userdata;
        ssize_t n = read(stage->told, stage->seen, sizeof(stage->seen) - 1);

        stage->seen[n < 0 ? 0 : n] = 0;
        stage->n_done++;
        (void)sd_event_exit(stage->event, 0);
}

static void load(Stage *stage, const Job *job)
{
        ModuleLoad *load;

        assert_true(module_load_wanted(job));
        assert_int_equal(module_load_start(stage->event, job, on_done, stage, &load), 0);
        assert_int_equal(stage->n_done, 0);
        assert_int_equal(sd_event_loop(stage->event), 0);
        assert_int_equal(stage->n_done, 1);
        module_load_free(load);
}

/* One unit for each module, however many devices want it; done when the jobs of all have ended, not another's. */
static void test_load(void **state)
{
        Stage *stage = *state;
        Job job = make_job(JOB_OPEN, "no_such_vfio-pci", "other_vfio");

        start_bus(stage);
        start_systemd(stage);
        job.devices[job.n_devices] = job.devices[0];
        job.n_devices++;
        load(stage, &job);
        assert_string_equal(stage->seen, "srsr");
}

/* A systemd that refuses is an answer too. */
static void test_refused(void **state)
{
        Stage *stage = *state;
        Job job = make_job(JOB_BIND, "no_such_vfio_pci", "no_such_vfio_pci");

        stage->refuses = true;
        start_bus(stage);
        start_systemd(stage);
        load(stage, &job);
        assert_string_equal(stage->seen, "s");
}

/* No systemd on the bus; and no bus, which is told at once. */
static void test_nobody(void **state)
{
        Stage *stage = *state;
        Job job = make_job(JOB_OPEN, "no_such_vfio_pci", "no_such_vfio_pci");
        ModuleLoad *unused;

        assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", true), 0);
        assert_true(module_load_start(stage->event, &job, on_done, stage, &unused) < 0);
        start_bus(stage);
        load(stage, &job);
}

/* Only jobs that bind, only drivers that policy or the kernel named, only names that a module can have. */
static void test_wanted(void **state)
{
        static const char *const names[] = { "", "../x", "a b", "x@y", "vfio.pci", "a\nb" };
        Job job;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                job = make_job(JOB_OPEN, names[i], names[i]);
                assert_false(module_load_wanted(&job));
        }
        for (int kind = 0; kind < _JOB_KIND_MAX; kind++) {
                job = make_job(kind, "no_such_vfio_pci", "no_such_vfio_pci");
                assert_int_equal(module_load_wanted(&job),
                                 kind == JOB_OPEN || kind == JOB_BIND || kind == JOB_RESET);
        }
        job = make_job(JOB_BIND, "no_such_vfio_pci", "no_such_vfio_pci");
        job.devices[0].load_module = false;
        assert_true(module_load_wanted(&job));
        job.devices[1].load_module = false;
        assert_false(module_load_wanted(&job));
        module_resolve_drivers(&job);
        assert_string_equal(job.devices[0].driver, "no_such_vfio_pci");
}

/* In the worker: whether the job's fd is there. */
static int has_context(void)
{
        char link[64], target[64];

        for (int fd = 3; fd < 64; fd++) {
                ssize_t n;

                (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
                n = readlink(link, target, sizeof(target) - 1);
                if (n > 0 && strncmp(target, "/memfd:context", 14) == 0)
                        return 0;
        }
        return -ENOENT;
}

static void on_worker(void *userdata, JobResult *result)
{
        Stage *stage = userdata;

        assert_string_equal(result->text, "");
        assert_int_equal(result->error, 0);
        assert_int_equal(result->devices[0].step, STEP_BIND_DRIVER);
        stage->n_done++;
        (void)sd_event_exit(stage->event, 0);
}

/* A worker that starts after a module was loaded has the fds of its job, whatever its caller did with them meanwhile; and
 * nothing is left of them. */
static void test_worker(void **state)
{
        Stage *stage = *state;
        Job job = make_job(JOB_OPEN, "no_such_vfio_pci", "no_such_vfio_pci");
        Workers *workers;
        HostJob *handle;
        sigset_t set;
        int fd;

        start_bus(stage);
        start_systemd(stage);
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
        for (size_t i = 0; i < job.n_devices; i++) {
                strcpy(job.devices[i].id, "ffff:ff:1f.7");
                job.devices[i].fd = -EBADF;
        }
        assert_int_equal(workers_new(stage->event, has_context, &workers), 0);
        fd = memfd_create("context", MFD_CLOEXEC);
        assert_true(fd >= 0);
        job.context = fd;
        assert_int_equal(workers_start(workers, &job, on_worker, NULL, stage, &handle), 0);
        (void)close(fd);
        assert_int_equal(sd_event_loop(stage->event), 0);
        assert_int_equal(stage->n_done, 1);
        workers_free(workers);
        assert_int_equal(has_context(), -ENOENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_load, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
                cmocka_unit_test_setup_teardown(test_wanted, setup, teardown),
                cmocka_unit_test_setup_teardown(test_worker, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
