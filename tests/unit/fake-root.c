/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files and links that stand for a machine's /sys and /proc. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <sys/stat.h>

#include "policy/util.h"
#include "tests/unit/fake-root.h"

char root[64];

int fake_root_make(void)
{
        strcpy(root, "/tmp/fake-root.XXXXXX");
        return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

int fake_root_remove(void)
{
        return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void make_folders(const char *path)
{
        char full[512];

        (void)snprintf(full, sizeof(full), "%s%s", root, path);
        for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = 0;
                assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
}

void write_file(const char *folder, const char *name, const char *text)
{
        char full[512];
        FILE *file;

        make_folders(folder);
        (void)snprintf(full, sizeof(full), "%s%s/%s", root, folder, name);
        file = fopen(full, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

void make_link(const char *folder, const char *name, const char *target)
{
        char full[512];

        make_folders(folder);
        (void)snprintf(full, sizeof(full), "%s%s/%s", root, folder, name);
        (void)unlink(full);
        assert_int_equal(symlink(target, full), 0);
}
