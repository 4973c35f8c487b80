/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Two dumps of rtnetlink, each of which ends at the first hit. The kernel filters by interface where it can (4.20), so
 * that a table with a million routes is not copied; it is filtered here all the same. */

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/host/route.h"

#define DUMP_TRIES 5

typedef struct Request {
        struct nlmsghdr header;
        union {
                struct ifaddrmsg address;
                struct rtmsg route;
        };
        struct rtattr attribute; /* of a route */
        uint32_t ifindex;
} Request;

typedef bool (*Match)(const struct nlmsghdr *message, unsigned ifindex, char ret[static ROUTE_TEXT_MAX]);

/* The prefix as text; false where it is link-local or for multicast, or no address at all. */
static bool format_prefix(int family, const void *address, unsigned bits, char ret[static ROUTE_TEXT_MAX])
{
        char text[INET6_ADDRSTRLEN];
        struct in6_addr six;
        struct in_addr four;

        if (family == AF_INET6) {
                memcpy(&six, address, sizeof(six));
                if (IN6_IS_ADDR_LINKLOCAL(&six) || IN6_IS_ADDR_MULTICAST(&six))
                        return false;
        } else {
                memcpy(&four, address, sizeof(four));
                if (ntohl(four.s_addr) >> 16 == 0xa9fe || IN_MULTICAST(ntohl(four.s_addr)))
                        return false;
        }
        if (!inet_ntop(family, address, text, sizeof(text)))
                return false;
        (void)snprintf(ret, ROUTE_TEXT_MAX, "%s/%u", text, bits);
        return true;
}

static size_t address_size(int family)
{
        return family == AF_INET ? sizeof(struct in_addr) : family == AF_INET6 ? sizeof(struct in6_addr) : 0;
}

static bool match_address(const struct nlmsghdr *message, unsigned ifindex, char ret[static ROUTE_TEXT_MAX])
{
        const struct ifaddrmsg *address = NLMSG_DATA(message);
        const struct rtattr *found = NULL;
        unsigned n;

        if (message->nlmsg_type != RTM_NEWADDR || message->nlmsg_len < NLMSG_LENGTH(sizeof(*address)) ||
            address->ifa_index != ifindex || address_size(address->ifa_family) == 0)
                return false;
        n = (unsigned)IFA_PAYLOAD(message);
        /* IFA_ADDRESS is the other end of a point-to-point link. */
        for (const struct rtattr *attribute = IFA_RTA(address); RTA_OK(attribute, n);
             attribute = RTA_NEXT(attribute, n))
                if (attribute->rta_type == IFA_LOCAL || (attribute->rta_type == IFA_ADDRESS && !found))
                        found = attribute;
        return found && (size_t)RTA_PAYLOAD(found) >= address_size(address->ifa_family) &&
               format_prefix(address->ifa_family, RTA_DATA(found), address->ifa_prefixlen, ret);
}

static bool leads_over(const struct rtattr *attribute, unsigned ifindex)
{
        const struct rtnexthop *hop = RTA_DATA(attribute);
        uint32_t out;

        if (attribute->rta_type == RTA_OIF && (size_t)RTA_PAYLOAD(attribute) >= sizeof(out)) {
                memcpy(&out, RTA_DATA(attribute), sizeof(out));
                return out == ifindex;
        }
        if (attribute->rta_type != RTA_MULTIPATH)
                return false;
        for (int n = (int)RTA_PAYLOAD(attribute); n >= (int)sizeof(*hop) && RTNH_OK(hop, n);
             n -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
                if ((unsigned)hop->rtnh_ifindex == ifindex)
                        return true;
        return false;
}

static bool match_route(const struct nlmsghdr *message, unsigned ifindex, char ret[static ROUTE_TEXT_MAX])
{
        const struct rtmsg *route = NLMSG_DATA(message);
        const struct rtattr *to = NULL;
        bool over = false;
        unsigned n;

        if (message->nlmsg_type != RTM_NEWROUTE || message->nlmsg_len < NLMSG_LENGTH(sizeof(*route)) ||
            route->rtm_type != RTN_UNICAST || route->rtm_flags & RTM_F_CLONED ||
            address_size(route->rtm_family) == 0)
                return false;
        n = (unsigned)RTM_PAYLOAD(message);
        for (const struct rtattr *attribute = RTM_RTA(route); RTA_OK(attribute, n);
             attribute = RTA_NEXT(attribute, n)) {
                if (attribute->rta_type == RTA_DST)
                        to = attribute;
                over = over || leads_over(attribute, ifindex);
        }
        if (!over)
                return false;
        if (!to) {
                (void)snprintf(ret, ROUTE_TEXT_MAX, "default");
                return true;
        }
        return (size_t)RTA_PAYLOAD(to) >= address_size(route->rtm_family) &&
               format_prefix(route->rtm_family, RTA_DATA(to), route->rtm_dst_len, ret);
}

/* 1 at the first match, 0 at the end of the dump, -EAGAIN where the kernel says that it may have left something out, since
 * what it lists was changed meanwhile. The socket goes with what is left of it. */
static int dump(const Request *request, Match match, unsigned ifindex, char ret[static ROUTE_TEXT_MAX])
{
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        union {
                char bytes[32768];
                struct nlmsghdr align;
        } buffer;
        bool interrupted = false;
        int on = 1;

        if (fd < 0)
                return -errno;
        (void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
        if (send(fd, request, request->header.nlmsg_len, 0) < 0)
                return -errno;
        for (;;) {
                ssize_t received = recv(fd, &buffer, sizeof(buffer), 0);
                unsigned n;

                if (received < 0 && errno == EINTR)
                        continue;
                if (received <= 0)
                        return received < 0 ? -errno : -EPIPE;
                n = (unsigned)received;
                for (const struct nlmsghdr *message = &buffer.align; NLMSG_OK(message, n);
                     message = NLMSG_NEXT(message, n)) {
                        interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
                        if (message->nlmsg_type == NLMSG_DONE)
                                return interrupted ? -EAGAIN : 0;
                        if (message->nlmsg_type == NLMSG_ERROR) {
                                const struct nlmsgerr *error = NLMSG_DATA(message);

                                /* The interface has gone, or the kernel does not speak this family. */
                                if (error->error == -ENODEV || error->error == -EOPNOTSUPP)
                                        return 0;
                                return error->error < 0 ? error->error : -EBADMSG;
                        }
                        if (match(message, ifindex, ret))
                                return 1;
                }
        }
}

static int ask(unsigned type, Match match, unsigned ifindex, char ret[static ROUTE_TEXT_MAX])
{
        static const int families[] = { AF_INET, AF_INET6 };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(families) && r == 0; i++) {
                Request request = { .header = { .nlmsg_type = (uint16_t)type,
                                                .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };

                if (type == RTM_GETADDR) {
                        request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.address));
                        request.address.ifa_family = (uint8_t)families[i];
                        request.address.ifa_index = ifindex;
                } else {
                        request.header.nlmsg_len = sizeof(request);
                        request.route.rtm_family = (uint8_t)families[i];
                        request.attribute.rta_type = RTA_OIF;
                        request.attribute.rta_len = RTA_LENGTH(sizeof(request.ifindex));
                        request.ifindex = ifindex;
                }
                for (unsigned tries = 0; tries == 0 || (r == -EAGAIN && tries < DUMP_TRIES); tries++)
                        r = dump(&request, match, ifindex, ret);
        }
        return r;
}

int route_address(unsigned ifindex, char ret[static ROUTE_TEXT_MAX])
{
        return ask(RTM_GETADDR, match_address, ifindex, ret);
}

int route_over(unsigned ifindex, char ret[static ROUTE_TEXT_MAX])
{
        return ask(RTM_GETROUTE, match_route, ifindex, ret);
}
