#include "proxy/async/wait.h"

#include <gtest/gtest.h>

#include "proxy/async/task.h"
#include "tests/support/manual_loop.h"

namespace egret::async {
namespace {

using namespace std::chrono_literals;
using test::ManualLoop;

Task<TimePoint> sleeper(Deadline when) {
  co_await sleep_until(when);
  co_return Scheduler::current().now();
}

Task<bool> waiter(Event& event, Deadline deadline) {
  const bool came = co_await event.wait(deadline);
  co_return came;
}

TEST(SleepUntil, GoesOnAtTheInstantAndNotBefore) {
  ManualLoop loop;
  const Deadline when = loop.in(1s);
  Task<TimePoint> task = sleeper(when);
  task.start();
  loop.advance(1s - 1ns);
  EXPECT_FALSE(task.done());
  loop.advance(1ns);
  ASSERT_TRUE(task.done());
  EXPECT_EQ(task.result(), when);
}

TEST(SleepUntil, DoesNotWaitForWhatHasPassed) {
  ManualLoop loop;
  for (const Deadline when : {loop.now(), loop.now() - 1s}) {
    Task<TimePoint> task = sleeper(when);
    task.start();
    EXPECT_TRUE(task.done());
  }
}

TEST(SleepUntil, NeverIsNever) {
  ManualLoop loop;
  Task<TimePoint> task = sleeper(kNever);
  task.start();
  loop.advance(std::chrono::hours(100'000));
  EXPECT_FALSE(task.done());
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

struct EventTest : testing::Test {
  ManualLoop loop;
  Event event;
};

TEST_F(EventTest, SetBeforeTheWaitIsNoWait) {
  event.set();
  Task<bool> task = waiter(event, loop.in(1s));
  task.start();
  ASSERT_TRUE(task.done());
  EXPECT_TRUE(task.result());
}

TEST_F(EventTest, SettingPostsTheWaiter) {
  Task<bool> task = waiter(event, loop.in(1s));
  task.start();
  event.set();
  EXPECT_FALSE(task.done());
  loop.run_until_idle();
  ASSERT_TRUE(task.done());
  EXPECT_TRUE(task.result());
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST_F(EventTest, TheDeadlineEndsTheWait) {
  Task<bool> task = waiter(event, loop.in(1s));
  task.start();
  loop.advance(1s - 1ns);
  EXPECT_FALSE(task.done());
  loop.advance(1ns);
  ASSERT_TRUE(task.done());
  EXPECT_FALSE(task.result());
}

TEST_F(EventTest, SetAtTheDeadlineCame) {
  Task<bool> task = waiter(event, loop.in(1s));
  task.start();
  loop.advance_to_next_timer();  // the deadline's post is on the list
  event.set();
  loop.run_until_idle();
  ASSERT_TRUE(task.done());
  EXPECT_TRUE(task.result());
}

TEST_F(EventTest, SetAndClearedBeforeTheWaiterRanStillCame) {
  Task<bool> task = waiter(event, loop.in(1s));
  task.start();
  event.set();
  event.clear();
  loop.run_until_idle();
  ASSERT_TRUE(task.done());
  EXPECT_TRUE(task.result());
  EXPECT_FALSE(event.is_set());
}

TEST_F(EventTest, StaysSetUntilCleared) {
  event.set();
  EXPECT_TRUE(loop.run(waiter(event, kNever)));
  EXPECT_TRUE(event.is_set());
  event.clear();
  EXPECT_FALSE(loop.run(waiter(event, loop.in(1s))));
}

TEST_F(EventTest, ACancelledWaiterIsForgotten) {
  {
    Task<bool> task = waiter(event, loop.in(1s));
    task.start();
  }
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
  event.set();
  EXPECT_TRUE(loop.scheduler().ready().empty());
}

}  // namespace
}  // namespace egret::async
