/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which driver has a device, and giving it to another, through sysfs: driver_override and drivers_probe, never new_id,
 * which claims sibling devices too. Called in workers only: unbind and probe can block for as long as somebody has the
 * device open. Functions return 0 or a negative errno; `ret_text`, of REASON_MAX bytes, says what was tried. */

#include "daemon/core/host.h"

/* "" where no driver has it. `name` is the kernel's name on its bus. */
int driver_current(const char *bus, const char *name, char ret[static DRIVER_NAME_MAX], bool *ret_is_vfio);

/* Whether any driver has the device at that path in sysfs: 1, 0, or -ENODEV where there is no such device; any other -errno
 * where it cannot be told. No link is there
 * any more from the moment that a driver is taken away: before the kernel waits for whoever has the device open
 * (__device_release_driver() in drivers/base/dd.c, Linux 6.12 and 6.1). Blocks never: the loop may ask it. */
int driver_has(const char *path);

/* Only what is known not to be there does not exist. */
bool driver_device_exists(const char *bus, const char *name);

/* Of a device that has no driver: waits, uninterruptibly, where somebody is taking `driver` away from it just now. For the
 * driver's `unbind` takes a device that is still the driver's own, whatever the link says, and waits for the device's
 * lock (unbind_store() in drivers/base/bus.c, Linux 6.12 and 6.1). Else it does nothing. -errno where it could not be
 * asked, so that nothing was waited for. */
int driver_await_release(const char *bus, const char *name, const char *driver, char *ret_text);

/* The device's driver_override, "" for none. -ENOENT where its bus has none. */
int driver_read_override(const char *bus, const char *name, char ret[static DRIVER_NAME_MAX]);

/* Whether a driver of that name is loaded, or built in. */
bool driver_exists(const char *bus, const char *driver);

/* The name that the driver of a module has on the bus. The module tells once it is loaded (or built in), even where the two
 * are spelled in different ways; until then the kernel's habit is taken: as the module, but `vfio-pci`. */
void driver_of_module(const char *bus, const char *module, char ret[static DRIVER_NAME_MAX]);

/* Makes `driver` the device's driver, whatever has it now; the override stays set. Where it is the driver already,
 * nothing is touched. */
int driver_bind(const char *bus, const char *name, const char *driver, char *ret_text);

/* Takes it from its driver, if it has one; the override stays as it is. */
int driver_unbind(const char *bus, const char *name, char *ret_text);

/* Unbinds the device from `driver` and binds it to the same again; the override is afterwards as it was. */
int driver_rebind(const char *bus, const char *name, const char *driver, char *ret_text);

/* Binds `driver` ("" = none) and sets the override ("" = none), both as they were before driver_bind(). The override is set
 * even where the driver does not take the device back. */
int driver_restore(const char *bus, const char *name, const char *driver, const char *override,
                   char *ret_text);

/* Reads a number from, or writes a text into, an attribute of the device. */
int driver_read_number(const char *bus, const char *name, const char *attribute, unsigned *ret,
                       char *ret_text);
int driver_write(const char *bus, const char *name, const char *attribute, const char *value,
                 char *ret_text);

/* Resets the device through its `reset` attribute, by the kernel's best method. -ENOENT where it has no such attribute. */
int driver_reset_device(const char *bus, const char *name, char *ret_text);
