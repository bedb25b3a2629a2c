#pragma once

#include <map>
#include <memory>
#include <optional>
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

// UpstreamPool keeps a worker's idle connections to destinations, under the permitted endpoint
// they lead to. A connection enters only after an answer that ended cleanly and was asked for.
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
  std::optional<Upstream> take(const policy::PermittedAddresses& addresses);
  // Keeps it for at most `idle`.
  void put(net::Connection connection, Duration idle);
  void clear();
  [[nodiscard]] size_t size() const { return size_; }

 private:
  struct Idle {
    std::unique_ptr<net::Stream> stream;
    TimePoint since;
    Deadline until;
  };
  using Stack = std::vector<Idle>;  // oldest first
  async::Task<void> expire();
  void drop_expired(TimePoint now);

  std::map<policy::Endpoint, Stack> idle_;
  size_t size_ = 0;
  async::Event wanted_;  // set while something may expire
  async::TaskSet janitor_;
};

}  // namespace egret::proxy
