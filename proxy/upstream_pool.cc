#include "proxy/upstream_pool.h"

#include <algorithm>

namespace egret::proxy {
namespace {

constexpr Duration kSweepEvery = std::chrono::seconds(1);

}  // namespace

UpstreamPool::UpstreamPool() { janitor_.spawn(expire()); }
UpstreamPool::~UpstreamPool() = default;

std::optional<Upstream> UpstreamPool::take(const policy::PermittedAddresses& addresses,
                                           const Lane& lane) {
  const TimePoint now = async::Scheduler::current().now();
  for (const policy::PermittedAddress& address : addresses) {
    const auto found = idle_.find(KeyView{address.endpoint(), lane});
    if (found == idle_.end()) continue;
    Stack& stack = found->second;
    while (!stack.empty()) {
      Idle idle = std::move(stack.back());
      stack.pop_back();
      --size_;
      const bool fresh = idle.until > now && idle.stream->quiet() &&
                         (now - idle.since < kAskAfter || idle.stream->looks_alive());
      if (!fresh) continue;
      return Upstream{{std::move(idle.stream), address.endpoint()}, true};
    }
  }
  return std::nullopt;
}

void UpstreamPool::put(net::Connection connection, Duration idle, const Lane& lane) {
  if (!connection.stream->quiet() || size_ >= kMostInAll) return;
  auto found = idle_.find(KeyView{connection.peer, lane});
  if (found == idle_.end()) found = idle_.emplace(Key{connection.peer, lane}, Stack()).first;
  Stack& stack = found->second;
  if (stack.size() >= kMostPerEndpoint) return;
  const TimePoint now = async::Scheduler::current().now();
  stack.push_back({std::move(connection.stream), now, deadline_after(now, idle), false});
  ++size_;
  if (!wanted_.is_set()) wanted_.set();
}

void UpstreamPool::clear() {
  idle_.clear();
  size_ = 0;
}

// One sweep a second is precise enough for idleness, and costs nothing a request.
async::Task<void> UpstreamPool::expire() {
  while (true) {
    co_await wanted_.wait(kNever);
    const Deadline next = deadline_after(async::Scheduler::current().now(), kSweepEvery);
    co_await async::sleep_until(next);
    drop_expired(async::Scheduler::current().now());
    if (size_ == 0) wanted_.clear();
  }
}

void UpstreamPool::drop_expired(TimePoint now) {
  for (auto each = idle_.begin(); each != idle_.end();) {
    Stack& stack = each->second;
    const auto gone = std::remove_if(stack.begin(), stack.end(), [now](const Idle& idle) {
      return idle.until <= now || !idle.stream->quiet();
    });
    size_ -= static_cast<size_t>(stack.end() - gone);
    for (auto idle = stack.begin(); idle != gone; ++idle) {
      if (idle->rested || now - idle->since < kSweepEvery) continue;
      idle->rested = true;
      idle->stream->rest();
    }
    stack.erase(gone, stack.end());
    each = stack.empty() ? idle_.erase(each) : std::next(each);
  }
}

}  // namespace egret::proxy
