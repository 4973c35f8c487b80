/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is kept for the next life of the daemon, under which name, and what of it is believed when it comes back. Event
 * loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/keep.h"

#define NAME_MAX_BYTES 64

static const char *context_name(const Container *container, char buffer[static NAME_MAX_BYTES])
{
        (void)snprintf(buffer, NAME_MAX_BYTES, "context-%s", container->kept_as);
        return buffer;
}

static const char *group_name(const Container *container, int number, char buffer[static NAME_MAX_BYTES])
{
        (void)snprintf(buffer, NAME_MAX_BYTES, "group-%s-%d", container->kept_as, number);
        return buffer;
}

static const char *process_name(const char *kept_as, char buffer[static NAME_MAX_BYTES])
{
        (void)snprintf(buffer, NAME_MAX_BYTES, "process-%s", kept_as);
        return buffer;
}

static void keep(Broker *broker, const char *name, int fd)
{
        if (broker->store && broker->store->fd_keep)
                broker->store->fd_keep(broker->store_userdata, name, fd);
}

static void forget(Broker *broker, const char *name)
{
        if (broker->store && broker->store->fd_forget)
                broker->store->fd_forget(broker->store_userdata, name);
}

/* -ENOENT where there is none of that name; any other -errno is of one that there is. */
static int take(Broker *broker, const char *name, int *ret_fd)
{
        if (!broker->store || !broker->store->fd_take)
                return -ENOENT;
        return broker->store->fd_take(broker->store_userdata, name, ret_fd);
}

/* It is not what its name says: by no means the file to go on with. */
static void refuse_kept(Broker *broker, const char *name, int error)
{
        forget(broker, name);
        broker_event(broker, EVENT_TROUBLE, NULL, NULL, "",
                     "The file %s that was kept over the restart is not what the records say (%s), and was "
                     "closed",
                     name, strerror(error));
}

/* --- processes --- */

void keep_holder(Broker *broker, Holder *holder, const char *lease_id)
{
        char name[NAME_MAX_BYTES];

        if (holder->kept)
                return;
        if (!holder->kept_as[0])
                (void)snprintf(holder->kept_as, sizeof(holder->kept_as), "%s", lease_id);
        holder->kept = true;
        keep(broker, process_name(holder->kept_as, name), holder->pidfd);
}

void keep_forget_holder(Broker *broker, Holder *holder)
{
        char name[NAME_MAX_BYTES];

        if (holder->kept)
                forget(broker, process_name(holder->kept_as, name));
        holder->kept = false;
}

int keep_take_process(Broker *broker, const LeaseRecord *record, int *ret_pidfd, ProcessFacts *ret_facts,
                      bool *ret_kept)
{
        Host *host = broker->host;
        _cleanup_close_ int pidfd = -EBADF;
        char name[NAME_MAX_BYTES];
        uint64_t start_time;
        bool kept;
        int r;

        r = record->process_kept_as[0] ? take(broker, process_name(record->process_kept_as, name), &pidfd)
                                       : -ENOENT;
        if (r < 0 && r != -ENOENT)
                return r;
        kept = r >= 0;
        if (kept) {
                r = host->ops->process_is(host, record->pid, pidfd);
                if (r == 0 || r == -EBADF) {
                        refuse_kept(broker, name, r == 0 ? ESRCH : -r);
                        pidfd = safe_close(pidfd);
                        kept = false;
                } else if (r < 0 && r != -ESRCH)
                        return r;
        }
        r = pidfd >= 0 ? 0 : host->ops->process_open(host, record->pid, &pidfd, &start_time);
        if (r >= 0)
                r = host_process_on_record(host, record->pid, pidfd, record->start_time, ret_facts);
        if (r == -ESRCH && kept)
                forget(broker, name);
        if (r < 0)
                return r;
        *ret_pidfd = TAKE_FD(pidfd);
        *ret_kept = kept;
        return 0;
}

/* --- containers --- */

/* A private iommufd is its holder's alone. */
static bool has_files(const Container *container)
{
        return container->kept_as[0] && (container->named || container->backend == POLICY_BACKEND_GROUP);
}

void keep_context(Broker *broker, Container *container)
{
        char name[NAME_MAX_BYTES];

        if (!has_files(container) || container->fd < 0 || container->fd_kept)
                return;
        container->fd_kept = true;
        keep(broker, context_name(container, name), container->fd);
}

void keep_group(Broker *broker, Container *container, size_t i)
{
        char name[NAME_MAX_BYTES];

        if (!has_files(container) || container->groups[i].kept)
                return;
        container->groups[i].kept = true;
        keep(broker, group_name(container, container->groups[i].number, name), container->groups[i].fd);
}

void keep_forget_context(Broker *broker, Container *container)
{
        char name[NAME_MAX_BYTES];

        if (container->fd_kept)
                forget(broker, context_name(container, name));
        container->fd_kept = false;
}

void keep_forget_group(Broker *broker, Container *container, size_t i)
{
        char name[NAME_MAX_BYTES];

        if (container->groups[i].kept)
                forget(broker, group_name(container, container->groups[i].number, name));
        container->groups[i].kept = false;
}

static int take_context(Broker *broker, Container *container)
{
        Host *host = broker->host;
        _cleanup_close_ int fd = -EBADF;
        char name[NAME_MAX_BYTES];
        int r;

        if (container->fd >= 0)
                return 0;
        r = take(broker, context_name(container, name), &fd);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = host->ops->context_check(host, container->backend, fd, &container->n_iova, container->iova);
        if (r == -EBADF) {
                container->n_iova = 0;
                refuse_kept(broker, name, -r);
                return 0;
        }
        if (r < 0)
                return r;
        container->fd = TAKE_FD(fd);
        container->fd_kept = true;
        return 0;
}

static int take_group(Broker *broker, Container *container, int number)
{
        Host *host = broker->host;
        _cleanup_close_ int fd = -EBADF;
        char name[NAME_MAX_BYTES];
        int r;

        if (number < 0 || container_group_fd(container, number) >= 0 ||
            container->n_groups == CONTAINER_GROUPS_MAX)
                return 0;
        r = take(broker, group_name(container, number, name), &fd);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = host->ops->group_check(host, number, fd);
        if (r == -EBADF) {
                refuse_kept(broker, name, -r);
                return 0;
        }
        if (r < 0)
                return r;
        container->groups[container->n_groups].number = number;
        container->groups[container->n_groups].kept = true;
        container->groups[container->n_groups++].fd = TAKE_FD(fd);
        return 0;
}

int keep_take_container(Broker *broker, Container *container, const Lease *lease, bool active)
{
        int r = 0;

        if (has_files(container)) {
                r = take_context(broker, container);
                for (size_t i = 0;
                     r >= 0 && i < lease->n_devices && container->backend == POLICY_BACKEND_GROUP; i++)
                        r = take_group(broker, container, lease->devices[i]->info.group);
        }
        if (r < 0 || !active)
                return r;
        container->lost |= container->fd < 0;
        for (size_t i = 0; i < lease->n_devices && container->backend == POLICY_BACKEND_GROUP; i++)
                container->lost |= container_group_fd(container, lease->devices[i]->info.group) < 0;
        return 0;
}
