/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the broker tells the holder of a lease. Anybody on the system bus may send anybody a signal that looks like one of
 * the broker's, so the sender is held against the owner of the broker's name. Runs on the one thread of its
 * connection. */

#include <stdlib.h>

#include "client-lib/internal.h"

#define BUS_DRIVER      "org.freedesktop.DBus"
#define BUS_DRIVER_PATH "/org/freedesktop/DBus"

/* Asks the bus who has the broker's name; the caller's. NULL where nobody has, or nobody answers. */
static char *ask_owner(struct vfiobroker *broker)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *owner = NULL;

        if (sd_bus_call_method(broker->bus, BUS_DRIVER, BUS_DRIVER_PATH, BUS_DRIVER, "GetNameOwner", NULL,
                               &reply, "s", BROKER_NAME) < 0 ||
            sd_bus_message_read(reply, "s", &owner) < 0)
                return NULL;
        return strdup(owner);
}

/* Whether the broker sent it that has the name now, or had it when somebody looked. A connection to the broker alone has
 * no other peer. A sender that is somebody else is not asked about again: whoever floods this process shall not make it
 * flood the bus. */
static bool is_brokers(struct vfiobroker *broker, sd_bus_message *m)
{
        const char *sender = sd_bus_message_get_sender(m);
        char *owner, **known;

        if (sd_bus_is_bus_client(broker->bus) == 0)
                return true;
        if (!sender || streq(strempty(broker->stranger), sender))
                return false;
        if (streq(strempty(broker->owner), sender))
                return true;
        owner = ask_owner(broker);
        if (!owner)
                return false;
        known = streq(owner, sender) ? &broker->owner : &broker->stranger;
        free(owner);
        free(*known);
        *known = strdup(sender);
        return known == &broker->owner;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct vfiobroker *broker = userdata;
        sd_bus_message **more;

        if (!sd_bus_message_is_signal(m, BROKER_LEASE, "RevokeRequested") &&
            !sd_bus_message_is_signal(m, BROKER_LEASE, "Ended"))
                return 0;
        if (!is_brokers(broker, m))
                return 1;
        more = reallocarray(broker->heard, broker->n_heard + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        broker->heard = more;
        broker->heard[broker->n_heard++] = sd_bus_message_ref(m);
        return 1;
}

static int listen(struct vfiobroker *broker)
{
        int r;

        if (broker->listens)
                return 0;
        r = sd_bus_add_filter(broker->bus, NULL, on_message, broker);
        if (r < 0)
                return r;
        broker->listens = true;
        /* So that what it says is known as the broker's also when it has died before anybody looks. */
        if (sd_bus_is_bus_client(broker->bus) > 0 && !broker->owner)
                broker->owner = ask_owner(broker);
        return 0;
}

static int read_devices(sd_bus_message *m, char ***ret)
{
        char **ids = NULL;
        const char *path;
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "o");
        while (r >= 0) {
                char **more = reallocarray(ids, n + 2, sizeof(char *));

                if (!more) {
                        r = -ENOMEM;
                        break;
                }
                ids = more;
                ids[n] = ids[n + 1] = NULL;
                r = sd_bus_message_read_basic(m, 'o', &path);
                if (r <= 0)
                        break;
                r = path_to_id(path, BROKER_DEVICE_PREFIX, &ids[n++]);
        }
        *ret = ids;
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int copy_string(const char *s, const char **ret)
{
        *ret = strdup(s);
        return *ret ? 0 : -ENOMEM;
}

static int read_event(sd_bus_message *m, struct vfiobroker_event *event)
{
        const char *path = sd_bus_message_get_path(m), *reason;
        char **devices = NULL, *id = NULL;
        int r;

        event->kind = streq(sd_bus_message_get_member(m), "Ended") ? VFIOBROKER_EVENT_ENDED
                                                                   : VFIOBROKER_EVENT_REVOKE_REQUESTED;
        if (!sd_bus_message_has_signature(m, event->kind == VFIOBROKER_EVENT_ENDED ? "s" : "aost"))
                return -EBADMSG;
        if (event->kind == VFIOBROKER_EVENT_REVOKE_REQUESTED)
                r = read_devices(m, &devices);
        else {
                devices = calloc(1, sizeof(char *));
                r = devices ? 0 : -ENOMEM;
        }
        event->devices = (const char *const *)devices;
        if (r >= 0)
                r = sd_bus_message_read(m, "s", &reason);
        if (r >= 0 && event->kind == VFIOBROKER_EVENT_REVOKE_REQUESTED)
                r = sd_bus_message_read(m, "t", &event->deadline_usec);
        if (r >= 0)
                r = path_to_id(path, BROKER_LEASE_PREFIX, &id);
        event->lease = id;
        if (r >= 0)
                r = copy_string(path, &event->path);
        return r < 0 ? r : copy_string(reason, &event->reason);
}

_public_ int vfiobroker_get_fd(struct vfiobroker *broker)
{
        int r;

        r = broker_begin(broker);
        if (r >= 0)
                r = listen(broker);
        if (r >= 0)
                r = sd_bus_get_fd(broker->bus);
        return broker_end(broker, r);
}

/* broker_begin() has read what had come. */
static int next_event(struct vfiobroker *broker, struct vfiobroker_event **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        struct vfiobroker_event *event;
        int r;

        r = listen(broker);
        while (r >= 0 && broker->n_heard == 0) {
                r = sd_bus_process(broker->bus, NULL);
                if (r <= 0)
                        return r;
        }
        if (r < 0)
                return r;
        event = calloc(1, sizeof(*event));
        if (!event)
                return -ENOMEM;
        m = broker->heard[0];
        memmove(broker->heard, broker->heard + 1, --broker->n_heard * sizeof(*broker->heard));
        r = read_event(m, event);
        if (r < 0) {
                vfiobroker_event_free(event);
                return r;
        }
        *ret = event;
        return 1;
}

_public_ int vfiobroker_next_event(struct vfiobroker *broker, struct vfiobroker_event **ret)
{
        int r;

        if (!ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = next_event(broker, ret);
        return broker_end(broker, r);
}

_public_ struct vfiobroker_event *vfiobroker_event_free(struct vfiobroker_event *event)
{
        if (!event)
                return NULL;
        for (const char *const *id = event->devices; id && *id; id++)
                free((void *)*id);
        free((void *)event->devices);
        free((void *)event->lease);
        free((void *)event->path);
        free((void *)event->reason);
        free(event);
        return NULL;
}
