/* queue - watch the receive queue of a UDP port for some seconds.
 *
 * usage: queue PORT SECONDS WINDOW
 *
 * Looks every fifth of a millisecond, for as long as SECONDS. Prints a line when it begins, then one JSON object: for
 * each WINDOW seconds the longest time in milliseconds that something waited in the queue and nothing was taken out of
 * it; the most bytes in it; and how many datagrams the kernel dropped. A queue that has shrunk since the last look was
 * read from. Where this program was kept from looking for more than two milliseconds, that time does not count.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

static const double INTERVAL = 0.0002;
static const double LOOKED_AWAY = 0.002;

struct look {
    long bytes;
    long drops;
};

/* A line: "sl: local:PORT remote:PORT state tx:rx ... drops", numbers in hexadecimal but for the last. */
static void add_line(const char *line, unsigned port, struct look *seen)
{
    unsigned local, received;
    if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%X %*[0-9A-Fa-f]:%*X %*X %*X:%X", &local, &received) != 2 || local != port)
        return;
    size_t length = strlen(line);
    while (length && line[length - 1] == ' ')
        length--;
    while (length && line[length - 1] != ' ')
        length--;
    seen->bytes += received;
    seen->drops += atol(line + length);
}

static struct look look_at(const int *files, int count, unsigned port)
{
    static char text[1 << 20];
    struct look seen = {0, 0};
    for (int i = 0; i < count; i++) {
        ssize_t length = files[i] < 0 ? -1 : pread(files[i], text, sizeof text - 1, 0);
        if (length <= 0)
            continue;
        text[length] = 0;
        char *rest = text, *line;
        while ((line = strsep(&rest, "\n")))
            add_line(line, port, &seen);
    }
    return seen;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    unsigned port = (unsigned)atoi(argv[1]);
    double seconds = atof(argv[2]), window = atof(argv[3]);
    int files[] = {open("/proc/net/udp", O_RDONLY), open("/proc/net/udp6", O_RDONLY)};
    struct look first = look_at(files, 2, port), last = first;
    double start = now(), time = start, filled = -1, longest = 0;
    long most = 0;
    int windows = 1;
    puts("watching");
    fflush(stdout);
    printf("{\"longest_ms\": [");
    while (time - start < seconds) {
        sleep_seconds(INTERVAL);
        struct look seen = look_at(files, 2, port);
        double before = time;
        time = now();
        /* While this program itself did not run, nobody knows. */
        if (filled >= 0 && time - before > LOOKED_AWAY)
            filled += time - before;
        int taken = seen.bytes == 0 || seen.bytes < last.bytes;
        if (filled >= 0 && time - filled > longest)
            longest = time - filled;
        if (taken)
            filled = seen.bytes ? time : -1;
        else if (filled < 0)
            filled = time;
        if (time - start >= windows * window) {
            printf("%s%.2f", windows > 1 ? ", " : "", longest * 1e3);
            longest = 0;
            windows++;
        }
        if (seen.bytes > most)
            most = seen.bytes;
        last = seen;
    }
    if (windows == 1)
        printf("%.2f", longest * 1e3);
    printf("], \"most_bytes\": %ld, \"drops\": %ld}\n", most, last.drops - first.drops);
    return 0;
}
