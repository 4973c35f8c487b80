/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files that a restart of the daemon must not lose: pidfds of holders, contexts that others may join, groups in
 * containers. A copy of each lies with the service manager under a name of its own, made of the id of the lease that
 * brought it in, which the records repeat; never of a pid or a name, since users may see these names. A record without
 * such an id, of a daemon that kept nothing, says that there is no file. Event loop only. */

#include "daemon/core/broker.h"
#include "daemon/core/container.h"
#include "daemon/core/holder.h"

/* The holder's first lease with a record: its pidfd is kept from now on, unless it is already. */
void keep_holder(Broker *broker, Holder *holder, const char *lease_id);
void keep_forget_holder(Broker *broker, Holder *holder);
/* The pidfd of the process that the record means, the caller's; `ret_kept`: it was kept. -ESRCH where the process has
 * ended, by its own pidfd's word or, without one, by that of its pid and start time. */
int keep_take_process(Broker *broker, const LeaseRecord *record, int *ret_pidfd, ProcessFacts *ret_facts,
                      bool *ret_kept);

/* The container's context, or its group in row `i`. Nothing where its backend and its name ask for none. */
void keep_context(Broker *broker, Container *container);
void keep_group(Broker *broker, Container *container, size_t i);
void keep_forget_context(Broker *broker, Container *container);
void keep_forget_group(Broker *broker, Container *container, size_t i);
/* What the container of a restored lease has open, taken back and held against the kernel. Whatever is missing makes the
 * container `lost`, as far as an `active` lease needs it. -errno where the kernel did not say what a file is. */
int keep_take_container(Broker *broker, Container *container, const Lease *lease, bool active);
