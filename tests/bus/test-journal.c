/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The journal's entries, as they would be sent, and the catalog that explains them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>

#include "daemon/journal-ids.h"
#include "daemon/journal.h"

static bool has(const JournalEntry *entry, const char *field)
{
        for (int i = 0; i < entry->n_fields; i++)
                if (entry->fields[i].iov_len == strlen(field) &&
                    memcmp(entry->fields[i].iov_base, field, strlen(field)) == 0)
                        return true;
        return false;
}

/* Proves: an entry has every field that its event has, and none that it has not. */
static void test_fields(void **state)
{
        BrokerEvent event = {
                .kind = EVENT_QUARANTINED,
                .tenant = "blue",
                .lease = "abc",
                .devices = { "0000:01:00.0", "0000:02:00.0" },
                .n_devices = 2,
                .unit = "vm.service",
                .uid = 2001,
                .pid = 42,
                .result = "Quarantined",
                .rule = "/etc/x.conf:7",
                .text = "two\nlines",
        };
        JournalEntry entry;

        journal_format(&event, &entry);
        assert_int_equal(entry.n_fields, 13);
        assert_true(has(&entry, "MESSAGE_ID=" MESSAGE_ID_QUARANTINED));
        assert_true(has(&entry, "PRIORITY=3"));
        assert_true(has(&entry, "MESSAGE=two\nlines"));
        assert_true(has(&entry, "TENANT=blue"));
        assert_true(has(&entry, "LEASE=abc"));
        assert_true(has(&entry, "DEVICE=0000:01:00.0"));
        assert_true(has(&entry, "DEVICE=0000:02:00.0"));
        assert_true(has(&entry, "UNIT=vm.service"));
        assert_true(has(&entry, "OBJECT_SYSTEMD_UNIT=vm.service"));
        assert_true(has(&entry, "UID=2001"));
        assert_true(has(&entry, "PID=42"));
        assert_true(has(&entry, "RESULT=Quarantined"));
        assert_true(has(&entry, "RULE=/etc/x.conf:7"));

        event = (BrokerEvent){ .kind = EVENT_TROUBLE,
                               .tenant = "",
                               .lease = "",
                               .unit = "",
                               .uid = (uid_t)-1,
                               .result = "",
                               .text = "x" };
        journal_format(&event, &entry);
        assert_int_equal(entry.n_fields, 3);
}

/* Proves: texts at and past what an entry holds are cut, not overrun. */
static void test_long_values(void **state)
{
        char text[REFUSAL_TEXT_MAX * 4];
        BrokerEvent event = { .kind = EVENT_GRANTED,
                              .tenant = text,
                              .lease = text,
                              .unit = text,
                              .uid = 1,
                              .pid = 1,
                              .result = text,
                              .rule = text,
                              .text = text };
        JournalEntry entry;

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        while (event.n_devices < JOB_DEVICES_MAX)
                event.devices[event.n_devices++] = text;
        journal_format(&event, &entry);
        assert_true((size_t)entry.n_fields <= ELEMENTSOF(entry.fields));
        assert_true(entry.used <= sizeof(entry.buffer));
        for (int i = 0; i < entry.n_fields; i++) {
                const char *field = entry.fields[i].iov_base;

                assert_true(field >= entry.buffer &&
                            field + entry.fields[i].iov_len <= entry.buffer + sizeof(entry.buffer));
                assert_non_null(memchr(field, '=', entry.fields[i].iov_len));
        }
}

/* Proves: what is wrong with a policy is told as file:line: text, with its place in fields of their own. */
static void test_policy(void **state)
{
        PolicyError error = {
                .severity = POLICY_ERROR, .file = (char *)"/etc/x.conf", .line = 7, .text = (char *)"bad"
        };
        JournalEntry entry;

        journal_format_policy(&error, &entry);
        assert_true(has(&entry, "MESSAGE=/etc/x.conf:7: bad"));
        assert_true(has(&entry, "PRIORITY=3"));
        assert_true(has(&entry, "CONFIG_FILE=/etc/x.conf"));
        assert_true(has(&entry, "CONFIG_LINE=7"));
        error.severity = POLICY_WARNING;
        error.line = 0;
        journal_format_policy(&error, &entry);
        assert_true(has(&entry, "MESSAGE=/etc/x.conf: bad"));
        assert_true(has(&entry, "PRIORITY=4"));
        assert_int_equal(entry.n_fields, 4);
}

/* Proves: each kind of event has an id of its own, well formed, that the catalog explains; the catalog explains nothing
 * else. */
static void test_catalog(void **state)
{
        const char *ids[_EVENT_MAX + 1];
        _cleanup_(fclosep) FILE *f = fopen(SOURCE_ROOT "/systemd/vfiobroker.catalog", "re");
        JournalEntry entries[_EVENT_MAX];
        bool seen[_EVENT_MAX + 1] = {};
        char line[512];

        for (int i = 0; i < _EVENT_MAX; i++) {
                BrokerEvent event = { .kind = (BrokerEventKind)i, .uid = (uid_t)-1, .text = "x" };

                journal_format(&event, entries + i);
                ids[i] = (const char *)entries[i].fields[0].iov_base + strlen("MESSAGE_ID=");
        }
        ids[_EVENT_MAX] = MESSAGE_ID_POLICY;
        for (int i = 0; i <= _EVENT_MAX; i++) {
                assert_int_equal(strlen(ids[i]), 32);
                assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
                for (int k = 0; k < i; k++)
                        assert_string_not_equal(ids[i], ids[k]);
        }

        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                bool known = false;

                if (strncmp(line, "-- ", 3) != 0)
                        continue;
                line[strcspn(line, "\n")] = 0;
                for (int i = 0; i <= _EVENT_MAX; i++)
                        if (streq(line + 3, ids[i])) {
                                assert_false(seen[i]);
                                seen[i] = known = true;
                        }
                assert_true(known);
        }
        for (int i = 0; i <= _EVENT_MAX; i++)
                assert_true(seen[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields),
                cmocka_unit_test(test_long_values),
                cmocka_unit_test(test_policy),
                cmocka_unit_test(test_catalog),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
