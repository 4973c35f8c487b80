/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients, deaths, and what is held against what. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stage.h"
#include "vfio-client.h"

const char *const role_names[ROLES] = { "one", "two", "three", "four", "rival" };
static const uid_t role_uids[ROLES + 1] = { 2001, 2001, 2002, 2001, 2003, 2001 };
pid_t role_pids[ROLES];

static pid_t pids[ROLES + 1];
static int sockets[ROLES + 1];
static char answers[ROLES + 1][512];
const char *moment = "";
unsigned wrong;
Facts truth;

/* --- death --- */

uint64_t strikes[2];
unsigned n_deaths;

void kill_daemon(void)
{
        pid_t pid = daemon_pid();

        if (pid > 0 && kill(pid, SIGKILL) == 0)
                n_deaths++;
}

int next_strike_msec(void)
{
        uint64_t now = now_msec();
        int wait = 1000;

        for (size_t i = 0; i < 2; i++)
                if (strikes[i] > 0 && now >= strikes[i]) {
                        strikes[i] = 0;
                        kill_daemon();
                } else if (strikes[i] > 0 && strikes[i] - now < (uint64_t)wait)
                        wait = (int)(strikes[i] - now);
        return wait;
}

const char *late;
unsigned long nth;

void arm(void)
{
        FILE *file;

        if (!late)
                return;
        (void)unlink(CRASHED);
        file = fopen(CRASH_AT, "we");
        if (!file || fprintf(file, "%lu %s 1\n", nth, late) < 0 || fclose(file) != 0)
                die(errno, "%s", CRASH_AT);
}

/* --- clients --- */

void start_client(unsigned i)
{
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                die(errno, "a socket pair");
        (void)fflush(stdout);
        pids[i] = fork();
        if (pids[i] < 0)
                die(errno, "fork");
        if (pids[i] == 0) {
                (void)prctl(PR_SET_NAME, i < ROLES ? role_names[i] : "guest");
                client_life(pair[1], role_uids[i]);
        }
        (void)close(pair[1]);
        sockets[i] = pair[0];
        if (i < ROLES)
                role_pids[i] = pids[i];
}

void stop_guest(void)
{
        (void)kill(pids[GUEST], SIGKILL);
        (void)waitpid(pids[GUEST], NULL, 0);
        (void)close(sockets[GUEST]);
}

const char *tell(unsigned who, const char *format, ...)
{
        uint64_t end = now_msec() + 90000;
        char *answer = answers[who];
        size_t n = 0;
        va_list ap;

        va_start(ap, format);
        if (vdprintf(sockets[who], format, ap) < 0 || write(sockets[who], "\n", 1) != 1)
                die(errno, "%s: client %u has ended", moment, who);
        va_end(ap);
        while (n == 0 || answer[n - 1] != '\n') {
                struct pollfd p = { .fd = sockets[who], .events = POLLIN };
                ssize_t k;

                if (poll(&p, 1, next_strike_msec()) <= 0) {
                        if (now_msec() > end)
                                die(0, "%s: client %u does not answer", moment, who);
                        continue;
                }
                k = read(sockets[who], answer + n, sizeof(answers[who]) - 1 - n);
                if (k <= 0)
                        die(0, "%s: client %u has ended", moment, who);
                n += (size_t)k;
        }
        answer[n - 1] = 0;
        return answer;
}

bool begins(const char *text, const char *with)
{
        return strncmp(text, with, strlen(with)) == 0;
}

const char *last_answer(unsigned who)
{
        return answers[who];
}

const char *ask(unsigned who, const char *question)
{
        const char *answer = tell(who, "%s", question);

        for (unsigned i = 0;
             i < 4 && (begins(answer, "error NoReply") || begins(answer, "error Disconnected")); i++)
                answer = tell(who, "%s", question);
        return answer;
}

/* --- judgement --- */

void blame(const char *format, ...)
{
        va_list ap;

        wrong++;
        (void)printf("not ok - crash: %s: ", moment);
        va_start(ap, format);
        (void)vprintf(format, ap);
        va_end(ap);
        (void)putchar('\n');
        (void)fflush(stdout);
}

void want(const char *what, const char *begin, const char *answer)
{
        if (!begins(answer, begin))
                blame("%s: %s", what, answer);
}

void want_refused(const char *device)
{
        char question[64];

        (void)snprintf(question, sizeof(question), "acquire - 0 0 %s", device);
        want("the rival asks for what another has", "error DeviceTaken", ask(RIVAL, question));
}

void look_at_clients(void)
{
        static const char *const held[] = { EDU, EDU2, E1000E };
        static unsigned turn;

        want("one's call", "ok", tell(ONE, "call"));
        want("one's DMA", "ok", tell(ONE, "dma %u %u", IOVA_ONE, IOVA_ONE + PAGE));
        want("two's call", "ok", tell(TWO, "call"));
        want("two's DMA from one's memory", "ok", tell(TWO, "dma %u %u", IOVA_ONE, IOVA_TWO + PAGE));
        want("three's call", "ok", tell(THREE, "call"));
        want("three's device", "ok", tell(THREE, "look"));
        want("four's call", "ok", tell(FOUR, "ping"));
        want_refused(held[turn++ % 3]);
}

void look_at_all(void)
{
        uint64_t end = now_msec() + 20000;
        Facts facts = {};

        while (!at_rest() && now_msec() < end)
                pause_msec(20);
        look_at_clients();
        end = now_msec() + 15000;
        while (!look_all(&facts) || !facts_equal(&truth, &facts)) {
                if (now_msec() > end) {
                        blame("it is not what it was:");
                        facts_show_difference(&truth, &facts);
                        (void)fflush(stdout);
                        break;
                }
                facts_clear(&facts);
                pause_msec(20);
        }
        facts_clear(&facts);
}
