/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The stage of the core's tests. The host is the fake machine with a table of our own before it, so that single
 * operations can fail; the store copies what it is given into the records that a restart reads back. */

#include "tests/unit/core-fixture.h"

static Core *the_core; /* that the operations below belong to: they are given the Host alone */

static void *core_calloc(size_t n, size_t size)
{
        void *p = calloc(n, size);

        if (!p)
                abort();
        return p;
}

static bool fails(Core *core, CoreOp op, int *ret)
{
        if (core->fail[op] == 0)
                return false;
        if (core->skip[op] > 0) {
                core->skip[op]--;
                return false;
        }
        *ret = -core->fail[op];
        return true;
}

/* --- host --- */

static int op_memlock_get(Host *host, pid_t pid, int pidfd, MemlockLimit *ret)
{
        int r;

        return fails(the_core, OP_MEMLOCK_GET, &r) ? r
                                                   : the_core->fake_ops.memlock_get(host, pid, pidfd, ret);
}

static int op_process_facts(Host *host, pid_t pid, int pidfd, ProcessFacts *ret)
{
        int r;

        return fails(the_core, OP_PROCESS_FACTS, &r)
                       ? r
                       : the_core->fake_ops.process_facts(host, pid, pidfd, ret);
}

static int op_process_open(Host *host, pid_t pid, int *ret_pidfd, uint64_t *ret_start_time)
{
        int r;

        return fails(the_core, OP_PROCESS_OPEN, &r)
                       ? r
                       : the_core->fake_ops.process_open(host, pid, ret_pidfd, ret_start_time);
}

static int op_process_watch(Host *host, int pidfd, HostCallback callback, void *userdata, HostWatch **ret)
{
        int r;

        if (fails(the_core, OP_PROCESS_WATCH, &r))
                return r;
        return the_core->fake_ops.process_watch(host, pidfd, callback, userdata, ret);
}

static int op_timer_start(Host *host, uint64_t usec, HostCallback callback, void *userdata, HostTimer **ret)
{
        int r;

        if (fails(the_core, OP_TIMER_START, &r))
                return r;
        return the_core->fake_ops.timer_start(host, usec, callback, userdata, ret);
}

/* --- store --- */

static int store_lease_put(void *userdata, const Lease *lease)
{
        Core *core = userdata;
        const Holder *holder = lease->holder;
        StoredLease *stored;
        LeaseRecord *record;
        int r;

        if (fails(core, OP_LEASE_PUT, &r)) {
                core->record_failed = true;
                return r;
        }
        HASH_FIND_STR(core->leases, lease->id, stored);
        if (!stored) {
                stored = calloc(1, sizeof(*stored));
                if (!stored)
                        return -ENOMEM;
                memcpy(stored->record.id, lease->id, sizeof(stored->record.id));
                HASH_ADD_STR(core->leases, record.id, stored);
                if (!stored->hh.tbl) {
                        free(stored);
                        return -ENOMEM;
                }
        }
        record = &stored->record;
        (void)snprintf(record->tenant, sizeof(record->tenant), "%s", lease->tenant->name);
        memcpy(record->label, lease->label, sizeof(record->label));
        memcpy(record->owner_name, lease->owner_name, sizeof(record->owner_name));
        memcpy(record->unit, lease->unit, sizeof(record->unit));
        record->state = lease->state;
        record->lifetime = lease->lifetime;
        record->backend = lease->backend;
        record->pid = lease->pid;
        record->caller = lease->caller;
        record->on_behalf = lease->on_behalf;
        record->ipc_lock = lease->ipc_lock;
        record->uid = lease->uid;
        record->start_time = holder ? holder->start_time : 0;
        record->memlock = lease->memlock;
        record->slack = lease->slack;
        record->base_known = holder && holder->base_known;
        record->base = holder ? holder->base : (MemlockLimit){};
        memcpy(record->process_kept_as, holder ? holder->kept_as : "", holder ? LEASE_ID_MAX : 1);
        memcpy(record->container_kept_as, lease->container->kept_as, LEASE_ID_MAX);
        record->since = lease->since;
        record->reset = lease->reset;
        record->restore_driver = lease->restore_driver;
        record->revoke_until = lease->revoke_until;
        record->revoke_removed = lease->revoke_end == END_DEVICE_REMOVED;
        memcpy(record->revoke_reason, lease->revoke_reason, sizeof(record->revoke_reason));
        record->end_reason = lease->end_reason;
        memcpy(record->container, lease->container->name, sizeof(record->container));
        record->container_named = lease->container->named;
        record->n_devices = 0;
        for (size_t i = 0; i < lease->n_devices; i++) {
                const Device *device = lease->devices[i];

                if (lease->settled[i])
                        continue;
                memcpy(record->devices[record->n_devices].id, device->info.id, DEVICE_ID_MAX);
                memcpy(record->devices[record->n_devices].prior_driver, device->prior_driver,
                       DRIVER_NAME_MAX);
                memcpy(record->devices[record->n_devices].prior_override, device->prior_override,
                       DRIVER_NAME_MAX);
                record->devices[record->n_devices].prior_known = device->prior_known;
                record->devices[record->n_devices].made = device->made;
                record->devices[record->n_devices].asked_back = device->asked_back;
                record->devices[record->n_devices++].took = lease->took[i];
        }
        return 0;
}

static void store_lease_drop(void *userdata, const char *id)
{
        Core *core = userdata;
        StoredLease *stored;

        HASH_FIND_STR(core->leases, id, stored);
        if (!stored)
                return;
        HASH_DEL(core->leases, stored);
        free(stored);
}

static int store_device_put(void *userdata, const Device *device)
{
        Core *core = userdata;
        StoredDevice *stored;
        int r;

        if (fails(core, OP_DEVICE_PUT, &r)) {
                core->record_failed = true;
                return r;
        }
        HASH_FIND_STR(core->devices, device->info.id, stored);
        if (!stored) {
                stored = calloc(1, sizeof(*stored));
                if (stored) {
                        memcpy(stored->record.id, device->info.id, sizeof(stored->record.id));
                        HASH_ADD_STR(core->devices, record.id, stored);
                }
                if (!stored || !stored->hh.tbl) {
                        free(stored);
                        core->record_failed = true; /* the core goes on without it */
                        return -ENOMEM;
                }
        }
        memcpy(stored->record.prior_driver, device->prior_driver, sizeof(stored->record.prior_driver));
        memcpy(stored->record.prior_override, device->prior_override, sizeof(stored->record.prior_override));
        stored->record.prior_known = device->prior_known;
        stored->record.made = device->made;
        memcpy(stored->record.only_for, device->only_for, sizeof(stored->record.only_for));
        memcpy(stored->record.kept_for, device->kept_for, sizeof(stored->record.kept_for));
        stored->record.kept_until = device->kept_until;
        stored->record.quarantined = device->state == DEVICE_QUARANTINED;
        memcpy(stored->record.reason, device->state_reason, sizeof(stored->record.reason));
        return 0;
}

static void store_device_drop(void *userdata, const char *id)
{
        Core *core = userdata;
        StoredDevice *stored;

        HASH_FIND_STR(core->devices, id, stored);
        if (!stored)
                return;
        HASH_DEL(core->devices, stored);
        free(stored);
}

static const BrokerStore store = {
        .lease_put = store_lease_put,
        .lease_drop = store_lease_drop,
        .device_put = store_device_put,
        .device_drop = store_device_drop,
        .job_drop = core_job_drop,
        .fd_keep = core_fd_keep,
        .fd_forget = core_fd_forget,
        .fd_take = core_fd_take,
};

const LeaseRecord *core_lease_record(Core *core, const char *id)
{
        StoredLease *stored;

        HASH_FIND_STR(core->leases, id, stored);
        return stored ? &stored->record : NULL;
}

const DeviceRecord *core_device_record(Core *core, const char *id)
{
        StoredDevice *stored;

        HASH_FIND_STR(core->devices, id, stored);
        return stored ? &stored->record : NULL;
}

/* --- observer: whoever is told of something finds it in its table --- */

static void device_added(void *userdata, Device *device)
{
        Core *core = userdata;

        assert_ptr_equal(broker_device(core->broker, device->info.id), device);
        core->n_devices++;
}

static void device_changed(void *userdata, Device *device)
{
        Core *core = userdata;

        assert_ptr_equal(broker_device(core->broker, device->info.id), device);
        core->n_device_changes++;
}

static void device_removed(void *userdata, Device *device)
{
        Core *core = userdata;

        assert_ptr_equal(broker_device(core->broker, device->info.id), device);
        assert_null(device->lease);
        core->n_devices--;
}

static void group_added(void *userdata, Group *group)
{
        Core *core = userdata;

        assert_ptr_equal(broker_group(core->broker, group->number), group);
        core->n_groups++;
}

static void group_changed(void *userdata, Group *group)
{
        assert_ptr_equal(broker_group(((Core *)userdata)->broker, group->number), group);
}

static void group_removed(void *userdata, Group *group)
{
        Core *core = userdata;

        assert_ptr_equal(broker_group(core->broker, group->number), group);
        core->n_groups--;
}

static void lease_added(void *userdata, Lease *lease)
{
        Core *core = userdata;

        assert_ptr_equal(broker_lease(core->broker, lease->id), lease);
        core->n_leases++;
}

static void lease_changed(void *userdata, Lease *lease)
{
        Core *core = userdata;

        assert_ptr_equal(broker_lease(core->broker, lease->id), lease);
        core->n_lease_changes++;
}

static void lease_revoked(void *userdata, Lease *lease)
{
        Core *core = userdata;

        assert_int_equal(lease->state, LEASE_REVOKING);
        core->n_revoked++;
}

static void lease_ended(void *userdata, Lease *lease, EndReason reason)
{
        Core *core = userdata;

        assert_ptr_equal(broker_lease(core->broker, lease->id), lease);
        assert_int_equal(lease->state, LEASE_RECLAIMING);
        core->n_ended++;
        core->last_end = reason;
}

static void lease_removed(void *userdata, Lease *lease)
{
        Core *core = userdata;

        assert_ptr_equal(broker_lease(core->broker, lease->id), lease);
        core->n_leases--;
}

static void container_added(void *userdata, Container *container)
{
        Core *core = userdata;

        assert_ptr_equal(broker_container(core->broker, container->tenant, container->name), container);
        core->n_containers++;
}

static void container_changed(void *userdata, Container *container)
{
        Core *core = userdata;

        assert_ptr_equal(broker_container(core->broker, container->tenant, container->name), container);
}

static void container_removed(void *userdata, Container *container)
{
        Core *core = userdata;

        core->n_containers--;
}

static void tenant_added(void *userdata, Tenant *tenant)
{
        Core *core = userdata;

        assert_ptr_equal(broker_tenant(core->broker, tenant->name), tenant);
        core->n_tenants++;
}

static void tenant_changed(void *userdata, Tenant *tenant)
{
        Core *core = userdata;

        assert_ptr_equal(broker_tenant(core->broker, tenant->name), tenant);
        core->n_tenant_changes++;
}

static void tenant_removed(void *userdata, Tenant *tenant)
{
        Core *core = userdata;

        assert_ptr_equal(broker_tenant(core->broker, tenant->name), tenant);
        core->n_tenants--;
}

static void on_event(void *userdata, const BrokerEvent *event)
{
        Core *core = userdata;

        assert_non_null(event->tenant);
        assert_non_null(event->lease);
        for (size_t i = 0; i < event->n_devices; i++)
                assert_non_null(event->devices[i]);
        assert_non_null(event->unit);
        assert_non_null(event->result);
        core->events[event->kind]++;
        (void)snprintf(core->last_event[event->kind], REFUSAL_TEXT_MAX, "%s", event->text);
        (void)snprintf(core->last_rule[event->kind], sizeof(core->last_rule[0]), "%s", event->rule);
}

static const BrokerObserver observer = {
        .device_added = device_added,
        .device_changed = device_changed,
        .device_removed = device_removed,
        .group_added = group_added,
        .group_changed = group_changed,
        .group_removed = group_removed,
        .lease_added = lease_added,
        .lease_changed = lease_changed,
        .lease_revoked = lease_revoked,
        .lease_ended = lease_ended,
        .lease_removed = lease_removed,
        .container_added = container_added,
        .container_changed = container_changed,
        .container_removed = container_removed,
        .tenant_added = tenant_added,
        .tenant_changed = tenant_changed,
        .tenant_removed = tenant_removed,
        .event = on_event,
};

/* --- the stage --- */

Policy *core_policy_of(const char *text)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        Policy *policy = NULL;

        if (policy_load_string("policy", text, strlen(text), &policy, &errors) < 0) {
                _cleanup_free_ char *all = policy_errors_to_string(&errors);

                fail_msg("%s", all);
        }
        return policy;
}

void core_set_policy(Core *core, const char *text)
{
        assert_int_equal(broker_set_policy(core->broker, core_policy_of(text)), 0);
}

/* The uevents of what a job did to a driver. */
static void on_driver(void *userdata, const FakeDevice *fake_device)
{
        Core *core = userdata;
        Device *device = broker_device(core->broker, fake_device->id);
        DeviceInfo info;

        if (!device || device->state == DEVICE_GONE)
                return;
        info = device->info;
        memcpy(info.driver, fake_device->driver, sizeof(info.driver));
        info.driver_is_vfio = strncmp(info.driver, "vfio", 4) == 0;
        info.reserved = NULL;
        info.n_reserved = 0;
        info.path = strdup(device->info.path);
        if (!info.path)
                return; /* where memory is short, so is the inventory's */
        assert_int_equal(broker_device_update(core->broker, &info), 0);
}

/* `policy` is taken over. */
static void start_broker(Core *core, Policy *policy)
{
        core->n_devices = core->n_groups = core->n_tenants = core->n_leases = core->n_containers = 0;
        assert_int_equal(broker_new(&core->fake->host, &store, core, policy, &core->broker), 0);
        for (Tenant *tenant = core->broker->tenants; tenant; tenant = tenant->hh.next)
                core->n_tenants++;
        for (Container *container = core->broker->containers; container; container = container->hh.next)
                core->n_containers++;
        assert_int_equal(broker_observe(core->broker, &observer, core), 0);
}

int core_setup(void **state)
{
        Core *core = core_calloc(1, sizeof(*core));

        the_core = core;
        core->fds = fake_host_count_fds();
        core->fake = fake_host_new(false);
        assert_non_null(core->fake);
        core->fake_ops = *core->fake->host.ops;
        core->ops = core->fake_ops;
        core->ops.memlock_get = op_memlock_get;
        core->ops.process_facts = op_process_facts;
        core->ops.process_open = op_process_open;
        core->ops.process_watch = op_process_watch;
        core->ops.timer_start = op_timer_start;
        core->fake->host.ops = &core->ops;
        core->fake->driver_changed = on_driver;
        core->fake->driver_changed_userdata = core;
        start_broker(core, core_policy_of(POLICY_HEAD POLICY_RED));
        *state = core;
        return 0;
}

int core_setup_two(void **state, const char *policy)
{
        Core *core;

        if (core_setup(state) < 0)
                return -1;
        core = *state;
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        core_set_policy(core, policy);
        return 0;
}

int core_teardown(void **state)
{
        Core *core = *state;

        core->broker = broker_free(core->broker);
        assert_int_equal(fake_host_n_timers(core->fake), 0);
        assert_int_equal(fake_host_n_watches(core->fake), 0);
        core->fake = fake_host_free(core->fake);
        while (core->leases)
                store_lease_drop(core, core->leases->record.id);
        while (core->devices)
                store_device_drop(core, core->devices->record.id);
        core_forget_all(core);
        assert_int_equal(fake_host_count_fds(), core->fds);
        free(core);
        the_core = NULL;
        return 0;
}

void core_restart_empty(Core *core)
{
        struct {
                char id[DEVICE_ID_MAX];
                int group;
        } devices[64];
        size_t n = 0;
        Policy *policy = policy_ref(core->broker->policy);

        for (Device *d = core->broker->devices; d; d = d->hh.next) {
                if ((d->state == DEVICE_GONE && !d->has_returned) || (d->made && !d->info.driver_is_vfio))
                        continue;
                assert_true(n < ELEMENTSOF(devices));
                memcpy(devices[n].id, d->info.id, sizeof(devices[n].id));
                devices[n++].group = d->state == DEVICE_GONE ? d->returned.group : d->info.group;
        }
        core->broker = broker_free(core->broker);
        assert_int_equal(fake_host_n_timers(core->fake), 0);
        assert_int_equal(fake_host_n_watches(core->fake), 0);
        fake_host_fail_jobs(core->fake, EIO); /* the workers die with the daemon; nobody hears of it */

        start_broker(core, policy);
        for (size_t i = 0; i < n; i++)
                (void)core_device(core, devices[i].id, devices[i].group,
                                  fake_host_device(core->fake, devices[i].id)->driver);
}

void core_restart(Core *core)
{
        core_restart_empty(core);
        core_read_records(core);
}

void core_read_records(Core *core)
{
        assert_int_equal(core_try_records(core), 0);
}

int core_try_records(Core *core)
{
        StoredLease *lease, *next_lease;
        StoredDevice *device, *next_device;
        int r;

        core_leave_all(core);
        broker_restore_begin(core->broker);
        HASH_ITER(hh, core->devices, device, next_device)
                if (broker_restore_device(core->broker, &device->record) < 0)
                        store_device_drop(core, device->record.id);
        HASH_ITER(hh, core->leases, lease, next_lease) {
                LeaseRecord record = lease->record; /* it is put again, or dropped, on the way */

                r = broker_restore_lease(core->broker, &record);
                if (r < 0)
                        return r;
        }
        core_forget_left(core);
        broker_restore_end(core->broker);
        return 0;
}

Device *core_device(Core *core, const char *id, int group, const char *driver)
{
        DeviceInfo info = fake_host_device_info(core->fake, id, group, driver);

        const FakeDevice *fake = fake_host_device(core->fake, id);

        if (fake->mdev_type[0]) {
                strcpy(info.bus, "mdev");
                memcpy(info.mdev_type, fake->mdev_type, sizeof(info.mdev_type));
                memcpy(info.mdev_parent, fake->mdev_parent, sizeof(info.mdev_parent));
                info.n_reset_methods = 0;
        }
        assert_int_equal(broker_device_update(core->broker, &info), 0);
        assert_null(info.path);
        return broker_device(core->broker, id);
}

FakeProcess *core_process(Core *core, pid_t pid, uid_t uid)
{
        return fake_host_add_process(core->fake, pid, uid);
}
