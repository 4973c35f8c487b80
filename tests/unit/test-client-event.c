/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* client-lib/event.c: what the broker says is given out once and in order, what somebody else makes up is not, and what
 * cannot be read is an error. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After these four. */
#include <cmocka.h>
#include <poll.h>

#include "client-lib/vfiobroker.h"
#include "policy/util.h"
#include "tests/fixtures/fake-broker.h"

#define LEASE "/org/vfiobroker1/lease/l1"

static atomic_uint owner = 5; /* unique name :1.N */

static int emit(sd_bus *bus, const char *sender, const char *member, const char *types, ...)
{
        sd_bus_message *m = NULL;
        va_list ap;
        int r;

        r = sd_bus_message_new_signal(bus, &m, LEASE, "org.vfiobroker1.Lease", member);
        if (r >= 0)
                r = sd_bus_message_set_sender(m, sender);
        va_start(ap, types);
        if (r >= 0)
                r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r >= 0)
                r = sd_bus_send(bus, m, NULL);
        sd_bus_message_unref(m);
        return r;
}

/* ResetDevice "N": sends script N before it answers. */
static int handler(FakeBroker *fake, sd_bus_message *call)
{
        sd_bus *bus = sd_bus_message_get_bus(call);
        const char *script;
        char name[16];
        int r;

        (void)snprintf(name, sizeof(name), ":1.%u", atomic_load(&owner));
        if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "GetNameOwner"))
                return sd_bus_reply_method_return(call, "s", name);
        r = sd_bus_message_read(call, "s", &script);
        if (r < 0)
                return r;
        switch (script[0]) {
        case '1':
                (void)emit(bus, ":1.6", "RevokeRequested", "aost", 1, "/org/vfiobroker1/device/x", "forged",
                           UINT64_C(1));
                (void)emit(bus, name, "RevokeRequested", "aost", 2,
                           "/org/vfiobroker1/device/_30000_3a01_3a00_2e0",
                           "/org/vfiobroker1/device/_30000_3a02_3a00_2e0", "firmware", UINT64_C(77));
                (void)emit(bus, name, "Unheard", "s", "of");
                (void)emit(bus, ":1.6", "Ended", "s", "forged");
                (void)emit(bus, name, "Ended", "s", "revoked");
                break;
        case '2': (void)emit(bus, name, "RevokeRequested", "s", "no devices"); break;
        case '3': (void)emit(bus, name, "RevokeRequested", "aost", 1, "/elsewhere", "", UINT64_C(1)); break;
        case '4':
                (void)emit(bus, ":1.5", "Ended", "s", "of the broker before");
                (void)emit(bus, name, "Ended", "s", "released");
                break;
        }
        return sd_bus_reply_method_return(call, "");
}

static void test_events(void **state)
{
        struct vfiobroker_event *event;
        struct vfiobroker *broker;
        FakeBroker fake;

        broker = fake_broker_connect(&fake, handler, NULL);
        assert_int_equal(vfiobroker_next_event(broker, &event), 0);
        assert_int_equal(vfiobroker_next_event(broker, NULL), -EINVAL);
        assert_int_equal(vfiobroker_next_event(NULL, &event), -EINVAL);

        assert_int_equal(vfiobroker_reset_device(broker, "1"), 0);
        assert_int_equal(vfiobroker_next_event(broker, &event), 1);
        assert_int_equal(event->kind, VFIOBROKER_EVENT_REVOKE_REQUESTED);
        assert_string_equal(event->lease, "l1");
        assert_string_equal(event->path, LEASE);
        assert_string_equal(event->reason, "firmware");
        assert_string_equal(event->devices[0], "0000:01:00.0");
        assert_string_equal(event->devices[1], "0000:02:00.0");
        assert_null(event->devices[2]);
        assert_true(event->deadline_usec == 77);
        assert_null(vfiobroker_event_free(event));
        assert_int_equal(vfiobroker_next_event(broker, &event), 1);
        assert_int_equal(event->kind, VFIOBROKER_EVENT_ENDED);
        assert_string_equal(event->reason, "revoked");
        assert_null(event->devices[0]);
        assert_null(vfiobroker_event_free(event));
        assert_int_equal(vfiobroker_next_event(broker, &event), 0);

        for (int i = 0; i < 2; i++) {
                assert_int_equal(vfiobroker_reset_device(broker, i == 0 ? "2" : "3"), 0);
                assert_int_equal(vfiobroker_next_event(broker, &event), -EBADMSG);
                assert_int_equal(vfiobroker_next_event(broker, &event), 0);
        }

        /* The broker was started anew: its name has another owner. */
        atomic_store(&owner, 9);
        assert_int_equal(vfiobroker_reset_device(broker, "4"), 0);
        assert_int_equal(vfiobroker_next_event(broker, &event), 1);
        assert_string_equal(event->reason, "of the broker before"); /* known to have been it */
        vfiobroker_event_free(event);
        assert_int_equal(vfiobroker_next_event(broker, &event), 1);
        assert_string_equal(event->reason, "released");
        vfiobroker_event_free(event);
        assert_null(vfiobroker_event_free(NULL));
        fake_broker_disconnect(&fake, broker);
}

/* The broker says something and dies, and another has its name, before anybody looks. */
static void test_died_since(void **state)
{
        struct vfiobroker_event *event;
        struct vfiobroker *broker;
        FakeBroker fake;

        atomic_store(&owner, 5);
        broker = fake_broker_connect(&fake, handler, NULL);
        assert_int_equal(vfiobroker_next_event(broker, &event), 0);
        atomic_store(&owner, 9);
        assert_int_equal(vfiobroker_reset_device(broker, "4"), 0);
        assert_int_equal(vfiobroker_next_event(broker, &event), 1);
        assert_string_equal(event->reason, "of the broker before");
        vfiobroker_event_free(event);
        assert_int_equal(vfiobroker_next_event(broker, &event), 1);
        assert_string_equal(event->reason, "released");
        vfiobroker_event_free(event);
        fake_broker_disconnect(&fake, broker);
}

/* What comes between calls makes the fd readable; what is never asked for is freed with the handle. */
static void test_fd(void **state)
{
        struct pollfd poll_fd = { .events = POLLIN };
        struct vfiobroker_event *event;
        struct vfiobroker *broker;
        FakeBroker fake;

        atomic_store(&owner, 5);
        broker = fake_broker_connect(&fake, handler, NULL);
        assert_int_equal(vfiobroker_get_fd(NULL), -EINVAL);
        poll_fd.fd = vfiobroker_get_fd(broker);
        assert_true(poll_fd.fd >= 0);
        assert_int_equal(vfiobroker_next_event(broker, &event), 0);
        assert_int_equal(poll(&poll_fd, 1, 0), 0);
        assert_int_equal(vfiobroker_reset_device(broker, "1"), 0);
        assert_int_equal(vfiobroker_next_event(broker, &event), 1);
        vfiobroker_event_free(event);
        fake_broker_disconnect(&fake, broker);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_events),
                cmocka_unit_test(test_died_since),
                cmocka_unit_test(test_fd),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
