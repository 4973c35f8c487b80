/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Makes and frees the record of a tenant at work. Event loop only. */

#include "daemon/core/tenant.h"

Tenant *tenant_new(const char *name)
{
        Tenant *tenant = calloc(1, sizeof(*tenant));

        if (!tenant)
                return NULL;
        tenant->name = strdup(name);
        if (!tenant->name)
                return tenant_free(tenant);
        return tenant;
}

Tenant *tenant_free(Tenant *tenant)
{
        if (!tenant)
                return NULL;
        free(tenant->name);
        free(tenant);
        return NULL;
}

const char *device_tenant(const Device *device)
{
        if (device->lease)
                return device->lease->tenant->name;
        return device->kept_for[0] ? device->kept_for : NULL;
}
