#include "proxy/async/timer.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

namespace egret::async {
namespace {

constexpr TimePoint at(int64_t instant) { return TimePoint(Duration(instant)); }

struct Target : ReadyNode {
  Target() : ReadyNode(&Target::run) {}
  static void run(ReadyNode& node) { ++static_cast<Target&>(node).runs; }
  int runs = 0;
};

struct TimerTest : testing::Test {
  ReadyList ready;
  TimerHeap heap{ready};
  Target target;
  Timer timer;
  int fire(TimePoint now) {
    heap.fire(now);
    ready.drain(100);
    return std::exchange(target.runs, 0);
  }
};

TEST_F(TimerTest, FiresAtItsDeadlineOnce) {
  timer.arm(heap, at(10), target);
  EXPECT_EQ(heap.next(), at(10));
  EXPECT_EQ(fire(at(9)), 0);
  EXPECT_FALSE(timer.fired());
  EXPECT_EQ(fire(at(10)), 1);
  EXPECT_TRUE(timer.fired());
  EXPECT_EQ(fire(at(11)), 0);
  EXPECT_EQ(heap.size(), 0U);
  EXPECT_EQ(heap.next(), kNever);
}

TEST_F(TimerTest, ReArmedLaterIsOnlyAStore) {
  timer.arm(heap, at(10), target);
  timer.arm(heap, at(30), target);
  EXPECT_EQ(heap.size(), 1U);
  EXPECT_EQ(heap.next(), at(10)) << "the heap looks again when the old instant comes";
  EXPECT_EQ(fire(at(10)), 0);
  EXPECT_EQ(heap.next(), at(30));
  EXPECT_EQ(fire(at(29)), 0);
  EXPECT_EQ(fire(at(30)), 1);
}

TEST_F(TimerTest, ReArmedEarlierMoves) {
  timer.arm(heap, at(30), target);
  timer.arm(heap, at(10), target);
  EXPECT_EQ(heap.size(), 1U);
  EXPECT_EQ(heap.next(), at(10));
  EXPECT_EQ(fire(at(10)), 1);
  EXPECT_EQ(fire(at(30)), 0);
}

TEST_F(TimerTest, ReArmedLaterAndThenBetween) {
  timer.arm(heap, at(10), target);
  timer.arm(heap, at(30), target);
  timer.arm(heap, at(20), target);
  EXPECT_EQ(fire(at(19)), 0);
  EXPECT_EQ(fire(at(20)), 1);
  EXPECT_EQ(fire(at(100)), 0);
}

TEST_F(TimerTest, DisarmedDoesNotFireAndLeavesTheHeapInTime) {
  timer.arm(heap, at(10), target);
  timer.disarm();
  EXPECT_EQ(fire(at(10)), 0);
  EXPECT_FALSE(timer.fired());
  EXPECT_EQ(heap.size(), 0U);
}

TEST_F(TimerTest, DisarmedMayBeArmedAgain) {
  timer.arm(heap, at(10), target);
  timer.disarm();
  timer.arm(heap, at(20), target);
  EXPECT_EQ(fire(at(19)), 0);
  EXPECT_EQ(fire(at(20)), 1);
}

TEST_F(TimerTest, NeverDisarms) {
  timer.arm(heap, kNever, target);
  EXPECT_EQ(heap.size(), 0U);
  timer.arm(heap, at(10), target);
  timer.arm(heap, kNever, target);
  EXPECT_EQ(fire(at(1'000'000)), 0);
  EXPECT_EQ(heap.size(), 0U);
}

TEST_F(TimerTest, ArmedAgainFromWhatItFiredFor) {
  timer.arm(heap, at(10), target);
  EXPECT_EQ(fire(at(10)), 1);
  timer.arm(heap, at(20), target);
  EXPECT_FALSE(timer.fired());
  EXPECT_EQ(fire(at(20)), 1);
}

TEST_F(TimerTest, DestroyedWhileArmedLeavesTheHeap) {
  Target others[3];
  Timer first;
  auto middle = std::make_unique<Timer>();
  Timer last;
  first.arm(heap, at(1), others[0]);
  middle->arm(heap, at(2), others[1]);
  last.arm(heap, at(3), others[2]);
  middle.reset();
  EXPECT_EQ(heap.size(), 2U);
  heap.fire(at(5));
  ready.drain(10);
  EXPECT_EQ(others[0].runs, 1);
  EXPECT_EQ(others[1].runs, 0);
  EXPECT_EQ(others[2].runs, 1);
}

TEST_F(TimerTest, MayOutliveItsHeap) {
  auto shorter = std::make_unique<TimerHeap>(ready);
  timer.arm(*shorter, at(10), target);
  shorter.reset();
  timer.arm(heap, at(20), target);
  EXPECT_EQ(fire(at(20)), 1);
}

TEST_F(TimerTest, MovesFromOneHeapToAnother) {
  TimerHeap other(ready);
  timer.arm(heap, at(10), target);
  timer.arm(other, at(20), target);
  EXPECT_EQ(heap.size(), 0U);
  EXPECT_EQ(other.size(), 1U);
}

TEST_F(TimerTest, AClockThatJumpsFiresAllInTheOrderOfTheirInstants) {
  struct Logged : ReadyNode {
    Logged(std::vector<int>& to, int number) : ReadyNode(&Logged::run), log(to), id(number) {}
    static void run(ReadyNode& node) {
      auto& self = static_cast<Logged&>(node);
      self.log.push_back(self.id);
    }
    std::vector<int>& log;
    int id;
  };
  std::vector<int> log;
  std::vector<std::unique_ptr<Logged>> targets;
  std::vector<std::unique_ptr<Timer>> timers;
  for (const int instant : {5, 3, 9, 1, 7, 2, 8, 4, 6}) {
    targets.push_back(std::make_unique<Logged>(log, instant));
    timers.push_back(std::make_unique<Timer>());
    timers.back()->arm(heap, at(instant), *targets.back());
  }
  heap.fire(at(100));
  ready.drain(100);
  EXPECT_EQ(log, (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

// A thousand timers are armed, moved, disarmed, destroyed and fired at random, and a multimap of
// deadlines says who must fire when.
class TimerModel {
 public:
  explicit TimerModel(unsigned seed) : random_(seed), items_(kTimers) {}

  void run(int operations) {
    for (int i = 0; i < operations; ++i) {
      const size_t which = below(kTimers);
      switch (below(8)) {
        case 0:
          disarm(which);
          break;
        case 1:
          destroy(which);
          break;
        case 2:
          pass_time();
          break;
        default:
          arm(which);
      }
      check_next();
      if (testing::Test::HasFailure()) return;
    }
    now_ += Duration(10'000);
    fire();
    EXPECT_TRUE(model_.empty());
  }

 private:
  static constexpr size_t kTimers = 200;
  struct Item {
    Target target;
    Timer timer;
  };

  size_t below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }
  void forget(size_t which) {
    for (auto it = model_.begin(); it != model_.end(); ++it) {
      if (it->second != which) continue;
      model_.erase(it);
      return;
    }
  }
  Item& item(size_t which) {
    if (!items_[which]) items_[which] = std::make_unique<Item>();
    return *items_[which];
  }
  void arm(size_t which) {
    forget(which);
    const bool never = below(20) == 0;
    const Deadline deadline = never ? kNever : now_ + Duration(below(1000));
    item(which).timer.arm(heap_, deadline, item(which).target);
    if (!never) model_.emplace(deadline, which);
  }
  void disarm(size_t which) {
    forget(which);
    item(which).timer.disarm();
  }
  void destroy(size_t which) {
    forget(which);
    items_[which].reset();
  }
  void pass_time() {
    now_ += Duration(below(100));
    fire();
  }
  void fire() {
    std::set<size_t> expected;
    while (!model_.empty() && model_.begin()->first <= now_) {
      expected.insert(model_.begin()->second);
      model_.erase(model_.begin());
    }
    heap_.fire(now_);
    ready_.drain(kTimers);
    std::set<size_t> fired;
    for (size_t which = 0; which < kTimers; ++which) {
      if (!items_[which] || std::exchange(items_[which]->target.runs, 0) == 0) continue;
      fired.insert(which);
      EXPECT_TRUE(items_[which]->timer.fired());
    }
    EXPECT_EQ(fired, expected);
  }
  // May ask early, never late, and never without a timer that could ask.
  void check_next() {
    EXPECT_LE(heap_.next(), model_.empty() ? kNever : model_.begin()->first);
    EXPECT_GE(heap_.size(), model_.size());
    EXPECT_LE(heap_.size(), kTimers);
  }

  std::mt19937 random_;
  ReadyList ready_;
  TimerHeap heap_{ready_};
  std::vector<std::unique_ptr<Item>> items_;
  std::multimap<Deadline, size_t> model_;
  TimePoint now_ = at(1000);
};

TEST(TimerHeapModel, FiresWhatAMultimapOfDeadlinesSays) {
  for (const unsigned seed : {1U, 2U, 3U, 4U, 5U}) {
    SCOPED_TRACE(seed);
    TimerModel model(seed);
    model.run(10'000);
  }
}

}  // namespace
}  // namespace egret::async
