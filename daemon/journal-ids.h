/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The MESSAGE_IDs of the journal's entries, one for each kind of event, for good: people match on them, and
 * systemd/vfiobroker.catalog explains each. Made once with systemd-id128 new. */

#define MESSAGE_ID_GRANTED     "98a7527200dd46b2b97163d967d60ea8"
#define MESSAGE_ID_REFUSED     "17a365e11dd34313b32670346bca413b"
#define MESSAGE_ID_ENDED       "a150c0eaa4e84d2a906c7fba367e0f74"
#define MESSAGE_ID_RECLAIMED   "613285a20ade457e86a5db8b982094c9"
#define MESSAGE_ID_STUCK       "a469bba5bf79409bbce73d0984720c54"
#define MESSAGE_ID_QUARANTINED "f3834f9343ad45dfa37dc1b25f095709"
#define MESSAGE_ID_RECOVERED   "2aac88b82afd457996df78233a983898"
#define MESSAGE_ID_REVOKED     "b8b438f661c04f47b00c37881752108c"
#define MESSAGE_ID_NOT_COVERED "4ee57e74d649433f979678b4fc1af5bf"
#define MESSAGE_ID_TROUBLE     "0bdfc0379b1b42d494501b9af5cdebfc"
#define MESSAGE_ID_POLICY      "5a16779c6a704ce4a266e5db443b11d3"
