/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the jobs of a worker share: the steps that several of them take, each with its row of the result. They run in the
 * worker and may block. */

#include "daemon/host/job.h"

uint64_t job_now_usec(void);

/* Writes the failure into the row; returns r. */
int job_fail(JobDeviceResult *row, JobStep step, int r);

/* The kernel's name of the device on its bus: what follows "BUS/" in the id of a device that is not PCI. */
const char *job_device_name(const JobDevice *device);

/* Reads the driver into the row, as the one before or the one now. */
int job_read_driver(const JobDevice *device, JobDeviceResult *row, bool before);
int job_bind_device(const JobDevice *device, JobDeviceResult *row, JobResult *result);

/* job-proof.c: the proof of freedom where it is due (`suspect`), the trial of a device that came straight from a driver
 * of the host (`fresh`), and the reset after it. */
int job_prove_and_reset(const JobDevice *device, JobDeviceResult *row, JobResult *result, bool suspect,
                        bool fresh);

/* job-proof.c: binds a fresh cdev to a scratch context, so that it fails where anybody else has the device bound; resets
 * it in there where `reset`. EINVAL is EBUSY's other name as long as files from before may exist (`suspect`). */
int job_trial_bind(const JobDevice *device, JobDeviceResult *row, bool suspect, bool reset);

/* job-open.c */
void job_run_open(const Job *job, JobResult *result);
