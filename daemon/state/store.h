/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What survives a restart of the daemon: one small file for each lease, for each device that is quarantined or has a
 * driver to go back to, and for each worker, below the runtime directory. Written whole to a temporary name and renamed, so that a reader
 * finds the old or the new one. The folder is a tmpfs: it does not survive the machine, and neither does what it tells
 * of; the boot id in each record says so in case it does. Event loop only. */

#include "daemon/core/broker.h"

typedef struct Store Store;

extern const BrokerStore store_ops; /* with a Store * as userdata */
extern const JobLog store_job_log;  /* the same */

/* `folder` is made where it is missing, with mode 0755, its sub-folders with 0700. 0 or a negative errno; -EPERM: a
 * sub-folder that is there is another's, or others may write to it. */
int store_new(const char *folder, Store **ret);
Store *store_free(Store *store);

/* Gives all records of this boot to the broker, workers and devices first, and removes those of an earlier boot or of a device that is
 * gone, and those that cannot be followed at all (unreadable, of another version, under another's name, not ours alone to
 * write), of which the broker tells an operator. Returns the number of leases taken over, or a negative errno; then what
 * failed was not the record's fault, it is still there, and to go on would be to forget who has what. Files that were kept
 * (fdstore.h) and that no record tells of are closed, and the broker tells an operator of those too. */
int store_load(Store *store, Broker *broker);

DEFINE_CLEANUP(Store *, store_free)
