/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ping N: how long the broker takes to answer Peer.Ping, and, as the floor of the same moment, how long the
 * bus itself takes to answer GetId. Prints medians, 99th percentiles and maxima in microseconds. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static uint64_t now_usec(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int call(sd_bus *bus, const char *destination, const char *path, const char *interface,
                const char *member, uint64_t *ret_usec)
{
        uint64_t start = now_usec();
        int r;

        r = sd_bus_call_method(bus, destination, path, interface, member, NULL, NULL, NULL);
        *ret_usec = now_usec() - start;
        return r;
}

int main(int argc, char **argv)
{
        size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
        uint64_t *broker = calloc(n + 1, sizeof(*broker)), *floor = calloc(n + 1, sizeof(*floor));
        sd_bus *bus = NULL;
        int r = 0;

        if (n == 0 || !broker || !floor)
                return fputs("usage: ping N\n", stderr), 2;
        r = sd_bus_open_system(&bus);
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = call(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                         "GetId", floor + i);
                if (r >= 0)
                        r = call(bus, "org.vfiobroker1", "/org/vfiobroker1", "org.freedesktop.DBus.Peer",
                                 "Ping", broker + i);
        }
        if (r < 0)
                (void)fprintf(stderr, "ping: %s\n", strerror(-r));
        else {
                qsort(broker, n, sizeof(*broker), compare);
                qsort(floor, n, sizeof(*floor), compare);
                (void)printf("broker-p50=%llu broker-p99=%llu broker-max=%llu bus-p50=%llu bus-p99=%llu "
                             "bus-max=%llu\n",
                             (unsigned long long)broker[n / 2], (unsigned long long)broker[n * 99 / 100],
                             (unsigned long long)broker[n - 1], (unsigned long long)floor[n / 2],
                             (unsigned long long)floor[n * 99 / 100], (unsigned long long)floor[n - 1]);
        }
        sd_bus_unref(bus);
        free(broker);
        free(floor);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
