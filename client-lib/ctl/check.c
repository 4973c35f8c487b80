/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl check: would this be granted, and which rule decides? */

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/request.h"
#include "client-lib/ctl/text.h"

static int check(Request *request)
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;

        r = vfiobroker_check_access(broker, request->devices, &request->options, &text);
        if (r < 0) {
                const struct vfiobroker_error *error = vfiobroker_last_error(broker);

                if (strncmp(error->name, "org.vfiobroker1.Error.", 22) != 0) {
                        (void)ctl_refused(broker, "Cannot ask", r);
                        return EXIT_FAILURE;
                }

                printf("no: ");
                text_print_lines(stdout, error->text);
                printf(" (");
                text_print(stdout, error->name);
                printf(")\n");
                return EXIT_FAILURE;
        }

        printf("yes");
        if (*text) {
                printf(": ");
                text_print_lines(stdout, text);
        }
        putchar('\n');
        return EXIT_SUCCESS;
}

int verb_check(const Verb *verb, int argc, char **argv)
{
        static const struct option options[] = {
                REQUEST_OPTIONS,
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        _cleanup_(request_done) Request request = REQUEST_INIT;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h': verb_print_help(verb); return EXIT_SUCCESS;
                default:
                        if (request_option(&request, c, optarg) < 0)
                                return verb_usage(verb, "Wrong option or value");
                }

        if (optind == argc)
                return verb_usage(verb, "Which devices?");

        for (; optind < argc; optind++) {
                r = request_add_device(&request, argv[optind]);
                if (r < 0) {
                        ctl_error("%s", strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        return check(&request);
}
