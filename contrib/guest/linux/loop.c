/* Waits for everything at once: poll(2), one thread. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

enum { MOST = 256 };

static struct watch *watches[MOST];

long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

void watch(struct watch *it)
{
    for (int n = 0; n < MOST; n++)
        if (!watches[n]) {
            watches[n] = it;
            return;
        }
    printf("too many connections\n");
    abort();
}

void unwatch(struct watch *it)
{
    for (int n = 0; n < MOST; n++)
        if (watches[n] == it)
            watches[n] = NULL;
    close(it->fd);
}

static int time_left(void)
{
    long long first = -1, time = now();

    for (int n = 0; n < MOST; n++)
        if (watches[n] && watches[n]->due && (first < 0 || watches[n]->due < first))
            first = watches[n]->due;
    return first < 0 ? -1 : first > time ? (int)(first - time) : 0;
}

void run(void)
{
    struct pollfd polled[MOST];

    for (;;) {
        for (int n = 0; n < MOST; n++) {
            polled[n] = (struct pollfd){ .fd = -1 };
            if (watches[n])
                polled[n] = (struct pollfd){ .fd = watches[n]->fd, .events = watches[n]->events };
        }
        poll(polled, MOST, time_left());
        for (int n = 0; n < MOST; n++)
            if (watches[n] && (polled[n].revents || (watches[n]->due && watches[n]->due <= now())))
                watches[n]->serve(watches[n]);
    }
}

void listen_on(int port, void (*serve)(struct watch *))
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct watch *it = calloc(1, sizeof *it);

    *it = (struct watch){ socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), POLLIN, 0, serve };
    if (bind(it->fd, (struct sockaddr *)&address, sizeof address) || listen(it->fd, 64))
        perror("listen");
    watch(it);
}
