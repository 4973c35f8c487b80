/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Containers: finding, making and joining them, and letting go of what the kernel keeps pinned. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/keep.h"

static void make_key(char ret[static sizeof(((Container *)0)->key)], const char *tenant, const char *name)
{
        (void)snprintf(ret, sizeof(((Container *)0)->key), "%s/%s", tenant, name);
}

Container *broker_container(Broker *broker, const char *tenant, const char *name)
{
        char key[sizeof(((Container *)0)->key)];
        Container *container;

        make_key(key, tenant, name);
        HASH_FIND_STR(broker->containers, key, container);
        return container;
}

static bool uses(const Lease *lease, const Container *container)
{
        return lease->container == container && lease->state != LEASE_RECLAIMING;
}

bool container_in_use(Broker *broker, const Container *container, const Lease *except)
{
        for (const Lease *lease = broker->leases; lease; lease = lease->hh.next)
                if (lease != except && uses(lease, container))
                        return true;
        return false;
}

static bool needs_group(Broker *broker, const Container *container, int number)
{
        for (const Lease *lease = broker->leases; lease; lease = lease->hh.next) {
                if (!uses(lease, container))
                        continue;
                for (size_t i = 0; i < lease->n_devices; i++)
                        if (lease->devices[i]->info.group == number)
                                return true;
        }
        return false;
}

static void close_all(Broker *broker, Container *container)
{
        keep_forget_context(broker, container);
        container->fd = safe_close(container->fd);
        for (size_t i = 0; i < container->n_groups; i++) {
                keep_forget_group(broker, container, i);
                (void)safe_close(container->groups[i].fd);
        }
        container->n_groups = 0;
        container->n_iova = 0;
        container->kept_as[0] = 0;
}

static int container_new(Broker *broker, const char *tenant, const char *name, bool named, Container **ret)
{
        Container *container = calloc(1, sizeof(*container));

        if (!container)
                return -ENOMEM;
        container->fd = -EBADF;
        container->named = named;
        (void)snprintf(container->tenant, sizeof(container->tenant), "%s", tenant);
        (void)snprintf(container->name, sizeof(container->name), "%s", name);
        make_key(container->key, container->tenant, container->name);
        HASH_ADD_STR(broker->containers, key, container);
        if (!container->hh.tbl) {
                free(container);
                return -ENOMEM;
        }
        *ret = container;
        return 0;
}

void container_notify(Broker *broker, Container *container)
{
        if (!container->hidden)
                NOTIFY(broker, container_changed, container);
}

/* Out of the table, whose name is free for another one; what still has a reference keeps it alive. */
static void container_hide(Broker *broker, Container *container)
{
        NOTIFY(broker, container_removed, container);
        HASH_DEL(broker->containers, container);
        container->hidden = true;
        container->declared = false;
}

static void container_gc(Broker *broker, Container *container)
{
        if (container->n_leases > 0)
                return;
        close_all(broker, container);
        if (container->declared) {
                container->backend = container->declared_backend;
                container_notify(broker, container);
                return;
        }
        if (!container->hidden)
                container_hide(broker, container);
        free(container);
}

/* The container to use under that name: the one that leases use, or one that is empty. What is left of one that is over
 * is not to be had: it may be of another backend, and still have the memory of a process that is dead. It lives on, out
 * of sight, for the leases that are still reclaimed. */
static int container_of_name(Broker *broker, const char *tenant, const char *name, bool named,
                             Container **ret)
{
        Container *old = broker_container(broker, tenant, name), *container;
        int r;

        if (old && (old->n_leases == 0 || container_in_use(broker, old, NULL))) {
                *ret = old;
                return 0;
        }
        r = container_new(broker, tenant, name, named, &container);
        if (r < 0)
                return r;
        if (old) {
                container->declared = old->declared;
                container->declared_backend = old->declared_backend;
                container_hide(broker, old);
        }
        NOTIFY(broker, container_added, container);
        *ret = container;
        return 0;
}

Container *container_ref(Broker *broker, Container *container)
{
        container->n_leases++;
        container_notify(broker, container);
        return container;
}

int container_get(Broker *broker, const char *tenant, const char *name, const char *lease_id,
                  unsigned backend, Container **ret)
{
        Container *container = broker_container(broker, tenant, name ?: lease_id);
        int r;

        /* That a name is not one of a lease in use, the plan has seen. */
        if (!name && container && container_in_use(broker, container, NULL))
                return -EEXIST; /* of 2^48 ids, the one that a container has for a name */
        r = container_of_name(broker, tenant, name ?: lease_id, name != NULL, &container);
        if (r < 0)
                return r;
        if (container->n_leases == 0) {
                container->backend = backend;
                container->lost = false;
                r = broker->host->ops->context_open(broker->host, backend, &container->fd);
                if (r < 0) {
                        container_gc(broker, container);
                        return r;
                }
                (void)snprintf(container->kept_as, sizeof(container->kept_as), "%s", lease_id);
                keep_context(broker, container);
        }
        *ret = container_ref(broker, container);
        return 0;
}

static const PolicyContainer *declaration_of(const Policy *policy, const Container *container)
{
        for (size_t i = 0; i < policy->n_containers; i++)
                if (streq(policy->containers[i].name, container->name) &&
                    streq(policy->containers[i].tenant, container->tenant))
                        return policy->containers + i;
        return NULL;
}

int container_declare_all(Broker *broker, const Policy *policy)
{
        for (size_t i = 0; i < policy->n_containers; i++) {
                const PolicyContainer *wanted = policy->containers + i;
                Container *container;
                int r;

                if (broker_container(broker, wanted->tenant, wanted->name))
                        continue;
                r = container_new(broker, wanted->tenant, wanted->name, true, &container);
                if (r < 0)
                        return r;
                container->declared = true;
                container->backend = container->declared_backend = wanted->backend;
                NOTIFY(broker, container_added, container);
        }
        /* And what is said of those that are there, now that nothing can fail. */
        for (size_t i = 0; i < policy->n_containers; i++) {
                const PolicyContainer *wanted = policy->containers + i;
                Container *container = broker_container(broker, wanted->tenant, wanted->name);

                if (!container->named)
                        continue; /* a lease's id, of all names */
                container->declared = true;
                container->declared_backend = wanted->backend;
        }
        return 0;
}

void container_undeclare(Broker *broker, const Policy *policy)
{
        Container *container, *next;

        HASH_ITER(hh, broker->containers, container, next) {
                if (policy && declaration_of(policy, container))
                        continue;
                container->declared = false;
                container->declared_backend = 0;
                container_gc(broker, container);
        }
}

int container_restore(Broker *broker, const char *tenant, const char *name, bool named, unsigned backend,
                      const char *kept_as, Container **ret)
{
        Container *container = broker_container(broker, tenant, name);
        int r = 0;

        /* Leases that reclaim come first: the name is still that of the context which they share with those that go on. */
        if (!container || !kept_as[0] || !streq(container->kept_as, kept_as))
                r = container_of_name(broker, tenant, name, named, &container);
        if (r < 0)
                return r;
        if (container->n_leases == 0) {
                container->backend = backend;
                container->lost = false;
                (void)snprintf(container->kept_as, sizeof(container->kept_as), "%s", kept_as);
        }
        *ret = container_ref(broker, container);
        return 0;
}

Container *container_unref(Broker *broker, Container *container)
{
        if (!container)
                return NULL;
        container->n_leases--;
        if (container->n_leases > 0)
                container_notify(broker, container);
        else
                container_gc(broker, container);
        return NULL;
}

int container_group_fd(const Container *container, int number)
{
        for (size_t i = 0; i < container->n_groups; i++)
                if (container->groups[i].number == number)
                        return container->groups[i].fd;
        return -EBADF;
}

int container_take_groups(Broker *broker, Container *container, const Job *job, JobResult *result)
{
        for (size_t i = 0; i < job->n_groups; i++) {
                if (result->group_fds[i] < 0)
                        continue;
                if (container->n_groups == CONTAINER_GROUPS_MAX)
                        return -E2BIG;
                container->groups[container->n_groups].number = job->groups[i].number;
                container->groups[container->n_groups].kept = false;
                container->groups[container->n_groups].fd = TAKE_FD(result->group_fds[i]);
                keep_group(broker, container, container->n_groups++);
        }
        if (result->n_iova > 0) {
                container->n_iova = result->n_iova;
                memcpy(container->iova, result->iova, sizeof(container->iova));
        }
        return 0;
}

void container_delivered(Container *container)
{
        if (!container->named && container->backend == POLICY_BACKEND_IOMMUFD)
                container->fd = safe_close(container->fd);
}

bool container_release(Broker *broker, const Lease *lease, Job *job)
{
        Container *container = lease->container;
        bool told = false;

        job->backend = lease->backend;
        for (size_t i = 0; i < container->n_groups; i++) {
                if (needs_group(broker, container, container->groups[i].number) ||
                    job->n_groups == JOB_DEVICES_MAX)
                        continue;
                job_group(job, container->groups[i].number)->fd = container->groups[i].fd;
                told |= container->groups[i].kept;
                keep_forget_group(broker, container, i);
        }
        if (!container_in_use(broker, container, lease)) {
                job->context = container->fd;
                told |= container->fd_kept;
                keep_forget_context(broker, container);
        }
        return told;
}

void container_released(Container *container, const Job *job)
{
        size_t kept = 0;

        for (size_t i = 0; i < container->n_groups; i++) {
                bool given = false;

                for (size_t k = 0; k < job->n_groups; k++)
                        given |= job->groups[k].fd == container->groups[i].fd;
                if (given)
                        (void)safe_close(container->groups[i].fd);
                else
                        container->groups[kept++] = container->groups[i];
        }
        container->n_groups = kept;
        if (job->context >= 0)
                container->fd = safe_close(container->fd);
        if (kept == 0)
                container->n_iova = 0;
}
