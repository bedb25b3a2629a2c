/* keeper PORT FILE GROUP: the floor of keeping. Appends each request as it came to FILE, fdatasync()s once for all that have
 * come meanwhile, and then answers them 202: what no store can do less than. It waits for GROUP requests, but not longer than
 * a millisecond. Only what the benchmark's sender sends: requests that all have the size of the first. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kEvents = 1024, kRequest = 64 * 1024 };
static const char kAnswer[] =
    "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"
    "{\"status\": \"queued\"}";

struct connection {
  int fd;
  size_t used;
  char bytes[kRequest];
};

static void die(const char* what) {
  perror(what);
  exit(1);
}

/* Bytes of the whole request, or 0 while its head is not complete. */
static size_t size_of(const char* bytes, size_t used) {
  const char* end = memmem(bytes, used, "\r\n\r\n", 4);
  if (end == NULL) return 0;
  const char* length = memmem(bytes, (size_t)(end - bytes), "Content-Length:", 15);
  return (size_t)(end - bytes) + 4 + (length != NULL ? strtoul(length + 15, NULL, 10) : 0);
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: keeper PORT FILE GROUP\n");
    return 2;
  }
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const size_t group = strtoul(argv[3], NULL, 10);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr*)&own, sizeof own) != 0 || listen(listener, 4096) != 0)
    die("listen");
  int file = open(argv[2], O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
  if (file < 0) die(argv[2]);
  int epoll = epoll_create1(0);
  struct epoll_event door = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &door) != 0) die("epoll_ctl");

  static struct epoll_event events[kEvents];
  static struct connection* whole[kEvents];
  size_t ready = 0;
  for (;;) {
    int count = epoll_wait(epoll, events, kEvents, ready > 0 ? 1 : -1);
    for (int i = 0; i < count; ++i) {
      struct connection* c = events[i].data.ptr;
      if (c == NULL) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c = malloc(sizeof *c);
        if (c == NULL) die("malloc");
        c->fd = fd;
        c->used = 0;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
        continue;
      }
      ssize_t got = recv(c->fd, c->bytes + c->used, kRequest - c->used, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) {
        close(c->fd);
        free(c);
        continue;
      }
      c->used += (size_t)got;
      size_t size = size_of(c->bytes, c->used);
      if (size == 0 || c->used < size) continue;
      if (write(file, c->bytes, c->used) != (ssize_t)c->used) die("write");
      whole[ready++] = c;
      if (ready == kEvents) break;
    }
    if (ready == 0 || (count > 0 && ready < group)) continue;
    if (fdatasync(file) != 0) die("fdatasync");
    for (size_t i = 0; i < ready; ++i) {
      whole[i]->used = 0;
      if (send(whole[i]->fd, kAnswer, sizeof kAnswer - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) continue;
    }
    ready = 0;
  }
}
