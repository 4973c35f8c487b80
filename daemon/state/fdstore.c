/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The file descriptor store of the service manager. One name, one file: FDSTOREREMOVE=1 closes all that have the name.
 * FDPOLL=0, since systemd would drop a pidfd when its process ends, which is what the next start is to be told. */

#include <fcntl.h>
#include <systemd/sd-daemon.h>

#include "daemon/state/fdstore.h"

typedef struct Kept {
        char *name;
        int fd; /* owned; -EBADF once it was taken */
        bool doubtful;
} Kept;

struct FdStore {
        Kept *kept;
        size_t n;
};

FdStore *fdstore_free(FdStore *fds)
{
        if (!fds)
                return NULL;
        for (size_t i = 0; i < fds->n; i++) {
                (void)safe_close(fds->kept[i].fd);
                free(fds->kept[i].name);
        }
        free(fds->kept);
        free(fds);
        return NULL;
}

static void free_names(char **names)
{
        for (size_t i = 0; names && names[i]; i++)
                free(names[i]);
        free(names);
}

int fdstore_new(FdStore **ret)
{
        FdStore *fds = calloc(1, sizeof(*fds));
        char **names = NULL;
        int n;

        if (!fds)
                return -ENOMEM;
        n = sd_listen_fds_with_names(true, &names);
        if (n > 0) {
                fds->kept = calloc((size_t)n, sizeof(*fds->kept));
                if (!fds->kept)
                        n = -ENOMEM;
        }
        if (n < 0) {
                free_names(names);
                fdstore_free(fds);
                return n;
        }
        for (; fds->n < (size_t)n; fds->n++) {
                Kept *kept = fds->kept + fds->n;

                kept->fd = SD_LISTEN_FDS_START + (int)fds->n;
                kept->name = names[fds->n];
                names[fds->n] = NULL;
                for (size_t i = 0; i < fds->n; i++)
                        if (streq(fds->kept[i].name, kept->name))
                                fds->kept[i].doubtful = kept->doubtful = true;
        }
        free(names);
        *ret = fds;
        return 0;
}

/* A word that is lost is a file that a device is not free for, so it is said again where the kernel failed once. */
static void tell(const char *state, const int *fds, unsigned n_fds)
{
        (void)TRY_AGAIN(sd_pid_notify_with_fds(0, false, state, fds, n_fds));
}

static void drop(FdStore *fds, Kept *kept)
{
        kept->fd = safe_close(kept->fd);
        fdstore_forget(fds, kept->name);
}

void fdstore_keep(FdStore *fds, const char *name, int fd)
{
        char state[128];

        /* One of that name from before, which nobody took: with it there would be two, and both would go with
         * fdstore_drop_rest(). */
        for (size_t i = 0; i < fds->n; i++)
                if (fds->kept[i].fd >= 0 && streq(fds->kept[i].name, name))
                        drop(fds, fds->kept + i);
        (void)snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
        tell(state, &fd, 1);
}

void fdstore_forget(FdStore *fds, const char *name)
{
        char state[128];

        (void)snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
        tell(state, NULL, 0);
}

/* systemd's first is number 3, where a worker has its socket: a job's file there would be lost (host/worker.c). */
static int take_fd(Kept *kept, int *ret_fd)
{
        if (kept->fd == SD_LISTEN_FDS_START) {
                int fd = fcntl(kept->fd, F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + 1);

                if (fd < 0)
                        return -errno;
                (void)close(kept->fd);
                kept->fd = fd;
        }
        *ret_fd = TAKE_FD(kept->fd);
        return 0;
}

int fdstore_take(FdStore *fds, const char *name, int *ret_fd)
{
        for (size_t i = 0; i < fds->n; i++)
                if (fds->kept[i].fd >= 0 && !fds->kept[i].doubtful && streq(fds->kept[i].name, name))
                        return take_fd(fds->kept + i, ret_fd);
        return -ENOENT;
}

int fdstore_barrier(FdStore *fds, int *ret_fd)
{
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        int pair[2], r;

        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        r = sd_pid_notify_with_fds(0, false, "BARRIER=1", &theirs, 1);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        *ret_fd = TAKE_FD(ours);
        return 0;
}

void fdstore_drop_rest(FdStore *fds, void (*told)(void *userdata, const char *name), void *userdata)
{
        for (size_t i = 0; i < fds->n; i++) {
                if (fds->kept[i].fd < 0)
                        continue;
                drop(fds, fds->kept + i);
                told(userdata, fds->kept[i].name);
        }
}
