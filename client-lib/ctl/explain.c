/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl explain: how a request is decided, step by step. For oneself it is the running broker that tells. For
 * somebody else, or of other files, the decision is made here, by the same code. */

#include <grp.h>
#include <pwd.h>
#include <systemd/sd-login.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/offline.h"
#include "client-lib/ctl/policy.h"
#include "client-lib/ctl/request.h"
#include "client-lib/ctl/text.h"
#include "daemon/host/process.h"
#include "policy/tenant-match.h"

#define GIDS_MAX 1024

typedef struct Explain {
        Request request;
        char **files; /* of the policy, as the command line has them */
        size_t n_files;
        unsigned flags;
        bool offline;
        bool other; /* than the one who asks */
        CallerFacts caller;
        gid_t gids[GIDS_MAX];
        char *unit, *slice, *machine; /* own ones, owned */
        ProcessCredentials credentials;
} Explain;

static void explain_done(Explain *self)
{
        request_done(&self->request);
        free(self->files);
        free(self->unit);
        free(self->slice);
        free(self->machine);
        process_credentials_done(&self->credentials);
}

static bool is_tried(const char *name)
{
        return streq(name, "tenant"); /* one that the caller is not is no refusal yet */
}

static void print_step(const char *name, const char *about, bool passed, const char *text)
{
        printf("%s  ", passed ? "ok" : is_tried(name) ? "--" : "NO");
        text_print(stdout, name);
        if (*about) {
                putchar(' ');
                text_print(stdout, about);
        }
        printf(": ");
        text_print_lines(stdout, text);
        putchar('\n');
}

/* Of a refusal the last step has said why. */
static int print_answer(bool allowed, const char *error)
{
        printf("%s", allowed ? "yes" : "no: ");
        text_print(stdout, allowed ? "" : error);
        putchar('\n');
        return allowed ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- by the broker --- */

static void on_remote_step(void *userdata, const struct vfiobroker_step *step)
{
        print_step(step->name, step->about, step->passed, step->text);
}

static int ask_broker(Explain *self)
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        const struct vfiobroker_error *error;
        int r;

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;

        r = vfiobroker_explain(broker, self->request.devices, &self->request.options, on_remote_step, NULL,
                               NULL);
        error = vfiobroker_last_error(broker);
        if (r < 0 && strncmp(error->name, "org.vfiobroker1.Error.", 22) != 0) {
                (void)ctl_refused(broker, "Cannot ask", r);
                return EXIT_FAILURE;
        }
        return print_answer(r == 0, error->name);
}

/* --- here --- */

static void on_local_step(void *userdata, const DecideStep *step)
{
        print_step(step->name, step->about, step->passed, step->text);
        *(bool *)userdata = !step->passed && !is_tried(step->name);
}

/* What is known of this very process; what the bus would say of it. */
static void be_self(Explain *self)
{
        _cleanup_close_ int pidfd = -EBADF;
        uint64_t start_time;

        if (process_open(getpid(), &pidfd, &start_time) >= 0)
                (void)process_read_credentials(getpid(), pidfd, &self->credentials);
        self->caller = (CallerFacts){
                .uid = geteuid(),
                .gids = self->credentials.gids,
                .n_gids = self->credentials.n_gids,
                .label = self->credentials.label,
        };
        if (sd_pid_get_unit(0, &self->unit) >= 0)
                self->caller.unit = self->unit;
        if (sd_pid_get_slice(0, &self->slice) >= 0)
                self->caller.slice = self->slice;
        if (sd_pid_get_machine_name(0, &self->machine) >= 0)
                self->caller.machine = self->machine;
}

/* A user, with the groups that the system says they have. */
static int be_user(Explain *self, const char *name)
{
        char error[TENANT_MATCH_ERROR_MAX];
        const struct passwd *entry;
        int r, n = GIDS_MAX;

        r = tenant_match_lookup_user(name, &self->caller.uid, error);
        if (r < 0) {
                ctl_error("%s", r == -EINVAL ? error : strerror(-r));
                return r;
        }
        entry = getpwuid(self->caller.uid);
        if (entry && getgrouplist(entry->pw_name, entry->pw_gid, self->gids, &n) >= 0)
                self->caller.n_gids = (size_t)n;
        self->caller.gids = self->gids;
        return 0;
}

static int add_group(Explain *self, const char *name)
{
        char error[TENANT_MATCH_ERROR_MAX];
        gid_t gid = 0;
        int r;

        r = tenant_match_lookup_group(name, &gid, error);
        if (r >= 0 && self->caller.n_gids == GIDS_MAX)
                r = -E2BIG;
        if (r < 0) {
                ctl_error("%s", r == -EINVAL ? error : strerror(-r));
                return r;
        }
        self->caller.gids = self->gids;
        self->gids[self->caller.n_gids++] = gid;
        return 0;
}

static int read_backend(const char *name, unsigned *ret)
{
        static const char *const names[] = { "auto", "iommufd", "group" };

        for (unsigned i = 0; i < ELEMENTSOF(names); i++)
                if (!name || streq(name, names[i])) {
                        *ret = i;
                        return 0;
                }
        ctl_error("No backend is called %s; there are iommufd, group and auto", name);
        return -EINVAL;
}

static int decide_here(Explain *self)
{
        _cleanup_policy_ Policy *policy = NULL;
        char error[128];
        bool refused = false;
        const DecideTrace trace = { on_local_step, &refused };
        AcquireRequest request = {
                .devices = self->request.devices,
                .n_devices = self->request.n_devices,
                .tenant = self->request.options.tenant,
                .memlock = self->request.options.memlock,
                .container = self->request.options.container,
                .lifetime = LIFETIME_PROCESS,
                .trace = &trace,
        };
        Refusal refusal = {};
        int r;

        if (read_backend(self->request.options.backend, &request.backend) < 0)
                return EXIT_USAGE;
        if (ctl_load_policy(self->files, self->n_files, self->flags, stderr, &policy) < 0)
                return EXIT_FAILURE;
        if (!self->other)
                be_self(self);
        request.caller = self->caller;

        printf("By the policy's files and this machine, as if nothing were leased:\n");
        r = offline_check(policy, &request, &refusal);
        if (r < 0) {
                ctl_error("Cannot find out: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        if (r > 0 && !refused)
                print_step("broker", "", false, refusal.text);
        (void)snprintf(error, sizeof(error), "org.vfiobroker1.Error.%s", result_to_string((Result)r));
        return print_answer(r == 0, error);
}

/* --- the command line --- */

enum {
        OPTION_DEVICE = 256,
        OPTION_USER,
        OPTION_GROUP,
        OPTION_UNIT,
        OPTION_SLICE,
        OPTION_MACHINE,
        OPTION_LABEL,
        OPTION_POLICY,
        OPTION_ANY_OWNER,
};

static int take_option(Explain *self, int option, char *value)
{
        self->offline |= option > OPTION_DEVICE;
        self->other |= option >= OPTION_USER && option <= OPTION_LABEL;
        switch (option) {
        case OPTION_DEVICE: return request_add_device(&self->request, value);
        case OPTION_USER: return be_user(self, value);
        case OPTION_GROUP: return add_group(self, value);
        case OPTION_UNIT: self->caller.unit = value; return 0;
        case OPTION_SLICE: self->caller.slice = value; return 0;
        case OPTION_MACHINE: self->caller.machine = value; return 0;
        case OPTION_LABEL: self->caller.label = value; return 0;
        case OPTION_POLICY: self->files[self->n_files++] = value; return 0;
        case OPTION_ANY_OWNER: self->flags |= POLICY_LOAD_ANY_OWNER; return 0;
        default: return request_option(&self->request, option, value);
        }
}

int verb_explain(const Verb *verb, int argc, char **argv)
{
        static const struct option options[] = {
                REQUEST_OPTIONS,
                { "device", required_argument, NULL, OPTION_DEVICE },
                { "user", required_argument, NULL, OPTION_USER },
                { "group", required_argument, NULL, OPTION_GROUP },
                { "unit", required_argument, NULL, OPTION_UNIT },
                { "slice", required_argument, NULL, OPTION_SLICE },
                { "machine", required_argument, NULL, OPTION_MACHINE },
                { "label", required_argument, NULL, OPTION_LABEL },
                { "policy", required_argument, NULL, OPTION_POLICY },
                { "any-owner", no_argument, NULL, OPTION_ANY_OWNER },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        _cleanup_(explain_done) Explain self = { .request = REQUEST_INIT, .caller.uid = (uid_t)-1 };
        int c, r;

        self.files = calloc((size_t)argc, sizeof(*self.files));
        if (!self.files) {
                ctl_error("%s", strerror(ENOMEM));
                return EXIT_FAILURE;
        }
        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                if (c == 'h') {
                        verb_print_help(verb);
                        return EXIT_SUCCESS;
                }
                if (take_option(&self, c, optarg) < 0)
                        return verb_usage(verb, "Wrong option or value");
        }
        for (; optind < argc; optind++) {
                r = request_add_device(&self.request, argv[optind]);
                if (r < 0) {
                        ctl_error("%s", strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        if (self.request.n_devices == 0)
                return verb_usage(verb, "Which devices?");
        if (self.other && self.caller.uid == (uid_t)-1)
                return verb_usage(verb, "For whom? Give --user");

        return self.offline ? decide_here(&self) : ask_broker(&self);
}
