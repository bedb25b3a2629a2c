/* origin PORT [any]: the receiver, on 127.0.0.1 or on any address. Reads each request whole, as a real receiver of webhooks must, and answers 200 "ok\n" on the
 * same connection. Only what the benchmark's proxies send: a head of at most 8 KiB and a Content-Length. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kHead = 8 * 1024, kEvents = 256 };
static const char kAnswer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";
static const char kRefusal[] = "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n";

struct connection {
  int fd;
  size_t used;   /* bytes of the head so far */
  size_t body;   /* bytes of the body still to come */
  int in_body;
  char head[kHead + 1];
};

static void die(const char* what) {
  perror(what);
  exit(1);
}

static int answer(struct connection* c, const char* text, size_t size) {
  return send(c->fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

/* Takes what is in `bytes`; 0 when the connection is to be closed. */
static int take(struct connection* c, char* bytes, size_t size) {
  while (size > 0) {
    if (c->in_body) {
      size_t part = size < c->body ? size : c->body;
      bytes += part;
      size -= part;
      c->body -= part;
    } else {
      size_t part = size < kHead - c->used ? size : kHead - c->used;
      size_t before = c->used;
      memcpy(c->head + c->used, bytes, part);
      c->used += part;
      c->head[c->used] = 0;
      char* end = strstr(c->head, "\r\n\r\n");
      if (end == NULL) return c->used < kHead;
      size_t consumed = (size_t)(end + 4 - c->head) - before;
      bytes += consumed;
      size -= consumed;
      end[2] = 0;
      char* length = strcasestr(c->head, "\r\ncontent-length:");
      if (strcasestr(c->head, "\r\ntransfer-encoding:") != NULL) {
        answer(c, kRefusal, sizeof kRefusal - 1);
        return 0;
      }
      c->body = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
      c->in_body = 1;
    }
    if (c->body == 0) {
      c->in_body = 0;
      c->used = 0;
      if (!answer(c, kAnswer, sizeof kAnswer - 1)) return 0;
    }
  }
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    fprintf(stderr, "usage: origin PORT [any]\n");
    return 2;
  }
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  own.sin_addr.s_addr = htonl(argc == 3 ? INADDR_ANY : INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr*)&own, sizeof own) != 0 || listen(listener, 4096) != 0)
    die("listen");
  int epoll = epoll_create1(0);
  struct epoll_event door = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &door) != 0) die("epoll_ctl");

  static struct epoll_event events[kEvents];
  static char buffer[64 * 1024];
  for (;;) {
    int count = epoll_wait(epoll, events, kEvents, -1);
    for (int i = 0; i < count; ++i) {
      struct connection* c = events[i].data.ptr;
      if (c == NULL) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c = malloc(sizeof *c);
        if (c == NULL) die("malloc");
        c->fd = fd;
        c->used = c->body = 0;
        c->in_body = 0;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
        continue;
      }
      ssize_t got = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0 || !take(c, buffer, (size_t)got)) {
        close(c->fd);
        free(c);
      }
    }
  }
}
