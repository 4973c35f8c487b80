/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant memlock DEVICE BYTES: acquires with that memlock, maps exactly as many bytes for DMA, and then
 * tries what must fail: one page more, and, of an iommufd, which must account by process, to leave that (a type1 container
 * has no other). A line for each with what came of it; the exit is 0 where all went as they must.
 *
 * tenant memlock-many BYTES ORDER DEVICE...: one process with a lease for each device, each in a container of its own. The
 * same memory is mapped in each, and so charged to it as often; then a page more, which must fail. Then "ready", and
 * upon SIGUSR1 the leases are released in ORDER ("201": the third one first); after each the limit must be what it
 * was in the beginning + BYTES for each that is left. */

#include <errno.h>
#include <linux/iommufd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "tenant.h"
#include "vfio-client.h"

#define IOVA 0x100000u

/* Whole pages, so that each is charged once. */
static void *allocate(size_t size)
{
        void *p = aligned_alloc(PAGE, size);

        if (!p)
                die(ENOMEM, "allocate %zu bytes", size);
        return p;
}

static const char *name_of(int r)
{
        return r < 0 ? strerrorname_np(-r) : "done";
}

int tenant_memlock(int argc, char **argv)
{
        struct iommu_option option = {
                .size = sizeof(option),
                .option_id = IOMMU_OPTION_RLIMIT_MODE,
                .op = IOMMU_OPTION_OP_SET,
        };
        uint64_t bytes = number(argv[2]);
        bool good = true;
        Client client;
        int r;

        (void)argc;
        if (bytes == 0 || bytes % PAGE != 0)
                die(0, "not a number of whole pages: %s", argv[2]);

        client_open(&client);
        client_acquire(&client, (const char *const[]){ argv[1], NULL }, bytes);
        client_bind(&client);

        r = client_map_dma(&client, allocate(bytes), bytes, IOVA);
        (void)printf("map %llu bytes: %s\n", (unsigned long long)bytes, name_of(r));
        good = good && r == 0;

        r = client_map_dma(&client, allocate(PAGE), PAGE, IOVA + bytes);
        (void)printf("map one page more: %s\n", name_of(r));
        good = good && r == -ENOMEM;

        if (!client.group) {
                struct iommu_option mode = option;

                mode.op = IOMMU_OPTION_OP_GET;
                r = ioctl(client.container, IOMMU_OPTION, &mode) < 0 ? -errno : 0;
                (void)printf("accounting: %s\n", r < 0             ? name_of(r)
                                                 : mode.val64 == 1 ? "by process"
                                                                   : "by user");
                good = good && r == 0 && mode.val64 == 1;

                r = ioctl(client.container, IOMMU_OPTION, &option) < 0 ? -errno : 0;
                (void)printf("leave the accounting by process: %s\n", name_of(r));
                good = good && r == -EPERM;
        }

        client_release(&client);
        client_done(&client);
        return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static struct rlimit limit_now(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
                die(errno, "getrlimit");
        return limit;
}

static bool limit_is(struct rlimit base, uint64_t more, const char *when)
{
        struct rlimit limit = limit_now();
        rlim_t soft = base.rlim_cur + more, hard = soft > base.rlim_max ? soft : base.rlim_max;
        bool good = limit.rlim_cur == soft && limit.rlim_max == hard;

        (void)printf("limit %s: %s\n", when, good ? "right" : "wrong");
        if (!good)
                (void)printf("it is %llu, not %llu\n", (unsigned long long)limit.rlim_cur,
                             (unsigned long long)soft);
        (void)fflush(stdout);
        return good;
}

int tenant_memlock_many(int argc, char **argv)
{
        uint64_t bytes = number(argv[1]);
        size_t n = (size_t)argc - 3;
        struct rlimit base = limit_now();
        static Client clients[MAX_DEVICES];
        bool good = true;
        sigset_t set;
        void *memory;
        int signal, r;

        if (bytes == 0 || bytes % PAGE != 0 || n > MAX_DEVICES || strlen(argv[2]) != n)
                die(0, "BYTES in whole pages, and a place in ORDER for each device");
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGUSR1);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        memory = allocate(bytes);

        for (size_t i = 0; i < n; i++) {
                client_open(clients + i);
                client_acquire(clients + i, (const char *const[]){ argv[3 + i], NULL }, bytes);
                client_bind(clients + i);
                good = limit_is(base, (i + 1) * bytes, "raised") && good;
        }
        for (size_t i = 0; i < n; i++) {
                r = client_map_dma(clients + i, memory, bytes, IOVA);
                (void)printf("map in container %zu: %s\n", i + 1, name_of(r));
                good = good && r == 0;
        }
        r = client_map_dma(clients + n - 1, allocate(PAGE), PAGE, IOVA + bytes);
        (void)printf("map one page more: %s\n", name_of(r));
        good = good && r == -ENOMEM;

        (void)printf("ready\n");
        (void)fflush(stdout);
        (void)sigwait(&set, &signal);
        for (size_t i = 0; i < n; i++) {
                size_t which = (size_t)(argv[2][i] - '0');

                if (which >= n)
                        die(0, "no lease %zu", which);
                client_release(clients + which);
                good = limit_is(base, (n - 1 - i) * bytes, i + 1 < n ? "lowered" : "put back") && good;
        }
        for (size_t i = 0; i < n; i++)
                client_done(clients + i);
        return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
