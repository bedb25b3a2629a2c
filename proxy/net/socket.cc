#include "proxy/net/socket.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace egret::net {
namespace {

Io failure() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {.status = Io::Status::blocked};
  return {.status = Io::Status::failed, .error = errno};
}

constexpr size_t kCopiedAtMost = 4096;

// The bytes as one run, copied into `together` when they lie apart; nothing when they are too many.
std::string_view in_one_piece(std::span<const iovec> pieces, std::span<char> together) {
  if (pieces.size() == 1) {
    return {static_cast<const char*>(pieces[0].iov_base), pieces[0].iov_len};
  }
  size_t total = 0;
  for (const iovec& piece : pieces) {
    if (piece.iov_len > together.size() - total) return {};
    std::memcpy(together.data() + total, piece.iov_base, piece.iov_len);
    total += piece.iov_len;
  }
  return {together.data(), total};
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

SocketAddress SocketAddress::of(const policy::Endpoint& endpoint) {
  SocketAddress address;
  const auto& bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    std::memcpy(&v4->sin_addr, bytes.data(), 4);
    address.length = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    std::memcpy(&v6->sin6_addr, bytes.data(), 16);
    address.length = sizeof *v6;
  }
  return address;
}

std::optional<policy::Endpoint> SocketAddress::endpoint() const {
  if (storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    std::array<uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4->sin_addr, 4);
    return policy::Endpoint{policy::Address::v4(bytes), ntohs(v4->sin_port)};
  }
  if (storage.ss_family != AF_INET6) return std::nullopt;
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
  if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
    std::array<uint8_t, 4> bytes;
    std::memcpy(bytes.data(), v6->sin6_addr.s6_addr + 12, 4);
    return policy::Endpoint{policy::Address::v4(bytes), ntohs(v6->sin6_port)};
  }
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &v6->sin6_addr, 16);
  return policy::Endpoint{policy::Address::v6(bytes), ntohs(v6->sin6_port)};
}

SocketStream::SocketStream(async::Loop& loop, Fd fd)
    : fd_(std::move(fd)), watch_(loop.watch(fd_.get(), *this)) {}

SocketStream::~SocketStream() = default;

Io SocketStream::try_read(std::span<char> buffer) {
  const ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (got > 0) return {.bytes = static_cast<size_t>(got)};
  if (got == 0) return {.status = Io::Status::closed};
  return failure();
}

Io SocketStream::try_write(std::span<const iovec> pieces) {
  // The plainer call is the cheaper one, also when a little must be copied for it.
  char together[kCopiedAtMost];
  const std::string_view plain = in_one_piece(pieces, together);
  if (plain.data() != nullptr) {
    const ssize_t put = send(fd_.get(), plain.data(), plain.size(), MSG_NOSIGNAL);
    if (put >= 0) return {.bytes = static_cast<size_t>(put)};
    return failure();
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = std::min<size_t>(pieces.size(), IOV_MAX);
  const ssize_t put = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  if (put >= 0) return {.bytes = static_cast<size_t>(put)};
  return failure();
}

void SocketStream::shutdown_write() { shutdown(fd_.get(), SHUT_WR); }

void SocketStream::abort_on_close() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

bool SocketStream::looks_alive() {
  char byte;
  const ssize_t got = recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

// It lasts until the next acknowledgement. A Unix socket has none: the call fails.
void SocketStream::expect_more() {
  const int on = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

bool SocketStream::has_failed() const {
  pollfd asked{.fd = fd_.get(), .events = 0, .revents = 0};
  return poll(&asked, 1, 0) == 1 && (asked.revents & POLLERR) != 0;
}

void SocketStream::on_edges(Edges edges) {
  if (edges.readable && edges.writable && !edges.peer_closed) {
    on_perhaps_reset();
    edges.peer_closed = nobody_reads() && has_failed();
  }
  if (edges.writable) on_writable();
  if (edges.peer_closed) {
    on_peer_closed();
  } else if (edges.readable) {
    on_readable();
  }
}

}  // namespace egret::net
