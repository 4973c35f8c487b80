/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An IOMMU group: the set of devices that the IOMMU cannot tell apart, and so what belongs to one tenant at a time.
 * It borrows its devices; the broker's table owns it, for as long as it has members. */

#include "daemon/core/device.h"

#define GROUP_DEVICES_MAX 64 /* a slot behind a conventional bridge has 32 functions at most */

struct Group {
        int number;
        char type[32];
        Device *devices[GROUP_DEVICES_MAX];
        size_t n_devices;
        UT_hash_handle hh; /* in Broker.groups, by number */
};

Group *group_new(int number, const char *type);
Group *group_free(Group *group);

int group_add(Group *group, Device *device);     /* -E2BIG where it is full */
void group_remove(Group *group, Device *device); /* nothing where it is no member */

/* The tenant that holds or reclaims any member, or for whom one is reserved, or NULL. */
const char *group_tenant(const Group *group);

/* Whether the group may be given to user space. Where it may not, and `ret_text` is not NULL, the blockers are listed
 * there, separated by ", ", as "0000:04:02.0 is bound to snd_hda_intel". `except` (n of them) are going to be bound to
 * a VFIO driver and so do not count. */
bool group_viable(const Group *group, Device *const *except, size_t n_except, char *ret_text, size_t size);
