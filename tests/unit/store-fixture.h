/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The stage of the store's tests: a store in a folder of its own, real files, a lease with something in each field. What
 * the store hands to the broker is caught on the way (the linker's --wrap), so that each field can be seen. */

#include "tests/unit/core-fixture.h"

#include "daemon/state/store.h"

/* The one store of the test. */
typedef struct TheStore {
        Core *core;
        char folder[64];
        Store *store;
        bool real;                    /* the broker gets the records of leases, too */
        int answer;                   /* else what it says of each */
        unsigned n_leases, n_devices; /* that the last store_read_back() gave to the broker */
        LeaseRecord lease;            /* the last one */
        DeviceRecord device;
        unsigned fds;
} TheStore;

extern TheStore the_store;

/* For cmocka; *state is a Core. The teardown checks that no fd is left. */
int store_setup(void **state);
int store_teardown(void **state);

/* Files by their names below the folder, "leases/abc". */
const char *store_path(const char *name); /* good until the next one */
void store_write(const char *name, const char *text, size_t n);
char *store_read(const char *name);     /* the caller frees */
unsigned store_count(const char *name); /* files in that folder */
bool store_exists(const char *name);

/* store_load(). */
int store_read_back(void);

typedef struct StoreSample {
        Tenant tenant;
        Holder holder;
        Container container;
        Device devices[JOB_DEVICES_MAX];
        Lease lease;
} StoreSample;

#define SAMPLE_FILE "leases/cafe00000000"

/* Values at their ends, and text that is out to break out of its line. */
void store_sample(StoreSample *ret, size_t n_devices);
void store_assert_same(const StoreSample *sample, const LeaseRecord *record);
void store_put(const Lease *lease);
