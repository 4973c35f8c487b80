/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl top: who has how much of the host's devices and locked memory, again and again until it is left. Fits the
 * terminal: tenants first, then as many leases as there is room for, those with most memory first. */

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"

#define DELAY_USEC (2 * USEC_PER_SEC)
#define CLEAR      "\033[H\033[J"

typedef struct Options {
        bool once;
        uint64_t delay_usec;
} Options;

static int parse(const Verb *verb, int argc, char **argv, Options *ret, int *ret_exit)
{
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "once", no_argument, NULL, 'o' },
                { "delay", required_argument, NULL, 'd' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        *ret = (Options){ .delay_usec = DELAY_USEC };
        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'o': ret->once = true; break;
                case 'd':
                        if (parse_seconds(optarg, &ret->delay_usec) < 0 || ret->delay_usec < 100000 ||
                            ret->delay_usec > 3600 * USEC_PER_SEC) {
                                *ret_exit = verb_usage(verb, "--delay %s: from 0.1 to 3600 seconds", optarg);
                                return -1;
                        }
                        break;
                case 'h':
                        verb_print_help(verb);
                        *ret_exit = EXIT_SUCCESS;
                        return -1;
                default: *ret_exit = verb_usage(verb, "Wrong option"); return -1;
                }
        if (optind < argc) {
                *ret_exit = verb_usage(verb, "Too many arguments");
                return -1;
        }
        return 0;
}

static int by_used(const void *a, const void *b)
{
        const struct vfiobroker_tenant_entry *const *x = a, *const *y = b;

        if ((*x)->memlock_used != (*y)->memlock_used)
                return (*x)->memlock_used < (*y)->memlock_used ? 1 : -1;
        return strcmp((*x)->name, (*y)->name);
}

static int by_memlock(const void *a, const void *b)
{
        const struct vfiobroker_lease_entry *const *x = a, *const *y = b;

        if ((*x)->memlock != (*y)->memlock)
                return (*x)->memlock < (*y)->memlock ? 1 : -1;
        return strcmp((*x)->id, (*y)->id);
}

static int show_leases(struct vfiobroker *broker, const struct vfiobroker_lease_list *leases, size_t rows)
{
        static const char *const headings[] = { "LEASE", "TENANT", "PID",  "COMMITTED",
                                                "USED",  "STATE",  "LABEL" };
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        r = table_new(headings, ELEMENTSOF(headings), &table);
        for (size_t i = 0; r >= 0 && i < leases->n && i < rows; i++) {
                const struct vfiobroker_lease_entry *lease = leases->leases[i];
                _cleanup_(vfiobroker_lease_info_freep) struct vfiobroker_lease_info *info = NULL;
                char pid[16] = "", committed[FORMAT_SIZE_MAX], used[FORMAT_SIZE_MAX] = "";

                r = vfiobroker_get_lease(broker, lease->id, &info);
                if (r == -ENXIO) {
                        r = 0; /* it ended since the list */
                        continue;
                }
                if (r < 0)
                        return r;
                if (lease->pid > 0)
                        (void)snprintf(pid, sizeof(pid), "%" PRIu32, lease->pid);
                r = table_add_row(table, (const char *const[]){ lease->id, lease->tenant, pid,
                                                                format_size(lease->memlock, committed),
                                                                format_size(info->memlock_used, used),
                                                                info->state, lease->label });
        }
        if (r >= 0)
                table_print(table, stdout, true, terminal_width(stdout));
        return r;
}

/* One screen of at most `rows` lines, 0 for no bound. */
static int show(struct vfiobroker *broker, size_t rows)
{
        _cleanup_(vfiobroker_tenant_list_freep) struct vfiobroker_tenant_list *tenants = NULL;
        _cleanup_(vfiobroker_lease_list_freep) struct vfiobroker_lease_list *leases = NULL;
        _cleanup_(table_freep) Table *table = NULL;
        char committed[FORMAT_SIZE_MAX], used[FORMAT_SIZE_MAX];
        uint64_t sum_committed = 0, sum_used = 0;
        size_t n_tenants, left = SIZE_MAX;
        int r;

        r = vfiobroker_list_tenants(broker, &tenants);
        if (r >= 0)
                r = vfiobroker_list_leases(broker, &leases);
        if (r >= 0)
                r = tenant_table_new(&table);
        if (r < 0)
                return r;
        qsort((void *)tenants->tenants, tenants->n, sizeof(*tenants->tenants), by_used);
        qsort((void *)leases->leases, leases->n, sizeof(*leases->leases), by_memlock);

        /* Two headings, an empty line, the first line, and the prompt. */
        n_tenants = tenants->n;
        if (rows > 0) {
                size_t room = rows > 6 ? rows - 6 : 1;

                if (n_tenants > room / 2 && leases->n > 0)
                        n_tenants = room / 2 > 0 ? room / 2 : 1;
                if (n_tenants > room)
                        n_tenants = room;
                left = room > n_tenants ? room - n_tenants : 0;
        }
        for (size_t i = 0; r >= 0 && i < tenants->n; i++) {
                sum_committed += tenants->tenants[i]->memlock_committed;
                sum_used += tenants->tenants[i]->memlock_used;
                if (i < n_tenants)
                        r = tenant_table_add(table, tenants->tenants[i]);
        }
        if (r < 0)
                return r;
        printf("%zu tenants, %zu leases; memory: %s committed, %s locked\n", tenants->n, leases->n,
               format_size(sum_committed, committed), format_size(sum_used, used));
        table_print(table, stdout, true, terminal_width(stdout));
        if (leases->n == 0 || left == 0)
                return 0;
        (void)putchar('\n');
        return show_leases(broker, leases, left);
}

static size_t terminal_rows(void)
{
        struct winsize size;

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ? 0 : size.ws_row;
}

/* Waits that long. True where somebody pressed q. */
static bool is_left(uint64_t usec)
{
        struct pollfd item = { .fd = STDIN_FILENO, .events = POLLIN };
        struct timespec now, end;
        int64_t left;

        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += (time_t)(usec / USEC_PER_SEC);
        end.tv_nsec += (long)(usec % USEC_PER_SEC * 1000);
        for (;;) {
                char c;

                (void)clock_gettime(CLOCK_MONOTONIC, &now);
                left = (end.tv_sec - now.tv_sec) * 1000 + (end.tv_nsec - now.tv_nsec) / 1000000;
                if (left <= 0)
                        return false;
                if (poll(&item, item.fd < 0 ? 0 : 1, (int)left) <= 0)
                        continue; /* the time is over, or the window has another size */
                if (read(STDIN_FILENO, &c, 1) <= 0)
                        item.fd = -1;
                else if (c == 'q' || c == 'Q')
                        return true;
        }
}

static struct termios before; /* of the terminal, for the end by a signal */

static void restore_and_end(int signal)
{
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
        _exit(128 + signal);
}

/* Keys come at once and are not shown. False where nobody can press any. */
static bool take_keys(void)
{
        const struct sigaction end = { .sa_handler = restore_and_end };
        struct termios keys;

        if (tcgetattr(STDIN_FILENO, &before) < 0)
                return false;
        keys = before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)sigaction(SIGINT, &end, NULL);
        (void)sigaction(SIGTERM, &end, NULL);
        return tcsetattr(STDIN_FILENO, TCSANOW, &keys) >= 0;
}

int verb_top(const Verb *verb, int argc, char **argv)
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        bool live, keys = false;
        Options options;
        int r, code;

        if (parse(verb, argc, argv, &options, &code) < 0)
                return code;
        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;

        live = !options.once && isatty(STDOUT_FILENO);
        if (live)
                keys = take_keys();
        do {
                if (live)
                        (void)fputs(CLEAR, stdout);
                r = show(broker, live ? terminal_rows() : 0);
                (void)fflush(stdout);
        } while (r >= 0 && live && !is_left(options.delay_usec));
        if (keys)
                (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
        if (r < 0) {
                (void)ctl_refused(broker, "Cannot list", r);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
