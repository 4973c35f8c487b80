/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The broker's tables: making and freeing them, look-ups, the policy in force, and telling observers. What happens to
 * leases is in lifecycle.c, to the inventory in inventory.c, what administrators ask in admin.c. Event loop only. */

#include <limits.h>
#include <utlist.h>

#include "daemon/core/broker-internal.h"
#include "daemon/core/linger.h"
#include "daemon/core/old-job.h"
#include "daemon/core/wait.h"

int broker_new(Host *host, const BrokerStore *store, void *store_userdata, Policy *policy, Broker **ret)
{
        Broker *broker = calloc(1, sizeof(*broker));
        int r;

        if (!broker)
                return -ENOMEM;
        broker->host = host;
        broker->store = store;
        broker->store_userdata = store_userdata;
        r = broker_set_policy(broker, policy);
        if (r < 0) {
                broker_free(broker);
                return r;
        }
        *ret = broker;
        return 0;
}

Broker *broker_free(Broker *broker)
{
        Lease *lease, *next_lease;
        Device *device, *next_device;
        Group *group, *next_group;
        Tenant *tenant, *next_tenant;

        if (!broker)
                return NULL;
        broker->n_observers = 0;
        broker->store = NULL; /* what it has is for the next life */
        broker_disown_admin_jobs(broker);
        old_jobs_free(broker);
        waiters_free(broker);
        broker->host->ops->timer_stop(broker->host, broker->unplug_timer);
        broker->unplug_timer = NULL;
        HASH_ITER(hh, broker->leases, lease, next_lease)
                lease_free(lease);
        container_undeclare(broker, NULL);
        HASH_ITER(hh, broker->devices, device, next_device) {
                linger_stop(broker, device);
                HASH_DEL(broker->devices, device);
                device_free(device);
        }
        HASH_ITER(hh, broker->groups, group, next_group) {
                HASH_DEL(broker->groups, group);
                group_free(group);
        }
        HASH_ITER(hh, broker->tenants, tenant, next_tenant) {
                HASH_DEL(broker->tenants, tenant);
                tenant_free(tenant);
        }
        policy_unref(broker->policy);
        free(broker);
        return NULL;
}

int broker_observe(Broker *broker, const BrokerObserver *observer, void *userdata)
{
        if (broker->n_observers == ELEMENTSOF(broker->observers))
                return -E2BIG;
        broker->observers[broker->n_observers].observer = observer;
        broker->observers[broker->n_observers++].userdata = userdata;
        return 0;
}

void broker_unobserve(Broker *broker, void *userdata)
{
        size_t kept = 0;

        for (size_t i = 0; i < broker->n_observers; i++)
                if (broker->observers[i].userdata != userdata)
                        broker->observers[kept++] = broker->observers[i];
        broker->n_observers = kept;
}

_printf_(7, 0) static void send_event(Broker *broker, BrokerEventKind kind, const Lease *lease,
                                      const Device *device, const char *rule, const char *result,
                                      const char *format, va_list ap)
{
        char text[REFUSAL_TEXT_MAX + 256];
        BrokerEvent event = {
                .kind = kind,
                .tenant = lease ? lease->tenant->name : "",
                .lease = lease ? lease->id : "",
                .unit = lease ? lease->unit : "",
                .uid = lease ? lease->uid : (uid_t)-1,
                .pid = lease ? lease->pid : 0,
                .result = result,
                .rule = rule,
                .text = text,
        };

        if (device)
                event.devices[event.n_devices++] = device->info.id;
        for (size_t i = 0; !device && lease && i < lease->n_devices; i++)
                if (!lease->settled[i])
                        event.devices[event.n_devices++] = lease->devices[i]->info.id;
        (void)vsnprintf(text, sizeof(text), format, ap);
        NOTIFY(broker, event, &event);
}

void broker_event(Broker *broker, BrokerEventKind kind, const Lease *lease, const Device *device,
                  const char *result, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        send_event(broker, kind, lease, device, "", result, format, ap);
        va_end(ap);
}

void broker_event_by_rule(Broker *broker, BrokerEventKind kind, const Lease *lease, const Device *device,
                          const PolicyWhere *rule, const char *result, const char *format, ...)
{
        char where[PATH_MAX + 16] = "";
        va_list ap;

        if (rule->file)
                (void)snprintf(where, sizeof(where), "%s:%u", rule->file, rule->line);
        va_start(ap, format);
        send_event(broker, kind, lease, device, where, result, format, ap);
        va_end(ap);
}

void broker_trouble(Broker *broker, const char *text)
{
        broker_event(broker, EVENT_TROUBLE, NULL, NULL, "", "%s", text);
}

Tenant *broker_tenant(Broker *broker, const char *name)
{
        Tenant *tenant;

        HASH_FIND_STR(broker->tenants, name, tenant);
        return tenant;
}

int broker_tenant_get(Broker *broker, const char *name, Tenant **ret)
{
        Tenant *tenant = broker_tenant(broker, name);

        if (!tenant) {
                tenant = tenant_new(name);
                if (!tenant)
                        return -ENOMEM;
                HASH_ADD_KEYPTR(hh, broker->tenants, tenant->name, strlen(tenant->name), tenant);
                if (!tenant->hh.tbl) {
                        tenant_free(tenant);
                        return -ENOMEM;
                }
                NOTIFY(broker, tenant_added, tenant);
        }
        *ret = tenant;
        return 0;
}

void broker_tenant_gc(Broker *broker, Tenant *tenant)
{
        if (tenant->in_policy || tenant->leases)
                return;
        NOTIFY(broker, tenant_removed, tenant);
        HASH_DEL(broker->tenants, tenant);
        tenant_free(tenant);
}

int broker_set_policy(Broker *broker, Policy *policy)
{
        Tenant *tenant, *next;
        int r = 0;

        /* All that can fail before anything changes. */
        for (size_t i = 0; i < policy->n_tenants && r >= 0; i++)
                r = broker_tenant_get(broker, policy->tenants[i].name, &tenant);
        if (r >= 0)
                r = container_declare_all(broker, policy);
        if (r < 0) {
                container_undeclare(broker, broker->policy);
                HASH_ITER(hh, broker->tenants, tenant, next)
                        broker_tenant_gc(broker, tenant);
                return r;
        }

        policy_unref(broker->policy);
        broker->policy = policy;
        container_undeclare(broker, policy);
        broker->policy_generation++;
        HASH_ITER(hh, broker->tenants, tenant, next) {
                tenant->in_policy = policy_tenant_by_name(policy, tenant->name) != NULL;
                NOTIFY(broker, tenant_changed, tenant);
                broker_tenant_gc(broker, tenant);
        }
        if (broker->functions_by_policy)
                broker_apply_virtual_functions(broker);
        linger_check_policy(broker);
        broker_check_standing(broker);
        broker_wake_waiters_anew(broker);
        return 0;
}

Device *broker_device(Broker *broker, const char *id)
{
        Device *device;

        HASH_FIND_STR(broker->devices, id, device);
        return device;
}

Group *broker_group(Broker *broker, int number)
{
        Group *group;

        HASH_FIND_INT(broker->groups, &number, group);
        return group;
}

Lease *broker_lease(Broker *broker, const char *id)
{
        Lease *lease;

        HASH_FIND_STR(broker->leases, id, lease);
        return lease;
}

bool broker_tenant_may_see(Broker *broker, const char *name, const Device *device)
{
        const PolicyTenant *tenant = policy_tenant_by_name(broker->policy, name);
        DeviceFacts facts = device_facts(device);
        Verdict verdict;

        if (device->lease && streq(device->lease->tenant->name, name))
                return true;
        if (!tenant)
                return false;
        decide_selector(broker->policy, tenant, &facts, &verdict);
        return verdict.code == VERDICT_ALLOWED;
}

uint64_t broker_memlock_max(Broker *broker)
{
        return policy_memlock_ceiling(broker->policy, broker->host->ops->mem_total(broker->host));
}

void broker_device_notify(Device *device, Broker *broker)
{
        NOTIFY(broker, device_changed, device);
        if (device->group)
                NOTIFY(broker, group_changed, device->group);
}
