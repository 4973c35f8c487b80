/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The policy as one immutable, reference-counted value, and how it is read: whole or not at all, with
 * everything that is wrong in it reported at once. A live lease holds a reference to the policy that it was
 * granted under. Not thread-safe: one thread loads, asks and drops. */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/arena.h"
#include "policy/facts.h"
#include "policy/selector.h"
#include "policy/tenant-match.h"
#include "policy/util.h"

/* Limits of what is read; each is an error when passed, and is documented in vfiobroker.conf(5). */
#define POLICY_LINE_MAX      1022U /* bytes of a line, with its continuations, without the newline */
#define POLICY_NAME_MAX      64U   /* bytes of a tenant's or pool's name */
#define POLICY_FILE_MAX      (16U * 1024 * 1024) /* bytes of a file */
#define POLICY_FILES_MAX     1024U               /* drop-ins */
#define POLICY_ERRORS_MAX    1000U               /* reported; the rest is counted */
#define POLICY_POOL_DEPTH    8U                  /* pools within pools */
#define POLICY_KEYS_MAX      32U                 /* that a section may have */
#define POLICY_SLACK_DEFAULT (UINT64_C(64) * 1024 * 1024)

typedef enum PolicyReset {
        POLICY_RESET_REQUIRED,
        POLICY_RESET_BEST_EFFORT,
        POLICY_RESET_NONE,
        _POLICY_RESET_MAX,
} PolicyReset;

typedef enum PolicyOnRelease {
        POLICY_KEEP,
        POLICY_RESTORE,
        _POLICY_ON_RELEASE_MAX,
} PolicyOnRelease;

typedef enum PolicyRevoke {
        POLICY_REVOKE_KILL,
        POLICY_REVOKE_KILL_UNIT,
        POLICY_REVOKE_NEVER,
        _POLICY_REVOKE_MAX,
} PolicyRevoke;

enum {
        POLICY_BACKEND_IOMMUFD = 1,
        POLICY_BACKEND_GROUP = 2,
        POLICY_BACKEND_ALL = 3,
};

typedef struct PolicyBroker {
        PolicyWhere where;          /* the section; file NULL where there is none */
        const char *admin_group;    /* as written; "" for none */
        gid_t admin_gid;            /* (gid_t)-1 where there is none, or the default group does not exist */
        uint64_t memlock_max_bytes; /* UINT64_MAX where a percentage is given */
        unsigned memlock_max_percent; /* of RAM; 0 is a figure too, regarded where bytes is UINT64_MAX */
        PolicyWhere memlock_max_where;
        unsigned backends; /* POLICY_BACKEND_* */
        PolicyWhere backends_where;
        bool unsafe_interrupts;
        PolicyWhere unsafe_interrupts_where;
        bool noiommu;
        PolicyWhere noiommu_where;
        uint64_t revoke_grace_usec;
        unsigned rate_count; /* Acquire calls of one uid in each interval */
        uint64_t rate_interval_usec;
        PolicyWhere said
                [POLICY_KEYS_MAX]; /* where each key was given, as in policy-keys.c; no file: it was not */
} PolicyBroker;

typedef struct PolicyTenant {
        const char *name;
        PolicyWhere where;
        TenantMatch match;
        SelectorList devices;
        SelectorList deny_devices;
        unsigned devices_max; /* UINT_MAX where not limited */
        PolicyWhere devices_max_where;
        unsigned leases_max; /* UINT_MAX where not limited */
        PolicyWhere leases_max_where;
        uint64_t memlock_max; /* UINT64_MAX where not limited */
        PolicyWhere memlock_max_where;
        uint64_t memlock_default;
        uint64_t memlock_slack;
        unsigned backends; /* those of the tenant that the broker section allows too; never 0 */
        PolicyWhere backends_where;
        bool allow_ipc_lock;
        bool allow_on_behalf;
        bool share_containers;
        PolicyReset reset;
        PolicyOnRelease on_release;
        uint64_t linger_usec;
        PolicyRevoke revoke;
        const char *socket; /* absolute path, or NULL */
        PolicyWhere socket_where;
        const char *socket_user; /* as written, or NULL for root; so socket_group */
        uid_t socket_uid;        /* 0 where not given */
        const char *socket_group;
        gid_t socket_gid;
        mode_t socket_mode; /* 0600 where not given */
        PolicyWhere said
                [POLICY_KEYS_MAX]; /* where each key was given, as in policy-keys.c; no file: it was not */
} PolicyTenant;

/* [device SELECTOR]: how the broker treats the devices that the selector names. */
typedef struct PolicyDevice {
        Selector selector;
        PolicyWhere where;
        const char *driver;    /* NULL: the best match */
        bool force_unbind;     /* take it although the host uses it */
        int virtual_functions; /* made at start; -1: left as they are */
        PolicyWhere said
                [POLICY_KEYS_MAX]; /* where each key was given, as in policy-keys.c; no file: it was not */
} PolicyDevice;

/* [container NAME]: a named container that is there before anybody uses it, and stays. Names are each tenant's own, but no
 * two sections have the same. */
typedef struct PolicyContainer {
        const char *name;
        PolicyWhere where;
        const char *tenant; /* a tenant's name; never NULL once the policy was checked */
        PolicyWhere tenant_where;
        unsigned backend; /* POLICY_BACKEND_*, 0: that of the first lease in it */
        PolicyWhere said
                [POLICY_KEYS_MAX]; /* where each key was given, as in policy-keys.c; no file: it was not */
} PolicyContainer;

typedef struct Policy {
        unsigned n_ref;
        PolicyBroker broker;
        PolicyTenant *tenants; /* in the order in which they first appear */
        size_t n_tenants;
        PolicyPool *pools;
        size_t n_pools;
        PolicyDevice *devices;
        size_t n_devices;
        PolicyContainer *containers;
        size_t n_containers;
        const PolicyTenant **tenants_by_name; /* the same, sorted */
        const PolicyPool **pools_by_name;
        const char **files; /* that were read, in order */
        size_t n_files;
        Arena arena; /* owns all of the above */
} Policy;

typedef enum PolicySeverity {
        POLICY_ERROR,
        POLICY_WARNING,
} PolicySeverity;

typedef struct PolicyError {
        PolicySeverity severity;
        char *file;
        unsigned line; /* 0: the file as a whole */
        char *text;    /* what is wrong, and what to do about it */
} PolicyError;

/* Everything found by one load, in the order of files and lines. */
typedef struct PolicyErrors {
        PolicyError *items;
        size_t n_items;
        size_t n_errors;   /* of severity POLICY_ERROR, those past POLICY_ERRORS_MAX included */
        size_t n_warnings; /* likewise */
} PolicyErrors;

#define POLICY_ERRORS_NULL                                                                                  \
        {                                                                                                   \
                .items = NULL                                                                               \
        }

enum {
        POLICY_LOAD_ANY_OWNER =
                1, /* do not check who owns the files and may write to them: a developer's check, tests */
};

/* Where to look. NULL members stand for the installed places. */
typedef struct PolicyDirs {
        const char *file; /* the main file */
        const char *const
                *dropin_dirs; /* NULL-terminated; a name in an earlier one masks it in the later ones */
        unsigned flags;       /* POLICY_LOAD_* */
} PolicyDirs;

/* Reads the main file, then the drop-ins in name order; NULL for the installed places. Returns 0 with a
 * reference in ret_policy (`errors` may then hold warnings), -EINVAL where the policy has at least one error
 * (ret_policy is untouched), or another negative errno where reading broke down (-ENOMEM, -EMFILE, …).
 * `errors` may be NULL; what it held before is dropped. */
int policy_load(const PolicyDirs *dirs, Policy **ret_policy, PolicyErrors *errors);

/* The same for the files given, in that order; each must exist. */
int policy_load_files(char *const *files, size_t n_files, unsigned flags, Policy **ret_policy,
                      PolicyErrors *errors);

/* The same for a text in memory, which is called `name` in errors. */
int policy_load_string(const char *name, const char *text, size_t size, Policy **ret_policy,
                       PolicyErrors *errors);

/* The policy that refuses everything: what an empty file gives. NULL where memory is short. */
Policy *policy_new_empty(void);

/* Both take NULL and unref returns it. */
Policy *policy_ref(Policy *policy);
Policy *policy_unref(Policy *policy);

void policy_errors_done(PolicyErrors *errors);

/* "file:line: text", a warning "file:line: warning: text". The caller frees; NULL where memory is short. */
char *policy_error_to_string(const PolicyError *error);

/* All of them, one per line, without a newline at the end; "" for none. The caller frees; NULL where memory
 * is short. */
char *policy_errors_to_string(const PolicyErrors *errors);

/* NULL where there is none such. Names are compared as they are. */
const PolicyTenant *policy_tenant_by_name(const Policy *policy, const char *name);
const PolicyPool *policy_pool_by_name(const Policy *policy, const char *name);

/* Where the tenant's section says that key, which must be one of a tenant's; the section where it leaves it out. */
PolicyWhere policy_tenant_said(const PolicyTenant *tenant, const char *key);

/* The host's budget for locked memory, in bytes. */
uint64_t policy_memlock_ceiling(const Policy *policy, uint64_t mem_total);

/* The [device] section that holds for the device, or NULL. Where several match, the last one read. */
const PolicyDevice *policy_device_override(const Policy *policy, const DeviceFacts *device);

/* "required", "best-effort", "none"; "keep", "restore"; "kill", "kill-unit", "never" */
const char *policy_reset_to_string(PolicyReset reset);
const char *policy_on_release_to_string(PolicyOnRelease on_release);
const char *policy_revoke_to_string(PolicyRevoke revoke);

/* Writes the policy as it holds, as a file that says the same when it is read: what several files said in one, each key
 * with its place, defaults with "by default", limits that there are none of in comments. 0, -ENOMEM, or -EIO where `f` failed. */
int policy_show(const Policy *policy, FILE *f);

DEFINE_CLEANUP(Policy *, policy_unref)
#define _cleanup_policy_        _cleanup_(policy_unrefp)
#define _cleanup_policy_errors_ _cleanup_(policy_errors_done)
