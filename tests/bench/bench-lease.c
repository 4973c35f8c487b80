/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* bench-lease NAME OURS OTHER ROUNDS: what a lease costs, in a lab machine (tests/lab/scenarios/bench). OURS and OTHER
 * are two devices of one kind: in each round the kernel steps of a lease are done to OTHER directly, by this process, which
 * is root, and then OURS is acquired and released through the broker as it is installed. Where OTHER has a VFIO driver
 * both keep it; else both get it and lose it again in each round.
 *
 * The daemon's journal tells the time of each of its steps. What is left of an Acquire is `rest`: the bus, who asks, the
 * plan, the record, the context, the worker's start and the reply; its floor is one round trip to the bus, a context, a
 * file and a process that does nothing. Of a release it is `settle`. */

#include <fcntl.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "daemon/host/uapi.h"
#include "policy/util.h"
#include "tests/bench/bench.h"

#define BROKER  "org.vfiobroker1"
#define ROOT    "/org/vfiobroker1"
#define MANAGER BROKER, ROOT, BROKER ".Manager"

#define PATIENCE_USEC (30 * USEC_PER_SEC)

enum { BIND, PROOF, RESET, OPEN, RESTORE, CONTEXT, FORK, N_STEPS };

typedef struct Bench {
        const char *name, *ours, *other;
        bool cold;
        char *device; /* object path of `ours` */
        sd_bus *bus;
        sd_journal *journal;
} Bench;

static void __attribute__((noreturn)) die(const char *what, int r)
{
        (void)fprintf(stderr, "bench-lease: %s: %s\n", what, strerror(r < 0 ? -r : r));
        exit(EXIT_FAILURE);
}

static int check(const char *what, int r)
{
        if (r < 0)
                die(what, r);
        return r;
}

/* --- the floor: the same steps, done directly ------------------------------------------------------------------- */

static void write_to(const char *text, const char *format, ...) _printf_(2, 3);
static void write_to(const char *text, const char *format, ...)
{
        _cleanup_close_ int fd = -EBADF;
        char path[256];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(path, sizeof(path), format, ap);
        va_end(ap);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, strlen(text)) < 0)
                die(path, errno);
}

static void read_text(char ret[static 256], const char *format, ...) _printf_(2, 3);
static void read_text(char ret[static 256], const char *format, ...)
{
        _cleanup_close_ int fd = -EBADF;
        char path[256];
        ssize_t n;
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(path, sizeof(path), format, ap);
        va_end(ap);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, ret, 255);
        if (n < 0)
                die(path, errno);
        ret[n] = 0;
}

static int open_node(const char *path)
{
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0)
                die(path, errno);
        return fd;
}

static void bind_vfio(const char *id)
{
        write_to("vfio-pci", "/sys/bus/pci/devices/%s/driver_override", id);
        write_to(id, "/sys/bus/pci/drivers_probe");
}

static void unbind(const char *id)
{
        write_to(id, "/sys/bus/pci/devices/%s/driver/unbind", id);
}

static int open_context(void)
{
        struct iommu_option option = {
                .size = sizeof(option),
                .option_id = IOMMU_OPTION_RLIMIT_MODE,
                .op = IOMMU_OPTION_OP_SET,
                .val64 = 1,
        };
        int fd = open_node("/dev/iommu");

        if (ioctl(fd, IOMMU_OPTION, &option) < 0)
                die("IOMMU_OPTION", errno);
        return fd;
}

static int open_cdev(const char *id)
{
        char path[300];

        for (unsigned n = 0; n < 256; n++) {
                (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev/vfio%u", id, n);
                if (access(path, F_OK) < 0)
                        continue;
                (void)snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%u", n);
                return open_node(path);
        }
        die("no vfio-dev", ENODEV);
}

/* A bind to a context of its own, the reset in it, and the end of both. */
static void trial_with_reset(const char *id)
{
        int iommufd = open_node("/dev/iommu"), fd = open_cdev(id);
        struct vfio_device_bind_iommufd request = { .argsz = sizeof(request), .iommufd = iommufd };

        if (ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &request) < 0)
                die("VFIO_DEVICE_BIND_IOMMUFD", errno);
        if (ioctl(fd, VFIO_DEVICE_RESET) < 0)
                die("VFIO_DEVICE_RESET", errno);
        (void)close(fd);
        (void)close(iommufd);
}

static void prove(const char *id)
{
        char link[256], path[300];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", id);
        n = readlink(path, link, sizeof(link) - 1);
        if (n < 0)
                die(path, errno);
        link[n] = 0;
        (void)snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
        (void)close(open_node(path));
        unbind(id);
        bind_vfio(id);
}

static void record(void)
{
        static const char text[512];
        _cleanup_close_ int fd = open("/run/lab/bench.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || write(fd, text, sizeof(text)) < 0 ||
            rename("/run/lab/bench.new", "/run/lab/bench") < 0)
                die("/run/lab/bench", errno);
}

static void fork_nothing(void)
{
        pid_t pid = fork();

        if (pid == 0)
                _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
                die("fork", errno);
}

static void call(Bench *b, const char *destination, const char *path, const char *interface,
                 const char *member)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        if (sd_bus_call_method(b->bus, destination, path, interface, member, &error, NULL, NULL) < 0)
                die(error.message, sd_bus_error_get_errno(&error));
}

static uint64_t lap(uint64_t *start)
{
        uint64_t now = bench_now_nsec(), passed = now - *start;

        *start = now;
        return passed;
}

/* Leaves OTHER as it found it. ret_ask: a round trip to the bus. */
static void floor_lease(Bench *b, uint64_t ret[static N_STEPS], uint64_t *ret_ask)
{
        uint64_t t = bench_now_nsec();
        int context, device;

        call(b, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId");
        *ret_ask = lap(&t);
        if (b->cold)
                bind_vfio(b->other);
        ret[BIND] = lap(&t);
        if (b->cold)
                trial_with_reset(b->other);
        ret[RESET] = lap(&t);
        context = open_context();
        ret[CONTEXT] = lap(&t);
        record();
        fork_nothing();
        ret[FORK] = lap(&t);
        device = open_cdev(b->other);
        ret[OPEN] = lap(&t);

        (void)close(device);
        (void)close(context);
        t = bench_now_nsec();
        prove(b->other);
        ret[PROOF] = lap(&t);
        write_to("1", "/sys/bus/pci/devices/%s/reset", b->other);
        ret[RESET] += lap(&t);
        if (b->cold) {
                unbind(b->other);
                write_to("\n", "/sys/bus/pci/devices/%s/driver_override", b->other);
        }
        ret[RESTORE] = lap(&t);
}

/* --- through the broker ------------------------------------------------------------------------------------------- */

/* "… (bind 12 µs, proof 3 µs, …)" of the next entry of the daemon's with that text in it, added to what is there. */
static void read_steps(Bench *b, const char *text, uint64_t ret[static N_STEPS])
{
        static const struct {
                const char *word;
                int step;
        } words[] = { { "bind ", BIND },
                      { "proof ", PROOF },
                      { "reset ", RESET },
                      { "open ", OPEN },
                      { "driver ", RESTORE } };
        char message[1024] = "";
        const char *list = NULL;

        while (!list) {
                const void *data;
                size_t size;
                int r = check("sd_journal_next", sd_journal_next(b->journal));

                if (r == 0) {
                        if (check("sd_journal_wait", sd_journal_wait(b->journal, PATIENCE_USEC)) ==
                            SD_JOURNAL_NOP)
                                die("the daemon's word in the journal", ETIMEDOUT);
                        continue;
                }
                if (sd_journal_get_data(b->journal, "MESSAGE", &data, &size) < 0)
                        continue;
                (void)snprintf(message, sizeof(message), "%.*s", (int)size, (const char *)data);
                if (strstr(message, text))
                        list = strrchr(message, '(');
        }
        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                const char *word = strstr(list, words[i].word);

                if (word)
                        ret[words[i].step] += strtoull(word + strlen(words[i].word), NULL, 10) * 1000;
        }
}

static sd_bus_message *new_call(Bench *b, const char *member)
{
        sd_bus_message *m = NULL;

        check(member, sd_bus_message_new_method_call(b->bus, &m, MANAGER, member));
        check(member, sd_bus_message_append(m, "asa{sv}", 1, b->ours, 0));
        return m;
}

static uint64_t ask(Bench *b)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = new_call(b, "CheckAccess"), *reply = NULL;
        uint64_t start = bench_now_nsec();
        const char *error, *text;
        int allowed;

        check("CheckAccess", sd_bus_call(b->bus, m, PATIENCE_USEC, NULL, &reply));
        start = bench_now_nsec() - start;
        check("CheckAccess", sd_bus_message_read(reply, "bss", &allowed, &error, &text));
        if (!allowed)
                die(text, EACCES);
        return start;
}

static uint64_t acquire(Bench *b, char **ret_lease)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = new_call(b, "Acquire"), *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t start = bench_now_nsec();
        const char *path;

        if (sd_bus_call(b->bus, m, PATIENCE_USEC, &error, &reply) < 0)
                die(error.message, sd_bus_error_get_errno(&error));
        start = bench_now_nsec() - start;
        check("Acquire", sd_bus_message_read(reply, "o", &path));
        *ret_lease = strdup(path);
        if (!*ret_lease)
                die("strdup", ENOMEM);
        return start; /* the reply, and with it the fds, is closed here */
}

static bool is_idle(Bench *b)
{
        _cleanup_free_ char *state = NULL;

        check("State", sd_bus_get_property_string(b->bus, BROKER, b->device, BROKER ".Device", "State", NULL,
                                                  &state));
        return streq(state, b->cold ? "host" : "available");
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        *(bool *)userdata = true;
        return 0;
}

/* Until the device is idle again, as its signals tell. */
static uint64_t release(Bench *b, const char *lease, bool *changed)
{
        uint64_t start = bench_now_nsec();

        call(b, BROKER, lease, BROKER ".Lease", "Release");
        while (!is_idle(b)) {
                *changed = false;
                while (!*changed)
                        if (check("sd_bus_process", sd_bus_process(b->bus, NULL)) == 0 && !*changed)
                                check("sd_bus_wait", sd_bus_wait(b->bus, PATIENCE_USEC));
        }
        return bench_now_nsec() - start;
}

/* --- both --------------------------------------------------------------------------------------------------------- */

static void sample(const Bench *b, const char *step, uint64_t floor, uint64_t ours)
{
        char name[64];

        (void)snprintf(name, sizeof(name), "lease/%s/%s", b->name, step);
        bench_sample(name, floor, ours);
}

static uint64_t less(uint64_t all, uint64_t part)
{
        return all > part ? all - part : 0;
}

/* What the kernel's events make udev and the daemon do is over, so that it is no part of what is measured next. */
static void settle(Bench *b)
{
        if (system("udevadm settle --timeout=30") != 0)
                die("udevadm settle", EIO);
        call(b, BROKER, ROOT, "org.freedesktop.DBus.Peer", "Ping");
}

static void one_round(Bench *b, bool *changed)
{
        uint64_t floor[N_STEPS] = {}, opened[N_STEPS] = {}, ended[N_STEPS] = {};
        uint64_t floor_ask, asked, acquired, released, steps, floor_rest, floor_steps;
        _cleanup_free_ char *lease = NULL;

        settle(b);
        floor_lease(b, floor, &floor_ask);
        settle(b);
        asked = ask(b);
        acquired = acquire(b, &lease);
        read_steps(b, "granted to tenant", opened);
        released = release(b, lease, changed);
        read_steps(b, " is free", ended);

        steps = opened[BIND] + opened[PROOF] + opened[RESET] + opened[OPEN];
        floor_rest = floor_ask + floor[CONTEXT] + floor[FORK];
        sample(b, "decide", floor_ask, asked);
        if (b->cold)
                sample(b, "bind", floor[BIND], opened[BIND]);
        sample(b, "open", floor[OPEN], opened[OPEN]);
        sample(b, "rest", floor_rest, less(acquired, steps));
        sample(b, "proof", floor[PROOF], opened[PROOF] + ended[PROOF]);
        sample(b, "reset", floor[RESET], opened[RESET] + ended[RESET]);
        if (b->cold)
                sample(b, "restore", floor[RESTORE], ended[RESTORE]);
        sample(b, "settle", floor_ask + floor[FORK],
               less(released, ended[PROOF] + ended[RESET] + ended[RESTORE]));
        floor_steps = floor_rest + floor[BIND] + floor[OPEN] + floor_ask + floor[FORK] + floor[PROOF] +
                      floor[RESET] + floor[RESTORE];
        sample(b, "all", floor_steps, acquired + released);
}

int main(int argc, char *argv[])
{
        Bench b = {};
        bool changed = false;
        unsigned rounds;
        char text[256];

        if (argc < 4)
                return fputs("usage: bench-lease NAME OURS OTHER [ROUNDS]\n", stderr), 2;
        b = (Bench){ .name = argv[1], .ours = argv[2], .other = argv[3] };
        rounds = bench_rounds(argc > 4 ? argv[4] : NULL);
        read_text(text, "/sys/bus/pci/devices/%s/driver_override", b.other);
        b.cold = strncmp(text, "vfio-pci", 8) != 0;
        check("sd_bus_path_encode", sd_bus_path_encode(ROOT "/device", b.ours, &b.device));
        check("sd_bus_open_system", sd_bus_open_system(&b.bus));
        check("sd_bus_match_signal",
              sd_bus_match_signal(b.bus, NULL, BROKER, b.device, "org.freedesktop.DBus.Properties",
                                  "PropertiesChanged", on_changed, &changed));
        check("sd_journal_open", sd_journal_open(&b.journal, SD_JOURNAL_LOCAL_ONLY));
        check("sd_journal_add_match", sd_journal_add_match(b.journal, "SYSLOG_IDENTIFIER=vfiobrokerd", 0));

        /* Once beforehand: the first lease of a daemon proves what it does not know, and makes what stays. */
        (void)ask(&b);
        {
                _cleanup_free_ char *lease = NULL;

                (void)acquire(&b, &lease);
                (void)release(&b, lease, &changed);
        }
        check("sd_journal_seek_tail", sd_journal_seek_tail(b.journal));
        check("sd_journal_previous", sd_journal_previous(b.journal));
        for (unsigned i = 0; i < rounds; i++)
                one_round(&b, &changed);
        sd_journal_close(b.journal);
        sd_bus_flush_close_unref(b.bus);
        free(b.device);
        return EXIT_SUCCESS;
}
