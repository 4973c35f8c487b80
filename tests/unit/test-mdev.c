/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/mdev.c, with what select.c, plan.c, lifecycle.c, reclaim.c and restore.c have to do with mdevs: made for a
 * lease, removed after it, whatever fails in between; what the operator made stays. */

#include "daemon/core/mdev.h"
#include "tests/unit/core-fixture.h"

#define PCI  "0000:01:00.0"
#define UUID "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"

#define POLICY                                                                                              \
        "[tenant blue]\nmatch-user = 2001\ndevices = any\nmemlock-slack = 1M\n"                             \
        "[tenant red]\nmatch-user = 2002\ndevices = pool:serial\ndeny-devices = mdev-type:mtty-1\n"         \
        "reset = best-effort\n"                                                                             \
        "[tenant green]\nmatch-user = 2009\ndevices = pci:" PCI "\n"                                        \
        "[pool serial]\ndevices = mdev-type:mtty-2\n"                                                       \
        "[pool near]\ndevices = mdev-type:mtty-2+numa:1\n"                                                  \
        "[pool both]\ndevices = pool:serial, mdev-type:mtty-1\n"                                            \
        "[pool bus]\ndevices = bus:mdev\n"

typedef struct Stage {
        FakeProcess *blue, *red, *green;
} Stage;

/* mtty-1 on mtty (3 left), mtty-2 on mtta (1 left, NUMA node 1) and mtty (2 left, node 0). */
static Stage set_stage(Core *core)
{
        static const MdevType types[] = {
                { "mtty", "mtty-1", "Single port serial", 3, 0 },
                { "mtta", "mtty-2", "Dual port serial", 1, 1 },
                { "mtty", "mtty-2", "Dual port serial", 2, 0 },
        };

        memcpy(core->fake->mdev_types, types, sizeof(types));
        core->fake->n_mdev_types = ELEMENTSOF(types);
        core_set_policy(core, POLICY);
        return (Stage){
                .blue = core_process(core, 100, UID_BLUE),
                .red = core_process(core, 101, UID_RED),
                .green = core_process(core, 102, UID_NOONE),
        };
}

static unsigned left(const Core *core)
{
        unsigned n = 0;

        for (size_t i = 0; i < core->fake->n_mdev_types; i++)
                n += core->fake->mdev_types[i].available;
        return n;
}

/* Nothing is left of any lease, on the machine or in the broker, and everything that is made can be made again. */
static void check_nothing(Core *core, unsigned n_devices)
{
        core_check_idle(core);
        assert_int_equal(left(core), 6);
        assert_int_equal(HASH_COUNT(core->broker->devices), n_devices);
        assert_null(core->devices);
}

static void end(Core *core, Lease *lease)
{
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);
        core_check(core);
}

/* By an administrator, with success. */
static void reset(Core *core, const char *id)
{
        Answer answer = {};
        Refusal refusal;

        assert_int_equal(broker_reset_device(core->broker, id, core_admin_done, &answer, &refusal), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
}

/* A UUID of its own, on record before anything is made, then its group and driver, the lease like any other; afterwards
 * all is gone. */
static void test_made(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        Answer answer = {};
        const LeaseRecord *record;
        const Device *device;
        char id[DEVICE_ID_MAX];
        Lease *lease;

        assert_int_equal(core_ask(core, &(Ask){ stage.blue, { "pool:serial" } }, &answer), 0);
        core_check(core);
        lease = core->broker->leases;
        device = lease->devices[0];
        memcpy(id, device->info.id, sizeof(id));
        assert_int_equal(strlen(id), 36);
        assert_true(id[14] == '4' && strchr("89ab", id[19]));
        assert_ptr_equal(broker_device(core->broker, id), device);
        assert_state(device, DEVICE_BINDING);
        record = core_lease_record(core, lease->id);
        assert_int_equal(record->n_devices, 1);
        assert_string_equal(record->devices[0].id, id);
        assert_true(record->devices[0].made);
        assert_false(record->devices[0].took);
        assert_int_equal(core->fake->last_job.kind, JOB_MAKE);
        assert_string_equal(core->fake->last_job.devices[0].mdev_parent, "mtta");
        assert_string_equal(core->fake->last_job.devices[0].mdev_type, "mtty-2");

        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(answer.error, 0);
        assert_string_equal(answer.ids[1], id);
        assert_state(device, DEVICE_LEASED);
        assert_int_equal(device->group->number, 500);
        assert_string_equal(device->info.driver, "vfio-fake");
        assert_string_equal(device->info.description, "Dual port serial of mtta");
        /* It is new: there is nothing to prove or to reset. */
        assert_int_equal(core->fake->last_job.kind, JOB_OPEN);
        assert_false(core->fake->last_job.devices[0].prove || core->fake->last_job.devices[0].reset);
        assert_string_equal(core->fake->last_job.devices[0].driver, "vfio-fake");
        assert_int_equal(left(core), 5);

        end(core, lease);
        assert_true(core->fake->last_job.devices[0].remove);
        assert_int_equal(fake_host_device(core->fake, id)->n_proofs, 1);
        assert_non_null(strstr(core->last_event[EVENT_RECLAIMED], "removed"));
        check_nothing(core, 0);
}

/* Two at once are two; types by name, then parents; and what is left decides. */
static void test_choice(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        Lease *first, *second;

        assert_string_equal(
                REFUSED(core, RESULT_DEVICE_TAKEN, stage.blue, { "pool:serial*4" }),
                "Pool serial: 4 asked for; of the 0 devices that tenant blue may use 0 are free, "
                "and no more can be made of type mtty-2.");
        first = GRANT(core, stage.blue, { "pool:serial*2" });
        assert_string_equal(first->devices[0]->info.mdev_parent, "mtta");
        assert_string_equal(first->devices[1]->info.mdev_parent, "mtty");
        assert_string_not_equal(first->devices[0]->info.id, first->devices[1]->info.id);
        second = GRANT(core, stage.red, { "pool:serial" });
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, stage.red, { "pool:serial" });
        end(core, first);
        assert_int_equal(HASH_COUNT(core->broker->devices), 1);
        end(core, second);
        check_nothing(core, 0);

        /* Two arguments of one call count what each other takes; red may not have what it is denied. */
        first = GRANT(core, stage.blue, { "pool:near", "pool:serial" });
        assert_string_equal(first->devices[0]->info.mdev_parent, "mtta");
        assert_string_equal(first->devices[1]->info.mdev_parent, "mtty");
        end(core, first);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, stage.blue, { "pool:near", "pool:near" });
        assert_string_equal(GRANT(core, stage.red, { "pool:both" })->devices[0]->info.mdev_type, "mtty-2");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, stage.red, { "pool:both*3" });
        assert_non_null(strstr(REFUSED(core, RESULT_NO_SUCH_DEVICE, stage.green, { "pool:serial" }),
                               "pool serial with a device that tenant green may use"));
        assert_non_null(
                strstr(REFUSED(core, RESULT_DENIED_BY_POLICY, stage.green, { "pool:serial" }, .admin = true),
                       "nothing for tenant green"));
        /* A pool that mdevs happen to be in has none made. */
        core_set_policy(core,
                        "[tenant blue]\nmatch-user = 2001\ndevices = any\n[pool bus]\ndevices = bus:mdev\n");
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, stage.blue, { "pool:bus*2" });
        end(core, core->broker->leases);
        check_nothing(core, 0);
}

/* What there is of the type is taken first, and the rest made. */
static void test_existing_first(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        FakeDevice *fake = fake_host_device(core->fake, UUID);
        Device *kept;
        Lease *lease;

        strcpy(fake->mdev_type, "mtty-2");
        strcpy(fake->mdev_parent, "mtty");
        kept = core_device(core, UUID, 9, "vfio-fake");
        lease = GRANT(core, stage.red, { "pool:serial*2" });
        assert_ptr_equal(lease->devices[0], kept);
        assert_true(lease->devices[1]->made);
        assert_false(kept->made);
        end(core, lease);
        assert_int_equal(HASH_COUNT(core->broker->devices), 1);
        assert_state(kept, DEVICE_AVAILABLE);
}

/* With the group backend its group is one more, known when it is made. */
static void test_group_backend(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        Lease *lease;

        lease = GRANT(core, stage.blue, { "pool:serial*2" }, .backend = POLICY_BACKEND_GROUP);
        assert_int_equal(core->fake->last_job.n_groups, 2);
        assert_int_equal(core->fake->last_job.groups[0].number, 500);
        assert_int_equal(core->fake->last_job.devices[1].group, 501);
        assert_int_equal(lease->container->n_groups, 2);
        end(core, lease);
        check_nothing(core, 0);
        /* More files than fit in a message: eight groups, eight devices, a container. */
        core->fake->mdev_types[2].available = 20;
        (void)REFUSED(core, RESULT_LIMITS_EXCEEDED, stage.blue, { "pool:serial*8" },
                      .backend = POLICY_BACKEND_GROUP, .fds_max = 16);
        assert_int_equal(
                GRANT(core, stage.blue, { "pool:serial*7" }, .backend = POLICY_BACKEND_GROUP, .fds_max = 16)
                        ->n_devices,
                7);
}

/* Each group has its own file, in whatever order what is made and what is there were asked for. */
static void test_group_files(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        const Lease *lease;

        (void)core_device(core, PCI, 7, "vfio-pci");
        lease = GRANT(core, stage.blue, { "pool:serial", PCI }, .backend = POLICY_BACKEND_GROUP);
        assert_int_equal(lease->container->n_groups, 2);
        for (size_t i = 0; i < lease->container->n_groups; i++) {
                char path[64], target[64] = "", wanted[64];

                (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", lease->container->groups[i].fd);
                (void)snprintf(wanted, sizeof(wanted), "/memfd:group-%d (deleted)",
                               lease->container->groups[i].number);
                assert_true(readlink(path, target, sizeof(target) - 1) > 0);
                assert_string_equal(target, wanted);
        }
}

/* None is left after all, or the driver fails: the one who asked hears it, and nothing stays; a device of the host that
 * was to come with it is as before. */
static void test_make_fails(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        Device *pci = core_device(core, PCI, 1, "igb");

        core->fake->make_error = EUSERS;
        assert_string_equal(FAILS(core, RESULT_DEVICE_TAKEN, stage.blue, { PCI, "pool:serial*2" }),
                            "No instance of mdev type mtty-2 is left on mtta.");
        check_nothing(core, 1);
        assert_state(pci, DEVICE_HOST);
        core->fake->make_error = EIO;
        assert_non_null(strstr(FAILS(core, RESULT_DRIVER_BIND_FAILED, stage.blue, { "pool:serial" }),
                               "type mtty-2 cannot be made on mtta"));
        core->fake->make_error = 0;
        /* Another took the last between the plan and the job. */
        {
                Answer answer = {};

                assert_int_equal(core_ask(core, &(Ask){ stage.blue, { "pool:serial*3" } }, &answer), 0);
                core->fake->mdev_types[2].available = 1;
                (void)fake_host_run(core->fake);
                assert_int_equal(answer.error, RESULT_DEVICE_TAKEN);
                core->fake->mdev_types[2].available = 2;
        }
        check_nothing(core, 1);
        /* The open after it. */
        fake_host_device(core->fake, PCI)->open_error = EIO;
        (void)FAILS(core, RESULT_BACKEND_UNAVAILABLE, stage.blue, { "pool:serial", PCI });
        fake_host_device(core->fake, PCI)->open_error = 0;
        assert_string_equal(pci->info.driver, "igb");
        check_nothing(core, 1);
}

/* The job dies, or hangs and is told of; the process ends while it runs; no job can be started, no record written. */
static void test_interrupted(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        char id[DEVICE_ID_MAX];
        Answer answer = {};

        /* All workers die, the one of the reclaim too: for an administrator. */
        assert_int_equal(core_ask(core, &(Ask){ stage.blue, { "pool:serial" } }, &answer), 0);
        memcpy(id, core->broker->leases->devices[0]->info.id, sizeof(id));
        fake_host_fail_jobs(core->fake, EIO);
        assert_int_equal(answer.error, RESULT_DRIVER_BIND_FAILED);
        assert_state(broker_device(core->broker, id), DEVICE_QUARANTINED);
        reset(core, id);
        check_nothing(core, 0);

        answer = (Answer){};
        assert_int_equal(core_ask(core, &(Ask){ stage.blue, { "pool:serial" } }, &answer), 0);
        fake_host_slow(core->fake);
        assert_int_equal(answer.error, RESULT_DRIVER_BIND_FAILED);
        core_check(core);
        (void)fake_host_run(core->fake);
        check_nothing(core, 0);

        answer = (Answer){};
        assert_int_equal(core_ask(core, &(Ask){ stage.red, { "pool:serial" } }, &answer), 0);
        fake_host_end_process(core->fake, stage.red);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, RESULT_PROCESS_UNUSABLE);
        check_nothing(core, 0);

        core->fake->job_start_error = EAGAIN;
        (void)REFUSED(core, RESULT_RATE_LIMITED, stage.blue, { "pool:serial" });
        core->fake->job_start_error = 0;
        core->fail[OP_LEASE_PUT] = ENOSPC;
        (void)REFUSED(core, (Result)-ENOSPC, stage.blue, { "pool:serial" });
        core->fail[OP_LEASE_PUT] = 0;
        core->record_failed = false;
        check_nothing(core, 0);
}

/* Still open: it stays, and is tried again; a removal that fails is for an administrator, whose reset removes it. */
static void test_reclaim(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        char id[DEVICE_ID_MAX];
        Device *device;
        Lease *lease;

        lease = GRANT(core, stage.blue, { "pool:serial" });
        device = lease->devices[0];
        memcpy(id, device->info.id, sizeof(id));
        fake_host_device(core->fake, id)->prove_error = EBUSY;
        end(core, lease);
        assert_state(device, DEVICE_RECLAIMING);
        assert_non_null(strstr(device->state_reason, "still open"));
        fake_host_device(core->fake, id)->prove_error = 0;
        fake_host_advance(core->fake, USEC_PER_SEC);
        check_nothing(core, 0);

        lease = GRANT(core, stage.blue, { "pool:serial" });
        device = lease->devices[0];
        memcpy(id, device->info.id, sizeof(id));
        fake_host_device(core->fake, id)->remove_error = EIO;
        end(core, lease);
        assert_state(device, DEVICE_QUARANTINED);
        (void)REFUSED(core, RESULT_QUARANTINED, stage.blue, { id });
        core_restart(core);
        device = broker_device(core->broker, id);
        assert_state(device, DEVICE_QUARANTINED);
        assert_true(device->made);
        fake_host_device(core->fake, id)->remove_error = 0;
        reset(core, id);
        check_nothing(core, 0);
}

/* A restart at each point: the lease goes on with its mdev; what was being made or is over goes; what the operator made
 * stays. */
static void test_restart(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        Answer answer = {};
        char id[DEVICE_ID_MAX];
        FakeDevice *fake;
        Lease *lease;

        fake = fake_host_device(core->fake, UUID);
        strcpy(fake->mdev_type, "mtty-1");
        strcpy(fake->mdev_parent, "mtty");
        (void)core_device(core, UUID, 9, "vfio-fake");

        memcpy(id, GRANT(core, stage.blue, { "pool:serial" })->devices[0]->info.id, sizeof(id));
        core_restart(core);
        lease = core->broker->leases;
        assert_true(lease->state == LEASE_ACTIVE && lease->devices[0]->made);
        assert_string_equal(lease->devices[0]->info.id, id);
        end(core, lease);
        check_nothing(core, 1);

        /* Before the job did anything. */
        assert_int_equal(core_ask(core, &(Ask){ stage.blue, { "pool:serial" } }, &answer), 0);
        core_restart(core);
        (void)fake_host_run(core->fake);
        check_nothing(core, 1);

        /* After it did, and before anybody heard. */
        assert_int_equal(core_ask(core, &(Ask){ stage.blue, { "pool:serial" } }, &answer), 0);
        memcpy(id, core->broker->leases->devices[0]->info.id, sizeof(id));
        {
                JobDeviceResult row = {};

                assert_true(fake_mdev_make(core->fake, core->fake->last_job.devices, &row));
                core->broker->leases->devices[0]->info.driver_is_vfio =
                        true; /* so that it is there afterwards */
        }
        core_restart(core);
        assert_true(broker_device(core->broker, id)->made);
        (void)fake_host_run(core->fake);
        check_nothing(core, 1);

        /* While it is reclaimed; and once its process is gone. */
        lease = GRANT(core, stage.blue, { "pool:serial" });
        memcpy(id, lease->devices[0]->info.id, sizeof(id));
        broker_lease_end(core->broker, lease, END_RELEASED);
        core_restart(core);
        (void)fake_host_run(core->fake);
        assert_null(broker_device(core->broker, id));
        check_nothing(core, 1);
        (void)GRANT(core, stage.red, { "pool:serial" });
        stage.red->alive = false;
        core_restart(core);
        (void)fake_host_run(core->fake);
        check_nothing(core, 1);
        assert_state(broker_device(core->broker, UUID), DEVICE_AVAILABLE);
}

/* The kernel's events may come before the job's word, after it, and after the removal. */
static void test_events(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        Answer answer = {};
        char id[DEVICE_ID_MAX];
        DeviceInfo info;
        Lease *lease;

        assert_int_equal(core_ask(core, &(Ask){ stage.blue, { "pool:serial" } }, &answer), 0);
        memcpy(id, core->broker->leases->devices[0]->info.id, sizeof(id));
        info = fake_host_device_info(core->fake, id, -1, ""); /* "add", before its driver has it */
        strcpy(info.bus, "mdev");
        assert_int_equal(broker_device_update(core->broker, &info), 0);
        assert_non_null(broker_device(core->broker, id)->info.path);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, 0);
        lease = core->broker->leases;
        assert_int_equal(lease->devices[0]->group->number, 500);
        assert_non_null(lease->devices[0]->info.path);
        info = fake_host_device_info(core->fake, id, 500, "vfio-fake"); /* "bind" */
        strcpy(info.bus, "mdev");
        strcpy(info.group_type, "unknown");
        assert_int_equal(broker_device_update(core->broker, &info), 0);
        assert_true(lease->devices[0]->made && lease->devices[0]->lease == lease);
        core_check(core);

        broker_lease_end(core->broker, lease, END_RELEASED);
        broker_device_remove(core->broker, id); /* while the job runs, which removes it */
        (void)fake_host_run(core->fake);
        broker_device_remove(core->broker, id);
        check_nothing(core, 0);
}

/* What stays, and was open as a cdev, is for no other tenant until it is another; the record says so. With the group
 * backend nothing is left that no proof sees. */
static void test_only_for(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        FakeDevice *fake = fake_host_device(core->fake, UUID);
        Lease *lease;

        strcpy(fake->mdev_type, "mtty-2");
        strcpy(fake->mdev_parent, "mtty");
        (void)core_device(core, UUID, 9, "vfio-fake");
        end(core, GRANT(core, stage.blue, { UUID }, .backend = POLICY_BACKEND_GROUP));
        end(core, GRANT(core, stage.red, { UUID }));
        assert_non_null(
                strstr(REFUSED(core, RESULT_DEVICE_TAKEN, stage.blue, { UUID }), "another tenant's"));
        core_restart(core);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, stage.blue, { UUID });
        end(core, GRANT(core, stage.red, { UUID }));
        /* A pool passes it over. */
        assert_true(GRANT(core, stage.blue, { "pool:serial" })->devices[0]->made);
        end(core, core->broker->leases);

        broker_device_remove(core->broker, UUID);
        (void)core_device(core, UUID, 9, "vfio-fake");
        /* An administrator's reset proves no more of it than any other. */
        lease = GRANT(core, stage.blue, { UUID });
        fake->prove_error = EIO;
        end(core, lease);
        assert_state(broker_device(core->broker, UUID), DEVICE_QUARANTINED);
        fake->prove_error = 0;
        core_restart(core);
        reset(core, UUID);
        (void)REFUSED(core, RESULT_DEVICE_TAKEN, stage.red, { UUID });
        end(core, GRANT(core, stage.blue, { UUID }));
}

/* Its parent stays with its driver while an mdev of it is leased. */
static void test_parent(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        Refusal refusal;
        Answer answer = {};

        strcpy(core->fake->mdev_types[1].parent, PCI);
        (void)core_device(core, PCI, 1, "i915");
        (void)GRANT(core, stage.red, { "pool:serial" });
        assert_non_null(
                strstr(REFUSED(core, RESULT_DEVICE_TAKEN, stage.blue, { PCI }), "mdev of it is in use"));
        assert_int_equal(broker_unbind_device(core->broker, PCI, core_admin_done, &answer, &refusal),
                         RESULT_DEVICE_TAKEN);
        end(core, core->broker->leases);
        (void)GRANT(core, stage.blue, { PCI });
}

/* While something works on the parent its driver may go, and its mdevs with it: none is given away, or made. */
static void test_parent_at_work(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        FakeDevice *fake = fake_host_device(core->fake, UUID);
        Answer bound = {}, opened = {};
        Refusal refusal;

        strcpy(core->fake->mdev_types[1].parent, PCI);
        core->fake->mdev_types[2].available = 0;
        (void)core_device(core, PCI, 1, "i915");
        strcpy(fake->mdev_type, "mtty-2");
        strcpy(fake->mdev_parent, PCI);
        (void)core_device(core, UUID, 9, "vfio-fake");
        fake_host_device(core->fake, PCI)->hang = true;
        for (int leased = 0; leased < 2; leased++) {
                if (leased)
                        assert_int_equal(core_ask(core, &(Ask){ stage.blue, { PCI } }, &opened), 0);
                else
                        assert_int_equal(broker_bind_device(core->broker, PCI, "i915", core_admin_done,
                                                            &bound, &refusal),
                                         0);
                (void)REFUSED(core, RESULT_DEVICE_TAKEN, stage.blue, { UUID });
                (void)REFUSED(core, RESULT_DEVICE_TAKEN, stage.red, { "pool:serial" });
                fake_host_fail_jobs(core->fake, EIO);
                fake_host_device(core->fake, PCI)->hang = false;
                (void)fake_host_run(core->fake);
                fake_host_device(core->fake, PCI)->hang = true;
        }
        core_check_idle(core);
        (void)GRANT(core, stage.blue, { UUID });
}

/* Hot plug of one that is made for it, and unplug. */
static void test_add(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        Lease *lease;
        AcquireRequest request = { .target_pidfd = -EBADF };
        static const char *const devices[] = { "pool:serial" };
        const char *id;
        Refusal refusal;

        (void)core_device(core, PCI, 1, "vfio-pci");
        lease = GRANT(core, stage.blue, { PCI });
        request.devices = devices;
        request.n_devices = 1;
        request.target = lease;
        assert_int_equal(broker_lease_add(core->broker, &request, NULL, NULL, &refusal), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(lease->n_devices, 2);
        assert_true(lease->devices[1]->made);
        assert_true(core_lease_record(core, lease->id)->devices[1].made);
        id = lease->devices[1]->info.id;
        assert_int_equal(broker_lease_remove(core->broker, lease, &id, 1, &refusal), 0);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(HASH_COUNT(core->broker->devices), 1);
        assert_int_equal(left(core), 6);
}

/* The open that comes after the making has the container's files of that moment: a Reissue has closed its own since. */
static void test_add_while_reissued(void **state)
{
        Core *core = *state;
        Stage stage = set_stage(core);
        Answer reissued = {}, added = {};
        Lease *lease;
        int context;

        (void)core_device(core, PCI, 1, "vfio-pci");
        lease = GRANT(core, stage.blue, { PCI });
        assert_int_equal(core_reissue(core, lease, &reissued), 0);
        context = lease->container->fd;
        assert_true(context >= 0);
        assert_int_equal(core_ask(core, &(Ask){ stage.blue, { "pool:serial" }, .lease = lease }, &added), 0);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_int_equal(reissued.error, 0);
        assert_int_equal(added.error, 0);
        assert_int_equal(core->fake->last_job.kind, JOB_OPEN);
        assert_int_equal(core->fake->last_job.context, lease->container->fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)
        const struct CMUnitTest tests[] = {
                TEST(made),           TEST(choice),
                TEST(existing_first), TEST(group_backend),
                TEST(make_fails),     TEST(interrupted),
                TEST(reclaim),        TEST(restart),
                TEST(events),         TEST(only_for),
                TEST(parent),         TEST(add),
                TEST(group_files),    TEST(add_while_reissued),
                TEST(parent_at_work),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
