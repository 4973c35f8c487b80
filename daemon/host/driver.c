/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Driver binding through sysfs, for the buses that have driver_override (bus-table.c); on others a device keeps the
 * driver that it has. Runs in worker processes. */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "daemon/host/bus-table.h"
#include "daemon/host/driver.h"
#include "daemon/host/link.h"

static int write_attribute(const char *path, const char *value, char *ret_text)
{
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        (void)snprintf(ret_text, REASON_MAX, "writing \"%s\" to %s", value[0] == '\n' ? "" : value, path);
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        n = write(fd, value, strlen(value));
        if (n < 0)
                return -errno;
        return (size_t)n == strlen(value) ? 0 : -EIO;
}

int driver_current(const char *bus, const char *name, char ret[static DRIVER_NAME_MAX], bool *ret_is_vfio)
{
        const BusFacts *facts = bus_facts(bus);
        char path[PATH_MAX], driver[DRIVER_NAME_MAX];
        struct stat st;
        bool has_device;
        int r;

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s", bus, name);
        if (stat(path, &st) < 0)
                return -errno;
        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/driver", bus, name);
        r = link_read_last(path, driver, sizeof(driver));
        if (r < 0 && r != -ENOENT)
                return r;
        strcpy(ret, driver);

        /* Each VFIO device has a device of class vfio-dev below it, whatever its driver is called. */
        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/vfio-dev", bus, name);
        has_device = stat(path, &st) == 0;
        if (!has_device && errno_is_trouble(errno))
                return -errno; /* "no VFIO driver" would mean that nothing needs to be proved */
        if (facts && facts->by_mdev)
                *ret_is_vfio = false;
        else
                *ret_is_vfio = ret[0] && (has_device || strstr(ret, "vfio") || (facts && facts->ready));
        return 0;
}

bool driver_exists(const char *bus, const char *driver)
{
        char path[PATH_MAX];
        struct stat st;

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/drivers/%s", bus, driver);
        return stat(path, &st) == 0 || errno_is_trouble(errno); /* then the bind will tell */
}

void driver_of_module(const char *bus, const char *module, char ret[static DRIVER_NAME_MAX])
{
        size_t n = strlen(bus);
        struct dirent *entry;
        char path[PATH_MAX];
        DIR *dir;

        (void)snprintf(ret, DRIVER_NAME_MAX, "%s", streq(module, "vfio_pci") ? "vfio-pci" : module);
        (void)snprintf(path, sizeof(path), "/sys/module/%s/drivers", module);
        dir = opendir(path);
        while (dir && (entry = readdir(dir)))
                /* "pci:vfio-pci" */
                if (strncmp(entry->d_name, bus, n) == 0 && entry->d_name[n] == ':' &&
                    strlen(entry->d_name + n + 1) < DRIVER_NAME_MAX)
                        strcpy(ret, entry->d_name + n + 1);
        if (dir)
                (void)closedir(dir);
}

static void override_path(const char *bus, const char *name, char ret[static PATH_MAX])
{
        (void)snprintf(ret, PATH_MAX, "/sys/bus/%s/devices/%s/driver_override", bus, name);
}

int driver_read_override(const char *bus, const char *name, char ret[static DRIVER_NAME_MAX])
{
        _cleanup_close_ int fd = -EBADF;
        char path[PATH_MAX], text[PATH_MAX];
        ssize_t n;

        override_path(bus, name, path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = 0;
        text[strcspn(text, "\n")] = 0;
        /* As the kernel prints NULL. */
        if (streq(text, "(null)"))
                text[0] = 0;
        if (strlen(text) >= DRIVER_NAME_MAX)
                return -ENAMETOOLONG;
        strcpy(ret, text);
        return 0;
}

static bool has_override(const char *bus)
{
        const BusFacts *facts = bus_facts(bus);

        return facts && facts->driver_override;
}

static int set_override(const char *bus, const char *name, const char *driver, char *ret_text)
{
        char path[PATH_MAX];

        if (!has_override(bus)) {
                (void)snprintf(ret_text, REASON_MAX,
                               "a device on bus %s keeps its driver: no other can be chosen for it", bus);
                return -EOPNOTSUPP;
        }
        override_path(bus, name, path);
        return write_attribute(path, driver[0] ? driver : "\n", ret_text);
}

static int probe(const char *bus, const char *name, char *ret_text)
{
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/drivers_probe", bus);
        return write_attribute(path, name, ret_text);
}

int driver_has(const char *path)
{
        char link[PATH_MAX];
        struct stat st;

        (void)snprintf(link, sizeof(link), "%s/driver", path);
        if (lstat(link, &st) == 0)
                return 1;
        if (errno_is_trouble(errno))
                return -errno;
        if (lstat(path, &st) == 0)
                return 0;
        return errno_is_trouble(errno) ? -errno : -ENODEV;
}

bool driver_device_exists(const char *bus, const char *name)
{
        char path[PATH_MAX];
        struct stat st;

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s", bus, name);
        return lstat(path, &st) == 0 || errno_is_trouble(errno);
}

int driver_await_release(const char *bus, const char *name, const char *driver, char *ret_text)
{
        char path[PATH_MAX];
        int r;

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/drivers/%s/unbind", bus, driver);
        r = write_attribute(path, name, ret_text);
        return r < 0 && errno_is_trouble(r) ? r : 0;
}

int driver_unbind(const char *bus, const char *name, char *ret_text)
{
        char path[PATH_MAX];
        int r;

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/driver/unbind", bus, name);
        r = write_attribute(path, name, ret_text);
        /* No driver: there is no such link. The driver went between: there is no such device in it. */
        return r == -ENOENT || r == -ENODEV ? 0 : r;
}

int driver_bind(const char *bus, const char *name, const char *driver, char *ret_text)
{
        char now[DRIVER_NAME_MAX];
        bool vfio;
        int r;

        (void)snprintf(ret_text, REASON_MAX, "reading the driver of %s", name);
        r = driver_current(bus, name, now, &vfio);
        if (r < 0)
                return r;
        if (streq(now, driver))
                return 0;
        if (has_override(bus) && !driver_exists(bus, driver)) {
                (void)snprintf(
                        ret_text, REASON_MAX,
                        "there is no driver %s (its module is not installed, is blacklisted, or did not "
                        "load: see the journal of modprobe@)",
                        driver);
                return -ENOENT;
        }

        /* The override first: between unbind and probe another probe of the bus must not find the device free for all. */
        r = set_override(bus, name, driver, ret_text);
        if (r >= 0)
                r = driver_unbind(bus, name, ret_text);
        if (r >= 0)
                r = probe(bus, name, ret_text);
        if (r >= 0)
                r = driver_current(bus, name, now, &vfio);
        if (r < 0)
                return r;
        if (!streq(now, driver)) {
                (void)snprintf(ret_text, REASON_MAX,
                               "driver %s did not take %s (the kernel log may say why)", driver, name);
                return -ENODEV;
        }
        return 0;
}

int driver_rebind(const char *bus, const char *name, const char *driver, char *ret_text)
{
        char override[DRIVER_NAME_MAX] = "";
        int r, k;

        (void)snprintf(ret_text, REASON_MAX, "reading driver_override of %s", name);
        r = driver_read_override(bus, name, override);
        if (r >= 0)
                r = driver_unbind(bus, name, ret_text);
        if (r < 0)
                return r;
        r = driver_bind(bus, name, driver, ret_text);
        k = streq(override, driver) ? 0 : TRY_AGAIN(set_override(bus, name, override, ret_text));
        return r < 0 ? r : k;
}

static int restore_once(const char *bus, const char *name, const char *driver, const char *override,
                        char *ret_text)
{
        char text[REASON_MAX];
        int r, k;

        if (!has_override(bus)) {
                bool vfio;

                (void)snprintf(ret_text, REASON_MAX, "a device on bus %s keeps its driver", bus);
                r = driver_current(bus, name, text, &vfio);
                return r < 0 ? r : streq(text, driver) ? 0 : -EOPNOTSUPP;
        }

        /* By its name, since another driver's table may match first. */
        r = driver[0] ? driver_bind(bus, name, driver, ret_text) : driver_unbind(bus, name, ret_text);
        k = set_override(bus, name, override, text);
        if (r < 0 || k >= 0)
                return r;
        memcpy(ret_text, text, sizeof(text));
        return k;
}

int driver_restore(const char *bus, const char *name, const char *driver, const char *override,
                   char *ret_text)
{
        return TRY_AGAIN(restore_once(bus, name, driver, override, ret_text));
}

int driver_read_number(const char *bus, const char *name, const char *attribute, unsigned *ret,
                       char *ret_text)
{
        _cleanup_(fclosep) FILE *file = NULL;
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/%s", bus, name, attribute);
        (void)snprintf(ret_text, REASON_MAX, "reading %s of %s", attribute, name);
        file = fopen(path, "re");
        if (!file)
                return -errno;
        return fscanf(file, "%u", ret) == 1 ? 0 : -EIO;
}

int driver_write(const char *bus, const char *name, const char *attribute, const char *value, char *ret_text)
{
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/%s", bus, name, attribute);
        return write_attribute(path, value, ret_text);
}

int driver_reset_device(const char *bus, const char *name, char *ret_text)
{
        return driver_write(bus, name, "reset", "1", ret_text);
}
