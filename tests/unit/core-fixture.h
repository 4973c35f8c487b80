/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The stage of the core's tests: a broker on the fake machine, a store in memory that a restart reads back, an observer
 * that keeps count, and any operation of host or store failing when the test says so. core_check() holds the whole
 * broker against what must be true of it at any time. One test at a time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>

#include "daemon/core/broker-internal.h"
#include "tests/fixtures/fake-host.h"

#define UID_BLUE  2001
#define UID_RED   2002
#define UID_BOTH  2003
#define UID_NOONE 2009

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* blue: reset required, keeps the VFIO driver, slack 1 MiB; red: gives the driver back; both: UID_BOTH. */
#define POLICY_HEAD                                                                                         \
        "[broker]\nmemlock-max = 8G\n"                                                                      \
        "[tenant blue]\nmatch-user = 2001, 2003\ndevices = any\nmemlock-slack = 1M\n"
#define POLICY_RED                                                                                          \
        "[tenant red]\nmatch-user = 2002-2003\ndevices = any\nmemlock-slack = 1M\non-release = restore\n"

typedef enum CoreOp {
        OP_LEASE_PUT,
        OP_DEVICE_PUT,
        OP_MEMLOCK_GET,
        OP_PROCESS_FACTS,
        OP_PROCESS_OPEN,
        OP_PROCESS_WATCH,
        OP_TIMER_START,
        _OP_MAX,
} CoreOp;

typedef struct StoredLease {
        LeaseRecord record;
        UT_hash_handle hh;
} StoredLease;

typedef struct StoredDevice {
        DeviceRecord record;
        UT_hash_handle hh;
} StoredDevice;

typedef struct Core {
        FakeHost *fake;
        Broker *broker;
        HostOps ops, fake_ops;
        unsigned fds; /* open before the test */

        int fail[_OP_MAX];      /* positive errno of the next and all later ones; 0: they succeed */
        unsigned skip[_OP_MAX]; /* so many succeed before */
        StoredLease *leases;    /* uthash by record.id */
        StoredDevice *devices;  /* uthash by record.id */
        struct KeptFile {
                char name[64]; /* "" = free */
                int fd;
                bool left; /* of the life before, and nobody has taken it */
        } kept[128];       /* with the service manager; it outlives the broker */
        unsigned n_kept;
        bool without_keeper;
        int take_error;      /* errno with which a kept file cannot be taken */
        unsigned take_after; /* the nth; 0: none */
        pid_t dropped_job;   /* of the last job_drop() */
        bool record_failed;  /* a record was not written: store and broker may differ */

        unsigned events[_EVENT_MAX];
        char last_event[_EVENT_MAX][REFUSAL_TEXT_MAX];
        char last_rule[_EVENT_MAX][64];
        int n_devices, n_groups, n_tenants, n_leases,
                n_containers; /* told to be added, minus those told to be removed */
        unsigned n_ended, n_revoked;
        EndReason last_end;
        unsigned n_device_changes, n_lease_changes, n_tenant_changes;
} Core;

typedef struct KeptFile KeptFile;

/* core-keep.c: BrokerStore's part of that name, and what a stop of the service does to its store. */
void core_fd_keep(void *userdata, const char *name, int fd);
void core_fd_forget(void *userdata, const char *name);
int core_fd_take(void *userdata, const char *name, int *ret_fd);
void core_job_drop(void *userdata, pid_t pid);
void core_forget_all(Core *core);
/* As state/store.c: what no record tells of after a restart is closed. */
void core_leave_all(Core *core);
void core_forget_left(Core *core);

/* For cmocka: *state is a Core with the tenants blue and red. The teardown checks that nothing is left open. */
int core_setup(void **state);
/* The same with that policy and two devices on vfio-pci, each in a group of its own. */
#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
int core_setup_two(void **state, const char *policy);
int core_teardown(void **state);

Policy *core_policy_of(const char *text);
void core_set_policy(Core *core, const char *text);

/* Adds or updates. */
Device *core_device(Core *core, const char *id, int group, const char *driver);
FakeProcess *core_process(Core *core, pid_t pid, uid_t uid);

/* What one Acquire asks for; what is not given stands for the plain case. */
typedef struct Ask {
        FakeProcess *process;
        const char *devices[JOB_DEVICES_MAX + 3]; /* NULL-terminated */
        const char *tenant, *container, *label, *unit, *owner_name;
        const CallerFacts *caller; /* who asks, where the process's uid and `unit` do not say it all */
        unsigned backend;
        uint64_t memlock, wait, owner;
        LeaseLifetime lifetime;
        bool admin;
        FakeProcess *target;
        Lease *lease; /* that the devices are added to */
        unsigned fds_max;
} Ask;

/* What became of it. */
typedef struct Answer {
        unsigned n_calls; /* of AcquireDone or AdminDone */
        int reply;        /* what AcquireDone is to return */
        int error;
        Result code;
        char text[REFUSAL_TEXT_MAX];
        Lease *lease;
        size_t n_fds;
        char ids[2 * JOB_DEVICES_MAX + 1][DEVICE_ID_MAX];
} Answer;

/* broker_acquire(); a refusal is in the answer. */
int core_ask(Core *core, const Ask *ask, Answer *answer);
/* broker_lease_reissue(), answered like an Acquire. */
int core_reissue(Core *core, Lease *lease, Answer *answer);
/* The same, carried out: it must be granted. */
Lease *core_grant(Core *core, const Ask *ask);
#define GRANT(core, ...) core_grant(core, &(Ask){ __VA_ARGS__ })
/* A process of blue's, made for it, has the device and ends. */
void core_crash(Core *core, const char *id);
/* It must be refused at once, with this code, and leave no trace. The text is good until the next one. */
const char *core_refused(Core *core, const Ask *ask, Result code);
#define REFUSED(core, code, ...) core_refused(core, &(Ask){ __VA_ARGS__ }, code)
/* It must begin, and then be refused by the job. */
const char *core_fails(Core *core, const Ask *ask, int error);
#define FAILS(core, error, ...) core_fails(core, &(Ask){ __VA_ARGS__ }, error)

void core_admin_done(void *userdata, int error, const Refusal *refusal); /* with an Answer */

/* The daemon ends and starts again: a new broker on the same machine, from what the store has. */
void core_restart(Core *core);
void core_restart_empty(Core *core); /* up to the point where the records are read */
void core_read_records(Core *core);  /* the rest */
int core_try_records(
        Core *core); /* which fails where the start does; the next one is to be another broker */

const LeaseRecord *core_lease_record(Core *core, const char *id);
const DeviceRecord *core_device_record(Core *core, const char *id);

/* All that a refusal must leave as it was, as a text to compare. The caller frees. */
char *core_dump(Core *core);
/* Everything that is always true. Fails the test where it is not. */
void core_check(Core *core);
/* And nothing is going on: no lease, job, timer, watch, process held, lease on record. */
void core_check_idle(Core *core);

#define assert_state(device, wanted)                                                                        \
        assert_string_equal(device_state_to_string((device)->state), device_state_to_string(wanted))
