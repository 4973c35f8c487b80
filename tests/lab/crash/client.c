/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A live client of the oracle's: a process of a tenant's user with one connection to the bus for all its life, which does
 * what it is told and says how that went. A call that the daemon's end interrupts is answered as `error`, and is no failure
 * by itself; what the kernel refuses ends the process, and so the oracle's belief in all. */

#include <errno.h>
#include <grp.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "edu-registers.h"
#include "oracle.h"

#define TEXT "what the one mapped, the other's device reads"

static Client self;
static char *memory; /* two pages, once mapped for DMA */
static int answers;
static uint32_t asked_ioas; /* the I/O address space of the container asked for; 0: one to be made */

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void answer(const char *format, ...)
{
        char line[512];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(line, sizeof(line) - 1, format, ap);
        va_end(ap);
        line[n] = '\n';
        if (write(answers, line, (size_t)n + 1) != n + 1)
                die(errno, "answer");
}

static void answer_error(int r)
{
        const struct vfiobroker_error *error = vfiobroker_last_error(self.broker);
        const char *name = strrchr(error->name, '.');

        answer("error %s %s", name ? name + 1 : strerror(-r), error->text);
}

static void done(int r)
{
        if (r < 0)
                answer_error(r);
        else
                answer("ok");
}

/* acquire CONTAINER|- IOAS MEMLOCK DEVICE: "ok ID IOAS" */
static void acquire(char **words)
{
        struct vfiobroker_acquire_options options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;
        const char *const devices[] = { words[4], NULL };
        int r;

        options.container = strcmp(words[1], "-") == 0 ? NULL : words[1];
        options.memlock = number(words[3]);
        asked_ioas = (uint32_t)number(words[2]);
        r = vfiobroker_acquire(self.broker, devices, &options, &self.lease);
        if (r < 0) {
                answer_error(r);
                return;
        }
        self.ioas = asked_ioas;
        client_take_fds(&self);
        client_bind(&self);
        answer("ok %s %u", vfiobroker_lease_id(self.lease), self.ioas);
}

static void forget_lease(void)
{
        self.lease = vfiobroker_lease_free(self.lease);
        self.n_devices = 0;
        self.container = -1;
}

static void release(char **words)
{
        int r;

        if (!self.lease) {
                answer("error none");
                return;
        }
        r = vfiobroker_lease_release(self.lease);
        done(r);
        forget_lease();
}

static void add(char **words)
{
        const char *const devices[] = { words[1], NULL };

        done(self.lease ? vfiobroker_lease_add(self.lease, devices, NULL) : -ENXIO);
}

static void take_away(char **words)
{
        const char *const devices[] = { words[1], NULL };

        done(self.lease ? vfiobroker_lease_remove(self.lease, devices) : -ENXIO);
}

/* map IOVA: two pages for the device's DMA, the first with a text */
static void map(char **words)
{
        int r;

        memory = mmap(NULL, 2 * (size_t)PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED)
                die(errno, "allocate");
        strcpy(memory, TEXT);
        r = client_map_dma(&self, memory, 2 * (size_t)PAGE, number(words[1]));
        if (r < 0)
                die(-r, "map for DMA");
        client_map_bar(&self.devices[0]);
        answer("ok");
}

/* dma FROM TO: the text at FROM arrives in the second page, at TO */
static void dma(char **words)
{
        (void)memset(memory + PAGE, 0, PAGE);
        if (!edu_dma(&self.devices[0], false, number(words[1])) ||
            !edu_dma(&self.devices[0], true, number(words[2])))
                answer("error DMA does not end");
        else if (strcmp(memory + PAGE, TEXT) != 0)
                answer("error the DMA went wrong");
        else
                answer("ok");
}

/* The device answers. */
static void look(char **words)
{
        struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
        uint16_t vendor;

        for (size_t i = 0; i < self.n_devices; i++)
                if (ioctl(self.devices[i].fd, VFIO_DEVICE_GET_REGION_INFO, &config) < 0 ||
                    pread(self.devices[i].fd, &vendor, sizeof(vendor),
                          (off_t)config.offset + PCI_VENDOR_ID) != sizeof(vendor) ||
                    vendor == 0xffff) {
                        answer("error device %zu: %s", i, strerror(errno));
                        return;
                }
        answer(self.n_devices > 0 ? "ok" : "error no device");
}

/* The next call on the connection, about the lease that it has. */
static void call(char **words)
{
        struct vfiobroker_lease_info *info = NULL;
        int r = vfiobroker_get_lease(self.broker, vfiobroker_lease_id(self.lease), &info);

        if (r < 0) {
                answer_error(r);
                return;
        }
        if (info->pid == (uint32_t)getpid() &&
            (strcmp(info->state, "active") == 0 || strcmp(info->state, "revoking") == 0))
                answer("ok");
        else
                answer("error lease is %s of process %u", info->state, info->pid);
        (void)vfiobroker_lease_info_free(info);
}

/* A call about nothing, for who has no lease. */
static void ping(char **words)
{
        struct vfiobroker_host *host = NULL;
        int r = vfiobroker_get_host(self.broker, &host);

        (void)vfiobroker_host_free(host);
        done(r);
}

static bool own_lease(char *ret, size_t size, int *r)
{
        struct vfiobroker_lease_list *list = NULL;
        bool found = false;

        *r = vfiobroker_list_leases(self.broker, &list);
        for (size_t i = 0; *r >= 0 && i < list->n && !found; i++) {
                found = list->leases[i]->pid == (uint32_t)getpid();
                if (found)
                        (void)snprintf(ret, size, "%s", list->leases[i]->id);
        }
        (void)vfiobroker_lease_list_free(list);
        return found;
}

/* What a program does whose call got no answer: it looks what it has, takes it, sees that it works, and gives it back. */
static void recover(char **words)
{
        uint64_t end = now_msec() + 60000; /* an emulated machine among others is slow */
        unsigned taken = 0;
        char id[64];
        int r;

        if (self.lease)
                forget_lease();
        while (now_msec() < end) {
                if (!own_lease(id, sizeof(id), &r)) {
                        if (r >= 0) {
                                answer("ok %u", taken);
                                return;
                        }
                } else if (vfiobroker_reissue(self.broker, id, &self.lease) >= 0) {
                        self.ioas = asked_ioas;
                        client_take_fds(&self);
                        client_bind(&self);
                        taken++;
                        (void)vfiobroker_lease_release(self.lease);
                        forget_lease();
                } else
                        (void)vfiobroker_release(self.broker,
                                                 id); /* one that is revoked is not given out again */
                pause_msec(20);
        }
        answer("error a lease does not end: %s, %u taken, %s", id, taken,
               vfiobroker_last_error(self.broker)->text);
}

/* event MSEC: "ok revoke" or "ok REASON of the end" */
static void event(char **words)
{
        uint64_t end = now_msec() + number(words[1]);
        struct vfiobroker_event *event = NULL;
        int r;

        while ((r = vfiobroker_next_event(self.broker, &event)) == 0 && now_msec() < end) {
                struct pollfd p = { .fd = vfiobroker_get_fd(self.broker), .events = POLLIN };

                (void)poll(&p, 1, (int)(end - now_msec()));
        }
        if (r < 0)
                answer_error(r);
        else if (r == 0)
                answer("none");
        else
                answer("ok %s", event->kind == VFIOBROKER_EVENT_ENDED ? event->reason : "revoke");
        (void)vfiobroker_event_free(event);
}

static const struct {
        const char *name;
        void (*run)(char **words);
} commands[] = {
        { "acquire", acquire }, { "release", release }, { "add", add },     { "remove", take_away },
        { "map", map },         { "dma", dma },         { "look", look },   { "call", call },
        { "ping", ping },       { "recover", recover }, { "event", event },
};

static void become(uid_t uid)
{
        const struct rlimit limit = { BASE_LIMIT, BASE_LIMIT };

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
            setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
                die(errno, "become user %u", uid);
        /* Which the change of user took away. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                die(errno, "end with the oracle");
}

void client_life(int socket, uid_t uid)
{
        struct vfiobroker_event *event = NULL;
        char line[256], *words[8], *save;
        FILE *in = fdopen(socket, "r");

        answers = socket;
        become(uid);
        client_open(&self);
        if (!in || vfiobroker_next_event(self.broker, &event) != 0) /* from now on it listens */
                die(errno, "listen");
        while (fgets(line, sizeof(line), in)) {
                size_t n = 0, i;

                for (char *p = strtok_r(line, " \n", &save); p && n < 7; p = strtok_r(NULL, " \n", &save))
                        words[n++] = p;
                words[n] = NULL;
                for (i = 0; n > 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
                        if (strcmp(commands[i].name, words[0]) == 0) {
                                commands[i].run(words);
                                break;
                        }
                if (n == 0 || i == sizeof(commands) / sizeof(commands[0]))
                        die(0, "no command: %s", n > 0 ? words[0] : "");
        }
        exit(EXIT_SUCCESS);
}
