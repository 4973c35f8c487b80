/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* IOMMU groups: membership, who holds them, and whether the kernel would give them to user space. Event loop only. */

#include "daemon/core/group.h"
#include "daemon/core/tenant.h"

Group *group_new(int number, const char *type)
{
        Group *group = calloc(1, sizeof(*group));

        if (!group)
                return NULL;
        group->number = number;
        (void)snprintf(group->type, sizeof(group->type), "%s", type);
        return group;
}

Group *group_free(Group *group)
{
        free(group);
        return NULL;
}

int group_add(Group *group, Device *device)
{
        if (group->n_devices == GROUP_DEVICES_MAX)
                return -E2BIG;
        group->devices[group->n_devices++] = device;
        device->group = group;
        return 0;
}

void group_remove(Group *group, Device *device)
{
        for (size_t i = 0; i < group->n_devices; i++) {
                if (group->devices[i] != device)
                        continue;
                memmove(group->devices + i, group->devices + i + 1,
                        (group->n_devices - i - 1) * sizeof(group->devices[0]));
                group->n_devices--;
                device->group = NULL;
                return;
        }
}

const char *group_tenant(const Group *group)
{
        for (size_t i = 0; i < group->n_devices; i++)
                if (device_tenant(group->devices[i]))
                        return device_tenant(group->devices[i]);
        return NULL;
}

bool group_viable(const Group *group, Device *const *except, size_t n_except, char *ret_text, size_t size)
{
        size_t used = 0;
        bool viable = true;

        if (ret_text && size > 0)
                ret_text[0] = 0;
        for (size_t i = 0; i < group->n_devices; i++) {
                const Device *device = group->devices[i];
                bool excepted = false;

                for (size_t k = 0; k < n_except; k++)
                        excepted |= except[k] == device;
                if (excepted || device->state == DEVICE_GONE || !device_blocks_group(device))
                        continue;
                viable = false;
                if (ret_text && used < size) {
                        int n = snprintf(ret_text + used, size - used, "%s%s is bound to %s",
                                         used > 0 ? ", " : "", device->info.id, device->info.driver);

                        used += n > 0 ? (size_t)n : 0;
                }
        }
        return viable;
}
