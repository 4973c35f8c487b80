/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant SUBCOMMAND …: the clients that the scenarios need and that a shell cannot be. This file has the
 * table and the subcommand that only holds devices. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenant.h"
#include "vfio-client.h"

static const struct {
        const char *name, *usage;
        int min_argc;
        int (*run)(int argc, char **argv);
} subcommands[] = {
        { "hold", "DEVICE...", 2, tenant_hold },
        { "revoked", "DEVICE...", 2, tenant_revoked },
        { "removed", "DEVICE...", 2, tenant_removed },
        { "shared", "DEVICE", 2, tenant_shared },
        { "twice", "DEVICE", 2, tenant_twice },
        { "dma-loop", "EDU [IGB]", 2, tenant_dma_loop },
        { "peek-igb", "IGB", 2, tenant_peek_igb },
        { "pass-dup", "DEVICE --unbound|--bound|--group|--mmap", 3, tenant_pass_dup },
        { "for-pid", "PID DEVICE", 3, tenant_for_pid },
        { "many", "AT-ONCE DEVICE...", 3, tenant_many },
        { "races", "N SEED DEVICE...", 4, tenant_races },
        { "memlock", "DEVICE BYTES", 3, tenant_memlock },
        { "memlock-many", "BYTES ORDER DEVICE...", 4, tenant_memlock_many },
        { "share", "NAME EDU BYTES [IOAS IOVA]", 4, tenant_share },
        { "reissue", "EDU", 2, tenant_reissue },
        { "long-id", "BYTES", 2, tenant_long_id },
        { "many-ids", "N", 2, tenant_many_ids },
        { "not-utf8", "SOCKET", 2, tenant_not_utf8 },
        { "igbvf", "VF", 2, tenant_igbvf },
};

/* Acquires, says "ready PATH", and waits: SIGTERM ends the process, SIGUSR1 first releases, says so and goes
 * on. */
int tenant_hold(int argc, char **argv)
{
        Client client;
        sigset_t set;
        int signal;

        (void)argc;
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGUSR1);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);

        client_open(&client);
        client_acquire(&client, (const char *const *)argv + 1, UINT64_MAX);
        (void)printf("ready %s\n", vfiobroker_lease_path(client.lease));
        (void)fflush(stdout);

        while (sigwait(&set, &signal) == 0 && signal == SIGUSR1 && client.lease) {
                client_release(&client);
                ok("release");
        }
        client_done(&client);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        for (size_t i = 0; argc > 1 && i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
                if (strcmp(argv[1], subcommands[i].name) == 0) {
                        if (argc - 1 < subcommands[i].min_argc)
                                die(0, "usage: tenant %s %s", subcommands[i].name, subcommands[i].usage);
                        return subcommands[i].run(argc - 1, argv + 1);
                }

        (void)fputs("usage:\n", stderr);
        for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
                (void)fprintf(stderr, "  tenant %s %s\n", subcommands[i].name, subcommands[i].usage);
        return 2;
}
