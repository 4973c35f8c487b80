/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl release, reset, bind, unbind and reload: one call for each argument, and silence where all
 * went well. */

#include "client-lib/ctl/ctl.h"

int verb_release(const Verb *verb, int argc, char **argv)
{
        return verb_for_each(verb, argc, argv, vfiobroker_release);
}

int verb_reset(const Verb *verb, int argc, char **argv)
{
        return verb_for_each(verb, argc, argv, vfiobroker_reset_device);
}

int verb_unbind(const Verb *verb, int argc, char **argv)
{
        return verb_for_each(verb, argc, argv, vfiobroker_unbind_device);
}

int verb_bind(const Verb *verb, int argc, char **argv)
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        int first, r, code;

        first = verb_arguments(verb, argc, argv, 1, 2, &code);
        if (first < 0)
                return code;

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;

        r = vfiobroker_bind_device(broker, argv[first], first + 1 < argc ? argv[first + 1] : "");
        if (r < 0) {
                (void)ctl_refused(broker, argv[first], r);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

int verb_reload(const Verb *verb, int argc, char **argv)
{
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        int r, code;

        if (verb_arguments(verb, argc, argv, 0, 0, &code) < 0)
                return code;

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;

        r = vfiobroker_reload(broker);
        if (r < 0) {
                (void)ctl_refused(broker, "The old policy stays in force", r);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
