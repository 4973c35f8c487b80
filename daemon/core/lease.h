/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A lease: one grant of devices to one process. It owns its pidfd through the holder, and the job that works for it.
 * It never owns device fds: those are in flight only between the worker's result and the reply.
 *
 * The holder is the process: several leases of one process share it, since the process has one RLIMIT_MEMLOCK, whose
 * value before the first lease must come back after the last. */

#include "daemon/core/device.h"
#include "policy/decide.h"
#include "policy/policy-file.h"

#define LEASE_ID_MAX      17
#define LEASE_LABEL_MAX   64 /* bytes, without the NUL */
#define LEASE_OWNER_MAX   95 /* the same */
#define REVOKE_REASON_MAX 64 /* the same */

typedef struct Tenant Tenant;
typedef struct Broker Broker;
typedef struct Holder Holder;
typedef struct Container Container;
struct AcquireOutcome;

typedef enum LeaseState {
        LEASE_OPENING,
        LEASE_ACTIVE,
        LEASE_REVOKING,
        LEASE_RECLAIMING,
        _LEASE_STATE_MAX,
} LeaseState;

typedef enum LeaseLifetime {
        LIFETIME_PROCESS,
        LIFETIME_CONNECTION,
        LIFETIME_EXPLICIT,
        _LIFETIME_MAX,
} LeaseLifetime;

typedef enum EndReason {
        END_RELEASED,
        END_PROCESS_EXITED,
        END_CONNECTION_CLOSED,
        END_REVOKED,
        END_DEVICE_REMOVED,
        END_FAILED, /* it never became active */
        _END_MAX,
} EndReason;

struct Holder {
        pid_t pid;
        int pidfd; /* owned */
        uid_t uid;
        uint64_t start_time;
        MemlockLimit base;  /* before the first lease */
        bool base_known;    /* the limit was raised, and is to go back */
        uint64_t committed; /* what its active leases commit, without slack */
        uint64_t slack;     /* the largest of theirs */
        char kept_as
                [LEASE_ID_MAX]; /* core/keep.h: how its pidfd is found after a restart; "" = not at all */
        bool kept;
        unsigned n_leases;   /* references */
        Holder *next, *prev; /* utlist, in Broker.holders */
};

/* Who asked, as the policy was told; the process that holds the lease may be another one, in another unit. */
#define LEASE_GIDS_MAX 64
typedef struct LeaseCaller {
        bool known; /* all of it; else none of it counts */
        uid_t uid;
        size_t n_gids;
        gid_t gids[LEASE_GIDS_MAX];
        char unit[256], slice[256], machine[65], label[256]; /* "" where there is none */
} LeaseCaller;

struct Lease {
        char id[LEASE_ID_MAX];
        Broker *broker; /* borrowed */
        Tenant *tenant; /* its owner */
        Holder *holder; /* one reference; NULL once the process is let go of */
        Policy *policy; /* one reference: the one it was granted under */
        LeaseState state;
        LeaseLifetime lifetime;
        EndReason end_reason; /* where RECLAIMING */
        unsigned backend;     /* POLICY_BACKEND_… */
        char label[LEASE_LABEL_MAX + 1];
        char unit[256]; /* of the process */
        uint64_t owner; /* bus connection, as the bus layer numbers them; 0 = none */
        char owner_name[LEASE_OWNER_MAX +
                        1]; /* how the bus layer finds it again after a restart; "" = not at all */
        pid_t pid;          /* kept after the holder went */
        uid_t uid;
        LeaseCaller caller;
        bool on_behalf;                 /* the process was not the caller's own, or not wholly */
        bool ipc_lock;                  /* it had CAP_IPC_LOCK */
        char refused[VERDICT_TEXT_MAX]; /* why the policy in force would not grant it; "" where it would */
        uint64_t memlock;               /* committed, bytes */
        uint64_t slack;
        uint64_t since;      /* CLOCK_REALTIME, microseconds */
        bool memlock_raised; /* counted in holder->committed */

        PolicyReset reset;
        bool restore_driver; /* at its end, by policy */

        Device *devices[JOB_DEVICES_MAX]; /* borrowed; NULL = settled already */
        bool settled[JOB_DEVICES_MAX];    /* reclaimed: no longer this lease's */
        bool took
                [JOB_DEVICES_MAX]; /* from the driver that it had, which gets it back unless the lease is granted */
        size_t n_devices;
        bool record_told; /* that it could not be written */
        bool record_stale; /* it could not be written, or devices were settled since: they may be others' soon */

        Container *container; /* one reference */
        Lease *target;        /* borrowed: the lease that these devices are added to, once they are open */
        JobResult *opened;    /* borrowed, while the outcome of its job is looked at: fds that nobody took */
        struct Reissue *reissue; /* owned, while its fds are opened once more */

        HostJob *job;
        Job *pending;            /* owned: the OPEN to come when its mdevs are made */
        HostWatch *watch;        /* of the holder's pidfd */
        HostTimer *revoke_timer; /* REVOKING, until the deadline (core/revoke.h) */
        HostUnitKill *unit_kill; /* and after it */
        uint64_t revoke_until;   /* CLOCK_MONOTONIC, microseconds; 0 where nothing is asked back */
        EndReason revoke_end;    /* what its end will be called */
        char revoke_reason[REVOKE_REASON_MAX + 1];
        HostTimer *retry;
        uint64_t retry_usec;
        uint64_t
                stranded; /* no timer could be had, its tenant's jobs are at their limit, or a device is still opened for another lease: from this (monotonic) time on whatever happens next tries again */
        int (*done)(void *userdata, Lease *lease,
                    const struct AcquireOutcome *outcome); /* broker.h, AcquireDone */
        void *done_userdata;

        Lease *next, *prev; /* utlist, in Tenant.leases */
        UT_hash_handle hh;  /* in Broker.leases, by id */
};

const char *lease_state_to_string(LeaseState state);
const char *lease_lifetime_to_string(LeaseLifetime lifetime);
const char *end_reason_to_string(EndReason reason);

/* -EINVAL for an unknown word. */
int lease_state_from_string(const char *s, LeaseState *ret);
int lease_lifetime_from_string(const char *s, LeaseLifetime *ret);
int end_reason_from_string(const char *s, EndReason *ret);

/* ACTIVE or REVOKING: its devices are the holder's. */
bool lease_is_held(const Lease *lease);

bool lease_has_device(const Lease *lease, const Device *device);
