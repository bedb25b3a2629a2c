#include "proxy/net/ares_resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>

#include "proxy/async/wait.h"
#include "proxy/net/dns_reply.h"
#include "proxy/net/socket.h"

namespace egret::net {
namespace {

// A c-ares channel that nothing but `options` has a say in.
class Channel {
 public:
  // `lookups`: "b" asks the name servers, "f" reads the hosts file.
  Channel(const AresOptions& options, const char* lookups, ares_sock_state_cb on_state, void* data);
  ~Channel() {
    if (channel_ != nullptr) ares_destroy(channel_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] ares_channel get() const { return channel_; }
  // "127.0.0.1:53, [2001:db8::1]:53"
  [[nodiscard]] std::string servers() const;

 private:
  int set_servers(const AresOptions& options);
  ares_channel channel_ = nullptr;
  int status_ = ARES_SUCCESS;
};

int milliseconds(Duration duration) {
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  // c-ares shifts it left once a round of tries; a day leaves room.
  return static_cast<int>(std::clamp<int64_t>(count, 1, 86'400'000));
}

Channel::Channel(const AresOptions& options, const char* lookups, ares_sock_state_cb on_state,
                 void* data) {
  // All that RES_OPTIONS, LOCALDOMAIN or resolv.conf could change is set here: c-ares lets an
  // option win over both.
  std::string lookups_copy = lookups;
  ares_options ares{};
  ares.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  ares.timeout = milliseconds(options.timeout);
  ares.tries = static_cast<int>(std::clamp<uint32_t>(options.tries, 1, 16));
  ares.ndots = 0;
  ares.lookups = lookups_copy.data();
  ares.sock_state_cb = on_state;
  ares.sock_state_cb_data = data;
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
             ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_NOROTATE;
  if (on_state != nullptr) mask |= ARES_OPT_SOCK_STATE_CB;
  status_ = ares_init_options(&channel_, &ares, mask);
  if (status_ != ARES_SUCCESS) {
    channel_ = nullptr;
    return;
  }
  if (!options.servers.empty()) status_ = set_servers(options);
}

int Channel::set_servers(const AresOptions& options) {
  std::string list;
  for (const policy::Endpoint& server : options.servers) {
    if (!list.empty()) list += ',';
    list += server.to_string();
  }
  return ares_set_servers_ports_csv(channel_, list.c_str());
}

std::string Channel::servers() const {
  if (channel_ == nullptr) return "nobody";
  ares_addr_port_node* first = nullptr;
  if (ares_get_servers_ports(channel_, &first) != ARES_SUCCESS) return "no name server";
  std::string list;
  for (const ares_addr_port_node* node = first; node != nullptr; node = node->next) {
    policy::Endpoint server;
    if (node->family == AF_INET) {
      std::array<uint8_t, 4> bytes{};
      std::memcpy(bytes.data(), &node->addr, bytes.size());
      server.address = policy::Address::v4(bytes);
    } else {
      std::array<uint8_t, 16> bytes{};
      std::memcpy(bytes.data(), &node->addr, bytes.size());
      server.address = policy::Address::v6(bytes);
    }
    server.port = static_cast<uint16_t>(node->udp_port == 0 ? NAMESERVER_PORT : node->udp_port);
    if (!list.empty()) list += ", ";
    list += server.to_string();
  }
  ares_free_data(first);
  return list;
}

// Lookup is one name's two questions, from the first packet to the answer. It lives in the frame of
// resolve(), so destroying the Task ends it: c-ares calls back from ares_destroy, into what is
// still there. The callbacks only note and post; ares_process_fd runs from the ready list alone.
class Lookup final : private async::ReadyNode {
 public:
  Lookup(async::Loop& loop, const AresOptions& options, std::string name);
  ~Lookup();

  void begin();
  async::Event& done() { return done_; }
  // Once done() is set.
  Result<Answer> answer();
  // For when the caller's patience came to its end first.
  Failure late() const;

 private:
  // One of the two questions.
  struct Query {
    Lookup& lookup;
    RecordType type;
    std::optional<Result<Answer>> result;
  };
  struct Socket final : async::FdHandler {
    Socket(Lookup& owner, int descriptor) : lookup(owner), fd(descriptor) {}
    void on_edges(Edges edges) override;
    Lookup& lookup;
    int fd;
    Edges edges;
    async::FdWatch watch;
  };

  static void on_reply(void* query, int status, int timeouts, unsigned char* bytes, int length);
  static void on_socket_state(void* lookup, ares_socket_t fd, int readable, int writable);
  static void pump(ReadyNode& node);
  static ares_ssize_t receive(ares_socket_t fd, void* buffer, size_t size, int flags,
                              sockaddr* from, ares_socklen_t* from_size, void* lookup);
  static ares_ssize_t send(ares_socket_t fd, const iovec* pieces, int count, void* lookup);
  static const ares_socket_functions& socket_functions();
  template <typename Count>
  Count note_error(Count result);

  void watch(int fd, async::Loop::Interest interest);
  void process();
  void arm();
  void settle();
  Failure failure(Reason reason, const std::string& what) const;
  Unexpected without_reply(int status) const;
  std::string trouble_or(const char* words) const;

  async::Loop& loop_;
  std::string name_;
  async::Event done_;
  Query ipv4_{*this, RecordType::a, {}};
  Query ipv6_{*this, RecordType::aaaa, {}};
  std::string last_trouble_;  // what a server or the kernel said last, for the failure's text
  std::vector<std::unique_ptr<Socket>> sockets_;
  async::Timer timer_;
  std::optional<Channel> channel_;  // last: its end calls back
};

Lookup::Lookup(async::Loop& loop, const AresOptions& options, std::string name)
    : ReadyNode(&Lookup::pump), loop_(loop), name_(std::move(name)) {
  channel_.emplace(options, "b", &Lookup::on_socket_state, this);
}

Lookup::~Lookup() { channel_.reset(); }

void Lookup::begin() {
  if (channel_->status() != ARES_SUCCESS) {
    ipv4_.result = without_reply(channel_->status());
    settle();
    return;
  }
  ares_set_socket_functions(channel_->get(), &socket_functions(), this);
  ares_query(channel_->get(), name_.c_str(), C_IN, T_A, &Lookup::on_reply, &ipv4_);
  ares_query(channel_->get(), name_.c_str(), C_IN, T_AAAA, &Lookup::on_reply, &ipv6_);
  arm();
}

void Lookup::on_reply(void* query, int status, int, unsigned char* bytes, int length) {
  // From ares_destroy, in our own destructor: nobody is left to be told.
  if (status == ARES_EDESTRUCTION) return;
  auto& self = *static_cast<Query*>(query);
  Lookup& lookup = self.lookup;
  if (bytes == nullptr || length < 0) {
    self.result = lookup.without_reply(status);
  } else {
    // With a reply in hand, c-ares's opinion of it does not matter.
    const std::span<const uint8_t> reply(bytes, static_cast<size_t>(length));
    self.result = parse_reply(lookup.name_, self.type, reply);
  }
  lookup.settle();
}

// Whether all that is needed is there: both halves, or one that failed for good.
void Lookup::settle() {
  const auto failed = [](const Query& query) {
    return query.result && !*query.result && !is_absence(*query.result);
  };
  if (failed(ipv4_) || failed(ipv6_) || (ipv4_.result && ipv6_.result)) done_.set();
}

Result<Answer> Lookup::answer() {
  // A half that is missing was not waited for, since the other one has failed.
  const Result<Answer>& ipv4 = ipv4_.result ? *ipv4_.result : *ipv6_.result;
  const Result<Answer>& ipv6 = ipv6_.result ? *ipv6_.result : *ipv4_.result;
  Result<Answer> whole = merge(ipv4, ipv6);
  if (whole) return whole;
  return Unexpected(failure(whole.error().reason, whole.error().detail));
}

Failure Lookup::failure(Reason reason, const std::string& what) const {
  return {reason, name_ + ": " + what + " (asked " + channel_->servers() + ")"};
}

Failure Lookup::late() const {
  return failure(Reason::dns_timeout, trouble_or("no answer in time"));
}

// What a status says that came without a reply.
Unexpected Lookup::without_reply(int status) const {
  if (status == ARES_ETIMEOUT) {
    return Unexpected(Reason::dns_timeout, trouble_or("no answer in time"));
  }
  // c-ares calls it "connection refused" when no server gave an answer that it would take; what
  // they said is more to the point.
  const char* words = ares_strerror(status);
  return Unexpected(Reason::dns_error, status == ARES_ECONNREFUSED ? trouble_or(words) : words);
}

std::string Lookup::trouble_or(const char* words) const {
  return last_trouble_.empty() ? words : last_trouble_;
}

void Lookup::Socket::on_edges(Edges now) {
  edges.readable = edges.readable || now.readable;
  edges.writable = edges.writable || now.writable;
  async::Scheduler::current().ready().post(lookup);
}

void Lookup::on_socket_state(void* lookup, ares_socket_t fd, int readable, int writable) {
  auto& self = *static_cast<Lookup*>(lookup);
  // Nothing may be thrown through c-ares.
  try {
    self.watch(fd, {.read = readable != 0, .write = writable != 0});
  } catch (const std::exception& error) {
    self.ipv4_.result = Unexpected(Reason::dns_error, error.what());
    self.settle();
  }
}

void Lookup::watch(int fd, async::Loop::Interest interest) {
  const auto found = std::ranges::find_if(
      sockets_, [fd](const std::unique_ptr<Socket>& socket) { return socket->fd == fd; });
  if (!interest.read && !interest.write) {
    if (found != sockets_.end()) sockets_.erase(found);
    return;
  }
  Socket& socket = found != sockets_.end()
                       ? **found
                       : *sockets_.emplace_back(std::make_unique<Socket>(*this, fd));
  socket.watch = loop_.watch_level(fd, interest, socket);
}

void Lookup::pump(ReadyNode& node) { static_cast<Lookup&>(node).process(); }

void Lookup::process() {
  struct Ready {
    ares_socket_t read;
    ares_socket_t write;
  };
  // A copy: c-ares opens and closes sockets as it goes. A number that is another socket by then
  // only costs a read that says EAGAIN.
  std::vector<Ready> ready;
  for (const std::unique_ptr<Socket>& socket : sockets_) {
    const auto edges = std::exchange(socket->edges, {});
    if (!edges.readable && !edges.writable) continue;
    ready.push_back({edges.readable ? socket->fd : ARES_SOCKET_BAD,
                     edges.writable ? socket->fd : ARES_SOCKET_BAD});
  }
  // With no socket: the timeouts.
  if (ready.empty()) ready.push_back({ARES_SOCKET_BAD, ARES_SOCKET_BAD});
  for (const Ready& each : ready) ares_process_fd(channel_->get(), each.read, each.write);
  arm();
}

void Lookup::arm() {
  timeval wait{};
  if (ares_timeout(channel_->get(), nullptr, &wait) == nullptr) {
    timer_.disarm();
    return;
  }
  // A millisecond more, so that c-ares, which looks at a clock of its own, finds it has come.
  const Duration after = std::chrono::seconds(wait.tv_sec) +
                         std::chrono::microseconds(wait.tv_usec) + std::chrono::milliseconds(1);
  async::Scheduler& scheduler = async::Scheduler::current();
  timer_.arm(scheduler.timers(), deadline_after(scheduler.now(), after), *this);
}

template <typename Count>
Count Lookup::note_error(Count result) {
  const bool failed = result < 0 && errno != EAGAIN && errno != EINTR && errno != EINPROGRESS;
  if (failed) last_trouble_ = std::strerror(errno);
  return result;
}

// As c-ares would, but it notes what went wrong: c-ares itself forgets what a server answered when
// it goes on to the next.
ares_ssize_t Lookup::receive(ares_socket_t fd, void* buffer, size_t size, int flags, sockaddr* from,
                             ares_socklen_t* from_size, void* lookup) {
  auto& self = *static_cast<Lookup*>(lookup);
  const ssize_t got = self.note_error(recvfrom(fd, buffer, size, flags, from, from_size));
  // A whole packet with a header: UDP. The fourth octet ends in the response code (RFC 1035 4.1.1).
  if (got >= HFIXEDSZ && from != nullptr) {
    switch (static_cast<const uint8_t*>(buffer)[3] & 0xf) {
      case SERVFAIL:
        self.last_trouble_ = "SERVFAIL";
        break;
      case NOTIMP:
        self.last_trouble_ = "NOTIMP";
        break;
      case REFUSED:
        self.last_trouble_ = "REFUSED";
        break;
      default:
        break;
    }
  }
  return got;
}

ares_ssize_t Lookup::send(ares_socket_t fd, const iovec* pieces, int count, void* lookup) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = static_cast<size_t>(count);
  // A server that hung up must not be a SIGPIPE.
  return static_cast<Lookup*>(lookup)->note_error(sendmsg(fd, &message, MSG_NOSIGNAL));
}

const ares_socket_functions& Lookup::socket_functions() {
  static const ares_socket_functions functions{
      .asocket = [](int family, int type, int protocol, void* lookup) -> ares_socket_t {
        const int kind = type | SOCK_NONBLOCK | SOCK_CLOEXEC;
        return static_cast<Lookup*>(lookup)->note_error(socket(family, kind, protocol));
      },
      .aclose = [](ares_socket_t fd, void*) { return close(fd); },
      .aconnect =
          [](ares_socket_t fd, const sockaddr* to, ares_socklen_t size, void* lookup) {
            return static_cast<Lookup*>(lookup)->note_error(connect(fd, to, size));
          },
      .arecvfrom = &Lookup::receive,
      .asendv = &Lookup::send};
  return functions;
}

// What the hosts file says of a name; nothing when it says nothing. Reads the file then and there.
std::optional<Answer> look_in_hosts(const AresOptions& options, const std::string& name) {
  const Channel channel(options, "f", nullptr, nullptr);
  if (channel.status() != ARES_SUCCESS) return std::nullopt;
  Answer answer;
  const ares_addrinfo_callback note = [](void* into, int, int, ares_addrinfo* found) {
    if (found == nullptr) return;
    auto& addresses = static_cast<Answer*>(into)->addresses;
    for (const auto* node = found->nodes; node != nullptr; node = node->ai_next) {
      SocketAddress address;
      address.length = std::min<socklen_t>(node->ai_addrlen, sizeof address.storage);
      std::memcpy(&address.storage, node->ai_addr, address.length);
      const auto endpoint = address.endpoint();
      if (endpoint) addresses.push_back(endpoint->address);
    }
    ares_freeaddrinfo(found);
  };
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  ares_getaddrinfo(channel.get(), name.c_str(), nullptr, &hints, note, &answer);
  if (answer.addresses.empty()) return std::nullopt;
  return answer;
}

}  // namespace

AresResolver::AresResolver(async::Loop& loop, const AresOptions& options)
    : loop_(loop), options_(options) {
  const Channel trial(options_, "b", nullptr, nullptr);
  if (trial.status() != ARES_SUCCESS) {
    throw std::runtime_error(std::string("c-ares cannot start: ") + ares_strerror(trial.status()));
  }
}

async::Task<Result<Answer>> AresResolver::resolve(std::string name, Deadline deadline) {
  if (!is_dns_name(name)) {
    co_return Unexpected(Reason::dns_error, "a name that is not asked of DNS");
  }
  if (options_.hosts_file) {
    std::optional<Answer> known = look_in_hosts(options_, name);
    if (known) co_return std::move(*known);
  }
  Lookup lookup(loop_, options_, name);
  lookup.begin();
  async::Event& done = lookup.done();
  const bool came = co_await done.wait(deadline);
  if (!came) co_return Unexpected(lookup.late());
  co_return lookup.answer();
}

}  // namespace egret::net
