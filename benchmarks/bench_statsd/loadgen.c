/* loadgen - send StatsD datagrams to 127.0.0.1 at a steady rate.
 *
 * usage: loadgen -p PORT [-k BUCKETS] [-n METRICS] [-r METRICS_PER_SECOND] [-m BYTES] [-s SEED] [-w] [-g]
 *   -m  fill each datagram up to so many bytes; 0: one metric in each
 *   -w  touch each bucket once, instead of -n metrics
 *   -g  hand the kernel up to 64 datagrams of one length at a time, which it takes apart (UDP_SEGMENT): more than twice as many a
 *       second. Their order is another one; the server receives each by itself, as ever.
 *
 * 80 % of the buckets and of the metrics are counters, 15 % timers, 5 % gauges. Each pass over the buckets of a kind
 * visits all of them once, in a random order. All datagrams are made before the first is sent. They leave in groups,
 * every half millisecond or one by one if the rate is below 2,000 datagrams a second.
 * Prints one JSON object: what was sent, the sum of the counters' values, and how long it took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

enum kind { COUNTER, TIMER, GAUGE, KINDS };

enum {
    LONGEST_NAME = 64,
    LONGEST_LINE = 96,
    MOST_IN_A_GROUP = 256,
    MOST_IN_A_RUN = 64,
    GROUPS_PER_SECOND = 2000,
    FEWEST_PREPARED = 400000,
    MOST_PREPARED = 4000000,
    MOST_METRICS = 400000000,
    MOST_SECONDS = 120,
    MOST_REFUSALS = 1000,
};

struct bucket {
    char name[LONGEST_NAME];
    int length;
    enum kind kind;
};

/* What is sent at a time: a datagram, or with -g a run of datagrams of one length, one behind the other. */
struct datagram {
    size_t start;
    int length;
    int segment;
    int metrics;
    double counted;
};

struct order {
    long *buckets;
    long count;
    long next;
};

struct prepared {
    char *bytes;
    struct datagram *datagrams;
    long count;
};

/* ---- numbers that look random: xorshift ---- */

static uint64_t state;

static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double random_fraction(void)
{
    return (double)(random_bits() >> 11) / 9007199254740992.0;
}

static double random_normal(void)
{
    return sqrt(-2 * log(random_fraction() + 1e-12)) * cos(6.283185307179586 * random_fraction());
}

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory) {
        fprintf(stderr, "loadgen: no memory\n");
        exit(1);
    }
    return memory;
}

/* ---- what is sent ---- */

static enum kind kind_of(double percent)
{
    return percent < 80 ? COUNTER : percent < 95 ? TIMER : GAUGE;
}

static void name_bucket(struct bucket *bucket, long number)
{
    static const char *service[] = {"checkout", "search", "login", "cart", "image", "api", "feed", "mail"};
    static const char *what[KINDS][4] = {
        {"requests_total", "errors_total", "hits_total", "bytes_total"},
        {"latency", "db.query_time", "render_time", "wait"},
        {"queue_depth", "mem", "threads", "temp"},
    };
    /* The golden ratio spreads the kinds evenly over the numbers. */
    bucket->kind = kind_of(fmod((double)number * 61.8033988749895, 100.0));
    bucket->length = snprintf(bucket->name, sizeof bucket->name, "prod.web%02ld.%s.h%05ld.%s", number % 40,
                              service[number / 7 % 8], number, what[bucket->kind][number / 3 % 4]);
}

static void shuffle(struct order *order)
{
    for (long last = order->count - 1; last > 0; last--) {
        long other = (long)(random_bits() % (uint64_t)(last + 1));
        long moved = order->buckets[last];
        order->buckets[last] = order->buckets[other];
        order->buckets[other] = moved;
    }
    order->next = 0;
}

/* The next bucket of a kind: each once, then each again in another order. */
static long visit(struct order *order)
{
    if (order->next == order->count)
        shuffle(order);
    return order->buckets[order->next++];
}

/* Write one line without its newline; return its length and add what it counts. */
static int write_line(char *line, const struct bucket *bucket, double *counted)
{
    char *value = mempcpy(line, bucket->name, (size_t)bucket->length);
    long whole;
    switch (bucket->kind) {
    case COUNTER:
        whole = random_bits() % 10 ? 1 : 1 + (long)(random_bits() % 100);
        *counted += (double)whole;
        return bucket->length + sprintf(value, ":%ld|c", whole);
    case TIMER:
        return bucket->length + sprintf(value, ":%.3f|ms", exp(3.5 + 0.9 * random_normal()));
    default:
        return bucket->length + sprintf(value, ":%ld|g", (long)(random_bits() % 100000));
    }
}

static struct prepared prepare(long buckets, long metrics, int size, int each_once)
{
    struct bucket *all = allocate((size_t)buckets * sizeof *all);
    struct order orders[KINDS] = {0};
    for (int kind = 0; kind < KINDS; kind++)
        orders[kind].buckets = allocate((size_t)buckets * sizeof(long));
    for (long number = 0; number < buckets; number++) {
        name_bucket(&all[number], number);
        struct order *order = &orders[all[number].kind];
        order->buckets[order->count++] = number;
    }
    for (int kind = 0; kind < KINDS; kind++)
        shuffle(&orders[kind]);

    struct prepared made = {allocate((size_t)metrics * LONGEST_LINE), allocate((size_t)metrics * sizeof(struct datagram)), 0};
    struct datagram *datagram = NULL;
    size_t end = 0;
    for (long number = 0; number < metrics; number++) {
        long chosen = number;
        if (!each_once) {
            struct order *order = &orders[kind_of(random_fraction() * 100)];
            chosen = visit(order->count ? order : &orders[COUNTER]);
        }
        char line[LONGEST_NAME + LONGEST_LINE];
        double counted = 0;
        int length = write_line(line, &all[chosen], &counted);
        if (datagram && datagram->length + 1 + length <= size) {
            made.bytes[end++] = '\n';
            datagram->length++;
        } else {
            datagram = &made.datagrams[made.count++];
            datagram->start = end;
        }
        memcpy(made.bytes + end, line, (size_t)length);
        end += (size_t)length;
        datagram->length += length;
        datagram->metrics++;
        datagram->counted += counted;
    }
    for (int kind = 0; kind < KINDS; kind++)
        free(orders[kind].buckets);
    free(all);
    return made;
}

/* Put datagrams of one length together; they leave in the order in which the runs become full. */
static struct prepared put_together(struct prepared single)
{
    size_t total = 0;
    for (long number = 0; number < single.count; number++)
        total += (size_t)single.datagrams[number].length;
    struct prepared made = {allocate(total), allocate((size_t)single.count * sizeof(struct datagram)), 0};
    static char waiting[LONGEST_LINE + 1][MOST_IN_A_RUN * LONGEST_LINE];
    static struct datagram runs[LONGEST_LINE + 1];
    size_t end = 0;
    for (long number = 0; number < single.count + LONGEST_LINE + 1; number++) {
        int is_rest = number >= single.count;
        int length = is_rest ? (int)(number - single.count) : single.datagrams[number].length;
        struct datagram *run = &runs[length];
        if (!is_rest) {
            memcpy(waiting[length] + run->length, single.bytes + single.datagrams[number].start, (size_t)length);
            run->length += length;
            run->metrics++;
            run->counted += single.datagrams[number].counted;
        }
        if (run->metrics == MOST_IN_A_RUN || (is_rest && run->metrics)) {
            run->start = end;
            run->segment = length;
            memcpy(made.bytes + end, waiting[length], (size_t)run->length);
            end += (size_t)run->length;
            made.datagrams[made.count++] = *run;
            *run = (struct datagram){0};
        }
    }
    free(single.bytes);
    free(single.datagrams);
    return made;
}

/* ---- sending ---- */

union control {
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr header;
};

/* Tell the kernel the length at which to take a run apart. */
static void set_segment(struct msghdr *message, union control *control, int segment)
{
    message->msg_control = control;
    message->msg_controllen = sizeof control->bytes;
    control->header.cmsg_level = SOL_UDP;
    control->header.cmsg_type = UDP_SEGMENT;
    control->header.cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t length = (uint16_t)segment;
    memcpy(CMSG_DATA(&control->header), &length, sizeof length);
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int own = socket(AF_INET, SOCK_DGRAM, 0);
    if (own < 0 || connect(own, (struct sockaddr *)&address, sizeof address)) {
        perror("loadgen: connect");
        exit(1);
    }
    int bytes = 4 << 20;
    setsockopt(own, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return own;
}

static void send_group(int own, struct mmsghdr *messages, int count)
{
    static int refusals;
    int sent = 0;
    while (sent < count) {
        int done = sendmmsg(own, messages + sent, (unsigned)(count - sent), 0);
        if (done >= 0) {
            sent += done;
        } else if (errno == ECONNREFUSED) {
            if (++refusals > MOST_REFUSALS) {
                fprintf(stderr, "loadgen: nobody listens\n");
                exit(1);
            }
        } else if (errno != EINTR) {
            sleep_seconds(0.0001);
        }
    }
}

int main(int argc, char **argv)
{
    int port = 0, size = 0, each_once = 0, in_runs = 0, option;
    long buckets = 1000, metrics = 100000;
    double rate = 10000;
    state = 1;
    while ((option = getopt(argc, argv, "p:k:n:r:m:s:wg")) != -1) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'k': buckets = atol(optarg); break;
        case 'n': metrics = atol(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'm': size = atoi(optarg); break;
        case 's': state = (uint64_t)atol(optarg); break;
        case 'w': each_once = 1; break;
        case 'g': in_runs = 1; break;
        default: return 2;
        }
    }
    if (each_once)
        metrics = buckets;
    if (port <= 0 || buckets <= 0 || metrics <= 0 || metrics > MOST_METRICS || rate <= 0 || (in_runs && size))
        return 2;
    state = state * 0x9E3779B97F4A7C15u + 1;

    long pool = metrics;
    long wanted = buckets * 2 > FEWEST_PREPARED ? buckets * 2 : FEWEST_PREPARED;
    if (wanted > MOST_PREPARED)
        wanted = MOST_PREPARED;
    if (pool > wanted && !each_once)
        pool = wanted;
    struct prepared made = prepare(buckets, pool, size, each_once);
    if (in_runs)
        made = put_together(made);
    int own = connect_to(port);

    int group = (int)(rate / ((double)pool / (double)made.count) / GROUPS_PER_SECOND);
    group = group < 1 ? 1 : group > MOST_IN_A_GROUP ? MOST_IN_A_GROUP : group;
    struct mmsghdr messages[MOST_IN_A_GROUP] = {0};
    struct iovec parts[MOST_IN_A_GROUP];
    static union control controls[MOST_IN_A_GROUP];
    for (int i = 0; i < group; i++) {
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }

    long sent = 0, datagrams = 0, next = 0;
    double counted = 0, start = now(), time = start;
    while (sent < metrics && time - start < MOST_SECONDS) {
        int count = 0;
        while (count < group && sent < metrics) {
            struct datagram *datagram = &made.datagrams[next];
            next = (next + 1) % made.count;
            if (in_runs)
                set_segment(&messages[count].msg_hdr, &controls[count], datagram->segment);
            parts[count].iov_base = made.bytes + datagram->start;
            parts[count++].iov_len = (size_t)datagram->length;
            datagrams += in_runs ? datagram->metrics : 1;
            sent += datagram->metrics;
            counted += datagram->counted;
        }
        send_group(own, messages, count);
        time = now();
        double early = start + (double)sent / rate - time;
        if (early > 0) {
            sleep_seconds(early);
            time = now();
        }
    }
    printf("{\"metrics\": %ld, \"datagrams\": %ld, \"counted\": %.0f, \"seconds\": %.6f}\n", sent, datagrams, counted,
           time - start);
    return 0;
}
