/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A container: one I/O address space, which the devices of one or several leases of one tenant share. In the kernel it is
 * an iommufd, or a type1 (or sPAPR TCE) container with the groups that are in it. A private one has one lease and its
 * name; a named one is made by the first lease that names it, joined by others of the same tenant, and its context lives
 * until the last of them has ended. Names are each tenant's own: two tenants may use the same and never know.
 *
 * What it keeps open: the context of a named one, for those who join; with the group backend the context and the groups'
 * files, which the kernel wants to stay open anyway. They pin the memory of the process that mapped it, so they are
 * given to the worker of the reclaim and closed in the instant the last lease that needs them ends. Event loop only. */

#include <uthash.h>

#include "daemon/core/lease.h"

#define CONTAINER_NAME_MAX   127 /* bytes, without the NUL */
#define CONTAINER_GROUPS_MAX 256

typedef struct Container {
        char key[2 * (CONTAINER_NAME_MAX + 1)]; /* "TENANT/NAME"; no name has a slash */
        char name[CONTAINER_NAME_MAX + 1];
        char tenant[CONTAINER_NAME_MAX + 1];
        bool named;
        bool declared;              /* by policy: it stays without leases */
        unsigned declared_backend;  /* POLICY_BACKEND_*, 0: any */
        unsigned backend;           /* POLICY_BACKEND_* */
        int fd;                     /* owned: the context, or -EBADF where it is not kept, or lost */
        bool fd_kept;               /* core/keep.h: with the service manager too */
        char kept_as[LEASE_ID_MAX]; /* its files' names there; "" = none */
        bool hidden; /* in no table any more: its leases are all being reclaimed, and its name is another's */
        bool lost;   /* leases use a file that went with an earlier life of the daemon: none can join */
        size_t n_groups; /* group backend: groups in the container */
        struct {
                int number;
                int fd;    /* owned */
                bool kept; /* as fd_kept */
        } groups[CONTAINER_GROUPS_MAX];
        size_t n_iova; /* group backend: what it can map; 0 = not known */
        struct IovaRange iova[IOVA_RANGES_MAX];
        unsigned n_leases; /* references */
        UT_hash_handle hh; /* in Broker.containers, by key */
} Container;

/* NULL where there is none. */
Container *broker_container(Broker *broker, const char *tenant, const char *name);

/* Whether a lease uses it: one that is not over. `except` does not count; it may be NULL. */
bool container_in_use(Broker *broker, const Container *container, const Lease *except);

/* The container of the lease, one reference, made where there is none; an open context where it needs one (`fd`).
 * `name` NULL: private. 0 or a negative errno. The lease is in no table yet. */
int container_get(Broker *broker, const char *tenant, const char *name, const char *lease_id,
                  unsigned backend, Container **ret);
/* The policy in force has changed: what it declares is there, what it declares no more goes with its last lease. -ENOMEM
 * with nothing changed but what was declared in addition. */
int container_declare_all(Broker *broker, const Policy *policy);
void container_undeclare(Broker *broker, const Policy *policy);

/* One reference more, for a lease that adds devices to one that has it. */
Container *container_ref(Broker *broker, Container *container);
/* The same after a restart: the one whose files are kept under that name (core/keep.h), else as container_get(). Its
 * files are taken back by keep_take_container(). */
int container_restore(Broker *broker, const char *tenant, const char *name, bool named, unsigned backend,
                      const char *kept_as, Container **ret);
/* Its leases have changed. */
void container_notify(Broker *broker, Container *container);
Container *container_unref(Broker *broker, Container *container);

/* Takes the files over of the groups that an OPEN has put into the container, rows as in `job`. */
int container_take_groups(Broker *broker, Container *container, const Job *job, JobResult *result);

/* The file of the group in the container, borrowed, or -EBADF. */
int container_group_fd(const Container *container, int number);

/* After the fds went out: the context of a private iommufd is its holder's alone. */
void container_delivered(Container *container);

/* Fills a RECLAIM job with what no lease but this one needed: files of groups, and the context. Still the container's,
 * until the job has begun and container_released() closes them here; but no more the next daemon's. True where the service
 * manager was told so, which takes it a moment. */
bool container_release(Broker *broker, const Lease *lease, Job *job);
void container_released(Container *container, const Job *job);
