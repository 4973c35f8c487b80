/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the verbs of vfiobrokerctl share: exit codes, the table that main.c walks, and how a verb reports. */

#include "client-lib/vfiobroker.h"
#include "policy/util.h"

/* Besides EXIT_SUCCESS and EXIT_FAILURE; documented in vfiobrokerctl(1). */
enum {
        EXIT_USAGE = 2,
        EXIT_EXEC_FAILED = 125,         /* exec: anything that went wrong before COMMAND could be tried */
        EXIT_EXEC_NOT_EXECUTABLE = 126, /* exec: COMMAND is there and cannot be run */
        EXIT_EXEC_NOT_FOUND = 127,      /* exec: there is no COMMAND */
};

typedef struct Verb {
        const char *name;
        const char *arguments; /* as the usage line shows them */
        const char *summary;   /* one line */
        const char *help;      /* the rest of --help; "" for none */
        int (*run)(const struct Verb *verb, int argc,
                   char **argv); /* argv[0] is the verb; returns the exit code */
} Verb;

int verb_list(const Verb *verb, int argc, char **argv);
int verb_leases(const Verb *verb, int argc, char **argv);
int verb_groups(const Verb *verb, int argc, char **argv);
int verb_containers(const Verb *verb, int argc, char **argv);
int verb_tenants(const Verb *verb, int argc, char **argv);
int verb_top(const Verb *verb, int argc, char **argv);
int verb_tree(const Verb *verb, int argc, char **argv);
int verb_status(const Verb *verb, int argc, char **argv);
int verb_check(const Verb *verb, int argc, char **argv);
int verb_release(const Verb *verb, int argc, char **argv);
int verb_revoke(const Verb *verb, int argc, char **argv);
int verb_reset(const Verb *verb, int argc, char **argv);
int verb_bind(const Verb *verb, int argc, char **argv);
int verb_unbind(const Verb *verb, int argc, char **argv);
int verb_history(const Verb *verb, int argc, char **argv);
int verb_host(const Verb *verb, int argc, char **argv);
int verb_vfs(const Verb *verb, int argc, char **argv);
int verb_reload(const Verb *verb, int argc, char **argv);
int verb_policy(const Verb *verb, int argc, char **argv);
int verb_explain(const Verb *verb, int argc, char **argv);
int verb_exec(const Verb *verb, int argc, char **argv);

/* list.c: the table of tenants, for `tenants` and `top`. */
typedef struct Table Table;
int tenant_table_new(Table **ret);
int tenant_table_add(Table *table, const struct vfiobroker_tenant_entry *tenant);

/* Usage and help of a verb, on stdout. */
void verb_print_help(const Verb *verb);

/* Says on stderr what is wrong with the command line and where help is. Returns EXIT_USAGE. */
int verb_usage(const Verb *verb, const char *format, ...) _printf_(2, 3);

/* Reads the options of a verb that has none but --help: returns the index of the first argument, or -1 with
 * the exit code in *ret_exit where there is nothing more to do. `min` and `max` bound how many arguments
 * there may be. */
int verb_arguments(const Verb *verb, int argc, char **argv, int min, int max, int *ret_exit);

/* A verb without options whose arguments are all treated alike, one or more: connects, and calls `one` for each. -errno
 * is a refusal, which is reported with the argument; 1 is a failure that has been reported. Neither keeps the others from
 * their turn. */
typedef int (*VerbOne)(struct vfiobroker *broker, const char *argument);
int verb_for_each(const Verb *verb, int argc, char **argv, VerbOne one);

/* "vfiobrokerctl: TEXT" on stderr. */
void ctl_error(const char *format, ...) _printf_(1, 2);

/* "vfiobrokerctl: WHAT: the broker's text" on stderr for a call that returned r; returns r. `broker` may be
 * NULL. */
int ctl_refused(struct vfiobroker *broker, const char *what, int r);

/* Connects to the system bus, and reports where that fails. */
int ctl_open(struct vfiobroker **ret);

DEFINE_CLEANUP(struct vfiobroker *, vfiobroker_close)
DEFINE_CLEANUP(struct vfiobroker_lease *, vfiobroker_lease_free)
DEFINE_CLEANUP(struct vfiobroker_device *, vfiobroker_device_free)
DEFINE_CLEANUP(struct vfiobroker_host *, vfiobroker_host_free)
DEFINE_CLEANUP(struct vfiobroker_device_list *, vfiobroker_device_list_free)
DEFINE_CLEANUP(struct vfiobroker_lease_list *, vfiobroker_lease_list_free)
DEFINE_CLEANUP(struct vfiobroker_lease_info *, vfiobroker_lease_info_free)
DEFINE_CLEANUP(struct vfiobroker_group_list *, vfiobroker_group_list_free)
DEFINE_CLEANUP(struct vfiobroker_container_list *, vfiobroker_container_list_free)
DEFINE_CLEANUP(struct vfiobroker_tenant_list *, vfiobroker_tenant_list_free)
