/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From the sections of the files to those of the policy: the same section of several files becomes one, whose keys the
 * last file that has them gives. A key that is not in its section's table is an error. A value is parsed even where a
 * later file replaces it, so that nothing wrong goes unseen. */

#include "policy/errors.h"
#include "policy/keys.h"
#include "policy/loader.h"

static const PolicyKey *find_key(PolicySectionKind kind, const char *name)
{
        for (size_t i = 0; i < policy_sections[kind].n_keys; i++)
                if (streq(policy_sections[kind].keys[i].name, name))
                        return policy_sections[kind].keys + i;
        return NULL;
}

static void unknown_key(PolicyErrors *errors, PolicySectionKind kind, const IniEntry *entry,
                        PolicyWhere where)
{
        const char *names[POLICY_KEYS_MAX];
        const char *nearest;

        for (size_t i = 0; i < policy_sections[kind].n_keys; i++)
                names[i] = policy_sections[kind].keys[i].name;

        nearest = policy_nearest(entry->key, names, policy_sections[kind].n_keys);
        if (nearest) {
                policy_errors_add(errors, POLICY_ERROR, where, "[%s] has no key \"%s\"; did you mean %s?",
                                  policy_sections[kind].name, entry->key, nearest);
                return;
        }

        for (unsigned other = 0; other < _POLICY_SECTION_MAX; other++)
                if (find_key((PolicySectionKind)other, entry->key)) {
                        policy_errors_add(errors, POLICY_ERROR, where,
                                          "[%s] has no key \"%s\"; it belongs into a [%s] section",
                                          policy_sections[kind].name, entry->key,
                                          policy_sections[other].name);
                        return;
                }
        policy_errors_add(errors, POLICY_ERROR, where,
                          "[%s] has no key \"%s\"; see vfiobroker.conf(5), or take it out",
                          policy_sections[kind].name, entry->key);
}

static int apply_entries(Policy *policy, PolicyErrors *errors, PolicySectionKind kind, const char *file,
                         const IniSection *section, void *target)
{
        PolicyWhere *said = (PolicyWhere *)((char *)target + policy_sections[kind].said);

        for (size_t i = 0; i < section->n_entries; i++) {
                const IniEntry *entry = section->entries + i;
                const PolicyKey *key = find_key(kind, entry->key);
                PolicyWhere where = { file, entry->line };
                int r;

                if (!key) {
                        unknown_key(errors, kind, entry, where);
                        continue;
                }
                if (*entry->value == '\0' && !policy_key_may_be_empty(key)) {
                        policy_errors_add(errors, POLICY_ERROR, where,
                                          "%s has no value; write one, or take the line out for the default",
                                          entry->key);
                        continue;
                }

                r = policy_key_parse(policy, errors, key, entry->value, where, target);
                if (r < 0)
                        return r;
                said[key - policy_sections[kind].keys] = where;
                if (key->where)
                        *(PolicyWhere *)((char *)target + key->where) = where;
        }
        return 0;
}

PolicyWhere policy_tenant_said(const PolicyTenant *tenant, const char *key)
{
        const PolicyKey *keys = policy_sections[POLICY_SECTION_TENANT].keys;
        size_t i = 0;

        while (!streq(keys[i].name, key))
                i++;
        return tenant->said[i].file ? tenant->said[i] : tenant->where;
}

/* One section of one file, with its place in the order of reading. */
typedef struct Part {
        PolicySectionKind kind;
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
        return (x->order > y->order) - (x->order < y->order);
}

static int compare_order(const void *a, const void *b)
{
        const Part *x = a, *y = b;

        if (x->first != y->first)
                return x->first < y->first ? -1 : 1;
        return (x->order > y->order) - (x->order < y->order);
}

static bool same_section(const Part *a, const Part *b)
{
        return a->kind == b->kind && streq(a->section->name, b->section->name);
}

/* Is the header one of ours, with a name where one is due? */
static bool check_header(PolicyErrors *errors, const char *file, const IniSection *section,
                         PolicySectionKind *ret_kind)
{
        PolicyWhere where = { file, section->line };
        const char *name = section->name, *names[_POLICY_SECTION_MAX], *nearest;
        unsigned kind = 0;

        for (unsigned i = 0; i < _POLICY_SECTION_MAX; i++)
                names[i] = policy_sections[i].name;

        while (kind < _POLICY_SECTION_MAX && !streq(section->kind, names[kind]))
                kind++;
        if (kind == _POLICY_SECTION_MAX) {
                nearest = policy_nearest(section->kind, names, _POLICY_SECTION_MAX);
                policy_errors_add(
                        errors, POLICY_ERROR, where,
                        "there is no section [%.100s]; %s%s%swrite [broker], [tenant NAME], [pool NAME], "
                        "[container NAME] or [device SELECTOR]",
                        section->kind, nearest ? "did you mean " : "", strempty(nearest),
                        nearest ? "? " : "");
                return false;
        }

        *ret_kind = (PolicySectionKind)kind;
        if (kind == POLICY_SECTION_BROKER) {
                if (*name)
                        policy_errors_add(errors, POLICY_ERROR, where,
                                          "[broker %.100s]: there is one broker; write [broker]", name);
                return !*name;
        }
        if (*name == '\0') {
                policy_errors_add(errors, POLICY_ERROR, where, "[%s] of what? write [%s %s]", section->kind,
                                  section->kind, kind == POLICY_SECTION_DEVICE ? "SELECTOR" : "NAME");
                return false;
        }
        if (kind == POLICY_SECTION_DEVICE)
                return true;
        if (name[strspn(name, POLICY_NAME_CHARS "_.-")] || !strchr(POLICY_NAME_CHARS, *name) ||
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
                .admin_group = POLICY_ADMIN_GROUP,
                .admin_gid = (gid_t)-1,
                .memlock_max_bytes = UINT64_MAX,
                .memlock_max_percent = 90,
                .backends = POLICY_BACKEND_ALL,
                .revoke_grace_usec = 10 * USEC_PER_SEC,
                .rate_count = 20,
                .rate_interval_usec = 10 * USEC_PER_SEC,
        };

        /* where the package's group was not made, only uid 0 administers */
        r = tenant_match_lookup_group(POLICY_ADMIN_GROUP, &broker->admin_gid, error);
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
        case POLICY_SECTION_TENANT:
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
        case POLICY_SECTION_POOL:
                pool = policy->pools + policy->n_pools++;
                *pool = (PolicyPool){ .name = name, .where = where };
                *ret_target = pool;
                return 0;
        case POLICY_SECTION_CONTAINER:
                container = policy->containers + policy->n_containers++;
                *container = (PolicyContainer){ .name = name, .where = where };
                *ret_target = container;
                return 0;
        case POLICY_SECTION_DEVICE:
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
        size_t n[_POLICY_SECTION_MAX] = {};
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

        policy->tenants = arena_alloc(arena, n[POLICY_SECTION_TENANT], sizeof(*policy->tenants));
        policy->pools = arena_alloc(arena, n[POLICY_SECTION_POOL], sizeof(*policy->pools));
        policy->devices = arena_alloc(arena, n[POLICY_SECTION_DEVICE], sizeof(*policy->devices));
        policy->containers = arena_alloc(arena, n[POLICY_SECTION_CONTAINER], sizeof(*policy->containers));
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
