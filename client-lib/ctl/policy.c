/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl policy check and show: the broker's own parser, run here. Needs no broker and no bus. */

#include <getopt.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/policy.h"
#include "client-lib/ctl/text.h"

/* Says what is wrong, a line for each; false where that fails. */
static bool print_errors(const PolicyErrors *errors, FILE *f)
{
        for (size_t i = 0; i < errors->n_items; i++) {
                _cleanup_free_ char *text = policy_error_to_string(&errors->items[i]);

                if (!text) {
                        ctl_error("%s", strerror(ENOMEM));
                        return false;
                }
                text_print(f, text);
                (void)fputc('\n', f);
        }
        return true;
}

int ctl_load_policy(char *const *files, size_t n_files, unsigned flags, FILE *f, Policy **ret)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        const PolicyDirs dirs = { .flags = flags };
        _cleanup_policy_ Policy *policy = NULL;
        int r;

        r = n_files == 0 ? policy_load(&dirs, &policy, &errors)
                         : policy_load_files(files, n_files, flags, &policy, &errors);
        if (r < 0 && r != -EINVAL) {
                ctl_error("Cannot read the policy: %s", strerror(-r));
                return r;
        }
        if (!print_errors(&errors, f))
                return -ENOMEM;
        if (r == 0)
                *ret = TAKE_PTR(policy);
        return r;
}

static int check(char *const *files, size_t n_files, unsigned flags)
{
        _cleanup_policy_ Policy *policy = NULL;

        return ctl_load_policy(files, n_files, flags, stdout, &policy) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int show(char *const *files, size_t n_files, unsigned flags)
{
        _cleanup_policy_ Policy *policy = NULL;
        int r;

        r = ctl_load_policy(files, n_files, flags, stderr, &policy);
        if (r < 0)
                return EXIT_FAILURE;
        r = policy_show(policy, stdout);
        if (r < 0)
                ctl_error("Cannot show the policy: %s", strerror(-r));
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

        if (optind < argc && streq(argv[optind], "check"))
                return check(argv + optind + 1, (size_t)(argc - optind - 1), flags);
        if (optind < argc && streq(argv[optind], "show"))
                return show(argv + optind + 1, (size_t)(argc - optind - 1), flags);
        return verb_usage(verb, "What is to be done with the policy? There are: check, show");
}
