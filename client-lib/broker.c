/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to the broker, and the frame of every public call: begin, call, end. The caller's handle
 * owns one reference and each lease handle one more, so that either may be freed first; the bus itself is
 * closed with the caller's handle. Runs on whatever one thread the caller uses. */

#include <stdarg.h>

#include "client-lib/internal.h"

static const struct vfiobroker_error no_error = { .name = "", .text = "" };

struct vfiobroker *broker_ref(struct vfiobroker *broker)
{
        broker->n_ref++;
        return broker;
}

struct vfiobroker *broker_unref(struct vfiobroker *broker)
{
        if (!broker || --broker->n_ref > 0)
                return NULL;

        for (size_t i = 0; i < broker->n_heard; i++)
                sd_bus_message_unref(broker->heard[i]);
        free(broker->heard);
        sd_bus_flush_close_unref(broker->bus);
        sd_bus_error_free(&broker->error);
        free(broker->owner);
        free(broker->stranger);
        free(broker);
        return NULL;
}

int broker_new(sd_bus *bus, struct vfiobroker **ret)
{
        struct vfiobroker *broker = calloc(1, sizeof(*broker));

        if (!broker)
                return -ENOMEM;

        broker->n_ref = 1;
        broker->bus = bus;
        broker->last_error = no_error;
        *ret = broker;
        return 0;
}

/* A handle on a bus that has been started. Waits until the bus has answered, so that a failure is open's and not
 * the first call's. */
static int new_on_bus(sd_bus *bus, struct vfiobroker **ret)
{
        const char *name;
        int r;

        r = sd_bus_get_unique_name(bus, &name);
        return r < 0 ? r : broker_new(bus, ret);
}

_public_ int vfiobroker_open_system(struct vfiobroker **ret)
{
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        if (!ret)
                return -EINVAL;

        r = sd_bus_open_system_with_description(&bus, "vfiobroker-client");
        if (r >= 0)
                r = new_on_bus(bus, ret);
        if (r >= 0)
                (void)TAKE_PTR(bus);
        return r;
}

/* Starts a client on the bus. */
static int start(sd_bus *bus, const char *address)
{
        int r;

        r = sd_bus_set_address(bus, address);
        if (r < 0)
                return r;

        r = sd_bus_set_bus_client(bus, true);
        if (r < 0)
                return r;

        r = sd_bus_negotiate_fds(bus, true);
        if (r < 0)
                return r;

        return sd_bus_start(bus);
}

_public_ int vfiobroker_open_bus_address(const char *address, struct vfiobroker **ret)
{
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        if (!address || !ret)
                return -EINVAL;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = start(bus, address);
        if (r >= 0)
                r = new_on_bus(bus, ret);
        if (r >= 0)
                (void)TAKE_PTR(bus);
        return r;
}

_public_ struct vfiobroker *vfiobroker_close(struct vfiobroker *broker)
{
        if (!broker)
                return NULL;

        broker->bus = sd_bus_flush_close_unref(broker->bus);
        return broker_unref(broker);
}

_public_ const struct vfiobroker_error *vfiobroker_last_error(const struct vfiobroker *broker)
{
        return broker ? &broker->last_error : &no_error;
}

int broker_begin(struct vfiobroker *broker)
{
        if (!broker)
                return -EINVAL;

        sd_bus_error_free(&broker->error);
        broker->last_error = no_error;
        if (!broker->bus)
                return broker_error(broker, ENOTCONN, "The connection to the broker is closed");

        /* Signals that nobody here listens to, which would pile up in a process that lives long. What is wrong with
         * the connection the call will tell. */
        while (sd_bus_process(broker->bus, NULL) > 0)
                ;
        return 0;
}

int broker_end(struct vfiobroker *broker, int r)
{
        if (r >= 0 || !broker)
                return r;

        if (!sd_bus_error_is_set(&broker->error))
                (void)sd_bus_error_set_errno(&broker->error, r);
        broker->last_error.name = strempty(broker->error.name);
        broker->last_error.text = strempty(broker->error.message);
        return r;
}

void broker_set_error(struct vfiobroker *broker, int error, const char *format, ...)
{
        va_list ap;

        sd_bus_error_free(&broker->error);
        va_start(ap, format);
        (void)sd_bus_error_set_errnofv(&broker->error, error, format, ap);
        va_end(ap);
}

int broker_call_new(struct vfiobroker *broker, const char *path, const char *interface, const char *member,
                    sd_bus_message **ret)
{
        return sd_bus_message_new_method_call(broker->bus, ret, BROKER_NAME, path, interface, member);
}

int broker_call(struct vfiobroker *broker, sd_bus_message *call, uint64_t timeout_usec,
                const char *signature, sd_bus_message **ret_reply)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call(broker->bus, call, timeout_usec, &broker->error, &reply);
        if (r < 0)
                return sd_bus_error_is_set(&broker->error) ? -error_to_errno(&broker->error) : r;

        if (!sd_bus_message_has_signature(reply, signature))
                return broker_error(broker, EBADMSG,
                                    "The broker's answer to %s has the signature '%s', not '%s'",
                                    sd_bus_message_get_member(call),
                                    sd_bus_message_get_signature(reply, true), signature);

        if (ret_reply)
                *ret_reply = TAKE_PTR(reply);
        return 0;
}

int path_to_id(const char *path, const char *prefix, char **ret)
{
        char *id;
        int r;

        if (streq(path, "/")) {
                id = strdup("");
                if (!id)
                        return -ENOMEM;
                *ret = id;
                return 0;
        }

        r = sd_bus_path_decode(path, prefix, &id);
        if (r < 0)
                return r;
        if (r == 0)
                return -EBADMSG;
        *ret = id;
        return 0;
}

int broker_ask(struct vfiobroker *broker, const char *path, const char *interface, const char *member,
               const char *argument, const char *signature, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = broker_call_new(broker, path, interface, member, &call);
        if (r < 0)
                return r;

        r = sd_bus_message_append(call, "s", argument);
        if (r < 0)
                return r;

        return broker_call(broker, call, CALL_TIMEOUT_USEC, signature, ret);
}

int broker_find(struct vfiobroker *broker, const char *getter, const char *id, sd_bus_message **ret_reply,
                const char **ret_path)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        int r;

        r = broker_ask(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, getter, id, "o", &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return r;

        *ret_reply = TAKE_PTR(reply);
        *ret_path = path;
        return 0;
}

int broker_find_lease(struct vfiobroker *broker, const char *lease, sd_bus_message **ret_reply,
                      const char **ret_path)
{
        _cleanup_free_ char *id = NULL;
        int r;

        if (lease[0] == '/') {
                r = sd_bus_path_decode(lease, BROKER_LEASE_PREFIX, &id);
                if (r == -ENOMEM)
                        return r;
                if (r <= 0)
                        return broker_error(broker, ENXIO, "%s is not the path of a lease", lease);
        }
        return broker_find(broker, "GetLease", id ? id : lease, ret_reply, ret_path);
}

int broker_call_strings(struct vfiobroker *broker, const char *member, uint64_t timeout_usec,
                        const char *const *arguments)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = broker_call_new(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, member, &call);
        if (r < 0)
                return r;

        for (size_t i = 0; arguments[i]; i++) {
                r = sd_bus_message_append(call, "s", arguments[i]);
                if (r < 0)
                        return r;
        }

        return broker_call(broker, call, timeout_usec, "", NULL);
}

int broker_release_path(struct vfiobroker *broker, const char *path)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = broker_call_new(broker, path, BROKER_LEASE, "Release", &call);
        if (r < 0)
                return r;

        return broker_call(broker, call, CALL_SLOW_TIMEOUT_USEC, "", NULL);
}

void broker_undo(struct vfiobroker *broker, sd_bus_message **reply, sd_bus_message *call)
{
        sd_bus_error why = broker->error;

        *reply = sd_bus_message_unref(*reply);
        broker->error = SD_BUS_ERROR_NULL;
        (void)broker_call(broker, call, CALL_SLOW_TIMEOUT_USEC, "", NULL);
        sd_bus_error_free(&broker->error);
        broker->error = why;
}
