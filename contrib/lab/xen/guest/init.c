/*
 * The only process of the lab's Xen guest: no shell, as each fork in a PV guest is slow under emulation. Brings up
 * each NIC that is there or comes later, and answers on TCP port 7 with what it is sent (RFC 862).
 *
 * The address of a NIC with MAC 00:16:3e:08:00:NN, NN below 16, is 10.8.N.2/24, whichever vif it is; of any other NIC
 * it is 10.8.(16 + number of the vif).2/24. A NIC that went and came again has the address it had, so connections
 * go on.
 *
 * Says on the console "READY", and for each NIC
 *     NIC name mac vif=number address
 *     GONE name mac
 * and does what it is told there, a line each: "unbind NUMBER" and "bind NUMBER" take the driver from a vif and give it
 * back; "off" powers the guest off. Called /sbin/poweroff, it powers off: that is how the kernel asks.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ECHO_PORT = 7, KNOWN_MACS = 16, CONNECTIONS = 60 };

struct connection {
    int length, sent; /* of what is to be sent back; nothing is read before all of it is */
    char data[16384];
};

static int configuration; /* a socket for ioctl */
static struct connection connections[CONNECTIONS];
static struct pollfd watched[3 + CONNECTIONS]; /* links, listener, console, then the connections */

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

/* The number of the vif behind a link, or -1. */
static int vif_number(const char *name)
{
    char path[64], target[256] = "";
    int number = -1;

    snprintf(path, sizeof path, "/sys/class/net/%s/device", name);
    if (readlink(path, target, sizeof target - 1) > 0 && strrchr(target, '/'))
        sscanf(strrchr(target, '/'), "/vif-%d", &number);
    return number;
}

static void configure(const char *name, unsigned long what, const char *text)
{
    struct ifreq request = { 0 };
    struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;

    snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
    if (text) {
        address->sin_family = AF_INET;
        inet_pton(AF_INET, text, &address->sin_addr);
    } else {
        request.ifr_flags = IFF_UP;
    }
    if (ioctl(configuration, what, &request))
        perror(name);
}

static void bring_up(const char *name, const unsigned char *mac)
{
    static const unsigned char known[] = { 0x00, 0x16, 0x3e, 0x08, 0x00 };
    char address[32];
    int number = vif_number(name), is_known = !memcmp(mac, known, sizeof known) && mac[5] < KNOWN_MACS;

    snprintf(address, sizeof address, "10.8.%d.2", is_known ? mac[5] : KNOWN_MACS + number);
    configure(name, SIOCSIFADDR, address);
    configure(name, SIOCSIFNETMASK, "255.255.255.0");
    configure(name, SIOCSIFFLAGS, NULL);
    printf("NIC %s %02x:%02x:%02x:%02x:%02x:%02x vif=%d %s\n", name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
           number, address);
}

static void react(struct nlmsghdr *message)
{
    struct ifinfomsg *info = NLMSG_DATA(message);
    int length = IFLA_PAYLOAD(message);
    char name[IFNAMSIZ] = "";
    unsigned char mac[6] = { 0 };

    for (struct rtattr *one = IFLA_RTA(info); RTA_OK(one, length); one = RTA_NEXT(one, length)) {
        if (one->rta_type == IFLA_IFNAME)
            snprintf(name, sizeof name, "%s", (char *)RTA_DATA(one));
        if (one->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(one) == sizeof mac)
            memcpy(mac, RTA_DATA(one), sizeof mac);
    }
    if (message->nlmsg_type == RTM_DELLINK)
        printf("GONE %s %02x:%02x:%02x:%02x:%02x:%02x\n", name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    else if (!strcmp(name, "lo") && !(info->ifi_flags & IFF_UP))
        configure(name, SIOCSIFFLAGS, NULL);
    else if (!(info->ifi_flags & IFF_UP) && vif_number(name) >= 0)
        bring_up(name, mac);
}

static void read_links(int links)
{
    static char buffer[65536];
    int length = recv(links, buffer, sizeof buffer, 0);

    for (struct nlmsghdr *one = (void *)buffer; length > 0 && NLMSG_OK(one, (unsigned)length);
         one = NLMSG_NEXT(one, length))
        if (one->nlmsg_type == RTM_NEWLINK || one->nlmsg_type == RTM_DELLINK)
            react(one);
}

static int watch_links(void)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    struct { struct nlmsghdr header; struct rtgenmsg body; } dump = {
        { sizeof dump, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC }
    };
    int links = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

    bind(links, (struct sockaddr *)&address, sizeof address);
    send(links, &dump, sizeof dump, 0);
    return links;
}

static int listen_for_echo(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(ECHO_PORT) };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16))
        perror("echo");
    return listener;
}

static void accept_one(int listener)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

    for (int i = 0; i < CONNECTIONS && fd >= 0; i++) {
        if (watched[3 + i].fd >= 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watched[3 + i] = (struct pollfd){ .fd = fd, .events = POLLIN };
        connections[i].length = connections[i].sent = 0;
        return;
    }
    if (fd >= 0)
        close(fd);
}

/* Sends back what was read, as much as the other end takes now. False at the end of the connection. */
static int echo(int fd, struct connection *connection)
{
    int done;

    if (connection->sent == connection->length) {
        connection->sent = connection->length = 0;
        done = read(fd, connection->data, sizeof connection->data);
        if (done <= 0)
            return done < 0 && errno == EAGAIN;
        connection->length = done;
    }
    done = write(fd, connection->data + connection->sent, connection->length - connection->sent);
    if (done > 0)
        connection->sent += done;
    return done >= 0 || errno == EAGAIN;
}

static void serve(struct pollfd *place, struct connection *connection)
{
    if (!echo(place->fd, connection)) {
        close(place->fd);
        place->fd = -1;
    }
    place->events = connection->sent < connection->length ? POLLOUT : POLLIN;
}

static void obey(void)
{
    char line[128] = "", action[16], path[64];
    int number, length = read(0, line, sizeof line - 1);

    if (length > 0 && !strncmp(line, "off", 3))
        reboot(RB_POWER_OFF);
    if (length <= 0 || sscanf(line, "%15[a-z] %d", action, &number) != 2)
        return;
    snprintf(path, sizeof path, "/sys/bus/xen/drivers/vif/%s", action);
    int control = open(path, O_WRONLY);
    if (dprintf(control, "vif-%d", number) < 0)
        perror(path);
    close(control);
}

int main(int count, char **arguments)
{
    if (count && strstr(arguments[0], "poweroff"))
        return reboot(RB_POWER_OFF);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    dup2(console, 0), dup2(console, 1), dup2(console, 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    load_modules();
    configuration = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 3 + CONNECTIONS; i++)
        watched[i].fd = -1;
    watched[0] = (struct pollfd){ .fd = watch_links(), .events = POLLIN };
    watched[1] = (struct pollfd){ .fd = listen_for_echo(), .events = POLLIN };
    watched[2] = (struct pollfd){ .fd = 0, .events = POLLIN };
    printf("READY\n");
    while (poll(watched, 3 + CONNECTIONS, -1) > 0 || errno == EINTR) {
        if (watched[0].revents)
            read_links(watched[0].fd);
        if (watched[1].revents)
            accept_one(watched[1].fd);
        if (watched[2].revents)
            obey();
        for (int i = 0; i < CONNECTIONS; i++)
            if (watched[3 + i].fd >= 0 && watched[3 + i].revents)
                serve(&watched[3 + i], &connections[i]);
    }
}
