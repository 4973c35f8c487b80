/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef VFIOBROKER_H
#define VFIOBROKER_H

/* libvfiobroker: devices for VFIO, from the broker that owns them. A process that may open nothing under
 * /dev asks for devices by name and gets file descriptors, ready for VFIO_DEVICE_BIND_IOMMUFD.
 *
 *     struct vfiobroker_acquire_options options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;
 *     const char *const devices[] = { "0000:01:00.0", NULL };
 *     struct vfiobroker *broker;
 *     struct vfiobroker_lease *lease;
 *
 *     options.memlock = guest_ram_bytes;
 *     if (vfiobroker_open_system(&broker) < 0 || vfiobroker_acquire(broker, devices, &options, &lease) < 0)
 *             …
 *     iommufd = vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_IOMMUFD, 0);
 *     device = vfiobroker_lease_find_fd(lease, VFIOBROKER_FD_DEVICE, 0);
 *
 * What holds for every function, where it does not say otherwise:
 *
 * Errors    A function that returns int returns 0 (or what it documents) or a negative errno. The errno of a
 *           refusal by the broker is listed in libvfiobroker(3); vfiobroker_last_error() has its name and
 *           text. errno itself is not set. -EINVAL is also a NULL or nonsense argument, -ENOMEM no memory,
 *           -ENOTCONN or -ECONNRESET a lost connection, -ETIMEDOUT no answer, -EBADMSG or -EPROTO an answer
 *           that the interface does not allow. "ret" arguments are set on success only.
 * Threads   One handle is for one thread at a time: the caller locks. Different handles are independent. A
 *           lease and the struct vfiobroker that it came from count as one handle.
 * Fork      Handles belong to the process that opened them. In a child every call fails with -ECHILD; the
 *           child may close and free.
 * Strings   Are UTF-8, never NULL in what the library gives out ("" where there is nothing), and belong to
 *           the object that holds them. They come from the broker, some from other users: escape what is not
 *           printable before a terminal sees it.
 * fds       The library only ever creates fds with O_CLOEXEC.
 * Structs   Those that the library allocates may get more members at the end: do not copy them by value. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vfiobroker;       /* a connection to the broker */
struct vfiobroker_lease; /* one grant of devices to one process, and its fds */

/* ===== Connection ===== */

/* Connects to the system bus. The broker itself is started by the first call that needs it. */
int vfiobroker_open_system(struct vfiobroker **ret);

/* Connects to the bus at a D-Bus address, for tests and for a bus of one's own. */
int vfiobroker_open_bus_address(const char *address, struct vfiobroker **ret);

/* A session: a private connection to the broker, for which the bus is no longer needed. For a program that gives
 * up its access to the bus when it confines itself, that calls often, or that wants more devices in one call than
 * the bus carries (15). It is used as any other handle. The broker knows whoever calls on it as the caller of
 * this function, at this moment: user, groups, process, unit. The lifetime "connection" is the session's. It ends
 * when the handle is closed, and with the broker: calls fail with -ENOTCONN or -ECONNRESET then, and a new one is
 * to be opened from the bus.
 *
 * -EACCES: the caller has no tenant, or `broker` is a session itself. -ENOBUFS: its user has as many as may be. */
int vfiobroker_open_session(struct vfiobroker *broker, struct vfiobroker **ret);

/* The same in two steps, for a program that confines another one: the session's socket, to be handed on and the
 * caller's to close (O_CLOEXEC; or a negative errno as above) …  Who has it acts as the caller of this function:
 * its leases are that process's, and end with it. */
int vfiobroker_new_session(struct vfiobroker *broker);

/* … and a handle on it, in the program that has got it. The fd is the library's from now on, whatever is returned.
 * Blocks until the broker has answered. Only one handle can be made of a socket. */
int vfiobroker_open_fd(int fd, struct vfiobroker **ret);

/* Closes the connection and frees the handle; NULL is nothing. Leases live on: those with the lifetime
 * "process" until their process exits (the broker does not need the connection). Lease handles stay valid
 * and keep their fds, but vfiobroker_lease_release() on them returns -ENOTCONN. Always returns NULL. */
struct vfiobroker *vfiobroker_close(struct vfiobroker *broker);

struct vfiobroker_error {
        const char *name; /* D-Bus error name, "org.vfiobroker1.Error.DeniedByPolicy"; for a local error
                             "System.Error.EINVAL" and the like */
        const char *text; /* for people: what was refused, and why */
};

/* The error of the last call on this handle (or on a lease of it); both members are "" where it succeeded.
 * Valid until the next call on the handle. Never NULL; for a NULL handle both are "". */
const struct vfiobroker_error *vfiobroker_last_error(const struct vfiobroker *broker);

/* ===== Acquire ===== */

/* Start from VFIOBROKER_ACQUIRE_OPTIONS_INIT, which asks for nothing but the defaults. NULL leaves a choice
 * to the broker and its policy. A newer library reads an older program's struct by its size; an older
 * library refuses (-E2BIG) members that it does not know, unless they are zero. */
struct vfiobroker_acquire_options {
        size_t size;           /* sizeof(struct vfiobroker_acquire_options) */
        const char *tenant;    /* which tenant to act as, where policy maps the caller to several */
        const char *backend;   /* "iommufd", "group" or "auto" */
        uint64_t memlock;      /* bytes mapped for DMA at once; UINT64_MAX: the tenant's default */
        int pidfd;             /* the process that will use the devices, borrowed; -1: the caller */
        const char *lifetime;  /* "process", "connection" or (administrators) "explicit" */
        const char *container; /* name of an I/O address space to create or join; NULL: a private one */
        const char *label;     /* the VM's name, for people; at most 64 bytes */
        uint64_t wait_usec;    /* how long to wait for a device that is taken */
};

#define VFIOBROKER_ACQUIRE_OPTIONS_INIT                                                                     \
        {                                                                                                   \
                sizeof(struct vfiobroker_acquire_options), NULL, NULL, UINT64_MAX, -1, NULL, NULL, NULL, 0  \
        }

/* Asks for devices: a NULL-terminated array of device ids ("0000:01:00.0"), "group:N" or "pool:NAME[*K]".
 * Either all are granted or none. options may be NULL. Blocks until the broker has bound drivers and opened
 * the devices (at most a minute, and options->wait_usec).
 *
 * On success *ret is a new lease handle with every fd checked: count, kinds and order, and that each is a
 * character device open for reading and writing. Where an answer does not pass (-EPROTO), or this process
 * has no room for the fds (-EMFILE), the lease is released again before this returns. After -ETIMEDOUT the
 * broker may still grant the lease, to be ended with the process; vfiobroker_list_leases() shows it. */
int vfiobroker_acquire(struct vfiobroker *broker, const char *const *devices,
                       const struct vfiobroker_acquire_options *options, struct vfiobroker_lease **ret);

/* Asks whether vfiobroker_acquire() with the same arguments would be granted now; changes nothing. Returns 0
 * where it would, else the error that it would return, with its name and text in vfiobroker_last_error().
 * ret_text may be NULL; it is the rule that allowed it, for people, and the caller's to free(3). */
int vfiobroker_check_access(struct vfiobroker *broker, const char *const *devices,
                            const struct vfiobroker_acquire_options *options, char **ret_text);

/* One step of the way to a decision; strings are the library's, good during the call. */
struct vfiobroker_step {
        const char *name;  /* "identity", "tenant", "selector" …; org.vfiobroker1(5), Explain, has all */
        const char *about; /* the tenant or device that it is about, or "" */
        int passed;        /* 0: it refuses; only tenants that the caller is not are followed by more */
        const char *text;  /* why, for people */
};

/* As vfiobroker_check_access(), and calls `step` with userdata for each step of the way there, in order, before it
 * returns; `step` must not use the connection. */
int vfiobroker_explain(struct vfiobroker *broker, const char *const *devices,
                       const struct vfiobroker_acquire_options *options,
                       void (*step)(void *userdata, const struct vfiobroker_step *step), void *userdata,
                       char **ret_text);

/* ===== Lease ===== */

enum vfiobroker_fd_kind {
        VFIOBROKER_FD_IOMMUFD = 1,   /* an iommufd context, accounted to its process; id: container */
        VFIOBROKER_FD_CONTAINER = 2, /* a type1 container, groups attached and IOMMU set; id: container */
        VFIOBROKER_FD_GROUP = 3,     /* a VFIO group; id: its number */
        VFIOBROKER_FD_DEVICE = 4     /* a device, with the backend "iommufd" its unbound cdev; id: its id */
};

struct vfiobroker_fd {
        enum vfiobroker_fd_kind kind;
        const char *id;
        int fd; /* -1 once taken */
};

/* The lease's id, and its D-Bus object path. */
const char *vfiobroker_lease_id(const struct vfiobroker_lease *lease);
const char *vfiobroker_lease_path(const struct vfiobroker_lease *lease);

/* "iommufd" or "group". */
const char *vfiobroker_lease_backend(const struct vfiobroker_lease *lease);

/* The fds, in this order: the iommufd or container; groups; devices, in the order in which they were asked
 * for; then what was added, groups before devices for each call. The row itself is valid until devices are
 * added or removed, or the lease is freed. The fd in it is borrowed: it is open until it is taken, its device
 * is removed, or the lease is released or freed. NULL for index past the end.
 *
 * A group's fd is there only with the backend "group", and only where the lease holds every device of the
 * group that can be passed: it is power over all of them. With it and the container's fd KVM and a hot reset
 * can be had. Groups are in the container and its IOMMU is set: DMA can be mapped at once. */
size_t vfiobroker_lease_n_fds(const struct vfiobroker_lease *lease);
const struct vfiobroker_fd *vfiobroker_lease_fd(const struct vfiobroker_lease *lease, size_t index);

/* The fd of the nth (from 0) row of that kind, borrowed; -ENOENT where there is none, -EBADF where it was
 * taken. */
int vfiobroker_lease_find_fd(const struct vfiobroker_lease *lease, enum vfiobroker_fd_kind kind, size_t nth);

/* As the row's fd, and the caller owns it from now on. -ENOENT past the end, -EBADF where it was taken
 * already. */
int vfiobroker_lease_take_fd(struct vfiobroker_lease *lease, size_t index);

/* Ends the lease: first closes the fds that were not taken, then tells the broker, which takes the devices
 * back as soon as nobody has them open: so unmap and close what was taken first. The handle is still to be
 * freed. -ENXIO where the lease has ended before; the fds are closed whatever is returned. */
int vfiobroker_lease_release(struct vfiobroker_lease *lease);

/* Hot plug: asks for more devices, as vfiobroker_acquire(), and adds them to the lease and to its container. All
 * or none; where none, the lease is as it was. *ret_first (NULL: not wanted) is the index of the first new row; the new rows
 * are groups that the lease now holds the whole of, then devices. There is no new iommufd or container: the
 * devices are for the one that the lease has. What they may lock besides is what the lease has committed: ask
 * for enough at first. Blocks as vfiobroker_acquire() does.
 *
 * -EINVAL with ContainerIncompatible: their IOMMU cannot join the container. -ENOBUFS: more devices than one
 * lease can have; another lease with the same named container takes them. -ENXIO: the lease has ended. Where
 * the answer does not pass (-EPROTO, -EMFILE), the devices have been given back. */
int vfiobroker_lease_add(struct vfiobroker_lease *lease, const char *const *devices, size_t *ret_first);

/* Hot unplug: gives devices of the lease back, by their ids; the others go on, and so does the container. First
 * closes the fds of these devices, and of their groups, that were not taken, then tells the broker, which
 * takes a device back as soon as nobody has it open: so unmap and close what was taken first, a group's fd
 * too. On success their rows are gone.
 *
 * -ENODEV: not a device of the lease, nothing was changed. -EINVAL: it would be the last device; that is
 * vfiobroker_lease_release(). After any other error the fds are closed, and their rows stay, as if taken. */
int vfiobroker_lease_remove(struct vfiobroker_lease *lease, const char *const *devices);

/* Fresh fds for a lease that there is, by its id or object path (VFIOBROKER_LEASE in the environment that
 * `vfiobrokerctl exec` makes): for a program that replaces itself, or one that hands its devices to its
 * successor, while the devices pass through nobody else's hands. For the lease's own process, its tenant and
 * administrators.
 *
 * *ret is a new handle, as vfiobroker_acquire() makes it: a new iommufd with nothing mapped, or with the
 * backend "group" or in a named container the same context; and each device opened once more. The kernel
 * binds a device to one iommufd at a time, so close the old fd before the new one is bound (-EINVAL from
 * VFIO_DEVICE_BIND_IOMMUFD says that it is still open). Older handles of the lease keep their fds and stay
 * valid. -ENXIO: no such lease, or it is not active. */
int vfiobroker_reissue(struct vfiobroker *broker, const char *lease, struct vfiobroker_lease **ret);

/* Frees the handle and closes the fds that were not taken; NULL is nothing. Does not release: the lease
 * lasts as its lifetime says. Always returns NULL. */
struct vfiobroker_lease *vfiobroker_lease_free(struct vfiobroker_lease *lease);

/* ===== What the broker tells the holder ===== */

enum vfiobroker_event_kind {
        VFIOBROKER_EVENT_REVOKE_REQUESTED =
                1, /* give `devices` back before `deadline_usec`: by vfiobroker_lease_remove(), or
                                                  vfiobroker_lease_release() where these are all; else the process may be
                                                  killed then, as policy says */
        VFIOBROKER_EVENT_ENDED = 2, /* the lease is over */
};

struct vfiobroker_event {
        int kind;                   /* enum vfiobroker_event_kind; ignore those that you do not know */
        const char *lease;          /* id */
        const char *path;           /* object path, as vfiobroker_lease_path() has it */
        const char *const *devices; /* ids, NULL-terminated; none where the lease has ended */
        /* Of an end: "released", "process-exited", "connection-closed", "revoked" or "device-removed". Of a request,
         * "device-removed" where the kernel waits for the fds to be closed: the devices, and a lease of them alone, may
         * be gone then before they can be given back (-ENODEV, -ENXIO). Else for people. */
        const char *reason;
        uint64_t deadline_usec; /* CLOCK_MONOTONIC */
};

/* The fd to poll for POLLIN: then, and after each other call on the handle (which may have read what came meanwhile), call
 * vfiobroker_next_event() until it returns 0. The fd is the connection's; do not read or close it. Who never asks for
 * events needs none of this. */
int vfiobroker_get_fd(struct vfiobroker *broker);

/* 1 with an event of a lease of this process, to be freed with the function below; 0 where there is none. Waits for nobody
 * but, when it is called first and for the first event after a restart of the broker, for the bus, which is asked who the
 * broker is: a signal that another user made up is not given out. -EBADMSG: the event was none that this library knows. */
int vfiobroker_next_event(struct vfiobroker *broker, struct vfiobroker_event **ret);
struct vfiobroker_event *vfiobroker_event_free(struct vfiobroker_event *event);

/* ===== What there is ===== */

struct vfiobroker_device_entry {
        const char *id;
        const char *bus; /* "pci", "mdev", … */
        const char *description;
        const char *driver; /* bound now */
        int64_t group;      /* IOMMU group number, -1 for none */
        const char *state;  /* "host", "binding", "available", "leased", "reclaiming", "quarantined" or
                               "gone" */
        const char *lease;  /* id of the caller's lease that holds it */
};

struct vfiobroker_device_list {
        size_t n;
        const struct vfiobroker_device_entry *const *devices;
};

/* The devices that the caller's tenants may use; administrators see all. Free with the function below (NULL
 * is nothing, returns NULL); independent of the connection. */
int vfiobroker_list_devices(struct vfiobroker *broker, struct vfiobroker_device_list **ret);
struct vfiobroker_device_list *vfiobroker_device_list_free(struct vfiobroker_device_list *list);

struct vfiobroker_lease_entry {
        const char *id;
        const char *path;
        const char *tenant;
        const char *label;
        const char *backend;
        uint32_t pid;
        uint64_t memlock; /* bytes committed */
};

struct vfiobroker_lease_list {
        size_t n;
        const struct vfiobroker_lease_entry *const *leases;
};

/* The leases of the caller's tenants; administrators see all. Otherwise as vfiobroker_list_devices(). */
int vfiobroker_list_leases(struct vfiobroker *broker, struct vfiobroker_lease_list **ret);
struct vfiobroker_lease_list *vfiobroker_lease_list_free(struct vfiobroker_lease_list *list);

/* A range of I/O addresses. */
struct vfiobroker_range {
        uint64_t start, end; /* both included */
        const char
                *type; /* of a reserved region: "direct", "direct-relaxable", "msi", "reserved"; else "" */
};

/* An IOMMU group: the devices that the IOMMU cannot tell apart. It belongs to one tenant at a time. */
struct vfiobroker_group_entry {
        uint32_t number;
        const char *type; /* of its default IOMMU domain: "DMA", "DMA-FQ", "identity", …; "" where unknown */
        int viable;       /* 0: it cannot be given away, for the reasons in: */
        const char *const *blockers; /* this and the next: NULL-terminated arrays */
        const char *const *devices;  /* ids, those included that cannot be passed, such as bridges */
        const char *container;       /* the name of the container it is in, where the caller may see it */
        const char *tenant;          /* who has a device of it, where the caller may know */
        const struct vfiobroker_range *reserved; /* addresses that cannot be mapped */
        size_t n_reserved;
};

struct vfiobroker_group_list {
        size_t n;
        const struct vfiobroker_group_entry *const *groups;
};

/* The groups of the devices that the caller's tenants may use, in no order; administrators see all. Otherwise
 * as vfiobroker_list_devices(). */
int vfiobroker_list_groups(struct vfiobroker *broker, struct vfiobroker_group_list **ret);
struct vfiobroker_group_list *vfiobroker_group_list_free(struct vfiobroker_group_list *list);

/* A container: one I/O address space, and one trust domain. Whatever one of its users maps, the devices of all
 * of them reach. */
struct vfiobroker_container_entry {
        const char *name;    /* as it was named, or the id of its one lease */
        const char *backend; /* "iommufd" or "group" */
        const char *tenant;
        const char *const *groups;           /* this and the next: NULL-terminated arrays; numbers */
        const char *const *leases;           /* ids */
        const struct vfiobroker_range *iova; /* what can be mapped, where a context told; else empty */
        size_t n_iova;
};

struct vfiobroker_container_list {
        size_t n;
        const struct vfiobroker_container_entry *const *containers;
};

/* The containers of the caller's tenants, in no order; administrators see all. Otherwise as
 * vfiobroker_list_devices(). */
int vfiobroker_list_containers(struct vfiobroker *broker, struct vfiobroker_container_list **ret);
struct vfiobroker_container_list *vfiobroker_container_list_free(struct vfiobroker_container_list *list);

/* UINT32_MAX and UINT64_MAX stand for "not limited". */
struct vfiobroker_tenant_entry {
        const char *name;
        uint32_t devices_leased, devices_max;
        uint32_t leases_max;
        const char *const *leases;  /* ids, NULL-terminated */
        uint64_t memlock_committed; /* bytes, of all leases */
        uint64_t memlock_used;      /* bytes that their processes have locked at this moment */
        uint64_t memlock_max;       /* bytes */
};

struct vfiobroker_tenant_list {
        size_t n;
        const struct vfiobroker_tenant_entry *const *tenants;
};

/* The tenants that the caller is, in no order; administrators see all. Otherwise as vfiobroker_list_devices(). */
int vfiobroker_list_tenants(struct vfiobroker *broker, struct vfiobroker_tenant_list **ret);
struct vfiobroker_tenant_list *vfiobroker_tenant_list_free(struct vfiobroker_tenant_list *list);

/* A lease as the broker has it, whoever's handle it is. */
struct vfiobroker_lease_info {
        const char *tenant;
        const char *label;
        const char *backend;
        const char *container;      /* name; "" where it has no object */
        const char *const *devices; /* ids, NULL-terminated */
        uint32_t pid;
        uint32_t uid;
        const char *unit;              /* systemd unit of the process */
        uint64_t memlock_limit;        /* bytes that the lease commits */
        uint64_t memlock_used;         /* bytes that the process has locked, all its leases together */
        uint64_t since_usec;           /* CLOCK_REALTIME */
        const char *state;             /* "opening", "active", "revoking" or "reclaiming" */
        uint64_t revoke_deadline_usec; /* CLOCK_MONOTONIC, where it is "revoking"; else 0 */
        const char *policy_refusal;    /* why the policy in force would not grant it; "" where it would */
};

/* Everything about one lease, by its id or object path. Free with the function below (NULL is nothing, returns
 * NULL); independent of the connection. -ENXIO also where the caller may not see it. */
int vfiobroker_get_lease(struct vfiobroker *broker, const char *lease, struct vfiobroker_lease_info **ret);
struct vfiobroker_lease_info *vfiobroker_lease_info_free(struct vfiobroker_lease_info *info);

struct vfiobroker_device {
        const char *id;
        const char *bus;
        const char *description;
        uint16_t vendor, product, subsystem_vendor, subsystem_product; /* PCI, else 0 */
        uint32_t class_code;                                           /* 24 bits, PCI */
        const char *driver;
        const char *vfio_driver;              /* the best VFIO driver for it */
        int64_t group;                        /* -1 for none */
        int32_t numa_node;                    /* -1 where unknown */
        const char *const *reset_methods;     /* this and the next two: NULL-terminated arrays */
        const char *const *reset_set;         /* ids of the devices that a bus reset of it also resets */
        const char *const *virtual_functions; /* ids */
        uint32_t virtual_functions_max;
        const char *physical_function; /* id, where this is a virtual function */
        const char *state;
        const char *state_reason;
        const char *lease;        /* id */
        uint64_t last_reset_usec; /* CLOCK_REALTIME; 0 for never */
        const char *last_reset;   /* its result */
};

/* Everything about one device. Free with the function below (NULL is nothing, returns NULL); independent of
 * the connection. -ENODEV also where the caller may not see it. */
int vfiobroker_get_device(struct vfiobroker *broker, const char *id, struct vfiobroker_device **ret);
struct vfiobroker_device *vfiobroker_device_free(struct vfiobroker_device *device);

/* ===== For people who look after the host ===== */

struct vfiobroker_host {
        const char *version;         /* the broker's */
        const char *const *backends; /* this and the next array: NULL-terminated */
        const char *const
                *unsafe_interrupts;      /* modules that take devices whose interrupts are not isolated */
        const char *iommu;               /* "intel-iommu", "amd-iommu", "virtio_iommu" …; "" for none */
        const char *interrupt_isolation; /* "isolated", "not-isolated" or "unknown" */
        int no_iommu;                    /* 1: VFIO gives out devices that no IOMMU holds back */
};

/* What keeps devices apart on this host, for anybody. Free with the function below (NULL is nothing, returns
 * NULL); independent of the connection. */
int vfiobroker_get_host(struct vfiobroker *broker, struct vfiobroker_host **ret);
struct vfiobroker_host *vfiobroker_host_free(struct vfiobroker_host *host);

/* Ends a lease by its id or object path; the holder's tenant and administrators may. -ENXIO: no such lease.
 */
int vfiobroker_release(struct vfiobroker *broker, const char *lease);

/* Asks the holder of a lease, by its id or object path, for all that it has; for administrators. The holder hears of it
 * (signal RevokeRequested of its lease) and has grace_usec microseconds to release it, one day at most, UINT64_MAX for what
 * the policy says; then what the tenant's `revoke` says happens to its process. Called again, the new time counts. `reason`,
 * at most 64 bytes, is for the holder and the journal; NULL for none. Returns once the holder has been asked. -ENXIO: no
 * such lease; -EACCES: you are no administrator; -EINVAL: the time or the reason. */
int vfiobroker_revoke(struct vfiobroker *broker, const char *lease, uint64_t grace_usec, const char *reason);

/* The rest is for administrators; others get -EACCES. */

/* Resets a device that nobody holds; the way out of the state "quarantined". */
int vfiobroker_reset_device(struct vfiobroker *broker, const char *id);

/* Binds a device to a driver ("": the best VFIO driver), or takes its driver away. */
int vfiobroker_bind_device(struct vfiobroker *broker, const char *id, const char *driver);
int vfiobroker_unbind_device(struct vfiobroker *broker, const char *id);

/* Gives a physical function on its host driver `count` virtual functions, 0 for none. Where it has another
 * number of them, all are taken away first. -EBUSY while any is leased, or open elsewhere; -EINVAL where the
 * device cannot have so many; -EIO where it is not on its own driver, or that fails. Blocks until the new
 * devices can be asked for; they have no driver. */
int vfiobroker_set_virtual_functions(struct vfiobroker *broker, const char *id, uint32_t count);

/* Reads the policy again. -EINVAL: it has errors, listed in vfiobroker_last_error(); the old one stays in
 * force. */
int vfiobroker_reload(struct vfiobroker *broker);

#ifdef __cplusplus
}
#endif

#endif
