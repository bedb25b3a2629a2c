#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "proxy/queue/delivery.h"

namespace egret::proxy {

// LentAhead knows what of each lane is under way, and keeps what was lent beyond the lanes' windows
// until one of the same lane has ended well and leaves it its place: so a destination that works
// has the next delivery before the store has heard of the last, and never more at once than its
// window holds. One thread, the dispatcher's.
class LentAhead {
 public:
  // Kept at once, and the bytes of their content.
  static constexpr size_t kMost = 512;
  static constexpr uint64_t kMostBytes = uint64_t{8} << 20;
  // A lane that begins none for so long gives back what is kept of it.
  static constexpr Duration kLongest = std::chrono::seconds(1);

  // What is to be done with one that was lent.
  enum class Lot : uint8_t { begin, kept, give_back };
  // `lent` is moved from when it is kept.
  Lot sort(queue::Claimed& lent, TimePoint now);

  void begin(int64_t lane);
  void end(int64_t lane);
  // One of the lane has ended well: what takes its place, if anything.
  std::optional<queue::Claimed> next(int64_t lane, TimePoint now);
  // What is to be given back: all that is kept of the lane, of lanes that stand still, of all.
  std::list<queue::Claimed> leave(int64_t lane);
  std::list<queue::Claimed> leave_stale(TimePoint now);
  std::list<queue::Claimed> leave_all();
  // To be called when what has ended is taken to the queue: the places that it has left empty are
  // the queue's again. What to ask for, about as much as has ended meanwhile, and as much again.
  std::vector<queue::Wanted::Ahead> ended();

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  struct Lane {
    size_t under_way = 0;
    size_t well = 0;   // have ended so, since ended()
    size_t empty = 0;  // places of theirs that none has taken
    std::list<queue::Claimed> kept;
    TimePoint moved{};
  };
  void leave(Lane& lane, std::list<queue::Claimed>& left);

  std::unordered_map<int64_t, Lane> lanes_;
  size_t size_ = 0;
  uint64_t bytes_ = 0;
  TimePoint next_look_{};
};

}  // namespace egret::proxy
