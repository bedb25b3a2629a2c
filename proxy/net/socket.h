#pragma once

#include <sys/socket.h>

#include <optional>
#include <utility>

#include "policy/address.h"
#include "proxy/async/loop.h"
#include "proxy/net/stream.h"

namespace egret::net {

// Fd closes a descriptor when it dies.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// SocketAddress is a sockaddr and its length, made from an endpoint and read back.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  static SocketAddress of(const policy::Endpoint& endpoint);
  // Nothing for a Unix socket. An IPv4-mapped peer is given as the IPv4 it is.
  [[nodiscard]] std::optional<policy::Endpoint> endpoint() const;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

// SocketStream is a Stream over a connected, non-blocking socket, registered with the loop once.
//   Throws std::runtime_error when the loop cannot watch it (out of memory).
class SocketStream final : public Stream, private async::FdHandler {
 public:
  SocketStream(async::Loop& loop, Fd fd);
  ~SocketStream() override;

  Io try_read(std::span<char> buffer) override;
  Io try_write(std::span<const iovec> pieces) override;
  void shutdown_write() override;
  void abort_on_close() override;
  bool looks_alive() override;
  void expect_more() override;

 private:
  void on_edges(Edges edges) override;
  [[nodiscard]] bool has_failed() const;
  Fd fd_;
  async::FdWatch watch_;  // ends before the descriptor does
};

}  // namespace egret::net
