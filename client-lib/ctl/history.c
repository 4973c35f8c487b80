/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl history: the broker's entries about one device, out of the journal. Anybody may write an entry with any
 * field; only those count that journald itself says are of root and of the broker's unit. */

#include <getopt.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"
#include "daemon/journal-ids.h"

#define FIELD_MAX 256

static const struct {
        const char *id, *word;
} words[] = {
        { MESSAGE_ID_GRANTED, "granted" },
        { MESSAGE_ID_REFUSED, "refused" },
        { MESSAGE_ID_ENDED, "ended" },
        { MESSAGE_ID_RECLAIMED, "reclaimed" },
        { MESSAGE_ID_STUCK, "stuck" },
        { MESSAGE_ID_QUARANTINED, "quarantined" },
        { MESSAGE_ID_RECOVERED, "recovered" },
        { MESSAGE_ID_REVOKED, "revoked" },
        { MESSAGE_ID_NOT_COVERED, "not-covered" },
        { MESSAGE_ID_TROUBLE, "trouble" },
};

typedef struct Options {
        const char *device;
        uint64_t lines; /* UINT64_MAX = all */
        bool legend;
} Options;

static bool read_lines(const char *s, uint64_t *ret)
{
        char *end;

        if (*s < '0' || *s > '9')
                return false;
        errno = 0;
        *ret = strtoull(s, &end, 10);
        return errno == 0 && !*end;
}

/* 0, or -1 with the exit code. */
static int read_options(const Verb *verb, int argc, char **argv, Options *ret, int *ret_exit)
{
        static const struct option options[] = {
                { "lines", required_argument, NULL, 'n' },
                { "no-legend", no_argument, NULL, 'l' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int option;

        *ret = (Options){ .lines = UINT64_MAX, .legend = true };
        *ret_exit = EXIT_USAGE;
        while ((option = getopt_long(argc, argv, "+hn:", options, NULL)) >= 0)
                switch (option) {
                case 'l': ret->legend = false; break;
                case 'n':
                        if (!read_lines(optarg, &ret->lines)) {
                                *ret_exit = verb_usage(verb, "Not a number of lines: %s", optarg);
                                return -1;
                        }
                        break;
                case 'h':
                        verb_print_help(verb);
                        *ret_exit = EXIT_SUCCESS;
                        return -1;
                default: return -1;
                }
        if (argc - optind != 1) {
                *ret_exit = verb_usage(verb, "Name one device");
                return -1;
        }
        ret->device = argv[optind];
        return 0;
}

static int match(sd_journal *journal, const char *field, const char *value)
{
        _cleanup_free_ char *text = NULL;

        if (asprintf(&text, "%s=%s", field, value) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return sd_journal_add_match(journal, text, 0);
}

static int open_journal(const char *device, sd_journal **ret)
{
        _cleanup_(sd_journal_closep) sd_journal *journal = NULL;
        int r;

        r = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r >= 0)
                r = match(journal, "_UID", "0");
        if (r >= 0)
                r = match(journal, "_SYSTEMD_UNIT", "vfiobrokerd.service");
        if (r >= 0)
                r = match(journal, "DEVICE", device);
        if (r >= 0)
                *ret = TAKE_PTR(journal);
        return r;
}

static const char *field(sd_journal *journal, const char *name, char ret[static FIELD_MAX])
{
        const char *data;
        size_t size, skip = strlen(name) + 1;

        ret[0] = 0;
        if (sd_journal_get_data(journal, name, (const void **)&data, &size) >= 0 && size > skip)
                (void)snprintf(ret, FIELD_MAX, "%.*s", (int)(size - skip), data + skip);
        return ret;
}

static const char *what(sd_journal *journal)
{
        char id[FIELD_MAX];

        (void)field(journal, "MESSAGE_ID", id);
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(words[i].id, id))
                        return words[i].word;
        return "";
}

static int add_entry(sd_journal *journal, Table *table)
{
        char when[64] = "", tenant[FIELD_MAX], lease[FIELD_MAX], pid[FIELD_MAX], uid[FIELD_MAX],
             unit[FIELD_MAX], result[FIELD_MAX];
        uint64_t usec;
        struct tm tm;
        time_t seconds;
        int r;

        r = sd_journal_get_realtime_usec(journal, &usec);
        if (r < 0)
                return r;
        seconds = (time_t)(usec / USEC_PER_SEC);
        if (localtime_r(&seconds, &tm))
                (void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
        return table_add_row(
                table, (const char *const[]){ when, what(journal), field(journal, "TENANT", tenant),
                                              field(journal, "LEASE", lease), field(journal, "PID", pid),
                                              field(journal, "UID", uid), field(journal, "UNIT", unit),
                                              field(journal, "RESULT", result) });
}

/* 1 where there is an entry. */
static int read_entries(sd_journal *journal, uint64_t lines, Table *table)
{
        int r, found = 0;

        r = lines == UINT64_MAX ? sd_journal_seek_head(journal) : sd_journal_seek_tail(journal);
        if (r >= 0)
                r = lines == UINT64_MAX ? sd_journal_next(journal)
                                        : sd_journal_previous_skip(journal, lines);
        for (; r > 0; r = sd_journal_next(journal)) {
                found = 1;
                r = add_entry(journal, table);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : found;
}

int verb_history(const Verb *verb, int argc, char **argv)
{
        static const char *const headings[] = { "WHEN", "WHAT", "TENANT", "LEASE",
                                                "PID",  "UID",  "UNIT",   "RESULT" };
        _cleanup_(sd_journal_closep) sd_journal *journal = NULL;
        _cleanup_(table_freep) Table *table = NULL;
        Options options;
        int r, code;

        if (read_options(verb, argc, argv, &options, &code) < 0)
                return code;
        r = open_journal(options.device, &journal);
        if (r >= 0)
                r = table_new(headings, ELEMENTSOF(headings), &table);
        if (r >= 0)
                r = read_entries(journal, options.lines, table);
        if (r < 0) {
                ctl_error("The journal cannot be read: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        if (r == 0 && options.lines > 0) {
                ctl_error("The journal has no entry about device %s that you may read", options.device);
                return EXIT_FAILURE;
        }
        table_print(table, stdout, options.legend, terminal_width(stdout));
        return EXIT_SUCCESS;
}
