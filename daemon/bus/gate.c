/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Why sd-bus does not read from a client itself: on the system bus a daemon stands in between that bounds what a client
 * sends; on a private socket nobody does, and sd-bus (252) takes messages of 128 MiB and, byte by byte, any number of fds.
 * So this reads from the client, and hands a message on through a socket pair when the whole of it is there: at most
 * SESSION_MESSAGE_MAX bytes and one fd, a method call of protocol version 1. What a message means is not looked at here.
 *
 * A message that sd-bus cannot parse it drops, and forgets to close and to free what came with it. So a message with an fd
 * goes there twice: first without it, its field UNIX_FDS under a code that means nothing, to be parsed and thrown away;
 * and if it could be parsed, as it is.
 *
 * Before its first message a client greets by lines ("AUTH …", "BEGIN"); these are handed on line by line, so that what
 * follows BEGIN is not taken for one of them. Event loop only. */

#include <endian.h>
#include <sys/socket.h>

#include "daemon/bus/gate.h"

/* The fixed part of a message, D-Bus Specification, "Message Format". */
typedef struct MessageHeader {
        uint8_t endian, type, flags, version;
        uint32_t body_size, serial, fields_size;
} MessageHeader;

void gate_done(Gate *gate)
{
        gate->out = safe_close(gate->out);
        gate->fd = safe_close(gate->fd);
        free(gate->message);
        gate->message = NULL;
}

/* All or nothing: the other end is drained before more comes. */
static int hand_on(Gate *gate, const void *data, size_t size, int fd)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {};
        struct iovec iov = { (void *)data, size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        if (fd >= 0) {
                struct cmsghdr *header;

                m.msg_control = &control;
                m.msg_controllen = sizeof(control);
                header = CMSG_FIRSTHDR(&m);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(header), &fd, sizeof(int));
        }
        n = sendmsg(gate->out, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return -errno;
        return (size_t)n == size ? 0 : -ENOBUFS;
}

/* Takes the fds of one read over: one for a message, however it is cut. */
static int take_fds(Gate *gate, struct msghdr *m)
{
        int r = m->msg_flags & MSG_CTRUNC ? -ETOOMANYREFS : 0;

        for (struct cmsghdr *header = CMSG_FIRSTHDR(m); header; header = CMSG_NXTHDR(m, header)) {
                size_t n;

                if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
                        if (gate->fd < 0)
                                gate->fd = fd;
                        else {
                                (void)close(fd);
                                r = -ETOOMANYREFS;
                        }
                }
        }
        return r;
}

/* The number of bytes read, 0 where none are there, or a negative errno. */
static ssize_t receive(Gate *gate, void *data, size_t size)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { data, size };
        struct msghdr m = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        ssize_t n;
        int r;

        n = recvmsg(gate->in, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        r = take_fds(gate, &m);
        if (r < 0)
                return r;
        return n == 0 ? -ECONNRESET : n;
}

/* One byte at a time, since nothing behind the line may be taken; it is read once in a session's life. */
static int read_line(Gate *gate)
{
        for (;;) {
                ssize_t n = receive(gate, gate->line + gate->n_line, 1);
                int r;

                if (n <= 0)
                        return n < 0 ? (int)n : GATE_WAIT;
                if (gate->fd >= 0)
                        return -ETOOMANYREFS;
                gate->n_line++;
                if (++gate->n_auth > SESSION_AUTH_MAX)
                        return -EMSGSIZE;
                if (gate->n_line >= 2 && memcmp(gate->line + gate->n_line - 2, "\r\n", 2) == 0) {
                        r = hand_on(gate, gate->line, gate->n_line, -EBADF);
                        if (r < 0)
                                return r;
                        gate->running = gate->n_line == 7 && memcmp(gate->line, "BEGIN\r\n", 7) == 0;
                        gate->n_line = 0;
                        return GATE_LINE;
                }
                if (gate->n_line == sizeof(gate->line))
                        return -EMSGSIZE;
        }
}

/* How long the message is. Everything but a method call is nothing that a client has to say. */
static int read_header(Gate *gate)
{
        MessageHeader header;
        uint64_t size;

        memcpy(&header, gate->header, sizeof(header));
        if ((header.endian != 'l' && header.endian != 'B') || header.type != 1 || header.version != 1)
                return -EPROTO;
        if (header.endian == 'B') {
                header.body_size = be32toh(header.body_size);
                header.fields_size = be32toh(header.fields_size);
        } else {
                header.body_size = le32toh(header.body_size);
                header.fields_size = le32toh(header.fields_size);
        }
        size = sizeof(header) + (((uint64_t)header.fields_size + 7) & ~UINT64_C(7)) + header.body_size;
        if (size > SESSION_MESSAGE_MAX)
                return -EMSGSIZE;
        if (size < sizeof(header) + 8) /* a call has a path and a member; sd-bus would wait for more */
                return -EPROTO;
        gate->message = malloc(size);
        if (!gate->message)
                return -ENOMEM;
        memcpy(gate->message, gate->header, sizeof(gate->header));
        gate->need = size;
        return 0;
}

#define FIELD_UNIX_FDS 9
#define FIELD_NOTHING  200 /* "Unknown codes must be ignored" */

static uint32_t read_u32(const Gate *gate, const uint8_t *p)
{
        uint32_t value;

        memcpy(&value, p, sizeof(value));
        return gate->header[0] == 'B' ? be32toh(value) : le32toh(value);
}

/* The end of a field's value of one basic type that starts at `at`, or 0 where it is none that a header has. */
static size_t skip_value(const Gate *gate, char type, size_t at, size_t end)
{
        size_t aligned = (at + 3) & ~(size_t)3;

        switch (type) {
        case 'g': return at < end ? at + 1 + gate->message[at] + 1 : 0;
        case 'u': return aligned + 4;
        case 's':
        case 'o':
                if (aligned + 4 > end || read_u32(gate, gate->message + aligned) > end)
                        return 0;
                return aligned + 4 + (size_t)read_u32(gate, gate->message + aligned) + 1;
        default: return 0;
        }
}

/* Where the header says that one fd is with the message: the offset of that field's code, or 0. */
static size_t find_fd_field(const Gate *gate)
{
        const size_t end = 16 + (size_t)read_u32(gate, gate->message + 12);
        size_t at = 16, found = 0;

        while (at < end) {
                const uint8_t *field;
                size_t value, after;

                at = (at + 7) & ~(size_t)7;
                field = gate->message + at;
                value = at + 4;

                /* A code, and a signature of one letter: its length, the letter, its NUL. */
                if (value > end || field[1] != 1 || field[3] != 0)
                        return 0;
                after = skip_value(gate, (char)field[2], value, end);
                if (after == 0 || after > end)
                        return 0;
                if (field[0] == FIELD_UNIX_FDS) {
                        if (found || field[2] != 'u' || read_u32(gate, gate->message + value) != 1)
                                return 0;
                        found = at;
                }
                at = after;
        }
        return found;
}

static int hand_on_trial(Gate *gate)
{
        size_t field = find_fd_field(gate);
        int r;

        if (!field)
                return -EPROTO;
        gate->message[field] = FIELD_NOTHING;
        r = hand_on(gate, gate->message, gate->need, -EBADF);
        gate->message[field] = FIELD_UNIX_FDS;
        return r < 0 ? r : GATE_TRIAL;
}

static void forget_message(Gate *gate)
{
        gate->fd = safe_close(gate->fd);
        free(gate->message);
        gate->message = NULL;
        gate->have = 0;
}

int gate_hand_on_fd(Gate *gate)
{
        int r = hand_on(gate, gate->message, gate->need, gate->fd);

        forget_message(gate);
        return r;
}

static int read_message(Gate *gate)
{
        int r;

        for (;;) {
                uint8_t *to = gate->message ?: gate->header;
                size_t need = gate->message ? gate->need : sizeof(gate->header);
                ssize_t n = receive(gate, to + gate->have, need - gate->have);

                if (n <= 0)
                        return n < 0 ? (int)n : GATE_WAIT;
                gate->have += (size_t)n;
                if (gate->have < need)
                        continue;
                if (!gate->message) {
                        r = read_header(gate);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (gate->fd >= 0)
                        return hand_on_trial(gate);
                r = hand_on(gate, gate->message, gate->need, -EBADF);
                forget_message(gate);
                return r < 0 ? r : GATE_MESSAGE;
        }
}

int gate_read(Gate *gate)
{
        return gate->running ? read_message(gate) : read_line(gate);
}
