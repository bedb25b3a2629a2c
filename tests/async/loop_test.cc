#include "proxy/async/loop.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "proxy/async/task_set.h"
#include "proxy/async/wait.h"

namespace egret::async {
namespace {

using namespace std::chrono_literals;

struct SocketPair {
  SocketPair() {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) != 0) {
      throw std::runtime_error("no socketpair");
    }
  }
  ~SocketPair() {
    for (const int fd : fds) {
      if (fd >= 0) close(fd);
    }
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  void close_far() { close(std::exchange(fds[1], -1)); }
  std::array<int, 2> fds{-1, -1};
};

struct Edges final : FdHandler {
  void on_edges(FdHandler::Edges edges) override {
    seen.push_back(edges);
    all.readable |= edges.readable;
    all.writable |= edges.writable;
    all.peer_closed |= edges.peer_closed;
  }
  // What came since the last time.
  FdHandler::Edges take() { return std::exchange(all, {}); }
  std::vector<FdHandler::Edges> seen;
  FdHandler::Edges all;
};

struct LoopTest : testing::Test {
  SystemClock clock;
  Loop loop{clock};
  // A bound for every test here: what does not happen must not hang.
  TaskSet guard;
  void SetUp() override { guard.spawn(stop_at(loop, clock.now() + 20s)); }
  static Task<void> stop_at(Loop& loop, Deadline when) {
    co_await sleep_until(when);
    ADD_FAILURE() << "the loop was not stopped in time";
    loop.stop();
  }
};

TEST_F(LoopTest, TellsEachEdgeOnce) {
  SocketPair pair;
  Edges edges;
  const FdWatch watch = loop.watch(pair.fds[0], edges);
  loop.turn(true);
  EXPECT_TRUE(edges.take().writable);
  loop.turn(false);
  EXPECT_TRUE(edges.seen.size() == 1) << "edges, not levels";

  ASSERT_EQ(write(pair.fds[1], "x", 1), 1);
  loop.turn(true);
  EXPECT_TRUE(edges.take().readable);
  loop.turn(false);
  EXPECT_FALSE(edges.take().readable) << "unread bytes are no new edge";
  ASSERT_EQ(write(pair.fds[1], "y", 1), 1);
  loop.turn(true);
  EXPECT_TRUE(edges.take().readable) << "more bytes are";
}

TEST_F(LoopTest, TellsWhenThereIsRoomAgain) {
  SocketPair pair;
  Edges edges;
  const FdWatch watch = loop.watch(pair.fds[0], edges);
  loop.turn(true);
  const std::string block(65536, 'x');
  while (write(pair.fds[0], block.data(), block.size()) > 0) {
  }
  ASSERT_EQ(errno, EAGAIN);
  loop.turn(false);
  edges.take();
  std::string sink(1 << 20, '\0');
  while (read(pair.fds[1], sink.data(), sink.size()) > 0) {
  }
  loop.turn(true);
  EXPECT_TRUE(edges.take().writable);
}

TEST_F(LoopTest, TellsThatThePeerHasClosed) {
  SocketPair pair;
  Edges edges;
  const FdWatch watch = loop.watch(pair.fds[0], edges);
  loop.turn(true);
  edges.take();
  shutdown(pair.fds[1], SHUT_WR);
  loop.turn(true);
  EXPECT_TRUE(edges.take().peer_closed) << "half closed";
  pair.close_far();
  loop.turn(true);
  EXPECT_TRUE(edges.take().peer_closed) << "closed";
}

// Two connected TCP sockets over loopback: only TCP has a reset.
struct TcpPair {
  TcpPair() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, any, length) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, any, &length) != 0 || connect(near, any, length) != 0) {
      throw std::runtime_error("no loopback");
    }
    far = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
  }
  ~TcpPair() {
    close(near);
    if (far >= 0) close(far);
  }
  TcpPair(const TcpPair&) = delete;
  TcpPair& operator=(const TcpPair&) = delete;
  void reset_from_far() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(far, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(std::exchange(far, -1));
  }
  int near = -1;
  int far = -1;
};

TEST_F(LoopTest, TellsThatThePeerHasReset) {
  TcpPair pair;
  Edges edges;
  const FdWatch watch = loop.watch(pair.near, edges);
  loop.turn(true);
  edges.take();
  pair.reset_from_far();
  loop.turn(true);
  const FdHandler::Edges told = edges.take();
  EXPECT_TRUE(told.readable);
  EXPECT_TRUE(told.writable);
}

TEST_F(LoopTest, TellsNothingAfterTheWatchHasEnded) {
  SocketPair pair;
  Edges edges;
  {
    const FdWatch watch = loop.watch(pair.fds[0], edges);
    loop.turn(true);
    edges.take();
  }
  ASSERT_EQ(write(pair.fds[1], "x", 1), 1);
  loop.turn(false);
  EXPECT_FALSE(edges.take().readable);
}

TEST_F(LoopTest, LevelsAreToldAgainAndAgain) {
  SocketPair pair;
  Edges edges;
  const FdWatch watch = loop.watch_level(pair.fds[0], {.read = true}, edges);
  ASSERT_EQ(write(pair.fds[1], "x", 1), 1);
  for (int turn = 0; turn < 3; ++turn) {
    loop.turn(true);
    EXPECT_TRUE(edges.take().readable);
  }
  EXPECT_FALSE(edges.all.writable);
}

TEST_F(LoopTest, RefusesADescriptorThatIsNone) {
  Edges edges;
  const int closed = dup(0);
  close(closed);
  EXPECT_THROW(loop.watch(closed, edges), std::runtime_error);
}

Task<void> stop_after(Loop& loop, Duration wait, std::vector<Duration>& took) {
  const TimePoint start = Scheduler::current().now();
  const Deadline when = deadline_after(start, wait);
  co_await sleep_until(when);
  took.push_back(Scheduler::current().now() - start);
  loop.stop();
}

TEST_F(LoopTest, TimersFireNotBeforeTheirTime) {
  std::vector<Duration> took;
  TaskSet tasks;
  tasks.spawn(stop_after(loop, 20ms, took));
  loop.run();
  ASSERT_EQ(took.size(), 1U);
  EXPECT_GE(took[0], 20ms);
  EXPECT_LT(took[0], 10s);
}

TEST_F(LoopTest, AnEarlierTimerOvertakesALaterOne) {
  std::vector<Duration> took;
  TaskSet tasks;
  tasks.spawn(stop_after(loop, 10s, took));
  loop.turn(false);  // the kernel now waits for the later one
  tasks.spawn(stop_after(loop, 10ms, took));
  loop.run();
  ASSERT_EQ(took.size(), 1U);
  EXPECT_LT(took[0], 9s);
}

struct Noted : ReadyNode {
  explicit Noted(Loop& to_stop) : ReadyNode(&Noted::run), loop(to_stop) {}
  static void run(ReadyNode& node) {
    auto& self = static_cast<Noted&>(node);
    self.ran = true;
    self.loop.stop();
  }
  Loop& loop;
  bool ran = false;
};

TEST_F(LoopTest, DoesNotWaitWhenSomethingIsReadyAlready) {
  Noted node(loop);
  loop.scheduler().ready().post(node);
  const TimePoint start = clock.now();
  loop.run();
  EXPECT_TRUE(node.ran);
  EXPECT_LT(clock.now() - start, 10s);
}

TEST_F(LoopTest, MoreThanATurnsWorkDoesNotStarveTheDescriptors) {
  struct Again : ReadyNode {
    explicit Again(Scheduler& on) : ReadyNode(&Again::run), scheduler(on) {}
    static void run(ReadyNode& node) {
      auto& self = static_cast<Again&>(node);
      self.scheduler.ready().post(self);
    }
    Scheduler& scheduler;
  };
  SocketPair pair;
  Edges edges;
  const FdWatch watch = loop.watch(pair.fds[0], edges);
  Again again(loop.scheduler());
  loop.scheduler().ready().post(again);
  ASSERT_EQ(write(pair.fds[1], "x", 1), 1);
  loop.turn(false);
  EXPECT_TRUE(edges.take().readable);
}

TEST_F(LoopTest, OtherThreadsPostInOrderAndStop) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 500;
  std::array<std::vector<int>, kThreads> seen;  // touched on the loop's thread only
  std::atomic<int> left = kThreads;
  std::vector<std::thread> threads;
  for (int who = 0; who < kThreads; ++who) {
    threads.emplace_back([this, who, &seen, &left] {
      for (int i = 0; i < kPosts; ++i) {
        loop.post_from_anywhere([who, i, &seen] { seen[static_cast<size_t>(who)].push_back(i); });
      }
      if (--left == 0) loop.stop();
    });
  }
  loop.run();
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int>& numbers : seen) {
    ASSERT_EQ(numbers.size(), static_cast<size_t>(kPosts));
    for (int i = 0; i < kPosts; ++i) EXPECT_EQ(numbers[static_cast<size_t>(i)], i);
  }
}

TEST_F(LoopTest, AStopBeforeTheRunIsNotLost) {
  loop.stop();
  loop.run();
  SUCCEED();
}

TEST_F(LoopTest, MayRunAgainAfterAStop) {
  bool ran = false;
  loop.stop();
  loop.run();
  loop.post_from_anywhere([&] {
    ran = true;
    loop.stop();
  });
  loop.run();
  EXPECT_TRUE(ran);
}

TEST_F(LoopTest, WorkPostedByPostedWorkRuns) {
  int ran = 0;
  loop.post_from_anywhere([&] {
    ++ran;
    loop.post_from_anywhere([&] {
      ++ran;
      loop.stop();
    });
  });
  loop.run();
  EXPECT_EQ(ran, 2);
}

// A thread has one loop; two threads have two that know nothing of each other.
TEST(Loops, EachThreadRunsItsOwn) {
  std::array<std::vector<Duration>, 2> took;
  std::vector<std::thread> threads;
  for (std::vector<Duration>& mine : took) {
    threads.emplace_back([&mine] {
      const SystemClock clock;
      Loop loop(clock);
      TaskSet tasks;
      tasks.spawn(stop_after(loop, 5ms, mine));
      loop.run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<Duration>& mine : took) EXPECT_EQ(mine.size(), 1U);
}

}  // namespace
}  // namespace egret::async
