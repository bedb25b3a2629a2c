#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

// The clock is ahead, and then right again.
class StoreClock : public StoreTest {
 protected:
  void sweep() {
    EXPECT_FALSE(*within([&] { return store_->sweep(bounds_, now()); }));
  }
};

TEST_P(StoreClock, ALaneThatWasServedWhileItWasAheadIsLookedAtOnceItIsRight) {
  for (const std::string when : {"settled", "swept", "switched on", "opened"}) {
    // PostgreSQL's does not know then what others had for their clocks.
    if (when == "opened" && GetParam() == Kind::postgres) continue;
    for (const char* id : {" 1", " 2"}) keep(when + id, when);
    clock_.advance(24h * 300);
    const Claimed first = claim(1).at(0);
    EXPECT_EQ(first.id, when + " 1");
    if (when != "settled") settle(first, State::delivered);
    if (when == "opened") store_.reset();
    clock_.advance(-24h * 300);
    if (when == "settled") settle(first, State::delivered);
    if (when == "swept") sweep();
    if (when == "switched on") {
      EXPECT_FALSE(*within([&] { return store_->enable("hooks.example", now()); }));
    }
    if (when == "opened") open();
    const std::vector<Claimed> second = claim();
    ASSERT_EQ(second.size(), 1U) << when;
    EXPECT_EQ(second[0].id, when + " 2");
    settle(second[0], State::delivered);
  }
  close_soundly();
}

TEST_P(StoreClock, ALaneThatIsHeldIsHeldNoLongerThanADay) {
  if (GetParam() == Kind::postgres) GTEST_SKIP() << "it has the holds of all Egrets";
  keep("dlv_1");
  clock_.advance(24h * 300);
  const Claimed lent = claim().at(0);
  settle({.number = lent.number,
          .lane = lent.lane,
          .fence = lent.fence,
          .due = now(),
          .hold = now() + 30s});
  clock_.advance(-24h * 300);
  sweep();
  EXPECT_EQ(store_->next_due().value(), now() + 24h);
}

EGRET_BOTH_STORES(StoreClock);

}  // namespace
}  // namespace egret::queue
