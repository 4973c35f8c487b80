/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/unplug.c: devices that somebody takes away while leases hold them, and what becomes of holders, leases, those
 * who wait, and what comes back. */

#include "daemon/core/revoke.h"
#include "daemon/core/unplug.h"
#include "daemon/core/wait.h"
#include "tests/unit/core-fixture.h"

#define PATH1 "/sys/devices/pci0000:00/0000:00:01.0/" D1

#define POLICY(revoke)                                                                                      \
        "[broker]\nrevoke-grace = 10s\n"                                                                    \
        "[tenant blue]\nmatch-user = 2001\ndevices = any\nrevoke = " revoke "\n"                            \
        "[tenant red]\nmatch-user = 2002\ndevices = any\n"

static int setup(void **state)
{
        return core_setup_two(state, POLICY("kill"));
}

/* Somebody takes the driver of D1: the link is gone, the kernel tells of the VFIO device's end and waits for the users, which
 * holds up whatever else wants the device. */
static void begins(Core *core)
{
        FakeDevice *device = fake_host_device(core->fake, D1);

        device->let_go = device->hang = true;
        broker_device_released(core->broker, PATH1, false);
        core_check(core);
}

/* The last user has closed it. Of a removal the device's end is told; of an unbind, that. */
static void is_through(Core *core, bool removed)
{
        FakeDevice *device = fake_host_device(core->fake, D1);

        device->let_go = device->hang = false;
        device->gone = removed;
        device->driver[0] = 0;
        if (removed)
                broker_device_remove(core->broker, D1);
        else {
                (void)core_device(core, D1, 1, "");
                broker_device_released(core->broker, PATH1, true);
        }
        core_check(core);
}

/* What is plugged in anew, or bound anew. */
static Device *comes_back(Core *core)
{
        fake_host_device(core->fake, D1)->gone = false;
        return core_device(core, D1, 1, "vfio-pci");
}

/* The holder is asked for it at once, and keeps it till the deadline; then it is killed, and the device goes. What comes
 * back is another device. */
static void test_deaf(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1 });
        Device *device = broker_device(core->broker, D1);

        begins(core);
        assert_int_equal(core->n_revoked, 1);
        assert_int_equal(lease->state, LEASE_REVOKING);
        assert_string_equal(lease->revoke_reason, "device-removed");
        assert_state(device, DEVICE_LEASED);
        assert_non_null(strstr(device->state_reason, "being removed"));
        begins(core); /* told again */
        assert_int_equal(core->n_revoked, 1);
        fake_host_advance(core->fake, 10 * USEC_PER_SEC - 1);
        assert_true(blue->alive);
        fake_host_advance(core->fake, 1);
        assert_true(blue->killed);
        assert_int_equal(core->last_end, END_DEVICE_REMOVED);
        assert_int_equal(fake_host_n_jobs_of(core->fake, D1), 1); /* which waits, too */
        fake_host_device(core->fake, D1)->n_resets = 0;
        is_through(core, true);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_null(broker_device(core->broker, D1));
        assert_int_equal(core->events[EVENT_QUARANTINED], 0);

        device = comes_back(core);
        assert_false(device->proven || device->leaving || device->asked_back);
        assert_null(device->lease);
        (void)GRANT(core, core_process(core, 2, UID_RED), { D1 });
        assert_true(fake_host_device(core->fake, D1)->n_resets > 0);
}

/* The worker of the reclaim sees that the device is no more before the broker is told: it leaves, and is not quarantined. */
static void test_worker_is_first(void **state)
{
        Core *core = *state;
        Lease *lease = GRANT(core, core_process(core, 1, UID_BLUE), { D1 });

        begins(core);
        broker_lease_end(core->broker, lease, END_RELEASED);
        fake_host_device(core->fake, D1)->gone = true;
        fake_host_device(core->fake, D1)->hang = false;
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_null(broker_device(core->broker, D1));
        assert_int_equal(core->events[EVENT_QUARANTINED], 0);
        broker_device_remove(core->broker, D1); /* late */
        core_check(core);
}

/* An unbind of the driver, with the device staying: it is idle, without a driver, and its lease is over. */
static void test_unbind(void **state)
{
        Core *core = *state;
        Device *device = broker_device(core->broker, D1);

        (void)GRANT(core, core_process(core, 1, UID_BLUE), { D1 });
        begins(core);
        is_through(core, false);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(core->last_end, END_DEVICE_REMOVED);
        assert_ptr_equal(broker_device(core->broker, D1), device);
        assert_state(device, DEVICE_HOST);
        assert_string_equal(device->state_reason, "");
        assert_false(device->proven || device->leaving);
        (void)GRANT(core, core_process(core, 2, UID_RED), { D1 });
}

/* Of two devices the one that goes is asked for; to take it out ends the matter. The same where the holder just closes it. */
static void test_one_of_two(void **state)
{
        for (int how = 0; how < 3; how++) {
                Core *core = *state;
                FakeProcess *blue = core_process(core, (pid_t)(1 + how), UID_BLUE);
                Lease *lease = GRANT(core, blue, { D1, D2 });
                Refusal refusal;

                begins(core);
                assert_true(broker_device(core->broker, D1)->asked_back);
                assert_false(broker_device(core->broker, D2)->asked_back);
                if (how == 0)
                        assert_int_equal(broker_lease_remove(core->broker, lease,
                                                             (const char *const[]){ D1 }, 1, &refusal),
                                         0);
                is_through(core, how < 2);
                (void)fake_host_run(core->fake);
                core_check(core);
                assert_int_equal(lease->state, LEASE_ACTIVE);
                assert_int_equal(lease->n_devices, 1);
                assert_int_equal(core_lease_record(core, lease->id)->state, LEASE_ACTIVE);
                assert_int_equal(core->n_leases, 1);
                assert_int_equal(core->n_ended, 0);
                fake_host_advance(core->fake, 60 * USEC_PER_SEC);
                assert_true(blue->alive);
                broker_lease_end(core->broker, lease, END_RELEASED);
                (void)fake_host_run(core->fake);
                core_check_idle(core);
                core->n_ended = 0;
                (void)comes_back(core);
        }
}

/* Its fds are being opened anew as another driver takes it: its reclaim is the next worker, not a second one. */
static void test_while_reissued(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1, D2 });
        Answer answer = {};

        assert_int_equal(core_reissue(core, lease, &answer), 0);
        (void)core_device(core, D1, 1, "igb");
        core_check(core);
        assert_int_equal(lease->n_devices, 1);
        assert_state(broker_device(core->broker, D1), DEVICE_RECLAIMING);
        assert_int_equal(fake_host_n_jobs_of(core->fake, D1), 1);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_state(broker_device(core->broker, D1), DEVICE_HOST);

        (void)core_device(core, D1, 1, "vfio-pci");
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        lease = GRANT(core, blue, { D1, D2 });
        answer = (Answer){};
        assert_int_equal(core_reissue(core, lease, &answer), 0);
        broker_device_remove(core->broker, D1);
        assert_int_equal(lease->n_devices, 1);
        assert_state(comes_back(core), DEVICE_GONE);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_calls, 1);
        assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* Asked for as a whole, and kept: one device goes, and the rest is taken for what it was asked for. */
static void test_kept_and_gone(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1, D2 });
        Refusal refusal;

        core_set_policy(core, POLICY("never"));
        assert_int_equal(
                broker_lease_revoke(core->broker, lease, NULL, 5 * USEC_PER_SEC, "maintenance", &refusal),
                0);
        fake_host_advance(core->fake, 5 * USEC_PER_SEC);
        core_set_policy(core, POLICY("kill"));
        begins(core);
        is_through(core, true);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(lease->state, LEASE_REVOKING);
        fake_host_advance(core->fake, 10 * USEC_PER_SEC);
        assert_true(blue->killed);
        assert_int_equal(core->last_end, END_REVOKED);
        core_check_idle(core);
}

/* At the deadline all of the process is killed, so all of its devices are lost. */
static void test_deaf_with_two(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);

        (void)GRANT(core, blue, { D1, D2 });
        begins(core);
        fake_host_advance(core->fake, 10 * USEC_PER_SEC);
        assert_true(blue->killed);
        is_through(core, true);
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
        assert_state(broker_device(core->broker, D2), DEVICE_AVAILABLE);
}

/* `never` leaves it, and says so at once. */
static void test_never(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease;

        core_set_policy(core, POLICY("never"));
        lease = GRANT(core, blue, { D1 });
        begins(core);
        assert_non_null(strstr(broker_device(core->broker, D1)->state_reason, "process 1"));
        assert_int_equal(core->events[EVENT_REVOKED], 2); /* that it goes, and that it is asked for */
        fake_host_advance(core->fake, 3600 * USEC_PER_SEC);
        assert_true(blue->alive);
        assert_int_equal(lease->state, LEASE_REVOKING);
        assert_int_equal(core->events[EVENT_REVOKED], 3);
        fake_host_end_process(core->fake, blue);
        (void)fake_host_run(core->fake);
        is_through(core, true);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* An administrator had asked for it already: the deadline is not later by this; where it was later, the shorter counts for
 * nothing that the administrator gave more time. */
static void test_asked_before(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1, D2 });
        uint64_t until;
        Refusal refusal;

        assert_int_equal(
                broker_lease_revoke(core->broker, lease, NULL, USEC_PER_SEC, "maintenance", &refusal), 0);
        until = lease->revoke_until;
        begins(core);
        assert_true(broker_device(core->broker, D1)->leaving);
        assert_true(lease->revoke_until == until);
        assert_string_equal(lease->revoke_reason, "maintenance");
        fake_host_advance(core->fake, USEC_PER_SEC);
        assert_true(blue->killed);
        assert_int_equal(core->last_end, END_REVOKED);

        (void)fake_host_device(core->fake, D1);
        is_through(core, true);
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
}

/* The other device of the lease was to go first: both by the deadline of that one. */
static void test_both_go(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease = GRANT(core, blue, { D1, D2 });
        uint64_t until;

        begins(core);
        until = lease->revoke_until;
        fake_host_advance(core->fake, 4 * USEC_PER_SEC);
        fake_host_device(core->fake, D2)->let_go = true;
        broker_device_released(core->broker, broker_device(core->broker, D2)->info.path, false);
        core_check(core);
        assert_true(broker_device(core->broker, D2)->asked_back);
        assert_true(lease->revoke_until == until);
        assert_int_equal(core->n_revoked, 2);
        fake_host_advance(core->fake, 6 * USEC_PER_SEC);
        assert_true(blue->killed);
}

/* What workers of the broker do is nobody's doing: before the grant, after the end, and told late. Nor is what nobody
 * knows. */
static void test_own_workers(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        FakeDevice *fake = fake_host_device(core->fake, D1);
        Answer answer = {};
        Lease *lease;

        broker_device_released(core->broker, "/sys/devices/none", false);
        broker_device_released(core->broker, PATH1, true); /* of nobody */
        fake->hang = fake->let_go = true;
        assert_int_equal(core_ask(core, &(Ask){ .process = blue, .devices = { D1 } }, &answer), 0);
        broker_device_released(core->broker, PATH1, false);
        (void)core_device(core, D1, 1, "");
        fake->hang = fake->let_go = false;
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
        lease = answer.lease;
        broker_device_released(core->broker, PATH1, false);
        broker_device_released(core->broker, PATH1, true);
        (void)core_device(core, D1, 1, "vfio-pci");
        core_check(core);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_int_equal(core->events[EVENT_REVOKED], 0);
        broker_lease_end(core->broker, lease, END_RELEASED);
        fake->let_go = true;
        broker_device_released(core->broker, PATH1, false);
        fake->let_go = false;
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(core->events[EVENT_REVOKED], 0);
}

/* It began while the lease was opened: the holder is asked as soon as it is one. */
static void test_while_opening(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Answer answer = {};

        assert_int_equal(core_ask(core, &(Ask){ .process = blue, .devices = { D2 } }, &answer), 0);
        fake_host_device(core->fake, D2)->let_go = true;
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
        assert_int_equal(answer.lease->state, LEASE_REVOKING);
        assert_true(broker_device(core->broker, D2)->leaving);

        /* And what is added. */
        fake_host_device(core->fake, D2)->let_go = false;
        answer = (Answer){};
        (void)core_device(core, "0000:03:00.0", 3, "vfio-pci");
        (void)core_device(core, "0000:04:00.0", 4, "vfio-pci");
        assert_int_equal(
                core_ask(core,
                         &(Ask){ .process = blue,
                                 .devices = { "0000:04:00.0" },
                                 .lease = GRANT(core, core_process(core, 2, UID_BLUE), { "0000:03:00.0" }) },
                         &answer),
                0);
        fake_host_device(core->fake, "0000:04:00.0")->let_go = true;
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
        assert_int_equal(answer.lease->state, LEASE_REVOKING);
        core_check(core);
}

/* It went while the lease was opened: the one who asked hears that there is no such device, whoever is first to know. */
static void test_gone_while_opening(void **state)
{
        Core *core = *state;

        for (int told = 0; told < 2; told++) {
                FakeProcess *blue = core_process(core, (pid_t)(1 + told), UID_BLUE);
                Answer answer = {};

                assert_int_equal(core_ask(core, &(Ask){ .process = blue, .devices = { D1, D2 } }, &answer),
                                 0);
                fake_host_device(core->fake, D1)->gone = true;
                if (told)
                        broker_device_remove(core->broker, D1);
                (void)fake_host_run(core->fake);
                assert_int_equal(answer.code, RESULT_NO_SUCH_DEVICE);
                assert_non_null(strstr(answer.text, "removed from the machine"));
                if (!told)
                        broker_device_remove(core->broker, D1);
                fake_host_advance(core->fake, USEC_PER_SEC);
                core_check_idle(core);
                assert_null(broker_device(core->broker, D1));
                assert_state(broker_device(core->broker, D2), DEVICE_AVAILABLE);
                (void)comes_back(core);
        }
}

/* Where the kernel tells afterwards, it is looked once a second, while anybody holds such a device and no longer. */
static void test_told_late(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease, *other;

        broker_device(core->broker, D1)->info.iommufd = false;
        lease = GRANT(core, blue, { D1 }, .backend = POLICY_BACKEND_GROUP);
        other = GRANT(core, core_process(core, 2, UID_BLUE), { D2 });
        fake_host_device(core->fake, D1)->let_go = true;
        fake_host_advance(core->fake, UNPLUG_LOOK_USEC - 1);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        fake_host_advance(core->fake, 1);
        assert_int_equal(lease->state, LEASE_REVOKING);
        assert_null(core->broker->unplug_timer); /* there is nothing left to find out */
        core_check(core);
        is_through(core, true);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->last_end, END_DEVICE_REMOVED);
        broker_lease_end(core->broker, other, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);

        comes_back(core)->info.iommufd = false;
        lease = GRANT(core, blue, { D1 }, .backend = POLICY_BACKEND_GROUP);
        assert_non_null(core->broker->unplug_timer);
        fake_host_advance(core->fake, 10 * UNPLUG_LOOK_USEC);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        broker_lease_end(core->broker, lease, END_RELEASED);
        assert_null(core->broker->unplug_timer);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* It began before or while the daemon was away, or is through: the next one finds out. */
static void test_restart(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        uint64_t until;
        Lease *lease;

        (void)GRANT(core, blue, { D1, D2 });
        begins(core);
        fake_host_device(core->fake, D1)->hang = false;
        until = core->broker->leases->revoke_until;
        core_restart(core);
        core_check(core);
        assert_int_equal(core->broker->leases->state, LEASE_REVOKING);
        assert_true(core->broker->leases->revoke_until == until);
        assert_true(broker_device(core->broker, D1)->leaving);

        fake_host_device(core->fake, D2)->let_go = true;
        core_restart(core);
        core_check(core);
        assert_true(broker_device(core->broker, D2)->leaving);
        assert_true(core->broker->leases->revoke_until == until);

        /* Another driver has it: nobody waits for it. */
        fake_host_device(core->fake, D2)->let_go = false;
        (void)core_device(core, D2, 2, "igb");
        (void)fake_host_run(core->fake);
        core_check(core);
        lease = core->broker->leases;
        assert_int_equal(lease->n_devices, 1);
        assert_string_equal(lease->devices[0]->info.id, D1);
        assert_state(broker_device(core->broker, D2), DEVICE_HOST);
}

/* Two went while the daemon was away: the second is looked at though the first has left the lease, and is lost, too, or
 * asked for where somebody only begins to take it. */
static void test_both_while_away(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);

        (void)GRANT(core, blue, { D1, D2 });
        strcpy(fake_host_device(core->fake, D1)->driver, "igb");
        fake_host_device(core->fake, D2)->let_go = true;
        core_restart(core);
        core_check(core);
        assert_int_equal(core->broker->leases->n_devices, 1);
        assert_true(broker_device(core->broker, D2)->leaving);

        fake_host_device(core->fake, D2)->let_go = false;
        (void)core_device(core, D2, 2, "igb");
        (void)fake_host_run(core->fake);
        core_check_idle(core);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)GRANT(core, blue, { D1, D2 });
        strcpy(fake_host_device(core->fake, D1)->driver, "igb");
        strcpy(fake_host_device(core->fake, D2)->driver, "igb");
        core_restart(core);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(broker_device(core->broker, D1), DEVICE_HOST);
        assert_state(broker_device(core->broker, D2), DEVICE_HOST);
}

/* --- those who wait --- */

static unsigned n_woken;

static bool woken(void *userdata, WaitWake why)
{
        Core *core = userdata;

        assert_int_equal(why, WAIT_RETRY);
        n_woken++;
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, core_process(core, 9, UID_RED), { D1 });
        return false;
}

/* Who waits for a device that goes is woken, to hear that there is no such device, before its lease has let go of it. */
static void test_waiters(void **state)
{
        Core *core = *state;
        Lease *lease = GRANT(core, core_process(core, 1, UID_BLUE), { D1 });
        Refusal refusal;

        n_woken = 0;
        fake_host_device(core->fake, D1)->prove_error = EBUSY;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_state(broker_device(core->broker, D1), DEVICE_RECLAIMING);
        assert_int_equal(broker_wait(core->broker, 7, 3600 * USEC_PER_SEC, woken, core, &refusal), 0);
        assert_true(wait_is_vain(core->broker, (const char *const[]){ D1 }, 1));
        broker_device_remove(core->broker, D1);
        assert_non_null(broker_device(core->broker, D1)->lease);
        assert_false(wait_is_vain(core->broker, (const char *const[]){ D1 }, 1));
        fake_host_advance(core->fake, 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(n_woken, 1);
        fake_host_advance(core->fake, 2 * USEC_PER_SEC);
        core_check_idle(core);
}

/* Nothing can be had to ask with: it is told, and all else goes on. */
static void test_no_timer(void **state)
{
        Core *core = *state;
        Lease *lease = GRANT(core, core_process(core, 1, UID_BLUE), { D1 });

        core->fail[OP_TIMER_START] = ENOMEM;
        begins(core);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_int_equal(core->events[EVENT_TROUBLE], 1);
        assert_non_null(strstr(core->last_event[EVENT_TROUBLE], "vfiobrokerctl revoke"));
        core->fail[OP_TIMER_START] = 0;
        is_through(core, true);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(core->last_end, END_DEVICE_REMOVED);
}

/* No record can be written of what is split off: the lease ends as a whole, and nothing is forgotten. */
static void test_no_record(void **state)
{
        Core *core = *state;

        (void)GRANT(core, core_process(core, 1, UID_BLUE), { D1, D2 });
        begins(core);
        core->fail[OP_LEASE_PUT] = ENOSPC;
        is_through(core, true);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->last_end, END_DEVICE_REMOVED);
        core_check_idle(core);
        assert_state(broker_device(core->broker, D2), DEVICE_AVAILABLE);
}

/* Where the machine cannot say whether a driver lets go, nobody is asked; and it is looked at again, for nothing else will
 * tell, whatever leases end in between. */
static void test_cannot_tell(void **state)
{
        Core *core = *state;
        FakeProcess *red = core_process(core, 2, UID_RED);
        Lease *lease = GRANT(core, core_process(core, 1, UID_BLUE), { D1 });

        (void)GRANT(core, red, { D2 });
        fake_host_device(core->fake, D1)->bound_error = -ENOMEM;
        broker_device_released(core->broker, PATH1, false);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        fake_host_device(core->fake, D1)->bound_error = 0;
        fake_host_advance(core->fake, UNPLUG_LOOK_USEC);
        assert_int_equal(core->n_revoked, 0);
        assert_null(core->broker->unplug_timer); /* once was enough */

        fake_host_device(core->fake, D1)->bound_error = -ENOMEM;
        begins(core);
        assert_int_equal(core->n_revoked, 0);
        fake_host_end_process(core->fake, red);
        (void)fake_host_run(core->fake);
        fake_host_advance(core->fake, UNPLUG_LOOK_USEC);
        assert_int_equal(core->n_revoked, 0);
        fake_host_device(core->fake, D1)->bound_error = 0;
        fake_host_advance(core->fake, UNPLUG_LOOK_USEC);
        assert_int_equal(core->n_revoked, 1);
        assert_int_equal(lease->state, LEASE_REVOKING);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(deaf),
                TEST(worker_is_first),
                TEST(unbind),
                TEST(one_of_two),
                TEST(deaf_with_two),
                TEST(never),
                TEST(waiters),
                TEST(asked_before),
                TEST(both_go),
                TEST(own_workers),
                TEST(told_late),
                TEST(while_opening),
                TEST(restart),
                TEST(gone_while_opening),
                TEST(no_timer),
                TEST(no_record),
                TEST(while_reissued),
                TEST(kept_and_gone),
                TEST(both_while_away),
                TEST(cannot_tell),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
