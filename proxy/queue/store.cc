#include "proxy/queue/store.h"

namespace egret::queue {

std::vector<Result<Accepted>> Store::accept_all(std::span<const NewDelivery* const> all,
                                                const Bounds& bounds) {
  std::vector<Result<Accepted>> results;
  for (const NewDelivery* each : all) {
    const bool failed = !results.empty() && !results.back() &&
                        results.back().error().reason == Reason::queue_unavailable;
    if (failed) {
      results.emplace_back(Unexpected(results.back().error()));
    } else {
      results.push_back(accept(*each, bounds));
    }
  }
  return results;
}

void Store::listen(std::function<void()> /*changed*/) {}

Result<> Store::tick(WallTime /*now*/) { return {}; }

}  // namespace egret::queue
