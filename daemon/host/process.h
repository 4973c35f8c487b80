/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Other processes: what /proc says of them and their RLIMIT_MEMLOCK. Each function takes the pid and a pidfd of the same
 * process and checks by the pidfd, afterwards, that the pid still meant it: an ended process gives -ESRCH. Nothing
 * blocks. 0 or a negative errno. */

#include "daemon/core/host.h"

int process_open(pid_t pid, int *ret_pidfd, uint64_t *ret_start_time); /* HostOps.process_open */
int process_of_pidfd(int pidfd, pid_t *ret_pid);                       /* HostOps.process_of_pidfd */
int process_alive(int pidfd);                                          /* 1, 0, -errno; a zombie has ended */
int process_start_time(pid_t pid, uint64_t *ret); /* ProcessFacts.start_time, of whatever has that pid now */
int process_is(pid_t pid, int pidfd);             /* HostOps.process_is */
int process_read_facts(pid_t pid, int pidfd, ProcessFacts *ret);
int process_read_credentials(pid_t pid, int pidfd, ProcessCredentials *ret);
int process_memlock_get(pid_t pid, int pidfd, MemlockLimit *ret);
int process_memlock_set(pid_t pid, int pidfd, const MemlockLimit *limit);
/* The larger of VmPin and VmLck: iommufd counts pinned pages in both in the per-process mode, type1 in VmLck only. */
int process_memlock_used(pid_t pid, int pidfd, uint64_t *ret_bytes);
uint64_t process_mem_total(void);
