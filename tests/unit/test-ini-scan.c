/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/ini-scan.c: what is taken, with its line; what is refused; and that iniparser's traps (duplicates,
 * case, quotes, continued comments, portions) are not ours. The texts of refusals are in
 * tests/fixtures/policy. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>

#include "policy/ini-scan.h"

typedef struct Scanned {
        Arena arena;
        IniFile file;
        PolicyErrors errors;
} Scanned;

static void scanned_done(Scanned *s)
{
        arena_done(&s->arena);
        policy_errors_done(&s->errors);
}

#define _cleanup_scanned_ _cleanup_(scanned_done)

static void scan(Scanned *s, const char *text)
{
        assert_int_equal(ini_scan(&s->arena, "t", text, strlen(text), &s->file, &s->errors), 0);
}

/* The value of a key, by name, in the n-th section; fails where there is none. */
static const IniEntry *entry(const Scanned *s, size_t section, const char *key)
{
        assert_true(section < s->file.n_sections);
        for (size_t i = 0; i < s->file.sections[section].n_entries; i++)
                if (streq(s->file.sections[section].entries[i].key, key))
                        return s->file.sections[section].entries + i;
        fail_msg("no %s", key);
        return NULL;
}

static void assert_value(const char *line, const char *value)
{
        _cleanup_scanned_ Scanned s = {};
        char text[256];

        (void)snprintf(text, sizeof(text), "[a]\n%s\nlast = 1\n", line);
        scan(&s, text);
        if (s.errors.n_errors > 0)
                fail_msg("%s: %s", line, s.errors.items[0].text);
        assert_string_equal(entry(&s, 0, "k")->value, value);
        assert_string_equal(entry(&s, 0, "last")->value, "1");
}

static void assert_refused(const char *text, unsigned line)
{
        _cleanup_scanned_ Scanned s = {};

        scan(&s, text);
        if (s.errors.n_errors != 1)
                fail_msg("%s: %zu errors", text, s.errors.n_errors);
        assert_int_equal(s.errors.items[0].line, line);
}

/* Sections and entries come in their order, with kind, name and line; an empty section is one too. */
static void test_shape(_unused_ void **state)
{
        _cleanup_scanned_ Scanned s = {};

        scan(&s, "; top\n[broker]\n\n[tenant blue]\nb = 2\na = 1\n[ device \t pci:0000:01:00.[01] ]\nc=3");
        assert_int_equal(s.errors.n_items, 0);
        assert_int_equal(s.file.n_sections, 3);
        assert_string_equal(s.file.sections[0].kind, "broker");
        assert_string_equal(s.file.sections[0].name, "");
        assert_int_equal(s.file.sections[0].n_entries, 0);
        assert_int_equal(s.file.sections[0].line, 2);
        assert_string_equal(s.file.sections[1].kind, "tenant");
        assert_string_equal(s.file.sections[1].name, "blue");
        assert_int_equal(s.file.sections[1].n_entries, 2);
        assert_string_equal(s.file.sections[1].entries[0].key, "b");
        assert_int_equal(s.file.sections[1].entries[0].line, 5);
        assert_int_equal(entry(&s, 1, "a")->line, 6);
        assert_string_equal(s.file.sections[2].name, "pci:0000:01:00.[01]");
        assert_string_equal(entry(&s, 2, "c")->value, "3");
        assert_int_equal(entry(&s, 2, "c")->line, 8);
}

static void test_nothing(_unused_ void **state)
{
        static const char *const empty[] = {
                "", "\n", "\n\n\n", ";", "# x", "  \t ; y\n", "; für \xff\x01\n"
        };

        for (size_t i = 0; i < ELEMENTSOF(empty); i++) {
                _cleanup_scanned_ Scanned s = {};

                scan(&s, empty[i]);
                assert_int_equal(s.errors.n_items, 0);
                assert_int_equal(s.file.n_sections, 0);
        }
}

/* Values as people write them. */
static void test_values(_unused_ void **state)
{
        assert_value("k = v", "v");
        assert_value("k=v", "v");
        assert_value(" \tk\t=\tv\t ", "v");
        assert_value("k =", "");
        assert_value("k = ; comment", "");
        assert_value("k =; comment", "");
        assert_value("k = v ; comment", "v");
        assert_value("k = v # comment ; \"quoted\" it's", "v");
        assert_value("k = a b  c ; d", "a b  c");
        assert_value("k = a = b", "a = b");
        assert_value("k = [x]", "[x]");
        assert_value("k = a\\b", "a\\b");
        assert_value("k = MiXed", "MiXed");
        assert_value("k = %s%n", "%s%n");
        assert_value("k = v ; f\xc3\xbcr", "v");
}

/* Quotes keep what a comment would take; two kinds, none inside another. */
static void test_quotes(_unused_ void **state)
{
        assert_value("k = \"v\"", "v");
        assert_value("k = 'v'", "v");
        assert_value("k = \"\"", "");
        assert_value("k = ''", "");
        assert_value("k = \"a;b#c\" ; d", "a;b#c");
        assert_value("k = \"it's\"", "it's");
        assert_value("k = 'a \"b\"'", "a \"b\"");
        assert_value("k = \" v \"", " v ");
        assert_value("k = \"a\\\"", "a\\");
        assert_value("k = \"a = b\"", "a = b");
}

/* A backslash at the end joins lines; the entry's line is the first. */
static void test_continuation(_unused_ void **state)
{
        _cleanup_scanned_ Scanned s = {};

        scan(&s, "[a]\nk = x, \\\n    y, \\  \n\tz ; c\nl = 1\n");
        assert_int_equal(s.errors.n_items, 0);
        assert_string_equal(entry(&s, 0, "k")->value, "x,     y, \tz");
        assert_int_equal(entry(&s, 0, "k")->line, 2);
        assert_int_equal(entry(&s, 0, "l")->line, 5);
}

/* A comment never takes in the next line, whose key stays. */
static void test_continued_comment(_unused_ void **state)
{
        _cleanup_scanned_ Scanned s = {};

        scan(&s, "[a]\n; c \\\nk = 1\nl = 2 ; c \\\nm = 3\n");
        assert_int_equal(s.errors.n_errors, 2);
        assert_int_equal(s.errors.items[0].line, 2);
        assert_int_equal(s.errors.items[1].line, 4);
        assert_string_equal(entry(&s, 0, "k")->value, "1");
        assert_string_equal(entry(&s, 0, "l")->value, "2");
        assert_string_equal(entry(&s, 0, "m")->value, "3");
}

/* One error for each thing that has more than one reading, and it names the line. */
static void test_refused(_unused_ void **state)
{
        assert_refused("[a]\nk", 2);
        assert_refused("k = 1", 1);
        assert_refused("[a]\n= 1", 2);
        assert_refused("[a]\nK = 1", 2);
        assert_refused("[a]\nk:x = 1", 2);
        assert_refused("[a\nk = 1", 1);
        assert_refused("[a] x\nk = 1", 1);
        assert_refused("[]\nk = 1", 1);
        assert_refused("[a]\nk = a;b", 2);
        assert_refused("[a]\nk = \"a\"; b", 2);
        assert_refused("[a]\nk = \"a", 2);
        assert_refused("[a]\nk = \"a\" b", 2);
        assert_refused("[a]\nk = a'b", 2);
        assert_refused("[a]\nk = it's ; isn't", 2);
        assert_refused("[a]\nk = a\\\\\n\nl = 1", 2);
        assert_refused("[a]\nk = a\x7f", 2);
        assert_refused("[a]\nk = a\xc3\xbc", 2);
        assert_refused("[f\xc3\xbcr]\nk = 1", 1);
        assert_refused("[a]\r\nk = 1\r\nl = 2\r\n", 1);
        assert_refused("\xef\xbb\xbf[a]\nk = 1", 1);
        assert_refused("[a]\nk = 1\nl = 2\nk = 3", 4);
}

static void test_nul(_unused_ void **state)
{
        _cleanup_scanned_ Scanned s = {};
        static const char text[] = "[a]\nk = 1\0 2\nl = 3\n";

        assert_int_equal(ini_scan(&s.arena, "t", text, sizeof(text) - 1, &s.file, &s.errors), 0);
        assert_int_equal(s.errors.n_errors, 1);
        assert_int_equal(s.errors.items[0].line, 2);
        assert_int_equal(s.file.sections[0].n_entries, 1);
}

/* A line as long as is allowed is read to its last byte, by iniparser too; one byte more is an error, also
 * when a continuation adds it. */
static void test_line_limit(_unused_ void **state)
{
        for (size_t over = 0; over <= 1; over++)
                for (size_t split = 0; split <= 1; split++) {
                        _cleanup_scanned_ Scanned s = {};
                        char text[POLICY_LINE_MAX + 32] = "[a]\nk=";
                        size_t n = strlen(text), value = POLICY_LINE_MAX - 2 + over;

                        memset(text + n, 'v', value);
                        strcpy(text + n + value, "\nl = 1\n");
                        if (split) {
                                memmove(text + n + 12, text + n + 10, strlen(text + n + 10) + 1);
                                text[n + 10] = '\\';
                                text[n + 11] = '\n';
                        }

                        scan(&s, text);
                        assert_int_equal(s.errors.n_errors, over);
                        assert_string_equal(entry(&s, 0, "l")->value, "1");
                        if (!over)
                                assert_int_equal(strlen(entry(&s, 0, "k")->value), value);
                        else
                                assert_int_equal(s.errors.items[0].line, 2 + split);
                }
}

/* The keys under a header that was refused belong to nobody: not to the section before. */
static void test_after_bad_header(_unused_ void **state)
{
        _cleanup_scanned_ Scanned s = {};
        char text[POLICY_LINE_MAX + 64] = "[a]\nk = 1\n[b\nk = 2\n[";

        memset(text + strlen(text), 'c', POLICY_LINE_MAX);
        strcat(text, "]\nk = 3\n");
        scan(&s, text);
        assert_int_equal(s.errors.n_errors, 2);
        assert_int_equal(s.file.n_sections, 1);
        assert_int_equal(s.file.sections[0].n_entries, 1);
        assert_string_equal(entry(&s, 0, "k")->value, "1");
}

/* Sections whose names differ in case alone, which iniparser would make one, stay two. */
static void test_case(_unused_ void **state)
{
        _cleanup_scanned_ Scanned s = {};

        scan(&s, "[device id:a]\nk = 1\n[device id:A]\nk = 2\n[device id:a]\nk = 3\n");
        assert_int_equal(s.errors.n_errors, 0);
        assert_int_equal(s.file.n_sections, 3);
        assert_string_equal(s.file.sections[1].name, "id:A");
        assert_string_equal(entry(&s, 0, "k")->value, "1");
        assert_string_equal(entry(&s, 1, "k")->value, "2");
        assert_string_equal(entry(&s, 2, "k")->value, "3");
}

/* The first of several is kept, whatever lies between. */
static void test_duplicates(_unused_ void **state)
{
        _cleanup_scanned_ Scanned s = {};

        scan(&s, "[a]\nz = 1\nk = 2\nz = 3\nk = 4\nz = 5\n[b]\nz = 6\n");
        assert_int_equal(s.errors.n_errors, 3);
        assert_int_equal(s.file.sections[0].n_entries, 2);
        assert_string_equal(s.file.sections[0].entries[0].key, "z");
        assert_string_equal(entry(&s, 0, "z")->value, "1");
        assert_string_equal(entry(&s, 0, "k")->value, "2");
        assert_string_equal(entry(&s, 1, "z")->value, "6");
}

/* More entries than one portion holds, in sections that portions divide, each with a value of its own; long
 * values, that fill a portion by their bytes. No fd is left. */
static void test_portions(_unused_ void **state)
{
        for (size_t width = 4; width <= 900; width += 896) {
                _cleanup_scanned_ Scanned s = {};
                _cleanup_free_ char *text = NULL;
                char expected[1024];
                size_t size;
                FILE *f = open_memstream(&text, &size);

                assert_non_null(f);
                for (size_t i = 0; i < 7; i++) {
                        (void)fprintf(f, "[s %zu]\n", i);
                        for (size_t j = 0; j < 50; j++)
                                (void)fprintf(f, "k%zu = %zu.%0*zu\n", j, i, (int)width, j);
                }
                assert_int_equal(fclose(f), 0);

                scan(&s, text);
                assert_int_equal(s.errors.n_errors, 0);
                assert_int_equal(s.file.n_sections, 7);
                for (size_t i = 0; i < 7; i++) {
                        assert_int_equal(s.file.sections[i].n_entries, 50);
                        for (size_t j = 0; j < 50; j++) {
                                (void)snprintf(expected, sizeof(expected), "%zu.%0*zu", i, (int)width, j);
                                assert_string_equal(s.file.sections[i].entries[j].value, expected);
                        }
                }
        }
}

static size_t count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        (void)closedir(d);
        return n;
}

static void test_fds(_unused_ void **state)
{
        size_t before = count_fds();

        test_portions(NULL);
        assert_value("k = v", "v");
        assert_int_equal(count_fds(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shape),        cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_values),       cmocka_unit_test(test_quotes),
                cmocka_unit_test(test_continuation), cmocka_unit_test(test_continued_comment),
                cmocka_unit_test(test_refused),      cmocka_unit_test(test_nul),
                cmocka_unit_test(test_line_limit),   cmocka_unit_test(test_after_bad_header),
                cmocka_unit_test(test_case),         cmocka_unit_test(test_duplicates),
                cmocka_unit_test(test_portions),     cmocka_unit_test(test_fds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
