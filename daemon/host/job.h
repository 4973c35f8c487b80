/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a worker does: the steps of one job, in order, with their undo. Runs to its end in a process of its own
 * (worker.c); may block in any step. `ret` must be fresh from job_result_init(). */

#include "daemon/core/host.h"

void job_run(const Job *job, JobResult *ret);
