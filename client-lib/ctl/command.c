/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* COMMAND of `vfiobrokerctl exec`. One function reads a placeholder, and both the scan before a lease is
 * asked for and the replacement after it use that function, so they cannot disagree. */

#include <fcntl.h>
#include <sys/stat.h>

#include "client-lib/ctl/command.h"

typedef enum TokenType {
        TOKEN_TEXT,    /* one character */
        TOKEN_LITERAL, /* what "{{name}" stands for: all but its first character */
        TOKEN_FD,
        TOKEN_UNKNOWN,
} TokenType;

typedef struct Token {
        TokenType type;
        size_t size; /* characters that it takes */
        enum vfiobroker_fd_kind kind;
        size_t index; /* of that kind */
} Token;

static const struct {
        const char *name;
        bool many; /* may have an index */
} kinds[COMMAND_KINDS] = {
        [VFIOBROKER_FD_IOMMUFD] = { "iommufd", false },
        [VFIOBROKER_FD_CONTAINER] = { "container", false },
        [VFIOBROKER_FD_GROUP] = { "group", true },
        [VFIOBROKER_FD_DEVICE] = { "device", true },
};

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

/* What stands between the braces: [name, name_end) and, after a colon, up to end. */
static bool read_kind(const char *name, size_t name_end, size_t end, Token *token)
{
        for (size_t i = VFIOBROKER_FD_IOMMUFD; i < COMMAND_KINDS; i++) {
                if (strlen(kinds[i].name) != name_end || strncmp(name, kinds[i].name, name_end) != 0)
                        continue;
                token->kind = (enum vfiobroker_fd_kind)i;
                return end == name_end ||
                       (kinds[i].many && read_index(name + name_end + 1, end - name_end - 1, &token->index));
        }
        return false;
}

static Token read_token(const char *s)
{
        Token token = { .type = TOKEN_TEXT, .size = 1 };
        size_t name_end, end;

        if (s[0] == '{' && match_braces(s + 1, &name_end, &end))
                return (Token){ .type = TOKEN_LITERAL, .size = end + 2 };

        if (!match_braces(s, &name_end, &end))
                return token;

        token.size = end + 1;
        token.type = read_kind(s + 1, name_end - 1, end - 1, &token) ? TOKEN_FD : TOKEN_UNKNOWN;
        return token;
}

int command_scan(const char *const *command, CommandNeeds *ret, char **ret_error)
{
        CommandNeeds needs = { .n = { 0 } };

        for (; *command; command++) {
                Token token;

                for (const char *s = *command; *s; s += token.size) {
                        token = read_token(s);
                        if (token.type == TOKEN_FD && token.index >= needs.n[token.kind])
                                needs.n[token.kind] = token.index + 1;
                        if (token.type == TOKEN_UNKNOWN) {
                                if (asprintf(
                                            ret_error,
                                            "There is no placeholder '%.*s', only {iommufd}, {container}, "
                                            "{group}, {group:N}, {device} and {device:N}; write '{%.*s' for "
                                            "the text",
                                            (int)token.size, s, (int)token.size, s) < 0)
                                        return -ENOMEM;
                                return -EINVAL;
                        }
                }
        }

        *ret = needs;
        return 0;
}

static int refuse(char **ret_error, const char *text)
{
        *ret_error = strdup(text);
        return *ret_error ? -EINVAL : -ENOMEM;
}

int command_backend(const CommandNeeds *needs, bool qemu, const char *asked, const char **ret,
                    char **ret_error)
{
        bool iommufd = needs->n[VFIOBROKER_FD_IOMMUFD] > 0;
        bool group = needs->n[VFIOBROKER_FD_CONTAINER] > 0 || needs->n[VFIOBROKER_FD_GROUP] > 0;

        if (qemu && (group || (asked && streq(asked, "group"))))
                return refuse(
                        ret_error,
                        "QEMU takes the fds of the backend iommufd only; for the backend group it opens "
                        "/dev/vfio itself. Leave --backend group, {container} and {group} out; on a "
                        "kernel without iommufd use a program that takes these fds");
        if (iommufd && group)
                return refuse(ret_error,
                              "A lease has the backend iommufd, with {iommufd}, or the backend group, "
                              "with {container} and {group}: use those of one");
        if (iommufd && asked && streq(asked, "group"))
                return refuse(ret_error, "With --backend group there is no {iommufd} but a {container}");
        if (group && asked && streq(asked, "iommufd"))
                return refuse(ret_error, "With --backend iommufd there is no {container} nor {group} but an "
                                         "{iommufd}");

        *ret = iommufd || qemu ? "iommufd" : group ? "group" : asked;
        return 0;
}

/* The nth fd of a kind, marked as used; -ENOENT where the lease has none. */
static int use_fd(CommandFds *fds, enum vfiobroker_fd_kind kind, size_t nth)
{
        for (size_t i = 0; i < fds->n_rows; i++)
                if (fds->rows[i].kind == kind && nth-- == 0) {
                        fds->rows[i].used = true;
                        return fds->rows[i].fd;
                }
        return -ENOENT;
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
                case TOKEN_FD:
                        fd = use_fd(fds, token.kind, token.index);
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

/* Fills `argv` with two arguments for the iommufd and two for each device. */
static int append_qemu(CommandFds *fds, char **argv)
{
        int iommufd = use_fd(fds, VFIOBROKER_FD_IOMMUFD, 0), device;
        size_t n = 0;

        if (iommufd < 0)
                return -ENOENT;

        argv[n++] = strdup("-object");
        if (asprintf(&argv[n++], "iommufd,id=iommufd0,fd=%d", iommufd) < 0)
                return -ENOMEM;

        for (size_t i = 0; (device = use_fd(fds, VFIOBROKER_FD_DEVICE, i)) >= 0; i++) {
                argv[n++] = strdup("-device");
                if (asprintf(&argv[n++], "vfio-pci,id=hostdev%zu,fd=%d,iommufd=iommufd0", i, device) < 0)
                        return -ENOMEM;
        }
        if (n == 2)
                return -ENOENT;

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

        argv = calloc(n + 2 * fds->n_rows + 1, sizeof(char *));
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
