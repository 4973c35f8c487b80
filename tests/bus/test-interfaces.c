/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The XML that is installed, against the tables that answer: the same members, types, names of arguments and words on
 * change, in the same order, and nothing else. Each side is written out as one line for each fact; the lines are
 * compared. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>

#include "daemon/bus/manager.h"
#include "daemon/bus/object.h"

#define TEXT_MAX 32768

static void line(char *text, const char *format, ...) _printf_(2, 3);
static void line(char *text, const char *format, ...)
{
        size_t n = strlen(text);
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text + n, TEXT_MAX - n, format, ap);
        va_end(ap);
        assert_true(strlen(text) < TEXT_MAX - 1);
        strcat(text, "\n");
}

/* The length of the first complete type. */
static size_t type_length(const char *s)
{
        size_t n = 1;
        int depth = 0;

        if (*s == 'a')
                return 1 + type_length(s + 1);
        if (*s != '(' && *s != '{')
                return 1;
        for (n = 0; s[n]; n++) {
                depth += s[n] == '(' || s[n] == '{';
                depth -= s[n] == ')' || s[n] == '}';
                if (depth == 0)
                        return n + 1;
        }
        return n;
}

/* `names` are the strings one behind the other; returns where they go on. */
static const char *args(char *text, const char *signature, const char *names, const char *direction)
{
        for (const char *s = strempty(signature); *s; s += type_length(s)) {
                line(text, "arg %.*s %s%s", (int)type_length(s), s, names, direction);
                names += strlen(names) + 1;
        }
        return names;
}

static void describe_table(const sd_bus_vtable *row, const char *interface, char *text)
{
        line(text, "interface %s", interface);
        for (; row->type != _SD_BUS_VTABLE_END; row++)
                if (row->type == _SD_BUS_VTABLE_METHOD) {
                        const char *names = row->x.method.names;

                        assert_true(row->flags & SD_BUS_VTABLE_UNPRIVILEGED);
                        line(text, "method %s", row->x.method.member);
                        names = args(text, row->x.method.signature, names, " in");
                        (void)args(text, row->x.method.result, names, " out");
                } else if (row->type == _SD_BUS_VTABLE_SIGNAL) {
                        line(text, "signal %s", row->x.signal.member);
                        (void)args(text, row->x.signal.signature, row->x.signal.names, "");
                } else if (vtable_is_property(row))
                        line(text, "property %s %s %s", row->x.property.member, row->x.property.signature,
                             row->flags & SD_BUS_VTABLE_PROPERTY_CONST                ? "const"
                             : row->flags & SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION ? "invalidates"
                                                                                      : "false");
}

/* The value of the attribute, or "". */
static const char *attribute(const char *element, const char *name, char value[static 128])
{
        char start[64];
        const char *p;

        (void)snprintf(start, sizeof(start), " %s=\"", name);
        p = strstr(element, start);
        value[0] = 0;
        if (p) {
                p += strlen(start);
                (void)snprintf(value, 128, "%.*s", (int)strcspn(p, "\""), p);
        }
        return value;
}

/* Our files have one element on a line. */
static void describe_file(const char *interface, char *text)
{
        char path[512], element[1024], a[128], b[128], c[128], property[256] = "";
        FILE *f;

        (void)snprintf(path, sizeof(path), SOURCE_ROOT "/systemd/%s.xml", interface);
        f = fopen(path, "re");
        assert_non_null(f);
        while (fgets(element, sizeof(element), f)) {
                const char *e = element + strspn(element, " ");

                if (strncmp(e, "<interface ", 11) == 0)
                        line(text, "interface %s", attribute(e, "name", a));
                else if (strncmp(e, "<method ", 8) == 0)
                        line(text, "method %s", attribute(e, "name", a));
                else if (strncmp(e, "<signal ", 8) == 0)
                        line(text, "signal %s", attribute(e, "name", a));
                else if (strncmp(e, "<arg ", 5) == 0) {
                        (void)attribute(e, "direction", c);
                        line(text, "arg %s %s%s%s", attribute(e, "type", a), attribute(e, "name", b),
                             c[0] ? " " : "", c);
                } else if (strncmp(e, "<property ", 10) == 0) {
                        assert_string_equal(attribute(e, "access", a), "read");
                        (void)snprintf(property, sizeof(property), "property %s %s", attribute(e, "name", a),
                                       attribute(e, "type", b));
                } else if (strstr(e, "EmitsChangedSignal"))
                        line(text, "%s %s", property, attribute(e, "value", a));
        }
        (void)fclose(f);
}

static void compare(const sd_bus_vtable *table, const char *interface)
{
        static char from_table[TEXT_MAX], from_file[TEXT_MAX];

        from_table[0] = from_file[0] = 0;
        describe_table(table, interface, from_table);
        describe_file(interface, from_file);
        assert_string_equal(from_file, from_table);
        assert_true(strlen(from_table) > 200);
}

/* Proves: what is installed is what answers, for each interface. */
static void test_manager(void **state)
{
        compare(manager_vtable, BUS_MANAGER_INTERFACE);
}

static void test_objects(void **state)
{
        compare(device_kind.vtable, device_kind.interface);
        compare(group_kind.vtable, group_kind.interface);
        compare(container_kind.vtable, container_kind.interface);
        compare(lease_kind.vtable, lease_kind.interface);
        compare(tenant_kind.vtable, tenant_kind.interface);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_manager),
                cmocka_unit_test(test_objects),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
