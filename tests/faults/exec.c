/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* faults-exec SOCKET PROGRAM [ARGUMENT…]: runs the program, and whatever it forks, so that nearly every system call waits
 * for the word of the one who listens on SOCKET (inject.c), who lets it go on or has it fail. The kernel hands out the file
 * for that where the filter is made; the listener takes it from this process while its next call waits. No privilege is
 * needed but no-new-privileges, and filters that the program makes later cannot undo it: the kernel's rule that the
 * strictest answer counts puts this one before "allow". */

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "policy/util.h"

/* What does not fail, or what no one may be told failed that did not: a file that was not closed, memory that was not
 * given back. libc ends a program whose futex fails in ways that no kernel has, and takes what brk() says for an address. */
static const int spared[] = {
        SCMP_SYS(brk),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(close),
        SCMP_SYS(close_range),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
        SCMP_SYS(futex),
        SCMP_SYS(getegid),
        SCMP_SYS(geteuid),
        SCMP_SYS(getgid),
        SCMP_SYS(getpid),
        SCMP_SYS(getppid),
        SCMP_SYS(gettid),
        SCMP_SYS(getuid),
        SCMP_SYS(munmap),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(rseq),
        SCMP_SYS(rt_sigaction),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(sched_yield),
        SCMP_SYS(set_robust_list),
        SCMP_SYS(set_tid_address),
        SCMP_SYS(umask),
        SCMP_SYS(waitid), /* of children that have ended: sd-event asks once */
        SCMP_SYS(arch_prctl),
#ifdef __SANITIZE_ADDRESS__
        SCMP_SYS(mmap),
        SCMP_SYS(mprotect),
        SCMP_SYS(madvise), /* the sanitizer's own, which it ends by */
#endif
};

static int say_hello(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), next;

        if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
                return -1;
        strcpy(address.sun_path, path);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -1;
        /* The number that the kernel will give. */
        next = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (next < 0 || close(next) < 0 || send(fd, &next, sizeof(next), 0) != sizeof(next))
                return -1;
        return next;
}

int main(int argc, char *argv[])
{
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_NOTIFY);
        int next, r;

        if (argc < 3 || !filter)
                return fputs("usage: faults-exec SOCKET PROGRAM [ARGUMENT…]\n", stderr), 126;
        for (size_t i = 0; i < ELEMENTSOF(spared); i++)
                if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, spared[i], 0) < 0)
                        return 126;
        /* An allowed call of another architecture is none of ours. */
        (void)seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
        next = say_hello(argv[1]);
        if (next < 0) {
                perror("faults-exec: nobody listens");
                return 126;
        }
        r = seccomp_load(filter);
        if (r < 0) {
                (void)fprintf(stderr, "faults-exec: no filter: %s\n", strerror(-r));
                return 126;
        }
        (void)execv(argv[2], argv + 2);
        return 127;
}
