/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which file descriptors a client gets, in which order: the container, groups, devices. A group's file is power over every
 * device of the group, and the proof that a hot reset asks for, so it goes only to whom all of them are leased. Pure. */

#include "daemon/core/broker-internal.h"

bool lease_holds_group(const Lease *lease, const Group *group)
{
        for (size_t i = 0; i < group->n_devices; i++)
                if (!group->devices[i]->info.bridge && !lease_has_device(lease, group->devices[i]))
                        return false;
        return true;
}

static bool is_first_of_group(const Lease *lease, size_t first, size_t i)
{
        for (size_t k = first; k < i; k++)
                if (!lease->settled[k] && lease->devices[k]->group == lease->devices[i]->group)
                        return false;
        return true;
}

int lease_check_fds(size_t n_fds, unsigned fds_max, Refusal *refusal)
{
        unsigned max = fds_max ? fds_max : LEASE_FDS_MAX;

        if (n_fds <= max)
                return 0;
        return refuse(refusal, RESULT_LIMITS_EXCEEDED,
                      "%zu file descriptors, with those of the container and its groups; one message to you "
                      "carries %u. %s",
                      n_fds, max,
                      max < LEASE_FDS_MAX
                              ? "Call on a session (OpenSession), or ask for them in several calls, "
                                "with one container."
                              : "Ask for them in several calls, with one container.");
}

size_t lease_fd_rows(const Lease *lease, size_t first, bool whole, const int *device_fds, LeaseFd *rows,
                     char (*numbers)[12])
{
        const Container *container = lease->container;
        bool group_backend = lease->backend == POLICY_BACKEND_GROUP;
        size_t n = 0, n_groups = 0;

        if (whole)
                rows[n++] =
                        (LeaseFd){ group_backend ? "container" : "iommufd", container->name, container->fd };
        for (size_t i = first; i < lease->n_devices && group_backend; i++) {
                const Group *group = lease->settled[i] ? NULL : lease->devices[i]->group;

                if (!group || !is_first_of_group(lease, first, i) || !lease_holds_group(lease, group))
                        continue;
                (void)snprintf(numbers[n_groups], sizeof(*numbers), "%d", group->number);
                rows[n++] = (LeaseFd){ "group", numbers[n_groups++],
                                       container_group_fd(container, group->number) };
        }
        for (size_t i = first; i < lease->n_devices; i++)
                if (device_fds[i - first] >= 0)
                        rows[n++] = (LeaseFd){ "device", lease->devices[i]->info.id, device_fds[i - first] };
        return n;
}
