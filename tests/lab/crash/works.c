/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The works, and who dies when in them. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"
#include "vfio-client.h"
#include "works.h"

#define BOUNDARIES_MAX 300 /* of one work: it has fewer */

char ioas[16];
bool stops;

/* Whatever got no answer is found and ended by the one who asked. */
static void recover(bool failed)
{
        if (failed)
                want("four finds and ends what it has", "ok", tell(FOUR, "recover"));
}

static bool four_does(const char *what)
{
        return begins(tell(FOUR, "%s", what), "ok");
}

static bool four_acquires(void)
{
        char what[64];

        (void)snprintf(what, sizeof(what), "acquire - 0 %u %s", MEMLOCK, IGB);
        return four_does(what);
}

static void work_life(void)
{
        arm();
        recover(!four_acquires() || !four_does("look") || !four_does("release"));
}

static void work_join(void)
{
        arm();
        recover(!begins(tell(FOUR, "acquire vm %s %u %s", ioas, MEMLOCK, IGB), "ok") || !four_does("look") ||
                !four_does("release"));
}

static void work_change(void)
{
        arm();
        recover(!four_acquires() || !four_does("add " NVME) || !four_does("remove " NVME) ||
                !four_does("release"));
}

static void work_end(void)
{
        start_client(GUEST);
        arm();
        (void)tell(GUEST, "acquire - 0 %u %s", MEMLOCK, IGB);
        stop_guest();
}

/* Of works before, where nobody listened. */
static void forget_events(void)
{
        while (!begins(tell(FOUR, "event 0"), "none"))
                ;
}

static void work_revoke(void)
{
        bool failed;

        forget_events();
        arm();
        failed = !four_acquires();
        if (!failed) {
                char id[64] = "";

                (void)sscanf(last_answer(FOUR), "ok %63s", id);
                if (ask_revoke(id) >= 0)
                        want("four hears of the revocation", "ok revoke", tell(FOUR, "event 10000"));
                failed = !four_does("release");
        }
        recover(failed);
}

/* Each new daemon asks anew. */
static void want_end(void)
{
        const char *answer;

        do
                answer = tell(FOUR, "event 10000");
        while (begins(answer, "ok revoke") && !begins(answer, "ok revoked"));
        want("four hears of the end", "ok re", answer);
}

/* The daemon is killed, and dies again as it starts, while four has a device. */
static void work_start(void)
{
        char id[64] = "";
        unsigned before;

        if (!four_acquires()) {
                recover(true);
                return;
        }
        (void)sscanf(last_answer(FOUR), "ok %63s", id);
        forget_events();
        arm();
        before = n_deaths;
        kill_daemon();
        want_refused(IGB);
        /* To somebody who has not called the new daemon yet. */
        if (ask_revoke(id) >= 0)
                want("four hears that it is to give back", "ok revoke", tell(FOUR, "event 10000"));
        want("four's call", "ok", ask(FOUR, "call"));
        want("four's device", "ok", tell(FOUR, "look"));
        if (access(CRASH_AT, F_OK) == 0 || (!late && n_deaths > before + 1)) {
                recover(!four_does("release"));
                return;
        }
        if (!four_does("release"))
                recover(true);
        else if (!late || access(CRASHED, F_OK) == 0)
                want_end();
}

/* The holder of a device ends while there is no daemon, which dies again as it starts. */
static void work_orphan(void)
{
        start_client(GUEST);
        (void)tell(GUEST, "acquire - 0 %u %s", MEMLOCK, IGB);
        arm();
        kill_daemon();
        stop_guest();
}

typedef struct Work {
        const char *name;
        void (*run)(void);
        unsigned minimum; /* boundaries that there are at least */
        uint64_t msec;    /* how long it takes when nobody dies */
        struct {
                unsigned long next, first, rounds;
        } order[2]; /* for each mode: every step'th boundary from the first on, and then from the one after the first */
        Facts points;
        unsigned deaths;
        uint64_t took_msec;
} Work;

static Work works[] = {
        { .name = "life", .run = work_life, .minimum = 10 },
        { .name = "join", .run = work_join, .minimum = 10 },
        { .name = "change", .run = work_change, .minimum = 15 },
        { .name = "end", .run = work_end, .minimum = 10 },
        { .name = "revoke", .run = work_revoke, .minimum = 10 },
        { .name = "start", .run = work_start, .minimum = 3 },
        { .name = "orphan", .run = work_orphan, .minimum = 3 },
};
#define N_WORKS (sizeof(works) / sizeof(works[0]))

/* --- every boundary --- */

static const char *const modes[] = { "once", "late" };

/* One boundary: false where the work was over before it came. */
static bool boundary(Work *work, unsigned mode)
{
        char text[160], point[100] = "";
        uint64_t begin = now_msec(), end;
        FILE *file;

        late = modes[mode];
        nth = work->order[mode].next;
        (void)snprintf(text, sizeof(text), "%s, dead at %lu (%s)", work->name, nth, late);
        moment = text;
        work->run();
        end = now_msec() + 20000;
        while (access(CRASHED, F_OK) < 0 && !at_rest() && now_msec() < end)
                pause_msec(20);
        late = NULL;
        file = fopen(CRASHED, "re");
        if (file) {
                if (fgets(point, sizeof(point), file))
                        point[strcspn(point, "\n")] = 0;
                (void)fclose(file);
                (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", point);
        }
        (void)unlink(CRASH_AT);
        (void)unlink(CRASHED);
        if (!point[0])
                kill_daemon(); /* which may still count */
        look_at_all();
        if (!point[0])
                return false;
        n_deaths++;
        work->deaths++;
        work->took_msec += now_msec() - begin;
        facts_add(&work->points, "%s, %s", point, modes[mode]);
        if (n_deaths % 50 == 0) {
                (void)printf("# %u deaths, %u wrong\n", n_deaths, wrong);
                (void)fflush(stdout);
        }
        return true;
}

static void show_points(Work *work)
{
        unsigned n = 1;

        facts_sort(&work->points);
        for (size_t i = 0; i < work->points.n; i++, n++)
                if (i + 1 == work->points.n ||
                    strcmp(work->points.lines[i], work->points.lines[i + 1]) != 0) {
                        (void)printf("#   %3u %s\n", n, work->points.lines[i]);
                        n = 0;
                }
}

static void advance(Work *work, unsigned mode, bool came, unsigned long step)
{
        work->order[mode].next += step;
        if (came && work->order[mode].next <= BOUNDARIES_MAX)
                return;
        work->order[mode].rounds--;
        work->order[mode].first = work->order[mode].first % step + 1;
        work->order[mode].next = work->order[mode].first;
}

static void show_boundaries(const char *only, bool all)
{
        for (size_t w = 0; w < N_WORKS; w++) {
                Work *work = works + w;

                if (only && strcmp(only, work->name) != 0)
                        continue;
                (void)printf("# %s: %u deaths, %llu ms each\n", work->name, work->deaths,
                             (unsigned long long)(work->deaths > 0 ? work->took_msec / work->deaths : 0));
                show_points(work);
                if (all && work->deaths < work->minimum) {
                        moment = work->name;
                        blame("only %u boundaries", work->deaths);
                }
        }
}

void boundaries(const char *only, unsigned long step, uint64_t budget_msec)
{
        uint64_t end = now_msec() + budget_msec;
        size_t turn =
                (size_t)random() % N_WORKS; /* where time is short, another work comes first each time */
        bool more = true;

        for (size_t w = 0; w < N_WORKS; w++)
                for (unsigned mode = 0; mode < 2; mode++) {
                        works[w].order[mode].first = works[w].order[mode].next =
                                1 + (unsigned long)random() % step;
                        works[w].order[mode].rounds = only && strcmp(only, works[w].name) != 0 ? 0 : step;
                }
        while (more && now_msec() < end) {
                more = false;
                for (size_t w = 0; w < 2 * N_WORKS && now_msec() < end; w++) {
                        Work *work = works + (w / 2 + turn) % N_WORKS;

                        if (work->order[w % 2].rounds == 0)
                                continue;
                        advance(work, w % 2, boundary(work, w % 2), step);
                        more = true;
                        if (wrong > 0 && stops)
                                return;
                }
        }
        show_boundaries(only, !more);
}

/* --- random moments --- */

void random_deaths(unsigned kills)
{
        uint64_t begin = now_msec();
        unsigned first = n_deaths, shown = 0, before = wrong;

        while (n_deaths - first < kills && !(wrong > 0 && stops)) {
                Work *work = works + (size_t)random() % N_WORKS;
                char text[96];

                (void)snprintf(text, sizeof(text), "random death %u, %s", n_deaths - first + 1, work->name);
                moment = text;
                /* Where it was not tried, about as long as it takes. */
                strikes[0] = now_msec() + (uint64_t)random() % ((work->msec > 0 ? work->msec : 1500) + 100);
                strikes[1] = random() % 3 == 0 ? strikes[0] + (uint64_t)random() % 1500 : 0;
                work->run();
                while (strikes[0] > 0 || strikes[1] > 0)
                        pause_msec((unsigned)next_strike_msec());
                look_at_all();
                if ((n_deaths - first) / 100 > shown) {
                        shown = (n_deaths - first) / 100;
                        (void)printf("# %u random deaths, %u wrong, %llu ms each\n", n_deaths - first,
                                     wrong - before,
                                     (unsigned long long)((now_msec() - begin) / (n_deaths - first)));
                        (void)fflush(stdout);
                }
        }
        if (kills > 0)
                (void)printf("# random: %u deaths, %llu ms each\n", n_deaths - first,
                             (unsigned long long)((now_msec() - begin) / (n_deaths - first)));
}

/* --- without a death --- */

void try_works(void)
{
        for (size_t w = 0; w < N_WORKS; w++) {
                char text[64];
                uint64_t since = now_msec();

                (void)snprintf(text, sizeof(text), "%s, without a death", works[w].name);
                moment = text;
                if (works[w].run == work_start || works[w].run == work_orphan)
                        works[w].msec = 1500;
                else {
                        works[w].run();
                        works[w].msec = now_msec() - since;
                        if (!begins(last_answer(works[w].run == work_end ? GUEST : FOUR), "ok"))
                                blame("%s", last_answer(works[w].run == work_end ? GUEST : FOUR));
                        look_at_all();
                }
                (void)printf("# %s: %llu ms, %llu with a look at all\n", works[w].name,
                             (unsigned long long)works[w].msec, (unsigned long long)(now_msec() - since));
        }
}
