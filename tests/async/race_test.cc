#include "proxy/async/race.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "proxy/async/wait.h"
#include "tests/support/cancellation.h"

namespace egret::async {
namespace {

using namespace std::chrono_literals;
using test::ManualLoop;

// Counts how often the frame that holds it is destroyed.
class Destroyed {
 public:
  explicit Destroyed(int& times) : times_(times) {}
  ~Destroyed() { ++times_; }
  Destroyed(const Destroyed&) = delete;
  Destroyed& operator=(const Destroyed&) = delete;

 private:
  int& times_;
};

Task<std::unique_ptr<int>> work(int& destroyed, int value, Deadline when) {
  const Destroyed guard(destroyed);
  co_await sleep_until(when);
  co_return std::make_unique<int>(value);
}

Task<int> fails(Deadline when) {
  co_await sleep_until(when);
  throw std::runtime_error("failed");
}

// The value, or -1 when the deadline came first.
Task<int> against_deadline(int& destroyed, Deadline when, Deadline deadline) {
  Task<std::unique_ptr<int>> task = work(destroyed, 5, when);
  const std::optional<std::unique_ptr<int>> value = co_await race(std::move(task), deadline);
  co_return value ? **value : -1;
}

Task<int> failing_against_deadline(Deadline when, Deadline deadline) {
  Task<int> task = fails(when);
  const std::optional<int> value = co_await race(std::move(task), deadline);
  co_return value.value_or(-1);
}

// "1", "2", "12": which of the two had a value.
Task<std::string> of_two(int& destroyed, Deadline first, Deadline second) {
  Task<std::unique_ptr<int>> a = work(destroyed, 1, first);
  Task<std::unique_ptr<int>> b = work(destroyed, 2, second);
  const Raced<std::unique_ptr<int>, std::unique_ptr<int>> raced =
      co_await race(std::move(a), std::move(b));
  std::string winners;
  if (raced.first) winners += std::to_string(**raced.first);
  if (raced.second) winners += std::to_string(**raced.second);
  co_return winners;
}

Task<int> two_of_which_one_fails(Deadline fails_at, Deadline other_at, int& destroyed) {
  Task<int> a = fails(fails_at);
  Task<std::unique_ptr<int>> b = work(destroyed, 2, other_at);
  const Raced<int, std::unique_ptr<int>> raced = co_await race(std::move(a), std::move(b));
  co_return raced.second ? **raced.second : -1;
}

struct DeadlineRaceTest : testing::Test {
  ManualLoop loop;
  int destroyed = 0;
};

TEST_F(DeadlineRaceTest, WorkThatNeedsNoTimeWins) {
  const TimePoint start = loop.now();
  EXPECT_EQ(loop.run(against_deadline(destroyed, start, loop.in(1s))), 5);
  EXPECT_EQ(loop.now(), start);
  EXPECT_EQ(destroyed, 1);
}

TEST_F(DeadlineRaceTest, WorkWinsEvenWhenTheDeadlineHasPassedAlready) {
  EXPECT_EQ(loop.run(against_deadline(destroyed, loop.now(), loop.now() - 1s)), 5);
}

TEST_F(DeadlineRaceTest, WorkANanosecondBeforeTheDeadlineWins) {
  EXPECT_EQ(loop.run(against_deadline(destroyed, loop.in(1s - 1ns), loop.in(1s))), 5);
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST_F(DeadlineRaceTest, WorkANanosecondAfterTheDeadlineLoses) {
  const Deadline deadline = loop.in(1s);
  EXPECT_EQ(loop.run(against_deadline(destroyed, loop.in(1s + 1ns), deadline)), -1);
  EXPECT_EQ(loop.now(), deadline);
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST_F(DeadlineRaceTest, WorkThatIsDoneWhenTheDeadlineIsHandledWins) {
  Event done;
  // Both are on the ready list in the same turn, the deadline's post first.
  const Deadline deadline = loop.in(1s);
  Task<int> racing = against_deadline(destroyed, deadline, deadline);
  racing.start();
  EXPECT_EQ(loop.scheduler().timers().size(), 2U);
  loop.advance(1s);
  ASSERT_TRUE(racing.done());
  EXPECT_EQ(destroyed, 1);
}

TEST_F(DeadlineRaceTest, ALoserIsDestroyedBeforeTheRacerGoesOn) {
  Task<int> racing = against_deadline(destroyed, kNever, loop.in(1s));
  racing.start();
  loop.advance(1s);
  ASSERT_TRUE(racing.done());
  EXPECT_EQ(destroyed, 1);
  racing.reset();
  EXPECT_EQ(destroyed, 1);
}

TEST_F(DeadlineRaceTest, CancelledWhileRacingDestroysTheWorkOnce) {
  {
    Task<int> racing = against_deadline(destroyed, loop.in(2s), loop.in(1s));
    racing.start();
    EXPECT_EQ(destroyed, 0);
  }
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST_F(DeadlineRaceTest, AnExceptionOfTheWorkComesOut) {
  EXPECT_THROW(loop.run(failing_against_deadline(loop.now(), loop.in(1s))), std::runtime_error);
  EXPECT_THROW(loop.run(failing_against_deadline(loop.in(1ms), loop.in(1s))), std::runtime_error);
  EXPECT_EQ(loop.run(failing_against_deadline(loop.in(2s), loop.in(1s))), -1);
}

struct TaskRaceTest : testing::Test {
  ManualLoop loop;
  int destroyed = 0;
};

TEST_F(TaskRaceTest, TheFirstToFinishWinsAndTheOtherIsDestroyed) {
  EXPECT_EQ(loop.run(of_two(destroyed, loop.in(1s), loop.in(2s))), "1");
  EXPECT_EQ(destroyed, 2);
  EXPECT_EQ(loop.run(of_two(destroyed, loop.in(2s), loop.in(1s))), "2");
  EXPECT_EQ(destroyed, 4);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST_F(TaskRaceTest, AFirstThatNeedsNoTimeKeepsTheSecondFromStarting) {
  EXPECT_EQ(loop.run(of_two(destroyed, loop.now(), loop.now())), "1");
  EXPECT_EQ(destroyed, 1);  // the second's body never began
}

TEST_F(TaskRaceTest, ASecondThatNeedsNoTimeWins) {
  EXPECT_EQ(loop.run(of_two(destroyed, kNever, loop.now())), "2");
  EXPECT_EQ(destroyed, 2);
}

TEST_F(TaskRaceTest, BothValuesAreThereWhenBothAreDoneAtOnce) {
  EXPECT_EQ(loop.run(of_two(destroyed, loop.in(1s), loop.in(1s))), "12");
  EXPECT_EQ(destroyed, 2);
}

TEST_F(TaskRaceTest, CancelledWhileRacingDestroysBoth) {
  {
    Task<std::string> racing = of_two(destroyed, loop.in(1s), kNever);
    racing.start();
  }
  EXPECT_EQ(destroyed, 2);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST_F(TaskRaceTest, AnExceptionOfTheWinnerComesOutAndTheOtherIsDestroyed) {
  EXPECT_THROW(loop.run(two_of_which_one_fails(loop.in(1s), loop.in(2s), destroyed)),
               std::runtime_error);
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(loop.run(two_of_which_one_fails(loop.in(2s), loop.in(1s), destroyed)), 2);
  EXPECT_EQ(destroyed, 2);
}

}  // namespace
}  // namespace egret::async
