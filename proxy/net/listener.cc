#include "proxy/net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace egret::net {
namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn
constexpr Duration kPauseWhenExhausted = std::chrono::milliseconds(100);

Unexpected listen_failure(const std::string& where) {
  return Unexpected(Reason::internal_error, where + ": " + std::strerror(errno));
}

std::optional<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// True when the path is free: nothing there, or a socket that nobody listens on.
bool make_room(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return errno == ENOENT;
  errno = EADDRINUSE;
  if (!S_ISSOCK(status.st_mode)) return false;
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    errno = EADDRINUSE;
    return false;
  }
  return errno == ECONNREFUSED && unlink(path.c_str()) == 0;
}

}  // namespace

Result<ListenSocket> listen_tcp(const policy::Endpoint& endpoint, Claim claim) {
  if (claim == Claim::first && endpoint.port != 0) {
    // SO_REUSEPORT would let two Egrets of different policies share the traffic by chance.
    const Result<ListenSocket> probe = listen_tcp(endpoint, Claim::alone);
    if (!probe) return Unexpected(probe.error());
  }
  const std::string where = endpoint.to_string();
  const int family = endpoint.address.is_v4() ? AF_INET : AF_INET6;
  Fd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd.valid()) return listen_failure(where);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (claim != Claim::alone) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  // An IPv6 listener takes IPv6 only: what was written is what is bound.
  if (family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  SocketAddress address = SocketAddress::of(endpoint);
  if (bind(fd.get(), address.get(), address.length) != 0) return listen_failure(where);
  if (listen(fd.get(), kBacklog) != 0) return listen_failure(where);
  if (getsockname(fd.get(), address.get(), &address.length) != 0) return listen_failure(where);
  return ListenSocket{std::move(fd), address.endpoint()};
}

Result<ListenSocket> listen_unix(const std::string& path) {
  const std::string where = "unix:" + path;
  const auto address = unix_address(path);
  if (!address) return Unexpected(Reason::internal_error, where + ": the path is too long");
  if (!make_room(path, *address)) return listen_failure(where);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return listen_failure(where);
  // The mode is set before anyone can connect: a Unix socket is its own credential.
  const mode_t before = umask(0117);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
  umask(before);
  if (bound != 0 || listen(fd.get(), kBacklog) != 0) return listen_failure(where);
  return ListenSocket{std::move(fd), std::nullopt};
}

Result<ListenSocket> share(const ListenSocket& socket) {
  Fd copy(fcntl(socket.fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return listen_failure("dup");
  return ListenSocket{std::move(copy), socket.endpoint};
}

Acceptor::Acceptor(async::Loop& loop, ListenSocket socket, Exhausted exhausted)
    : socket_(std::move(socket)),
      tell_exhausted_(std::move(exhausted)),
      watch_(loop.watch(socket_.fd.get(), *this)) {}

async::Task<Accepted> Acceptor::accept() {
  while (true) {
    SocketAddress peer;
    peer.length = sizeof peer.storage;
    readable_.clear();
    Fd fd(accept4(socket_.fd.get(), peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      const int on = 1;
      if (peer.endpoint()) setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      co_return Accepted{std::move(fd), peer.endpoint()};
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      co_await readable_.wait(kNever);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      ++exhausted_;
      if (tell_exhausted_) tell_exhausted_(errno);
      const Deadline again = deadline_after(async::Scheduler::current().now(), kPauseWhenExhausted);
      co_await async::sleep_until(again);
    }
    // Everything else (ECONNABORTED, EPROTO, EINTR …) concerns one connection: the next, please.
  }
}

}  // namespace egret::net
