#include "proxy/commands/admin_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/text.h"
#include "policy/url.h"
#include "proxy/http/parser.h"

namespace egret::commands {
namespace {

constexpr timeval kPatience{30, 0};

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int get() const { return fd_; }

  [[nodiscard]] bool send_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // To the end; false after an error.
  [[nodiscard]] bool read_all(std::string& out) const {
    char buffer[65536];
    while (true) {
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) return got == 0;
      out.append(buffer, static_cast<size_t>(got));
    }
  }

 private:
  int fd_;
};

std::unique_ptr<Socket> connect_unix(const std::string& path) {
  auto made = std::make_unique<Socket>(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return nullptr;
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (connect(made->get(), generic, sizeof address) != 0) return nullptr;
  return made;
}

std::unique_ptr<Socket> connect_tcp(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    errno = EHOSTUNREACH;
    return nullptr;
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    auto made = std::make_unique<Socket>(socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(made->get(), each->ai_addr, each->ai_addrlen) == 0) return made;
  }
  return nullptr;
}

}  // namespace

Result<AdminClient> AdminClient::make(std::string_view url, std::string token) {
  constexpr std::string_view kUnix = "unix:";
  AdminClient client;
  client.url_ = url;
  client.token_ = std::move(token);
  if (url.starts_with(kUnix) && url.size() > kUnix.size()) {
    client.unix_path_ = url.substr(kUnix.size());
    client.host_field_ = "localhost";
    return client;
  }
  const Result<policy::Url> parsed = policy::parse_url(url);
  const bool good =
      parsed && parsed->scheme == policy::Scheme::http && parsed->path == "/" && !parsed->has_query;
  if (!good) {
    return Unexpected(Reason::url_malformed,
                      "--admin: write http://127.0.0.1:4751 or unix:/run/egret/admin.sock");
  }
  client.host_ = parsed->host.text;
  client.port_ = std::to_string(parsed->port);
  client.host_field_ = parsed->authority().to_string();
  return client;
}

Result<AdminClient::Answer> AdminClient::ask(std::string_view method,
                                             std::string_view target) const {
  const std::unique_ptr<Socket> socket =
      unix_path_.empty() ? connect_tcp(host_, port_) : connect_unix(unix_path_);
  if (!socket) {
    return Unexpected(
        Reason::connection_failed,
        fmt::format("{}: {}; is Egret running, and is that its admin.address? (--admin says "
                    "where it is asked)",
                    url_, std::strerror(errno)));
  }
  std::string request = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", method,
                                    target, host_field_);
  if (!token_.empty()) request += "Authorization: Bearer " + token_ + "\r\n";
  request += "\r\n";
  std::string bytes;
  if (!socket->send_all(request) || !socket->read_all(bytes)) {
    return Unexpected(Reason::connection_terminated,
                      fmt::format("{}: {}", url_, std::strerror(errno)));
  }
  const size_t end = bytes.find("\r\n\r\n");
  http::ResponseHead head;
  const Result<> parsed =
      end == std::string::npos
          ? Result<>(Unexpected(Reason::response_malformed))
          : http::parse_found_response(std::string_view(bytes).substr(0, end + 4), method, head);
  if (!parsed || bytes.size() < end + 4 + head.framing.length) {
    return Unexpected(Reason::response_malformed, url_ + ": that is no answer of Egret's");
  }
  return Answer{head.status, bytes.substr(end + 4)};
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || text::is_digit(c) ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace egret::commands
