#include "proxy/net/dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "proxy/async/wait.h"
#include "proxy/net/socket.h"

namespace egret::net {
namespace {

Unexpected dial_failure(int error, const policy::Endpoint& endpoint) {
  const std::string what = endpoint.to_string() + ": " + std::strerror(error);
  switch (error) {
    case ECONNREFUSED:
      return Unexpected(Reason::connection_refused, what);
    case ETIMEDOUT:
      return Unexpected(Reason::connection_timeout, what);
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return Unexpected(Reason::destination_unroutable, what);
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN:  // no local port left
      return Unexpected(Reason::out_of_resources, what);
    default:
      return Unexpected(Reason::connection_failed, what);
  }
}

// Binds to an address and no port: connect() picks one then, which only has to be free towards its
// destination (ip(7) IP_BIND_ADDRESS_NO_PORT). Without that option bind() picks one: fewer fit.
Result<> bind_source(int fd, const policy::Address& source) {
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  const SocketAddress from = SocketAddress::of({source, 0});
  if (bind(fd, from.get(), from.length) == 0) return {};
  return Unexpected(Reason::destination_unroutable,
                    "source " + source.to_string() + ": " + std::strerror(errno));
}

// Waits for the outcome of a connect() that is under way.
class Connecting final : public async::FdHandler {
 public:
  Connecting(async::Loop& loop, int fd) : watch_(loop.watch(fd, *this)) {}
  async::Event& done() { return done_; }

 private:
  void on_edges(Edges edges) override {
    if (edges.writable || edges.peer_closed) done_.set();
  }
  async::Event done_;
  async::FdWatch watch_;
};

int pending_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

// What the kernel says we are connected to is what policy permitted, or nothing is sent.
Result<> check_peer(int fd, const policy::Endpoint& permitted) {
  SocketAddress peer;
  peer.length = sizeof peer.storage;
  if (getpeername(fd, peer.get(), &peer.length) != 0) return dial_failure(errno, permitted);
  const auto actual = peer.endpoint();
  // Both in the kernel's spelling: ::ffff:192.0.2.1 is connected to over IPv4, and told as that.
  if (actual && actual == SocketAddress::of(permitted).endpoint()) return {};
  return Unexpected(Reason::peer_mismatch,
                    "the connection to " + permitted.to_string() + " leads to " +
                        (actual ? actual->to_string() : std::string("no IP address")));
}

}  // namespace

async::Task<Result<std::unique_ptr<Stream>>> SystemDialer::dial(
    policy::PermittedAddress address, std::optional<policy::Address> source, Deadline deadline) {
  const policy::Endpoint endpoint = address.endpoint();
  const int family = endpoint.address.is_v4() ? AF_INET : AF_INET6;
  Fd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd.valid()) co_return dial_failure(errno, endpoint);
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

  if (source) {
    Result<> bound = bind_source(fd.get(), *source);
    if (!bound) co_return Unexpected(std::move(bound.error()));
  }
  const SocketAddress to = SocketAddress::of(endpoint);
  if (connect(fd.get(), to.get(), to.length) != 0) {
    if (errno != EINPROGRESS) co_return dial_failure(errno, endpoint);
    Connecting connecting(loop_, fd.get());
    const bool came = co_await connecting.done().wait(deadline);
    if (!came) co_return dial_failure(ETIMEDOUT, endpoint);
    const int error = pending_error(fd.get());
    if (error != 0) co_return dial_failure(error, endpoint);
  }
  Result<> checked = check_peer(fd.get(), endpoint);
  if (!checked) co_return Unexpected(std::move(checked.error()));
  co_return std::unique_ptr<Stream>(std::make_unique<SocketStream>(loop_, std::move(fd)));
}

}  // namespace egret::net
