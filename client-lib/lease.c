/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The lease handle: owns duplicates of the fds that came with the grant until they are taken, and a
 * reference of the connection. What the broker sent is checked here before the caller sees any of it: the
 * rows' kinds and order, the devices against what was asked for, and that each fd is a device node open for
 * reading and writing. Runs on the one thread of its connection. */

#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "client-lib/internal.h"

static const char *const kind_table[] = {
        [VFIOBROKER_FD_IOMMUFD] = "iommufd",
        [VFIOBROKER_FD_CONTAINER] = "container",
        [VFIOBROKER_FD_GROUP] = "group",
        [VFIOBROKER_FD_DEVICE] = "device",
};

static int kind_from_string(const char *s)
{
        for (size_t i = VFIOBROKER_FD_IOMMUFD; i < ELEMENTSOF(kind_table); i++)
                if (streq(kind_table[i], s))
                        return (int)i;

        return -EPROTO;
}

int lease_new(struct vfiobroker *broker, const char *path, const char *backend,
              struct vfiobroker_lease **ret)
{
        _cleanup_free_ char *id = NULL, *path_copy = NULL, *backend_copy = NULL;
        struct vfiobroker_lease *lease;
        int r;

        r = path_to_id(path, BROKER_LEASE_PREFIX, &id);
        if (r == -EBADMSG)
                return broker_error(broker, EPROTO, "The broker sent %s as the path of a lease", path);
        if (r < 0)
                return r;

        path_copy = strdup(path);
        backend_copy = strdup(backend);
        lease = calloc(1, sizeof(*lease));
        if (!path_copy || !backend_copy || !lease) {
                free(lease);
                return -ENOMEM;
        }

        *lease = (struct vfiobroker_lease){
                .broker = broker_ref(broker),
                .id = TAKE_PTR(id),
                .path = TAKE_PTR(path_copy),
                .backend = TAKE_PTR(backend_copy),
        };
        *ret = lease;
        return 0;
}

static int check_fd(struct vfiobroker *broker, const char *kind, const char *id, int fd)
{
        struct stat st;
        int flags;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fstat(fd, &st) < 0)
                return -errno;

        /* A device of the group backend is no file of any type: an anonymous inode. */
        if (!S_ISCHR(st.st_mode) && !(strcmp(kind, "device") == 0 && (st.st_mode & S_IFMT) == 0))
                return broker_error(broker, EPROTO,
                                    "The broker sent something that is no device node as %s %s", kind, id);
        if ((flags & O_ACCMODE) != O_RDWR || (flags & O_PATH))
                return broker_error(broker, EPROTO, "The broker sent %s %s not open for reading and writing",
                                    kind, id);
        return 0;
}

static int add_fd(struct vfiobroker_lease *lease, const char *kind, const char *id, int fd)
{
        _cleanup_close_ int copy = -EBADF;
        struct vfiobroker_fd *fds;
        char *id_copy;
        int k, r;

        k = kind_from_string(kind);
        if (k < 0)
                return broker_error(lease->broker, EPROTO, "The broker sent an fd of the unknown kind '%s'",
                                    kind);

        r = check_fd(lease->broker, kind, id, fd);
        if (r < 0)
                return r;

        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;

        fds = reallocarray(lease->fds, lease->n_fds + 1, sizeof(*fds));
        if (!fds)
                return -ENOMEM;
        lease->fds = fds;

        id_copy = strdup(id);
        if (!id_copy)
                return -ENOMEM;

        lease->fds[lease->n_fds++] = (struct vfiobroker_fd){
                .kind = (enum vfiobroker_fd_kind)k,
                .id = id_copy,
                .fd = TAKE_FD(copy),
        };
        return 0;
}

int lease_read_fds(struct vfiobroker_lease *lease, sd_bus_message *m)
{
        const char *kind, *id;
        int fd, r;

        r = sd_bus_message_enter_container(m, 'a', "(ssh)");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read(m, "(ssh)", &kind, &id, &fd)) > 0) {
                r = add_fd(lease, kind, id, fd);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

bool is_device_id(const char *device)
{
        return strncmp(device, "group:", 6) != 0 && strncmp(device, "pool:", 5) != 0;
}

/* Where only device ids were asked for, exactly these must have come, in their order. */
static int check_devices(struct vfiobroker_lease *lease, size_t first, const char *const *devices)
{
        const struct vfiobroker_fd *rows = lease->fds + first;
        size_t n = 0, n_rows = lease->n_fds - first;

        for (size_t i = 0; i < n_rows; i++)
                if (rows[i].kind != VFIOBROKER_FD_DEVICE)
                        return broker_error(lease->broker, EPROTO,
                                            "The broker sent %s %s where only devices may follow",
                                            kind_table[rows[i].kind], rows[i].id);
        if (n_rows == 0)
                return broker_error(lease->broker, EPROTO, "The broker granted a lease without a device");

        for (; devices && devices[n]; n++)
                if (!is_device_id(devices[n]))
                        return 0;
        if (!devices)
                return 0;

        if (n != n_rows)
                return broker_error(lease->broker, EPROTO,
                                    "The broker sent %zu devices where %zu were asked for", n_rows, n);

        for (size_t i = 0; i < n; i++)
                if (!streq(rows[i].id, devices[i]))
                        return broker_error(lease->broker, EPROTO,
                                            "The broker sent device %s where %s was asked for", rows[i].id,
                                            devices[i]);
        return 0;
}

int lease_check(struct vfiobroker_lease *lease, size_t first, const char *const *devices)
{
        bool group_backend = streq(lease->backend, "group");
        size_t next = first;

        if (!group_backend && !streq(lease->backend, "iommufd"))
                return broker_error(lease->broker, EPROTO, "The broker granted the unknown backend '%s'",
                                    lease->backend);

        if (first == 0) {
                enum vfiobroker_fd_kind context =
                        group_backend ? VFIOBROKER_FD_CONTAINER : VFIOBROKER_FD_IOMMUFD;

                if (lease->n_fds == 0 || lease->fds[0].kind != context)
                        return broker_error(lease->broker, EPROTO,
                                            "The broker sent no fd of the kind '%s', first in the list",
                                            kind_table[context]);
                next++;
        }

        while (group_backend && next < lease->n_fds && lease->fds[next].kind == VFIOBROKER_FD_GROUP)
                next++;
        return check_devices(lease, next, devices);
}

_public_ const char *vfiobroker_lease_id(const struct vfiobroker_lease *lease)
{
        return lease ? lease->id : "";
}

_public_ const char *vfiobroker_lease_path(const struct vfiobroker_lease *lease)
{
        return lease ? lease->path : "";
}

_public_ const char *vfiobroker_lease_backend(const struct vfiobroker_lease *lease)
{
        return lease ? lease->backend : "";
}

_public_ size_t vfiobroker_lease_n_fds(const struct vfiobroker_lease *lease)
{
        return lease ? lease->n_fds : 0;
}

_public_ const struct vfiobroker_fd *vfiobroker_lease_fd(const struct vfiobroker_lease *lease, size_t index)
{
        return lease && index < lease->n_fds ? &lease->fds[index] : NULL;
}

_public_ int vfiobroker_lease_find_fd(const struct vfiobroker_lease *lease, enum vfiobroker_fd_kind kind,
                                      size_t nth)
{
        if (!lease)
                return -EINVAL;

        for (size_t i = 0; i < lease->n_fds; i++)
                if (lease->fds[i].kind == kind && nth-- == 0)
                        return lease->fds[i].fd >= 0 ? lease->fds[i].fd : -EBADF;

        return -ENOENT;
}

_public_ int vfiobroker_lease_take_fd(struct vfiobroker_lease *lease, size_t index)
{
        int fd;

        if (!lease)
                return -EINVAL;
        if (index >= lease->n_fds)
                return -ENOENT;

        fd = lease->fds[index].fd;
        lease->fds[index].fd = -1;
        return fd >= 0 ? fd : -EBADF;
}

void lease_close_fd(struct vfiobroker_lease *lease, size_t index)
{
        (void)safe_close(lease->fds[index].fd);
        lease->fds[index].fd = -1;
}

static void close_fds(struct vfiobroker_lease *lease)
{
        for (size_t i = lease->n_fds; i > 0; i--)
                lease_close_fd(lease, i - 1);
}

void lease_truncate(struct vfiobroker_lease *lease, size_t first)
{
        while (lease->n_fds > first) {
                lease_close_fd(lease, lease->n_fds - 1);
                free((char *)lease->fds[--lease->n_fds].id);
        }
}

_public_ int vfiobroker_lease_release(struct vfiobroker_lease *lease)
{
        int r;

        if (!lease)
                return -EINVAL;

        close_fds(lease);

        r = broker_begin(lease->broker);
        if (r < 0)
                return broker_end(lease->broker, r);

        if (lease->released)
                return broker_end(lease->broker,
                                  broker_error(lease->broker, ENXIO, "The lease was released before"));

        r = broker_release_path(lease->broker, lease->path);
        if (r >= 0)
                lease->released = true;
        return broker_end(lease->broker, r);
}

_public_ struct vfiobroker_lease *vfiobroker_lease_free(struct vfiobroker_lease *lease)
{
        if (!lease)
                return NULL;

        lease_truncate(lease, 0);
        free(lease->fds);
        free(lease->id);
        free(lease->path);
        free(lease->backend);
        broker_unref(lease->broker);
        free(lease);
        return NULL;
}
