/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/policy-show.c: what is shown is what holds, with its places; and read again it is the same policy. */

#include "tests/fixtures/policy-text.h"

#include <pwd.h>

static char *show(const Policy *policy)
{
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        assert_int_equal(policy_show(policy, f), 0);
        assert_int_equal(fclose(f), 0);
        return text;
}

/* Takes the comments away, which name places: lines that are one, and what follows "  ; ". */
static char *without_comments(char *text)
{
        char *to = text, *line, *rest = text;

        if (!text) {
                fail_msg("nothing is shown");
                return NULL; /* it does not come back, which the analyzer cannot know */
        }
        while ((line = strsep(&rest, "\n"))) {
                char *comment = strstr(line, " ; ");
                size_t n = comment ? (size_t)(comment - line) : strlen(line);

                while (n > 0 && line[n - 1] == ' ')
                        n--;
                if (*line == ';' || n == 0)
                        continue;
                memmove(to, line, n);
                to[n] = '\n';
                to += n + 1;
        }
        *to = '\0';
        return text;
}

/* Each key of each section, once; the order of keys is that of the man page, whatever the file's. */
static const char every_key[] = "[tenant red]\n"                 /* 1 */
                                "devices = any\n"                /* 2 */
                                "match-label = \"a;b'c\"\n"      /* 3 */
                                "[broker]\n"                     /* 4 */
                                "rate = 3/1500ms\n"              /* 5 */
                                "admin-group = 500\n"            /* 6 */
                                "memlock-max = 3G\n"             /* 7 */
                                "backends = group\n"             /* 8 */
                                "unsafe-interrupts = true\n"     /* 9 */
                                "noiommu = 1\n"                  /* 10 */
                                "revoke-grace = 1us\n"           /* 11 */
                                "[tenant blue]\n"                /* 12 */
                                "socket-mode = 660\n"            /* 13 */
                                "socket-user = root\n"           /* 14 */
                                "socket-group = 7\n"             /* 15 */
                                "socket = /run/blue\n"           /* 16 */
                                "revoke = never\n"               /* 17 */
                                "linger = 1min\n"                /* 18 */
                                "on-release = restore\n"         /* 19 */
                                "reset = best-effort\n"          /* 20 */
                                "share-containers = yes\n"       /* 21 */
                                "allow-on-behalf = yes\n"        /* 22 */
                                "allow-ipc-lock = yes\n"         /* 23 */
                                "backends = iommufd, group\n"    /* 24 */
                                "memlock-slack = 1025K\n"        /* 25 */
                                "memlock-default = 1\n"          /* 26 */
                                "memlock-max = 5000\n"           /* 27 */
                                "leases-max = 2\n"               /* 28 */
                                "devices-max = 0\n"              /* 29 */
                                "deny-devices = numa:1\n"        /* 30 */
                                "devices = any ,  pool:nics\n"   /* 31 */
                                "match-machine = m\n"            /* 32 */
                                "match-slice = a.slice\n"        /* 33 */
                                "match-unit = '#*'\n"            /* 34 */
                                "match-group = 7-9\n"            /* 35 */
                                "match-user = root , 5\n"        /* 36 */
                                "[pool nics]\n"                  /* 37 */
                                "devices = vf-of:0000:01:00.0\n" /* 38 */
                                "[device id:*]\n"                /* 39 */
                                "virtual-functions = 7\n"        /* 40 */
                                "driver = vfio-pci\n"            /* 41 */
                                "force-unbind = on\n"            /* 42 */
                                "[container vm]\n"               /* 43 */
                                "backend = group\n"              /* 44 */
                                "tenant = blue\n";               /* 45 */

static void test_every_key(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of(every_key);
        _cleanup_free_ char *text = show(policy);

        assert_string_equal(text, "; The policy as it holds, from 1 file.\n"
                                  ";   t\n"
                                  "\n; t:4\n[broker]\n"
                                  "admin-group       = 500                ; t:6\n"
                                  "memlock-max       = 3G                 ; t:7\n"
                                  "backends          = group              ; t:8\n"
                                  "unsafe-interrupts = yes                ; t:9\n"
                                  "noiommu           = yes                ; t:10\n"
                                  "revoke-grace      = 1us                ; t:11\n"
                                  "rate              = 3/1500ms           ; t:5\n"
                                  "\n; t:1\n[tenant red]\n"
                                  "match-label       = \"a;b'c\"            ; t:3\n"
                                  "devices           = any                ; t:2\n"
                                  "; devices-max: not limited\n"
                                  "; leases-max: not limited\n"
                                  "; memlock-max: not limited\n"
                                  "memlock-default   = 0                  ; by default\n"
                                  "memlock-slack     = 64M                ; by default\n"
                                  "backends          = group              ; t:8\n"
                                  "allow-ipc-lock    = no                 ; by default\n"
                                  "allow-on-behalf   = no                 ; by default\n"
                                  "share-containers  = yes                ; by default\n"
                                  "reset             = required           ; by default\n"
                                  "on-release        = keep               ; by default\n"
                                  "linger            = 0s                 ; by default\n"
                                  "revoke            = kill               ; by default\n"
                                  "\n; t:12\n[tenant blue]\n"
                                  "match-user        = root , 5           ; t:36\n"
                                  "match-group       = 7-9                ; t:35\n"
                                  "match-unit        = \"#*\"               ; t:34\n"
                                  "match-slice       = a.slice            ; t:33\n"
                                  "match-machine     = m                  ; t:32\n"
                                  "devices           = any, pool:nics     ; t:31\n"
                                  "deny-devices      = numa:1             ; t:30\n"
                                  "devices-max       = 0                  ; t:29\n"
                                  "leases-max        = 2                  ; t:28\n"
                                  "memlock-max       = 5000               ; t:27\n"
                                  "memlock-default   = 1                  ; t:26\n"
                                  "memlock-slack     = 1025K              ; t:25\n"
                                  "backends          = group              ; t:24\n"
                                  "allow-ipc-lock    = yes                ; t:23\n"
                                  "allow-on-behalf   = yes                ; t:22\n"
                                  "share-containers  = yes                ; t:21\n"
                                  "reset             = best-effort        ; t:20\n"
                                  "on-release        = restore            ; t:19\n"
                                  "linger            = 60s                ; t:18\n"
                                  "revoke            = never              ; t:17\n"
                                  "socket            = /run/blue          ; t:16\n"
                                  "socket-user       = root               ; t:14\n"
                                  "socket-group      = 7                  ; t:15\n"
                                  "socket-mode       = 0660               ; t:13\n"
                                  "\n; t:37\n[pool nics]\n"
                                  "devices           = vf-of:0000:01:00.0 ; t:38\n"
                                  "\n; t:43\n[container vm]\n"
                                  "tenant            = blue               ; t:45\n"
                                  "backend           = group              ; t:44\n"
                                  "\n; t:39\n[device id:*]\n"
                                  "driver            = vfio-pci           ; t:41\n"
                                  "force-unbind      = yes                ; t:42\n"
                                  "virtual-functions = 7                  ; t:40\n");
}

static void assert_same_again(const char *source)
{
        _cleanup_policy_ Policy *policy = policy_of(source), *again = NULL;
        _cleanup_free_ char *first = show(policy), *second = NULL;

        again = policy_of(first);
        second = show(again);
        assert_string_equal(without_comments(first), without_comments(second));
}

/* What is shown is a policy, the same one. */
static void test_again(_unused_ void **state)
{
        char wide[POLICY_LINE_MAX + 64] = "[tenant blue]\nmatch-user = 1\n", *p = wide + strlen(wide);
        size_t n = POLICY_LINE_MAX;

        assert_same_again(every_key);
        assert_same_again("");
        assert_same_again("[broker]\nadmin-group =\nmemlock-max = 0%\nrevoke-grace = 0\n");
        assert_same_again("[broker]\nadmin-group = root\n");
        assert_same_again(
                "[tenant a]\nmatch-label = '\"x\"'\ndevices = id:*\n[device any]\nforce-unbind = no\n");
        assert_same_again("[tenant a]\nmatch-label = \"x \"\nmemlock-max = 1024T\ndevices = any\n");
        assert_same_again("[tenant a]\nmatch-label = \" x \"\ndevices = any\n");
        assert_same_again("[tenant a]\nmatch-label = \"x\\\"\ndevices = any\n[container c]\ntenant = a\n");
        assert_same_again("[tenant a]\nmatch-user = 1\nmatch-unit =\ndevices =\nsocket-user = root\n");

        /* a line of the greatest length, with as many selectors as there can be */
        memcpy(p, "devices=any", 11);
        for (size_t i = 11; i + 4 <= n; i += 4)
                /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the line goes on */
                memcpy(p + i, ",any", 4);
        assert_same_again(wide);
        /* and one of one word */
        memset(p, '*', n);
        memcpy(p, "devices=id:", 11);
        assert_same_again(wide);
}

/* Several files are one in the end, and each key says which it is of; a long or strange name does no harm. */
static void test_places(_unused_ void **state)
{
        static const char text[] = "[broker]\nnoiommu = yes\n";
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *shown = NULL;
        char name[400];

        memset(name, 'n', sizeof(name));
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the name goes on */
        memcpy(name + 200, "\n[broker]\n", 10);
        memcpy(name + sizeof(name) - 5, "conf", 5);
        assert_int_equal(policy_load_string(name, text, strlen(text), &policy, &errors), 0);
        shown = show(policy);
        assert_non_null(strstr(shown, "nnnconf:2\n"));
        assert_non_null(strstr(shown, "; ...nnn"));
        assert_null(strstr(strstr(shown, "[broker]\n") + 1, "\n[broker]\n"));
        assert_ptr_equal(policy_unref(policy), NULL);
        policy = policy_of(shown);
        assert_true(policy->broker.noiommu);
}

/* A group that does not exist cannot be written down, since it would be an error. */
static void test_no_admin_group(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("");
        _cleanup_free_ char *shown = NULL;

        policy->broker.admin_gid = (gid_t)-1;
        shown = show(policy);
        assert_non_null(strstr(shown, "; admin-group: vfiobroker-admin, which does not exist\n"));
        free(shown);
        policy->broker.admin_gid = 7;
        shown = show(policy);
        assert_non_null(strstr(shown, "\nadmin-group       = vfiobroker-admin   ; by default\n"));
}

/* A policy of no file at all. */
static void test_no_file(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *shown = NULL;

        assert_int_equal(policy_load_files(NULL, 0, 0, &policy, NULL), 0);
        shown = show(policy);
        assert_non_null(strstr(shown, "from 0 files.\n\n; by default\n[broker]\n"));
}

/* What cannot be written is told. */
static void test_write_error(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of(every_key);
        _cleanup_(fclosep) FILE *f = fopen("/dev/full", "we");

        assert_non_null(f);
        assert_int_equal(setvbuf(f, NULL, _IONBF, 0), 0);
        assert_int_equal(policy_show(policy, f), -EIO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_key),   cmocka_unit_test(test_again),
                cmocka_unit_test(test_places),      cmocka_unit_test(test_no_admin_group),
                cmocka_unit_test(test_write_error), cmocka_unit_test(test_no_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
