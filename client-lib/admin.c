/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The calls of people who look after the host: each is one method whose answer is empty. Runs on the one
 * thread of its connection. */

#include "client-lib/internal.h"

static int release(struct vfiobroker *broker, const char *lease)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *where = NULL;
        const char *path = NULL;
        int r;

        r = broker_find_lease(broker, lease, &where, &path);
        if (r < 0)
                return r;

        return broker_release_path(broker, path);
}

_public_ int vfiobroker_release(struct vfiobroker *broker, const char *lease)
{
        int r;

        if (!lease)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = release(broker, lease);
        return broker_end(broker, r);
}

static int revoke_lease(struct vfiobroker *broker, const char *lease, uint64_t grace_usec,
                        const char *reason)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *where = NULL, *call = NULL;
        const char *path = NULL;
        int r;

        r = broker_find_lease(broker, lease, &where, &path);
        if (r < 0)
                return r;
        r = broker_call_new(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, "Revoke", &call);
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "ots", path, grace_usec, reason);
        if (r < 0)
                return r;

        return broker_call(broker, call, CALL_SLOW_TIMEOUT_USEC, "", NULL);
}

_public_ int vfiobroker_revoke(struct vfiobroker *broker, const char *lease, uint64_t grace_usec,
                               const char *reason)
{
        int r;

        if (!lease)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = revoke_lease(broker, lease, grace_usec, reason ? reason : "");
        return broker_end(broker, r);
}

static int call_strings(struct vfiobroker *broker, const char *member, const char *const *arguments)
{
        int r;

        r = broker_begin(broker);
        if (r >= 0)
                r = broker_call_strings(broker, member, CALL_SLOW_TIMEOUT_USEC, arguments);
        return broker_end(broker, r);
}

_public_ int vfiobroker_reset_device(struct vfiobroker *broker, const char *id)
{
        return id ? call_strings(broker, "ResetDevice", (const char *const[]){ id, NULL }) : -EINVAL;
}

_public_ int vfiobroker_bind_device(struct vfiobroker *broker, const char *id, const char *driver)
{
        if (!id || !driver)
                return -EINVAL;
        return call_strings(broker, "BindDevice", (const char *const[]){ id, driver, NULL });
}

_public_ int vfiobroker_unbind_device(struct vfiobroker *broker, const char *id)
{
        return id ? call_strings(broker, "UnbindDevice", (const char *const[]){ id, NULL }) : -EINVAL;
}

static int set_virtual_functions(struct vfiobroker *broker, const char *id, uint32_t count)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = broker_call_new(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, "SetVirtualFunctions", &call);
        if (r < 0)
                return r;

        r = sd_bus_message_append(call, "su", id, count);
        if (r < 0)
                return r;

        return broker_call(broker, call, CALL_SLOW_TIMEOUT_USEC, "", NULL);
}

_public_ int vfiobroker_set_virtual_functions(struct vfiobroker *broker, const char *id, uint32_t count)
{
        int r;

        if (!id)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = set_virtual_functions(broker, id, count);
        return broker_end(broker, r);
}

_public_ int vfiobroker_reload(struct vfiobroker *broker)
{
        return call_strings(broker, "Reload", (const char *const[]){ NULL });
}
