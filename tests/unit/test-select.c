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
        (void)REFUSED(core, RESULT_LIMITS_EXCEEDED, blue, { "pool:nics*127" });
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { "pool:nics*126" });
        assert_string_equal(REFUSED(core, RESULT_NO_SUCH_DEVICE, blue, { "pool:nic*2" }),
                            "There is no pool nic with a device that tenant blue may use.");
        assert_string_equal(REFUSED(core, RESULT_NO_SUCH_DEVICE, blue, { "pool:nic*2" }, .admin = true),
                            "The policy has no pool nic.");
        (void)snprintf(name, sizeof(name), "pool:%0*d", (int)POLICY_NAME_MAX + 1, 0);
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, blue, { name });
        assert_string_equal(REFUSED(core, RESULT_NO_SUCH_DEVICE, blue, { "pool:none" }),
                            "There is no pool none with a device that tenant blue may use.");
        assert_string_equal(REFUSED(core, RESULT_NO_SUCH_DEVICE, blue, { "pool:none" }, .admin = true),
                            "No device in the machine is of pool none.");
        assert_string_equal(REFUSED(core, RESULT_NO_SUCH_DEVICE, green, { "pool:nics" }),
                            "There is no pool nics with a device that tenant green may use.");
        assert_non_null(strstr(REFUSED(core, RESULT_DENIED_BY_POLICY, green, { "pool:nics" }, .admin = true),
                               "Pool nics has nothing for tenant green: tenant green may not use 0000:0"));
}

#define NVME     "0000:01:00.1" /* there, denied by its class */
#define NOT_NVME "0000:01:00.2" /* not there, of an address that is given */
#define NOWHERE  "0000:05:00.0" /* not there, of one that is not */

/* The steps that were told, and the text of the refusal, with the one id in place of the other. */
typedef struct Told {
        char text[4096];
} Told;

static void on_step(void *userdata, const DecideStep *step)
{
        Told *told = userdata;
        size_t n = strlen(told->text);

        /* The bus layer keeps tenants that the caller is not to itself. */
        if (streq(step->name, "tenant") && !step->passed)
                return;
        (void)snprintf(told->text + n, sizeof(told->text) - n, "%s %s %d %s\n", step->name, step->about,
                       step->passed, step->text);
}

static void ask(Core *core, FakeProcess *process, bool admin, const char *id, const char *shown, Told *ret)
{
        const DecideTrace trace = { on_step, ret };
        const AcquireRequest request = {
                .caller = { .uid = process->facts.uid },
                .admin = admin,
                .caller_pid = process->pid,
                .caller_pidfd = process->pidfd,
                .target_pidfd = -EBADF,
                .devices = &id,
                .n_devices = 1,
                .memlock = UINT64_MAX,
                .trace = &trace,
        };
        Refusal refusal = {};
        bool word = false;
        size_t n;
        int r;

        *ret = (Told){};
        r = broker_check(core->broker, &request, &refusal);
        n = strlen(ret->text);
        (void)snprintf(ret->text + n, sizeof(ret->text) - n, "%s: %s\n", result_to_string((Result)r),
                       refusal.text);
        /* "group:2" is "group 2" in a text */
        if (strncmp(id, "group:", 6) == 0 || strncmp(id, "pool:", 5) == 0) {
                id = strchr(id, ':') + 1;
                shown = strchr(shown, ':') + 1;
                word = true;
        }
        for (char *p = ret->text; (p = strstr(p, id)); p += strlen(shown))
                for (size_t i = 0; shown[i] && (!word || p[-1] == ' ' || i > 0); i++)
                        p[i] = shown[i];
}

/* What there is not and what is not for the tenant have one answer, in code, text and steps; an administrator has two. */
static void test_not_told(void **state)
{
        static const struct {
                const char *hidden, *absent;
                Result code;
        } table[] = {
                { D2, NOWHERE, RESULT_DENIED_BY_POLICY },
                { NVME, NOT_NVME, RESULT_NO_SUCH_DEVICE },
                { D4, "0000:04:00.1", RESULT_DENIED_BY_POLICY },
                { "platform/hidden", "platform/absent", RESULT_DENIED_BY_POLICY },
                { "amba/hidden", "amba/absent", RESULT_NO_SUCH_DEVICE },
                { "2f2e9f5e-1111-4222-8333-000000000001", "2f2e9f5e-1111-4222-8333-000000000002",
                  RESULT_DENIED_BY_POLICY },
                { "group:2", "group:9", RESULT_NO_SUCH_DEVICE },
                { "pool:hidden", "pool:absent", RESULT_NO_SUCH_DEVICE },
        };
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE);
        Told hidden, absent;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        core_device(core, NVME, 3, "vfio-pci")->info.class = 0x010802;
        (void)core_device(core, D4, 4, "vfio-pci");
        for (size_t i = 3; i < 6; i++) {
                Device *device = core_device(core, table[i].hidden, (int)(i + 2), "vfio-platform");

                (void)snprintf(device->info.bus, sizeof(device->info.bus), "%s",
                               i == 5   ? "mdev"
                               : i == 4 ? "amba"
                                        : "platform");
        }
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\n"
                              "devices = pci:0000:01:*, bus:amba, pci:0000:04:*\n"
                              "deny-devices = class:0108*, driver:vfio-platform, pci:0000:04:*\n"
                              "[pool hidden]\ndevices = pci:" D2 "\n");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ask(core, blue, false, table[i].hidden, table[i].hidden, &hidden);
                ask(core, blue, false, table[i].absent, table[i].hidden, &absent);
                assert_string_equal(hidden.text, absent.text);
                assert_non_null(strstr(hidden.text, result_to_string(table[i].code)));
                ask(core, blue, true, table[i].hidden, table[i].hidden, &hidden);
                ask(core, blue, true, table[i].absent, table[i].hidden, &absent);
                assert_string_not_equal(hidden.text, absent.text);
                assert_non_null(strstr(hidden.text, "DeniedByPolicy"));
                assert_non_null(strstr(absent.text, "NoSuchDevice"));
        }
        /* No device has such a name; none of it gets into a text that is cut. */
        ask(core, blue, false, "0000:05:00.é", "0000:05:00.é", &absent);
        assert_non_null(strstr(absent.text, "NoSuchDevice"));
}

/* Who has it is told to administrators, and to nobody else. */
static void test_holder_told(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *red = core_process(core, 4711, UID_RED);
        static const char *const asked[] = { D2, D3 };
        Told told;

        (void)core_device(core, D2, 2, "vfio-pci");
        (void)core_device(core, D3, 2, "vfio-pci");
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = any\n"
                              "[tenant scarlet]\nmatch-user = 2002\ndevices = any\n");
        (void)GRANT(core, red, { D2 });
        for (size_t i = 0; i < ELEMENTSOF(asked); i++) {
                ask(core, blue, false, asked[i], asked[i], &told);
                assert_non_null(strstr(told.text, i == 0 ? "DeviceTaken" : "GroupSplit"));
                assert_null(strstr(told.text, "scarlet"));
                assert_null(strstr(told.text, "4711"));
                ask(core, blue, true, asked[i], asked[i], &told);
                assert_non_null(strstr(told.text, "scarlet"));
        }
        ask(core, blue, true, D2, D2, &told);
        assert_non_null(strstr(told.text, "process 4711"));
        assert_non_null(strstr(told.text, core->broker->leases->id));
        /* And to the journal, where an operator looks. */
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { D2 });
        assert_non_null(strstr(core->last_event[EVENT_REFUSED], "scarlet"));
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
        Ask many = { .process = blue, .devices = { "pool:nics*2", "pool:all*125" } };
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
        assert_non_null(strstr(core_refused(core, &many, RESULT_LIMITS_EXCEEDED), "127 devices"));
        many.devices[1] = "pool:all*124";
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
                (void)core_device(core, id, 9 + (int)(i % 2), "vfio-pci");
        }
        assert_non_null(strstr(REFUSED(core, RESULT_LIMITS_EXCEEDED, blue, { "group:9", "group:10" }),
                               "127 devices"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(pool),  TEST(pool_refused), TEST(pool_skips), TEST(pool_nearest), TEST(pool_in_use),
                TEST(mixed), TEST(group),        TEST(not_told),   TEST(holder_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
