/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files that came from somewhere else, held against the nodes in /dev that they are said to be of. Does not block. */

#include "policy/util.h"

/* Whether the file is an open of that very character device, by its numbers. Thread-safe. */
bool node_is(int fd, const char *path);
