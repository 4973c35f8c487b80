/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the keys of a policy mean: one table for each kind of section, one parser for each type of value. */

#include "policy/errors.h"
#include "policy/keys.h"
#include "policy/value.h"

#define VFS_MAX        65535U /* the width of SR-IOV's TotalVFs */
#define PATH_BYTES_MAX 107U   /* what a socket's address holds */

/* The key at hand. */
typedef struct Context {
        Policy *policy;
        PolicyErrors *errors;
        const PolicyKey *key;
        const char *value;
        PolicyWhere where;
} Context;

/* As policy_key_parse(). */
typedef int (*KeyParser)(Context *context, void *field);

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
        TenantMatchValues *values = ((TenantMatch *)field)->keys + context->key->match_key;
        char error[TENANT_MATCH_ERROR_MAX];
        int r;

        r = tenant_match_parse(&context->policy->arena, field, (TenantMatchKey)context->key->match_key,
                               context->value, error);
        if (r < 0 && r != -EINVAL)
                return r;
        if (r < 0) {
                bad_value(context, "%s: %s", context->key->name, error);
                /* it was given, only wrong: nobody has to be told that it is missing */
                *values = (TenantMatchValues){ .ranges = &no_range, .n_ranges = 1 };
        }

        values->where = context->where;
        values->text = arena_strdup(&context->policy->arena, context->value);
        return values->text ? 0 : -ENOMEM;
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

        if (value[strspn(value, POLICY_NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-")] ||
            strlen(value) > POLICY_NAME_MAX) {
                bad_value(context, "%s = %.100s: write the name of a driver, as vfio-pci",
                          context->key->name, value);
                return 0;
        }

        *(const char **)field = arena_strdup(&context->policy->arena, value);
        return *(const char **)field ? 0 : -ENOMEM;
}

static int parse_name(Context *context, void *field)
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
            streq(value + n - 2, "/.")) { /* by now there are two bytes */
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
        bool group = context->key->type == KEY_SOCKET_GROUP;
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
        PolicyTenant *tenant = field;

        if (value_mode(context->value, &tenant->socket_mode) < 0)
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

static const PolicyKey broker_keys[] = {
        { "admin-group", KEY_ADMIN_GROUP },
        { "memlock-max", KEY_BUDGET, WHERE(PolicyBroker, memlock_max_where) },
        { "backends", KEY_BACKENDS, FIELD(PolicyBroker, backends), WHERE(PolicyBroker, backends_where) },
        { "unsafe-interrupts", KEY_BOOL, FIELD(PolicyBroker, unsafe_interrupts),
          WHERE(PolicyBroker, unsafe_interrupts_where) },
        { "noiommu", KEY_BOOL, FIELD(PolicyBroker, noiommu), WHERE(PolicyBroker, noiommu_where) },
        { "revoke-grace", KEY_DURATION, FIELD(PolicyBroker, revoke_grace_usec) },
        { "rate", KEY_RATE },
};

static const PolicyKey tenant_keys[] = {
        { "match-user", KEY_MATCH, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_USER },
        { "match-group", KEY_MATCH, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_GROUP },
        { "match-unit", KEY_MATCH, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_UNIT },
        { "match-slice", KEY_MATCH, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_SLICE },
        { "match-machine", KEY_MATCH, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_MACHINE },
        { "match-label", KEY_MATCH, FIELD(PolicyTenant, match), .match_key = TENANT_MATCH_LABEL },
        { "devices", KEY_SELECTORS, FIELD(PolicyTenant, devices) },
        { "deny-devices", KEY_SELECTORS, FIELD(PolicyTenant, deny_devices) },
        { "devices-max", KEY_UNSIGNED, FIELD(PolicyTenant, devices_max),
          WHERE(PolicyTenant, devices_max_where), .max = UINT32_MAX - 1 },
        { "leases-max", KEY_UNSIGNED, FIELD(PolicyTenant, leases_max), WHERE(PolicyTenant, leases_max_where),
          .max = UINT32_MAX - 1 },
        { "memlock-max", KEY_SIZE, FIELD(PolicyTenant, memlock_max),
          WHERE(PolicyTenant, memlock_max_where) },
        { "memlock-default", KEY_SIZE, FIELD(PolicyTenant, memlock_default) },
        { "memlock-slack", KEY_SIZE, FIELD(PolicyTenant, memlock_slack) },
        { "backends", KEY_BACKENDS, FIELD(PolicyTenant, backends), WHERE(PolicyTenant, backends_where) },
        { "allow-ipc-lock", KEY_BOOL, FIELD(PolicyTenant, allow_ipc_lock) },
        { "allow-on-behalf", KEY_BOOL, FIELD(PolicyTenant, allow_on_behalf) },
        { "share-containers", KEY_BOOL, FIELD(PolicyTenant, share_containers) },
        { "reset", KEY_CHOICE, FIELD(PolicyTenant, reset), .words = reset_words },
        { "on-release", KEY_CHOICE, FIELD(PolicyTenant, on_release), .words = on_release_words },
        { "linger", KEY_DURATION, FIELD(PolicyTenant, linger_usec) },
        { "revoke", KEY_CHOICE, FIELD(PolicyTenant, revoke), .words = revoke_words },
        { "socket", KEY_SOCKET, FIELD(PolicyTenant, socket), WHERE(PolicyTenant, socket_where) },
        { "socket-user", KEY_SOCKET_USER },
        { "socket-group", KEY_SOCKET_GROUP },
        { "socket-mode", KEY_MODE },
};

static const PolicyKey pool_keys[] = {
        { "devices", KEY_SELECTORS, FIELD(PolicyPool, devices) },
};

static const PolicyKey container_keys[] = {
        { "tenant", KEY_NAME, FIELD(PolicyContainer, tenant), WHERE(PolicyContainer, tenant_where) },
        { "backend", KEY_CHOICE, FIELD(PolicyContainer, backend), .words = container_backend_words },
};

static const PolicyKey device_keys[] = {
        { "driver", KEY_DRIVER, FIELD(PolicyDevice, driver) },
        { "force-unbind", KEY_BOOL, FIELD(PolicyDevice, force_unbind) },
        { "virtual-functions", KEY_UNSIGNED, FIELD(PolicyDevice, virtual_functions), .max = VFS_MAX },
};

#define SECTION(type, table) .keys = (table), .n_keys = ELEMENTSOF(table), .said = offsetof(type, said)

const PolicySection policy_sections[_POLICY_SECTION_MAX] = {
        [POLICY_SECTION_BROKER] = { .name = "broker", SECTION(PolicyBroker, broker_keys) },
        [POLICY_SECTION_TENANT] = { .name = "tenant", SECTION(PolicyTenant, tenant_keys) },
        [POLICY_SECTION_POOL] = { .name = "pool", SECTION(PolicyPool, pool_keys) },
        [POLICY_SECTION_DEVICE] = { .name = "device", SECTION(PolicyDevice, device_keys) },
        [POLICY_SECTION_CONTAINER] = { .name = "container", SECTION(PolicyContainer, container_keys) },
};

_Static_assert(ELEMENTSOF(tenant_keys) <= POLICY_KEYS_MAX, "the longest table");

static const KeyParser parsers[_KEY_TYPE_MAX] = {
        [KEY_BOOL] = parse_bool,
        [KEY_UNSIGNED] = parse_unsigned,
        [KEY_SIZE] = parse_size,
        [KEY_DURATION] = parse_duration,
        [KEY_CHOICE] = parse_choice,
        [KEY_BUDGET] = parse_budget,
        [KEY_RATE] = parse_rate,
        [KEY_BACKENDS] = parse_backends,
        [KEY_MATCH] = parse_match,
        [KEY_SELECTORS] = parse_selectors,
        [KEY_ADMIN_GROUP] = parse_admin_group,
        [KEY_NAME] = parse_name,
        [KEY_DRIVER] = parse_driver,
        [KEY_SOCKET] = parse_socket,
        [KEY_SOCKET_USER] = parse_socket_owner,
        [KEY_SOCKET_GROUP] = parse_socket_owner,
        [KEY_MODE] = parse_socket_mode,
};

int policy_key_parse(Policy *policy, PolicyErrors *errors, const PolicyKey *key, const char *value,
                     PolicyWhere where, void *section)
{
        Context context = { .policy = policy, .errors = errors, .key = key, .value = value, .where = where };

        return parsers[key->type](&context, (char *)section + key->offset);
}

bool policy_key_may_be_empty(const PolicyKey *key)
{
        return key->type == KEY_MATCH || key->type == KEY_SELECTORS || key->type == KEY_ADMIN_GROUP;
}
