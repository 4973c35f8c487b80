/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Forks workers and collects their results. The child keeps one end of a socket pair and no other fd of the daemon, so
 * that one which is stuck holds nobody else's device, bus connection or process; it dies with the daemon unless the
 * kernel holds it. The parent learns of the end by the child's pidfd, after the result has been read: a job is done
 * when its worker is gone, not when it says so, since a device is only then nobody's. Event loop only. */

#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/host/job.h"
#include "daemon/host/module.h"
#include "daemon/host/process.h"
#include "daemon/host/worker.h"

#define FDS_MAX (2 * JOB_DEVICES_MAX)

struct Workers {
        sd_event *event;
        int (*confine)(void);
        const JobLog *log; /* or NULL */
        void *log_userdata;
        unsigned n_jobs;
        HostJob *jobs;
};

struct HostJob {
        Workers *workers;
        HostJob *next, **prev;
        pid_t pid;
        int socket;
        bool disowned;
        bool have_result;
        Job request;
        ModuleLoad *load; /* before the worker starts, where a driver is not there */
        bool owns_fds;    /* the request's are copies */
        JobResult *result;
        JobDone done;
        JobSlow slow;
        void *userdata;
        uint64_t started;
        sd_event_source *child, *slow_timer;
};

/* The result and its fds as one message. Which row an fd belongs to follows from the order: groups, then devices. */
static int send_result(int fd, JobResult *result)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int) * FDS_MAX)];
                struct cmsghdr align;
        } control = {};
        int fds[FDS_MAX];
        size_t n = 0;
        struct iovec iov = { result, sizeof(*result) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        for (size_t i = 0; i < JOB_DEVICES_MAX; i++)
                if (result->group_fds[i] >= 0)
                        fds[n++] = result->group_fds[i];
        for (size_t i = 0; i < result->n_devices; i++)
                if (result->devices[i].fd >= 0)
                        fds[n++] = result->devices[i].fd;
        if (n > 0) {
                struct cmsghdr *header;

                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n);
                header = CMSG_FIRSTHDR(&message);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(sizeof(int) * n);
                memcpy(CMSG_DATA(header), fds, sizeof(int) * n);
        }
        return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Replaces the child's fd numbers in the result by the ones received. Whatever does not fit is closed: -EBADMSG; where
 * there are too few, for the kernel leaves out those that there is no room for in the table of files: -EMFILE. */
static int adopt_fds(JobResult *result, const int *fds, size_t n)
{
        size_t used = 0;
        bool missing = false;

        for (size_t i = 0; i < JOB_DEVICES_MAX; i++)
                if (result->group_fds[i] >= 0) {
                        missing |= used == n;
                        result->group_fds[i] = used < n ? fds[used++] : -EBADF;
                }
        for (size_t i = 0; i < ELEMENTSOF(result->devices); i++) {
                bool has = i < result->n_devices && result->devices[i].fd >= 0;

                missing |= has && used == n;
                result->devices[i].fd = has && used < n ? fds[used++] : -EBADF;
        }
        for (size_t i = used; i < n; i++)
                (void)close(fds[i]);
        return missing ? -EMFILE : used == n ? 0 : -EBADMSG;
}

static int receive_result(HostJob *job)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int) * FDS_MAX)];
                struct cmsghdr align;
        } control;
        struct iovec iov = { job->result, sizeof(*job->result) };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        int fds[FDS_MAX];
        size_t n_fds = 0;
        ssize_t n;

        n = recvmsg(job->socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
             header = CMSG_NXTHDR(&message, header)) {
                size_t count;

                if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
                        continue;
                count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < count && n_fds < FDS_MAX; i++)
                        memcpy(fds + n_fds++, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        }
        if ((size_t)n != sizeof(*job->result) || job->result->n_devices != job->request.n_devices) {
                for (size_t i = 0; i < n_fds; i++)
                        (void)close(fds[i]);
                job_result_init(job->result, job->request.n_devices);
                return n == 0 ? -ENODATA : -EBADMSG;
        }
        return adopt_fds(job->result, fds, n_fds);
}

/* Where the job has its fds; room for 2 * JOB_DEVICES_MAX + 2. */
static size_t list_fds(Job *job, int **ret)
{
        size_t n = 0;

        ret[n++] = &job->context;
        ret[n++] = &job->barrier;
        for (size_t i = 0; i < job->n_groups; i++)
                ret[n++] = &job->groups[i].fd;
        for (size_t i = 0; i < job->n_devices; i++)
                ret[n++] = &job->devices[i].fd;
        return n;
}

/* The request's fds are the caller's, who may close them as soon as the call has returned; a worker that starts later has
 * copies. */
static int keep_fds(HostJob *job)
{
        int *fds[2 * JOB_DEVICES_MAX + 2];
        size_t n = list_fds(&job->request, fds);

        for (size_t i = 0; i < n; i++) {
                int fd = *fds[i] >= 0 ? fcntl(*fds[i], F_DUPFD_CLOEXEC, 3) : -EBADF;

                if (*fds[i] >= 0 && fd < 0) {
                        int r = -errno;

                        while (i-- > 0)
                                *fds[i] = safe_close(*fds[i]);
                        return r;
                }
                *fds[i] = fd;
        }
        job->owns_fds = true;
        return 0;
}

static void drop_fds(HostJob *job)
{
        if (!job->owns_fds)
                return;
        job->request.context = safe_close(job->request.context);
        job->request.barrier = safe_close(job->request.barrier);
        for (size_t i = 0; i < job->request.n_groups; i++)
                job->request.groups[i].fd = safe_close(job->request.groups[i].fd);
        for (size_t i = 0; i < job->request.n_devices; i++)
                job->request.devices[i].fd = safe_close(job->request.devices[i].fd);
        job->owns_fds = false;
}

static HostJob *job_free(HostJob *job)
{
        if (!job)
                return NULL;
        if (job->prev) {
                *job->prev = job->next;
                if (job->next)
                        job->next->prev = job->prev;
                job->workers->n_jobs--;
        }
        module_load_free(job->load);
        drop_fds(job);
        sd_event_source_disable_unref(job->child);
        sd_event_source_disable_unref(job->slow_timer);
        job->socket = safe_close(job->socket);
        if (job->result) {
                job_result_close(job->result);
                free(job->result);
        }
        free(job);
        return NULL;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        HostJob *job = userdata;
        const Workers *workers = job->workers;
        JobResult *result = job->result;
        int r;

        if (workers->log)
                workers->log->drop(workers->log_userdata, job->pid);
        job_result_init(result, job->request.n_devices);
        r = receive_result(job);
        if (r < 0) {
                job_result_close(result);
                job_result_init(result, job->request.n_devices);
                result->error = r == -ENODATA || r == -EAGAIN || r == -ECONNRESET ? EIO : -r;
                if (r == -EMFILE)
                        (void)snprintf(result->text, sizeof(result->text),
                                       "the daemon has no room for the files that the worker opened");
                else if (info->si_code == CLD_EXITED)
                        (void)snprintf(result->text, sizeof(result->text),
                                       "the worker exited with status %d", info->si_status);
                else
                        (void)snprintf(result->text, sizeof(result->text),
                                       "the worker was ended by signal %d%s", info->si_status,
                                       info->si_status == SIGSYS ? " (its seccomp filter)" : "");
        }
        if (!job->disowned)
                job->done(job->userdata, result);
        job_free(job);
        return 0;
}

/* Somebody waits for a lease to open; of a reclaim that waits, people only want to know soon. */
static uint64_t slow_after(JobKind kind)
{
        return kind == JOB_RECLAIM ? RECLAIM_SLOW_USEC : JOB_SLOW_USEC;
}

static int on_slow(sd_event_source *source, uint64_t usec, void *userdata)
{
        HostJob *job = userdata;

        if (!job->disowned && job->slow)
                job->slow(job->userdata, slow_after(job->request.kind));
        return 0;
}

static int compare_fds(const void *a, const void *b)
{
        return *(const int *)a - *(const int *)b;
}

/* Everything but the socket and what the job was given. */
static int close_others(const Job *job)
{
        int kept[2 * JOB_DEVICES_MAX + 3], from = 4;
        size_t n = 0;

        kept[n++] = job->context;
        kept[n++] = job->barrier;
        for (size_t i = 0; i < job->n_groups; i++)
                kept[n++] = job->groups[i].fd;
        for (size_t i = 0; i < job->n_devices; i++)
                kept[n++] = job->devices[i].fd;
        qsort(kept, n, sizeof(kept[0]), compare_fds);
        for (size_t i = 0; i < n; i++) {
                if (kept[i] < from)
                        continue;
                if (kept[i] > from && close_range((unsigned)from, (unsigned)kept[i] - 1, 0) < 0)
                        return -errno;
                from = kept[i] + 1;
        }
        return close_range((unsigned)from, ~0U, 0) < 0 ? -errno : 0;
}

/* The worker's socket is its fd 3. What a daemon gets from systemd begins there too (SD_LISTEN_FDS_START). */
static int take_socket(Job *job, int fd)
{
        int *fds[2 * JOB_DEVICES_MAX + 2];
        size_t n = list_fds(job, fds);

        if (fd == 3)
                return 0;
        for (size_t i = 0; i < n; i++)
                if (*fds[i] == 3) {
                        *fds[i] = fcntl(3, F_DUPFD_CLOEXEC, 4);
                        if (*fds[i] < 0)
                                return -errno;
                }
        return dup3(fd, 3, O_CLOEXEC) < 0 ? -errno : 0;
}

/* The child. Never returns. */
static void __attribute__((noreturn)) work(Workers *workers, Job *job, int fd, pid_t parent)
{
        JobResult result;
        sigset_t none;
        char word;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(EXIT_FAILURE);
        if (take_socket(job, fd) < 0)
                _exit(EXIT_FAILURE);
        if (close_others(job) < 0)
                _exit(EXIT_FAILURE);
        for (int signal_number = 1; signal_number < NSIG; signal_number++)
                (void)signal(signal_number, SIG_DFL);
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)prctl(PR_SET_NAME, "vfiobroker-work");
        if (workers->confine && workers->confine() < 0)
                _exit(EXIT_FAILURE);
        if (recv(3, &word, 1, 0) != 1)
                _exit(EXIT_FAILURE); /* it is on no record, or the daemon has ended */

        job_result_init(&result, job->n_devices);
        job_run(job, &result);
        _exit(send_result(3, &result) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

int workers_new(sd_event *event, int (*confine)(void), Workers **ret)
{
        Workers *workers = calloc(1, sizeof(*workers));

        if (!workers)
                return -ENOMEM;
        workers->event = sd_event_ref(event);
        workers->confine = confine;
        *ret = workers;
        return 0;
}

Workers *workers_free(Workers *workers)
{
        if (!workers)
                return NULL;
        while (workers->jobs)
                job_free(workers->jobs);
        sd_event_unref(workers->event);
        free(workers);
        return NULL;
}

void workers_log(Workers *workers, const JobLog *log, void *userdata)
{
        workers->log = log;
        workers->log_userdata = userdata;
}

/* Record, then act: on its word the worker begins. */
static int begin(const HostJob *job)
{
        const Workers *workers = job->workers;
        uint64_t start_time;
        int r = 0;

        if (workers->log) {
                r = process_start_time(job->pid, &start_time);
                if (r >= 0)
                        r = workers->log->put(workers->log_userdata, job->pid, start_time, &job->request);
        }
        if (r >= 0 && send(job->socket, "", 1, MSG_NOSIGNAL) < 0)
                r = -errno;
        if (r < 0 && workers->log)
                workers->log->drop(workers->log_userdata, job->pid);
        return r;
}

/* Forks the worker. -errno: nobody works. */
static int launch(HostJob *job)
{
        Workers *workers = job->workers;
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        pid_t parent = getpid();
        int pair[2], room = 2 * (int)sizeof(JobResult), r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        /* A message is whole or not at all, and some hosts give a socket less than a result has (net.core.wmem_default). */
        if (setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) < 0)
                return -errno;

        job->pid = fork();
        if (job->pid < 0)
                return -errno;
        if (job->pid == 0)
                work(workers, &job->request, theirs, parent);
        job->socket = TAKE_FD(ours);

        r = sd_event_add_child(workers->event, &job->child, job->pid, WEXITED, on_child, job);
        /* Before uevents and calls: somebody waits for what it has done. */
        if (r >= 0)
                r = sd_event_source_set_priority(job->child, SD_EVENT_PRIORITY_IMPORTANT);
        if (r < 0) {
                /* It has not begun, and never will without a word. Nobody else would take note of its end. */
                job->socket = safe_close(job->socket);
                while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                return r;
        }
        r = begin(job);
        if (r < 0)
                /* It is killed and reaped with its source; it has done nothing yet that a signal would have to wait for. */
                (void)sd_event_source_set_child_process_own(job->child, true);
        return r;
}

/* systemd has loaded what it could. */
static void on_loaded(void *userdata)
{
        HostJob *job = userdata;
        int r;

        job->load = module_load_free(job->load);
        module_resolve_drivers(&job->request);
        r = job->disowned ? 0 : launch(job);
        drop_fds(job);
        if (!job->disowned && r >= 0)
                return;
        if (!job->disowned) {
                job->result->error = -r;
                (void)snprintf(job->result->text, sizeof(job->result->text), "no worker could be started");
                job->done(job->userdata, job->result);
        }
        job_free(job);
}

int workers_start(Workers *workers, const Job *request, JobDone done, JobSlow slow, void *userdata,
                  HostJob **ret)
{
        HostJob *job;
        int r;

        if (workers->n_jobs >= WORKERS_MAX)
                return -EAGAIN;

        job = calloc(1, sizeof(*job));
        if (!job)
                return -ENOMEM;
        job->socket = -EBADF;
        job->workers = workers;
        job->request = *request;
        job->done = done;
        job->slow = slow;
        job->userdata = userdata;
        job->result = calloc(1, sizeof(*job->result));
        if (!job->result) {
                job_free(job);
                return -ENOMEM;
        }
        job_result_init(job->result, request->n_devices);

        r = sd_event_add_time_relative(workers->event, &job->slow_timer, CLOCK_MONOTONIC,
                                       slow_after(request->kind), 0, on_slow, job);
        if (r >= 0 && module_load_wanted(request)) {
                r = keep_fds(job);
                /* Where nobody can be asked to load it, the worker says that the driver is not there. */
                if (r >= 0 && module_load_start(workers->event, request, on_loaded, job, &job->load) < 0) {
                        module_resolve_drivers(&job->request);
                        r = launch(job);
                        drop_fds(job);
                }
        } else if (r >= 0)
                r = launch(job);
        if (r < 0) {
                job_free(job);
                return r;
        }

        job->next = workers->jobs;
        if (job->next)
                job->next->prev = &job->next;
        job->prev = &workers->jobs;
        workers->jobs = job;
        workers->n_jobs++;
        *ret = job;
        return 0;
}

void workers_disown(HostJob *job)
{
        job->disowned = true;
}
