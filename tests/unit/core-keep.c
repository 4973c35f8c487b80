/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The service manager of the core's tests: it has a copy of each file that is to stay open over a restart, one for each name. */

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/core-fixture.h"

static KeptFile *find(Core *core, const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(core->kept); i++)
                if (streq(core->kept[i].name, name))
                        return core->kept + i;
        return NULL;
}

void core_fd_keep(void *userdata, const char *name, int fd)
{
        Core *core = userdata;
        KeptFile *kept;

        assert_true(fd >= 0);
        assert_true(strlen(name) < sizeof(kept->name));
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(name));
        kept = find(core, name);
        if (core->without_keeper)
                return;
        assert_null(kept); /* a name that stands for two files is nobody's */
        kept = find(core, "");
        assert_non_null(kept);
        strcpy(kept->name, name);
        kept->left = false;
        kept->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        assert_true(kept->fd >= 0);
        core->n_kept++;
}

void core_fd_forget(void *userdata, const char *name)
{
        Core *core = userdata;
        KeptFile *kept = find(core, name);

        if (!kept)
                return;
        (void)close(kept->fd);
        kept->name[0] = 0;
        core->n_kept--;
}

int core_fd_take(void *userdata, const char *name, int *ret_fd)
{
        Core *core = userdata;
        KeptFile *kept = find(core, name);

        if (!kept)
                return -ENOENT;
        if (core->take_after > 0 && --core->take_after == 0)
                return -core->take_error;
        kept->left = false;
        *ret_fd = fcntl(kept->fd, F_DUPFD_CLOEXEC, 3);
        assert_true(*ret_fd >= 0);
        return 0;
}

void core_job_drop(void *userdata, pid_t pid)
{
        ((Core *)userdata)->dropped_job = pid;
}

void core_leave_all(Core *core)
{
        for (size_t i = 0; i < ELEMENTSOF(core->kept); i++)
                core->kept[i].left = true;
}

void core_forget_left(Core *core)
{
        for (size_t i = 0; i < ELEMENTSOF(core->kept); i++)
                if (core->kept[i].name[0] && core->kept[i].left)
                        core_fd_forget(core, core->kept[i].name);
}

void core_forget_all(Core *core)
{
        for (size_t i = 0; i < ELEMENTSOF(core->kept); i++)
                if (core->kept[i].name[0])
                        core_fd_forget(core, core->kept[i].name);
}
