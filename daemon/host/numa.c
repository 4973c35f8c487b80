/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A process is on the node that its memory must come from, where a cpuset leaves it one only, and else where it last ran.
 * Not by libnuma: that sizes its tables by what its own process may use and reads them once, and a broker is asked about
 * others, on machines whose nodes come and go. Nothing blocks. */

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>

#include "daemon/host/numa.h"

#define NODES "/sys/devices/system/node"

static FILE *open_below(const char *root, const char *format, ...) _printf_(2, 3);
static FILE *open_below(const char *root, const char *format, ...)
{
        char path[PATH_MAX];
        int n = snprintf(path, sizeof(path), "%s", root);
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(path + n, sizeof(path) - (size_t)n, format, ap);
        va_end(ap);
        return fopen(path, "re");
}

/* The next number of a list such as "0-1,4", where the range that it is in ends at *last; -1 at the end. */
static int next_of_list(char **list, int *last, int before)
{
        char *end;
        long number;

        if (before < *last)
                return before + 1;
        number = strtol(*list, &end, 10);
        if (end == *list || number < 0 || number > INT_MAX)
                return -1;
        *last = (int)(*end == '-' ? strtol(end + 1, &end, 10) : number);
        *list = end + (*end == ',');
        return (int)number;
}

static int node_of_memory(const char *root, pid_t pid)
{
        _cleanup_(fclosep) FILE *file = open_below(root, "/proc/%d/status", (int)pid);
        char line[1024];
        int node;
        char more;

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "Mems_allowed_list: %d%c", &node, &more) == 2)
                        return more == '\n' ? node : -1;
        return -1;
}

static int node_of_cpu(const char *root, int cpu)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        struct dirent *entry;
        char path[PATH_MAX];
        int node;

        (void)snprintf(path, sizeof(path), "%s/sys/devices/system/cpu/cpu%d", root, cpu);
        dir = opendir(path);
        while (dir && (entry = readdir(dir)))
                if (sscanf(entry->d_name, "node%d", &node) == 1)
                        return node;
        return -1;
}

/* Field 39 of /proc/PID/stat (proc(5)); the name in field 2 may hold anything, a ")" too. */
static int last_cpu(const char *root, pid_t pid)
{
        _cleanup_(fclosep) FILE *file = open_below(root, "/proc/%d/stat", (int)pid);
        char line[1024];
        const char *p = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;

        for (int field = 2; p && field < 39; field++)
                p = strchr(p + 1, ' ');
        return p ? (int)strtol(p, NULL, 10) : -1;
}

void numa_read_distances(const char *root, pid_t pid, NumaDistances *ret)
{
        _cleanup_(fclosep) FILE *online = NULL, *row = NULL;
        int node = node_of_memory(root, pid), cpu, column = -1, last = -1;
        NumaDistances distances = {};
        char line[1024], *list = line;
        unsigned distance;

        *ret = distances;
        if (node < 0) {
                cpu = last_cpu(root, pid);
                node = cpu < 0 ? -1 : node_of_cpu(root, cpu);
        }
        if (node < 0)
                return;

        /* A row has a figure for each node that is online, in their order (node_read_distance() in drivers/base/node.c,
         * Linux 6.12). */
        online = open_below(root, NODES "/online");
        row = open_below(root, NODES "/node%d/distance", node);
        if (!online || !row || !fgets(line, sizeof(line), online))
                return;
        while (fscanf(row, "%u", &distance) == 1) {
                column = next_of_list(&list, &last, column);
                if (column < 0)
                        break;
                if (column < NUMA_NODES_MAX)
                        distances.of[column] = distance;
        }
        *ret = distances;
}
