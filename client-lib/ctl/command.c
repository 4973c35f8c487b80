/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* COMMAND of `vfiobrokerctl exec`. One function reads a placeholder, and both the scan before a lease is
 * asked for and the replacement after it use that function, so they cannot disagree. */

#include <fcntl.h>
#include <sys/stat.h>

#include "client-lib/ctl/command.h"

typedef enum TokenType {
        TOKEN_TEXT,    /* one character */
        TOKEN_LITERAL, /* what "{{name}" stands for: all but its first character */
        TOKEN_IOMMUFD,
        TOKEN_DEVICE,
        TOKEN_UNKNOWN,
} TokenType;

typedef struct Token {
        TokenType type;
        size_t size;  /* characters that it takes */
        size_t index; /* of a device */
} Token;

static bool is_small(char c)
{
        return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_argument(char c)
{
        return is_small(c) || is_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* Whether s begins with {name} or {name:argument}; says where the parts end. */
static bool match_braces(const char *s, size_t *ret_name_end, size_t *ret_end)
{
        size_t i = 1;

        if (s[0] != '{' || !is_small(s[i]))
                return false;

        while (is_small(s[i]))
                i++;
        *ret_name_end = i;

        if (s[i] == ':')
                for (i++; is_argument(s[i]);)
                        i++;
        if (s[i] != '}')
                return false;
        *ret_end = i;
        return true;
}

/* Decimal, no leading zeros but "0" itself. */
static bool read_index(const char *s, size_t n, size_t *ret)
{
        size_t value = 0;

        if (n == 0 || n > 4 || (n > 1 && s[0] == '0'))
                return false;

        for (size_t i = 0; i < n; i++) {
                if (!is_digit(s[i]))
                        return false;
                value = value * 10 + (size_t)(s[i] - '0');
        }
        *ret = value;
        return true;
}

static Token read_token(const char *s)
{
        Token token = { .type = TOKEN_TEXT, .size = 1 };
        size_t name_end, end;

        if (s[0] == '{' && match_braces(s + 1, &name_end, &end))
                return (Token){ .type = TOKEN_LITERAL, .size = end + 2 };

        if (!match_braces(s, &name_end, &end))
                return token;

        token.type = TOKEN_UNKNOWN;
        token.size = end + 1;
        if (name_end == 8 && strncmp(s, "{iommufd", 8) == 0 && end == name_end)
                token.type = TOKEN_IOMMUFD;
        if (name_end == 7 && strncmp(s, "{device", 7) == 0 &&
            (end == name_end || read_index(s + name_end + 1, end - name_end - 1, &token.index)))
                token.type = TOKEN_DEVICE;
        return token;
}

int command_scan(const char *const *command, CommandNeeds *ret, char **ret_error)
{
        CommandNeeds needs = { .iommufd = false };

        for (; *command; command++) {
                Token token;

                for (const char *s = *command; *s; s += token.size) {
                        token = read_token(s);
                        if (token.type == TOKEN_IOMMUFD)
                                needs.iommufd = true;
                        if (token.type == TOKEN_DEVICE && token.index >= needs.n_devices)
                                needs.n_devices = token.index + 1;
                        if (token.type == TOKEN_UNKNOWN) {
                                if (asprintf(ret_error,
                                             "There is no placeholder '%.*s', only {iommufd}, {device} and "
                                             "{device:N}; write '{%.*s' for the text",
                                             (int)token.size, s, (int)token.size, s) < 0)
                                        return -ENOMEM;
                                return -EINVAL;
                        }
                }
        }

        *ret = needs;
        return 0;
}

/* The fd that a placeholder stands for, marked as used; -ENOENT where the lease has none. */
static int token_fd(const Token *token, CommandFds *fds)
{
        if (token->type == TOKEN_IOMMUFD) {
                if (fds->iommufd < 0)
                        return -ENOENT;
                fds->iommufd_used = true;
                return fds->iommufd;
        }

        if (token->index >= fds->n_devices)
                return -ENOENT;
        fds->devices_used[token->index] = true;
        return fds->devices[token->index];
}

static int expand(const char *argument, CommandFds *fds, char **ret)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_(fclosep) FILE *f = NULL;
        size_t size;
        Token token;
        bool failed;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;

        for (const char *s = argument; *s; s += token.size) {
                int fd;

                token = read_token(s);
                switch (token.type) {
                case TOKEN_TEXT: (void)fputc(*s, f); break;
                case TOKEN_LITERAL: (void)fwrite(s + 1, 1, token.size - 1, f); break;
                case TOKEN_IOMMUFD:
                case TOKEN_DEVICE:
                        fd = token_fd(&token, fds);
                        if (fd < 0)
                                return fd;
                        (void)fprintf(f, "%d", fd);
                        break;
                case TOKEN_UNKNOWN: return -EINVAL;
                }
        }

        /* `text` is the stream's until it is closed. */
        failed = ferror(f) != 0;
        if (fclose(TAKE_PTR(f)) != 0 || failed)
                return -ENOMEM;
        *ret = TAKE_PTR(text);
        return 0;
}

/* Fills `argv` with four arguments for the iommufd and the first device, and two for each more. */
static int append_qemu(CommandFds *fds, char **argv)
{
        size_t n = 0;

        if (fds->iommufd < 0 || fds->n_devices == 0)
                return -ENOENT;

        argv[n++] = strdup("-object");
        fds->iommufd_used = true;
        if (asprintf(&argv[n++], "iommufd,id=iommufd0,fd=%d", fds->iommufd) < 0)
                return -ENOMEM;

        for (size_t i = 0; i < fds->n_devices; i++) {
                argv[n++] = strdup("-device");
                fds->devices_used[i] = true;
                if (asprintf(&argv[n++], "vfio-pci,id=hostdev%zu,fd=%d,iommufd=iommufd0", i,
                             fds->devices[i]) < 0)
                        return -ENOMEM;
        }

        for (size_t i = 0; i < n; i++)
                if (!argv[i])
                        return -ENOMEM;
        return 0;
}

int command_build(const char *const *command, CommandFds *fds, bool qemu, char ***ret)
{
        _cleanup_(command_freep) char **argv = NULL;
        size_t n = 0;
        int r;

        while (command[n])
                n++;

        argv = calloc(n + 2 + 2 * fds->n_devices + 1, sizeof(char *));
        if (!argv)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                r = expand(command[i], fds, &argv[i]);
                if (r < 0)
                        return r;
        }

        if (qemu) {
                r = append_qemu(fds, argv + n);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(argv);
        return 0;
}

char **command_free(char **command)
{
        if (command)
                for (size_t i = 0; command[i]; i++)
                        free(command[i]);
        free(command);
        return NULL;
}

static int try_file(const char *file)
{
        struct stat st;

        if (stat(file, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? -ENOENT : -EACCES;
        if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, file, X_OK, AT_EACCESS) < 0)
                return -EACCES;
        return 0;
}

int command_find(const char *name, const char *path)
{
        int result = -ENOENT;

        if (!*name)
                return -ENOENT;
        if (strchr(name, '/'))
                return try_file(name);
        if (!path)
                path = "/bin:/usr/bin";

        for (;;) {
                _cleanup_free_ char *file = NULL;
                size_t n = strcspn(path, ":");
                int r;

                /* An empty element is the current folder. */
                if (asprintf(&file, "%.*s%s%s", (int)n, path, n > 0 ? "/" : "", name) < 0)
                        return -ENOMEM;

                r = try_file(file);
                if (r >= 0)
                        return 0;
                if (r == -EACCES)
                        result = r;

                if (!path[n])
                        return result;
                path += n + 1;
        }
}

bool command_count_devices(const char *const *devices, size_t *ret)
{
        bool exact = true;
        size_t n = 0;

        for (; *devices; devices++) {
                const char *count = strncmp(*devices, "pool:", 5) == 0 ? strrchr(*devices, '*') : NULL;
                size_t k = 1;

                if (strncmp(*devices, "group:", 6) == 0)
                        exact = false;
                if (count && (!read_index(count + 1, strlen(count + 1), &k) || k == 0)) {
                        /* The broker will say what it makes of this one. */
                        exact = false;
                        k = 1;
                }
                n += k;
        }

        *ret = n;
        return exact;
}
