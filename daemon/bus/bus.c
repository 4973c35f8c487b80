/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to the bus and what hangs on it. The order of the start is: connect, objects, observer, name; from the
 * moment that the name is ours a call may come, and everything that answers it is there. Every step that can fail undoes
 * all before it. Event loop only. */

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/call.h"
#include "daemon/bus/manager.h"
#include "daemon/bus/object.h"
#include "daemon/bus/request.h"
#include "daemon/bus/session.h"
#include "daemon/bus/signals.h"
#include "daemon/bus/uids.h"

const char *bus_echo(const char *s, char buffer[static ECHO_MAX + 8])
{
        size_t n = strnlen(s, ECHO_MAX + 1), i;
        bool cut = n > ECHO_MAX;

        if (cut) {
                n = ECHO_MAX;
                while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
                        n--; /* not within a character */
        }
        buffer[0] = '"';
        for (i = 0; i < n; i++)
                buffer[i + 1] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i];
        (void)snprintf(buffer + n + 1, 7, "%s\"", cut ? "…" : "");
        return buffer;
}

static int connect_bus(sd_bus **ret)
{
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        const char *address = getenv("VFIOBROKER_BUS_ADDRESS");
        int r;

        if (!address)
                r = sd_bus_open_system_with_description(&bus, "vfiobrokerd");
        else {
                r = sd_bus_new(&bus);
                if (r >= 0)
                        r = sd_bus_set_address(bus, address);
                if (r >= 0)
                        r = sd_bus_set_bus_client(bus, true);
                if (r >= 0)
                        r = sd_bus_negotiate_fds(bus, true);
                if (r >= 0)
                        r = sd_bus_start(bus);
        }
        if (r < 0)
                return r;
        r = sd_bus_set_method_call_timeout(bus, DRIVER_TIMEOUT_USEC);
        if (r < 0)
                return r;
        r = sd_bus_set_exit_on_disconnect(bus, true);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

/* The loop does one thing of each kind in turn, and sd-bus's is one message. Where 64 processes end at once the bus says so
 * in as many messages, and whoever asks behind those would wait for that many ends and their records. So the bus has a turn
 * after each other thing, of a few messages, that many who flood it cannot keep the loop from the rest. */
static int on_more(sd_event_source *source, void *userdata)
{
        Bus *bus = userdata;
        int r = 1;

        for (unsigned i = 0; i < TURN_MESSAGES_MAX && r > 0 && sd_bus_get_event(bus->bus); i++)
                r = sd_bus_process(bus->bus, NULL);
        if (r < 0)
                return sd_event_exit(sd_event_source_get_event(source), EXIT_FAILURE); /* as sd-bus does */
        if (bus->signals)
                signals_resume(bus->signals);
        return 0;
}

static int start(Bus *bus, sd_event *event)
{
        int r;

        r = error_register();
        if (r < 0)
                return r;
        r = callers_new(bus, &bus->callers);
        if (r < 0)
                return r;
        r = uids_new(&bus->uids);
        if (r < 0)
                return r;
        r = connect_bus(&bus->bus);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(bus->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        r = sd_event_add_post(event, &bus->more, on_more, bus);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(bus->more, SD_EVENT_PRIORITY_IMPORTANT);
        if (r < 0)
                return r;
        r = sessions_new(bus, &bus->sessions);
        if (r < 0)
                return r;
        r = manager_register(bus, bus->bus);
        if (r < 0)
                return r;
        r = objects_register(bus, bus->bus);
        if (r < 0)
                return r;
        r = signals_new(bus, &bus->signals);
        if (r < 0)
                return r;
        return sd_bus_request_name(bus->bus, BUS_NAME, 0);
}

int bus_new(sd_event *event, Broker *broker, const BusCallbacks *callbacks, void *userdata, Bus **ret)
{
        Bus *bus = calloc(1, sizeof(*bus));
        int r;

        if (!bus)
                return -ENOMEM;
        bus->broker = broker;
        bus->callbacks = callbacks;
        bus->userdata = userdata;
        r = start(bus, event);
        if (r < 0) {
                bus_free(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

int bus_hold(Bus *bus, sd_event *event, bool hold)
{
        return hold ? sd_bus_detach_event(bus->bus)
                    : sd_bus_attach_event(bus->bus, event, SD_EVENT_PRIORITY_NORMAL);
}

Bus *bus_free(Bus *bus)
{
        if (!bus)
                return NULL;
        sd_event_source_disable_unref(bus->more);
        signals_free(bus->signals);
        while (bus->calls)
                call_free(bus->calls);
        bus->sessions = sessions_free(bus->sessions);
        callers_free(bus->callers);
        uids_free(bus->uids);
        if (bus->bus)
                sd_bus_flush_close_unref(bus->bus);
        free(bus);
        return NULL;
}
