/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfiobrokerctl tree: what is plugged in where, and who has it, drawn. */

#include <langinfo.h>
#include <locale.h>

#include "client-lib/ctl/ctl.h"
#include "client-lib/ctl/text.h"
#include "client-lib/ctl/topology.h"

static bool is_unicode(void)
{
        return setlocale(LC_CTYPE, "") && streq(nl_langinfo(CODESET), "UTF-8");
}

int verb_tree(const Verb *verb, int argc, char **argv)
{
        _cleanup_(vfiobroker_device_list_freep) struct vfiobroker_device_list *devices = NULL;
        _cleanup_(vfiobroker_group_list_freep) struct vfiobroker_group_list *groups = NULL;
        _cleanup_(vfiobroker_lease_list_freep) struct vfiobroker_lease_list *leases = NULL;
        _cleanup_(vfiobroker_closep) struct vfiobroker *broker = NULL;
        _cleanup_(draw_freep) DrawNode *tree = NULL;
        int r, code;

        if (verb_arguments(verb, argc, argv, 0, 0, &code) < 0)
                return code;

        r = ctl_open(&broker);
        if (r < 0)
                return EXIT_FAILURE;

        r = vfiobroker_list_devices(broker, &devices);
        if (r >= 0)
                r = vfiobroker_list_groups(broker, &groups);
        if (r >= 0)
                r = vfiobroker_list_leases(broker, &leases);
        if (r >= 0)
                r = topology_draw(&(Topology){ "/sys", devices, groups, leases }, &tree);
        if (r >= 0)
                r = draw_print(tree, stdout, is_unicode(), terminal_width(stdout));
        if (r < 0) {
                (void)ctl_refused(broker, "Cannot draw", r);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
