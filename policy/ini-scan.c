/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* INI, strictly: a scan of our own in front of iniparser.
 *
 * iniparser 4.1 knows no lines, lower-cases what it reads, takes the last of two equal keys, joins a comment
 * that ends in a backslash with the line after it, accepts a quote that is never closed, cuts a value at any
 * ';', and has a dictionary that is searched from one end. So the scan goes first, line by line: it drops
 * comments, reports whatever could be read in two ways, and keeps names and line numbers. What is left has
 * one reading, and iniparser is given that for the values: in portions, since the dictionary's cost grows
 * with the square of its size, in which each section is called by its number, since names may differ in case
 * alone. iniparser reads from a path only: the portions are written to a memfd, and what it parses is thereby
 * exactly what was scanned, whatever happens to the file meanwhile. */

#include "policy/ini-scan.h"

#include <fcntl.h>
#include <iniparser/iniparser.h>
#include <sys/mman.h>

#include "policy/errors.h"

#define PORTION_KEYS  128U /* the dictionary's first size */
#define PORTION_BYTES (64U * 1024)
#define KEY_MAX       64U

/* One `key = value` as the scan found it; `raw` is what follows the =. */
typedef struct RawEntry {
        const char *key;
        const char *raw;
        unsigned line;
        size_t section;
} RawEntry;

typedef struct Scan {
        Arena *arena;
        IniFile *file;
        PolicyErrors *errors;
        IniSection *sections;
        size_t n_sections;
        size_t max_sections;
        RawEntry *entries;
        size_t n_entries;
        size_t max_entries;
        bool in_section;      /* a header was seen, well-formed or not */
        bool skip;            /* the section's header was refused: its keys are read but not kept */
        bool carriage_return; /* was reported */
        int fd;               /* memfd, made when first needed */
} Scan;

#define scan_error(scan, at, ...)                                                                           \
        policy_errors_add((scan)->errors, POLICY_ERROR, (PolicyWhere){ (scan)->file->name, (at) },          \
                          __VA_ARGS__)

static void scan_done(Scan *scan)
{
        free(scan->sections);
        free(scan->entries);
        scan->fd = safe_close(scan->fd);
}

/* Room for one more; the arrays double. */
static int grow(void **items, size_t n, size_t *max, size_t size)
{
        size_t wanted = *max ? *max * 2 : 64;
        void *grown;

        if (n < *max)
                return 0;

        grown = reallocarray(*items, wanted, size);
        if (!grown)
                return -ENOMEM;

        *items = grown;
        *max = wanted;
        return 0;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

static char *trim(char *s)
{
        size_t n;

        while (is_blank(*s))
                s++;
        n = strlen(s);
        while (n > 0 && is_blank(s[n - 1]))
                s[--n] = '\0';
        return s;
}

/* Only characters that look like themselves, outside comments. */
static bool check_characters(Scan *scan, unsigned line, const char *s)
{
        for (; *s; s++) {
                unsigned char c = (unsigned char)*s;

                if (c == '\r' && scan->carriage_return)
                        return false; /* the whole file has them; once is enough */
                if (c == '\r') {
                        scan_error(scan, line, "a carriage return; save the file with Unix line ends (LF)");
                        scan->carriage_return = true;
                } else if (c >= 0x80)
                        scan_error(scan, line,
                                   "byte 0x%02x is not ASCII; only comments may have other characters", c);
                else if ((c < ' ' && c != '\t') || c == 0x7f)
                        scan_error(scan, line, "a control character (0x%02x); take it out", c);
                else
                        continue;
                return false;
        }
        return true;
}

static int scan_header(Scan *scan, unsigned line, char *s)
{
        size_t n = strlen(s);
        IniSection *section;
        char *kind, *name;
        int r;

        scan->in_section = true;
        scan->skip = true;
        if (!check_characters(scan, line, s))
                return 0;

        if (s[n - 1] != ']') {
                if (strchr(s, ']'))
                        scan_error(scan, line, "text after the ] of a section; put it on a line of its own");
                else
                        scan_error(scan, line, "the section's [ is not closed; write %.100s]", s);
                return 0;
        }

        s[n - 1] = '\0';
        kind = trim(s + 1);
        if (*kind == '\0') {
                scan_error(scan, line,
                           "a section without a name; write [broker], [tenant NAME], [pool NAME], "
                           "[container NAME] or "
                           "[device SELECTOR]");
                return 0;
        }

        name = kind + strcspn(kind, " \t");
        if (*name) {
                *name++ = '\0';
                name = trim(name);
        }

        r = grow((void **)&scan->sections, scan->n_sections, &scan->max_sections, sizeof(*scan->sections));
        if (r < 0)
                return r;

        section = scan->sections + scan->n_sections;
        *section = (IniSection){ .kind = kind, .name = name, .line = line };
        scan->n_sections++;
        scan->skip = false;
        return 0;
}

/* Where a comment begins, or NULL. A quote that is never closed hides none. */
static char *find_comment(char *s)
{
        char quote = 0;

        for (; *s; s++)
                if (quote) {
                        if (*s == quote)
                                quote = 0;
                } else if ((*s == '"' || *s == '\'') && strchr(s + 1, *s))
                        quote = *s;
                else if (*s == ';' || *s == '#')
                        return s;
        return NULL;
}

/* Cuts the comment off; what comes before it must show that it is one. */
static bool cut_comment(Scan *scan, unsigned line, char *s)
{
        char *comment = find_comment(s);

        if (!comment)
                return true;
        if (!is_blank(comment[-1]) && comment[-1] != '=') {
                scan_error(scan, line,
                           "a %c inside a value would begin a comment; put a blank before it, or quote the "
                           "value",
                           *comment);
                return false;
        }
        *comment = '\0';
        return true;
}

/* Can iniparser read the value in one way only? */
static bool check_value(Scan *scan, unsigned line, const char *s)
{
        size_t n = strlen(s);

        if (*s == '"' || *s == '\'') {
                const char *end = strchr(s + 1, *s);

                if (!end)
                        scan_error(scan, line, "the quote is not closed; write a second %c", *s);
                else if (end[1])
                        scan_error(scan, line,
                                   "text after the closing quote; quote the whole value or none of it");
                else
                        return true;
        } else if (s[strcspn(s, "\"'")])
                scan_error(scan, line, "a quote inside a value; quote the whole value or none of it");
        else if (n > 0 && s[n - 1] == '\\')
                scan_error(scan, line,
                           "the value ends in a backslash, with nothing to continue; quote the value");
        else
                return true;
        return false;
}

static int scan_entry(Scan *scan, unsigned line, char *s)
{
        char *equals, *key, *raw;
        RawEntry *entry;
        int r;

        if (!cut_comment(scan, line, s) || !check_characters(scan, line, s))
                return 0;

        equals = strchr(s, '=');
        if (!equals) {
                scan_error(scan, line, "no = in this line; write KEY = VALUE, or ; before a comment");
                return 0;
        }

        *equals = '\0';
        key = trim(s);
        raw = trim(equals + 1);

        if (!scan->in_section) {
                scan_error(scan, line, "a key before any section; put [broker] or another section above it");
                return 0;
        }
        if (*key == '\0') {
                scan_error(scan, line, "nothing before the =; write KEY = VALUE");
                return 0;
        }
        if (strlen(key) > KEY_MAX || key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-")]) {
                scan_error(scan, line,
                           "\"%.100s\" cannot be a key; keys are made of small letters, digits and dashes",
                           key);
                return 0;
        }
        if (!check_value(scan, line, raw) || scan->skip)
                return 0;

        r = grow((void **)&scan->entries, scan->n_entries, &scan->max_entries, sizeof(*scan->entries));
        if (r < 0)
                return r;

        entry = scan->entries + scan->n_entries;
        *entry = (RawEntry){
                .key = key,
                .raw = raw,
                .line = line,
                .section = scan->n_sections - 1,
        };
        scan->n_entries++;
        return 0;
}

/* One logical line: what is left of a line, or of several that backslashes join. */
static int scan_line(Scan *scan, unsigned line, char *s)
{
        s = trim(s);
        if (*s == '\0' || *s == ';' || *s == '#')
                return 0;
        if (*s == '[')
                return scan_header(scan, line, s);
        return scan_entry(scan, line, s);
}

/* What does not belong into a line at all: counted once, since more would say nothing more. */
static bool check_physical(Scan *scan, unsigned line, const char *s, size_t n, size_t joined)
{
        if (memchr(s, '\0', n)) {
                scan_error(scan, line, "a NUL byte; the file is not text");
                return false;
        }
        if (n > POLICY_LINE_MAX || joined + n > POLICY_LINE_MAX) {
                scan_error(scan, line,
                           "the line has more than %u bytes%s; split a list over several [pool] sections",
                           POLICY_LINE_MAX, joined ? " with the lines that it continues" : "");
                return false;
        }
        return true;
}

static int scan_text(Scan *scan, const char *text, size_t size)
{
        char *logical; /* the line at hand; what is kept of it stays where it is, in the arena */
        size_t n_logical = 0;
        unsigned line = 0, first = 0;
        bool continued = false, broken = false;
        const char *end = text + size;
        int r;

        logical = arena_alloc(scan->arena, size + 1,
                              1); /* each line needs no more than it has, the NUL for its newline */
        if (!logical)
                return -ENOMEM;

        while (text < end) {
                const char *newline = memchr(text, '\n', (size_t)(end - text));
                size_t n = (size_t)((newline ? newline : end) - text);
                const char *s = text;
                size_t content = n;
                bool continues, comment;

                text += n + (newline ? 1 : 0);
                line++;

                if (line == 1 && n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
                        scan_error(scan, line, "a byte order mark; save the file as plain UTF-8");
                        s += 3;
                        n -= 3;
                        content -= 3;
                }

                while (content > 0 && is_blank(s[content - 1]))
                        content--;
                continues = content > 0 && s[content - 1] == '\\';
                if (continues)
                        content--;

                if (!continued) {
                        first = line;
                        logical += n_logical > 0 ? n_logical + 1 : 0;
                        n_logical = 0;
                        broken = false;
                }
                if (!broken && !check_physical(scan, line, s, n, n_logical)) {
                        broken = true;
                        if (*s ==
                            '[') /* an empty line has nothing wrong; the keys below are not those of the section before */
                                scan->in_section = scan->skip = true;
                }
                if (!broken) {
                        memcpy(logical + n_logical, s, content);
                        n_logical += content;
                        logical[n_logical] = '\0';
                }

                comment = !broken && find_comment(logical);
                if (continues && comment) {
                        scan_error(scan, line,
                                   "a comment that ends in \\ would take in the next line; drop the \\");
                        continues = false;
                }
                continued = continues;
                if (continues && text < end)
                        continue;
                if (continues)
                        scan_error(scan, line,
                                   "the last line ends in \\; there is nothing that it could continue with");

                if (!broken) {
                        r = scan_line(scan, first, logical);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int compare_keys(const void *a, const void *b)
{
        const RawEntry *x = a, *y = b;
        int r = strcmp(x->key, y->key);

        if (r != 0)
                return r;
        return (x->line > y->line) - (x->line < y->line);
}

static int compare_lines(const void *a, const void *b)
{
        const RawEntry *x = a, *y = b;

        return (x->line > y->line) - (x->line < y->line);
}

/* Takes out the keys that a section has a second time. Sections lie one after the other. */
static void drop_duplicates(Scan *scan)
{
        RawEntry *entries = scan->entries;
        size_t kept = 0, last;

        for (size_t first = 0; first < scan->n_entries; first = last) {
                size_t start = kept;

                for (last = first; last < scan->n_entries; last++)
                        if (entries[last].section != entries[first].section)
                                break;
                qsort(entries + first, last - first, sizeof(*entries), compare_keys);

                for (size_t i = first; i < last; i++)
                        if (kept > start && streq(entries[kept - 1].key, entries[i].key))
                                scan_error(scan, entries[i].line,
                                           "%s is given twice; it is in line %u already, keep one of them",
                                           entries[i].key, entries[kept - 1].line);
                        else
                                entries[kept++] = entries[i];
                qsort(entries + start, kept - start, sizeof(*entries), compare_lines);
        }
        scan->n_entries = kept;
}

static int silent(_unused_ const char *format, ...)
{
        return 0;
}

static int write_all(int fd, const char *data, size_t size)
{
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t)n;
        }
        return 0;
}

static void freedictp(dictionary **d)
{
        if (*d)
                iniparser_freedict(*d);
}

/* Has iniparser read the text, and copies the values of the entries from first on, before last. */
static int read_portion(Scan *scan, size_t first, size_t last, const char *text, size_t size,
                        IniEntry *ret_entries)
{
        _cleanup_(freedictp) dictionary *values = NULL;
        char path[64], key[KEY_MAX + 32];
        size_t prefix = 0;
        int r;

        if (scan->fd < 0) {
                scan->fd = memfd_create("policy", MFD_CLOEXEC);
                if (scan->fd < 0)
                        return -errno;
        }
        if (ftruncate(scan->fd, 0) < 0 || lseek(scan->fd, 0, SEEK_SET) < 0)
                return -errno;

        r = write_all(scan->fd, text, size);
        if (r < 0)
                return r;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", scan->fd);
        values = iniparser_load(path);
        if (!values)
                return -EIO;

        for (size_t i = first; i < last; i++) {
                const RawEntry *entry = scan->entries + i;
                const char *value;

                if (i == first || entry->section != entry[-1].section)
                        prefix = (size_t)snprintf(key, sizeof(key), "%zu:", entry->section);
                (void)stpcpy(key + prefix, entry->key); /* KEY_MAX bytes at most, as the scan saw to */
                value = iniparser_getstring(values, key, NULL);
                if (!value)
                        return -EIO;

                ret_entries[i] = (IniEntry){
                        .key = entry->key,
                        .value = arena_strdup(scan->arena, value),
                        .line = entry->line,
                };
                if (!ret_entries[i].value)
                        return -ENOMEM;
        }
        return 0;
}

static int read_values(Scan *scan, IniEntry *ret_entries)
{
        _cleanup_free_ char *text = malloc(PORTION_BYTES);
        size_t first = 0;
        char *p = text;
        int r;

        if (!text)
                return -ENOMEM;
        iniparser_set_error_callback(silent);

        for (size_t i = 0; i < scan->n_entries; i++) {
                const RawEntry *entry = scan->entries + i;

                if (i - first == PORTION_KEYS || p > text + PORTION_BYTES - 2 * (POLICY_LINE_MAX + 1)) {
                        r = read_portion(scan, first, i, text, (size_t)(p - text), ret_entries);
                        if (r < 0)
                                return r;
                        first = i;
                        p = text;
                }
                if (i == first || entry->section != entry[-1].section)
                        p += sprintf(p, "[%zu]\n", entry->section);
                p = stpcpy(p, entry->key);
                *p++ = '=';
                p = stpcpy(p, entry->raw);
                *p++ = '\n';
        }
        return read_portion(scan, first, scan->n_entries, text, (size_t)(p - text), ret_entries);
}

int ini_scan(Arena *arena, const char *name, const char *text, size_t size, IniFile *ret_file,
             PolicyErrors *errors)
{
        IniFile file = { .name = name };
        _cleanup_(scan_done) Scan scan = { .arena = arena, .file = &file, .errors = errors, .fd = -EBADF };
        IniEntry *entries;
        int r;

        r = scan_text(&scan, text, size);
        if (r < 0)
                return r;
        drop_duplicates(&scan);

        file.n_sections = scan.n_sections;
        file.sections = arena_alloc(arena, scan.n_sections, sizeof(*file.sections));
        entries = arena_alloc(arena, scan.n_entries, sizeof(*entries));
        if (!file.sections || !entries)
                return -ENOMEM;
        if (scan.n_sections > 0)
                memcpy(file.sections, scan.sections, scan.n_sections * sizeof(*file.sections));

        if (scan.n_entries > 0) {
                r = read_values(&scan, entries);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < scan.n_entries; i++) {
                IniSection *section = file.sections + scan.entries[i].section;

                if (section->n_entries++ == 0)
                        section->entries = entries + i;
        }

        *ret_file = file;
        return 0;
}
