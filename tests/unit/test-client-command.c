/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/ctl/command.c: the placeholders of `vfiobrokerctl exec`, and QEMU's arguments. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "client-lib/ctl/command.h"

/* A lease of each backend: fds 10 and up, in the order of their rows. */
#define IOMMUFD_ROWS                                                                                        \
        {                                                                                                   \
                { VFIOBROKER_FD_IOMMUFD, 10, false }, { VFIOBROKER_FD_DEVICE, 11, false },                  \
                        { VFIOBROKER_FD_DEVICE, 12, false }, { VFIOBROKER_FD_DEVICE, 13, false },           \
        }
#define GROUP_ROWS                                                                                          \
        {                                                                                                   \
                { VFIOBROKER_FD_CONTAINER, 20, false }, { VFIOBROKER_FD_GROUP, 21, false },                 \
                        { VFIOBROKER_FD_GROUP, 22, false }, { VFIOBROKER_FD_DEVICE, 23, false },            \
                        { VFIOBROKER_FD_DEVICE, 24, false },                                                \
        }

/* Expands one argument with the fds of that backend. */
static char *expanded_with(bool group, const char *argument, int *ret)
{
        CommandFd iommufd_rows[] = IOMMUFD_ROWS, group_rows[] = GROUP_ROWS;
        CommandFds iommufd = { iommufd_rows, ELEMENTSOF(iommufd_rows) };
        CommandFds container = { group_rows, ELEMENTSOF(group_rows) };
        const char *const command[] = { argument, NULL };
        char **built = NULL, *text = NULL;

        *ret = command_build(command, group ? &container : &iommufd, false, &built);
        if (*ret >= 0) {
                text = built[0];
                free(built);
        }
        return text;
}

static char *expanded(const char *argument, int *ret)
{
        return expanded_with(false, argument, ret);
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
                "{print}",     "{iommufd:0}", "{device:x}",    "{device:}",    "{device:-1}",
                "{device:01}", "{devices}",   "{container:0}", "a{group:x1}b", "{device:12345}",
                "{devic}",     "{groups}",    "{groups:1}",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *const command[] = { "true", cases[i], NULL };
                char *error = NULL;
                CommandNeeds needs = { .n = { [VFIOBROKER_FD_DEVICE] = 77 } };
                int r;

                print_message("%s\n", cases[i]);
                assert_int_equal(command_scan(command, &needs, &error), -EINVAL);
                assert_non_null(error);
                assert_non_null(strstr(error, cases[i][0] == 'a' ? "{group:x1}" : cases[i]));
                assert_int_equal(needs.n[VFIOBROKER_FD_DEVICE], 77);
                free(error);

                assert_null(expanded(cases[i], &r));
                assert_int_equal(r, -EINVAL);
        }
}

/* The group backend has its own. */
static void test_expand_groups(void **state)
{
        static const struct {
                const char *argument, *expected;
        } cases[] = {
                { "{container}", "20" },
                { "{group}", "21" },
                { "{group:1}", "22" },
                { "{device}", "23" },
                { "c={container},g={group:0},d={device:1}", "c=20,g=21,d=24" },
                { "{{group:1}", "{group:1}" },
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *text = expanded_with(true, cases[i].argument, &r);

                assert_int_equal(r, 0);
                assert_string_equal(text, cases[i].expected);
                free(text);
        }
        assert_null(expanded_with(true, "{iommufd}", &r));
        assert_int_equal(r, -ENOENT);
        assert_null(expanded_with(true, "{group:2}", &r));
        assert_int_equal(r, -ENOENT);
        assert_null(expanded("{container}", &r));
        assert_int_equal(r, -ENOENT);
}

/* The scan knows the highest index of each kind, over all arguments. */
static void test_needs(void **state)
{
        const char *const command[] = { "{device:1}", "x", "{device}{device:7}{group:2}{device:2}", NULL };
        char *error = NULL;
        const char *const nothing[] = { "x", "{{device:9}", NULL };
        CommandNeeds needs;

        assert_int_equal(command_scan(command, &needs, &error), 0);
        assert_int_equal(needs.n[VFIOBROKER_FD_DEVICE], 8);
        assert_int_equal(needs.n[VFIOBROKER_FD_GROUP], 3);
        assert_int_equal(needs.n[VFIOBROKER_FD_IOMMUFD], 0);
        assert_int_equal(needs.n[VFIOBROKER_FD_CONTAINER], 0);

        assert_int_equal(command_scan(nothing, &needs, &error), 0);
        assert_int_equal(needs.n[VFIOBROKER_FD_DEVICE], 0);
}

/* The command says which backend it needs; where that cannot be, the text says what to change. */
static void test_backend(void **state)
{
        static const struct {
                const char *argument;
                bool qemu;
                const char *asked, *backend, *text;
        } cases[] = {
                { "x", false, NULL, NULL, NULL },
                { "{device}", false, "auto", "auto", NULL },
                { "{device}", false, "group", "group", NULL },
                { "x", false, "nonsense", "nonsense", NULL }, /* the broker knows better */
                { "{iommufd}", false, NULL, "iommufd", NULL },
                { "{iommufd}", false, "auto", "iommufd", NULL },
                { "{iommufd}", false, "iommufd", "iommufd", NULL },
                { "x", true, NULL, "iommufd", NULL },
                { "x", true, "auto", "iommufd", NULL },
                { "{container}", false, NULL, "group", NULL },
                { "{group:1}", false, "auto", "group", NULL },
                { "{group}", false, "group", "group", NULL },
                { "{iommufd}", false, "group", NULL, "{container}" },
                { "{container}", false, "iommufd", NULL, "{iommufd}" },
                { "{container}{iommufd}", false, NULL, NULL, "one" },
                { "x", true, "group", NULL, "Leave --backend group" },
                { "{group}", true, NULL, NULL, "Leave --backend group" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *const command[] = { cases[i].argument, NULL };
                const char *backend = "untouched";
                CommandNeeds needs;
                char *error = NULL;
                int r;

                print_message("%s %s\n", cases[i].argument, strempty(cases[i].asked));
                assert_int_equal(command_scan(command, &needs, &error), 0);
                r = command_backend(&needs, cases[i].qemu, cases[i].asked, &backend, &error);
                assert_int_equal(r, cases[i].text ? -EINVAL : 0);
                if (cases[i].text) {
                        assert_non_null(strstr(error, cases[i].text));
                        assert_string_equal(backend, "untouched");
                        free(error);
                } else
                        assert_true(streq_ptr(backend, cases[i].backend));
        }
}

/* Only fds that the command has the number of are marked, since only they may be inherited. */
static void test_used(void **state)
{
        const char *const command[] = { "{device:2}", "{device:0}", NULL };
        CommandFd rows[] = IOMMUFD_ROWS;
        CommandFds fds = { rows, ELEMENTSOF(rows) };
        char **built;

        assert_int_equal(command_build(command, &fds, false, &built), 0);
        assert_false(rows[0].used);
        assert_true(rows[1].used);
        assert_false(rows[2].used);
        assert_true(rows[3].used);
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
        CommandFd rows[] = IOMMUFD_ROWS;
        CommandFds fds = { rows, ELEMENTSOF(rows) };
        char **built;

        assert_int_equal(command_build(command, &fds, true, &built), 0);
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                assert_string_equal(built[i], expected[i]);
        assert_null(built[ELEMENTSOF(expected)]);
        assert_true(rows[0].used && rows[1].used && rows[2].used && rows[3].used);
        command_free(built);
}

/* A lease that lacks what is asked for is an error, not a wrong number. */
static void test_lacking(void **state)
{
        const char *const iommufd[] = { "{iommufd}", NULL };
        const char *const device[] = { "{device:1}", NULL };
        const char *const plain[] = { "x", NULL };
        CommandFd rows[] = { { VFIOBROKER_FD_DEVICE, 11, false } };
        CommandFd context[] = { { VFIOBROKER_FD_IOMMUFD, 10, false } };
        CommandFds fds = { rows, 1 }, no_devices = { context, 1 };
        char **built = NULL;

        assert_int_equal(command_build(iommufd, &fds, false, &built), -ENOENT);
        assert_int_equal(command_build(device, &fds, false, &built), -ENOENT);
        assert_int_equal(command_build(plain, &fds, true, &built), -ENOENT);
        assert_int_equal(command_build(plain, &no_devices, true, &built), -ENOENT);
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
                cmocka_unit_test(test_expand),        cmocka_unit_test(test_unknown),
                cmocka_unit_test(test_expand_groups), cmocka_unit_test(test_backend),
                cmocka_unit_test(test_needs),         cmocka_unit_test(test_used),
                cmocka_unit_test(test_qemu),          cmocka_unit_test(test_lacking),
                cmocka_unit_test(test_find),          cmocka_unit_test(test_count_devices),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
