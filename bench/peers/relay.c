/* relay PORT UPSTREAM_PORT: the floor. Copies bytes between each connection to 127.0.0.1:PORT and one of its own to
 * 127.0.0.1:UPSTREAM_PORT, and looks at none of them. One thread, one epoll, four system calls a request. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kBuffer = 64 * 1024, kEvents = 256 };

/* One end of a relayed connection. `kept` holds bytes that this end has not taken yet. */
struct end {
  int fd;
  struct end* other;
  char* kept;
  size_t kept_from, kept_to;
};

static char buffer[kBuffer];
static int epoll;

static void die(const char* what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in loopback(const char* port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void watch(struct end* end, uint32_t events, int operation) {
  struct epoll_event event = {.events = events, .data.ptr = end};
  if (epoll_ctl(epoll, operation, end->fd, &event) != 0) die("epoll_ctl");
}

/* Closes both ends now and frees them after this batch of events. */
static struct end* dead[2 * kEvents];
static int dead_count;
static void hang_up(struct end* end) {
  struct end* both[2] = {end, end->other};
  for (int i = 0; i < 2; ++i) {
    if (both[i]->fd < 0) continue;
    close(both[i]->fd);
    both[i]->fd = -1;
    dead[dead_count++] = both[i];
  }
}

static struct end* make_end(int fd) {
  struct end* end = calloc(1, sizeof *end);
  if (end == NULL) die("calloc");
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  end->fd = fd;
  return end;
}

static void accept_one(int listener, const struct sockaddr_in* upstream) {
  int in = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
  if (in < 0) return;
  int out = socket(AF_INET, SOCK_STREAM, 0); /* loopback answers connect() at once */
  if (out < 0 || connect(out, (const struct sockaddr*)upstream, sizeof *upstream) != 0) {
    close(in);
    if (out >= 0) close(out);
    return;
  }
  struct end *near = make_end(in), *far = make_end(out);
  near->other = far;
  far->other = near;
  watch(near, EPOLLIN, EPOLL_CTL_ADD);
  watch(far, EPOLLIN, EPOLL_CTL_ADD);
}

static void readable(struct end* from) {
  ssize_t got = recv(from->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    hang_up(from);
    return;
  }
  struct end* to = from->other;
  ssize_t put = send(to->fd, buffer, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put == got) return;
  if (put < 0 && errno != EAGAIN) {
    hang_up(from);
    return;
  }
  if (put < 0) put = 0;
  to->kept = malloc((size_t)(got - put));
  if (to->kept == NULL) die("malloc");
  memcpy(to->kept, buffer + put, (size_t)(got - put));
  to->kept_from = 0;
  to->kept_to = (size_t)(got - put);
  watch(from, 0, EPOLL_CTL_MOD); /* back-pressure: no more is read until this is gone */
  watch(to, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
}

static void writable(struct end* to) {
  ssize_t put = send(to->fd, to->kept + to->kept_from, to->kept_to - to->kept_from,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put < 0) {
    if (errno != EAGAIN) hang_up(to);
    return;
  }
  to->kept_from += (size_t)put;
  if (to->kept_from < to->kept_to) return;
  free(to->kept);
  to->kept = NULL;
  watch(to, EPOLLIN, EPOLL_CTL_MOD);
  watch(to->other, EPOLLIN, EPOLL_CTL_MOD);
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: relay PORT UPSTREAM_PORT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  struct sockaddr_in own = loopback(argv[1]), upstream = loopback(argv[2]);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr*)&own, sizeof own) != 0 || listen(listener, 4096) != 0)
    die("listen");
  epoll = epoll_create1(0);
  struct end door = {.fd = listener};
  watch(&door, EPOLLIN, EPOLL_CTL_ADD);

  static struct epoll_event events[kEvents];
  for (;;) {
    int count = epoll_wait(epoll, events, kEvents, -1);
    for (int i = 0; i < count; ++i) {
      struct end* end = events[i].data.ptr;
      if (end == &door) {
        accept_one(listener, &upstream);
        continue;
      }
      if (end->fd >= 0 && (events[i].events & EPOLLOUT)) writable(end);
      if (end->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) readable(end);
    }
    while (dead_count > 0) {
      struct end* end = dead[--dead_count];
      free(end->kept);
      free(end);
    }
  }
}
