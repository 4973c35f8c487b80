/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Binds the parts of this folder, and sd-event's timers and watches, to the table in core/host.h. */

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/host/container.h"
#include "daemon/host/driver.h"
#include "daemon/host/iommufd.h"
#include "daemon/host/isolation.h"
#include "daemon/host/machine.h"
#include "daemon/host/mdev.h"
#include "daemon/host/numa.h"
#include "daemon/host/placement.h"
#include "daemon/host/process.h"
#include "daemon/host/unit-kill.h"
#include "daemon/host/usage.h"
#include "daemon/host/worker.h"
#include "policy/policy-file.h"

typedef struct Machine {
        Host host; /* first */
        sd_event *event;
        Workers *workers;
        int processes; /* an epoll of the pidfds that are watched */
        sd_event_source *processes_source;
        HostIsolation isolation;
        uint64_t isolation_turn; /* of the loop, when it was read: sd_event_now(), 0 = never */
} Machine;

struct HostTimer {
        sd_event_source *source;
        HostCallback callback;
        void *userdata;
};

struct HostWatch {
        int pidfd; /* a copy of its own */
        HostCallback callback;
        void *userdata;
};

static void timer_free(HostTimer *timer)
{
        sd_event_source_disable_unref(timer->source);
        free(timer);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
        HostTimer *timer = userdata;
        HostCallback callback = timer->callback;
        void *callback_userdata = timer->userdata;

        timer_free(timer);
        callback(callback_userdata);
        return 0;
}

static int machine_timer_start(Host *host, uint64_t usec, HostCallback callback, void *userdata,
                               HostTimer **ret)
{
        Machine *machine = (Machine *)host;
        HostTimer *timer = calloc(1, sizeof(*timer));
        int r;

        if (!timer)
                return -ENOMEM;
        timer->callback = callback;
        timer->userdata = userdata;
        r = sd_event_add_time_relative(machine->event, &timer->source, CLOCK_MONOTONIC, usec, 1, on_time,
                                       timer);
        /* At once means before uevents and calls: it is how a waiter hears that its device is free. */
        if (r >= 0 && usec == 0)
                r = sd_event_source_set_priority(timer->source, SD_EVENT_PRIORITY_IMPORTANT);
        if (r < 0) {
                sd_event_source_disable_unref(timer->source);
                free(timer);
                return r;
        }
        *ret = timer;
        return 0;
}

static void machine_timer_stop(Host *host, HostTimer *timer)
{
        if (timer)
                timer_free(timer);
}

/* One for each turn of the loop, with what others ask in between: when a host full of machines dies at once there is work to be
 * done for each. The watch stays allocated until it is unwatched: its owner still has the pointer. */
static int on_process(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct epoll_event event;
        HostWatch *watch;

        if (epoll_wait(fd, &event, 1, 0) != 1)
                return 0;
        watch = event.data.ptr;
        watch->callback(watch->userdata);
        return 0;
}

/* By hand, since it stays as long as somebody else has the process's file. */
static void forget_process(Machine *machine, const HostWatch *watch)
{
        (void)TRY_AGAIN(OR_ERRNO(epoll_ctl(machine->processes, EPOLL_CTL_DEL, watch->pidfd, NULL)));
}

static int machine_process_watch(Host *host, int pidfd, HostCallback callback, void *userdata,
                                 HostWatch **ret)
{
        Machine *machine = (Machine *)host;
        HostWatch *watch = calloc(1, sizeof(*watch));
        struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = watch };
        int r;

        if (!watch)
                return -ENOMEM;
        watch->callback = callback;
        watch->userdata = userdata;
        /* epoll takes an fd once, and a process may be watched for several leases. */
        watch->pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
        if (watch->pidfd < 0 || epoll_ctl(machine->processes, EPOLL_CTL_ADD, watch->pidfd, &event) < 0) {
                r = -errno;
                (void)safe_close(watch->pidfd);
                free(watch);
                return r;
        }
        *ret = watch;
        return 0;
}

static void machine_process_unwatch(Host *host, HostWatch *watch)
{
        Machine *machine = (Machine *)host;

        if (!watch)
                return;
        forget_process(machine, watch);
        (void)safe_close(watch->pidfd);
        free(watch);
}

static int machine_job_start(Host *host, const Job *job, JobDone done, JobSlow slow, void *userdata,
                             HostJob **ret)
{
        return workers_start(((Machine *)host)->workers, job, done, slow, userdata, ret);
}

static void machine_job_disown(Host *host, HostJob *job)
{
        workers_disown(job);
}

static int machine_process_open(Host *host, pid_t pid, int *ret_pidfd, uint64_t *ret_start_time)
{
        return process_open(pid, ret_pidfd, ret_start_time);
}

static int machine_process_of_pidfd(Host *host, int pidfd, pid_t *ret_pid)
{
        return process_of_pidfd(pidfd, ret_pid);
}

static int machine_process_credentials(Host *host, pid_t pid, int pidfd, ProcessCredentials *ret)
{
        return process_read_credentials(pid, pidfd, ret);
}

static int machine_process_placement(Host *host, pid_t pid, int pidfd, bool machine,
                                     ProcessPlacement *placement)
{
        return placement_read(pid, pidfd, machine, placement);
}

static int machine_process_is(Host *host, pid_t pid, int pidfd)
{
        return process_is(pid, pidfd);
}

static int machine_process_alive(Host *host, int pidfd)
{
        return process_alive(pidfd);
}

static int machine_process_kill(Host *host, int pidfd)
{
        return pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
}

static int machine_unit_kill(Host *host, pid_t pid, int pidfd, UnitKilled done, void *userdata,
                             HostUnitKill **ret)
{
        return unit_kill_start(((Machine *)host)->event, pid, pidfd, done, userdata, ret);
}

static void machine_unit_kill_disown(Host *host, HostUnitKill *kill)
{
        unit_kill_disown(kill);
}

static int machine_process_facts(Host *host, pid_t pid, int pidfd, ProcessFacts *ret)
{
        return process_read_facts(pid, pidfd, ret);
}

static int machine_memlock_get(Host *host, pid_t pid, int pidfd, MemlockLimit *ret)
{
        return process_memlock_get(pid, pidfd, ret);
}

static int machine_memlock_set(Host *host, pid_t pid, int pidfd, const MemlockLimit *limit)
{
        return process_memlock_set(pid, pidfd, limit);
}

static int machine_memlock_used(Host *host, pid_t pid, int pidfd, uint64_t *ret_bytes)
{
        return process_memlock_used(pid, pidfd, ret_bytes);
}

static int machine_device_usage(Host *host, const DeviceInfo *info, DeviceUsage *ret)
{
        return usage_find("", info->path, ret);
}

static int machine_device_bound(Host *host, const DeviceInfo *info)
{
        return driver_has(info->path);
}

static void machine_numa_distances(Host *host, pid_t pid, NumaDistances *ret)
{
        numa_read_distances("", pid, ret);
}

static uint64_t machine_mem_total(Host *host)
{
        return process_mem_total();
}

static uint64_t read_clock(clockid_t clock)
{
        struct timespec ts;

        (void)clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t machine_now(Host *host)
{
        return read_clock(CLOCK_REALTIME);
}

static uint64_t machine_monotonic(Host *host)
{
        return read_clock(CLOCK_MONOTONIC);
}

static uint64_t machine_random(Host *host)
{
        uint64_t n = 0;

        if (getrandom(&n, sizeof(n), GRND_NONBLOCK) != (ssize_t)sizeof(n))
                n = read_clock(CLOCK_MONOTONIC); /* ids must differ, not be secret */
        return n;
}

/* Where that cannot be told its open will; else a lease would get the other backend for want of memory. */
static bool may_exist(const char *path)
{
        return access(path, F_OK) == 0 || errno_is_trouble(errno);
}

static unsigned machine_backends(Host *host)
{
        return (may_exist(IOMMUFD_PATH) ? POLICY_BACKEND_IOMMUFD : 0) |
               (may_exist(CONTAINER_PATH) ? POLICY_BACKEND_GROUP : 0);
}

static int machine_context_open(Host *host, unsigned backend, int *ret_fd)
{
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (backend == POLICY_BACKEND_GROUP)
                return container_open(ret_fd);
        r = iommufd_open(&fd);
        if (r >= 0)
                r = iommufd_set_rlimit_mode_process(fd);
        if (r >= 0)
                *ret_fd = TAKE_FD(fd);
        return r;
}

static int machine_context_check(Host *host, unsigned backend, int fd, size_t *ret_n,
                                 struct IovaRange *ret_iova)
{
        *ret_n = 0;
        return backend == POLICY_BACKEND_GROUP ? container_check(fd, ret_n, ret_iova) : iommufd_check(fd);
}

static int machine_group_check(Host *host, int number, int fd)
{
        return group_check(number, fd);
}

/* Read once in each turn of the loop, which is one call: a plan asks for every device, and it is a walk through /proc and
 * /sys, while a module's parameter that an operator has just changed must count from the next call on. */
static void machine_isolation(Host *host, HostIsolation *ret)
{
        Machine *machine = (Machine *)host;
        uint64_t turn;

        if (sd_event_now(machine->event, CLOCK_MONOTONIC, &turn) != 0 || turn != machine->isolation_turn) {
                isolation_read(&machine->isolation);
                machine->isolation_turn = turn;
        }
        *ret = machine->isolation;
}

static int machine_mdev_types(Host *host, MdevType **ret, size_t *ret_n)
{
        return mdev_types_read(ret, ret_n);
}

static const HostOps machine_ops = {
        .job_start = machine_job_start,
        .job_disown = machine_job_disown,
        .timer_start = machine_timer_start,
        .timer_stop = machine_timer_stop,
        .process_watch = machine_process_watch,
        .process_unwatch = machine_process_unwatch,
        .process_open = machine_process_open,
        .process_is = machine_process_is,
        .process_of_pidfd = machine_process_of_pidfd,
        .process_credentials = machine_process_credentials,
        .process_placement = machine_process_placement,
        .process_alive = machine_process_alive,
        .process_kill = machine_process_kill,
        .unit_kill = machine_unit_kill,
        .unit_kill_disown = machine_unit_kill_disown,
        .process_facts = machine_process_facts,
        .memlock_get = machine_memlock_get,
        .memlock_set = machine_memlock_set,
        .memlock_used = machine_memlock_used,
        .numa_distances = machine_numa_distances,
        .device_bound = machine_device_bound,
        .device_usage = machine_device_usage,
        .mem_total = machine_mem_total,
        .now = machine_now,
        .monotonic = machine_monotonic,
        .random = machine_random,
        .backends = machine_backends,
        .isolation = machine_isolation,
        .mdev_types = machine_mdev_types,
        .context_open = machine_context_open,
        .context_check = machine_context_check,
        .group_check = machine_group_check,
};

void machine_log_jobs(Host *host, const JobLog *log, void *userdata)
{
        workers_log(((Machine *)host)->workers, log, userdata);
}

int machine_new(sd_event *event, int (*confine)(void), Host **ret)
{
        Machine *machine = calloc(1, sizeof(*machine));
        int r;

        if (!machine)
                return -ENOMEM;
        machine->host.ops = &machine_ops;
        machine->processes = epoll_create1(EPOLL_CLOEXEC);
        r = machine->processes < 0 ? -errno
                                   : sd_event_add_io(event, &machine->processes_source, machine->processes,
                                                     EPOLLIN, on_process, machine);
        if (r >= 0)
                r = workers_new(event, confine, &machine->workers);
        if (r < 0) {
                sd_event_source_disable_unref(machine->processes_source);
                (void)safe_close(machine->processes);
                free(machine);
                return r;
        }
        machine->event = sd_event_ref(event);
        *ret = &machine->host;
        return 0;
}

Host *machine_free(Host *host)
{
        Machine *machine = (Machine *)host;

        if (!machine)
                return NULL;
        workers_free(machine->workers);
        sd_event_source_disable_unref(machine->processes_source);
        (void)safe_close(machine->processes);
        sd_event_unref(machine->event);
        free(machine);
        return NULL;
}
