/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The policy where the system fails it: each call into libc and iniparser fails once, in turn, with each errno that it may
 * have. Whatever fails, a load ends with an answer: a whole policy or none, never a part, and no fd is left behind. The
 * linker puts the failing calls in between, for the files of policy/ alone. */

#include "tests/fixtures/failing-calls.h"
#include "tests/fixtures/policy-text.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <iniparser/iniparser.h>
#include <pwd.h>
#include <sys/stat.h>

WRAP(FILE *, open_memstream, NULL, (char **text, size_t *size), (text, size))
WRAP(int, memfd_create, -1, (const char *name, unsigned flags), (name, flags))
WRAP(int, ftruncate64, -1, (int fd, off_t size), (fd, size))
WRAP(off_t, lseek64, -1, (int fd, off_t offset, int whence), (fd, offset, whence))
WRAP(ssize_t, write, -1, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(ssize_t, read, -1, (int fd, void *data, size_t size), (fd, data, size))
WRAP(int, stat64, -1, (const char *path, struct stat *st), (path, st))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(struct dirent *, readdir64, NULL, (DIR * dir), (dir))
WRAP(struct group *, getgrnam, NULL, (const char *name), (name))
WRAP(struct passwd *, getpwnam, NULL, (const char *name), (name))
WRAP(dictionary *, iniparser_load, NULL, (const char *path), (path))
WRAP(const char *, iniparser_getstring, NULL, (const dictionary *d, const char *key, const char *otherwise),
     (d, key, otherwise))

static bool lying; /* files say that they are empty */

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st)
{
        int r = fails() ? -1 : __real_fstat64(fd, st);

        if (r == 0 && lying)
                st->st_size = 0;
        return r;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
        return fails() ? -1 : __real_open64(path, flags);
}

/* The stream is gone either way. */
int __real_fclose(FILE *f);
int __wrap_fclose(FILE *f);
int __wrap_fclose(FILE *f)
{
        bool failing = fails();
        int r = __real_fclose(f);

        return failing ? EOF : r;
}

/* As the compiler calls it, with _FORTIFY_SOURCE and without. */
int __wrap_asprintf(char **ret, const char *format, ...) _printf_(2, 3);
int __wrap_asprintf(char **ret, const char *format, ...)
{
        va_list ap;
        int r;

        if (fails())
                return -1;
        va_start(ap, format);
        r = vasprintf(ret, format, ap);
        va_end(ap);
        return r;
}

int __wrap___asprintf_chk(char **ret, int flag, const char *format, ...) _printf_(3, 4);
int __wrap___asprintf_chk(char **ret, _unused_ int flag, const char *format, ...)
{
        va_list ap;
        int r;

        if (fails())
                return -1;
        va_start(ap, format);
        r = vasprintf(ret, format, ap);
        va_end(ap);
        return r;
}

static unsigned count_fds(void)
{
        unsigned n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* More keys than are handed to iniparser at once. */
#define N_POOLS 140
static char text[N_POOLS * 32 + 512] =
        "[broker]\nadmin-group = root\n[tenant blue]\nmatch-user = root, 1\nmatch-group = root\n"
        "devices = pool:nics, group:7\nsocket = /run/a\nsocket-user = root\nsocket-group = root\n"
        "[pool nics]\ndevices = group:8\n[container c]\ntenant = blue\n[device any]\ndriver = x\n";

static void make_text(void)
{
        for (unsigned i = 0; i < N_POOLS; i++)
                (void)sprintf(text + strlen(text), "[pool p%u]\ndevices = any\n", i);
}

static const int errors_tried[] = { EINTR, EIO, EACCES, ENOENT, ENOMEM, EMFILE, ENFILE };

/* What a load says and shows, with a fault or without. 1 where no call was left to fail. */
static bool load(const PolicyDirs *dirs, int *ret)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;
        _cleanup_free_ char *shown = NULL;
        size_t size;
        FILE *f = __real_open_memstream(&shown, &size);

        *ret = dirs ? policy_load(dirs, &policy, &errors)
                    : policy_load_string("t", text, strlen(text), &policy, &errors);
        assert_true((policy != NULL) == (*ret == 0));
        assert_true(*ret != -EINVAL || errors.n_errors > 0);
        free(policy_errors_to_string(&errors));
        if (policy) {
                assert_true(policy->n_tenants > 0);
                (void)policy_show(policy, f);
        }
        assert_int_equal(__real_fclose(f), 0);
        return countdown > 0;
}

static void test_each_call(_unused_ void **state)
{
        char root[] = "/tmp/test-faults-XXXXXX", file[64], dir[64], dropin[80];
        const char *const dropin_dirs[] = { dir, NULL };
        const PolicyDirs dirs = { .file = file, .dropin_dirs = dropin_dirs, .flags = POLICY_LOAD_ANY_OWNER };
        unsigned fds = count_fds();
        FILE *f;

        assert_non_null(mkdtemp(root));
        (void)snprintf(file, sizeof(file), "%s/main.conf", root);
        (void)snprintf(dir, sizeof(dir), "%s/d", root);
        (void)snprintf(dropin, sizeof(dropin), "%s/a.conf", dir);
        assert_int_equal(mkdir(dir, 0700), 0);
        f = fopen(file, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0 && __real_fclose(f) == 0);
        f = fopen(dropin, "we");
        assert_non_null(f);
        assert_true(fputs("[broker]\nnoiommu = what\n[tenant blue]\n", f) >= 0 && __real_fclose(f) == 0);

        for (size_t i = 0; i < ELEMENTSOF(errors_tried); i++)
                for (size_t what = 0; what < 2; what++) {
                        bool over = false;
                        size_t n;
                        int r = 0;

                        with = errors_tried[i];
                        for (n = 1; !over; n++) {
                                countdown = n;
                                over = load(what ? &dirs : NULL, &r);
                                countdown = 0;
                                assert_true(r <= 0);
                                assert_int_equal(count_fds(), fds);
                        }
                        assert_true(n > 20);
                        assert_int_equal(r, what ? -EINVAL : 0);
                }

        assert_int_equal(unlink(dropin) | unlink(file) | rmdir(dir) | rmdir(root), 0);
}

/* The system at fault is told from the file at fault, and from the name that does not exist. */
static void test_breakage(_unused_ void **state)
{
        static const PolicyDirs dirs = { .file = "/etc/passwd", .flags = POLICY_LOAD_ANY_OWNER };
        static const struct {
                int error, result;
        } table[] = { { ENOMEM, -ENOMEM }, { EMFILE, -EMFILE }, { ENFILE, -ENFILE }, { EACCES, -EINVAL } };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                with = table[i].error;
                countdown = 2; /* after stat of the folder, open of the file */
                (void)load(&dirs, &r);
                countdown = 0;
                assert_int_equal(r, table[i].result);

                countdown = 1; /* stat: who may write to the folder is not known */
                (void)load(&dirs, &r);
                countdown = 0;
                assert_int_equal(r, table[i].result);
        }
}

/* A file that grows while it is read is read to its end, and past the limit it is none. */
static void test_growing(_unused_ void **state)
{
        char name[] = "/tmp/test-faults-XXXXXX", *files[] = { name, NULL };
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        Policy *policy = NULL;
        int fd = mkstemp(name);

        assert_true(fd >= 0);
        assert_int_equal(__real_write(fd, text, strlen(text)), (ssize_t)strlen(text));
        lying = true;
        assert_int_equal(policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, &errors), 0);
        assert_int_equal(policy->n_pools, N_POOLS + 1);
        policy = policy_unref(policy);
        assert_int_equal(ftruncate(fd, POLICY_FILE_MAX + 1), 0);
        assert_int_equal(policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, &errors), -EINVAL);
        assert_non_null(strstr(errors.items[0].text, "cannot be read: File too large"));
        lying = false;

        with = EMFILE;
        countdown = 2; /* the lookup of a group is later */
        assert_int_equal(policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, NULL), -EMFILE);
        countdown = 1;
        assert_int_equal(policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, NULL), -EMFILE);
        countdown = 0;
        assert_int_equal(unlink(name) | close(fd), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_call),
                cmocka_unit_test(test_breakage),
                cmocka_unit_test(test_growing),
        };

        make_text();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
