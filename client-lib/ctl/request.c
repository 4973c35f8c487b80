/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The devices and options of a request, from the command lines of `check` and `exec`. */

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/request.h"
#include "client-lib/ctl/text.h"

int request_option(Request *request, int option, const char *value)
{
        int r;

        switch (option) {
        case 't': request->options.tenant = value; return 0;
        case 'b': request->options.backend = value; return 0;
        case 'c': request->options.container = value; return 0;
        case 'm':
                r = parse_size(value, &request->options.memlock);
                if (r < 0)
                        ctl_error("Not a number of bytes, with K, M, G or T or without: %s", value);
                return r < 0 ? -EINVAL : 0;
        default: return -EINVAL;
        }
}

int request_add_device(Request *request, const char *device)
{
        const char **devices = reallocarray(request->devices, request->n_devices + 2, sizeof(char *));

        if (!devices)
                return -ENOMEM;
        request->devices = devices;
        request->devices[request->n_devices++] = device;
        request->devices[request->n_devices] = NULL;
        return 0;
}

void request_done(Request *request)
{
        free(request->devices);
        request->devices = NULL;
        request->n_devices = 0;
}
