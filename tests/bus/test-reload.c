/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/reload.c: what the service manager is told of a reload, which is the same whether that was asked for by a signal or a
 * call and however it ends: a unit of Type=notify-reload waits for just this. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "daemon/reload.h"
#include "tests/fixtures/fake-host.h"

static uint64_t now_usec(void)
{
        struct timespec now = {};

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static void receive(int fd, char ret[static 256])
{
        ssize_t n = recv(fd, ret, 255, MSG_DONTWAIT);

        assert_true(n > 0);
        ret[n] = 0;
}

/* Proves: RELOADING=1 with the time at which it began, and in one message, as systemd wants it; then READY=1. Whatever the
 * policy of this machine is, or if there is none. */
static void test_notify(void **state)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        FakeHost *fake = fake_host_new(false);
        Broker *broker = NULL;
        char text[256], rest[2];
        unsigned long long usec;
        char *errors = NULL;
        uint64_t before;
        int fd;

        assert_non_null(fake);
        assert_int_equal(broker_new(&fake->host, NULL, NULL, policy_new_empty(), &broker), 0);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        (void)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "test-reload-%d", (int)getpid());
        assert_int_equal(
                bind(fd, (struct sockaddr *)&address,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1))),
                0);
        (void)snprintf(text, sizeof(text), "@%s", address.sun_path + 1);
        assert_int_equal(setenv("NOTIFY_SOCKET", text, 1), 0);

        before = now_usec();
        (void)reload_policy(broker, &errors);
        free(errors);
        receive(fd, text);
        assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu%1s", &usec, rest), 1);
        assert_in_range(usec, before, now_usec());
        receive(fd, text);
        assert_string_equal(text, "READY=1");
        assert_true(recv(fd, text, sizeof(text), MSG_DONTWAIT) < 0);

        (void)close(fd);
        broker_free(broker);
        fake_host_free(fake);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_notify) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
