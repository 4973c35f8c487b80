/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/container.c and lease-fds.c: who is in which container, what the broker keeps open of it, and that it lets go
 * in the instant the last one ends. */

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"

static void release(Core *core, Lease *lease)
{
        broker_lease_end(core->broker, lease, END_RELEASED);
        core_check(core);
}

/* A private one has its lease's name, its iommufd is not kept, and it goes with the lease. */
static void test_private(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        unsigned fds;
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        fds = fake_host_count_fds();
        lease = GRANT(core, vmm, { D1 });
        assert_string_equal(lease->container->name, lease->id);
        assert_false(lease->container->named);
        assert_ptr_equal(broker_container(core->broker, "blue", lease->id), lease->container);
        assert_int_equal(lease->container->fd, -EBADF);
        assert_int_equal(core->n_containers, 1);

        /* Nobody joins it, its own process neither. */
        (void)core_device(core, D2, 2, "vfio-pci");
        assert_non_null(
                strstr(REFUSED(core, RESULT_CONTAINER_INCOMPATIBLE, vmm, { D2 }, .container = lease->id),
                       "private"));
        release(core, lease);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(core->n_containers, 0);
        assert_int_equal(fake_host_count_fds(), fds);
}

/* A named one has one context for all who join, while any of them is there, and a fresh one afterwards. */
static void test_named(void **state)
{
        Core *core = *state;
        FakeProcess *one = core_process(core, 100, UID_BLUE), *two = core_process(core, 101, UID_BLUE);
        Lease *a, *b;
        unsigned fds;
        int fd;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        fds = fake_host_count_fds();
        a = GRANT(core, one, { D1 }, .container = "vm");
        fd = a->container->fd;
        assert_true(fd >= 0);
        assert_false(core->fake->last_job.join);
        b = GRANT(core, two, { D2 }, .container = "vm");
        assert_ptr_equal(a->container, b->container);
        assert_int_equal(core->fake->n_contexts, 1);
        assert_true(core->fake->last_job.join);
        assert_int_equal(core->fake->last_job.context, fd);

        release(core, a);
        assert_int_equal(core->fake->last_job.context, -EBADF); /* the other one needs it */
        (void)fake_host_run(core->fake);
        assert_int_equal(b->container->fd, fd);
        /* The worker of the last one gets it, and nobody else has it. */
        release(core, b);
        assert_int_equal(core->fake->last_job.context, fd);
        assert_int_equal(fake_host_count_fds(), fds);

        /* A lease that is still reclaimed holds no context: the next one begins anew. */
        (void)core_device(core, D3, 3, "vfio-pci");
        a = GRANT(core, one, { D3 }, .container = "vm");
        assert_int_equal(core->fake->n_contexts, 2);
        release(core, a);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(core->n_containers, 0);
}

/* The name of one that nobody uses any more, but whose context no worker could take yet, is a new one's: nobody gets the
 * old context, which may be of another backend and have a dead process's memory. Also where a restart comes between. */
static void test_name_used_again(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *old, *new;
        unsigned fds;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        fds = fake_host_count_fds();
        old = GRANT(core, vmm, { D1 }, .container = "vm", .backend = POLICY_BACKEND_GROUP);
        core->fake->job_start_error = EAGAIN;
        release(core, old);
        core->fake->job_start_error = 0;
        assert_true(old->container->fd >= 0);
        new = GRANT(core, vmm, { D2 }, .container = "vm", .backend = POLICY_BACKEND_IOMMUFD);
        assert_ptr_not_equal(new->container, old->container);
        assert_true(new->container->fd != old->container->fd);
        assert_ptr_equal(broker_container(core->broker, "blue", "vm"), new->container);
        assert_int_equal(core->n_containers, 1);

        core_restart(core);
        core_check(core);
        new = broker_device(core->broker, D2)->lease;
        assert_ptr_equal(broker_container(core->broker, "blue", "vm"), new->container);
        assert_int_equal(new->container->backend, POLICY_BACKEND_IOMMUFD);
        release(core, new);
        fake_host_advance(core->fake, USEC_PER_SEC);
        core_check_idle(core);
        assert_int_equal(fake_host_count_fds(), fds);
}

/* A group is opened once: who comes while another lease takes it into the container is to ask again. */
static void test_group_on_its_way(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 1, "vfio-pci");
        assert_int_equal(core_ask(core,
                                  &(Ask){ vmm, { D1 }, .container = "vm", .backend = POLICY_BACKEND_GROUP },
                                  &answer),
                         0);
        assert_non_null(
                strstr(REFUSED(core, RESULT_RATE_LIMITED, vmm, { D2 }, .container = "vm"), "ask again"));
        (void)fake_host_run(core->fake);
        (void)GRANT(core, vmm, { D2 }, .container = "vm");
        assert_int_equal(broker_container(core->broker, "blue", "vm")->n_groups, 1);
}

/* Two tenants use one name and never meet. */
static void test_names_are_the_tenants(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *red = core_process(core, 200, UID_RED);
        Lease *a, *b;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        a = GRANT(core, blue, { D1 }, .container = "vm", .backend = POLICY_BACKEND_IOMMUFD);
        b = GRANT(core, red, { D2 }, .container = "vm", .backend = POLICY_BACKEND_GROUP);
        assert_ptr_not_equal(a->container, b->container);
        assert_string_equal(a->container->name, b->container->name);
}

/* What cannot join, and that nothing has changed then. */
static void test_incompatible(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        unsigned fds;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .container = "vm", .backend = POLICY_BACKEND_IOMMUFD);
        assert_non_null(strstr(REFUSED(core, RESULT_CONTAINER_INCOMPATIBLE, vmm, { D2 }, .container = "vm",
                                       .backend = POLICY_BACKEND_GROUP),
                               "is of the iommufd backend"));
        /* Left open, the backend is the container's. */
        core->fake->offered = POLICY_BACKEND_ALL;
        assert_int_equal(GRANT(core, vmm, { D2 }, .container = "vm")->backend, POLICY_BACKEND_IOMMUFD);
        (void)core_device(core, D3, 3, "vfio-pci");

        /* The kernel's own word. */
        fake_host_device(core->fake, D3)->join_error = EPERM;
        core_set_policy(core, POLICY_HEAD "share-containers = yes\n");
        fds = fake_host_count_fds();
        assert_non_null(strstr(FAILS(core, RESULT_CONTAINER_INCOMPATIBLE, vmm, { D3 }, .container = "other"),
                               "cannot be in that container"));
        assert_int_equal(fake_host_count_fds(), fds);
        assert_null(broker_container(core->broker, "blue", "other"));

        core_set_policy(core, POLICY_HEAD "share-containers = no\n");
        assert_non_null(strstr(REFUSED(core, RESULT_DENIED_BY_POLICY, vmm, { D3 }, .container = "vm2"),
                               "share-containers"));
        core->fake->context_error = ENOENT;
        (void)REFUSED(core, RESULT_BACKEND_UNAVAILABLE, vmm, { D3 });
}

/* Group backend: a group is in one container at a time; the broker keeps its file, and gives it to the reclaim of the last
 * lease that needs it. */
static void test_groups(void **state)
{
        Core *core = *state;
        FakeProcess *one = core_process(core, 100, UID_BLUE), *two = core_process(core, 101, UID_BLUE);
        Lease *a, *b, *c;
        unsigned fds;

        core->fake->offered = POLICY_BACKEND_GROUP;
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 1, "vfio-pci");
        (void)core_device(core, D3, 3, "vfio-pci");
        fds = fake_host_count_fds();
        a = GRANT(core, one, { D1 }, .container = "vm");
        assert_int_equal(a->container->n_groups, 1);
        assert_int_equal(core->fake->last_job.n_groups, 1);
        assert_int_equal(core->fake->last_job.groups[0].fd, -EBADF);
        assert_false(core->fake->last_job.devices[0].group_shared);

        assert_non_null(strstr(REFUSED(core, RESULT_CONTAINER_INCOMPATIBLE, two, { D2 }), "name it"));
        (void)REFUSED(core, RESULT_CONTAINER_INCOMPATIBLE, two, { D2 }, .container = "other");
        b = GRANT(core, two, { D2 }, .container = "vm");
        assert_int_equal(core->fake->last_job.groups[0].fd, a->container->groups[0].fd);
        assert_true(core->fake->last_job.devices[0].group_shared);
        assert_int_equal(b->container->n_groups, 1);
        c = GRANT(core, two, { D3 }, .container = "vm");
        assert_int_equal(c->container->n_groups, 2);
        core_check(core);

        release(core, a); /* the group stays, the other member's lease needs it */
        assert_int_equal(core->fake->last_job.n_groups, 0);
        assert_true(core->fake->last_job.devices[0].group_shared);
        (void)fake_host_run(core->fake);
        release(core, b);
        assert_int_equal(core->fake->last_job.n_groups, 1);
        assert_int_equal(core->fake->last_job.groups[0].number, 1);
        assert_int_equal(core->fake->last_job.context, -EBADF);
        assert_int_equal(c->container->n_groups, 1);
        (void)fake_host_run(core->fake);
        fake_host_end_process(core->fake, two);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
        assert_int_equal(fake_host_count_fds(), fds);
}

/* Who has the file of a group can open each device of it once more, also one that has left the lease: that is proven free
 * and reset when the next one gets it. */
static void test_removed_from_group(void **state)
{
        Core *core = *state;
        FakeProcess *blue = core_process(core, 100, UID_BLUE), *red = core_process(core, 200, UID_RED);
        const char *id = D1;
        Refusal refusal;
        Lease *lease;

        core->fake->offered = POLICY_BACKEND_GROUP;
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 1, "vfio-pci");
        lease = GRANT(core, blue, { D1, D2 });
        assert_int_equal(broker_lease_remove(core->broker, lease, &id, 1, &refusal), 0);
        (void)fake_host_run(core->fake);
        core_check(core);
        assert_state(broker_device(core->broker, D1), DEVICE_AVAILABLE);
        release(core, lease);
        (void)fake_host_run(core->fake);
        assert_true(broker_device(core->broker, D2)->clean);
        (void)GRANT(core, red, { D1, D2 });
        assert_true(core->fake->last_job.devices[0].prove && core->fake->last_job.devices[0].reset);
        assert_false(core->fake->last_job.devices[1].prove);
}

/* A job that cannot begin keeps what it was to let go of, for the next attempt. */
static void test_release_is_tried_again(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;

        core->fake->offered = POLICY_BACKEND_GROUP;
        (void)core_device(core, D1, 1, "vfio-pci");
        lease = GRANT(core, vmm, { D1 });
        core->fake->job_start_error = EAGAIN;
        release(core, lease);
        assert_int_equal(lease->container->n_groups, 1);
        core->fake->job_start_error = 0;
        fake_host_advance(core->fake, 20 * USEC_PER_MSEC);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->fake->last_job.n_groups, 1);
        core_check_idle(core);
}

/* The group's file goes only to whom the whole group is leased; bridges nobody can have. */
static void test_whole_group(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};
        Lease *lease;

        core->fake->offered = POLICY_BACKEND_GROUP;
        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 1, "vfio-pci");
        core_device(core, D3, 1, "pcieport")->info.bridge = true;
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_fds, 2);
        assert_string_equal(answer.ids[0], answer.lease->id);
        assert_string_equal(answer.ids[1], D1);
        release(core, answer.lease);
        (void)fake_host_run(core->fake);

        answer = (Answer){};
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1, D2 } }, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_fds, 4);
        assert_string_equal(answer.ids[1], "1");
        lease = answer.lease;
        assert_true(lease_holds_group(lease, lease->devices[0]->group));
}

/* Devices in as many groups need more fds than a message of the bus carries, and as many as one of the kernel's does. */
static void test_too_many_fds(void **state)
{
        static char ids[JOB_DEVICES_MAX][32];
        Core *core = *state;
        Ask ask = { core_process(core, 100, UID_BLUE), .backend = POLICY_BACKEND_GROUP, .fds_max = 16 };
        Answer answer = {};
        Refusal refusal;
        Lease *lease;

        for (size_t i = 0; i < JOB_DEVICES_MAX; i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "0000:%02zx:00.0", i + 0x10);
                (void)core_device(core, ids[i], (int)i + 10, "vfio-pci");
        }
        for (size_t i = 0; i < 8; i++)
                ask.devices[i] = ids[i];
        assert_non_null(strstr(core_refused(core, &ask, RESULT_LIMITS_EXCEEDED), "OpenSession"));
        ask.devices[7] = NULL;
        lease = core_grant(core, &ask);
        assert_int_equal(broker_lease_reissue(core->broker, lease, 14, NULL, NULL, &refusal),
                         RESULT_LIMITS_EXCEEDED);
        broker_lease_end(core->broker, lease, END_RELEASED);
        (void)fake_host_run(core->fake);

        ask.fds_max = 0;
        for (size_t i = 0; i < JOB_DEVICES_MAX; i++)
                ask.devices[i] = ids[i];
        assert_int_equal(core_ask(core, &ask, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_fds, 253);
        assert_int_equal(broker_lease_reissue(core->broker, answer.lease, 252, NULL, NULL, &refusal),
                         RESULT_LIMITS_EXCEEDED);
        answer = (Answer){};
        assert_int_equal(core_reissue(core, core->broker->leases, &answer), 0);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.n_fds, 253);
}

/* The lease ends while its devices are opened: the files of its groups go to the worker of the reclaim. */
static void test_end_while_opening(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        unsigned fds, jobs;
        Answer answer = {};

        core->fake->offered = POLICY_BACKEND_GROUP;
        (void)core_device(core, D1, 1, "igb");
        fds = fake_host_count_fds();
        assert_int_equal(core_ask(core, &(Ask){ vmm, { D1 } }, &answer), 0);
        jobs = core->fake->n_jobs_started;
        fake_host_end_process(core->fake, vmm);
        (void)fake_host_run(core->fake);
        assert_int_equal(answer.error, RESULT_PROCESS_UNUSABLE);
        assert_int_equal(core->fake->n_jobs_started, jobs + 1);
        assert_int_equal(core->fake->last_job.kind, JOB_RECLAIM);
        assert_int_equal(core->fake->last_job.n_groups, 1);
        assert_true(core->fake->last_job.groups[0].fd >= 0);
        assert_true(core->fake->last_job.devices[0].fd >= 0);
        core_check_idle(core);
        assert_int_equal(fake_host_count_fds(), fds);
}

/* Policy declares one: it is there before anybody, has its backend, and stays when everybody is gone, until policy has it no
 * more. */
static void test_declared(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        unsigned fds = fake_host_count_fds();
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        core_set_policy(core, POLICY_HEAD "[container vm]\ntenant = blue\nbackend = group\n");
        assert_int_equal(core->n_containers, 1);
        assert_non_null(broker_container(core->broker, "blue", "vm"));
        assert_non_null(strstr(REFUSED(core, RESULT_CONTAINER_INCOMPATIBLE, vmm, { D1 }, .container = "vm",
                                       .backend = POLICY_BACKEND_IOMMUFD),
                               "Policy says"));
        lease = GRANT(core, vmm, { D1 }, .container = "vm");
        assert_int_equal(lease->backend, POLICY_BACKEND_GROUP);
        release(core, lease);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->n_containers, 1);
        assert_int_equal(fake_host_count_fds(), fds);
        core_check_idle(core);

        lease = GRANT(core, vmm, { D1 }, .container = "vm");
        core_set_policy(core, POLICY_HEAD);
        assert_int_equal(core->n_containers, 1); /* its lease is not over */
        release(core, lease);
        (void)fake_host_run(core->fake);
        assert_int_equal(core->n_containers, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(private),
                TEST(named),
                TEST(name_used_again),
                TEST(group_on_its_way),
                TEST(names_are_the_tenants),
                TEST(incompatible),
                TEST(groups),
                TEST(removed_from_group),
                TEST(release_is_tried_again),
                TEST(whole_group),
                TEST(declared),
                TEST(too_many_fds),
                TEST(end_while_opening),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
