/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What sd-login says of a process. Each of its questions reads the control group anew, from /proc/PID/cgroup and against
 * that of process 1; so it is read once, and only where it is another one than before are the three asked. A unit and a
 * slice are words of the group's path, and a machine is registered for a unit, until that ends (sd_pid_get_unit(3)). */

#include <systemd/sd-login.h>

#include "daemon/host/placement.h"
#include "daemon/host/process.h"

/* A NULL where sd-login says that there is none; not where it could not find out, since that would be remembered. */
static int ask(int (*get)(pid_t pid, char **ret), pid_t pid, char **ret)
{
        char *s = NULL;
        int r;

        r = get(pid, &s);
        if (errno_is_trouble(r))
                return r;
        *ret = r < 0 ? NULL : s;
        return 0;
}

/* 1 where a machine is known now that was not. */
static int ask_machine(pid_t pid, ProcessPlacement *placement)
{
        int r;

        r = ask(sd_pid_get_machine_name, pid, &placement->machine);
        return r < 0 ? r : placement->machine != NULL;
}

static int bring_up_to_date(pid_t pid, bool machine, ProcessPlacement *placement)
{
        char *cgroup = NULL;
        int r;

        r = ask(sd_pid_get_cgroup, pid, &cgroup);
        if (r < 0)
                return r;
        if (cgroup && placement->cgroup && streq(cgroup, placement->cgroup)) {
                free(cgroup);
                return machine && !placement->machine ? ask_machine(pid, placement) : 0;
        }

        process_placement_done(placement);
        placement->cgroup = cgroup;
        r = ask(sd_pid_get_unit, pid, &placement->unit);
        if (r >= 0)
                r = ask(sd_pid_get_slice, pid, &placement->slice);
        if (r >= 0)
                r = ask_machine(pid, placement);
        return r < 0 ? r : 1;
}

int placement_read(pid_t pid, int pidfd, bool machine, ProcessPlacement *placement)
{
        int r, alive;

        r = bring_up_to_date(pid, machine, placement);
        alive = process_alive(pidfd);
        if (r < 0 || alive <= 0)
                /* What was read may be of another process with the same number. */
                process_placement_done(placement);
        if (r < 0)
                return r;
        if (alive < 0)
                return alive;
        return alive == 0 ? -ESRCH : r;
}
