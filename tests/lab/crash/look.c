/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is: by the kernel who has which file of VFIO open, limits, drivers, workers and records; by systemd what it stores;
 * and what the broker says. Nothing is asked of the broker that the kernel knows, and what both know must agree. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "oracle.h"
#include "vfio-client.h"

#define RECORDS   "/run/vfiobroker"
#define SYSFS_PCI "/sys/bus/pci/devices"

static const char *const devices[] = { EDU, EDU2, E1000E, IGB, NVME };
#define N_DEVICES (sizeof(devices) / sizeof(devices[0]))

bool by_group;
static struct vfiobroker *broker;
static sd_bus *bus;
static pid_t main_pid; /* as systemd had it when it was asked last */

uint64_t now_msec(void)
{
        return now_nsec() / 1000 / 1000;
}

void pause_msec(unsigned msec)
{
        const struct timespec t = { .tv_sec = msec / 1000, .tv_nsec = (long)(msec % 1000) * 1000 * 1000 };

        (void)nanosleep(&t, NULL);
}

void look_open(void)
{
        int r = vfiobroker_open_system(&broker);

        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r < 0)
                die(-r, "connect to the bus");
}

static int unit_property(const char *interface, const char *name, char type, void *ret)
{
        return sd_bus_get_property_trivial(bus, "org.freedesktop.systemd1",
                                           "/org/freedesktop/systemd1/unit/vfiobrokerd_2eservice", interface,
                                           name, NULL, type, ret);
}

pid_t daemon_pid(void)
{
        uint32_t pid = 0;

        (void)unit_property("org.freedesktop.systemd1.Service", "MainPID", 'u', &pid);
        main_pid = (pid_t)pid;
        return main_pid;
}

bool daemon_ready(void)
{
        char *state = NULL;
        bool ready = sd_bus_get_property_string(bus, "org.freedesktop.systemd1",
                                                "/org/freedesktop/systemd1/unit/vfiobrokerd_2eservice",
                                                "org.freedesktop.systemd1.Unit", "ActiveState", NULL,
                                                &state) >= 0 &&
                     strcmp(state, "active") == 0;

        free(state);
        return ready;
}

/* --- the kernel --- */

/* FOLDER/NAME/FILE */
static void read_line(char *ret, size_t size, const char *folder, const char *name, const char *leaf)
{
        char path[512];
        FILE *file;

        ret[0] = 0;
        (void)snprintf(path, sizeof(path), "%s/%s/%s", folder, name, leaf);
        file = fopen(path, "re");
        if (!file)
                return;
        if (!fgets(ret, (int)size, file))
                ret[0] = 0;
        ret[strcspn(ret, "\n")] = 0;
        (void)fclose(file);
}

static void who_is(pid_t pid, char *ret, size_t size)
{
        char number[16], comm[32];

        for (Role i = 0; i < ROLES; i++)
                if (pid == role_pids[i]) {
                        (void)snprintf(ret, size, "%s", role_names[i]);
                        return;
                }
        (void)snprintf(number, sizeof(number), "%d", (int)pid);
        read_line(comm, sizeof(comm), "/proc", number, "comm");
        (void)snprintf(ret, size, "%s", pid == 1 ? "systemd" : pid == main_pid ? "broker" : "");
        if (!ret[0])
                (void)snprintf(ret, size, "a stranger (%s)", comm);
}

/* The device that a node or a group is of, by sysfs: numbers change with each bind. */
static void device_of(const char *folder, const char *name, const char *leaf, char *ret, size_t size)
{
        char path[512], target[PATH_MAX];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "%s/%s/%s", folder, name, leaf);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = 0;
        (void)snprintf(ret, size, "%s", n > 0 && strrchr(target, '/') ? strrchr(target, '/') + 1 : name);
}

static void group_devices(const char *number, char *ret, size_t size)
{
        char path[512];
        struct dirent *entry;
        DIR *folder;

        (void)snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%s/devices", number);
        folder = opendir(path);
        (void)snprintf(ret, size, "%s", number);
        while (folder && (entry = readdir(folder)))
                if (entry->d_name[0] != '.')
                        (void)snprintf(ret, size, "%s", entry->d_name);
        if (folder)
                (void)closedir(folder);
}

/* "" where the file has nothing to do with VFIO. The broker opens in a mount namespace of its own; when that is gone, the
 * path begins in its /dev. */
static void vfio_file(const char *target, char *ret, size_t size)
{
        const char *node = strstr(target, "/vfio/devices/"), *group = strstr(target, "/vfio/"), *dot;
        char device[NAME_MAX + 1];

        ret[0] = 0;
        dot = strrchr(target, '/');
        if (node) {
                device_of("/sys/class/vfio-dev", node + strlen("/vfio/devices/"), "device", device,
                          sizeof(device));
                (void)snprintf(ret, size, "cdev %s", device);
        } else if (group && strcmp(group, "/vfio/vfio") == 0)
                (void)snprintf(ret, size, "container");
        else if (group) {
                group_devices(group + strlen("/vfio/"), device, sizeof(device));
                (void)snprintf(ret, size, "group %s", device);
        } else if (strcmp(target, "anon_inode:[vfio-device]") == 0)
                (void)snprintf(ret, size, "device of a group");
        else if (dot && strcmp(dot, "/iommu") == 0)
                (void)snprintf(ret, size, "iommufd");
}

static void pidfd_file(pid_t pid, const char *fd, char *ret, size_t size)
{
        char path[512], line[64], who[64];
        int of = -1;
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, fd);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file))
                (void)sscanf(line, "Pid: %d", &of);
        if (file)
                (void)fclose(file);
        if (of < 0)
                (void)snprintf(ret, size, "pidfd of one who is dead");
        else {
                who_is(of, who, sizeof(who));
                (void)snprintf(ret, size, "pidfd of %s", of == getpid() ? "the oracle" : who);
        }
}

/* Of the broker every file, without what is another each time. */
static void any_file(const char *target, char *ret, size_t size)
{
        size_t n = strcspn(target, "0123456789");

        (void)snprintf(ret, size, "other %.*s", (int)n, target);
}

static void look_process(Facts *facts, pid_t pid)
{
        char path[64], target[PATH_MAX], what[PATH_MAX], who[64] = "";
        struct dirent *entry;
        DIR *folder;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        folder = opendir(path);
        while (folder && (entry = readdir(folder))) {
                ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

                if (n <= 0)
                        continue;
                target[n] = 0;
                vfio_file(target, what, sizeof(what));
                if (!what[0] && (pid == 1 || pid == main_pid) && strcmp(target, "anon_inode:[pidfd]") == 0)
                        pidfd_file(pid, entry->d_name, what, sizeof(what));
                else if (!what[0] && pid == main_pid)
                        any_file(target, what, sizeof(what));
                if (!what[0])
                        continue;
                if (!who[0])
                        who_is(pid, who, sizeof(who));
                facts_add(facts, "%s has: %s", who, what);
        }
        if (folder)
                (void)closedir(folder);
}

static void look_processes(Facts *facts)
{
        char comm[32];
        struct dirent *entry;
        DIR *folder = opendir("/proc");

        if (!folder)
                die(errno, "look at processes");
        while ((entry = readdir(folder))) {
                pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

                if (pid <= 0)
                        continue;
                look_process(facts, pid);
                read_line(comm, sizeof(comm), "/proc", entry->d_name, "comm");
                if (strncmp(comm, "vfiobroker", 10) == 0 && pid != main_pid)
                        facts_add(facts, "worker %s", entry->d_name);
        }
        (void)closedir(folder);
        for (Role i = 0; i < ROLES; i++) {
                struct rlimit limit;

                if (prlimit(role_pids[i], RLIMIT_MEMLOCK, NULL, &limit) < 0)
                        facts_add(facts, "%s: %s", role_names[i], strerror(errno));
                else
                        facts_add(facts, "%s may lock %llu, %llu", role_names[i],
                                  (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
        }
}

static void look_sysfs(Facts *facts)
{
        char driver[NAME_MAX + 1], override[NAME_MAX + 1];

        for (size_t i = 0; i < N_DEVICES; i++) {
                device_of(SYSFS_PCI, devices[i], "driver", driver, sizeof(driver));
                read_line(override, sizeof(override), SYSFS_PCI, devices[i], "driver_override");
                facts_add(facts, "%s is on %s, override %s", devices[i], driver, override);
        }
}

static void look_folder(Facts *facts, const char *name)
{
        char path[64];
        struct dirent *entry;
        DIR *folder;

        (void)snprintf(path, sizeof(path), RECORDS "/%s", name);
        folder = opendir(path);
        while (folder && (entry = readdir(folder)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        facts_add(facts, "record %s/%s", name, entry->d_name);
        if (folder)
                (void)closedir(folder);
}

/* --- the broker --- */

static const char *role_of(uint32_t pid)
{
        for (Role i = 0; i < ROLES; i++)
                if ((uint32_t)role_pids[i] == pid)
                        return role_names[i];
        return "a stranger";
}

static int look_leases(Facts *facts)
{
        struct vfiobroker_lease_list *list = NULL;
        int r = vfiobroker_list_leases(broker, &list);

        for (size_t i = 0; r >= 0 && i < list->n; i++) {
                struct vfiobroker_lease_info *info = NULL;

                r = vfiobroker_get_lease(broker, list->leases[i]->id, &info);
                if (r < 0)
                        break;
                facts_add(facts, "lease %s %s: %s of %s, %s, %s %s, locks %llu%s%s", list->leases[i]->id,
                          info->state, role_of(info->pid), info->tenant, info->backend,
                          info->devices[0] ?: "nothing",
                          info->devices[0] && info->devices[1] ? "and more" : "alone",
                          (unsigned long long)info->memlock_limit,
                          info->policy_refusal[0] ? ", refused: " : "", info->policy_refusal);
                (void)vfiobroker_lease_info_free(info);
        }
        (void)vfiobroker_lease_list_free(list);
        return r;
}

static bool is_ours(const char *id)
{
        for (size_t i = 0; i < N_DEVICES; i++)
                if (strcmp(devices[i], id) == 0)
                        return true;
        return false;
}

static int look_devices(Facts *facts)
{
        struct vfiobroker_device_list *list = NULL;
        int r = vfiobroker_list_devices(broker, &list);

        for (size_t i = 0; r >= 0 && i < list->n; i++)
                if (is_ours(list->devices[i]->id))
                        facts_add(facts, "device %s: %s, driver %s, lease %s", list->devices[i]->id,
                                  list->devices[i]->state, list->devices[i]->driver,
                                  list->devices[i]->lease);
        (void)vfiobroker_device_list_free(list);
        return r;
}

static int look_containers(Facts *facts)
{
        struct vfiobroker_container_list *list = NULL;
        int r = vfiobroker_list_containers(broker, &list);

        for (size_t i = 0; r >= 0 && i < list->n; i++) {
                const struct vfiobroker_container_entry *entry = list->containers[i];
                size_t n = 0;

                while (entry->leases[n])
                        n++;
                facts_add(facts, "container %s: %s, %zu leases, %s", entry->name, entry->backend, n,
                          entry->n_iova > 0 ? "with addresses" : "without addresses");
        }
        (void)vfiobroker_container_list_free(list);
        return r;
}

static int look_tenants(Facts *facts)
{
        struct vfiobroker_tenant_list *list = NULL;
        int r = vfiobroker_list_tenants(broker, &list);

        for (size_t i = 0; r >= 0 && i < list->n; i++)
                facts_add(facts, "tenant %s: %u devices, locks %llu", list->tenants[i]->name,
                          list->tenants[i]->devices_leased,
                          (unsigned long long)list->tenants[i]->memlock_committed);
        (void)vfiobroker_tenant_list_free(list);
        return r;
}

bool at_rest(void)
{
        struct vfiobroker_device_list *list = NULL;
        bool rest = vfiobroker_list_devices(broker, &list) >= 0;

        for (size_t i = 0; rest && i < list->n; i++) {
                const char *state = list->devices[i]->state;

                if (is_ours(list->devices[i]->id) && strcmp(state, "leased") != 0 &&
                    strcmp(state, "host") != 0)
                        rest = false;
                if (strcmp(list->devices[i]->id, IGB) == 0 && strcmp(state, "host") != 0)
                        rest = false;
        }
        (void)vfiobroker_device_list_free(list);
        return rest;
}

int ask_revoke(const char *lease)
{
        return vfiobroker_revoke(broker, lease, UINT64_C(300) * 1000 * 1000, "the oracle wants it");
}

bool look_all(Facts *ret)
{
        uint32_t stored = 0;

        if (look_leases(ret) < 0 || look_devices(ret) < 0 || look_containers(ret) < 0 ||
            look_tenants(ret) < 0 || daemon_pid() == 0 ||
            unit_property("org.freedesktop.systemd1.Service", "NFileDescriptorStore", 'u', &stored) < 0)
                return false;
        facts_add(ret, "stored %u", stored);
        look_processes(ret);
        look_sysfs(ret);
        look_folder(ret, "leases");
        look_folder(ret, "jobs");
        look_folder(ret, "devices");
        facts_sort(ret);
        return true;
}
