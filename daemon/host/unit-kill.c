/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The unit is looked up by the process when it is needed, not when the lease was granted: a name may have come to mean
 * another instance since. */

#include <signal.h>
#include <systemd/sd-login.h>

#include "daemon/host/process.h"
#include "daemon/host/systemd-task.h"
#include "daemon/host/unit-kill.h"

/* A stopped or slow systemd must not keep the device: then the process alone is killed. */
#define UNIT_KILL_USEC (USEC_PER_SEC / 2)

struct HostUnitKill {
        SystemdTask task;
        char *unit;
        int error;
        UnitKilled done; /* NULL where it was disowned */
        void *userdata;
};

static void kill_free(HostUnitKill *kill)
{
        systemd_task_close(&kill->task);
        free(kill->unit);
        free(kill);
}

static void on_done(void *userdata)
{
        HostUnitKill *kill = userdata;

        if (kill->done)
                kill->done(kill->userdata, kill->error, kill->unit);
        kill_free(kill);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        HostUnitKill *kill = userdata;

        kill->error = sd_bus_message_is_method_error(reply, NULL) ? sd_bus_message_get_errno(reply) : 0;
        systemd_task_finish(&kill->task);
        return 0;
}

/* That it is in no such unit is an answer; that this cannot be told is none, and one that is too large would be killed. */
static int no_unit(int r)
{
        return r < 0 && errno_is_trouble(r) ? r : 0;
}

/* A unit of its own: not the manager of a user's units, of which the process is but a part, not the daemon's, and not
 * process 1's. -ENXIO where it is in none. */
static int find_unit(pid_t pid, int pidfd, char **ret)
{
        _cleanup_free_ char *unit = NULL, *user_unit = NULL, *own = NULL;
        int r;

        r = sd_pid_get_unit(pid, &unit);
        if (r >= 0)
                r = no_unit(sd_pid_get_user_unit(pid, &user_unit));
        if (r >= 0)
                r = no_unit(sd_pid_get_unit(0, &own));
        if (r >= 0 && (user_unit || streq(unit, "init.scope") || (own && streq(unit, own))))
                r = -ENXIO;
        if (process_alive(pidfd) <= 0)
                return -ESRCH; /* and what was read may be another's */
        if (r < 0)
                return r == -ENODATA ? -ENXIO : r;
        *ret = TAKE_PTR(unit);
        return 0;
}

int unit_kill_start(sd_event *event, pid_t pid, int pidfd, UnitKilled done, void *userdata,
                    HostUnitKill **ret)
{
        HostUnitKill *kill = calloc(1, sizeof(*kill));
        int r;

        if (!kill)
                return -ENOMEM;
        kill->error = ETIMEDOUT;
        kill->done = done;
        kill->userdata = userdata;
        r = find_unit(pid, pidfd, &kill->unit);
        if (r >= 0)
                r = systemd_task_start(&kill->task, event, UNIT_KILL_USEC, on_done, kill);
        if (r >= 0)
                r = sd_bus_call_method_async(kill->task.bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH,
                                             SYSTEMD_INTERFACE, "KillUnit", on_reply, kill, "ssi",
                                             kill->unit, "all", (int32_t)SIGKILL);
        if (r < 0) {
                kill_free(kill);
                return r;
        }
        *ret = kill;
        return 0;
}

void unit_kill_disown(HostUnitKill *kill)
{
        kill->done = NULL;
}
