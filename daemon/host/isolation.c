/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* No file says whether a device's interrupts are isolated: the kernel looks at flags of interrupt domains when a device is
 * bound, and answers EPERM (iommu_group_has_isolated_msi() in drivers/iommu/iommu.c, Linux 6.12; in 6.1 vfio_iommu_type1
 * asks for IOMMU_CAP_INTR_REMAP). The reserved regions of a group do not tell either: the one of type `msi` is there with
 * and without remapping. What does tell is the name of the chips that interrupts go through:
 *
 *  - x86: with interrupt remapping each name has "IR-" before it, IO-APIC's, which every machine has, among them
 *    (arch/x86/kernel/apic/io_apic.c and msi.c). The kernel switches it on for all of the host or not at all.
 *  - arm64: the GIC's ITS tells one device's messages from another's, and is in the name ("ITS-MSI", "ITS-PCI-MSI").
 *    Without it a GICv2m may or may not be there: not known.
 *  - s390: the architecture isolates (arch_is_isolated_msi()).
 *
 * Elsewhere it is not known, and the kernel has the last word at the trial bind. */

#include <fnmatch.h>
#include <dirent.h>
#include <limits.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "daemon/host/isolation.h"
#include "daemon/host/link.h"
#include "policy/policy-file.h"

#define IOMMU_CLASS "/sys/class/iommu"

static bool is_on(const char *module, const char *parameter)
{
        _cleanup_(fclosep) FILE *file = NULL;
        char path[PATH_MAX];
        int c;

        (void)snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, parameter);
        file = fopen(path, "re");
        c = file ? fgetc(file) : 'N';
        return c == 'Y' || c == '1';
}

/* x86's IOMMU drivers have a folder of their own below the unit; of others the unit's device has a driver. */
static void read_kind(const char *unit, char *ret, size_t size)
{
        static const char *const folders[] = { "intel-iommu", "amd-iommu" };
        char path[PATH_MAX], driver[NAME_MAX + 1];

        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                (void)snprintf(path, sizeof(path), IOMMU_CLASS "/%s/%s", unit, folders[i]);
                if (access(path, F_OK) == 0) {
                        (void)snprintf(ret, size, "%s", folders[i]);
                        return;
                }
        }
        (void)snprintf(path, sizeof(path), IOMMU_CLASS "/%s/device/driver", unit);
        if (link_read_last(path, driver, sizeof(driver)) < 0)
                strcpy(driver, "unknown");
        (void)snprintf(ret, size, "%.*s", (int)size - 1, driver);
}

static void read_iommu(char *ret, size_t size)
{
        _cleanup_(closedirp) DIR *dir = opendir(IOMMU_CLASS);
        struct dirent *entry;

        ret[0] = 0;
        while (dir && !ret[0] && (entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        read_kind(entry->d_name, ret, size);
}

static bool has_word_prefix(const char *line, const char *prefix)
{
        for (const char *p = strstr(line, prefix); p; p = strstr(p + 1, prefix))
                if (p > line && p[-1] == ' ')
                        return true;
        return false;
}

Isolation isolation_of_interrupts(FILE *interrupts, const char *machine)
{
        bool x86 = streq(machine, "x86_64") || fnmatch("i?86", machine, 0) == 0;
        bool arm = streq(machine, "aarch64");
        _cleanup_free_ char *line = NULL;
        Isolation found = ISOLATION_UNKNOWN;
        size_t size = 0;

        if (streq(machine, "s390x"))
                return ISOLATION_YES;
        /* A line has a column for each processor, so it may be long. */
        while (getline(&line, &size, interrupts) >= 0) {
                if ((x86 && has_word_prefix(line, "IR-")) || (arm && has_word_prefix(line, "ITS-")))
                        return ISOLATION_YES;
                if (x86 && (has_word_prefix(line, "IO-APIC") || has_word_prefix(line, "PCI-MSI")))
                        found = ISOLATION_NO;
        }
        return found;
}

static Isolation read_interrupts(void)
{
        _cleanup_(fclosep) FILE *file = fopen("/proc/interrupts", "re");
        struct utsname name;

        if (!file || uname(&name) < 0)
                return ISOLATION_UNKNOWN;
        return isolation_of_interrupts(file, name.machine);
}

void isolation_read(HostIsolation *ret)
{
        static Isolation interrupts;

        if (interrupts == ISOLATION_UNKNOWN)
                interrupts = read_interrupts();

        *ret = (HostIsolation){ .interrupts = interrupts };
        read_iommu(ret->iommu, sizeof(ret->iommu));
        if (is_on("iommufd", "allow_unsafe_interrupts"))
                ret->unsafe_backends |= POLICY_BACKEND_IOMMUFD;
        if (is_on("vfio_iommu_type1", "allow_unsafe_interrupts"))
                ret->unsafe_backends |= POLICY_BACKEND_GROUP;
        ret->noiommu = is_on("vfio", "enable_unsafe_noiommu_mode");
}
