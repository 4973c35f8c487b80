/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where in the policy something was said. The name is owned by the policy. */
typedef struct PolicyWhere {
        const char *file; /* NULL where it is a built-in default */
        unsigned line;    /* 0: the file as a whole */
} PolicyWhere;
