/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The oracle of the faults. It counts what could leak or be lost: the daemon's files and children, what systemd stores of
 * it, its records, leases, the commitment of memory, the device's driver and the limit of the process that had it. */

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "policy/util.h"
#include "tests/faults/oracle.h"

#define CALL_USEC (15 * USEC_PER_SEC)

void die(const char *what, int r)
{
        (void)fprintf(stderr, "faults: %s: %s\n", what, strerror(r < 0 ? -r : r));
        exit(EXIT_FAILURE);
}

static uint64_t now_usec(void)
{
        struct timespec ts = {};

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static const char *said(Stage *s, const sd_bus_error *error, int r)
{
        static char name[128];

        name[0] = 0;
        if (r < 0) {
                (void)snprintf(name, sizeof(name), "%s", error->name ? error->name : strerror(-r));
                (void)snprintf(s->error, sizeof(s->error), "%s: %.160s", name,
                               error->message ? error->message : "");
        }
        return name;
}

const char *stage_call(Stage *s, const char *path, const char *interface, const char *member,
                       const char *types, ...)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;
        int r;

        r = sd_bus_message_new_method_call(s->bus, &m, BROKER, path, interface, member);
        va_start(ap, types);
        if (r >= 0 && types)
                r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r >= 0)
                r = sd_bus_call(s->bus, m, CALL_USEC, &error, NULL);
        return said(s, &error, r);
}

const char *stage_acquire(Stage *s, sd_bus *bus)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        const char *path;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, MANAGER, "Acquire");
        if (r >= 0)
                r = sd_bus_message_append(m, "asa{sv}", 1, s->device, 1, "container", "s", "faults");
        if (r >= 0)
                r = sd_bus_call(bus, m, CALL_USEC, &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r >= 0)
                (void)snprintf(s->lease, sizeof(s->lease), "%s", path);
        return said(s, &error, r);
}

int stage_release_all(Stage *s)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        int active = 0;

        if (sd_bus_call_method(s->bus, MANAGER, "ListLeases", NULL, &reply, NULL) < 0 ||
            sd_bus_message_enter_container(reply, 'a', "(osssut)") < 0)
                return -1;
        while (sd_bus_message_read(reply, "(osssut)", &path, NULL, NULL, NULL, NULL, NULL) > 0) {
                _cleanup_free_ char *state = NULL;

                if (sd_bus_get_property_string(s->bus, BROKER, path, BROKER ".Lease", "State", NULL,
                                               &state) < 0 ||
                    !streq(state, "active"))
                        continue;
                active++;
                (void)stage_call(s, path, BROKER ".Lease", "Release", NULL);
        }
        return active;
}

void stage_state(Stage *s, char ret[static 32])
{
        _cleanup_free_ char *state = NULL;

        ret[0] = 0;
        if (sd_bus_get_property_string(s->bus, BROKER, s->path, BROKER ".Device", "State", NULL, &state) >=
            0)
                (void)snprintf(ret, 32, "%s", state);
}

void stage_settle(Stage *s, uint64_t usec, char ret[static 32])
{
        static const char *const ends[] = { "host", "available", "quarantined" };
        uint64_t end = now_usec() + usec, now;

        for (;;) {
                stage_state(s, ret);
                for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                        if (streq(ret, ends[i]))
                                return;
                /* The next signal of it; to ask all the time would be most of what the daemon does. */
                s->changed = false;
                while (!s->changed) {
                        now = now_usec();
                        if (now >= end)
                                return;
                        if (sd_bus_process(s->bus, NULL) == 0 && !s->changed)
                                (void)sd_bus_wait(s->bus, end - now < 500000 ? end - now : 500000);
                        if (now_usec() - now >= 500000)
                                break; /* the signal may be what failed */
                }
        }
}

bool stage_not_put_back(Stage *s)
{
        _cleanup_free_ char *reason = NULL;

        return sd_bus_get_property_string(s->bus, BROKER, s->path, BROKER ".Device", "StateReason", NULL,
                                          &reason) >= 0 &&
               strstr(reason, "was not put back");
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        ((Stage *)userdata)->changed = true;
        return 0;
}

int stage_watch(Stage *s)
{
        return sd_bus_match_signal(s->bus, NULL, NULL, s->path, "org.freedesktop.DBus.Properties",
                                   "PropertiesChanged", on_changed, s);
}

/* --- the oracle ----------------------------------------------------------------------------------------------------- */

static unsigned count_entries(const char *path)
{
        DIR *d = opendir(path);
        unsigned n = 0;

        if (!d)
                return 0;
        for (const struct dirent *entry; (entry = readdir(d));)
                n += entry->d_name[0] != '.';
        (void)closedir(d);
        return n;
}

static void read_line(const char *path, char *ret, size_t size)
{
        FILE *f = fopen(path, "re");

        ret[0] = 0;
        if (!f)
                return;
        if (!fgets(ret, (int)size, f))
                ret[0] = 0;
        ret[strcspn(ret, "\n")] = 0;
        (void)fclose(f);
}

void oracle_look(Stage *s)
{
        char state[32], path[128], driver[128] = "", override[64], children[64], records[128] = "";
        uint64_t committed = UINT64_MAX;
        uint32_t leases = UINT32_MAX, stored = UINT32_MAX;
        struct rlimit limit = {};
        pid_t pid = inject_pid(s->inject);
        static const char *const folders[] = { "leases", "jobs", "devices" };
        ssize_t n;

        /* The daemon remembers who asked, with a file for it. */
        (void)stage_call(s, ROOT, BROKER ".Manager", "CheckAccess", "asa{sv}", 1, s->device, 0);
        stage_state(s, state);
        (void)sd_bus_get_property_trivial(s->bus, MANAGER, "Leases", NULL, 'u', &leases);
        (void)sd_bus_get_property_trivial(s->bus, MANAGER, "MemlockCommitted", NULL, 't', &committed);
        (void)sd_bus_get_property_trivial(
                s->bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1/unit/vfiobrokerd_2eservice",
                "org.freedesktop.systemd1.Service", "NFileDescriptorStore", NULL, 'u', &stored);
        (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", s->device);
        n = readlink(path, driver, sizeof(driver) - 1);
        driver[n > 0 ? n : 0] = 0;
        (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", s->device);
        read_line(path, override, sizeof(override));
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
        read_line(path, children, sizeof(children));
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", s->folder, folders[i]);
                (void)snprintf(records + strlen(records), sizeof(records) - strlen(records), " %u",
                               count_entries(path));
        }
        (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        s->files = count_entries(path);
        if (s->holder)
                (void)prlimit(s->holder, RLIMIT_MEMLOCK, NULL, &limit);
        (void)snprintf(
                s->text, sizeof(s->text),
                "state %s, %u leases, %llu committed, driver %s, override %s, children \"%s\", records%s, "
                "%u stored, limit %llu",
                state, leases, (unsigned long long)committed, driver[0] ? strrchr(driver, '/') + 1 : "-",
                override, children, records, stored, (unsigned long long)limit.rlim_cur);
}

bool oracle_await(Stage *s, const char *text)
{
        uint64_t end = now_usec() + PATIENCE_USEC;

        for (;;) {
                oracle_look(s);
                if (streq(s->text, text) && s->files <= s->files_max)
                        return true;
                if (now_usec() >= end) {
                        (void)snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text),
                                       " (%u files of %u)", s->files, s->files_max);
                        return false;
                }
                (void)poll(NULL, 0, 50);
        }
}
