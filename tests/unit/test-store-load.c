/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* daemon/state/store.c, reading, on real files: what is no record of ours is refused, told of and gone; what failed on our
 * side keeps all records. */

#include "tests/unit/store-fixture.h"

#include <fcntl.h>
#include <iniparser/iniparser.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

#define D1 "0000:01:00.0"

/* The file is refused: nobody gets it, an operator hears of it where `told`, and it is gone. */
static void assert_refused(const char *name, bool told)
{
        assert_int_equal(store_read_back(), 0);
        assert_int_equal(the_store.n_leases, 0);
        assert_int_equal(the_store.n_devices, 0);
        assert_int_equal(the_store.core->events[EVENT_TROUBLE], told);
        if (told)
                assert_non_null(strstr(the_store.core->last_event[EVENT_TROUBLE], name));
        assert_false(store_exists(name));
}

static void refuse_text(const char *name, const char *text)
{
        store_write(name, text, strlen(text));
        assert_refused(name, true);
}

static char *replaced(const char *text, const char *what, const char *with)
{
        const char *found = strstr(text, what);
        char *new = NULL;

        assert_non_null(found);
        assert_true(asprintf(&new, "%.*s%s%s", (int)(found - text), text, with, found + strlen(what)) > 0);
        return new;
}

/* Cut off anywhere: refused, unless all that is lost is the end of the last line. */
static void test_truncated(_unused_ void **state)
{
        _cleanup_free_ char *text = NULL;
        StoreSample sample;
        size_t n;

        store_sample(&sample, 2);
        store_put(&sample.lease);
        text = store_read(SAMPLE_FILE);
        n = strlen(text);
        while (n-- > 0) {
                store_write(SAMPLE_FILE, text, n);
                if (store_read_back() == 1) {
                        assert_int_equal(n, strlen(text) - 1);
                        store_assert_same(&sample, &the_store.lease);
                } else
                        assert_false(store_exists(SAMPLE_FILE));
        }
}

/* Each of its lines is needed, but those with which what records of earlier versions lack begins. */
static void test_line_missing(_unused_ void **state)
{
        _cleanup_free_ char *text = NULL;
        StoreSample sample;
        unsigned n = 0, since = 0;

        store_sample(&sample, 2);
        store_put(&sample.lease);
        text = store_read(SAMPLE_FILE);
        for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
                _cleanup_free_ char *rest = NULL;

                if (*line == '\n')
                        continue;
                assert_true(asprintf(&rest, "%.*s%s", (int)(line - text), text, strchr(line, '\n') + 1) > 0);
                if (strncmp(line, "on-behalf ", 10) == 0 || strncmp(line, "caller-uid ", 11) == 0) {
                        store_write(SAMPLE_FILE, rest, strlen(rest));
                        assert_int_equal(store_read_back(), 1);
                        assert_true(the_store.lease.on_behalf == (*line == 'c'));
                        assert_true(the_store.lease.caller.known == (*line == 'o'));
                        continue;
                }
                n++;
                if (strspn(line, "abcdefghijklmnopqrstuvwxyz-") > 8 &&
                    strncmp(strchr(line, ' ') - 8, "-kept-as", 8) == 0) {
                        store_write(SAMPLE_FILE, rest, strlen(rest));
                        assert_int_equal(store_read_back(), 1);
                        assert_int_equal(the_store.core->events[EVENT_TROUBLE], 0);
                        since++;
                        continue;
                }
                refuse_text(SAMPLE_FILE, rest);
        }
        assert_int_equal(since, 2);
        assert_true(n > 25);
}

/* What version 0.1.0 wrote is read, with what it meant. */
static void test_first_version(_unused_ void **state)
{
        static const char *const later[] = {
                "owner",           "on-behalf", "ipc-lock",       "caller-",
                "process-kept-as", "container", "prior-override", "made",
        };
        static const char device[] = "id = _30000_3a01_3a00_2e0\nprior-driver = igb\nreason = no_20reset\n"
                                     "prior-known = 1\nquarantined = 1\n";
        _cleanup_free_ char *text = NULL, *header = NULL, *whole = NULL;
        char old[4096] = "";
        StoreSample sample;

        store_sample(&sample, 2);
        store_put(&sample.lease);
        text = store_read(SAMPLE_FILE);
        header = strndup(text, (size_t)(strstr(text, "\nid = ") + 1 - text));
        for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
                bool known = true;

                for (size_t i = 0; i < ELEMENTSOF(later); i++)
                        known &= strncmp(line, later[i], strlen(later[i])) != 0;
                if (known)
                        (void)strncat(old, line, (size_t)(strchr(line, '\n') + 1 - line));
        }
        store_write(SAMPLE_FILE, old, strlen(old));
        assert_int_equal(store_read_back(), 1);
        assert_int_equal(the_store.core->events[EVENT_TROUBLE], 0);
        assert_string_equal(the_store.lease.container, "cafe00000000");
        assert_false(the_store.lease.container_named);
        assert_string_equal(the_store.lease.owner_name, "");
        assert_false(the_store.lease.caller.known);
        assert_int_equal(the_store.lease.n_devices, 2);
        assert_string_equal(the_store.lease.devices[0].prior_driver, sample.devices[0].prior_driver);
        assert_string_equal(the_store.lease.devices[1].prior_override, "");
        assert_false(the_store.lease.devices[1].made);

        assert_true(asprintf(&whole, "%s%s", header, device) > 0);
        store_write("devices/_30000_3a01_3a00_2e0", whole, strlen(whole));
        assert_int_equal(store_read_back(), 1);
        assert_int_equal(the_store.core->events[EVENT_TROUBLE], 0);
        assert_int_equal(the_store.n_devices, 1);
        assert_true(the_store.device.quarantined);
        assert_string_equal(the_store.device.prior_driver, "igb");
        assert_string_equal(the_store.device.prior_override, "");
}

/* What a later version wrote is kept for it, and nothing is read or reclaimed. */
static void test_later_version(_unused_ void **state)
{
        static const char *const versions[] = { "version = 2", "version = 10" };
        StoreSample sample;

        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                _cleanup_free_ char *text = NULL, *later = NULL;

                store_sample(&sample, 1);
                store_put(&sample.lease);
                text = store_read(SAMPLE_FILE);
                later = replaced(text, "version = 1", versions[i]);
                store_write(SAMPLE_FILE, later, strlen(later));
                assert_int_equal(store_read_back(), -EPROTONOSUPPORT);
                assert_int_equal(the_store.n_leases, 0);
                assert_int_equal(the_store.core->events[EVENT_TROUBLE], 1);
                assert_non_null(strstr(the_store.core->last_event[EVENT_TROUBLE], SAMPLE_FILE));
                assert_true(store_exists(SAMPLE_FILE));
        }
}

/* A key that is not known is overlooked. */
static void test_unknown_key(_unused_ void **state)
{
        _cleanup_free_ char *text = NULL, *more = NULL;
        StoreSample sample;

        store_sample(&sample, 1);
        store_put(&sample.lease);
        text = store_read(SAMPLE_FILE);
        more = replaced(text, "state = ", "colour = blue\nstate = ");
        store_write(SAMPLE_FILE, more, strlen(more));
        assert_int_equal(store_read_back(), 1);
        store_assert_same(&sample, &the_store.lease);
}

static void test_garbage(_unused_ void **state)
{
        static const char binary[] = "\x7f\x45\x4c\x46\0\0\xff\xfe[record\n=\n]\n";
        char long_line[3000] = "[record]\nversion = 1\nid = ";

        refuse_text(SAMPLE_FILE, "");
        refuse_text(SAMPLE_FILE, "[record]\n");
        refuse_text(SAMPLE_FILE, "what\n");
        refuse_text("devices/abc", "[record]\nversion = 1\n");
        store_write(SAMPLE_FILE, binary, sizeof(binary));
        assert_refused(SAMPLE_FILE, true);
        memset(long_line + strlen(long_line), 'a', sizeof(long_line) - strlen(long_line) - 1);
        refuse_text(SAMPLE_FILE, long_line);
}

/* One value that is not as it must be. */
static void test_bad_values(_unused_ void **state)
{
        static const struct {
                const char *what, *with;
        } table[] = {
                { "caller-gids = \"0 ", "caller-gids = \"x " },
                { "caller-gids = \"0 ", "caller-gids = \"0x " },
                { "caller-gids = \"0 ", "caller-gids = \"4294967296 " },
                { "caller-gids = \"0 ", "caller-gids = \"99999999999999999999 " },
                { "ipc-lock = 1", "ipc-lock = 2" },
                { "on-behalf = 1", "on-behalf = -1" },
                { "version = 1", "version = 1x" },
                { "version = 1", "version = " },
                { "state = active", "state = leased" },
                { "state = active", "state = reclaiming\nend-reason = tired" },
                { "lifetime = connection", "lifetime = " },
                { "slack = 1", "slack = -1" },
                { "slack = 1", "slack = 0x1" },
                { "slack = 1", "slack = 1 1" },
                { "slack = 1", "slack = 18446744073709551616" },
                { "pid = 2147483647", "pid = 2147483648" },
                { "uid = 4294967294", "uid = 4294967296" },
                { "base-known = 1", "base-known = 2" },
                { "restore-driver = 1", "restore-driver = yes" },
                { "took = 1", "took = 2" },
                { "devices = 2", "devices = 3" },
                { "devices = 2", "devices = 16" },
                { "id = cafe00000000", "id = cafe0000000000000" },
                { "id = cafe00000000", "id = " },
                { "id = some", "id = /some" },
        };
        _cleanup_free_ char *text = NULL;
        StoreSample sample;

        store_sample(&sample, 2);
        store_put(&sample.lease);
        text = store_read(SAMPLE_FILE);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *bad = replaced(text, table[i].what, table[i].with);

                refuse_text(SAMPLE_FILE, bad);
        }
        store_write(SAMPLE_FILE, text, strlen(text));
        assert_int_equal(store_read_back(), 1);
        {
                /* Of a daemon that did not write why. */
                _cleanup_free_ char *old = replaced(text, "state = active", "state = reclaiming");

                store_write(SAMPLE_FILE, old, strlen(old));
                assert_int_equal(store_read_back(), 1);
                assert_int_equal(the_store.lease.end_reason, END_RELEASED);
        }
}

/* One byte more than fits. */
static void test_too_long(_unused_ void **state)
{
        static const struct {
                const char *what;
                size_t max;
        } table[] = { { "tenant", 127 },
                      { "label", LEASE_LABEL_MAX },
                      { "unit", 255 },
                      { "owner", LEASE_OWNER_MAX },
                      { "prior-driver", DRIVER_NAME_MAX - 1 } };
        StoreSample sample;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (size_t more = 0; more < 2; more++) {
                        _cleanup_free_ char *text = NULL, *bad = NULL, *start = NULL, *end = NULL;
                        char value[512] = {};
                        size_t length = table[i].max + more;

                        store_sample(&sample, 1);
                        store_put(&sample.lease);
                        text = store_read(SAMPLE_FILE);
                        memset(value, 'a', length);
                        assert_true(asprintf(&start, "\n%s = ", table[i].what) > 0);
                        assert_true(asprintf(&end, "\n%s = %s\nold = ", table[i].what, value) > 0);
                        bad = replaced(text, start, end);
                        store_write(SAMPLE_FILE, bad, strlen(bad));
                        assert_int_equal(store_read_back(), !more);
                        assert_true(store_exists(SAMPLE_FILE) == !more);
                }
}

/* Another boot's: gone without a word. */
static void test_other_boot(_unused_ void **state)
{
        _cleanup_free_ char *text = NULL, *other = NULL;
        char boot[SD_ID128_STRING_MAX];
        sd_id128_t id;
        StoreSample sample;

        store_sample(&sample, 1);
        store_put(&sample.lease);
        text = store_read(SAMPLE_FILE);
        assert_int_equal(sd_id128_get_boot(&id), 0);
        (void)sd_id128_to_string(id, boot);
        other = replaced(text, boot, "00112233445566778899aabbccddeeff");
        store_write(SAMPLE_FILE, other, strlen(other));
        assert_refused(SAMPLE_FILE, false);
}

/* A whole record under a name that is not its own: would never be dropped. */
static void test_other_name(_unused_ void **state)
{
        Device device = { .info = { .id = D1 }, .state = DEVICE_QUARANTINED };
        _cleanup_free_ char *of = NULL;
        StoreSample sample;

        store_sample(&sample, 1);
        store_put(&sample.lease);
        assert_int_equal(store_ops.device_put(the_store.store, &device), 0);
        of = strdup(store_path(SAMPLE_FILE));
        assert_non_null(of);
        assert_int_equal(link(of, store_path("leases/beef00000000")), 0);
        assert_int_equal(store_read_back(), 1);
        assert_int_equal(the_store.n_leases, 1);
        assert_int_equal(the_store.core->events[EVENT_TROUBLE], 1);
        assert_non_null(strstr(the_store.core->last_event[EVENT_TROUBLE], "leases/beef00000000"));
        assert_int_equal(store_count("leases"), 1);
        assert_true(store_exists(SAMPLE_FILE));
        store_ops.lease_drop(the_store.store, "cafe00000000");

        free(of);
        of = strdup(store_path("devices/_30000_3a01_3a00_2e0"));
        assert_non_null(of);
        assert_int_equal(rename(of, store_path("devices/_30000_3a01_3a00_2e1")), 0);
        assert_refused("devices/_30000_3a01_3a00_2e1", true);
}

/* Whole records that others could have written, and what is no file at all. */
static void test_foreign(_unused_ void **state)
{
        static const mode_t modes[] = { 0666, 0620, 0602 };
        _cleanup_free_ char *of = NULL;
        StoreSample sample;

        store_sample(&sample, 1);
        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                store_put(&sample.lease);
                assert_int_equal(chmod(store_path(SAMPLE_FILE), modes[i]), 0);
                assert_refused(SAMPLE_FILE, true);
        }
        if (geteuid() == 0) {
                store_put(&sample.lease);
                assert_int_equal(chown(store_path(SAMPLE_FILE), 1, 0), 0);
                assert_refused(SAMPLE_FILE, true);
        }
        store_put(&sample.lease);
        of = strdup(store_path("elsewhere"));
        assert_non_null(of);
        assert_int_equal(rename(store_path(SAMPLE_FILE), of), 0);
        assert_int_equal(symlink(of, store_path(SAMPLE_FILE)), 0);
        assert_refused(SAMPLE_FILE, true);
        assert_true(store_exists("elsewhere"));
        assert_int_equal(mkfifo(store_path(SAMPLE_FILE), 0600), 0); /* does not wait for a writer */
        assert_refused(SAMPLE_FILE, true);
}

/* What a crash left in the middle of a write is nothing, and goes. */
static void test_temporary(_unused_ void **state)
{
        _cleanup_free_ char *text = NULL;
        StoreSample sample;

        store_sample(&sample, 1);
        store_put(&sample.lease);
        text = store_read(SAMPLE_FILE);
        store_write("leases/.cafe00000000.new", text, strlen(text));
        assert_int_equal(store_read_back(), 1);
        assert_int_equal(the_store.n_leases, 1);
        assert_int_equal(the_store.core->events[EVENT_TROUBLE], 0);
        assert_int_equal(store_count("leases"), 1);
}

/* The broker's word: a record that means nothing any more goes without a word; what failed on our side keeps it, and all
 * those that were not looked the_store. */
static void test_answers(_unused_ void **state)
{
        static const struct {
                int answer, loaded;
                bool kept, told;
        } table[] = {
                { -ENODEV, 0, false, false },      { -EEXIST, 0, false, false },
                { -EINVAL, 0, false, true },       { -EMFILE, -EMFILE, true, false },
                { -ENOMEM, -ENOMEM, true, false },
        };
        Device device = { .info = { .id = D1 } };
        StoreSample sample;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                the_store.answer = table[i].answer;
                store_sample(&sample, 1);
                store_put(&sample.lease);
                assert_int_equal(store_read_back(), table[i].loaded);
                assert_int_equal(the_store.n_leases, 1);
                assert_int_equal(the_store.core->events[EVENT_TROUBLE], table[i].told);
                assert_true(store_exists(SAMPLE_FILE) == table[i].kept);
                store_ops.lease_drop(the_store.store, "cafe00000000");
        }

        /* The leases are not looked at where the devices failed, nor the second lease where the first one did. */
        store_sample(&sample, 1);
        store_put(&sample.lease);
        strcpy(sample.lease.id, "beef00000000");
        store_put(&sample.lease);
        assert_int_equal(store_read_back(), -ENOMEM);
        assert_int_equal(the_store.n_leases, 1);
        assert_int_equal(store_ops.device_put(the_store.store, &device), 0);
        assert_int_equal(store_read_back(), -ENOMEM);
        assert_int_equal(the_store.n_leases, 0);
        assert_int_equal(store_count("leases"), 2);
        the_store.answer = 0;
        assert_int_equal(store_read_back(), 2);
}

/* No fd is left to read with: an error of ours. */
static void test_no_fds(_unused_ void **state)
{
        struct rlimit limit, old;
        StoreSample sample;
        int r, k, fd;

        store_sample(&sample, 1);
        store_put(&sample.lease);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the lowest that is free */
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
        limit = (struct rlimit){ .rlim_cur = (rlim_t)fd, .rlim_max = old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        r = store_load(the_store.store, the_store.core->broker);
        k = store_ops.lease_put(the_store.store, &sample.lease);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(r, -EMFILE);
        assert_int_equal(k, -EMFILE);
        assert_int_equal(store_read_back(), 1);
}

static bool unreadable;

/* As the library does where the file's first read fails: what it has so far, which is nothing. */
dictionary *__real_iniparser_load(const char *path);
dictionary *__wrap_iniparser_load(const char *path);
dictionary *__wrap_iniparser_load(const char *path)
{
        dictionary *none = unreadable ? dictionary_new(0) : __real_iniparser_load(path);

        if (unreadable)
                errno = EIO;
        return none;
}

/* A record that cannot be read now is none that says nothing. */
static void test_unreadable(_unused_ void **state)
{
        StoreSample sample;

        store_sample(&sample, 1);
        store_put(&sample.lease);
        unreadable = true;
        assert_int_equal(store_read_back(), -EIO);
        unreadable = false;
        assert_int_equal(the_store.core->events[EVENT_TROUBLE], 0);
        assert_int_equal(store_read_back(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, store_setup, store_teardown)
        const struct CMUnitTest tests[] = {
                TEST(truncated),   TEST(line_missing), TEST(first_version), TEST(later_version),
                TEST(unknown_key), TEST(garbage),      TEST(bad_values),    TEST(too_long),
                TEST(other_boot),  TEST(other_name),   TEST(foreign),       TEST(temporary),
                TEST(answers),     TEST(no_fds),       TEST(unreadable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
