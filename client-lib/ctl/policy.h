/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The policy from its files, for the verbs that decide without the broker. */

#include "policy/policy-file.h"

/* The files given, or where there are none those that the broker reads. What is wrong with them is printed to `f`, a
 * line for each error and warning. 0, -EINVAL where there is an error, or another negative errno, which has been told. */
int ctl_load_policy(char *const *files, size_t n_files, unsigned flags, FILE *f, Policy **ret);
