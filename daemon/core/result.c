/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The names of the refusals, and the one function that makes one. Pure, thread-safe. */

#include <stdarg.h>

#include "daemon/core/result.h"

static const char *const result_table[_RESULT_MAX] = {
        [RESULT_OK] = "OK",
        [RESULT_NO_SUCH_DEVICE] = "NoSuchDevice",
        [RESULT_NO_SUCH_LEASE] = "NoSuchLease",
        [RESULT_NO_TENANT] = "NoTenant",
        [RESULT_AMBIGUOUS_TENANT] = "AmbiguousTenant",
        [RESULT_DENIED_BY_POLICY] = "DeniedByPolicy",
        [RESULT_DEVICE_TAKEN] = "DeviceTaken",
        [RESULT_DEVICE_BUSY_ON_HOST] = "DeviceBusyOnHost",
        [RESULT_GROUP_NOT_VIABLE] = "GroupNotViable",
        [RESULT_GROUP_SPLIT] = "GroupSplit",
        [RESULT_CONTAINER_INCOMPATIBLE] = "ContainerIncompatible",
        [RESULT_MEMLOCK_BUDGET_EXCEEDED] = "MemlockBudgetExceeded",
        [RESULT_DEVICE_QUOTA_EXCEEDED] = "DeviceQuotaExceeded",
        [RESULT_LEASE_QUOTA_EXCEEDED] = "LeaseQuotaExceeded",
        [RESULT_RATE_LIMITED] = "RateLimited",
        [RESULT_PROCESS_UNUSABLE] = "ProcessUnusable",
        [RESULT_BACKEND_UNAVAILABLE] = "BackendUnavailable",
        [RESULT_DRIVER_BIND_FAILED] = "DriverBindFailed",
        [RESULT_RESET_FAILED] = "ResetFailed",
        [RESULT_QUARANTINED] = "Quarantined",
        [RESULT_POLICY_INVALID] = "PolicyInvalid",
        [RESULT_INVALID_ARGS] = "InvalidArgs",
        [RESULT_ACCESS_DENIED] = "AccessDenied",
        [RESULT_NO_MEMORY] = "NoMemory",
        [RESULT_LIMITS_EXCEEDED] = "LimitsExceeded",
};

/* Takes the last character away where it was cut in half: that would make the text invalid as UTF-8, and the bus would
 * not send it. */
static void trim_half_character(char *text, size_t n)
{
        size_t start = n, length;
        unsigned char lead;

        while (start > 0 && n - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
                start--;
        if (start == 0)
                return;
        lead = (unsigned char)text[--start];
        length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        if (length > n - start)
                text[start] = 0;
}

int refuse(Refusal *ret, Result code, const char *format, ...)
{
        va_list ap;
        int n;

        ret->code = code;
        va_start(ap, format);
        n = vsnprintf(ret->text, sizeof(ret->text), format, ap);
        va_end(ap);
        if (n >= (int)sizeof(ret->text))
                trim_half_character(ret->text, sizeof(ret->text) - 1);
        return (int)code;
}

const char *result_to_string(Result result)
{
        if (result < 0 || result >= _RESULT_MAX)
                return "Unknown";
        return result_table[result];
}
