/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant memlock DEVICE BYTES: acquires with that memlock, maps exactly as many bytes for DMA, and then
 * tries what must fail: one page more, and, of an iommufd, which must account by process, to leave that (a type1 container
 * has no other). A line for each with what came of it; the exit is 0 where all went as they must. */

#include <errno.h>
#include <linux/iommufd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

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
