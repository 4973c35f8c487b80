/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The journal's side of the broker. Nothing here decides anything, and nothing fails: where the journal cannot be
 * reached, the entry is lost and the work goes on. Event loop only. */

#include <stdarg.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include "daemon/journal-ids.h"
#include "daemon/journal.h"

static const struct {
        const char *id;
        int priority;
} kind_table[_EVENT_MAX] = {
        [EVENT_GRANTED] = { MESSAGE_ID_GRANTED, LOG_INFO },
        [EVENT_REFUSED] = { MESSAGE_ID_REFUSED, LOG_NOTICE },
        [EVENT_ENDED] = { MESSAGE_ID_ENDED, LOG_INFO },
        [EVENT_RECLAIMED] = { MESSAGE_ID_RECLAIMED, LOG_INFO },
        [EVENT_STUCK] = { MESSAGE_ID_STUCK, LOG_WARNING },
        [EVENT_QUARANTINED] = { MESSAGE_ID_QUARANTINED, LOG_ERR },
        [EVENT_RECOVERED] = { MESSAGE_ID_RECOVERED, LOG_NOTICE },
        [EVENT_REVOKED] = { MESSAGE_ID_REVOKED, LOG_NOTICE },
        [EVENT_NOT_COVERED] = { MESSAGE_ID_NOT_COVERED, LOG_WARNING },
        [EVENT_TROUBLE] = { MESSAGE_ID_TROUBLE, LOG_ERR },
};

static void add(JournalEntry *entry, const char *format, ...) _printf_(2, 3);
static void add(JournalEntry *entry, const char *format, ...)
{
        size_t room = sizeof(entry->buffer) - entry->used;
        char *field = entry->buffer + entry->used;
        va_list ap;
        size_t n;

        if (entry->n_fields == (int)ELEMENTSOF(entry->fields) || room < 2)
                return;
        va_start(ap, format);
        n = (size_t)vsnprintf(field, room, format, ap);
        va_end(ap);
        if (n >= room)
                n = room - 1;
        entry->fields[entry->n_fields++] = (struct iovec){ .iov_base = field, .iov_len = n };
        entry->used += n + 1;
}

static void add_string(JournalEntry *entry, const char *name, const char *value)
{
        if (value && value[0])
                add(entry, "%s=%.600s", name, value);
}

void journal_format(const BrokerEvent *event, JournalEntry *ret)
{
        ret->used = 0;
        ret->n_fields = 0;
        add(ret, "MESSAGE_ID=%s", kind_table[event->kind].id);
        add(ret, "PRIORITY=%d", kind_table[event->kind].priority);
        add(ret, "MESSAGE=%s", event->text);
        add_string(ret, "TENANT", event->tenant);
        add_string(ret, "LEASE", event->lease);
        add_string(ret, "UNIT", event->unit);
        add_string(ret, "OBJECT_SYSTEMD_UNIT", event->unit);
        if (event->uid != (uid_t)-1)
                add(ret, "UID=%u", (unsigned)event->uid);
        if (event->pid > 0)
                add(ret, "PID=%d", (int)event->pid);
        add_string(ret, "RESULT", event->result);
        add_string(ret, "RULE", event->rule);
        for (size_t i = 0; i < event->n_devices; i++)
                add_string(ret, "DEVICE", event->devices[i]);
}

void journal_format_policy(const PolicyError *error, JournalEntry *ret)
{
        const char *file = error->file ? error->file : "policy";

        ret->used = 0;
        ret->n_fields = 0;
        add(ret, "MESSAGE_ID=%s", MESSAGE_ID_POLICY);
        add(ret, "PRIORITY=%d", error->severity == POLICY_ERROR ? LOG_ERR : LOG_WARNING);
        if (error->line > 0)
                add(ret, "MESSAGE=%.500s:%u: %s", file, error->line, strempty(error->text));
        else
                add(ret, "MESSAGE=%.500s: %s", file, strempty(error->text));
        add_string(ret, "CONFIG_FILE", file);
        if (error->line > 0)
                add(ret, "CONFIG_LINE=%u", error->line);
}

static void on_event(void *userdata, const BrokerEvent *event)
{
        JournalEntry entry;

        journal_format(event, &entry);
        (void)sd_journal_sendv(entry.fields, entry.n_fields);
}

const BrokerObserver journal_observer = {
        .event = on_event,
};

void journal_policy(const PolicyErrors *errors)
{
        for (size_t i = 0; i < errors->n_items; i++) {
                JournalEntry entry;

                journal_format_policy(errors->items + i, &entry);
                (void)sd_journal_sendv(entry.fields, entry.n_fields);
        }
}
