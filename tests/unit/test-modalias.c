/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/host/modalias.c on the lists of a kernel that has many VFIO drivers (tests/fixtures/modules). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "daemon/host/driver.h"
#include "daemon/host/modalias.h"

#define MLX5_VF "pci:v000015B3d0000101Esv000015B3sd00000000bc02sc00i00"
#define IGB     "pci:v00008086d000010C9sv00008086sd0000A04Cbc02sc00i00"

static Modaliases *fixture(void)
{
        char folder[512];
        Modaliases *aliases;

        (void)snprintf(folder, sizeof(folder), "%s/tests/fixtures/modules", getenv("SOURCE_ROOT"));
        assert_int_equal(modaliases_new(folder, &aliases), 0);
        return aliases;
}

/* The most specific match wins, wherever it stands in the list: device before class before every device. */
static void test_best(void **state)
{
        static const struct {
                const char *modalias, *module;
        } rows[] = {
                { MLX5_VF, "mlx5_vfio_pci" },
                { MLX5_VF "\n", "mlx5_vfio_pci" },
                { IGB, "vfio_pci" },
                { "pci:v000010DEd00002345sv000010DEsd000016EDbc03sc02i00", "nvgrace_gpu_vfio_pci" },
                { "pci:v000010DEd00002342sv000010DEsd000016C1bc03sc02i00", "special_vfio_pci" },
                { "pci:v000010DEd00001234sv000010DEsd000016C1bc03sc00i00", "display_vfio_pci" },
                { "pci:v000019E5d0000A250sv000019E5sd00000000bc12sc00i00", "hisi_acc_vfio_pci" },
                { "pci:v00001DD8d00001003sv00001DD8sd00000000bc02sc00i00", "pds_vfio_pci" }, /* built in */
                { "platform:serial8250", NULL },
                { "vfio_pci:v000015B3d0000101Esv0sd0bc02sc00i00", NULL },
                { "", NULL },
        };
        _cleanup_(modaliases_freep) Modaliases *aliases = fixture();

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const char *module = modaliases_vfio_module(aliases, rows[i].modalias);

                if (!streq_ptr(module, rows[i].module))
                        fail_msg("%s: %s", rows[i].modalias, module ?: "none");
        }
}

/* A kernel without modules, as the lab's: nobody knows, and that is no error. */
static void test_no_lists(void **state)
{
        _cleanup_(modaliases_freep) Modaliases *aliases = NULL;

        assert_int_equal(modaliases_new("/nonexistent", &aliases), 0);
        assert_null(modaliases_vfio_module(aliases, MLX5_VF));
}

static void write_list(const char *folder, const char *line)
{
        char path[512], new[600];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/modules.alias", folder);
        (void)snprintf(new, sizeof(new), "%s.new", path);
        file = fopen(new, "we");
        assert_non_null(file);
        assert_true(fputs(line, file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(rename(new, path), 0); /* as depmod does it */
}

/* A driver that is installed while the daemon runs is found, and one that is removed no longer. */
static void test_changes(void **state)
{
        char folder[] = "/tmp/test-modalias.XXXXXX", path[512];
        _cleanup_(modaliases_freep) Modaliases *aliases = NULL;

        assert_non_null(mkdtemp(folder));
        assert_int_equal(modaliases_new(folder, &aliases), 0);
        assert_null(modaliases_vfio_module(aliases, IGB));

        write_list(folder, "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n");
        assert_string_equal(modaliases_vfio_module(aliases, IGB), "vfio_pci");
        write_list(folder, "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
                           "alias vfio_pci:v00008086d*sv*sd*bc*sc*i* igb_vfio_pci\n");
        assert_string_equal(modaliases_vfio_module(aliases, IGB), "igb_vfio_pci");

        (void)snprintf(path, sizeof(path), "%s/modules.alias", folder);
        assert_int_equal(unlink(path), 0);
        assert_null(modaliases_vfio_module(aliases, IGB));
        assert_int_equal(rmdir(folder), 0);
}

/* What the driver of a module is called, where the kernel cannot tell: the module is not there. */
static void test_driver_of_module(void **state)
{
        char driver[DRIVER_NAME_MAX];

        driver_of_module("no-such-bus", "vfio_pci", driver);
        assert_string_equal(driver, "vfio-pci");
        driver_of_module("no-such-bus", "mlx5_vfio_pci", driver);
        assert_string_equal(driver, "mlx5_vfio_pci");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_best),
                cmocka_unit_test(test_no_lists),
                cmocka_unit_test(test_changes),
                cmocka_unit_test(test_driver_of_module),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
