/* load: puts DNS queries on a server of this machine by UDP and counts what comes back;
 * knows of a message only its id, RCODE and ANCOUNT.
 *
 *   load -q QUERIES [-a 127.0.0.1] [-p PORT] [-s SECONDS] [-w WINDOW] [-n SOCKETS] [-r RATE] [-t TIMEOUT] [-S]
 *
 * QUERIES  a file of messages, each after its length in two octets. The id of a message, which is replaced on the wire, says
 *          what RCODE is expected of its reply; 65535: any, or silence.
 * WINDOW   queries in flight at most, over all sockets (closed loop). 0: no limit, which needs a RATE.
 * RATE     queries a second at most, sent evenly (open loop); 0: as many as the window allows.
 * TIMEOUT  seconds after which a query without reply is lost.
 * -S       each query has a source address of its own in 127.0.0.0/8.
 *
 * Prints one JSON object. A batch goes through each socket with one system call each way, so that one core can saturate a server.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, MAX_QUERIES = 2000000, MAX_SOCKETS = 256, REPLY = 4096, IDS = 65536, ANY = 65535 };
enum { SUB = 16, BUCKETS = 64 * SUB };  /* of the latencies */
enum { FIRST = 32 };  /* the window at the start: all of it at once would overflow small buffers */

struct flight { double sent; uint16_t expected; uint8_t open; };  /* a query whose reply may come */

/* a socket and its queries in flight, by id; ids are given out in turn, so [oldest, next) is the order of sending */
struct line {
    int fd;
    uint32_t oldest, next;
    struct flight flight[IDS];
};

static unsigned char *query[MAX_QUERIES];
static int length[MAX_QUERIES];
static uint16_t expected[MAX_QUERIES];
static unsigned char reply[BATCH][REPLY];
static struct mmsghdr out[BATCH], in[BATCH];
static struct iovec out_vector[BATCH], in_vector[BATCH];
static union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(struct in_pktinfo))]; } control[BATCH];
static struct sockaddr_in server = {.sin_family = AF_INET};
static long sent, answered, in_time, lost, wrong, stray, empty, octets, outstanding, rcodes[16], histogram[BUCKETS];
static double largest, latencies;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static uint32_t chance(void) {  /* xorshift: fast, and the same in every run */
    static uint32_t x = 2463534242u;
    x ^= x << 13; x ^= x >> 17; x ^= x << 5;
    return x;
}

static int bucket(double seconds) {  /* 16 buckets for each doubling of nanoseconds: 4 % wide at most */
    uint64_t ns = seconds < 0 ? 0 : (uint64_t)(seconds * 1e9);
    if (ns < SUB) return (int)ns;
    int power = 63 - __builtin_clzll(ns);
    return (power - 3) * SUB + (int)(ns >> (power - 4) & (SUB - 1));
}

static double bucket_top(int index) {
    if (index < SUB) return index * 1e-9;
    int power = index / SUB + 3;
    return (double)((uint64_t)(SUB + index % SUB + 1) << (power - 4)) * 1e-9;
}

static double quantile(double share) {
    long wanted = (long)ceil(share * (double)answered), seen = 0;
    for (int i = 0; i < BUCKETS; i++) if ((seen += histogram[i]) >= wanted && seen) return fmin(bucket_top(i), largest);
    return largest;
}

static int read_queries(const char *path) {
    FILE *file = fopen(path, "rb");
    unsigned char head[2];
    int count = 0;
    if (!file) { perror(path); exit(2); }
    while (count < MAX_QUERIES && fread(head, 1, 2, file) == 2) {
        int size = head[0] << 8 | head[1];
        unsigned char *octet = malloc(size < 2 ? 2 : size);
        if (fread(octet, 1, size, file) != (size_t)size) { fprintf(stderr, "%s: cut off\n", path); exit(2); }
        expected[count] = size < 2 ? ANY : octet[0] << 8 | octet[1];
        query[count] = octet;
        length[count++] = size;
    }
    fclose(file);
    if (!count) { fprintf(stderr, "%s: no queries\n", path); exit(2); }
    return count;
}

static void open_line(struct line *line, int spoof) {
    int buffer = 8 << 20, on = 1;
    line->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (line->fd < 0) { perror("socket"); exit(2); }
    if (setsockopt(line->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer))
        setsockopt(line->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(line->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (spoof) {  /* bound to every address, so that the replies to any of its sources come back to it */
        struct sockaddr_in here = {.sin_family = AF_INET};
        setsockopt(line->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
        if (bind(line->fd, (struct sockaddr *)&here, sizeof here)) { perror("bind"); exit(2); }
    } else if (connect(line->fd, (struct sockaddr *)&server, sizeof server)) { perror("connect"); exit(2); }
}

static void prepare(int spoof) {
    for (int i = 0; i < BATCH; i++) {
        out[i].msg_hdr.msg_iov = &out_vector[i];
        out[i].msg_hdr.msg_iovlen = 1;
        in_vector[i] = (struct iovec){reply[i], REPLY};
        in[i].msg_hdr.msg_iov = &in_vector[i];
        in[i].msg_hdr.msg_iovlen = 1;
        if (!spoof) continue;
        control[i].head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
        out[i].msg_hdr.msg_name = &server;
        out[i].msg_hdr.msg_namelen = sizeof server;
        out[i].msg_hdr.msg_control = &control[i];
        out[i].msg_hdr.msg_controllen = sizeof control[i].room;
    }
}

static void give_up(struct flight *flight) {
    if (!flight->open) return;
    flight->open = 0;
    outstanding--;
    if (flight->expected != ANY) lost++;
}

static int send_batch(struct line *line, int count, int queries, int spoof, double t) {
    static int at;
    for (int i = 0; i < count; i++) {
        int index = (at + i) % queries;
        uint16_t id = (uint16_t)(line->next + i);
        if (length[index] >= 2) { query[index][0] = id >> 8; query[index][1] = id & 255; }
        out_vector[i] = (struct iovec){query[index], length[index]};
        if (spoof) {
            struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(0x7f000001u + chance() % 0xfffffdu)};
            memcpy(CMSG_DATA(&control[i].head), &info, sizeof info);
        }
    }
    int done = sendmmsg(line->fd, out, count, 0);
    for (int i = 0; i < done; i++) {
        struct flight *flight = &line->flight[line->next++ & (IDS - 1)];
        give_up(flight);  /* an id that comes round again: its query of before has had no reply */
        *flight = (struct flight){t, expected[(at + i) % queries], 1};
    }
    if (line->next - line->oldest > IDS) line->oldest = line->next - IDS;
    if (done <= 0) return 0;
    at = (at + done) % queries;
    sent += done;
    outstanding += done;
    return done;
}

static int receive_batch(struct line *line, int counted) {
    int got = recvmmsg(line->fd, in, BATCH, MSG_DONTWAIT, NULL);
    double t = got > 0 ? now() : 0;
    for (int i = 0; i < got; i++) {
        unsigned char *octet = reply[i];
        if (in[i].msg_len < 12) { stray++; continue; }
        struct flight *flight = &line->flight[octet[0] << 8 | octet[1]];
        if (!flight->open) { stray++; continue; }
        double latency = t - flight->sent;
        int rcode = octet[3] & 15;
        flight->open = 0;
        outstanding--;
        answered++;
        in_time += counted;
        octets += in[i].msg_len;
        rcodes[rcode]++;
        wrong += flight->expected != ANY && flight->expected != rcode;
        empty += !rcode && !(octet[6] << 8 | octet[7]);
        histogram[bucket(latency)]++;
        latencies += latency;
        if (latency > largest) largest = latency;
    }
    return got > 0 ? got : 0;
}

static void expire(struct line *line, double before) {
    while (line->oldest != line->next) {
        struct flight *flight = &line->flight[line->oldest & (IDS - 1)];
        if (flight->open && flight->sent > before) return;
        give_up(flight);
        line->oldest++;
    }
}

int main(int argc, char **argv) {
    double seconds = 5, rate = 0, timeout = 1;
    long window = 256;
    int sockets = 4, spoof = 0, choice;
    const char *address = "127.0.0.1", *path = NULL;
    while ((choice = getopt(argc, argv, "q:a:p:s:w:n:r:t:S")) != -1) switch (choice) {
        case 'q': path = optarg; break;
        case 'a': address = optarg; break;
        case 'p': server.sin_port = htons(atoi(optarg)); break;
        case 's': seconds = atof(optarg); break;
        case 'w': window = atol(optarg); break;
        case 'n': sockets = atoi(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 't': timeout = atof(optarg); break;
        case 'S': spoof = 1; break;
        default: return 2;
    }
    if (!path || !server.sin_port || sockets < 1 || sockets > MAX_SOCKETS || (!window && rate <= 0)) {
        fprintf(stderr, "usage: load -q QUERIES -p PORT [-a ADDRESS] [-s SECONDS] [-w WINDOW] [-n SOCKETS] "
                        "[-r RATE] [-t TIMEOUT] [-S]\n");
        return 2;
    }
    if (inet_pton(AF_INET, address, &server.sin_addr) != 1 || ntohl(server.sin_addr.s_addr) >> 24 != 127) {
        fprintf(stderr, "load: %s is no loopback address\n", address);
        return 2;
    }
    int queries = read_queries(path);
    struct line *lines = calloc(sockets, sizeof *lines);
    struct pollfd *waiting = calloc(sockets, sizeof *waiting);
    for (int i = 0; i < sockets; i++) {
        open_line(&lines[i], spoof);
        waiting[i] = (struct pollfd){lines[i].fd, POLLIN, 0};
    }
    prepare(spoof);

    double start = now(), checked = start, t = start;
    for (int sending = 1; sending || (outstanding && t < start + seconds + timeout);) {
        t = now();
        sending = sending && t - start < seconds;
        int moved = 0;
        for (int s = 0; s < sockets; s++) {
            long open = window && answered + FIRST < window ? answered + FIRST : window;
            long room = window ? open - outstanding : BATCH;
            long due = rate > 0 ? (long)(rate * (t - start)) + 1 - sent : BATCH;
            long count = room < due ? room : due;
            if (sending && count > 0) moved += send_batch(&lines[s], count > BATCH ? BATCH : (int)count, queries, spoof, now());
            moved += receive_batch(&lines[s], sending);
        }
        if (t - checked > 0.01) {
            for (int s = 0; s < sockets; s++) expire(&lines[s], t - timeout);
            checked = t;
        }
        if (moved || (sending && rate <= 0)) continue;  /* a closed loop spins: to be woken would cost the server time */
        double until = rate > 0 && sending ? start + (double)sent / rate - now() : 0.001;
        if (until > 0.01) until = 0.01;
        if (until > 0) ppoll(waiting, sockets, &(struct timespec){0, (long)(until * 1e9)}, NULL);
    }
    for (int s = 0; s < sockets; s++) expire(&lines[s], INFINITY);
    printf("{\"seconds\": %.6f, \"qps\": %.1f, \"sent\": %ld, \"answered\": %ld, \"lost\": %ld, \"wrong\": %ld, ",
           seconds, in_time / seconds, sent, answered, lost, wrong);
    printf("\"stray\": %ld, \"empty\": %ld, \"mean_octets\": %.1f, ", stray, empty, answered ? (double)octets / answered : 0.0);
    printf("\"latency\": {\"mean\": %.9f, \"p50\": %.9f, \"p90\": %.9f, \"p99\": %.9f, \"p999\": %.9f, \"max\": %.9f}, ",
           answered ? latencies / answered : 0.0, quantile(0.5), quantile(0.9), quantile(0.99), quantile(0.999), largest);
    printf("\"rcodes\": {");
    for (int i = 0, first = 1; i < 16; i++) {
        if (!rcodes[i]) continue;
        printf("%s\"%d\": %ld", first ? "" : ", ", i, rcodes[i]);
        first = 0;
    }
    printf("}}\n");
    return 0;
}
