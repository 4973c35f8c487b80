/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl policy check: the broker's own parser, run here. Needs no broker and no bus. */

#include <getopt.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"
#include "policy/policy-file.h"

static int check(char *const *files, size_t n_files, unsigned flags)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        const PolicyDirs dirs = { .flags = flags };
        _cleanup_policy_ Policy *policy = NULL;
        int r;

        r = n_files == 0 ? policy_load(&dirs, &policy, &errors)
                         : policy_load_files(files, n_files, flags, &policy, &errors);
        if (r < 0 && r != -EINVAL) {
                ctl_error("Cannot read the policy: %s", strerror(-r));
                return EXIT_FAILURE;
        }

        for (size_t i = 0; i < errors.n_items; i++) {
                _cleanup_free_ char *text = policy_error_to_string(&errors.items[i]);

                if (!text) {
                        ctl_error("%s", strerror(ENOMEM));
                        return EXIT_FAILURE;
                }
                text_print(stdout, text);
                putchar('\n');
        }
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int verb_policy(const Verb *verb, int argc, char **argv)
{
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "any-owner", no_argument, NULL, 'o' },
                { NULL, 0, NULL, 0 },
        };
        unsigned flags = 0;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'o': flags |= POLICY_LOAD_ANY_OWNER; break;
                case 'h': verb_print_help(verb); return EXIT_SUCCESS;
                default: return verb_usage(verb, "Wrong option");
                }

        if (optind == argc || !streq(argv[optind], "check"))
                return verb_usage(verb, "What is to be done with the policy? There is: check");

        return check(argv + optind + 1, (size_t)(argc - optind - 1), flags);
}
