/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making mdevs for a lease. The job that makes them comes before the one that opens: with its end their groups and
 * drivers are known, and to the rest of the broker they are devices like any other. Whatever fails afterwards ends the
 * lease, and the reclaim removes them. Event loop only. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/mdev.h"

/* Random, version 4, in the kernel's form. */
static void make_uuid(Host *host, char ret[static DEVICE_ID_MAX])
{
        uint64_t a = host->ops->random(host), b = host->ops->random(host);

        (void)snprintf(ret, DEVICE_ID_MAX, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32),
                       (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff,
                       (unsigned)(0x8000 | (b >> 48 & 0x3fff)), (unsigned long long)(b & 0xffffffffffffULL));
}

Device *mdev_new(Broker *broker, const MdevType *type)
{
        DeviceInfo info = { .bus = "mdev", .group = -1, .numa_node = type->numa_node };
        Device *device;

        do
                make_uuid(broker->host, info.id);
        while (broker_device(broker, info.id));
        memcpy(info.mdev_type, type->type, sizeof(info.mdev_type));
        memcpy(info.mdev_parent, type->parent, sizeof(info.mdev_parent));
        (void)snprintf(info.description, sizeof(info.description), "%.100s of %.50s", type->name,
                       type->parent);
        info.iommufd = broker->host->ops->backends(broker->host) & POLICY_BACKEND_IOMMUFD;
        device = device_new(&info);
        if (!device)
                return NULL;
        device->made = true;
        device->proven = device->clean = true; /* nobody can have had it */
        return device;
}

bool mdev_pool_names_types(const PolicyPool *pool)
{
        return mdev_pool_makes(pool, NULL);
}

bool mdev_pool_makes(const PolicyPool *pool, const DeviceFacts *facts)
{
        for (size_t i = 0; i < pool->devices.n_items; i++) {
                const Selector *selector = pool->devices.items + i;

                if (facts && !selector_matches(selector, facts))
                        continue;
                for (size_t k = 0; k < selector->n_terms; k++) {
                        const SelectorTerm *term = selector->terms + k;

                        if (term->kind == SELECTOR_MDEV_TYPE || (term->kind == SELECTOR_POOL && term->pool &&
                                                                 mdev_pool_makes(term->pool, facts)))
                                return true;
                }
        }
        return false;
}

static bool is_planned(const Device *device)
{
        return device && device->made && !device->hh.tbl;
}

void mdev_drop_planned(Device *const *devices, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (is_planned(devices[i]))
                        device_free(devices[i]);
}

int mdev_register(Broker *broker, Device *const *devices, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                Device *device = devices[i];

                if (!is_planned(device))
                        continue;
                HASH_ADD_KEYPTR(hh, broker->devices, device->info.id, strlen(device->info.id), device);
                if (!device->hh.tbl) {
                        while (i-- > 0)
                                if (devices[i]->made) {
                                        HASH_DEL(broker->devices, devices[i]);
                                        devices[i]->hh.tbl = NULL;
                                }
                        return -ENOMEM;
                }
        }
        for (size_t i = 0; i < n; i++)
                if (devices[i]->made)
                        NOTIFY(broker, device_added, devices[i]);
        return 0;
}

void mdev_unregister(Broker *broker, Device *device)
{
        (void)device_set_state(device, DEVICE_GONE, "%s", "");
        broker_device_gc(broker, device);
}

static bool is_to_be_made(const Device *device)
{
        return device->made && !device->info.driver_is_vfio;
}

static void fail(Lease *lease, int r, const Refusal *refusal)
{
        if (r > 0)
                broker_event(lease->broker, EVENT_REFUSED, lease, NULL, result_to_string(refusal->code),
                             "%s", refusal->text);
        lease_fail(lease, r, refusal);
        broker_lease_end(lease->broker, lease, END_FAILED);
}

static int refuse_make(const Device *device, const JobDeviceResult *row, Refusal *refusal)
{
        const DeviceInfo *info = &device->info;

        /* Parents differ in the errno for having no more: EUSERS from the kernel's own count, else their driver's. */
        if (row->error == EUSERS || row->error == ENOSPC || row->error == EDQUOT || row->error == EBUSY)
                return refuse(refusal, RESULT_DEVICE_TAKEN, "No instance of mdev type %s is left on %s.",
                              info->mdev_type, info->mdev_parent);
        return refuse(refusal, RESULT_DRIVER_BIND_FAILED, "An mdev of type %s cannot be made on %s: %s: %s.",
                      info->mdev_type, info->mdev_parent, row->text, strerror(row->error));
}

/* The device is made: what the inventory will say of it, or has said already. */
static int take_made(Broker *broker, Device *device, const JobDeviceResult *row)
{
        DeviceInfo info = device->info;

        if (device->info.driver_is_vfio && device->info.group == row->group)
                return 0;
        device->info.path = NULL; /* in the copy now */
        device->info.reserved = NULL;
        device->info.n_reserved = 0;
        info.group = row->group;
        memcpy(info.driver, row->driver_now, sizeof(info.driver));
        memcpy(info.vfio_driver, row->driver_now, sizeof(info.vfio_driver));
        info.driver_is_vfio = true;
        return broker_device_update(broker, &info);
}

static int take_result(Lease *lease, const JobResult *result, Refusal *refusal)
{
        Broker *broker = lease->broker;
        size_t row = 0;
        int r = 0;

        if (result->error != 0)
                return refuse(refusal, RESULT_DRIVER_BIND_FAILED, "The worker did not finish: %s (%s).",
                              result->text, strerror(result->error));
        for (size_t i = 0; i < lease->n_devices && row < result->n_devices && r == 0; i++) {
                Device *device = lease->devices[i];
                const JobDeviceResult *made = result->devices + row;
                JobDevice *open = lease->pending->devices + i;

                if (!device->made)
                        continue;
                row++;
                if (made->error != 0)
                        return refuse_make(device, made, refusal);
                r = take_made(broker, device, made);
                if (r < 0)
                        return r;
                memcpy(open->driver, made->driver_now, sizeof(open->driver));
                open->group = made->group;
                if (lease->backend == POLICY_BACKEND_GROUP && made->group < 0)
                        return refuse(refusal, RESULT_BACKEND_UNAVAILABLE,
                                      "The mdev that was made on %s has no VFIO group.",
                                      device->info.mdev_parent);
        }
        return r;
}

/* What the container has by now: others may have joined it, or closed a file of it, since the plan was made. The groups are
 * in the order of the lease's devices, in which their files are taken (lifecycle.c). */
static void take_files(const Lease *lease, Job *open)
{
        const Container *container = lease->container;

        open->context = container->fd;
        open->join = container_in_use(lease->broker, container, lease);
        open->n_groups = 0;
        for (size_t i = 0; i < lease->n_devices && lease->backend == POLICY_BACKEND_GROUP; i++) {
                int number = lease->devices[i]->info.group;

                job_group(open, number)->fd = container_group_fd(container, number);
        }
}

static void make_done(void *userdata, JobResult *result)
{
        Lease *lease = userdata;
        Broker *broker = lease->broker;
        _cleanup_free_ Job *open = NULL;
        Refusal refusal = {};
        int r;

        lease->job = NULL;
        if (lease->state != LEASE_OPENING) {
                lease_reclaim(lease);
                broker_job_ended(broker);
                return;
        }
        r = take_result(lease, result, &refusal);
        open = TAKE_PTR(lease->pending);
        if (r == 0) {
                take_files(lease, open);
                r = refuse_start(lease_start_open(lease, open), &refusal);
        }
        if (r != 0)
                fail(lease, r, &refusal);
        broker_job_ended(broker);
}

static void make_slow(void *userdata, uint64_t age_usec)
{
        Lease *lease = userdata;
        Refusal refusal;
        int r;

        if (lease->state != LEASE_OPENING)
                return;
        r = refuse(&refusal, RESULT_DRIVER_BIND_FAILED,
                   "The kernel has not made the mdev within %llu s: its parent's driver takes its time.",
                   (unsigned long long)(age_usec / USEC_PER_SEC));
        fail(lease, r, &refusal);
}

int mdev_start(Lease *lease, const Job *open)
{
        Host *host = lease->broker->host;
        Job job;
        int r;

        job_init(&job, JOB_MAKE);
        for (size_t i = 0; i < lease->n_devices; i++) {
                const Device *device = lease->devices[i];
                JobDevice *row = job.devices + job.n_devices;

                if (!is_to_be_made(device))
                        continue;
                memcpy(row->id, device->info.id, sizeof(row->id));
                memcpy(row->bus, device->info.bus, sizeof(row->bus));
                memcpy(row->mdev_parent, device->info.mdev_parent, sizeof(row->mdev_parent));
                memcpy(row->mdev_type, device->info.mdev_type, sizeof(row->mdev_type));
                job.n_devices++;
        }
        if (job.n_devices == 0)
                return lease_start_open(lease, open);

        lease->pending = malloc(sizeof(*lease->pending));
        if (!lease->pending)
                return -ENOMEM;
        *lease->pending = *open;
        r = host->ops->job_start(host, &job, make_done, make_slow, lease, &lease->job);
        if (r < 0) {
                free(lease->pending);
                lease->pending = NULL;
        }
        return r;
}
