#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "proxy/queue/delivery.h"

namespace egret::queue {

// A delivery that has come to its end: kept only to be looked at, or replayed.
struct Ended {
  int64_t number = 0;
  int64_t lane = 0;
  State state = State::delivered;
  uint64_t bytes = 0;
};

// What goes so that one more delivery has room.
struct Room {
  bool enough = false;
  std::vector<Ended> goes;
};
uint64_t dead_of(const Room& room);

// Those of a state that ended first, `most` at most.
using FindEnded = std::function<Result<std::vector<Ended>>(State state, int most)>;

// Chooses what goes for `bytes` more where `held` are kept and `most` may be: delivered ones, when
// no more of them are there cancelled ones, and then the dead. One acceptance looks at a number of
// them that grows with its size. When so many are not enough, they go all the same, since they are
// in the next one's way too; the dead only where too much is kept even without it. Nothing goes
// where all together would not do.
//   Errors: those of `find`.
Result<Room> choose_room(const FindEnded& find, uint64_t held, uint64_t bytes, uint64_t most);

}  // namespace egret::queue
