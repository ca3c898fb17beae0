/* bare - receive datagrams on 127.0.0.1 and throw them away: the least that any server has to do.
 *
 * usage: bare PORT RECEIVE_BUFFER MILLISECONDS
 *
 * With 0 milliseconds it wakes whenever something has arrived (poll, then recvmmsg until nothing is left); otherwise it
 * sleeps so long, by the clock, and takes all that is there. It runs until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "clock.h"

enum { BATCH = 256, LARGEST = 2048 };

static int bind_to(int port, int receive_buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int own = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(own, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if (own < 0 || bind(own, (struct sockaddr *)&address, sizeof address)) {
        perror("bare: bind");
        exit(1);
    }
    return own;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct pollfd arrival = {.fd = bind_to(atoi(argv[1]), atoi(argv[2])), .events = POLLIN};
    double pause = atof(argv[3]) / 1e3;
    static char bytes[BATCH][LARGEST];
    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        parts[i].iov_base = bytes[i];
        parts[i].iov_len = LARGEST;
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (;;) {
        if (pause > 0)
            sleep_seconds(pause);
        else
            poll(&arrival, 1, -1);
        while (recvmmsg(arrival.fd, messages, BATCH, MSG_DONTWAIT, NULL) == BATCH)
            ;
    }
}
