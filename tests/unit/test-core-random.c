/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The core in a hundred thousand random steps: leases of several devices, tenants, lifetimes, containers and backends come,
 * grow, shrink, are asked back and go; processes end, connections close, some wait in line, jobs fail at each step or hang, devices
 * are removed and come back, policies are swapped, the broker is restarted, at times in vain, time passes. After each step the whole broker is held against
 * core_check(), and against an oracle that knows only what was asked for and what came back: whose files are open, what
 * each process was promised, what was shown to be free. At the end all is put right, and nothing may be left.
 *
 * The seed is printed; CORE_RANDOM_SEED sets it, CORE_RANDOM_STEPS the number of steps. */

#include "daemon/core/revoke.h"
#include "daemon/core/wait.h"
#include "tests/fixtures/random.h"
#include "tests/unit/core-fixture.h"

#include <utlist.h>

#define N_DEVICES   14
#define N_PROCESSES 10
#define N_OWNERS    4
#define STEPS       100000
#define BASE        (8 * MIB)

/* Tenants "blue" and "red", as three policies have them. The slack tells under which one a lease was granted. */
#define MORE       "share-containers = yes\nmemlock-slack = "
#define BLUE(more) "[tenant blue]\nmatch-user = 2001, 2003\ndevices = any\n" MORE more
#define RED(more)  "[tenant red]\nmatch-user = 2002-2003\ndevices = any\non-release = restore\n" MORE more
static const char *const policies[] = {
        "[broker]\nmemlock-max = 8G\n" BLUE("1M\n") RED(
                "2M\n") "[container one]\ntenant = blue\n[container two]\ntenant = red\nbackend = group\n",
        "[broker]\nmemlock-max = 200M\n" BLUE("3M\ndevices-max = 4\non-release = restore\n")
                RED("0\nreset = best-effort\nleases-max = 3\n"),
        "[broker]\nmemlock-max = 8G\n" BLUE("1M\nreset = none\nlinger = 1s\n"),
};

/* What is known of a device without asking the broker. */
typedef struct Model {
        char id[DEVICE_ID_MAX];
        int group;
        bool present;
        FakeDevice *fake;
        bool open;       /* a process has files of it that the broker gave it */
        unsigned freed;  /* fake->n_freed when it was granted last */
        bool granted;    /* ever, since it was plugged in */
        int prove_error; /* of its own, besides `open` */
} Model;

/* One lease, from what was asked for and what was told. */
typedef struct Grant {
        char id[LEASE_ID_MAX];
        FakeProcess *process; /* NULL once that is reaped */
        LeaseLifetime lifetime;
        uint64_t owner, memlock;
        uint64_t slack;
        bool active;   /* the fds went out */
        bool asked;    /* it was asked for its devices */
        bool released; /* somebody asked for its end */
        struct Grant *next, *prev;
} Grant;

/* One call that awaits its answer. */
typedef struct Call {
        int reply;
        char target[LEASE_ID_MAX]; /* Add, Reissue */
        bool reissue;
        uint64_t memlock;
        struct Call *next, *prev;
} Call;

static struct {
        Core *core;
        Model devices[N_DEVICES];
        FakeProcess *processes[N_PROCESSES];
        bool owner_closed[N_OWNERS + 1];
        uint64_t start_time;
        Grant *grants;
        Call *calls;
        unsigned n_granted, n_added, n_removed, n_reissued, n_refused, n_failed, n_ended[_END_MAX],
                n_restarts, n_failed_starts, n_revoked, n_waiting, n_woken;
} at;

static Model *model(const char *id)
{
        for (size_t i = 0; i < N_DEVICES; i++)
                if (streq(at.devices[i].id, id))
                        return at.devices + i;
        fail();
        return NULL;
}

static Grant *grant_of(const char *id)
{
        Grant *grant;

        DL_FOREACH(at.grants, grant)
                if (streq(grant->id, id))
                        return grant;
        return NULL;
}

/* The kernel's answer to the proof follows from the files that are open. */
static void set_proof(Model *device)
{
        device->fake->prove_error = device->open ? EBUSY : device->prove_error;
}

/* --- what the broker tells --- */

/* It is what its kind says: the fake machine names its files. */
static void check_kind(const LeaseFd *row)
{
        bool group = streq(row->kind, "group");
        char path[64], target[128] = "", wanted[DEVICE_ID_MAX + 16];

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", row->fd);
        assert_true(readlink(path, target, sizeof(target) - 1) > 0);
        (void)snprintf(wanted, sizeof(wanted), "/memfd:%s%s (deleted)", group ? "group-" : "",
                       group || streq(row->kind, "device") ? row->id : row->kind);
        assert_string_equal(target, wanted);
}

/* The fds of a lease go out: nobody else may have files of these devices, and since they were given out before, it was
 * shown that nobody has. */
static void take_fds(const Lease *lease, const AcquireOutcome *outcome, bool again)
{
        for (size_t i = 0; i < outcome->n_fds; i++) {
                Model *device;

                check_kind(outcome->fds + i);
                if (!streq(outcome->fds[i].kind, "device"))
                        continue;
                device = model(outcome->fds[i].id);
                assert_true(lease_has_device(lease, broker_device(at.core->broker, device->id)));
                if (!again) {
                        assert_false(device->open);
                        if (device->granted)
                                assert_true(device->fake->n_freed != device->freed);
                        device->freed = device->fake->n_freed;
                }
                device->granted = true;
                device->open = true;
                set_proof(device);
        }
}

static int call_done(void *userdata, Lease *lease, const AcquireOutcome *outcome)
{
        Call *call = userdata;
        int reply = call->reply;
        Grant *grant;

        DL_DELETE(at.calls, call);
        if (outcome->error != 0) {
                assert_null(lease);
                at.n_failed++;
        } else {
                assert_true(lease_is_held(lease));
                grant = grant_of(call->target[0] ? call->target : lease->id);
                assert_non_null(grant);
                assert_string_equal(grant->id, lease->id);
                if (reply == 0) {
                        take_fds(lease, outcome, call->reissue);
                        grant->active = true;
                        at.n_granted += !call->target[0];
                        at.n_added += call->target[0] && !call->reissue;
                        at.n_reissued += call->reissue;
                }
        }
        free(call);
        return reply;
}

/* Each end has its reason. */
static void lease_ended(void *userdata, Lease *lease, EndReason reason)
{
        Grant *grant = grant_of(lease->id);

        at.n_ended[reason]++;
        if (!grant)
                return; /* an addition that failed, or one that ended before a restart */
        switch (reason) {
        case END_RELEASED: assert_true(grant->released); break;
        case END_REVOKED: assert_true(grant->released || grant->asked); break;
        case END_PROCESS_EXITED: assert_true(!grant->process || !grant->process->alive); break;
        case END_CONNECTION_CLOSED: assert_true(at.owner_closed[grant->owner]); break;
        case END_DEVICE_REMOVED: {
                bool gone = false;

                for (size_t i = 0; i < lease->n_devices; i++)
                        gone |= !lease->settled[i] &&
                                (lease->devices[i]->state == DEVICE_GONE || lease->devices[i]->leaving);
                assert_true(gone);
                break;
        }
        case END_FAILED: assert_false(grant->active); break;
        case _END_MAX: fail();
        }
        DL_DELETE(at.grants, grant);
        free(grant);
}

/* A failed OPEN that is undone ends nothing: it never began. */
static void lease_removed(void *userdata, Lease *lease)
{
        Grant *grant = grant_of(lease->id);

        if (!grant)
                return;
        assert_int_equal(lease->state, LEASE_OPENING);
        assert_false(grant->active);
        DL_DELETE(at.grants, grant);
        free(grant);
}

static const BrokerObserver observer = { .lease_ended = lease_ended, .lease_removed = lease_removed };

/* --- the oracle --- */

static void check(void)
{
        Core *core = at.core;

        core_check(core);
        assert_int_equal(broker_n_waiters(core->broker), at.n_waiting);

        /* Each device in at most one lease, and at work for whom it says. */
        for (size_t i = 0; i < N_DEVICES; i++) {
                const Model *m = at.devices + i;
                const Device *device = broker_device(core->broker, m->id);
                unsigned holders = 0, jobs = fake_host_n_jobs_of(core->fake, m->id);

                for (const Lease *lease = core->broker->leases; lease; lease = lease->hh.next)
                        for (size_t k = 0; k < lease->n_devices; k++)
                                holders += !lease->settled[k] && lease->devices[k] == device && device;
                assert_true(holders <= 1);
                assert_true(device != NULL || !m->present);
                if (!device)
                        continue;
                assert_int_equal(holders, device->lease != NULL);
                switch (device->state) {
                case DEVICE_HOST:
                case DEVICE_AVAILABLE:
                case DEVICE_QUARANTINED: assert_int_equal(jobs, 0); break;
                case DEVICE_BINDING: assert_int_equal(jobs, 1); break;
                case DEVICE_LEASED: assert_true(grant_of(device->lease->id)->active); /* fallthrough */
                default: assert_true(jobs <= 1);
                }
                /* What is idle and proven is nobody's. */
                if (device->proven && device->state != DEVICE_GONE)
                        assert_false(m->open);
        }

        /* What was promised is kept, and no more than that. */
        for (size_t i = 0; i < N_PROCESSES; i++) {
                FakeProcess *process = at.processes[i];
                uint64_t sum = 0, slack = 0;
                bool any = false;
                Grant *grant;

                DL_FOREACH(at.grants, grant)
                        if (grant->active && grant->process == process) {
                                any = true;
                                sum += grant->memlock;
                                slack = grant->slack > slack ? grant->slack : slack;
                        }
                if (process->alive)
                        assert_true(process->limit.soft == BASE + (any ? sum + slack : 0));
        }
        for (const Grant *grant = at.grants; grant; grant = grant->next) {
                const Lease *lease = broker_lease(core->broker, grant->id);

                assert_non_null(lease);
                assert_true(grant->active ? lease_is_held(lease) : lease->state == LEASE_OPENING);
        }
}

/* With the callbacks of the loop done, nobody has a lease beyond his own end. */
static void check_ends(void)
{
        for (const Grant *grant = at.grants; grant; grant = grant->next)
                if (grant->lifetime != LIFETIME_EXPLICIT)
                        assert_true(grant->process && grant->process->alive);
}

/* --- the steps --- */

static void new_process(size_t i)
{
        static const uid_t uids[] = { UID_BLUE, UID_RED, UID_BOTH };
        FakeProcess *process = core_process(at.core, 100 + (pid_t)i, uids[i % 3]); /* pids are used again */

        process->facts.start_time = ++at.start_time;
        process->limit = (MemlockLimit){ BASE, BASE };
        at.processes[i] = process;
}

/* One ends, or the number of one that did is used again. */
static void step_process(void)
{
        size_t i = below(N_PROCESSES);
        FakeProcess *process = at.processes[i];
        Grant *grant;

        if (process->alive) {
                fake_host_end_process(at.core->fake, process);
                return;
        }
        DL_FOREACH(at.grants, grant)
                if (grant->process == process)
                        grant->process = NULL;
        fake_host_remove_process(at.core->fake, process);
        new_process(i);
}

/* Mostly one that lives. */
static FakeProcess *any_process(void)
{
        FakeProcess *process = NULL;

        for (int i = 0; i < 4 && (!process || !process->alive); i++)
                process = at.processes[below(N_PROCESSES)];
        return process;
}

static Lease *any_lease(void)
{
        unsigned n = at.core->broker->n_leases;
        Lease *lease = at.core->broker->leases;

        if (n == 0)
                return NULL;
        for (unsigned i = below(n); i > 0; i--)
                lease = lease->hh.next;
        return lease;
}

static Call *new_call(const Lease *target, bool reissue)
{
        Call *call = calloc(1, sizeof(*call));

        assert_non_null(call);
        call->reply = one_in(20) ? -ENOBUFS : 0;
        call->reissue = reissue;
        if (target)
                memcpy(call->target, target->id, sizeof(call->target));
        DL_APPEND(at.calls, call);
        return call;
}

static void drop_call(Call *call)
{
        DL_DELETE(at.calls, call);
        free(call);
}

static size_t pick_devices(const char **ret)
{
        size_t n = one_in(3) ? 1 + below(4) : 1;

        for (size_t i = 0; i < n; i++)
                for (int k = 0; k < 4; k++) {
                        const Device *device;

                        ret[i] = at.devices[below(N_DEVICES)].id;
                        device = broker_device(at.core->broker, ret[i]);
                        if (device && !device->lease && device->state != DEVICE_QUARANTINED)
                                break; /* else it may be tried all the same, in the end */
                }
        return n;
}

static void step_acquire(Lease *target)
{
        static const char *const tenants[] = { NULL, "blue", "red" };
        static const char *const containers[] = { NULL, NULL, NULL, "one", "two" };
        static const unsigned backends[] = { 0, 0, POLICY_BACKEND_GROUP, POLICY_BACKEND_IOMMUFD };
        FakeProcess *process = any_process();
        bool sane = !one_in(10), both = process->facts.uid == UID_BOTH;
        const char *ids[4];
        AcquireRequest request = {
                .caller = { .uid = process->facts.uid },
                .admin = one_in(8),
                .caller_pid = process->pid,
                .caller_pidfd = process->pidfd,
                .target_pidfd = -EBADF,
                .devices = ids,
                .n_devices = pick_devices(ids),
                .tenant = tenants[sane ? both * (1 + below(2)) : below(3)],
                .backend = backends[below(4)],
                .memlock = below(100) * MIB,
                .owner = 1 + below(N_OWNERS),
                .container = containers[below(5)],
                .lifetime = one_in(3) ? LIFETIME_CONNECTION : LIFETIME_PROCESS,
                .target = target,
        };
        Call *call = new_call(target, false);
        Refusal refusal = {};
        Lease *lease = NULL;
        Grant *grant;
        int r;

        if (request.admin && one_in(2))
                request.lifetime = LIFETIME_EXPLICIT;
        if (target)
                r = broker_lease_add(at.core->broker, &request, call_done, call, &refusal);
        else
                r = broker_acquire(at.core->broker, &request, call_done, call, &refusal, &lease);
        if (r != 0) {
                if (r > 0)
                        assert_true(refusal.code == (Result)r && refusal.text[0]);
                else
                        assert_int_equal(r, -EMFILE);
                at.n_refused++;
                drop_call(call);
                return;
        }
        if (target)
                return;
        at.owner_closed[request.owner] = false;
        grant = calloc(1, sizeof(*grant));
        assert_non_null(grant);
        *grant = (Grant){
                .process = process,
                .lifetime = request.lifetime,
                .owner = request.owner,
                .memlock = request.memlock,
                .slack = policy_tenant_by_name(at.core->broker->policy, lease->tenant->name)->memlock_slack,
        };
        memcpy(grant->id, lease->id, sizeof(grant->id));
        DL_APPEND(at.grants, grant);
}

static void step_change(void)
{
        Lease *lease = any_lease();
        const char *ids[4];
        Refusal refusal = {};
        size_t n = 0;
        int r;

        if (!lease)
                return;
        if (one_in(3)) {
                Call *call = new_call(lease, true);

                r = broker_lease_reissue(at.core->broker, lease, 0, call_done, call, &refusal);
                if (r != 0) {
                        assert_true(r == -EMFILE || (r > 0 && refusal.text[0]));
                        drop_call(call);
                }
        } else if (one_in(2))
                step_acquire(lease);
        else {
                for (size_t i = 0; i < lease->n_devices && n < 3; i++)
                        if (!lease->settled[i] && one_in(2))
                                ids[n++] = lease->devices[i]->info.id;
                r = broker_lease_remove(at.core->broker, lease, ids, n, &refusal);
                assert_true(r == 0 || (r > 0 && refusal.text[0]));
                at.n_removed += r == 0;
        }
}

static void step_end(void)
{
        Lease *lease = any_lease();
        Grant *grant = lease ? grant_of(lease->id) : NULL;

        if (!grant)
                return;
        grant->released = true;
        broker_lease_end(at.core->broker, lease, one_in(2) ? END_RELEASED : END_REVOKED);
}

/* Unless it is given back in time its process is killed. */
static void step_revoke(void)
{
        Lease *lease = any_lease();
        Refusal refusal;
        int r;

        if (!lease || !lease_is_held(lease))
                return;
        r = broker_lease_revoke(at.core->broker, lease, NULL, below(3) * USEC_PER_SEC, "maintenance",
                                &refusal);
        assert_true(r >= 0 || r == -ENOMEM);
        if (r != 0)
                return;
        at.n_revoked++;
        if (grant_of(lease->id))
                grant_of(lease->id)->asked = true;
}

/* Who is woken asks for something, or waits on. */
static bool woken(_unused_ void *userdata, WaitWake wake)
{
        if (wake == WAIT_RETRY || wake == WAIT_ANEW) {
                at.n_woken++;
                if (one_in(2))
                        return true;
                step_acquire(NULL);
        }
        at.n_waiting--;
        return false;
}

static void step_wait(void)
{
        Refusal refusal;

        at.n_waiting += broker_wait(at.core->broker, 1 + below(N_OWNERS), below(3000) * USEC_PER_MSEC, woken,
                                    NULL, &refusal) == 0;
}

static void step_owner_gone(void)
{
        uint64_t owner = 1 + below(N_OWNERS);

        at.owner_closed[owner] = true;
        broker_owner_gone(at.core->broker, owner);
        for (const Grant *grant = at.grants; grant; grant = grant->next)
                if (grant->owner == owner)
                        assert_true(grant->active && grant->lifetime != LIFETIME_CONNECTION);
}

/* Whoever has the files closes them, before its lease ends or after. */
static void step_close(void)
{
        for (size_t i = 0; i < N_DEVICES; i++) {
                const Device *device = broker_device(at.core->broker, at.devices[i].id);
                bool leased = device && device->lease && device->lease->state == LEASE_ACTIVE;

                if (one_in(leased ? 20 : 2))
                        at.devices[i].open = false;
                set_proof(at.devices + i);
        }
}

/* Somebody begins to take the driver of a device that a lease holds; or the last file is closed, and it is taken. */
static void step_let_go(Model *m, const Device *device)
{
        char *path = strdup(device->info.path);

        assert_non_null(path);
        if (!m->fake->let_go) {
                m->fake->let_go = true;
                broker_device_released(at.core->broker, path, false);
        } else {
                m->fake->let_go = m->open = m->granted = false;
                set_proof(m);
                (void)core_device(at.core, m->id, m->group, "");
                broker_device_released(at.core->broker, path, true);
        }
        free(path);
}

static void step_device(void)
{
        static const char *const drivers[] = { "igb", "vfio-pci", "vfio-pci", "" };
        Model *m = at.devices + below(N_DEVICES);
        const Device *device = broker_device(at.core->broker, m->id);

        if (!m->present) {
                (void)core_device(at.core, m->id, m->group, drivers[below(4)]);
                m->present = true;
        } else if (one_in(3)) {
                /* The kernel waits for the last file before it says so. */
                m->fake->let_go = m->open = m->granted = m->present = false;
                set_proof(m);
                broker_device_remove(at.core->broker, m->id);
        } else if (device && device->lease && lease_is_held(device->lease))
                step_let_go(m, device);
        else if (!m->open && device && !device->lease && !device->admin_job)
                (void)core_device(at.core, m->id, m->group, drivers[below(4)]);
}

static void step_fault(void)
{
        static const int errors[9] = { EIO, ENODEV };
        Model *m = at.devices + below(N_DEVICES);

        m->fake->bind_error = errors[below(9)];
        m->fake->open_error = errors[below(9)];
        m->fake->join_error = errors[below(9)];
        m->fake->restore_error = errors[below(9)];
        m->fake->reset = (ResetOutcome[]){ RESET_NOT_TRIED, RESET_NOT_TRIED, RESET_UNSUPPORTED,
                                           RESET_FAILED }[below(4)];
        m->prove_error = (int[]){ 0, 0, 0, EIO, EPERM, EBUSY }[below(6)];
        m->fake->hang = one_in(4);
        set_proof(m);
        at.core->fake->job_start_error = one_in(20) ? EAGAIN : 0;
        at.core->fake->context_error = one_in(20) ? EMFILE : 0;
        at.core->fail[OP_TIMER_START] = one_in(20) ? ENOMEM : 0;
        at.core->fail[OP_PROCESS_WATCH] = one_in(20) ? EMFILE : 0;
        at.core->fail[OP_MEMLOCK_GET] = one_in(20) ? EMFILE : 0;
}

static void no_faults(void)
{
        for (size_t i = 0; i < N_DEVICES; i++) {
                FakeDevice *fake = at.devices[i].fake;

                fake->bind_error = fake->open_error = fake->join_error = fake->restore_error = 0;
                fake->reset = RESET_NOT_TRIED;
                fake->hang = false;
                at.devices[i].prove_error = 0;
                set_proof(at.devices + i);
        }
        at.core->fake->job_start_error = at.core->fake->context_error = 0;
        memset(at.core->fail, 0, sizeof(at.core->fail));
}

static void admin_done(void *userdata, int error, const Refusal *refusal)
{
}

static void step_admin(void)
{
        const char *id = at.devices[below(N_DEVICES)].id;
        Refusal refusal = {};
        int r, what = (int)below(4);

        if (what == 3)
                for (const Device *device = at.core->broker->devices; device; device = device->hh.next)
                        if (device->state == DEVICE_QUARANTINED)
                                id = device->info.id;
        switch (what) {
        case 0:
        case 3: r = broker_reset_device(at.core->broker, id, admin_done, NULL, &refusal); break;
        case 1:
                r = broker_bind_device(at.core->broker, id, one_in(2) ? "" : "igb", admin_done, NULL,
                                       &refusal);
                break;
        default: r = broker_unbind_device(at.core->broker, id, admin_done, NULL, &refusal);
        }
        assert_true(r >= 0);
}

static void step_restart(void)
{
        int r;

        at.core->fail[OP_PROCESS_WATCH] = at.core->fail[OP_MEMLOCK_GET] = at.core->fail[OP_TIMER_START] = 0;
        while (at.calls)
                drop_call(at.calls); /* nobody hears */
        for (Grant *grant = at.grants, *next; grant; grant = next) {
                next = grant->next;
                /* Its owner is another connection, and what was opening is not anybody's. */
                grant->owner = 0;
                at.owner_closed[0] = false;
        }
        at.n_waiting = 0;
        do {
                core_restart_empty(at.core);
                assert_int_equal(broker_observe(at.core->broker, &observer, NULL), 0);
                at.core->fake->check_error = one_in(3) ? EIO : 0;
                at.core->fake->check_after = 1 + below(3);
                r = core_try_records(at.core);
                assert_true(r == 0 || r == -EIO);
                at.n_failed_starts += r < 0;
        } while (r < 0);
        at.core->fake->check_error = 0;
        at.n_restarts++;
}

static void step(void)
{
        unsigned dice = below(1000);

        if (dice < 250)
                step_acquire(NULL);
        else if (dice < 330)
                step_change();
        else if (dice < 580) {
                (void)fake_host_run(at.core->fake);
                check_ends();
        } else if (dice < 640)
                step_end();
        else if (dice < 680)
                step_process();
        else if (dice < 690)
                step_owner_gone();
        else if (dice < 780)
                step_close();
        else if (dice < 820)
                step_device();
        else if (dice < 850)
                step_fault();
        else if (dice < 860)
                step_revoke();
        else if (dice < 865)
                step_wait();
        else if (dice < 890)
                no_faults();
        else if (dice < 920)
                step_admin();
        else if (dice < 930)
                core_set_policy(at.core, policies[below(ELEMENTSOF(policies))]);
        else if (dice < 940)
                fake_host_fail_jobs(at.core->fake, EIO);
        else if (dice < 950)
                fake_host_slow(at.core->fake);
        else if (dice < 955)
                step_restart();
        else {
                fake_host_advance(at.core->fake, below(2000) * USEC_PER_MSEC);
                check_ends();
        }
}

/* Everybody goes home: all must end by itself but what administrators are asked for. */
static void wind_up(void)
{
        no_faults();
        for (size_t i = 0; i < N_PROCESSES; i++)
                fake_host_end_process(at.core->fake, at.processes[i]);
        fake_host_advance(at.core->fake, 3 * USEC_PER_SEC);
        check_ends();
        while (at.grants) {
                at.grants->released = true;
                broker_lease_end(at.core->broker, broker_lease(at.core->broker, at.grants->id),
                                 END_RELEASED);
        }
        for (size_t i = 0; i < N_DEVICES; i++) {
                at.devices[i].fake->let_go = at.devices[i].open = false;
                set_proof(at.devices + i);
        }
        fake_host_advance(at.core->fake, 3 * USEC_PER_SEC);
        if (at.core->broker->n_stranded > 0) {
                Refusal refusal;
                Lease *lease;
                const AcquireRequest nothing = { .target_pidfd = -EBADF, .caller_pidfd = -EBADF };

                assert_true(broker_acquire(at.core->broker, &nothing, call_done, NULL, &refusal, &lease) >
                            0);
                fake_host_advance(at.core->fake, 3 * USEC_PER_SEC);
        }
        check();
        core_check_idle(at.core);
        assert_null(at.calls);
        assert_int_equal(at.n_waiting, 0);
        for (Device *device = at.core->broker->devices; device; device = device->hh.next)
                assert_true(device->state == DEVICE_HOST || device->state == DEVICE_AVAILABLE ||
                            device->state == DEVICE_QUARANTINED);
}

static void test_random(void **state)
{
        unsigned long steps = number_from_environment("CORE_RANDOM_STEPS", STEPS);

        random_state = random_seed("CORE_RANDOM_SEED");
        at.core = *state;
        core_set_policy(at.core, policies[0]);
        assert_int_equal(broker_observe(at.core->broker, &observer, NULL), 0);
        for (size_t i = 0; i < N_DEVICES; i++) {
                Model *m = at.devices + i;

                (void)snprintf(m->id, sizeof(m->id), "0000:%02zx:00.0", i);
                m->group = i < 4 ? 0 : i < 6 ? 1 : (int)i;
                m->fake = fake_host_device(at.core->fake, m->id);
                (void)core_device(at.core, m->id, m->group, i % 3 ? "vfio-pci" : "igb");
                m->present = true;
        }
        for (size_t i = 0; i < N_PROCESSES; i++)
                new_process(i);

        for (unsigned long i = 0; i < steps; i++) {
                step();
                check();
                if (i % 5000 == 4999) {
                        wind_up();
                        for (size_t k = 0; k < N_PROCESSES; k++)
                                step_process();
                }
        }
        wind_up();
        print_message("%u granted, %u added, %u removed, %u reissued, %u refused, %u failed, %u restarts;",
                      at.n_granted, at.n_added, at.n_removed, at.n_reissued, at.n_refused, at.n_failed,
                      at.n_restarts);
        for (int i = 0; i < _END_MAX; i++)
                print_message(" %s %u", end_reason_to_string((EndReason)i), at.n_ended[i]);
        print_message("\n");
        /* It did happen. */
        if (steps >= STEPS) {
                assert_true(at.n_granted > steps / 100 && at.n_failed > steps / 1000 && at.n_restarts > 10);
                assert_true(at.n_added > 50 && at.n_removed > 50 && at.n_reissued > 50);
                assert_true(at.n_revoked > 50 && at.n_woken > 50 && at.n_failed_starts > 10);
                for (int i = 0; i < _END_MAX; i++)
                        assert_true(at.n_ended[i] > 10);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_random, core_setup, core_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
