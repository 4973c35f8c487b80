/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of libvfiobroker share and its users never see: the connection, the frame that every public
 * call has (begin, call, end), and the making of lease handles. */

#include <systemd/sd-bus.h>

#include "client-lib/vfiobroker.h"
#include "policy/util.h"

#define _public_ __attribute__((visibility("default")))

#define BROKER_NAME             "org.vfiobroker1"
#define BROKER_MANAGER_PATH     "/org/vfiobroker1"
#define BROKER_DEVICE_PREFIX    "/org/vfiobroker1/device"
#define BROKER_GROUP_PREFIX     "/org/vfiobroker1/group"
#define BROKER_CONTAINER_PREFIX "/org/vfiobroker1/container"
#define BROKER_LEASE_PREFIX     "/org/vfiobroker1/lease"
#define BROKER_MANAGER          "org.vfiobroker1.Manager"
#define BROKER_DEVICE           "org.vfiobroker1.Device"
#define BROKER_GROUP            "org.vfiobroker1.Group"
#define BROKER_CONTAINER        "org.vfiobroker1.Container"
#define BROKER_TENANT           "org.vfiobroker1.Tenant"
#define BROKER_LEASE            "org.vfiobroker1.Lease"

/* Time for a call that only asks, and for one that waits for drivers and resets. */
#define CALL_TIMEOUT_USEC      (25 * USEC_PER_SEC)
#define CALL_SLOW_TIMEOUT_USEC (60 * USEC_PER_SEC)

/* The connection. Owned by the caller's handle and by each lease of it; `bus` is NULL once the caller
 * closed. */
struct vfiobroker {
        size_t n_ref;
        sd_bus *bus;
        sd_bus_error error;
        struct vfiobroker_error last_error;
        bool listens;           /* event.c: signals are picked out */
        sd_bus_message **heard; /* those that were, owned */
        size_t n_heard;
        char *owner, *stranger; /* senders that were found to be the broker, and not to be */
};

/* A handle on a connection that is up; the bus is the handle's where 0 is returned. */
int broker_new(sd_bus *bus, struct vfiobroker **ret);
struct vfiobroker *broker_ref(struct vfiobroker *broker);
struct vfiobroker *broker_unref(struct vfiobroker *broker);

/* Opens a public call: forgets the last error. -EINVAL for NULL, -ENOTCONN where the connection was closed.
 */
int broker_begin(struct vfiobroker *broker);

/* Closes a public call with its result: returns it, and where it is an error publishes the error's name and
 * text, those of errno where nobody set better ones. */
int broker_end(struct vfiobroker *broker, int r);

/* Sets the name and text of a local error, and is -error: a macro, so that compilers know that it is
 * negative. */
#define broker_error(broker, error, ...) (broker_set_error(broker, error, __VA_ARGS__), -(error))
void broker_set_error(struct vfiobroker *broker, int error, const char *format, ...) _printf_(3, 4);

/* Makes a call to a method of the broker's object at `path`. */
int broker_call_new(struct vfiobroker *broker, const char *path, const char *interface, const char *member,
                    sd_bus_message **ret);

/* Sends and waits. A refusal becomes its errno by errors.c and stays in broker->error. ret_reply may be
 * NULL. The reply must have the signature, else -EBADMSG. */
int broker_call(struct vfiobroker *broker, sd_bus_message *call, uint64_t timeout_usec,
                const char *signature, sd_bus_message **ret_reply);

/* A quick call with one string. */
int broker_ask(struct vfiobroker *broker, const char *path, const char *interface, const char *member,
               const char *argument, const char *signature, sd_bus_message **ret);

/* Asks a Manager method (GetDevice, GetLease) where the object of that id is: that is where one that the caller may
 * not see is refused. *ret_path is the reply's. */
int broker_find(struct vfiobroker *broker, const char *getter, const char *id, sd_bus_message **ret_reply,
                const char **ret_path);

/* A Manager method with string arguments (NULL-terminated) and an answer that is empty. */
int broker_call_strings(struct vfiobroker *broker, const char *member, uint64_t timeout_usec,
                        const char *const *arguments);

/* As vfiobroker_get_device(), within a call. */
int broker_get_device(struct vfiobroker *broker, const char *id, struct vfiobroker_device **ret);

/* Release of the lease with that object path. */
int broker_release_path(struct vfiobroker *broker, const char *path);

/* The object path of a lease by its id or path: asked for by its id, so that what does not exist and what is not the
 * caller's get the broker's own answer, whichever of the two was given. *ret_path is the reply's. */
int broker_find_lease(struct vfiobroker *broker, const char *lease, sd_bus_message **ret_reply,
                      const char **ret_path);

/* Makes the call that gives back what `reply` brought and could not be used, and keeps the error that says why. The
 * reply is freed first: it owns fds of the devices too, and the broker waits for the last one. Should this fail as
 * well, the devices go with their process. */
void broker_undo(struct vfiobroker *broker, sd_bus_message **reply, sd_bus_message *call);

/* The id in a path below `prefix`; "" for "/". -EBADMSG for a path elsewhere. The caller frees. */
int path_to_id(const char *path, const char *prefix, char **ret);

/* The errno (positive) that a D-Bus error stands for. */
int error_to_errno(const sd_bus_error *error);

DEFINE_CLEANUP(struct vfiobroker_lease *, vfiobroker_lease_free)
DEFINE_CLEANUP(struct vfiobroker_device *, vfiobroker_device_free)

/* The handle of a lease: see lease.c. */
struct vfiobroker_lease {
        struct vfiobroker *broker; /* one reference */
        char *id;
        char *path;
        char *backend;
        struct vfiobroker_fd *fds; /* owned, fds and ids; fd -1 once taken */
        size_t n_fds;
        bool released;
};

/* A lease handle without fds; takes a reference of the broker. */
int lease_new(struct vfiobroker *broker, const char *path, const char *backend,
              struct vfiobroker_lease **ret);

/* Adds the rows of an a(ssh), with duplicates of the fds, which stay the message's. Refuses (-EPROTO) an unknown kind
 * and an fd that is no character device open for reading and writing, with the text set. */
int lease_read_fds(struct vfiobroker_lease *lease, sd_bus_message *m);

/* Whether the rows from `first` are what a lease, or for first > 0 an addition to one, of `devices` must have; -EPROTO
 * with the text set. devices NULL: any. */
int lease_check(struct vfiobroker_lease *lease, size_t first, const char *const *devices);

/* Closes the fd of a row where it was not taken, last row first. */
void lease_close_fd(struct vfiobroker_lease *lease, size_t index);

/* Closes and forgets the rows from `first`. */
void lease_truncate(struct vfiobroker_lease *lease, size_t first);

/* Whether an argument names a device itself, and not one of a group or pool. */
bool is_device_id(const char *device);
