/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The subcommands of `tenant`: what tenants do in scenarios, good and bad. Each has its own file, takes its
 * own name in argv[0], and returns the exit code. */

int tenant_hold(int argc, char **argv);
int tenant_revoked(int argc, char **argv);
int tenant_removed(int argc, char **argv);
int tenant_shared(int argc, char **argv);
int tenant_twice(int argc, char **argv);
int tenant_dma_loop(int argc, char **argv);
int tenant_peek_igb(int argc, char **argv);
int tenant_pass_dup(int argc, char **argv);
int tenant_for_pid(int argc, char **argv);
int tenant_many(int argc, char **argv);
int tenant_races(int argc, char **argv);
int tenant_memlock(int argc, char **argv);
int tenant_memlock_many(int argc, char **argv);
int tenant_share(int argc, char **argv);
int tenant_reissue(int argc, char **argv);
int tenant_long_id(int argc, char **argv);
int tenant_many_ids(int argc, char **argv);
int tenant_not_utf8(int argc, char **argv);
int tenant_igbvf(int argc, char **argv);
