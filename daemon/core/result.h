/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The refusals that a caller must expect, one enum for the whole broker. A function that can refuse returns 0 for
 * success, a positive Result for a refusal (and fills a Refusal in), and a negative errno where something broke.
 * The names are those of org.vfiobroker1.Error.* and of the standard D-Bus errors. */

#include "policy/util.h"

#define REFUSAL_TEXT_MAX 1024

typedef enum Result {
        RESULT_OK = 0,
        RESULT_NO_SUCH_DEVICE,
        RESULT_NO_SUCH_LEASE,
        RESULT_NO_TENANT,
        RESULT_AMBIGUOUS_TENANT,
        RESULT_DENIED_BY_POLICY,
        RESULT_DEVICE_TAKEN,
        RESULT_DEVICE_BUSY_ON_HOST,
        RESULT_GROUP_NOT_VIABLE,
        RESULT_GROUP_SPLIT,
        RESULT_CONTAINER_INCOMPATIBLE,
        RESULT_MEMLOCK_BUDGET_EXCEEDED,
        RESULT_DEVICE_QUOTA_EXCEEDED,
        RESULT_LEASE_QUOTA_EXCEEDED,
        RESULT_RATE_LIMITED,
        RESULT_PROCESS_UNUSABLE,
        RESULT_BACKEND_UNAVAILABLE,
        RESULT_DRIVER_BIND_FAILED,
        RESULT_RESET_FAILED,
        RESULT_QUARANTINED,
        RESULT_POLICY_INVALID,
        RESULT_INVALID_ARGS,
        RESULT_ACCESS_DENIED,
        RESULT_NO_MEMORY,
        RESULT_LIMITS_EXCEEDED,
        _RESULT_MAX,
} Result;

/* A refusal with the text that the person at the other end reads: it names the thing and, where there is one, the
 * fix. A text never names another tenant's lease, process or label. */
typedef struct Refusal {
        Result code;
        char text[REFUSAL_TEXT_MAX];
} Refusal;

/* Fills `ret` in and returns `code`, so that a refusal is one statement: `return refuse(r, RESULT_…, "…", …)`. */
int refuse(Refusal *ret, Result code, const char *format, ...) _printf_(3, 4);

/* "NoSuchDevice" and so on, never NULL; "OK" for RESULT_OK. */
const char *result_to_string(Result result);
