/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One end of a socket pair is the client's, the other ours. What comes in goes through a gate (gate.c) into a second pair,
 * from which sd-bus reads; what goes out sd-bus writes to the client itself:
 *
 *     client ──socket──▶ gate ──pair──▶ sd-bus ──socket──▶ client
 *
 * sd-bus is driven by hand instead of by sd_bus_attach_event(), so that a client that does not read is not read from:
 * while anything waits to be written, only that is tried. What can pile up then is one answer, the answers of jobs that
 * were at work (CALLS_UID_MAX), and signals up to SESSION_SIGNALS_MAX, behind which they are dropped; and all sessions of
 * a user together get no further answers while REPLIES_UID_MAX wait. So memory is bounded whatever a client does.
 *
 * The socket pair is anonymous and the greeting proves nothing: who calls is known from OpenSession. A sender's name in a
 * message is never looked at. Event loop only. */

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-id128.h>
#include <utlist.h>

#include "daemon/bus/gate.h"
#include "daemon/bus/manager.h"
#include "daemon/bus/object.h"
#include "daemon/bus/session.h"

#define SEND_BUFFER (128 * 1024) /* bytes that the kernel keeps for a client that does not read */

struct Session {
        Bus *bus;
        sd_bus *sdbus; /* has the client's socket and the reading end of the pair */
        Caller *caller;
        Gate gate;
        sd_event_source *io;
        bool trial; /* the message at work is to be parsed and no more, gate.c */
        bool seen;  /* sd-bus could parse it */
        Session *next, *prev;
};

struct Sessions {
        Session *list;
        unsigned n;
};

int sessions_new(Bus *bus, Sessions **ret)
{
        Sessions *sessions = calloc(1, sizeof(*sessions));

        if (!sessions)
                return -ENOMEM;
        *ret = sessions;
        return 0;
}

/* `over`: what lasts as long as the session ends with it. */
static void session_free(Session *session, bool over)
{
        Sessions *sessions = session->bus->sessions;

        if (session->prev) {
                DL_DELETE(sessions->list, session);
                sessions->n--;
        }
        sd_event_source_disable_unref(session->io);
        gate_done(&session->gate);
        sd_bus_close_unref(session->sdbus);
        if (session->caller && over)
                caller_drop(session->bus, session->caller);
        free(session);
}

Sessions *sessions_free(Sessions *sessions)
{
        if (!sessions)
                return NULL;
        while (sessions->list)
                session_free(sessions->list, false);
        free(sessions);
        return NULL;
}

sd_bus *session_bus(Session *session)
{
        return session->sdbus;
}

Caller *session_caller(Session *session)
{
        return session->caller;
}

unsigned sessions_count(Bus *bus)
{
        return bus->sessions->n;
}

static uint64_t unread(const Session *session)
{
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(session->sdbus, &n) < 0 ? 0 : n;
}

bool session_is_full(Session *session)
{
        return unread(session) >= SESSION_SIGNALS_MAX;
}

uint64_t sessions_unread(Bus *bus)
{
        const Session *session;
        uint64_t n = 0;

        DL_FOREACH(bus->sessions->list, session)
                n += unread(session);
        return n;
}

static uint64_t unread_of_uid(const Sessions *sessions, uid_t uid)
{
        const Session *session;
        uint64_t n = 0;

        DL_FOREACH(sessions->list, session)
                if (session->caller->uid == uid)
                        n += unread(session);
        return n;
}

/* The first to see each message that sd-bus could parse. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Session *session = userdata;
        Refusal refusal;

        if (!sd_bus_message_is_method_call(m, NULL, NULL))
                return 0; /* sd-bus's own word of the end */
        session->seen = true;
        if (session->trial)
                return 1;
        if (unread_of_uid(session->bus->sessions, session->caller->uid) < REPLIES_UID_MAX)
                return 0;
        (void)refuse(&refusal, RESULT_RATE_LIMITED,
                     "User %u has not read %u messages on its sessions, the limit; read them.",
                     (unsigned)session->caller->uid, REPLIES_UID_MAX);
        return error_set(error, &refusal);
}

/* Lets sd-bus write and answer until nothing is left to do. */
static int work(Session *session)
{
        int r;

        session->bus->dispatching = session;
        do
                r = sd_bus_process(session->sdbus, NULL);
        while (r > 0);
        session->bus->dispatching = NULL;
        return r;
}

/* One message that sd-bus is to parse; -EPROTO where it could not. */
static int work_on_message(Session *session, bool trial)
{
        int r;

        session->trial = trial;
        session->seen = false;
        r = work(session);
        session->trial = false;
        return r < 0 || session->seen ? r : -EPROTO;
}

/* One line or message of the client's. */
static int take(Session *session)
{
        Gate *gate = &session->gate;
        int r;

        r = gate_read(gate);
        switch (r) {
        case GATE_LINE:
                r = work(session);
                if (r < 0)
                        return r;
                return (sd_bus_is_ready(session->sdbus) > 0) == gate->running ? 0 : -EPROTO;
        case GATE_TRIAL:
                r = work_on_message(session, true);
                if (r >= 0)
                        r = gate_hand_on_fd(gate);
                return r < 0 ? r : work_on_message(session, false);
        case GATE_MESSAGE: return work_on_message(session, false);
        default: return r;
        }
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Session *session = userdata;
        int r;

        if (revents & EPOLLOUT)
                r = work(session);
        else if (revents & EPOLLIN)
                r = take(session);
        else
                r = -ECONNRESET;
        if (r < 0)
                session_free(session, true);
        return 0;
}

/* Before the loop waits: whether this session is to be read from or written to. */
static int on_prepare(sd_event_source *source, void *userdata)
{
        const Session *session = userdata;
        int events = sd_bus_get_events(session->sdbus);

        return sd_event_source_set_io_events(source, events >= 0 && (events & POLLOUT) ? EPOLLOUT : EPOLLIN);
}

static int start_bus(Session *session, int client)
{
        _cleanup_close_ int in = -EBADF, out = client;
        int pair[2], size = SEND_BUFFER, r;
        sd_id128_t id;

        r = sd_bus_new(&session->sdbus);
        if (r < 0)
                return r;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        session->gate.out = pair[0];
        in = pair[1];
        r = sd_id128_randomize(&id);
        if (r < 0)
                return r;
        r = sd_bus_set_fd(session->sdbus, in, out);
        if (r < 0)
                return r;
        session->gate.in = TAKE_FD(out);
        (void)TAKE_FD(in); /* sd-bus's, like the client's socket */
        r = sd_bus_set_server(session->sdbus, true, id);
        if (r < 0)
                return r;
        r = sd_bus_set_anonymous(session->sdbus, true); /* the pair's credentials are our own */
        if (r < 0)
                return r;
        r = sd_bus_negotiate_fds(session->sdbus, true);
        if (r < 0)
                return r;
        r = sd_bus_start(session->sdbus);
        if (r < 0)
                return r;
        /* It makes them as large as it can. */
        return setsockopt(session->gate.in, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0 ? -errno : 0;
}

static int start(Session *session, const Caller *of, int client)
{
        Bus *bus = session->bus;
        int r;

        r = start_bus(session, client);
        if (r < 0)
                return r;
        r = sd_bus_add_filter(session->sdbus, NULL, on_message, session);
        if (r < 0)
                return r;
        r = manager_register(bus, session->sdbus);
        if (r < 0)
                return r;
        r = objects_register(bus, session->sdbus);
        if (r < 0)
                return r;
        r = sd_event_add_io(sd_bus_get_event(bus->bus), &session->io, session->gate.in, EPOLLIN, on_io,
                            session);
        if (r < 0)
                return r;
        r = sd_event_source_set_prepare(session->io, on_prepare);
        if (r < 0)
                return r;
        return caller_new_of_session(bus, of, session, &session->caller);
}

static int check_limits(const Sessions *sessions, const Caller *of, Refusal *refusal)
{
        const Session *session;
        unsigned n = 0;

        DL_FOREACH(sessions->list, session)
                n += session->caller->uid == of->uid;
        if (n >= SESSIONS_UID_MAX)
                return refuse(refusal, RESULT_LIMITS_EXCEEDED,
                              "User %u has %u sessions, the limit; close one.", (unsigned)of->uid, n);
        if (sessions->n >= SESSIONS_MAX)
                return refuse(refusal, RESULT_LIMITS_EXCEEDED,
                              "All sessions that the broker has are in use; try again later.");
        return 0;
}

int session_open(Bus *bus, const Caller *of, int *ret_fd, Refusal *refusal)
{
        Sessions *sessions = bus->sessions;
        Session *session;
        int pair[2], r;

        r = check_limits(sessions, of, refusal);
        if (r != 0)
                return r;
        session = calloc(1, sizeof(*session));
        if (!session)
                return -ENOMEM;
        *session = (Session){ .bus = bus, .gate = GATE_INIT };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
                r = -errno;
                free(session);
                return r;
        }
        r = start(session, of, pair[0]);
        if (r < 0) {
                session_free(session, true);
                (void)close(pair[1]);
                return r;
        }
        DL_APPEND(sessions->list, session);
        sessions->n++;
        *ret_fd = pair[1];
        return 0;
}
