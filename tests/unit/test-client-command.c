/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/ctl/command.c: the placeholders of `vfiobrokerctl exec`, and QEMU's arguments. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "client-lib/ctl/command.h"

static const int devices[] = { 11, 12, 13 };

/* Expands one argument with an iommufd 10 and devices 11, 12, 13. */
static char *expanded(const char *argument, int *ret)
{
        const char *const command[] = { argument, NULL };
        char **built = NULL, *text = NULL;
        bool used[ELEMENTSOF(devices)] = { false };
        CommandFds fds = { .iommufd = 10, .devices = devices, .n_devices = 3, .devices_used = used };

        *ret = command_build(command, &fds, false, &built);
        if (*ret >= 0) {
                text = built[0];
                free(built);
        }
        return text;
}

/* Each placeholder becomes its fd, as often as it is there, and all other text stays, JSON and braces
 * included. */
static void test_expand(void **state)
{
        static const struct {
                const char *argument, *expected;
        } cases[] = {
                { "", "" },
                { "plain", "plain" },
                { "{iommufd}", "10" },
                { "{device}", "11" },
                { "{device:0}", "11" },
                { "{device:2}", "13" },
                { "fd={device},x={device:1}{iommufd}", "fd=11,x=1210" },
                { "{\"fd\":\"{device}\",\"a\":{\"b\":[]}}", "{\"fd\":\"11\",\"a\":{\"b\":[]}}" },
                { "{{device}", "{device}" },
                { "{{{device}", "{{device}" },
                { "{{anything:x}", "{anything:x}" },
                { "{{", "{{" },
                { "{", "{" },
                { "{}", "{}" },
                { "{device", "{device" },
                { "{ device}", "{ device}" },
                { "{Device}", "{Device}" },
                { "{device:1 }", "{device:1 }" },
                { "{iommufd0}", "{iommufd0}" },
                { "100%", "100%" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *const command[] = { cases[i].argument, NULL };
                char *error = NULL, *text;
                CommandNeeds needs;
                int r;

                print_message("%s\n", cases[i].argument);
                assert_int_equal(command_scan(command, &needs, &error), 0);
                text = expanded(cases[i].argument, &r);
                assert_int_equal(r, 0);
                assert_string_equal(text, cases[i].expected);
                free(text);
        }
}

/* What looks like a placeholder and is none is an error that names it, found without a lease. */
static void test_unknown(void **state)
{
        static const char *const cases[] = {
                "{print}",   "{iommufd:0}", "{device:x}",  "{device:}",      "{device:-1}", "{device:01}",
                "{devices}", "{container}", "a{group:1}b", "{device:12345}", "{devic}",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *const command[] = { "true", cases[i], NULL };
                char *error = NULL;
                CommandNeeds needs = { .n_devices = 77 };
                int r;

                print_message("%s\n", cases[i]);
                assert_int_equal(command_scan(command, &needs, &error), -EINVAL);
                assert_non_null(error);
                assert_non_null(strstr(error, cases[i][0] == 'a' ? "{group:1}" : cases[i]));
                assert_int_equal(needs.n_devices, 77);
                free(error);

                assert_null(expanded(cases[i], &r));
                assert_int_equal(r, -EINVAL);
        }
}

/* The scan knows the highest device and whether an iommufd is wanted, over all arguments. */
static void test_needs(void **state)
{
        const char *const command[] = { "{device:1}", "x", "{device}{device:7}{device:2}", NULL };
        char *error = NULL;
        const char *const nothing[] = { "x", "{{device:9}", NULL };
        CommandNeeds needs;

        assert_int_equal(command_scan(command, &needs, &error), 0);
        assert_int_equal(needs.n_devices, 8);
        assert_false(needs.iommufd);

        assert_int_equal(command_scan(nothing, &needs, &error), 0);
        assert_int_equal(needs.n_devices, 0);
}

/* Only fds that the command has the number of are marked, since only they may be inherited. */
static void test_used(void **state)
{
        const char *const command[] = { "{device:2}", "{device:0}", NULL };
        char **built;
        bool used[ELEMENTSOF(devices)] = { false };
        CommandFds fds = { .iommufd = 10, .devices = devices, .n_devices = 3, .devices_used = used };

        assert_int_equal(command_build(command, &fds, false, &built), 0);
        assert_false(fds.iommufd_used);
        assert_true(used[0]);
        assert_false(used[1]);
        assert_true(used[2]);
        command_free(built);
}

/* QEMU gets one iommufd and every device, after its own arguments. */
static void test_qemu(void **state)
{
        static const char *const expected[] = {
                "qemu-system-x86_64",
                "-m",
                "256M",
                "-object",
                "iommufd,id=iommufd0,fd=10",
                "-device",
                "vfio-pci,id=hostdev0,fd=11,iommufd=iommufd0",
                "-device",
                "vfio-pci,id=hostdev1,fd=12,iommufd=iommufd0",
                "-device",
                "vfio-pci,id=hostdev2,fd=13,iommufd=iommufd0",
        };
        const char *const command[] = { "qemu-system-x86_64", "-m", "256M", NULL };
        char **built;
        bool used[ELEMENTSOF(devices)] = { false };
        CommandFds fds = { .iommufd = 10, .devices = devices, .n_devices = 3, .devices_used = used };

        assert_int_equal(command_build(command, &fds, true, &built), 0);
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                assert_string_equal(built[i], expected[i]);
        assert_null(built[ELEMENTSOF(expected)]);
        assert_true(fds.iommufd_used && used[0] && used[1] && used[2]);
        command_free(built);
}

/* A lease that lacks what is asked for is an error, not a wrong number. */
static void test_lacking(void **state)
{
        const char *const iommufd[] = { "{iommufd}", NULL };
        const char *const device[] = { "{device:1}", NULL };
        const char *const plain[] = { "x", NULL };
        bool used[ELEMENTSOF(devices)] = { false };
        CommandFds fds = { .iommufd = -2, .devices = devices, .n_devices = 1, .devices_used = used };
        char **built = NULL;

        assert_int_equal(command_build(iommufd, &fds, false, &built), -ENOENT);
        assert_int_equal(command_build(device, &fds, false, &built), -ENOENT);
        assert_int_equal(command_build(plain, &fds, true, &built), -ENOENT);
        assert_null(built);
        assert_int_equal(command_build(plain, &fds, false, &built), 0);
        command_free(built);
        assert_null(command_free(NULL));
}

/* What execvp() would find, without running it. */
static void test_find(void **state)
{
        char folder[] = "/tmp/test-client-command.XXXXXX", file[64], path[128];
        int fd;

        assert_non_null(mkdtemp(folder));
        (void)snprintf(file, sizeof(file), "%s/tool", folder);
        fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);

        assert_int_equal(command_find(file, NULL), -EACCES);
        assert_int_equal(command_find("tool", folder), -EACCES);
        assert_int_equal(command_find("other", folder), -ENOENT);
        assert_int_equal(chmod(file, 0700), 0);
        assert_int_equal(command_find(file, NULL), 0);
        (void)snprintf(path, sizeof(path), "/nonexistent::%s", folder);
        assert_int_equal(command_find("tool", path), 0);

        assert_int_equal(command_find(folder, NULL), -EACCES);
        assert_int_equal(command_find("", folder), -ENOENT);
        (void)snprintf(path, sizeof(path), "%s/x", file);
        assert_int_equal(command_find(path, NULL), -ENOENT);
        assert_int_equal(command_find("sh", NULL), 0);

        (void)unlink(file);
        (void)rmdir(folder);
}

/* How many devices there will be is known for ids and pools, and not for groups. */
static void test_count_devices(void **state)
{
        static const struct {
                const char *devices[4];
                bool exact;
                size_t n;
        } cases[] = {
                { { "0000:01:00.0" }, true, 1 },  { { "0000:01:00.0", "0000:02:00.0" }, true, 2 },
                { { "pool:nics" }, true, 1 },     { { "pool:nics*4", "x" }, true, 5 },
                { { "pool:nics*0" }, false, 1 },  { { "pool:nics*x" }, false, 1 },
                { { "group:7", "x" }, false, 2 }, { { "platform/a*b" }, true, 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t n;

                assert_true(command_count_devices(cases[i].devices, &n) == cases[i].exact);
                assert_int_equal(n, cases[i].n);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_expand), cmocka_unit_test(test_unknown),
                cmocka_unit_test(test_needs),  cmocka_unit_test(test_used),
                cmocka_unit_test(test_qemu),   cmocka_unit_test(test_lacking),
                cmocka_unit_test(test_find),   cmocka_unit_test(test_count_devices),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
