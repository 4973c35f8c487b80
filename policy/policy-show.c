/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The policy as text again. What is written is read from the values that decide, not from what the files said, so that it
 * is what holds; and it is a policy file itself, which when it is read gives the same values. What has no words in a file
 * (no limit, a group that does not exist) is said in comments. */

#include "policy/keys.h"

#define COLUMN    18U  /* of the = */
#define WHERE_MAX 256U /* of a place in a comment */

/* What of a key is to be shown. */
typedef enum Showing {
        SHOW_NOTHING,
        SHOW_VALUE,
        SHOW_COMMENT, /* a text for people */
} Showing;

typedef Showing (*Writer)(FILE *f, const PolicyKey *key, const void *field);

static Showing write_bool(FILE *f, _unused_ const PolicyKey *key, const void *field)
{
        (void)fputs(*(const bool *)field ? "yes" : "no", f);
        return SHOW_VALUE;
}

static Showing write_unsigned(FILE *f, const PolicyKey *key, const void *field)
{
        unsigned n = *(const unsigned *)field;

        if (n == UINT_MAX)
                (void)fprintf(f, "%s: %s", key->name, key->where ? "not limited" : "left as they are");
        else
                (void)fprintf(f, "%u", n);
        return n == UINT_MAX ? SHOW_COMMENT : SHOW_VALUE;
}

static Showing write_size(FILE *f, const PolicyKey *key, const void *field)
{
        static const char suffixes[] = "KMGT";
        uint64_t n = *(const uint64_t *)field;
        size_t i = 0;

        if (n == UINT64_MAX) {
                (void)fprintf(f, "%s: not limited", key->name);
                return SHOW_COMMENT;
        }
        while (n > 0 && n % 1024 == 0 && suffixes[i]) {
                n /= 1024;
                i++;
        }
        (void)fprintf(f, "%llu%.1s", (unsigned long long)n, i > 0 ? suffixes + i - 1 : "");
        return SHOW_VALUE;
}

static void put_duration(FILE *f, uint64_t usec)
{
        if (usec % USEC_PER_SEC == 0)
                (void)fprintf(f, "%llus", (unsigned long long)(usec / USEC_PER_SEC));
        else if (usec % USEC_PER_MSEC == 0)
                (void)fprintf(f, "%llums", (unsigned long long)(usec / USEC_PER_MSEC));
        else
                (void)fprintf(f, "%lluus", (unsigned long long)usec);
}

static Showing write_duration(FILE *f, _unused_ const PolicyKey *key, const void *field)
{
        put_duration(f, *(const uint64_t *)field);
        return SHOW_VALUE;
}

static Showing write_choice(FILE *f, const PolicyKey *key, const void *field)
{
        (void)fputs(key->words[*(const unsigned *)field], f);
        return SHOW_VALUE;
}

static Showing write_budget(FILE *f, const PolicyKey *key, const void *field)
{
        const PolicyBroker *broker = field;

        if (broker->memlock_max_bytes != UINT64_MAX)
                return write_size(f, key, &broker->memlock_max_bytes);
        (void)fprintf(f, "%u%%", broker->memlock_max_percent);
        return SHOW_VALUE;
}

static Showing write_rate(FILE *f, _unused_ const PolicyKey *key, const void *field)
{
        const PolicyBroker *broker = field;

        (void)fprintf(f, "%u/", broker->rate_count);
        put_duration(f, broker->rate_interval_usec);
        return SHOW_VALUE;
}

static Showing write_backends(FILE *f, _unused_ const PolicyKey *key, const void *field)
{
        static const char *const words[] = { "", "iommufd", "group", "iommufd group" };

        (void)fputs(words[*(const unsigned *)field & POLICY_BACKEND_ALL], f);
        return SHOW_VALUE;
}

static Showing write_string(FILE *f, _unused_ const PolicyKey *key, const void *field)
{
        const char *s = *(const char *const *)field;

        (void)fputs(strempty(s), f);
        return s ? SHOW_VALUE : SHOW_NOTHING;
}

static Showing write_match(FILE *f, const PolicyKey *key, const void *field)
{
        return write_string(f, key, &((const TenantMatch *)field)->keys[key->match_key].text);
}

static Showing write_selectors(FILE *f, _unused_ const PolicyKey *key, const void *field)
{
        const SelectorList *list = field;

        size_t n = 0;

        /* no blanks where it is long: what fitted into a line as it was written fits again */
        for (size_t i = 0; i < list->n_items; i++)
                n += strlen(list->items[i].text) + 2;
        for (size_t i = 0; i < list->n_items; i++)
                (void)fprintf(f, "%s%s",
                              i == 0                    ? ""
                              : n > POLICY_LINE_MAX / 2 ? ","
                                                        : ", ",
                              list->items[i].text);
        return list->n_items > 0 ? SHOW_VALUE : SHOW_NOTHING;
}

static Showing write_admin_group(FILE *f, const PolicyKey *key, const void *field)
{
        const PolicyBroker *broker = field;

        if (*broker->admin_group && broker->admin_gid == (gid_t)-1) {
                (void)fprintf(f, "%s: %s, which does not exist", key->name, broker->admin_group);
                return SHOW_COMMENT;
        }
        (void)fputs(broker->admin_group, f);
        return SHOW_VALUE;
}

static Showing write_socket_user(FILE *f, const PolicyKey *key, const void *field)
{
        return write_string(f, key, &((const PolicyTenant *)field)->socket_user);
}

static Showing write_socket_group(FILE *f, const PolicyKey *key, const void *field)
{
        return write_string(f, key, &((const PolicyTenant *)field)->socket_group);
}

static Showing write_mode(FILE *f, _unused_ const PolicyKey *key, const void *field)
{
        const PolicyTenant *tenant = field;

        (void)fprintf(f, "%04o", tenant->socket_mode);
        return tenant->socket ? SHOW_VALUE : SHOW_NOTHING;
}

static const Writer writers[_KEY_TYPE_MAX] = {
        [KEY_BOOL] = write_bool,
        [KEY_UNSIGNED] = write_unsigned,
        [KEY_SIZE] = write_size,
        [KEY_DURATION] = write_duration,
        [KEY_CHOICE] = write_choice,
        [KEY_BUDGET] = write_budget,
        [KEY_RATE] = write_rate,
        [KEY_BACKENDS] = write_backends,
        [KEY_MATCH] = write_match,
        [KEY_SELECTORS] = write_selectors,
        [KEY_ADMIN_GROUP] = write_admin_group,
        [KEY_NAME] = write_string,
        [KEY_DRIVER] = write_string,
        [KEY_SOCKET] = write_string,
        [KEY_SOCKET_USER] = write_socket_user,
        [KEY_SOCKET_GROUP] = write_socket_group,
        [KEY_MODE] = write_mode,
};

/* The place as a comment that ends no line early; of a long path the end. */
static const char *place(PolicyWhere where, char buffer[static WHERE_MAX])
{
        size_t n = strlen(strempty(where.file)), room = WHERE_MAX - 32;

        if (!where.file)
                (void)snprintf(buffer, WHERE_MAX, "by default");
        else if (where.line == 0)
                (void)snprintf(buffer, WHERE_MAX, "%.*s", (int)room, where.file);
        else
                (void)snprintf(buffer, WHERE_MAX, "%s%s:%u", n > room ? "..." : "",
                               n > room ? where.file + n - room : where.file, where.line);
        for (char *p = buffer; *p; p++)
                if ((unsigned char)*p < ' ')
                        *p = '?';
        return buffer;
}

/* Would the value be cut, or be read as something else, without quotes around it? */
static bool wants_quotes(const char *value)
{
        size_t n = strlen(value);

        return n > 0 && (value[strcspn(value, ";#'\"")] || value[n - 1] == '\\' || value[0] == ' ' ||
                         value[n - 1] == ' ');
}

/* A quoted value cannot have held both kinds of quotes, and an unquoted one none. */
static void put_value(FILE *f, const char *name, const char *value, const char *comment)
{
        const char *quote = !wants_quotes(value) ? "" : strchr(value, '"') ? "'" : "\"";
        size_t n = strlen(value) + 2 * strlen(quote);

        if (n + strlen(comment) + COLUMN + 16 <= POLICY_LINE_MAX)
                (void)fprintf(f, "%-*s= %s%s%s%*s ; %s\n", (int)COLUMN, name, quote, value, quote,
                              n < COLUMN ? (int)(COLUMN - n) : 0, "", comment);
        else
                (void)fprintf(f, "; %s\n%s=%s%s%s\n", comment, name, quote, value, quote);
}

static int show_key(FILE *f, const PolicyKey *key, const void *section, PolicyWhere said)
{
        const void *field = (const char *)section + key->offset;
        _cleanup_free_ char *value = NULL;
        char comment[WHERE_MAX];
        size_t size = 0;
        Showing showing;
        FILE *text;

        if (key->where) /* a default may have been said elsewhere */
                said = *(const PolicyWhere *)((const char *)section + key->where);

        text = open_memstream(&value, &size);
        if (!text)
                return -ENOMEM;
        showing = writers[key->type](text, key, field);
        if (fclose(text) != 0)
                return -ENOMEM;

        if (showing == SHOW_COMMENT)
                (void)fprintf(f, "; %s\n", value);
        else if (showing == SHOW_VALUE)
                put_value(f, key->name, value, place(said, comment));
        return 0;
}

static int show_section(FILE *f, PolicySectionKind kind, const char *name, PolicyWhere where,
                        const void *section)
{
        const PolicySection *table = policy_sections + kind;
        const PolicyWhere *said = (const PolicyWhere *)((const char *)section + table->said);
        char comment[WHERE_MAX];
        int r = 0;

        (void)fprintf(f, "\n; %s\n[%s%s%s]\n", place(where, comment), table->name, *name ? " " : "", name);
        for (size_t i = 0; i < table->n_keys && r == 0; i++)
                r = show_key(f, table->keys + i, section, said[i]);
        return r;
}

int policy_show(const Policy *policy, FILE *f)
{
        char comment[WHERE_MAX];
        int r;

        (void)fprintf(f, "; The policy as it holds, from %zu file%s.\n", policy->n_files,
                      policy->n_files == 1 ? "" : "s");
        for (size_t i = 0; i < policy->n_files; i++)
                (void)fprintf(f, ";   %s\n", place((PolicyWhere){ policy->files[i], 0 }, comment));

        r = show_section(f, POLICY_SECTION_BROKER, "", policy->broker.where, &policy->broker);
        for (size_t i = 0; i < policy->n_tenants && r == 0; i++)
                r = show_section(f, POLICY_SECTION_TENANT, policy->tenants[i].name, policy->tenants[i].where,
                                 policy->tenants + i);
        for (size_t i = 0; i < policy->n_pools && r == 0; i++)
                r = show_section(f, POLICY_SECTION_POOL, policy->pools[i].name, policy->pools[i].where,
                                 policy->pools + i);
        for (size_t i = 0; i < policy->n_containers && r == 0; i++)
                r = show_section(f, POLICY_SECTION_CONTAINER, policy->containers[i].name,
                                 policy->containers[i].where, policy->containers + i);
        for (size_t i = 0; i < policy->n_devices && r == 0; i++)
                r = show_section(f, POLICY_SECTION_DEVICE, policy->devices[i].selector.text,
                                 policy->devices[i].where, policy->devices + i);
        if (r == 0 && ferror(f))
                r = -EIO;
        return r;
}
