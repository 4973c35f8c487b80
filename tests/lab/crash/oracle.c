/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* oracle BACKEND [kills=N] [seed=N] [step=N] [budget=SECONDS] [work=NAME] [stop] [quick]: kills the daemon and looks at what is then.
 *
 * Three processes of tenants hold devices all the time, one comes and goes, and a rival wants what the others have; each has
 * one connection to the bus for all its life. A work is something that the one who comes and goes does while the daemon dies,
 * be it at the nth boundary of one of its records or acts (lab/crash/crash.c), for all n, or at a random moment. After each
 * death everybody's next call must work, the devices that are held must work, the rival must be refused, a signal must
 * arrive, and all that kernel, systemd and broker know (look.c) must be what it was at the beginning. What it was then is
 * itself held against what it must be, which is written here and not learned from the broker.
 *
 * Prints TAP, and exits with 1 where anything failed. As root; the policy and the unit are the scenario's. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"
#include "vfio-client.h"
#include "works.h"

static char lease_ids[3][64];

/* Of what is, all but the broker's own files must be this. */
static void must_be(Facts *must)
{
        static const char *const held[] = { EDU, EDU2, E1000E };
        static const char *const holder[] = { "one", "two", "three" };

        for (size_t i = 0; i < 3; i++) {
                const char *backend = by_group ? "group" : "iommufd", *tenant = i == 2 ? "red" : "blue";
                unsigned limit = BASE_LIMIT + MEMLOCK + SLACK;

                facts_add(must, "lease %s active: %s of %s, %s, %s alone, locks %u", lease_ids[i], holder[i],
                          tenant, backend, held[i], MEMLOCK);
                facts_add(must, "record leases/%s", lease_ids[i]);
                facts_add(must, "device %s: leased, driver vfio-pci, lease %s", held[i], lease_ids[i]);
                facts_add(must, "%s is on vfio-pci, override vfio-pci", held[i]);
                facts_add(must, "%s may lock %u, %u", holder[i], limit, limit);
                facts_add(must, "systemd has: pidfd of %s", holder[i]);
                if (by_group) {
                        facts_add(must, "%s has: container", holder[i]);
                        facts_add(must, "%s has: group %s", holder[i], held[i]);
                        facts_add(must, "%s has: device of a group", holder[i]);
                        facts_add(must, "systemd has: group %s", held[i]);
                        facts_add(must, "broker has: group %s", held[i]);
                } else {
                        facts_add(must, "%s has: iommufd", holder[i]);
                        facts_add(must, "%s has: cdev %s", holder[i], held[i]);
                }
        }
        for (size_t i = 0; i < (by_group ? 2 : 1); i++) {
                facts_add(must, "systemd has: %s", by_group ? "container" : "iommufd");
                facts_add(must, "broker has: %s", by_group ? "container" : "iommufd");
        }
        facts_add(must, "stored %d", by_group ? 8 : 4);
        facts_add(must, "device %s: host, driver igb, lease ", IGB);
        facts_add(must, "device %s: host, driver nvme, lease ", NVME);
        facts_add(must, "%s is on igb, override (null)", IGB);
        facts_add(must, "%s is on nvme, override (null)", NVME);
        facts_add(must, "four may lock %u, %u", BASE_LIMIT, BASE_LIMIT);
        facts_add(must, "rival may lock %u, %u", BASE_LIMIT, BASE_LIMIT);
        facts_add(must, "tenant blue: 2 devices, locks %u", 2 * MEMLOCK);
        facts_add(must, "tenant red: 1 devices, locks %u", MEMLOCK);
        facts_add(must, "tenant green: 0 devices, locks 0");
        facts_sort(must);
}

/* The broker's own files, and what containers there are: of these the next life must have as many. */
static bool is_learned(const char *line)
{
        return begins(line, "broker has: other") || begins(line, "broker has: pidfd") ||
               begins(line, "container ");
}

static void learn_truth(void)
{
        Facts must = {}, is_so = {};
        uint64_t end = now_msec() + 20000;

        moment = "before any death";
        must_be(&must);
        while (!at_rest() && now_msec() < end)
                pause_msec(20);
        look_at_clients();
        if (!look_all(&truth))
                die(0, "the broker does not answer");
        for (size_t i = 0; i < truth.n; i++)
                if (!is_learned(truth.lines[i]))
                        facts_add(&is_so, "%s", truth.lines[i]);
        if (!facts_equal(&must, &is_so)) {
                blame("it is not as it must be:");
                facts_show_difference(&must, &is_so);
        }
        for (size_t i = 0; i < truth.n; i++)
                (void)printf("# %s\n", truth.lines[i]);
        (void)fflush(stdout);
        facts_clear(&must);
        facts_clear(&is_so);
}

static void acquire_first(unsigned who, const char *what, char id[static 64])
{
        const char *answer = tell(who, "%s", what);

        if (sscanf(answer, "ok %63s %15s", id, ioas) != 2)
                die(0, "%s: %s", what, answer);
}

static void begin(void)
{
        char what[128], none[16];

        for (unsigned i = 0; i < ROLES; i++)
                start_client(i);
        look_open();
        (void)snprintf(what, sizeof(what), "acquire - 0 %u %s", MEMLOCK, E1000E);
        acquire_first(THREE, what, lease_ids[2]);
        (void)snprintf(what, sizeof(what), "acquire vm 0 %u %s", MEMLOCK, EDU);
        acquire_first(ONE, what, lease_ids[0]);
        (void)snprintf(what, sizeof(what), "acquire vm %s %u %s", ioas, MEMLOCK, EDU2);
        acquire_first(TWO, what, lease_ids[1]);
        (void)snprintf(none, sizeof(none), "%u", IOVA_ONE);
        want("one maps", "ok", tell(ONE, "map %s", none));
        want("two maps", "ok", tell(TWO, "map %u", IOVA_TWO));
}

int main(int argc, char **argv)
{
        unsigned long kills = 0, seed = 1, step = 7, budget = 1000000;
        const char *only = NULL;
        bool quick = false;

        if (argc < 2)
                die(0, "usage: oracle BACKEND [kills=N] [seed=N] [step=N] [budget=SECONDS] [work=NAME] "
                       "[stop] [quick]");
        by_group = strcmp(argv[1], "group") == 0;
        for (int i = 2; i < argc; i++)
                if (strcmp(argv[i], "stop") == 0)
                        stops = true;
                else if (strcmp(argv[i], "quick") == 0)
                        quick = true;
                else if (begins(argv[i], "work="))
                        only = argv[i] + strlen("work=");
                else if (sscanf(argv[i], "kills=%lu", &kills) != 1 &&
                         sscanf(argv[i], "seed=%lu", &seed) != 1 &&
                         sscanf(argv[i], "step=%lu", &step) != 1 &&
                         sscanf(argv[i], "budget=%lu", &budget) != 1)
                        die(0, "what is %s?", argv[i]);
        srandom((unsigned)seed);
        (void)signal(SIGPIPE, SIG_IGN);

        begin();
        learn_truth();
        if (!quick)
                try_works();
        if (step > 0 && budget > 0 && !(wrong > 0 && stops))
                boundaries(only, step, (uint64_t)budget * 1000);
        random_deaths((unsigned)kills);
        (void)printf("%s - crash: %u deaths, and nothing lost, doubled, left or stuck (%u wrong)\n",
                     wrong == 0 ? "ok" : "not ok", n_deaths, wrong);
        return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
