/* The echo service of RFC 862: TCP port 7. A connection ends when its client ends it, whatever becomes of the NICs. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

enum { MOST = 100 };

struct echo {
    struct watch watch;
    size_t start, end; /* of what is still to be sent */
    char buffer[16384];
};

static int connections;

static void drop(struct echo *echo)
{
    unwatch(&echo->watch);
    free(echo);
    connections--;
}

static void serve(struct watch *watch)
{
    struct echo *echo = (struct echo *)watch;
    ssize_t length;

    if (echo->start == echo->end) {
        length = read(watch->fd, echo->buffer, sizeof echo->buffer);
        if (length == 0 || (length < 0 && errno != EAGAIN)) {
            drop(echo);
            return;
        }
        echo->start = 0;
        echo->end = length > 0 ? length : 0;
    }
    if (echo->start < echo->end) {
        length = write(watch->fd, echo->buffer + echo->start, echo->end - echo->start);
        if (length < 0 && errno != EAGAIN) {
            drop(echo);
            return;
        }
        echo->start += length > 0 ? length : 0;
    }
    watch->events = echo->start < echo->end ? POLLOUT : POLLIN;
}

static void welcome(struct watch *listening)
{
    int fd = accept4(listening->fd, NULL, NULL, SOCK_NONBLOCK), yes = 1;
    struct echo *echo;

    if (fd < 0)
        return;
    if (connections == MOST) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    echo = calloc(1, sizeof *echo);
    echo->watch = (struct watch){ fd, POLLIN, 0, serve };
    connections++;
    watch(&echo->watch);
}

void serve_echo(void)
{
    listen_on(7, welcome);
}
