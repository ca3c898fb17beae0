/* sink - stands for carbon on 127.0.0.1: takes lines by TCP and adds up the counters among them.
 *
 * usage: sink PORT PREFIX SUFFIX
 *
 * A line is NAME VALUE TIME, apart by spaces or by | (statsite's own form). Counters are those whose name begins with
 * PREFIX and ends in SUFFIX. Each line on standard input is answered by one JSON object: how many lines came in since
 * the start, the sum of the counters, and the seconds since the last byte arrived (-1: none ever). It ends with its
 * standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

enum { BUFFER = 1 << 17, EVENTS = 64 };

struct connection {
    int socket;
    size_t filled;
    char bytes[BUFFER];
};

static const char *prefix, *suffix;
static size_t prefix_length, suffix_length;
static unsigned long lines;
static double sum, last_arrival = -1;

static void take_line(char *line, char *end)
{
    lines++;
    *end = 0;
    char *name_end = line + strcspn(line, " |");
    size_t length = (size_t)(name_end - line);
    if (!*name_end || length < prefix_length + suffix_length)
        return;
    if (!memcmp(line, prefix, prefix_length) && !memcmp(name_end - suffix_length, suffix, suffix_length))
        sum += strtod(name_end + 1, NULL);
}

/* Take what has arrived; return 0 when the connection has ended. */
static int take(struct connection *from)
{
    ssize_t count = read(from->socket, from->bytes + from->filled, BUFFER - from->filled);
    if (count <= 0)
        return 0;
    last_arrival = now();
    char *line = from->bytes, *end = from->bytes + from->filled + count, *newline;
    while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
        take_line(line, newline);
        line = newline + 1;
    }
    from->filled = (size_t)(end - line);
    if (from->filled == BUFFER)
        from->filled = 0;
    memmove(from->bytes, line, from->filled);
    return 1;
}

static void answer(void)
{
    printf("{\"lines\": %lu, \"sum\": %.3f, \"idle\": %.3f}\n", lines, sum, last_arrival < 0 ? -1 : now() - last_arrival);
    fflush(stdout);
}

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int own = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(own, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (own < 0 || bind(own, (struct sockaddr *)&address, sizeof address) || listen(own, 128)) {
        perror("sink: listen");
        exit(1);
    }
    return own;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    prefix = argv[2], prefix_length = strlen(prefix);
    suffix = argv[3], suffix_length = strlen(suffix);
    struct connection listener = {.socket = listen_on(atoi(argv[1]))}, control = {.socket = STDIN_FILENO};
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener.socket, &event);
    event.data.ptr = &control;
    epoll_ctl(poll, EPOLL_CTL_ADD, control.socket, &event);
    for (;;) {
        struct epoll_event ready[EVENTS];
        int count = epoll_wait(poll, ready, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *from = ready[i].data.ptr;
            if (from == &control) {
                char asked[64];
                if (read(control.socket, asked, sizeof asked) <= 0)
                    return 0;
                answer();
            } else if (from == &listener) {
                struct connection *fresh = malloc(sizeof *fresh);
                if (!fresh)
                    return 1;
                fresh->socket = accept(listener.socket, NULL, NULL);
                fresh->filled = 0;
                event.data.ptr = fresh;
                if (fresh->socket < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, fresh->socket, &event))
                    free(fresh);
            } else if (!take(from)) {
                close(from->socket);
                free(from);
            }
        }
    }
}
