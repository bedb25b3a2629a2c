// Several Egrets on one database.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <set>
#include <thread>

#include "proxy/queue/queue.h"
#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

class PostgresFleet : public testing::Test {
 protected:
  // A lease of 500 ms: long enough for whoever beats, short enough to wait for.
  std::unique_ptr<Store> open(Duration lease = 500ms) {
    Result<std::unique_ptr<Store>> opened =
        open_postgres_store({.uri = server_.uri(schema_),
                             .lease = lease,
                             .beat = lease == 1h ? Duration(1h) : Duration(100ms),
                             .stats = Duration::zero()});
    if (!opened) throw std::runtime_error(opened.error().detail);
    return std::move(*opened);
  }
  [[nodiscard]] WallTime now() const { return clock_.wall(); }
  // A transaction that must go well, however often it is ended by others.
  template <typename Work>
  static void within(Store& store, Work work) {
    Result<> done;
    for (int i = 0; i < 20; ++i) {
      done = store.begin();
      if (done) done = work();
      if (done) done = store.commit();
      if (done) return;
      store.rollback();
    }
    ADD_FAILURE() << done.error().detail;
  }
  void keep(Store& store, const NewDelivery& made) const {
    within(store, [&]() -> Result<> {
      const Result<Accepted> accepted = store.accept(made, {});
      if (!accepted) return Unexpected(accepted.error());
      return {};
    });
  }
  void keep(Store& store, const std::string& id, const std::string& lane = "lane") const {
    keep(store, new_delivery(id, now(), lane));
  }
  std::vector<Claimed> claim(Store& store, size_t most = 64) const {
    std::vector<Claimed> all;
    within(store, [&]() -> Result<> {
      Result<std::vector<Claimed>> some =
          store.claim({.most = most, .most_bytes = UINT64_MAX}, now());
      if (!some) return Unexpected(some.error());
      all = std::move(*some);
      return {};
    });
    return all;
  }
  void settle(Store& store, const std::vector<Claimed>& all, State state = State::delivered) const {
    within(store, [&]() -> Result<> {
      for (const Claimed& each : all) {
        const Result<> done = store.settle({.number = each.number,
                                            .lane = each.lane,
                                            .fence = each.fence,
                                            .state = state,
                                            .due = now(),
                                            .attempt = Attempt{.began = now(), .status = 204},
                                            .well = state == State::delivered},
                                           now());
        if (!done) return done;
      }
      return {};
    });
  }
  void expect_sound_now() {
    for (const std::string& each :
         server_.rows(schema_, "SELECT lane FROM egret_lanes WHERE running < 0 OR kept < 0")) {
      ADD_FAILURE() << each;
    }
    expect_sound(server_, schema_);
  }

  PostgresServer& server_ = PostgresServer::shared();
  std::string schema_ = server_.new_schema();
  test::ManualClock clock_;
};

TEST_F(PostgresFleet, ThreeThatStartAtOnceOnAnEmptyDatabaseAllDo) {
  for (int round = 0; round < 5; ++round) {
    schema_ = server_.new_schema();
    std::atomic<int> opened = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        const std::unique_ptr<Store> store = open(1min);
        opened += store->begin() ? 1 : 0;
        store->rollback();
      });
    }
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(opened, 3);
    EXPECT_EQ(server_.rows(schema_, "SELECT version FROM egret_schema"), Rows{"1"});
  }
}

TEST_F(PostgresFleet, WhatOneHasBorrowedNoOtherGets) {
  const std::unique_ptr<Store> a = open(1min);
  const std::unique_ptr<Store> b = open(1min);
  keep(*a, "dlv_1");
  keep(*b, "dlv_2", "other");
  const std::vector<Claimed> claimed = claim(*a, 1);
  ASSERT_EQ(claimed.size(), 1U);
  EXPECT_EQ(claimed[0].id, "dlv_1");
  const std::vector<Claimed> rest = claim(*b);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].id, "dlv_2");
  EXPECT_TRUE(a->tick(now()));
  EXPECT_EQ(a->owners(), 2U);
  EXPECT_EQ(a->stats()->running, 2U);
}

// Each settles what it has claimed while the other claims.
TEST_F(PostgresFleet, AThousandAreClaimedOnceAndTheWidthHolds) {
  constexpr int kLanes = 20;
  constexpr int kEach = 50;
  {
    const std::unique_ptr<Store> store = open(1min);
    std::vector<NewDelivery> all;
    std::vector<const NewDelivery*> pointers;
    for (int i = 0; i < kLanes * kEach; ++i) {
      all.push_back(new_delivery("dlv_" + std::to_string(i), now(), std::to_string(i % kLanes)));
      all.back().fifo = i % kLanes == 0;
    }
    for (const NewDelivery& each : all) pointers.push_back(&each);
    within(*store, [&]() -> Result<> {
      for (const Result<Accepted>& each : store->accept_all(pointers, {})) {
        if (!each) return Unexpected(each.error());
      }
      return {};
    });
  }
  std::mutex mutex;
  std::multiset<std::string> taken;
  Ids order;  // of the fifo lane
  std::map<int64_t, int> under_way;
  std::atomic<bool> over = false;
  const auto work = [&] {
    const std::unique_ptr<Store> store = open(1min);
    int idle = 0;
    while (!over && idle < 200) {
      const std::vector<Claimed> claimed = claim(*store, 16);
      {
        const std::lock_guard lock(mutex);
        for (const Claimed& each : claimed) {
          taken.insert(each.id);
          EXPECT_LE(++under_way[each.lane], 4) << "of a lane four at once";
          if (std::stoi(each.id.substr(4)) % kLanes == 0) order.push_back(each.id);
        }
      }
      idle = claimed.empty() ? idle + 1 : 0;
      if (claimed.empty()) std::this_thread::sleep_for(5ms);
      {
        const std::lock_guard lock(mutex);
        for (const Claimed& each : claimed) --under_way[each.lane];
      }
      settle(*store, claimed);
      const std::lock_guard lock(mutex);
      if (taken.size() >= size_t{kLanes} * kEach) over = true;
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(taken.size(), size_t{kLanes} * kEach);
  EXPECT_EQ(std::set<std::string>(taken.begin(), taken.end()).size(), size_t{kLanes} * kEach);
  ASSERT_EQ(order.size(), size_t{kEach});
  for (int i = 0; i < kEach; ++i) {
    EXPECT_EQ(order[static_cast<size_t>(i)], "dlv_" + std::to_string(i * kLanes));
  }
  expect_sound_now();
}

// Both keep, settle and cancel in the same lanes, in opposite orders.
TEST_F(PostgresFleet, TwoThatWantTheSameLanesDoNotWaitForEachOther) {
  const auto work = [&](int self) {
    const std::unique_ptr<Store> store = open(1min);
    int failures = 0;
    for (int round = 0; round < 60; ++round) {
      Result<> done = store->begin();
      std::vector<Claimed> claimed;
      for (int i = 0; done && i < 8; ++i) {
        const int lane = self == 0 ? i : 7 - i;
        NewDelivery made = new_delivery(
            std::to_string(self) + "." + std::to_string(round) + "." + std::to_string(i), now(),
            std::to_string(lane));
        made.host = "host" + std::to_string(lane);
        const Result<Accepted> accepted = store->accept(made, {});
        if (!accepted) done = Unexpected(accepted.error());
      }
      if (done) {
        Result<std::vector<Claimed>> some =
            store->claim({.most = 16, .most_bytes = UINT64_MAX}, now());
        if (some) claimed = std::move(*some);
        if (!some) done = Unexpected(some.error());
      }
      if (done) done = store->commit();
      if (!done) store->rollback();
      failures += done ? 0 : 1;
      if (self == 0) std::reverse(claimed.begin(), claimed.end());
      settle(*store, claimed, round % 3 == 0 ? State::dead : State::delivered);
    }
    EXPECT_EQ(failures, 0);
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  EXPECT_EQ(
      server_.rows("public", "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"),
      Rows{"0"});
  expect_sound_now();
}

TEST_F(PostgresFleet, WhatADeadOneHadBorrowedIsTakenOverOnce) {
  const std::unique_ptr<Store> a = open();
  const std::unique_ptr<Store> b = open(1min);
  const std::unique_ptr<Store> c = open(1min);
  for (int i = 0; i < 3; ++i) keep(*a, "dlv_" + std::to_string(i), std::to_string(i));
  const std::vector<Claimed> borrowed = claim(*a);
  ASSERT_EQ(borrowed.size(), 3U);
  EXPECT_TRUE(b->tick(now()));
  EXPECT_TRUE(claim(*b).empty()) << "it lives";
  std::this_thread::sleep_for(600ms);  // it does not beat
  std::thread other([&] { EXPECT_TRUE(c->tick(now())); });
  EXPECT_TRUE(b->tick(now()));
  other.join();
  EXPECT_EQ(b->stats()->running, 0U);
  EXPECT_EQ(b->stats()->queued, 3U);
  const std::vector<Claimed> again = claim(*b);
  EXPECT_EQ(again.size(), 3U);
  EXPECT_TRUE(claim(*c).empty());

  // It lives after all: it is another one now, and settles nothing of it.
  settle(*a, borrowed, State::dead);
  EXPECT_EQ(a->stale(), 3U);
  EXPECT_EQ(b->stats()->dead, 0U);
  EXPECT_EQ(b->stats()->running, 3U);
  settle(*b, again);
  EXPECT_EQ(b->stats()->delivered, 3U);
  EXPECT_EQ(b->show("dlv_0").value()->attempts.size(), 1U);
  keep(*a, "dlv_4");
  EXPECT_EQ(claim(*a).size(), 1U);
  EXPECT_TRUE(a->tick(now()));
  EXPECT_EQ(a->owners(), 3U);
}

TEST_F(PostgresFleet, OneThatIsClosedGivesBackWhatItHasBorrowed) {
  std::unique_ptr<Store> a = open(1min);
  const std::unique_ptr<Store> b = open(1min);
  keep(*a, "dlv_1");
  EXPECT_EQ(claim(*a).size(), 1U);
  a.reset();
  EXPECT_EQ(claim(*b).size(), 1U);
  EXPECT_TRUE(b->tick(now()));
  EXPECT_EQ(b->owners(), 1U);
  EXPECT_EQ(server_.rows(schema_, "SELECT count(*) FROM egret_owners"), Rows{"1"})
      << "it is merged";
  EXPECT_EQ(b->stats()->running, 1U);
  expect_sound_now();
}

TEST_F(PostgresFleet, AKeyThatTwoHaveIsOneDelivery) {
  const std::unique_ptr<Store> a = open(1min);
  const std::unique_ptr<Store> b = open(1min);
  NewDelivery made = new_delivery("dlv_1", now());
  made.idempotency_key = "key";
  made.digest = "digest";
  keep(*a, made);
  made.id = "dlv_2";
  within(*b, [&]() -> Result<> {
    const Result<Accepted> accepted = b->accept(made, {});
    EXPECT_EQ(accepted->id, "dlv_1");
    EXPECT_TRUE(accepted->known);
    EXPECT_FALSE(accepted->differs);
    return {};
  });
  // And within one batch.
  NewDelivery first = made, second = made;
  first.id = "dlv_3";
  second.id = "dlv_4";
  first.idempotency_key = second.idempotency_key = "other";
  second.digest = "differs";
  const NewDelivery* const both[] = {&first, &second};
  within(*b, [&]() -> Result<> {
    const std::vector<Result<Accepted>> results = b->accept_all(both, {});
    EXPECT_FALSE(results[0]->known);
    EXPECT_EQ(results[1]->id, "dlv_3");
    EXPECT_TRUE(results[1]->known && results[1]->differs);
    return {};
  });
  EXPECT_EQ(a->stats()->queued, 2U);
  expect_sound_now();
}

TEST_F(PostgresFleet, AHostThatOneSwitchesOffIsOffForAll) {
  const std::unique_ptr<Store> a = open(1min);
  const std::unique_ptr<Store> b = open(1min);
  keep(*a, "dlv_1");
  within(*b, [&]() -> Result<> {
    EXPECT_TRUE(*b->disable("hooks.example", "by the operator", now()));
    return {};
  });
  EXPECT_TRUE(claim(*a).empty());
  within(*a, [&]() -> Result<> {
    EXPECT_EQ(a->accept(new_delivery("dlv_2", now()), {})->state, State::dead);
    return {};
  });
  within(*a, [&]() -> Result<> {
    EXPECT_TRUE(*a->enable("hooks.example", now()));
    return {};
  });
  EXPECT_EQ(claim(*b).size(), 1U);
}

// What one has accepted wakes the queue of the other, well before it would look by itself.
TEST_F(PostgresFleet, NewsWakeTheOthers) {
  const SystemClock clock;
  {
    // Each knows of two from its first beat on.
    const std::unique_ptr<Store> other = open(1h);
    Queue queue(open(1h), {}, clock);
    std::atomic<bool> due = false;
    queue.add_waker([&](std::optional<WallTime> when) { due = due || when.has_value(); });
    queue.start();
    other->listen([] {});
    EXPECT_TRUE(other->tick(clock.wall()));
    EXPECT_EQ(other->owners(), 2U);
    for (int i = 0; i < 500 && !due; ++i) {
      keep(*other, new_delivery("dlv_" + std::to_string(i), clock.wall()));
      std::this_thread::sleep_for(20ms);
    }
    EXPECT_TRUE(due);
    EXPECT_EQ(queue.owners(), 2U);
  }
  expect_sound_now();
}

}  // namespace
}  // namespace egret::queue
