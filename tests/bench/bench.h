/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the benches share: a clock and the one line that tests/bench/run reads. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t bench_now_nsec(void)
{
        struct timespec ts = {};

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* One measurement: the floor, and what is measured against it, made right after one another. */
static inline void bench_sample(const char *name, uint64_t floor_nsec, uint64_t ours_nsec)
{
        (void)printf("sample %s %llu %llu\n", name, (unsigned long long)floor_nsec,
                     (unsigned long long)ours_nsec);
        (void)fflush(stdout);
}

/* The number of rounds, which is each bench's last argument; at least 1. */
static inline unsigned bench_rounds(const char *argument)
{
        unsigned long n = argument ? strtoul(argument, NULL, 10) : 0;

        return n == 0 || n > 1000000 ? 1 : (unsigned)n;
}
