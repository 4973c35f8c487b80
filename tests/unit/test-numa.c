/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/host/numa.c on machines of several nodes, which the lab is not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/host/numa.h"
#include "tests/unit/fake-root.h"

#define NODES "/sys/devices/system/node"
#define CPUS  "/sys/devices/system/cpu"
#define PID   42

static void set_process(const char *mems, const char *stat)
{
        char status[256];

        (void)snprintf(status, sizeof(status),
                       "Name:\tqemu\nMems_allowed:\t00000000,00000003\nMems_allowed_list:\t%s\n", mems);
        write_file("/proc/42", "status", status);
        write_file("/proc/42", "stat", stat);
}

/* proc(5): the processor is field 39. */
#define STAT(name, cpu)                                                                                     \
        "42 (" name ") S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 " \
        "31 32 33 34 35 " cpu " 40 41 42\n"

static void expect(const unsigned *of, size_t n)
{
        NumaDistances distances;

        memset(&distances, 0xff, sizeof(distances));
        numa_read_distances(root, PID, &distances);
        for (size_t i = 0; i < NUMA_NODES_MAX; i++)
                assert_int_equal(distances.of[i], i < n ? of[i] : 0);
}

#define EXPECT(...)                                                                                         \
        expect((unsigned[]){ __VA_ARGS__ }, sizeof((unsigned[]){ __VA_ARGS__ }) / sizeof(unsigned))

/* Four nodes, two of them without a number between them: 0, 1, 4 and 5. */
static int setup(void **state)
{
        if (fake_root_make() < 0)
                return -1;
        write_file(NODES, "online", "0-1,4-5\n");
        write_file(NODES "/node0", "distance", "10 21 31 41\n");
        write_file(NODES "/node4", "distance", "31 41 10 21\n");
        make_link(CPUS "/cpu7", "node4", "../../node/node4");
        write_file(CPUS "/cpu7", "online", "1\n");
        return 0;
}

static int teardown(void **state)
{
        return fake_root_remove();
}

/* A process that may have memory from one node only is there, wherever it last ran. */
static void test_memory(void **state)
{
        set_process("0", STAT("qemu", "7"));
        EXPECT(10, 21, 0, 0, 31, 41);
}

/* Else it is where it last ran; its name may look like fields. */
static void test_processor(void **state)
{
        set_process("0-1", STAT("qemu", "7"));
        EXPECT(31, 41, 0, 0, 10, 21);
        set_process("0,4", STAT("a) S 1 2 3 (b", "7"));
        EXPECT(31, 41, 0, 0, 10, 21);
}

/* Where it cannot be told there is no figure, and nothing worse. */
static void test_unknown(void **state)
{
        EXPECT(0); /* no such process */
        set_process("0-1", STAT("qemu", "3"));
        EXPECT(0); /* a processor without a node */
        set_process("0-1", "42 (qemu) S 1 2\n");
        EXPECT(0);
        set_process("1", STAT("qemu", "7"));
        EXPECT(0); /* a node without distances */
        set_process("0", STAT("qemu", "7"));
        write_file(NODES, "online", "0-1\n");
        EXPECT(10, 21); /* one went meanwhile */
        write_file(NODES, "online", "rubbish\n");
        EXPECT(0);
        write_file(NODES, "online", "0,4000\n");
        EXPECT(10);
}

static void test_far(void **state)
{
        const NumaDistances distances = { .of = { 10, 15 } };

        assert_int_equal(numa_distance(&distances, 1), 15);
        assert_int_equal(numa_distance(&distances, 2), NUMA_DISTANCE_FAR);
        assert_int_equal(numa_distance(&distances, -1), NUMA_DISTANCE_FAR);
        assert_int_equal(numa_distance(&distances, NUMA_NODES_MAX), NUMA_DISTANCE_FAR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = { TEST(memory), TEST(processor), TEST(unknown), TEST(far) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
