/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/keep.c: what of a lease stays open over a restart, comes back, is held against what is true, and is forgotten
 * before the next one can have the device. */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/core-fixture.h"

#define D1 "0000:01:00.0"
#define D2 "0000:02:00.0"
#define D3 "0000:03:00.0"

static ino_t inode(int fd)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return st.st_ino;
}

static Lease *lease_of(Core *core, const char *id)
{
        assert_non_null(broker_device(core->broker, id)->lease);
        return broker_device(core->broker, id)->lease;
}

static void end_all(Core *core)
{
        while (core->broker->leases) {
                broker_lease_end(core->broker, core->broker->leases, END_RELEASED);
                (void)fake_host_run(core->fake);
        }
        core_check_idle(core); /* nothing is kept */
}

/* A named container can be joined after any number of restarts, and is the same context. */
static void test_join_after_restart(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *other = core_process(core, 101, UID_BLUE);
        ino_t context;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)core_device(core, D3, 3, "vfio-pci");
        context = inode(GRANT(core, vmm, { D1 }, .container = "vm")->container->fd);
        assert_int_equal(core->n_kept, 2); /* the pidfd and the context */
        for (int i = 0; i < 3; i++) {
                core_restart(core);
                core_check(core);
                assert_false(lease_of(core, D1)->container->lost);
                assert_int_equal(inode(lease_of(core, D1)->container->fd), context);
                assert_int_equal(core->n_kept, 2);
        }
        assert_int_equal(core->events[EVENT_TROUBLE], 0);
        (void)GRANT(core, other, { D2 }, .container = "vm");
        assert_int_equal(core->n_kept, 3);
        core_restart(core);
        assert_ptr_equal(lease_of(core, D1)->container, lease_of(core, D2)->container);
        (void)GRANT(core, other, { D3 }, .container = "vm");
        assert_int_equal(inode(lease_of(core, D3)->container->fd), context);
        assert_int_equal(core->n_kept, 3); /* the process is kept once */
        end_all(core);
}

/* Group backend: the container and its groups come back, so that they can be joined and issued anew, and the worker of the
 * reclaim gets them. */
static void test_groups_after_restart(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;
        ino_t group;

        core->fake->offered = POLICY_BACKEND_GROUP;
        (void)core_device(core, D1, 7, "vfio-pci");
        (void)core_device(core, D2, 7, "vfio-pci");
        (void)core_device(core, D3, 8, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .container = "vm");
        (void)GRANT(core, vmm, { D3 }, .container = "vm");
        group = inode(lease_of(core, D1)->container->groups[0].fd);
        assert_int_equal(core->n_kept, 4);
        core_restart(core);
        core_check(core);
        lease = lease_of(core, D1);
        assert_false(lease->container->lost);
        assert_int_equal(lease->container->n_groups, 2);
        assert_true(inode(lease->container->groups[0].fd) == group ||
                    inode(lease->container->groups[1].fd) == group);
        assert_int_equal(lease->container->n_iova, 1);
        (void)GRANT(core, vmm, { D2 }, .container = "vm");
        broker_lease_end(core->broker, lease, END_RELEASED);
        assert_int_equal(core->n_kept, 4); /* the other lease needs its group */
        (void)fake_host_run(core->fake);
        broker_lease_end(core->broker, lease_of(core, D2), END_RELEASED);
        assert_int_equal(core->n_kept, 3); /* forgotten before its worker has it */
        assert_int_equal(core->fake->last_job.n_groups, 1);
        end_all(core);
}

/* A private iommufd is its holder's alone; a private container of groups is kept. */
static void test_private(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Answer answer = {};

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, vmm, { D1 });
        assert_int_equal(core->n_kept, 1);
        core_restart(core);
        assert_int_equal(lease_of(core, D1)->container->fd, -EBADF);
        end_all(core);
        core->fake->offered = POLICY_BACKEND_GROUP;
        (void)GRANT(core, vmm, { D1 });
        assert_int_equal(core->n_kept, 3);
        core_restart(core);
        assert_false(lease_of(core, D1)->container->lost);
        assert_int_equal(core_reissue(core, lease_of(core, D1), &answer), 0);
        (void)fake_host_run(core->fake);
        end_all(core);
}

/* The process ended while no daemon ran: what was kept of it is let go of, and the reclaim has the container's files. */
static void test_process_ended(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        core->fake->offered = POLICY_BACKEND_GROUP;
        (void)core_device(core, D1, 7, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .container = "vm");
        core_restart_empty(core);
        fake_host_end_process(core->fake, vmm);
        core_read_records(core);
        core_check(core);
        assert_int_equal(core->fake->last_job.kind, JOB_RECLAIM);
        assert_int_equal(core->fake->last_job.n_groups, 1);
        assert_int_equal(core->n_kept, 0);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* One lease of a container ends as the daemon dies, the other goes on: the one that is reclaimed takes nothing away. */
static void test_one_reclaims(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        ino_t context;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        context = inode(GRANT(core, vmm, { D1 }, .container = "vm")->container->fd);
        (void)GRANT(core, vmm, { D2 }, .container = "vm");
        fake_host_device(core->fake, D1)->prove_error = EBUSY;
        broker_lease_end(core->broker, lease_of(core, D1), END_RELEASED);
        (void)fake_host_step(core->fake);
        core_restart(core);
        core_check(core);
        assert_int_equal(lease_of(core, D1)->state, LEASE_RECLAIMING);
        assert_int_equal(inode(lease_of(core, D2)->container->fd), context);
        assert_ptr_equal(lease_of(core, D1)->container, lease_of(core, D2)->container);
        assert_int_equal(core->fake->last_job.context, -EBADF);
        fake_host_device(core->fake, D1)->prove_error = 0;
        fake_host_advance(core->fake, 2 * USEC_PER_SEC);
        assert_null(broker_device(core->broker, D1)->lease);
        assert_int_equal(inode(lease_of(core, D2)->container->fd), context);
        end_all(core);
}

/* No service manager, or one that closed all at a stop: the leases go on, and their containers cannot be joined. */
static void test_nothing_kept(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        for (int i = 0; i < 2; i++) {
                core->without_keeper = i == 0;
                (void)GRANT(core, vmm, { D1 }, .container = "vm");
                core_restart_empty(core);
                core_forget_all(core);
                core_read_records(core);
                core_check(core);
                assert_int_equal(core->events[EVENT_TROUBLE], 0);
                assert_int_equal(core->n_kept, i); /* the pidfd anew */
                assert_true(lease_of(core, D1)->container->lost);
                assert_non_null(
                        strstr(REFUSED(core, RESULT_CONTAINER_INCOMPATIBLE, vmm, { D2 }, .container = "vm"),
                               "before a restart"));
                end_all(core);
        }
}

/* Another file under the name: it is closed, told of, and not gone on with; the lease lives on by pid and start time. */
static void test_not_what_it_says(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE), *other = core_process(core, 101, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .container = "vm");
        for (int what = 0; what < 3; what++) {
                core_restart_empty(core);
                for (size_t i = 0; i < ELEMENTSOF(core->kept); i++) {
                        KeptFile *kept = core->kept + i;
                        int fd = what == 0 ? memfd_create("none", MFD_CLOEXEC)
                                           : fcntl(other->pidfd, F_DUPFD_CLOEXEC, 3);

                        if (strncmp(kept->name, "process-", 8) == 0 && what < 2)
                                assert_true(dup3(fd, kept->fd, O_CLOEXEC) >= 0);
                        (void)close(fd);
                }
                core->fake->check_error = what == 2 ? EBADF : 0;
                core_read_records(core);
                core->fake->check_error = 0;
                core_check(core);
                assert_int_equal(core->events[EVENT_TROUBLE], what + 1);
                assert_int_equal(lease_of(core, D1)->state, LEASE_ACTIVE);
                assert_int_equal(lease_of(core, D1)->container->lost, what == 2);
                assert_int_equal(core->n_kept, what < 2 ? 2 : 1);
        }
        end_all(core);
}

/* Nobody knows what the files are: the start fails, forgets none of them, and the next one has them all. */
static void test_not_known(void **state)
{
        static const int errors[] = { EIO, ENOMEM, EMFILE, ENOSPC, EINTR, EAGAIN };
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        LeaseRecord record;

        (void)core_device(core, D1, 1, "vfio-pci");
        for (unsigned backend = 0; backend < 2; backend++) {
                (void)GRANT(core, vmm, { D1 }, .container = "vm",
                            .backend = backend ? POLICY_BACKEND_GROUP : POLICY_BACKEND_IOMMUFD);
                for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                        for (unsigned nth = 0; nth < 3 + 2 * backend; nth++) {
                                size_t kept = core->n_kept;
                                bool check = nth <= backend;

                                core_restart_empty(core);
                                record = core->leases->record;
                                core->fake->check_error = check ? errors[i] : 0;
                                core->fake->check_after = nth + 1;
                                core->take_error = errors[i];
                                core->take_after = check ? 0 : nth - backend;
                                assert_int_equal(broker_restore_lease(core->broker, &record), -errors[i]);
                                core->fake->check_error = core->fake->check_after = 0;
                                assert_int_equal(core->n_kept, kept);
                                assert_int_equal(core->broker->n_leases, 0);
                                core_restart(core);
                                assert_int_equal(core->n_kept, kept);
                                assert_int_equal(lease_of(core, D1)->state, LEASE_ACTIVE);
                                assert_false(lease_of(core, D1)->container->lost);
                        }
                assert_int_equal(core->events[EVENT_TROUBLE], 0);
                end_all(core);
        }
}

/* The process's own pidfd is the surest word on its end, whatever has its number now. */
static void test_number_used_again(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)GRANT(core, vmm, { D1 });
        core_restart_empty(core);
        vmm->alive = false;
        core_read_records(core);
        assert_int_equal(lease_of(core, D1)->state, LEASE_RECLAIMING);
        assert_int_equal(core->n_kept, 0);
        (void)fake_host_run(core->fake);
        core_check_idle(core);
}

/* Records of a daemon that kept nothing: the leases go on, and from then on their processes are kept. */
static void test_upgrade(void **state)
{
        Core *core = *state;
        FakeProcess *vmm = core_process(core, 100, UID_BLUE);
        Lease *lease;

        (void)core_device(core, D1, 1, "vfio-pci");
        (void)core_device(core, D2, 2, "vfio-pci");
        (void)GRANT(core, vmm, { D1 }, .container = "vm");
        (void)GRANT(core, vmm, { D2 }, .container = "vm");
        core_restart_empty(core);
        core_forget_all(core);
        for (StoredLease *stored = core->leases; stored; stored = stored->hh.next)
                stored->record.process_kept_as[0] = stored->record.container_kept_as[0] = 0;
        core_read_records(core);
        core_check(core);
        assert_int_equal(core->n_kept, 1);
        lease = lease_of(core, D1);
        assert_ptr_equal(lease->container, lease_of(core, D2)->container);
        assert_true(lease->container->lost);
        for (StoredLease *stored = core->leases; stored; stored = stored->hh.next)
                assert_string_equal(stored->record.process_kept_as, lease->holder->kept_as);
        core_restart(core);
        assert_int_equal(core->n_kept, 1);
        end_all(core);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, core_setup, core_teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(join_after_restart),
                TEST(groups_after_restart),
                TEST(private),
                TEST(process_ended),
                TEST(one_reclaims),
                TEST(nothing_kept),
                TEST(not_what_it_says),
                TEST(not_known),
                TEST(number_used_again),
                TEST(upgrade),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
