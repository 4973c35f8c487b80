/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a worker does where a call fails for want of memory, files or luck, each call once, in turn: what it could not find
 * out it takes for no answer. So it does not go on to an act that would wait for whoever has a device open, does not call a
 * device free or gone, and does not put back what was not there. The linker puts calls in between that fail, for the files of
 * daemon/host alone, and that find the machine's /sys and /dev in a folder of plain files. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

#include "daemon/host/container.h"
#include "daemon/host/driver.h"
#include "daemon/host/job-internal.h"
#include "daemon/host/machine.h"
#include "daemon/host/mdev.h"
#include "daemon/host/route.h"
#include "daemon/host/unit-kill.h"
#include "policy/policy-file.h"
#include "tests/fixtures/failing-calls.h"
#include "tests/unit/fake-root.h"

#define PCI   "/sys/bus/pci/devices/"
#define D1    "0000:01:00.0"
#define VF1   "0000:01:10.0"
#define UUID  "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define MDEV  "/sys/bus/mdev/devices/" UUID
#define GROUP "/dev/vfio/7" /* somebody has it open */

/* Where that path is in the machine that is none. */
static const char *there(const char *path, char buffer[static PATH_MAX])
{
        if (strncmp(path, "/sys/", 5) != 0 && strncmp(path, "/dev/", 5) != 0)
                return path;
        assert_true(snprintf(buffer, PATH_MAX, "%s%s", root, path) < PATH_MAX);
        return buffer;
}

#define WRAP_PATH(type, name, failed, parameters, ...)                                                      \
        type __real_##name parameters;                                                                      \
        type __wrap_##name parameters;                                                                      \
        type __wrap_##name parameters                                                                       \
        {                                                                                                   \
                char buffer[PATH_MAX];                                                                      \
                                                                                                            \
                return fails() ? (failed) : __real_##name(there(path, buffer), ##__VA_ARGS__);              \
        }

WRAP_PATH(DIR *, opendir, NULL, (const char *path))
WRAP_PATH(ssize_t, readlink, -1, (const char *path, char *ret, size_t size), ret, size)
WRAP_PATH(int, access, -1, (const char *path, int mode), mode)
WRAP_PATH(int, stat64, -1, (const char *path, struct stat64 *ret), ret)
WRAP_PATH(int, lstat64, -1, (const char *path, struct stat64 *ret), ret)
WRAP_PATH(FILE *, fopen64, NULL, (const char *path, const char *mode), mode)
WRAP(struct dirent64 *, readdir64, NULL, (DIR * dir), (dir))
WRAP(ssize_t, read, -1, (int fd, void *ret, size_t size), (fd, ret, size))
WRAP(ssize_t, write, -1, (int fd, const void *data, size_t size), (fd, data, size))

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
        char buffer[PATH_MAX];

        if (fails())
                return -1;
        if (streq(path, GROUP)) {
                errno = EBUSY;
                return -1;
        }
        /* What is written to an attribute takes the place of what it was. */
        return __real_open64(there(path, buffer), flags | (flags & O_WRONLY ? O_TRUNC : 0), 0600);
}

/* Of devices without links. With the compiler's checks it has another name. */
char *__wrap_realpath(const char *path, char *ret);
char *__wrap_realpath(const char *path, char *ret)
{
        return strcpy(ret, path);
}

char *__wrap___realpath_chk(const char *path, char *ret, size_t size);
char *__wrap___realpath_chk(const char *path, char *ret, size_t size)
{
        assert_true(strlen(path) < size);
        return strcpy(ret, path);
}

/* --- a kernel that answers requests --- */

static unsigned long failing_request; /* the one that fails, with `with`, */
static unsigned n_failing;            /* so many times */
static unsigned long last_argument;   /* of VFIO_SET_IOMMU */

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
        va_list ap;

        if (request == failing_request && n_failing > 0) {
                n_failing--;
                errno = with;
                return -1;
        }
        va_start(ap, request);
        if (request == VFIO_DEVICE_GET_INFO)
                va_arg(ap, struct vfio_device_info *)->flags = VFIO_DEVICE_FLAGS_RESET;
        else if (request == VFIO_SET_IOMMU)
                last_argument = va_arg(ap, unsigned long);
        va_end(ap);
        return request == VFIO_CHECK_EXTENSION;
}

static const int errors_tried[] = { EIO, ENOMEM, EMFILE, ENFILE, ENOSPC, EINTR, EAGAIN };

static void make_device(const char *id, const char *driver, const char *group)
{
        char folder[256], target[256];

        (void)snprintf(folder, sizeof(folder), PCI "%s", id);
        write_file(folder, "driver_override", "kept\n");
        (void)snprintf(target, sizeof(target), "../../drivers/%s", driver);
        if (driver[0])
                make_link(folder, "driver", target);
        (void)snprintf(target, sizeof(target), "../../../../kernel/iommu_groups/%s", group);
        make_link(folder, "iommu_group", target);
}

static int setup(void **state)
{
        failing_request = 0;
        if (fake_root_make() < 0)
                return -1;
        write_file("/sys/bus/pci/drivers/vfio-pci", "unbind", "");
        return 0;
}

static int teardown(void **state)
{
        return fake_root_remove();
}

static void assert_file(const char *path, const char *text)
{
        char full[PATH_MAX], line[256] = "";
        FILE *file;

        (void)snprintf(full, sizeof(full), "%s%s", root, path);
        file = __real_fopen64(full, "re");
        assert_non_null(file);
        if (!fgets(line, sizeof(line), file))
                line[0] = 0;
        (void)fclose(file);
        assert_string_equal(line, text);
}

static Job job_of(JobKind kind, const char *bus, const char *id)
{
        Job job;

        job_init(&job, kind);
        job.n_devices = 1;
        strcpy(job.devices[0].bus, bus);
        strcpy(job.devices[0].id, id);
        strcpy(job.devices[0].driver, "vfio-pci");
        job.devices[0].group = 7;
        return job;
}

/* Each call fails once, with each errno; `try` looks at what came of it. */
static void each_fault(void (*try)(bool failed))
{
        for (size_t i = 0; i < ELEMENTSOF(errors_tried); i++) {
                size_t n = 0;

                for (bool over = false; !over; over = countdown > 0) {
                        with = errors_tried[i];
                        countdown = ++n;
                        try(true);
                }
                countdown = 0;
                assert_true(n > 1);
        }
        try(false);
}

/* A device that is there, with a driver, does not go, and its driver does not let go of it. */
static void try_presence(bool failed)
{
        char path[PATH_MAX];
        int r;

        r = driver_has(there(PCI D1, path));
        assert_true(r == 1 || (failed && r == -with));
        assert_true(driver_device_exists("pci", D1));
}

static void test_presence(void **state)
{
        make_device(D1, "vfio-pci", "7");
        each_fault(try_presence);
}

/* What would be put back is what was there. */
static void try_override(bool failed)
{
        Job job = job_of(JOB_OPEN, "pci", D1);
        JobDeviceResult row = {};

        if (job_read_driver(job.devices, &row, true) < 0)
                assert_int_equal(row.error, with);
        else
                assert_string_equal(row.override_before, "kept");
        row = (JobDeviceResult){};
        (void)job_read_driver(job.devices, &row, false);
        assert_true(row.driver_known || failed);
        if (row.driver_known)
                assert_string_equal(row.override_now, "kept");
}

static void test_override(void **state)
{
        make_device(D1, "igb", "7");
        each_fault(try_override);
}

/* A device without a driver may be one whose driver somebody takes away just now: it is free once that was waited for. */
static void try_release(bool failed)
{
        Job job = job_of(JOB_RECLAIM, "pci", D1);
        JobResult result;
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s/sys/bus/pci/drivers/vfio-pci/unbind", root);
        assert_int_equal(truncate(path, 0), 0);
        job_result_init(&result, 1);
        job_run(&job, &result);
        assert_false(result.devices[0].removed);
        assert_true(result.devices[0].error == 0 || failed);
        if (result.devices[0].error == 0)
                assert_file("/sys/bus/pci/drivers/vfio-pci/unbind", D1);
}

static void test_release(void **state)
{
        make_device(D1, "", "7");
        each_fault(try_release);
}

/* Functions of which one is open are not taken away: the kernel would wait, with the lock of the physical function. */
static void try_functions(bool failed)
{
        Job job = job_of(JOB_FUNCTIONS, "pci", D1);
        JobResult result;

        job_result_init(&result, 1);
        job_run(&job, &result);
        assert_int_not_equal(result.devices[0].error, 0);
        assert_true(result.devices[0].error == EBUSY || failed);
        assert_file(PCI D1 "/sriov_numvfs", "1\n");
}

static void test_functions(void **state)
{
        make_device(D1, "igb", "1");
        make_device(VF1, "vfio-pci", "7");
        make_link(PCI D1, "virtfn0", "../" VF1);
        write_file(PCI D1, "sriov_numvfs", "1\n");
        each_fault(try_functions);
}

/* Nor is a device unbound, for an administrator, that is open, */
static void try_unbind(bool failed)
{
        Job job = job_of(JOB_UNBIND, "pci", D1);
        JobResult result;

        job_result_init(&result, 1);
        job_run(&job, &result);
        assert_int_not_equal(result.devices[0].error, 0);
        assert_true(result.devices[0].error == EBUSY || failed);
        assert_file("/sys/bus/pci/drivers/vfio-pci/unbind", "");
        assert_file(PCI D1 "/driver_override", "kept\n");
}

static void test_unbind(void **state)
{
        make_device(D1, "vfio-pci", "7");
        each_fault(try_unbind);
}

static unsigned n_reclaims_failed;

/* A reclaim that is short of memory or files at any call leaves the device to be asked again: it is open. */
static void try_reclaim(bool failed)
{
        Job job = job_of(JOB_RECLAIM, "pci", D1);
        JobResult result;

        job.devices[0].prove = true;
        job_result_init(&result, 1);
        job_run(&job, &result);
        if (failed && with == EIO)
                return;
        assert_true(job_is_unproven(result.devices));
}

static void test_reclaim_of_open(void **state)
{
        make_device(D1, "vfio-pci", "7");
        each_fault(try_reclaim);
}

/* The same where nobody has it open, and only the driver's unbind can tell. */
static void try_reclaim_of_free(bool failed)
{
        Job job = job_of(JOB_RECLAIM, "pci", D1);
        JobResult result;

        job.devices[0].prove = true;
        job.devices[0].group_shared = true;
        job_result_init(&result, 1);
        job_run(&job, &result);
        assert_true(failed || result.devices[0].error == 0);
        if (result.devices[0].error != 0 && with != EIO)
                assert_true(job_is_unproven(result.devices));
        n_reclaims_failed += result.devices[0].error != 0;
}

static void test_reclaim_of_free(void **state)
{
        make_device(D1, "vfio-pci", "7");
        n_reclaims_failed = 0;
        each_fault(try_reclaim_of_free);
        assert_true(n_reclaims_failed > 5);
}

/* … nor an mdev removed. */
static void try_mdev(bool failed)
{
        Job job = job_of(JOB_RECLAIM, "mdev", UUID);
        JobResult result;

        job.devices[0].remove = true;
        job_result_init(&result, 1);
        job_run(&job, &result);
        assert_int_not_equal(result.devices[0].error, 0);
        assert_true(result.devices[0].error == EBUSY || failed);
        assert_false(result.devices[0].removed);
        assert_file(MDEV "/remove", "");
}

static void test_mdev(void **state)
{
        make_link(MDEV, "driver", "../../drivers/vfio_mdev");
        write_file(MDEV, "remove", "");
        each_fault(try_mdev);
}

/* A device that is not bound for its reset is left as it was. */
static void test_bind(void **state)
{
        Job job = job_of(JOB_RESET, "pci", D1);
        JobResult result;

        make_device(D1, "igb", "7");
        write_file("/sys/bus/pci/drivers/igb", "unbind", "");
        job.devices[0].force_unbind = true;
        job_result_init(&result, 1);
        job_run(&job, &result); /* it finds no drivers_probe */
        assert_int_equal(result.devices[0].step, STEP_BIND_DRIVER);
        assert_file("/sys/bus/pci/drivers/igb/unbind", D1);
        assert_file(PCI D1 "/driver_override", "kept");
}

/* What is put back is put back, though a call fails. */
static void try_restore(bool failed)
{
        char text[REASON_MAX], path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s" PCI D1 "/driver_override", root);
        assert_int_equal(truncate(path, 0), 0);
        assert_int_equal(driver_restore("pci", D1, "igb", "kept", text), 0);
        assert_file(PCI D1 "/driver_override", "kept");
}

static void test_restore(void **state)
{
        char text[REASON_MAX];

        make_device(D1, "igb", "7");
        each_fault(try_restore);
        assert_int_equal(driver_restore("pci", VF1, "igb", "kept", text), -ENOENT); /* an answer */
}

static int made_group;

/* An mdev that was made has the group that it has. */
static void try_make(bool failed)
{
        Job job = job_of(JOB_MAKE, "mdev", UUID);
        JobResult result;

        strcpy(job.devices[0].mdev_parent, "mtty");
        strcpy(job.devices[0].mdev_type, "mtty-1");
        job_result_init(&result, 1);
        job_run(&job, &result);
        assert_true(result.devices[0].error == 0 || failed);
        if (result.devices[0].error == 0)
                assert_int_equal(result.devices[0].group, made_group);
}

static void test_make(void **state)
{
        char target[64];

        write_file("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1", "create", "");
        make_link(MDEV, "driver", "../../drivers/vfio_mdev");
        write_file(MDEV, "remove", "");
        for (made_group = 0; made_group <= 130; made_group++) { /* as many as there are errnos */
                (void)snprintf(target, sizeof(target), "../../../../kernel/iommu_groups/%d", made_group);
                make_link(MDEV, "iommu_group", target);
                try_make(false);
        }
        made_group--;
        each_fault(try_make);
}

/* A lock that somebody has for a moment is no reset that failed. */
static void test_reset(void **state)
{
        const JobDevice device = { .reset_required = true };
        JobDeviceResult row = {};

        failing_request = VFIO_DEVICE_RESET;
        n_failing = 3;
        with = EAGAIN;
        job_reset_open(-1, &device, &row);
        assert_int_equal(row.reset, RESET_DONE);
        assert_int_equal(row.error, 0);

        row = (JobDeviceResult){};
        n_failing = UINT32_MAX; /* it is not let go of */
        job_reset_open(-1, &device, &row);
        assert_int_equal(row.reset, RESET_FAILED);
        assert_int_equal(row.error, EAGAIN);

        row = (JobDeviceResult){};
        n_failing = 1;
        with = ENOTTY; /* an answer */
        job_reset_open(-1, &device, &row);
        assert_int_equal(row.reset, RESET_FAILED);
}

/* For want of memory a container does not get another type than the best. */
static void test_type(void **state)
{
        failing_request = VFIO_SET_IOMMU;
        n_failing = 1;
        with = ENOMEM;
        last_argument = 0;
        assert_int_equal(container_set_iommu(-1), -ENOMEM);
        assert_int_equal(last_argument, 0);
        n_failing = 1;
        with = ENODEV;
        assert_int_equal(container_set_iommu(-1), 0);
        assert_int_equal(last_argument, VFIO_TYPE1_IOMMU);
}

/* What mdevs can be made is known, or is not. */
static void try_types(bool failed)
{
        _cleanup_free_ MdevType *types = NULL;
        size_t n;
        int r;

        r = mdev_types_read(&types, &n);
        if (r < 0) {
                assert_true(failed);
                assert_int_equal(r, -with);
                return;
        }
        assert_int_equal(n, 1);
        assert_true(types[0].available == 3 || (failed && with == EIO)); /* its driver's word */
        assert_string_equal(types[0].name, "Serial");
}

static void test_types(void **state)
{
        write_file("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1", "name", "Serial\n");
        write_file("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1", "available_instances", "3\n");
        each_fault(try_types);
}

static Host *machine;

static void try_backends(bool failed)
{
        assert_int_equal(machine->ops->backends(machine), POLICY_BACKEND_ALL);
}

/* A lease does not get the other backend, nor none. */
static void test_backends(void **state)
{
        sd_event *event;

        write_file("/dev", "iommu", "");
        write_file("/dev/vfio", "vfio", "");
        assert_int_equal(sd_event_new(&event), 0);
        assert_int_equal(machine_new(event, NULL, &machine), 0);
        each_fault(try_backends);
        machine = machine_free(machine);
        sd_event_unref(event);
}

/* --- a list of addresses that has none --- */

static unsigned n_interrupted; /* so many lists may have left some out */

ssize_t __wrap_recv(int fd, void *ret, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *ret, size_t size, int flags)
{
        struct nlmsghdr *message = ret;

        *message = (struct nlmsghdr){ .nlmsg_len = NLMSG_LENGTH(sizeof(int)), .nlmsg_type = NLMSG_DONE };
        if (n_interrupted > 0) {
                n_interrupted--;
                message->nlmsg_flags = NLM_F_DUMP_INTR;
        }
        return (ssize_t)message->nlmsg_len;
}

/* An interface has no address where the whole list has none. */
static void test_interrupted(void **state)
{
        char text[ROUTE_TEXT_MAX];

        n_interrupted = 2;
        assert_int_equal(route_address(1, text), 0);
        assert_int_equal(n_interrupted, 0);
        n_interrupted = UINT32_MAX;
        assert_int_equal(route_address(1, text), -EAGAIN);
        assert_int_equal(route_over(1, text), -EAGAIN);
        n_interrupted = 0;
}

/* --- a process of a user's unit, which is a part of the unit of all that this user runs --- */

static int user_unit_error;

int __wrap_sd_pid_get_unit(pid_t pid, char **ret);
int __wrap_sd_pid_get_unit(pid_t pid, char **ret)
{
        *ret = strdup(pid == 0 ? "vfiobroker.service" : "user@1000.service");
        return 0;
}

int __wrap_sd_pid_get_user_unit(pid_t pid, char **ret);
int __wrap_sd_pid_get_user_unit(pid_t pid, char **ret)
{
        if (user_unit_error < 0)
                return user_unit_error;
        *ret = strdup("machine.service");
        return 0;
}

int __wrap_process_alive(int pidfd);
int __wrap_process_alive(int pidfd)
{
        return 1;
}

int __wrap_sd_bus_open_system(sd_bus **ret);
int __wrap_sd_bus_open_system(sd_bus **ret)
{
        return -EHOSTDOWN; /* it would be killed */
}

static void test_user_unit(void **state)
{
        HostUnitKill *kill;

        user_unit_error = 0;
        assert_int_equal(unit_kill_start(NULL, 2, -1, NULL, NULL, &kill), -ENXIO);
        for (size_t i = 0; i < ELEMENTSOF(errors_tried); i++) {
                user_unit_error = -errors_tried[i];
                assert_int_equal(unit_kill_start(NULL, 2, -1, NULL, NULL, &kill), user_unit_error);
        }
        user_unit_error = -ENXIO;
        assert_int_equal(unit_kill_start(NULL, 2, -1, NULL, NULL, &kill), -EHOSTDOWN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(reclaim_of_open), TEST(reclaim_of_free), TEST(presence), TEST(override),  TEST(release),
                TEST(functions),       TEST(unbind),          TEST(mdev),     TEST(bind),      TEST(make),
                TEST(restore),         TEST(reset),           TEST(type),     TEST(user_unit), TEST(types),
                TEST(backends),        TEST(interrupted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
