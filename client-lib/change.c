/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Leases that change while they are used: hot plug, hot unplug, and fresh fds for a program that replaces itself. What
 * cannot be used of an answer is given back, as in acquire.c. Runs on the one thread of its connection. */

#include "client-lib/internal.h"

/* A call of the lease whose one argument is a list of devices. */
static int new_call(struct vfiobroker_lease *lease, const char *member, const char *const *devices,
                    sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = broker_call_new(lease->broker, lease->path, BROKER_LEASE, member, &m);
        if (r < 0)
                return r;

        r = sd_bus_message_append_strv(m, (char **)devices);
        if (r == -EINVAL)
                return broker_error(lease->broker, EINVAL, "A device's name is not valid UTF-8");
        if (r < 0)
                return r;

        *ret = TAKE_PTR(m);
        return 0;
}

/* Gives back what was added: the rows that came are what is sure to have been granted. */
static void give_back(struct vfiobroker_lease *lease, size_t first, const char *const *devices,
                      sd_bus_message **reply)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_free_ const char **ids = NULL;
        size_t n = 0;
        int r;

        ids = calloc(lease->n_fds - first + 1, sizeof(*ids));
        if (!ids)
                return;
        for (size_t i = first; i < lease->n_fds; i++)
                if (lease->fds[i].kind == VFIOBROKER_FD_DEVICE)
                        ids[n++] = lease->fds[i].id;

        for (size_t i = 0; devices && devices[i]; i++)
                if (!is_device_id(devices[i]))
                        devices = NULL;
        r = new_call(lease, "Remove", devices ? devices : ids, &call);

        lease_truncate(lease, first);
        if (r >= 0)
                broker_undo(lease->broker, reply, call);
}

static int add(struct vfiobroker_lease *lease, const char *const *devices, size_t *ret_first)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        size_t first = lease->n_fds;
        int r;

        r = new_call(lease, "Add", devices, &call);
        if (r < 0)
                return r;

        r = broker_call(lease->broker, call, CALL_SLOW_TIMEOUT_USEC, "a(ssh)", &reply);
        if (r < 0)
                return r;

        r = lease_read_fds(lease, reply);
        if (r >= 0)
                r = lease_check(lease, first, devices);
        if (r < 0) {
                give_back(lease, first, devices, &reply);
                return r;
        }

        if (ret_first)
                *ret_first = first;
        return 0;
}

/* Begins a call on a lease that has not been released. */
static int lease_begin(struct vfiobroker_lease *lease)
{
        int r;

        r = broker_begin(lease->broker);
        if (r < 0)
                return r;
        return lease->released ? broker_error(lease->broker, ENXIO, "The lease was released before") : 0;
}

_public_ int vfiobroker_lease_add(struct vfiobroker_lease *lease, const char *const *devices,
                                  size_t *ret_first)
{
        int r;

        if (!lease || !devices)
                return -EINVAL;

        r = lease_begin(lease);
        if (r >= 0)
                r = add(lease, devices, ret_first);
        return broker_end(lease->broker, r);
}

static bool find_row(const struct vfiobroker_lease *lease, enum vfiobroker_fd_kind kind, const char *id,
                     size_t *ret)
{
        for (size_t i = 0; i < lease->n_fds; i++)
                if (lease->fds[i].kind == kind && streq(lease->fds[i].id, id)) {
                        *ret = i;
                        return true;
                }
        return false;
}

/* The row of the device's group: only the broker, or a /sys that may not be there, knows which that is. False where
 * there is none, or the device has gone. */
static bool find_group_row(struct vfiobroker_lease *lease, const char *device, size_t *ret)
{
        _cleanup_(vfiobroker_device_freep) struct vfiobroker_device *info = NULL;
        char number[24];

        if (vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_GROUP, 0) == -ENOENT)
                return false;

        if (broker_get_device(lease->broker, device, &info) < 0) {
                sd_bus_error_free(&lease->broker->error);
                return false;
        }

        (void)snprintf(number, sizeof(number), "%lld", (long long)info->group);
        return find_row(lease, VFIOBROKER_FD_GROUP, number, ret);
}

/* The rows that go with the devices, as marks; -ENODEV for one that the lease has not. */
static int mark_rows(struct vfiobroker_lease *lease, const char *const *devices, bool *marks)
{
        for (size_t i = 0; devices[i]; i++) {
                size_t row;

                if (!find_row(lease, VFIOBROKER_FD_DEVICE, devices[i], &row))
                        return broker_error(lease->broker, ENODEV, "The lease has no device %s", devices[i]);
                marks[row] = true;
        }

        for (size_t i = 0; devices[i]; i++) {
                size_t row;

                if (find_group_row(lease, devices[i], &row))
                        marks[row] = true;
        }
        return 0;
}

static void forget_rows(struct vfiobroker_lease *lease, const bool *marks)
{
        size_t kept = 0;

        for (size_t i = 0; i < lease->n_fds; i++)
                if (marks[i])
                        free((char *)lease->fds[i].id);
                else
                        lease->fds[kept++] = lease->fds[i];
        lease->n_fds = kept;
}

static int remove_devices(struct vfiobroker_lease *lease, const char *const *devices)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_free_ bool *marks = NULL;
        size_t n_left = 0;
        int r;

        marks = calloc(lease->n_fds + 1, sizeof(*marks));
        if (!marks)
                return -ENOMEM;

        r = mark_rows(lease, devices, marks);
        if (r < 0)
                return r;

        for (size_t i = 0; i < lease->n_fds; i++)
                n_left += lease->fds[i].kind == VFIOBROKER_FD_DEVICE && !marks[i];
        if (n_left == 0)
                return broker_error(lease->broker, EINVAL,
                                    "The lease would have no device left: release it instead");

        r = new_call(lease, "Remove", devices, &call);
        if (r < 0)
                return r;

        for (size_t i = lease->n_fds; i > 0; i--)
                if (marks[i - 1])
                        lease_close_fd(lease, i - 1);

        r = broker_call(lease->broker, call, CALL_SLOW_TIMEOUT_USEC, "", NULL);
        if (r < 0)
                return r;

        forget_rows(lease, marks);
        return 0;
}

_public_ int vfiobroker_lease_remove(struct vfiobroker_lease *lease, const char *const *devices)
{
        int r;

        if (!lease || !devices)
                return -EINVAL;

        r = lease_begin(lease);
        if (r >= 0)
                r = remove_devices(lease, devices);
        return broker_end(lease->broker, r);
}

/* The answer does not say which backend the lease has; its first row does. */
static int read_backend(struct vfiobroker *broker, sd_bus_message *reply, const char **ret)
{
        const char *kind = "nothing", *id;
        int fd, r;

        r = sd_bus_message_enter_container(reply, 'a', "(ssh)");
        if (r >= 0)
                r = sd_bus_message_read(reply, "(ssh)", &kind, &id, &fd);
        if (r >= 0)
                r = sd_bus_message_rewind(reply, true);
        if (r < 0)
                return r;

        if (!streq(kind, "iommufd") && !streq(kind, "container"))
                return broker_error(broker, EPROTO, "The broker sent %s as the first fd of a lease", kind);
        *ret = streq(kind, "iommufd") ? "iommufd" : "group";
        return 0;
}

static int reissue(struct vfiobroker *broker, const char *id, struct vfiobroker_lease **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *where = NULL, *call = NULL, *reply = NULL;
        _cleanup_(vfiobroker_lease_freep) struct vfiobroker_lease *lease = NULL;
        const char *path = NULL, *backend = NULL;
        int r;

        r = broker_find_lease(broker, id, &where, &path);
        if (r < 0)
                return r;

        r = broker_call_new(broker, path, BROKER_LEASE, "Reissue", &call);
        if (r < 0)
                return r;

        r = broker_call(broker, call, CALL_SLOW_TIMEOUT_USEC, "a(ssh)", &reply);
        if (r < 0)
                return r;

        r = read_backend(broker, reply, &backend);
        if (r < 0)
                return r;

        r = lease_new(broker, path, backend, &lease);
        if (r < 0)
                return r;

        r = lease_read_fds(lease, reply);
        if (r < 0)
                return r;

        r = lease_check(lease, 0, NULL);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(lease);
        return 0;
}

_public_ int vfiobroker_reissue(struct vfiobroker *broker, const char *lease, struct vfiobroker_lease **ret)
{
        int r;

        if (!lease || !ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = reissue(broker, lease, ret);
        return broker_end(broker, r);
}
