#include <gtest/gtest.h>

#include <array>
#include <cerrno>

#include "tests/net/stream_fixture.h"

namespace egret::net {
namespace {

using namespace std::chrono_literals;

using ReadTest = StreamTest;

TEST_F(ReadTest, TakesWhatIsThere) {
  peer.feed("hello");
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), "hello");
}

TEST_F(ReadTest, WaitsForTheEdge) {
  Task<Got> task = read(stream, 100, loop.in(1s));
  task.start();
  EXPECT_FALSE(ends(task));
  peer.feed("hello");
  ASSERT_TRUE(ends(task));
  EXPECT_EQ(task.result(), "hello");
  EXPECT_EQ(loop.now(), loop.scheduler().now());
}

TEST_F(ReadTest, ANanosecondBeforeTheDeadlineIsInTime) {
  Task<Got> task = read(stream, 100, loop.in(1s));
  task.start();
  loop.advance(1s - 1ns);
  EXPECT_FALSE(task.done());
  peer.feed("x");
  ASSERT_TRUE(ends(task));
  EXPECT_EQ(task.result(), "x");
}

TEST_F(ReadTest, TimesOutAtTheDeadlineAndTheStreamStaysUsable) {
  Task<Got> task = read(stream, 100, loop.in(1s));
  task.start();
  loop.advance(1s);
  ASSERT_TRUE(task.done());
  EXPECT_EQ(task.result().io.status, Io::Status::timed_out);
  peer.feed("late");
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), "late");
}

TEST_F(ReadTest, BytesInTheTurnOfTheDeadlineWin) {
  Task<Got> task = read(stream, 100, loop.in(1s));
  task.start();
  loop.run_until_idle();
  peer.feed("just");
  loop.advance_to_next_timer();
  ASSERT_TRUE(ends(task));
  EXPECT_EQ(task.result(), "just");
}

TEST_F(ReadTest, WhatIsThereIsReadEvenAfterTheDeadline) {
  peer.feed("x");
  loop.run_until_idle();
  EXPECT_EQ(now(read(stream, 100, loop.now() - 1s)), "x");
}

TEST_F(ReadTest, AnOldDeadlineDoesNotEndTheNextRead) {
  Task<Got> first = read(stream, 100, loop.in(1s));
  first.start();
  peer.feed("x");
  ASSERT_TRUE(ends(first));
  Task<Got> second = read(stream, 100, loop.in(10s));
  second.start();
  loop.advance(10s - 1ns);
  EXPECT_FALSE(second.done());
  loop.advance(1ns);
  EXPECT_TRUE(second.done());
}

TEST_F(ReadTest, AShorterDeadlineOvertakesAnOldLongerOne) {
  Task<Got> first = read(stream, 100, loop.in(100s));
  first.start();
  peer.feed("x");
  ASSERT_TRUE(ends(first));
  Task<Got> second = read(stream, 100, loop.in(1s));
  second.start();
  loop.advance(1s);
  EXPECT_TRUE(second.done());
}

TEST_F(ReadTest, AfterABlockedReadTheKernelIsNotAskedUntilAnEdge) {
  peer.feed("x");
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), "x");
  Task<Got> second = read(stream, 100, loop.in(1s));
  second.start();
  const size_t asked = stream.reads();
  second.reset();
  for (int i = 0; i < 3; ++i) {
    Task<Got> again = read(stream, 100, loop.in(1s));
    again.start();
    EXPECT_FALSE(ends(again));
  }
  EXPECT_EQ(stream.reads(), asked);
}

TEST_F(ReadTest, AShortReadBeforeAWriteIsNotFollowedByAnotherTry) {
  // A kept-alive connection in steady state: one read and one write an exchange.
  for (int exchange = 0; exchange < 3; ++exchange) {
    Task<Got> task = read(stream, 100, loop.in(1s));
    task.start();
    EXPECT_FALSE(ends(task));
    const size_t asked = stream.reads();
    peer.feed("request");
    ASSERT_TRUE(ends(task));
    EXPECT_EQ(task.result(), "request");
    EXPECT_TRUE(now(write(stream, "answer", "", loop.in(1s))).ok());
    Task<bool> next = wait_readable(stream, loop.in(1s));
    next.start();
    EXPECT_FALSE(ends(next));
    EXPECT_EQ(stream.reads(), asked + 1);
  }
}

TEST_F(ReadTest, AFullBufferMeansThatMoreMayBeThere) {
  peer.feed("abcdef");
  EXPECT_EQ(now(read(stream, 3, loop.in(1s))), "abc");
  EXPECT_FALSE(stream.quiet());
  EXPECT_EQ(now(read(stream, 3, loop.in(1s))), "def");
  Task<Got> third = read(stream, 3, loop.in(1s));
  third.start();
  EXPECT_FALSE(ends(third));
  EXPECT_TRUE(stream.quiet());
}

TEST_F(ReadTest, BytesThatTrickleComeOneAnEdge) {
  peer.faults().most_per_read = 1;
  peer.feed("abc");
  for (const char* each : {"a", "b", "c"}) {
    EXPECT_EQ(now(read(stream, 100, loop.in(1s))), each);
  }
}

TEST_F(ReadTest, FinStandsBehindTheBytes) {
  peer.feed("last words");
  peer.finish();
  EXPECT_EQ(now(read(stream, 4, loop.in(1s))), "last");
  EXPECT_TRUE(stream.peer_closed());
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), " words");
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(now(read(stream, 100, loop.in(1s))).io.status, Io::Status::closed);
  }
}

TEST_F(ReadTest, FinEndsAWaitingRead) {
  Task<Got> task = read(stream, 100, loop.in(1s));
  task.start();
  peer.finish();
  ASSERT_TRUE(ends(task));
  EXPECT_EQ(task.result().io.status, Io::Status::closed);
}

TEST_F(ReadTest, ResetEndsAWaitingRead) {
  Task<Got> task = read(stream, 100, loop.in(1s));
  task.start();
  peer.reset();
  ASSERT_TRUE(ends(task));
  const Got got = task.result();
  EXPECT_EQ(got.io.status, Io::Status::failed);
  EXPECT_EQ(got.io.error, ECONNRESET);
}

TEST_F(ReadTest, AResetBehindAShortReadInTheSameEdgeIsFound) {
  Task<Got> task = read(stream, 100, loop.in(1s));
  task.start();
  peer.feed("half an ans");
  peer.reset();
  ASSERT_TRUE(ends(task));
  EXPECT_EQ(task.result(), "half an ans");
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))).io.error, ECONNRESET);
}

TEST_F(ReadTest, AResetBehindAShortReadEndsAWaitForBytes) {
  peer.feed("half an ans");
  peer.reset();
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), "half an ans");
  EXPECT_TRUE(now(wait_readable(stream, loop.in(1s))));
}

TEST_F(ReadTest, CancelledWhileWaitingLosesNothing) {
  {
    Task<Got> task = read(stream, 100, loop.in(1s));
    task.start();
  }
  peer.feed("kept");
  loop.run_until_idle();
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), "kept");
}

TEST_F(ReadTest, CancelledOnesDeadlineDoesNotFire) {
  {
    Task<Got> task = read(stream, 100, loop.in(1s));
    task.start();
  }
  loop.advance(2s);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST_F(ReadTest, DestroyingTheStreamTakesItsTimerAlong) {
  Task<Got> task = read(stream, 100, loop.in(1s));
  task.start();
  task.reset();
  made.stream.reset();
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

using ReadNowTest = StreamTest;

TEST_F(ReadNowTest, NeverWaits) {
  std::array<char, 10> buffer;
  EXPECT_EQ(stream.read_now(buffer).status, Io::Status::blocked);
  peer.feed("x");
  EXPECT_EQ(stream.read_now(buffer).bytes, 1U);
}

using ReadableTest = StreamTest;

TEST_F(ReadableTest, WaitsWithoutReading) {
  Task<bool> task = wait_readable(stream, loop.in(1s));
  task.start();
  EXPECT_FALSE(ends(task));
  peer.feed("x");
  ASSERT_TRUE(ends(task));
  EXPECT_TRUE(task.result());
  EXPECT_EQ(stream.reads(), 0U);
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), "x");
}

TEST_F(ReadableTest, HasADeadlineWithTwoSides) {
  Task<bool> task = wait_readable(stream, loop.in(1s));
  task.start();
  loop.advance(1s - 1ns);
  EXPECT_FALSE(task.done());
  loop.advance(1ns);
  ASSERT_TRUE(task.done());
  EXPECT_FALSE(task.result());
}

TEST_F(ReadableTest, FinAndResetAreReadable) {
  peer.finish();
  EXPECT_TRUE(now(wait_readable(stream, loop.in(1s))));
  ScriptedConnection other = test::make_scripted_connection();
  Task<bool> task = wait_readable(*other.stream, loop.in(1s));
  task.start();
  other.peer.reset();
  ASSERT_TRUE(ends(task));
  EXPECT_TRUE(task.result());
}

TEST_F(ReadableTest, CancelledWhileWaitingIsForgotten) {
  {
    Task<bool> task = wait_readable(stream, loop.in(1s));
    task.start();
  }
  peer.feed("x");
  loop.advance(2s);
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), "x");
}

using UntilClosedTest = StreamTest;

TEST_F(UntilClosedTest, FinEndsItWhileBytesAreUnread) {
  Task<bool> task = wait_closed(stream);
  task.start();
  peer.feed("a pipelined request");
  EXPECT_FALSE(ends(task));
  peer.finish();
  EXPECT_TRUE(ends(task));
  EXPECT_EQ(stream.reads(), 0U);
}

TEST_F(UntilClosedTest, ResetEndsIt) {
  Task<bool> task = wait_closed(stream);
  task.start();
  EXPECT_FALSE(ends(task));
  peer.reset();
  EXPECT_TRUE(ends(task));
  EXPECT_TRUE(stream.peer_closed());
}

TEST_F(UntilClosedTest, DoesNotWaitForWhatHasHappened) {
  peer.finish();
  loop.run_until_idle();
  EXPECT_TRUE(now(wait_closed(stream)));
}

TEST_F(UntilClosedTest, CancelledIsForgotten) {
  {
    Task<bool> task = wait_closed(stream);
    task.start();
  }
  peer.reset();
  loop.run_until_idle();
  EXPECT_TRUE(loop.scheduler().ready().empty());
}

}  // namespace
}  // namespace egret::net
