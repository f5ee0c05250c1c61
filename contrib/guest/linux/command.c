/* TCP port 8: a connection brings one command as a line, gets the answer, and is closed; init.c has the list. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

enum { MOST = 32 };

struct command {
    struct watch watch;
    size_t length;
    char line[256];
    struct probe *probe; /* that it waits for */
};

static int connections;

static void drop(struct command *command)
{
    if (command->probe)
        end_probe(command->probe);
    unwatch(&command->watch);
    free(command);
    connections--;
}

/* An answer is far smaller than what a socket takes at once. */
static void answer(struct command *command, const char *text)
{
    if (write(command->watch.fd, text, strlen(text)) < 0)
        perror("answer");
    drop(command);
}

static void answer_probe(void *of, const char *line)
{
    struct command *command = of;

    command->probe = NULL;
    answer(command, line);
}

/* What the kernel says in a file of /proc or /sys, as far as it fits. */
static void read_file(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY);
    ssize_t length = 0, more;

    if (file < 0) {
        snprintf(text, size, "%s\n", strerrorname_np(errno));
        return;
    }
    while ((more = read(file, text + length, size - 1 - length)) > 0)
        length += more;
    text[length] = 0;
    close(file);
}

static void perform(struct command *command)
{
    char address[32], path[128], text[32768];
    unsigned count, pause = 0;
    struct in_addr to;

    if (!strcmp(command->line, "links")) {
        tell_links(text, sizeof text);
        answer(command, text);
    } else if (sscanf(command->line, "probe %31s %u %u", address, &count, &pause) >= 2 && count &&
               inet_pton(AF_INET, address, &to) == 1) {
        command->probe = start_probe(to, count, pause, answer_probe, command);
    } else if (sscanf(command->line, "read %127s", path) == 1) {
        read_file(path, text, sizeof text);
        answer(command, text);
    } else {
        answer(command, "WHAT? links | probe ADDRESS COUNT [PAUSE] | read PATH\n");
    }
}

static void serve(struct watch *watch)
{
    struct command *command = (struct command *)watch;
    ssize_t length = read(watch->fd, command->line + command->length, sizeof command->line - 1 - command->length);
    char *end;

    if (length < 0 && errno == EAGAIN)
        return;
    if (length <= 0) { /* closed, or a line too long: nobody waits for an answer any more */
        drop(command);
        return;
    }
    command->length += length;
    command->line[command->length] = 0;
    end = strpbrk(command->line, "\r\n");
    if (!end || command->probe)
        return;
    *end = 0;
    perform(command);
}

static void welcome(struct watch *listening)
{
    int fd = accept4(listening->fd, NULL, NULL, SOCK_NONBLOCK);
    struct command *command;

    if (fd < 0)
        return;
    if (connections == MOST) {
        close(fd);
        return;
    }
    command = calloc(1, sizeof *command);
    command->watch = (struct watch){ fd, POLLIN, 0, serve };
    connections++;
    watch(&command->watch);
}

void serve_commands(void)
{
    listen_on(8, welcome);
}
