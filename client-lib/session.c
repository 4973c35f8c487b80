/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions: connections to the broker without a bus in between. The same messages go over them, so all that differs is
 * how they come to be. Runs on the one thread of its connection. */

#include <fcntl.h>

#include "client-lib/internal.h"

_public_ int vfiobroker_open_fd(int fd, struct vfiobroker **ret)
{
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_close_ int owned = fd;
        sd_id128_t id;
        int r;

        if (fd < 0 || !ret)
                return -EINVAL;

        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0)
                return r;
        (void)TAKE_FD(owned);
        r = sd_bus_negotiate_fds(bus, true);
        if (r < 0)
                return r;
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        r = sd_bus_get_bus_id(bus, &id); /* waits for the greeting */
        if (r < 0)
                return r;
        r = broker_new(bus, ret);
        if (r >= 0)
                (void)TAKE_PTR(bus);
        return r;
}

static int new_session(struct vfiobroker *broker)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        int fd, r;

        r = broker_call_new(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, "OpenSession", &call);
        if (r < 0)
                return r;
        r = broker_call(broker, call, CALL_TIMEOUT_USEC, "h", &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "h", &fd);
        if (r < 0)
                return r;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? -errno : fd;
}

_public_ int vfiobroker_new_session(struct vfiobroker *broker)
{
        int r;

        r = broker_begin(broker);
        if (r >= 0)
                r = new_session(broker);
        return broker_end(broker, r);
}

_public_ int vfiobroker_open_session(struct vfiobroker *broker, struct vfiobroker **ret)
{
        int r;

        if (!ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = new_session(broker);
        if (r >= 0)
                r = vfiobroker_open_fd(r, ret);
        return broker_end(broker, r);
}
