#include "tests/support/cancellation.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proxy/async/race.h"
#include "proxy/async/task_set.h"
#include "proxy/async/wait.h"
#include "tests/support/memory_stream.h"

namespace egret::async {
namespace {

using namespace std::chrono_literals;
using net::Io;
using net::Stream;
using test::Counted;
using test::ManualLoop;
using test::MemoryStream;

Task<std::string> read_line(Stream& stream, Deadline deadline) {
  const Counted alive;
  std::string line;
  std::array<char, 4> bytes;
  const std::span<char> buffer(bytes);
  while (!line.ends_with('\n')) {
    const Io io = co_await stream.read_some(buffer, deadline);
    if (!io.ok()) break;
    line.append(bytes.data(), io.bytes);
  }
  co_return line;
}

Task<bool> write_text(Stream& stream, std::string text, Deadline deadline) {
  const Counted alive;
  iovec piece{text.data(), text.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Io io = co_await stream.write_all(pieces, deadline);
  co_return io.ok();
}

Task<std::string> slow_answer(std::string text, Deadline when) {
  const Counted alive;
  co_await sleep_until(when);
  co_return text;
}

Task<void> set_at(Event& event, Deadline when) {
  const Counted alive;
  co_await sleep_until(when);
  event.set();
}

// What an exchange is made of: reading, a race with a deadline, a race of two, background work that
// sets an event, writing against back-pressure.
Task<void> answer_one(std::unique_ptr<Stream> stream, Event& helped, TaskSet& background,
                      std::string& outcome) {
  const Counted alive;
  const TimePoint start = Scheduler::current().now();
  const Deadline soon = start + 1s;
  const Deadline later = start + 5s;
  Task<std::string> reading = read_line(*stream, later);
  std::optional<std::string> line = co_await race(std::move(reading), later);
  if (!line) co_return;

  background.spawn(set_at(helped, soon));
  const bool came = co_await helped.wait(later);
  if (!came) co_return;

  Task<std::string> first = slow_answer("fast " + *line, later);
  Task<std::string> second = slow_answer("slow " + *line, kNever);
  const Raced<std::string, std::string> raced = co_await race(std::move(first), std::move(second));
  outcome = raced.first.value_or("none");
  const bool written = co_await write_text(*stream, outcome, kNever);
  if (!written) outcome = "not written";
}

class AnswerWorld final : public test::World {
 public:
  AnswerWorld() : connection_(test::make_scripted_connection(3)) {}
  Task<void> root() override {
    return answer_one(std::move(connection_.stream), helped_, background_, outcome);
  }
  bool act() override {
    if (fed_ < kQuestion.size()) {
      connection_.peer.feed(kQuestion.substr(fed_, 2));
      fed_ += 2;
      return true;
    }
    const std::string bytes = connection_.peer.take_received();
    answer += bytes;
    return !bytes.empty();
  }
  void check_after() override {
    EXPECT_EQ(MemoryStream::alive(), 0);
    EXPECT_LE(Counted::alive(), static_cast<int>(background_.size()));
    EXPECT_TRUE(connection_.peer.hung_up());
  }
  std::string outcome;
  std::string answer;

 private:
  static constexpr std::string_view kQuestion = "question\n";
  test::ScriptedConnection connection_;
  Event helped_;
  TaskSet background_;
  size_t fed_ = 0;
};

TEST(CancelAtEveryTurn, APipelineOfEverythingLeavesNothing) {
  const size_t nodes =
      test::cancel_at_every_turn([](ManualLoop&) { return std::make_unique<AnswerWorld>(); });
  EXPECT_GT(nodes, 10U);
}

TEST(CancelAtEveryTurn, ThePipelineDoesItsWorkWhenItIsLeftAlone) {
  ManualLoop loop;
  AnswerWorld world;
  Task<void> root = world.root();
  ASSERT_TRUE(test::run_to_end(loop, world, root, SIZE_MAX));
  EXPECT_EQ(world.outcome, "fast question\n");
  world.act();
  EXPECT_EQ(world.answer, "fast question\n");
}

// Two coroutines on two streams, each the other's back-pressure.
Task<void> pump(Stream& from, Stream& to) {
  const Counted alive;
  std::array<char, 5> bytes;
  const std::span<char> buffer(bytes);
  while (true) {
    const Io got = co_await from.read_some(buffer, kNever);
    if (!got.ok()) break;
    iovec piece{bytes.data(), got.bytes};
    const std::span<iovec> pieces(&piece, 1);
    const Io put = co_await to.write_all(pieces, kNever);
    if (!put.ok()) break;
  }
  to.shutdown_write();
}

Task<void> source(Stream& to) {
  std::string text(100, 'x');
  const bool written = co_await write_text(to, text, kNever);
  if (written) to.shutdown_write();
}

Task<int> sink(Stream& from) {
  std::array<char, 3> bytes;
  const std::span<char> buffer(bytes);
  int total = 0;
  while (true) {
    const Io got = co_await from.read_some(buffer, kNever);
    if (!got.ok()) break;
    total += static_cast<int>(got.bytes);
  }
  co_return total;
}

Task<void> relay(int& total) {
  auto in = test::make_pipe_pair(7);
  auto out = test::make_pipe_pair(4);
  TaskSet helpers;
  helpers.spawn(source(*in.first));
  helpers.spawn(pump(*in.second, *out.first));
  total = co_await sink(*out.second);
}

class RelayWorld final : public test::World {
 public:
  Task<void> root() override { return relay(total); }
  void check_after() override {
    EXPECT_EQ(MemoryStream::alive(), 0);
    EXPECT_EQ(Counted::alive(), 0);
  }
  int total = 0;
};

TEST(CancelAtEveryTurn, ARelayUnderBackPressureLeavesNothing) {
  const size_t nodes =
      test::cancel_at_every_turn([](ManualLoop&) { return std::make_unique<RelayWorld>(); });
  EXPECT_GT(nodes, 50U);
}

TEST(CancelAtEveryTurn, TheRelayCarriesEverythingWhenItIsLeftAlone) {
  ManualLoop loop;
  RelayWorld world;
  Task<void> root = world.root();
  ASSERT_TRUE(test::run_to_end(loop, world, root, SIZE_MAX));
  EXPECT_EQ(world.total, 100);
}

}  // namespace
}  // namespace egret::async
