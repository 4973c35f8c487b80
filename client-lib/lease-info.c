/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One lease in full, from its D-Bus properties. Runs on the one thread of its connection. */

#include "client-lib/record.h"

#define AT(member) offsetof(struct vfiobroker_lease_info, member)

static const Field fields[] = {
        { "Tenant", "s", FIELD_STRING, AT(tenant) },
        { "Label", "s", FIELD_STRING, AT(label) },
        { "Backend", "s", FIELD_STRING, AT(backend) },
        { "Container", "o", FIELD_CONTAINER, AT(container) },
        { "Devices", "ao", FIELD_IDS, AT(devices), .prefix = BROKER_DEVICE_PREFIX },
        { "Pid", "u", FIELD_U32, AT(pid) },
        { "Uid", "u", FIELD_U32, AT(uid) },
        { "Unit", "s", FIELD_STRING, AT(unit) },
        { "MemlockLimit", "t", FIELD_U64, AT(memlock_limit) },
        { "MemlockUsed", "t", FIELD_U64, AT(memlock_used) },
        { "Since", "t", FIELD_U64, AT(since_usec) },
        { "State", "s", FIELD_STRING, AT(state) },
        { "RevokeDeadline", "t", FIELD_U64, AT(revoke_deadline_usec) },
        { "PolicyRefusal", "s", FIELD_STRING, AT(policy_refusal) },
};

static const RecordType info_type = { sizeof(struct vfiobroker_lease_info), fields, ELEMENTSOF(fields) };

static int get_lease(struct vfiobroker *broker, const char *lease, struct vfiobroker_lease_info **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *where = NULL;
        const char *path = NULL;
        void *info;
        int r;

        r = broker_find_lease(broker, lease, &where, &path);
        if (r < 0)
                return r;

        r = broker_get_properties(broker, path, BROKER_LEASE, &info_type, &info);
        if (r < 0)
                return r;

        *ret = info;
        return 0;
}

_public_ int vfiobroker_get_lease(struct vfiobroker *broker, const char *lease,
                                  struct vfiobroker_lease_info **ret)
{
        int r;

        if (!lease || !ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = get_lease(broker, lease, ret);
        return broker_end(broker, r);
}

_public_ struct vfiobroker_lease_info *vfiobroker_lease_info_free(struct vfiobroker_lease_info *info)
{
        return record_free(&info_type, info);
}
