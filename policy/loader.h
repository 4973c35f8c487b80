/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The steps of loading a policy, between the files of this folder: policy-file.c reads the texts, ini-scan.c
 * takes them apart, policy-keys.c makes values of the words, policy-check.c looks at the whole. */

#include "policy/ini-scan.h"
#include "policy/policy-file.h"

/* Fills the policy from the sections of all files; a later file overrides an earlier one key by key. What is
 * wrong is added to `errors`. Returns 0 also then, or -ENOMEM. */
int policy_apply(Policy *policy, const IniFile *files, size_t n_files, PolicyErrors *errors);

/* What only the whole can tell: pools, backends, tenants against each other. Returns as policy_apply(). */
int policy_check(Policy *policy, PolicyErrors *errors);
