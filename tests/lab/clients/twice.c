/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tenant twice DEVICE: the same process asks twice for the same device. The second time must be refused and
 * must not harm the first, which then works and ends exactly once. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenant.h"
#include "vfio-client.h"

int tenant_twice(int argc, char **argv)
{
        const char *const devices[] = { argv[1], NULL };
        struct vfiobroker_lease *second;
        Client client;
        char *id;
        int r;

        (void)argc;
        client_open(&client);
        client_acquire(&client, devices, UINT64_MAX);
        ok("first");

        r = vfiobroker_acquire(client.broker, devices, NULL, &second);
        if (r >= 0)
                die(0, "second: granted");
        ok("second: %s (%s)", vfiobroker_last_error(client.broker)->name, strerrorname_np(-r));

        client_bind(&client);
        client_map_bar(&client.devices[0]);
        ok("the first works: register 0 is %#x", read32(&client.devices[0], 0));

        id = strdup(vfiobroker_lease_id(client.lease));
        if (!id)
                die(ENOMEM, "allocate");
        client_release(&client);
        ok("release");

        r = vfiobroker_release(client.broker, id);
        if (r >= 0)
                die(0, "second release: it was there to end again");
        ok("second release: %s (%s)", vfiobroker_last_error(client.broker)->name, strerrorname_np(-r));

        free(id);
        client_done(&client);
        return EXIT_SUCCESS;
}
