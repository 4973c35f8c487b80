/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The floor of bench-bus: a service with the broker's name on a bus of its own that does nothing but answer. The long
 * answers are what the broker said to the same question, which the client gives it beforehand (Keep): a copy of a
 * message, which is the least that a service can do to send so much. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "policy/util.h"

#define KEPT_MAX 2

typedef struct Service {
        sd_event *event;
        sd_bus_message *kept[KEPT_MAX]; /* by number: the calls that brought them */
} Service;

static int method_check(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        int r;

        r = sd_bus_message_skip(m, "asa{sv}");
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(m, "bss", true, "", "tenant blue may use it");
}

static int method_keep(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Service *self = userdata;
        uint32_t n;
        int r;

        r = sd_bus_message_read(m, "u", &n);
        if (r < 0)
                return r;
        if (n >= KEPT_MAX)
                return -EINVAL;
        sd_bus_message_unref(self->kept[n]);
        self->kept[n] = sd_bus_message_ref(m);
        return sd_bus_reply_method_return(m, NULL);
}

/* What stands in the variant that was kept. */
static int tell(sd_bus_message *m, sd_bus_message *kept)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *contents;
        int r;

        if (!kept)
                return -EINVAL;
        r = sd_bus_message_rewind(kept, true);
        if (r >= 0)
                r = sd_bus_message_skip(kept, "u");
        if (r >= 0)
                r = sd_bus_message_peek_type(kept, NULL, &contents);
        if (r >= 0)
                r = sd_bus_message_enter_container(kept, 'v', contents);
        if (r >= 0)
                r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_copy(reply, kept, true);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return tell(m, ((Service *)userdata)->kept[0]);
}

static int method_objects(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return tell(m, ((Service *)userdata)->kept[1]);
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "s", "available");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAccess", "asa{sv}", "bss", method_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Keep", "uv", "", method_keep, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("List", "", "a(ssssuss)", method_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Objects", "", "a{oa{sa{sv}}}", method_objects, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("State", "s", get_state, 0, 0),
        SD_BUS_VTABLE_END,
};

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        return sd_event_exit(((Service *)userdata)->event, EXIT_SUCCESS);
}

int main(void)
{
        Service self = {};
        sd_bus *bus = NULL;
        int r;

        r = sd_event_default(&self.event);
        if (r >= 0)
                r = sd_event_add_io(self.event, NULL, STDIN_FILENO, EPOLLIN, on_input, &self);
        if (r >= 0)
                r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, getenv("VFIOBROKER_BUS_ADDRESS"));
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, "/org/vfiobroker1", "org.vfiobroker1.Manager",
                                             vtable, &self);
        if (r >= 0)
                r = sd_bus_request_name(bus, "org.vfiobroker1", 0);
        if (r >= 0)
                r = sd_bus_attach_event(bus, self.event, 0);
        if (r >= 0) {
                (void)puts("ready");
                (void)fflush(stdout);
                r = sd_event_loop(self.event);
        } else
                (void)fprintf(stderr, "bench-service: %s\n", strerror(-r));
        for (size_t i = 0; i < KEPT_MAX; i++)
                sd_bus_message_unref(self.kept[i]);
        sd_bus_flush_close_unref(bus);
        sd_event_unref(self.event);
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
