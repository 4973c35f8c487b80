/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The stage of the store's tests. */

#include "tests/unit/store-fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

int __real_broker_restore_lease(Broker *broker, const LeaseRecord *record);
int __wrap_broker_restore_lease(Broker *broker, const LeaseRecord *record);
int __wrap_broker_restore_device(Broker *broker, const DeviceRecord *record);

TheStore the_store;

int __wrap_broker_restore_lease(Broker *broker, const LeaseRecord *record)
{
        the_store.n_leases++;
        the_store.lease = *record;
        return the_store.real ? __real_broker_restore_lease(broker, record) : the_store.answer;
}

int __wrap_broker_restore_device(Broker *broker, const DeviceRecord *record)
{
        the_store.n_devices++;
        the_store.device = *record;
        return the_store.answer;
}

int store_setup(void **state)
{
        the_store.fds = fake_host_count_fds();
        (void)core_setup(state);
        the_store.core = *state;
        the_store.core->record_failed = true; /* what the fixture's own store has says nothing */
        strcpy(the_store.folder, "/tmp/test-store.XXXXXX");
        assert_non_null(mkdtemp(the_store.folder));
        assert_int_equal(store_new(the_store.folder, &the_store.store), 0);
        the_store.real = false;
        the_store.answer = 0;
        the_store.n_leases = the_store.n_devices = 0;
        return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

int store_teardown(void **state)
{
        the_store.store = store_free(the_store.store);
        assert_int_equal(nftw(the_store.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        (void)core_teardown(state);
        assert_int_equal(fake_host_count_fds(), the_store.fds);
        return 0;
}

const char *store_path(const char *name)
{
        static char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s", the_store.folder, name);
        return path;
}

void store_write(const char *name, const char *text, size_t n)
{
        int fd = open(store_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, n), n);
        assert_int_equal(close(fd), 0);
}

char *store_read(const char *name)
{
        _cleanup_(fclosep) FILE *f = fopen(store_path(name), "re");
        char *text = calloc(1, 16384);

        assert_non_null(text);
        assert_non_null(f);
        assert_true(fread(text, 1, 16383, f) > 0);
        return text;
}

unsigned store_count(const char *name)
{
        DIR *dir = opendir(store_path(name));
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        (void)closedir(dir);
        return n - 2;
}

bool store_exists(const char *name)
{
        struct stat st;

        return lstat(store_path(name), &st) == 0;
}

int store_read_back(void)
{
        unsigned fds = fake_host_count_fds();
        int r;

        the_store.n_leases = the_store.n_devices = 0;
        the_store.core->events[EVENT_TROUBLE] = 0;
        r = store_load(the_store.store, the_store.core->broker);
        if (!the_store.real) /* which keeps a pidfd */
                assert_int_equal(fake_host_count_fds(), fds);
        return r;
}

void store_sample(StoreSample *ret, size_t n_devices)
{
        memset(ret, 0, sizeof(*ret));
        ret->tenant.name = (char *)"blue; [x] = y";
        ret->holder =
                (Holder){ .start_time = UINT64_MAX - 1, .base = { 3, UINT64_MAX }, .base_known = true };
        strcpy(ret->holder.kept_as, "abcdef0123456789");
        strcpy(ret->container.kept_as, "cafe00000001");
        strcpy(ret->container.name, "my [container]; = \n");
        ret->container.named = true;
        ret->lease = (Lease){
                .id = "cafe00000000",
                .tenant = &ret->tenant,
                .holder = &ret->holder,
                .container = &ret->container,
                .state = LEASE_ACTIVE,
                .lifetime = LIFETIME_CONNECTION,
                .backend = POLICY_BACKEND_GROUP,
                .label = "a\n[record]\nstate = opening ; # \"\\ \xe2\x98\x83",
                .unit = "",
                .owner_name = "0123456789abcdef:1.42",
                .caller = { .known = true,
                            .uid = UINT32_MAX - 1,
                            .n_gids = 3,
                            .gids = { 0, 2001, UINT32_MAX - 1 },
                            .unit = "vm@1.service",
                            .slice = "blue; \".slice",
                            .machine = "",
                            .label = "a:b\n[c]" },
                .on_behalf = true,
                .ipc_lock = true,
                .pid = INT_MAX,
                .uid = UINT32_MAX - 1,
                .memlock = UINT64_MAX,
                .slack = 1,
                .since = 1234567890123456,
                .reset = POLICY_RESET_BEST_EFFORT,
                .restore_driver = true,
                .n_devices = n_devices,
        };
        for (size_t i = 0; i < n_devices; i++) {
                Device *device = ret->devices + i;

                (void)snprintf(device->info.id, sizeof(device->info.id), "some-bus/ab:%zu.x_y z", i);
                (void)snprintf(device->prior_driver, sizeof(device->prior_driver), "%s",
                               i % 2 ? "" : "igb-x_y");
                (void)snprintf(device->prior_override, sizeof(device->prior_override), "%s",
                               i % 2 ? "pci-stub" : "");
                device->prior_known = i != 2;
                ret->lease.took[i] = i != 1;
                ret->lease.devices[i] = device;
        }
}

void store_assert_same(const StoreSample *sample, const LeaseRecord *record)
{
        const Lease *lease = &sample->lease;
        const Holder *holder = lease->holder;
        size_t n = 0;

        assert_string_equal(record->id, lease->id);
        assert_string_equal(record->tenant, lease->tenant->name);
        assert_string_equal(record->label, lease->label);
        assert_string_equal(record->unit, lease->unit);
        assert_string_equal(record->owner_name, lease->owner_name);
        assert_true(record->on_behalf == lease->on_behalf && record->ipc_lock == lease->ipc_lock);
        assert_true(record->caller.known == lease->caller.known && record->caller.uid == lease->caller.uid);
        assert_true(record->caller.n_gids == lease->caller.n_gids);
        for (size_t i = 0; i < lease->caller.n_gids; i++)
                assert_int_equal(record->caller.gids[i], lease->caller.gids[i]);
        assert_string_equal(record->caller.unit, lease->caller.unit);
        assert_string_equal(record->caller.slice, lease->caller.slice);
        assert_string_equal(record->caller.machine, lease->caller.machine);
        assert_string_equal(record->caller.label, lease->caller.label);
        assert_int_equal(record->state, lease->state);
        assert_int_equal(record->lifetime, lease->lifetime);
        assert_int_equal(record->backend, lease->backend);
        assert_int_equal(record->pid, lease->pid);
        assert_int_equal(record->uid, lease->uid);
        assert_true(record->start_time == (holder ? holder->start_time : 0));
        assert_true(record->memlock == lease->memlock);
        assert_true(record->slack == lease->slack);
        assert_true(record->base_known == (holder && holder->base_known));
        assert_true(record->base.soft == (holder ? holder->base.soft : 0));
        assert_true(record->base.hard == (holder ? holder->base.hard : 0));
        assert_string_equal(record->process_kept_as, holder ? holder->kept_as : "");
        assert_string_equal(record->container_kept_as, lease->container->kept_as);
        assert_true(record->since == lease->since);
        if (lease->state == LEASE_RECLAIMING)
                assert_int_equal(record->end_reason, lease->end_reason);
        assert_int_equal(record->reset, lease->reset);
        assert_true(record->restore_driver == lease->restore_driver);
        assert_string_equal(record->container, lease->container->name);
        assert_true(record->container_named == lease->container->named);
        for (size_t i = 0; i < lease->n_devices; i++) {
                if (lease->settled[i])
                        continue;
                assert_true(n < record->n_devices);
                assert_string_equal(record->devices[n].id, lease->devices[i]->info.id);
                assert_string_equal(record->devices[n].prior_driver, lease->devices[i]->prior_driver);
                assert_string_equal(record->devices[n].prior_override, lease->devices[i]->prior_override);
                assert_true(record->devices[n].prior_known == lease->devices[i]->prior_known);
                assert_true(record->devices[n].took == lease->took[i]);
                n++;
        }
        assert_int_equal(record->n_devices, n);
}

void store_put(const Lease *lease)
{
        unsigned fds = fake_host_count_fds();

        assert_int_equal(store_ops.lease_put(the_store.store, lease), 0);
        assert_int_equal(fake_host_count_fds(), fds);
}
