/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The policy where memory is short: each allocation of a load fails once, in turn. Whatever fails, the load
 * ends with -ENOMEM or as it should, nothing leaks, and no policy is given out that misses a part. The
 * allocator is put in between by the linker, for the files of policy/ alone. */

#include "tests/fixtures/policy-text.h"

#include <dirent.h>

static const char good[] =
        "[broker]\nadmin-group = root\nmemlock-max = 1G\nbackends = group iommufd\n"
        "[tenant blue]\nmatch-user = 1, root\nmatch-unit = a.service\n"
        "devices = pool:nics, class:0200*+numa:1, group:7\ndeny-devices = any+pci-id:8086:*\n"
        "backends = iommufd\nsocket = /run/a\nsocket-user = root\n"
        "[pool nics]\ndevices = vf-of:0000:01:00.0, group:8\n"
        "[device pci:0000:01:00.0]\ndriver = vfio-pci\n"
        "[container one]\ntenant = blue\n"
        "[tenant red]\nmatch-user = 2\ndevices = any\n";
static const char bad[] =
        "[broker]\nrate = x\n[tenant blue]\nmatch-user = 1\ndevices = pool:nope, pci:x\n[zebra]\n";

static size_t countdown; /* allocations until one fails; 0: none does */

static bool fails(void)
{
        return countdown > 0 && --countdown == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t size)
{
        return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
        return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
        return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
        return fails() ? NULL : __real_strndup(s, n);
}

static unsigned count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        (void)closedir(d);
        return n;
}

/* Loads with the n-th allocation failing; returns whether it came to that. */
static bool load_failing_at(size_t n, const char *text, int expected)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;
        bool failed;
        int r;

        countdown = n;
        r = policy_load_string("t", text, strlen(text), &policy, &errors);
        failed = countdown == 0;
        countdown = 0;

        if (r != -ENOMEM)
                assert_int_equal(r, expected);
        if (!failed)
                assert_int_equal(r, expected);
        assert_true((policy != NULL) == (r == 0));
        if (policy) {
                assert_int_equal(policy->n_tenants, 2);
                assert_int_equal(policy->tenants[0].devices.n_items, 3);
                assert_non_null(policy->tenants[0].devices.items[0].terms[0].pool);
        }
        return failed;
}

static void test_good(_unused_ void **state)
{
        unsigned fds = count_fds();
        size_t n = 1;

        while (load_failing_at(n, good, 0))
                n++;
        assert_true(n > 50);
        assert_int_equal(count_fds(), fds);
}

/* A policy that is wrong stays refused, even where the text that says why is lost. */
static void test_bad(_unused_ void **state)
{
        size_t n = 1;

        while (load_failing_at(n, bad, -EINVAL))
                n++;
        assert_true(n > 20);
}

/* The same for files and drop-ins, shipped ones among them. */
static void test_files(_unused_ void **state)
{
        const char *root = getenv("SOURCE_ROOT");
        char file[512], dir[512];
        const char *const dropin_dirs[] = { dir, NULL };
        const PolicyDirs dirs = { .file = file, .dropin_dirs = dropin_dirs, .flags = POLICY_LOAD_ANY_OWNER };
        bool failed = true;
        size_t n;

        (void)snprintf(file, sizeof(file), "%s/policy/vfiobroker.conf", root ? root : ".");
        (void)snprintf(dir, sizeof(dir), "%s/policy/examples", root ? root : ".");
        for (n = 1; failed; n++) {
                _cleanup_policy_ Policy *policy = NULL;
                int r;

                countdown = n;
                r = policy_load(&dirs, &policy, NULL);
                failed = countdown == 0;
                countdown = 0;
                /* two of the examples have a tenant of the same name: as drop-ins they are one, and that is
                 * fine */
                if (r != -ENOMEM)
                        assert_int_equal(r, 0);
        }
        assert_true(n > 100);
}

/* The calls that load less. */
static void test_others(_unused_ void **state)
{
        char name[] = "/nowhere", *files[] = { name, NULL };
        Policy *policy = NULL;
        bool failed = true;

        for (size_t n = 1; failed; n++) {
                int r;

                countdown = n;
                policy = policy_new_empty();
                failed = countdown == 0;
                assert_true(policy || failed);
                policy = policy_unref(policy);

                countdown = n;
                r = policy_load_files(files, 1, 0, &policy, NULL);
                failed |= countdown == 0;
                countdown = 0;
                assert_true(r == -EINVAL || r == -ENOMEM);
        }
}

/* A file that says it is empty is read in ever larger pieces. */
static void test_growing(_unused_ void **state)
{
        char name[] = "/proc/self/status", *files[] = { name, NULL };
        bool failed = true;

        for (size_t n = 1; failed; n++) {
                Policy *policy = NULL;
                int r;

                countdown = n;
                r = policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, NULL);
                failed = countdown == 0;
                countdown = 0;
                assert_true(r == -EINVAL || r == -ENOMEM);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),   cmocka_unit_test(test_bad),     cmocka_unit_test(test_files),
                cmocka_unit_test(test_others), cmocka_unit_test(test_growing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
