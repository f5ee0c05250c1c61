/* NICs as rtnetlink(7) tells of them: named, given their addresses and brought up as they come. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

static int configuration; /* a socket for ioctl */
static const char *host_part;

static int spells_address(const unsigned char *mac)
{
    return mac[0] == 0x52 && mac[1] == 0x54 && mac[2];
}

static void address_of(const struct link *link, char *text)
{
    const unsigned char *mac = link->mac;

    if (spells_address(mac))
        sprintf(text, "%d.%d.%d.%d", mac[2], mac[3], mac[4], mac[5]);
    else
        sprintf(text, "10.9.%d.%.3s", !strcmp(link->driver, "igbvf"), host_part);
}

static void set_address(const char *name, const char *text, unsigned long what)
{
    struct ifreq request = { 0 };
    struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;

    snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
    address->sin_family = AF_INET;
    inet_pton(AF_INET, text, &address->sin_addr);
    if (ioctl(configuration, what, &request))
        perror(name);
}

/* As udev does it, from what lasts: the number that the firmware gives (acpi_index), else the place in the PCI tree. */
static void name_by_place(struct link *link)
{
    char path[128], target[PATH_MAX] = "";
    struct ifreq request = { 0 };
    unsigned index = 0, bus, slot;
    FILE *file;

    snprintf(path, sizeof path, "/sys/class/net/%s/device", link->name);
    if (!realpath(path, target))
        return;
    for (char *part = strtok(target, "/"); part; part = strtok(NULL, "/")) {
        unsigned domain, function;
        if (sscanf(part, "%4x:%2x:%2x.%1x", &domain, &bus, &slot, &function) != 4)
            continue;
        snprintf(request.ifr_newname, IFNAMSIZ, "enp%us%u", bus & 255, slot & 255);
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%.32s/acpi_index", part);
        if ((file = fopen(path, "r"))) {
            if (fscanf(file, "%u", &index) == 1 && index)
                snprintf(request.ifr_newname, IFNAMSIZ, "eno%u", index);
            fclose(file);
        }
    }
    memcpy(request.ifr_name, link->name, IFNAMSIZ);
    if (!*request.ifr_newname || !strcmp(request.ifr_name, request.ifr_newname))
        return;
    if (ioctl(configuration, SIOCSIFNAME, &request))
        perror(request.ifr_newname);
    else
        memcpy(link->name, request.ifr_newname, IFNAMSIZ);
}

/* The address first: then the kernel tells the neighbours when the link comes up (arp_notify). */
static void bring_up(struct link *link)
{
    char address[32];
    struct ifreq request = { 0 };

    if (spells_address(link->mac))
        name_by_place(link);
    address_of(link, address);
    set_address(link->name, address, SIOCSIFADDR);
    set_address(link->name, "255.255.255.0", SIOCSIFNETMASK);
    memcpy(request.ifr_name, link->name, IFNAMSIZ);
    ioctl(configuration, SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP;
    if (ioctl(configuration, SIOCSIFFLAGS, &request))
        perror(link->name);
}

/*
 * Each frame in one piece of memory. QEMU's model of the card drops a frame, and each time it is sent again, of which a piece lies in
 * two pages that are not neighbours in the memory of the host (net_tx_pkt_add_raw_fragment): a connection that sends much would stand still.
 */
static void send_in_one_piece(const struct link *link)
{
    struct ethtool_value off = { .cmd = ETHTOOL_SSG };
    struct ifreq request = { .ifr_data = (char *)&off };

    memcpy(request.ifr_name, link->name, IFNAMSIZ);
    if (ioctl(configuration, SIOCETHTOOL, &request))
        perror(link->name);
}

static void read_driver(struct link *link)
{
    char path[128], target[256] = "";

    snprintf(path, sizeof path, "/sys/class/net/%s/device/driver", link->name);
    ssize_t length = readlink(path, target, sizeof target - 1);
    snprintf(link->driver, sizeof link->driver, "%.63s", length > 0 ? strrchr(target, '/') + 1 : "-");
}

static struct link read_link(struct nlmsghdr *message)
{
    struct ifinfomsg *info = NLMSG_DATA(message);
    int length = IFLA_PAYLOAD(message);
    struct link link = { .index = info->ifi_index, .is_up = !!(info->ifi_flags & IFF_UP) };
    struct rtnl_link_stats64 counters;

    for (struct rtattr *one = IFLA_RTA(info); RTA_OK(one, length); one = RTA_NEXT(one, length)) {
        switch (one->rta_type) {
        case IFLA_IFNAME: snprintf(link.name, sizeof link.name, "%s", (char *)RTA_DATA(one)); break;
        case IFLA_ADDRESS: if (RTA_PAYLOAD(one) == 6) memcpy(link.mac, RTA_DATA(one), 6); break;
        case IFLA_MASTER: link.master = *(int *)RTA_DATA(one); break;
        case IFLA_CARRIER: link.has_carrier = *(unsigned char *)RTA_DATA(one); break;
        case IFLA_STATS64:
            memcpy(&counters, RTA_DATA(one), sizeof counters);
            link.received = counters.rx_packets;
            link.sent = counters.tx_packets;
        }
    }
    read_driver(&link);
    return link;
}

static int open_netlink(unsigned groups, int flags)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
    struct { struct nlmsghdr header; struct ifinfomsg body; } dump = {
        { sizeof dump, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { 0 }
    };
    int links = socket(AF_NETLINK, SOCK_RAW | flags, NETLINK_ROUTE);

    bind(links, (struct sockaddr *)&address, sizeof address);
    send(links, &dump, sizeof dump, 0);
    return links;
}

/* Calls `each` for every link there is now, but lo. */
static void for_each_link(void (*each)(const struct link *, void *), void *of)
{
    static char buffer[65536];
    int links = open_netlink(0, 0), length;

    while ((length = recv(links, buffer, sizeof buffer, 0)) > 0)
        for (struct nlmsghdr *one = (void *)buffer; NLMSG_OK(one, (unsigned)length); one = NLMSG_NEXT(one, length)) {
            if (one->nlmsg_type != RTM_NEWLINK) {
                close(links);
                return;
            }
            struct link link = read_link(one);
            if (strcmp(link.name, "lo"))
                each(&link, of);
        }
    close(links);
}

static size_t print(const struct link *link, char *text, size_t size)
{
    const unsigned char *m = link->mac;

    return snprintf(text, size, "%s %02x:%02x:%02x:%02x:%02x:%02x", link->name, m[0], m[1], m[2], m[3], m[4], m[5]);
}

struct text {
    char *text;
    size_t size, length;
};

static void tell(const struct link *link, void *of)
{
    struct text *told = of;
    struct ifreq request = { 0 };
    char line[320], address[INET_ADDRSTRLEN] = "-";
    size_t length;

    memcpy(request.ifr_name, link->name, IFNAMSIZ);
    if (!ioctl(configuration, SIOCGIFADDR, &request))
        inet_ntop(AF_INET, &((struct sockaddr_in *)&request.ifr_addr)->sin_addr, address, sizeof address);
    length = sprintf(line, "LINK ");
    length += print(link, line + length, sizeof line - length);
    length += sprintf(line + length, " ip=%s driver=%s index=%d master=%d up=%d carrier=%d received=%llu sent=%llu\n",
                      address, link->driver, link->index, link->master, link->is_up, link->has_carrier, link->received,
                      link->sent);
    if (told->length + length < told->size)
        told->length += sprintf(told->text + told->length, "%s", line);
}

size_t tell_links(char *text, size_t size)
{
    struct text told = { text, size, 0 };

    *text = 0;
    for_each_link(tell, &told);
    return told.length;
}

static void find_twin(const struct link *link, void *of)
{
    struct link *of_link = of;

    if (link->index != of_link->index && !memcmp(link->mac, of_link->mac, 6))
        of_link->master = link->index;
}

/* A NIC on its way out also tells that it is down. */
static int is_there(const struct link *link)
{
    return strcmp(link->driver, "-");
}

static void react(struct nlmsghdr *message)
{
    struct link link = read_link(message);
    char text[64];

    if (!strcmp(link.name, "lo"))
        return;
    print(&link, text, sizeof text);
    if (message->nlmsg_type == RTM_DELLINK) {
        printf("GONE %s\n", text);
        return;
    }
    printf("NIC %s driver=%s master=%d up=%d carrier=%d\n", text, link.driver, link.master, link.is_up,
           link.has_carrier);
    if (!strcmp(link.driver, "igbvf"))
        send_in_one_piece(&link);
    /* A VF with another NIC's MAC is the other half of a pair, even while its master has not taken it yet. */
    if (!link.is_up && !link.master && !strcmp(link.driver, "igbvf"))
        for_each_link(find_twin, &link);
    if (!link.is_up && !link.master && is_there(&link))
        bring_up(&link);
}

static void serve(struct watch *watch)
{
    static char buffer[65536];
    int length = recv(watch->fd, buffer, sizeof buffer, 0);

    for (struct nlmsghdr *one = (void *)buffer; length > 0 && NLMSG_OK(one, (unsigned)length);
         one = NLMSG_NEXT(one, length))
        if (one->nlmsg_type == RTM_NEWLINK || one->nlmsg_type == RTM_DELLINK)
            react(one);
}

void follow_links(const char *host)
{
    static struct watch links;

    host_part = host;
    configuration = socket(AF_INET, SOCK_DGRAM, 0);
    links = (struct watch){ open_netlink(RTMGRP_LINK, SOCK_NONBLOCK), POLLIN, 0, serve };
    watch(&links);
}
