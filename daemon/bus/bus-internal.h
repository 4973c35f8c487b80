/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the bus layer share: struct Bus, the objects that callbacks get, paths, and the named limits. */

#include <systemd/sd-bus.h>

#include "daemon/bus/bus.h"
#include "daemon/bus/errors.h"

#define BUS_NAME           "org.vfiobroker1"
#define BUS_ROOT           "/org/vfiobroker1"
#define BUS_DEVICE_ROOT    "/org/vfiobroker1/device"
#define BUS_GROUP_ROOT     "/org/vfiobroker1/group"
#define BUS_CONTAINER_ROOT "/org/vfiobroker1/container"
#define BUS_LEASE_ROOT     "/org/vfiobroker1/lease"
#define BUS_TENANT_ROOT    "/org/vfiobroker1/tenant"

#define BUS_MANAGER_INTERFACE   "org.vfiobroker1.Manager"
#define BUS_DEVICE_INTERFACE    "org.vfiobroker1.Device"
#define BUS_GROUP_INTERFACE     "org.vfiobroker1.Group"
#define BUS_CONTAINER_INTERFACE "org.vfiobroker1.Container"
#define BUS_LEASE_INTERFACE     "org.vfiobroker1.Lease"
#define BUS_TENANT_INTERFACE    "org.vfiobroker1.Tenant"

/* What a client can make grow, and how far. Documented in org.vfiobroker1(5), tested at and past each. */
#define CALLERS_MAX         1024U  /* connections that the broker remembers */
#define CALLERS_UID_MAX     64U    /* of one uid; the least recently used that holds nothing makes room */
#define CALLER_MATCHES_MAX  256U   /* matches on a name each; above, one for all (dbus-daemon allows 512) */
#define UIDS_MAX            4096U  /* uids whose calls are counted at one time */
#define CALLS_UID_MAX       16U    /* Acquire, BindDevice … that one uid awaits at one time */
#define CALLER_GIDS_MAX     65536U /* the kernel's NGROUPS_MAX */
#define BUS_FDS_MAX         16U    /* in one message on the bus: dbus-daemon drops whoever sends more */
#define SESSIONS_MAX        1024U  /* private connections */
#define SESSIONS_UID_MAX    128U   /* of one uid */
#define SESSION_FDS_MAX     253U   /* in one message on a session: the kernel's SCM_MAX_FD */
#define SESSION_MESSAGE_MAX 65536U /* bytes of a message that a client sends on a session */
#define SESSION_AUTH_MAX    1024U  /* bytes that it sends before its first message */
#define SESSION_SIGNALS_MAX 16U    /* messages unread behind which signals to a session are dropped */
#define REPLIES_UID_MAX     16U    /* messages that one uid has not taken from its sessions yet */
#define DRIVER_TIMEOUT_USEC (5 * USEC_PER_SEC) /* for an answer of the bus itself */
#define TURN_MESSAGES_MAX   16U /* of the bus's messages between two other things that the loop does */
#define GONE_ASK_USEC       (50 * USEC_PER_MSEC) /* between two questions whether a connection is closed */

#define NAME_MAX_BYTES 127U /* bytes of a device, tenant or container name in a call */
#define ECHO_MAX       64   /* bytes of a caller's own text that an error repeats */

typedef struct Callers Callers;
typedef struct Caller Caller;
typedef struct Uids Uids;
typedef struct Signals Signals;
typedef struct Call Call;
typedef struct Session Session;
typedef struct Sessions Sessions;

typedef enum ObjectType {
        OBJECT_DEVICE,
        OBJECT_GROUP,
        OBJECT_CONTAINER,
        OBJECT_LEASE,
        OBJECT_TENANT,
        _OBJECT_MAX,
} ObjectType;

typedef struct ObjectKind ObjectKind;

/* What sd-bus hands to the callbacks of an object: the object, and the way back to the bus. One for each type is enough,
 * since sd-bus calls back right after it looked an object up. */
typedef struct Object {
        Bus *bus;
        const ObjectKind *kind;
        void *found; /* Device, Group, Container, Lease or Tenant */
} Object;

struct Bus {
        sd_bus *bus;
        sd_event_source *more; /* takes the messages that have come besides the first one, bus.c */
        Broker *broker;
        const BusCallbacks *callbacks;
        void *userdata;
        Callers *callers;
        Uids *uids;
        Signals *signals;
        Sessions *sessions;
        Call *calls; /* utlist: answers that wait for a job, call.h */
        Object objects[_OBJECT_MAX];

        Session *dispatching; /* whose message is at work, session.c; NULL: the bus's own */

        /* For whom properties are read where no message asks: the receiver of a signal. */
        Caller *viewer;
};

/* For error texts: at most ECHO_MAX bytes of what the caller wrote, without control characters, in quotes. */
const char *bus_echo(const char *s, char buffer[static ECHO_MAX + 8]);

#define _cleanup_message_ _cleanup_(sd_bus_message_unrefp)
