/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices by their places in sysfs. First each device becomes a chain of places, from the root of its bus down to itself;
 * chains share what they have in common. Then the places are drawn, with a line for a group where the first device of it
 * comes. Owns its places; the lists are the caller's. */

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>

#include "client-lib/ctl/text.h"
#include "client-lib/ctl/topology.h"

typedef struct Place {
        char *name; /* of a root "pci0000:00", of a PCI device its address, of any other its id */
        const struct vfiobroker_device_entry
                *device;       /* borrowed; NULL for a port that the broker does not list */
        struct Place **places; /* below; by name */
        size_t n_places;
} Place;

static Place *place_free(Place *place)
{
        if (!place)
                return NULL;

        for (size_t i = 0; i < place->n_places; i++)
                place_free(place->places[i]);
        free((void *)place->places);
        free(place->name);
        free(place);
        return NULL;
}

DEFINE_CLEANUP(Place *, place_free)

/* The place of that name below this one, made where there is none. NULL: no memory. */
static Place *place_get(Place *parent, const char *name, size_t length)
{
        _cleanup_(place_freep) Place *place = NULL;
        Place **places;
        size_t i;

        for (i = 0; i < parent->n_places; i++) {
                int order = strncmp(parent->places[i]->name, name, length);

                if (order == 0 && !parent->places[i]->name[length])
                        return parent->places[i];
                if (order >= 0)
                        break;
        }

        place = calloc(1, sizeof(*place));
        if (!place)
                return NULL;
        place->name = strndup(name, length);
        if (!place->name)
                return NULL;

        places = reallocarray((void *)parent->places, parent->n_places + 1, sizeof(Place *));
        if (!places)
                return NULL;
        parent->places = places;
        memmove((void *)(places + i + 1), (void *)(places + i), (parent->n_places - i) * sizeof(Place *));
        parent->n_places++;
        places[i] = place;
        return TAKE_PTR(place);
}

static size_t count_hex(const char *s)
{
        size_t n = 0;

        while (isxdigit((unsigned char)s[n]))
                n++;
        return n;
}

/* "0000:01:00.0"; the first part is longer behind some bridges. */
static bool is_pci_address(const char *s, size_t length)
{
        size_t domain = count_hex(s);

        return domain >= 4 && length == domain + 8 && s[domain] == ':' && count_hex(s + domain + 1) == 2 &&
               s[domain + 3] == ':' && count_hex(s + domain + 4) == 2 && s[domain + 6] == '.' &&
               s[domain + 7] >= '0' && s[domain + 7] <= '7';
}

/* "pci0000:00" */
static bool is_pci_root(const char *s, size_t length)
{
        return length >= 10 && strncmp(s, "pci", 3) == 0 && count_hex(s + 3) == length - 6 &&
               s[length - 3] == ':' && count_hex(s + length - 2) == 2;
}

/* Where sysfs has the device; false where it has not. */
static bool find_path(const Topology *topology, const struct vfiobroker_device_entry *device,
                      char path[static PATH_MAX])
{
        const char *slash = strchr(device->id, '/');
        _cleanup_free_ char *link = NULL;

        if (asprintf(&link, "%s/bus/%s/devices/%s", topology->sysfs, device->bus,
                     slash ? slash + 1 : device->id) < 0) {
                link = NULL;
                return false;
        }
        return realpath(link, path);
}

/* The ports on the way to the device, and the device. */
static int add_device(const Topology *topology, Place *root, const struct vfiobroker_device_entry *device)
{
        char path[PATH_MAX];
        Place *place = root;

        if (find_path(topology, device, path))
                for (const char *s = path, *end; *s && place; s = end) {
                        size_t length;

                        s += strspn(s, "/");
                        end = strchrnul(s, '/');
                        length = (size_t)(end - s);
                        if ((place == root && is_pci_root(s, length)) ||
                            (place != root && is_pci_address(s, length)))
                                place = place_get(place, s, length);
                }

        /* What is on no PCI bus is below the name of its own. */
        if (place == root)
                place = place_get(place, device->bus, strlen(device->bus));
        if (place && !streq(place->name, device->id))
                place = place_get(place, device->id, strlen(device->id));
        if (!place)
                return -ENOMEM;
        place->device = device;
        return 0;
}

/* What a port is called, by its driver: PCIe ports have pcieport. */
static const char *port_word(const Topology *topology, const char *address, bool top)
{
        _cleanup_free_ char *link = NULL;
        char driver[PATH_MAX];
        bool pcie;
        ssize_t n;

        if (asprintf(&link, "%s/bus/pci/devices/%s/driver", topology->sysfs, address) < 0) {
                link = NULL;
                return "bridge";
        }
        n = readlink(link, driver, sizeof(driver));
        pcie = n >= 9 && memcmp(driver + n - 9, "/pcieport", 9) == 0;
        return !pcie ? "bridge" : top ? "root port" : "switch port";
}

static const struct vfiobroker_group_entry *find_group(const Topology *topology, int64_t number)
{
        for (size_t i = 0; i < topology->groups->n; i++)
                if (topology->groups->groups[i]->number == number)
                        return topology->groups->groups[i];
        return NULL;
}

static size_t count_members(const Topology *topology, int64_t group)
{
        size_t n = 0;

        for (size_t i = 0; i < topology->devices->n; i++)
                n += topology->devices->devices[i]->group == group;
        return n;
}

static bool is_lease(const Topology *topology, const char *id)
{
        for (size_t i = 0; i < topology->leases->n; i++)
                if (streq(topology->leases->leases[i]->id, id))
                        return true;
        return false;
}

static DrawNode *draw_group(const Topology *topology, DrawNode *parent, int64_t number)
{
        const struct vfiobroker_group_entry *group = find_group(topology, number);
        const char *container;
        bool shared;

        if (!group)
                return draw_add(parent, "group %" PRIi64, number);

        /* A private container has the name of its lease, which is shown anyway. What keeps a device that is alone in its
         * group is its own driver, and that is, too. */
        container = is_lease(topology, group->container) ? "" : group->container;
        shared = group->devices[0] && group->devices[1];
        return draw_add(parent, "group %" PRIi64 "%s%s%s%s%s", number, *group->tenant ? "  tenant " : "",
                        group->tenant, *container ? "  container " : "", container,
                        group->viable || !shared ? "" : "  not viable");
}

static int draw_lease(const Topology *topology, DrawNode *parent, const char *id)
{
        for (size_t i = 0; i < topology->leases->n; i++) {
                const struct vfiobroker_lease_entry *lease = topology->leases->leases[i];

                if (streq(lease->id, id))
                        return draw_add(parent, "lease %s  %s  pid %" PRIu32 "  %s%s%s", id, lease->tenant,
                                        lease->pid, lease->backend, *lease->label ? "  " : "", lease->label)
                                       ? 0
                                       : -ENOMEM;
        }
        return draw_add(parent, "lease %s", id) ? 0 : -ENOMEM;
}

static DrawNode *draw_device(DrawNode *parent, const struct vfiobroker_device_entry *device)
{
        return draw_add(parent, "%s  %s  %s%s%s", device->id, device->state,
                        *device->driver ? device->driver : "no driver", *device->description ? "  " : "",
                        device->description);
}

/* Lines for the groups that were begun below one parent. */
typedef struct GroupLines {
        struct {
                int64_t number;
                DrawNode *node;
        } * lines;
        size_t n;
} GroupLines;

static DrawNode *group_line(const Topology *topology, GroupLines *groups, DrawNode *parent, int64_t number)
{
        void *lines;

        for (size_t i = 0; i < groups->n; i++)
                if (groups->lines[i].number == number)
                        return groups->lines[i].node;

        lines = reallocarray(groups->lines, groups->n + 1, sizeof(*groups->lines));
        if (!lines)
                return NULL;
        groups->lines = lines;
        groups->lines[groups->n].number = number;
        groups->lines[groups->n].node = draw_group(topology, parent, number);
        return groups->lines[groups->n++].node;
}

/* What is below a mediated device's parent is no PCI device. */
static bool is_port(const Place *place)
{
        return place->n_places > 0 && is_pci_address(place->places[0]->name, strlen(place->places[0]->name));
}

/* The line of a place; `group` is the one that its parent's line is in, and becomes its own. */
static DrawNode *draw_place(const Topology *topology, const Place *place, GroupLines *groups,
                            DrawNode *parent, int64_t *group, bool top)
{
        const struct vfiobroker_device_entry *device = place->device;

        if (!device)
                return draw_add(parent, "%s %s", port_word(topology, place->name, top), place->name);

        /* A port that is alone in its group: one line for both. */
        if (is_port(place) && (device->group < 0 || count_members(topology, device->group) == 1)) {
                const char *word = port_word(topology, place->name, top);

                *group = device->group;
                return device->group < 0
                               ? draw_add(parent, "%s %s", word, place->name)
                               : draw_add(parent, "%s %s  group %" PRIi64, word, place->name, device->group);
        }

        if (device->group >= 0 && device->group != *group) {
                *group = device->group;
                parent = group_line(topology, groups, parent, device->group);
        }
        return parent ? draw_device(parent, device) : NULL;
}

static int draw_places(const Topology *topology, const Place *above, DrawNode *parent, int64_t group,
                       bool top)
{
        GroupLines groups = { .n = 0 };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < above->n_places; i++) {
                const Place *place = above->places[i];
                int64_t own = group;
                DrawNode *node;

                node = draw_place(topology, place, &groups, parent, &own, top);
                if (!node)
                        r = -ENOMEM;
                if (r >= 0 && place->device && *place->device->lease)
                        r = draw_lease(topology, node, place->device->lease);
                if (r >= 0)
                        r = draw_places(topology, place, node, own, false);
        }
        free(groups.lines);
        return r;
}

int topology_draw(const Topology *topology, DrawNode **ret)
{
        _cleanup_(draw_freep) DrawNode *tree = draw_new();
        Place root = { .name = NULL };
        int r = tree ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < topology->devices->n; i++)
                r = add_device(topology, &root, topology->devices->devices[i]);

        for (size_t i = 0; r >= 0 && i < root.n_places; i++) {
                DrawNode *node = draw_add(tree, "%s", root.places[i]->name);

                r = node ? draw_places(topology, root.places[i], node, -1, true) : -ENOMEM;
        }

        for (size_t i = 0; i < root.n_places; i++)
                place_free(root.places[i]);
        free((void *)root.places);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(tree);
        return 0;
}
