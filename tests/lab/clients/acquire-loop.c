/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant acquire-loop N DEVICE: what a lease costs. N times: acquire, bind and attach,
 * release, and wait until the device is available again. A line for each phase, in microseconds. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tenant.h"
#include "vfio-client.h"

enum {
        PHASE_ACQUIRE,
        PHASE_BIND,
        PHASE_RELEASE,
        PHASE_RECLAIM,
        PHASE_ALL,
        N_PHASES,
};

static const char *const phase_names[N_PHASES] = { "acquire", "bind", "release", "reclaim", "all" };

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

int tenant_acquire_loop(int argc, char **argv)
{
        size_t n = (size_t)number(argv[1]);
        uint64_t *times[N_PHASES];
        Client client;

        (void)argc;
        if (n == 0 || n > 1000 * 1000)
                die(0, "not a sensible number of rounds: %zu", n);
        for (size_t p = 0; p < N_PHASES; p++) {
                times[p] = calloc(n, sizeof(uint64_t));
                if (!times[p])
                        die(ENOMEM, "allocate");
        }

        client_open(&client);
        for (size_t i = 0; i < n; i++) {
                uint64_t stamps[N_PHASES];

                stamps[0] = now_nsec();
                client_acquire(&client, (const char *const[]){ argv[2], NULL }, UINT64_MAX);
                stamps[1] = now_nsec();
                client_bind(&client);
                stamps[2] = now_nsec();
                client_release(&client);
                stamps[3] = now_nsec();
                client_wait_free(&client, argv[2], 30);
                stamps[4] = now_nsec();

                for (size_t p = 0; p < PHASE_ALL; p++)
                        times[p][i] = stamps[p + 1] - stamps[p];
                times[PHASE_ALL][i] = stamps[4] - stamps[0];
        }
        client_done(&client);

        (void)printf("%-8s %8s %8s %8s %8s  (us, n = %zu)\n", "phase", "min", "median", "p99", "max", n);
        for (size_t p = 0; p < N_PHASES; p++) {
                qsort(times[p], n, sizeof(uint64_t), compare);
                (void)printf("%-8s %8llu %8llu %8llu %8llu\n", phase_names[p],
                             (unsigned long long)times[p][0] / 1000,
                             (unsigned long long)times[p][n / 2] / 1000,
                             (unsigned long long)times[p][(n - 1) * 99 / 100] / 1000,
                             (unsigned long long)times[p][n - 1] / 1000);
                free(times[p]);
        }
        return EXIT_SUCCESS;
}
