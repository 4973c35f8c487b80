/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/select.c: which devices the words of an Acquire mean, through the whole of broker_acquire(). */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"
#define D4 "0000:04:00.0"

#define POOLS                                                                                               \
        "[tenant blue]\nmatch-user = 2001\ndevices = pool:nics, pci:" D4 "\n"                               \
        "[tenant red]\nmatch-user = 2002\ndevices = pool:nics\ndeny-devices = pci:" D1 "\n"                 \
        "[tenant green]\nmatch-user = 2009\ndevices = pci:" D4 "\n"                                         \
        "[pool nics]\ndevices = pci:0000:0[123]:00.0\n[pool none]\ndevices = bus:amba\n"

static char *ids_of(const Lease *lease, char *buffer, size_t size)
{
        size_t n = 0;

        buffer[0] = 0;
        for (size_t i = 0; i < lease->n_devices; i++)
                n += (size_t)snprintf(buffer + n, size - n, "%s%s", i ? " " : "",
                                      lease->devices[i]->info.id);
        return buffer;
}

#define assert_grants(core, wanted, ...)                                                                    \
        assert_string_equal(ids_of(GRANT(core, __VA_ARGS__), (char[512]){}, 512), wanted)

/* Four devices with a group each, which the broker hears of in another order than that of their ids. */
static void add_devices(Core *core)
{
        static const char *const ids[] = { D3, D1, D4, D2 };

        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                (void)core_device(core, ids[i], (int)i + 1, "vfio-pci");
        core_set_policy(core, POOLS);
}

/* One, K, and all of a pool, by id; what is taken is left out; the refusal counts what is there. */
static void test_pool(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *red = core_process(core, 101, UID_RED);
        Lease *lease;

        add_devices(core);
        lease = GRANT(core, blue, { "pool:nics" });
        assert_string_equal(lease->devices[0]->info.id, D1);
        assert_string_equal(REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:nics*3" }),
                            "Pool nics: 3 asked for; of the 3 devices that tenant blue may use 2 are free.");
        assert_grants(core, D2 " " D3, blue, { "pool:nics*2" });
        assert_string_equal(REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:nics" }),
                            "Pool nics: 1 asked for; of the 3 devices that tenant blue may use 0 are free.");

        /* One comes back; red may use only two of the three. */
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_string_equal(REFUSED(core, RESULT_DEVICE_TAKEN, red, { "pool:nics" }),
                            "Pool nics: 1 asked for; of the 2 devices that tenant red may use 0 are free.");
        assert_grants(core, D1, blue, { "pool:nics*1" });
}

/* Pools that are none, or nothing for this tenant. */
static void test_pool_refused(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *green = core_process(core, 101, UID_NOONE);
        static const char *const bad[] = {
                "pool:",        "pool:*2",      "pool:nics*",   "pool:nics*0",   "pool:nics*01",
                "pool:nics*-1", "pool:nics* 1", "pool:nics*1x", "pool:nics*2*x", "pool:nics*4294967297"
        };
        char name[POLICY_NAME_MAX + 20];

        add_devices(core);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_non_null(strstr(REFUSED(core, RESULT_INVALID_ARGS, blue, { bad[i] }), bad[i]));
        (void)REFUSED(core, RESULT_LIMITS_EXCEEDED, blue, { "pool:nics*16" });
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:nics*15" });
        assert_string_equal(REFUSED(core, RESULT_NO_SUCH_DEVICE, blue, { "pool:nic*2" }),
                            "The policy has no pool nic.");
        (void)snprintf(name, sizeof(name), "pool:%0*d", (int)POLICY_NAME_MAX + 1, 0);
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, blue, { name });
        assert_string_equal(REFUSED(core, RESULT_NO_SUCH_DEVICE, blue, { "pool:none" }),
                            "No device in the machine is of pool none.");
        assert_non_null(strstr(REFUSED(core, RESULT_DENIED_BY_POLICY, green, { "pool:nics" }),
                               "Pool nics has nothing for tenant green: tenant green may not use 0000:0"));
}

/* What cannot be passed, is in quarantine, or goes with what another tenant holds is not chosen. */
static void test_pool_skips(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *red = core_process(core, 101, UID_RED);
        Device *d1, *d3;

        add_devices(core);
        d1 = broker_device(core->broker, D1);
        d3 = broker_device(core->broker, D3);
        d1->info.bridge = true;
        assert_grants(core, D2, red, { D2 });
        assert_non_null(strstr(REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:nics*2" }), "1 is free"));
        broker_device_quarantine(core->broker, NULL, d3, "broken");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:nics" });
        (void)device_set_state(d3, DEVICE_AVAILABLE, "%s", "");
        broker_device_put_record(core->broker, d3);
        /* D3 moves into the group that red uses. */
        (void)core_device(core, D3, broker_device(core->broker, D2)->info.group, "vfio-pci");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:nics" });
        core_set_policy(core, POOLS "[pool split]\ndevices = pci:" D3 "\n");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:split" });
        d1->info.bridge = false;
        assert_grants(core, D1, blue, { "pool:nics" });
}

/* The nearest to the process by the machine's figures, then by id; where nothing is known, by id alone. */
static void test_pool_nearest(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE);

        add_devices(core);
        broker_device(core->broker, D1)->info.numa_node = 0;
        broker_device(core->broker, D2)->info.numa_node = 1;
        /* D3's is not known. */
        broker_lease_end(core->broker, GRANT(core, blue, { "pool:nics*3" }), END_RELEASED);
        core->fake->numa_distances = (NumaDistances){ .of = { [0] = 31, [1] = 10 } };
        (void)fake_host_run(core->fake);
        assert_grants(core, D2 " " D3, blue, { "pool:nics*2" });
        assert_grants(core, D1, blue, { "pool:nics" });
}

/* What the host uses is not chosen while another is free; where it is the last, the refusal says what uses it. */
static void test_pool_in_use(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE);
        FakeDevice *used = fake_host_device(core->fake, D1);

        add_devices(core);
        (void)core_device(core, D1, 2, "igb");
        used->usage = (DeviceUsage){ .kind = USAGE_HOST, .text = "eth1 is up" };
        assert_string_equal(REFUSED(core, RESULT_DEVICE_BUSY_ON_HOST, blue, { "pool:nics*3" }),
                            "Pool nics: Device " D1
                            " is in use on the host: eth1 is up. End that use, or set "
                            "force-unbind = yes in [device id:" D1 "].");
        assert_grants(core, D2, blue, { "pool:nics" });
        assert_string_equal(REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:nics*2" }),
                            "Pool nics: 2 asked for; of the 3 devices that tenant blue may use 1 is free.");
        used->usage_error = EIO;
        assert_grants(core, D3, blue, { D3 });
        used->usage = (DeviceUsage){};
        used->usage_error = 0;
        assert_grants(core, D1, blue, { "pool:nics" });
}

/* A device that the same call names, by id, group or an earlier pool, is not chosen again; rows stay in the order of the
 * arguments; the sum is held under the limit. */
static void test_mixed(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE);
        Ask many = { .process = blue, .devices = { "pool:nics*2", "pool:all*14" } };
        static char ids[JOB_DEVICES_MAX + 1][32];

        add_devices(core);
        broker_lease_end(core->broker, GRANT(core, blue, { "pool:nics*2", D1 }), END_RELEASED);
        (void)fake_host_run(core->fake);
        assert_grants(core, D2 " " D1 " " D3 " " D4, blue, { "pool:nics", D1, "pool:nics", "group:3" });
        assert_int_equal(fake_host_n_jobs(core->fake), 0);

        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "0000:%02zx:00.0", i + 0x10);
                (void)core_device(core, ids[i], (int)i + 10, "vfio-pci");
        }
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = any\n"
                              "[pool all]\ndevices = any\n[pool nics]\ndevices = pci:0000:1*\n");
        assert_non_null(strstr(core_refused(core, &many, RESULT_LIMITS_EXCEEDED), "16 devices"));
        many.devices[1] = "pool:all*13";
        assert_int_equal(core_grant(core, &many)->n_devices, JOB_DEVICES_MAX);
}

/* A group stands for its devices that can be passed, by id. */
static void test_group(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE);
        static const char *const bad[] = { "group:",   "group:x",  "group:+1",
                                           "group:01", "group:1 ", "group:4294967297" };

        (void)core_device(core, D3, 7, "vfio-pci");
        (void)core_device(core, D1, 7, "vfio-pci");
        core_device(core, D2, 7, "pcieport")->info.bridge = true;
        core_device(core, D4, 8, "pcieport")->info.bridge = true;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                (void)REFUSED(core, RESULT_INVALID_ARGS, blue, { bad[i] });
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, blue, { "group:9" });
        assert_non_null(strstr(REFUSED(core, RESULT_GROUP_NOT_VIABLE, blue, { "group:8" }), "bridges"));
        assert_non_null(strstr(REFUSED(core, RESULT_INVALID_ARGS, blue, { D1, "group:7" }), "twice"));
        assert_non_null(strstr(REFUSED(core, RESULT_INVALID_ARGS, blue, { "group:7", "group:7" }), "twice"));
        assert_grants(core, D1 " " D3, blue, { "group:7" });
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "group:7" });

        for (unsigned i = 0; i <= JOB_DEVICES_MAX; i++) {
                char id[32];

                (void)snprintf(id, sizeof(id), "0000:20:%02x.0", i);
                (void)core_device(core, id, 9, "vfio-pci");
        }
        assert_non_null(strstr(REFUSED(core, RESULT_LIMITS_EXCEEDED, blue, { "group:9" }), "16 devices"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(pool),        TEST(pool_refused), TEST(pool_skips), TEST(pool_nearest),
                TEST(pool_in_use), TEST(mixed),        TEST(group),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
