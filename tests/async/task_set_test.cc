#include "proxy/async/task_set.h"

#include <gtest/gtest.h>

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

Task<void> until(Deadline when) {
  const Counted alive;
  co_await sleep_until(when);
}

Task<void> bug(Deadline when) {
  const Counted alive;
  co_await sleep_until(when);
  throw std::runtime_error("a bug");
}

Task<void> spawn_another(TaskSet& set, Deadline when) {
  co_await sleep_until(when);
  set.spawn(until(kNever));
}

struct TaskSetTest : testing::Test {
  ManualLoop loop;
};

TEST_F(TaskSetTest, RunsATaskUpToItsFirstWait) {
  TaskSet set;
  set.spawn(until(loop.in(1s)));
  EXPECT_EQ(set.size(), 1U);
  EXPECT_EQ(Counted::alive(), 1);
}

TEST_F(TaskSetTest, ATaskThatNeverWaitsIsGoneAtOnce) {
  TaskSet set;
  set.spawn(until(loop.now()));
  EXPECT_EQ(set.size(), 0U);
  EXPECT_EQ(Counted::alive(), 0);
}

TEST_F(TaskSetTest, FinishedTasksAreRemovedWhereverTheyStand) {
  TaskSet set;
  for (const auto after : {2s, 1s, 3s}) set.spawn(until(loop.in(after)));
  for (size_t left = 3; left > 0; --left) {
    EXPECT_EQ(set.size(), left);
    loop.advance(1s);
  }
  EXPECT_EQ(set.size(), 0U);
  EXPECT_EQ(Counted::alive(), 0);
}

TEST_F(TaskSetTest, CancelAllDestroysEverything) {
  TaskSet set;
  set.spawn(until(loop.in(1s)));
  set.spawn(until(kNever));
  set.cancel_all();
  EXPECT_EQ(set.size(), 0U);
  EXPECT_EQ(Counted::alive(), 0);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
  set.spawn(until(loop.in(1s)));  // and can be used again
  EXPECT_EQ(set.size(), 1U);
}

TEST_F(TaskSetTest, DestroyingTheSetCancelsAlsoWhatHasJustFinished) {
  {
    TaskSet set;
    set.spawn(until(loop.in(1s)));
    set.spawn(until(loop.in(2s)));
    loop.advance_to_next_timer();
    ASSERT_TRUE(loop.step());  // the first is done; its removal is posted
    EXPECT_EQ(set.size(), 2U);
  }
  EXPECT_TRUE(loop.scheduler().ready().empty());
  EXPECT_EQ(Counted::alive(), 0);
}

TEST_F(TaskSetTest, ABugEndsItsTaskOnlyAndIsReported) {
  std::vector<std::string> bugs;
  TaskSet set([&bugs](const std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      bugs.emplace_back(error.what());
    }
  });
  set.spawn(until(loop.in(2s)));
  set.spawn(bug(loop.in(1s)));
  set.spawn(bug(loop.now()));
  EXPECT_EQ(bugs.size(), 1U);
  loop.advance(1s);
  EXPECT_EQ(bugs, (std::vector<std::string>{"a bug", "a bug"}));
  EXPECT_EQ(set.size(), 1U);
  EXPECT_EQ(Counted::alive(), 1);
}

TEST_F(TaskSetTest, ABugWithoutAHandlerIsDropped) {
  TaskSet set;
  set.spawn(bug(loop.now()));
  EXPECT_EQ(set.size(), 0U);
}

TEST_F(TaskSetTest, ATaskMaySpawnIntoItsOwnSet) {
  TaskSet set;
  set.spawn(spawn_another(set, loop.in(1s)));
  loop.advance(1s);
  EXPECT_EQ(set.size(), 1U);
  EXPECT_EQ(Counted::alive(), 1);
}

TEST_F(TaskSetTest, CancelsTheOldestThatIsLeft) {
  TaskSet set;
  set.cancel_oldest();
  for (const Duration after : {1s, 2s, 3s}) set.spawn(until(loop.in(after)));
  loop.advance(1s);
  EXPECT_EQ(set.size(), 2U) << "the first has finished";
  set.cancel_oldest();
  EXPECT_EQ(Counted::alive(), 1);
  loop.advance(1s);
  EXPECT_EQ(set.size(), 1U) << "the second was cancelled";
  set.spawn(until(loop.in(5s)));
  set.cancel_oldest();
  EXPECT_EQ(set.size(), 1U);
  loop.advance(1s);
  EXPECT_EQ(set.size(), 1U) << "the third was cancelled";
  set.cancel_oldest();
  EXPECT_EQ(set.size(), 0U);
  EXPECT_EQ(Counted::alive(), 0);
}

}  // namespace
}  // namespace egret::async
