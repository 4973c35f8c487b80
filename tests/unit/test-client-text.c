/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/ctl/text.c: what vfiobrokerctl reads and prints. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client-lib/ctl/text.h"

/* Sizes are what the man page says, and nothing near it passes. */
static void test_parse_size(void **state)
{
        static const struct {
                const char *s;
                int r;
                uint64_t value;
        } cases[] = {
                { "0", 0, 0 },
                { "4096", 0, 4096 },
                { "1K", 0, 1024 },
                { "256M", 0, UINT64_C(256) << 20 },
                { "64G", 0, UINT64_C(64) << 30 },
                { "2T", 0, UINT64_C(2) << 40 },
                { "18446744073709551614", 0, UINT64_MAX - 1 },
                { "18446744073709551615", -ERANGE, 0 },
                { "18446744073709551616", -ERANGE, 0 },
                { "99999999999999999999999", -ERANGE, 0 },
                { "16777215T", 0, UINT64_C(16777215) << 40 },
                { "16777216T", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { "M", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "1m", -EINVAL, 0 },
                { "1MB", -EINVAL, 0 },
                { "1.5G", -EINVAL, 0 },
                { "0x10", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t value = 12345;

                print_message("%s\n", cases[i].s);
                assert_int_equal(parse_size(cases[i].s, &value), cases[i].r);
                assert_true(value == (cases[i].r < 0 ? 12345 : cases[i].value));
        }
}

/* Seconds may have a fraction down to the microsecond. */
static void test_parse_seconds(void **state)
{
        static const struct {
                const char *s;
                int r;
                uint64_t usec;
        } cases[] = {
                { "0", 0, 0 },
                { "10", 0, 10000000 },
                { "0.25", 0, 250000 },
                { "1.000001", 0, 1000001 },
                { "18446744073709", 0, UINT64_C(18446744073709000000) },
                { "18446744073710", -ERANGE, 0 },
                { "18446744073709.999999", -ERANGE, 0 },
                { "0.0000001", -EINVAL, 0 },
                { "1.", -EINVAL, 0 },
                { ".5", -EINVAL, 0 },
                { "1s", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "1e3", -EINVAL, 0 },
                { "", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t usec = 12345;

                print_message("%s\n", cases[i].s);
                assert_int_equal(parse_seconds(cases[i].s, &usec), cases[i].r);
                assert_true(usec == (cases[i].r < 0 ? 12345 : cases[i].usec));
        }
}

/* Figures are short, and never more than there is. */
static void test_format_size(void **state)
{
        char buffer[FORMAT_SIZE_MAX];

        assert_string_equal(format_size(0, buffer), "0");
        assert_string_equal(format_size(1023, buffer), "1023");
        assert_string_equal(format_size(1024, buffer), "1K");
        assert_string_equal(format_size(1536, buffer), "1.5K");
        assert_string_equal(format_size(UINT64_C(256) << 20, buffer), "256M");
        assert_string_equal(format_size((UINT64_C(256) << 20) - 1, buffer), "255.9M");
        assert_string_equal(format_size(UINT64_MAX, buffer), "15.9E");
}

static char *printed(void (*print)(FILE *, const char *), const char *s)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        print(f, s);
        assert_int_equal(fclose(f), 0);
        return text;
}

/* Nothing that a terminal obeys gets through, whoever wrote it; letters of any script do. */
static void test_text_print(void **state)
{
        static const struct {
                const char *s, *clean, *lines;
        } cases[] = {
                { "plain", "plain", "plain" },
                { "\033[2J\a", "?[2J?", "?[2J?" },
                { "a\nb\r", "a?b?", "a\nb?" },
                { "\x7f", "?", "?" },
                { "Gr\xc3\xb6\xc3\x9f"
                  "e",
                  "Gr\xc3\xb6\xc3\x9f"
                  "e",
                  "Gr\xc3\xb6\xc3\x9f"
                  "e" },
                { "\xc2\x9b"
                  "2J",
                  "?2J", "?2J" },
                { "\xc2\xa0", "\xc2\xa0", "\xc2\xa0" },
                { "\xff\xc3", "??", "??" },
                { "\xe2\x82", "??", "??" },
                { "\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *clean = printed(text_print, cases[i].s),
                     *lines = printed(text_print_lines, cases[i].s);

                assert_string_equal(clean, cases[i].clean);
                assert_string_equal(lines, cases[i].lines);
                free(clean);
                free(lines);
        }
        assert_int_equal(text_width("Gr\xc3\xb6\xc3\x9f"
                                    "e"),
                         5);
}

static char *table_text(const Table *table, bool legend, size_t width)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        table_print(table, f, legend, width);
        assert_int_equal(fclose(f), 0);
        return text;
}

/* Columns line up by characters, empty cells show, and only the last column is cut. */
static void test_table(void **state)
{
        static const char *const headings[] = { "ID", "STATE", "DESCRIPTION" };
        static const char *const cells[] = { "0000:01:00.0", "available", "A network card with a long name",
                                             "\xc3\xa4",     "",          "" };
        Table *table;
        char *text;

        assert_int_equal(table_new(headings, ELEMENTSOF(headings), &table), 0);
        for (size_t i = 0; i < ELEMENTSOF(cells); i++)
                assert_int_equal(table_add(table, cells[i]), 0);

        text = table_text(table, true, 0);
        assert_string_equal(text, "ID           STATE     DESCRIPTION\n"
                                  "0000:01:00.0 available A network card with a long name\n"
                                  "\xc3\xa4            -         -\n");
        free(text);

        text = table_text(table, false, 40);
        assert_string_equal(text, "0000:01:00.0 available A network card wi\n"
                                  "\xc3\xa4            -         -\n");
        free(text);

        /* A terminal too narrow for any description gets whole ones. */
        text = table_text(table, false, 20);
        assert_non_null(strstr(text, "A network card with a long name\n"));
        free(text);
        assert_null(table_free(table));
        assert_null(table_free(NULL));
}

/* Without rows there are only headings, and without those nothing. */
static void test_table_empty(void **state)
{
        static const char *const headings[] = { "A", "B" };
        Table *table;
        char *text;

        assert_int_equal(table_new(headings, ELEMENTSOF(headings), &table), 0);
        text = table_text(table, true, 80);
        assert_string_equal(text, "A B\n");
        free(text);
        text = table_text(table, false, 80);
        assert_string_equal(text, "");
        free(text);
        table_free(table);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_size),  cmocka_unit_test(test_parse_seconds),
                cmocka_unit_test(test_format_size), cmocka_unit_test(test_text_print),
                cmocka_unit_test(test_table),       cmocka_unit_test(test_table_empty),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
