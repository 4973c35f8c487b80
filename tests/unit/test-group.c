/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/core/group.c: members, who holds them, and what keeps the group from user space. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/core/group.h"
#include "daemon/core/tenant.h"

static Device *make_device(const char *id, const char *driver)
{
        Device *device = calloc(1, sizeof(*device));

        assert_non_null(device);
        (void)snprintf(device->info.id, sizeof(device->info.id), "%s", id);
        (void)snprintf(device->info.driver, sizeof(device->info.driver), "%s", driver);
        device->info.driver_is_vfio = strncmp(driver, "vfio", 4) == 0;
        return device;
}

/* Members come and go in any order; what is no member is left alone. */
static void test_members(void **state)
{
        Group *group = group_new(7, "DMA");
        Device *a = make_device("a", ""), *b = make_device("b", ""), *c = make_device("c", "");

        assert_string_equal(group->type, "DMA");
        assert_int_equal(group_add(group, a), 0);
        assert_int_equal(group_add(group, b), 0);
        assert_int_equal(group_add(group, c), 0);
        assert_ptr_equal(b->group, group);
        group_remove(group, b);
        assert_null(b->group);
        assert_int_equal(group->n_devices, 2);
        assert_ptr_equal(group->devices[1], c);
        group_remove(group, b);
        assert_int_equal(group->n_devices, 2);
        group_remove(group, a);
        group_remove(group, c);
        assert_int_equal(group->n_devices, 0);
        assert_null(group_free(group));
        assert_null(group_free(NULL));
        free(a);
        free(b);
        free(c);
}

/* A group takes as many devices as it has room for, and not one more. */
static void test_full(void **state)
{
        Device *devices[GROUP_DEVICES_MAX + 1];
        Group *group = group_new(1, "");

        for (size_t i = 0; i < ELEMENTSOF(devices); i++) {
                devices[i] = make_device("d", "");
                assert_int_equal(group_add(group, devices[i]), i < GROUP_DEVICES_MAX ? 0 : -E2BIG);
        }
        assert_null(devices[GROUP_DEVICES_MAX]->group);
        group_free(group);
        for (size_t i = 0; i < ELEMENTSOF(devices); i++)
                free(devices[i]);
}

/* The tenant of any leased member holds the group. */
static void test_tenant(void **state)
{
        Tenant *tenant = tenant_new("blue");
        Lease lease = { .tenant = tenant };
        Group *group = group_new(1, "");
        Device *a = make_device("a", ""), *b = make_device("b", "");

        (void)group_add(group, a);
        (void)group_add(group, b);
        assert_null(group_tenant(group));
        b->lease = &lease;
        assert_string_equal(group_tenant(group), "blue");
        group_free(group);
        free(a);
        free(b);
        tenant_free(tenant);
}

/* Blockers are named with what blocks; members that are about to be bound, or are gone, do not count. */
static void test_viable(void **state)
{
        Group *group = group_new(1, "");
        Device *a = make_device("0000:01:00.0", "igb"), *b = make_device("0000:01:00.1", "snd_hda_intel"),
               *c = make_device("0000:01:00.2", "vfio-pci");
        Device *both[] = { b, a };
        char text[128] = "x";

        assert_true(group_viable(group, NULL, 0, text, sizeof(text)));
        assert_string_equal(text, "");
        (void)group_add(group, a);
        (void)group_add(group, b);
        (void)group_add(group, c);
        assert_false(group_viable(group, NULL, 0, text, sizeof(text)));
        assert_string_equal(text, "0000:01:00.0 is bound to igb, 0000:01:00.1 is bound to snd_hda_intel");
        assert_false(group_viable(group, &a, 1, text, sizeof(text)));
        assert_string_equal(text, "0000:01:00.1 is bound to snd_hda_intel");
        assert_true(group_viable(group, both, 2, text, sizeof(text)));
        assert_false(group_viable(group, NULL, 0, NULL, 0));
        b->state = DEVICE_GONE;
        assert_true(group_viable(group, &a, 1, NULL, 0));
        group_free(group);
        free(a);
        free(b);
        free(c);
}

/* A text that does not fit is cut within its room, whatever the room. */
static void test_viable_room(void **state)
{
        Group *group = group_new(1, "");
        Device *devices[8];
        char text[64];

        for (size_t i = 0; i < ELEMENTSOF(devices); i++) {
                devices[i] = make_device("0000:01:00.0", "igb");
                (void)group_add(group, devices[i]);
        }
        for (size_t size = 0; size < sizeof(text); size++) {
                memset(text, '#', sizeof(text));
                assert_false(group_viable(group, NULL, 0, text, size));
                if (size > 0)
                        assert_int_equal(strnlen(text, size), size - 1);
                assert_int_equal(text[size], '#');
        }
        group_free(group);
        for (size_t i = 0; i < ELEMENTSOF(devices); i++)
                free(devices[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_members),     cmocka_unit_test(test_full),
                cmocka_unit_test(test_tenant),      cmocka_unit_test(test_viable),
                cmocka_unit_test(test_viable_room),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
