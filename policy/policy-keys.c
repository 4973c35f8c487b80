/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the sections and keys of a policy mean: one table for each kind of section, one parser for each kind
 * of value. A key that is not in its section's table is an error. A value is parsed even where a later file
 * replaces it, so that nothing wrong goes unseen. */

#include "policy/errors.h"
#include "policy/loader.h"
#include "policy/value.h"

#define VFS_MAX        65535U /* the width of SR-IOV's TotalVFs */
#define PATH_BYTES_MAX 107U   /* what a socket's address holds */
#define ADMIN_GROUP    "vfiobroker-admin"
#define NAME_CHARS     "abcdefghijklmnopqrstuvwxyz0123456789"

typedef struct Key Key;

/* The key at hand. */
typedef struct Context {
        Policy *policy;
        PolicyErrors *errors;
        const Key *key;
        const char *value;
        PolicyWhere where;
} Context;

/* Returns 0, also where it reported that the value is wrong, or -ENOMEM. `field` is set only to a good
 * value. */
typedef int (*KeyParser)(Context *context, void *field);

struct Key {
        const char *name;
        KeyParser parse;
        size_t offset;            /* of the field in the section's struct */
        size_t where;             /* of the PolicyWhere that says where it was set; 0 for none */
        uint64_t max;             /* for numbers */
        unsigned match_key;       /* for match-* */
        const char *const *words; /* for a choice, in the order of its enum */
};

#define bad_value(context, ...)                                                                             \
        policy_errors_add((context)->errors, POLICY_ERROR, (context)->where, __VA_ARGS__)

static int parse_bool(Context *context, void *field)
{
        if (value_bool(context->value, field) < 0)
                bad_value(context, "%s = %.100s: write yes or no", context->key->name, context->value);
        return 0;
}

static int parse_unsigned(Context *context, void *field)
{
        uint64_t value;

        if (value_unsigned(context->value, context->key->max, &value) < 0)
                bad_value(context, "%s = %.100s: write a whole number from 0 to %llu", context->key->name,
                          context->value, (unsigned long long)context->key->max);
        else
                *(unsigned *)field = (unsigned)value;
        return 0;
}

static int parse_size(Context *context, void *field)
{
        int r = value_size(context->value, field);

        if (r == -ERANGE)
                bad_value(context, "%s = %.100s: more bytes than can be counted; write less than 16777216T",
                          context->key->name, context->value);
        else if (r < 0)
                bad_value(context, "%s = %.100s: write bytes as a whole number, with K, M, G or T, as 64M",
                          context->key->name, context->value);
        return 0;
}

static int parse_duration(Context *context, void *field)
{
        if (value_duration(context->value, field) < 0)
                bad_value(context, "%s = %.100s: write a whole number with us, ms, s, min or h, as 10s",
                          context->key->name, context->value);
        return 0;
}

static int parse_choice(Context *context, void *field)
{
        const char *const *words = context->key->words;

        for (unsigned i = 0; words[i]; i++)
                if (streq(words[i], context->value)) {
                        *(unsigned *)field = i;
                        return 0;
                }

        bad_value(context, "%s = %.100s: write %s%s%s%s%s", context->key->name, context->value, words[0],
                  words[2] ? ", " : " or ", words[1], words[2] ? " or " : "", strempty(words[2]));
        return 0;
}

static int parse_budget(Context *context, _unused_ void *field)
{
        PolicyBroker *broker = &context->policy->broker;
        unsigned percent;
        uint64_t bytes;

        if (value_percent(context->value, &percent) == 0) {
                broker->memlock_max_percent = percent;
                broker->memlock_max_bytes = UINT64_MAX;
        } else if (value_size(context->value, &bytes) == 0)
                broker->memlock_max_bytes = bytes;
        else
                bad_value(
                        context,
                        "%s = %.100s: write 0%% to 100%% of RAM, or bytes with K, M, G or T, as 90%% or 64G",
                        context->key->name, context->value);
        return 0;
}

static int parse_rate(Context *context, _unused_ void *field)
{
        PolicyBroker *broker = &context->policy->broker;

        if (value_rate(context->value, &broker->rate_count, &broker->rate_interval_usec) < 0)
                bad_value(context, "%s = %.100s: write calls and a time, both at least 1, as 20/10s",
                          context->key->name, context->value);
        return 0;
}

/* The next word of a list whose items stand between the separators; blanks around it are cut off. */
static char *next_word(char **rest, const char *separators)
{
        char *word = strsep(rest, separators);
        size_t n;

        if (!word)
                return NULL;

        word += strspn(word, " \t");
        n = strlen(word);
        while (n > 0 && strchr(" \t", word[n - 1]))
                word[--n] = '\0';
        return word;
}

static int parse_backends(Context *context, void *field)
{
        _cleanup_free_ char *copy = strdup(context->value);
        unsigned backends = 0;
        char *rest = copy, *word;

        if (!copy)
                return -ENOMEM;

        while ((word = next_word(&rest, " \t,")))
                if (streq(word, "iommufd"))
                        backends |= POLICY_BACKEND_IOMMUFD;
                else if (streq(word, "group"))
                        backends |= POLICY_BACKEND_GROUP;
                else if (*word) {
                        bad_value(context, "%s = %.100s: write iommufd, group or both", context->key->name,
                                  context->value);
                        return 0;
                }

        *(unsigned *)field = backends;
        return 0;
}

static IdRange no_range = { .first = 1, .last = 0 };

static int parse_match(Context *context, void *field)
{
        char error[TENANT_MATCH_ERROR_MAX];
        int r;

        r = tenant_match_parse(&context->policy->arena, field, (TenantMatchKey)context->key->match_key,
                               context->value, error);
        if (r != -EINVAL)
                return r;

        bad_value(context, "%s: %s", context->key->name, error);
        /* it was given, only wrong: nobody has to be told that it is missing */
        ((TenantMatch *)field)->keys[context->key->match_key] =
                (TenantMatchValues){ .ranges = &no_range, .n_ranges = 1 };
        return 0;
}

static int parse_selectors(Context *context, void *field)
{
        _cleanup_free_ char *copy = strdup(context->value);
        Arena *arena = &context->policy->arena;
        SelectorList list = {};
        char error[SELECTOR_ERROR_MAX];
        size_t n = 1;
        char *rest = copy, *word;
        bool bad = false;
        int r;

        if (!copy)
                return -ENOMEM;

        for (const char *p = copy; *p; p++)
                n += *p == ',';
        list.items = arena_alloc(arena, n, sizeof(*list.items));
        if (!list.items)
                return -ENOMEM;

        while (*copy && (word = next_word(&rest, ","))) {
                r = selector_parse(arena, word, context->where, list.items + list.n_items, error);
                if (r == -EINVAL) {
                        bad_value(context, "%s: %s", context->key->name, error);
                        bad = true;
                } else if (r < 0)
                        return r;
                else
                        list.n_items++;
        }

        if (bad && list.n_items == 0)
                list.n_items = 1; /* of no term: it was given, only wrong */
        *(SelectorList *)field = list;
        return 0;
}

static int parse_admin_group(Context *context, _unused_ void *field)
{
        PolicyBroker *broker = &context->policy->broker;
        char error[TENANT_MATCH_ERROR_MAX];
        gid_t gid = (gid_t)-1;
        int r = 0;

        if (*context->value)
                r = tenant_match_lookup_group(context->value, &gid, error);
        if (r == -EINVAL) {
                bad_value(context, "%s: %s", context->key->name, error);
                return 0;
        }
        if (r < 0)
                return r;

        broker->admin_group = arena_strdup(&context->policy->arena, context->value);
        if (!broker->admin_group)
                return -ENOMEM;
        broker->admin_gid = gid;
        return 0;
}

static int parse_driver(Context *context, void *field)
{
        const char *value = context->value;

        if (value[strspn(value, NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-")] ||
            strlen(value) > POLICY_NAME_MAX) {
                bad_value(context, "%s = %.100s: write the name of a driver, as vfio-pci",
                          context->key->name, value);
                return 0;
        }

        *(const char **)field = arena_strdup(&context->policy->arena, value);
        return *(const char **)field ? 0 : -ENOMEM;
}

static int parse_tenant_name(Context *context, void *field)
{
        *(const char **)field = arena_strdup(&context->policy->arena, context->value);
        return *(const char **)field ? 0 : -ENOMEM;
}

static int parse_socket(Context *context, void *field)
{
        const char *value = context->value;
        size_t n = strlen(value);

        if (*value != '/' || value[n - 1] == '/' || strstr(value, "//") || strstr(value, "/../") ||
            strstr(value, "/./") || (n >= 3 && streq(value + n - 3, "/..")) ||
            (n >= 2 && streq(value + n - 2, "/."))) {
                bad_value(
                        context,
                        "%s = %.100s: write an absolute path without . and .., as /run/vfiobroker/NAME.sock",
                        context->key->name, value);
                return 0;
        }
        if (n > PATH_BYTES_MAX) {
                bad_value(
                        context,
                        "%s: the path has more than the %u bytes that a socket's address holds; shorten it",
                        context->key->name, PATH_BYTES_MAX);
                return 0;
        }

        *(const char **)field = arena_strdup(&context->policy->arena, value);
        return *(const char **)field ? 0 : -ENOMEM;
}

static int parse_socket_owner(Context *context, void *field)
{
        PolicyTenant *tenant = field;
        bool group = streq(context->key->name, "socket-group");
        char error[TENANT_MATCH_ERROR_MAX];
        const char *name;
        uint32_t id;
        int r;

        r = group ? tenant_match_lookup_group(context->value, &id, error)
                  : tenant_match_lookup_user(context->value, &id, error);
        if (r == -EINVAL) {
                bad_value(context, "%s: %s", context->key->name, error);
                return 0;
        }
        if (r < 0)
                return r;

        name = arena_strdup(&context->policy->arena, context->value);
        if (!name)
                return -ENOMEM;
        if (group) {
                tenant->socket_group = name;
                tenant->socket_gid = id;
        } else {
                tenant->socket_user = name;
                tenant->socket_uid = id;
        }
        return 0;
}

static int parse_socket_mode(Context *context, void *field)
{
        if (value_mode(context->value, field) < 0)
                bad_value(context, "%s = %.100s: write an octal mode from 0000 to 0777, as 0660",
                          context->key->name, context->value);
        return 0;
}

static const char *const reset_words[] = { "required", "best-effort", "none", NULL };
static const char *const on_release_words[] = { "keep", "restore", NULL };
static const char *const container_backend_words[] = { "auto", "iommufd", "group", NULL };
static const char *const revoke_words[] = { "kill", "kill-unit", "never", NULL };

static const char *word_of(const char *const *words, size_t n, size_t i)
{
        return i < n ? words[i] : NULL;
}

const char *policy_reset_to_string(PolicyReset reset)
{
        return word_of(reset_words, _POLICY_RESET_MAX, reset);
}

const char *policy_on_release_to_string(PolicyOnRelease on_release)
{
        return word_of(on_release_words, _POLICY_ON_RELEASE_MAX, on_release);
}

const char *policy_revoke_to_string(PolicyRevoke revoke)
{
        return word_of(revoke_words, _POLICY_REVOKE_MAX, revoke);
}

/* A field and the place where it was set. */
#define FIELD(type, field) .offset = offsetof(type, field)
#define WHERE(type, field) .where = offsetof(type, field)

static const Key broker_keys[] = {
        { "admin-group", parse_admin_group },
        { "memlock-max", parse_budget, WHERE(PolicyBroker, memlock_max_where) },
        { "backends", parse_backends, FIELD(PolicyBroker, backends), WHERE(PolicyBroker, backends_where) },
        { "unsafe-interrupts", parse_bool, FIELD(PolicyBroker, unsafe_interrupts),
          WHERE(PolicyBroker, unsafe_interrupts_where) },
        { "noiommu", parse_bool, FIELD(PolicyBroker, noiommu), WHERE(PolicyBroker, noiommu_where) },
        { "revoke-grace", parse_duration, FIELD(PolicyBroker, revoke_grace_usec) },
        { "rate", parse_rate },
};

static const Key tenant_keys[] = {
        { "match-user", parse_match, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_USER },
        { "match-group", parse_match, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_GROUP },
        { "match-unit", parse_match, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_UNIT },
        { "match-slice", parse_match, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_SLICE },
        { "match-machine", parse_match, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_MACHINE },
        { "match-label", parse_match, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_LABEL },
        { "devices", parse_selectors, FIELD(PolicyTenant, devices) },
        { "deny-devices", parse_selectors, FIELD(PolicyTenant, deny_devices) },
        { "devices-max", parse_unsigned, FIELD(PolicyTenant, devices_max),
          WHERE(PolicyTenant, devices_max_where), .max = UINT32_MAX - 1 },
        { "leases-max", parse_unsigned, FIELD(PolicyTenant, leases_max),
          WHERE(PolicyTenant, leases_max_where), .max = UINT32_MAX - 1 },
        { "memlock-max", parse_size, FIELD(PolicyTenant, memlock_max),
          WHERE(PolicyTenant, memlock_max_where) },
        { "memlock-default", parse_size, FIELD(PolicyTenant, memlock_default) },
        { "memlock-slack", parse_size, FIELD(PolicyTenant, memlock_slack) },
        { "backends", parse_backends, FIELD(PolicyTenant, backends), WHERE(PolicyTenant, backends_where) },
        { "allow-ipc-lock", parse_bool, FIELD(PolicyTenant, allow_ipc_lock) },
        { "allow-on-behalf", parse_bool, FIELD(PolicyTenant, allow_on_behalf) },
        { "share-containers", parse_bool, FIELD(PolicyTenant, share_containers) },
        { "reset", parse_choice, FIELD(PolicyTenant, reset), .words = reset_words },
        { "on-release", parse_choice, FIELD(PolicyTenant, on_release), .words = on_release_words },
        { "linger", parse_duration, FIELD(PolicyTenant, linger_usec) },
        { "revoke", parse_choice, FIELD(PolicyTenant, revoke), .words = revoke_words },
        { "socket", parse_socket, FIELD(PolicyTenant, socket), WHERE(PolicyTenant, socket_where) },
        { "socket-user", parse_socket_owner },
        { "socket-group", parse_socket_owner },
        { "socket-mode", parse_socket_mode, FIELD(PolicyTenant, socket_mode) },
};

static const Key pool_keys[] = {
        { "devices", parse_selectors, FIELD(PolicyPool, devices) },
};

static const Key container_keys[] = {
        { "tenant", parse_tenant_name, FIELD(PolicyContainer, tenant),
          WHERE(PolicyContainer, tenant_where) },
        { "backend", parse_choice, FIELD(PolicyContainer, backend), .words = container_backend_words },
};

static const Key device_keys[] = {
        { "driver", parse_driver, FIELD(PolicyDevice, driver) },
        { "force-unbind", parse_bool, FIELD(PolicyDevice, force_unbind) },
        { "virtual-functions", parse_unsigned, FIELD(PolicyDevice, virtual_functions), .max = VFS_MAX },
};

typedef enum SectionKind {
        SECTION_BROKER,
        SECTION_TENANT,
        SECTION_POOL,
        SECTION_DEVICE,
        SECTION_CONTAINER,
        _SECTION_MAX,
} SectionKind;

static const char *const section_names[] = { "broker", "tenant", "pool", "device", "container" };

static const struct {
        const Key *keys;
        size_t n_keys;
} sections[] = {
        [SECTION_BROKER] = { broker_keys, ELEMENTSOF(broker_keys) },
        [SECTION_TENANT] = { tenant_keys, ELEMENTSOF(tenant_keys) },
        [SECTION_POOL] = { pool_keys, ELEMENTSOF(pool_keys) },
        [SECTION_DEVICE] = { device_keys, ELEMENTSOF(device_keys) },
        [SECTION_CONTAINER] = { container_keys, ELEMENTSOF(container_keys) },
};

static const Key *find_key(SectionKind kind, const char *name)
{
        for (size_t i = 0; i < sections[kind].n_keys; i++)
                if (streq(sections[kind].keys[i].name, name))
                        return sections[kind].keys + i;
        return NULL;
}

static void unknown_key(PolicyErrors *errors, SectionKind kind, const IniEntry *entry, PolicyWhere where)
{
        const char *names[ELEMENTSOF(tenant_keys)];
        const char *nearest;

        for (size_t i = 0; i < sections[kind].n_keys; i++)
                names[i] = sections[kind].keys[i].name;

        nearest = policy_nearest(entry->key, names, sections[kind].n_keys);
        if (nearest) {
                policy_errors_add(errors, POLICY_ERROR, where, "[%s] has no key \"%s\"; did you mean %s?",
                                  section_names[kind], entry->key, nearest);
                return;
        }

        for (unsigned other = 0; other < _SECTION_MAX; other++)
                if (find_key((SectionKind)other, entry->key)) {
                        policy_errors_add(errors, POLICY_ERROR, where,
                                          "[%s] has no key \"%s\"; it belongs into a [%s] section",
                                          section_names[kind], entry->key, section_names[other]);
                        return;
                }
        policy_errors_add(errors, POLICY_ERROR, where,
                          "[%s] has no key \"%s\"; see vfiobroker.conf(5), or take it out",
                          section_names[kind], entry->key);
}

/* May this key be left empty, which takes away what an earlier file said? */
static bool may_be_empty(const Key *key)
{
        return key->parse == parse_match || key->parse == parse_selectors || key->parse == parse_admin_group;
}

static int apply_entries(Policy *policy, PolicyErrors *errors, SectionKind kind, const char *file,
                         const IniSection *section, void *target)
{
        for (size_t i = 0; i < section->n_entries; i++) {
                const IniEntry *entry = section->entries + i;
                Context context = {
                        .policy = policy,
                        .errors = errors,
                        .value = entry->value,
                        .where = { file, entry->line },
                };
                int r;

                context.key = find_key(kind, entry->key);
                if (!context.key) {
                        unknown_key(errors, kind, entry, context.where);
                        continue;
                }
                if (*entry->value == '\0' && !may_be_empty(context.key)) {
                        bad_value(&context,
                                  "%s has no value; write one, or take the line out for the default",
                                  entry->key);
                        continue;
                }

                r = context.key->parse(&context, (char *)target + context.key->offset);
                if (r < 0)
                        return r;
                if (context.key->where)
                        *(PolicyWhere *)((char *)target + context.key->where) = context.where;
        }
        return 0;
}

/* One section of one file, with its place in the order of reading. */
typedef struct Part {
        SectionKind kind;
        const char *file;
        const IniSection *section;
        size_t order;
        size_t first; /* order of the first part with the same name: what sorts the whole */
} Part;

static int compare_names(const void *a, const void *b)
{
        const Part *x = a, *y = b;
        int r;

        if (x->kind != y->kind)
                return x->kind < y->kind ? -1 : 1;
        r = strcmp(x->section->name, y->section->name);
        if (r != 0)
                return r;
        return x->order < y->order ? -1 : x->order > y->order;
}

static int compare_order(const void *a, const void *b)
{
        const Part *x = a, *y = b;

        if (x->first != y->first)
                return x->first < y->first ? -1 : 1;
        return x->order < y->order ? -1 : x->order > y->order;
}

static bool same_section(const Part *a, const Part *b)
{
        return a->kind == b->kind && streq(a->section->name, b->section->name);
}

/* Is the header one of ours, with a name where one is due? */
static bool check_header(PolicyErrors *errors, const char *file, const IniSection *section,
                         SectionKind *ret_kind)
{
        PolicyWhere where = { file, section->line };
        const char *name = section->name, *nearest;
        unsigned kind = 0;

        while (kind < _SECTION_MAX && !streq(section->kind, section_names[kind]))
                kind++;
        if (kind == _SECTION_MAX) {
                nearest = policy_nearest(section->kind, section_names, _SECTION_MAX);
                policy_errors_add(
                        errors, POLICY_ERROR, where,
                        "there is no section [%.100s]; %s%s%swrite [broker], [tenant NAME], [pool NAME], "
                        "[container NAME] or [device SELECTOR]",
                        section->kind, nearest ? "did you mean " : "", strempty(nearest),
                        nearest ? "? " : "");
                return false;
        }

        *ret_kind = (SectionKind)kind;
        if (kind == SECTION_BROKER) {
                if (*name)
                        policy_errors_add(errors, POLICY_ERROR, where,
                                          "[broker %.100s]: there is one broker; write [broker]", name);
                return !*name;
        }
        if (*name == '\0') {
                policy_errors_add(errors, POLICY_ERROR, where, "[%s] of what? write [%s %s]", section->kind,
                                  section->kind, kind == SECTION_DEVICE ? "SELECTOR" : "NAME");
                return false;
        }
        if (kind == SECTION_DEVICE)
                return true;
        if (name[strspn(name, NAME_CHARS "_.-")] || !strchr(NAME_CHARS, *name) ||
            strlen(name) > POLICY_NAME_MAX) {
                policy_errors_add(errors, POLICY_ERROR, where,
                                  "\"%.100s\" cannot name a %s: use at most %u small letters, digits, dots, "
                                  "dashes and "
                                  "underscores, a letter or digit first",
                                  name, section->kind, POLICY_NAME_MAX);
                return false;
        }
        return true;
}

static int broker_defaults(Policy *policy)
{
        PolicyBroker *broker = &policy->broker;
        char error[TENANT_MATCH_ERROR_MAX];
        int r;

        *broker = (PolicyBroker){
                .admin_group = ADMIN_GROUP,
                .admin_gid = (gid_t)-1,
                .memlock_max_bytes = UINT64_MAX,
                .memlock_max_percent = 90,
                .backends = POLICY_BACKEND_ALL,
                .revoke_grace_usec = 10 * USEC_PER_SEC,
                .rate_count = 20,
                .rate_interval_usec = 10 * USEC_PER_SEC,
        };

        /* where the package's group was not made, only uid 0 administers */
        r = tenant_match_lookup_group(ADMIN_GROUP, &broker->admin_gid, error);
        return r == -EINVAL ? 0 : r;
}

/* Starts the section's struct; ret_target is where its keys go. */
static int start_section(Policy *policy, PolicyErrors *errors, const Part *part, void **ret_target)
{
        PolicyWhere where = { part->file, part->section->line };
        char error[SELECTOR_ERROR_MAX];
        char *name = arena_strdup(&policy->arena, part->section->name);
        PolicyDevice *device;
        PolicyTenant *tenant;
        PolicyContainer *container;
        PolicyPool *pool;
        int r;

        if (!name)
                return -ENOMEM;

        switch (part->kind) {
        case SECTION_TENANT:
                tenant = policy->tenants + policy->n_tenants++;
                *tenant = (PolicyTenant){
                        .name = name,
                        .where = where,
                        .devices_max = UINT_MAX,
                        .leases_max = UINT_MAX,
                        .memlock_max = UINT64_MAX,
                        .memlock_slack = POLICY_SLACK_DEFAULT,
                        .share_containers = true,
                        .socket_mode = 0600,
                };
                *ret_target = tenant;
                return 0;
        case SECTION_POOL:
                pool = policy->pools + policy->n_pools++;
                *pool = (PolicyPool){ .name = name, .where = where };
                *ret_target = pool;
                return 0;
        case SECTION_CONTAINER:
                container = policy->containers + policy->n_containers++;
                *container = (PolicyContainer){ .name = name, .where = where };
                *ret_target = container;
                return 0;
        case SECTION_DEVICE:
                device = policy->devices + policy->n_devices++;
                *device = (PolicyDevice){ .where = where, .virtual_functions = -1 };
                r = selector_parse(&policy->arena, name, where, &device->selector, error);
                if (r == -EINVAL)
                        policy_errors_add(errors, POLICY_ERROR, where, "[device]: %s", error);
                else if (r < 0)
                        return r;
                *ret_target = device;
                return 0;
        default:
                policy->broker.where = where;
                *ret_target = &policy->broker;
                return 0;
        }
}

static int apply_parts(Policy *policy, PolicyErrors *errors, Part *parts, size_t n_parts)
{
        Arena *arena = &policy->arena;
        size_t n[_SECTION_MAX] = {};
        void *target = &policy->broker; /* each first part sets it */
        int r;

        qsort(parts, n_parts, sizeof(*parts), compare_names);
        for (size_t i = 0; i < n_parts; i++) {
                Part *part = parts + i;
                bool again = i > 0 && same_section(part - 1, part);

                part->first = again ? part[-1].first : part->order;
                n[part->kind] += !again;
                if (again && part->file == part[-1].file)
                        policy_errors_add(
                                errors, POLICY_ERROR, (PolicyWhere){ part->file, part->section->line },
                                "the section [%s%s%.100s] is in line %u already; put both into one",
                                part->section->kind, *part->section->name ? " " : "", part->section->name,
                                part[-1].section->line);
        }
        qsort(parts, n_parts, sizeof(*parts), compare_order);

        policy->tenants = arena_alloc(arena, n[SECTION_TENANT], sizeof(*policy->tenants));
        policy->pools = arena_alloc(arena, n[SECTION_POOL], sizeof(*policy->pools));
        policy->devices = arena_alloc(arena, n[SECTION_DEVICE], sizeof(*policy->devices));
        policy->containers = arena_alloc(arena, n[SECTION_CONTAINER], sizeof(*policy->containers));
        if (!policy->tenants || !policy->pools || !policy->devices || !policy->containers)
                return -ENOMEM;

        for (size_t i = 0; i < n_parts; i++) {
                const Part *part = parts + i;

                if (part->first == part->order) {
                        r = start_section(policy, errors, part, &target);
                        if (r < 0)
                                return r;
                }
                r = apply_entries(policy, errors, part->kind, part->file, part->section, target);
                if (r < 0)
                        return r;
        }
        return 0;
}

int policy_apply(Policy *policy, const IniFile *files, size_t n_files, PolicyErrors *errors)
{
        _cleanup_free_ Part *parts = NULL;
        size_t n_sections = 0, n_parts = 0;
        int r;

        r = broker_defaults(policy);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_files; i++)
                n_sections += files[i].n_sections;
        parts = calloc(n_sections + 1, sizeof(*parts));
        if (!parts)
                return -ENOMEM;

        for (size_t i = 0; i < n_files; i++)
                for (size_t j = 0; j < files[i].n_sections; j++) {
                        Part *part = parts + n_parts;

                        *part = (Part){
                                .file = files[i].name,
                                .section = files[i].sections + j,
                                .order = n_parts,
                        };
                        if (check_header(errors, part->file, part->section, &part->kind))
                                n_parts++;
                }
        return apply_parts(policy, errors, parts, n_parts);
}
