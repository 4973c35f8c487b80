/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy/selector.c: what each kind of selector matches, what it refuses, and that nothing passes which can
 * match nothing. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/selector.h"
#include "policy/util.h"

static const DeviceFacts nic = {
        .id = "0000:3b:02.1",
        .bus = "pci",
        .vendor = 0x8086,
        .product = 0x10ca,
        .subsystem_vendor = 0x1028,
        .subsystem_product = 0x0001,
        .class = 0x020000,
        .driver = "igbvf",
        .group = 12,
        .numa_node = 1,
        .physical_function = "0000:3b:00.0",
        .flr = true,
};
static const DeviceFacts mtty = {
        .id = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
        .bus = "mdev",
        .group = 13,
        .numa_node = -1,
        .mdev_type = "mtty-2",
};
static const DeviceFacts dma = { .id = "platform/dma-1", .bus = "platform", .group = -1, .numa_node = -1 };

/* Parses and asks, in one. */
static bool matches(const char *text, const DeviceFacts *device)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;
        char error[SELECTOR_ERROR_MAX] = "";
        Selector selector = {};
        int r = selector_parse(&arena, text, (PolicyWhere){ "x", 1 }, &selector, error);

        if (r < 0)
                fail_msg("%s: %s", text, error);
        assert_int_equal(selector.where.line, 1);
        return selector_matches(&selector, device);
}

static void assert_refused(const char *text, const char *why)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;
        char error[SELECTOR_ERROR_MAX] = "";
        Selector selector = { .n_terms = 77 };

        if (selector_parse(&arena, text, (PolicyWhere){}, &selector, error) != -EINVAL)
                fail_msg("%s was taken", text);
        if (!strstr(error, why))
                fail_msg("%s: \"%s\" does not say \"%s\"", text, error, why);
        assert_int_equal(selector.n_terms, 77);
}

/* Each kind matches the device that has it, and not the one that has something else. */
static void test_kinds(_unused_ void **state)
{
        static const struct {
                const char *text;
                bool nic, mtty, dma;
        } cases[] = {
                { "any", true, true, true },
                { "pci:0000:3b:02.1", true, false, false },
                { "pci:0000:3B:02.1", true, false, false },
                { "pci:0000:3b:*", true, false, false },
                { "pci:0000:3b:02.[2-7]", false, false, false },
                { "pci:*", true, false, false },
                { "pci-id:8086:10ca", true, false, false },
                { "pci-id:8086:10CA", true, false, false },
                { "pci-id:8086:10cb", false, false, false },
                { "pci-id:*:10ca", true, false, false },
                { "pci-id:*:*", true, false, false },
                { "pci-id:8086:10ca:1028:0001", true, false, false },
                { "pci-id:8086:10ca:1028:0002", false, false, false },
                { "pci-id:8086:10ca:*:0001", true, false, false },
                { "class:020000", true, false, false },
                { "class:0200*", true, false, false },
                { "class:0108*", false, false, false },
                { "class:000000", false, false, false },
                { "driver:igbvf", true, false, false },
                { "driver:igb", false, false, false },
                { "group:12", true, false, false },
                { "group:13", false, true, false },
                { "vf-of:0000:3b:00.0", true, false, false },
                { "vf-of:0000:3b:00.*", true, false, false },
                { "vf-of:0000:3c:00.0", false, false, false },
                { "numa:1", true, false, false },
                { "numa:0", false, false, false },
                { "mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", false, true, false },
                { "mdev:83B8F4F2-509F-382F-3C1E-E6BFE0FA1001", false, true, false },
                { "mdev-type:mtty-2", false, true, false },
                { "mdev-type:mtty-1", false, false, false },
                { "bus:platform", false, false, true },
                { "bus:pci", true, false, false },
                { "id:platform/*", false, false, true },
                { "id:0000:3b:*", true, false, false },
                { "id:*", true, true, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                if (matches(cases[i].text, &nic) != cases[i].nic ||
                    matches(cases[i].text, &mtty) != cases[i].mtty ||
                    matches(cases[i].text, &dma) != cases[i].dma)
                        fail_msg("%s does not match what it should", cases[i].text);
        }
}

/* All terms must hold, blanks around a + or the whole are nothing. */
static void test_joined(_unused_ void **state)
{
        assert_true(matches("class:0200*+numa:1", &nic));
        assert_true(matches("  class:0200* + numa:1\t", &nic));
        assert_false(matches("class:0200*+numa:0", &nic));
        assert_false(matches("class:0108*+numa:1", &nic));
        assert_true(matches("any+vf-of:*+pci-id:8086:*+driver:igbvf", &nic));
        assert_true(matches("bus:pci+pci:*+id:0000:*", &nic));
}

/* Addresses in a domain of its own, as VMD makes them, have five digits or more. */
static void test_long_domain(_unused_ void **state)
{
        DeviceFacts nvme = nic;

        nvme.id = "10000:e1:00.0";
        assert_true(matches("pci:10000:e1:00.0", &nvme));
        assert_true(matches("pci:10000:*", &nvme));
        assert_refused("pci:00000:e1:00.0", "no PCI address looks like that");
}

/* Facts that are absent match nothing that asks for them, and break nothing. */
static void test_absent_facts(_unused_ void **state)
{
        const DeviceFacts bare = { .group = -1, .numa_node = -1 };

        assert_true(matches("any", &bare));
        assert_false(matches("pci:*", &bare));
        assert_false(matches("driver:vfio-pci", &bare));
        assert_false(matches("mdev-type:x", &bare));
        assert_false(matches("vf-of:*", &bare));
        assert_false(matches("group:0", &bare));
        assert_false(matches("numa:0", &bare));
        assert_false(matches("bus:pci", &bare));
}

/* Pairs that no device can be both of. */
static void test_never(_unused_ void **state)
{
        static const char *const never[] = {
                "pci-id:8086:10ca+bus:platform",
                "bus:pci+bus:mdev",
                "mdev-type:mtty-2+class:0200*",
                "mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001+vf-of:*",
                "group:1+group:2",
                "numa:0+any+numa:1",
                "driver:a+driver:b",
                "class:020000+class:0108*",
                "pci:0000:01:00.0+pci:0000:02:00.0",
                "vf-of:0000:01:00.0+vf-of:0000:02:*",
                "pci-id:8086:*+pci-id:10de:*",
                "pci-id:*:*:1028:*+pci-id:*:*:1029:*",
                "id:a+id:b",
                "id:b+pci:0000:01:00.0",
                "pci:0000:01:00.0+id:platform/a",
                "mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001+id:0000*",
                "mdev-type:a+mdev-type:b",
                "mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001+mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1002",
                "vf-of:0000:01:00.0+pci:0000:01:00.0",
                "pci:0000:01:00.0+vf-of:0000:01:00.0",
        };

        for (size_t i = 0; i < ELEMENTSOF(never); i++)
                assert_refused(never[i], "can never match");
}

/* Pairs that look alike and can both hold. */
static void test_not_never(_unused_ void **state)
{
        assert_true(matches("group:12+group:12", &nic));
        assert_true(matches("pci:0000:3b:*+pci:*.1", &nic));
        assert_true(matches("pci-id:8086:*+pci-id:*:10ca", &nic));
        assert_true(matches("bus:pci+bus:pci+class:02*", &nic));
        assert_true(matches("pci:0000:3b:*+vf-of:0000:3b:*", &nic));
}

/* Each refusal says what to write instead. */
static void test_refused(_unused_ void **state)
{
        assert_refused("", "empty selector");
        assert_refused("  ", "empty selector");
        assert_refused("any+", "nothing on one side");
        assert_refused("foo:bar", "no such selector");
        assert_refused("ANY", "no such selector");
        assert_refused("[0000:3b:00.0", "no such selector"); /* found by fuzz-policy */
        assert_refused("any:x", "any alone");
        assert_refused("pci", "pci:VALUE");
        assert_refused("pci:", "pci:VALUE");
        assert_refused("0000:3b:00.0", "pci:0000:3b:00.0");
        assert_refused("pci:3b:00.0", "write pci:0000:3b:00.0");
        assert_refused("vf-of:3b:00.*", "write vf-of:0000:3b:00.*");
        assert_refused("pci:0000:3b:00", "no PCI address looks like that");
        assert_refused("pci:0000:3b:00.[", "not closed");
        assert_refused("class:0200", "six hexadecimal digits");
        assert_refused("class:[", "not closed");
        assert_refused("pci-id:8086", "two or four");
        assert_refused("pci-id:8086:10ca:1028", "two or four");
        assert_refused("pci-id:8086:", "four hexadecimal digits");
        assert_refused("pci-id:1:2:3:4:5", "four hexadecimal digits");
        assert_refused("group:-1", "from 0 to");
        assert_refused("group:2147483648", "from 0 to");
        assert_refused("numa:one", "from 0 to");
        assert_refused("mdev:83b8f4f2", "no UUID");
        assert_refused("mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa100?", "no UUID");
        assert_refused("driver:vfio*", "plain name");
        assert_refused("bus:a/b", "no slash");
        assert_refused("pool:nics*2", "devices-max");
        assert_refused("pci:0000:3b:00.0 any", "commas");
}

/* As many terms as are allowed, and one more. */
static void test_most_terms(_unused_ void **state)
{
        char text[SELECTOR_TERMS_MAX * 4 + 8] = "any";

        for (size_t i = 1; i < SELECTOR_TERMS_MAX; i++)
                strcat(text, "+any");
        assert_true(matches(text, &nic));
        strcat(text, "+any");
        assert_refused(text, "more than 16");
}

/* A text longer than the error's buffer is cut, not overrun. */
static void test_long_text(_unused_ void **state)
{
        char text[2000];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        assert_refused(text, "no such selector");
        memcpy(text, "pci:", 4);
        assert_refused(text, "no PCI address");
        text[1000] = '+';
        assert_refused(text, "no PCI address");
}

/* A pool term holds for what the pool holds; without a pool, for nothing. */
static void test_pool(_unused_ void **state)
{
        _cleanup_arena_ Arena arena = ARENA_NULL;
        char error[SELECTOR_ERROR_MAX];
        Selector inner[2], outer;
        PolicyPool pool = { .name = "nics", .devices = { inner, 2 } };

        assert_int_equal(selector_parse(&arena, "group:99", (PolicyWhere){}, inner, error), 0);
        assert_int_equal(selector_parse(&arena, "class:0200*", (PolicyWhere){}, inner + 1, error), 0);
        assert_int_equal(selector_parse(&arena, "pool:nics+numa:1", (PolicyWhere){}, &outer, error), 0);
        assert_string_equal(outer.terms[0].value, "nics");
        assert_false(selector_matches(&outer, &nic));
        outer.terms[0].pool = &pool;
        assert_true(selector_matches(&outer, &nic));
        assert_false(selector_matches(&outer, &dma));
        assert_ptr_equal(selector_list_find(&pool.devices, &nic), inner + 1);
        assert_null(selector_list_find(&pool.devices, &dma));
}

/* A selector without terms, as a refused one leaves behind, matches nothing. */
static void test_no_terms(_unused_ void **state)
{
        const Selector none = {};

        assert_false(selector_matches(&none, &nic));
        assert_null(selector_bus(&none));
}

static void test_bus(_unused_ void **state)
{
        static const struct {
                const char *text, *bus;
        } cases[] = {
                { "any", NULL },           { "group:1", NULL },         { "pool:x", NULL },
                { "id:*", NULL },          { "numa:1+class:*", "pci" }, { "bus:ccw", "ccw" },
                { "mdev-type:a", "mdev" }, { "vf-of:*", "pci" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_arena_ Arena arena = ARENA_NULL;
                char error[SELECTOR_ERROR_MAX];
                Selector selector;

                assert_int_equal(selector_parse(&arena, cases[i].text, (PolicyWhere){}, &selector, error),
                                 0);
                assert_true(streq_ptr(selector_bus(&selector), cases[i].bus));
        }
}

static void test_names(_unused_ void **state)
{
        assert_string_equal(selector_kind_to_string(SELECTOR_PCI_ID), "pci-id");
        assert_string_equal(selector_kind_to_string(SELECTOR_ANY), "any");
        assert_null(selector_kind_to_string(_SELECTOR_KIND_MAX));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kinds),       cmocka_unit_test(test_joined),
                cmocka_unit_test(test_long_domain), cmocka_unit_test(test_absent_facts),
                cmocka_unit_test(test_never),       cmocka_unit_test(test_not_never),
                cmocka_unit_test(test_refused),     cmocka_unit_test(test_most_terms),
                cmocka_unit_test(test_long_text),   cmocka_unit_test(test_pool),
                cmocka_unit_test(test_no_terms),    cmocka_unit_test(test_bus),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
