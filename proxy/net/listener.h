#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "proxy/async/task.h"
#include "proxy/async/wait.h"
#include "proxy/net/socket.h"

namespace egret::net {

// A bound, listening socket.
struct ListenSocket {
  Fd fd;
  std::optional<policy::Endpoint> endpoint;  // as bound: the kernel's port where 0 was asked
};

// Whose a TCP address is to be.
enum class Claim : uint8_t {
  alone,  // this socket's only
  first,  // the first of several: nobody else, another Egret included, may have it already
  more    // one of those that share it
};

// Binds TCP. What is shared is bound with SO_REUSEPORT, so that each worker has a queue of its own.
// Errors: internal_error with a sentence ("127.0.0.1:80: Permission denied").
Result<ListenSocket> listen_tcp(const policy::Endpoint& endpoint, Claim claim = Claim::alone);
// Binds a Unix socket, mode 0660. A stale socket file that nobody listens on is replaced; a live
// one, or any other file, is an error.
Result<ListenSocket> listen_unix(const std::string& path);
// Another descriptor of the same socket, for the next worker of a Unix listener.
Result<ListenSocket> share(const ListenSocket& socket);

struct Accepted {
  Fd fd;
  std::optional<policy::Endpoint> peer;  // nothing on a Unix socket
};

// Acceptor takes connections from a listening socket on a loop.
//   Out of descriptors or memory: keeps listening, tries again after a pause and says so through
//   exhausted(). One thread: the loop's.
class Acceptor final : private async::FdHandler {
 public:
  using Exhausted = std::function<void(int error)>;
  // `exhausted` is told each time.
  Acceptor(async::Loop& loop, ListenSocket socket, Exhausted exhausted = {});
  // The next connection. Never fails: waits.
  async::Task<Accepted> accept();
  [[nodiscard]] const ListenSocket& socket() const { return socket_; }
  // How often the kernel had no descriptor or memory for a connection.
  [[nodiscard]] uint64_t exhausted() const { return exhausted_; }

 private:
  void on_edges(Edges) override { readable_.set(); }
  ListenSocket socket_;
  async::Event readable_;
  Exhausted tell_exhausted_;
  uint64_t exhausted_ = 0;
  async::FdWatch watch_;
};

}  // namespace egret::net
