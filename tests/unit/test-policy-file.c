/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/policy-file.c: which files are read, in which order, and whom they must belong to; each text of
 * tests/fixtures/policy against what is expected to be said about it; the shipped files; and the value that
 * comes out. */

#include "tests/fixtures/policy-text.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>

#define BLUE "[tenant blue]\nmatch-user = 1\ndevices = any\n"

/* A folder of its own for each test. */
typedef struct Folder {
        char path[64];
        Arena arena; /* paths */
} Folder;

static int remove_one(const char *path, _unused_ const struct stat *st, _unused_ int type,
                      _unused_ struct FTW *ftw)
{
        return remove(path);
}

static int setup(void **state)
{
        Folder *folder = calloc(1, sizeof(*folder));

        assert_non_null(folder);
        strcpy(folder->path, "/tmp/test-policy-file-XXXXXX");
        assert_non_null(mkdtemp(folder->path));
        assert_int_equal(chmod(folder->path, 0755), 0);
        *state = folder;
        return 0;
}

static int teardown(void **state)
{
        Folder *folder = *state;

        assert_int_equal(nftw(folder->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        arena_done(&folder->arena);
        free(folder);
        return 0;
}

/* The path of a name in the folder. */
static char *in(Folder *folder, const char *name)
{
        char path[256], *copy;

        (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
        copy = arena_strdup(&folder->arena, path);
        assert_non_null(copy);
        return copy;
}

static char *put(Folder *folder, const char *name, const char *text)
{
        char *path = in(folder, name);
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0644), 0);
        return path;
}

static void put_dir(Folder *folder, const char *name)
{
        assert_int_equal(mkdir(in(folder, name), 0755), 0);
        assert_int_equal(chmod(in(folder, name), 0755), 0);
}

/* Loads the folder as /etc, /run and /usr would be, and gives what was said. */
static int load(Folder *folder, unsigned flags, Policy **ret_policy, char **ret_said)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        const char *const dropin_dirs[] = { in(folder, "etc"), in(folder, "run"), in(folder, "usr"), NULL };
        const PolicyDirs dirs = { .file = in(folder, "main.conf"),
                                  .dropin_dirs = dropin_dirs,
                                  .flags = flags };
        int r = policy_load(&dirs, ret_policy, &errors);

        *ret_said = policy_errors_to_string(&errors);
        assert_non_null(*ret_said);
        assert_int_equal(errors.n_errors > 0, r == -EINVAL);
        return r;
}

/* Refused, and that said of the file, without a line. */
static void assert_refused(Folder *folder, const char *file, const char *why)
{
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *said = NULL;
        char expected[512];

        assert_int_equal(load(folder, 0, &policy, &said), -EINVAL);
        assert_null(policy);
        (void)snprintf(expected, sizeof(expected), "%s:0: %s", in(folder, file), why);
        if (!strstr(said, expected))
                fail_msg("\"%s\" does not say \"%s\"", said, expected);
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

/* Only root owns what root may trust: the tests of ownership need to be root to make such files. */
static void need_root(void)
{
        if (geteuid() != 0)
                skip();
}

/* The drop-ins are read after the main file in the order of their names, wherever they lie; a name in /etc
 * masks the same in /run, and that one in /usr; other names are not looked at. */
static void test_order_and_masks(void **state)
{
        Folder *folder = *state;
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *said = NULL;
        const char *const expected[] = { "main.conf", "usr/10-a.conf", "run/20-b.conf", "etc/30-c.conf",
                                         "usr/40-d.conf" };

        put_dir(folder, "etc");
        put_dir(folder, "run");
        put_dir(folder, "usr");
        put(folder, "main.conf", BLUE "devices-max = 1\n");
        put(folder, "usr/10-a.conf", "[tenant blue]\ndevices-max = 2\nleases-max = 2\n");
        put(folder, "usr/20-b.conf", "[tenant masked]\n");
        put(folder, "run/20-b.conf", "[tenant blue]\ndevices-max = 3\n");
        put(folder, "run/30-c.conf", "[tenant masked]\n");
        put(folder, "usr/30-c.conf", "[tenant masked]\n");
        put(folder, "etc/30-c.conf", "[tenant blue]\ndevices-max = 4\n");
        put(folder, "usr/40-d.conf", "[pool p]\ndevices = any\n");
        put(folder, "etc/50-e.conf.bak", "[nonsense]\n");
        put(folder, "etc/.hidden.conf", "[nonsense]\n");
        put(folder, "etc/.conf", "[nonsense]\n");
        put(folder, "etc/README", "nonsense\n");

        assert_int_equal(load(folder, POLICY_LOAD_ANY_OWNER, &policy, &said), 0);
        assert_string_equal(said, "");
        assert_int_equal(policy->n_files, ELEMENTSOF(expected));
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                assert_string_equal(policy->files[i], in(folder, expected[i]));
        assert_int_equal(policy->n_tenants, 1);
        assert_int_equal(policy->tenants[0].devices_max, 4);
        assert_int_equal(policy->tenants[0].leases_max, 2);
        assert_int_equal(policy->n_pools, 1);
}

/* An empty file and a link to /dev/null both mask. */
static void test_mask_with_nothing(void **state)
{
        Folder *folder = *state;
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *said = NULL;

        put_dir(folder, "etc");
        put_dir(folder, "usr");
        put(folder, "main.conf", "");
        put(folder, "etc/a.conf", "");
        put(folder, "usr/a.conf", "[nonsense]\n");
        assert_int_equal(symlink("/dev/null", in(folder, "etc/b.conf")), 0);
        put(folder, "usr/b.conf", "[nonsense]\n");

        assert_int_equal(load(folder, POLICY_LOAD_ANY_OWNER, &policy, &said), 0);
        assert_string_equal(said, "");
        assert_int_equal(policy->n_files, 2);
}

/* Everything wrong in all files is said at once, file by file. */
static void test_all_at_once(void **state)
{
        Folder *folder = *state;
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *said = NULL;
        char expected[1024];

        put_dir(folder, "etc");
        put(folder, "main.conf", "[broker]\nrate = 0/1s\n[tenant blue]\ndevices = pool:x\n");
        put(folder, "etc/b.conf", "[tenant blue]\ndevices-max = x\n");
        put(folder, "etc/a.conf", "k = v\n");
        (void)snprintf(
                expected, sizeof(expected),
                "%s/main.conf:2: rate = 0/1s: write calls and a time, both at least 1, as 20/10s\n"
                "%s/main.conf:3: [tenant blue] says of nobody that they are it; give it a match-user or "
                "another "
                "match-* key\n"
                "%s/main.conf:4: pool:x: there is no section [pool x]; write one, or correct the name\n"
                "%s/etc/a.conf:1: a key before any section; put [broker] or another section above it\n"
                "%s/etc/b.conf:2: devices-max = x: write a whole number from 0 to 4294967294",
                folder->path, folder->path, folder->path, folder->path, folder->path);

        assert_int_equal(load(folder, POLICY_LOAD_ANY_OWNER, &policy, &said), -EINVAL);
        assert_string_equal(said, expected);
        assert_null(policy);
}

/* No main file: the drop-ins alone hold, with a warning; and with nothing at all nobody gets anything. */
static void test_no_main_file(void **state)
{
        Folder *folder = *state;
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *said = NULL;
        char expected[256];

        (void)snprintf(expected, sizeof(expected),
                       "%s/main.conf:0: warning: there is no such file; the drop-ins alone hold",
                       folder->path);
        assert_int_equal(load(folder, POLICY_LOAD_ANY_OWNER, &policy, &said), 0);
        assert_string_equal(said, expected);
        assert_int_equal(policy->n_tenants, 0);
}

/* root's files that only root may write to are taken. */
static void test_owner(void **state)
{
        Folder *folder = *state;
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *said = NULL;

        need_root();
        put_dir(folder, "etc");
        put(folder, "main.conf", BLUE);
        put(folder, "etc/a.conf", "[broker]\n");
        assert_int_equal(load(folder, 0, &policy, &said), 0);
        assert_string_equal(said, "");

        /* a link is judged by what it leads to */
        assert_int_equal(rename(in(folder, "main.conf"), in(folder, "real")), 0);
        assert_int_equal(symlink("real", in(folder, "main.conf")), 0);
        policy = policy_unref(policy);
        free(said);
        assert_int_equal(load(folder, 0, &policy, &said), 0);
        assert_int_equal(chmod(in(folder, "real"), 0664), 0);
        assert_refused(folder, "main.conf", "the file can be written by its group");
}

/* Files and folders of others, or writable by others, are refused: main file, its folder, drop-ins, theirs. */
static void test_bad_owner(void **state)
{
        Folder *folder = *state;
        static const char *const names[] = { "main.conf", "etc/a.conf", "etc", "" };

        need_root();
        put_dir(folder, "etc");
        put(folder, "main.conf", BLUE);
        put(folder, "etc/a.conf", "[broker]\n");

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                bool dir = i >= 2;
                char *path = in(folder, names[i]);
                char mine[256], group[256], all[256];

                if (!*names[i])
                        *strrchr(path, '/') = '\0';
                (void)snprintf(mine, sizeof(mine), "%s:0: the %s belongs to uid 1; it must be root's", path,
                               dir ? "directory" : "file");
                (void)snprintf(group, sizeof(group), "%s:0: the %s can be written by its group", path,
                               dir ? "directory" : "file");
                (void)snprintf(all, sizeof(all), "%s:0: the %s can be written by anybody", path,
                               dir ? "directory" : "file");

                for (size_t j = 0; j < 3; j++) {
                        _cleanup_policy_ Policy *policy = NULL;
                        _cleanup_free_ char *said = NULL;
                        const char *expected = (const char *[]){ mine, group, all }[j];

                        assert_int_equal(chown(path, j == 0 ? 1 : 0, 0), 0);
                        assert_int_equal(chmod(path, (const mode_t[]){ 0755, 0775, 0757 }[j]), 0);
                        assert_int_equal(load(folder, 0, &policy, &said), -EINVAL);
                        if (!strstr(said, expected))
                                fail_msg("\"%s\" does not say \"%s\"", said, expected);
                        free(TAKE_PTR(said));
                        assert_int_equal(load(folder, POLICY_LOAD_ANY_OWNER, &policy, &said), 0);
                }
                assert_int_equal(chmod(path, 0755), 0);
        }
}

/* What is no file is refused, and does not hold up the reader: a folder, a FIFO without a writer, a loop of
 * links. */
static void test_no_file(void **state)
{
        Folder *folder = *state;
        char *path = in(folder, "main.conf");
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *said = NULL;

        need_root();
        assert_int_equal(mkdir(path, 0755), 0);
        assert_refused(folder, "main.conf", "not a regular file");
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(mkfifo(path, 0644), 0);
        assert_refused(folder, "main.conf", "not a regular file");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("main.conf", path), 0);
        assert_refused(folder, "main.conf", "cannot be opened: Too many levels");
        assert_int_equal(unlink(path), 0);

        put(folder, "main.conf", "");
        put(folder, "etc", "a file where a folder should be");
        assert_refused(folder, "etc", "cannot be opened: Not a directory");
        assert_int_equal(unlink(in(folder, "etc")), 0);
        assert_int_equal(load(folder, 0, &policy, &said), 0);
}

/* As large as is allowed, and a byte more. */
static void test_size(void **state)
{
        Folder *folder = *state;
        char *path = put(folder, "main.conf", "[broker]\n");
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;

        assert_int_equal(truncate(path, POLICY_FILE_MAX + 1), 0);
        assert_int_equal(policy_load_files(&path, 1, POLICY_LOAD_ANY_OWNER, &policy, &errors), -EINVAL);
        assert_non_null(strstr(errors.items[0].text, "more than 16777216 bytes"));

        /* the zeros of the hole are one long line, which is another matter */
        assert_int_equal(truncate(path, POLICY_FILE_MAX), 0);
        assert_int_equal(policy_load_files(&path, 1, POLICY_LOAD_ANY_OWNER, &policy, &errors), -EINVAL);
        assert_int_equal(errors.n_items, 1);
        assert_int_equal(errors.items[0].line, 2);
        assert_non_null(strstr(errors.items[0].text, "NUL"));
}

/* As many drop-ins as are allowed are read; with one more the policy is refused. */
static void test_many_dropins(void **state)
{
        Folder *folder = *state;
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *said = NULL;
        char name[32];

        put_dir(folder, "etc");
        put(folder, "main.conf", "");
        for (unsigned i = 0; i < POLICY_FILES_MAX; i++) {
                (void)snprintf(name, sizeof(name), "etc/%04u.conf", i);
                put(folder, name, "");
        }
        assert_int_equal(load(folder, POLICY_LOAD_ANY_OWNER, &policy, &said), 0);
        assert_int_equal(policy->n_files, POLICY_FILES_MAX + 1);
        free(TAKE_PTR(said));

        put(folder, "etc/more.conf", "");
        policy = policy_unref(policy);
        assert_int_equal(load(folder, POLICY_LOAD_ANY_OWNER, &policy, &said), -EINVAL);
        assert_non_null(strstr(said, "more than 1024 drop-ins"));
}

/* Files that are named must exist, keep the order given, and be trustworthy too. */
static void test_named_files(void **state)
{
        Folder *folder = *state;
        char *files[] = { put(folder, "b", BLUE "devices-max = 1\n"),
                          put(folder, "a", "[tenant blue]\ndevices-max = 2\n"), in(folder, "none") };
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;

        assert_int_equal(policy_load_files(files, 2, POLICY_LOAD_ANY_OWNER, &policy, &errors), 0);
        assert_int_equal(policy->tenants[0].devices_max, 2);
        policy = policy_unref(policy);

        assert_int_equal(policy_load_files(files, 3, POLICY_LOAD_ANY_OWNER, &policy, &errors), -EINVAL);
        assert_null(policy);
        assert_int_equal(errors.n_errors, 1);
        assert_string_equal(errors.items[0].file, files[2]);
        assert_string_equal(errors.items[0].text, "cannot be opened: No such file or directory");

        assert_int_equal(chmod(files[0], 0666), 0);
        assert_int_equal(policy_load_files(files, 2, 0, &policy, NULL), -EINVAL);
}

/* References: the value lives as long as one is held. */
static void test_references(_unused_ void **state)
{
        Policy *policy = policy_new_empty();
        Policy *second = policy_ref(policy);

        assert_ptr_equal(second, policy);
        assert_null(policy_unref(policy));
        assert_int_equal(second->broker.rate_count, 20);
        assert_null(policy_unref(second));
        assert_null(policy_unref(NULL));
        assert_null(policy_ref(NULL));
}

static void test_ceiling(_unused_ void **state)
{
        _cleanup_policy_ Policy *percent = policy_of("[broker]\nmemlock-max = 90%\n");
        _cleanup_policy_ Policy *nothing = policy_of("[broker]\nmemlock-max = 0%\n");
        _cleanup_policy_ Policy *bytes = policy_of("[broker]\nmemlock-max = 3K\n");

        assert_int_equal(policy_memlock_ceiling(percent, 1000), 900);
        assert_int_equal(policy_memlock_ceiling(percent, 1099), 989);
        assert_true(policy_memlock_ceiling(percent, UINT64_MAX) == UINT64_MAX / 10 * 9 + 4);
        assert_int_equal(policy_memlock_ceiling(nothing, 1000), 0);
        assert_int_equal(policy_memlock_ceiling(bytes, 1000), 3072);
}

/* Of several [device] sections the last that matches holds, whole. */
static void test_device_override(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy =
                policy_of("[device pci:0000:01:*]\ndriver = a\nforce-unbind = yes\n"
                          "[device pci:0000:01:00.0]\ndriver = b\n[device bus:mdev]\n");
        const DeviceFacts first = { .id = "0000:01:00.0", .bus = "pci" },
                          second = { .id = "0000:01:00.1", .bus = "pci" },
                          third = { .id = "0000:02:00.0", .bus = "pci" };

        assert_string_equal(policy_device_override(policy, &first)->driver, "b");
        assert_false(policy_device_override(policy, &first)->force_unbind);
        assert_string_equal(policy_device_override(policy, &second)->driver, "a");
        assert_null(policy_device_override(policy, &third));
}

/* A path below the root of the source. */
static char *source(const char *path)
{
        const char *root = getenv("SOURCE_ROOT");
        char *full;

        assert_true(asprintf(&full, "%s/%s", root ? root : ".", path) > 0);
        return full;
}

static char *read_text(const char *path)
{
        FILE *f = fopen(path, "re");
        char *text = NULL;
        size_t size = 0;

        if (!f)
                fail_msg("%s: %s", path, strerror(errno));
        if (getdelim(&text, &size, '\0', f) < 0)
                fail_msg("%s: cannot be read", path);
        (void)fclose(f);
        return text;
}

/* Each fixture against all that is expected to be said about it: `line: text` in the .expect beside it. */
static void test_fixtures(_unused_ void **state)
{
        _cleanup_free_ char *dir = source("tests/fixtures/policy");
        DIR *d = opendir(dir);
        unsigned n = 0, before = count_fds();
        struct dirent *entry;

        assert_non_null(d);
        while ((entry = readdir(d))) {
                _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
                _cleanup_policy_ Policy *policy = NULL;
                _cleanup_free_ char *path = NULL, *expect_path = NULL, *expected = NULL, *said = NULL;
                char *dot = strrchr(entry->d_name, '.');
                size_t size;
                FILE *f;
                int r;

                if (!dot || !streq(dot, ".conf"))
                        continue;
                n++;
                assert_true(asprintf(&path, "%s/%s", dir, entry->d_name) > 0);
                assert_true(asprintf(&expect_path, "%.*s.expect", (int)(strlen(path) - strlen(".conf")),
                                     path) > 0);
                expected = read_text(expect_path);

                r = policy_load_files(&path, 1, POLICY_LOAD_ANY_OWNER, &policy, &errors);
                assert_int_equal(r, errors.n_errors > 0 ? -EINVAL : 0);
                f = open_memstream(&said, &size);
                assert_non_null(f);
                for (size_t i = 0; i < errors.n_items; i++) {
                        _cleanup_free_ char *line = policy_error_to_string(errors.items + i);

                        assert_int_equal(strncmp(line, path, strlen(path)), 0);
                        (void)fprintf(f, "%s\n", line + strlen(path) + 1);
                }
                assert_int_equal(fclose(f), 0);
                if (!streq(said, expected))
                        fail_msg("%s:\n%s--- expected:\n%s", entry->d_name, said, expected);
        }
        (void)closedir(d);
        assert_true(n >= 80);
        assert_true(count_fds() < before); /* d is closed, and nothing else was left open */
}

/* What is shipped loads without a word: the default, in which nobody is a tenant, and each example. */
static void test_shipped(_unused_ void **state)
{
        static const struct {
                const char *path;
                size_t n_tenants, n_pools, n_devices;
        } shipped[] = {
                { "policy/vfiobroker.conf", 0, 0, 0 },
                { "policy/examples/one-tenant.conf", 1, 0, 0 },
                { "policy/examples/network-functions.conf", 2, 1, 1 },
                { "policy/examples/gpus.conf", 1, 1, 1 },
                { "policy/examples/mediated-devices.conf", 2, 1, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(shipped); i++) {
                _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
                _cleanup_policy_ Policy *policy = NULL;
                _cleanup_free_ char *path = source(shipped[i].path), *said = NULL;
                int r = policy_load_files(&path, 1, POLICY_LOAD_ANY_OWNER, &policy, &errors);

                said = policy_errors_to_string(&errors);
                assert_string_equal(said, "");
                assert_int_equal(r, 0);
                assert_int_equal(policy->n_tenants, shipped[i].n_tenants);
                assert_int_equal(policy->n_pools, shipped[i].n_pools);
                assert_int_equal(policy->n_devices, shipped[i].n_devices);
        }
}

/* What the default says in comments is the truth: uncommented, the [broker] section gives what an empty file
 * gives. */
static void test_shipped_defaults(_unused_ void **state)
{
        _cleanup_free_ char *path = source("policy/vfiobroker.conf"), *text = read_text(path), *bare = NULL;
        _cleanup_policy_ Policy *policy = NULL, *empty = policy_new_empty();
        char *section = strstr(text, "[broker]"), *end = strstr(text, "\n\n# [tenant");
        char *p;

        assert_non_null(section);
        assert_non_null(end);
        *end = '\0';
        bare = strdup(section);
        assert_non_null(bare);
        for (p = bare; (p = strstr(p, "\n# ")); p++)
                p[1] = p[2] = ' ';
        p = strstr(bare, "admin-group"); /* needs the group of an installation */
        assert_non_null(p);
        *p = ';';

        policy = policy_of(bare);
        assert_int_equal(policy->broker.memlock_max_where.line, 3);
        assert_int_equal(policy->broker.memlock_max_percent, empty->broker.memlock_max_percent);
        assert_true(policy->broker.memlock_max_bytes == empty->broker.memlock_max_bytes);
        assert_int_equal(policy->broker.backends, empty->broker.backends);
        assert_int_equal(policy->broker.unsafe_interrupts, empty->broker.unsafe_interrupts);
        assert_int_equal(policy->broker.noiommu, empty->broker.noiommu);
        assert_int_equal(policy->broker.revoke_grace_usec, empty->broker.revoke_grace_usec);
        assert_int_equal(policy->broker.rate_count, empty->broker.rate_count);
        assert_int_equal(policy->broker.rate_interval_usec, empty->broker.rate_interval_usec);
}

static double cpu_seconds(void)
{
        struct timespec now;

        assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* CPU seconds for a policy of so many sections, of five keys each. */
static double load_time(size_t n_sections)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_policy_ Policy *policy = NULL;
        double start;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        for (size_t i = 0; i < n_sections; i++)
                (void)fprintf(
                        f,
                        "[tenant t%zu]\nmatch-user = %zu\ndevices = pci:0000:%02zx:*\ndevices-max = 4\n"
                        "memlock-max = 64G\nreset = required\n",
                        i, i, i % 256);
        assert_int_equal(fclose(f), 0);

        start = cpu_seconds();
        policy = policy_of(text);
        assert_int_equal(policy->n_tenants, n_sections);
        return cpu_seconds() - start;
}

/* Loading grows with the policy, not with its square: ten times the sections take nowhere near a hundred
 * times as long. */
static void test_time(_unused_ void **state)
{
        double small = load_time(2000), large = load_time(20000);

        print_message("2000 sections: %.1f ms, 20000: %.1f ms\n", small * 1e3, large * 1e3);
        assert_true(large < small * 40);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_order_and_masks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_mask_with_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_all_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_main_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_owner, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_owner, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_size, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many_dropins, setup, teardown),
                cmocka_unit_test_setup_teardown(test_named_files, setup, teardown),
                cmocka_unit_test(test_references),
                cmocka_unit_test(test_ceiling),
                cmocka_unit_test(test_device_override),
                cmocka_unit_test(test_fixtures),
                cmocka_unit_test(test_shipped),
                cmocka_unit_test(test_shipped_defaults),
                cmocka_unit_test(test_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
