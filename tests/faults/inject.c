/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The other end of faults-exec: a thread that answers the kernel for each call that waits. It owns the listeners, one for
 * each start of the daemon; all else is behind the lock. */

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/sandbox.h"
#include "policy/util.h"
#include "tests/faults/inject.h"

#define LISTENERS_MAX 8 /* of daemons at once: a worker keeps the one of its daemon alive */

#ifndef SECCOMP_USER_NOTIF_FLAG_CONTINUE
#define SECCOMP_USER_NOTIF_FLAG_CONTINUE 1UL
#endif

typedef struct Listener {
        int fd;
        pid_t pid; /* the daemon */
        bool ran;  /* it has come to its own code */
} Listener;

struct Inject {
        pthread_mutex_t lock;
        pthread_t thread;
        int socket, stop[2];
        Listener listeners[LISTENERS_MAX];
        unsigned n_starts;
        pid_t pid;

        bool counting, start, hit;
        const Call *call;
        Call wanted;
        unsigned nth;
        int error;
        char which[256];
        Call calls[CALLS_MAX];
        size_t n_calls;
};

/* --- what a call is about ----------------------------------------------------------------------------------------- */

/* Which of its arguments is a path, or else a file. -1: neither. */
static int path_argument(const char *name)
{
        static const char *const first[] = { "access", "readlink", "mkdir", "rmdir",
                                             "unlink", "rename",   "statfs" };
        static const char *const second[] = {
                "openat",    "openat2",           "newfstatat",        "readlinkat", "statx",
                "mkdirat",   "faccessat2",        "faccessat",         "unlinkat",   "renameat",
                "renameat2", "inotify_add_watch", "name_to_handle_at", "fchmodat"
        };

        for (size_t i = 0; i < ELEMENTSOF(first); i++)
                if (streq(name, first[i]))
                        return 0;
        for (size_t i = 0; i < ELEMENTSOF(second); i++)
                if (streq(name, second[i]))
                        return 1;
        return -1;
}

static bool has_file(const char *name)
{
        static const char *const names[] = {
                "read",      "readv",   "pread64",    "write",      "writev",     "pwrite64",
                "lseek",     "fcntl",   "flock",      "dup",        "dup2",       "dup3",
                "fstat",     "fstatfs", "getdents64", "ftruncate",  "fallocate",  "fsync",
                "sendto",    "sendmsg", "recvfrom",   "recvmsg",    "connect",    "ioctl",
                "fdatasync", "fchmod",  "getsockopt", "setsockopt", "getsockname"
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

/* By the process's memory file: a small kernel need not have process_vm_readv(2). */
static void read_path(pid_t pid, uint64_t address, char ret[static 256])
{
        size_t page = 4096 - (address & 4095); /* it may end where the page does */
        _cleanup_close_ int fd = -EBADF;
        char path[64];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : pread64(fd, ret, page < 255 ? page : 255, (off64_t)address);
        ret[n > 0 ? n : 0] = 0;
}

static void read_link(pid_t pid, int fd, char ret[static 256])
{
        char path[64];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
        n = readlink(path, ret, 255);
        ret[n > 0 ? n : 0] = 0;
}

/* Short, and the same in each run: no number of a process, a group or a socket. */
static void classify(const char *path, bool writes, char ret[static 40])
{
        static const char *const folders[] = { "/sys/",
                                               "/proc/",
                                               "/dev/",
                                               "/etc/vfiobroker",
                                               "/etc/",
                                               "/usr/",
                                               "/run/vfiobroker/leases",
                                               "/run/vfiobroker/jobs",
                                               "/run/vfiobroker/devices",
                                               "/run/vfiobroker",
                                               "/run/" };
        const char *base = strrchr(path, '/');
        unsigned digits = 0;

        ret[0] = 0;
        if (strncmp(path, "anon_inode:", 11) == 0) {
                path += path[11] == '[' ? 12 : 11;
                (void)snprintf(ret, 40, "%.*s", (int)strcspn(path, "]"), path);
                return;
        }
        if (path[0] == '/' && !(writes && strncmp(path, "/sys/", 5) == 0))
                for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                        if (strncmp(path, folders[i], strlen(folders[i])) == 0) {
                                (void)snprintf(ret, 40, "%s", folders[i]);
                                return;
                        }
        (void)snprintf(ret, 40, "%.39s", path[0] == '/' && base ? base + 1 : path);
        for (const char *c = ret; *c; c++)
                digits += *c >= '0' && *c <= '9';
        /* Named by an id, of a lease or a device. */
        if (digits >= 3 && strncmp(ret, "memfd:", 6) != 0 && strncmp(ret, "socket:", 7) != 0) {
                (void)snprintf(ret, 40, "record");
                return;
        }
        for (char *c = ret; *c; c++)
                if (*c == '[') { /* socket:[123] */
                        if (c > ret && c[-1] == ':')
                                c[-1] = 0;
                        break;
                } else if (*c >= '0' && *c <= '9')
                        *c = '#';
}

static const char *name_of(int number)
{
        static char names[512][24];
        char *name;

        if (number < 0 || number >= (int)ELEMENTSOF(names))
                return "?";
        if (!names[number][0]) {
                name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
                (void)snprintf(names[number], sizeof(names[0]), "%s", name ? name : "?");
                free(name);
        }
        return names[number];
}

static void describe(const struct seccomp_notif *notification, pid_t daemon, Call *ret,
                     char path[static 256])
{
        int argument;
        pid_t pid = (pid_t)notification->pid;
        const uint64_t *args = (const uint64_t *)notification->data.args;

        *ret = (Call){ .worker = pid != daemon };
        (void)snprintf(ret->name, sizeof(ret->name), "%s", name_of(notification->data.nr));
        path[0] = 0;
        argument = path_argument(ret->name);
        if (argument >= 0)
                read_path(pid, args[argument], path);
        if ((argument >= 0 && !path[0]) || (argument < 0 && has_file(ret->name)))
                read_link(pid, (int)args[0], path);
        if (streq(ret->name, "epoll_ctl")) {
                read_link(pid, (int)args[2], path); /* told, but the kind is one */
                return;
        }
        if (streq(ret->name, "ioctl")) {
                size_t n;
                const SandboxIoctl *ioctls = sandbox_ioctls(&n);

                for (size_t i = 0; i < n; i++)
                        if ((uint32_t)ioctls[i].request == (uint32_t)args[1])
                                (void)snprintf(ret->what, sizeof(ret->what), "%s", ioctls[i].name);
                return;
        }
        classify(path,
                 strncmp(ret->name, "write", 5) == 0 ||
                         (streq(ret->name, "openat") && (args[2] & O_ACCMODE)),
                 ret->what);
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

static bool same(const Call *a, const Call *b)
{
        return a->worker == b->worker && streq(a->name, b->name) && streq(a->what, b->what);
}

/* The errno that the call is to fail with, 0: it goes on. */
static int judge(Inject *self, Listener *listener, const struct seccomp_notif *notification)
{
        const char *name = name_of(notification->data.nr);
        char path[256];
        Call call, *known = NULL;

        if (!self->counting || self->hit)
                return 0;
        /* To say what a call is of costs several others. */
        if (self->start && !listener->ran) {
                if (path_argument(name) < 0)
                        return 0;
        } else if (self->error && (self->wanted.worker != ((pid_t)notification->pid != listener->pid) ||
                                   !streq(self->wanted.name, name)))
                return 0;
        describe(notification, listener->pid, &call, path);
        if (!listener->ran && strncmp(path, "/etc/vfiobroker", 15) == 0)
                listener->ran = true;
        if (self->start && (!listener->ran || listener->pid != self->pid))
                return 0;
        if (streq(call.what, "eventfd")) /* the fake machine's (tests/fixtures/fake-host.c) */
                return 0;
        for (size_t i = 0; i < self->n_calls && !known; i++)
                if (same(self->calls + i, &call))
                        known = self->calls + i;
        if (!known) {
                if (self->n_calls == CALLS_MAX)
                        return 0;
                known = self->calls + self->n_calls++;
                *known = call;
        }
        known->n++;
        if (self->error == 0 || known->n != self->nth || !same(known, &self->wanted))
                return 0;
        self->hit = true;
        (void)snprintf(self->which, sizeof(self->which), "%s %s %u %.180s",
                       call.worker ? "worker" : "daemon", call.name, known->n, path[0] ? path : call.what);
        return self->error;
}

static void answer(Inject *self, Listener *listener)
{
        struct seccomp_notif notification = {};
        struct seccomp_notif_resp response = {};
        int error;

        if (ioctl(listener->fd, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0)
                return; /* a signal, or the end of the process */
        (void)pthread_mutex_lock(&self->lock);
        error = judge(self, listener, &notification);
        (void)pthread_mutex_unlock(&self->lock);
        response.id = notification.id;
        if (error)
                response.error = -error;
        else
                response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        (void)ioctl(listener->fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* The one who said hello goes on to its filter, and then waits in its first call. */
static int take_listener(int fd, pid_t *ret_pid)
{
        struct ucred peer = {};
        socklen_t size = sizeof(peer);
        int pidfd, number, taken = -1;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
            recv(fd, &number, sizeof(number), 0) != sizeof(number))
                return -1;
        pidfd = pidfd_open(peer.pid, 0);
        for (unsigned i = 0; i < 5000 && pidfd >= 0 && taken < 0; i++) {
                char link[256];

                read_link(peer.pid, number, link);
                if (strstr(link, "seccomp"))
                        taken = pidfd_getfd(pidfd, number, 0);
                else
                        (void)poll(NULL, 0, 1);
        }
        (void)close(pidfd);
        *ret_pid = peer.pid;
        return taken;
}

static void welcome(Inject *self)
{
        int fd = accept4(self->socket, NULL, NULL, SOCK_CLOEXEC), listener;
        pid_t pid;

        if (fd < 0)
                return;
        listener = take_listener(fd, &pid);
        (void)close(fd);
        (void)pthread_mutex_lock(&self->lock);
        for (size_t i = 0; i < LISTENERS_MAX && listener >= 0; i++)
                if (self->listeners[i].fd < 0) {
                        self->listeners[i] = (Listener){ .fd = TAKE_FD(listener), .pid = pid };
                        self->n_starts++;
                        self->pid = pid;
                }
        (void)pthread_mutex_unlock(&self->lock);
        if (listener >= 0)
                (void)close(listener);
}

static void *listen_on(void *userdata)
{
        Inject *self = userdata;

        for (;;) {
                struct pollfd fds[LISTENERS_MAX + 2] = { { self->stop[0], POLLIN, 0 },
                                                         { self->socket, POLLIN, 0 } };

                for (size_t i = 0; i < LISTENERS_MAX; i++)
                        fds[i + 2] = (struct pollfd){ self->listeners[i].fd, POLLIN, 0 };
                if (poll(fds, ELEMENTSOF(fds), -1) < 0)
                        continue;
                if (fds[0].revents)
                        return NULL;
                if (fds[1].revents)
                        welcome(self);
                for (size_t i = 0; i < LISTENERS_MAX; i++) {
                        if (fds[i + 2].revents & POLLIN)
                                answer(self, self->listeners + i);
                        else if (fds[i + 2].revents & (POLLHUP | POLLERR)) {
                                (void)pthread_mutex_lock(&self->lock);
                                self->listeners[i].fd = safe_close(self->listeners[i].fd);
                                if (self->pid == self->listeners[i].pid)
                                        self->pid = 0;
                                (void)pthread_mutex_unlock(&self->lock);
                        }
                }
        }
}

/* --- its user ------------------------------------------------------------------------------------------------------- */

int inject_new(const char *path, Inject **ret)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Inject *self = calloc(1, sizeof(*self));

        if (!self)
                return -ENOMEM;
        (void)pthread_mutex_init(&self->lock, NULL);
        for (size_t i = 0; i < LISTENERS_MAX; i++)
                self->listeners[i].fd = -EBADF;
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        (void)unlink(path);
        self->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (self->socket < 0 || bind(self->socket, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(self->socket, 16) < 0 || pipe2(self->stop, O_CLOEXEC) < 0 ||
            pthread_create(&self->thread, NULL, listen_on, self) != 0) {
                int r = -errno;

                free(self);
                return r;
        }
        *ret = self;
        return 0;
}

Inject *inject_free(Inject *self)
{
        if (!self)
                return NULL;
        (void)close(self->stop[1]);
        (void)pthread_join(self->thread, NULL);
        for (size_t i = 0; i < LISTENERS_MAX; i++)
                (void)safe_close(self->listeners[i].fd);
        (void)close(self->stop[0]);
        (void)close(self->socket);
        (void)pthread_mutex_destroy(&self->lock);
        free(self);
        return NULL;
}

unsigned inject_starts(Inject *self)
{
        unsigned n;

        (void)pthread_mutex_lock(&self->lock);
        n = self->n_starts;
        (void)pthread_mutex_unlock(&self->lock);
        return n;
}

int inject_pid(Inject *self)
{
        pid_t pid;

        (void)pthread_mutex_lock(&self->lock);
        pid = self->pid;
        (void)pthread_mutex_unlock(&self->lock);
        return pid;
}

void inject_begin(Inject *self, const Call *call, unsigned nth, int error, bool start)
{
        (void)pthread_mutex_lock(&self->lock);
        self->n_calls = 0;
        self->hit = false;
        self->which[0] = 0;
        self->wanted = call ? *call : (Call){};
        self->nth = nth;
        self->error = call ? error : 0;
        self->start = start;
        for (size_t i = 0; i < LISTENERS_MAX && start; i++)
                self->listeners[i].ran = false;
        if (start)
                self->pid = 0; /* the next one's */
        self->counting = true;
        (void)pthread_mutex_unlock(&self->lock);
}

bool inject_end(Inject *self, char which[static 256])
{
        bool hit;

        (void)pthread_mutex_lock(&self->lock);
        self->counting = false;
        hit = self->hit;
        memcpy(which, self->which, 256);
        (void)pthread_mutex_unlock(&self->lock);
        return hit;
}

const Call *inject_calls(Inject *self, size_t *ret_n)
{
        *ret_n = self->n_calls;
        return self->calls;
}
