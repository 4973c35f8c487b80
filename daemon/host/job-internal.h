/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the jobs of a worker share: the steps that several of them take, each with its row of the result. They run in the
 * worker and may block. */

#include "daemon/host/job.h"
#include "daemon/host/usage.h"

uint64_t job_now_usec(void);

/* Writes the failure into the row; returns r. */
int job_fail(JobDeviceResult *row, JobStep step, int r);

/* The kernel's name of the device on its bus. */
const char *job_device_name(const JobDevice *device);

/* Reads the driver into the row, as the one before or the one now. */
int job_read_driver(const JobDevice *device, JobDeviceResult *row, bool before);
/* job-guard.c: fails with STEP_IN_USE where the host uses the device, unless no driver of the host has it; else nobody
 * can mount its disks before the claim is done. */
int job_guard(const JobDevice *device, JobDeviceResult *row, UsageClaim *ret);

/* Guards it, and binds it to the row's driver. */
int job_bind_device(const JobDevice *device, JobDeviceResult *row, JobResult *result);

/* job-proof.c: the proof of freedom where it is due (`suspect`), the trial of a device that came straight from a driver
 * of the host (`fresh`), and the reset after it; but for the group backend's OPEN, where the device that is opened for the
 * client is its own trial, and is reset by job_reset_open(). */
int job_prove_and_reset(const Job *job, const JobDevice *device, JobDeviceResult *row, JobResult *result,
                        bool suspect, bool fresh);

/* job-proof.c: the first part of the proof of freedom, which blocks nobody. 1: nobody uses the device. 0: only its driver's
 * unbind can tell. Negative: in use (EBUSY) or broken, as the row says. */
int job_ask_politely(const JobDevice *device, unsigned backend, JobDeviceResult *row);

/* job-proof.c: binds a fresh cdev to `context`, or a scratch one where that is -EBADF, so that it fails where anybody else
 * has the device bound; resets it in there where `reset`. EINVAL is EBUSY's other name as long as files from before may
 * exist (`suspect`). */
int job_trial_bind(const JobDevice *device, JobDeviceResult *row, int context, bool suspect, bool reset);

/* job-proof.c: VFIO_DEVICE_RESET of a device that is open and bound, its outcome into the row. */
void job_reset_open(int device_fd, const JobDevice *device, JobDeviceResult *row);

/* job-mdev.c: makes the mdevs of a MAKE job, all or none; removes one that must not be in use, which is its proof of
 * freedom too. */
void job_run_make(const Job *job, JobResult *result);
int job_remove_mdev(const Job *job, const JobDevice *device, JobDeviceResult *row, JobResult *result);

/* job-open.c: the group's file, in the container, which has its IOMMU type; the failure into the row. */
int job_open_group(int number, int container, JobDeviceResult *row, int *ret_fd);

void job_run_open(const Job *job, JobResult *result);
void job_run_reissue(const Job *job, JobResult *result);

/* job-functions.c */
void job_run_functions(const Job *job, JobResult *result);
