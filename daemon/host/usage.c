/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host uses a device for: its disks (usage-block.c), network interfaces, displays, consoles, and those of its
 * virtual functions, which go with it. Class by class, and not by walking the device's own folder, whose depth depends on
 * the driver. */

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "daemon/host/route.h"
#include "daemon/host/usage-internal.h"

void usage_found(UsageSearch *search, UsageKind kind, const char *format, ...)
{
        va_list ap;

        if (kind <= search->ret->kind)
                return;
        search->ret->kind = kind;
        va_start(ap, format);
        (void)vsnprintf(search->ret->text, sizeof(search->ret->text), format, ap);
        va_end(ap);
}

void usage_trouble(const UsageSearch *search, int error)
{
        if (*search->error == 0 && errno_is_trouble(error))
                *search->error = error < 0 ? error : -error;
}

static bool make_path(const UsageSearch *search, char ret[static PATH_MAX], const char *format, va_list ap)
        _printf_(3, 0);
static bool make_path(const UsageSearch *search, char ret[static PATH_MAX], const char *format, va_list ap)
{
        int n = snprintf(ret, PATH_MAX, "%s", search->root);

        return vsnprintf(ret + n, (size_t)(PATH_MAX - n), format, ap) < PATH_MAX - n;
}

void usage_read(const UsageSearch *search, char *ret, size_t size, const char *format, ...)
{
        _cleanup_(fclosep) FILE *file = NULL;
        char path[PATH_MAX];
        va_list ap;

        va_start(ap, format);
        file = make_path(search, path, format, ap) ? fopen(path, "re") : NULL;
        va_end(ap);
        if (!file || !fgets(ret, (int)size, file)) {
                if (!file || ferror(file))
                        usage_trouble(search, errno);
                ret[0] = 0;
        }
        ret[strcspn(ret, "\n")] = 0;
}

void usage_each(UsageSearch *search, UsageEach each, const void *data, const char *format, ...)
{
        struct dirent *entry;
        char path[PATH_MAX];
        DIR *dir = NULL;
        va_list ap;

        va_start(ap, format);
        if (make_path(search, path, format, ap)) {
                dir = opendir(path);
                if (!dir)
                        usage_trouble(search, errno);
        }
        va_end(ap);
        while (dir) {
                errno = 0;
                entry = readdir(dir);
                if (!entry) {
                        usage_trouble(search, errno);
                        (void)closedir(dir);
                        return;
                }
                if (entry->d_name[0] != '.')
                        each(search, entry->d_name, data);
        }
}

static bool read_target(const UsageSearch *search, const char *path, char ret[static PATH_MAX])
{
        char link[PATH_MAX];
        ssize_t n;

        if (snprintf(link, sizeof(link), "%s%s", search->root, path) >= (int)sizeof(link))
                return false;
        n = readlink(link, ret, PATH_MAX - 1);
        if (n < 0)
                usage_trouble(search, errno);
        ret[n < 0 ? 0 : n] = 0;
        return n > 0;
}

/* The device that a link of a class or a bus leads to: "../../devices/…". */
static bool read_link(const UsageSearch *search, const char *path, char ret[static PATH_MAX])
{
        char target[PATH_MAX];
        const char *part;

        if (!read_target(search, path, target))
                return false;
        part = strstr(target, "../devices/");
        return part && snprintf(ret, PATH_MAX, "/sys/%s", part + 3) < PATH_MAX;
}

static const char *last_part(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

bool usage_class_path(const UsageSearch *search, const char *class, const char *name,
                      char ret[static PATH_MAX])
{
        char path[PATH_MAX];

        return snprintf(path, sizeof(path), "/sys/class/%s/%s", class, name) < (int)sizeof(path) &&
               read_link(search, path, ret);
}

bool usage_is_below(const char *path, const char *top)
{
        size_t n = strlen(top);

        return strncmp(path, top, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* --- network --- */

static void find_upper(UsageSearch *search, const char *name, const void *data)
{
        if (strncmp(name, "upper_", 6) == 0)
                usage_found(search, USAGE_HOST, "%s is up and carries %s", (const char *)data, name + 6);
}

static void find_interface(UsageSearch *search, const char *name, const void *data)
{
        char path[PATH_MAX], link[PATH_MAX], number[16], flags[16], text[ROUTE_TEXT_MAX];
        unsigned ifindex;
        int r;

        if (!usage_class_path(search, "net", name, path) || !usage_is_below(path, data))
                return;
        (void)snprintf(link, sizeof(link), "/sys/class/net/%s/master", name);
        if (read_target(search, link, path))
                usage_found(search, USAGE_HOST, "%s is a port of %s", name, last_part(path));
        usage_read(search, flags, sizeof(flags), "/sys/class/net/%s/flags", name);
        usage_read(search, number, sizeof(number), "/sys/class/net/%s/ifindex", name);
        if (!(strtoul(flags, NULL, 16) & IFF_UP))
                return;
        ifindex = (unsigned)strtoul(number, NULL, 10);
        r = route_address(ifindex, text);
        if (r > 0)
                usage_found(search, USAGE_HOST, "%s is up and has %s", name, text);
        usage_trouble(search, r < 0 ? r : 0);
        r = r > 0 ? 0 : route_over(ifindex, text);
        if (r > 0)
                usage_found(search, USAGE_HOST, "%s is up and has a route (%s)", name, text);
        usage_trouble(search, r < 0 ? r : 0);
        usage_each(search, find_upper, name, "/sys/class/net/%s", name);
}

static void count(UsageSearch *search, const char *name, const void *data)
{
        (*(unsigned *)data)++;
}

/* The folder is there as long as an interface is, and shows those of our own network namespace only. */
static void find_moved(UsageSearch *search, const char *path)
{
        char folder[PATH_MAX];
        unsigned n = 0;

        if (snprintf(folder, sizeof(folder), "%s%s/net", search->root, path) >= (int)sizeof(folder))
                return;
        if (access(folder, F_OK) < 0) {
                usage_trouble(search, errno);
                return;
        }
        usage_each(search, count, &n, "%s/net", path);
        if (n == 0)
                usage_found(search, USAGE_HOST, "its network interface is in another network namespace");
}

static void find_moved_virtio(UsageSearch *search, const char *name, const void *data)
{
        char path[PATH_MAX];

        if (strncmp(name, "virtio", 6) == 0 &&
            snprintf(path, sizeof(path), "%s/%s", (const char *)data, name) < (int)sizeof(path))
                find_moved(search, path);
}

/* --- displays and consoles --- */

static void find_connector(UsageSearch *search, const char *name, const void *data)
{
        char path[PATH_MAX], enabled[16];

        if (!usage_class_path(search, "drm", name, path) || !usage_is_below(path, data))
                return;
        usage_read(search, enabled, sizeof(enabled), "/sys/class/drm/%s/enabled", name);
        if (streq(enabled, "enabled"))
                usage_found(search, USAGE_HOST, "%s shows a picture", name);
}

static void find_framebuffer(UsageSearch *search, const char *name, const void *data)
{
        char path[PATH_MAX];

        /* One that the firmware has set up is no PCI device's: it is the boot display's. */
        if (strncmp(name, "fb", 2) == 0 && usage_class_path(search, "graphics", name, path) &&
            (usage_is_below(path, data) || usage_is_below(path, "/sys/devices/platform")))
                usage_found(search, USAGE_HOST, "it is the boot display, with the framebuffer %s", name);
}

static void find_vtconsole(UsageSearch *search, const char *name, const void *data)
{
        char bound[8], what[64];

        usage_read(search, bound, sizeof(bound), "/sys/class/vtconsole/%s/bind", name);
        usage_read(search, what, sizeof(what), "/sys/class/vtconsole/%s/name", name);
        if (streq(bound, "1") && !strstr(what, "dummy"))
                usage_found(search, USAGE_HOST, "it is the boot display, with the console on it");
}

static void find_displays(UsageSearch *search, const char *path)
{
        char boot[8];

        usage_each(search, find_connector, path, "/sys/class/drm");
        usage_read(search, boot, sizeof(boot), "%s/boot_vga", path);
        if (!streq(boot, "1"))
                return;
        usage_each(search, find_framebuffer, path, "/sys/class/graphics");
        usage_each(search, find_vtconsole, path, "/sys/class/vtconsole");
}

/* The kernel's own consoles: "tty0 ttyS4". */
static void find_consoles(UsageSearch *search, const char *device_path)
{
        char names[256], path[PATH_MAX], *save = NULL;

        usage_read(search, names, sizeof(names), "/sys/class/tty/console/active");
        for (const char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save))
                if (usage_class_path(search, "tty", name, path) && usage_is_below(path, device_path))
                        usage_found(search, USAGE_HOST, "%s is a console of the kernel", name);
}

/* --- all of it --- */

static void find_all(UsageSearch *search, const char *path)
{
        usage_blocks(search, path);
        usage_each(search, find_interface, path, "/sys/class/net");
        find_moved(search, path);
        usage_each(search, find_moved_virtio, path, "%s", path);
        find_displays(search, path);
        find_consoles(search, path);
}

/* Taking the driver from a physical function takes its virtual ones away: their uses are its own. */
static void find_function(UsageSearch *search, const char *name, const void *data)
{
        const char *path = data, *function;
        char link[PATH_MAX], target[PATH_MAX], device[PATH_MAX];
        DeviceUsage usage = {};
        UsageSearch inner = *search;

        if (strncmp(name, "virtfn", 6) != 0 ||
            snprintf(link, sizeof(link), "%s/%s", path, name) >= (int)sizeof(link) ||
            !read_target(search, link, target))
                return;
        function = last_part(target);
        if (snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s", function) >= (int)sizeof(link) ||
            !read_link(search, link, device))
                return;
        inner.ret = &usage;
        find_all(&inner, device);
        if (usage.kind != USAGE_NONE)
                usage_found(search, usage.kind, "of its virtual function %.20s: %.200s", function,
                            usage.text);
}

/* 0 with the whole file, which has no NUL in it. */
static int slurp(const char *root, const char *path, char **ret)
{
        _cleanup_(fclosep) FILE *file = NULL;
        _cleanup_free_ char *text = NULL;
        char full[PATH_MAX];
        size_t size = 0;

        (void)snprintf(full, sizeof(full), "%s%s", root, path);
        file = fopen(full, "re");
        if (!file)
                return -errno;
        errno = 0;
        if (getdelim(&text, &size, 0, file) < 0) {
                if (!feof(file))
                        return errno > 0 ? -errno : -EIO;
                free(text);
                text = strdup("");
                if (!text)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(text);
        return 0;
}

int usage_find(const char *root, const char *path, DeviceUsage *ret)
{
        _cleanup_free_ char *mounts = NULL, *swaps = NULL;
        DeviceUsage usage = {};
        int error = 0, r;
        UsageSearch search = { .root = root, .ret = &usage, .error = &error };

        r = slurp(root, "/proc/1/mountinfo", &mounts);
        if (r < 0)
                return r;
        r = slurp(root, "/proc/swaps", &swaps);
        if (r < 0 && r != -ENOENT) /* a kernel without swap */
                return r;
        search.mounts = mounts;
        search.swaps = swaps;

        find_all(&search, path);
        usage_each(&search, find_function, path, "%s", path);
        if (error < 0 && usage.kind != USAGE_ROOT) /* what may be forced is not all that there may be */
                return error;
        *ret = usage;
        return 0;
}

/* --- the claim --- */

typedef struct Claiming {
        UsageClaim *claim;
        int error;
} Claiming;

static void claim_disk(UsageSearch *search, const char *name, const void *data)
{
        Claiming *claiming = (Claiming *)data;
        UsageClaim *claim = claiming->claim;
        _cleanup_close_ int fd = -EBADF;
        char path[PATH_MAX];
        int *more;

        if (claiming->error < 0 || search->ret->kind != USAGE_NONE)
                return;
        (void)snprintf(path, sizeof(path), "/dev/%s", name);
        for (char *c = path; *c; c++)
                if (*c == '!')
                        *c = '/';
        fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) {
                if (errno == EBUSY)
                        usage_found(search, USAGE_HOST, "%s is opened exclusively", name);
                else if (errno == EPERM || errno == EACCES || (errno_is_trouble(errno) && errno != EIO))
                        claiming->error = -errno;
                return; /* no medium, no node, broken: nobody can mount it either */
        }
        more = reallocarray(claim->fds, claim->n + 1, sizeof(*more));
        if (!more) {
                claiming->error = -ENOMEM;
                return;
        }
        claim->fds = more;
        claim->fds[claim->n++] = TAKE_FD(fd);
}

int usage_claim(const char *path, UsageClaim *ret_claim, DeviceUsage *ret)
{
        UsageClaim claim = {};
        Claiming claiming = { .claim = &claim };
        DeviceUsage usage = {};
        UsageSearch search = { .root = "", .ret = &usage, .error = &claiming.error };

        usage_each_disk(&search, path, claim_disk, &claiming);
        if (claiming.error < 0 || usage.kind != USAGE_NONE)
                usage_claim_done(&claim);
        if (claiming.error < 0)
                return claiming.error;
        *ret_claim = claim;
        *ret = usage;
        return 0;
}

void usage_claim_done(UsageClaim *claim)
{
        for (size_t i = 0; i < claim->n; i++)
                (void)close(claim->fds[i]);
        free(claim->fds);
        *claim = (UsageClaim){};
}
