/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the broker share and nobody else sees: telling observers, the record on disk, the making and freeing
 * of leases. */

#include <stdarg.h>

#include "daemon/core/broker.h"
#include "daemon/core/container.h"
#include "daemon/core/holder.h"
#include "daemon/core/plan.h"

/* Calls member `what` of every observer that has it. */
#define NOTIFY(broker, what, object)                                                                        \
        do {                                                                                                \
                for (size_t _i = 0; _i < (broker)->n_observers; _i++)                                       \
                        if ((broker)->observers[_i].observer->what)                                         \
                                (broker)->observers[_i].observer->what((broker)->observers[_i].userdata,    \
                                                                       (object));                           \
        } while (0)

/* One event about a lease, a device, both or neither (NULL). */
void broker_event(Broker *broker, BrokerEventKind kind, const Lease *lease, const Device *device,
                  const char *result, const char *format, ...) _printf_(6, 7);

/* The same, for what a rule of the policy caused; one without a file is not told. */
void broker_event_by_rule(Broker *broker, BrokerEventKind kind, const Lease *lease, const Device *device,
                          const PolicyWhere *rule, const char *result, const char *format, ...)
        _printf_(7, 8);

/* Tells that the device changed, and with it its group. */
void broker_device_notify(Device *device, Broker *broker);

/* The tenant at work of that name, made where there is none. */
int broker_tenant_get(Broker *broker, const char *name, Tenant **ret);
/* Frees a tenant that neither the policy nor a lease needs. */
void broker_tenant_gc(Broker *broker, Tenant *tenant);

/* lease-table.c: a lease comes into the tables, with all sums, or leaves them. */
int lease_register(Broker *broker, Tenant *tenant, Holder *holder, Lease *lease);
Lease *
lease_free(Lease *lease); /* disowns its job, puts nothing back; unlinks it from all tables and sums */
/* Takes one device out of the lease: it is idle, quarantined or gone now. */
void lease_settle_device(Lease *lease, size_t i);
/* Ends the waiting of the one who asked. */
void lease_fail(Lease *lease, int error, const Refusal *refusal);

/* lease-table.c: whether the tenant has TENANT_JOBS_MAX jobs at work. A tenant can make the kernel wait in each of them, as
 * long as it likes (daemon/host/job-proof.c), and others need workers too. */
bool tenant_is_busy(const Tenant *tenant);

/* lease-fds.c: 0, or LIMITS_EXCEEDED where that many are more than one message of the caller's carries; `fds_max` as in
 * AcquireRequest. */
int lease_check_fds(size_t n_fds, unsigned fds_max, Refusal *refusal);

/* lease-fds.c: the rows of a reply, for devices [first, n_devices) of the lease; `rows` has room for LEASE_FDS_MAX. `whole`:
 * the container too, and every group that the lease holds whole; else only those that it holds whole since. */
#define LEASE_FDS_MAX (2 * JOB_DEVICES_MAX + 1)
size_t lease_fd_rows(const Lease *lease, size_t first, bool whole, const int *device_fds, LeaseFd *rows,
                     char (*numbers)[12]);
/* Whether it holds every device of the group that can be passed at all. */
bool lease_holds_group(const Lease *lease, const Group *group);

/* lifecycle.c: an id that no lease has; `ret` has LEASE_ID_MAX bytes. */
void lease_make_id(Broker *broker, char *ret);

/* lifecycle.c: starts the job that opens the devices of an OPENING lease. -errno with nothing begun. */
int lease_start_open(Lease *lease, const Job *open);

/* lifecycle.c: the refusal for a job's row that failed. */
int refuse_job(const Device *device, const JobDeviceResult *row, Refusal *refusal);
/* lifecycle.c: what the caller hears where job_start() said `r`: -EAGAIN is a refusal, all else stays as it is. */
int refuse_start(int r, Refusal *refusal);

/* lease-change.c: an OPENING lease with a target is open: its devices are the target's now. The temporary lease is gone
 * where 0 is returned. */
int lease_merge(Lease *lease);
/* The device is taken out of its lease, since the machine has it no more or its driver has let go of it: a lease that is held
 * and has others goes on with those; any other ends. May free the lease, and the device where it is gone. */
void lease_lose(Lease *lease, Device *device);
/* The target ends, or is asked for as a whole: what was to be added to it ends. */
void lease_end_additions(Lease *lease, EndReason reason);
/* reissue.c: whoever waits for fresh fds of a lease that is over hears so; its job runs on. */
void lease_fail_reissue(Lease *lease);

/* reissue.c: whether a job opens that device once more. */
bool lease_reissues(const Lease *lease, const Device *device);

/* reclaim.c: starts the reclaim of what is not settled; frees the lease where nothing is left to do. */
void lease_reclaim(Lease *lease);

/* Starts the reclaims that nothing else will: after a restart, and after the end of what they waited for. */
void broker_reclaim_idle(Broker *broker);

/* Tries those again for which there was no timer, or no room among their tenant's jobs, where it is time; and writes
 * the records of devices that could not be. Whatever comes from the loop calls it when it is done: it may free any lease that
 * is RECLAIMING. */
void broker_retry_stranded(Broker *broker);
/* The same for who comes from the end of a job: there is room for another one. */
void broker_job_ended(Broker *broker);

/* Takes a job's word on one device over: the driver, the driver before, the reset. */
void device_take_result(Broker *broker, Device *device, const JobDeviceResult *result);

/* Writes the lease's record; an event where that fails, and the record is stale. -errno. */
int lease_put_record(Lease *lease);
/* Writes those that are stale, before anything is granted: a device that left its lease may still be in the record of that,
 * and after a restart it would be that lease's again. -errno. */
int lease_put_stale_records(Broker *broker);

/* device-record.c: writes the device's record, or drops it where there is nothing to remember; where that fails the record is
 * stale, with an event the first time. -errno. */
int broker_device_put_record(Broker *broker, Device *device);
/* Those that are stale, of devices that nobody works on. */
void broker_put_stale_devices(Broker *broker);
/* A lease is over for the device (NULL: an administrator's reset): its state and reason say what became of it. Reserves it, where
 * policy says so, and writes the record. True; false where the record could not be written, and the device is held. */
bool broker_device_outcome(Broker *broker, const Lease *lease, Device *device);
/* The same for a device that is held. */
bool broker_device_outcome_again(Broker *broker, const Lease *lease, Device *device);

/* standing.c: keeps who asked, for the policies to come. */
void lease_set_caller(Lease *lease, const CallerFacts *caller);
/* Marks the lease where the policy in force would not grant it, or takes the mark away; tells of either, and the journal
 * of the first. Nothing where it is being reclaimed. */
void lease_check_standing(Lease *lease);
void broker_check_standing(Broker *broker); /* all leases */

/* Calls broker_lease_end() when the process ends, where the lease's lifetime says so. -errno. */
int lease_watch(Lease *lease);

/* refusal.c: tells of a refusal that no lease can tell of. */
void broker_refused(Broker *broker, const AcquireRequest *request, const Refusal *refusal);

/* admin.c: a job on one device that holds it for as long as it takes; `done` has the answer. */
typedef struct AdminJob {
        Broker *broker;
        JobKind kind;
        char id[DEVICE_ID_MAX];  /* not a pointer: the device may go while the job runs */
        char reason[REASON_MAX]; /* of its quarantine */
        unsigned functions;      /* FUNCTIONS: how many there are to be */
        bool by_policy;          /* FUNCTIONS: nobody waits, the journal has the outcome */
        AdminDone done;          /* or NULL */
        void *userdata;
        HostJob *job;                 /* NULL once it has ended */
        HostTimer *settle;            /* FUNCTIONS: then it is waited for the inventory */
        struct AdminJob *next, *prev; /* utlist, in Broker.admin_jobs */
} AdminJob;

/* 0, or a refusal: a lease or another such job has the device. */
int admin_check_idle(const Device *device, Refusal *refusal);
/* Starts the job. `ret` may be NULL. */
int admin_job_start(Device *device, Broker *broker, const Job *job, const char *why, AdminDone done,
                    void *userdata, Refusal *refusal, AdminJob **ret);
/* Gives the device back and answers; its state is as the caller has set it. Frees the job. */
void admin_job_end(AdminJob *admin, Device *device, int error, const Refusal *refusal);
/* Forgets the jobs of administrators; they run on. */
void broker_disown_admin_jobs(Broker *broker);

/* functions.c: the VF/PF rules that hold for everybody. A virtual function is left alone while something works on its
 * physical one; a physical function that has virtual ones is not taken from the host's driver that made them. */
int functions_check_pf(Broker *broker, const Device *device, Refusal *refusal);
int functions_check_driver(const Broker *broker, const Device *device, Refusal *refusal);

/* functions.c: the job that sets the number of virtual functions has ended. */
void functions_done(AdminJob *admin, Device *device, const JobResult *result);
/* A virtual function of `pf` came or went, or anything of `pf` itself changed. */
void broker_functions_changed(Broker *broker, const char *pf);
/* Gives the device what policy gives it, once: to be asked when a driver of the host, or nobody, may have it at last. */
void broker_functions_check_policy(Broker *broker, Device *device);

/* Out of use until an administrator resets it: state, reason, record, event. `lease` may be NULL. */
void broker_device_quarantine(Broker *broker, const Lease *lease, Device *device, const char *format, ...)
        _printf_(4, 5);

/* The job's row that brings a device back: prove, reset as `reset` says, the driver before where `restore`. */
void reclaim_job_device(const Device *device, const Policy *policy, PolicyReset reset, bool restore,
                        JobDevice *ret);

/* Takes the outcome of such a row over. True where the device is settled: idle, quarantined or gone; false where it is
 * still open, or with a lease could not be asked, and is to be tried again, or is held. */
bool reclaim_take_row(Broker *broker, const Lease *lease, Device *device, const JobResult *result,
                      const JobDeviceResult *row, bool reset_wanted);

/* inventory.c: drops a device that is gone and that nothing refers to any more. */
void broker_device_gc(Broker *broker, Device *device);
