/*
 * A stream of numbered blocks to the echo service of another machine, and back: every byte is checked against what was
 * sent, in its order, and the longest time in which nothing came is measured.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

enum {
    BLOCK = 1024,
    UNDERWAY = 32,  /* blocks sent and not yet back, at most */
    SILENCE = 900000 /* milliseconds after which it is given up: for a hang, as TCP waits longer with each try */
};

struct probe {
    struct watch watch;
    int is_connected, fault;
    unsigned count, pause, wrong;
    unsigned long long sent, received; /* bytes */
    long long start, last, longest, next;
    unsigned char out[BLOCK], in[BLOCK];
    void (*done)(void *, const char *);
    void *of;
};

/* Block `number`: each word tells block and place, so that what is lost, doubled or out of order shows. */
static void fill(unsigned char *block, uint32_t number)
{
    for (uint32_t word = 0; word < BLOCK / 4; word++) {
        uint32_t value = htonl(word ? number * 2654435761u + word : number);
        memcpy(block + word * 4, &value, 4);
    }
}

void end_probe(struct probe *probe)
{
    unwatch(&probe->watch);
    free(probe);
}

static void finish(struct probe *probe, const char *end)
{
    void (*done)(void *, const char *) = probe->done;
    void *of = probe->of;
    char line[256];

    snprintf(line, sizeof line, "PROBE sent=%llu received=%llu wrong=%u longest_gap_ms=%lld ms=%lld end=%s\n",
             probe->sent / BLOCK, probe->received / BLOCK, probe->wrong, probe->longest, now() - probe->start, end);
    end_probe(probe);
    done(of, line);
}

/* 1 while there may be more, 0 when that was all for now, -1 when it is over and `probe` is gone. */
static int receive(struct probe *probe)
{
    unsigned char expected[BLOCK];
    size_t place = probe->received % BLOCK;
    ssize_t length = read(probe->watch.fd, probe->in + place, BLOCK - place);

    if (length <= 0) {
        if (length < 0 && errno == EAGAIN)
            return 0;
        finish(probe, length ? strerrorname_np(errno) : "closed");
        return -1;
    }
    if (now() - probe->last > probe->longest)
        probe->longest = now() - probe->last;
    probe->last = now();
    probe->received += length;
    if (place + length == BLOCK) {
        fill(expected, probe->received / BLOCK - 1);
        probe->wrong += memcmp(expected, probe->in, BLOCK) != 0;
    }
    if (probe->received < (unsigned long long)probe->count * BLOCK)
        return 1;
    finish(probe, "done");
    return -1;
}

/* The same. */
static int transmit(struct probe *probe)
{
    size_t place = probe->sent % BLOCK;
    ssize_t length;

    if (!place) {
        if (probe->sent == (unsigned long long)probe->count * BLOCK || now() < probe->next ||
            probe->sent - probe->received >= UNDERWAY * BLOCK)
            return 0;
        fill(probe->out, probe->sent / BLOCK);
        probe->next = now() + probe->pause;
    }
    length = write(probe->watch.fd, probe->out + place, BLOCK - place);
    if (length < 0 && errno != EAGAIN) {
        finish(probe, strerrorname_np(errno));
        return -1;
    }
    probe->sent += length > 0 ? length : 0;
    return length > 0;
}

/* poll(2) tells of room only where a block could not be sent whole; else it waits for what comes back, or the pause's end. */
static void wait_on(struct probe *probe)
{
    int is_in_block = probe->sent % BLOCK != 0;
    int may_send = probe->sent < (unsigned long long)probe->count * BLOCK &&
                   probe->sent - probe->received < UNDERWAY * BLOCK;

    probe->watch.events = POLLIN | (is_in_block ? POLLOUT : 0);
    probe->watch.due = probe->last + SILENCE;
    if (may_send && !is_in_block && probe->next < probe->watch.due)
        probe->watch.due = probe->next > now() ? probe->next : now() + 1; /* no room: soon again */
}

static void serve(struct watch *watch)
{
    struct probe *probe = (struct probe *)watch;
    int fault = 0, more;
    socklen_t size = sizeof fault;

    if (probe->fault) {
        finish(probe, strerrorname_np(probe->fault));
        return;
    }
    if (!probe->is_connected) {
        struct pollfd ready = { watch->fd, POLLOUT, 0 };
        if (poll(&ready, 1, 0) == 1) {
            getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &fault, &size);
            if (fault) {
                finish(probe, strerrorname_np(fault));
                return;
            }
            probe->is_connected = 1;
            probe->start = probe->last = now();
        }
    }
    if (now() - probe->last > SILENCE) {
        finish(probe, "silence");
        return;
    }
    if (!probe->is_connected)
        return;
    while ((more = receive(probe)) > 0)
        ;
    while (more == 0 && (more = transmit(probe)) > 0)
        more = 0;
    if (more == 0)
        wait_on(probe);
}

struct probe *start_probe(struct in_addr to, unsigned count, unsigned pause, void (*done)(void *, const char *),
                          void *of)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(7), .sin_addr = to };
    struct probe *probe = calloc(1, sizeof *probe);
    int yes = 1;

    *probe = (struct probe){ .count = count, .pause = pause, .start = now(), .last = now(), .done = done, .of = of };
    probe->watch.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    probe->watch.events = POLLOUT;
    probe->watch.due = now() + SILENCE + 1;
    probe->watch.serve = serve;
    setsockopt(probe->watch.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(probe->watch.fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) {
        probe->fault = errno; /* no route, say: told when the caller has `probe` */
        probe->watch.due = 1;
    }
    watch(&probe->watch);
    return probe;
}
