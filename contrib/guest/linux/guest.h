/* What the files of the guest's only program have of each other. */
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>

/* loop.c ---------------------------------------------------------------------------------------------------------- */

/* A file descriptor to wait for: the first member of what belongs to it. */
struct watch {
    int fd;
    short events;                  /* poll(2)'s, that it waits for now */
    long long due;                 /* milliseconds of now() at which it is served in any case; 0 is never */
    void (*serve)(struct watch *); /* must bear to be called for nothing */
};

void watch(struct watch *it);   /* `fd` must not block; on this machine there is always room */
void unwatch(struct watch *it); /* closes `fd` too; what `it` is in may be freed at once */
void run(void) __attribute__((noreturn));
long long now(void); /* milliseconds, monotonic */
void listen_on(int port, void (*serve)(struct watch *));

/* links.c --------------------------------------------------------------------------------------------------------- */

struct link {
    char name[IFNAMSIZ];
    unsigned char mac[6];
    char driver[64];
    int index, master, is_up, has_carrier;
    unsigned long long received, sent; /* packets */
};

void follow_links(const char *host); /* brings each NIC up, now and whenever one comes */
size_t tell_links(char *text, size_t size);

/* echo.c, probe.c, command.c -------------------------------------------------------------------------------------- */

struct probe;

void serve_echo(void);
void serve_commands(void);

/* Begins one; `done` is called once, with the result as a line, and after that the probe is gone. */
struct probe *start_probe(struct in_addr to, unsigned count, unsigned pause, void (*done)(void *of, const char *line),
                          void *of);
void end_probe(struct probe *probe); /* without calling `done` */
