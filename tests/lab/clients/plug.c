/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* plug QMP-SOCKET LEASE-PATH add|del DEVICE: what the manager of a QEMU does to plug a device into it or out of it. `add`
 * asks the broker for the device, passes the fd over QMP and has QEMU realize it below the root port `port9`; `del` has
 * QEMU give it up, waits for its word that it has, and gives it back. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

static FILE *qmp;

static void __attribute__((noreturn)) die(const char *what, const char *why)
{
        (void)fprintf(stderr, "plug: %s: %s\n", what, why);
        exit(EXIT_FAILURE);
}

static void qmp_open(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
                die("socket", strerror(errno));
        strcpy(address.sun_path, path);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                die(path, strerror(errno));
        qmp = fdopen(fd, "r");
        if (!qmp)
                die("fdopen", strerror(errno));
}

/* Lines of QEMU until one has the word; an error ends the program. */
static void qmp_await(const char *word)
{
        char line[4096];

        do {
                if (!fgets(line, sizeof(line), qmp))
                        die("QMP", "QEMU closed the connection");
                if (strstr(line, "\"error\""))
                        die("QMP", line);
        } while (!strstr(line, word));
}

/* Sends a command, with an fd where that is none of -1. */
static void qmp_send(const char *command, int fd)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {};
        struct iovec iov = { (void *)command, strlen(command) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (fd >= 0) {
                struct cmsghdr *header;

                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
                header = CMSG_FIRSTHDR(&message);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(header), &fd, sizeof(int));
        }
        if (sendmsg(fileno(qmp), &message, MSG_NOSIGNAL) < 0)
                die("QMP", strerror(errno));
}

static sd_bus_message *call(const char *lease, const char *method, const char *device)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        sd_bus *bus = NULL;

        if (sd_bus_open_system(&bus) < 0)
                die("bus", "cannot connect");
        if (sd_bus_call_method(bus, "org.vfiobroker1", lease, "org.vfiobroker1.Lease", method, &error,
                               &reply, "as", 1, device) < 0)
                die(error.name, error.message);
        return reply;
}

static void add(const char *lease, const char *device)
{
        sd_bus_message *reply = call(lease, "Add", device);
        const char *kind, *id;
        int fd = -1;

        if (sd_bus_message_enter_container(reply, 'a', "(ssh)") < 0 ||
            sd_bus_message_read(reply, "(ssh)", &kind, &id, &fd) <= 0 || strcmp(kind, "device") != 0 ||
            strcmp(id, device) != 0)
                die("Add", "the answer has no such device");
        qmp_send("{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"plugged\"}}", fd);
        qmp_await("\"return\"");
        qmp_send("{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vfio-pci\",\"id\":\"plugged\","
                 "\"fd\":\"plugged\",\"iommufd\":\"iommufd0\",\"bus\":\"port9\"}}",
                 -1);
        qmp_await("\"return\"");
}

static void del(const char *lease, const char *device)
{
        qmp_send("{\"execute\":\"device_del\",\"arguments\":{\"id\":\"plugged\"}}", -1);
        qmp_await("DEVICE_DELETED");
        (void)call(lease, "Remove", device);
}

int main(int argc, char **argv)
{
        if (argc != 5 || (strcmp(argv[3], "add") != 0 && strcmp(argv[3], "del") != 0))
                return fputs("usage: plug QMP-SOCKET LEASE-PATH add|del DEVICE\n", stderr), 2;
        (void)alarm(60); /* QEMU or the broker does not answer */
        qmp_open(argv[1]);
        qmp_await("QMP");
        qmp_send("{\"execute\":\"qmp_capabilities\"}", -1);
        qmp_await("\"return\"");
        (strcmp(argv[3], "add") == 0 ? add : del)(argv[2], argv[4]);
        (void)printf("ok %s %s\n", argv[3], argv[4]);
        return EXIT_SUCCESS;
}
