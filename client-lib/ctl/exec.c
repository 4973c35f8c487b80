/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl exec: acquires devices for this very process and then becomes COMMAND, so that the lease,
 * which lasts as long as its process, lasts exactly as long as COMMAND. What can be found wrong with COMMAND
 * is found before a device is taken; what fails after that gives the devices back. */

#include <fcntl.h>
#include <getopt.h>

#include "client-lib/ctl/command.h"
#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/request.h"
#include "client-lib/ctl/text.h"

typedef struct Exec {
        Request request;
        CommandNeeds needs;
        bool qemu;
        const char *const *command;
} Exec;

static void exec_done(Exec *exec)
{
        request_done(&exec->request);
}

/* Says what is wrong as any other verb does, with exec's own code: 2 could be COMMAND's. */
static int usage(const Verb *verb, const char *text, const char *what)
{
        (void)verb_usage(verb, "%s%s", text, what);
        return EXIT_EXEC_FAILED;
}

/* Reads the command line. -1 with the exit code where that is all. */
static int read_arguments(const Verb *verb, int argc, char **argv, Exec *exec, int *ret_exit)
{
        static const struct option options[] = {
                REQUEST_OPTIONS,
                { "help", no_argument, NULL, 'h' },
                { "device", required_argument, NULL, 'd' },
                { "label", required_argument, NULL, 'l' },
                { "wait", required_argument, NULL, 'w' },
                { "qemu", no_argument, NULL, 'q' },
                { NULL, 0, NULL, 0 },
        };
        struct vfiobroker_acquire_options *o = &exec->request.options;
        int c, r;

        *ret_exit = EXIT_EXEC_FAILED;
        while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0)
                switch (c) {
                case 'd':
                        r = request_add_device(&exec->request, optarg);
                        if (r < 0) {
                                ctl_error("%s", strerror(-r));
                                return -1;
                        }
                        break;
                case 'l': o->label = optarg; break;
                case 'w':
                        if (parse_seconds(optarg, &o->wait_usec) < 0) {
                                *ret_exit = usage(verb, "Not a number of seconds: ", optarg);
                                return -1;
                        }
                        break;
                case 'q': exec->qemu = true; break;
                case 'h':
                        verb_print_help(verb);
                        *ret_exit = EXIT_SUCCESS;
                        return -1;
                default:
                        if (request_option(&exec->request, c, optarg) < 0) {
                                *ret_exit = usage(verb, "Wrong option or value", optarg ? optarg : "");
                                return -1;
                        }
                }

        exec->command = (const char *const *)argv + optind;
        if (exec->request.n_devices == 0) {
                *ret_exit = usage(verb, "Which --device?", "");
                return -1;
        }
        if (!exec->command[0]) {
                *ret_exit = usage(verb, "Which COMMAND?", "");
                return -1;
        }
        return 0;
}

/* All that can be known of COMMAND without a lease. Returns the exit code, 0 where nothing is wrong. */
static int check_command(const Verb *verb, Exec *exec)
{
        _cleanup_free_ char *error = NULL;
        size_t n_devices;
        bool exact;
        int r;

        r = command_scan(exec->command, &exec->needs, &error);
        if (r < 0)
                return usage(verb, error ? error : strerror(-r), "");

        r = command_backend(&exec->needs, exec->qemu, exec->request.options.backend,
                            &exec->request.options.backend, &error);
        if (r < 0)
                return usage(verb, error ? error : strerror(-r), "");

        exact = command_count_devices(exec->request.devices, &n_devices);
        if (exact && exec->needs.n[VFIOBROKER_FD_DEVICE] > n_devices) {
                ctl_error("{device:%zu} is not there: --device gives {device:0} to {device:%zu}",
                          exec->needs.n[VFIOBROKER_FD_DEVICE] - 1, n_devices - 1);
                return EXIT_EXEC_FAILED;
        }

        r = command_find(exec->command[0], getenv("PATH"));
        if (r < 0) {
                ctl_error("Cannot run %s: %s", exec->command[0], strerror(-r));
                return r == -ENOENT ? EXIT_EXEC_NOT_FOUND : EXIT_EXEC_NOT_EXECUTABLE;
        }
        return 0;
}

static void fds_done(CommandFds *fds)
{
        free(fds->rows);
}

/* Borrows the lease's fds for the command; fds_done() frees the rows. */
static int borrow_fds(const struct vfiobroker_lease *lease, CommandFds *ret)
{
        size_t n = vfiobroker_lease_n_fds(lease);
        CommandFd *rows;

        rows = calloc(n + 1, sizeof(*rows));
        if (!rows)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                const struct vfiobroker_fd *fd = vfiobroker_lease_fd(lease, i);

                rows[i] = (CommandFd){ .kind = fd->kind, .fd = fd->fd };
        }
        *ret = (CommandFds){ .rows = rows, .n_rows = n };
        return 0;
}

static int let_inherit(const CommandFds *fds)
{
        for (size_t i = 0; i < fds->n_rows; i++)
                if (fds->rows[i].used && fcntl(fds->rows[i].fd, F_SETFD, 0) < 0)
                        return -errno;
        return 0;
}

static size_t count_kind(const CommandFds *fds, enum vfiobroker_fd_kind kind)
{
        size_t n = 0;

        for (size_t i = 0; i < fds->n_rows; i++)
                n += fds->rows[i].kind == kind;
        return n;
}

/* Becomes COMMAND. Returns the exit code, with the lease still to be released. */
static int become(const Exec *exec, const struct vfiobroker_lease *lease)
{
        _cleanup_(command_freep) char **argv = NULL;
        _cleanup_(fds_done) CommandFds fds = { .rows = NULL };
        int r;

        r = borrow_fds(lease, &fds);
        if (r >= 0)
                r = command_build(exec->command, &fds, exec->qemu, &argv);
        if (r == -ENOENT) {
                ctl_error("COMMAND asks for what the lease has not: its backend is %s, with %zu device(s) "
                          "and %zu group(s) that it holds the whole of",
                          vfiobroker_lease_backend(lease), count_kind(&fds, VFIOBROKER_FD_DEVICE),
                          count_kind(&fds, VFIOBROKER_FD_GROUP));
                return EXIT_EXEC_FAILED;
        }
        if (r >= 0)
                r = let_inherit(&fds);
        if (r >= 0 && setenv("VFIOBROKER_LEASE", vfiobroker_lease_path(lease), true) < 0)
                r = -errno;
        if (r < 0) {
                ctl_error("Cannot prepare COMMAND: %s", strerror(-r));
                return EXIT_EXEC_FAILED;
        }

        (void)execvp(argv[0], argv);
        r = errno;
        ctl_error("Cannot run %s: %s", argv[0], strerror(r));
        return r == ENOENT ? EXIT_EXEC_NOT_FOUND : EXIT_EXEC_NOT_EXECUTABLE;
}

/* On the bus; and where a message of the bus does not carry as much as was asked for, on a session. */
static int acquire(struct vfiobroker **broker, const Request *request, struct vfiobroker_lease **ret)
{
        struct vfiobroker *session;
        int r;

        r = vfiobroker_acquire(*broker, request->devices, &request->options, ret);
        if (r != -ENOBUFS || vfiobroker_open_session(*broker, &session) < 0)
                return r;
        (void)vfiobroker_close(*broker);
        *broker = session;
        return vfiobroker_acquire(session, request->devices, &request->options, ret);
}

int verb_exec(const Verb *verb, int argc, char **argv)
{
        _cleanup_(vfiobroker_lease_freep) struct vfiobroker_lease *lease = NULL;
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        _cleanup_(exec_done) Exec exec = { .request = REQUEST_INIT };
        int code, r;

        if (read_arguments(verb, argc, argv, &exec, &code) < 0)
                return code;

        code = check_command(verb, &exec);
        if (code != 0)
                return code;

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_EXEC_FAILED;

        r = acquire(&broker, &exec.request, &lease);
        if (r < 0) {
                (void)ctl_refused(broker, "Cannot acquire", r);
                if (r == -EOPNOTSUPP && exec.qemu)
                        ctl_error("--qemu asks for the backend iommufd, the only one whose fds QEMU takes");
                return EXIT_EXEC_FAILED;
        }

        /* stdio's buffers would be lost with this program. */
        (void)fflush(stdout);
        code = become(&exec, lease);

        r = vfiobroker_lease_release(lease);
        if (r < 0)
                (void)ctl_refused(broker, "Cannot give the devices back before this process ends", r);
        return code;
}
