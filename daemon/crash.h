/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the daemon can be made to die, for the test that kills it at every boundary between a record and an act. The
 * daemon that is installed has none of this: only the lab's own build of it (tests/lab/crash) defines
 * VFIOBROKER_CRASH_POINTS. */

#include "daemon/core/broker.h"

#ifdef VFIOBROKER_CRASH_POINTS
/* The same tables, with a point before each call that records or acts, and after it. */
const BrokerStore *crash_store(const BrokerStore *ops);
const JobLog *crash_log(const JobLog *log);
void crash_host(Host *host);
#else
#define crash_store(ops) (ops)
#define crash_log(log)   (log)
#define crash_host(host) ((void)0)
#endif
