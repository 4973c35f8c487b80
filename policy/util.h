/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every layer uses and no library gives: cleanup attributes, the moving of fds and pointers, and string
 * comparisons that take NULL. It lives in the lowest layer so that each one above may include it. Header only;
 * nothing here allocates, logs or touches the machine. Thread-safe. */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_       __attribute__((unused))
#define _warn_unused_  __attribute__((warn_unused_result))
#define ELEMENTSOF(x)  (sizeof(x) / sizeof((x)[0]))
#define USEC_PER_SEC   UINT64_C(1000000)
#define USEC_PER_MSEC  UINT64_C(1000)
#define USEC_INFINITY  UINT64_MAX

/* Whether a call failed for a reason that says nothing of what it was asked about: something is short, or it was cut off,
 * or could not be read. Who takes that for "there is none" decides on what he does not know. Either sign. */
static inline bool errno_is_trouble(int error)
{
        switch (error < 0 ? -error : error) {
        case EIO:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
        case ENOSPC:
        case ENOBUFS:
        case EINTR:
        case EAGAIN: return true;
        default: return false;
        }
}

/* What `call` gives, 0 or more or a negative errno, made up to three times as long as that is trouble: for what nobody else would do
 * if it failed, so that what was short gets the chance not to be so any more. */
#define TRY_AGAIN(call)                                                                                     \
        ({                                                                                                  \
                unsigned _tries = 0;                                                                        \
                int _r;                                                                                     \
                do                                                                                          \
                        _r = (call);                                                                        \
                while (_r < 0 && errno_is_trouble(_r) && ++_tries < 3);                                     \
                _r;                                                                                         \
        })

/* The errno of a call that gives -1 where it fails, for TRY_AGAIN() and the like: its result, or -errno. */
#define OR_ERRNO(call)                                                                                      \
        ({                                                                                                  \
                int _result = (call);                                                                       \
                _result < 0 ? -errno : _result;                                                             \
        })

/* Moves a pointer out of its variable, which is NULL afterwards. */
#define TAKE_PTR(p)                                                                                         \
        ({                                                                                                  \
                typeof(p) *_pp = &(p);                                                                      \
                typeof(p) _taken = *_pp;                                                                    \
                *_pp = NULL;                                                                                \
                _taken;                                                                                     \
        })

/* Moves an fd out of its variable, which is -EBADF afterwards. */
#define TAKE_FD(fd)                                                                                         \
        ({                                                                                                  \
                int *_fdp = &(fd);                                                                          \
                int _taken = *_fdp;                                                                         \
                *_fdp = -EBADF;                                                                             \
                _taken;                                                                                     \
        })

/* Closes fd where it is one, keeps errno, and returns -EBADF for the variable: `fd = safe_close(fd)`. */
static inline int safe_close(int fd)
{
        if (fd >= 0) {
                int saved = errno;

                (void)close(fd);
                errno = saved;
        }
        return -EBADF;
}

static inline void closep(int *fd)
{
        *fd = safe_close(*fd);
}

static inline void freep(void *p)
{
        free(*(void **)p);
}

static inline void fclosep(FILE **f)
{
        if (*f)
                (void)fclose(*f);
}

static inline void closedirp(DIR **dir)
{
        if (*dir)
                (void)closedir(*dir);
}

#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_free_  _cleanup_(freep)

/* For `_cleanup_(x_freep)`: calls `func` on the variable's pointer where it is not NULL. */
#define DEFINE_CLEANUP(type, func)                                                                          \
        static inline void func##p(type *p)                                                                 \
        {                                                                                                   \
                if (*p)                                                                                     \
                        func(*p);                                                                           \
        }

static inline bool streq(const char *a, const char *b)
{
        return strcmp(a, b) == 0;
}

/* As streq, where either may be NULL: NULL equals NULL only. */
static inline bool streq_ptr(const char *a, const char *b)
{
        if (!a || !b)
                return a == b;
        return streq(a, b);
}

static inline const char *strempty(const char *s)
{
        return s ? s : "";
}
