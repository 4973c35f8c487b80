/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is always true of a broker: the sums are those of its leases, each device has one owner and the state that goes
 * with it, nothing works for nobody, and the records say what the tables say. */

#include "daemon/core/old-job.h"
#include "daemon/core/wait.h"
#include "tests/unit/core-fixture.h"

#include <utlist.h>

char *core_dump(Core *core)
{
        Broker *broker = core->broker;
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        Holder *holder;

        assert_non_null(f);
        for (Device *d = broker->devices; d; d = d->hh.next)
                (void)fprintf(f, "%s %s \"%s\" lease %p proven %d clean %d prior %d %s driver %s\n",
                              d->info.id, device_state_to_string(d->state), d->state_reason,
                              (void *)d->lease, d->proven, d->clean, d->prior_known,
                              d->prior_known ? d->prior_driver : "", d->info.driver);
        for (Tenant *t = broker->tenants; t; t = t->hh.next)
                (void)fprintf(f, "tenant %s %u %u %llu\n", t->name, t->n_leases, t->devices_leased,
                              (unsigned long long)t->memlock_committed);
        for (Lease *l = broker->leases; l; l = l->hh.next)
                (void)fprintf(f, "lease %s %s\n", l->id, lease_state_to_string(l->state));
        DL_FOREACH(broker->holders, holder)
                (void)fprintf(f, "holder %d n %u committed %llu\n", (int)holder->pid, holder->n_leases,
                              (unsigned long long)holder->committed);
        for (FakeProcess *p = core->fake->processes; p; p = p->hh.next)
                (void)fprintf(f, "limit %d %llu %llu\n", (int)p->pid, (unsigned long long)p->limit.soft,
                              (unsigned long long)p->limit.hard);
        for (StoredLease *l = core->leases; l; l = l->hh.next)
                (void)fprintf(f, "record %s %d\n", l->record.id, (int)l->record.state);
        for (StoredDevice *d = core->devices; d; d = d->hh.next)
                (void)fprintf(f, "record %s %d %d\n", d->record.id, d->record.quarantined,
                              d->record.prior_known);
        (void)fprintf(f, "%llu bytes, %u leases, %u jobs, %u timers, %u watches, %u fds\n",
                      (unsigned long long)broker->memlock_committed, broker->n_leases,
                      fake_host_n_jobs(core->fake), fake_host_n_timers(core->fake),
                      fake_host_n_watches(core->fake), fake_host_count_fds());
        assert_int_equal(fclose(f), 0);
        return text;
}

static void check_device(Core *core, const Device *device)
{
        const Lease *lease = device->lease;
        const DeviceRecord *record = core_device_record(core, device->info.id);
        bool vfio = device->info.driver_is_vfio;

        if (device->clean)
                assert_true(device->proven);
        if (device->proven) {
                assert_true(vfio);
                assert_true(device->state == DEVICE_AVAILABLE || device->admin_job);
        }
        switch (device->state) {
        case DEVICE_HOST:
                assert_false(vfio);
                assert_null(lease);
                assert_false(device->prior_known);
                break;
        case DEVICE_AVAILABLE:
                assert_true(vfio);
                assert_null(lease);
                break;
        case DEVICE_BINDING:
                assert_true(device->admin_job != (lease && lease->state == LEASE_OPENING));
                break;
        case DEVICE_LEASED: assert_true(lease && lease_is_held(lease)); break;
        case DEVICE_RECLAIMING:
                assert_true(device->old_job || (lease && lease->state == LEASE_RECLAIMING));
                break;
        case DEVICE_QUARANTINED:
                assert_null(lease);
                if (!core->record_failed)
                        assert_true(record && record->quarantined);
                break;
        case DEVICE_GONE: assert_true(lease ? lease->state == LEASE_RECLAIMING : device->admin_job); break;
        case _DEVICE_STATE_MAX: fail();
        }
        if (device->admin_job)
                assert_null(lease);
        if (lease)
                assert_true(lease_has_device(lease, device));
        if (record && !core->record_failed && device->state != DEVICE_QUARANTINED && !device->admin_job)
                assert_false(record->quarantined);
        assert_true(!device->group || device->group->number == device->info.group);
}

static void check_group(const Group *group)
{
        const char *tenant = group_tenant(group);

        assert_true(group->n_devices > 0);
        for (size_t i = 0; i < group->n_devices; i++) {
                assert_ptr_equal(group->devices[i]->group, group);
                if (group->devices[i]->lease)
                        assert_string_equal(group->devices[i]->lease->tenant->name, tenant);
        }
}

/* Whether a lease that is not over has a device of the group in the container. */
static bool needs(const Broker *broker, const Container *container, int number)
{
        for (const Lease *lease = broker->leases; lease; lease = lease->hh.next)
                for (size_t i = 0; lease->container == container && i < lease->n_devices; i++)
                        if (!lease->settled[i] && lease->devices[i]->info.group == number)
                                return true;
        return false;
}

/* It is as many leases' as it says, and keeps nothing open that no lease needs. */
static void check_container(Core *core, const Container *container)
{
        unsigned n = 0, live = 0, waiting = 0, opening = 0;

        for (const Lease *lease = core->broker->leases; lease; lease = lease->hh.next) {
                if (lease->container != container)
                        continue;
                n++;
                live += lease->state != LEASE_RECLAIMING;
                assert_int_equal(lease->backend, container->backend);
                assert_string_equal(lease->tenant->name, container->tenant);
                assert_true(container->named || streq(container->name, lease->id) || n > 1 ||
                            lease->state == LEASE_RECLAIMING || lease->target);
                waiting += lease->retry || lease->stranded > 0 || old_job_has(lease) ||
                           (lease->state == LEASE_RECLAIMING && lease->job);
                opening += lease->state == LEASE_OPENING || lease->reissue;
        }
        assert_int_equal(container->n_leases, n);
        assert_true(n > 0 || container->declared);
        assert_false(container->hidden && container->declared);
        assert_true(!container->hidden || live == 0);
        if (live > 0 && container->named && !container->lost)
                assert_true(container->fd >= 0);
        if (live == 0 && waiting == 0) {
                assert_int_equal(container->fd, -EBADF);
                assert_int_equal(container->n_groups, 0);
        }
        if (!container->named && container->backend == POLICY_BACKEND_IOMMUFD && opening == 0 &&
            waiting == 0)
                assert_int_equal(container->fd, -EBADF);
        if (container->backend == POLICY_BACKEND_IOMMUFD)
                assert_int_equal(container->n_groups, 0);
        for (size_t i = 0; i < container->n_groups; i++) {
                assert_true(container->groups[i].fd >= 0);
                if (waiting == 0)
                        assert_true(needs(core->broker, container, container->groups[i].number));
                for (size_t k = 0; k < i; k++)
                        assert_true(container->groups[k].number != container->groups[i].number);
        }
}

static void check_lease(Core *core, const Lease *lease)
{
        const LeaseRecord *record = core_lease_record(core, lease->id);
        unsigned unsettled = 0;

        assert_ptr_equal(lease->broker, core->broker);
        assert_non_null(lease->policy);
        for (size_t i = 0; i < lease->n_devices; i++) {
                assert_true(lease->settled[i] == !lease->devices[i]);
                if (lease->settled[i])
                        continue;
                unsettled++;
                assert_true(lease->devices[i] && lease->devices[i]->lease == lease);
        }
        assert_true(unsettled > 0 || lease->state == LEASE_RECLAIMING); /* memory may be left to unpin */
        assert_non_null(lease->container);
        check_container(core, lease->container); /* one that is hidden is in no table */
        switch (lease->state) {
        case LEASE_OPENING:
                assert_non_null(lease->job);
                assert_non_null(lease->done);
                assert_null(lease->retry);
                assert_false(lease->memlock_raised);
                break;
        case LEASE_ACTIVE:
        case LEASE_REVOKING:
                assert_true((lease->job != NULL) == (lease->reissue != NULL));
                assert_null(lease->target);
                assert_null(lease->done);
                assert_null(lease->retry);
                break;
        case LEASE_RECLAIMING:
                assert_null(lease->done);
                assert_null(lease->holder);
                assert_null(lease->watch);
                assert_false(lease->memlock_raised);
                assert_int_equal((lease->job != NULL) + (lease->retry != NULL) + (lease->stranded > 0),
                                 !old_job_has(lease));
                break;
        case _LEASE_STATE_MAX: fail();
        }
        if (lease->state != LEASE_RECLAIMING) {
                assert_int_equal(unsettled, lease->n_devices);
                assert_true(lease->holder || lease->lifetime == LIFETIME_EXPLICIT);
                assert_true((lease->watch != NULL) == (lease->lifetime != LIFETIME_EXPLICIT));
        }
        if (core->record_failed)
                return;
        assert_non_null(record);
        assert_int_equal(record->state, lease->state);
        assert_string_equal(record->tenant, lease->tenant->name);
        assert_int_equal(record->n_devices, unsettled);
}

static void check_tenant(const Tenant *tenant)
{
        unsigned n = 0, devices = 0;
        uint64_t memlock = 0;
        Lease *lease;

        DL_FOREACH(tenant->leases, lease) {
                assert_ptr_equal(lease->tenant, tenant);
                n++;
                memlock += lease->memlock;
                for (size_t i = 0; i < lease->n_devices; i++)
                        devices += !lease->settled[i];
        }
        assert_int_equal(tenant->n_leases, n);
        assert_int_equal(tenant->devices_leased, devices);
        assert_true(tenant->memlock_committed == memlock);
        assert_true(tenant->in_policy || n > 0);
}

static uint64_t saturated(uint64_t a, uint64_t b)
{
        return a + b < a ? UINT64_MAX : a + b;
}

static void check_holder(Core *core, const Holder *holder)
{
        uint64_t committed = 0, slack = 0;
        unsigned n = 0, raised = 0;
        FakeProcess *process;

        for (Lease *lease = core->broker->leases; lease; lease = lease->hh.next) {
                n += lease->holder == holder;
                if (lease->holder != holder || !lease->memlock_raised)
                        continue;
                raised++;
                committed = saturated(committed, lease->memlock);
                slack = lease->slack > slack ? lease->slack : slack;
        }
        assert_int_equal(holder->n_leases, n);
        assert_true(n > 0);
        assert_true(holder->committed == committed);
        assert_true(holder->slack == slack);

        HASH_FIND_INT(core->fake->processes, &holder->pid, process);
        if (raised > 0 && process && process->alive && process->facts.start_time == holder->start_time &&
            process->memlock_error == 0 && holder->base_known)
                assert_true(process->limit.soft ==
                            saturated(holder->base.soft, saturated(committed, slack)));
}

void core_check(Core *core)
{
        Broker *broker = core->broker;
        unsigned leases = 0, lingers = 0, jobs = 0, timers = 0, watches = 0, records = 0, stranded = 0,
                 kills = 0;
        int devices = 0, groups = 0, tenants = 0, containers = 0;
        uint64_t memlock = 0;
        const AdminJob *admin;
        const OldJob *old;
        int admin_jobs = 0;
        Holder *holder;

        for (Device *device = broker->devices; device; device = device->hh.next, devices++) {
                check_device(core, device);
                admin_jobs += device->admin_job && !device->old_job;
                lingers += device->kept_timer != NULL;
        }
        DL_FOREACH(broker->admin_jobs, admin) {
                admin_jobs--;
                jobs += admin->job != NULL;
                timers += admin->settle != NULL;
        }
        assert_int_equal(admin_jobs, 0);
        DL_FOREACH(broker->old_jobs, old)
                watches++;
        for (Group *group = broker->groups; group; group = group->hh.next, groups++)
                check_group(group);
        for (Tenant *tenant = broker->tenants; tenant; tenant = tenant->hh.next, tenants++) {
                check_tenant(tenant);
                memlock += tenant->memlock_committed;
        }
        for (Lease *lease = broker->leases; lease; lease = lease->hh.next, leases++) {
                check_lease(core, lease);
                jobs += lease->job != NULL;
                timers += (lease->retry != NULL) + (lease->revoke_timer != NULL);
                kills += lease->unit_kill != NULL;
                stranded += lease->stranded > 0;
                watches += lease->watch != NULL;
        }
        for (Container *container = broker->containers; container;
             container = container->hh.next, containers++)
                if (container->n_leases == 0)
                        check_container(core, container); /* the others with their leases */
        DL_FOREACH(broker->holders, holder)
                check_holder(core, holder);

        assert_int_equal(broker->n_leases, leases);
        assert_int_equal(broker->n_stranded, stranded);
        assert_true(broker->memlock_committed == memlock);
        assert_int_equal(fake_host_n_jobs(core->fake), jobs);
        assert_int_equal(fake_host_n_timers(core->fake),
                         timers + kills + lingers + broker_n_waiters(broker) +
                                 (broker->waiters_timer != NULL) + (broker->unplug_timer != NULL));
        assert_int_equal(fake_host_n_watches(core->fake), watches);
        assert_int_equal(core->n_devices, devices);
        assert_int_equal(core->n_groups, groups);
        assert_int_equal(core->n_tenants, tenants);
        assert_int_equal(core->n_containers, containers);
        assert_int_equal(core->n_leases, leases);
        for (StoredLease *stored = core->leases; stored; stored = stored->hh.next, records++)
                assert_non_null(broker_lease(broker, stored->record.id));
        if (!core->record_failed)
                assert_int_equal(records, leases);
}

void core_check_idle(Core *core)
{
        core_check(core);
        assert_int_equal(core->broker->n_leases, 0);
        assert_null(core->broker->leases);
        for (const Container *c = core->broker->containers; c; c = c->hh.next)
                assert_true(c->declared && c->n_leases == 0);
        assert_null(core->broker->holders);
        assert_null(core->leases);
        assert_int_equal(core->n_kept, 0);
        assert_int_equal(fake_host_n_jobs(core->fake), 0);
}
