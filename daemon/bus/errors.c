/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of errors of org.vfiobroker1. A refusal that the core expects has a name and an errno here; a negative
 * errno, something that broke on the machine, becomes a standard error whose text says in which step. Either fails one
 * call and nothing else. Pure; error_register() once, at the start. */

#include "daemon/bus/errors.h"

#define OURS "org.vfiobroker1.Error."

typedef struct ErrorRow {
        const char *name;
        int error;
} ErrorRow;

static const ErrorRow error_table[_RESULT_MAX] = {
        [RESULT_NO_SUCH_DEVICE] = { OURS "NoSuchDevice", ENODEV },
        [RESULT_NO_SUCH_LEASE] = { OURS "NoSuchLease", ENXIO },
        [RESULT_NO_TENANT] = { OURS "NoTenant", EACCES },
        [RESULT_AMBIGUOUS_TENANT] = { OURS "AmbiguousTenant", EINVAL },
        [RESULT_DENIED_BY_POLICY] = { OURS "DeniedByPolicy", EACCES },
        [RESULT_DEVICE_TAKEN] = { OURS "DeviceTaken", EBUSY },
        [RESULT_DEVICE_BUSY_ON_HOST] = { OURS "DeviceBusyOnHost", EBUSY },
        [RESULT_GROUP_NOT_VIABLE] = { OURS "GroupNotViable", EPERM },
        [RESULT_GROUP_SPLIT] = { OURS "GroupSplit", EPERM },
        [RESULT_CONTAINER_INCOMPATIBLE] = { OURS "ContainerIncompatible", EINVAL },
        [RESULT_MEMLOCK_BUDGET_EXCEEDED] = { OURS "MemlockBudgetExceeded", EDQUOT },
        [RESULT_DEVICE_QUOTA_EXCEEDED] = { OURS "DeviceQuotaExceeded", EDQUOT },
        [RESULT_LEASE_QUOTA_EXCEEDED] = { OURS "LeaseQuotaExceeded", EDQUOT },
        [RESULT_RATE_LIMITED] = { OURS "RateLimited", EAGAIN },
        [RESULT_PROCESS_UNUSABLE] = { OURS "ProcessUnusable", ESRCH },
        [RESULT_BACKEND_UNAVAILABLE] = { OURS "BackendUnavailable", EOPNOTSUPP },
        [RESULT_DRIVER_BIND_FAILED] = { OURS "DriverBindFailed", EIO },
        [RESULT_RESET_FAILED] = { OURS "ResetFailed", EIO },
        [RESULT_QUARANTINED] = { OURS "Quarantined", EIO },
        [RESULT_POLICY_INVALID] = { OURS "PolicyInvalid", EINVAL },
        [RESULT_INVALID_ARGS] = { SD_BUS_ERROR_INVALID_ARGS, EINVAL },
        [RESULT_ACCESS_DENIED] = { SD_BUS_ERROR_ACCESS_DENIED, EACCES },
        [RESULT_NO_MEMORY] = { SD_BUS_ERROR_NO_MEMORY, ENOMEM },
        [RESULT_LIMITS_EXCEEDED] = { SD_BUS_ERROR_LIMITS_EXCEEDED, ENOBUFS },
};

const char *error_name(Result result)
{
        return result > RESULT_OK && result < _RESULT_MAX ? error_table[result].name : NULL;
}

int error_errno(Result result)
{
        return result > RESULT_OK && result < _RESULT_MAX ? error_table[result].error : 0;
}

int error_register(void)
{
        /* sd-bus keeps the pointer; rows for names of ours only, it knows the standard ones. */
        static sd_bus_error_map map[_RESULT_MAX + 1];
        size_t n = 0;

        for (int i = RESULT_OK + 1; i < _RESULT_MAX; i++)
                if (strncmp(error_table[i].name, OURS, strlen(OURS)) == 0)
                        map[n++] = (sd_bus_error_map)SD_BUS_ERROR_MAP(error_table[i].name,
                                                                      error_table[i].error);
        map[n] = (sd_bus_error_map)SD_BUS_ERROR_MAP_END;
        return sd_bus_error_add_map(map) < 0 ? -EINVAL : 0;
}

int error_set(sd_bus_error *error, const Refusal *refusal)
{
        const char *name = error_name(refusal->code);

        if (!name)
                return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, refusal->text);
        return sd_bus_error_set(error, name, refusal->text);
}

int error_set_errno(sd_bus_error *error, int r, const char *step)
{
        if (r == -ENOMEM)
                return sd_bus_error_setf(error, SD_BUS_ERROR_NO_MEMORY, "%s: out of memory.", step);
        return sd_bus_error_setf(error, SD_BUS_ERROR_FAILED, "%s failed: %s.", step,
                                 strerror(r < 0 ? -r : r));
}

int error_set_outcome(sd_bus_error *error, int r, const Refusal *refusal, const char *step)
{
        return r > 0 ? error_set(error, refusal) : error_set_errno(error, r, step);
}
