/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A bus of its own, a broker on it (test-broker.c), and clients that are processes of other users: the stage of each bus
 * test. Needs root, for the other users, and dbus-daemon. The bus has the installed bus policy of the project. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>
#include <systemd/sd-bus.h>

#include "policy/util.h"

/* Users that every Debian has: dbus-daemon turns away uids that have no name. */
#define UID_BLUE   1U
#define UID_RED    2U
#define UID_TWO    3U     /* both blue and red */
#define UID_ADMIN  5U     /* in the admin group */
#define UID_NOBODY 65534U /* no tenant */
#define GID_ADMIN  2100U

#define DEVICE_BLUE   "0000:01:00.0" /* group 1, driver igb */
#define DEVICE_BLUE_2 "0000:01:00.1" /* group 2, driver vfio-pci */
#define DEVICE_RED    "0000:02:00.0" /* group 3, no driver */
#define DEVICE_HOST   "0000:03:00.0" /* group 4, no tenant's */
/* blue's, too: 0000:10:00.0 to 0000:10:10.0, groups 16 to 32, vfio-pci */

#define MANAGER  "org.vfiobroker1", "/org/vfiobroker1", "org.vfiobroker1.Manager"
#define OURS     "org.vfiobroker1.Error."
#define STANDARD "org.freedesktop.DBus.Error."

#define PATIENCE_USEC                                                                                       \
        (10 * USEC_PER_SEC) /* for what comes at once, on a machine under load and with sanitizers */

typedef struct Fixture {
        char dir[64];
        char address[128];
        pid_t bus, broker;
        FILE *orders, *answers; /* of the broker */
} Fixture;

/* cmocka's setup and teardown of a test; *state is a Fixture. The teardown asserts that the broker leaves in peace, so
 * that a leak that a sanitizer finds fails the test. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* A bus with that program on it in place of the broker (NULL for the broker), which gets the same argument, environment
 * and orders, and says "ready" on standard output. No device is there. For fixture_teardown(). */
Fixture *fixture_start(const char *program, const char *policy);

/* Writes the policy file; without a text, the one that all tests start with. */
void fixture_policy(Fixture *f, const char *text);

/* The policy that a test starts with, but that red may use blue's first devices too; in force. */
void fixture_share(Fixture *f);
/* Has the broker take up what fixture_policy() wrote. */
void fixture_reload(Fixture *f);

/* One order to the broker, and its answer, good until the next one. */
const char *broker_tell(Fixture *f, const char *format, ...) _printf_(2, 3);
unsigned broker_count(Fixture *f, const char *what);
/* Asks until the answer is this one. */
void broker_await(Fixture *f, const char *order, const char *answer);
/* Nobody is there any more, nothing is at work or watched, and the broker has as many files open as that. */
void broker_await_rest(Fixture *f, unsigned fds);

/* A client: a process of that user, connected to the bus, that carries `run` out. It fails where it does not exit with
 * 0; CHECK() is its assert. The groups are those of `gid` alone, which is the uid but for UID_ADMIN. */
typedef struct Client {
        sd_bus *bus;
        int sync;
        const Fixture *fixture;
} Client;

typedef void (*ClientRun)(Client *c, const void *arg);

typedef struct Peer {
        pid_t pid;
        int sync;
} Peer;

Peer peer_start(Fixture *f, uid_t uid, ClientRun run, const void *arg);
void peer_end(Peer *peer);  /* waits, and asserts that it went well */
void peer_kill(Peer *peer); /* SIGKILL, and waits */
void run_as(Fixture *f, uid_t uid, ClientRun run, const void *arg); /* start and end */

/* Words between a peer and its test, 63 bytes at most. hear() waits. */
void peer_say(Peer *peer, const char *word);
void peer_hear(Peer *peer, char word[static 64]);
/* A peer that has said its first word, and the end of one that waits for "go". */
Peer peer_ready(Fixture *f, uid_t uid, ClientRun run, const void *arg, char word[static 64]);
void peer_finish(Peer *peer);
void client_say(Client *c, const char *word);
void client_hear(Client *c, char word[static 64]);

#define CHECK(expression)                                                                                   \
        do {                                                                                                \
                if (!(expression)) {                                                                        \
                        (void)fprintf(stderr, "%s:%d: client: not so: %s\n", __FILE__, __LINE__,            \
                                      #expression);                                                         \
                        _exit(1);                                                                           \
                }                                                                                           \
        } while (0)

/* A second connection of the same process. */
sd_bus *client_connect(const Fixture *f);
/* OpenSession on that connection: the socket, or -1 with the error's name in `error`. */
int client_session_fd(sd_bus *bus, char error[static 128]);
/* The same, as a connection; it must be granted. */
sd_bus *client_session(sd_bus *bus);
/* A connection on the socket of a session, which it owns. */
sd_bus *client_on_session(int fd);
/* Handles messages until `*done` or PATIENCE_USEC has passed. */
bool client_wait(sd_bus *bus, const bool *done);

/* --- Acquire, from the client's side --- */

typedef struct Grant {
        char lease[256];
        char backend[16];
        struct {
                char kind[16];
                char id[128];
                int fd; /* owned */
        } fds[32];
        size_t n_fds;
        char error[128]; /* name, "" where it was granted */
        char text[1024];
} Grant;

/* `devices` are separated by blanks, "" for none. `options`: a signature and values as of sd_bus_message_append() of
 * what stands in the a{sv}: "a{sv}", n, … */
Grant acquire(sd_bus *bus, const char *devices, const char *options, ...);
void grant_done(Grant *grant);
/* A new message for Manager.`member` with these devices; the options are to be appended. */
sd_bus_message *new_call(sd_bus *bus, const char *member, const char *devices);
/* Sends it and expects that error. */
void expect_error(sd_bus *bus, sd_bus_message *m, const char *name, const char *text);
/* Calls without arguments or with one string. "" for success. */
const char *call_error(sd_bus *bus, const char *path, const char *interface, const char *member,
                       const char *arg);

/* What CHECKs need often. */
char *path_of_device(const char *id);
bool reads_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                    const char *value);
