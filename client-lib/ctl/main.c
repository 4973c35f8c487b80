/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl: what a person does with the broker. This file has the table of verbs and the options that
 * come before one; each family of verbs has its own file. Everything but `policy` and some of
 * `explain` goes through libvfiobroker. */

#include <getopt.h>
#include <limits.h>
#include <stdarg.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"

#define HELP_LIST "  --no-legend       leave the line of headings out\n"

/* Of check, explain and exec. */
#define HELP_REQUEST                                                                                        \
        "  --tenant TENANT   the tenant to act as, where you match several\n"                               \
        "  --backend NAME    iommufd, group or auto\n"                                                      \
        "  --container NAME  the I/O address space to create, or to share with your\n"                      \
        "                    tenant's other leases of that name; by default a private one\n"                \
        "  --memlock SIZE    bytes to map for DMA at once (a VM's RAM); K, M, G and T are\n"                \
        "                    powers of 1024\n"

static const Verb verbs[] = {
        { "list", "[--no-legend]", "List the devices that you may use", HELP_LIST, verb_list },
        { "tree", "", "Draw where devices are plugged in, and who has them",
          "A line for each port, IOMMU group, device and lease; your devices and leases, or\n"
          "all of them for administrators.\n",
          verb_tree },
        { "groups", "[--no-legend]", "List IOMMU groups, and what keeps them from being given away",
          HELP_LIST, verb_groups },
        { "containers", "[--no-legend]", "List the containers (I/O address spaces) of your tenants",
          HELP_LIST, verb_containers },
        { "leases", "[--no-legend]", "List the leases of your tenants", HELP_LIST, verb_leases },
        { "tenants", "[--no-legend]", "List what your tenants have, and may have", HELP_LIST, verb_tenants },
        { "top", "[--once] [--delay SECONDS]", "Show tenants and leases, and their locked memory, live",
          "  --once            show them once, as where the output is no terminal\n"
          "  --delay SECONDS   between two looks, from 0.1; default 2\n"
          "\n"
          "q leaves it.\n",
          verb_top },
        { "status", "WHAT...", "Show everything about devices, groups, containers and leases",
          "WHAT is a device id, group:N, container:NAME or lease:ID.\n", verb_status },
        { "check", "[OPTION]... DEVICE...",
          "Ask whether the devices would be granted now, and by which rule",
          HELP_REQUEST "\n"
                       "Exits with 0 where they would, else with 1.\n",
          verb_check },
        { "explain", "[OPTION]... DEVICE...",
          "Tell step by step how that is decided, also for somebody else",
          HELP_REQUEST
          "\n"
          "For somebody else, or by other files, without the broker and its figures:\n"
          "  --user USER       a name or uid, with the groups that it has here\n"
          "  --group GROUP     one more; as often as needed\n"
          "  --unit UNIT, --slice SLICE, --machine NAME, --label LABEL\n"
          "                    of the process\n"
          "  --policy FILE     in place of the files that the broker reads; as often as needed\n"
          "  --any-owner       do not insist that root owns the files\n"
          "\n"
          "Exits with 0 where the devices would be granted, else with 1.\n",
          verb_explain },
        { "exec", "[OPTION]... --device DEVICE... -- COMMAND...",
          "Acquire devices and become COMMAND, which has them",
          "  --device DEVICE   a device id, group:N or pool:NAME[*K]; as often as needed\n" HELP_REQUEST
          "  --label TEXT      a name for the lease, for people\n"
          "  --wait SECONDS    how long to wait for a device that is taken\n"
          "  --qemu            append QEMU's arguments for the devices to COMMAND\n"
          "\n"
          "In COMMAND's arguments {device} and {device:N} (N from 0, in the order of\n"
          "--device), {iommufd}, or with the backend group {container}, {group} and\n"
          "{group:N}, become numbers of open file descriptors; {{device} stands for the\n"
          "text {device}. VFIOBROKER_LEASE in COMMAND's environment is the lease's D-Bus\n"
          "path. The lease ends with COMMAND's process.\n"
          "\n"
          "Exits as COMMAND does, else with 127 where COMMAND is not found, 126 where it\n"
          "cannot be run, and 125 for everything else, a refusal by the broker included.\n",
          verb_exec },
        { "release", "LEASE...", "End leases, by their ids or D-Bus paths",
          "Devices go back once nobody has them open: to have one back now, end its process.\n",
          verb_release },
        { "revoke", "[OPTION]... LEASE...", "Take devices back from those who have them",
          "For administrators. The process is asked first; where it keeps the devices, what its\n"
          "tenant's 'revoke' says happens to it. They are free once nobody has them open.\n"
          "\n"
          "  --refused         in place of LEASE: all that the policy in force would not grant\n"
          "  --grace SECONDS   how long the process has; by default as the policy says\n"
          "  --reason TEXT     for it, and for the journal\n",
          verb_revoke },
        { "reset", "DEVICE...", "Reset devices that nobody holds: the way out of quarantine",
          "For administrators. The device is proved free first; where that fails, or the\n"
          "reset does, it is quarantined, and 'status' says why.\n",
          verb_reset },
        { "bind", "DEVICE [DRIVER]", "Bind a device to a driver, by default its best VFIO driver",
          "For administrators, of devices that no lease has.\n", verb_bind },
        { "unbind", "DEVICE...", "Take devices' drivers away",
          "For administrators, of devices that no lease has.\n", verb_unbind },
        { "history", "[--lines N] [--no-legend] DEVICE",
          "Tell from the journal who had a device, and what became of it",
          "For those who may read the system's journal; the broker need not run.\n"
          "\n"
          "  --lines N         the last N entries only\n" HELP_LIST,
          verb_history },
        { "host", "", "Say whether this host keeps its devices apart, and what to change",
          "Exits with 0 where nothing is bad, else with 1.\n", verb_host },
        { "vfs", "DEVICE [COUNT]", "Show a device's virtual functions, or give it COUNT of them",
          "They can only be taken away together: another COUNT takes away all first, and is\n"
          "refused while any of them is leased. New ones have no driver.\n",
          verb_vfs },
        { "reload", "", "Make the broker read its policy again",
          "For administrators. Where the policy has an error, every error is printed, and\n"
          "the old policy stays in force.\n",
          verb_reload },
        { "policy", "check|show [--any-owner] [FILE...]",
          "Check policy files, or show what they say together",
          "Without the broker; without FILE, the files that it reads. What 'show' prints is one\n"
          "policy file, with the place of each key and what holds by default.\n"
          "\n"
          "  --any-owner       do not insist that root owns the files and alone may write\n"
          "                    to them\n"
          "\n"
          "Exits with 1 where there is an error; a warning is none.\n",
          verb_policy },
};

void ctl_error(const char *format, ...)
{
        va_list ap;

        (void)fputs("vfiobrokerctl: ", stderr);
        va_start(ap, format);
        (void)vfprintf(stderr, format, ap);
        va_end(ap);
        (void)fputc('\n', stderr);
}

int ctl_refused(struct vfiobroker *broker, const char *what, int r)
{
        const char *text = vfiobroker_last_error(broker)->text;

        (void)fprintf(stderr, "vfiobrokerctl: %s: ", what);
        text_print_lines(stderr, *text ? text : strerror(-r));
        (void)fputc('\n', stderr);
        return r;
}

int ctl_open(struct vfiobroker **ret)
{
        int r = vfiobroker_open_system(ret);

        return r < 0 ? ctl_refused(NULL, "Cannot connect to the system bus", r) : r;
}

void verb_print_help(const Verb *verb)
{
        printf("Usage: vfiobrokerctl %s%s%s\n\n%s.\n", verb->name, *verb->arguments ? " " : "",
               verb->arguments, verb->summary);
        if (*verb->help)
                printf("\n%s", verb->help);
}

int verb_usage(const Verb *verb, const char *format, ...)
{
        va_list ap;

        (void)fprintf(stderr, "vfiobrokerctl %s: ", verb->name);
        va_start(ap, format);
        (void)vfprintf(stderr, format, ap);
        va_end(ap);
        (void)fprintf(stderr, "\nTry 'vfiobrokerctl %s --help'.\n", verb->name);
        return EXIT_USAGE;
}

int verb_arguments(const Verb *verb, int argc, char **argv, int min, int max, int *ret_exit)
{
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                if (c != 'h') {
                        *ret_exit = verb_usage(verb, "Wrong option");
                        return -1;
                }
                verb_print_help(verb);
                *ret_exit = EXIT_SUCCESS;
                return -1;
        }

        if (argc - optind < min || argc - optind > max) {
                *ret_exit =
                        verb_usage(verb, argc - optind < min ? "Too few arguments" : "Too many arguments");
                return -1;
        }
        return optind;
}

int verb_for_each(const Verb *verb, int argc, char **argv, VerbOne one)
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        int first, r, code = EXIT_SUCCESS;

        first = verb_arguments(verb, argc, argv, 1, INT_MAX, &code);
        if (first < 0)
                return code;

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;

        for (int i = first; i < argc; i++) {
                r = one(broker, argv[i]);
                if (r < 0)
                        (void)ctl_refused(broker, argv[i], r);
                if (r != 0)
                        code = EXIT_FAILURE;
        }
        return code;
}

static void print_help(void)
{
        printf("Usage: vfiobrokerctl VERB [ARGUMENT]...\n"
               "\n"
               "Have devices for VFIO from vfiobrokerd, and look after them.\n"
               "\n");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                printf("  %-10s  %s\n", verbs[i].name, verbs[i].summary);
        printf("\n"
               "  --help      show this, or after a VERB what it takes\n"
               "  --version   show the version\n");
}

static const Verb *find_verb(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].name, name))
                        return &verbs[i];
        return NULL;
}

/* Output that could not be written is a failure too: `list > /dev/full` must not look like an empty list. */
static int flush_output(int code)
{
        if (fflush(stdout) != 0 || ferror(stdout)) {
                ctl_error("Cannot write the output: %s", strerror(errno));
                return code == EXIT_SUCCESS ? EXIT_FAILURE : code;
        }
        return code;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'v' },
                { NULL, 0, NULL, 0 },
        };
        const Verb *verb;
        int c, first;

        while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0)
                switch (c) {
                case 'h': print_help(); return flush_output(EXIT_SUCCESS);
                case 'v':
                        printf("vfiobrokerctl %s\n", VFIOBROKER_VERSION);
                        return flush_output(EXIT_SUCCESS);
                default: (void)fputs("Try 'vfiobrokerctl --help'.\n", stderr); return EXIT_USAGE;
                }

        if (optind == argc) {
                ctl_error("Which verb? Try 'vfiobrokerctl --help'.");
                return EXIT_USAGE;
        }

        verb = find_verb(argv[optind]);
        if (!verb) {
                ctl_error("There is no verb '%s'. Try 'vfiobrokerctl --help'.", argv[optind]);
                return EXIT_USAGE;
        }

        /* 0 and not 1 makes glibc forget the "+" of the first round. */
        first = optind;
        optind = 0;
        return flush_output(verb->run(verb, argc - first, argv + first));
}
