/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The host as the broker sees it, from the Manager's properties. Runs on the one thread of its connection. */

#include "client-lib/record.h"

#define AT(member) offsetof(struct vfiobroker_host, member)

static const Field fields[] = {
        { "Version", "s", FIELD_STRING, AT(version) },
        { "Backends", "as", FIELD_STRV, AT(backends) },
        { "UnsafeInterrupts", "as", FIELD_STRV, AT(unsafe_interrupts) },
        { "Iommu", "s", FIELD_STRING, AT(iommu) },
        { "InterruptIsolation", "s", FIELD_STRING, AT(interrupt_isolation) },
        { "NoIommu", "b", FIELD_BOOL, AT(no_iommu) },
};

static const RecordType host_type = { sizeof(struct vfiobroker_host), fields, ELEMENTSOF(fields) };

_public_ int vfiobroker_get_host(struct vfiobroker *broker, struct vfiobroker_host **ret)
{
        void *host = NULL;
        int r;

        if (!ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = broker_get_properties(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, &host_type, &host);
        if (r >= 0)
                *ret = host;
        return broker_end(broker, r);
}

_public_ struct vfiobroker_host *vfiobroker_host_free(struct vfiobroker_host *host)
{
        return record_free(&host_type, host);
}
