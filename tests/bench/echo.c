/* echo: the floor under every UDP server of this machine: it sends each batch back, 16 octets longer, as if that were answers.
 *
 *   echo PORT
 *
 * What it costs a message is what the kernel costs; no server that uses sockets can be cheaper.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 64, SIZE = 1500, LONGER = 16 };

int main(int argc, char **argv) {
    static struct mmsghdr message[BATCH];
    static struct iovec vector[BATCH];
    static struct sockaddr_in peer[BATCH];
    static unsigned char octets[BATCH][SIZE];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), buffer = 4 << 20;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    here.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    if (argc != 2 || bind(fd, (struct sockaddr *)&here, sizeof here)) return 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    for (int i = 0; i < BATCH; i++) {
        vector[i].iov_base = octets[i];
        message[i].msg_hdr.msg_iov = &vector[i];
        message[i].msg_hdr.msg_iovlen = 1;
        message[i].msg_hdr.msg_name = &peer[i];
    }
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            vector[i].iov_len = SIZE;
            message[i].msg_hdr.msg_namelen = sizeof peer[i];
        }
        int count = recvmmsg(fd, message, BATCH, MSG_WAITFORONE, 0);
        for (int i = 0; i < count; i++) {
            unsigned size = message[i].msg_len + LONGER;
            vector[i].iov_len = size > SIZE ? SIZE : size;
            octets[i][2] |= 0x80;  /* QR */
            octets[i][3] = 0;      /* NOERROR */
            octets[i][7] = 1;      /* ANCOUNT */
        }
        if (count > 0) sendmmsg(fd, message, count, 0);
    }
}
