#include "proxy/async/task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "proxy/async/wait.h"
#include "tests/support/cancellation.h"

namespace egret::async {
namespace {

using namespace std::chrono_literals;
using test::Counted;
using test::ManualLoop;

Task<int> seven() { co_return 7; }

Task<int> seven_later(Deadline when) {
  co_await sleep_until(when);
  co_return 7;
}

Task<int> sum(Deadline when) {
  const int a = co_await seven();
  const int b = co_await seven_later(when);
  co_return a + b;
}

Task<void> note(std::vector<std::string>& log, std::string what) {
  log.push_back(std::move(what));
  co_return;
}

Task<int> throws_at_once() {
  throw std::runtime_error("at once");
  co_return 0;
}

Task<int> throws_later(Deadline when) {
  co_await sleep_until(when);
  throw std::runtime_error("later");
}

Task<std::unique_ptr<int>> boxed(int value) { co_return std::make_unique<int>(value); }

Task<int> unboxed(int value) {
  const std::unique_ptr<int> box = co_await boxed(value);
  co_return *box;
}

// Holds what must die with the frame, in an argument and in a local.
Task<int> holding(Counted argument, Deadline when) {
  const Counted local;
  co_await sleep_until(when);
  (void)argument;
  co_return 1;
}

Task<int> holding_twice(Deadline when) {
  const Counted local;
  Counted passed;
  const int inner = co_await holding(std::move(passed), when);
  co_return inner + 1;
}

TEST(Task, DoesNothingBeforeItIsStarted) {
  ManualLoop loop;
  std::vector<std::string> log;
  Task<void> task = note(log, "ran");
  EXPECT_TRUE(log.empty());
  task.start();
  EXPECT_TRUE(task.done());
  EXPECT_EQ(log, std::vector<std::string>{"ran"});
}

TEST(Task, GivesItsValue) {
  ManualLoop loop;
  EXPECT_EQ(loop.run(seven()), 7);
}

TEST(Task, GivesItsValueAfterAWait) {
  ManualLoop loop;
  const Deadline when = loop.in(5s);
  EXPECT_EQ(loop.run(sum(when)), 14);
  EXPECT_EQ(loop.now(), when);
}

TEST(Task, ResultMayBeMoveOnly) {
  ManualLoop loop;
  EXPECT_EQ(loop.run(unboxed(3)), 3);
}

Task<std::string> say(std::string what) {
  std::string said;
  try {
    const int ignored = co_await throws_at_once();
    said = std::to_string(ignored);
  } catch (const std::runtime_error& error) {
    said = what + " " + error.what();
  }
  co_return said;
}

TEST(Task, ExceptionComesOutOfTheAwait) {
  ManualLoop loop;
  EXPECT_EQ(loop.run(say("thrown")), "thrown at once");
}

TEST(Task, ExceptionComesOutOfTheResult) {
  ManualLoop loop;
  EXPECT_THROW(loop.run(throws_at_once()), std::runtime_error);
  EXPECT_THROW(loop.run(throws_later(loop.in(1s))), std::runtime_error);
}

TEST(Task, MovedFromOwnsNothing) {
  ManualLoop loop;
  Task<int> first = seven();
  Task<int> second = std::move(first);
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
  ASSERT_TRUE(second.valid());
  EXPECT_EQ(loop.run(std::move(second)), 7);
}

TEST(Task, AssigningDestroysWhatWasOwned) {
  ManualLoop loop;
  Task<int> task = holding(Counted(), loop.in(1s));
  task.start();
  EXPECT_EQ(Counted::alive(), 2);
  task = seven();
  EXPECT_EQ(Counted::alive(), 0);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST(Task, DestroyedBeforeItIsStartedDropsItsArguments) {
  ManualLoop loop;
  {
    const Task<int> task = holding(Counted(), kNever);
    EXPECT_EQ(Counted::alive(), 1);
  }
  EXPECT_EQ(Counted::alive(), 0);
}

TEST(Task, DestroyedWhileSuspendedDestroysTheWholeChain) {
  ManualLoop loop;
  {
    Task<int> task = holding_twice(loop.in(1s));
    task.start();
    EXPECT_GE(Counted::alive(), 3);
    EXPECT_EQ(loop.scheduler().timers().size(), 1U);
  }
  EXPECT_EQ(Counted::alive(), 0);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST(Task, DestroyedWhilePostedIsTakenOffTheReadyList) {
  ManualLoop loop;
  {
    Task<int> task = holding_twice(loop.in(1s));
    task.start();
    ASSERT_TRUE(loop.advance_to_next_timer());
    EXPECT_FALSE(loop.scheduler().ready().empty());
  }
  EXPECT_TRUE(loop.scheduler().ready().empty());
  EXPECT_EQ(Counted::alive(), 0);
  loop.run_until_idle();
}

TEST(Task, FinishedWithoutBeingTakenDropsItsValue) {
  ManualLoop loop;
  {
    Task<std::unique_ptr<int>> task = boxed(1);
    task.start();
    EXPECT_TRUE(task.done());
  }
  SUCCEED();  // LeakSanitizer judges
}

// How far the machine stack reached down while it was watched. Frame addresses, not those of
// locals: AddressSanitizer puts locals elsewhere.
class StackWatch {
 public:
  [[gnu::noinline]] void look() {
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    lowest_ = std::min(lowest_, here);
    highest_ = std::max(highest_, here);
  }
  [[nodiscard]] uintptr_t depth() const { return highest_ - lowest_; }

 private:
  uintptr_t lowest_ = UINTPTR_MAX;
  uintptr_t highest_ = 0;
};

Task<int> look(StackWatch& watch) {
  watch.look();
  co_return 1;
}

// Its value is there only after a trip over the ready list.
Task<int> look_later(StackWatch& watch, Event& event) {
  event.set();
  const bool came = co_await event.wait(kNever);
  watch.look();
  co_return came ? 1 : 0;
}

Task<int64_t> look_often(StackWatch& watch, int times) {
  int64_t total = 0;
  for (int i = 0; i < times; ++i) {
    const int one = co_await look(watch);
    total += one;
  }
  co_return total;
}

Task<int64_t> look_later_often(StackWatch& watch, Event& event, int times) {
  int64_t total = 0;
  for (int i = 0; i < times; ++i) {
    const int one = co_await look_later(watch, event);
    total += one;
  }
  co_return total;
}

TEST(Task, AMillionReadyAwaitsDoNotGrowTheStack) {
  ManualLoop loop;
  StackWatch watch;
  EXPECT_EQ(loop.run(look_often(watch, 1'000'000)), 1'000'000);
  EXPECT_LT(watch.depth(), 4096U);
}

TEST(Task, AMillionAwaitsOfASetEventDoNotGrowTheStack) {
  ManualLoop loop;
  StackWatch watch;
  Event event;
  EXPECT_EQ(loop.run(look_later_often(watch, event, 1'000'000)), 1'000'000);
  EXPECT_LT(watch.depth(), 4096U);
}

// Two that wake each other: each await really suspends.
Task<int> ping(StackWatch& watch, Event& mine, Event& theirs, int times) {
  for (int i = 0; i < times; ++i) {
    const bool came = co_await mine.wait(kNever);
    if (!came) co_return -1;
    mine.clear();
    watch.look();
    theirs.set();
  }
  co_return times;
}

TEST(Task, AMillionAwaitsThatSuspendDoNotGrowTheStack) {
  ManualLoop loop;
  StackWatch watch;
  Event a;
  Event b;
  constexpr int kTimes = 500'000;
  Task<int> one = ping(watch, a, b, kTimes);
  Task<int> two = ping(watch, b, a, kTimes);
  one.start();
  two.start();
  a.set();
  while (!one.done() || !two.done()) {
    if (!loop.scheduler().run() && !(one.done() && two.done())) break;
  }
  ASSERT_TRUE(one.done());
  ASSERT_TRUE(two.done());
  EXPECT_EQ(one.result() + two.result(), 2 * kTimes);
  EXPECT_LT(watch.depth(), 4096U);
}

}  // namespace
}  // namespace egret::async
