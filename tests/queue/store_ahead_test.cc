// What a store lends beyond a lane's window, and when it does not.
#include <algorithm>

#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

constexpr uint32_t kWidth = 4;

class StoreAhead : public StoreTest {
 protected:
  // Of a lane with its window open, all that it holds is lent.
  void fill(bool fifo = false) {
    NewDelivery made = new_delivery("", now());
    made.width = kWidth;
    made.fifo = fifo;
    for (int i = 0; i < 40; ++i) {
      made.id = "dlv_" + std::to_string(i);
      accept(made).value();
    }
    for (uint32_t i = 1; i < kWidth; ++i) settle(claim(1).at(0), State::delivered);
    lent_ = claim();
    ASSERT_EQ(lent_.size(), fifo ? 1U : kWidth);
    for (const Claimed& each : lent_) EXPECT_FALSE(each.ahead);
    lane_ = lent_[0].lane;
  }
  // How many more are lent when as many as `ahead` are asked for.
  size_t lend(size_t ahead, size_t most = 100, uint64_t bytes = 1U << 20) {
    std::vector<Claimed> more = claim(Wanted{.most = most,
                                             .most_bytes = 1U << 20,
                                             .ahead = {{.lane = lane_, .most = ahead}},
                                             .ahead_bytes = bytes});
    for (const Claimed& each : more) {
      EXPECT_EQ(each.lane, lane_);
      EXPECT_TRUE(each.ahead) << each.id;
    }
    std::ranges::move(more, std::back_inserter(lent_));
    return more.size();
  }
  // One that has ended: its place is free, or one that was lent ahead has taken it.
  void settle_one(State state, bool leaves_place = true) {
    const Claimed& one = lent_.front();
    const bool well = state == State::delivered;
    settle({.number = one.number,
            .lane = one.lane,
            .fence = one.fence,
            .state = state,
            .due = now() + 1h,
            .attempt = Attempt{.began = now(), .status = well ? 204 : 500},
            .well = well,
            .leaves_place = leaves_place});
    lent_.erase(lent_.begin());
  }
  void give_back_last() {
    const Claimed& one = lent_.back();
    settle({.number = one.number,
            .lane = one.lane,
            .fence = one.fence,
            .hold = WallTime(),
            .leaves_place = false});
    lent_.pop_back();
  }
  std::vector<Claimed> lent_;
  int64_t lane_ = 0;
};

class SqliteAhead : public StoreAhead {};
class PostgresAhead : public StoreAhead {};
INSTANTIATE_TEST_SUITE_P(Sqlite, SqliteAhead, testing::Values(Kind::sqlite));
INSTANTIATE_TEST_SUITE_P(Postgres, PostgresAhead, testing::Values(Kind::postgres));

TEST_P(SqliteAhead, LendsBeyondTheWindowOfALaneThatDoesWell) {
  fill();
  EXPECT_EQ(claim_ids(), Ids{}) << "nothing, unless it is asked for";
  EXPECT_EQ(lend(6), 6U);
  EXPECT_EQ(lend(2), 2U);
  EXPECT_EQ(store_->stats()->running, kWidth + 8U);
  for (uint32_t i = 0; i < 8; ++i) {
    settle_one(State::delivered, false);
    EXPECT_EQ(claim_ids(), Ids{}) << "what was lent ahead has its place";
  }
  settle_one(State::delivered);
  EXPECT_EQ(claim_ids().size(), 1U);
  close_soundly();
}

// Another worker may have what was lent ahead: the places that this one leaves are lent all the
// same.
TEST_P(SqliteAhead, APlaceThatIsFreeIsLentWhateverElseIsAhead) {
  fill();
  EXPECT_EQ(lend(8), 8U);
  for (uint32_t i = 0; i < kWidth; ++i) settle_one(State::delivered);
  const std::vector<Claimed> next = claim();
  EXPECT_EQ(next.size(), kWidth);
  for (const Claimed& each : next) EXPECT_FALSE(each.ahead);
  EXPECT_EQ(claim_ids(), Ids{});
}

TEST_P(SqliteAhead, WhatIsGivenBackUnbegunStandsWhereItStoodAndHoldsNothing) {
  fill();
  EXPECT_EQ(lend(2), 2U);
  clock_.advance(1h);  // it is put right again
  const std::string second = lent_.back().id;
  give_back_last();
  const std::string first = lent_.back().id;
  give_back_last();
  EXPECT_EQ(claim_ids(), Ids{}) << "it had no place";
  clock_.advance(-1h);
  settle_one(State::delivered);
  settle_one(State::delivered);
  EXPECT_TRUE(within([&] { return store_->sweep(bounds_, now()); }));
  EXPECT_EQ(claim_ids(), (Ids{first, second}));
  close_soundly();
}

// The window is that of all who share the store.
TEST_P(PostgresAhead, LendsNothingAhead) {
  fill();
  EXPECT_EQ(lend(6), 0U);
}

TEST_P(SqliteAhead, KeepsToWhatIsAskedFor) {
  fill();
  EXPECT_EQ(lend(6, 100, 0), 0U) << "bytes ahead";
  EXPECT_EQ(lend(6, 100, 1), 1U) << "the one that passes them";
  EXPECT_EQ(lend(6, 3), 3U);
  EXPECT_EQ(lend(0), 0U);
  lane_ += 1000;
  EXPECT_EQ(lend(6), 0U) << "no such lane";
}

TEST_P(SqliteAhead, LendsNothingAheadOfALaneInOrder) {
  fill(true);
  EXPECT_EQ(lend(6), 0U);
}

TEST_P(SqliteAhead, LendsNothingAheadWhileOthersWait) {
  fill();
  for (int i = 0; i < 3; ++i) keep("other" + std::to_string(i), "other" + std::to_string(i));
  const std::vector<Claimed> others = claim(Wanted{.most = 3,
                                                   .most_bytes = 1U << 20,
                                                   .ahead = {{.lane = lane_, .most = 6}},
                                                   .ahead_bytes = 1U << 20});
  ASSERT_EQ(others.size(), 3U);
  for (const Claimed& each : others) EXPECT_NE(each.lane, lane_);
  EXPECT_EQ(lend(6), 6U);
}

TEST_P(SqliteAhead, LendsNothingAheadBeforeTheWindowIsOpen) {
  for (int i = 0; i < 4; ++i) keep("dlv_" + std::to_string(i));
  lent_ = claim();
  ASSERT_EQ(lent_.size(), 1U);
  lane_ = lent_[0].lane;
  EXPECT_EQ(lend(6), 0U);
}

TEST_P(SqliteAhead, LendsNothingAheadOfALaneThatWaitsOrIsOff) {
  fill();
  const Claimed last = lent_.back();
  lent_.pop_back();
  settle({.number = last.number, .lane = last.lane, .fence = last.fence, .due = now() + 1min});
  EXPECT_EQ(lend(6), 0U);
  clock_.advance(1min);
  EXPECT_EQ(claim_ids(), Ids{last.id}) << "it stands where it stood";
  const std::string host = new_delivery("", now()).host;
  EXPECT_TRUE(within([&] { return store_->disable(host, "why", now()); }).value());
  EXPECT_EQ(lend(6), 0U);
  EXPECT_TRUE(within([&] { return store_->enable(host, now()); }).value());
  EXPECT_EQ(lend(6), 6U);
}

// A window that has closed leaves more under way than it holds: they hand on no places.
TEST_P(SqliteAhead, LendsNothingAheadUntilNoMoreIsUnderWayThanTheWindowHolds) {
  fill();
  settle_one(State::queued);
  EXPECT_EQ(lend(6), 0U);
  settle_one(State::delivered);
  settle_one(State::delivered);
  EXPECT_EQ(claim_ids().size(), 2U);
  EXPECT_EQ(lend(6), 0U) << "its window is not quite open";
  settle_one(State::delivered);
  EXPECT_EQ(claim_ids().size(), 2U);
  EXPECT_EQ(lend(6), 6U);
}

TEST_P(SqliteAhead, ALaneMadeNarrowerLendsNothingAheadUntilItIs) {
  fill();
  NewDelivery narrow = new_delivery("narrow", now());
  narrow.width = 2;
  accept(narrow).value();
  EXPECT_EQ(lend(6), 0U);
  settle_one(State::delivered);
  EXPECT_EQ(lend(6), 0U);
  settle_one(State::delivered);
  EXPECT_EQ(lend(6), 6U);
}

TEST_P(SqliteAhead, ARollbackTakesBackWhatWasLentAhead) {
  fill();
  EXPECT_TRUE(store_->begin());
  const Wanted wanted{.most = 100,
                      .most_bytes = 1U << 20,
                      .ahead = {{.lane = lane_, .most = 6}},
                      .ahead_bytes = 1U << 20};
  EXPECT_EQ(store_->claim(wanted, now())->size(), 6U);
  store_->rollback();
  EXPECT_EQ(store_->stats()->running, kWidth);
  EXPECT_EQ(lend(6), 6U);
}

}  // namespace
}  // namespace egret::queue
