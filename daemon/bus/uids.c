/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One small row for each uid that has called lately. The rate is a bucket kept as a single time: each call moves `full`,
 * when the bucket will be full again, one step into the future, and a call that would move it past one interval from now
 * is refused. So a burst of `count` calls is fine, and then one call for each interval / count. A row whose bucket is
 * full and that awaits nothing says nothing and is dropped when room is needed. Event loop only. */

#include <uthash.h>

#include "daemon/bus/uids.h"

typedef struct UidRow {
        uid_t uid;
        uint64_t full; /* monotonic, microseconds */
        unsigned n_calls;
        UT_hash_handle hh;
} UidRow;

struct Uids {
        UidRow *rows;
};

int uids_new(Uids **ret)
{
        Uids *uids = calloc(1, sizeof(*uids));

        if (!uids)
                return -ENOMEM;
        *ret = uids;
        return 0;
}

Uids *uids_free(Uids *uids)
{
        UidRow *row, *next;

        if (!uids)
                return NULL;
        HASH_ITER(hh, uids->rows, row, next) {
                HASH_DEL(uids->rows, row);
                free(row);
        }
        free(uids);
        return NULL;
}

static void drop_idle(Uids *uids, uint64_t now)
{
        UidRow *row, *next;

        HASH_ITER(hh, uids->rows, row, next)
                if (row->n_calls == 0 && row->full <= now) {
                        HASH_DEL(uids->rows, row);
                        free(row);
                }
}

static int get_row(Uids *uids, uid_t uid, uint64_t now, Refusal *refusal, UidRow **ret)
{
        UidRow *row;

        HASH_FIND(hh, uids->rows, &uid, sizeof(uid), row);
        if (!row) {
                if (HASH_COUNT(uids->rows) >= UIDS_MAX)
                        drop_idle(uids, now);
                if (HASH_COUNT(uids->rows) >= UIDS_MAX)
                        return refuse(refusal, RESULT_LIMITS_EXCEEDED,
                                      "%u users call the broker at this moment, its limit; try again.",
                                      UIDS_MAX);
                row = calloc(1, sizeof(*row));
                if (!row)
                        return -ENOMEM;
                row->uid = uid;
                HASH_ADD(hh, uids->rows, uid, sizeof(row->uid), row);
                if (!row->hh.tbl) {
                        free(row);
                        return -ENOMEM;
                }
        }
        *ret = row;
        return 0;
}

int uids_take(Uids *uids, uid_t uid, unsigned count, uint64_t interval, uint64_t now, Refusal *refusal)
{
        UidRow *row;
        uint64_t step, full;
        int r;

        if (count == 0 || interval == 0)
                return 0;

        r = get_row(uids, uid, now, refusal, &row);
        if (r != 0)
                return r;

        step = interval / count;
        if (row->full < now)
                row->full = now;
        else if (row->full > now + interval)
                row->full = now + interval; /* of a policy that counted longer */
        full = row->full + step;
        if (full > now + interval)
                return refuse(
                        refusal, RESULT_RATE_LIMITED,
                        "User %u has called Acquire %u times within %.3g s, the policy's rate; try again in "
                        "%.3g s.",
                        (unsigned)uid, count, (double)interval / USEC_PER_SEC,
                        (double)(full - now - interval) / USEC_PER_SEC);
        row->full = full;
        return 0;
}

int uids_call_begin(Uids *uids, uid_t uid, uint64_t now, Refusal *refusal)
{
        UidRow *row;
        int r;

        r = get_row(uids, uid, now, refusal, &row);
        if (r != 0)
                return r;

        if (row->n_calls >= CALLS_UID_MAX)
                return refuse(
                        refusal, RESULT_RATE_LIMITED,
                        "User %u awaits %u answers of the broker already, the limit; try again after one.",
                        (unsigned)uid, row->n_calls);
        row->n_calls++;
        return 0;
}

void uids_call_end(Uids *uids, uid_t uid)
{
        UidRow *row;

        HASH_FIND(hh, uids->rows, &uid, sizeof(uid), row);
        if (row && row->n_calls > 0)
                row->n_calls--;
}

unsigned uids_count(const Uids *uids)
{
        return HASH_COUNT(uids->rows);
}
