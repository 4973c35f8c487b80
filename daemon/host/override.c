/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One process for each question: there are as many as devices that a driver of the host has, and a fork takes less than a
 * millisecond. */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "daemon/host/driver.h"
#include "daemon/host/override.h"

typedef struct Answer {
        int error;
        char override[DRIVER_NAME_MAX];
} Answer;

/* The child. Never returns. */
static void __attribute__((noreturn)) work(const char *bus, const char *name, int fd, pid_t parent)
{
        Answer answer = {};

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(fd, STDOUT_FILENO) < 0 || close_range(STDERR_FILENO, ~0U, 0) < 0)
                _exit(EXIT_FAILURE);
        answer.error = driver_read_override(bus, name, answer.override);
        _exit(write(STDOUT_FILENO, &answer, sizeof(answer)) == (ssize_t)sizeof(answer) ? EXIT_SUCCESS
                                                                                       : EXIT_FAILURE);
}

int override_read(const char *bus, const char *name, uint64_t usec, char ret[static DRIVER_NAME_MAX],
                  pid_t *ret_left)
{
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        struct pollfd item = { .events = POLLIN };
        pid_t parent = getpid(), pid;
        Answer answer;
        int pair[2], r;

        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                work(bus, name, theirs, parent);
        (void)close(TAKE_FD(theirs));

        item.fd = ours;
        r = poll(&item, 1, (int)(usec / USEC_PER_MSEC));
        if (r <= 0) {
                *ret_left = pid;
                return -ETIMEDOUT;
        }
        r = read(ours, &answer, sizeof(answer)) == (ssize_t)sizeof(answer) ? answer.error : -EIO;
        (void)TRY_AGAIN(OR_ERRNO(waitpid(pid, NULL, 0))); /* it is through, and a signal may come between */
        if (r >= 0)
                memcpy(ret, answer.override, sizeof(answer.override));
        return r;
}
