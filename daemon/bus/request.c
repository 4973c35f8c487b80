/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading a request off the wire: the first code that a hostile client's bytes reach, after sd-bus has checked that they
 * are a message, of the right signature, with strings that are UTF-8. Nothing is copied, so nothing grows. Pure. Event loop
 * only. */

#include "daemon/bus/request.h"

/* The next code point of valid UTF-8. */
static uint32_t next_code_point(const unsigned char **p)
{
        const unsigned char *s = *p;
        unsigned more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
        uint32_t c = more == 0 ? s[0] : s[0] & (0x3fU >> more);

        for (unsigned i = 1; i <= more && s[i]; i++)
                c = c << 6 | (s[i] & 0x3f);
        for (*p = s + 1; more > 0 && **p; more--)
                (*p)++;
        return c;
}

bool request_is_printable(const char *s)
{
        const unsigned char *p = (const unsigned char *)s;

        while (*p) {
                uint32_t c = next_code_point(&p);

                if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xfeff || (c >= 0x200b && c <= 0x200f) ||
                    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || (c & 0xfffe) == 0xfffe ||
                    (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f))
                        return false;
        }
        return true;
}

static int check_name(const char *what, const char *s, Refusal *refusal)
{
        char echo[ECHO_MAX + 8];
        size_t n = strlen(s);

        if (n > NAME_MAX_BYTES)
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "%s: a name of %zu bytes; none is longer than %u.", what, n, NAME_MAX_BYTES);
        if (n == 0)
                return refuse(refusal, RESULT_INVALID_ARGS, "%s: the name is empty.", what);
        if (!request_is_printable(s))
                return refuse(refusal, RESULT_INVALID_ARGS, "%s: %s has characters that do not print.", what,
                              bus_echo(s, echo));
        return 0;
}

static int refuse_too_many(unsigned fds_max, Refusal *refusal)
{
        if (fds_max > BUS_FDS_MAX)
                return refuse(refusal, RESULT_LIMITS_EXCEEDED,
                              "More than %d devices in one call. Ask for them in several calls.",
                              JOB_DEVICES_MAX);
        return refuse(
                refusal, RESULT_LIMITS_EXCEEDED,
                "More than %u devices in one call: the bus carries %u file descriptors in one message, "
                "and one is the iommufd. Ask for them in several calls, or on a session (OpenSession).",
                fds_max - 1, fds_max);
}

static int read_devices(sd_bus_message *m, unsigned fds_max, Request *request, Refusal *refusal)
{
        const size_t max = fds_max - 1 < JOB_DEVICES_MAX ? fds_max - 1 : JOB_DEVICES_MAX;
        const char *id;
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read_basic(m, 's', &id)) > 0) {
                if (n == max)
                        return refuse_too_many(fds_max, refusal);
                r = check_name("Device", id, refusal);
                if (r != 0)
                        return r;
                request->devices[n++] = id;
        }
        if (r < 0)
                return r;
        request->acquire.devices = request->devices;
        request->acquire.n_devices = n;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

static int read_tenant(sd_bus_message *m, Request *request, Refusal *refusal)
{
        int r;

        r = sd_bus_message_read_basic(m, 's', &request->acquire.tenant);
        return r < 0 ? r : check_name("Option tenant", request->acquire.tenant, refusal);
}

static int read_backend(sd_bus_message *m, Request *request, Refusal *refusal)
{
        char echo[ECHO_MAX + 8];
        const char *s;
        int r;

        r = sd_bus_message_read_basic(m, 's', &s);
        if (r < 0)
                return r;
        if (streq(s, "auto"))
                request->acquire.backend = 0;
        else if (streq(s, "iommufd"))
                request->acquire.backend = POLICY_BACKEND_IOMMUFD;
        else if (streq(s, "group"))
                request->acquire.backend = POLICY_BACKEND_GROUP;
        else
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "Option backend: %s is none of iommufd, group, auto.", bus_echo(s, echo));
        return 0;
}

static int read_memlock(sd_bus_message *m, Request *request, Refusal *refusal)
{
        int r;

        r = sd_bus_message_read_basic(m, 't', &request->acquire.memlock);
        if (r < 0)
                return r;
        if (request->acquire.memlock > INT64_MAX)
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "Option memlock: %llu bytes are more than any machine has; leave it out for "
                              "the tenant's "
                              "default.",
                              (unsigned long long)request->acquire.memlock);
        return 0;
}

/* What is behind it is for target.c to find out. */
static int read_pidfd(sd_bus_message *m, Request *request, Refusal *refusal)
{
        int r;

        r = sd_bus_message_read_basic(m, 'h', &request->pidfd);
        return r < 0 ? r : 0;
}

static int read_lifetime(sd_bus_message *m, Request *request, Refusal *refusal)
{
        char echo[ECHO_MAX + 8];
        const char *s;
        int r;

        r = sd_bus_message_read_basic(m, 's', &s);
        if (r < 0)
                return r;
        if (lease_lifetime_from_string(s, &request->acquire.lifetime) < 0)
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "Option lifetime: %s is none of process, connection, explicit.",
                              bus_echo(s, echo));
        return 0;
}

static int read_container(sd_bus_message *m, Request *request, Refusal *refusal)
{
        int r;

        r = sd_bus_message_read_basic(m, 's', &request->acquire.container);
        return r < 0 ? r : check_name("Option container", request->acquire.container, refusal);
}

static int read_label(sd_bus_message *m, Request *request, Refusal *refusal)
{
        const char *s;
        int r;

        r = sd_bus_message_read_basic(m, 's', &s);
        if (r < 0)
                return r;
        if (strlen(s) > LEASE_LABEL_MAX)
                return refuse(refusal, RESULT_INVALID_ARGS, "Option label: %zu bytes; at most %d are kept.",
                              strlen(s), LEASE_LABEL_MAX);
        if (!request_is_printable(s))
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "Option label: it has characters that do not print.");
        request->acquire.label = s;
        return 0;
}

static int read_wait(sd_bus_message *m, Request *request, Refusal *refusal)
{
        int r;

        r = sd_bus_message_read_basic(m, 't', &request->acquire.wait_usec);
        if (r < 0)
                return r;
        if (request->acquire.wait_usec > ACQUIRE_WAIT_MAX)
                return refuse(refusal, RESULT_INVALID_ARGS, "Option wait: more than %llu s.",
                              (unsigned long long)(ACQUIRE_WAIT_MAX / USEC_PER_SEC));
        return 0;
}

static const struct {
        const char *key, *signature;
        int (*read)(sd_bus_message *m, Request *request, Refusal *refusal);
} option_table[] = {
        { "tenant", "s", read_tenant },     { "backend", "s", read_backend },
        { "memlock", "t", read_memlock },   { "pidfd", "h", read_pidfd },
        { "lifetime", "s", read_lifetime }, { "container", "s", read_container },
        { "label", "s", read_label },       { "wait", "t", read_wait },
};

/* One value, `key` having been read. `seen` has one bit for each row of the table. */
static int read_option(sd_bus_message *m, const char *key, unsigned *seen, Request *request,
                       Refusal *refusal)
{
        char echo[ECHO_MAX + 8];
        const char *contents;
        size_t i;
        int r;

        for (i = 0; i < ELEMENTSOF(option_table); i++)
                if (streq(option_table[i].key, key))
                        break;
        if (i == ELEMENTSOF(option_table))
                return refuse(refusal, RESULT_INVALID_ARGS, "Option %s is not known.", bus_echo(key, echo));
        if (*seen & (1U << i))
                return refuse(refusal, RESULT_INVALID_ARGS, "Option %s is given twice.", key);
        *seen |= 1U << i;

        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r < 0)
                return r;
        if (!streq(contents, option_table[i].signature))
                return refuse(refusal, RESULT_INVALID_ARGS, "Option %s has the type %s; it must be %s.", key,
                              bus_echo(contents, echo), option_table[i].signature);
        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r < 0)
                return r;
        r = option_table[i].read(m, request, refusal);
        if (r != 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

static int read_options(sd_bus_message *m, Request *request, Refusal *refusal)
{
        unsigned seen = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *key;

                r = sd_bus_message_read_basic(m, 's', &key);
                if (r < 0)
                        return r;
                r = read_option(m, key, &seen, request, refusal);
                if (r != 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

int request_read_devices(sd_bus_message *m, unsigned fds_max, Request *ret, Refusal *refusal)
{
        *ret = (Request){
                .pidfd = -EBADF,
                .acquire = {
                        .caller_pidfd = -EBADF,
                        .target_pidfd = -EBADF,
                        .memlock = UINT64_MAX,
                        .lifetime = LIFETIME_PROCESS,
                        .fds_max = fds_max,
                },
        };
        return read_devices(m, fds_max, ret, refusal);
}

int request_read(sd_bus_message *m, unsigned fds_max, Request *ret, Refusal *refusal)
{
        int r;

        r = request_read_devices(m, fds_max, ret, refusal);
        if (r == 0)
                r = read_options(m, ret, refusal);
        return r;
}
