/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* bench-policy ROUNDS: a policy of 2,000 sections. Floors: the bytes read by read(2), and iniparser's own reading of the
 * same file. What is measured is all of a load: reading, the strict scan, values, selectors, pools, checks. */

#include <fcntl.h>
#include <iniparser/iniparser.h>
#include <signal.h>

#include "policy/policy-file.h"
#include "tests/bench/bench.h"
#include "tests/bench/sections.h"

static void die(const char *what, int error)
{
        (void)fprintf(stderr, "bench-policy: %s: %s\n", what, strerror(error));
        exit(EXIT_FAILURE);
}

static void read_bytes(const char *path)
{
        static char buffer[1 << 16];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                die("open", errno);
        while ((n = read(fd, buffer, sizeof(buffer))) > 0)
                ;
        (void)close(fd);
        if (n < 0)
                die("read", errno);
}

static void load_iniparser(const char *path)
{
        dictionary *d = iniparser_load(path);

        if (!d)
                die("iniparser_load", EIO);
        iniparser_freedict(d);
}

static void load_ours(const char *path)
{
        _cleanup_policy_errors_ PolicyErrors errors = POLICY_ERRORS_NULL;
        char *files[] = { (char *)path };
        Policy *policy = NULL;
        int r;

        r = policy_load_files(files, 1, POLICY_LOAD_ANY_OWNER, &policy, &errors);
        if (r < 0) {
                _cleanup_free_ char *text = policy_errors_to_string(&errors);

                (void)fprintf(stderr, "%s", text ? text : "");
                die("policy_load_files", -r);
        }
        if (policy->n_tenants != SECTIONS_TENANTS)
                die("not all tenants", EINVAL);
        policy_unref(policy);
}

int main(int argc, char *argv[])
{
        unsigned rounds = bench_rounds(argc > 1 ? argv[1] : NULL);
        char path[] = "/tmp/vfiobroker-bench-XXXXXX";
        int fd = mkstemp(path);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

        if (!f)
                die(path, errno);
        sections_write(f);
        if (fclose(f) != 0)
                die(path, errno);
        for (unsigned i = 0; i < rounds; i++) {
                uint64_t start = bench_now_nsec(), bytes, iniparser, ours;

                read_bytes(path);
                bytes = bench_now_nsec();
                load_iniparser(path);
                iniparser = bench_now_nsec();
                load_ours(path);
                ours = bench_now_nsec() - iniparser;
                bench_sample("policy/to-read", bytes - start, ours);
                bench_sample("policy/to-iniparser", iniparser - bytes, ours);
        }
        (void)unlink(path);
        return EXIT_SUCCESS;
}
