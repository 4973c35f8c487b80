/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The few functions that belong to the data of host.h and to no implementation of it. Pure. */

#include "daemon/core/host.h"

void device_info_done(DeviceInfo *info)
{
        free(info->path);
        free(info->reserved);
        *info = (DeviceInfo){ .group = -1, .numa_node = -1 };
}

const char *job_step_to_string(JobStep step)
{
        static const char *const table[_STEP_MAX] = {
                [STEP_NONE] = "none",
                [STEP_IN_USE] = "in-use",
                [STEP_BIND_DRIVER] = "bind-driver",
                [STEP_PROVE_FREE] = "prove-free",
                [STEP_RESET] = "reset",
                [STEP_OPEN] = "open",
                [STEP_JOIN] = "join",
                [STEP_RESTORE_DRIVER] = "restore-driver",
                [STEP_FUNCTIONS] = "functions",
                [STEP_MAKE] = "make",
                [STEP_REMOVE] = "remove",
        };

        return step >= 0 && step < _STEP_MAX ? table[step] : "unknown";
}

const char *reset_outcome_to_string(ResetOutcome outcome)
{
        switch (outcome) {
        case RESET_NOT_TRIED: return "none";
        case RESET_DONE: return "success";
        case RESET_UNSUPPORTED: return "unsupported";
        case RESET_FAILED: return "failed";
        }
        return "unknown";
}

void job_init(Job *job, JobKind kind)
{
        *job = (Job){ .kind = kind, .context = -EBADF, .barrier = -EBADF };
        for (size_t i = 0; i < JOB_DEVICES_MAX; i++)
                job->devices[i].fd = job->groups[i].fd = -EBADF;
}

JobGroup *job_group(Job *job, int number)
{
        for (size_t i = 0; i < job->n_groups; i++)
                if (job->groups[i].number == number)
                        return job->groups + i;
        job->groups[job->n_groups].number = number;
        return job->groups + job->n_groups++;
}

const char *isolation_to_string(Isolation isolation)
{
        switch (isolation) {
        case ISOLATION_UNKNOWN: return "unknown";
        case ISOLATION_YES: return "isolated";
        case ISOLATION_NO: return "not-isolated";
        }
        return "unknown";
}

void job_result_init(JobResult *result, size_t n_devices)
{
        memset(result, 0, sizeof(*result));
        result->n_devices = n_devices;
        for (size_t i = 0; i < JOB_DEVICES_MAX; i++)
                result->devices[i].fd = result->group_fds[i] = -EBADF;
}

void job_result_close(JobResult *result)
{
        for (size_t i = 0; i < JOB_DEVICES_MAX; i++) {
                result->group_fds[i] = safe_close(result->group_fds[i]);
                result->devices[i].fd = safe_close(result->devices[i].fd);
        }
}

bool job_was_short(int error)
{
        return errno_is_trouble(error) && error != EIO;
}

bool job_is_unproven(const JobDeviceResult *row)
{
        switch (row->step) {
        case STEP_PROVE_FREE: return row->error == EBUSY || row->error == EPERM || job_was_short(row->error);
        case STEP_OPEN:
        case STEP_JOIN:
        case STEP_REMOVE: return job_was_short(row->error);
        default: return false;
        }
}

unsigned numa_distance(const NumaDistances *distances, int node)
{
        if (node < 0 || node >= NUMA_NODES_MAX || distances->of[node] == 0)
                return NUMA_DISTANCE_FAR;
        return distances->of[node];
}

void process_credentials_done(ProcessCredentials *credentials)
{
        free(credentials->gids);
        free(credentials->label);
        *credentials = (ProcessCredentials){};
}

void process_placement_done(ProcessPlacement *placement)
{
        free(placement->cgroup);
        free(placement->unit);
        free(placement->slice);
        free(placement->machine);
        *placement = (ProcessPlacement){};
}

int host_process_on_record(Host *host, pid_t pid, int pidfd, uint64_t start_time, ProcessFacts *ret)
{
        int r = host->ops->process_facts(host, pid, pidfd, ret);

        if (r < 0)
                return r;
        return ret->start_time != start_time || ret->zombie ? -ESRCH : 0;
}
