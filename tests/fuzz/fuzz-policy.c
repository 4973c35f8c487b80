/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes as a policy: it loads or is refused with reasons, and what loads can be decided by. A refusal
 * without an error, an error without a refusal, or a text that is not one line stops the run, as does
 * whatever a sanitizer sees. */

#include "policy/decide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const DeviceFacts devices[] = {
        {
                .id = "0000:3b:00.1",
                .bus = "pci",
                .vendor = 0x8086,
                .product = 0x10ca,
                .class = 0x020000,
                .driver = "vfio-pci",
                .group = 7,
                .numa_node = 0,
                .physical_function = "0000:3b:00.0",
        },
        { .id = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", .bus = "mdev", .group = 8, .mdev_type = "mtty-2" },
        { .id = "platform/dma-1", .bus = "platform", .group = -1, .numa_node = -1 },
};

static void decide_all(const Policy *policy)
{
        static const gid_t gids[] = { 0, 5 };
        const CallerFacts caller = {
                .uid = 2001,
                .gids = gids,
                .n_gids = 2,
                .unit = "vm-blue@1.service",
                .slice = "blue-a.slice",
                .machine = "web",
                .label = "a:b:c",
        };
        Verdict verdict;

        decide_tenant(policy, &caller, NULL, &verdict);
        for (size_t i = 0; i < policy->n_tenants; i++)
                for (size_t j = 0; j < ELEMENTSOF(devices); j++) {
                        const DecideDevice device = { .facts = devices + j, .msi_isolated = true };
                        const DecideRequest request = {
                                .policy = policy,
                                .tenant = policy->tenants + i,
                                .devices = &device,
                                .n_devices = 1,
                                .memlock = policy->tenants[i].memlock_default,
                                .containers = 3,
                                .mem_total = UINT64_C(1) << 36,
                        };

                        decide_acquire(&request, &verdict);
                        if (!verdict_code_to_string(verdict.code) || !*verdict.text)
                                abort();
                        if (policy_tenant_by_name(policy, policy->tenants[i].name) != policy->tenants + i)
                                abort();
                        (void)policy_device_override(policy, devices + j);
                }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy = NULL;
        int r;

        r = policy_load_string("fuzz", (const char *)data, size, &policy, &errors);
        if ((r == 0) != (policy != NULL) || (r == -EINVAL) != (errors.n_errors > 0) ||
            (r != 0 && r != -EINVAL))
                abort();
        for (size_t i = 0; i < errors.n_items; i++)
                if (!*errors.items[i].text || strchr(errors.items[i].text, '\n'))
                        abort();
        if (policy)
                decide_all(policy);
        return 0;
}
