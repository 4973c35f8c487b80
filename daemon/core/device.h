/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One device of the inventory: what the kernel says of it (DeviceInfo), and what the broker knows beyond that: its
 * state, who leases it, whether it is proven free, how its last reset went. Owned by the broker's table. */

#include <uthash.h>

#include "daemon/core/host.h"
#include "policy/facts.h"

typedef struct Device Device;
typedef struct Group Group;
typedef struct Lease Lease;

typedef enum DeviceState {
        DEVICE_HOST,      /* a driver of the host has it, or none; nobody leases it */
        DEVICE_BINDING,   /* a job for a lease, or of an administrator, works on it */
        DEVICE_AVAILABLE, /* on a VFIO driver, nobody leases it */
        DEVICE_LEASED,
        DEVICE_RECLAIMING, /* its lease is over, the proof of freedom and the reset are not */
        DEVICE_QUARANTINED, /* the reset failed, or the driver could not be bound: for an administrator to see to */
        DEVICE_GONE,        /* removed while a lease or a job still refers to it */
        _DEVICE_STATE_MAX,
} DeviceState;

struct Device {
        DeviceInfo info;
        DeviceState state;
        char state_reason[REASON_MAX];

        Group *group;         /* borrowed; NULL where it has no IOMMU group */
        Lease *lease;         /* borrowed; the lease that holds it or reclaims it */
        bool proven;          /* since the last lease ended no open file of it can be left */
        bool clean;           /* and it was reset since, with success */
        bool admin_job;       /* a job works on it that is no lease's: an administrator's, mostly */
        bool old_job;         /* that job is of an earlier life of the daemon (core/old-job.h) */
        bool was_quarantined; /* before that job */
        bool asked_back;      /* its lease is to give it back (core/revoke.h) */
        bool leaving;         /* somebody takes it from the lease that holds it (core/unplug.h) */
        bool unseen;          /* whether somebody does could not be told: it is looked at once more */
        bool record_stale;    /* its record could not be written (core/device-record.c) */
        bool held;            /* nor what became of it after its lease, which keeps it until then */
        bool held_quarantined;
        bool functions_due; /* policy gives it virtual functions, and nothing has been tried yet */

        bool made;          /* an mdev that the broker made for its lease, and removes after it */
        char only_for[128]; /* "" or the tenant who may still have it open, in a way that no proof sees */

        char kept_for[128];             /* "" or the tenant for whom it stays reserved (core/linger.h) */
        uint64_t kept_until;            /* monotonic, microseconds */
        struct LingerTimer *kept_timer; /* owned */

        char prior_driver[DRIVER_NAME_MAX];   /* before the broker bound it; "" = none */
        char prior_override[DRIVER_NAME_MAX]; /* driver_override, then */
        bool prior_known;

        char held_reason[REASON_MAX]; /* where held */

        uint64_t last_reset_usec; /* CLOCK_REALTIME, 0 = never */
        char last_reset[32];      /* "success", "failed: EIO" … */

        DeviceInfo returned; /* where GONE: another one came in its place, and waits for this one to leave */
        bool has_returned;

        UT_hash_handle hh; /* in Broker.devices, by info.id */
};

/* Takes the lists of `info` over (it is empty afterwards). NULL when out of memory, info untouched then. */
Device *device_new(DeviceInfo *info);
Device *device_free(Device *device);

const char *device_state_to_string(DeviceState state);

/* What the policy sees of it. The pointers are the device's. */
DeviceFacts device_facts(const Device *device);

/* All that an id alone says of a device, whether there is one or not: itself, and its bus, for which `bus` is the room. For
 * rules of which who asks is not to learn by their answer what there is. Everything else is as if it were nothing. */
DeviceFacts device_facts_of_id(const char *id, char bus[static DEVICE_ID_MAX]);

/* The idle state that its driver gives it: host or available. */
DeviceState device_idle_state(const Device *device);

/* Sets state and reason ("" for none); true where one of them changed. */
bool device_set_state(Device *device, DeviceState state, const char *format, ...) _printf_(3, 4);

/* Whether a member bound to this driver lets the group be given to user space: VFIO drivers, pci-stub, pcieport and
 * none do (drivers/vfio, iommu core of Linux 6.12). */
bool device_blocks_group(const Device *device);

/* Has a reset that concerns this function alone: FLR, PM or a device-specific one. On buses without bus resets every
 * device has no other. */
bool device_has_function_reset(const Device *device);

/* Whether its interrupts are isolated, on such a host. */
Isolation device_isolation(const Device *device, const HostIsolation *host);

/* Whether a bus reset of `device` resets `other`, another device, too: it sits on the same bus, or below it. */
bool device_reset_hits(const Device *device, const Device *other);

/* Whether it cannot be passed without an IOMMU group: all but mdevs, which VFIO itself gives one where it has groups. */
bool device_needs_group(const Device *device);

/* Whether its reset methods are known before it is open; else only VFIO_DEVICE_GET_INFO says if it has one. */
bool device_reset_is_told(const Device *device);
