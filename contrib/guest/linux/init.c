/*
 * The only process of a small Linux guest: of the lab's own, and of any other that boots with it as its init. Emulated
 * within an emulated host, a fork costs a second: so there is no shell, and all is done here, in one thread.
 *
 * How to use it: gcc -static -O2 -o init *.c; an initial RAM disk with it as /init, the kernel modules, and /modules, which
 * lists their paths in the order to load them (contrib/guest/linux/build makes one, and so does contrib/lab/image/initrd.py); console=ttyS0 net.ifnames=0.
 *
 * Each NIC, now and whenever one comes, is brought up with an address:
 *     MAC 52:54:A:B:C:D with A not 0   A.B.C.D/24, whatever kind of NIC it is and how often it comes again, as a guest's
 *                                      network service would do; named enoN by its acpi_index, or enpBsS by bus and slot
 *     another MAC                      10.9.0.H/24, or 10.9.1.H/24 for a VF; H is "lab.host=" of the kernel's command line
 * The half of a teaming pair gets none, as the net_failover device on top of it has it. An address answers for itself on its
 * own NIC only (arp_ignore).
 *
 * On the console it says "READY", and for each change of a link
 *     NIC name mac driver=d master=index up=0|1 carrier=0|1
 *     GONE name mac
 *
 * On the network it answers ping, echoes on TCP port 7 (RFC 862), and takes a command line on each connection to TCP port 8:
 *     links
 *         LINK name mac ip=… driver=… index=n master=index up=0|1 carrier=0|1 received=packets sent=packets    for each
 *     probe ADDRESS COUNT [PAUSE]     so many blocks of 1 KiB, PAUSE milliseconds apart, to that address's echo and back
 *         PROBE sent=blocks received=blocks wrong=blocks longest_gap_ms=… ms=… end=done|closed|silence|ECONNRESET|…
 *     read PATH                       a file of /proc or /sys, for whoever wants to know why
 * A probe whose connection on port 8 is closed is given up.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

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

static const char *read_host(void)
{
    static char line[4096], host[4] = "9";
    FILE *file = fopen("/proc/cmdline", "r");
    const char *argument = file && fgets(line, sizeof line, file) ? strstr(line, "lab.host=") : NULL;

    if (argument)
        sscanf(argument, "lab.host=%3[0-9]", host);
    return host;
}

static void set(const char *path, const char *value)
{
    int file = open(path, O_WRONLY);

    if (write(file, value, strlen(value)) < 0)
        perror(path);
    close(file);
}

int main(void)
{
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    dup2(console, 0), dup2(console, 1), dup2(console, 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    set("/proc/sys/net/ipv4/conf/all/arp_ignore", "1");
    set("/proc/sys/net/ipv4/conf/all/arp_announce", "2");
    set("/proc/sys/net/ipv4/conf/all/arp_notify", "1");
    load_modules();
    follow_links(read_host());
    serve_echo();
    serve_commands();
    printf("READY\n");
    run();
}
