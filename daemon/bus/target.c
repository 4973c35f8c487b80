/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The process of option `pidfd`. A file descriptor that came from a client is asked for one thing, the number of the
 * process behind it; then the broker opens that number itself, and looks whether what came still lives: so both are the
 * same process. The broker's own pidfd is of a process and never of a thread, and nobody else has a hand in its flags.
 * The number is the one that the process has here, whatever it has in a pid namespace of its own. Event loop only. */

#include "daemon/bus/caller.h"
#include "daemon/bus/target.h"

static int refuse_process(Refusal *refusal, const char *what)
{
        return refuse(refusal, RESULT_PROCESS_UNUSABLE, "Option pidfd: the process %s.", what);
}

static int read_target(Bus *bus, int pidfd, Target *target, Refusal *refusal)
{
        Host *host = bus->broker->host;
        uint64_t start_time;
        int r, alive;

        r = host->ops->process_of_pidfd(host, pidfd, &target->pid);
        if (r == -EBADF)
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "Option pidfd: the file descriptor is none of pidfd_open(2).");
        if (r == -EREMOTE)
                return refuse_process(refusal, "is in a pid namespace that the broker does not see");
        if (r == -ESRCH)
                return refuse_process(refusal, "has ended");
        if (r < 0)
                return r;

        r = host->ops->process_open(host, target->pid, &target->pidfd, &start_time);
        alive = host->ops->process_alive(host, pidfd);
        if (alive <= 0)
                return refuse_process(refusal, "has ended");
        if (r == -ESRCH)
                return refuse_process(refusal, "is a thread; give a pidfd of the one that it belongs to");
        if (r < 0)
                return r;

        r = host->ops->process_credentials(host, target->pid, target->pidfd, &target->credentials);
        if (r >= 0)
                r = host->ops->process_placement(host, target->pid, target->pidfd, callers_ask_machine(bus),
                                                 &target->placement);
        if (r == -ESRCH)
                return refuse_process(refusal, "has ended");
        return r < 0 ? r : 0;
}

int target_open(Bus *bus, int pidfd, Target *ret, Refusal *refusal)
{
        Target target = TARGET_NONE;
        int r;

        r = read_target(bus, pidfd, &target, refusal);
        if (r != 0)
                target_done(&target);
        else
                *ret = target;
        return r;
}

void target_done(Target *target)
{
        target->pidfd = safe_close(target->pidfd);
        process_credentials_done(&target->credentials);
        process_placement_done(&target->placement);
}

CallerFacts target_facts(const Target *target)
{
        return (CallerFacts){
                .uid = (uid_t)-1,
                .gids = target->credentials.gids,
                .n_gids = target->credentials.n_gids,
                .unit = target->placement.unit,
                .slice = target->placement.slice,
                .machine = target->placement.machine,
                .label = target->credentials.label,
        };
}
