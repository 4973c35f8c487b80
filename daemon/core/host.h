/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The machine, as the core sees it: what a device is, the jobs that may block, processes, timers and clocks. The core
 * calls only this; daemon/host implements it on Linux and the unit tests on nothing at all. Every function is called
 * from the one event loop and returns at once; what can block is a job, and its callback comes from the loop later,
 * never from inside the call that started it. */

#include <sys/types.h>

#include "policy/util.h"

#define DEVICE_ID_MAX   128 /* bytes with the NUL; a bus name, a slash and a kernel device name fit */
#define DRIVER_NAME_MAX 64
#define DESCRIPTION_MAX 160
#define REASON_MAX      256
#define JOB_DEVICES_MAX                                                                                     \
        126 /* each with its group, and the container: SCM_MAX_FD (253, include/net/scm.h, Linux 6.12) */
#define IOVA_RANGES_MAX   16
#define RESET_METHODS_MAX 8
#define MDEV_TYPE_MAX     64 /* bytes with the NUL: "nvidia-63", "i915-GVTg_V5_4" */

/* --- devices ------------------------------------------------------------------------------------------------ */

/* A device as the kernel describes it. Strings in place, lists owned (free with device_info_done()). */
typedef struct DeviceInfo {
        char id[DEVICE_ID_MAX];          /* "0000:01:00.0" */
        char bus[32];                    /* "pci" */
        char mdev_type[MDEV_TYPE_MAX];   /* "mtty-2"; "" where this is no mdev */
        char mdev_parent[DEVICE_ID_MAX]; /* kernel's name of its parent: "mtty", "0000:00:02.0"; likewise */
        char description[DESCRIPTION_MAX];
        char driver[DRIVER_NAME_MAX]; /* bound now, "" for none */
        char driver_override
                [DRIVER_NAME_MAX]; /* where that can be read without waiting; "" for none; no uevent tells of
                                                * a change */
        bool override_known; /* it was read; else "", and what was known before of the same driver holds */
        bool driver_is_vfio; /* the driver makes it a VFIO device */
        char vfio_driver[DRIVER_NAME_MAX]; /* the best for it, loaded or not; "" where none is known */
        bool by_mdev;                      /* passed by the mdevs only that its VFIO driver makes of it */
        uint16_t vendor, product, subsystem_vendor, subsystem_product;
        uint32_t class;      /* 24 bits */
        int group;           /* IOMMU group, -1 for none */
        char group_type[32]; /* "DMA", "identity" … as in iommu_groups/N/type */
        bool noiommu;        /* the group is one that vfio made up for a device without an IOMMU */
        int numa_node;       /* -1 unknown */
        bool bridge;         /* header type 1 or driven by pcieport: never passed */
        bool iommufd;        /* VFIO offers it as a cdev (known once bound), or the kernel has iommufd */
        char physical_function[DEVICE_ID_MAX]; /* "" where this is no virtual function */
        unsigned virtual_functions_max;
        char reset_methods[RESET_METHODS_MAX]
                          [24]; /* as in the `reset_method` attribute, in the kernel's order */
        size_t n_reset_methods;
        char *path; /* in sysfs, links resolved: "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0"; owned, or NULL */
        struct ReservedRegion {
                uint64_t start, end;
                char type[24];
        } * reserved; /* of its group */
        size_t n_reserved;
} DeviceInfo;

void device_info_done(DeviceInfo *info);

/* What the host uses a device for that a driver of the host has. */
typedef enum UsageKind {
        USAGE_NONE,
        USAGE_HOST, /* it would lose a file system, an address, a console … */
        USAGE_ROOT, /* it would lose its root file system */
} UsageKind;

typedef struct DeviceUsage {
        UsageKind kind;
        char text[REASON_MAX]; /* "nvme0n1p1 is mounted at /srv" */
} DeviceUsage;

/* --- what keeps devices apart ----------------------------------------------------------------------------------- */

/* Whether a device can raise interrupts outside of what it was given, by writing where another's messages go. */
typedef enum Isolation {
        ISOLATION_UNKNOWN,
        ISOLATION_YES, /* interrupt remapping, or the like, stands between */
        ISOLATION_NO,
} Isolation;

typedef struct HostIsolation {
        char iommu
                [32]; /* kind of the IOMMU: "intel-iommu", "amd-iommu", "virtio_iommu" …; "" where there is none */
        Isolation interrupts; /* of the platform, for a device without a story of its own */
        unsigned
                unsafe_backends; /* POLICY_BACKEND_* that take devices without it (allow_unsafe_interrupts) */
        bool noiommu;            /* enable_unsafe_noiommu_mode */
} HostIsolation;

const char *isolation_to_string(Isolation isolation);

/* --- mediated devices that could be made ------------------------------------------------------------------------ */

/* A type of mdev that a parent can make, as it is now. */
typedef struct MdevType {
        char parent[DEVICE_ID_MAX]; /* kernel's name */
        char type[MDEV_TYPE_MAX];
        char name[DESCRIPTION_MAX]; /* for people: "Dual port serial" */
        unsigned
                available; /* more of it that can be made; types of one parent may share what they are made of */
        int numa_node;     /* of the parent, -1 unknown */
} MdevType;

/* --- jobs: what can block, each in a process of its own ------------------------------------------------------- */

typedef enum JobKind {
        JOB_OPEN,      /* bind to VFIO, prove free, reset, open: gives fds */
        JOB_REISSUE,   /* open what a lease holds once more: gives fds */
        JOB_RECLAIM,   /* prove free, reset, give the driver back where asked */
        JOB_RESET,     /* as RECLAIM, asked for by an administrator on a device that nobody holds */
        JOB_BIND,      /* bind to `driver` */
        JOB_UNBIND,    /* unbind whatever drives it */
        JOB_FUNCTIONS, /* give a physical function, on its own driver, `functions` virtual ones */
        JOB_MAKE,      /* make mdevs, which have their VFIO driver then */
        _JOB_KIND_MAX,
} JobKind;

typedef struct JobDevice {
        char id[DEVICE_ID_MAX];
        char bus[32];
        char driver[DRIVER_NAME_MAX]; /* to bind */
        bool load_module; /* it may be loaded where it is absent: policy or the kernel's lists named it */
        char restore
                [DRIVER_NAME_MAX]; /* RECLAIM: bind this one again afterwards; "" = leave it; "-" = leave it unbound */
        char restore_override[DRIVER_NAME_MAX]; /* RECLAIM: and set driver_override to this, "" = none */
        bool force_unbind; /* take it from the host although that uses it; not from under its root file system */
        bool prove;        /* OPEN: it was on a VFIO driver before; prove that no stale file is open */
        bool reset;        /* reset it explicitly */
        bool reset_required; /* and fail where that is not possible */
        int group;           /* IOMMU group, -1 for none */
        bool group_shared;   /* another lease uses the group: its file tells nothing of this device */
        char mdev_parent[DEVICE_ID_MAX], mdev_type[MDEV_TYPE_MAX]; /* MAKE */
        bool remove; /* RECLAIM, RESET: an mdev that the broker made, to be removed once it is free */
        int fd; /* RECLAIM: borrowed, a copy of the device's fd that is to be closed in the worker, or -EBADF */
} JobDevice;

/* Group backend: a group that devices of the job are in. */
typedef struct JobGroup {
        int number;
        int fd; /* borrowed. OPEN, REISSUE: its file, in the container already, or -EBADF; RECLAIM: to be taken out of its
                 * container and closed */
} JobGroup;

typedef struct Job {
        JobKind kind;
        unsigned backend; /* POLICY_BACKEND_* of the lease; 0 where there is none */
        /* Borrowed: the container or iommufd, or -EBADF. RECLAIM has it for nothing but that the last copy is closed in
         * the worker, since that may unpin a lot of memory. */
        int context;
        bool join;   /* OPEN: others use the context already */
        int barrier; /* borrowed, or -EBADF: the job begins when it hangs up, or after JOB_BARRIER_USEC */
        size_t n_groups;
        JobGroup groups[JOB_DEVICES_MAX];
        size_t n_devices;
        JobDevice devices[JOB_DEVICES_MAX];
        unsigned functions;  /* FUNCTIONS: how many */
        bool keep_functions; /* FUNCTIONS: fail (EEXIST) rather than take away such as there are */
} Job;

void job_init(Job *job, JobKind kind);

/* The row of that group, which is added where there is none. */
JobGroup *job_group(Job *job, int number);

typedef enum JobStep {
        STEP_NONE,
        STEP_IN_USE, /* before a driver of the host is taken away: `error` EBUSY = the host uses the device */
        STEP_BIND_DRIVER, /* sysfs: driver_override, unbind, drivers_probe */
        STEP_PROVE_FREE,  /* trial bind: `error` EBUSY = someone has it open */
        STEP_RESET,
        STEP_OPEN, /* cdev, or the group's file and the device's */
        STEP_JOIN, /* the group, or the device, into the container */
        STEP_RESTORE_DRIVER,
        STEP_FUNCTIONS, /* sysfs: sriov_numvfs */
        STEP_MAKE,      /* sysfs: `create` of the type; `error` EUSERS or the like: none is left */
        STEP_REMOVE,    /* sysfs: `remove` of the mdev */
        _STEP_MAX,
} JobStep;

typedef enum ResetOutcome {
        RESET_NOT_TRIED,
        RESET_DONE,
        RESET_UNSUPPORTED,
        RESET_FAILED,
} ResetOutcome;

typedef struct JobDeviceResult {
        char driver_before[DRIVER_NAME_MAX]; /* OPEN: "" = none */
        char override_before[DRIVER_NAME_MAX];
        char driver_now[DRIVER_NAME_MAX];
        char override_now[DRIVER_NAME_MAX]; /* where a driver of the host has it now, else "" */
        bool driver_before_is_vfio, driver_is_vfio;
        bool driver_known; /* the five above were read */
        ResetOutcome reset;
        int reset_errno;
        bool removed;          /* it is no more */
        int group;             /* MAKE: its IOMMU group, -1 for none */
        JobStep step;          /* the step that failed, STEP_NONE where none did */
        int error;             /* positive errno of that step */
        char text[REASON_MAX]; /* what was tried, for people: "write 0000:01:00.0 to /sys/…/bind" */
        int fd;             /* OPEN, REISSUE: the unbound cdev or the group backend's device fd, or -EBADF */
        unsigned functions; /* FUNCTIONS: virtual functions that it has now */
} JobDeviceResult;

typedef struct JobResult {
        int error; /* positive errno: the job as a whole failed (worker died, ETIMEDOUT …); 0 even where a device failed */
        char text[REASON_MAX];
        /* OPEN with the group backend: the files that the job opened of the groups of its rows, in the container now;
         * -EBADF where the row had one. */
        int group_fds[JOB_DEVICES_MAX];
        size_t n_iova; /* OPEN with the group backend: the I/O addresses that the container can map */
        struct IovaRange {
                uint64_t start, end; /* both included */
        } iova[IOVA_RANGES_MAX];
        size_t n_devices;
        JobDeviceResult devices[JOB_DEVICES_MAX];
        uint64_t usec[_STEP_MAX]; /* time spent in each step, all devices together */
} JobResult;

/* Whether a worker was short of what it would have worked with: memory, files, and the like. EIO is the device's. */
bool job_was_short(int error);

/* Whether the proof could not be finished and may be had another time: it is open, or the worker was short of something before it
 * had changed anything. */
bool job_is_unproven(const JobDeviceResult *row);

/* Called exactly once, when the worker has ended. The fds in `result` are the callee's to take or leave: those left
 * are closed by the caller. */
typedef void (*JobDone)(void *userdata, JobResult *result);

/* Called at most once, when a job has run for JOB_SLOW_USEC (a reclaim: RECLAIM_SLOW_USEC) and still runs. */
typedef void (*JobSlow)(void *userdata, uint64_t age_usec);

#define JOB_BARRIER_USEC  (500 * USEC_PER_MSEC)
#define JOB_SLOW_USEC     (10 * USEC_PER_SEC)
#define RECLAIM_SLOW_USEC (1 * USEC_PER_SEC)

/* Who remembers which workers there are, for a daemon that is started while one still works (core/old-job.h). put()
 * returns 0 or -errno, before the worker has begun; it does not begin then. */
typedef struct JobLog {
        int (*put)(void *userdata, pid_t pid, uint64_t start_time, const Job *job);
        void (*drop)(void *userdata, pid_t pid);
} JobLog;

typedef struct HostJob HostJob;
typedef struct HostTimer HostTimer;
typedef struct HostWatch HostWatch;
typedef struct HostUnitKill HostUnitKill;
typedef struct Host Host;

typedef void (*HostCallback)(void *userdata);
typedef void (*UnitKilled)(void *userdata, int error, const char *unit);

/* --- processes ------------------------------------------------------------------------------------------------ */

typedef struct ProcessFacts {
        uid_t uid; /* all four uids are this one, else `mixed_uids` */
        bool mixed_uids;
        bool zombie;
        bool thread;         /* the number is a thread's, not a process's */
        bool ipc_lock;       /* CAP_IPC_LOCK is permitted to it: locked memory is not counted */
        uint64_t start_time; /* clock ticks since boot, /proc/PID/stat field 22 */
} ProcessFacts;

/* What a process is besides its uid, for match- keys. Strings are owned; NULL where nothing is known. */
typedef struct ProcessCredentials {
        gid_t *gids; /* effective, then supplementary */
        size_t n_gids;
        char *label; /* LSM label */
} ProcessCredentials;

void process_credentials_done(ProcessCredentials *credentials);

/* Where systemd has a process. Strings are owned; NULL where there is none. */
typedef struct ProcessPlacement {
        char *cgroup; /* for which the others were read */
        char *unit, *slice, *machine;
} ProcessPlacement;

void process_placement_done(ProcessPlacement *placement); /* and it is empty */

/* How far NUMA nodes are from where a process runs, by the firmware's figures. */
#define NUMA_NODES_MAX 64
#define NUMA_DISTANCE_NEAR                                                                                  \
        10 /* LOCAL_DISTANCE and REMOTE_DISTANCE in include/linux/topology.h, Linux 6.12 */
#define NUMA_DISTANCE_FAR 20

typedef struct NumaDistances {
        unsigned of[NUMA_NODES_MAX]; /* 0 where it is not known */
} NumaDistances;

/* A device or a node of which nothing is known counts as far. */
unsigned numa_distance(const NumaDistances *distances, int node);

typedef struct MemlockLimit {
        uint64_t soft, hard; /* bytes; UINT64_MAX = RLIM_INFINITY */
} MemlockLimit;

typedef struct HostOps {
        /* Starts `job` (copied). 0, or -errno with nothing begun (-EAGAIN: too many jobs at once). */
        int (*job_start)(Host *host, const Job *job, JobDone done, JobSlow slow, void *userdata,
                         HostJob **ret);
        /* The job runs on to its end, nobody is told; its fds are closed. */
        void (*job_disown)(Host *host, HostJob *job);

        /* One shot. The callback may free what it belongs to; it is over by then. */
        int (*timer_start)(Host *host, uint64_t usec, HostCallback callback, void *userdata,
                           HostTimer **ret);
        void (*timer_stop)(Host *host, HostTimer *timer); /* NULL is fine */

        /* Calls back once when the process ends. `pidfd` is borrowed for the time of the watch. */
        int (*process_watch)(Host *host, int pidfd, HostCallback callback, void *userdata, HostWatch **ret);
        void (*process_unwatch)(Host *host, HostWatch *watch); /* NULL is fine */
        /* With when the process of that pid started, as of before the pidfd was opened: where the facts say otherwise, it
         * is another process's. -ESRCH where there is none, or the number is a thread's. */
        int (*process_open)(Host *host, pid_t pid, int *ret_pidfd, uint64_t *ret_start_time);
        /* The pid behind a pidfd that came from elsewhere. -EBADF: it is no pidfd; -ESRCH: the process has ended and was
         * reaped; -EREMOTE: it is in a pid namespace that is not below ours, and has no number here. */
        int (*process_of_pidfd)(Host *host, int pidfd, pid_t *ret_pid);
        /* Whether the pidfd is of that process: 1, or 0 where it is another's; -ESRCH where its process has ended and was
         * reaped; -EBADF where the file is no pidfd. */
        int (*process_is)(Host *host, pid_t pid, int pidfd);
        /* 1 it lives, 0 it has ended (zombies have), -errno. */
        int (*process_alive)(Host *host, int pidfd);
        int (*process_kill)(Host *host, int pidfd);
        /* Kills all processes of the systemd unit that the process is in. `done` is called once, from the loop: with 0, or a
         * positive errno where that failed, and the unit's name. -ENXIO: it is in none of its own (a user manager's is
         * not systemd's to kill); -ESRCH: it has ended; any other -errno: nothing was begun. */
        int (*unit_kill)(Host *host, pid_t pid, int pidfd, UnitKilled done, void *userdata,
                         HostUnitKill **ret);
        /* It is carried out, nobody is told. */
        void (*unit_kill_disown)(Host *host, HostUnitKill *kill);
        int (*process_facts)(Host *host, pid_t pid, int pidfd, ProcessFacts *ret);
        int (*process_credentials)(Host *host, pid_t pid, int pidfd, ProcessCredentials *ret);
        /* Brings `placement` up to date; its unit and slice are functions of its control group, and read anew where that
         * is another. Of the machine, which can be registered later, it asks while there is none and `machine` is set.
         * 1 where anything changed, 0, -ESRCH (it is empty then) or -ENOMEM. */
        int (*process_placement)(Host *host, pid_t pid, int pidfd, bool machine,
                                 ProcessPlacement *placement);
        /* -ESRCH where pid is no longer the process of pidfd; then nothing was changed. */
        int (*memlock_get)(Host *host, pid_t pid, int pidfd, MemlockLimit *ret);
        int (*memlock_set)(Host *host, pid_t pid, int pidfd, const MemlockLimit *limit);
        int (*memlock_used)(Host *host, pid_t pid, int pidfd, uint64_t *ret_bytes);

        /* A hint: where nothing can be told, every node is as far as any other. */
        void (*numa_distances)(Host *host, pid_t pid, NumaDistances *ret);

        /* Whether a driver has the device at this moment: 1, or 0, which is so, too, from the moment that the kernel begins
         * to take a driver away, and so while it waits for those who have the device open. -ENODEV where it is no more; any
         * other -errno where it cannot be told. */
        int (*device_bound)(Host *host, const DeviceInfo *info);

        /* What the host uses the device for at this moment; it has a path. -errno where it cannot be told. */
        int (*device_usage)(Host *host, const DeviceInfo *info, DeviceUsage *ret);

        uint64_t (*mem_total)(Host *host); /* bytes */
        uint64_t (*now)(Host *host);       /* CLOCK_REALTIME, microseconds, for people */
        uint64_t (*monotonic)(Host *host); /* microseconds */
        uint64_t (*random)(Host *host);    /* for lease ids */
        unsigned (*backends)(Host *host);  /* POLICY_BACKEND_* that this kernel offers */
        void (*isolation)(Host *host, HostIsolation *ret);

        /* A new, empty container of that backend: type1 or the like, whose IOMMU is set by the first group; or an iommufd
         * that charges the process that maps. Does not block. */
        int (*context_open)(Host *host, unsigned backend, int *ret_fd);

        /* Whether the kernel says of a file from before a restart that it is such a context, or the file of that group, in a
         * container. 0, -EBADF where it is something else, or -errno. Of a container, what it can map (at most
         * IOVA_RANGES_MAX; 0 of them: not known). */
        int (*context_check)(Host *host, unsigned backend, int fd, size_t *ret_n,
                             struct IovaRange *ret_iova);
        int (*group_check)(Host *host, int number, int fd);

        /* What mdevs can be made, read anew; by type, then parent. The caller frees. 0, or -errno where it cannot be told. */
        int (*mdev_types)(Host *host, MdevType **ret, size_t *ret_n);
} HostOps;

/* The first member of every implementation. */
struct Host {
        const HostOps *ops;
};

/* The facts of the process of `pidfd`, held against a record: -ESRCH where it is not the one that started then, or has
 * ended. */
int host_process_on_record(Host *host, pid_t pid, int pidfd, uint64_t start_time, ProcessFacts *ret);

const char *job_step_to_string(JobStep step);
const char *reset_outcome_to_string(ResetOutcome outcome);
void job_result_init(JobResult *result, size_t n_devices);
void job_result_close(JobResult *result); /* closes the fds that were not taken */
