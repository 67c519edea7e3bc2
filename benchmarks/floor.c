/* The least that writing can cost: bodies made beforehand, hashed, signed and sent, and nothing else.

   floor PORT CONNECTIONS TIMES BODIES

   BODIES holds bodies one after another, each after its length in four bytes (little-endian); all are sent TIMES
   times, CONNECTIONS of them in flight. The payload hash and the signature's last HMAC are computed for each request, as no
   sender can do without them. No TLS, no retries: an answer other than 200 ends it. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { EVENTS = 256, HEAD_BYTES = 1024, ANSWER_BYTES = 4096 };

struct body { const char *text; size_t length; };

struct connection {
    int fd;
    char head[HEAD_BYTES], answer[ANSWER_BYTES];
    struct iovec left[2];        /* of head and body: what is not sent yet */
    size_t received;
};

static struct body *bodies;
static size_t body_count, to_send, unanswered;
static int epoll_fd;

static void fail(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
    exit(1);
}

static void load(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status)) fail(path);
    char *text = malloc(status.st_size);
    if (!text || fread(text, 1, status.st_size, file) != (size_t)status.st_size) fail(path);
    fclose(file);
    for (char *at = text; at < text + status.st_size;) {
        uint32_t length;
        memcpy(&length, at, 4);
        bodies = realloc(bodies, (body_count + 1) * sizeof *bodies);
        if (!bodies) fail("realloc");
        bodies[body_count++] = (struct body){at + 4, length};
        at += 4 + length;
    }
}

static void hex(const unsigned char *bytes, char text[65]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[64] = 0;
}

static void sign(const struct body *body, char signature[65]) {
    unsigned char hash[32];
    char payload[65], text[512];
    SHA256((const unsigned char *)body->text, body->length, hash);
    hex(hash, payload);
    int length = snprintf(text, sizeof text, "POST\n/\n\nhost:127.0.0.1\nx-amz-date:20260101T000000Z\n\nhost;x-amz-date\n%s", payload);
    SHA256((const unsigned char *)text, length, hash);
    hex(hash, payload);
    HMAC(EVP_sha256(), "a key that was derived before...", 32, (const unsigned char *)payload, 64, hash, NULL);
    hex(hash, signature);
}

static void push(struct connection *c) {
    while (c->left[1].iov_len) {
        ssize_t n = writev(c->fd, c->left, 2);
        if (n < 0 && errno == EAGAIN) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
            epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
            return;
        }
        if (n < 0) fail("write");
        for (int i = 0; i < 2; i++) {
            size_t part = (size_t)n < c->left[i].iov_len ? (size_t)n : c->left[i].iov_len;
            c->left[i].iov_base = (char *)c->left[i].iov_base + part;
            c->left[i].iov_len -= part;
            n -= part;
        }
    }
}

static void send_next(struct connection *c) {
    if (!to_send) return;
    const struct body *body = &bodies[--to_send % body_count];
    char signature[65];
    sign(body, signature);
    int length = snprintf(c->head, sizeof c->head,
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Date: 20260101T000000Z\r\n"
        "X-Amz-Target: DynamoDB_20120810.BatchWriteItem\r\nAuthorization: AWS4-HMAC-SHA256 "
        "Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=%s\r\n"
        "Content-Length: %zu\r\n\r\n", signature, body->length);
    c->received = 0;
    c->left[0] = (struct iovec){c->head, length};
    c->left[1] = (struct iovec){(char *)body->text, body->length};
    push(c);
}

static void receive(struct connection *c) {
    ssize_t n = recv(c->fd, c->answer + c->received, sizeof c->answer - 1 - c->received, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fail("receive");
    c->received += n;
    c->answer[c->received] = 0;
    char *end = strstr(c->answer, "\r\n\r\n"), *length = strcasestr(c->answer, "\r\ncontent-length:");
    if (!end || !length || c->answer + c->received < end + 4 + atoi(length + 17)) return;
    errno = 0;
    if (strncmp(c->answer, "HTTP/1.1 200", 12)) fail("answer");
    unanswered--;
    send_next(c);
}

static void open_connection(struct connection *c, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK)) fail("fcntl");
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: floor PORT CONNECTIONS TIMES BODIES\n");
        return 2;
    }
    size_t connections = strtoul(argv[2], NULL, 10);
    load(argv[4]);
    to_send = unanswered = body_count * strtoul(argv[3], NULL, 10);
    epoll_fd = epoll_create1(0);
    struct connection *all = calloc(connections, sizeof *all);
    if (!all) fail("calloc");
    for (size_t i = 0; i < connections; i++) {
        open_connection(&all[i], atoi(argv[1]));
        send_next(&all[i]);
    }
    struct epoll_event events[EVENTS];
    while (unanswered) {
        int ready = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
                push(c);
            }
            if (events[i].events & EPOLLIN) receive(c);
        }
    }
    return 0;
}
