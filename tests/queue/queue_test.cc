#include "proxy/queue/queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <latch>
#include <set>
#include <thread>

#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

// What a fake store was made to do and has done; outlives it.
struct Fake {
  std::set<std::string> broken;  // ids at which the storage fails
  std::set<std::string> full;    // ids that are one too many
  std::set<std::string> known;   // ids whose key is there
  std::set<std::string> differ;  // and stands for something else
  int begins_fail = 0;           // how many of the next
  int commits_fail = 0;
  bool more_to_sweep = false;
  Duration beat = Duration::max();
  std::optional<WallTime> due;

  Ids kept;
  Ids log;  // begin, an id, sweep, commit, rollback, tick
  std::function<void()> changed;
  bool gone = false;
};

Unexpected broken() { return Unexpected(Reason::queue_unavailable, "The disk is gone."); }

class FakeStore final : public Store {
 public:
  explicit FakeStore(Fake& fake) : fake_(fake) {}
  ~FakeStore() override { fake_.gone = true; }

  Result<> begin() override { return step("begin", fake_.begins_fail); }
  Result<> commit() override {
    const Result<> done = step("commit", fake_.commits_fail);
    if (done) fake_.kept.insert(fake_.kept.end(), pending_.begin(), pending_.end());
    if (done) pending_.clear();
    return done;
  }
  void rollback() override {
    fake_.log.emplace_back("rollback");
    pending_.clear();
  }
  Result<Accepted> accept(const NewDelivery& made, const Bounds& /*bounds*/) override {
    fake_.log.push_back(made.id);
    if (fake_.broken.contains(made.id)) return broken();
    if (fake_.full.contains(made.id)) return Unexpected(Reason::queue_full);
    if (fake_.known.contains(made.id)) {
      return Accepted{.id = "first", .known = true, .differs = fake_.differ.contains(made.id)};
    }
    pending_.push_back(made.id);
    return Accepted{.id = made.id};
  }
  Result<std::optional<Accepted>> known(const NewDelivery& /*made*/) override {
    return std::optional<Accepted>();
  }
  void listen(std::function<void()> changed) override { fake_.changed = std::move(changed); }
  [[nodiscard]] Duration beat() const override { return fake_.beat; }
  Result<> tick(WallTime /*now*/) override {
    fake_.log.emplace_back("tick");
    return {};
  }
  [[nodiscard]] uint32_t owners() const override { return 3; }
  Result<std::vector<Claimed>> claim(const Wanted& /*wanted*/, WallTime /*now*/) override {
    fake_.log.emplace_back("claim");
    return std::vector<Claimed>();
  }
  Result<std::optional<WallTime>> next_due() override { return fake_.due; }
  Result<> settle(const Settled& /*settled*/, WallTime /*now*/) override {
    fake_.log.emplace_back("settle");
    return {};
  }
  Result<Page> list(const Filter& /*filter*/) override { return Page(); }
  Result<std::optional<Shown>> show(const std::string& /*id*/) override {
    return std::optional<Shown>();
  }
  Result<std::optional<Content>> content(const std::string& /*id*/) override {
    return std::optional<Content>();
  }
  Result<std::optional<State>> replay(const std::string& /*id*/, WallTime /*now*/) override {
    return std::optional<State>();
  }
  Result<std::optional<State>> cancel(const std::string& /*id*/, WallTime /*now*/) override {
    return std::optional<State>();
  }
  Result<std::vector<Endpoint>> endpoints() override { return std::vector<Endpoint>(); }
  Result<bool> disable(const std::string&, const std::string&, WallTime) override { return false; }
  Result<bool> enable(const std::string&, WallTime) override { return false; }
  Result<std::optional<std::string>> recall(const std::string&, WallTime) override {
    return std::optional<std::string>();
  }
  Result<> remember(const std::string&, const std::string&, WallTime) override { return {}; }
  Result<Stats> stats() override {
    Stats stats;
    stats.queued = fake_.kept.size();
    return stats;
  }
  Result<bool> sweep(const Bounds& /*bounds*/, WallTime /*now*/) override {
    fake_.log.emplace_back("sweep");
    return fake_.more_to_sweep;
  }

 private:
  Result<> step(const char* what, int& failures) {
    fake_.log.emplace_back(what);
    if (failures == 0) return {};
    --failures;
    return broken();
  }
  Fake& fake_;
  Ids pending_;
};

class QueueTest : public testing::Test {
 protected:
  QueueTest() {
    queue_.turn();  // the first sweep
    fake_.log.clear();
  }
  // What is told of it comes to told_: the id, and why not.
  void submit(const std::string& id) {
    queue_.submit(
        [this, id](Store& store) -> Result<> {
          const Result<Accepted> accepted = queue_.accept(store, new_delivery(id, clock_.wall()));
          if (!accepted) return Unexpected(accepted.error());
          return {};
        },
        [this, id](const Result<>& kept) {
          told_.push_back(id + (kept ? "" : ": " + std::string(name(kept.error().reason))));
        });
  }
  [[nodiscard]] uint64_t commits() const { return queue_.counts().commits - 1; }

  Fake fake_;
  test::ManualClock clock_;
  Queue queue_{std::make_unique<FakeStore>(fake_), {}, clock_};
  Ids told_;
};

TEST_F(QueueTest, MakesOneCommitOfWhatHasComeTogether) {
  for (const char* id : {"a", "b", "c"}) submit(id);
  EXPECT_TRUE(told_.empty());
  EXPECT_TRUE(queue_.turn());
  EXPECT_EQ(fake_.log, (Ids{"begin", "a", "b", "c", "commit"}));
  EXPECT_EQ(told_, (Ids{"a", "b", "c"}));
  EXPECT_EQ(commits(), 1U);
  EXPECT_EQ(queue_.counts().accepted, 3U);
  EXPECT_EQ(queue_.stats().queued, 3U);
  EXPECT_FALSE(queue_.turn());
}

TEST_F(QueueTest, TakesBothOfAPairInOneTransaction) {
  submit("before");
  queue_.submit(
      [](Store& store) { return store.settle({}, WallTime()); },
      [this](const Result<>& done) { told_.emplace_back(done ? "settled" : "not settled"); },
      [](Store& store) -> Result<> {
        EXPECT_TRUE(store.claim({.most = 1, .most_bytes = 1}, WallTime()));
        return {};
      },
      [this](const Result<>&) { told_.emplace_back("claimed"); });
  submit("behind");
  EXPECT_TRUE(queue_.turn());
  EXPECT_EQ(fake_.log, (Ids{"begin", "before", "settle", "behind", "claim", "commit"}));
  EXPECT_EQ(told_, (Ids{"before", "settled", "claimed", "behind"}));
}

TEST_F(QueueTest, AcceptsWhatHasComeTogetherFirstAndClaimsLast) {
  const auto accept = [&](const std::string& id) {
    auto made = std::make_shared<Queue::Acceptance>();
    made->delivery = new_delivery(id, clock_.wall());
    queue_.submit(made, [this, id, made](const Result<>&) {
      const Result<Accepted>& accepted = made->accepted;
      told_.push_back(id + (accepted ? ": " + accepted->id
                                     : ": " + std::string(name(accepted.error().reason))));
    });
  };
  fake_.full = {"full"};
  queue_.submit(
      [](Store& store) -> Result<> {
        EXPECT_TRUE(store.claim({.most = 1, .most_bytes = 1}, WallTime()));
        return {};
      },
      [this](const Result<>&) { told_.emplace_back("claimed"); }, Queue::Turn::last);
  submit("work");
  for (const char* id : {"a", "full", "b"}) accept(id);
  EXPECT_TRUE(queue_.turn());
  EXPECT_EQ(fake_.log, (Ids{"begin", "a", "full", "b", "work", "claim", "commit"}));
  EXPECT_EQ(told_, (Ids{"claimed", "work", "a: a", "full: queue_full", "b: b"}));
  EXPECT_EQ(queue_.counts().accepted, 3U);

  // The storage fails at one: each is done alone.
  told_.clear();
  fake_.broken = {"d"};
  for (const char* id : {"c", "d", "e"}) accept(id);
  queue_.turn();
  EXPECT_EQ(told_, (Ids{"c: c", "d: queue_unavailable", "e: e"}));
  EXPECT_EQ(queue_.counts().accepted, 5U);
}

TEST_F(QueueTest, CountsARepetitionApartAndAnotherUnderItsKeyNotAtAll) {
  fake_.known = {"again", "another"};
  fake_.differ = {"another"};
  for (const char* id : {"first", "again", "another"}) submit(id);
  auto together = std::make_shared<Queue::Acceptance>();
  together->delivery = new_delivery("another", clock_.wall());
  queue_.submit(together, [](const Result<>&) {});
  queue_.turn();
  EXPECT_TRUE(together->accepted->differs);
  EXPECT_EQ(queue_.counts().accepted, 1U);
  EXPECT_EQ(queue_.counts().known, 1U);
}

TEST_F(QueueTest, TicksAsOftenAsTheStoreBeats) {
  Fake fake;
  fake.beat = 2s;
  Queue queue(std::make_unique<FakeStore>(fake), {}, clock_);
  queue.turn();
  fake.log.clear();
  queue.turn();
  EXPECT_EQ(fake.log, Ids{});
  clock_.advance(2s);
  queue.turn();
  EXPECT_EQ(fake.log, Ids{"tick"});
  EXPECT_EQ(queue.owners(), 3U);
}

TEST_F(QueueTest, TakesABoundedNumberIntoOneCommit) {
  for (size_t i = 0; i <= Queue::kMostInOneCommit; ++i) submit(std::to_string(i));
  EXPECT_TRUE(queue_.turn());
  EXPECT_EQ(told_.size(), Queue::kMostInOneCommit);
  EXPECT_TRUE(queue_.turn());
  EXPECT_EQ(told_.size(), Queue::kMostInOneCommit + 1);
  EXPECT_EQ(commits(), 2U);
}

TEST_F(QueueTest, OneThatIsTooManyHurtsNoOther) {
  fake_.full = {"b"};
  for (const char* id : {"a", "b", "c"}) submit(id);
  queue_.turn();
  EXPECT_EQ(told_, (Ids{"a", "b: queue_full", "c"}));
  EXPECT_EQ(fake_.kept, (Ids{"a", "c"}));
  EXPECT_EQ(commits(), 1U);
  EXPECT_EQ(queue_.counts().accepted, 2U);
  EXPECT_EQ(queue_.counts().failures, 0U);
}

TEST_F(QueueTest, OnlyTheOneAtWhichTheStoreFailsHearsOfIt) {
  fake_.broken = {"b"};
  fake_.full = {"c"};
  for (const char* id : {"a", "b", "c", "d"}) submit(id);
  queue_.turn();
  EXPECT_EQ(told_, (Ids{"a", "b: queue_unavailable", "c: queue_full", "d"}));
  EXPECT_EQ(fake_.kept, (Ids{"a", "d"}));
  EXPECT_EQ(fake_.log, (Ids{"begin", "a", "b", "rollback",  //
                            "begin", "a", "commit",         //
                            "begin", "b", "rollback",       //
                            "begin", "c", "commit", "begin", "d", "commit"}));
  EXPECT_EQ(queue_.counts().accepted, 2U);
  EXPECT_EQ(queue_.counts().failures, 2U);
}

TEST_F(QueueTest, TellsNobodyThatItIsKeptWhenTheCommitFails) {
  fake_.commits_fail = 3;
  submit("a");
  submit("b");
  queue_.turn();
  EXPECT_EQ(told_, (Ids{"a: queue_unavailable", "b: queue_unavailable"}));
  EXPECT_TRUE(fake_.kept.empty());
  EXPECT_EQ(queue_.counts().accepted, 0U);
  submit("c");
  queue_.turn();
  EXPECT_EQ(told_.back(), "c");
  EXPECT_EQ(fake_.kept, Ids{"c"});
}

TEST_F(QueueTest, DoesEachAloneAfterACommitThatFailed) {
  fake_.commits_fail = 2;  // of both, and of a
  submit("a");
  submit("b");
  queue_.turn();
  EXPECT_EQ(told_, (Ids{"a: queue_unavailable", "b"}));
  EXPECT_EQ(fake_.kept, Ids{"b"});
  EXPECT_EQ(queue_.counts().accepted, 1U);
}

TEST_F(QueueTest, TellsNobodyThatItIsKeptWhenNothingCanBegin) {
  fake_.begins_fail = 3;
  submit("a");
  submit("b");
  queue_.turn();
  EXPECT_EQ(told_, (Ids{"a: queue_unavailable", "b: queue_unavailable"}));
  EXPECT_TRUE(fake_.kept.empty());
}

TEST_F(QueueTest, TellsWhenTheNextIsDue) {
  std::vector<std::optional<WallTime>> told;
  const uint64_t number = queue_.add_waker([&](auto due) { told.push_back(due); });
  EXPECT_EQ(told.size(), 1U);
  EXPECT_EQ(told.back(), std::nullopt);

  fake_.due = clock_.wall() + 5s;
  submit("a");
  queue_.turn();
  submit("b");
  queue_.turn();  // it is as it was, and not due: nobody is told again
  EXPECT_EQ(told.size(), 2U);
  EXPECT_EQ(told.back(), fake_.due);

  clock_.advance(5s);
  for (const size_t times : {3U, 4U}) {
    submit("c");
    queue_.turn();  // due: who was told may have had no room
    EXPECT_EQ(told.size(), times);
  }
  fake_.due.reset();
  submit("d");
  queue_.turn();
  EXPECT_EQ(told.size(), 5U);
  EXPECT_EQ(told.back(), std::nullopt);

  queue_.remove_waker(number);
  fake_.due = clock_.wall();
  submit("e");
  queue_.turn();
  EXPECT_EQ(told.size(), 5U);
}

TEST_F(QueueTest, SweepsOnceAMinute) {
  EXPECT_FALSE(queue_.turn());
  clock_.advance(1min - 1ns);
  EXPECT_FALSE(queue_.turn());
  EXPECT_TRUE(fake_.log.empty());
  clock_.advance(1ns);
  EXPECT_FALSE(queue_.turn());
  EXPECT_EQ(fake_.log, (Ids{"begin", "sweep", "commit"}));
  EXPECT_FALSE(queue_.turn());
  EXPECT_EQ(fake_.log.size(), 3U);
}

TEST_F(QueueTest, SweepsOnWhileThereIsMoreWithWorkInBetween) {
  fake_.more_to_sweep = true;
  clock_.advance(1min);
  EXPECT_TRUE(queue_.turn());
  submit("a");
  EXPECT_TRUE(queue_.turn());
  EXPECT_EQ(told_, Ids{"a"});
  fake_.more_to_sweep = false;
  EXPECT_FALSE(queue_.turn());
  EXPECT_EQ(std::ranges::count(fake_.log, "sweep"), 2);
}

// Else a disk that stays full would be asked without end.
TEST_F(QueueTest, ASweepThatCouldNotBeKeptWaitsForTheNextMinute) {
  fake_.more_to_sweep = true;
  fake_.commits_fail = 2;
  clock_.advance(1min);
  EXPECT_FALSE(queue_.turn());
  EXPECT_EQ(std::ranges::count(fake_.log, "sweep"), 2);
  clock_.advance(1min);
  EXPECT_TRUE(queue_.turn());
}

TEST(QueueThread, LooksAgainWhenAnotherMayHaveMadeSomethingDue) {
  Fake fake;
  const test::ManualClock clock;
  Queue queue(std::make_unique<FakeStore>(fake), {}, clock);
  std::promise<void> due;
  queue.add_waker([&, told = false](std::optional<WallTime> when) mutable {
    if (when && !std::exchange(told, true)) due.set_value();
  });
  fake.due = clock.wall() + 1h;  // before its thread is there
  queue.start();
  fake.changed();
  due.get_future().wait();
}

TEST(QueueThread, EndsThoughThereIsMoreToSweep) {
  Fake fake;
  fake.more_to_sweep = true;
  const test::ManualClock clock;
  std::promise<void> done;
  {
    Queue queue(std::make_unique<FakeStore>(fake), {}, clock);
    queue.start();
    queue.submit([](Store&) -> Result<> { return {}; }, [&](const Result<>&) { done.set_value(); });
    done.get_future().wait();
  }
  EXPECT_TRUE(fake.gone);
}

TEST(QueueThread, DoesWhatManyThreadsSubmitAndAllOfItBeforeItEnds) {
  constexpr int kThreads = 4;
  constexpr int kEach = 50;
  Fake fake;
  const test::ManualClock clock;
  std::atomic<int> kept = 0;
  {
    Queue queue(std::make_unique<FakeStore>(fake), {}, clock);
    queue.start();
    std::latch together(kThreads);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        together.arrive_and_wait();
        for (int i = 0; i < kEach; ++i) {
          const std::string id = std::to_string(thread) + "." + std::to_string(i);
          queue.submit(
              [&queue, id](Store& store) -> Result<> {
                if (!queue.accept(store, new_delivery(id, {}))) return broken();
                return {};
              },
              [&](const Result<>& done) { kept += done ? 1 : 0; });
        }
      });
    }
    for (std::thread& each : threads) each.join();
  }
  EXPECT_EQ(kept, kThreads * kEach);
  EXPECT_EQ(fake.kept.size(), size_t{kThreads} * kEach);
  EXPECT_TRUE(fake.gone);
  // Each thread's are in its order.
  for (int thread = 0; thread < kThreads; ++thread) {
    const std::string prefix = std::to_string(thread) + ".";
    int next = 0;
    for (const std::string& id : fake.kept) {
      if (!id.starts_with(prefix)) continue;
      EXPECT_EQ(id, prefix + std::to_string(next++));
    }
  }
}

}  // namespace
}  // namespace egret::queue
