// What is lent beyond a lane's window begins in the place of what has ended, and never otherwise.
#include "proxy/lent_ahead.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tests/support/proxy_queue.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using Lot = LentAhead::Lot;
using queue::Claimed;
using queue::State;
using test::KeepingSandbox;
using test::kOk;
using test::Message;
using test::post;

Claimed lent(int64_t number, int64_t lane = 1, bool ahead = true) {
  Claimed made;
  made.number = number;
  made.lane = lane;
  made.head = "head";
  made.body = "body";
  made.ahead = ahead;
  return made;
}

std::vector<int64_t> numbers(const std::list<LentAhead::Kept>& all) {
  std::vector<int64_t> found;
  for (const LentAhead::Kept& each : all) found.push_back(each.lent.number);
  return found;
}
using Numbers = std::vector<int64_t>;

class LentAheadTest : public testing::Test {
 protected:
  Lot come(Claimed claimed) { return ahead_.sort(claimed, clock_.now()); }
  // One ends well: the number of what takes its place, 0 for nothing.
  int64_t end(int64_t lane = 1) {
    ahead_.end(lane);
    const std::optional<Claimed> next = ahead_.next(lane);
    if (next) ahead_.begin(lane);
    return next ? next->number : 0;
  }
  std::optional<size_t> wanted(int64_t lane = 1) {
    for (const queue::Wanted::Ahead& each : ahead_.ended()) {
      if (each.lane == lane) return each.most;
    }
    return std::nullopt;
  }
  LentAhead ahead_;
  test::ManualClock clock_;
};

TEST_F(LentAheadTest, WhatTheWindowHoldsBeginsAtOnce) {
  EXPECT_EQ(come(lent(1, 1, false)), Lot::begin);
  ahead_.begin(1);
  EXPECT_EQ(come(lent(2, 1, false)), Lot::begin);
}

TEST_F(LentAheadTest, WhatIsLentAheadTakesThePlaceOfWhatEndsWell) {
  ahead_.begin(1);
  ahead_.begin(2);
  EXPECT_EQ(come(lent(1)), Lot::kept);
  EXPECT_EQ(come(lent(2)), Lot::kept);
  EXPECT_EQ(ahead_.size(), 2U);
  EXPECT_EQ(ahead_.bytes(), 16U);
  EXPECT_EQ(end(2), 0) << "another lane's";
  EXPECT_EQ(end(), 1);
  EXPECT_EQ(end(), 2);
  EXPECT_EQ(end(), 0);
  EXPECT_EQ(ahead_.size(), 0U);
  EXPECT_EQ(ahead_.bytes(), 0U);
}

// The queue has not heard of what has ended yet: its place is not lent to anybody.
TEST_F(LentAheadTest, TakesAnEmptyPlaceUntilTheQueueHasIt) {
  ahead_.begin(1);
  ahead_.begin(1);
  EXPECT_EQ(end(), 0);
  EXPECT_EQ(come(lent(1)), Lot::take_place);
  ahead_.begin(1);
  EXPECT_EQ(come(lent(2)), Lot::kept);
  EXPECT_EQ(end(), 2);
  EXPECT_EQ(end(), 0);
  ahead_.ended();
  EXPECT_EQ(come(lent(3)), Lot::kept) << "the place is the queue's now";
}

// What was asked for before may come after it.
TEST_F(LentAheadTest, AfterAFailureTakesNothingUntilTheQueueHasHeardOfIt) {
  for (int i = 0; i < 3; ++i) ahead_.begin(1);
  EXPECT_EQ(come(lent(1)), Lot::kept);
  ahead_.end(1);
  EXPECT_EQ(numbers(ahead_.leave(1)), Numbers{1});
  EXPECT_EQ(come(lent(2)), Lot::give_back);
  EXPECT_EQ(end(), 0);
  EXPECT_EQ(come(lent(3)), Lot::give_back) << "not in the place of one that has ended well either";
  ahead_.ended();
  EXPECT_EQ(come(lent(4)), Lot::kept);
}

TEST_F(LentAheadTest, NothingWaitsForWhatOthersHaveUnderWay) {
  EXPECT_EQ(come(lent(1)), Lot::give_back);
  ahead_.begin(1);
  EXPECT_EQ(end(), 0);
  ahead_.ended();
  EXPECT_EQ(come(lent(1)), Lot::give_back);
}

TEST_F(LentAheadTest, AsksForAsMuchAsHasEndedAndAsMuchAgain) {
  for (int i = 0; i < 8; ++i) ahead_.begin(1);
  EXPECT_EQ(wanted(), std::nullopt) << "nothing has ended";
  for (int i = 0; i < 4; ++i) end();
  EXPECT_EQ(wanted(), 8U);
  EXPECT_EQ(wanted(), std::nullopt) << "it was asked for";
  for (int64_t i = 1; i <= 6; ++i) EXPECT_EQ(come(lent(i)), Lot::kept);
  for (int64_t i = 1; i <= 3; ++i) EXPECT_EQ(end(), i);
  EXPECT_EQ(wanted(), 3U) << "three are here";
  ahead_.end(1);
  EXPECT_EQ(wanted(), std::nullopt) << "it did not end well";
}

TEST_F(LentAheadTest, KeepsNoMoreThanItMay) {
  for (int i = 0; i < 600; ++i) ahead_.begin(1);
  for (int i = 0; i < 500; ++i) end();
  EXPECT_EQ(wanted(), LentAhead::kMost);
  for (size_t i = 0; i < LentAhead::kMost; ++i) {
    EXPECT_EQ(come(lent(static_cast<int64_t>(i + 1))), Lot::kept);
  }
  ahead_.begin(2);
  end(2);
  EXPECT_EQ(wanted(2), std::nullopt);
}

// However the lane gets on: one that lets one go now and then keeps the others from nobody.
TEST_F(LentAheadTest, WhatHasWaitedTooLongIsGivenBackWithItsLane) {
  for (const int64_t lane : {1, 2}) {
    for (int i = 0; i < 9; ++i) ahead_.begin(lane);
    for (int64_t i = 1; i <= 3; ++i) EXPECT_EQ(come(lent(10 * lane + i, lane)), Lot::kept);
  }
  EXPECT_EQ(numbers(ahead_.leave_stale(clock_.now())), Numbers{});
  clock_.advance(LentAhead::kLongest - 1ms);
  for (const int64_t number : {21, 22, 23}) EXPECT_EQ(end(2), number);
  EXPECT_EQ(come(lent(24, 2)), Lot::kept);
  EXPECT_EQ(end(1), 11);
  clock_.advance(1ms);
  EXPECT_EQ(numbers(ahead_.leave_stale(clock_.now())), (Numbers{12, 13}));
  clock_.advance(LentAhead::kLongest);
  EXPECT_EQ(numbers(ahead_.leave_stale(clock_.now())), Numbers{24});
  EXPECT_EQ(ahead_.size(), 0U);
  EXPECT_EQ(ahead_.bytes(), 0U);
}

TEST_F(LentAheadTest, LeavesOneLaneOrAll) {
  for (const int64_t lane : {1, 2, 3}) {
    ahead_.begin(lane);
    EXPECT_EQ(come(lent(lane, lane)), Lot::kept);
  }
  EXPECT_EQ(numbers(ahead_.leave(2)), Numbers{2});
  EXPECT_EQ(numbers(ahead_.leave(2)), Numbers{});
  EXPECT_EQ(numbers(ahead_.leave(4)), Numbers{}) << "of which it knows nothing";
  EXPECT_EQ(ahead_.leave_all().size(), 2U);
  EXPECT_EQ(ahead_.size(), 0U);
}

// One at a time: half of two.
constexpr std::string_view kOneAtATime =
    "defaults: {limits: {in_flight_per_host: 2}, delivery: {mode: async, schedule: [10s], jitter: "
    "0%}}\n";

// Six are kept, "0" has been delivered, "1" is under way, "2" and "3" are lent ahead.
class Ahead : public testing::Test {
 protected:
  Ahead() {
    for (int i = 0; i < 6; ++i) {
      ids_.push_back(gateway_.sent(post(std::to_string(i))).field("Egret-Delivery"));
    }
    EXPECT_EQ(gateway_.request().body, "0");
    gateway_.destination().send(kOk);
    EXPECT_EQ(gateway_.request().body, "1");
    EXPECT_EQ(gateway_.stats().running, 3U);
  }
  // What has come without the queue's doing anything.
  Message next() { return gateway_.destination().take(test::Kind::request); }
  [[nodiscard]] State state(size_t index) { return gateway_.show(ids_[index])->delivery.state; }
  void expect_no_more() {
    EXPECT_EQ(next().body, "");
    gateway_.settle();
    EXPECT_EQ(next().body, "");
    EXPECT_EQ(state(1), State::delivered);
    EXPECT_TRUE(gateway_.show(ids_[2])->attempts.empty());
  }
  KeepingSandbox gateway_{kOneAtATime};
  std::vector<std::string> ids_;
};

TEST_F(Ahead, TheNextOneIsSentBeforeTheStoreHasHeardOfTheLast) {
  EXPECT_EQ(next().body, "") << "one at a time";
  gateway_.destination().send(kOk);
  EXPECT_EQ(next().body, "2");
  gateway_.destination().send(kOk);
  EXPECT_EQ(next().body, "3");
  EXPECT_EQ(gateway_.destinations(), 1U);
  gateway_.destination().send(kOk);
  EXPECT_EQ(next().body, "") << "no more was lent";
  gateway_.settle();
  EXPECT_EQ(next().body, "4");
  gateway_.destination().send(kOk);
  EXPECT_EQ(next().body, "5");
  gateway_.destination().send(kOk);
  gateway_.settle();
  for (size_t i = 0; i < ids_.size(); ++i) EXPECT_EQ(state(i), State::delivered) << i;
  EXPECT_TRUE(gateway_.dispatcher().at_rest());
  EXPECT_EQ(gateway_.destinations(), 1U);
}

TEST_F(Ahead, AfterAFailureNoneFollowsBeforeTheStoreHasHeardOfIt) {
  gateway_.destination().send("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(next().body, "");
  gateway_.settle();
  EXPECT_EQ(gateway_.stats().running, 1U) << "the others were given back";
  EXPECT_EQ(next().body, "2") << "which stands where it stood";
  EXPECT_EQ(state(1), State::queued);
  EXPECT_EQ(gateway_.show(ids_[1])->attempts.size(), 1U);
}

TEST_F(Ahead, WhatHangsGivesBackWhatWaitsForIt) {
  gateway_.advance(LentAhead::kLongest);
  gateway_.advance(LentAhead::kLongest);
  EXPECT_EQ(gateway_.stats().running, 1U);
  EXPECT_EQ(state(2), State::queued);
  gateway_.destination().send(kOk);
  EXPECT_EQ(next().body, "");
  gateway_.settle();
  EXPECT_EQ(next().body, "2");
}

TEST_F(Ahead, WhatIsSwitchedOffGetsNothingMore) {
  gateway_.disable("hooks.acme.io");
  gateway_.destination().send(kOk);
  expect_no_more();
  EXPECT_EQ(gateway_.stats().running, 0U);
}

TEST_F(Ahead, WhatIsSwitchedOffGetsNothingMoreWhateverTheQueueIsAskedMeanwhile) {
  gateway_.dns.answer("other.acme.io", {"93.184.215.77"});
  gateway_.disable("hooks.acme.io");
  gateway_.sent("POST http://other.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
  gateway_.destination().send(kOk);
  expect_no_more();
  EXPECT_EQ(gateway_.stats().running, 1U) << "the other";
}

TEST_F(Ahead, ADrainGivesBackWhatHasNotBegun) {
  gateway_.dispatcher().drain();
  gateway_.settle();
  EXPECT_EQ(gateway_.stats().running, 1U);
  gateway_.destination().send(kOk);
  gateway_.settle();
  EXPECT_EQ(next().body, "");
  EXPECT_TRUE(gateway_.dispatcher().at_rest());
  EXPECT_EQ(state(1), State::delivered);
  EXPECT_EQ(state(2), State::queued);
}

TEST_F(Ahead, NothingIsLostWhenTheStoreFailsMeanwhile) {
  gateway_.break_store(true);
  for (const char* body : {"2", "3"}) {
    gateway_.destination().send(kOk);
    EXPECT_EQ(next().body, body);
    gateway_.settle();
  }
  gateway_.destination().send(kOk);
  gateway_.settle();
  gateway_.advance(3s);
  EXPECT_EQ(next().body, "");
  gateway_.break_store(false);
  gateway_.advance(1s);
  for (const size_t each : {1U, 2U, 3U}) {
    EXPECT_EQ(state(each), State::delivered) << each;
    EXPECT_EQ(gateway_.show(ids_[each])->attempts.size(), 1U) << each;
  }
}

}  // namespace
}  // namespace egret::proxy
