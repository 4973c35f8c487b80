/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The calls of people who look after the host: each is one method whose answer is empty. Runs on the one
 * thread of its connection. */

#include "client-lib/internal.h"

/* A lease's path is asked for by its id, so that what does not exist and what is not the caller's get the
 * broker's own answer, whichever of the two was given. */
static int lease_path(struct vfiobroker *broker, const char *lease, sd_bus_message **ret_reply,
                      const char **ret_path)
{
        _cleanup_free_ char *id = NULL;
        int r;

        if (lease[0] == '/') {
                r = sd_bus_path_decode(lease, BROKER_LEASE_PREFIX, &id);
                if (r == -ENOMEM)
                        return r;
                if (r <= 0)
                        return broker_error(broker, ENXIO, "%s is not the path of a lease", lease);
        }
        return broker_find(broker, "GetLease", id ? id : lease, ret_reply, ret_path);
}

static int release(struct vfiobroker *broker, const char *lease)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *where = NULL;
        const char *path = NULL;
        int r;

        r = lease_path(broker, lease, &where, &path);
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

_public_ int vfiobroker_reload(struct vfiobroker *broker)
{
        return call_strings(broker, "Reload", (const char *const[]){ NULL });
}
