/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an interface of this network namespace is for, asked of the kernel by rtnetlink: its addresses and the routes over
 * it. Reading only, which needs no capability. Does not block. 1 where there is one, with it as text; 0 where there is
 * none; -errno. */

#include "policy/util.h"

#define ROUTE_TEXT_MAX 64 /* an IPv6 prefix */

/* "192.0.2.1/24". Link-local addresses do not count: every interface that is up has one. */
int route_address(unsigned ifindex, char ret[static ROUTE_TEXT_MAX]);

/* "198.51.100.0/24", "default": a unicast route that somebody set, or that comes with an address. */
int route_over(unsigned ifindex, char ret[static ROUTE_TEXT_MAX]);
