/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a request and the state as it is to what will be done, or to the refusal: pure, changes nothing, so that Acquire
 * and CheckAccess cannot disagree. */

#include "daemon/core/broker.h"

typedef struct AcquirePlan {
        const PolicyTenant *tenant; /* borrowed from the broker's policy */
        Device *devices[JOB_DEVICES_MAX];
        size_t n_devices;
        unsigned backend;
        uint64_t memlock; /* to commit, bytes */
        Lease *target;    /* or NULL: the lease that is extended */
        const char *
                container; /* name, borrowed from the request or the container there is; NULL: a private one */
        Job job;
        ProcessFacts process; /* of the process that will hold the lease */
        pid_t pid;
        int pidfd;                   /* borrowed from the request */
        char rule[REFUSAL_TEXT_MAX]; /* which rule allows it */
} AcquirePlan;

/* 0, a positive Result with `refusal`, or a negative errno. plan_done() afterwards, where it is 0. */
int plan_acquire(Broker *broker, const AcquireRequest *request, AcquirePlan *ret, Refusal *refusal);

/* Frees the mdevs that were to be made, unless they are in the table now (and n_devices is 0). */
void plan_done(AcquirePlan *plan);

/* The refusal that policy's word stands for; 0 where it allows. */
int plan_result_of_verdict(const Verdict *verdict, Refusal *refusal);

/* What the policy's decision asks of one device: its facts, which the row points to, and who holds what around it. Names
 * nobody. */
void plan_decide_row(Broker *broker, const PolicyTenant *tenant, const Device *device,
                     DeviceFacts *ret_facts, DecideDevice *ret);

/* Refuses what the host uses: its root file system always, anything else unless policy says `force-unbind = yes` for the
 * device. Only a device that no VFIO driver has can be in use. 0, a positive Result with `refusal`, or -errno. */
int plan_check_usage(Broker *broker, const Device *device, Refusal *refusal);

/* Fills the job's row for one device in: which driver to bind, what to prove, whether to reset. */
void plan_job_device(const Device *device, const Policy *policy, PolicyReset reset, JobDevice *ret);

/* Whether the device can be reset alone: by its function, or by a bus that nothing else is on. */
bool broker_can_reset(Broker *broker, const Device *device);

/* A virtual function or mdev of the device that a lease holds, or NULL. The physical function must not change its driver
 * then: many a driver takes its virtual functions with it, and each its mdevs, which would wait for whoever has them, and
 * on a VFIO driver it has power over them. `tenant`: whose leases do not count where the driver stays, or NULL. */
const Device *broker_leased_function(Broker *broker, const Device *device, const char *tenant);
