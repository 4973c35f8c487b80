/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the broker does, as structured entries of the journal: the one place of the daemon that logs. main() uses the
 * first two. Event loop only. */

#include <sys/uio.h>

#include "daemon/core/broker.h"

/* To be given to broker_observe() with NULL; its `event` makes one entry of each event. */
extern const BrokerObserver journal_observer;

/* One entry for each error and warning of a policy that was read; nothing where there are none. */
void journal_policy(const PolicyErrors *errors);

/* One entry, as sd_journal_sendv() takes it: "FIELD=value" each. */
typedef struct JournalEntry {
        char buffer[REFUSAL_TEXT_MAX + 4096 + JOB_DEVICES_MAX * (DEVICE_ID_MAX + sizeof("DEVICE="))];
        size_t used;
        struct iovec fields[16 + JOB_DEVICES_MAX];
        int n_fields;
} JournalEntry;

/* MESSAGE_ID, PRIORITY, MESSAGE, and of the event what it says: TENANT, LEASE, UNIT, UID, PID, RESULT, RULE, and
 * a DEVICE for each. OBJECT_SYSTEMD_UNIT is UNIT once more, by which `journalctl -u` finds what root's processes say of a unit
 * (systemd.journal-fields(7)). A value that is too long is cut. */
void journal_format(const BrokerEvent *event, JournalEntry *ret);
void journal_format_policy(const PolicyError *error, JournalEntry *ret);
