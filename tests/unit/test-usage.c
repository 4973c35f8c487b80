/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/host/usage.c and usage-block.c on a /sys and /proc of folders and links, for what the lab has not: ZFS, btrfs,
 * md, NVMe multipath, displays, consoles, virtual functions. The rest, and the claim, is shown in the lab. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/host/usage.h"
#include "tests/unit/fake-root.h"

#define DISK   "/sys/devices/pci0000:00/0000:00:03.0/0000:03:00.0"
#define OTHER  "/sys/devices/pci0000:00/0000:00:03.0/0000:03:00.1" /* its name begins as the disk's does */
#define NIC    "/sys/devices/pci0000:00/0000:00:02.0/0000:02:00.0"
#define SCREEN "/sys/devices/pci0000:00/0000:00:01.0"

/* A device of a class below `parent`, "/sys/devices/…", as the kernel links it. */
static void add(const char *class, const char *parent, const char *name)
{
        char path[400], link[512];

        (void)snprintf(path, sizeof(path), "%s/%s", parent, name);
        make_folders(path);
        (void)snprintf(link, sizeof(link), "../../%s", path + strlen("/sys/"));
        (void)snprintf(path, sizeof(path), "/sys/class/%s", class);
        make_link(path, name, link);
}

static void add_block(const char *parent, const char *name, const char *number)
{
        char path[400];

        add("block", parent, name);
        (void)snprintf(path, sizeof(path), "%s/%s", parent, name);
        write_file(path, "dev", number);
        (void)snprintf(path, sizeof(path), "%s/%s/holders", parent, name);
        make_folders(path);
}

static void add_holder(const char *parent, const char *name, const char *holder)
{
        char path[400];

        (void)snprintf(path, sizeof(path), "%s/%s/holders", parent, name);
        make_link(path, holder, "somewhere");
}

static void set_mounts(const char *text)
{
        write_file("/proc/1", "mountinfo", text);
}

static int setup(void **state)
{
        if (fake_root_make() < 0)
                return -1;
        set_mounts("22 1 0:20 / / rw - tmpfs tmpfs rw\n");
        write_file("/proc", "swaps", "Filename Type Size Used Priority\n");
        add_block(DISK "/nvme/nvme0", "nvme0n1", "259:0\n");
        add_block(DISK "/nvme/nvme0/nvme0n1", "nvme0n1p1", "259:1\n");
        write_file(DISK "/nvme/nvme0/nvme0n1/nvme0n1p1", "partition", "1\n");
        add_block(OTHER "/nvme/nvme1", "nvme1n1", "259:9\n");
        make_folders(NIC);
        make_folders(SCREEN);
        return 0;
}

static int teardown(void **state)
{
        return fake_root_remove();
}

static void expect(const char *path, UsageKind kind, const char *text)
{
        DeviceUsage usage = { .kind = 99 };

        assert_int_equal(usage_find(root, path, &usage), 0);
        assert_string_equal(usage.text, text);
        assert_int_equal(usage.kind, kind);
}

/* Mounts: of a disk, of a partition, with a space in the path; another device's is not this one's. */
static void test_mount(void **state)
{
        expect(DISK, USAGE_NONE, "");
        set_mounts("30 22 259:1 / /srv/my\\040data rw,noatime shared:1 master:2 - ext4 /dev/nvme0n1p1 rw\n"
                   "31 22 259:10 / /other rw - ext4 /dev/nvme0n1 rw\n");
        expect(DISK, USAGE_HOST, "nvme0n1p1 is mounted at /srv/my data");
        expect(OTHER, USAGE_NONE, "");
        set_mounts("30 22 259:9 / /srv rw - ext4 /dev/nvme1n1 rw\n");
        expect(DISK, USAGE_NONE, "");
        expect(OTHER, USAGE_HOST, "nvme1n1 is mounted at /srv");
        set_mounts("30 22 259:1 / /boot rw - ext4 x rw\n"
                   "bad line\n"
                   "31 1 259:1 / / rw - ext4 /dev/root rw\n");
        expect(DISK, USAGE_ROOT, "nvme0n1p1 holds the root file system");
}

/* A mount that only another namespace has shows by the file system's own folder. */
static void test_other_namespace(void **state)
{
        make_folders("/sys/fs/ext4/features");
        expect(DISK, USAGE_NONE, "");
        make_folders("/sys/fs/ext4/nvme0n1p1");
        expect(DISK, USAGE_HOST,
               "nvme0n1p1 has a file system (ext4) that is mounted in another mount namespace");
}

/* Swap, and one whose name only begins alike. */
static void test_swap(void **state)
{
        write_file("/proc", "swaps", "Filename Type\n/dev/nvme0n1p11\tpartition\n/dev/nvme0n1p partition\n");
        expect(DISK, USAGE_NONE, "");
        write_file("/proc", "swaps", "Filename Type\n/dev/nvme0n1p1   partition 1 2 3\n");
        expect(DISK, USAGE_HOST, "nvme0n1p1 is used as swap");
}

/* Disks on disks: the whole way up is told, and the root file system is found through it, whatever else is there. */
static void test_stack(void **state)
{
        add_block("/sys/devices/virtual/block", "md0", "9:0\n");
        add_block("/sys/devices/virtual/block/md0", "md0p1", "259:20\n");
        add_block("/sys/devices/virtual/block", "dm-0", "253:0\n");
        add_holder(DISK "/nvme/nvme0/nvme0n1", "nvme0n1p1", "md0");
        expect(DISK, USAGE_HOST, "nvme0n1p1 is held by md0");
        add_holder("/sys/devices/virtual/block/md0", "md0p1", "dm-0");
        write_file("/sys/devices/virtual/block/dm-0/dm", "name", "vg-root\n");
        expect(DISK, USAGE_HOST, "nvme0n1p1 is held by md0, whose md0p1 is held by dm-0 (vg-root)");
        set_mounts("31 1 253:0 / /home rw - ext4 x rw\n");
        expect(DISK, USAGE_HOST,
               "nvme0n1p1 is held by md0, whose md0p1 is held by dm-0 (vg-root), which is mounted at /home");
        set_mounts("29 1 259:0 / /strange rw - ext4 x rw\n"
                   "31 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n");
        expect(DISK, USAGE_ROOT,
               "nvme0n1p1 is held by md0, whose md0p1 is held by dm-0 (vg-root), which holds the root file "
               "system");
        expect(OTHER, USAGE_NONE, "");

        /* A loop, which the kernel does not make, ends. */
        add_holder("/sys/devices/virtual/block", "dm-0", "md0");
        set_mounts("");
        {
                DeviceUsage usage;

                assert_int_equal(usage_find(root, DISK, &usage), 0);
                assert_int_equal(usage.kind, USAGE_HOST);
        }
}

/* Btrfs mounts have numbers of their own and name one disk of many. */
static void test_btrfs(void **state)
{
        make_folders("/sys/fs/btrfs/0123-4567/devices/nvme0n1p1");
        make_folders("/sys/fs/btrfs/0123-4567/devices/nvme1n1");
        make_folders("/sys/fs/btrfs/features");
        expect(OTHER, USAGE_HOST,
               "nvme1n1 has a file system (btrfs) that is mounted in another mount namespace");
        set_mounts("30 22 0:44 /@home /home rw - btrfs /dev/nvme0n1p1 rw\n");
        expect(DISK, USAGE_HOST, "nvme0n1p1 is mounted at /home");
        expect(OTHER, USAGE_HOST, "nvme1n1 is mounted at /home");
        set_mounts("30 22 0:44 /@home /home rw - btrfs /dev/nvme0n1p1 rw\n"
                   "31 1 0:43 /@ / rw - btrfs /dev/nvme0n1p1 rw\n");
        expect(OTHER, USAGE_ROOT, "nvme1n1 holds the root file system");
}

/* ZFS says nothing of its disks; udev does. Without the module the disk is only a disk. */
static void test_zfs(void **state)
{
        write_file("/run/udev/data", "b259:1", "S:disk/by-id/x\nE:ID_FS_TYPE=zfs_member\n");
        expect(DISK, USAGE_NONE, "");
        make_folders("/sys/module/zfs");
        expect(DISK, USAGE_HOST, "nvme0n1p1 is part of a ZFS pool");
        set_mounts("31 1 0:43 / / rw - zfs rpool/ROOT rw\n");
        expect(DISK, USAGE_ROOT, "nvme0n1p1 is part of a ZFS pool, as the root file system is");
        expect(OTHER, USAGE_NONE, "");
}

/* A disk with two controllers is below neither. */
static void test_nvme_multipath(void **state)
{
        add("nvme", DISK "/nvme", "nvme0");
        add("nvme-subsystem", "/sys/devices/virtual/nvme-subsystem", "nvme-subsys0");
        add_block("/sys/devices/virtual/nvme-subsystem/nvme-subsys0", "nvme5n1", "259:50\n");
        make_link("/sys/devices/virtual/nvme-subsystem/nvme-subsys0", "nvme0", "somewhere");
        set_mounts("30 22 259:50 / /srv rw - ext4 /dev/nvme5n1 rw\n");
        expect(DISK, USAGE_HOST, "nvme5n1 is mounted at /srv");
        expect(OTHER, USAGE_NONE, "");
}

/* Interfaces: a master counts always, what it carries where it is up; one that cannot be seen is somebody else's. */
static void test_interfaces(void **state)
{
        add("net", NIC "/net", "eth7");
        write_file(NIC "/net/eth7", "flags", "0x1002\n");
        write_file(NIC "/net/eth7", "ifindex", "2000000000\n"); /* nobody has addresses there */
        make_folders(NIC "/net/eth7/upper_eth7.10");
        expect(NIC, USAGE_NONE, "");
        write_file(NIC "/net/eth7", "flags", "0x1003\n");
        expect(NIC, USAGE_HOST, "eth7 is up and carries eth7.10");
        write_file(NIC "/net/eth7", "flags", "0x1002\n");
        make_link(NIC "/net/eth7", "master", "../../../../../virtual/net/bond0");
        expect(NIC, USAGE_HOST, "eth7 is a port of bond0");
}

static void test_moved_interface(void **state)
{
        make_folders(NIC "/net");
        expect(NIC, USAGE_HOST, "its network interface is in another network namespace");
        make_folders(DISK "/virtio3/net");
        expect(DISK, USAGE_HOST, "its network interface is in another network namespace");
}

/* The uses of virtual functions are the physical one's: they go with its driver. */
static void test_functions(void **state)
{
        make_link(NIC, "virtfn0", "../0000:03:00.0");
        make_link("/sys/bus/pci/devices", "0000:03:00.0",
                  "../../../devices/pci0000:00/0000:00:03.0/0000:03:00.0");
        set_mounts("30 22 259:1 / /srv rw - ext4 x rw\n");
        expect(NIC, USAGE_HOST, "of its virtual function 0000:03:00.0: nvme0n1p1 is mounted at /srv");
}

/* The boot display counts where there is a console or a framebuffer on it; any, where it shows a picture. */
static void test_displays(void **state)
{
        write_file(SCREEN, "boot_vga", "1\n");
        add("vtconsole", "/sys/devices/virtual/vtconsole", "vtcon0");
        write_file("/sys/devices/virtual/vtconsole/vtcon0", "bind", "1\n");
        write_file("/sys/devices/virtual/vtconsole/vtcon0", "name", "(S) dummy device\n");
        expect(SCREEN, USAGE_NONE, "");
        write_file("/sys/devices/virtual/vtconsole/vtcon0", "name", "(S) VGA+\n");
        expect(SCREEN, USAGE_HOST, "it is the boot display, with the console on it");
        expect(NIC, USAGE_NONE, "");
        write_file(SCREEN, "boot_vga", "0\n");
        expect(SCREEN, USAGE_NONE, "");
        add("graphics", "/sys/devices/platform/efi-framebuffer.0/graphics", "fb0");
        expect(SCREEN, USAGE_NONE, "");
        write_file(SCREEN, "boot_vga", "1\n");
        expect(SCREEN, USAGE_HOST, "it is the boot display, with the framebuffer fb0");

        add("drm", NIC "/drm/card0", "card0-DP-1");
        write_file(NIC "/drm/card0/card0-DP-1", "enabled", "disabled\n");
        expect(NIC, USAGE_NONE, "");
        write_file(NIC "/drm/card0/card0-DP-1", "enabled", "enabled\n");
        expect(NIC, USAGE_HOST, "card0-DP-1 shows a picture");
}

/* A serial card with the kernel's console. */
static void test_console(void **state)
{
        add("tty", "/sys/devices/virtual/tty", "console");
        add("tty", NIC "/tty", "ttyS4");
        write_file("/sys/devices/virtual/tty/console", "active", "tty0 ttyS40\n");
        expect(NIC, USAGE_NONE, "");
        write_file("/sys/devices/virtual/tty/console", "active", "tty0 ttyS4\n");
        expect(NIC, USAGE_HOST, "ttyS4 is a console of the kernel");
}

/* A device that is not there is not in use; mounts that cannot be read are an error, not a no. */
static void test_errors(void **state)
{
        DeviceUsage usage;
        char path[128];

        expect("/sys/devices/pci0000:00/0000:00:1f.0", USAGE_NONE, "");
        (void)snprintf(path, sizeof(path), "%s/proc/swaps", root);
        assert_int_equal(unlink(path), 0);
        expect(DISK, USAGE_NONE, ""); /* a kernel without swap */
        (void)snprintf(path, sizeof(path), "%s/proc/1/mountinfo", root);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(usage_find(root, DISK, &usage), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(mount),      TEST(other_namespace), TEST(swap),
                TEST(stack),      TEST(btrfs),           TEST(zfs),
                TEST(interfaces), TEST(nvme_multipath),  TEST(moved_interface),
                TEST(functions),  TEST(displays),        TEST(console),
                TEST(errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
