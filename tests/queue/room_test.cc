#include "proxy/queue/room.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace egret::queue {
namespace {

// Of each 1000 bytes; so many of them are there.
struct Case {
  const char* what;
  int delivered, cancelled, dead;
  uint64_t queued, bytes, most;
  bool enough;
  int64_t delivered_go, cancelled_go, dead_go;
};

TEST(QueueRoom, ComesOfWhatIsLookedAtOnlyAndOfTheDeadLast) {
  const Case cases[] = {
      {"a small one makes room for more such", 250, 9, 9, 0, 1000, 268'000, true, 100, 0, 0},
      {"a large one", 250, 9, 9, 0, 150'000, 268'000, true, 200, 0, 0},
      {"cancelled ones when no others are left", 150, 90, 9, 0, 200'000, 249'000, true, 150, 50, 0},
      {"and then as many of the dead as must", 20, 20, 90, 0, 50'000, 130'000, true, 20, 20, 10},
      {"too large for all of them", 20, 20, 90, 5000, 131'000, 135'000, false, 0, 0, 0},
      {"larger than may be kept", 20, 20, 90, 0, 900'000, 130'000, false, 0, 0, 0},
      {"of a million not all are looked at", 1'000'000, 0, 9, 0, 12'000'000, 1'000'009'000, false,
       10'100, 0, 0},
      {"nor are the dead gone for nothing", 50, 0, 1'000'000, 0, 12'000'000, 1'000'050'000, false,
       0, 0, 0},
      {"since less may be kept than before", 10, 0, 1000, 0, 1000, 300'000, false, 10, 0, 93},
  };
  for (const Case& each : cases) {
    const std::map<State, int> there = {{State::delivered, each.delivered},
                                        {State::cancelled, each.cancelled},
                                        {State::dead, each.dead}};
    uint64_t held = each.queued;
    for (const auto& [state, count] : there) held += 1000 * static_cast<uint64_t>(count);
    const FindEnded find = [&](State state, int most) -> Result<std::vector<Ended>> {
      const auto count = static_cast<size_t>(std::min(most, there.at(state)));
      return std::vector<Ended>(count, Ended{.state = state, .bytes = 1000});
    };
    const Result<Room> room = choose_room(find, held, each.bytes, each.most);
    ASSERT_TRUE(room) << each.what;
    EXPECT_EQ(room->enough, each.enough) << each.what;
    const auto go = [&](State state) {
      return std::ranges::count(room->goes, state, [](const Ended& one) { return one.state; });
    };
    EXPECT_EQ(go(State::delivered), each.delivered_go) << each.what;
    EXPECT_EQ(go(State::cancelled), each.cancelled_go) << each.what;
    EXPECT_EQ(go(State::dead), each.dead_go) << each.what;
    EXPECT_EQ(dead_of(*room), static_cast<uint64_t>(each.dead_go)) << each.what;
  }
}

TEST(QueueRoom, ADiskThatFailsIsSaid) {
  const FindEnded find = [](State, int) -> Result<std::vector<Ended>> {
    return Unexpected(Reason::queue_unavailable);
  };
  EXPECT_EQ(choose_room(find, 10, 1, 10).error().reason, Reason::queue_unavailable);
}

}  // namespace
}  // namespace egret::queue
