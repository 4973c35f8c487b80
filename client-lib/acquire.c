/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Acquire and CheckAccess: options become a message, and the answer a lease. Whatever goes wrong after the
 * broker has granted gives the lease back, so that the caller has either all or nothing. Runs on the one
 * thread of its connection. */

#include "client-lib/internal.h"

/* The struct as its first version had it: no caller can have a smaller one. */
#define OPTIONS_SIZE_1 (offsetof(struct vfiobroker_acquire_options, wait_usec) + sizeof(uint64_t))

static const struct vfiobroker_acquire_options default_options = VFIOBROKER_ACQUIRE_OPTIONS_INIT;

/* Copies what the caller's version of the struct has over the defaults. */
static int options_read(struct vfiobroker *broker, const struct vfiobroker_acquire_options *options,
                        struct vfiobroker_acquire_options *ret)
{
        struct vfiobroker_acquire_options read = default_options;

        if (options) {
                if (options->size < OPTIONS_SIZE_1)
                        return broker_error(broker, EINVAL,
                                            "The options' size is %zu, less than the first version's %zu",
                                            options->size, OPTIONS_SIZE_1);

                for (size_t i = sizeof(read); i < options->size; i++)
                        if (((const unsigned char *)options)[i] != 0)
                                return broker_error(
                                        broker, E2BIG,
                                        "The options have a member that this libvfiobroker is too old for");

                memcpy(&read, options, options->size < sizeof(read) ? options->size : sizeof(read));
        }

        *ret = read;
        return 0;
}

static int append_string(sd_bus_message *m, const char *key, const char *value)
{
        return value ? sd_bus_message_append(m, "{sv}", key, "s", value) : 0;
}

static int append_options(sd_bus_message *m, const struct vfiobroker_acquire_options *options)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        r = append_string(m, "tenant", options->tenant);
        if (r < 0)
                return r;

        r = append_string(m, "backend", options->backend);
        if (r < 0)
                return r;

        if (options->memlock != UINT64_MAX) {
                r = sd_bus_message_append(m, "{sv}", "memlock", "t", options->memlock);
                if (r < 0)
                        return r;
        }

        if (options->pidfd >= 0) {
                r = sd_bus_message_append(m, "{sv}", "pidfd", "h", options->pidfd);
                if (r < 0)
                        return r;
        }

        r = append_string(m, "lifetime", options->lifetime);
        if (r < 0)
                return r;

        r = append_string(m, "container", options->container);
        if (r < 0)
                return r;

        r = append_string(m, "label", options->label);
        if (r < 0)
                return r;

        if (options->wait_usec > 0) {
                r = sd_bus_message_append(m, "{sv}", "wait", "t", options->wait_usec);
                if (r < 0)
                        return r;
        }

        return sd_bus_message_close_container(m);
}

/* The message of either method: devices and options are the same. */
static int request_new(struct vfiobroker *broker, const char *member, const char *const *devices,
                       const struct vfiobroker_acquire_options *options, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = broker_call_new(broker, BROKER_MANAGER_PATH, BROKER_MANAGER, member, &m);
        if (r < 0)
                return r;

        r = sd_bus_message_append_strv(m, (char **)devices);
        if (r == -EINVAL)
                return broker_error(broker, EINVAL, "A device's name is not valid UTF-8");
        if (r < 0)
                return r;

        r = append_options(m, options);
        if (r == -EINVAL)
                return broker_error(broker, EINVAL, "An option's value is not valid UTF-8");
        if (r < 0)
                return r;

        *ret = TAKE_PTR(m);
        return 0;
}

/* `path` and `backend` are the reply's, already read from it. */
static int read_lease(struct vfiobroker *broker, sd_bus_message *reply, const char *path,
                      const char *backend, const char *const *devices, struct vfiobroker_lease **ret)
{
        _cleanup_(vfiobroker_lease_freep) struct vfiobroker_lease *lease = NULL;
        int r;

        r = lease_new(broker, path, backend, &lease);
        if (r < 0)
                return r;

        r = lease_read_fds(lease, reply);
        if (r < 0)
                return r;

        r = lease_check(lease, 0, devices);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(lease);
        return 0;
}

static void give_back(struct vfiobroker *broker, sd_bus_message **reply, const char *path)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;

        if (broker_call_new(broker, path, BROKER_LEASE, "Release", &call) >= 0)
                broker_undo(broker, reply, call);
}

static int acquire(struct vfiobroker *broker, const char *const *devices,
                   const struct vfiobroker_acquire_options *options, struct vfiobroker_lease **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        struct vfiobroker_acquire_options o;
        const char *path, *backend;
        uint64_t timeout;
        int r;

        r = options_read(broker, options, &o);
        if (r < 0)
                return r;

        r = request_new(broker, "Acquire", devices, &o, &call);
        if (r < 0)
                return r;

        timeout = o.wait_usec > UINT64_MAX - CALL_SLOW_TIMEOUT_USEC ? UINT64_MAX
                                                                    : o.wait_usec + CALL_SLOW_TIMEOUT_USEC;
        r = broker_call(broker, call, timeout, "osa(ssh)", &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "os", &path, &backend);
        if (r < 0)
                return r;

        r = read_lease(broker, reply, path, backend, devices, ret);
        if (r < 0)
                give_back(broker, &reply, path);
        return r;
}

_public_ int vfiobroker_acquire(struct vfiobroker *broker, const char *const *devices,
                                const struct vfiobroker_acquire_options *options,
                                struct vfiobroker_lease **ret)
{
        int r;

        if (!devices || !ret)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = acquire(broker, devices, options, ret);
        return broker_end(broker, r);
}

/* Who is told of each step of a decision. */
typedef struct Listener {
        void (*step)(void *userdata, const struct vfiobroker_step *step);
        void *userdata;
} Listener;

static int read_path(sd_bus_message *reply, const Listener *listener)
{
        struct vfiobroker_step step;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "(ssbs)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(reply, "(ssbs)", &step.name, &step.about, &step.passed,
                                        &step.text)) > 0)
                listener->step(listener->userdata, &step);
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

/* CheckAccess, or where somebody listens Explain, whose answer has the path before the same. */
static int check_access(struct vfiobroker *broker, const char *const *devices,
                        const struct vfiobroker_acquire_options *options, const Listener *listener,
                        char **ret_text)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        struct vfiobroker_acquire_options o;
        const char *error, *text;
        int allowed, r;

        r = options_read(broker, options, &o);
        if (r < 0)
                return r;

        r = request_new(broker, listener ? "Explain" : "CheckAccess", devices, &o, &call);
        if (r < 0)
                return r;

        r = broker_call(broker, call, CALL_TIMEOUT_USEC, listener ? "a(ssbs)bss" : "bss", &reply);
        if (r < 0)
                return r;

        r = listener ? read_path(reply, listener) : 0;
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "bss", &allowed, &error, &text);
        if (r < 0)
                return r;

        if (!allowed) {
                if (!*error)
                        return broker_error(broker, EPROTO, "The broker refused without saying why");
                (void)sd_bus_error_set(&broker->error, error, text);
                return -error_to_errno(&broker->error);
        }

        if (ret_text) {
                *ret_text = strdup(text);
                if (!*ret_text)
                        return -ENOMEM;
        }
        return 0;
}

static int check_public(struct vfiobroker *broker, const char *const *devices,
                        const struct vfiobroker_acquire_options *options, const Listener *listener,
                        char **ret_text)
{
        int r;

        if (!devices)
                return -EINVAL;

        r = broker_begin(broker);
        if (r >= 0)
                r = check_access(broker, devices, options, listener, ret_text);
        return broker_end(broker, r);
}

_public_ int vfiobroker_check_access(struct vfiobroker *broker, const char *const *devices,
                                     const struct vfiobroker_acquire_options *options, char **ret_text)
{
        return check_public(broker, devices, options, NULL, ret_text);
}

_public_ int vfiobroker_explain(struct vfiobroker *broker, const char *const *devices,
                                const struct vfiobroker_acquire_options *options,
                                void (*step)(void *userdata, const struct vfiobroker_step *step),
                                void *userdata, char **ret_text)
{
        const Listener listener = { step, userdata };

        return step ? check_public(broker, devices, options, &listener, ret_text) : -EINVAL;
}
