/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl explain without the broker, and policy show, as a person runs them: the program itself, on a policy in a
 * file and the devices of whatever machine this is, of which none has the address that is asked for. */

#include "tests/fixtures/policy-text.h"

#include <sys/stat.h>
#include <sys/wait.h>

#define NOWHERE "ffff:ff:1f.7"

static char path[] = "/tmp/test-explain-XXXXXX";

static int setup(_unused_ void **state)
{
        static const char text[] = "[tenant blue]\n"                              /* 1 */
                                   "match-user = 2001-2999\n"                     /* 2 */
                                   "match-unit = vm@*.service\n"                  /* 3 */
                                   "devices = pci:" NOWHERE "\n"                  /* 4 */
                                   "[tenant red]\n"                               /* 5 */
                                   "match-group = 7\n"                            /* 6 */
                                   "match-label = vm_t\n"                         /* 7 */
                                   "match-slice = red.slice\n"                    /* 8 */
                                   "match-machine = m\n"                          /* 9 */
                                   "devices = pool:nothing\n"                     /* 10 */
                                   "[pool nothing]\ndevices = pci:" NOWHERE "\n"; /* 11, 12 */
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        assert_int_equal(close(fd), 0);
        return 0;
}

static int teardown(_unused_ void **state)
{
        assert_int_equal(unlink(path), 0);
        return 0;
}

/* Runs it, and has "FILE" for the file's name in what it says. Returns how it exits. */
static int run(const char *arguments, char *ret, size_t size)
{
        _cleanup_free_ char *command = NULL;
        char *at;
        FILE *f;
        size_t n;

        assert_true(asprintf(&command, "%s 2>&1 %s", getenv("VFIOBROKERCTL"), arguments) > 0);
        for (at = command; (at = strstr(at, "FILE"));) {
                char *with = NULL;

                assert_true(asprintf(&with, "%.*s%s%s", (int)(at - command), command, path, at + 4) > 0);
                free(command);
                command = at = with;
        }
        f = popen(command, "re");
        assert_non_null(f);
        n = fread(ret, 1, size - 1, f);
        ret[n] = 0;
        while ((at = strstr(ret, path))) {
                memcpy(at, "FILE", 4);
                memmove(at + 4, at + strlen(path), strlen(at + strlen(path)) + 1);
        }
        return WEXITSTATUS(pclose(f));
}

#define EXPLAIN "explain --any-owner --policy FILE "
#define HEAD    "By the policy's files and this machine, as if nothing were leased:\n"

static void test_explain(_unused_ void **state)
{
        char out[8192];

        assert_int_equal(run(EXPLAIN "--user 2001 --unit vm@1.service --device " NOWHERE, out, sizeof(out)),
                         1);
        assert_string_equal(
                out, HEAD
                "ok  identity: uid 2001, gid unknown, unit vm@1.service, no slice, no machine, no label\n"
                "ok  tenant blue: match-user = 2001-2999 (FILE:2); match-unit = vm@*.service (FILE:3)\n"
                "--  tenant red: match-group = 7 (FILE:6) does not hold: gid unknown\n"
                "NO  broker: There is no device " NOWHERE " in the machine.\n"
                "no: org.vfiobroker1.Error.NoSuchDevice\n");

        /* who is said to be in no unit is in none, though this test may be */
        assert_int_equal(run(EXPLAIN "--user 2001 " NOWHERE, out, sizeof(out)), 1);
        assert_string_equal(out, HEAD
                            "ok  identity: uid 2001, gid unknown, no unit, no slice, no machine, no label\n"
                            "--  tenant blue: match-unit = vm@*.service (FILE:3) does not hold: no unit\n"
                            "--  tenant red: match-group = 7 (FILE:6) does not hold: gid unknown\n"
                            "NO  broker: the policy maps uid 2001 to no tenant\n"
                            "no: org.vfiobroker1.Error.NoTenant\n");

        assert_int_equal(run(EXPLAIN
                             "--user 5000 --group 9 --group 7 --label vm_t --slice red-a.slice --machine m "
                             "pool:nothing",
                             out, sizeof(out)),
                         1);
        assert_non_null(
                strstr(out, "uid 5000, gid 9 7, no unit, slice red-a.slice, machine m, label vm_t\n"));
        assert_non_null(strstr(out,
                               "ok  tenant red: match-group = 7 (FILE:6); match-slice = red.slice (FILE:8); "
                               "match-machine = m (FILE:9); match-label = vm_t (FILE:7)\n"));
        assert_non_null(strstr(out, "NO  broker: "));

        /* without a word of who it is, it is who asks */
        assert_int_equal(run(EXPLAIN NOWHERE, out, sizeof(out)), 1);
        (void)snprintf(out + strlen(out), sizeof(out) - strlen(out), "|uid %u, gid %u", getuid(), getgid());
        assert_ptr_not_equal(strstr(out, strrchr(out, '|') + 1), strrchr(out, '|') + 1);
}

/* What is wrong on the command line, or with the policy, is told before anything is decided. */
static void test_wrong(_unused_ void **state)
{
        static const struct {
                const char *arguments;
                int code;
                const char *text;
        } table[] = {
                { EXPLAIN "--user 2001", 2, "Which devices?" },
                { EXPLAIN "--unit a.service x", 2, "For whom? Give --user" },
                { EXPLAIN "--user no-such-user x", 2, "there is no user \"no-such-user\"" },
                { EXPLAIN "--group no-such-group x", 2, "there is no group \"no-such-group\"" },
                { EXPLAIN "--backend x x", 2, "No backend is called x" },
                { EXPLAIN "--memlock x x", 2, "Not a number of bytes" },
                { EXPLAIN "--what x", 2, "Wrong option or value" },
                { "explain --policy /nowhere x", 1, "/nowhere:0: cannot be opened" },
                { "explain --help", 0, "--policy FILE" },
                { "policy", 2, "There are: check, show" },
                { "policy show /nowhere", 1, "/nowhere:0: cannot be opened" },
                { "policy show --any-owner FILE >/dev/full", 1, "Cannot write the output" },
        };
        char out[8192];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                int code = run(table[i].arguments, out, sizeof(out));

                if (code != table[i].code ||
                    !strstr(out, strstr(table[i].text, "FILE") ? "--policy" : table[i].text))
                        fail_msg("%s: %d: %s", table[i].arguments, code, out);
        }
}

/* show is policy_show(), which has a test of its own; its output is read again, errors go elsewhere. */
static void test_show(_unused_ void **state)
{
        char out[8192];

        assert_int_equal(run("policy show --any-owner FILE", out, sizeof(out)), 0);
        assert_non_null(strstr(out, "\n[tenant blue]\nmatch-user        = 2001-2999          ; FILE:2\n"));
        assert_int_equal(run("policy check --any-owner FILE", out, sizeof(out)), 0);
        assert_string_equal(out, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_explain),
                cmocka_unit_test(test_wrong),
                cmocka_unit_test(test_show),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
