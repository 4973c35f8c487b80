/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading, completing and freeing of records by their tables. Runs on the one thread of its connection. */

#include "client-lib/record.h"

static void *member_at(void *record, size_t offset)
{
        return (char *)record + offset;
}

static char **strv_free(char **strv)
{
        if (strv)
                for (size_t i = 0; strv[i]; i++)
                        free(strv[i]);
        free(strv);
        return NULL;
}

DEFINE_CLEANUP(char **, strv_free)

/* Puts a string that is the member's from now on in the place of one that may have come before. */
static void give_string(void *record, size_t offset, char *value)
{
        char **member = member_at(record, offset);

        free(*member);
        *member = value;
}

static int set_string(void *record, size_t offset, const char *value)
{
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        give_string(record, offset, copy);
        return 0;
}

static int set_id(void *record, size_t offset, const char *path, const char *prefix)
{
        char *id;
        int r;

        r = path_to_id(*path ? path : "/", prefix, &id);
        if (r < 0)
                return r;
        give_string(record, offset, id);
        return 0;
}

/* Of "TENANT/NAME", where the slash is part of one encoded label. */
static int set_container(void *record, size_t offset, const char *path)
{
        _cleanup_free_ char *id = NULL;
        const char *slash;
        int r;

        r = path_to_id(path, BROKER_CONTAINER_PREFIX, &id);
        if (r < 0)
                return r;

        slash = strrchr(id, '/');
        return set_string(record, offset, slash ? slash + 1 : id);
}

static int path_to_group(const char *path, int64_t *ret)
{
        _cleanup_free_ char *number = NULL;
        unsigned long long group;
        char *end;
        int r;

        r = path_to_id(path, BROKER_GROUP_PREFIX, &number);
        if (r < 0)
                return r;

        if (!*number) {
                *ret = -1;
                return 0;
        }

        errno = 0;
        group = strtoull(number, &end, 10);
        if (errno != 0 || *end || group > UINT32_MAX)
                return -EBADMSG;
        *ret = (int64_t)group;
        return 0;
}

static int read_group(sd_bus_message *m, char type, int64_t *ret)
{
        const char *path;
        uint32_t number;
        int r;

        if (type == 'o') {
                r = sd_bus_message_read_basic(m, 'o', &path);
                return r < 0 ? r : path_to_group(path, ret);
        }

        r = sd_bus_message_read_basic(m, 'u', &number);
        if (r < 0)
                return r;
        *ret = number == UINT32_MAX ? -1 : (int64_t)number;
        return 0;
}

/* Reads `as`, or with a prefix `ao`, into a new array. */
static int read_strv(sd_bus_message *m, char type, const char *prefix, char ***ret)
{
        _cleanup_(strv_freep) char **strv = NULL;
        const char contents[] = { type, '\0' };
        const char *value;
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', contents);
        if (r < 0)
                return r;

        strv = calloc(1, sizeof(char *));
        if (!strv)
                return -ENOMEM;

        while ((r = sd_bus_message_read_basic(m, type, &value)) > 0) {
                char **more = reallocarray(strv, n + 2, sizeof(char *));

                if (!more)
                        return -ENOMEM;
                strv = more;
                strv[n] = strv[n + 1] = NULL;

                r = prefix ? set_id(strv, n * sizeof(char *), value, prefix)
                           : set_string(strv, n * sizeof(char *), value);
                if (r < 0)
                        return r;
                n++;
        }
        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(strv);
        return 0;
}

static void ranges_free(struct vfiobroker_range *ranges, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free((char *)ranges[i].type);
        free(ranges);
}

/* One more row of an array that grows; 0 at the end. */
static int read_range(sd_bus_message *m, const char *row, struct vfiobroker_range **ranges, size_t *n)
{
        struct vfiobroker_range range = { .type = "" }, *more;
        int r;

        r = streq(row, "(tt)") ? sd_bus_message_read(m, row, &range.start, &range.end)
                               : sd_bus_message_read(m, row, &range.start, &range.end, &range.type);
        if (r <= 0)
                return r;

        more = reallocarray(*ranges, *n + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        *ranges = more;

        range.type = strdup(range.type);
        if (!range.type)
                return -ENOMEM;
        more[(*n)++] = range;
        return 1;
}

static int read_ranges(sd_bus_message *m, const Field *field, void *record)
{
        struct vfiobroker_range *ranges = NULL, **member = member_at(record, field->offset);
        size_t n = 0, *n_member = member_at(record, field->more);
        const char *row = field->signature + 1;
        int r;

        r = sd_bus_message_enter_container(m, 'a', row);
        if (r < 0)
                return r;

        while ((r = read_range(m, row, &ranges, &n)) > 0)
                ;
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0) {
                ranges_free(ranges, n);
                return r;
        }

        ranges_free(*member, *n_member);
        *member = ranges;
        *n_member = n;
        return 0;
}

static int read_field(sd_bus_message *m, const Field *field, void *record)
{
        void *member = member_at(record, field->offset);
        char type = field->signature[0];
        const char *s;
        char **strv;
        int r;

        switch (field->type) {
        case FIELD_U16:
        case FIELD_U32:
        case FIELD_I32:
        case FIELD_U64:
        case FIELD_BOOL: return sd_bus_message_read_basic(m, type, member);

        case FIELD_STRING:
                r = sd_bus_message_read_basic(m, type, &s);
                return r < 0 ? r : set_string(record, field->offset, s);

        case FIELD_ID:
                r = sd_bus_message_read_basic(m, type, &s);
                return r < 0 ? r : set_id(record, field->offset, s, field->prefix);

        case FIELD_CONTAINER:
                r = sd_bus_message_read_basic(m, type, &s);
                return r < 0 ? r : set_container(record, field->offset, s);

        case FIELD_PATH:
                r = sd_bus_message_read_basic(m, type, &s);
                if (r < 0)
                        return r;
                r = set_id(record, field->more, s, field->prefix);
                return r < 0 ? r : set_string(record, field->offset, s);

        case FIELD_GROUP: return read_group(m, type, member);

        case FIELD_STRV:
        case FIELD_IDS:
                r = read_strv(m, field->signature[1], field->prefix, &strv);
                if (r < 0)
                        return r;
                strv_free(*(char ***)member);
                *(char ***)member = strv;
                return 0;

        case FIELD_RANGES: return read_ranges(m, field, record);

        case FIELD_LAST_RESET:
                r = sd_bus_message_read(m, "(ts)", member, &s);
                return r < 0 ? r : set_string(record, field->more, s);
        }

        return -EINVAL;
}

static int fill_in_string(void *record, size_t offset)
{
        return *(char **)member_at(record, offset) ? 0 : set_string(record, offset, "");
}

/* What did not come must not be NULL for the caller. */
static int fill_in(const Field *field, void *record)
{
        char ***strv;
        int r;

        switch (field->type) {
        case FIELD_STRING:
        case FIELD_ID:
        case FIELD_CONTAINER: return fill_in_string(record, field->offset);

        case FIELD_PATH:
                r = fill_in_string(record, field->offset);
                return r < 0 ? r : fill_in_string(record, field->more);

        case FIELD_LAST_RESET: return fill_in_string(record, field->more);

        case FIELD_STRV:
        case FIELD_IDS:
                strv = member_at(record, field->offset);
                if (!*strv)
                        *strv = calloc(1, sizeof(char *));
                return *strv ? 0 : -ENOMEM;

        case FIELD_U16:
        case FIELD_U32:
        case FIELD_I32:
        case FIELD_U64:
        case FIELD_BOOL:
        case FIELD_GROUP:
        case FIELD_RANGES: break;
        }
        return 0;
}

void *record_free(const RecordType *type, void *record)
{
        if (!record)
                return NULL;

        for (const Field *field = type->fields; field < type->fields + type->n_fields; field++)
                switch (field->type) {
                case FIELD_PATH:
                        free(*(char **)member_at(record, field->more));
                        __attribute__((fallthrough));
                case FIELD_STRING:
                case FIELD_ID:
                case FIELD_CONTAINER: free(*(char **)member_at(record, field->offset)); break;

                case FIELD_LAST_RESET: free(*(char **)member_at(record, field->more)); break;

                case FIELD_STRV:
                case FIELD_IDS: strv_free(*(char ***)member_at(record, field->offset)); break;

                case FIELD_RANGES:
                        ranges_free(*(struct vfiobroker_range **)member_at(record, field->offset),
                                    *(size_t *)member_at(record, field->more));
                        break;

                case FIELD_U16:
                case FIELD_U32:
                case FIELD_I32:
                case FIELD_U64:
                case FIELD_BOOL:
                case FIELD_GROUP: break;
                }
        free(record);
        return NULL;
}

static void *record_new(const RecordType *type)
{
        void *record = calloc(1, type->size);

        for (size_t i = 0; record && i < type->n_fields; i++) {
                void *member = member_at(record, type->fields[i].offset);

                if (type->fields[i].type == FIELD_GROUP)
                        *(int64_t *)member = -1;
                else if (type->fields[i].type == FIELD_I32)
                        *(int32_t *)member = -1;
        }
        return record;
}

static int read_row(sd_bus_message *m, const RecordType *type, void *record)
{
        int r;

        for (size_t i = 0; i < type->n_fields; i++) {
                r = read_field(m, &type->fields[i], record);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_exit_container(m);
}

int record_read_row(sd_bus_message *m, const RecordType *type, void **ret)
{
        const char *contents;
        void *record;
        char row;
        int r;

        r = sd_bus_message_peek_type(m, &row, &contents);
        if (r <= 0)
                return r;

        r = sd_bus_message_enter_container(m, row, contents);
        if (r < 0)
                return r;

        record = record_new(type);
        if (!record)
                return -ENOMEM;

        r = read_row(m, type, record);
        if (r < 0) {
                record_free(type, record);
                return r;
        }
        *ret = record;
        return 1;
}

static const Field *find_field(const RecordType *type, const char *name)
{
        for (size_t i = 0; i < type->n_fields; i++)
                if (streq(type->fields[i].name, name))
                        return &type->fields[i];
        return NULL;
}

/* One {sv} that the message has just entered. */
static int read_property(struct vfiobroker *broker, sd_bus_message *m, const RecordType *type, void *record)
{
        const char *name, *contents;
        const Field *field;
        char variant;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return r;

        field = find_field(type, name);
        if (!field)
                return sd_bus_message_skip(m, "v");

        r = sd_bus_message_peek_type(m, &variant, &contents);
        if (r < 0)
                return r;
        if (!streq_ptr(contents, field->signature))
                return broker_error(broker, EBADMSG, "The broker's property %s has the type '%s', not '%s'",
                                    name, strempty(contents), field->signature);

        r = sd_bus_message_enter_container(m, 'v', field->signature);
        if (r < 0)
                return r;

        r = read_field(m, field, record);
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

static int read_properties(struct vfiobroker *broker, sd_bus_message *m, const RecordType *type,
                           void *record)
{
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_property(broker, m, type, record);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

int record_read_properties(struct vfiobroker *broker, sd_bus_message *m, const RecordType *type, void **ret)
{
        void *record;
        int r;

        record = record_new(type);
        if (!record)
                return -ENOMEM;

        r = read_properties(broker, m, type, record);
        for (size_t i = 0; r >= 0 && i < type->n_fields; i++)
                r = fill_in(&type->fields[i], record);
        if (r < 0) {
                record_free(type, record);
                return r;
        }
        *ret = record;
        return 0;
}

int broker_get_properties(struct vfiobroker *broker, const char *path, const char *interface,
                          const RecordType *type, void **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = broker_ask(broker, path, "org.freedesktop.DBus.Properties", "GetAll", interface, "a{sv}",
                       &reply);
        if (r < 0)
                return r;
        return record_read_properties(broker, reply, type, ret);
}
