/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The match-* keys: parsing and comparing. Names of users and groups become numbers here, once, so that
 * deciding never asks the user database. A name that cannot name anything (a unit without its suffix, a
 * pattern where none is taken) is refused: it would silently match nobody. */

#include "policy/tenant-match.h"

#include <grp.h>
#include <pwd.h>
#include <stdarg.h>

#include "policy/glob.h"
#include "policy/util.h"
#include "policy/value.h"

#define ID_MAX          (UINT32_MAX - 1) /* (uid_t)-1 stands for "none" */
#define NAME_LENGTH_MAX 255U

static const char *const key_names[] = {
        [TENANT_MATCH_USER] = "match-user",       [TENANT_MATCH_GROUP] = "match-group",
        [TENANT_MATCH_UNIT] = "match-unit",       [TENANT_MATCH_SLICE] = "match-slice",
        [TENANT_MATCH_MACHINE] = "match-machine", [TENANT_MATCH_LABEL] = "match-label",
};

const char *tenant_match_key_to_string(TenantMatchKey key)
{
        return (size_t)key < ELEMENTSOF(key_names) ? key_names[key] : NULL;
}

int tenant_match_key_from_string(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(key_names); i++)
                if (streq(key_names[i], name))
                        return (int)i;
        return -EINVAL;
}

static _printf_(2, 3) int refuse(char *error, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(error, TENANT_MATCH_ERROR_MAX, format, ap);
        va_end(ap);
        return -EINVAL;
}

/* A user's or group's name as the tools that make them allow it. */
static bool is_account_name(const char *name)
{
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

        if (name[n] == '$' && n > 0) /* a machine account */
                n++;
        return name[n] == '\0' && n > 0 && n <= NAME_LENGTH_MAX && name[0] != '-';
}

static int lookup(bool group, const char *name, uint32_t *ret_id, char *error)
{
        const char *what = group ? "group" : "user";

        if (!is_account_name(name))
                return refuse(
                        error,
                        "\"%.100s\" is no %s: write a name, a number or a range of numbers, as 2001-2999",
                        name, what);

        errno = 0;
        if (group) {
                const struct group *entry = getgrnam(name);

                if (entry) {
                        *ret_id = entry->gr_gid;
                        return 0;
                }
        } else {
                const struct passwd *entry = getpwnam(name);

                if (entry) {
                        *ret_id = entry->pw_uid;
                        return 0;
                }
        }

        if (errno == ENOMEM)
                return -ENOMEM;
        return refuse(error, "there is no %s \"%.100s\" on this host; create it or correct the name", what,
                      name);
}

/* A name, a number, or FIRST-LAST. What consists of digits and dashes alone is never looked up. */
static int parse_ids(bool group, const char *text, IdRange *ret_range, char *error)
{
        uint64_t first, last;
        char number[32];
        size_t digits = strspn(text, "0123456789");
        int r;

        if (text[strspn(text, "0123456789-")] || digits == 0) {
                uint32_t id = 0;

                r = lookup(group, text, &id, error);
                if (r < 0)
                        return r;
                *ret_range = (IdRange){ id, id };
                return 0;
        }

        (void)snprintf(number, sizeof(number), "%.*s", (int)digits, text);
        r = digits < sizeof(number) ? value_unsigned(number, ID_MAX, &first) : -ERANGE;
        last = first = r < 0 ? 0 : first;
        if (r == 0 && text[digits] == '-')
                r = value_unsigned(text + digits + 1, ID_MAX, &last);
        if (r == -ERANGE)
                return refuse(error, "%.100s: ids go from 0 to %u", text, ID_MAX);
        if (r < 0)
                return refuse(error, "%.100s: write a range of ids as FIRST-LAST, as 2001-2999", text);
        if (first > last)
                return refuse(error, "%.100s: the range is empty; write the smaller number first", text);

        *ret_range = (IdRange){ (uint32_t)first, (uint32_t)last };
        return 0;
}

static int lookup_one(bool group, const char *text, uint32_t *ret_id, char *error)
{
        IdRange range;
        int r;

        r = parse_ids(group, text, &range, error);
        if (r < 0)
                return r;
        if (range.first != range.last)
                return refuse(error, "%.100s: a range where one %s is wanted; write a name or a number",
                              text, group ? "group" : "user");

        *ret_id = range.first;
        return 0;
}

int tenant_match_lookup_user(const char *text, uid_t *ret_uid, char *error)
{
        return lookup_one(false, text, ret_uid, error);
}

int tenant_match_lookup_group(const char *text, gid_t *ret_gid, char *error)
{
        return lookup_one(true, text, ret_gid, error);
}

static bool has_suffix(const char *s, const char *suffix)
{
        size_t n = strlen(s), m = strlen(suffix);

        return n > m && streq(s + n - m, suffix);
}

static int check_unit(const char *value, char *error)
{
        static const char *const suffixes[] = {
                ".service", ".scope", ".socket", ".slice", ".mount", ".swap",
        };
        size_t n = strlen(value);

        /* a pattern whose end is open may match any of them */
        if (strchr("*?]", value[n - 1]))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (has_suffix(value, suffixes[i]))
                        return 0;
        return refuse(error,
                      "%.100s: no process runs in such a unit; write the suffix too, as %.100s.service",
                      value, value);
}

static int check_slice(const char *value, char *error)
{
        if (!glob_is_literal(value))
                return refuse(
                        error,
                        "%.100s: a slice is named in full, not by a pattern; those below it are meant too",
                        value);
        if (!has_suffix(value, ".slice"))
                return refuse(error, "%.100s: no slice is called so; write the suffix too, as %.100s.slice",
                              value, value);
        return 0;
}

static int check_machine(const char *value, char *error)
{
        if (value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")])
                return refuse(
                        error,
                        "\"%.100s\" is no machine's name: give it as machinectl lists it, not as a pattern",
                        value);
        return 0;
}

static int check_string(TenantMatchKey key, const char *value, char *error)
{
        if (!glob_is_valid(value))
                return refuse(error, "%.100s: a [ is not closed; write ] after the characters it lists",
                              value);

        switch (key) {
        case TENANT_MATCH_UNIT: return check_unit(value, error);
        case TENANT_MATCH_SLICE: return check_slice(value, error);
        case TENANT_MATCH_MACHINE: return check_machine(value, error);
        default: return 0;
        }
}

/* The next item of a comma-separated list, trimmed; NULL at the end. */
static char *next_item(char **rest)
{
        char *item = strsep(rest, ",");
        size_t n;

        if (!item)
                return NULL;

        item += strspn(item, " \t");
        n = strlen(item);
        while (n > 0 && (item[n - 1] == ' ' || item[n - 1] == '\t'))
                item[--n] = '\0';
        return item;
}

int tenant_match_parse(Arena *arena, TenantMatch *match, TenantMatchKey key, const char *value, char *error)
{
        _cleanup_free_ char *copy = strdup(value);
        TenantMatchValues values = {};
        bool ids = key == TENANT_MATCH_USER || key == TENANT_MATCH_GROUP;
        size_t n = 1;
        char *rest = copy, *item;
        int r;

        if (!copy)
                return -ENOMEM;
        if (value[strspn(value, " \t")] == '\0') {
                match->keys[key] = values;
                return 0;
        }

        for (const char *p = value; *p; p++)
                n += *p == ',';
        if (ids)
                values.ranges = arena_alloc(arena, n, sizeof(*values.ranges));
        else
                values.strings = arena_alloc(arena, n, sizeof(*values.strings));
        if (!values.ranges && !values.strings)
                return -ENOMEM;

        while ((item = next_item(&rest))) {
                if (*item == '\0')
                        return refuse(error,
                                      "nothing between two commas, or after the last; take the comma away");

                if (ids) {
                        r = parse_ids(key == TENANT_MATCH_GROUP, item, values.ranges + values.n_ranges,
                                      error);
                        if (r < 0)
                                return r;
                        values.n_ranges++;
                } else {
                        r = check_string(key, item, error);
                        if (r < 0)
                                return r;
                        values.strings[values.n_strings] = arena_strdup(arena, item);
                        if (!values.strings[values.n_strings])
                                return -ENOMEM;
                        values.n_strings++;
                }
        }

        match->keys[key] = values;
        return 0;
}

bool tenant_match_key_is_set(const TenantMatchValues *values)
{
        return values->n_ranges > 0 || values->n_strings > 0;
}

bool tenant_match_is_set(const TenantMatch *match)
{
        for (size_t i = 0; i < ELEMENTSOF(match->keys); i++)
                if (tenant_match_key_is_set(match->keys + i))
                        return true;
        return false;
}

static bool in_ranges(const TenantMatchValues *values, uint32_t id)
{
        for (size_t i = 0; i < values->n_ranges; i++)
                if (id >= values->ranges[i].first && id <= values->ranges[i].last)
                        return true;
        return false;
}

/* `slice` itself or one below: systemd's names say it, a-b.slice is in a.slice, and all are in -.slice. */
static bool slice_contains(const char *slice, const char *inner)
{
        size_t stem = strlen(slice) - strlen(".slice");

        if (streq(slice, inner) || (streq(slice, "-.slice") && has_suffix(inner, ".slice")))
                return true;
        return strncmp(slice, inner, stem) == 0 && inner[stem] == '-' && has_suffix(inner, ".slice");
}

static bool key_holds(const TenantMatch *match, TenantMatchKey key, const CallerFacts *caller)
{
        const TenantMatchValues *values = match->keys + key;
        const char *actual = NULL;

        switch (key) {
        case TENANT_MATCH_USER: return in_ranges(values, caller->uid);
        case TENANT_MATCH_GROUP:
                for (size_t i = 0; i < caller->n_gids; i++)
                        if (in_ranges(values, caller->gids[i]))
                                return true;
                return false;
        case TENANT_MATCH_UNIT: actual = caller->unit; break;
        case TENANT_MATCH_SLICE: actual = caller->slice; break;
        case TENANT_MATCH_MACHINE: actual = caller->machine; break;
        default: actual = caller->label; break;
        }

        if (!actual)
                return false;
        for (size_t i = 0; i < values->n_strings; i++)
                if (key == TENANT_MATCH_SLICE     ? slice_contains(values->strings[i], actual)
                    : key == TENANT_MATCH_MACHINE ? streq(values->strings[i], actual)
                                                  : glob_matches(values->strings[i], actual))
                        return true;
        return false;
}

bool tenant_match(const TenantMatch *match, const CallerFacts *caller, TenantMatchKey *ret_failed)
{
        bool any = false;

        for (size_t i = 0; i < ELEMENTSOF(match->keys); i++) {
                if (!tenant_match_key_is_set(match->keys + i))
                        continue;
                any = true;
                if (!key_holds(match, (TenantMatchKey)i, caller)) {
                        if (ret_failed)
                                *ret_failed = (TenantMatchKey)i;
                        return false;
                }
        }

        if (!any && ret_failed)
                *ret_failed = _TENANT_MATCH_MAX;
        return any;
}
