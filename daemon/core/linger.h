/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices that stay reserved for a tenant for a while after its process has ended, as its policy says (`linger`), so that a
 * VMM that crashed finds them when it is started again. They are proven free and reset all the same. */

#include "daemon/core/broker.h"

/* Reserves a device that is idle again after a lease, where policy says so now and the lease ended by itself: who releases
 * a device has no more need of it. To be followed by the device's record. */
void linger_start(Broker *broker, const Lease *lease, Device *device);

/* The reservation is over, if there is one: its tenant has the device, or nobody is to have it any more. The caller tells
 * observers, and writes the record. */
void linger_stop(Broker *broker, Device *device);

/* After a restart; `until` as Device.kept_until. Nothing where it is over, or the tenant's policy wants none any more. */
void linger_restore(Broker *broker, Device *device, const char *tenant, uint64_t until);

/* A new policy: drops what it does not want. */
void linger_check_policy(Broker *broker);

/* How many devices are reserved for the tenant, but for these: they count as its devices. */
unsigned linger_count(const Broker *broker, const char *tenant, Device *const *except, size_t n_except);

/* Whether it is reserved for somebody else. */
bool linger_is_for_other(const Device *device, const char *tenant);
