#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/async/task_set.h"
#include "proxy/async/wait.h"
#include "proxy/net/connector.h"

namespace egret::proxy {

// A connection to a destination, and whether it has carried an exchange before.
struct Upstream {
  net::Connection connection;
  bool reused = false;
};

// What a connection has beside the address it leads to, and what a request must have in common with
// it: the rule's way (policy::Way, one object for all rules that have the same), and for TLS the
// name that the certificate was for, and the sender where a client certificate speaks for it.
struct Lane {
  const void* way = nullptr;
  bool tls = false;
  std::string name;    // empty where any will do
  std::string sender;  // empty where any will do
  auto operator<=>(const Lane&) const = default;
};

// UpstreamPool keeps a worker's idle connections to destinations, under the permitted endpoint
// they lead to and the lane they are for. A connection enters only after an answer that ended
// cleanly and was asked for.
//   Addresses are judged anew before each take(); the whole pool is dropped when settings change.
//   One thread.
class UpstreamPool {
 public:
  static constexpr size_t kMostPerEndpoint = 256;
  static constexpr size_t kMostInAll = 4096;
  // Idle for less than this, the edges the loop has told are trusted; for more, the kernel is asked
  // once whether the connection is still open, since a reused one that is not loses a webhook.
  static constexpr Duration kAskAfter = std::chrono::milliseconds(20);

  UpstreamPool();
  ~UpstreamPool();

  // An idle connection to one of `addresses`, newest first, or nothing.
  std::optional<Upstream> take(const policy::PermittedAddresses& addresses, const Lane& lane = {});
  // Keeps it for at most `idle`.
  void put(net::Connection connection, Duration idle, const Lane& lane = {});
  void clear();
  [[nodiscard]] size_t size() const { return size_; }

 private:
  struct Idle {
    std::unique_ptr<net::Stream> stream;
    TimePoint since;
    Deadline until;
    bool rested = false;
  };
  using Stack = std::vector<Idle>;  // oldest first
  async::Task<void> expire();
  void drop_expired(TimePoint now);

  struct Key {
    policy::Endpoint endpoint;
    Lane lane;
  };
  struct KeyView {
    const policy::Endpoint& endpoint;
    const Lane& lane;
  };
  struct Less {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      if (a.endpoint != b.endpoint) return a.endpoint < b.endpoint;
      return a.lane < b.lane;
    }
  };
  std::map<Key, Stack, Less> idle_;
  size_t size_ = 0;
  async::Event wanted_;  // set while something may expire
  async::TaskSet janitor_;
};

}  // namespace egret::proxy
