/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a line of a record is made of. Strings that a client chose are encoded as D-Bus path elements, so that none can end a
 * line, open a section or pass for another key; numbers are decimal. */

#include <inttypes.h>
#include <systemd/sd-bus.h>

#include "daemon/state/record.h"

#define VALUE_MAX 900 /* encoded; iniparser reads lines of 1024 bytes */

/* A file name out of an id: path separators and dots are encoded. */
int record_encode_name(const char *id, char ret[static RECORD_NAME_SIZE])
{
        _cleanup_free_ char *path = NULL;
        int r;

        r = sd_bus_path_encode("/", id, &path);
        if (r < 0)
                return r;
        if (strlen(path + 1) >= RECORD_NAME_SIZE)
                return -ENAMETOOLONG;
        strcpy(ret, path + 1);
        return 0;
}

int record_put_string(FILE *file, const char *key, const char *value)
{
        _cleanup_free_ char *path = NULL;
        int r;

        r = sd_bus_path_encode("/", value, &path);
        if (r < 0)
                return r;
        if (strlen(path) > VALUE_MAX)
                return -E2BIG;
        (void)fprintf(file, "%s = %s\n", key, path + 1);
        return 0;
}

void record_put_number(FILE *file, const char *key, uint64_t value)
{
        (void)fprintf(file, "%s = %" PRIu64 "\n", key, value);
}

/* Each reader keeps the first error in *r and does nothing once there is one. */
const char *record_get_raw(const dictionary *record, const char *section, const char *key, int *r)
{
        const char *value;
        char name[128];

        (void)snprintf(name, sizeof(name), "%s:%s", section, key);
        value = *r < 0 ? NULL : iniparser_getstring(record, name, NULL);
        if (!value && *r >= 0)
                *r = -EBADMSG;
        return value;
}

void record_get_string(const dictionary *record, const char *section, const char *key, char *ret,
                       size_t size, int *r)
{
        const char *value = record_get_raw(record, section, key, r);
        _cleanup_free_ char *path = NULL, *decoded = NULL;
        int k;

        if (!value)
                return;
        if (asprintf(&path, "/%s", value) < 0) {
                *r = -ENOMEM;
                return;
        }
        k = sd_bus_path_decode(path, "/", &decoded);
        if (k <= 0 || strlen(decoded) >= size) {
                *r = k < 0 ? k : -EBADMSG;
                return;
        }
        strcpy(ret, decoded);
}

/* A key that came with a later version of the daemon: where the record has none, "". */
void record_get_string_since(const dictionary *record, const char *section, const char *key, char *ret,
                             size_t size, int *r)
{
        char name[128];

        (void)snprintf(name, sizeof(name), "%s:%s", section, key);
        if (*r >= 0 && !iniparser_find_entry(record, name))
                ret[0] = 0;
        else
                record_get_string(record, section, key, ret, size, r);
}

uint64_t record_get_number(const dictionary *record, const char *section, const char *key, uint64_t max,
                           int *r)
{
        const char *value = record_get_raw(record, section, key, r);
        unsigned long long n;
        char *end;

        if (!value)
                return 0;
        errno = 0;
        n = strtoull(value, &end, 10);
        if (errno != 0 || end == value || *end || n > max || value[0] == '-')
                *r = -EBADMSG;
        return n;
}
