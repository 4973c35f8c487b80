/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table from the broker's refusals to errnos, as documented in libvfiobroker(3). It is looked up here
 * and not registered with sd_bus_error_add_map(), which changes the whole process: a library may not. Pure,
 * thread-safe. */

#include "client-lib/internal.h"

#define E(name) "org.vfiobroker1.Error." name

static const sd_bus_error_map broker_errors[] = {
        SD_BUS_ERROR_MAP(E("NoSuchDevice"), ENODEV),
        SD_BUS_ERROR_MAP(E("NoSuchLease"), ENXIO),
        SD_BUS_ERROR_MAP(E("NoTenant"), EACCES),
        SD_BUS_ERROR_MAP(E("AmbiguousTenant"), EINVAL),
        SD_BUS_ERROR_MAP(E("DeniedByPolicy"), EACCES),
        SD_BUS_ERROR_MAP(E("DeviceTaken"), EBUSY),
        SD_BUS_ERROR_MAP(E("DeviceBusyOnHost"), EBUSY),
        SD_BUS_ERROR_MAP(E("GroupNotViable"), EPERM),
        SD_BUS_ERROR_MAP(E("GroupSplit"), EPERM),
        SD_BUS_ERROR_MAP(E("ContainerIncompatible"), EINVAL),
        SD_BUS_ERROR_MAP(E("MemlockBudgetExceeded"), EDQUOT),
        SD_BUS_ERROR_MAP(E("DeviceQuotaExceeded"), EDQUOT),
        SD_BUS_ERROR_MAP(E("LeaseQuotaExceeded"), EDQUOT),
        SD_BUS_ERROR_MAP(E("RateLimited"), EAGAIN),
        SD_BUS_ERROR_MAP(E("ProcessUnusable"), ESRCH),
        SD_BUS_ERROR_MAP(E("BackendUnavailable"), EOPNOTSUPP),
        SD_BUS_ERROR_MAP(E("DriverBindFailed"), EIO),
        SD_BUS_ERROR_MAP(E("ResetFailed"), EIO),
        SD_BUS_ERROR_MAP(E("Quarantined"), EIO),
        SD_BUS_ERROR_MAP(E("PolicyInvalid"), EINVAL),
        /* The only objects that the library calls without having just asked for their path are leases. */
        SD_BUS_ERROR_MAP(SD_BUS_ERROR_UNKNOWN_OBJECT, ENXIO),
};

int error_to_errno(const sd_bus_error *error)
{
        for (size_t i = 0; i < ELEMENTSOF(broker_errors); i++)
                if (streq_ptr(error->name, broker_errors[i].name))
                        return broker_errors[i].code;

        return sd_bus_error_get_errno(error);
}
