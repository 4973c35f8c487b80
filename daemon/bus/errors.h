/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From what the core answers to D-Bus errors: the one table of both. */

#include <systemd/sd-bus.h>

#include "daemon/core/result.h"

/* "org.vfiobroker1.Error.NoSuchDevice", a standard name for those that have one; NULL for RESULT_OK. */
const char *error_name(Result result);
/* The errno that the name stands for at an sd-bus client (positive). */
int error_errno(Result result);

/* Makes sd-bus translate our names to errnos, in this process. */
int error_register(void);

/* Sets the error of a refusal. Returns the negative errno that a method handler returns. */
int error_set(sd_bus_error *error, const Refusal *refusal);

/* Sets the error of a negative errno: something broke, in the step that the text names. */
int error_set_errno(sd_bus_error *error, int r, const char *step);

/* Either of the two: `r` is a positive Result with its refusal, or a negative errno. */
int error_set_outcome(sd_bus_error *error, int r, const Refusal *refusal, const char *step);
