/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/inventory.c: devices and groups come, change and go, also while somebody has them. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"

/* Devices bring their groups with them, and the last one takes it away. */
static void test_come_and_go(void **state)
{
        Core *core = *state;
        Device *a = core_device(core, D1, 1, "igb"), *b = core_device(core, D2, 1, "vfio-pci"), *none;

        core_check(core);
        assert_state(a, DEVICE_HOST);
        assert_state(b, DEVICE_AVAILABLE);
        assert_int_equal(core->n_groups, 1);
        assert_int_equal(broker_group(core->broker, 1)->n_devices, 2);
        assert_string_equal(broker_group(core->broker, 1)->type, "DMA");
        none = core_device(core, "platform/x", -1, "");
        assert_null(none->group);
        broker_device_remove(core->broker, D1);
        core_check(core);
        assert_int_equal(core->n_groups, 1);
        broker_device_remove(core->broker, D2);
        broker_device_remove(core->broker, "platform/x");
        broker_device_remove(core->broker, "no such device");
        core_check(core);
        assert_int_equal(core->n_groups, 0);
        assert_int_equal(core->n_devices, 0);
}

/* A change of driver changes the state of an idle device, and forgets what was proven of it, on disk too. */
static void test_driver_changes(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");

        broker_lease_end(core->broker, GRANT(core, core_process(core, 100, UID_BLUE), { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_true(device->proven && device->clean && device->prior_known);
        assert_non_null(core_device_record(core, D1));

        assert_ptr_equal(core_device(core, D1, 1, "vfio-pci"), device); /* nothing new */
        assert_true(device->proven && device->clean && device->prior_known);
        (void)core_device(core, D1, 1, "igb");
        core_check(core);
        assert_state(device, DEVICE_HOST);
        assert_false(device->proven || device->clean || device->prior_known);
        assert_null(core_device_record(core, D1));
        (void)core_device(core, D1, 1, "vfio-pci");
        assert_state(device, DEVICE_AVAILABLE);
        assert_false(device->proven);
        core_check(core);
}

/* What was known of the driver_override holds as long as the driver does, where it could not be read anew. */
static void test_override_not_read(void **state)
{
        Core *core = *state;
        const Device *device = core_device(core, D1, 1, "igb");
        DeviceInfo info;

        for (int known = 1; known >= 0; known--) {
                info = fake_host_device_info(core->fake, D1, 1, "igb");
                info.override_known = known;
                strcpy(info.driver_override, known ? "kept" : "");
                assert_int_equal(broker_device_update(core->broker, &info), 0);
                assert_string_equal(device->info.driver_override, "kept");
        }
        (void)core_device(core, D1, 1, "ixgbe");
        assert_string_equal(device->info.driver_override, "");
        (void)core_device(core, D1, 1, "igb");
        assert_string_equal(device->info.driver_override, "");
        core_check(core);
}

/* A quarantined device stays in quarantine, whatever happens to its driver. */
static void test_quarantine_stays(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");

        fake_host_device(core->fake, D1)->reset = RESET_FAILED;
        (void)FAILS(core, RESULT_RESET_FAILED, core_process(core, 100, UID_BLUE), { D1 });
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D1, 1, "");
        assert_state(device, DEVICE_QUARANTINED);
        core_check(core);
        assert_true(core_device_record(core, D1)->quarantined);
}

/* A device moves to another group: the old one goes with its last member. */
static void test_group_changes(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "vfio-pci");

        broker_lease_end(core->broker, GRANT(core, core_process(core, 100, UID_BLUE), { D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        (void)core_device(core, D1, 2, "igb");
        core_check(core);
        assert_null(broker_group(core->broker, 1));
        assert_int_equal(device->group->number, 2);
        assert_false(device->proven || device->clean);
        (void)core_device(core, D1, -1, "igb");
        core_check(core);
        assert_null(device->group);
        assert_int_equal(core->n_groups, 0);
}

/* A group that is full takes no more: the device is not there, or is there without a group; nothing leaks. */
static void test_group_full(void **state)
{
        Core *core = *state;
        Device *device;
        DeviceInfo info;
        char id[32];

        for (unsigned i = 0; i < GROUP_DEVICES_MAX; i++) {
                (void)snprintf(id, sizeof(id), "0000:%02x:00.0", i + 1);
                (void)core_device(core, id, 1, "");
        }
        info = fake_host_device_info(core->fake, "0000:f0:00.0", 1, "");
        assert_int_equal(broker_device_update(core->broker, &info), -E2BIG);
        device_info_done(&info);
        assert_null(broker_device(core->broker, "0000:f0:00.0"));
        core_check(core);

        device = core_device(core, "0000:f1:00.0", 2, "vfio-pci");
        info = fake_host_device_info(core->fake, "0000:f1:00.0", 1, "vfio-pci");
        assert_int_equal(broker_device_update(core->broker, &info), -E2BIG);
        assert_null(device->group);
        (void)REFUSED(core, RESULT_GROUP_NOT_VIABLE, core_process(core, 100, UID_BLUE), { "0000:f1:00.0" });
}

/* A leased device is removed: it is no longer its lease's, which goes on with the other one. */
static void test_remove_leased(void **state)
{
        Core *core = *state;
        Device *other = core_device(core, D2, 2, "vfio-pci");
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        lease = GRANT(core, core_process(core, 100, UID_BLUE), { D1, D2 });
        broker_device_remove(core->broker, D1);
        core_check(core);
        assert_int_equal(core->n_ended, 0);
        assert_int_equal(core->events[EVENT_ENDED], 1);
        assert_int_equal(lease->state, LEASE_ACTIVE);
        assert_int_equal(lease->n_devices, 1);
        assert_int_equal(core_lease_record(core, lease->id)->n_devices, 1);
        assert_int_equal(core->n_leases, 1);
        assert_null(broker_device(core->broker, D1));
        assert_state(other, DEVICE_LEASED);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_state(other, DEVICE_AVAILABLE);
}

/* The only device of a lease is removed: the lease is gone at once. */
static void test_remove_only_device(void **state)
{
        Core *core = *state;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, core_process(core, 100, UID_BLUE), { D1 }, .memlock = MIB);
        broker_device_remove(core->broker, D1);
        core_check_idle(core);
        assert_int_equal(core->n_devices, 0);
        assert_int_equal(core->n_groups, 0);
}

/* Removed while its reclaim runs, and while that waits to be tried again. */
static void test_remove_reclaiming(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        for (int waiting = 0; waiting < 2; waiting++) {
                Lease *lease;

                (void)core_device(core, D1, 1, "vfio-pci");
                lease = GRANT(core, vmm, { D1 });
                fake_host_device(core->fake, D1)->prove_error = EBUSY;
                broker_lease_end(core->broker, lease, END_RELEASED);
                if (waiting)
                        (void)fake_host_run(core->fake);
                broker_device_remove(core->broker, D1);
                core_check(core);
                assert_state(broker_device(core->broker, D1), DEVICE_GONE);
                (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, vmm, { D1 });
                fake_host_advance(core->fake, USEC_PER_SEC);
                core_check_idle(core);
                assert_null(broker_device(core->broker, D1));
                fake_host_device(core->fake, D1)->prove_error = 0;
        }
        assert_int_equal(core->events[EVENT_QUARANTINED], 0);
}

/* Another device comes in the place of one that a lease still ends on: it is not taken for the old one, and enters when
 * that has left. It may also go again before, or come twice. */
static void test_returns(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        for (int how = 0; how < 3; how++) {
                Device *old = core_device(core, D1, 1, "vfio-pci");
                Lease *lease = GRANT(core, vmm, { D1 });
                DeviceInfo info;

                broker_lease_end(core->broker, lease, END_RELEASED); /* its job runs */
                broker_device_remove(core->broker, D1);
                info = fake_host_device_info(core->fake, D1, 7, "igb");
                assert_int_equal(broker_device_update(core->broker, &info), 0);
                core_check(core);
                assert_ptr_equal(broker_device(core->broker, D1), old);
                assert_state(old, DEVICE_GONE);
                (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, vmm, { D1 });
                if (how == 1)
                        broker_device_remove(core->broker, D1);
                if (how == 2) {
                        info = fake_host_device_info(core->fake, D1, 8, "nvme");
                        assert_int_equal(broker_device_update(core->broker, &info), 0);
                }
                (void)fake_host_run(core->fake);
                core_check_idle(core);
                if (how == 1) {
                        assert_null(broker_device(core->broker, D1));
                } else {
                        Device *new = broker_device(core->broker, D1);

                        assert_state(new, DEVICE_HOST);
                        assert_int_equal(new->group->number, how == 0 ? 7 : 8);
                        assert_false(new->proven || new->prior_known);
                }
                broker_device_remove(core->broker, D1);
                core_check(core);
        }
}

/* It comes back, and finds no room in its group: it is not there, and nothing is left over. */
static void test_returns_to_full_group(void **state)
{
        Core *core = *state;
        DeviceInfo info;
        Lease *lease;
        char id[32];

        (void)core_device(core, "0000:ff:00.0", 1, "vfio-pci");
        lease = GRANT(core, core_process(core, 100, UID_BLUE), { "0000:ff:00.0" });
        for (unsigned i = 0; i < GROUP_DEVICES_MAX; i++) {
                (void)snprintf(id, sizeof(id), "0000:%02x:00.0", i + 1);
                (void)core_device(core, id, 2, "");
        }
        broker_lease_end(core->broker, lease, END_RELEASED);
        broker_device_remove(core->broker, "0000:ff:00.0");
        info = fake_host_device_info(core->fake, "0000:ff:00.0", 2, "");
        assert_int_equal(broker_device_update(core->broker, &info), 0);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_null(broker_device(core->broker, "0000:ff:00.0"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(come_and_go),      TEST(driver_changes),        TEST(override_not_read),
                TEST(quarantine_stays), TEST(group_changes),         TEST(group_full),
                TEST(remove_leased),    TEST(remove_only_device),    TEST(remove_reclaiming),
                TEST(returns),          TEST(returns_to_full_group),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
