/*
 * The only process of the lab's Linux guests. Emulated within an emulated host, a fork costs a second: so there is no
 * shell, and all is done here, when rtnetlink(7) tells of a link.
 *
 * Brings each NIC up and gives it an address: 10.9.0.H to the one in the guest from the start (or to the net_failover
 * device on top of it), 10.9.1.H to a VF that came alone; H is "lab.host=" of the kernel's command line. The half of a
 * pair gets none, as its master has it.
 *
 * Says on the console "READY", and for each change of a link
 *     NIC name mac driver=d master=index up=0|1 carrier=0|1
 *     GONE name mac
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct link {
    char name[IFNAMSIZ];
    unsigned char mac[6];
    char driver[64];
    int master, is_up, has_carrier;
};

static int configuration; /* a socket for ioctl */
static char host[4] = "9";
static unsigned char first_mac[6];

static void load_modules(void)
{
    char path[128];
    FILE *list = fopen("/modules", "r");

    while (list && fgets(path, sizeof path, list)) {
        path[strcspn(path, "\n")] = 0;
        int module = open(path, O_RDONLY);
        if (syscall(SYS_finit_module, module, "", 0))
            perror(path);
        close(module);
    }
}

static void read_command_line(void)
{
    char line[4096] = "";
    FILE *file = fopen("/proc/cmdline", "r");
    const char *argument = file && fgets(line, sizeof line, file) ? strstr(line, "lab.host=") : NULL;

    if (argument)
        sscanf(argument, "lab.host=%3[0-9]", host);
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

static void bring_up(const struct link *link)
{
    char address[32];
    struct ifreq request = { 0 };
    int is_vf = !strcmp(link->driver, "igbvf");

    memcpy(request.ifr_name, link->name, IFNAMSIZ);
    ioctl(configuration, SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP;
    if (ioctl(configuration, SIOCSIFFLAGS, &request))
        perror(link->name);
    snprintf(address, sizeof address, "10.9.%d.%s", is_vf, host);
    set_address(link->name, address, SIOCSIFADDR);
    set_address(link->name, "255.255.255.0", SIOCSIFNETMASK);
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
    struct link link = { .is_up = !!(info->ifi_flags & IFF_UP) };

    for (struct rtattr *one = IFLA_RTA(info); RTA_OK(one, length); one = RTA_NEXT(one, length)) {
        switch (one->rta_type) {
        case IFLA_IFNAME: snprintf(link.name, sizeof link.name, "%s", (char *)RTA_DATA(one)); break;
        case IFLA_ADDRESS: if (RTA_PAYLOAD(one) == 6) memcpy(link.mac, RTA_DATA(one), 6); break;
        case IFLA_MASTER: link.master = *(int *)RTA_DATA(one); break;
        case IFLA_CARRIER: link.has_carrier = *(unsigned char *)RTA_DATA(one); break;
        }
    }
    read_driver(&link);
    return link;
}

static void react(struct nlmsghdr *message)
{
    static const unsigned char none[6];
    struct link link = read_link(message);
    const unsigned char *m = link.mac;

    if (!strcmp(link.name, "lo"))
        return;
    printf(message->nlmsg_type == RTM_NEWLINK ? "NIC" : "GONE");
    printf(" %s %02x:%02x:%02x:%02x:%02x:%02x", link.name, m[0], m[1], m[2], m[3], m[4], m[5]);
    if (message->nlmsg_type == RTM_NEWLINK)
        printf(" driver=%s master=%d up=%d carrier=%d", link.driver, link.master, link.is_up, link.has_carrier);
    printf("\n");
    if (message->nlmsg_type != RTM_NEWLINK || link.is_up || link.master)
        return;
    if (!memcmp(first_mac, none, 6))
        memcpy(first_mac, m, 6);
    /* A VF with the first NIC's MAC is the other half of the pair, even while its master has not taken it yet. */
    if (!strcmp(link.driver, "igbvf") && !memcmp(first_mac, m, 6))
        return;
    bring_up(&link);
}

int main(void)
{
    static char buffer[65536];
    struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    struct { struct nlmsghdr header; struct rtgenmsg body; } dump = {
        { sizeof dump, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC }
    };

    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    dup2(console, 0), dup2(console, 1), dup2(console, 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_command_line();
    load_modules();
    configuration = socket(AF_INET, SOCK_DGRAM, 0);
    int links = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    bind(links, (struct sockaddr *)&address, sizeof address);
    send(links, &dump, sizeof dump, 0);
    printf("READY\n");
    for (;;) {
        int length = recv(links, buffer, sizeof buffer, 0);
        for (struct nlmsghdr *one = (void *)buffer; length > 0 && NLMSG_OK(one, (unsigned)length);
             one = NLMSG_NEXT(one, length))
            if (one->nlmsg_type == RTM_NEWLINK || one->nlmsg_type == RTM_DELLINK)
                react(one);
    }
}
