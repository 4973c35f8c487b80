/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Identity. What is believed, and why:
 *
 * 1. The bus says which uid, gids, pid and LSM label opened the connection; it has them from the kernel, as of then.
 * 2. A bus that gives a pidfd (dbus-broker, Linux 6.5 on) means by it the process that connected, for good; the pid is
 *    then the pidfd's. Else the pid is turned into one at once. Then the name is asked for again: had the process
 *    died and its number been given to another one in between, its connection would have closed, unless a child keeps
 *    it. So the process behind the pidfd must have started when the one of that number had before, and its uid must be
 *    the connection's: the most that is left is a process mistaken for another one of the same user, which has power over
 *    it anyway. What /proc says of the uid never makes a caller anybody, it can only refuse.
 * 3. Unit, slice and machine are read for that pid, and believed if the pidfd still lives afterwards. They are read
 *    again for each Acquire, since a process can be moved.
 *
 * A caller whose process is not certain may look at what its uid and gids allow, but hold nothing. The match on the end
 * of the name is in place before the first question about it, so no end is missed. Event loop only. */

#include <fcntl.h>
#include <inttypes.h>
#include <utlist.h>

#include "daemon/bus/caller.h"
#include "daemon/bus/session.h"

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

struct Callers {
        Bus *bus;
        Caller *by_name;
        Caller *by_id;
        Caller *lru; /* utlist, least recently used first */
        uint64_t next_id;
        uint64_t stamp;
        uint64_t generation; /* of the policy that was last looked at for: */
        bool ask_machine;
        unsigned n_matches; /* callers with a match of their own */
        unsigned n_covered; /* callers without one, for whom there is: */
        sd_bus_slot *common;
};

int callers_new(Bus *bus, Callers **ret)
{
        Callers *callers = calloc(1, sizeof(*callers));

        if (!callers)
                return -ENOMEM;
        callers->bus = bus;
        *ret = callers;
        return 0;
}

static Caller *caller_free(Callers *callers, Caller *caller)
{
        if (!caller)
                return NULL;
        if (caller->hh.tbl)
                HASH_DELETE(hh, callers->by_name, caller);
        if (caller->hh_id.tbl)
                HASH_DELETE(hh_id, callers->by_id, caller);
        if (caller->prev)
                DL_DELETE(callers->lru, caller);
        if (caller->match)
                callers->n_matches--;
        sd_bus_slot_unref(caller->match);
        if (caller->covered && --callers->n_covered == 0)
                callers->common = sd_bus_slot_unref(callers->common);
        caller->pidfd = safe_close(caller->pidfd);
        free(caller->tenants);
        free(caller->gids);
        process_placement_done(&caller->placement);
        free(caller->label);
        free(caller->name);
        free(caller);
        return NULL;
}

Callers *callers_free(Callers *callers)
{
        if (!callers)
                return NULL;
        while (callers->lru)
                caller_free(callers, callers->lru);
        free(callers);
        return NULL;
}

Caller *callers_first(Bus *bus)
{
        return bus->callers->lru;
}

unsigned callers_count(Bus *bus)
{
        return HASH_CNT(hh, bus->callers->by_name);
}

Caller *caller_by_id(Bus *bus, uint64_t id)
{
        Caller *caller;

        HASH_FIND(hh_id, bus->callers->by_id, &id, sizeof(id), caller);
        return caller;
}

CallerFacts caller_facts(const Caller *caller)
{
        return (CallerFacts){
                .uid = caller->uid,
                .gids = caller->gids,
                .n_gids = caller->n_gids,
                .unit = caller->placement.unit,
                .slice = caller->placement.slice,
                .machine = caller->placement.machine,
                .label = caller->label,
        };
}

int caller_tenants(Bus *bus, Caller *caller, const PolicyTenant *const **ret, size_t *ret_n)
{
        const Policy *policy = bus->broker->policy;

        if (caller->generation != bus->broker->policy_generation) {
                const PolicyTenant **tenants = calloc(policy->n_tenants + 1, sizeof(*tenants));
                CallerFacts facts = caller_facts(caller);
                size_t n = 0;

                if (!tenants)
                        return -ENOMEM;
                for (size_t i = 0; i < policy->n_tenants; i++)
                        if (decide_caller_matches(policy->tenants + i, &facts))
                                tenants[n++] = policy->tenants + i;
                free(caller->tenants);
                caller->tenants = tenants;
                caller->n_tenants = n;
                caller->generation = bus->broker->policy_generation;
        }
        *ret = caller->tenants;
        *ret_n = caller->n_tenants;
        return 0;
}

/* --- the end of a connection --- */

static int on_name_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Callers *callers = userdata;
        const char *name, *before, *after;
        Caller *caller;
        uint64_t id;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0 || after[0])
                return 0;
        HASH_FIND_STR(callers->by_name, name, caller);
        if (!caller)
                return 0;
        id = caller->id;
        caller_free(callers, caller);
        broker_owner_gone(callers->bus->broker, id);
        return 0;
}

#define MATCH_END                                                                                           \
        "type='signal',sender='" DRIVER_NAME "',path='" DRIVER_PATH "',interface='" DRIVER_NAME             \
        "',member='NameOwnerChanged',"

static int watch_end(Callers *callers, Caller *caller)
{
        char rule[512];
        int r;

        if (callers->n_matches < CALLER_MATCHES_MAX) {
                (void)snprintf(rule, sizeof(rule), MATCH_END "arg0='%s'", caller->name);
                r = sd_bus_add_match(callers->bus->bus, &caller->match, rule, on_name_owner_changed,
                                     callers);
                if (r >= 0)
                        callers->n_matches++;
                return r;
        }
        if (!callers->common) {
                r = sd_bus_add_match(callers->bus->bus, &callers->common, MATCH_END "arg2=''",
                                     on_name_owner_changed, callers);
                if (r < 0)
                        return r;
        }
        caller->covered = true;
        callers->n_covered++;
        return 0;
}

/* --- what the bus knows --- */

static int read_gids(sd_bus_message *m, Caller *caller)
{
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'u', &data, &size);
        if (r < 0)
                return r;
        if (size / sizeof(uint32_t) > CALLER_GIDS_MAX)
                return -E2BIG;

        free(caller->gids);
        caller->n_gids = 0;
        if (size == 0)
                return 0;
        caller->gids = malloc(size);
        if (!caller->gids)
                return -ENOMEM;
        memcpy(caller->gids, data, size); /* gid_t is a uint32_t on Linux */
        caller->n_gids = size / sizeof(uint32_t);
        return 0;
}

static int read_label(sd_bus_message *m, Caller *caller)
{
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;

        free(caller->label);
        caller->label = NULL;
        if (size == 0)
                return 0;
        caller->label = strndup(data, size); /* it comes with a NUL, and ends there */
        return caller->label ? 0 : -ENOMEM;
}

static int read_pidfd(sd_bus_message *m, Caller *caller)
{
        int fd, r;

        r = sd_bus_message_read(m, "h", &fd);
        if (r < 0)
                return r;
        caller->pidfd = safe_close(caller->pidfd);
        caller->pidfd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return caller->pidfd < 0 ? -errno : 0;
}

static int read_uid(sd_bus_message *m, Caller *caller)
{
        return sd_bus_message_read(m, "u", &caller->uid);
}

static int read_pid(sd_bus_message *m, Caller *caller)
{
        uint32_t pid;
        int r;

        r = sd_bus_message_read(m, "u", &pid);
        if (r >= 0)
                caller->pid = (pid_t)pid;
        return r;
}

static const struct {
        const char *key, *signature;
        int (*read)(sd_bus_message *m, Caller *caller);
} credential_table[] = {
        { "UnixUserID", "u", read_uid },
        { "UnixGroupIDs", "au", read_gids },
        { "ProcessID", "u", read_pid },
        { "ProcessFD", "h", read_pidfd },
        { "LinuxSecurityLabel", "ay", read_label },
};

static int read_credential(sd_bus_message *m, const char *key, Caller *caller)
{
        for (size_t i = 0; i < ELEMENTSOF(credential_table); i++) {
                const char *contents;
                int r;

                if (!streq(credential_table[i].key, key))
                        continue;
                r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r < 0)
                        return r;
                if (!streq(contents, credential_table[i].signature))
                        break;
                r = sd_bus_message_enter_container(m, 'v', contents);
                if (r < 0)
                        return r;
                r = credential_table[i].read(m, caller);
                if (r < 0)
                        return r;
                return sd_bus_message_exit_container(m);
        }
        return sd_bus_message_skip(m, "v");
}

/* A question to the bus itself about the caller's name. */
static int ask_driver(Callers *callers, const Caller *caller, const char *member, sd_bus_message **ret)
{
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(callers->bus->bus, &m, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME,
                                           member);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", caller->name);
        if (r < 0)
                return r;
        return sd_bus_call(callers->bus->bus, m, DRIVER_TIMEOUT_USEC, NULL, ret);
}

static int read_credentials(Callers *callers, Caller *caller)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r;

        r = ask_driver(callers, caller, "GetConnectionCredentials", &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                const char *key;

                r = sd_bus_message_read(reply, "s", &key);
                if (r >= 0)
                        r = read_credential(reply, key, caller);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return caller->uid == (uid_t)-1 ? -ENODATA : 0;
}

static bool name_is_there(Callers *callers, const Caller *caller)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        int there = 0;

        return ask_driver(callers, caller, "NameHasOwner", &reply) >= 0 &&
               sd_bus_message_read(reply, "b", &there) >= 0 && there;
}

bool caller_is_gone(Bus *bus, Caller *caller)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        Host *host = bus->broker->host;
        int there = true;
        uint64_t now;

        if (caller->gone)
                return true;
        if (caller->session || caller->pidfd < 0 || host->ops->process_alive(host, caller->pidfd) != 0)
                return false;
        now = host->ops->monotonic(host);
        if (now < caller->ask_after)
                return false;
        caller->ask_after = now + GONE_ASK_USEC; /* a connection may outlive the process that opened it */
        if (ask_driver(bus->callers, caller, "NameHasOwner", &reply) >= 0 &&
            sd_bus_message_read(reply, "b", &there) >= 0)
                caller->gone = !there;
        return caller->gone;
}

/* --- what the machine knows --- */

/* A pidfd for the pid that the bus gave, or why there is none that is certain. */
static int open_process(Callers *callers, Caller *caller, uint64_t *ret_start_time, const char **ret_why)
{
        Host *host = callers->bus->broker->host;
        int r;

        r = host->ops->process_open(host, caller->pid, &caller->pidfd, ret_start_time);
        if (r == -ESRCH) {
                *ret_why = "its process has ended";
                return 0;
        }
        if (r < 0)
                return r;
        return name_is_there(callers, caller) ? 0 : -ENXIO;
}

/* The pid of the pidfd that the bus gave. */
static int name_process(Callers *callers, Caller *caller, const char **ret_why)
{
        Host *host = callers->bus->broker->host;
        pid_t pid = 0;
        int r;

        r = host->ops->process_of_pidfd(host, caller->pidfd, &pid);
        if (r == -ESRCH)
                *ret_why = "its process has ended";
        else if (r == -EREMOTE)
                *ret_why = "its process is in a pid namespace that the broker does not see";
        else if (r < 0)
                return r;
        else if (caller->pid > 0 && caller->pid != pid)
                *ret_why = "its process has ended, and another one has its number";
        caller->pid = pid;
        return 0;
}

static int make_certain(Callers *callers, Caller *caller)
{
        Host *host = callers->bus->broker->host;
        bool given = caller->pidfd >= 0;
        uint64_t start_time = 0;
        ProcessFacts facts;
        const char *why = NULL;
        int r = 0;

        if (given)
                r = name_process(callers, caller, &why);
        else if (caller->pid > 0)
                r = open_process(callers, caller, &start_time, &why);
        else
                why = "the bus does not know its process";
        if (r < 0)
                return r;

        if (!why) {
                r = host->ops->process_facts(host, caller->pid, caller->pidfd, &facts);
                if (r == -ESRCH || (r >= 0 && facts.zombie))
                        why = "its process has ended";
                else if (r < 0)
                        return r;
                else if (!given && facts.start_time != start_time)
                        why = "its process has ended, and another one has its number";
                else if (facts.mixed_uids || facts.uid != caller->uid)
                        why = "its process runs under another user than the one that connected";
        }
        if (why) {
                caller->pidfd = safe_close(caller->pidfd);
                (void)snprintf(caller->unusable, sizeof(caller->unusable), "%s", why);
        }
        return 0;
}

bool callers_ask_machine(Bus *bus)
{
        Callers *callers = bus->callers;
        const Policy *policy = bus->broker->policy;

        if (callers->generation == bus->broker->policy_generation)
                return callers->ask_machine;
        callers->generation = bus->broker->policy_generation;
        callers->ask_machine = false;
        for (size_t i = 0; i < policy->n_tenants && !callers->ask_machine; i++)
                callers->ask_machine =
                        tenant_match_key_is_set(policy->tenants[i].match.keys + TENANT_MATCH_MACHINE);
        return callers->ask_machine;
}

int caller_refresh(Bus *bus, Caller *caller, Refusal *refusal)
{
        Host *host = bus->broker->host;
        int r;

        if (caller->pidfd >= 0) {
                if (caller->session) { /* whose identity is settled */
                        r = host->ops->process_alive(host, caller->pidfd);
                        r = r > 0 ? 0 : r < 0 ? r : -ESRCH;
                } else
                        r = host->ops->process_placement(host, caller->pid, caller->pidfd,
                                                         callers_ask_machine(bus), &caller->placement);
                if (r != 0)
                        caller->generation = 0;
                if (r == -ESRCH) {
                        caller->pidfd = safe_close(caller->pidfd);
                        (void)snprintf(caller->unusable, sizeof(caller->unusable), "its process has ended");
                } else if (r < 0)
                        return r;
        }
        if (caller->unusable[0])
                return refuse(refusal, RESULT_PROCESS_UNUSABLE, "The caller %s can hold no lease: %s.",
                              caller->name, caller->unusable);
        return 0;
}

/* --- the table --- */

/* Marks the callers that may not be forgotten, in one pass over the leases. */
static void mark_busy(Callers *callers)
{
        callers->stamp++;
        for (const Lease *lease = callers->bus->broker->leases; lease; lease = lease->hh.next) {
                Caller *caller = caller_by_id(callers->bus, lease->owner);

                if (caller)
                        caller->busy = callers->stamp;
        }
}

/* Forgets the least recently used caller that holds and awaits nothing: of `uid`, or of any where that is -1. */
static bool evict(Callers *callers, uid_t uid)
{
        Caller *caller;

        mark_busy(callers);
        DL_FOREACH(callers->lru, caller)
                if (!caller->session && caller->n_calls == 0 && caller->busy != callers->stamp &&
                    (uid == (uid_t)-1 || caller->uid == uid)) {
                        caller_free(callers, caller);
                        return true;
                }
        return false;
}

static unsigned count_uid(Callers *callers, uid_t uid)
{
        const Caller *caller;
        unsigned n = 0;

        DL_FOREACH(callers->lru, caller)
                n += caller->uid == uid && !caller->session;
        return n;
}

static int identify(Callers *callers, Caller *caller, Refusal *refusal)
{
        int r;

        r = watch_end(callers, caller);
        if (r < 0)
                return r;
        r = read_credentials(callers, caller);
        if (r < 0)
                return r;
        if (count_uid(callers, caller->uid) >= CALLERS_UID_MAX && !evict(callers, caller->uid))
                return refuse(refusal, RESULT_LIMITS_EXCEEDED,
                              "User %u has %u connections that hold leases or await answers, the limit.",
                              (unsigned)caller->uid, CALLERS_UID_MAX);
        r = make_certain(callers, caller);
        if (r < 0)
                return r;
        r = caller_refresh(callers->bus, caller, refusal);
        return r < 0 ? r : 0; /* an unusable process is refused when it asks for something that needs one */
}

static int add_caller(Callers *callers, const char *name, Caller **ret, Refusal *refusal)
{
        Caller *caller;
        int r;

        if (HASH_CNT(hh, callers->by_name) >= CALLERS_MAX && !evict(callers, (uid_t)-1))
                return refuse(refusal, RESULT_LIMITS_EXCEEDED,
                              "%u connections hold leases or await answers, the broker's limit.",
                              CALLERS_MAX);

        caller = calloc(1, sizeof(*caller));
        if (!caller)
                return -ENOMEM;
        *caller = (Caller){ .uid = (uid_t)-1, .pidfd = -EBADF, .id = ++callers->next_id };
        caller->name = strdup(name);
        r = caller->name ? identify(callers, caller, refusal) : -ENOMEM;
        if (r != 0) {
                caller_free(callers, caller);
                return r;
        }

        DL_APPEND(callers->lru, caller);
        HASH_ADD_KEYPTR(hh, callers->by_name, caller->name, strlen(caller->name), caller);
        if (caller->hh.tbl)
                HASH_ADD(hh_id, callers->by_id, id, sizeof(caller->id), caller);
        if (!caller->hh.tbl || !caller->hh_id.tbl) {
                caller_free(callers, caller);
                return -ENOMEM;
        }
        *ret = caller;
        return 0;
}

int caller_get_by_name(Bus *bus, const char *name, Caller **ret, Refusal *refusal)
{
        Callers *callers = bus->callers;
        Caller *caller;
        int r;

        HASH_FIND_STR(callers->by_name, name, caller);
        if (!caller) {
                r = add_caller(callers, name, &caller, refusal);
                if (r != 0)
                        return r;
        } else if (caller->next) {
                DL_DELETE(callers->lru, caller);
                DL_APPEND(callers->lru, caller);
        }
        *ret = caller;
        return 0;
}

/* Copies a string that may be NULL. */
static int copy_string(const char *from, char **ret)
{
        *ret = from ? strdup(from) : NULL;
        return from && !*ret ? -ENOMEM : 0;
}

static int copy_identity(const Caller *of, Caller *caller)
{
        int r;

        caller->uid = of->uid;
        caller->pid = of->pid;
        memcpy(caller->unusable, of->unusable, sizeof(caller->unusable));
        if (of->pidfd >= 0) {
                caller->pidfd = fcntl(of->pidfd, F_DUPFD_CLOEXEC, 3);
                if (caller->pidfd < 0)
                        return -errno;
        }
        if (of->n_gids > 0) {
                caller->gids = malloc(of->n_gids * sizeof(*of->gids));
                if (!caller->gids)
                        return -ENOMEM;
                memcpy(caller->gids, of->gids, of->n_gids * sizeof(*of->gids));
                caller->n_gids = of->n_gids;
        }
        r = copy_string(of->placement.unit, &caller->placement.unit);
        if (r >= 0)
                r = copy_string(of->placement.slice, &caller->placement.slice);
        if (r >= 0)
                r = copy_string(of->placement.machine, &caller->placement.machine);
        if (r >= 0)
                r = copy_string(of->label, &caller->label);
        return r;
}

int caller_new_of_session(Bus *bus, const Caller *of, Session *session, Caller **ret)
{
        Callers *callers = bus->callers;
        Caller *caller = calloc(1, sizeof(*caller));
        int r;

        if (!caller)
                return -ENOMEM;
        *caller = (Caller){ .pidfd = -EBADF, .id = ++callers->next_id, .session = session };
        r = copy_identity(of, caller);
        if (r >= 0 && asprintf(&caller->name, "of session %" PRIu64, caller->id) < 0) {
                caller->name = NULL;
                r = -ENOMEM;
        }
        if (r >= 0) {
                DL_APPEND(callers->lru, caller);
                HASH_ADD(hh_id, callers->by_id, id, sizeof(caller->id), caller);
                if (!caller->hh_id.tbl)
                        r = -ENOMEM;
        }
        if (r < 0) {
                caller_free(callers, caller);
                return r;
        }
        *ret = caller;
        return 0;
}

void caller_drop(Bus *bus, Caller *caller)
{
        uint64_t id = caller->id;

        caller_free(bus->callers, caller);
        broker_owner_gone(bus->broker, id);
}

int caller_get(Bus *bus, sd_bus_message *m, Caller **ret, Refusal *refusal)
{
        const char *name = m ? sd_bus_message_get_sender(m) : NULL;

        /* Of a session's message the sender's name says nothing. */
        if (m && bus->dispatching && sd_bus_message_get_bus(m) == session_bus(bus->dispatching)) {
                *ret = session_caller(bus->dispatching);
                return 0;
        }
        if (!name || name[0] != ':')
                return refuse(refusal, RESULT_ACCESS_DENIED, "The caller cannot be told.");
        return caller_get_by_name(bus, name, ret, refusal);
}
