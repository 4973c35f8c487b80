/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/host/isolation.c: what /proc/interrupts tells of the isolation of interrupts; lines of real machines. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>

#include "daemon/host/isolation.h"

static Isolation of(const char *text, const char *machine)
{
        _cleanup_(fclosep) FILE *f = fmemopen((char *)text, strlen(text), "r");

        assert_non_null(f);
        return isolation_of_interrupts(f, machine);
}

#define HEAD "           CPU0       CPU1\n"

static void test_interrupts(void **state)
{
        static const struct {
                const char *machine, *text;
                Isolation isolation;
        } table[] = {
                { "x86_64", HEAD "   0:   36  0  IR-IO-APIC    2-edge      timer\n", ISOLATION_YES },
                { "x86_64",
                  HEAD " 120:   0  0  DMAR-MSI    0-edge  dmar0\n 125: 7 0  IR-PCI-MSIX-0000:01:00.0    "
                       "0-edge  nvme0q0\n",
                  ISOLATION_YES },
                { "x86_64",
                  HEAD "   0:   36  0   IO-APIC   2-edge      timer\n  24:  0 0  PCI-MSIX-0000:00:03.0   "
                       "0-edge virtio0\n",
                  ISOLATION_NO },
                { "i686", HEAD "   0:   36  0   IO-APIC   2-edge      timer\n", ISOLATION_NO },
                /* An interrupt that is called so is no chip that is. */
                { "x86_64", HEAD "   1:   9  0   IO-APIC   1-edge      FIR-IR-1\n", ISOLATION_NO },
                { "x86_64", HEAD " NMI:   0  0   Non-maskable interrupts\n", ISOLATION_UNKNOWN },
                { "aarch64", HEAD " 50:  3 0  ITS-PCI-MSI-0000:01:00.0 0 Edge  nvme\n", ISOLATION_YES },
                { "aarch64", HEAD " 50:  3 0  ITS-MSI 524288 Edge  nvme\n", ISOLATION_YES },
                { "aarch64", HEAD " 13:  3 0  GICv3  26 Level  arch_timer\n", ISOLATION_UNKNOWN },
                { "s390x", HEAD, ISOLATION_YES },
                { "ppc64le", HEAD " 16: 1 0 XICS 2 Edge IPI\n", ISOLATION_UNKNOWN },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(of(table[i].text, table[i].machine), table[i].isolation);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_interrupts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
