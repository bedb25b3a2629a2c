#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "proxy/net/resolver.h"

namespace egret::net {

struct CacheLimits {
  size_t entries = 10000;
  Duration min_ttl = std::chrono::seconds(1);
  Duration max_ttl = std::chrono::minutes(5);
  Duration negative_ttl = std::chrono::seconds(5);
};

// CachingResolver remembers answers of another resolver and keeps one query in flight a name.
//   Positive answers live for their TTL within [min_ttl, max_ttl]; name_not_found and
//   name_has_no_address for negative_ttl; other failures are not remembered. Least recently used
//   entries go first when `entries` is reached. Owner and thread as Resolver.
class CachingResolver final : public Resolver {
 public:
  CachingResolver(Resolver& upstream, CacheLimits limits);
  ~CachingResolver() override;

  async::Task<Result<Answer>> resolve(std::string name, Deadline deadline) override;
  // The remembered answer, without a coroutine: the hot path. Null when there is none that is
  // still fresh. Valid until the next call.
  const Result<Answer>* peek(const std::string& name);

  [[nodiscard]] size_t size() const;
  [[nodiscard]] uint64_t hits() const;
  [[nodiscard]] uint64_t misses() const;
  void clear();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace egret::net
