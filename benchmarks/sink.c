/* A DynamoDB that forgets: it takes every write, counts it, and answers after a set time.

   sink PORT LATENCY_MS UNITS_PER_S [CERTIFICATE KEY]

   Measures a writer without an engine's own ceiling, so it is one thread on epoll: beside the writer on the same
   cores it must cost next to nothing. Answers wait side by side, not one after another. UNITS_PER_S above 0 throttles
   what goes beyond it (with one second of burst). Port 0 takes a free one; the port is printed once it listens.
   GET /stats tells what was seen. Every table exists, with the string keys PK and SK. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, ANSWER_BYTES = 4096, NAME_BYTES = 256, FIRST_ROOM = 65536 };

struct connection {
    int fd;
    SSL *tls;                    /* NULL without TLS */
    char *in;                    /* what has come and is not answered yet */
    size_t used, room;
    size_t continued;            /* bytes of head that were answered with 100 Continue */
    char out[ANSWER_BYTES];
    size_t out_length, out_sent;
    bool answering;              /* the answer waits for its time, or for the socket */
    bool gone;                   /* the peer went while its answer waited */
    uint64_t due_ns;
    struct connection *next;     /* in the queue of answers; one latency for all, so first in is first due */
};

static struct {
    uint64_t items, requests, distinct_requests, throttled, unknown, body_bytes, connections;
    uint64_t units, units_this_second, peak_units_per_s, first_ns, last_ns, second;
} seen;

static int epoll_fd, timer_fd;
static uint64_t latency_ns;
static double units_per_s, tokens;
static uint64_t refilled_ns;
static SSL_CTX *tls_context;
static struct connection *first_due, *last_due;

static void fail(const char *what) {
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

/* ---- what was seen */

/* A set of 64-bit hashes of bodies: a batch that is sent twice is seen to be one. Open addressing, never over half full. */
static uint64_t *hashes;
static size_t hash_room;

static void grow_hashes(void);

static bool remember(uint64_t hash) {
    if (seen.distinct_requests * 2 >= hash_room) grow_hashes();
    size_t place = hash & (hash_room - 1);
    while (hashes[place] && hashes[place] != hash) place = (place + 1) & (hash_room - 1);
    if (hashes[place]) return false;
    hashes[place] = hash;
    return true;
}

static void grow_hashes(void) {
    uint64_t *old = hashes;
    size_t old_room = hash_room;
    hash_room = old_room ? old_room * 2 : 4096;
    hashes = calloc(hash_room, sizeof *hashes);
    if (!hashes) fail("calloc");
    for (size_t i = 0; i < old_room; i++)
        if (old[i]) remember(old[i]);
    free(old);
}

static uint64_t hash_of(const char *body, size_t length) {
    uint64_t hash = length * 0x9E3779B97F4A7C15u, word = 0;
    for (; length >= 8; body += 8, length -= 8) {
        memcpy(&word, body, 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, body, length);
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return (hash ^ hash >> 32) | 1;
}

static void count(uint64_t items, uint64_t units, const char *body, size_t length) {
    uint64_t now = now_ns();
    if (!seen.first_ns) seen.first_ns = now;
    seen.last_ns = now;
    uint64_t second = (now - seen.first_ns) / 1000000000u;
    if (second != seen.second) {
        seen.second = second;
        seen.units_this_second = 0;
    }
    seen.units_this_second += units;
    if (seen.units_this_second > seen.peak_units_per_s) seen.peak_units_per_s = seen.units_this_second;
    seen.items += items;
    seen.units += units;
    seen.body_bytes += length;
    seen.distinct_requests += remember(hash_of(body, length));
}

/* Does the table have capacity for so much? One second's worth can be saved up. */
static bool takes(uint64_t units) {
    if (units_per_s <= 0) return true;
    uint64_t now = now_ns();
    tokens += (now - refilled_ns) * units_per_s / 1e9;
    refilled_ns = now;
    if (tokens > units_per_s) tokens = units_per_s;
    if (tokens < units) return false;
    tokens -= units;
    return true;
}

/* ---- answers */

static uint32_t crc32_of(const char *text, size_t length) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned char)text[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xEDB88320u & -(crc & 1));
    }
    return ~crc;
}

static void answer(struct connection *c, int status, const char *text) {
    size_t length = strlen(text);
    c->out_sent = 0;
    c->out_length = snprintf(c->out, sizeof c->out,
        "HTTP/1.1 %d %s\r\nServer: sink\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %zu\r\n"
        "Connection: keep-alive\r\nx-amzn-RequestId: SINK%016llX\r\nx-amz-crc32: %u\r\n\r\n%s",
        status, status == 200 ? "OK" : "Bad Request", length, (unsigned long long)seen.requests,
        crc32_of(text, length), text);
}

/* The text after `marker`, from the next quote to the one after it: names of tables hold no escapes. */
static void name_after(const char *marker, const char *body, size_t length, char name[NAME_BYTES]) {
    const char *end = body + length, *at = memmem(body, length, marker, strlen(marker));
    const char *open = at ? memchr(at + strlen(marker), '"', end - at - strlen(marker)) : NULL;
    const char *close = open ? memchr(open + 1, '"', end - open - 1) : NULL;
    snprintf(name, NAME_BYTES, "%.*s", close ? (int)(close - open - 1) : 0, close ? open + 1 : "");
}

static bool mentions(const char *body, size_t length, const char *word) {
    return memmem(body, length, word, strlen(word)) != NULL;
}

static void answer_write(struct connection *c, const char *marker, const char *body, size_t length) {
    static const char put[] = "\"PutRequest\"";
    const char *end = body + length;
    uint64_t items = 0, units = 0;
    char text[ANSWER_BYTES / 2] = "{\"UnprocessedItems\":{}}", name[NAME_BYTES];
    if (!strcmp(marker, "\"TableName\"")) {
        items = 1;
        units = (length + 1023) / 1024;
        strcpy(text, "{}");
    }
    /* One unit for each started KB on the wire, which is a little more than DynamoDB's own size. */
    for (const char *at = items ? NULL : memmem(body, length, put, sizeof put - 1); at; items++) {
        const char *next = memmem(at + 1, end - at - 1, put, sizeof put - 1);
        units += ((next ? next : end) - at - sizeof "\"PutRequest\":{\"Item\":}}," + 1024) / 1024;
        at = next;
    }
    if (!takes(units)) {
        seen.throttled++;
        answer(c, 400, "{\"__type\":\"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException\","
                       "\"message\":\"The level of configured provisioned throughput for the table was exceeded.\"}");
        return;
    }
    count(items, units, body, length);
    if (mentions(body, length, "\"ReturnConsumedCapacity\"")) {
        name_after(marker, body, length, name);
        bool one = !strcmp(marker, "\"TableName\"");
        snprintf(text, sizeof text,
            "{%s\"ConsumedCapacity\":%s{\"TableName\":\"%s\",\"CapacityUnits\":%llu.0,\"Table\":{\"CapacityUnits\":%llu.0}}%s}",
            one ? "" : "\"UnprocessedItems\":{},", one ? "" : "[", name, (unsigned long long)units,
            (unsigned long long)units, one ? "" : "]");
    }
    answer(c, 200, text);
}

static void answer_table(struct connection *c, const char *member, const char *body, size_t length) {
    char name[NAME_BYTES], text[ANSWER_BYTES / 2];
    name_after("\"TableName\"", body, length, name);
    snprintf(text, sizeof text,
        "{\"%s\":{\"TableName\":\"%s\",\"TableStatus\":\"ACTIVE\",\"TableId\":\"sink\",\"ItemCount\":0,\"TableSizeBytes\":0,"
        "\"TableArn\":\"arn:aws:dynamodb:us-east-1:000000000000:table/%s\",\"CreationDateTime\":1700000000.0,"
        "\"BillingModeSummary\":{\"BillingMode\":\"PAY_PER_REQUEST\"},"
        "\"KeySchema\":[{\"AttributeName\":\"PK\",\"KeyType\":\"HASH\"},{\"AttributeName\":\"SK\",\"KeyType\":\"RANGE\"}],"
        "\"AttributeDefinitions\":[{\"AttributeName\":\"PK\",\"AttributeType\":\"S\"},"
        "{\"AttributeName\":\"SK\",\"AttributeType\":\"S\"}]}}", member, name, name);
    answer(c, 200, text);
}

static void answer_stats(struct connection *c) {
    char text[ANSWER_BYTES / 2];
    snprintf(text, sizeof text,
        "{\"items\":%llu,\"requests\":%llu,\"distinct_requests\":%llu,\"throttled\":%llu,\"unknown\":%llu,"
        "\"body_bytes\":%llu,\"connections\":%llu,\"units\":%llu,\"peak_units_per_s\":%llu,\"writing_s\":%.6f}",
        (unsigned long long)seen.items, (unsigned long long)seen.requests, (unsigned long long)seen.distinct_requests,
        (unsigned long long)seen.throttled, (unsigned long long)seen.unknown, (unsigned long long)seen.body_bytes,
        (unsigned long long)seen.connections, (unsigned long long)seen.units,
        (unsigned long long)seen.peak_units_per_s, (seen.last_ns - seen.first_ns) / 1e9);
    answer(c, 200, text);
}

static void answer_request(struct connection *c, const char *operation, const char *body, size_t length) {
    seen.requests++;
    if (!strcmp(operation, "BatchWriteItem")) answer_write(c, "\"RequestItems\"", body, length);
    else if (!strcmp(operation, "PutItem")) answer_write(c, "\"TableName\"", body, length);
    else if (!strcmp(operation, "DescribeTable")) answer_table(c, "Table", body, length);
    else if (!strcmp(operation, "CreateTable")) answer_table(c, "TableDescription", body, length);
    else {
        seen.unknown++;
        answer(c, 400, "{\"__type\":\"com.amazonaws.dynamodb.v20120810#UnknownOperationException\","
                       "\"message\":\"The sink does not know this operation.\"}");
    }
}

/* ---- the wire */

/* Bytes moved; 0 when the peer has gone; -1 when the socket wants to wait. */
static ssize_t moved(struct connection *c, ssize_t result) {
    if (result > 0) return result;
    if (!c->tls) return result < 0 && (errno == EAGAIN || errno == EINTR) ? -1 : 0;
    int error = SSL_get_error(c->tls, (int)result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event)) fail("epoll_ctl");
}

static void set_timer(void) {
    struct itimerspec at = {0};
    if (first_due) {
        at.it_value.tv_sec = first_due->due_ns / 1000000000u;
        at.it_value.tv_nsec = first_due->due_ns % 1000000000u;
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void release(struct connection *c) {
    if (c->tls) SSL_free(c->tls);
    if (!c->gone) close(c->fd);
    free(c->in);
    free(c);
}

/* An answer that waits for its time is let go when that comes. */
static void drop(struct connection *c) {
    bool queued = c->answering && c->due_ns;
    if (!queued) {
        release(c);
        return;
    }
    close(c->fd);
    c->gone = true;
}

static bool flush(struct connection *c) {
    while (c->out_sent < c->out_length) {
        size_t left = c->out_length - c->out_sent;
        ssize_t n = c->tls ? SSL_write(c->tls, c->out + c->out_sent, (int)left)
                           : send(c->fd, c->out + c->out_sent, left, MSG_NOSIGNAL);
        n = moved(c, n);
        if (n == 0) return false;
        if (n < 0) {
            watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return true;
        }
        c->out_sent += n;
    }
    c->answering = false;
    return true;
}

static const char *header(const char *head, const char *name, size_t *length) {
    const char *at = strcasestr(head, name);
    if (!at) return NULL;
    at += strlen(name);
    at += strspn(at, " ");
    *length = strcspn(at, "\r");
    return at;
}

/* Answers the request at the front of what has come, if it is whole. False when the peer has gone. */
static bool serve(struct connection *c) {
    while (!c->answering) {
        char *end = c->used ? memmem(c->in, c->used, "\r\n\r\n", 4) : NULL;
        if (!end) return true;
        *end = 0;
        size_t head_length = end + 4 - c->in, length, target_length;
        const char *given = header(c->in, "\r\ncontent-length:", &length);
        size_t body_length = given ? strtoul(given, NULL, 10) : 0;
        bool whole = c->used >= head_length + body_length, stats = !strncmp(c->in, "GET /stats", 10);
        const char *target = header(c->in, "\r\nx-amz-target:", &target_length);
        const char *dot = target ? memchr(target, '.', target_length) : NULL;
        char operation[64] = "";
        if (dot) snprintf(operation, sizeof operation, "%.*s", (int)(target + target_length - dot - 1), dot + 1);
        bool expects = !whole && c->continued != head_length && header(c->in, "\r\nexpect:", &length);
        *end = '\r';
        if (expects) {
            static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
            c->continued = head_length;
            ssize_t n = c->tls ? SSL_write(c->tls, go_on, sizeof go_on - 1) : send(c->fd, go_on, sizeof go_on - 1, MSG_NOSIGNAL);
            if (n < 0) return false;
        }
        if (!whole) return true;
        if (stats) answer_stats(c);
        else answer_request(c, operation, c->in + head_length, body_length);
        c->continued = 0;
        c->used -= head_length + body_length;
        memmove(c->in, c->in + head_length + body_length, c->used);
        c->answering = true;
        if (latency_ns && !stats) {
            c->due_ns = now_ns() + latency_ns;
            c->next = NULL;
            if (last_due) last_due->next = c;
            else first_due = c;
            last_due = c;
            if (first_due == c) set_timer();
        } else if (!flush(c)) return false;
    }
    return true;
}

static bool receive(struct connection *c) {
    for (;;) {
        if (c->used + 1 >= c->room) {
            c->room = c->room ? c->room * 2 : FIRST_ROOM;
            c->in = realloc(c->in, c->room);
            if (!c->in) fail("realloc");
        }
        size_t left = c->room - c->used;
        ssize_t n = c->tls ? SSL_read(c->tls, c->in + c->used, (int)left) : recv(c->fd, c->in + c->used, left, 0);
        n = moved(c, n);
        if (n == 0) return false;
        if (n < 0) return true;
        c->used += n;
        if (!c->tls && (size_t)n < left) return true;
    }
}

static void send_due(void) {
    uint64_t now = now_ns(), ignored;
    if (read(timer_fd, &ignored, sizeof ignored) < 0 && errno != EAGAIN) fail("timer");
    while (first_due && first_due->due_ns <= now) {
        struct connection *c = first_due;
        first_due = c->next;
        if (!first_due) last_due = NULL;
        c->due_ns = 0;
        if (c->gone || !flush(c) || !serve(c)) release(c);
    }
    set_timer();
}

static void take_connection(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), yes = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct connection *c = calloc(1, sizeof *c);
    if (!c) fail("calloc");
    c->fd = fd;
    if (tls_context) {
        c->tls = SSL_new(tls_context);
        SSL_set_fd(c->tls, fd);
        SSL_set_accept_state(c->tls);
    }
    seen.connections++;
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static int listen_at(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024)) fail("listen");
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void use_tls(const char *certificate, const char *key) {
    tls_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate_chain_file(tls_context, certificate) != 1
        || SSL_CTX_use_PrivateKey_file(tls_context, key, SSL_FILETYPE_PEM) != 1) fail("certificate");
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 6) {
        fprintf(stderr, "usage: sink PORT LATENCY_MS UNITS_PER_S [CERTIFICATE KEY]\n");
        return 2;
    }
    latency_ns = (uint64_t)(atof(argv[2]) * 1e6);
    units_per_s = tokens = atof(argv[3]);
    refilled_ns = now_ns();
    signal(SIGPIPE, SIG_IGN);
    if (argc == 6) use_tls(argv[4], argv[5]);
    epoll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int listener = listen_at(atoi(argv[1]));
    /* The two that are no connections are told apart by the address of their descriptor. */
    struct epoll_event on_listener = {.events = EPOLLIN, .data.ptr = &listener}, on_timer = {.events = EPOLLIN, .data.ptr = &timer_fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &on_listener);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &on_timer);
    struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, EVENTS, -1);
        bool timed = false;
        for (int i = 0; i < ready; i++) {
            void *which = events[i].data.ptr;
            struct connection *c = which;
            if (which == &listener) take_connection(listener);
            else if (which == &timer_fd) timed = true;
            else if (events[i].events & EPOLLOUT && c->answering && !c->due_ns) {
                watch(c, EPOLL_CTL_MOD, EPOLLIN);
                if (!flush(c) || !serve(c)) drop(c);
            } else if (!receive(c) || !serve(c)) drop(c);
        }
        /* Last, since it may let go of connections that stand in `events`. */
        if (timed) send_due();
    }
}
