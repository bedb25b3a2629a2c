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
  // What has waited longer, or about so long again, is given back, with the rest of its lane.
  static constexpr Duration kLongest = std::chrono::seconds(1);
  struct Kept {
    queue::Claimed lent;
    TimePoint since;
  };

  // What is to be done with one that was lent.
  enum class Lot : uint8_t {
    begin,
    take_place,  // begin it in the place of one that has ended well since ended()
    kept,
    give_back,
  };
  // `lent` is moved from when it is kept.
  Lot sort(queue::Claimed& lent, TimePoint now);

  void begin(int64_t lane);
  void end(int64_t lane);
  // One of the lane has ended well: what takes its place, if anything.
  std::optional<queue::Claimed> next(int64_t lane);
  // What is to be given back: all that is kept of the lane, after a failure, and what comes of it
  // until ended(); of lanes whose first has waited too long; of all.
  std::list<Kept> leave(int64_t lane);
  std::list<Kept> leave_stale(TimePoint now);
  std::list<Kept> leave_all();
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
    bool failed = false;
    std::list<Kept> kept;
  };
  void leave(Lane& lane, std::list<Kept>& left);

  std::unordered_map<int64_t, Lane> lanes_;
  size_t size_ = 0;
  uint64_t bytes_ = 0;
  TimePoint next_look_{};
};

}  // namespace egret::proxy
