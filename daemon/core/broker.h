/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The broker: the tables of devices, groups, tenants and leases, and the only functions that change them. Pure: the
 * machine is behind Host, the disk behind BrokerStore, whoever wants to know behind BrokerObserver; all three are given
 * at the start. One thread, the event loop's. Functions return 0, a positive Result with the Refusal filled in, or a
 * negative errno.
 *
 * The life of a lease: broker_acquire() registers it as OPENING and records it, a job opens the devices, then it is
 * ACTIVE and recorded again, then AcquireDone hands the fds over. However it ends, broker_lease_end() makes it
 * RECLAIMING: the process's limit goes back, a job proves each device free and resets it, and with the last device
 * settled the lease is gone. */

#include "daemon/core/container.h"
#include "daemon/core/group.h"
#include "daemon/core/lease.h"
#include "daemon/core/result.h"
#include "daemon/core/tenant.h"
#include "policy/decide.h"

#define BROKER_LEASES_MAX 4096 /* all tenants together */
#define TENANT_JOBS_MAX   16   /* of one tenant's leases at one time; the host has room for 64 in all */
#define ACQUIRE_WAIT_MAX  (24 * 3600 * USEC_PER_SEC)

/* One row of the reply to Acquire. The fd is borrowed: the broker closes it when AcquireDone returns. */
typedef struct LeaseFd {
        const char *kind; /* "iommufd" or "container", "group", "device" */
        const char *id;
        int fd;
} LeaseFd;

typedef struct AcquireOutcome {
        int error; /* 0, a positive Result with `refusal`, or a negative errno */
        const Refusal *refusal;
        const LeaseFd *fds; /* where error is 0 */
        size_t n_fds;
} AcquireOutcome;

/* Called once, from the loop, for each broker_acquire() that returned 0, unless broker_free() comes first. Where it returns a negative errno, the reply
 * could not be queued and the lease ends. `lease` is NULL where error is not 0. */
typedef int (*AcquireDone)(void *userdata, Lease *lease, const AcquireOutcome *outcome);

typedef struct AcquireRequest {
        CallerFacts caller; /* borrowed for the call */
        bool admin;
        pid_t caller_pid;
        int caller_pidfd; /* borrowed; the core dups what it keeps */
        int target_pidfd; /* of the process of option `pidfd`, borrowed, or -EBADF: the caller itself */
        pid_t target_pid; /* of target_pidfd, 0 where that is not given */
        CallerFacts
                target_facts; /* what that process is, but for its uid, which the core finds out; borrowed */
        uint64_t owner;       /* the caller's connection, for broker_owner_gone() */
        const char *owner_name; /* the same beyond a restart (Lease.owner_name), or NULL */
        unsigned
                fds_max; /* how many fds one message to the caller carries; 0: as many as the kernel passes */
        const char *const *devices;
        size_t n_devices;
        const char *tenant; /* or NULL */
        unsigned backend;   /* POLICY_BACKEND_…, 0 = auto */
        uint64_t memlock;   /* bytes, UINT64_MAX = the tenant's default */
        LeaseLifetime lifetime;
        const char *container; /* or NULL */
        const char *label;     /* or NULL; checked UTF-8 */
        uint64_t wait_usec; /* the caller will wait (core/wait.h): that a device is taken is no event yet */
        Lease *target;      /* or NULL: the devices are added to this lease */
        const DecideTrace *trace; /* or NULL: who is told each step of the policy's decision */
} AcquireRequest;

typedef enum BrokerEventKind {
        EVENT_GRANTED,
        EVENT_REFUSED,
        EVENT_ENDED,     /* a lease went to RECLAIMING */
        EVENT_RECLAIMED, /* a device is free, reset, and idle again */
        EVENT_STUCK,     /* a device is still open after its lease ended */
        EVENT_QUARANTINED,
        EVENT_RECOVERED,   /* a lease was taken over from before a restart, or a device left quarantine */
        EVENT_REVOKED,     /* a lease is asked for devices, or was and did not give them back */
        EVENT_NOT_COVERED, /* a lease goes on that the policy in force would not grant */
        EVENT_TROUBLE, /* anything else an operator should see: a limit not put back, a record not written */
        _EVENT_MAX,
} BrokerEventKind;

/* One thing for the journal. All strings borrowed, "" where they say nothing. */
typedef struct BrokerEvent {
        BrokerEventKind kind;
        const char *tenant, *lease, *unit;
        const char *devices[JOB_DEVICES_MAX]; /* where a lease is all that is concerned, all that it has */
        size_t n_devices;
        uid_t uid;
        pid_t pid;
        const char *result; /* name of the Result, or of the end reason */
        const char *rule;   /* "file:line" of the policy, where one is the cause */
        const char *text;
} BrokerEvent;

/* Who is told. Every member may be NULL. The object is still, or already, in its table during the call. */
typedef struct BrokerObserver {
        void (*device_added)(void *userdata, Device *device);
        void (*device_changed)(void *userdata, Device *device); /* anything of it */
        void (*device_removed)(void *userdata, Device *device);
        void (*group_added)(void *userdata, Group *group);
        void (*group_changed)(void *userdata, Group *group);
        void (*group_removed)(void *userdata, Group *group);
        void (*lease_added)(void *userdata, Lease *lease);
        void (*lease_changed)(void *userdata, Lease *lease);
        void (*lease_revoked)(void *userdata,
                              Lease *lease); /* for the holder: it is asked for Device.asked_back */
        void (*lease_ended)(void *userdata, Lease *lease,
                            EndReason reason); /* for the holder: its devices are gone */
        void (*lease_removed)(void *userdata, Lease *lease);
        void (*container_added)(void *userdata, Container *container);
        void (*container_changed)(void *userdata, Container *container);
        void (*container_removed)(void *userdata, Container *container);
        void (*tenant_added)(void *userdata, Tenant *tenant);
        void (*tenant_changed)(void *userdata, Tenant *tenant);
        void (*tenant_removed)(void *userdata, Tenant *tenant);
        void (*event)(void *userdata, const BrokerEvent *event);
} BrokerObserver;

/* What survives a restart. Each returns 0 or a negative errno; put is atomic. */
typedef struct BrokerStore {
        int (*lease_put)(void *userdata, const Lease *lease);
        void (*lease_drop)(void *userdata, const char *id);
        int (*device_put)(void *userdata, const Device *device); /* quarantine and the driver before */
        void (*device_drop)(void *userdata, const char *id);
        /* A worker of an earlier life has ended (core/old-job.h). May be NULL. */
        void (*job_drop)(void *userdata, pid_t pid);

        /* Files that stay open over a restart, with whoever starts the daemon anew (core/keep.h). All four may be NULL, and
         * do nothing where there is nobody to keep them. `fd` is borrowed. */
        void (*fd_keep)(void *userdata, const char *name, int fd);
        void (*fd_forget)(void *userdata, const char *name);
        /* What was kept under that name in the life before, the caller's from now on; it stays kept. -ENOENT; any other -errno:
         * it is there and cannot be had. */
        int (*fd_take)(void *userdata, const char *name, int *ret_fd);
        /* A file, the caller's, that hangs up (poll(2)) once all that was forgotten so far is closed. -errno. */
        int (*fd_barrier)(void *userdata, int *ret_fd);
} BrokerStore;

/* A lease as the store read it back. */
typedef struct LeaseRecord {
        char id[LEASE_ID_MAX];
        char tenant[128];
        char label[LEASE_LABEL_MAX + 1];
        char owner_name[LEASE_OWNER_MAX + 1];
        char unit[256];
        LeaseCaller caller;
        bool on_behalf, ipc_lock;
        LeaseState state;
        LeaseLifetime lifetime;
        unsigned backend;
        pid_t pid;
        uid_t uid;
        uint64_t start_time;
        uint64_t memlock, slack;
        bool base_known;
        MemlockLimit base;
        char process_kept_as[LEASE_ID_MAX]; /* core/keep.h; "" = no file was kept */
        char container_kept_as[LEASE_ID_MAX];
        uint64_t since;
        uint64_t revoke_until;
        bool revoke_removed; /* because a device goes */
        char revoke_reason[REVOKE_REASON_MAX + 1];
        EndReason end_reason; /* where RECLAIMING */
        PolicyReset reset;
        bool restore_driver;
        char container[CONTAINER_NAME_MAX + 1];
        bool container_named;
        struct {
                char id[DEVICE_ID_MAX];
                char prior_driver[DRIVER_NAME_MAX];
                char prior_override[DRIVER_NAME_MAX];
                bool prior_known;
                bool took;
                bool made;
                bool asked_back;
        } devices[JOB_DEVICES_MAX];
        size_t n_devices;
} LeaseRecord;

typedef struct DeviceRecord {
        char id[DEVICE_ID_MAX];
        char prior_driver[DRIVER_NAME_MAX];
        char prior_override[DRIVER_NAME_MAX];
        bool prior_known;
        bool made;
        char only_for[128];
        char kept_for[128];
        uint64_t kept_until;
        bool quarantined;
        char reason[REASON_MAX];
} DeviceRecord;

/* A worker that had begun and not ended when the daemon did. */
typedef struct JobRecord {
        pid_t pid;
        uint64_t start_time;
        JobKind kind;
        struct {
                char id[DEVICE_ID_MAX];
                char mdev_parent[DEVICE_ID_MAX], mdev_type[MDEV_TYPE_MAX]; /* MAKE; else "" */
        } devices[JOB_DEVICES_MAX];
        size_t n_devices;
} JobRecord;

/* What the refusals of some uids have come to, so that who is refused without end does not fill the journal. */
#define REFUSAL_ROWS          64
#define REFUSAL_BURST         5 /* events of a row in an interval; the rest is counted, and told with the next one */
#define REFUSAL_INTERVAL_USEC (60 * USEC_PER_SEC)

typedef struct RefusalRow {
        uint64_t since; /* the interval's start, monotonic */
        unsigned told, untold;
} RefusalRow;

struct Broker {
        Host *host; /* borrowed */
        const BrokerStore *store;
        void *store_userdata;
        struct {
                const BrokerObserver *observer;
                void *userdata;
        } observers[4];
        size_t n_observers;
        Policy *policy; /* one reference */
        uint64_t policy_generation;
        Device *devices;             /* uthash by id */
        Group *groups;               /* uthash by number */
        Tenant *tenants;             /* uthash by name */
        Lease *leases;               /* uthash by id */
        Container *containers;       /* uthash by key */
        Holder *holders;             /* utlist */
        struct AdminJob *admin_jobs; /* utlist */
        struct OldJob *old_jobs;     /* utlist */
        struct Waiter *waiters;      /* utlist, in the order of their coming */
        HostTimer *waiters_timer;    /* where some are to be woken */
        HostTimer *unplug_timer;     /* core/unplug.h */
        unsigned n_waiters;
        uint64_t memlock_committed;
        unsigned n_leases;
        bool devices_stale;                /* the record of one, or of more, could not be written */
        unsigned n_stranded;               /* leases whose reclaim waits without a timer */
        RefusalRow refusals[REFUSAL_ROWS]; /* by uid modulo their number */
        bool functions_by_policy;          /* broker_apply_virtual_functions() was called */
        bool room_wanted; /* a call waits, or may, since the jobs at work are as many as may be */
        bool restoring;   /* records are being read: no reclaim begins yet */
        bool reclaiming;  /* the leases are gone through for such as are to be reclaimed */
};

/* `store` may be NULL. The policy's reference is taken over where 0 is returned. */
int broker_new(Host *host, const BrokerStore *store, void *store_userdata, Policy *policy, Broker **ret);
/* Disowns jobs, ends nothing: VMMs keep their devices. Nobody is told, no AcquireDone or AdminDone is called. */
Broker *broker_free(Broker *broker);

int broker_observe(Broker *broker, const BrokerObserver *observer, void *userdata);
void broker_unobserve(Broker *broker, void *userdata);

/* Swaps the policy whole; live leases stay. Takes the reference over where 0 is returned; else nothing has changed. */
int broker_set_policy(Broker *broker, Policy *policy);

/* Adds a warning for each IOMMU group, and each set of devices that only one bus reset resets, of which the policy in force
 * gives one part to one tenant and another to another. By the devices that are there now. */
void broker_check_divided(const Broker *broker, PolicyErrors *errors);

/* --- the inventory's side --- */

/* A device is there, or what the kernel says of it changed. Takes the lists of `info` over; what it still has after an
 * error is the caller's. */
int broker_device_update(Broker *broker, DeviceInfo *info);
void broker_device_remove(Broker *broker, const char *id);
/* A driver lets go of the device at that path in sysfs, or (`done`) has done so: whoever it was and whatever for. What that
 * means where the device is leased: core/unplug.h. */
void broker_device_released(Broker *broker, const char *path, bool done);

/* --- restart: after the inventory is complete, first workers, then devices, then leases. -ENODEV and -EEXIST: the record says nothing any more; any other error:
 * it still does, and could not be followed --- */
int broker_restore_job(Broker *broker, const JobRecord *record); /* -ENODEV: it has ended */
int broker_restore_device(Broker *broker, const DeviceRecord *record);
int broker_restore_lease(Broker *broker, const LeaseRecord *record);
/* Around all of them: no reclaim begins before the last is read, since leases may share what one of them lets go of. */
void broker_restore_begin(Broker *broker);
void broker_restore_end(Broker *broker);

/* What the store found and an operator should see: EVENT_TROUBLE with this text. */
void broker_trouble(Broker *broker, const char *text);

/* --- look-ups; borrowed, NULL where there is none --- */
Device *broker_device(Broker *broker, const char *id);
Group *broker_group(Broker *broker, int number);
Lease *broker_lease(Broker *broker, const char *id);
Tenant *broker_tenant(Broker *broker, const char *name);

/* Whether a tenant may use the device by the policy (selectors only; also where its lease holds it). */
bool broker_tenant_may_see(Broker *broker, const char *tenant, const Device *device);
uint64_t broker_memlock_max(Broker *broker);

/* --- what callers ask --- */

/* 0: a lease is OPENING and `done` will be called; the lease is in *ret. Else nothing was changed, and a refusal was an
 * EVENT_REFUSED, within the bounds above. */
int broker_acquire(Broker *broker, const AcquireRequest *request, AcquireDone done, void *userdata,
                   Refusal *refusal, Lease **ret);

/* Hot plug: the devices of `request`, whose `target` is the lease, become devices of it, in its container and under its
 * terms; its memlock, lifetime, process and label stay. `done` is called with the lease and the rows of the new devices, or the
 * refusal, upon which the lease is as it was. */
int broker_lease_add(Broker *broker, const AcquireRequest *request, AcquireDone done, void *userdata,
                     Refusal *refusal);

/* Hot unplug: the devices leave the lease, which goes on with the others, and are reclaimed as a lease of their own. All
 * or none. 0, a Result, or a negative errno. */
int broker_lease_remove(Broker *broker, Lease *lease, const char *const *ids, size_t n, Refusal *refusal);

/* Fresh fds for all that the lease holds; nothing is reset, no other device is touched. As broker_lease_add(). */
int broker_lease_reissue(Broker *broker, Lease *lease, unsigned fds_max, AcquireDone done, void *userdata,
                         Refusal *refusal);

/* The same decision, nothing changed. 0 = would be granted now, `refusal->text` then says by which rule. What the policy
 * does not decide (the process, whether devices are there, the machine) is no step of `request->trace`. */
int broker_check(Broker *broker, const AcquireRequest *request, Refusal *refusal);

/* Ends a lease: RECLAIMING from now on. Nothing where it is already. May free the lease before it returns (a lease
 * whose devices are all gone). */
void broker_lease_end(Broker *broker, Lease *lease, EndReason reason);

/* After a restart: the connection of a lease that was restored is still there. */
void broker_lease_owned(Lease *lease, uint64_t owner);

/* The connection is closed: leases of lifetime `connection`, and those still OPENING, end. */
void broker_owner_gone(Broker *broker, uint64_t owner);

/* What an administrator asks. `done` is called once where 0 is returned. */
typedef void (*AdminDone)(void *userdata, int error,
                          const Refusal *refusal); /* error as AcquireOutcome.error */
int broker_reset_device(Broker *broker, const char *id, AdminDone done, void *userdata, Refusal *refusal);
int broker_bind_device(Broker *broker, const char *id, const char *driver, AdminDone done, void *userdata,
                       Refusal *refusal);
int broker_unbind_device(Broker *broker, const char *id, AdminDone done, void *userdata, Refusal *refusal);

/* Gives a physical function `count` virtual ones; those that it has are taken away first, where it has another number of
 * them, and come back without a driver. Refused while any of them is leased. `done` is called when the inventory has
 * them all. */
int broker_set_virtual_functions(Broker *broker, const char *id, unsigned count, AdminDone done,
                                 void *userdata, Refusal *refusal);

/* From now on `virtual-functions` of the policy holds: for the devices that are there, for those that come, and anew
 * after each broker_set_policy(). It only ever gives functions to a device that has none. */
void broker_apply_virtual_functions(Broker *broker);
/* Whether such a job has not ended yet. */
bool broker_functions_pending(const Broker *broker);

/* How many virtual functions of a device the inventory has. */
unsigned broker_n_functions(const Broker *broker, const Device *device);
