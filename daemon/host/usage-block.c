/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The block side of usage.h: file systems, swap, and what is stacked on a disk, up to the root file system.
 *
 * Mounts are read of process 1, not of the daemon: its own namespace lacks what systemd has covered there (ProtectHome=).
 * Those of other namespaces are in no list, but most file systems have a folder in /sys/fs for each disk they have mounted,
 * wherever. What remains is found by the claim, or not at all where a process merely has the disk open. */

#include "daemon/host/usage-internal.h"

#define DEPTH_MAX 16 /* disks on disks */

typedef struct Subject {
        const char *path; /* the disk in sysfs, of which this is about all parts */
        const char *text; /* "nvme0n1 is held by dm-0 (srv)", or NULL where the disk is the device's own */
        unsigned depth;
} Subject;

typedef struct Filesystem {
        const char *disk, *subject;
        char type[64];
        bool found;
} Filesystem;

/* One line of mountinfo; the fields are where they were, cut to strings. */
typedef struct Mount {
        const char *device, *where, *type, *source;
} Mount;

/* \040 and its like are spaces and such. */
static void unescape(char *s)
{
        char *to = s;

        for (; *s; s++)
                if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
                    s[3] >= '0' && s[3] <= '7') {
                        *to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
                        s += 3;
                } else
                        *to++ = *s;
        *to = 0;
}

/* "36 35 98:0 /sub /mnt rw,noatime shared:1 - ext3 /dev/root rw"; `line` is cut up. */
static bool split_mount(char *line, Mount *ret)
{
        char *save = NULL, *fields[6], *word;

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                fields[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
                if (!fields[i])
                        return false;
        }
        do
                word = strtok_r(NULL, " ", &save);
        while (word && !streq(word, "-"));
        ret->device = fields[2];
        ret->where = fields[4];
        ret->type = strtok_r(NULL, " ", &save);
        ret->source = strtok_r(NULL, " ", &save);
        if (!ret->type || !ret->source)
                return false;
        unescape(fields[4]);
        return true;
}

/* Calls `each` for every mount, on a copy of its line. */
static void each_mount(UsageSearch *search, void (*each)(UsageSearch *, const Mount *, void *), void *data)
{
        const char *line = search->mounts;

        while (line && *line) {
                size_t n = strcspn(line, "\n");
                _cleanup_free_ char *copy = strndup(line, n);
                Mount mount;

                if (!copy)
                        usage_trouble(search, ENOMEM);
                if (copy && split_mount(copy, &mount))
                        each(search, &mount, data);
                line += n + (line[n] == '\n');
        }
}

static void mounted(UsageSearch *search, const char *subject, const Mount *mount)
{
        if (streq(mount->where, "/"))
                usage_found(search, USAGE_ROOT, "%s holds the root file system", subject);
        else
                usage_found(search, USAGE_HOST, "%s is mounted at %s", subject, mount->where);
}

typedef struct ByNumber {
        const char *number, *subject;
} ByNumber;

static void mount_by_number(UsageSearch *search, const Mount *mount, void *data)
{
        const ByNumber *wanted = data;

        if (streq(mount->device, wanted->number))
                mounted(search, wanted->subject, mount);
}

/* --- file systems by /sys/fs --- */

typedef struct Btrfs {
        const char *uuid, *subject;
        char member[NAME_MAX + 1];
        const Mount *mount;
        bool found;
} Btrfs;

static void btrfs_member(UsageSearch *search, const char *name, const void *data)
{
        Btrfs *btrfs = (Btrfs *)data;
        const char *source = strrchr(btrfs->mount->source, '/');
        char mapped[128];

        usage_read(search, mapped, sizeof(mapped), "/sys/class/block/%s/dm/name", name);
        source = source ? source + 1 : btrfs->mount->source;
        if (streq(name, source) || (mapped[0] && streq(mapped, source)))
                btrfs->found = true;
}

/* A mount of btrfs has a number of its own and names one of its disks. */
static void mount_of_btrfs(UsageSearch *search, const Mount *mount, void *data)
{
        Btrfs *btrfs = data;

        if (!streq(mount->type, "btrfs"))
                return;
        btrfs->mount = mount;
        btrfs->found = false;
        usage_each(search, btrfs_member, btrfs, "/sys/fs/btrfs/%s/devices", btrfs->uuid);
        if (btrfs->found)
                mounted(search, btrfs->subject, mount);
}

static void btrfs_with_disk(UsageSearch *search, const char *uuid, const void *data)
{
        Filesystem *filesystem = (Filesystem *)data;
        Btrfs btrfs = { .uuid = uuid, .subject = filesystem->subject };
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s/sys/fs/btrfs/%s/devices/%s", search->root, uuid,
                       filesystem->disk);
        if (access(path, F_OK) < 0) {
                usage_trouble(search, errno);
                return;
        }
        each_mount(search, mount_of_btrfs, &btrfs);
        filesystem->found = true;
        (void)snprintf(filesystem->type, sizeof(filesystem->type), "btrfs");
}

/* Ext4, xfs and f2fs, and whatever does as they do. */
static void filesystem_with_disk(UsageSearch *search, const char *type, const void *data)
{
        Filesystem *filesystem = (Filesystem *)data;
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s/sys/fs/%s/%s", search->root, type, filesystem->disk);
        if (access(path, F_OK) < 0) {
                usage_trouble(search, errno);
                return;
        }
        filesystem->found = true;
        (void)snprintf(filesystem->type, sizeof(filesystem->type), "%s", type);
}

/* --- the rest --- */

static bool is_swap(const UsageSearch *search, const char *name)
{
        const char *line = search->swaps;

        while (line && *line) {
                size_t n = strcspn(line, "\n"), word = strcspn(line, " \t\n");

                if (word == strlen("/dev/") + strlen(name) && strncmp(line, "/dev/", 5) == 0 &&
                    strncmp(line + 5, name, strlen(name)) == 0)
                        return true;
                line += n + (line[n] == '\n');
        }
        return false;
}

typedef struct Zfs {
        const char *subject;
        bool root;
} Zfs;

static void mount_of_zfs(UsageSearch *search, const Mount *mount, void *data)
{
        Zfs *zfs = data;

        zfs->root = zfs->root || (streq(mount->type, "zfs") && streq(mount->where, "/"));
}

/* A pool does not say which disks it has, but udev has read what is on each. */
static void find_zfs(UsageSearch *search, const char *number, const char *subject)
{
        _cleanup_(fclosep) FILE *file = NULL;
        char path[PATH_MAX], line[256];
        Zfs zfs = { .subject = subject };

        (void)snprintf(path, sizeof(path), "%s/sys/module/zfs", search->root);
        if (access(path, F_OK) < 0) {
                usage_trouble(search, errno);
                return;
        }
        (void)snprintf(path, sizeof(path), "%s/run/udev/data/b%s", search->root, number);
        file = fopen(path, "re");
        if (!file)
                usage_trouble(search, errno);
        while (file && fgets(line, sizeof(line), file))
                if (streq(line, "E:ID_FS_TYPE=zfs_member\n")) {
                        each_mount(search, mount_of_zfs, &zfs);
                        usage_found(search, zfs.root ? USAGE_ROOT : USAGE_HOST, "%s is part of a ZFS pool%s",
                                    subject, zfs.root ? ", as the root file system is" : "");
                        return;
                }
        if (file && ferror(file))
                usage_trouble(search, errno);
}

static void find_stacked(UsageSearch *search, const Subject *below);

static void find_holder(UsageSearch *search, const char *name, const void *data)
{
        const Subject *held = data;
        char mapped[128], path[PATH_MAX], text[REASON_MAX];
        Subject holder = { .path = path, .text = text, .depth = held->depth + 1 };

        if (!usage_class_path(search, "block", name, path))
                return;
        usage_read(search, mapped, sizeof(mapped), "/sys/class/block/%s/dm/name", name);
        if (mapped[0])
                (void)snprintf(text, sizeof(text), "%s is held by %s (%s)", held->text, name, mapped);
        else
                (void)snprintf(text, sizeof(text), "%s is held by %s", held->text, name);
        if (holder.depth < DEPTH_MAX)
                find_stacked(search, &holder);
        usage_found(search, USAGE_HOST, "%s", text);
}

/* One disk or partition, or device-mapper device … */
static void find_block(UsageSearch *search, const char *name, const char *subject, unsigned depth)
{
        Filesystem filesystem = { .disk = name, .subject = subject };
        Subject holders = { .text = subject, .depth = depth };
        char number[32];

        usage_read(search, number, sizeof(number), "/sys/class/block/%s/dev", name);
        if (!number[0])
                return;
        each_mount(search, mount_by_number, &(ByNumber){ number, subject });
        usage_each(search, btrfs_with_disk, &filesystem, "/sys/fs/btrfs");
        usage_each(search, filesystem_with_disk, &filesystem, "/sys/fs");
        if (filesystem.found)
                usage_found(search, USAGE_HOST,
                            "%s has a file system (%s) that is mounted in another mount namespace", subject,
                            filesystem.type);
        if (is_swap(search, name))
                usage_found(search, USAGE_HOST, "%s is used as swap", subject);
        find_zfs(search, number, subject);
        usage_each(search, find_holder, &holders, "/sys/class/block/%s/holders", name);
}

static void find_part(UsageSearch *search, const char *name, const void *data)
{
        const Subject *subject = data;
        char path[PATH_MAX], text[REASON_MAX];

        if (!usage_class_path(search, "block", name, path) || !usage_is_below(path, subject->path))
                return;
        if (!subject->text)
                (void)snprintf(text, sizeof(text), "%s", name);
        else if (streq(path, subject->path))
                (void)snprintf(text, sizeof(text), "%s, which", subject->text);
        else
                (void)snprintf(text, sizeof(text), "%s, whose %s", subject->text, name);
        find_block(search, name, text, subject->depth);
}

static void find_stacked(UsageSearch *search, const Subject *below)
{
        usage_each(search, find_part, below, "/sys/class/block");
}

/* --- disks that several controllers lead to --- */

typedef struct EachDisk {
        const char *path;
        bool ours; /* one of the subsystem's controllers is the device's */
        UsageEach each;
        const void *data;
} EachDisk;

static void call_for_disk(UsageSearch *search, const char *name, const void *data)
{
        const EachDisk *disk = data;
        char path[PATH_MAX], number[8], hidden[8];

        if (!usage_class_path(search, "block", name, path) || !usage_is_below(path, disk->path))
                return;
        usage_read(search, number, sizeof(number), "/sys/class/block/%s/partition", name);
        usage_read(search, hidden, sizeof(hidden), "/sys/class/block/%s/hidden", name);
        if (!number[0] && !streq(hidden, "1"))
                disk->each(search, name, disk->data);
}

static void find_controller(UsageSearch *search, const char *name, const void *data)
{
        EachDisk *disk = (EachDisk *)data;
        char path[PATH_MAX];

        if (usage_class_path(search, "nvme", name, path) && usage_is_below(path, disk->path))
                disk->ours = true;
}

/* NVMe's own multipath has the disks below the subsystem, and links to its controllers beside them. */
static void find_subsystem(UsageSearch *search, const char *name, const void *data)
{
        const EachDisk *disk = data;
        EachDisk there = *disk;
        char path[PATH_MAX];

        if (!usage_class_path(search, "nvme-subsystem", name, path))
                return;
        usage_each(search, find_controller, &there, "%s", path);
        if (!there.ours)
                return;
        there.path = path;
        usage_each(search, call_for_disk, &there, "/sys/class/block");
}

void usage_each_disk(UsageSearch *search, const char *path, UsageEach each, const void *data)
{
        EachDisk disk = { .path = path, .each = each, .data = data };

        usage_each(search, call_for_disk, &disk, "/sys/class/block");
        usage_each(search, find_subsystem, &disk, "/sys/class/nvme-subsystem");
}

static void find_disk(UsageSearch *search, const char *name, const void *data)
{
        char path[PATH_MAX];

        if (usage_class_path(search, "block", name, path))
                find_stacked(search, &(Subject){ .path = path });
}

void usage_blocks(UsageSearch *search, const char *path)
{
        usage_each_disk(search, path, find_disk, NULL);
}
