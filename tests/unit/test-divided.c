/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/divided.c: a policy that gives one IOMMU group, or what only one bus reset resets, to two tenants. */

#include "tests/unit/core-fixture.h"

#define A     "0000:08:01.0"
#define B     "0000:08:02.0"
#define C     "0000:09:00.0"
#define ABOVE "/sys/devices/pci0000:00/0000:00:08.0/"

#define TENANTS(blue, red)                                                                                  \
        "[tenant blue]\nmatch-user = 2001\ndevices = " blue "\n"                                            \
        "[tenant red]\nmatch-user = 2002\ndevices = " red "\n"

static Device *add_below(Core *core, const char *above, const char *id, int group, const char *reset)
{
        DeviceInfo info = fake_host_device_info(core->fake, id, group, "vfio-pci");

        free(info.path);
        assert_true(asprintf(&info.path, "%s%s", above, id) > 0);
        (void)snprintf(info.reset_methods[0], sizeof(info.reset_methods[0]), "%s", reset);
        info.n_reset_methods = 1;
        assert_int_equal(broker_device_update(core->broker, &info), 0);
        device_info_done(&info);
        return broker_device(core->broker, id);
}

static Device *add(Core *core, const char *id, int group, const char *reset)
{
        return add_below(core, ABOVE, id, group, reset);
}

/* How many warnings a policy gives; the only one has each of the texts. */
static size_t warnings(Core *core, const char *policy, const char *const *texts)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;

        core_set_policy(core, policy);
        broker_check_divided(core->broker, &errors);
        assert_int_equal(errors.n_errors, 0);
        assert_int_equal(errors.n_items, errors.n_warnings);
        for (; errors.n_items == 1 && *texts; texts++)
                if (!strstr(errors.items[0].text, *texts))
                        fail_msg("no \"%s\" in: %s", *texts, errors.items[0].text);
        return errors.n_items;
}
#define WARNINGS(core, policy, ...) warnings(core, policy, (const char *const[]){ __VA_ARGS__, NULL })

/* Each has one of the two; one has both and another one; both have both; only one has any. */
static void test_group(void **state)
{
        Core *core = *state;

        (void)add(core, A, 8, "flr");
        (void)add(core, B, 8, "flr");
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), "IOMMU group 8 is divided",
                                  "tenant blue may use " A ", and tenant red " B),
                         1);
        assert_int_equal(
                WARNINGS(core, TENANTS("any", "pci:" B), "tenant blue may use " A ", and tenant red " B), 1);
        assert_int_equal(WARNINGS(core, TENANTS("any", "any"), ""), 0);
        assert_int_equal(WARNINGS(core, TENANTS("any", "pci:" C), ""), 0);
        assert_int_equal(WARNINGS(core, TENANTS("any", "any\ndeny-devices = pci:" A), "red " B), 1);
}

/* What nobody can be given divides nothing. */
static void test_bridge(void **state)
{
        Core *core = *state;
        Device *bridge = add(core, A, 8, "flr");

        (void)add(core, B, 8, "flr");
        bridge->info.bridge = true;
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), ""), 0);
        bridge->info.bridge = false;
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), ""), 1);
}

/* Two groups on one bus: with a reset of its own a device is nobody's concern; without, the set is named once, and not
 * where the group says the same. */
static void test_reset_set(void **state)
{
        Core *core = *state;
        Device *a = add(core, A, 8, "bus"), *b = add(core, B, 9, "bus");

        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), "what is reset together with " A,
                                  "tenant blue may use " A ", and tenant red " B),
                         1);
        assert_int_equal(WARNINGS(core, TENANTS("any", "any"), ""), 0);
        strcpy(a->info.reset_methods[0], "flr");
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), "what is reset together with " B), 1);
        strcpy(b->info.reset_methods[0], "pm");
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), ""), 0);

        broker_device_remove(core->broker, B);
        (void)add(core, B, 8, "bus");
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), "IOMMU group 8"), 1);
}

/* What is on another bus, is a bridge, or gone while a worker still has it is in no set, nor in a group. */
static void test_left_out(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 1, UID_BLUE);
        Lease *lease;

        (void)add(core, A, 8, "bus");
        (void)add_below(core, "/sys/devices/pci0000:00/0000:00:09.0/", C, 10, "bus");
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" C), ""), 0);
        add(core, "0000:08:00.0", 11, "bus")->info.bridge = true;
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:0000:08:00.0"), ""), 0);

        (void)add(core, B, 8, "bus");
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = any\nreset = best-effort\n");
        lease = GRANT(core, blue, { B });
        fake_host_device(core->fake, B)->hang = true;
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), "IOMMU group 8"), 1);
        broker_device_remove(core->broker, B);
        assert_state(broker_device(core->broker, B), DEVICE_GONE);
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), ""), 0);
        fake_host_device(core->fake, B)->hang = false;
        (void)fake_host_run(core->fake);
}

/* A reset that hits what is further below is not that one's own; each set is told by itself. */
static void test_deeper(void **state)
{
        Core *core = *state;

        (void)add(core, B, 8, "bus");
        (void)add_below(core, ABOVE "0000:08:03.0/", A, 9, "bus"); /* by its id it would come first */
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), "what is reset together with " B), 1);
}

/* Without groups, as where there is no IOMMU, the set is all there is to say. */
static void test_no_group(void **state)
{
        Core *core = *state;

        (void)add(core, A, -1, "bus");
        (void)add(core, B, -1, "bus");
        assert_int_equal(WARNINGS(core, TENANTS("pci:" A, "pci:" B), "what is reset together with " A), 1);
}

/* More on one bus than is looked at: still one warning, of the first. */
static void test_many(void **state)
{
        Core *core = *state;

        for (int i = 0; i < GROUP_DEVICES_MAX + 6; i++) {
                char id[DEVICE_ID_MAX];

                (void)snprintf(id, sizeof(id), "0000:08:%02x.%d", i / 8, i % 8);
                (void)add(core, id, 20 + i, "bus");
        }
        assert_int_equal(WARNINGS(core, TENANTS("pci:0000:08:00.0", "pci:0000:08:00.1"),
                                  "what is reset together with 0000:08:00.0"),
                         1);
}

#define core_test(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = { core_test(test_group),     core_test(test_bridge),
                                            core_test(test_reset_set), core_test(test_left_out),
                                            core_test(test_deeper),    core_test(test_no_group),
                                            core_test(test_many) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
