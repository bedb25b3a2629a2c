#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <vector>

#include "tests/net/stream_fixture.h"

namespace egret::net {
namespace {

using namespace std::chrono_literals;

using WriteTest = StreamTest;

TEST_F(WriteTest, WritesAllPieces) {
  const Io io = now(write(stream, "head", "body", loop.in(1s)));
  EXPECT_TRUE(io.ok());
  EXPECT_EQ(io.bytes, 8U);
  EXPECT_EQ(peer.take_received(), "headbody");
  EXPECT_EQ(stream.writes(), 1U);
}

TEST_F(WriteTest, NothingToWriteIsDone) {
  EXPECT_TRUE(now(write(stream, "", "", loop.in(1s))).ok());
  EXPECT_EQ(peer.received(), "");
}

TEST_F(WriteTest, GoesOnAfterPartialWritesAtEveryBoundary) {
  for (size_t most = 1; most <= 9; ++most) {
    stream.faults().most_per_write = most;
    EXPECT_EQ(now(write(stream, "head", "body", loop.in(1s))).bytes, 8U);
    EXPECT_EQ(peer.take_received(), "headbody") << most << " bytes at a time";
  }
}

TEST_F(WriteTest, WaitsForRoomAndGoesOnFromThere) {
  peer.set_capacity(3);
  Task<Io> task = write(stream, "abcd", "efgh", loop.in(1s));
  task.start();
  std::string received;
  for (const char* each : {"abc", "def"}) {
    EXPECT_FALSE(ends(task));
    EXPECT_EQ(peer.take_received(), each);
  }
  ASSERT_TRUE(ends(task));
  EXPECT_EQ(task.result().bytes, 8U);
  EXPECT_EQ(peer.take_received(), "gh");
}

TEST_F(WriteTest, HasADeadlineWithTwoSides) {
  peer.set_capacity(3);
  Task<Io> task = write(stream, "abcd", "", loop.in(1s));
  task.start();
  loop.advance(1s - 1ns);
  EXPECT_FALSE(task.done());
  loop.advance(1ns);
  ASSERT_TRUE(task.done());
  const Io io = task.result();
  EXPECT_EQ(io.status, Io::Status::timed_out);
  EXPECT_EQ(io.bytes, 3U) << "what was written before";
}

TEST_F(WriteTest, RoomJustBeforeTheDeadlineIsInTime) {
  peer.set_capacity(3);
  Task<Io> task = write(stream, "abcd", "", loop.in(1s));
  task.start();
  loop.advance(1s - 1ns);
  peer.take_received();
  ASSERT_TRUE(ends(task));
  EXPECT_TRUE(task.result().ok());
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST_F(WriteTest, ResetEndsAWaitingWrite) {
  peer.set_capacity(3);
  Task<Io> task = write(stream, "abcd", "", loop.in(1s));
  task.start();
  peer.reset();
  ASSERT_TRUE(ends(task));
  const Io io = task.result();
  EXPECT_EQ(io.status, Io::Status::failed);
  EXPECT_EQ(io.error, ECONNRESET);
  EXPECT_EQ(io.bytes, 3U) << "what was written before";
}

TEST_F(WriteTest, APeerThatHasClosedResets) {
  peer.close();
  loop.run_until_idle();
  EXPECT_TRUE(now(write(stream, "into the void", "", loop.in(1s))).ok());
  loop.run_until_idle();
  EXPECT_EQ(now(write(stream, "more", "", loop.in(1s))).status, Io::Status::failed);
}

TEST_F(WriteTest, APeerThatResetsInTheMiddle) {
  stream.faults().most_per_write = 2;
  stream.faults().reset_after_write = 4;
  const Io io = now(write(stream, "abcdef", "", loop.in(1s)));
  EXPECT_EQ(io.status, Io::Status::failed);
  EXPECT_EQ(io.bytes, 4U);
}

TEST_F(WriteTest, CancelledWhileWaitingIsForgotten) {
  peer.set_capacity(3);
  {
    Task<Io> task = write(stream, "abcd", "", loop.in(1s));
    task.start();
  }
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
  EXPECT_EQ(peer.take_received(), "abc");
  loop.run_until_idle();
  EXPECT_EQ(peer.take_received(), "");
  EXPECT_TRUE(now(write(stream, "x", "", loop.in(1s))).ok());
}

TEST_F(WriteTest, AfterShutdownThePeerSeesTheEndAndReadingGoesOn) {
  now(write(stream, "request", "", loop.in(1s)));
  EXPECT_FALSE(peer.received_eof());
  stream.shutdown_write();
  EXPECT_TRUE(peer.received_eof());
  EXPECT_EQ(peer.take_received(), "request");
  EXPECT_FALSE(peer.hung_up());
  peer.feed("answer");
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), "answer");
}

TEST_F(StreamTest, AReaderAndAWriterWaitAtOnce) {
  peer.set_capacity(3);
  Task<Io> writing = write(stream, "abcd", "", loop.in(2s));
  Task<Got> reading = read(stream, 100, loop.in(1s));
  writing.start();
  reading.start();
  EXPECT_FALSE(ends(writing));
  EXPECT_FALSE(ends(reading));
  peer.take_received();
  EXPECT_TRUE(ends(writing));
  EXPECT_FALSE(reading.done());
  loop.advance(1s);
  EXPECT_TRUE(reading.done());
  EXPECT_EQ(reading.result().io.status, Io::Status::timed_out);
}

TEST_F(StreamTest, AResetEndsBothAtOnce) {
  peer.set_capacity(3);
  Task<Io> writing = write(stream, "abcd", "", loop.in(2s));
  Task<Got> reading = read(stream, 100, loop.in(1s));
  writing.start();
  reading.start();
  peer.reset();
  EXPECT_TRUE(ends(writing));
  EXPECT_TRUE(ends(reading));
}

TEST_F(StreamTest, DestroyingItClosesAsTheKernelDoes) {
  made.stream.reset();
  EXPECT_TRUE(peer.received_eof());
  EXPECT_TRUE(peer.hung_up());
  EXPECT_FALSE(peer.was_reset());

  ScriptedConnection aborted = test::make_scripted_connection();
  aborted.stream->abort_on_close();
  aborted.stream.reset();
  EXPECT_TRUE(aborted.peer.was_reset());

  ScriptedConnection unread = test::make_scripted_connection();
  unread.peer.feed("never read");
  unread.stream.reset();
  EXPECT_TRUE(unread.peer.was_reset());
}

TEST_F(StreamTest, LooksAliveUntilSomethingIsToBeRead) {
  EXPECT_TRUE(stream.looks_alive());
  peer.feed("x");
  EXPECT_FALSE(stream.looks_alive());
  EXPECT_EQ(now(read(stream, 100, loop.in(1s))), "x");
  EXPECT_TRUE(stream.looks_alive());
  peer.finish();
  EXPECT_FALSE(stream.looks_alive());
}

// Reads one byte at a time and notes whose turn it was.
Task<void> read_all(Stream& stream, std::vector<int>& turns, int who) {
  char byte = 0;
  const std::span<char> buffer(&byte, 1);
  while (true) {
    const Io io = co_await stream.read_some(buffer, kNever);
    if (!io.ok()) co_return;
    turns.push_back(who);
  }
}

TEST_F(StreamTest, AReaderThatNeverHasToWaitLetsOthersGoFirst) {
  ScriptedConnection other = test::make_scripted_connection();
  const std::string plenty(1000, 'x');
  peer.feed(plenty);
  other.peer.feed(plenty);
  peer.finish();
  other.peer.finish();
  loop.run_until_idle();
  std::vector<int> turns;
  Task<void> first = read_all(stream, turns, 1);
  Task<void> second = read_all(*other.stream, turns, 2);
  first.start();
  second.start();
  turns.clear();  // starting is the test's turn, not theirs
  loop.run_until_idle();
  ASSERT_TRUE(first.done());
  ASSERT_TRUE(second.done());
  ASSERT_GT(turns.size(), 1500U);
  turns.resize(1500);  // later, one of them is left alone
  size_t run = 0;
  size_t longest = 0;
  for (size_t i = 0; i < turns.size(); ++i) {
    run = i > 0 && turns[i] == turns[i - 1] ? run + 1 : 1;
    longest = std::max(longest, run);
  }
  EXPECT_LE(longest, 66U);
}

TEST_F(StreamTest, AWriterThatNeverHasToWaitLetsOthersGoFirst) {
  struct Write {
    static Task<int> often(Stream& to) {
      for (int i = 0; i < 1000; ++i) {
        char byte = 'x';
        iovec piece{&byte, 1};
        const std::span<iovec> pieces(&piece, 1);
        const Io io = co_await to.write_all(pieces, kNever);
        if (!io.ok()) co_return i;
      }
      co_return 1000;
    }
  };
  Task<int> task = Write::often(stream);
  task.start();
  EXPECT_FALSE(task.done());
  EXPECT_LT(peer.received().size(), 100U);
  ASSERT_TRUE(ends(task));
  EXPECT_EQ(task.result(), 1000);
}

}  // namespace
}  // namespace egret::net
