#include "proxy/lent_ahead.h"

#include <algorithm>
#include <utility>

namespace egret::proxy {
namespace {

uint64_t bytes_of(const queue::Claimed& lent) { return lent.head.size() + lent.body.size(); }

}  // namespace

LentAhead::Lot LentAhead::sort(queue::Claimed& lent, TimePoint now) {
  if (!lent.ahead) return Lot::begin;
  const auto found = lanes_.find(lent.lane);
  if (found == lanes_.end()) return Lot::give_back;
  Lane& lane = found->second;
  if (lane.failed) return Lot::give_back;
  if (lane.empty > 0) {
    --lane.empty;
    return Lot::take_place;
  }
  // Another dispatcher has what is under way: none of it will leave a place here.
  if (lane.under_way == 0) return Lot::give_back;
  lane.kept.emplace_back(Kept{.lent = std::move(lent), .since = now});
  ++size_;
  bytes_ += bytes_of(lane.kept.back().lent);
  return Lot::kept;
}

void LentAhead::begin(int64_t lane) { ++lanes_[lane].under_way; }

void LentAhead::end(int64_t lane) { --lanes_.find(lane)->second.under_way; }

std::optional<queue::Claimed> LentAhead::next(int64_t lane) {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end()) return std::nullopt;
  Lane& of = found->second;
  ++of.well;
  if (of.kept.empty()) {
    ++of.empty;
    return std::nullopt;
  }
  std::optional<queue::Claimed> next = std::move(of.kept.front().lent);
  of.kept.pop_front();
  --size_;
  bytes_ -= bytes_of(*next);
  return next;
}

void LentAhead::leave(Lane& lane, std::list<Kept>& left) {
  for (const Kept& each : lane.kept) bytes_ -= bytes_of(each.lent);
  size_ -= lane.kept.size();
  left.splice(left.end(), lane.kept);
}

std::list<LentAhead::Kept> LentAhead::leave(int64_t lane) {
  std::list<Kept> left;
  const auto found = lanes_.find(lane);
  if (found == lanes_.end()) return left;
  found->second.failed = true;
  leave(found->second, left);
  return left;
}

std::list<LentAhead::Kept> LentAhead::leave_stale(TimePoint now) {
  std::list<Kept> left;
  if (size_ == 0 || now < next_look_) return left;
  next_look_ = now + kLongest;
  for (auto& [number, lane] : lanes_) {
    if (!lane.kept.empty() && lane.kept.front().since + kLongest <= now) leave(lane, left);
  }
  return left;
}

std::list<LentAhead::Kept> LentAhead::leave_all() {
  std::list<Kept> left;
  for (auto& [number, lane] : lanes_) leave(lane, left);
  return left;
}

std::vector<queue::Wanted::Ahead> LentAhead::ended() {
  std::vector<queue::Wanted::Ahead> wanted;
  size_t left = kMost - std::min(kMost, size_);
  for (auto& [number, lane] : lanes_) {
    lane.empty = 0;
    lane.failed = false;
    const size_t enough = 2 * std::exchange(lane.well, 0);
    const size_t more = std::min(enough - std::min(enough, lane.kept.size()), left);
    if (more == 0) continue;
    wanted.push_back({.lane = number, .most = more});
    left -= more;
  }
  std::erase_if(lanes_, [](const auto& each) {
    return each.second.under_way == 0 && each.second.kept.empty();
  });
  return wanted;
}

}  // namespace egret::proxy
