/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant long-id, many-ids and not-utf8: requests that neither a shell nor a D-Bus library would make. The
 * first two go through libvfiobroker and print the broker's answer. The third writes D-Bus itself, since a
 * library refuses a string that is not UTF-8, and prints what the other end of SOCKET does: an error reply,
 * or a closed connection. */

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tenant.h"
#include "vfio-client.h"

static int ask(const char *const *devices)
{
        struct vfiobroker_lease *lease;
        Client client;
        int r;

        client_open(&client);
        r = vfiobroker_acquire(client.broker, devices, NULL, &lease);
        if (r >= 0)
                die(0, "acquire: granted");
        ok("%s (%s): %.200s", vfiobroker_last_error(client.broker)->name, strerrorname_np(-r),
           vfiobroker_last_error(client.broker)->text);
        client_done(&client);
        return EXIT_SUCCESS;
}

int tenant_long_id(int argc, char **argv)
{
        size_t n = (size_t)number(argv[1]);
        char *id;

        (void)argc;
        id = malloc(n + 1);
        if (!id)
                die(ENOMEM, "allocate");
        memset(id, 'x', n);
        id[n] = '\0';
        return ask((const char *const[]){ id, NULL });
}

int tenant_many_ids(int argc, char **argv)
{
        size_t n = (size_t)number(argv[1]);
        const char **devices;

        (void)argc;
        devices = calloc(n + 1, sizeof(char *));
        if (!devices)
                die(ENOMEM, "allocate");
        for (size_t i = 0; i < n; i++) {
                char *id;

                if (asprintf(&id, "ffff:%02zx:%02zx.%zu", i >> 8 & 0xff, i >> 3 & 0x1f, i & 7) < 0)
                        die(ENOMEM, "allocate");
                devices[i] = id;
        }
        return ask(devices);
}

/* A D-Bus message in the making, little-endian as x86 is. */
typedef struct Wire {
        uint8_t bytes[1024];
        size_t n;
} Wire;

static void pad(Wire *w, size_t alignment)
{
        while (w->n % alignment != 0)
                w->bytes[w->n++] = 0;
}

static void put8(Wire *w, uint8_t value)
{
        w->bytes[w->n++] = value;
}

static void put32(Wire *w, uint32_t value)
{
        pad(w, 4);
        memcpy(w->bytes + w->n, &value, sizeof(value));
        w->n += sizeof(value);
}

static void put_string(Wire *w, const char *s)
{
        put32(w, (uint32_t)strlen(s));
        memcpy(w->bytes + w->n, s, strlen(s) + 1);
        w->n += strlen(s) + 1;
}

/* One header field: a variant of the type, which is a string of some kind, or a signature. */
static void put_field(Wire *w, uint8_t code, char type, const char *value)
{
        pad(w, 8);
        put8(w, code);
        put8(w, 1);
        put8(w, (uint8_t)type);
        put8(w, 0);
        if (type == 'g') {
                put8(w, (uint8_t)strlen(value));
                memcpy(w->bytes + w->n, value, strlen(value) + 1);
                w->n += strlen(value) + 1;
        } else {
                put_string(w, value);
        }
}

static void put_call(Wire *w, uint32_t serial, const char *destination, const char *path,
                     const char *interface, const char *member, const char *signature, const Wire *body)
{
        uint32_t fields;

        put8(w, 'l');
        put8(w, 1);
        put8(w, 0);
        put8(w, 1);
        put32(w, (uint32_t)body->n);
        put32(w, serial);
        put32(w, 0);
        put_field(w, 1, 'o', path);
        put_field(w, 2, 's', interface);
        put_field(w, 3, 's', member);
        put_field(w, 6, 's', destination);
        if (*signature)
                put_field(w, 8, 'g', signature);
        fields = (uint32_t)(w->n - 16);
        memcpy(w->bytes + 12, &fields, sizeof(fields));
        pad(w, 8);
        memcpy(w->bytes + w->n, body->bytes, body->n);
        w->n += body->n;
}

static int connect_to(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                die(errno, "make a socket");
        if (strlen(path) >= sizeof(address.sun_path))
                die(0, "too long a path: %s", path);
        memcpy(address.sun_path, path, strlen(path) + 1);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                die(errno, "connect to %s", path);
        return fd;
}

static void send_all(int fd, const void *data, size_t n)
{
        if (send(fd, data, n, MSG_NOSIGNAL) != (ssize_t)n)
                die(errno, "send");
}

/* Whatever comes next, at most a second later; 0 at the end of the connection. */
static size_t receive(int fd, char *buffer, size_t size)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;

        if (poll(&p, 1, 1000) <= 0)
                die(0, "no answer within a second");
        n = recv(fd, buffer, size, 0);
        if (n < 0 && errno != ECONNRESET)
                die(errno, "receive");
        return n < 0 ? 0 : (size_t)n;
}

static void authenticate(int fd)
{
        char uid[16], line[64], answer[256];
        size_t n;

        (void)snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
        n = (size_t)snprintf(line, sizeof(line), "%cAUTH EXTERNAL ", 0);
        for (size_t i = 0; uid[i]; i++)
                n += (size_t)snprintf(line + n, sizeof(line) - n, "%02x", (unsigned)uid[i]);
        n += (size_t)snprintf(line + n, sizeof(line) - n, "\r\n");
        send_all(fd, line, n);
        if (receive(fd, answer, sizeof(answer)) < 2 || strncmp(answer, "OK", 2) != 0)
                die(0, "authenticate: not accepted");
        send_all(fd, "BEGIN\r\n", 7);
}

int tenant_not_utf8(int argc, char **argv)
{
        Wire hello = { .n = 0 }, acquire = { .n = 0 }, body = { .n = 0 }, empty = { .n = 0 };
        char answer[4096];
        size_t n;
        int fd;

        (void)argc;
        fd = connect_to(argv[1]);
        authenticate(fd);

        put_call(&hello, 1, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello",
                 "", &empty);
        send_all(fd, hello.bytes, hello.n);
        if (receive(fd, answer, sizeof(answer)) == 0)
                die(0, "the connection was closed at Hello");

        put32(&body, 4 + 2 + 1);
        put_string(&body, "\xff\xfe");
        put32(&body, 0);
        pad(&body, 8);
        put_call(&acquire, 2, "org.vfiobroker1", "/org/vfiobroker1", "org.vfiobroker1.Manager", "Acquire",
                 "asa{sv}", &body);
        send_all(fd, acquire.bytes, acquire.n);

        /* The bus may have more to say about the name before it answers or hangs up. */
        for (;;) {
                n = receive(fd, answer, sizeof(answer));
                if (n == 0) {
                        ok("the connection was closed");
                        break;
                }
                if (memmem(answer, n, ".Error.", 7)) {
                        ok("an error came back");
                        break;
                }
        }
        (void)close(fd);
        return EXIT_SUCCESS;
}
