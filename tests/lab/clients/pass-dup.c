/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant pass-dup DEVICE --unbound|--bound|--group|--mmap: the holder of a lease ends, and another process goes on
 * with a copy of its device fd (never bound, or bound), with one of its group's fd, or with nothing but a mapping of its BAR. The parent
 * prints the child's pid once the child has nothing else any more, and exits; the child lets go on SIGUSR1
 * and exits. Its unit must be one whose processes outlive the main one (KillMode=process). */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tenant.h"
#include "vfio-client.h"

/* Nothing stays but `keep` (-1: none) and `ready`, which is closed once that is so. stdio goes too: whoever
 * reads the parent's output must see its end. */
static void keep_only(int keep, int ready)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0)
                die(errno, "open /dev/null");
        for (int fd = 0; fd <= 2; fd++)
                if (dup2(null, fd) < 0)
                        _exit(EXIT_FAILURE);

        for (int fd = 3; fd < 1024; fd++)
                if (fd != keep && fd != ready)
                        (void)close(fd);
        (void)close(ready);
}

static _Noreturn void child(Client *client, int keep, int ready)
{
        sigset_t set;
        int signal;

        (void)setsid();
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGUSR1);

        keep_only(keep, ready);
        (void)sigwait(&set, &signal);

        if (keep >= 0)
                (void)close(keep);
        else
                (void)munmap((void *)client->devices[0].bar, client->devices[0].bar_size);
        _exit(EXIT_SUCCESS);
}

int tenant_pass_dup(int argc, char **argv)
{
        bool map = strcmp(argv[2], "--mmap") == 0, group = strcmp(argv[2], "--group") == 0;
        bool bound = map || group || strcmp(argv[2], "--bound") == 0;
        int pipe_fds[2], keep = -1;
        Client client;
        sigset_t set;
        pid_t pid;
        char c;

        (void)argc;
        if (!bound && strcmp(argv[2], "--unbound") != 0)
                die(0, "not one of --unbound, --bound, --group, --mmap: %s", argv[2]);

        client_open(&client);
        client_acquire(&client, (const char *const[]){ argv[1], NULL }, UINT64_MAX);
        if (bound)
                client_bind(&client);
        if (map) {
                client_map_bar(&client.devices[0]);
        } else {
                keep = fcntl(group ? vfiobroker_lease_find_fd(client.lease, VFIOBROKER_FD_GROUP, 0)
                                   : client.devices[0].fd,
                             F_DUPFD_CLOEXEC, 3);
                if (keep < 0)
                        die(errno, "duplicate the fd");
        }

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                die(errno, "make a pipe");

        /* Before the fork, so that no signal comes too early. */
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGUSR1);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);

        pid = fork();
        if (pid < 0)
                die(errno, "fork");
        if (pid == 0)
                child(&client, keep, pipe_fds[1]);

        /* The end of the pipe is the child's word that it has let go of all else. */
        (void)close(pipe_fds[1]);
        if (read(pipe_fds[0], &c, 1) != 0)
                die(errno, "wait for the child");
        (void)printf("%d\n", (int)pid);
        (void)fflush(stdout);
        _exit(EXIT_SUCCESS);
}
