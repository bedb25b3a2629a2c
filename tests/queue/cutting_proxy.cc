#include "tests/queue/cutting_proxy.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace egret::queue {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
  return address;
}

bool readable(int fd, int ms) {
  pollfd each{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&each, 1, ms) > 0;
}

void write_all(int fd, const char* bytes, ssize_t size) {
  while (size > 0) {
    const ssize_t sent = send(fd, bytes, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes += sent;
    size -= sent;
  }
}

}  // namespace

CuttingProxy::CuttingProxy(std::string server_socket) : server_socket_(std::move(server_socket)) {
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(folder_.file(".s.PGSQL.5432"));
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_, 16) != 0) {
    throw std::runtime_error("a Unix socket");
  }
  thread_ = std::thread([this] { accept_all(); });
}

CuttingProxy::~CuttingProxy() {
  stopping_ = true;
  thread_.join();
  for (std::thread& each : connections_) each.join();
  close(listener_);
}

void CuttingProxy::cut_at_request(const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  cut_at_ = bytes;
}

void CuttingProxy::cut_before_request(int number) {
  const std::lock_guard lock(mutex_);
  cut_before_ = number;
}

void CuttingProxy::accept_all() {
  while (!stopping_) {
    if (!readable(listener_, 20)) continue;
    const int client = accept(listener_, nullptr, nullptr);
    if (refuses_) {
      close(client);
    } else {
      connections_.emplace_back([this, client] { serve(client); });
    }
  }
}

// False: it was cut.
bool CuttingProxy::pass_request(int client, int server) {
  std::array<char, 65536> bytes;
  const ssize_t size = read(client, bytes.data(), bytes.size());
  if (size <= 0) return false;
  ++requests_;
  bool before = false, after = false;
  {
    const std::lock_guard lock(mutex_);
    before = cut_before_ > 0 && --cut_before_ == 0;
    const std::string_view sent(bytes.data(), static_cast<size_t>(size));
    after = !cut_at_.empty() && sent.find(cut_at_) != std::string_view::npos;
    if (after) cut_at_.clear();
  }
  if (before || after) ++cuts_;
  if (before) return false;
  write_all(server, bytes.data(), size);
  if (!after) return true;
  // The answer is taken, so that the server has done it, and swallowed.
  static_cast<void>(readable(server, 2000));
  return false;
}

void CuttingProxy::serve(int client) {
  const int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(server_socket_);
  bool open = connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  std::array<char, 65536> bytes;
  while (open && !stopping_) {
    std::array<pollfd, 2> both{{{.fd = client, .events = POLLIN, .revents = 0},
                                {.fd = server, .events = POLLIN, .revents = 0}}};
    if (poll(both.data(), both.size(), 20) <= 0) continue;
    if (both[0].revents != 0) open = pass_request(client, server);
    if (!open || both[1].revents == 0) continue;
    const ssize_t size = read(server, bytes.data(), bytes.size());
    open = size > 0;
    if (open) write_all(client, bytes.data(), size);
  }
  close(client);
  close(server);
}

}  // namespace egret::queue
