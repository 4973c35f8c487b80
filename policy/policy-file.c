/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading a policy: which files, whether they may be trusted, and the order of the steps. The texts are read
 * through an fd that is checked first, so that what is parsed is what was checked. What the parser says goes
 * into the caller's errors; the policy appears only when there is none. */

#include "policy/policy-file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "policy/errors.h"
#include "policy/loader.h"

#ifndef POLICY_SYSCONFDIR
#define POLICY_SYSCONFDIR "/etc"
#endif
#ifndef POLICY_LIBDIR
#define POLICY_LIBDIR "/usr/lib"
#endif

#define DROPIN_DIR "vfiobroker/policy.d"

static const char *const default_dropin_dirs[] = {
        POLICY_SYSCONFDIR "/" DROPIN_DIR,
        "/run/" DROPIN_DIR,
        POLICY_LIBDIR "/" DROPIN_DIR,
        NULL,
};

/* A load under way. */
typedef struct Load {
        Policy *policy;
        PolicyErrors *errors;
        unsigned flags;
        Arena scratch; /* what only the parser needs */
        IniFile *files;
        size_t n_files;
} Load;

#define file_error(load, severity, path, ...)                                                               \
        policy_errors_add((load)->errors, severity, (PolicyWhere){ (path), 0 }, __VA_ARGS__)

Policy *policy_ref(Policy *policy)
{
        if (policy)
                policy->n_ref++;
        return policy;
}

Policy *policy_unref(Policy *policy)
{
        if (!policy || --policy->n_ref > 0)
                return NULL;

        arena_done(&policy->arena);
        free(policy);
        return NULL;
}

static void load_done(Load *load)
{
        arena_done(&load->scratch);
        free(load->files);
        policy_unref(load->policy);
}

static int load_init(Load *load, size_t max_files, unsigned flags, PolicyErrors *errors)
{
        *load = (Load){ .errors = errors, .flags = flags };
        policy_errors_done(errors);

        load->policy = calloc(1, sizeof(*load->policy));
        if (!load->policy)
                return -ENOMEM;
        load->policy->n_ref = 1;

        load->files = calloc(max_files + 1, sizeof(*load->files));
        load->policy->files = arena_alloc(&load->policy->arena, max_files, sizeof(*load->policy->files));
        return load->files && load->policy->files ? 0 : -ENOMEM;
}

static int load_text(Load *load, const char *name, const char *text, size_t size)
{
        Policy *policy = load->policy;
        char *copy = arena_strdup(&policy->arena, name);
        int r;

        if (!copy)
                return -ENOMEM;
        policy->files[policy->n_files++] = copy;

        r = ini_scan(&load->scratch, copy, text, size, load->files + load->n_files, load->errors);
        if (r < 0)
                return r;
        load->n_files++;
        return 0;
}

/* The end of every load: texts to values, values against each other, and the answer. */
static int load_finish(Load *load, Policy **ret_policy)
{
        Policy *policy = load->policy;
        int r;

        r = policy_apply(policy, load->files, load->n_files, load->errors);
        if (r < 0)
                return r;
        r = policy_check(policy, load->errors);
        if (r < 0)
                return r;

        policy_errors_sort(load->errors, policy->files, policy->n_files);
        if (load->errors->n_errors > 0)
                return -EINVAL;

        *ret_policy = TAKE_PTR(load->policy);
        return 0;
}

/* May root trust what is in this file or directory? */
static bool check_owner(Load *load, const char *path, const struct stat *st)
{
        const char *what = S_ISDIR(st->st_mode) ? "directory" : "file";

        if (load->flags & POLICY_LOAD_ANY_OWNER)
                return true;

        if (st->st_uid != 0)
                file_error(load, POLICY_ERROR, path,
                           "the %s belongs to uid %u; it must be root's: chown root", what, st->st_uid);
        else if (st->st_mode & (S_IWGRP | S_IWOTH))
                file_error(load, POLICY_ERROR, path,
                           "the %s can be written by %s; take that away: chmod go-w", what,
                           st->st_mode & S_IWOTH ? "anybody" : "its group");
        else
                return true;
        return false;
}

/* A call failed: is it the system, then the load ends, or the file, then it goes on with an error of that file. EIO is the
 * file's, unlike in errno_is_trouble(): whoever reads the error is to look at that disk. */
static int call_failed(Load *load, const char *path, const char *what, int error)
{
        if (error == ENOMEM || error == EMFILE || error == ENFILE)
                return -error;
        file_error(load, POLICY_ERROR, path, "%s: %s", what, strerror(error));
        return 0;
}

static int read_all(int fd, size_t expected, char **ret_text, size_t *ret_size)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0, max = expected + 1; /* one more, to see the end */

        text = malloc(max);
        if (!text)
                return -ENOMEM;

        for (;;) {
                ssize_t n;

                if (size == max) { /* it grew meanwhile */
                        char *grown = realloc(text, max * 2);

                        if (!grown)
                                return -ENOMEM;
                        text = grown;
                        max *= 2;
                }

                n = read(fd, text + size, max - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t)n;
                if (size > POLICY_FILE_MAX)
                        return -EFBIG;
        }

        *ret_text = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

/* Reads one file. Where `optional`, one that does not exist is a warning. */
static int load_file(Load *load, const char *path, bool optional)
{
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t size = 0;
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT && optional) {
                file_error(load, POLICY_WARNING, path, "there is no such file; the drop-ins alone hold");
                return 0;
        }
        if (fd < 0)
                return call_failed(load, path, "cannot be opened", errno);

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) /* /dev/null: masked */
                return 0;
        if (!S_ISREG(st.st_mode)) {
                file_error(load, POLICY_ERROR, path,
                           "not a regular file; put a text file there, or take it away");
                return 0;
        }
        if (!check_owner(load, path, &st))
                return 0;
        if (st.st_size > (off_t)POLICY_FILE_MAX) {
                file_error(load, POLICY_ERROR, path, "the file has more than %u bytes; that is no policy",
                           POLICY_FILE_MAX);
                return 0;
        }

        r = read_all(fd, (size_t)st.st_size, &text, &size);
        if (r < 0)
                return call_failed(load, path, "cannot be read", -r);
        return load_text(load, path, text, size);
}

int policy_load_files(char *const *files, size_t n_files, unsigned flags, Policy **ret_policy,
                      PolicyErrors *errors)
{
        _cleanup_policy_errors_ PolicyErrors own = POLICY_ERRORS_NULL;
        _cleanup_(load_done) Load load = {};
        int r;

        r = load_init(&load, n_files, flags, errors ? errors : &own);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_files; i++) {
                r = load_file(&load, files[i], false);
                if (r < 0)
                        return r;
        }
        return load_finish(&load, ret_policy);
}

int policy_load_string(const char *name, const char *text, size_t size, Policy **ret_policy,
                       PolicyErrors *errors)
{
        _cleanup_policy_errors_ PolicyErrors own = POLICY_ERRORS_NULL;
        _cleanup_(load_done) Load load = {};
        int r;

        r = load_init(&load, 1, 0, errors ? errors : &own);
        if (r < 0)
                return r;

        r = load_text(&load, name, text, size);
        if (r < 0)
                return r;
        return load_finish(&load, ret_policy);
}

Policy *policy_new_empty(void)
{
        Policy *policy;

        return policy_load_string("", "", 0, &policy, NULL) < 0 ? NULL : policy;
}

/* One name in one drop-in directory. */
typedef struct Dropin {
        const char *name;
        const char *path;
        size_t dir; /* the smaller number masks */
} Dropin;

typedef struct Dropins {
        Dropin *items;
        size_t n_items;
} Dropins;

static void dropins_done(Dropins *dropins)
{
        free(dropins->items);
}

static int compare_dropins(const void *a, const void *b)
{
        const Dropin *x = a, *y = b;
        int r = strcmp(x->name, y->name);

        if (r != 0)
                return r;
        return (x->dir > y->dir) - (x->dir < y->dir);
}

static int add_dropin(Load *load, Dropins *dropins, const char *dir, size_t n_dir, const char *name)
{
        Dropin dropin = { .name = arena_strdup(&load->scratch, name), .dir = n_dir };
        _cleanup_free_ char *path = NULL;
        Dropin *items;

        if (asprintf(&path, "%s/%s", dir, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }

        dropin.path = arena_strdup(&load->scratch, path);
        items = reallocarray(dropins->items, dropins->n_items + 1, sizeof(*items));
        if (items)
                dropins->items = items;
        if (!items || !dropin.name || !dropin.path)
                return -ENOMEM;

        items[dropins->n_items++] = dropin;
        return 0;
}

static bool is_dropin_name(const char *name)
{
        size_t n = strlen(name);

        return name[0] != '.' && n > strlen(".conf") && streq(name + n - strlen(".conf"), ".conf");
}

/* The names in one directory; one that does not exist holds none. */
static int list_dropins(Load *load, Dropins *dropins, const char *dir, size_t n_dir)
{
        _cleanup_(closedirp) DIR *d = opendir(dir);
        struct stat st;

        if (!d && errno == ENOENT)
                return 0;
        if (!d)
                return call_failed(load, dir, "cannot be opened", errno);
        if (fstat(dirfd(d), &st) < 0)
                return -errno;
        if (!check_owner(load, dir, &st))
                return 0;

        for (;;) {
                struct dirent *entry;
                int r;

                errno = 0;
                entry = readdir(d);
                if (!entry)
                        return -errno;
                if (!is_dropin_name(entry->d_name))
                        continue;
                if (dropins->n_items == POLICY_FILES_MAX) {
                        file_error(load, POLICY_ERROR, dir, "there are more than %u drop-ins; join some",
                                   POLICY_FILES_MAX);
                        return 0;
                }
                r = add_dropin(load, dropins, dir, n_dir, entry->d_name);
                if (r < 0)
                        return r;
        }
}

static int load_dropins(Load *load, const Dropins *dropins)
{
        for (size_t i = 0; i < dropins->n_items; i++) {
                const Dropin *dropin = dropins->items + i;
                int r;

                if (i > 0 && streq(dropin[-1].name, dropin->name))
                        continue; /* masked */
                r = load_file(load, dropin->path, false);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whoever may write to the directory of the main file can put another in its place. */
static int check_parent(Load *load, const char *path)
{
        _cleanup_free_ char *parent = NULL;
        const char *slash = strrchr(path, '/');
        struct stat st;

        parent = slash ? strndup(path, slash > path ? (size_t)(slash - path) : 1) : strdup(".");
        if (!parent)
                return -ENOMEM;

        if (stat(parent, &st) < 0) /* where there is none, there is no file */
                return errno == ENOENT ? 0 : call_failed(load, parent, "cannot be looked at", errno);
        (void)check_owner(load, parent, &st);
        return 0;
}

int policy_load(const PolicyDirs *dirs, Policy **ret_policy, PolicyErrors *errors)
{
        _cleanup_policy_errors_ PolicyErrors own = POLICY_ERRORS_NULL;
        _cleanup_(load_done) Load load = {};
        _cleanup_(dropins_done) Dropins dropins = {};
        const char *file = POLICY_SYSCONFDIR "/vfiobroker/vfiobroker.conf";
        const char *const *dropin_dirs = default_dropin_dirs;
        int r;

        if (dirs && dirs->file)
                file = dirs->file;
        if (dirs && dirs->dropin_dirs)
                dropin_dirs = dirs->dropin_dirs;

        r = load_init(&load, POLICY_FILES_MAX + 1, dirs ? dirs->flags : 0, errors ? errors : &own);
        if (r < 0)
                return r;

        r = check_parent(&load, file);
        if (r < 0)
                return r;
        r = load_file(&load, file, true);
        if (r < 0)
                return r;

        for (size_t i = 0; dropin_dirs[i]; i++) {
                r = list_dropins(&load, &dropins, dropin_dirs[i], i);
                if (r < 0)
                        return r;
        }
        if (dropins.n_items > 0)
                qsort(dropins.items, dropins.n_items, sizeof(*dropins.items), compare_dropins);

        r = load_dropins(&load, &dropins);
        if (r < 0)
                return r;
        return load_finish(&load, ret_policy);
}

uint64_t policy_memlock_ceiling(const Policy *policy, uint64_t mem_total)
{
        const PolicyBroker *broker = &policy->broker;

        if (broker->memlock_max_bytes != UINT64_MAX)
                return broker->memlock_max_bytes;
        return mem_total / 100 * broker->memlock_max_percent +
               mem_total % 100 * broker->memlock_max_percent / 100;
}

const PolicyDevice *policy_device_override(const Policy *policy, const DeviceFacts *device)
{
        for (size_t i = policy->n_devices; i > 0; i--)
                if (selector_matches(&policy->devices[i - 1].selector, device))
                        return policy->devices + i - 1;
        return NULL;
}
