/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/plan.c: each refusal of an Acquire with its code and text, their order, and what a job is told to do. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"
#define VF "0000:01:10.0"

/* What is wrong with the request itself. */
static void test_form(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        static char ids[JOB_DEVICES_MAX + 2][32];
        Ask many = { .process = vmm };
        const char *text;

        (void)core_device(core, D1, 1, "igb");
        (void)REFUSED(core, RESULT_INVALID_ARGS, vmm, {});
        (void)REFUSED(core, RESULT_INVALID_ARGS, vmm, { D1, D1 });
        (void)REFUSED(core, RESULT_INVALID_ARGS, vmm, { D1 }, .container = "a/b");
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, vmm, { "0000:ff:00.0" });
        (void)REFUSED(core, RESULT_NO_SUCH_DEVICE, vmm, { D1, "" });
        (void)REFUSED(core, RESULT_ACCESS_DENIED, vmm, { D1 }, .lifetime = LIFETIME_EXPLICIT);

        /* As many devices as fit, one more, two more. */
        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "0000:%02zx:00.0", i + 0x10);
                (void)core_device(core, ids[i], (int)i + 10, "vfio-pci");
                many.devices[i] = ids[i];
                if (i + 1 > JOB_DEVICES_MAX) {
                        text = core_refused(core, &many, RESULT_LIMITS_EXCEEDED);
                        assert_non_null(strstr(text, "at most 126"));
                }
        }
        many.devices[JOB_DEVICES_MAX] = NULL;
        (void)core_grant(core, &many);
        /* An empty container's name is a private one. */
        (void)GRANT(core, vmm, { D1 }, .container = "");
}

/* Who asks: no tenant, several, one that the caller is not. */
static void test_tenant(void **state)
{
        Core *core = *state;
        FakeProcess *none = core_process(core, 100, UID_NOONE), *both = core_process(core, 101, UID_BOTH),
                    *blue = core_process(core, 102, UID_BLUE);

        (void)core_device(core, D1, 1, "igb");
        (void)REFUSED(core, RESULT_NO_TENANT, none, { D1 });
        (void)REFUSED(core, RESULT_NO_TENANT, blue, { D1 }, .tenant = "red");
        (void)REFUSED(core, RESULT_AMBIGUOUS_TENANT, both, { D1 });
        assert_string_equal(GRANT(core, both, { D1 }, .tenant = "red")->tenant->name, "red");
}

/* Which process: ended, a zombie, a thread, another uid's, with CAP_IPC_LOCK; and what policy allows of that. */
static void test_process(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *target = core_process(core, 101, UID_BLUE),
                    *foreign = core_process(core, 102, UID_NOONE);
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        target->alive = false;
        (void)REFUSED(core, RESULT_PROCESS_UNUSABLE, vmm, { D1 }, .target = target);
        target->alive = true;
        target->facts.zombie = true;
        (void)REFUSED(core, RESULT_PROCESS_UNUSABLE, vmm, { D1 }, .target = target);
        target->facts.zombie = false;
        target->facts.thread = true;
        assert_non_null(
                strstr(REFUSED(core, RESULT_PROCESS_UNUSABLE, vmm, { D1 }, .target = target), "thread"));
        target->facts.thread = false;
        target->facts.mixed_uids = true;
        (void)REFUSED(core, RESULT_PROCESS_UNUSABLE, vmm, { D1 }, .target = target);
        target->facts.mixed_uids = false;
        (void)REFUSED(core, RESULT_PROCESS_UNUSABLE, vmm, { D1 }, .target = foreign);
        vmm->facts.ipc_lock = true;
        assert_non_null(strstr(REFUSED(core, RESULT_DENIED_BY_POLICY, vmm, { D1 }), "CAP_IPC_LOCK"));
        vmm->facts.ipc_lock = false;

        lease = GRANT(core, vmm, { D1 }, .target = target, .memlock = MIB);
        assert_int_equal(lease->pid, 101);
        assert_true(target->limit.soft == 10 * MIB && vmm->limit.soft == 8 * MIB);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);

        core_set_policy(core, POLICY_HEAD "allow-on-behalf = yes\nallow-ipc-lock = yes\n");
        foreign->facts.mixed_uids = foreign->facts.ipc_lock = true;
        lease = GRANT(core, vmm, { D1 }, .target = foreign);
        assert_int_equal(lease->uid, UID_NOONE);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        /* On behalf of another means by its pidfd: the caller itself has to be what it says. */
        vmm->facts.mixed_uids = true;
        (void)REFUSED(core, RESULT_PROCESS_UNUSABLE, vmm, { D1 });
}

/* What policy says of devices, and of sums: the refusal of each step, as policy/decide.c words it. */
static void test_policy(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)core_device(core, D3, 3, "vfio-pci");
        core_set_policy(core,
                        "[broker]\nmemlock-max = 100M\n[tenant blue]\nmatch-user = 2001\n"
                        "devices = any\ndeny-devices = pci:" D3 "\ndevices-max = 1\nmemlock-max = 50M\n"
                        "memlock-default = 30M\nleases-max = 1\n"
                        "[tenant red]\nmatch-user = 2002\ndevices = pci:" D2 "\n");
        assert_non_null(strstr(REFUSED(core, RESULT_DENIED_BY_POLICY, vmm, { D3 }), "deny-devices"));
        (void)REFUSED(core, RESULT_DEVICE_QUOTA_EXCEEDED, vmm, { D1, D2 });
        (void)REFUSED(core, RESULT_MEMLOCK_BUDGET_EXCEEDED, vmm, { D1 }, .memlock = 51 * MIB);
        assert_true(GRANT(core, vmm, { D1 }, .memlock = UINT64_MAX)->memlock == 30 * MIB);
        (void)REFUSED(core, RESULT_DEVICE_QUOTA_EXCEEDED, vmm, { D2 });
        core_set_policy(core, "[tenant blue]\nmatch-user = 2001\ndevices = any\nleases-max = 1\n");
        (void)REFUSED(core, RESULT_LEASE_QUOTA_EXCEEDED, vmm, { D2 });
        core_set_policy(core,
                        "[broker]\nmemlock-max = 100M\n[tenant blue]\nmatch-user = 2001\ndevices = any\n");
        assert_true(broker_memlock_max(core->broker) == 100 * MIB);
        (void)REFUSED(core, RESULT_MEMLOCK_BUDGET_EXCEEDED, vmm, { D2 }, .memlock = 71 * MIB);
        (void)GRANT(core, vmm, { D2 }, .memlock = 70 * MIB);
}

/* The backend: what is asked for, what policy allows, what the kernel has. */
static void test_backend(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        core->fake->offered = POLICY_BACKEND_IOMMUFD;
        assert_non_null(strstr(
                REFUSED(core, RESULT_BACKEND_UNAVAILABLE, vmm, { D1 }, .backend = POLICY_BACKEND_GROUP),
                "The group backend is not offered"));
        core->fake->offered = POLICY_BACKEND_GROUP;
        assert_non_null(strstr(
                REFUSED(core, RESULT_BACKEND_UNAVAILABLE, vmm, { D1 }, .backend = POLICY_BACKEND_IOMMUFD),
                "no /dev/iommu"));
        core->fake->offered = 0;
        (void)REFUSED(core, RESULT_BACKEND_UNAVAILABLE, vmm, { D1 });
        core->fake->offered = POLICY_BACKEND_ALL;
        core_set_policy(core, POLICY_HEAD "backends = group\n");
        assert_non_null(strstr(
                REFUSED(core, RESULT_BACKEND_UNAVAILABLE, vmm, { D1 }, .backend = POLICY_BACKEND_IOMMUFD),
                "may not use"));
        (void)core_device(core, D2, 2, "vfio-pci");
        assert_int_equal(GRANT(core, vmm, { D2 })->backend, POLICY_BACKEND_GROUP);
        core_set_policy(core, POLICY_HEAD);
        (void)GRANT(core, vmm, { D1 }, .backend = POLICY_BACKEND_IOMMUFD);
}

/* Groups and reset sets are one tenant's at a time; a device of the set itself that is held is taken. */
static void test_sets(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *red = core_process(core, 200, UID_RED);
        Device *slot[2];
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 1, "vfio-pci");
        (void)GRANT(core, blue, { D1 });
        (void)REFUSED(core, RESULT_GROUP_SPLIT, red, { D2 });
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 });
        (void)GRANT(core, blue, { D2 });

        /* Two devices behind one bridge that only a bus reset would reset. */
        core_set_policy(core, POLICY_HEAD "reset = none\n[tenant red]\nmatch-user = 2002\ndevices = any\n"
                                          "reset = none\n");
        slot[0] = core_device(core, "0000:08:01.0", 8, "vfio-pci");
        slot[1] = core_device(core, "0000:08:02.0", 9, "vfio-pci");
        for (size_t i = 0; i < 2; i++) {
                DeviceInfo *info = &slot[i]->info;

                free(info->path);
                assert_true(asprintf(&info->path, "/sys/devices/pci0000:00/0000:07:00.0/%s", info->id) > 0);
                memcpy(info->reset_methods[0], "bus", 4);
                info->n_reset_methods = 1;
        }
        lease = GRANT(core, blue, { "0000:08:01.0" });
        (void)REFUSED(core, RESULT_GROUP_SPLIT, red, { "0000:08:02.0" });
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { "0000:08:01.0" });
        (void)GRANT(core, blue, { "0000:08:02.0" });
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        (void)REFUSED(core, RESULT_GROUP_SPLIT, red, { "0000:08:01.0" });
        /* With the reset required neither can be had: the kernel resets no bus for one of several. */
        core_set_policy(core, POLICY_HEAD);
        assert_non_null(
                strstr(REFUSED(core, RESULT_RESET_FAILED, blue, { "0000:08:01.0" }), "no reset of its own"));
        assert_false(broker_can_reset(core->broker, slot[0]));
        broker_device_remove(core->broker, "0000:08:02.0");
        (void)fake_host_run(core->fake);
        assert_true(broker_can_reset(core->broker, slot[0]));
        (void)GRANT(core, blue, { "0000:08:01.0" });
}

/* Of a device without any reset only a tenant that requires none hears no objection. */
static void test_no_reset(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Device *device = core_device(core, D1, 1, "vfio-pci");

        device->info.n_reset_methods = 0;
        (void)REFUSED(core, RESULT_RESET_FAILED, vmm, { D1 });
        core_set_policy(core, POLICY_HEAD "reset = best-effort\n");
        fake_host_device(core->fake, D1)->reset = RESET_UNSUPPORTED;
        (void)GRANT(core, vmm, { D1 });
}

/* What the machine's state refuses. */
static void test_machine(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Device *device = core_device(core, D1, 1, "igb");
        const char *text;

        device->info.bridge = true;
        assert_non_null(strstr(REFUSED(core, RESULT_GROUP_NOT_VIABLE, vmm, { D1 }), "bridge"));
        device->info.bridge = false;
        (void)core_device(core, D2, -1, "igb");
        assert_non_null(strstr(REFUSED(core, RESULT_GROUP_NOT_VIABLE, vmm, { D2 }), "no IOMMU group"));

        (void)core_device(core, "0000:04:00.0", 1, "snd_hda_intel");
        text = REFUSED(core, RESULT_GROUP_NOT_VIABLE, vmm, { D1 });
        assert_non_null(strstr(text, "0000:04:00.0 is bound to snd_hda_intel"));
        assert_null(strstr(text, "igb")); /* the one that is asked for would be bound to a VFIO driver */
        (void)GRANT(core, vmm, { D1, "0000:04:00.0" });

        device = core_device(core, D3, 3, "whatever");
        strcpy(device->info.bus, "host1x-context");
        device->info.vfio_driver[0] = 0;
        assert_non_null(strstr(REFUSED(core, RESULT_DRIVER_BIND_FAILED, vmm, { D3 }),
                               "No VFIO driver is known for device " D3 " on bus host1x-context"));
        device->info.by_mdev = true;
        assert_non_null(
                strstr(REFUSED(core, RESULT_GROUP_NOT_VIABLE, vmm, { D3 }), "mediated devices only"));
        device->info.by_mdev = false;
        core_set_policy(core, POLICY_HEAD "[device bus:host1x-context]\ndriver = vfio-x\n");
        (void)GRANT(core, vmm, { D3 });
        assert_string_equal(device->info.driver, "vfio-x");
}

/* The driver to bind: what policy says, else the one of VFIO that it is on, else the best one known. */
static void test_driver(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Device *best = core_device(core, D1, 1, "mlx5_core"), *there = core_device(core, D2, 2, "vfio-pci");

        strcpy(best->info.vfio_driver, "mlx5_vfio_pci");
        strcpy(there->info.vfio_driver, "mlx5_vfio_pci");
        (void)GRANT(core, vmm, { D1 });
        assert_string_equal(best->info.driver, "mlx5_vfio_pci");
        (void)GRANT(core, vmm, { D2 });
        assert_string_equal(there->info.driver, "vfio-pci");

        best = core_device(core, D3, 3, "mlx5_core");
        strcpy(best->info.vfio_driver, "mlx5_vfio_pci");
        core_set_policy(core, POLICY_HEAD "[device id:" D3 "]\ndriver = vfio-pci\n");
        (void)GRANT(core, vmm, { D3 });
        assert_string_equal(best->info.driver, "vfio-pci");
}

/* What the host uses is refused, in the end, with the use; unless policy forces it, and then not from under the root file
 * system. A device on a VFIO driver cannot be in use. What cannot be told is not granted. */
static void test_usage(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        FakeDevice *disk = fake_host_device(core->fake, D2);
        const char *text;

        (void)core_device(core, D1, 1, "igb");
        (void)core_device(core, D2, 2, "nvme");
        disk->usage = (DeviceUsage){ USAGE_HOST, "nvme0n1 is mounted at /srv" };
        text = REFUSED(core, RESULT_DEVICE_BUSY_ON_HOST, vmm, { D1, D2 });
        assert_non_null(strstr(text, D2 " is in use on the host: nvme0n1 is mounted at /srv"));
        assert_non_null(strstr(text, "force-unbind = yes in [device id:" D2 "]"));
        disk->usage_error = EIO;
        {
                Answer answer = {};

                assert_int_equal(core_ask(core, &(Ask){ vmm, { D2 } }, &answer), -EIO);
        }
        disk->usage_error = 0;

        core_set_policy(core, POLICY_HEAD "[device id:" D2 "]\nforce-unbind = yes\n");
        disk->usage.kind = USAGE_ROOT;
        (void)REFUSED(core, RESULT_DEVICE_BUSY_ON_HOST, vmm, { D2 });
        disk->usage.kind = USAGE_HOST;
        (void)GRANT(core, vmm, { D2 });
        assert_true(core->fake->last_job.devices[0].force_unbind);
        (void)GRANT(core, vmm, { D1 });
        assert_false(core->fake->last_job.devices[0].force_unbind);

        (void)core_device(core, D3, 3, "vfio-pci");
        fake_host_device(core->fake, D3)->usage = (DeviceUsage){ USAGE_ROOT, "x" };
        (void)GRANT(core, vmm, { D3 });
}

/* A physical function is not taken from under its virtual ones: not by the tenant that has them, and, once it is on a VFIO
 * driver and so has power over them, not by another. */
static void test_functions(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *red = core_process(core, 200, UID_RED);
        Device *pf = core_device(core, D1, 1, "igb"), *vf = core_device(core, VF, 2, "igbvf");
        Lease *lease;

        strcpy(vf->info.physical_function, D1);
        lease = GRANT(core, blue, { VF });
        assert_null(strstr(REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 }), "blue"));
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, blue, { D1 });
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, red, { D1 });
        (void)GRANT(core, blue, { D1 });
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);

        /* A virtual function of a physical one on a VFIO driver: only for who has that. */
        (void)REFUSED(core, RESULT_DENIED_BY_POLICY, red, { VF });
        (void)GRANT(core, blue, { VF });
        assert_ptr_equal(broker_leased_function(core->broker, pf, NULL), vf);
        assert_null(broker_leased_function(core->broker, pf, "blue"));
        assert_null(broker_leased_function(core->broker, vf, NULL));
        /* One whose physical function is not in the inventory is like any other. */
        vf = core_device(core, "0000:01:10.1", 3, "igbvf");
        strcpy(vf->info.physical_function, "0000:77:00.0");
        (void)GRANT(core, red, { "0000:01:10.1" });
}

/* Interrupts that are not isolated: refused by policy, or else, with the fix, in the kernel's stead; where nothing tells, the
 * kernel's word will do, unless it was told to take everything. */
static void test_isolation(void **state)
{
        static const struct {
                const char *id;
                Isolation interrupts;
                unsigned unsafe;
                const char *policy; /* of [broker] */
                Result result;
                const char *text;
        } table[] = {
                { D1, ISOLATION_YES, POLICY_BACKEND_ALL, "no", RESULT_OK, "" },
                { D1, ISOLATION_UNKNOWN, 0, "no", RESULT_OK, "" },
                { D1, ISOLATION_UNKNOWN, POLICY_BACKEND_IOMMUFD, "no", RESULT_DENIED_BY_POLICY,
                  "unsafe-interrupts" },
                { D1, ISOLATION_NO, 0, "no", RESULT_DENIED_BY_POLICY, "unsafe-interrupts" },
                { D1, ISOLATION_NO, POLICY_BACKEND_ALL, "no", RESULT_DENIED_BY_POLICY, "unsafe-interrupts" },
                { D1, ISOLATION_NO, 0, "yes", RESULT_GROUP_NOT_VIABLE, "of module iommufd is on" },
                { D1, ISOLATION_NO, POLICY_BACKEND_GROUP, "yes", RESULT_GROUP_NOT_VIABLE, "iommufd" },
                { D1, ISOLATION_NO, POLICY_BACKEND_IOMMUFD, "yes", RESULT_OK, "" },
                /* Behind a driver that hands interrupts on in its own way. */
                { "10000:01:00.0", ISOLATION_YES, 0, "no", RESULT_OK, "" },
                { "10000:01:00.0", ISOLATION_YES, POLICY_BACKEND_ALL, "no", RESULT_DENIED_BY_POLICY,
                  "isolated" },
        };
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char policy[512];

                (void)core_device(core, table[i].id, 1, "vfio-pci");
                (void)snprintf(policy, sizeof(policy),
                               "[broker]\nunsafe-interrupts = %s\n[tenant blue]\nmatch-user = 2001\ndevices "
                               "= any\n",
                               table[i].policy);
                core_set_policy(core, policy);
                core->fake->isolation.interrupts = table[i].interrupts;
                core->fake->isolation.unsafe_backends = table[i].unsafe;
                if (table[i].result == RESULT_OK) {
                        broker_lease_end(
                                core->broker,
                                GRANT(core, blue, { table[i].id }, .backend = POLICY_BACKEND_IOMMUFD),
                                END_RELEASED);
                        (void)fake_host_run(core->fake);
                } else
                        assert_non_null(strstr(REFUSED(core, table[i].result, blue, { table[i].id },
                                                       .backend = POLICY_BACKEND_IOMMUFD),
                                               table[i].text));
        }
}

/* Devices that no IOMMU holds back are never lent, whatever the policy says; one that has no group is told why. */
static void test_no_iommu(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE);
        Device *device = core_device(core, D1, 1, "vfio-pci");

        device->info.noiommu = true;
        assert_non_null(strstr(REFUSED(core, RESULT_DENIED_BY_POLICY, blue, { D1 }), "noiommu = no"));
        core_set_policy(core, "[broker]\nnoiommu = yes\n[tenant blue]\nmatch-user = 2001\ndevices = any\n");
        assert_non_null(strstr(REFUSED(core, RESULT_GROUP_NOT_VIABLE, blue, { D1 }), "CAP_SYS_RAWIO"));
        (void)core_device(core, D2, -1, "");
        assert_non_null(
                strstr(REFUSED(core, RESULT_GROUP_NOT_VIABLE, blue, { D2 }), "vfiobrokerctl bind " D2));
        core->fake->isolation.iommu[0] = 0;
        core->fake->isolation.interrupts = ISOLATION_NO;
        assert_non_null(strstr(REFUSED(core, RESULT_GROUP_NOT_VIABLE, blue, { D2 }), "has no IOMMU"));
}

/* The first refusal is the answer: policy's word on the device before what state it is in, and CheckAccess says the
 * same. */
static void test_order(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *red = core_process(core, 200, UID_RED);
        AcquireRequest request = {};
        const char *const devices[] = { D1 };
        Refusal refusal = {};

        (void)core_device(core, D1, 1, "vfio-pci");
        core_set_policy(core, POLICY_HEAD "[tenant red]\nmatch-user = 2002\ndevices = pci:" D2 "\n");
        request = (AcquireRequest){
                .caller = { .uid = UID_BLUE },
                .caller_pid = blue->pid,
                .caller_pidfd = blue->pidfd,
                .target_pidfd = -EBADF,
                .devices = devices,
                .n_devices = 1,
        };
        assert_int_equal(broker_check(core->broker, &request, &refusal), 0);
        assert_int_equal(refusal.code, RESULT_OK);
        assert_non_null(strstr(refusal.text, "devices has any"));
        core_check_idle(core);
        (void)GRANT(core, blue, { D1 });
        assert_int_equal(broker_check(core->broker, &request, &refusal), RESULT_DEVICE_TAKEN);
        assert_null(strstr(refusal.text, "100")); /* nothing of the holder */
        assert_null(strstr(REFUSED(core, RESULT_DENIED_BY_POLICY, red, { D1 }), "in use"));
}

/* What a job is told: the driver of policy, or of now, or the best; what is proven is not proven again. */
static void test_job_device(void **state)
{
        Core *core = *state;
        Device *device = core_device(core, D1, 1, "igb");
        JobDevice row;

        plan_job_device(device, core->broker->policy, POLICY_RESET_REQUIRED, &row);
        assert_string_equal(row.id, D1);
        assert_string_equal(row.bus, "pci");
        assert_string_equal(row.driver, "vfio-pci");
        assert_string_equal(row.restore, "");
        assert_true(row.prove && row.reset && row.reset_required);
        plan_job_device(device, core->broker->policy, POLICY_RESET_BEST_EFFORT, &row);
        assert_true(row.reset && !row.reset_required);
        plan_job_device(device, core->broker->policy, POLICY_RESET_NONE, &row);
        assert_false(row.reset);
        (void)core_device(core, D1, 1, "vfio-other");
        device->proven = device->clean = true;
        plan_job_device(device, core->broker->policy, POLICY_RESET_REQUIRED, &row);
        assert_string_equal(row.driver, "vfio-other");
        assert_false(row.prove || row.reset);
        core_set_policy(core, POLICY_HEAD "[device pci:" D1 "]\ndriver = vfio-named\n");
        plan_job_device(device, core->broker->policy, POLICY_RESET_REQUIRED, &row);
        assert_string_equal(row.driver, "vfio-named");
        core_set_policy(core, POLICY_HEAD "[device pci:" D1 "]\nforce-unbind = no\n");
        plan_job_device(device, core->broker->policy, POLICY_RESET_REQUIRED, &row);
        assert_string_equal(row.driver, "vfio-other");
        device->proven = device->clean = false;
}

/* The broker's own limit of leases, at it and one past it. */
static void test_leases_max(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        (void)core_device(core, D1, 1, "vfio-pci");
        core->broker->n_leases += BROKER_LEASES_MAX;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), RESULT_LIMITS_EXCEEDED);
        core->broker->n_leases -= 1;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        core->broker->n_leases -= BROKER_LEASES_MAX - 1;
        core_check(core);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(form),      TEST(tenant), TEST(process),    TEST(policy),
                TEST(backend),   TEST(sets),   TEST(no_reset),   TEST(machine),
                TEST(functions), TEST(order),  TEST(job_device), TEST(leases_max),
                TEST(driver),    TEST(usage),  TEST(isolation),  TEST(no_iommu),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
