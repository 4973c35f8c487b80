/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The `vfio_pci:` entries of the kernel's lists of modules: modules.alias has those of modules, modules.builtin.modinfo
 * those of built-in drivers (as far as the kernel keeps them: the device tables of built-in drivers since Linux 6.17).
 * A stock kernel has a handful of them among twenty thousand, so they are picked out once and read again when depmod has
 * written new lists.
 *
 * Not libkmod: its look-up gives the modules that match, but not the pattern by which each did, and the pattern tells
 * which is the most specific. */

#include <fnmatch.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "daemon/host/modalias.h"

#define PREFIX "vfio_pci:"

typedef struct Entry {
        char *pattern, *module;
} Entry;

typedef struct List {
        const char *name;
        int delimiter;
        bool (*split)(char *line, char **ret_pattern, char **ret_module);
        struct stat seen;
} List;

struct Modaliases {
        char *folder;
        List lists[2];
        Entry *entries;
        size_t n;
};

/* "alias PATTERN MODULE" */
static bool split_alias(char *line, char **ret_pattern, char **ret_module)
{
        char *save = NULL;
        const char *word = strtok_r(line, " \t\n", &save);

        if (!word || !streq(word, "alias"))
                return false;
        *ret_pattern = strtok_r(NULL, " \t\n", &save);
        *ret_module = strtok_r(NULL, " \t\n", &save);
        return *ret_pattern && *ret_module;
}

/* "MODULE.alias=PATTERN" */
static bool split_builtin(char *line, char **ret_pattern, char **ret_module)
{
        char *field = strstr(line, ".alias=");

        if (!field)
                return false;
        *field = 0;
        *ret_module = line;
        *ret_pattern = field + strlen(".alias=");
        return true;
}

static void forget(Modaliases *aliases)
{
        for (size_t i = 0; i < aliases->n; i++) {
                free(aliases->entries[i].pattern);
                free(aliases->entries[i].module);
        }
        free(aliases->entries);
        aliases->entries = NULL;
        aliases->n = 0;
}

static int add(Modaliases *aliases, const char *pattern, const char *module)
{
        Entry *more = reallocarray(aliases->entries, aliases->n + 1, sizeof(*more));
        Entry entry;

        if (!more)
                return -ENOMEM;
        aliases->entries = more;
        entry = (Entry){ strdup(pattern), strdup(module) };
        if (!entry.pattern || !entry.module) {
                free(entry.pattern);
                free(entry.module);
                return -ENOMEM;
        }
        more[aliases->n++] = entry;
        return 0;
}

static int read_list(Modaliases *aliases, List *list)
{
        _cleanup_(fclosep) FILE *file = NULL;
        _cleanup_free_ char *line = NULL;
        char path[PATH_MAX];
        size_t size = 0;
        int r = 0;

        list->seen = (struct stat){};
        (void)snprintf(path, sizeof(path), "%s/%s", aliases->folder, list->name);
        file = fopen(path, "re");
        if (!file)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(fileno(file), &list->seen) < 0)
                return -errno;
        while (r >= 0 && getdelim(&line, &size, list->delimiter, file) >= 0) {
                char *pattern, *module;

                if (list->split(line, &pattern, &module) && strncmp(pattern, PREFIX, strlen(PREFIX)) == 0)
                        r = add(aliases, pattern, module);
        }
        return r < 0 ? r : ferror(file) ? -EIO : 0;
}

static int read_lists(Modaliases *aliases)
{
        int r = 0;

        forget(aliases);
        for (size_t i = 0; i < ELEMENTSOF(aliases->lists) && r >= 0; i++)
                r = read_list(aliases, aliases->lists + i);
        return r;
}

static bool is_current(const Modaliases *aliases, const List *list)
{
        char path[PATH_MAX];
        struct stat st = {};

        (void)snprintf(path, sizeof(path), "%s/%s", aliases->folder, list->name);
        if (stat(path, &st) < 0)
                st = (struct stat){};
        return st.st_dev == list->seen.st_dev && st.st_ino == list->seen.st_ino &&
               st.st_size == list->seen.st_size && st.st_mtim.tv_sec == list->seen.st_mtim.tv_sec &&
               st.st_mtim.tv_nsec == list->seen.st_mtim.tv_nsec;
}

/* How much of the pattern has to be there as it is: `*`, `?` and `[…]` say nothing. So an entry for a vendor and a device
 * (16 digits) goes before one for a class (6), which goes before one for every device. */
static size_t specificity(const char *pattern)
{
        size_t n = 0;

        for (; *pattern; pattern++) {
                const char *end = *pattern == '[' ? strchr(pattern, ']') : NULL;

                if (end)
                        pattern = end;
                else if (*pattern != '*' && *pattern != '?')
                        n++;
        }
        return n;
}

const char *modaliases_vfio_module(Modaliases *aliases, const char *modalias)
{
        char wanted[256];
        const Entry *best = NULL;
        size_t best_specificity = 0;

        if (strncmp(modalias, "pci:", 4) != 0)
                return NULL;
        (void)snprintf(wanted, sizeof(wanted), "%s%s", PREFIX, modalias + 4);
        wanted[strcspn(wanted, "\n")] = 0;

        for (size_t i = 0; i < ELEMENTSOF(aliases->lists); i++)
                if (!is_current(aliases, aliases->lists + i)) {
                        (void)read_lists(
                                aliases); /* what cannot be read is tried again at the next question */
                        break;
                }
        for (size_t i = 0; i < aliases->n; i++) {
                const Entry *entry = aliases->entries + i;
                size_t n = specificity(entry->pattern);

                if ((!best || n > best_specificity) && fnmatch(entry->pattern, wanted, FNM_NOESCAPE) == 0) {
                        best = entry;
                        best_specificity = n;
                }
        }
        return best ? best->module : NULL;
}

int modaliases_new(const char *folder, Modaliases **ret)
{
        _cleanup_(modaliases_freep) Modaliases *aliases = calloc(1, sizeof(*aliases));
        struct utsname name;
        int r;

        if (!aliases)
                return -ENOMEM;
        aliases->lists[0] = (List){ "modules.alias", '\n', split_alias, {} };
        aliases->lists[1] = (List){ "modules.builtin.modinfo", 0, split_builtin, {} };
        if (folder)
                aliases->folder = strdup(folder);
        else if (uname(&name) < 0)
                return -errno;
        else if (asprintf(&aliases->folder, "/lib/modules/%s", name.release) < 0)
                aliases->folder = NULL;
        if (!aliases->folder)
                return -ENOMEM;
        r = read_lists(aliases);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(aliases);
        return 0;
}

Modaliases *modaliases_free(Modaliases *aliases)
{
        if (!aliases)
                return NULL;
        forget(aliases);
        free(aliases->folder);
        free(aliases);
        return NULL;
}
