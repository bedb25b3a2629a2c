/* hostile send PLAYS                plays acts against the proxy, as many as the numbers on stdin allow
 * hostile serve PLAYS PORT RUDE     is the destination: answers a request for /act/N with act N; RUDE closes on accept
 * A peer that plays acts from a table, a line each: `IPV4:PORT WEIGHT ENDING OPTIONS HEX` (the first two for senders).
 * Options: c sends a random part, m changes one random byte, e answers before the body was read, - none.
 * Both end with stdin: senders after their last act. bench/soak_acts.py makes the tables. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kHead = 4096, kEvents = 256, kActs = 4096, kOpen = 3000, kTick = 100, kDeaf = 3000, kOverdue = 30000 };

/* What happens once the bytes are sent. */
enum ending { kRead, kReset, kFin, kClose, kDeafen, kDrip, kEndless, kAnswerReset, kKeep, kEndings };
static const char* const kNames[kEndings] = {"read", "reset", "fin",     "close",        "deaf",
                                             "drip", "endless", "answer-reset", "keep"};

struct act {
  struct sockaddr_in to;
  double upto; /* of the weights */
  enum ending ending;
  int cut, mutate, early;
  char* bytes;
  size_t size, again; /* where an endless one begins again */
};

struct peer {
  int fd, hearing, played;
  const struct act* act;
  char* own; /* the act's bytes with one changed, if so */
  size_t at, to, used, body;
  long began;
  struct peer *next, *prev;
  char head[kHead + 1];
};

static struct act acts[kActs];
static size_t act_count, open_count;
static long started, overdue, failed;
static int epoll;
static uint64_t seed = 88172645463325252u;
static struct peer *peers, *dead;

static void die(const char* what) {
  perror(what);
  exit(1);
}

static uint64_t chance(void) { /* xorshift: the same each run */
  seed ^= seed << 13;
  seed ^= seed >> 7;
  return seed ^= seed << 17;
}

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int nibble(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static void read_acts(const char* path) {
  FILE* file = fopen(path, "r");
  if (file == NULL) die(path);
  char* line = NULL;
  size_t room = 0;
  double sum = 0;
  while (getline(&line, &room, file) > 0 && act_count < kActs) {
    char ip[32], ending[32], options[8];
    int port, hex;
    double weight;
    struct act* act = &acts[act_count++];
    if (sscanf(line, "%31[0-9.]:%d %lf %31s %7s %n", ip, &port, &weight, ending, options, &hex) != 5) {
      fprintf(stderr, "hostile: line %zu of %s is no act\n", act_count, path);
      exit(2);
    }
    act->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, ip, &act->to.sin_addr);
    act->upto = sum += weight;
    while (act->ending < kEndings && strcmp(kNames[act->ending], ending) != 0) ++act->ending;
    if (act->ending == kEndings) {
      fprintf(stderr, "hostile: line %zu of %s: no ending is called %s\n", act_count, path, ending);
      exit(2);
    }
    act->cut = strchr(options, 'c') != NULL;
    act->mutate = strchr(options, 'm') != NULL;
    act->early = strchr(options, 'e') != NULL;
    act->size = strspn(line + hex, "0123456789abcdef") / 2;
    act->bytes = malloc(act->size + 1);
    if (act->bytes == NULL) die("malloc");
    for (size_t i = 0; i < act->size; ++i)
      act->bytes[i] = (char)(nibble(line[hex + 2 * (long)i]) << 4 | nibble(line[hex + 2 * (long)i + 1]));
    act->bytes[act->size] = 0;
    char* again = strstr(act->bytes, "\r\n\r\n");
    act->again = again != NULL ? (size_t)(again + 4 - act->bytes) : 0;
    if (again == NULL && (again = strstr(act->bytes, "\r\n")) != NULL) act->again = (size_t)(again + 2 - act->bytes);
    if (act->again >= act->size) act->again = 0;
  }
  free(line);
  fclose(file);
}

/* Closes now, frees after this batch of events. */
static void end(struct peer* peer, int reset) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  if (peer->fd < 0) return;
  if (reset) setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(peer->fd);
  peer->fd = -1;
  if (peer->prev != NULL) peer->prev->next = peer->next;
  else peers = peer->next;
  if (peer->next != NULL) peer->next->prev = peer->prev;
  peer->next = dead;
  dead = peer;
  --open_count;
}

static void watch(struct peer* peer, uint32_t events, int operation) {
  struct epoll_event event = {.events = events, .data.ptr = peer};
  if (epoll_ctl(epoll, operation, peer->fd, &event) != 0) die("epoll_ctl");
}

static struct peer* make_peer(int fd, uint32_t events) {
  struct peer* peer = calloc(1, sizeof *peer);
  int on = 1;
  if (peer == NULL) die("calloc");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  peer->fd = fd;
  peer->began = now();
  peer->next = peers;
  if (peers != NULL) peers->prev = peer;
  peers = peer;
  ++open_count;
  watch(peer, events, EPOLL_CTL_ADD);
  return peer;
}

static void begin(struct peer* peer, const struct act* act) {
  peer->act = act;
  peer->hearing = peer->played = 0;
  peer->began = now();
  peer->at = 0;
  peer->to = act->cut && act->size > 0 ? chance() % act->size : act->size;
  free(peer->own);
  peer->own = NULL;
  if (act->mutate && act->size > 0) {
    peer->own = malloc(act->size);
    if (peer->own == NULL) die("malloc");
    memcpy(peer->own, act->bytes, act->size);
    peer->own[chance() % act->size] = (char)chance();
  }
}

static void played(struct peer* peer) {
  peer->played = 1;
  switch (peer->act->ending) {
    case kReset:
    case kClose:
      end(peer, peer->act->ending == kReset);
      return;
    case kFin:
      shutdown(peer->fd, SHUT_WR);
      break;
    case kDeafen:
      watch(peer, 0, EPOLL_CTL_MOD);
      return;
    case kKeep:
      peer->hearing = 1;
      peer->used = peer->body = 0;
      break;
    default:
      break;
  }
  watch(peer, EPOLLIN, EPOLL_CTL_MOD);
}

/* Sends what the kernel takes; a dripping peer `most` bytes. */
static void play(struct peer* peer, size_t most) {
  const char* bytes = peer->own != NULL ? peer->own : peer->act->bytes;
  for (int turn = 0; turn < 16; ++turn) {
    if (peer->at == peer->to && peer->act->ending == kEndless && peer->to > 0) peer->at = peer->act->again;
    if (peer->at == peer->to) {
      played(peer);
      return;
    }
    size_t part = peer->to - peer->at < most ? peer->to - peer->at : most;
    ssize_t put = send(peer->fd, bytes + peer->at, part, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN) {
      if (peer->at == 0 && errno == ECONNREFUSED) ++failed;
      end(peer, 0);
      return;
    }
    if (put > 0) peer->at += (size_t)put;
    if (put < (ssize_t)part || most == 1) return;
  }
}

/* A destination: which act is asked for, once the head (and, unless it is early, the body) is there. */
static void hear(struct peer* peer, const char* bytes, size_t size) {
  if (peer->body == 0) {
    size_t part = size < kHead - peer->used ? size : kHead - peer->used;
    size_t before = peer->used;
    memcpy(peer->head + before, bytes, part);
    peer->used += part;
    peer->head[peer->used] = 0;
    char* rest = strstr(peer->head, "\r\n\r\n");
    if (rest == NULL) {
      if (peer->used == kHead) end(peer, 1);
      return;
    }
    size -= (size_t)(rest + 4 - peer->head) - before;
    char* number = strstr(peer->head, "/act/");
    char* length = strcasestr(peer->head, "\r\ncontent-length:");
    size_t wanted = number != NULL ? strtoul(number + 5, NULL, 10) : 0;
    peer->act = &acts[wanted < act_count ? wanted : 0];
    peer->body = length != NULL && length < rest ? strtoul(length + 17, NULL, 10) : 0;
  }
  peer->body -= size < peer->body ? size : peer->body;
  if (peer->body > 0 && !peer->act->early) return;
  ++started;
  begin(peer, peer->act);
  watch(peer, EPOLLOUT | (peer->act->ending == kDeafen ? 0u : (uint32_t)EPOLLIN), EPOLL_CTL_MOD);
}

static void readable(struct peer* peer) {
  static char bytes[64 * 1024];
  ssize_t got = recv(peer->fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) end(peer, 0);
  else if (peer->hearing) hear(peer, bytes, (size_t)got);
  else if (peer->played && peer->act->ending == kAnswerReset) end(peer, 1);
}

static void start_act(void) {
  double roll = (double)(chance() >> 11) / 9007199254740992.0 * acts[act_count - 1].upto;
  size_t low = 0, small = 4096;
  while (low + 1 < act_count && acts[low].upto <= roll) ++low;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  ++started;
  if (fd < 0) die("socket");
  if (acts[low].ending == kDeafen) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(int));
  if (connect(fd, (const struct sockaddr*)&acts[low].to, sizeof acts[low].to) != 0 && errno != EINPROGRESS) {
    ++failed;
    close(fd);
    return;
  }
  begin(make_peer(fd, EPOLLOUT), &acts[low]);
}

static int listen_on(const char* port, void* mark) {
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1, small = 16 * 1024;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  if (bind(fd, (struct sockaddr*)&own, sizeof own) != 0 || listen(fd, 4096) != 0) die("listen");
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  return fd;
}

static void tick(void) {
  long time = now();
  for (struct peer *peer = peers, *next; peer != NULL; peer = next) {
    next = peer->next;
    if (peer->act == NULL || peer->hearing) continue;
    if (peer->act->ending == kDeafen && time - peer->began > kDeaf) {
      end(peer, 1);
    } else if (time - peer->began > kOverdue) {
      ++overdue;
      fprintf(stderr, "hostile: nobody ended act %td in time\n", peer->act - acts);
      end(peer, 1);
    } else if (peer->act->ending == kDrip && !peer->played) {
      play(peer, 1);
    }
  }
}

/* The latest number on stdin; -1 at its end. */
static long allowance(long allowed) {
  static char line[4096];
  ssize_t got = read(0, line, sizeof line - 1);
  if (got == 0) return -1;
  if (got < 0) return allowed;
  line[got] = 0;
  for (char* at = line; at != NULL && *at != 0; at = strchr(at, '\n'), at = at != NULL ? at + 1 : NULL)
    if (strchr(at, '\n') != NULL) allowed = strtol(at, NULL, 10);
  return allowed;
}

int main(int argc, char** argv) {
  int serve = argc == 5 && strcmp(argv[1], "serve") == 0, door = -1, rude = -1, turn = 0;
  if (!serve && (argc != 3 || strcmp(argv[1], "send") != 0)) {
    fprintf(stderr, "usage: hostile send PLAYS | hostile serve PLAYS PORT RUDE\n");
    return 2;
  }
  static int kStdin, kDoor, kRude; /* marks */
  read_acts(argv[2]);
  epoll = epoll_create1(0);
  if (serve) {
    door = listen_on(argv[3], &kDoor);
    rude = listen_on(argv[4], &kRude);
  }
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = &kStdin};
  if (fcntl(0, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event) != 0) die("stdin");

  static struct epoll_event events[kEvents];
  long allowed = 0, ticked = now();
  while (allowed >= 0 || (!serve && open_count > 0)) {
    for (; !serve && started < allowed && open_count < kOpen && turn < 64; ++turn) start_act();
    int more = turn == 64, count = epoll_wait(epoll, events, kEvents, more ? 0 : kTick / 2);
    turn = 0;
    for (int i = 0; i < count; ++i) {
      struct peer* peer = events[i].data.ptr;
      if (events[i].data.ptr == &kStdin) {
        allowed = allowance(allowed);
        if (allowed < 0) epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL);
      } else if (events[i].data.ptr == &kDoor || events[i].data.ptr == &kRude) {
        int fd = accept4(events[i].data.ptr == &kDoor ? door : rude, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) continue;
        peer = make_peer(fd, EPOLLIN);
        peer->hearing = 1;
        if (events[i].data.ptr == &kRude) end(peer, chance() >> 63);
      } else {
        uint32_t what = events[i].events;
        if (peer->fd >= 0 && (what & EPOLLOUT) && !peer->played && peer->act->ending != kDrip) play(peer, SIZE_MAX);
        else if (peer->fd >= 0 && (what & EPOLLOUT)) watch(peer, EPOLLIN, EPOLL_CTL_MOD);
        if (peer->fd >= 0 && (what & (EPOLLIN | EPOLLERR | EPOLLHUP))) {
          if (peer->act != NULL && peer->act->ending == kDeafen) end(peer, 0);
          else readable(peer);
        }
      }
    }
    if (now() - ticked >= kTick) {
      ticked = now();
      tick();
    }
    while (dead != NULL) {
      struct peer* peer = dead;
      dead = peer->next;
      free(peer->own);
      free(peer);
    }
  }
  printf("RESULT {\"started\": %ld, \"failed\": %ld, \"overdue\": %ld}\n", started, failed, overdue);
  return 0;
}
