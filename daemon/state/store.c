/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Records in files: INI, read back with iniparser. Strings that a client chose are encoded as D-Bus path elements, so
 * that none can end a line, open a section or pass for another key; numbers are decimal. */

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "daemon/state/fdstore.h"
#include "daemon/state/record.h"
#include "daemon/state/store.h"

/* Goes up where a daemon that knows less must not read the record; a new key that it may overlook needs none. */
#define FORMAT_VERSION "1"

struct Store {
        int leases; /* folders */
        int devices;
        int jobs;
        char *folder;
        FdStore *fds;
        char boot[SD_ID128_STRING_MAX];
};

static int silent(const char *format, ...)
{
        return 0;
}

typedef int (*WriteRecord)(FILE *file, const void *object);
typedef int (*RestoreRecord)(Broker *broker, const dictionary *record, const char *file, unsigned pass);

static int put_file(Store *store, int folder, const char *id, WriteRecord write_record, const void *object)
{
        _cleanup_(fclosep) FILE *file = NULL;
        char name[RECORD_NAME_SIZE], temporary[RECORD_NAME_SIZE + 8];
        int fd, r;

        r = record_encode_name(id, name);
        if (r < 0)
                return r;
        (void)snprintf(temporary, sizeof(temporary), ".%s.new", name);
        fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        file = fdopen(fd, "w");
        if (!file) {
                r = -errno;
                (void)close(fd);
                (void)unlinkat(folder, temporary, 0);
                return r;
        }

        (void)fprintf(file, "[record]\nversion = %s\nboot = %s\n", FORMAT_VERSION, store->boot);
        r = write_record(file, object);
        if (r >= 0 && fflush(file) != 0)
                r = -errno;
        if (r >= 0 && ferror(file))
                r = -EIO;
        if (r >= 0 && renameat(folder, temporary, folder, name) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(folder, temporary, 0);
        return r;
}

/* One that stays would come back at the next start, and have a device that is another's by then. */
static void drop_file(int folder, const char *id)
{
        char name[RECORD_NAME_SIZE];
        int r = record_encode_name(id, name);

        if (r >= 0)
                (void)TRY_AGAIN(OR_ERRNO(unlinkat(folder, name, 0)));
}

/* Only where it is known: a record without it is one of an earlier version, and says as much. */
static int put_caller(FILE *file, const Lease *lease)
{
        const LeaseCaller *caller = &lease->caller;
        int r;

        record_put_number(file, "on-behalf", lease->on_behalf);
        record_put_number(file, "ipc-lock", lease->ipc_lock);
        if (!caller->known)
                return 0;
        record_put_number(file, "caller-uid", caller->uid);
        (void)fputs("caller-gids = \"", file);
        for (size_t i = 0; i < caller->n_gids; i++)
                (void)fprintf(file, "%u ", (unsigned)caller->gids[i]);
        (void)fputs("\"\n", file);
        r = record_put_string(file, "caller-unit", caller->unit);
        if (r >= 0)
                r = record_put_string(file, "caller-slice", caller->slice);
        if (r >= 0)
                r = record_put_string(file, "caller-machine", caller->machine);
        return r < 0 ? r : record_put_string(file, "caller-label", caller->label);
}

static int write_lease(FILE *file, const void *object)
{
        const Lease *lease = object;
        const Holder *holder = lease->holder;
        unsigned n = 0;
        int r;

        r = record_put_string(file, "id", lease->id);
        if (r >= 0)
                r = record_put_string(file, "tenant", lease->tenant->name);
        if (r >= 0)
                r = record_put_string(file, "label", lease->label);
        if (r >= 0)
                r = record_put_string(file, "owner", lease->owner_name);
        if (r >= 0)
                r = record_put_string(file, "unit", lease->unit);
        if (r < 0)
                return r;
        r = put_caller(file, lease);
        if (r < 0)
                return r;
        (void)fprintf(file, "state = %s\nlifetime = %s\n", lease_state_to_string(lease->state),
                      lease_lifetime_to_string(lease->lifetime));
        record_put_number(file, "backend", lease->backend);
        record_put_number(file, "pid", (uint64_t)lease->pid);
        record_put_number(file, "uid", lease->uid);
        record_put_number(file, "start-time", holder ? holder->start_time : 0);
        record_put_number(file, "memlock", lease->memlock);
        record_put_number(file, "slack", lease->slack);
        record_put_number(file, "base-known", holder && holder->base_known);
        record_put_number(file, "base-soft", holder ? holder->base.soft : 0);
        record_put_number(file, "base-hard", holder ? holder->base.hard : 0);
        r = record_put_string(file, "process-kept-as", holder ? holder->kept_as : "");
        if (r < 0)
                return r;
        record_put_number(file, "since", lease->since);
        if (lease->state == LEASE_REVOKING) {
                record_put_number(file, "revoke-until", lease->revoke_until);
                record_put_number(file, "revoke-removed", lease->revoke_end == END_DEVICE_REMOVED);
                r = record_put_string(file, "revoke-reason", lease->revoke_reason);
                if (r < 0)
                        return r;
        }
        if (lease->state == LEASE_RECLAIMING) {
                r = record_put_string(file, "end-reason", end_reason_to_string(lease->end_reason));
                if (r < 0)
                        return r;
        }
        record_put_number(file, "reset", lease->reset);
        record_put_number(file, "restore-driver", lease->restore_driver);
        r = record_put_string(file, "container", lease->container->name);
        if (r < 0)
                return r;
        record_put_number(file, "container-named", lease->container->named);
        r = record_put_string(file, "container-kept-as", lease->container->kept_as);
        if (r < 0)
                return r;
        for (size_t i = 0; i < lease->n_devices; i++)
                n += !lease->settled[i];
        record_put_number(file, "devices", n);
        n = 0;
        for (size_t i = 0; i < lease->n_devices; i++) {
                const Device *device = lease->devices[i];

                if (lease->settled[i])
                        continue;
                (void)fprintf(file, "\n[device.%u]\n", n++);
                r = record_put_string(file, "id", device->info.id);
                if (r >= 0)
                        r = record_put_string(file, "prior-driver", device->prior_driver);
                if (r >= 0)
                        r = record_put_string(file, "prior-override", device->prior_override);
                if (r < 0)
                        return r;
                record_put_number(file, "prior-known", device->prior_known);
                record_put_number(file, "took", lease->took[i]);
                record_put_number(file, "made", device->made);
                if (lease->state == LEASE_REVOKING)
                        record_put_number(file, "asked-back", device->asked_back);
        }
        return 0;
}

static int write_device(FILE *file, const void *object)
{
        const Device *device = object;
        int r;

        r = record_put_string(file, "id", device->info.id);
        if (r >= 0)
                r = record_put_string(file, "prior-driver", device->prior_driver);
        if (r >= 0)
                r = record_put_string(file, "prior-override", device->prior_override);
        if (r >= 0)
                r = record_put_string(file, "reason", device->state_reason);
        if (r < 0)
                return r;
        record_put_number(file, "prior-known", device->prior_known);
        record_put_number(file, "quarantined", device->state == DEVICE_QUARANTINED);
        record_put_number(file, "made", device->made);
        record_put_number(file, "kept-until", device->kept_until);
        r = record_put_string(file, "kept-for", device->kept_for);
        return r < 0 ? r : record_put_string(file, "only-for", device->only_for);
}

static int store_lease_put(void *userdata, const Lease *lease)
{
        Store *store = userdata;

        return put_file(store, store->leases, lease->id, write_lease, lease);
}

static void store_lease_drop(void *userdata, const char *id)
{
        drop_file(((Store *)userdata)->leases, id);
}

static int store_device_put(void *userdata, const Device *device)
{
        Store *store = userdata;

        return put_file(store, store->devices, device->info.id, write_device, device);
}

static void store_device_drop(void *userdata, const char *id)
{
        drop_file(((Store *)userdata)->devices, id);
}

static void job_id(pid_t pid, char ret[static 16])
{
        (void)snprintf(ret, 16, "%d", (int)pid);
}

typedef struct JobToWrite {
        pid_t pid;
        uint64_t start_time;
        const Job *job;
} JobToWrite;

static int write_job(FILE *file, const void *object)
{
        const JobToWrite *wanted = object;
        const Job *job = wanted->job;

        record_put_number(file, "pid", (uint64_t)wanted->pid);
        record_put_number(file, "start-time", wanted->start_time);
        record_put_number(file, "kind", job->kind);
        record_put_number(file, "devices", job->n_devices);
        for (size_t i = 0; i < job->n_devices; i++) {
                int r;

                (void)fprintf(file, "\n[device.%zu]\n", i);
                r = record_put_string(file, "id", job->devices[i].id);
                if (r >= 0)
                        r = record_put_string(file, "mdev-parent", job->devices[i].mdev_parent);
                if (r >= 0)
                        r = record_put_string(file, "mdev-type", job->devices[i].mdev_type);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int store_job_put(void *userdata, pid_t pid, uint64_t start_time, const Job *job)
{
        const JobToWrite wanted = { pid, start_time, job };
        Store *store = userdata;
        char id[16];

        job_id(pid, id);
        return put_file(store, store->jobs, id, write_job, &wanted);
}

static void store_job_drop(void *userdata, pid_t pid)
{
        char id[16];

        job_id(pid, id);
        drop_file(((Store *)userdata)->jobs, id);
}

const JobLog store_job_log = { .put = store_job_put, .drop = store_job_drop };

static void store_fd_keep(void *userdata, const char *name, int fd)
{
        fdstore_keep(((Store *)userdata)->fds, name, fd);
}

static void store_fd_forget(void *userdata, const char *name)
{
        fdstore_forget(((Store *)userdata)->fds, name);
}

static int store_fd_take(void *userdata, const char *name, int *ret_fd)
{
        return fdstore_take(((Store *)userdata)->fds, name, ret_fd);
}

static int store_fd_barrier(void *userdata, int *ret_fd)
{
        return fdstore_barrier(((Store *)userdata)->fds, ret_fd);
}

const BrokerStore store_ops = {
        .lease_put = store_lease_put,
        .lease_drop = store_lease_drop,
        .device_put = store_device_put,
        .device_drop = store_device_drop,
        .job_drop = store_job_drop,
        .fd_keep = store_fd_keep,
        .fd_forget = store_fd_forget,
        .fd_take = store_fd_take,
        .fd_barrier = store_fd_barrier,
};

/* --- reading ------------------------------------------------------------------------------------------------- */

static bool has_key(const dictionary *record, const char *name)
{
        return iniparser_find_entry(record, name) == 1;
}

static void get_gids(const dictionary *record, LeaseCaller *ret, int *r)
{
        const char *value = record_get_raw(record, "record", "caller-gids", r);

        while (value && *value) {
                unsigned long n;
                char *end;

                errno = 0;
                n = strtoul(value, &end, 10);
                if (errno != 0 || end == value || *end != ' ' || n > UINT32_MAX ||
                    ret->n_gids == LEASE_GIDS_MAX) {
                        *r = -EBADMSG;
                        return;
                }
                ret->gids[ret->n_gids++] = (gid_t)n;
                value = end + 1;
        }
}

/* Records of before have none of it. */
static void get_caller(const dictionary *record, LeaseRecord *lease, int *r)
{
        LeaseCaller *caller = &lease->caller;

        if (has_key(record, "record:on-behalf")) {
                lease->on_behalf = record_get_number(record, "record", "on-behalf", 1, r);
                lease->ipc_lock = record_get_number(record, "record", "ipc-lock", 1, r);
        }
        if (!has_key(record, "record:caller-uid"))
                return;
        caller->uid = (uid_t)record_get_number(record, "record", "caller-uid", UINT32_MAX, r);
        get_gids(record, caller, r);
        record_get_string(record, "record", "caller-unit", caller->unit, sizeof(caller->unit), r);
        record_get_string(record, "record", "caller-slice", caller->slice, sizeof(caller->slice), r);
        record_get_string(record, "record", "caller-machine", caller->machine, sizeof(caller->machine), r);
        record_get_string(record, "record", "caller-label", caller->label, sizeof(caller->label), r);
        caller->known = true;
}

/* Version 0.1.0 knew no containers, no connections that a lease lasts as long as, and no driver_override from before. All
 * of that is missing in its records, or none. */
static bool is_of_first_version(const dictionary *record)
{
        return !has_key(record, "record:container") && !has_key(record, "record:container-named") &&
               !has_key(record, "record:owner");
}

static int read_lease(const dictionary *record, LeaseRecord *ret)
{
        bool first = is_of_first_version(record);
        LeaseRecord lease = {};
        char reason[32] = "";
        const char *word;
        uint64_t n;
        int r = 0;

        record_get_string(record, "record", "id", lease.id, sizeof(lease.id), &r);
        record_get_string(record, "record", "tenant", lease.tenant, sizeof(lease.tenant), &r);
        record_get_string(record, "record", "label", lease.label, sizeof(lease.label), &r);
        if (!first)
                record_get_string(record, "record", "owner", lease.owner_name, sizeof(lease.owner_name), &r);
        record_get_string(record, "record", "unit", lease.unit, sizeof(lease.unit), &r);
        get_caller(record, &lease, &r);
        word = record_get_raw(record, "record", "state", &r);
        if (word)
                r = lease_state_from_string(word, &lease.state);
        word = record_get_raw(record, "record", "lifetime", &r);
        if (word)
                r = lease_lifetime_from_string(word, &lease.lifetime);
        lease.backend = (unsigned)record_get_number(record, "record", "backend", POLICY_BACKEND_ALL, &r);
        lease.pid = (pid_t)record_get_number(record, "record", "pid", INT_MAX, &r);
        lease.uid = (uid_t)record_get_number(record, "record", "uid", UINT32_MAX, &r);
        lease.start_time = record_get_number(record, "record", "start-time", UINT64_MAX, &r);
        lease.memlock = record_get_number(record, "record", "memlock", UINT64_MAX, &r);
        lease.slack = record_get_number(record, "record", "slack", UINT64_MAX, &r);
        lease.base_known = record_get_number(record, "record", "base-known", 1, &r);
        lease.base.soft = record_get_number(record, "record", "base-soft", UINT64_MAX, &r);
        lease.base.hard = record_get_number(record, "record", "base-hard", UINT64_MAX, &r);
        record_get_string_since(record, "record", "process-kept-as", lease.process_kept_as,
                                sizeof(lease.process_kept_as), &r);
        record_get_string_since(record, "record", "container-kept-as", lease.container_kept_as,
                                sizeof(lease.container_kept_as), &r);
        lease.since = record_get_number(record, "record", "since", UINT64_MAX, &r);
        if (lease.state == LEASE_REVOKING) {
                lease.revoke_until = record_get_number(record, "record", "revoke-until", UINT64_MAX, &r);
                lease.revoke_removed = record_get_number(record, "record", "revoke-removed", 1, &r);
                record_get_string(record, "record", "revoke-reason", lease.revoke_reason,
                                  sizeof(lease.revoke_reason), &r);
        }
        if (lease.state == LEASE_RECLAIMING) {
                record_get_string_since(record, "record", "end-reason", reason, sizeof(reason), &r);
                if (r >= 0 && reason[0])
                        r = end_reason_from_string(reason, &lease.end_reason);
        }
        lease.reset = (PolicyReset)record_get_number(record, "record", "reset", _POLICY_RESET_MAX - 1, &r);
        lease.restore_driver = record_get_number(record, "record", "restore-driver", 1, &r);
        if (first)
                memcpy(lease.container, lease.id, sizeof(lease.id));
        else {
                record_get_string(record, "record", "container", lease.container, sizeof(lease.container),
                                  &r);
                lease.container_named = record_get_number(record, "record", "container-named", 1, &r);
        }

        n = record_get_number(record, "record", "devices", JOB_DEVICES_MAX, &r);
        for (unsigned i = 0; r >= 0 && i < n; i++) {
                char section[32];

                (void)snprintf(section, sizeof(section), "device.%u", i);
                record_get_string(record, section, "id", lease.devices[i].id, sizeof(lease.devices[i].id),
                                  &r);
                record_get_string(record, section, "prior-driver", lease.devices[i].prior_driver,
                                  sizeof(lease.devices[i].prior_driver), &r);
                lease.devices[i].prior_known = record_get_number(record, section, "prior-known", 1, &r);
                lease.devices[i].took = record_get_number(record, section, "took", 1, &r);
                if (!first) {
                        record_get_string(record, section, "prior-override", lease.devices[i].prior_override,
                                          sizeof(lease.devices[i].prior_override), &r);
                        lease.devices[i].made = record_get_number(record, section, "made", 1, &r);
                }
                if (lease.state == LEASE_REVOKING)
                        lease.devices[i].asked_back =
                                record_get_number(record, section, "asked-back", 1, &r);
                lease.n_devices++;
        }
        if (r >= 0)
                *ret = lease;
        return r;
}

static int read_device(const dictionary *record, DeviceRecord *ret)
{
        DeviceRecord device = {};
        int r = 0;

        record_get_string(record, "record", "id", device.id, sizeof(device.id), &r);
        record_get_string(record, "record", "prior-driver", device.prior_driver, sizeof(device.prior_driver),
                          &r);
        record_get_string(record, "record", "reason", device.reason, sizeof(device.reason), &r);
        device.prior_known = record_get_number(record, "record", "prior-known", 1, &r);
        device.quarantined = record_get_number(record, "record", "quarantined", 1, &r);
        if (!has_key(record, "record:prior-override") && !has_key(record, "record:made") &&
            !has_key(record, "record:only-for")) {
                *ret = device; /* version 0.1.0's */
                return r;
        }
        record_get_string(record, "record", "prior-override", device.prior_override,
                          sizeof(device.prior_override), &r);
        device.made = record_get_number(record, "record", "made", 1, &r);
        record_get_string(record, "record", "only-for", device.only_for, sizeof(device.only_for), &r);
        record_get_string(record, "record", "kept-for", device.kept_for, sizeof(device.kept_for), &r);
        device.kept_until = record_get_number(record, "record", "kept-until", UINT64_MAX, &r);
        if (r >= 0)
                *ret = device;
        return r;
}

static int read_job(const dictionary *record, JobRecord *ret)
{
        JobRecord job = {};
        uint64_t n;
        int r = 0;

        job.pid = (pid_t)record_get_number(record, "record", "pid", INT_MAX, &r);
        job.start_time = record_get_number(record, "record", "start-time", UINT64_MAX, &r);
        job.kind = (JobKind)record_get_number(record, "record", "kind", _JOB_KIND_MAX - 1, &r);
        n = record_get_number(record, "record", "devices", JOB_DEVICES_MAX, &r);
        for (unsigned i = 0; r >= 0 && i < n; i++) {
                char section[32];

                (void)snprintf(section, sizeof(section), "device.%u", i);
                record_get_string(record, section, "id", job.devices[i].id, sizeof(job.devices[i].id), &r);
                record_get_string(record, section, "mdev-parent", job.devices[i].mdev_parent,
                                  sizeof(job.devices[i].mdev_parent), &r);
                record_get_string(record, section, "mdev-type", job.devices[i].mdev_type,
                                  sizeof(job.devices[i].mdev_type), &r);
                job.n_devices++;
        }
        if (r >= 0)
                *ret = job;
        return r;
}

/* A record under another's name would never be dropped, and come back at each start. */
static int check_name(const char *id, const char *file)
{
        char name[RECORD_NAME_SIZE];
        int r;

        r = record_encode_name(id, name);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        return streq(name, file) ? 0 : -EBADMSG;
}

/* In which order leases are restored (core/restore.c). */
static unsigned pass_of(LeaseState state)
{
        return state == LEASE_OPENING ? 2 : state == LEASE_RECLAIMING ? 0 : 1;
}

/* 1 where it was taken over, 0 where that is for another pass. */
static int restore_lease(Broker *broker, const dictionary *record, const char *file, unsigned pass)
{
        LeaseRecord lease;
        int r;

        r = read_lease(record, &lease);
        if (r >= 0)
                r = check_name(lease.id, file);
        if (r < 0 || pass_of(lease.state) != pass)
                return r < 0 ? r : 0;
        r = broker_restore_lease(broker, &lease);
        return r < 0 ? r : 1;
}

static int restore_job(Broker *broker, const dictionary *record, const char *file, unsigned pass)
{
        JobRecord job;
        char id[16];
        int r;

        r = read_job(record, &job);
        if (r >= 0) {
                job_id(job.pid, id);
                r = check_name(id, file);
        }
        return r < 0 ? r : broker_restore_job(broker, &job);
}

static int restore_device(Broker *broker, const dictionary *record, const char *file, unsigned pass)
{
        DeviceRecord device;
        int r;

        r = read_device(record, &device);
        if (r >= 0)
                r = check_name(device.id, file);
        return r < 0 ? r : broker_restore_device(broker, &device);
}

/* -ESTALE for the record of an earlier boot, -EPROTONOSUPPORT for one of a later version of the daemon. */
static int check_header(const Store *store, const dictionary *record)
{
        const char *version, *boot;
        int r = 0;

        version = record_get_raw(record, "record", "version", &r);
        boot = record_get_raw(record, "record", "boot", &r);
        if (r < 0)
                return r;
        if (!streq(boot, store->boot))
                return -ESTALE;
        if (streq(version, FORMAT_VERSION))
                return 0;
        return *version && !version[strspn(version, "0123456789")] ? -EPROTONOSUPPORT : -EBADMSG;
}

/* The record is of no use now and will be of none later; every other error is ours. */
static bool says_nothing(int error)
{
        return error == -EBADMSG || error == -EINVAL || error == -ENODEV || error == -EEXIST ||
               error == -ESTALE;
}

/* Ours alone to write, and nothing that an open would wait for. */
static int check_file(int folder, const char *file)
{
        struct stat st;

        if (fstatat(folder, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        return S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 0022) == 0 ? 0 : -EBADMSG;
}

static int load_file(Store *store, Broker *broker, int folder, const char *folder_name, const char *file,
                     RestoreRecord restore, unsigned pass)
{
        char path[PATH_MAX];
        dictionary *record;
        int r;

        r = check_file(folder, file);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), "%s/%s/%s", store->folder, folder_name, file);
        errno = 0;
        record = iniparser_load(path);
        /* iniparser returns what it has so far where memory runs out, or where it can read no further: the record is not to
         * blame for what it lacks. */
        if (errno_is_trouble(errno) || (!record && errno != 0))
                r = -errno;
        else if (!record)
                r = -EBADMSG;
        else {
                r = check_header(store, record);
                if (r >= 0)
                        r = restore(broker, record, file, pass);
        }
        iniparser_freedict(record);
        return r;
}

static void refuse_file(Broker *broker, int folder, const char *folder_name, const char *file, int error)
{
        char text[NAME_MAX + 200];

        if (error == -EBADMSG || error == -EINVAL) {
                (void)snprintf(
                        text, sizeof(text),
                        "Record %s/%s is no record of this version and was removed; what it told of a "
                        "lease or a device is lost",
                        folder_name, file);
                broker_trouble(broker, text);
        }
        (void)unlinkat(folder, file, 0);
}

/* To go on without it would forget a lease, so the daemon does not start. */
static void tell_of_version(Broker *broker, const char *folder_name, const char *file, int error)
{
        char text[NAME_MAX + 300];

        if (error != -EPROTONOSUPPORT)
                return;
        (void)snprintf(text, sizeof(text),
                       "Record %s/%s is of a later version of vfiobrokerd, which this one cannot read: "
                       "install that "
                       "version again, or end what it tells of and remove it",
                       folder_name, file);
        broker_trouble(broker, text);
}

static int load_folder(Store *store, Broker *broker, int folder, const char *name, RestoreRecord restore,
                       unsigned pass)
{
        struct dirent **entries = NULL;
        int n, loaded = 0, broken = 0;

        n = scandirat(folder, ".", &entries, NULL, alphasort);
        if (n < 0)
                return -errno;
        for (int i = 0; i < n; i++) {
                const char *file = entries[i]->d_name;
                int r;

                /* What begins with a dot is a temporary file that a crash left. */
                if (file[0] == '.' && !streq(file, ".") && !streq(file, ".."))
                        (void)unlinkat(folder, file, 0);
                if (file[0] != '.' && broken == 0) {
                        r = load_file(store, broker, folder, name, file, restore, pass);
                        if (r >= 0)
                                loaded += r;
                        else if (says_nothing(r))
                                refuse_file(broker, folder, name, file, r);
                        else {
                                broken = r;
                                tell_of_version(broker, name, file, r);
                        }
                }
                free(entries[i]);
        }
        free(entries);
        return broken < 0 ? broken : loaded;
}

static void tell_left(void *userdata, const char *name)
{
        char text[NAME_MAX + 200];

        (void)snprintf(text, sizeof(text),
                       "The file %.200s was kept over the restart, but no record tells of it: it was closed",
                       name);
        broker_trouble(userdata, text);
}

int store_load(Store *store, Broker *broker)
{
        int loaded = 0, r;

        broker_restore_begin(broker);

        iniparser_set_error_callback(silent);
        r = load_folder(store, broker, store->jobs, "jobs", restore_job, 0);
        if (r >= 0)
                r = load_folder(store, broker, store->devices, "devices", restore_device, 0);
        for (unsigned pass = 0; pass < 3 && r >= 0; pass++) {
                r = load_folder(store, broker, store->leases, "leases", restore_lease, pass);
                loaded += r > 0 ? r : 0;
        }
        iniparser_set_error_callback(NULL);
        if (r < 0)
                return r;
        fdstore_drop_rest(store->fds, tell_left, broker);
        broker_restore_end(broker);
        return loaded;
}

static int open_folder(const char *folder, const char *name)
{
        char path[PATH_MAX];
        struct stat st;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 0022) != 0) {
                (void)close(fd);
                return -EPERM;
        }
        return fd;
}

int store_new(const char *folder, Store **ret)
{
        _cleanup_(store_freep) Store *store = calloc(1, sizeof(*store));
        sd_id128_t boot;
        int r;

        if (!store)
                return -ENOMEM;
        store->leases = store->devices = store->jobs = -EBADF;
        store->folder = strdup(folder);
        if (!store->folder)
                return -ENOMEM;
        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return r;
        (void)sd_id128_to_string(boot, store->boot);
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                return -errno;
        store->leases = open_folder(folder, "leases");
        if (store->leases < 0)
                return store->leases;
        store->devices = open_folder(folder, "devices");
        if (store->devices < 0)
                return store->devices;
        store->jobs = open_folder(folder, "jobs");
        if (store->jobs < 0)
                return store->jobs;
        r = fdstore_new(&store->fds);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(store);
        return 0;
}

Store *store_free(Store *store)
{
        if (!store)
                return NULL;
        store->leases = safe_close(store->leases);
        store->devices = safe_close(store->devices);
        store->jobs = safe_close(store->jobs);
        fdstore_free(store->fds);
        free(store->folder);
        free(store);
        return NULL;
}
