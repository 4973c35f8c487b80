/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Structs that the library gives out, made from what the broker sends: one table for each says which value becomes
 * which member, for rows of a list and for properties of an object alike. A record owns all that it points to, and
 * nothing of it refers to the connection or the message that it came from. */

#include "client-lib/internal.h"

typedef enum FieldType {
        FIELD_U16,       /* q */
        FIELD_U32,       /* u */
        FIELD_I32,       /* i, -1 where it did not come */
        FIELD_U64,       /* t */
        FIELD_BOOL,      /* b: int */
        FIELD_STRING,    /* s: char * */
        FIELD_STRV,      /* as: char **, NULL-terminated */
        FIELD_ID,        /* o, or s with "" for none: a path below `prefix`, kept as its id */
        FIELD_IDS,       /* ao: the same, many */
        FIELD_CONTAINER, /* o: a container, kept as its name, without the tenant before it */
        FIELD_PATH,      /* o: kept as it is; its id goes to the member at `more` */
        FIELD_GROUP,     /* o or u: a group, kept as its number: int64_t, -1 for none */
        FIELD_RANGES, /* a(tt) or a(tts): struct vfiobroker_range *, and their number, size_t, at `more` */
        FIELD_LAST_RESET, /* (ts): uint64_t, and the result, char *, at `more` */
} FieldType;

typedef struct Field {
        const char *name; /* of the property; NULL in rows, whose values are in the order of the fields */
        const char *signature;
        FieldType type;
        size_t offset;
        const char *prefix;
        size_t more;
} Field;

typedef struct RecordType {
        size_t size;
        const Field *fields;
        size_t n_fields;
} RecordType;

/* Reads one row, a struct. 1 with *ret, 0 at the end of the array. */
int record_read_row(sd_bus_message *m, const RecordType *type, void **ret);

/* Reads a{sv}. A property that the type does not have is skipped, one with another signature is -EBADMSG with the
 * text set, and one that did not come is 0, -1 as above, or empty, never NULL. */
int record_read_properties(struct vfiobroker *broker, sd_bus_message *m, const RecordType *type, void **ret);

/* Frees a record; NULL is nothing. Returns NULL. */
void *record_free(const RecordType *type, void *record);

/* All properties of an object. -ENXIO with the text set where there is none. */
int broker_get_properties(struct vfiobroker *broker, const char *path, const char *interface,
                          const RecordType *type, void **ret);
