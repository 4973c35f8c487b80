/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/ctl/verdict.c: each line of `vfiobrokerctl host`, what makes it bad, and why devices share a group. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>

#include "client-lib/ctl/verdict.h"

static const char *const both[] = { "iommufd", "group", NULL };
static const char *const none[] = { NULL };
static const char *const unsafe[] = { "iommufd", NULL };

#define GOOD_HOST                                                                                           \
        {                                                                                                   \
                .version = "1", .backends = both, .unsafe_interrupts = none, .iommu = "intel-iommu",        \
                .interrupt_isolation = "isolated",                                                          \
        }

/* The text, the caller's; whether it is good in *ret. */
static char *print(const struct vfiobroker_host *host, const HostDevice *devices, size_t n, bool *ret)
{
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        *ret = verdict_print(host, devices, n, 23, f);
        assert_int_equal(fclose(f), 0);
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
                assert_true(end - line < 80);
        return text;
}

static void expect(const struct vfiobroker_host *host, const HostDevice *devices, size_t n, bool good,
                   const char *what)
{
        _cleanup_free_ char *text = NULL;
        bool is_good;

        text = print(host, devices, n, &is_good);
        assert_int_equal(is_good, good);
        if (!strstr(text, what))
                fail_msg("no \"%s\" in:\n%s", what, text);
        assert_true(good == !strstr(text, "BAD   "));
}

static void test_good(void **state)
{
        const struct vfiobroker_host host = GOOD_HOST;

        expect(&host, NULL, 0, true, "good  Backends: iommufd, group\n");
        expect(&host, NULL, 0, true, "good  IOMMU: intel-iommu\n");
        expect(&host, NULL, 0, true, "good  Interrupts: isolated");
        expect(&host, NULL, 0, true, "This host keeps its devices apart.\n");
}

/* One thing that is wrong makes the host bad; what is not known does not. */
static void test_bad(void **state)
{
        struct vfiobroker_host host = GOOD_HOST;

        host.backends = none;
        expect(&host, NULL, 0, false, "BAD   Backends: none");
        host = (struct vfiobroker_host)GOOD_HOST;
        host.iommu = "";
        expect(&host, NULL, 0, false, "intel_iommu=on");
        host = (struct vfiobroker_host)GOOD_HOST;
        host.interrupt_isolation = "not-isolated";
        expect(&host, NULL, 0, false, "BAD   Interrupts: not isolated");
        host.interrupt_isolation = "unknown";
        expect(&host, NULL, 0, true, "note  Interrupts: nothing tells");
        host = (struct vfiobroker_host)GOOD_HOST;
        host.unsafe_interrupts = unsafe;
        expect(&host, NULL, 0, false, "BAD   Unsafe interrupts: module iommufd");
        host = (struct vfiobroker_host)GOOD_HOST;
        host.no_iommu = 1;
        expect(&host, NULL, 0, false, "BAD   No-IOMMU mode: on");
}

#define ROOT "/sys/devices/pci0000:00/"

/* Why they share a group; none of it is bad. */
static void test_groups(void **state)
{
        static const HostDevice conventional[] = {
                { "0000:07:00.0", ROOT "0000:00:08.0/0000:07:00.0", 7, true, true },
                { "0000:08:01.0", ROOT "0000:00:08.0/0000:07:00.0/0000:08:01.0", 7, false, false },
                { "0000:08:02.0", ROOT "0000:00:08.0/0000:07:00.0/0000:08:02.0", 7, false, false },
        };
        static const HostDevice no_acs[] = {
                { "0000:00:1c.0", ROOT "0000:00:1c.0", 4, true, true },
                { "0000:02:00.0", ROOT "0000:00:1c.0/0000:02:00.0", 4, true, true },
                { "0000:03:00.0", ROOT "0000:00:1c.0/0000:02:00.0/0000:03:00.0", 4, false, true },
                { "0000:04:00.0", ROOT "0000:00:1c.0/0000:02:00.0/0000:04:00.0", 4, false, true },
        };
        static const HostDevice functions[] = {
                { "0000:01:00.0", ROOT "0000:00:02.0/0000:01:00.0", 3, false, true },
                { "0000:01:00.1", ROOT "0000:00:02.0/0000:01:00.1", 3, false, true },
        };
        static const HostDevice platform[] = {
                { "0000:00:01.0", ROOT "0000:00:01.0", 3, false, true },
                { "0000:00:02.0", ROOT "0000:00:02.0", 3, false, true },
        };
        static const HostDevice alone[] = {
                { "0000:00:01.0", ROOT "0000:00:01.0", 1, true, true },
                { "0000:01:00.0", ROOT "0000:00:01.0/0000:01:00.0", 1, false, true },
                { "0000:02:00.0", ROOT "0000:00:02.0/0000:02:00.0", -1, false, true },
        };
        const struct vfiobroker_host host = GOOD_HOST;

        expect(&host, conventional, ELEMENTSOF(conventional), true,
               "note  Group 7: 0000:08:01.0, 0000:08:02.0\n");
        expect(&host, conventional, ELEMENTSOF(conventional), true,
               "conventional PCI bus behind 0000:07:00.0");
        expect(&host, no_acs, ELEMENTSOF(no_acs), true, "Bridge 0000:00:1c.0 above them");
        expect(&host, functions, ELEMENTSOF(functions), true, "functions of one device");
        expect(&host, platform, ELEMENTSOF(platform), true, "The platform keeps them together");
        expect(&host, alone, ELEMENTSOF(alone), true, "alone in it");
        expect(&host, alone, ELEMENTSOF(alone), true, "Devices without an IOMMU group: 1\n");
}

/* A bridge that has a driver of its own keeps what is below it from everybody; one without, or with pcieport, does not. */
static void test_blocking(void **state)
{
        HostDevice devices[] = {
                { "0000:07:00.0", ROOT "0000:00:08.0/0000:07:00.0", 7, true, true, "shpchp" },
                { "0000:08:01.0", ROOT "0000:00:08.0/0000:07:00.0/0000:08:01.0", 7, false, false },
        };
        const struct vfiobroker_host host = GOOD_HOST;
        const char *what = "note  Group 7 cannot be lent: its bridge 0000:07:00.0 is bound to shpchp\n";
        char *text;
        bool good;

        expect(&host, devices, ELEMENTSOF(devices), true, what);
        expect(&host, devices, ELEMENTSOF(devices), true,
               "echo 0000:07:00.0 > /sys/bus/pci/drivers/shpchp/unbind\n");
        /* A chipset's bridge to ISA stands beside the other functions, and nobody lends those. */
        strcpy(devices[1].path, ROOT "0000:00:08.0/0000:08:01.0");
        text = print(&host, devices, ELEMENTSOF(devices), &good);
        assert_null(strstr(text, "cannot be lent"));
        free(text);
        strcpy(devices[1].path, ROOT "0000:00:08.0/0000:07:00.0/0000:08:01.0");
        strcpy(devices[0].driver, "pcieport");
        text = print(&host, devices, ELEMENTSOF(devices), &good);
        assert_null(strstr(text, "cannot be lent"));
        free(text);
        devices[0].driver[0] = 0;
        text = print(&host, devices, ELEMENTSOF(devices), &good);
        assert_null(strstr(text, "cannot be lent"));
        free(text);
}

/* However many there are, and however long their names, it is one screen. */
static void test_screen(void **state)
{
        struct vfiobroker_host host = GOOD_HOST;
        HostDevice devices[400] = {};
        size_t lines = 0;
        char *text;
        bool good;

        host.unsafe_interrupts = unsafe;
        host.no_iommu = 1;
        for (size_t i = 0; i < ELEMENTSOF(devices); i++) {
                unsigned bus = (unsigned)(i / 5) & 0xff, function = (unsigned)(i % 5);

                (void)snprintf(devices[i].id, sizeof(devices[i].id), "0000:%02x:00.%u", bus, function);
                (void)snprintf(devices[i].path, sizeof(devices[i].path), ROOT "0000:%02x:00.%u", bus,
                               function);
                devices[i].group = (int)(i / 5);
        }
        text = print(&host, devices, ELEMENTSOF(devices), &good);
        for (const char *p = text; (p = strchr(p, '\n')); p++)
                lines++;
        assert_true(lines <= 23);
        assert_non_null(strstr(text, " and 2 more\n"));
        assert_non_null(strstr(text, "more groups hold several devices"));
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),   cmocka_unit_test(test_bad),
                cmocka_unit_test(test_groups), cmocka_unit_test(test_blocking),
                cmocka_unit_test(test_screen),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
