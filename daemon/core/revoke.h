/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Taking devices back before their process lets go of them. The kernel has no revoke for VFIO, so it is: ask, wait, kill as
 * policy says (`revoke`), and then what follows the end of any lease: proof, reset, free. Event loop only. */

#include "daemon/core/broker.h"

#define REVOKE_GRACE_DEFAULT UINT64_MAX /* what policy's `revoke-grace` says */
#define REVOKE_GRACE_MAX     (24 * 3600 * USEC_PER_SEC)

/* Asks the holder for `device`, or where that is NULL for all that the lease has, and ends the lease in `grace_usec`
 * microseconds where it has not been given back by then. Asked once more, the new deadline and reason count. A lease that is
 * being opened ends at once. `reason` is for the holder and the journal, REVOKE_REASON_MAX bytes at most. 0, a refusal
 * (NO_SUCH_LEASE: it has ended already), or -errno with nothing changed. May free the lease before it returns. */
int broker_lease_revoke(Broker *broker, Lease *lease, Device *device, uint64_t grace_usec,
                        const char *reason, Refusal *refusal);

/* For the files of the core. Devices left the lease: where none is left that was asked for, it is ACTIVE again, and true
 * is returned; the caller tells of it. */
bool lease_revoke_check(Lease *lease);
/* The lease ends: nobody is to be killed any more; what systemd was asked for it does. */
void lease_revoke_stop(Lease *lease);
/* After a restart: the deadline holds. */
int lease_revoke_restore(Lease *lease, const LeaseRecord *record);
