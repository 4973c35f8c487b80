/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/state/fdstore.c: what it says to the service manager, here a socket of the test, and what it takes from its
 * environment, each in a child of its own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/state/fdstore.h"

static int manager = -EBADF;
static char manager_name[64];

static int start_manager(void **state)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char *name = manager_name;
        socklen_t size;

        (void)snprintf(name, sizeof(manager_name), "@vfiobroker-test-%d", (int)getpid());
        memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
        size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
        manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(manager >= 0);
        assert_int_equal(bind(manager, (struct sockaddr *)&address, size), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
        return 0;
}

static int stop_manager(void **state)
{
        (void)unsetenv("NOTIFY_SOCKET");
        manager = safe_close(manager);
        return 0;
}

/* The next message and its only fd, or -EBADF. */
static int hear(char text[static 256])
{
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { text, 255 };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        const struct cmsghdr *header;
        ssize_t n = recvmsg(manager, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        int fd = -EBADF;

        assert_true(n >= 0);
        text[n] = 0;
        header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_type == SCM_RIGHTS)
                memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        return fd;
}

static void test_keep(void **state)
{
        _cleanup_(fdstore_freep) FdStore *fds = NULL;
        _cleanup_close_ int fd = memfd_create("kept", MFD_CLOEXEC), heard = -EBADF, none = -EBADF;
        struct stat a, b;
        char text[256];

        assert_int_equal(fdstore_new(&fds), 0);
        fdstore_keep(fds, "context-a1", fd);
        heard = hear(text);
        assert_string_equal(text, "FDSTORE=1\nFDNAME=context-a1\nFDPOLL=0");
        assert_int_equal(fstat(fd, &a) + fstat(heard, &b), 0);
        assert_true(a.st_ino == b.st_ino);
        fdstore_forget(fds, "context-a1");
        assert_int_equal(hear(text), -EBADF);
        assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=context-a1");
        assert_int_equal(fdstore_take(fds, "context-a1", &none), -ENOENT);
}

/* It hangs up when the service manager has come to it, and not before. */
static void test_barrier(void **state)
{
        _cleanup_(fdstore_freep) FdStore *fds = NULL;
        _cleanup_close_ int barrier = -EBADF, theirs = -EBADF;
        struct pollfd item;
        char text[256];

        assert_int_equal(fdstore_new(&fds), 0);
        assert_int_equal(fdstore_barrier(fds, &barrier), 0);
        theirs = hear(text);
        assert_string_equal(text, "BARRIER=1");
        item = (struct pollfd){ .fd = barrier };
        assert_int_equal(poll(&item, 1, 0), 0);
        (void)close(TAKE_FD(theirs));
        assert_int_equal(poll(&item, 1, 0), 1);
        assert_true(item.revents & POLLHUP);
}

/* Without a service manager nothing is kept, and nobody waits. */
static void test_alone(void **state)
{
        _cleanup_(fdstore_freep) FdStore *fds = NULL;
        int fd = -EBADF;

        (void)unsetenv("NOTIFY_SOCKET");
        assert_int_equal(fdstore_new(&fds), 0);
        fdstore_keep(fds, "context-a1", STDIN_FILENO);
        fdstore_forget(fds, "context-a1");
        assert_int_equal(fdstore_barrier(fds, &fd), -ENOENT);
        assert_int_equal(fd, -EBADF);
}

#define EXPECT(condition)                                                                                   \
        do {                                                                                                \
                if (!(condition))                                                                           \
                        _exit(__LINE__ % 250 + 1);                                                          \
        } while (0)

static char left[256];

static void note_left(void *userdata, const char *name)
{
        (void)strcat(strcat(left, name), " ");
}

/* In a child, as systemd would have started it with these names. */
static void start_with(const char *names, int n, void (*body)(FdStore *fds))
{
        char number[16];
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                FdStore *fds;

                for (int i = 0; i < n; i++) {
                        int fd = memfd_create("passed", 0);

                        EXPECT(ftruncate(fd, i + 1) == 0 && fcntl(fd, F_DUPFD, 100) >= 100);
                }
                for (int i = 0; i < n; i++)
                        EXPECT(dup2(100 + i, 3 + i) == 3 + i && close(100 + i) == 0);
                (void)snprintf(number, sizeof(number), "%d", n);
                EXPECT(setenv("LISTEN_FDS", number, 1) == 0 && setenv("LISTEN_FDNAMES", names, 1) == 0);
                (void)snprintf(number, sizeof(number), "%d", (int)getpid());
                EXPECT(setenv("LISTEN_PID", number, 1) == 0);
                (void)unsetenv("NOTIFY_SOCKET");
                EXPECT(fdstore_new(&fds) == 0);
                EXPECT(!getenv("LISTEN_FDS"));
                body(fds);
                fdstore_free(fds);
                for (int i = 0; i < n; i++)
                        EXPECT(fcntl(3 + i, F_GETFD) < 0);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                fail_msg("status %x: line %% 250 is %d", status, WEXITSTATUS(status) - 1);
}

static void take_two(FdStore *fds)
{
        struct stat st;
        int fd;

        EXPECT(fdstore_take(fds, "group-a-7", &fd) == 0 && fstat(fd, &st) == 0 && st.st_size == 2);
        EXPECT(fcntl(fd, F_GETFD) == FD_CLOEXEC);
        EXPECT(fdstore_take(fds, "group-a-7", &(int){ 0 }) == -ENOENT);
        (void)close(fd);
        EXPECT(fdstore_take(fds, "group-a", &fd) == -ENOENT);
        fdstore_drop_rest(fds, note_left, NULL);
        EXPECT(streq(left, "context-a stored "));
        EXPECT(fdstore_take(fds, "context-a", &fd) == -ENOENT);
}

static void take_doubtful(FdStore *fds)
{
        int fd;

        EXPECT(fdstore_take(fds, "context-a", &fd) == -ENOENT);
        EXPECT(fdstore_take(fds, "process-b", &fd) == 0 && close(fd) == 0);
        fdstore_drop_rest(fds, note_left, NULL);
        EXPECT(streq(left, "context-a context-a "));
}

/* The first that systemd passes does not stay at the number that a worker puts its socket at. */
static void take_first(FdStore *fds)
{
        int fd;

        EXPECT(fdstore_take(fds, "context-a", &fd) == 0 && fd > 3);
        EXPECT(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(3, F_GETFD) < 0);
        fdstore_drop_rest(fds, note_left, NULL);
        EXPECT(streq(left, ""));
}

/* Kept anew under the name of what is left from before: there is one of that name, the new one, and it stays. */
static void keep_again(FdStore *fds)
{
        int fd;

        EXPECT(setenv("NOTIFY_SOCKET", manager_name, 1) == 0);
        fdstore_keep(fds, "process-b", STDIN_FILENO);
        fdstore_drop_rest(fds, note_left, NULL);
        EXPECT(streq(left, "context-a "));
        EXPECT(fdstore_take(fds, "process-b", &fd) == -ENOENT);
}

static void test_keep_again(void **state)
{
        static const char *const words[] = {
                "FDSTOREREMOVE=1\nFDNAME=process-b",
                "FDSTORE=1\nFDNAME=process-b\nFDPOLL=0",
                "FDSTOREREMOVE=1\nFDNAME=context-a",
        };
        char text[256];

        start_with("context-a:process-b", 2, keep_again);
        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                (void)safe_close(hear(text));
                assert_string_equal(text, words[i]);
        }
}

static void test_take(void **state)
{
        start_with("context-a", 1, take_first);
        start_with("context-a:group-a-7:stored", 3, take_two);
        start_with("context-a:process-b:context-a", 3, take_doubtful);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, start_manager, stop_manager)

int main(void)
{
        static const struct CMUnitTest tests[] = { TEST(keep), TEST(barrier), TEST(alone), TEST(take),
                                                   TEST(keep_again) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
