/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl revoke: leases by name, or all that the policy in force would not grant. */

#include <getopt.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"

typedef struct Options {
        uint64_t grace_usec;
        const char *reason;
        bool refused;
} Options;

/* Index of the first argument, or -1 with the exit code. */
static int read_options(const Verb *verb, int argc, char **argv, Options *ret, int *ret_exit)
{
        static const struct option options[] = {
                { "refused", no_argument, NULL, 'p' },
                { "grace", required_argument, NULL, 'g' },
                { "reason", required_argument, NULL, 'r' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int option;

        *ret = (Options){ .grace_usec = UINT64_MAX };
        *ret_exit = EXIT_USAGE;
        while ((option = getopt_long(argc, argv, "+h", options, NULL)) >= 0)
                switch (option) {
                case 'p': ret->refused = true; break;
                case 'r': ret->reason = optarg; break;
                case 'g':
                        if (parse_seconds(optarg, &ret->grace_usec) < 0) {
                                *ret_exit = verb_usage(verb, "Not a number of seconds: %s", optarg);
                                return -1;
                        }
                        break;
                case 'h':
                        verb_print_help(verb);
                        *ret_exit = EXIT_SUCCESS;
                        return -1;
                default: return -1;
                }
        if (ret->refused && optind < argc)
                *ret_exit = verb_usage(verb, "--refused takes no LEASE: %s", argv[optind]);
        else if (!ret->refused && optind == argc)
                *ret_exit = verb_usage(verb, "Name a lease, or say --refused");
        else
                return optind;
        return -1;
}

static int revoke_lease(struct vfiobroker *broker, const Options *options, const char *lease)
{
        int r = vfiobroker_revoke(broker, lease, options->grace_usec, options->reason);

        return r < 0 ? ctl_refused(broker, lease, r) : 0;
}

/* Whether all went well; that one ends before its turn is no failure. */
static bool revoke_refused(struct vfiobroker *broker, const Options *options)
{
        _cleanup_(vfiobroker_lease_list_freep) struct vfiobroker_lease_list *leases = NULL;
        bool well = true;
        int r;

        r = vfiobroker_list_leases(broker, &leases);
        if (r < 0) {
                (void)ctl_refused(broker, "Cannot list leases", r);
                return false;
        }
        for (size_t i = 0; i < leases->n; i++) {
                const char *id = leases->leases[i]->id;
                _cleanup_(vfiobroker_lease_info_freep) struct vfiobroker_lease_info *info = NULL;

                r = vfiobroker_get_lease(broker, id, &info);
                if (r == -ENXIO || (r >= 0 && (!*info->policy_refusal || streq(info->state, "reclaiming"))))
                        continue;
                if (r < 0)
                        (void)ctl_refused(broker, id, r);
                else
                        r = revoke_lease(broker, options, id);
                well &= r >= 0 || r == -ENXIO;
        }
        return well;
}

int verb_revoke(const Verb *verb, int argc, char **argv)
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        Options options;
        bool well = true;
        int first, code;

        first = read_options(verb, argc, argv, &options, &code);
        if (first < 0)
                return code;
        if (ctl_open(&broker) < 0)
                return EXIT_FAILURE;

        if (options.refused)
                well = revoke_refused(broker, &options);
        for (int i = first; i < argc; i++)
                well &= revoke_lease(broker, &options, argv[i]) >= 0;
        return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
