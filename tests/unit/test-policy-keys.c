/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/policy-keys.c: every key reaches its field, what is not given has its default, and later files
 * override key by key. What is refused is in tests/fixtures/policy. */

#include "tests/fixtures/policy-text.h"

#include "policy/loader.h"

/* No section at all: the defaults of [broker], and nobody. */
static void test_broker_defaults(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("");
        const PolicyBroker *broker = &policy->broker;

        assert_string_equal(broker->admin_group, "vfiobroker-admin");
        assert_true(broker->memlock_max_bytes == UINT64_MAX);
        assert_int_equal(broker->memlock_max_percent, 90);
        assert_int_equal(broker->backends, POLICY_BACKEND_ALL);
        assert_false(broker->unsafe_interrupts);
        assert_false(broker->noiommu);
        assert_int_equal(broker->revoke_grace_usec, 10 * USEC_PER_SEC);
        assert_int_equal(broker->rate_count, 20);
        assert_int_equal(broker->rate_interval_usec, 10 * USEC_PER_SEC);
        assert_null(broker->where.file);
        assert_int_equal(policy->n_tenants, 0);
}

static void test_broker(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("[broker]\n"
                                                    "admin-group = root\n"
                                                    "memlock-max = 64G\n"
                                                    "backends = group, iommufd\n"
                                                    "unsafe-interrupts = yes\n"
                                                    "noiommu = on\n"
                                                    "revoke-grace = 500ms\n"
                                                    "rate = 3/1min\n");
        const PolicyBroker *broker = &policy->broker;

        assert_string_equal(broker->admin_group, "root");
        assert_int_equal(broker->admin_gid, 0);
        assert_true(broker->memlock_max_bytes == UINT64_C(64) << 30);
        assert_int_equal(broker->memlock_max_where.line, 3);
        assert_int_equal(broker->backends, POLICY_BACKEND_ALL);
        assert_int_equal(broker->backends_where.line, 4);
        assert_true(broker->unsafe_interrupts);
        assert_int_equal(broker->unsafe_interrupts_where.line, 5);
        assert_true(broker->noiommu);
        assert_int_equal(broker->noiommu_where.line, 6);
        assert_int_equal(broker->revoke_grace_usec, 500 * USEC_PER_MSEC);
        assert_int_equal(broker->rate_count, 3);
        assert_int_equal(broker->rate_interval_usec, 60 * USEC_PER_SEC);
        assert_int_equal(broker->where.line, 1);
        assert_string_equal(broker->where.file, "t");
}

/* An empty admin-group is no group, not group 0. */
static void test_no_admin_group(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy =
                policy_of("[broker]\nadmin-group =\nmemlock-max = 0%\nbackends = group");

        assert_string_equal(policy->broker.admin_group, "");
        assert_true(policy->broker.admin_gid == (gid_t)-1);
        assert_int_equal(policy->broker.memlock_max_percent, 0);
        assert_int_equal(policy->broker.backends, POLICY_BACKEND_GROUP);
}

static void test_tenant_defaults(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("[tenant blue]\nmatch-user = 1\n");
        const PolicyTenant *tenant = policy->tenants;

        assert_int_equal(policy->n_tenants, 1);
        assert_string_equal(tenant->name, "blue");
        assert_int_equal(tenant->devices.n_items, 0);
        assert_int_equal(tenant->deny_devices.n_items, 0);
        assert_int_equal(tenant->devices_max, UINT_MAX);
        assert_null(tenant->devices_max_where.file);
        assert_int_equal(tenant->leases_max, UINT_MAX);
        assert_true(tenant->memlock_max == UINT64_MAX);
        assert_int_equal(tenant->memlock_default, 0);
        assert_int_equal(tenant->memlock_slack, 64 << 20);
        assert_int_equal(tenant->backends, POLICY_BACKEND_ALL);
        assert_false(tenant->allow_ipc_lock);
        assert_false(tenant->allow_on_behalf);
        assert_true(tenant->share_containers);
        assert_int_equal(tenant->reset, POLICY_RESET_REQUIRED);
        assert_int_equal(tenant->on_release, POLICY_KEEP);
        assert_int_equal(tenant->linger_usec, 0);
        assert_int_equal(tenant->revoke, POLICY_REVOKE_KILL);
        assert_null(tenant->socket);
        assert_null(tenant->socket_user);
        assert_int_equal(tenant->socket_uid, 0);
        assert_int_equal(tenant->socket_mode, 0600);
}

static void test_tenant(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("[tenant blue]\n"
                                                    "match-user = 2001, 3001-3999\n"
                                                    "match-group = 5\n"
                                                    "match-unit = vm-*.service\n"
                                                    "match-slice = blue.slice\n"
                                                    "match-machine = web\n"
                                                    "match-label = *:svirt_t:*\n"
                                                    "devices = pci:0000:3b:00.0, mdev-type:mtty-2\n"
                                                    "deny-devices = class:0108*\n"
                                                    "devices-max = 4\n"
                                                    "leases-max = 0\n"
                                                    "memlock-max = 64G\n"
                                                    "memlock-default = 1M\n"
                                                    "memlock-slack = 0\n"
                                                    "backends = iommufd\n"
                                                    "allow-ipc-lock = yes\n"
                                                    "allow-on-behalf = 1\n"
                                                    "share-containers = no\n"
                                                    "reset = best-effort\n"
                                                    "on-release = restore\n"
                                                    "linger = 2s\n"
                                                    "revoke = never\n"
                                                    "socket = /run/vfiobroker/blue.sock\n"
                                                    "socket-user = root\n"
                                                    "socket-group = 5\n"
                                                    "socket-mode = 0660\n");
        const PolicyTenant *tenant = policy->tenants;
        const TenantMatchValues *match = tenant->match.keys;

        assert_int_equal(match[TENANT_MATCH_USER].n_ranges, 2);
        assert_int_equal(match[TENANT_MATCH_USER].ranges[1].last, 3999);
        assert_int_equal(match[TENANT_MATCH_GROUP].ranges[0].first, 5);
        assert_string_equal(match[TENANT_MATCH_UNIT].strings[0], "vm-*.service");
        assert_string_equal(match[TENANT_MATCH_SLICE].strings[0], "blue.slice");
        assert_string_equal(match[TENANT_MATCH_MACHINE].strings[0], "web");
        assert_string_equal(match[TENANT_MATCH_LABEL].strings[0], "*:svirt_t:*");
        assert_int_equal(tenant->devices.n_items, 2);
        assert_string_equal(tenant->devices.items[1].text, "mdev-type:mtty-2");
        assert_int_equal(tenant->devices.items[1].where.line, 8);
        assert_string_equal(tenant->deny_devices.items[0].text, "class:0108*");
        assert_int_equal(tenant->devices_max, 4);
        assert_int_equal(tenant->devices_max_where.line, 10);
        assert_int_equal(tenant->leases_max, 0);
        assert_int_equal(tenant->leases_max_where.line, 11);
        assert_true(tenant->memlock_max == UINT64_C(64) << 30);
        assert_int_equal(tenant->memlock_max_where.line, 12);
        assert_int_equal(tenant->memlock_default, 1 << 20);
        assert_int_equal(tenant->memlock_slack, 0);
        assert_int_equal(tenant->backends, POLICY_BACKEND_IOMMUFD);
        assert_int_equal(tenant->backends_where.line, 15);
        assert_true(tenant->allow_ipc_lock);
        assert_true(tenant->allow_on_behalf);
        assert_false(tenant->share_containers);
        assert_int_equal(tenant->reset, POLICY_RESET_BEST_EFFORT);
        assert_int_equal(tenant->on_release, POLICY_RESTORE);
        assert_int_equal(tenant->linger_usec, 2 * USEC_PER_SEC);
        assert_int_equal(tenant->revoke, POLICY_REVOKE_NEVER);
        assert_string_equal(tenant->socket, "/run/vfiobroker/blue.sock");
        assert_int_equal(tenant->socket_where.line, 23);
        assert_string_equal(tenant->socket_user, "root");
        assert_int_equal(tenant->socket_uid, 0);
        assert_string_equal(tenant->socket_group, "5");
        assert_int_equal(tenant->socket_gid, 5);
        assert_int_equal(tenant->socket_mode, 0660);
}

static void test_pool_and_device(_unused_ void **state)
{
        _cleanup_policy_ Policy *policy = policy_of("[device pci:0000:01:00.0]\n"
                                                    "driver = vfio-pci\n"
                                                    "force-unbind = yes\n"
                                                    "virtual-functions = 7\n"
                                                    "[pool nics]\n"
                                                    "devices = any\n"
                                                    "[device class:0200*]\n");

        assert_int_equal(policy->n_pools, 1);
        assert_string_equal(policy->pools[0].name, "nics");
        assert_int_equal(policy->n_devices, 2);
        assert_string_equal(policy->devices[0].selector.text, "pci:0000:01:00.0");
        assert_string_equal(policy->devices[0].driver, "vfio-pci");
        assert_true(policy->devices[0].force_unbind);
        assert_int_equal(policy->devices[0].virtual_functions, 7);
        assert_null(policy->devices[1].driver);
        assert_false(policy->devices[1].force_unbind);
        assert_int_equal(policy->devices[1].virtual_functions, -1);
}

/* Names at their limit. */
static void test_names(_unused_ void **state)
{
        char text[256], name[POLICY_NAME_MAX + 2];
        _cleanup_policy_ Policy *policy = NULL;

        memset(name, 'n', POLICY_NAME_MAX);
        name[POLICY_NAME_MAX] = '\0';
        (void)snprintf(text, sizeof(text),
                       "[tenant %s]\nmatch-user = 1\ndevices = any\n[tenant 0a_.-b]\nmatch-user = 1\n",
                       name);
        policy = policy_of(text);
        assert_non_null(policy_tenant_by_name(policy, name));
        assert_non_null(policy_tenant_by_name(policy, "0a_.-b"));
        assert_null(policy_tenant_by_name(policy, "0A_.-b"));
}

/* Two texts as two files. */
static Policy *apply(Arena *scratch, const char *first, const char *second, PolicyErrors *errors)
{
        IniFile files[2];
        Policy *policy = calloc(1, sizeof(*policy));

        assert_non_null(policy);
        policy->n_ref = 1;
        assert_int_equal(ini_scan(scratch, "1", first, strlen(first), files, errors), 0);
        assert_int_equal(ini_scan(scratch, "2", second, strlen(second), files + 1, errors), 0);
        assert_int_equal(policy_apply(policy, files, 2, errors), 0);
        return policy;
}

/* A later file adds to and overrides a section key by key; an empty list takes back; the rest stays. */
static void test_override(_unused_ void **state)
{
        _cleanup_arena_ Arena scratch = ARENA_NULL;
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy =
                apply(&scratch,
                      "[tenant blue]\nmatch-user = 1\nmatch-group = 5\ndevices = any\n"
                      "devices-max = 4\n[broker]\nmemlock-max = 1G\n",
                      "[tenant red]\nmatch-user = 2\n[tenant blue]\ndevices-max = 5\n"
                      "leases-max = 6\nmatch-group =\ndevices = group:1, group:2\n"
                      "[broker]\nmemlock-max = 50%\n",
                      &errors);

        assert_int_equal(errors.n_items, 0);
        assert_int_equal(policy->n_tenants, 2);
        assert_string_equal(policy->tenants[0].name, "blue");
        assert_string_equal(policy->tenants[0].where.file, "1");
        assert_int_equal(policy->tenants[0].devices_max, 5);
        assert_string_equal(policy->tenants[0].devices_max_where.file, "2");
        assert_int_equal(policy->tenants[0].devices_max_where.line, 4);
        assert_int_equal(policy->tenants[0].leases_max, 6);
        assert_int_equal(policy->tenants[0].devices.n_items, 2);
        assert_int_equal(policy->tenants[0].match.keys[TENANT_MATCH_USER].n_ranges, 1);
        assert_int_equal(policy->tenants[0].match.keys[TENANT_MATCH_GROUP].n_ranges, 0);
        assert_string_equal(policy->tenants[1].name, "red");
        assert_true(policy->broker.memlock_max_bytes == UINT64_MAX);
        assert_int_equal(policy->broker.memlock_max_percent, 50);
}

/* What a later file replaces must be right all the same. */
static void test_override_bad(_unused_ void **state)
{
        _cleanup_arena_ Arena scratch = ARENA_NULL;
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        _cleanup_policy_ Policy *policy =
                apply(&scratch, "[broker]\nrate = x\n", "[broker]\nrate = 1/1s\n", &errors);

        assert_int_equal(errors.n_errors, 1);
        assert_int_equal(errors.items[0].line, 2);
        assert_string_equal(errors.items[0].file, "1");
        assert_int_equal(policy->broker.rate_count, 1);
}

/* Sections of one name in one file are one error, with keys of both still looked at. */
static void test_section_twice(_unused_ void **state)
{
        assert_says("[tenant a]\nmatch-user = 1\ndevices = any\n[pool a]\ndevices = any\n[tenant a]\nx-max "
                    "= 1\n",
                    "t:6: the section [tenant a] is in line 1 already; put both into one\n"
                    "t:7: [tenant] has no key \"x-max\"; see vfiobroker.conf(5), or take it out");
}

static void test_words(_unused_ void **state)
{
        assert_string_equal(policy_reset_to_string(POLICY_RESET_BEST_EFFORT), "best-effort");
        assert_string_equal(policy_on_release_to_string(POLICY_RESTORE), "restore");
        assert_string_equal(policy_revoke_to_string(POLICY_REVOKE_KILL_UNIT), "kill-unit");
        assert_null(policy_reset_to_string(_POLICY_RESET_MAX));
        assert_null(policy_on_release_to_string(_POLICY_ON_RELEASE_MAX));
        assert_null(policy_revoke_to_string(_POLICY_REVOKE_MAX));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_broker_defaults), cmocka_unit_test(test_broker),
                cmocka_unit_test(test_no_admin_group),  cmocka_unit_test(test_tenant_defaults),
                cmocka_unit_test(test_tenant),          cmocka_unit_test(test_pool_and_device),
                cmocka_unit_test(test_names),           cmocka_unit_test(test_override),
                cmocka_unit_test(test_override_bad),    cmocka_unit_test(test_section_twice),
                cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
