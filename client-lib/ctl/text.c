/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Text as vfiobrokerctl reads and prints it. Parsers take exactly what they document; printers trust no
 * string, as labels and descriptions come from others. Nothing here knows of the broker. */

#include <sys/ioctl.h>

#include "client-lib/ctl/text.h"

struct Table {
        size_t n_columns;
        char **cells; /* the headings first */
        size_t n_cells;
};

/* Digits only: no sign, no space, no base but ten. */
static int parse_digits(const char **s, uint64_t *ret)
{
        const char *p = *s;
        uint64_t value = 0;

        if (*p < '0' || *p > '9')
                return -EINVAL;

        for (; *p >= '0' && *p <= '9'; p++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
                        return -ERANGE;

        *s = p;
        *ret = value;
        return 0;
}

int parse_size(const char *s, uint64_t *ret)
{
        static const char units[] = "KMGT";
        uint64_t value;
        int r;

        r = parse_digits(&s, &value);
        if (r < 0)
                return r;

        if (*s) {
                const char *unit = strchr(units, *s);

                if (!unit || s[1])
                        return -EINVAL;
                if (__builtin_mul_overflow(value, UINT64_C(1024) << (10 * (unit - units)), &value))
                        return -ERANGE;
        }

        if (value == UINT64_MAX)
                return -ERANGE;
        *ret = value;
        return 0;
}

int parse_seconds(const char *s, uint64_t *ret_usec)
{
        uint64_t usec;
        int r;

        r = parse_digits(&s, &usec);
        if (r < 0)
                return r;
        if (__builtin_mul_overflow(usec, USEC_PER_SEC, &usec))
                return -ERANGE;

        if (*s == '.') {
                uint64_t digit = USEC_PER_SEC / 10;

                s++;
                if (!*s)
                        return -EINVAL;
                for (; *s >= '0' && *s <= '9' && digit > 0; s++, digit /= 10)
                        if (__builtin_add_overflow(usec, digit * (uint64_t)(*s - '0'), &usec))
                                return -ERANGE;
        }

        if (*s)
                return -EINVAL;
        *ret_usec = usec;
        return 0;
}

const char *format_size(uint64_t bytes, char buffer[static FORMAT_SIZE_MAX])
{
        static const char units[] = "BKMGTPE";
        uint64_t whole = bytes, part = 0;
        size_t unit = 0;

        for (; whole >= 1024; unit++) {
                part = whole % 1024;
                whole /= 1024;
        }

        if (unit == 0)
                (void)snprintf(buffer, FORMAT_SIZE_MAX, "%lu", (unsigned long)whole);
        else if (part * 10 / 1024 == 0)
                (void)snprintf(buffer, FORMAT_SIZE_MAX, "%lu%c", (unsigned long)whole, units[unit]);
        else
                (void)snprintf(buffer, FORMAT_SIZE_MAX, "%lu.%lu%c", (unsigned long)whole,
                               (unsigned long)(part * 10 / 1024), units[unit]);
        return buffer;
}

/* How many bytes of UTF-8 make the character at s; a byte that begins none is one. */
static size_t character_bytes(const char *s)
{
        unsigned char c = (unsigned char)*s;
        size_t n = c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1;

        for (size_t i = 1; i < n; i++)
                if (((unsigned char)s[i] & 0xc0) != 0x80)
                        return 1;
        return n;
}

static bool is_printable(const char *s, size_t n)
{
        unsigned char c = (unsigned char)s[0];

        if (n == 1)
                return c >= 0x20 && c < 0x7f;
        /* U+0080 to U+009f */
        return !(n == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0);
}

/* At most `max` characters; says how many there were. */
static size_t print_clean(FILE *f, const char *s, size_t max, bool lines)
{
        size_t width = 0;

        for (size_t n; *s && width < max; s += n, width++) {
                n = character_bytes(s);
                if (is_printable(s, n) || (lines && *s == '\n'))
                        (void)fwrite(s, 1, n, f);
                else
                        (void)fputc('?', f);
        }
        return width;
}

void text_print(FILE *f, const char *s)
{
        (void)print_clean(f, s, SIZE_MAX, false);
}

void text_print_lines(FILE *f, const char *s)
{
        (void)print_clean(f, s, SIZE_MAX, true);
}

void text_print_cut(FILE *f, const char *s, size_t max)
{
        (void)print_clean(f, s, max, false);
}

int text_join(const char *const *values, size_t max, char **ret)
{
        _cleanup_(fclosep) FILE *f = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size, n = 0;
        bool failed;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;

        while (values[n])
                n++;
        for (size_t i = 0; i < n && i < max; i++)
                (void)fprintf(f, "%s%s", i > 0 ? ", " : "", values[i]);
        if (n > max)
                (void)fprintf(f, " +%zu", n - max);

        /* `text` is the stream's until it is closed. */
        failed = ferror(f) != 0;
        if (fclose(TAKE_PTR(f)) != 0 || failed)
                return -ENOMEM;
        *ret = TAKE_PTR(text);
        return 0;
}

size_t text_width(const char *s)
{
        size_t width = 0;

        for (; *s; s += character_bytes(s))
                width++;
        return width;
}

int table_new(const char *const *headings, size_t n_columns, Table **ret)
{
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        table = calloc(1, sizeof(*table));
        if (!table)
                return -ENOMEM;
        table->n_columns = n_columns;

        r = table_add_row(table, headings);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(table);
        return 0;
}

Table *table_free(Table *table)
{
        if (!table)
                return NULL;

        for (size_t i = 0; i < table->n_cells; i++)
                free(table->cells[i]);
        free(table->cells);
        free(table);
        return NULL;
}

int table_add(Table *table, const char *cell)
{
        char **cells, *copy;

        cells = reallocarray(table->cells, table->n_cells + 1, sizeof(*cells));
        if (!cells)
                return -ENOMEM;
        table->cells = cells;

        copy = strdup(*cell ? cell : "-");
        if (!copy)
                return -ENOMEM;
        table->cells[table->n_cells++] = copy;
        return 0;
}

int table_add_row(Table *table, const char *const *cells)
{
        for (size_t i = 0; i < table->n_columns; i++) {
                int r = table_add(table, cells[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* The width of a column's widest cell; the headings' row counts only where it is shown. */
static size_t column_width(const Table *table, size_t column, bool legend)
{
        size_t widest = 0;

        for (size_t i = legend ? column : column + table->n_columns; i < table->n_cells;
             i += table->n_columns) {
                size_t width = text_width(table->cells[i]);

                if (width > widest)
                        widest = width;
        }
        return widest;
}

void table_print(const Table *table, FILE *f, bool legend, size_t width)
{
        size_t rows = table->n_cells / table->n_columns;

        for (size_t row = legend ? 0 : 1; row < rows; row++) {
                size_t used = 0;

                for (size_t column = 0; column < table->n_columns; column++) {
                        const char *cell = table->cells[row * table->n_columns + column];
                        size_t room = SIZE_MAX, shown, full;

                        if (column + 1 == table->n_columns) {
                                /* A column that would be cut to nothing is better whole. */
                                if (width > used + 8)
                                        room = width - used;
                                (void)print_clean(f, cell, room, false);
                                break;
                        }

                        shown = print_clean(f, cell, room, false);
                        full = column_width(table, column, legend) + 1;
                        (void)fprintf(f, "%*s", (int)(full - shown), "");
                        used += full;
                }
                (void)fputc('\n', f);
        }
}

size_t terminal_width(FILE *f)
{
        struct winsize size;

        if (ioctl(fileno(f), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return 0;
        return size.ws_col;
}
