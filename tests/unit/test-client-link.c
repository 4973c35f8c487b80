/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvfiobroker as its users have it: this program links the shared library and nothing else of the tree,
 * and sees its header alone. Every exported function is called, so that one that is not exported fails to
 * link; and each takes the arguments that a careless program gives. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "vfiobroker.h"

/* No connection: every call is refused, and none crashes. */
static void test_null(void **state)
{
        const char *const devices[] = { "0000:01:00.0", NULL };
        struct vfiobroker_device_list *device_list;
        struct vfiobroker_lease_list *lease_list;
        struct vfiobroker_container_list *container_list;
        struct vfiobroker_tenant_list *tenant_list;
        struct vfiobroker_group_list *group_list;
        struct vfiobroker_lease_info *info;
        struct vfiobroker_device *device;
        struct vfiobroker_host *host;
        struct vfiobroker_lease *lease;
        char *text;

        assert_int_equal(vfiobroker_open_system(NULL), -EINVAL);
        assert_int_equal(vfiobroker_open_bus_address(NULL, NULL), -EINVAL);
        assert_int_equal(vfiobroker_acquire(NULL, devices, NULL, &lease), -EINVAL);
        assert_int_equal(vfiobroker_check_access(NULL, devices, NULL, &text), -EINVAL);
        assert_int_equal(vfiobroker_list_devices(NULL, &device_list), -EINVAL);
        assert_int_equal(vfiobroker_list_leases(NULL, &lease_list), -EINVAL);
        assert_int_equal(vfiobroker_list_groups(NULL, &group_list), -EINVAL);
        assert_int_equal(vfiobroker_list_containers(NULL, &container_list), -EINVAL);
        assert_int_equal(vfiobroker_list_tenants(NULL, &tenant_list), -EINVAL);
        assert_int_equal(vfiobroker_get_lease(NULL, "x", &info), -EINVAL);
        assert_int_equal(vfiobroker_reissue(NULL, "x", &lease), -EINVAL);
        assert_int_equal(vfiobroker_get_device(NULL, "x", &device), -EINVAL);
        assert_int_equal(vfiobroker_release(NULL, "x"), -EINVAL);
        assert_int_equal(vfiobroker_reset_device(NULL, "x"), -EINVAL);
        assert_int_equal(vfiobroker_bind_device(NULL, "x", ""), -EINVAL);
        assert_int_equal(vfiobroker_unbind_device(NULL, "x"), -EINVAL);
        assert_int_equal(vfiobroker_set_virtual_functions(NULL, "x", 1), -EINVAL);
        assert_int_equal(vfiobroker_get_host(NULL, &host), -EINVAL);
        assert_int_equal(vfiobroker_reload(NULL), -EINVAL);

        assert_string_equal(vfiobroker_last_error(NULL)->name, "");
        assert_string_equal(vfiobroker_last_error(NULL)->text, "");
}

/* No lease: empty answers. */
static void test_null_lease(void **state)
{
        const char *const devices[] = { "0000:01:00.0", NULL };

        assert_string_equal(vfiobroker_lease_id(NULL), "");
        assert_string_equal(vfiobroker_lease_path(NULL), "");
        assert_string_equal(vfiobroker_lease_backend(NULL), "");
        assert_int_equal(vfiobroker_lease_n_fds(NULL), 0);
        assert_null(vfiobroker_lease_fd(NULL, 0));
        assert_int_equal(vfiobroker_lease_find_fd(NULL, VFIOBROKER_FD_DEVICE, 0), -EINVAL);
        assert_int_equal(vfiobroker_lease_take_fd(NULL, 0), -EINVAL);
        assert_int_equal(vfiobroker_lease_add(NULL, devices, NULL), -EINVAL);
        assert_int_equal(vfiobroker_lease_remove(NULL, devices), -EINVAL);
        assert_int_equal(vfiobroker_lease_release(NULL), -EINVAL);
}

/* Freeing nothing is nothing. */
static void test_free_null(void **state)
{
        assert_null(vfiobroker_close(NULL));
        assert_null(vfiobroker_lease_free(NULL));
        assert_null(vfiobroker_device_free(NULL));
        assert_null(vfiobroker_host_free(NULL));
        assert_null(vfiobroker_device_list_free(NULL));
        assert_null(vfiobroker_lease_list_free(NULL));
        assert_null(vfiobroker_lease_info_free(NULL));
        assert_null(vfiobroker_group_list_free(NULL));
        assert_null(vfiobroker_container_list_free(NULL));
        assert_null(vfiobroker_tenant_list_free(NULL));
}

/* A bus that is not there is open's failure, and leaves *ret alone. */
static void test_no_bus(void **state)
{
        struct vfiobroker *broker = (struct vfiobroker *)-1;

        assert_int_equal(vfiobroker_open_bus_address("unix:path=/nonexistent/bus", &broker), -ENOENT);
        assert_int_equal(vfiobroker_open_bus_address("nonsense", &broker), -ECONNREFUSED);
        assert_ptr_equal(broker, (struct vfiobroker *)-1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_null),
                cmocka_unit_test(test_null_lease),
                cmocka_unit_test(test_free_null),
                cmocka_unit_test(test_no_bus),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
