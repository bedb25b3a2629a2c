#include <algorithm>

#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

using StoreClaim = StoreTest;
using StoreSettle = StoreTest;

TEST_P(StoreClaim, LendsWhatWasAcceptedOnceUntilItIsSettled) {
  NewDelivery made = new_delivery("dlv_1", now());
  made.body = std::string("a\0b\xFF", 4);
  EXPECT_EQ(accept(made)->id, "dlv_1");

  const std::vector<Claimed> claimed = claim();
  ASSERT_EQ(claimed.size(), 1U);
  EXPECT_EQ(claimed[0].id, "dlv_1");
  EXPECT_EQ(claimed[0].sender, "shop");
  EXPECT_EQ(claimed[0].tries, 0U);
  EXPECT_EQ(claimed[0].head, made.head);
  EXPECT_EQ(claimed[0].body, made.body);
  clock_.advance(1h);
  EXPECT_EQ(claim_ids(), Ids{});
  EXPECT_EQ(store_->next_due().value(), std::nullopt);

  settle(claimed[0], State::queued, now());
  EXPECT_EQ(claim().at(0).tries, 1U);
}

TEST_P(StoreClaim, TakesNothingBeforeItIsDue) {
  NewDelivery made = new_delivery("dlv_1", now());
  made.due = now() + 5s;
  accept(made).value();
  EXPECT_EQ(store_->next_due().value(), made.due);
  clock_.advance(5s - 1ms);
  EXPECT_EQ(claim_ids(), Ids{});
  clock_.advance(1ms);
  EXPECT_EQ(claim_ids(), Ids{"dlv_1"});
}

TEST_P(StoreClaim, TakesTheEarliestDueOfALaneFirst) {
  for (const int seconds : {3, 1, 2}) {
    NewDelivery made = new_delivery("dlv_" + std::to_string(seconds), now());
    made.due += std::chrono::seconds(seconds);
    accept(made).value();
  }
  EXPECT_EQ(store_->next_due().value(), now() + 1s);
  clock_.advance(3s);
  for (const char* id : {"dlv_1", "dlv_2", "dlv_3"}) {
    const std::vector<Claimed> claimed = claim(1);
    ASSERT_EQ(claimed.size(), 1U);
    EXPECT_EQ(claimed[0].id, id);
    settle(claimed[0], State::dead);
  }
}

TEST_P(StoreClaim, GivesEachLaneItsTurn) {
  for (int i = 0; i < 10; ++i) keep("a" + std::to_string(i), "a");
  for (int i = 0; i < 10; ++i) keep("b" + std::to_string(i), "b");
  Ids order;
  for (int i = 0; i < 8; ++i) {
    clock_.advance(1ms);
    for (const Claimed& each : claim(1)) {
      order.push_back(each.id);
      settle(each, State::delivered);
    }
  }
  EXPECT_EQ(order, (Ids{"a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"}));
}

TEST_P(StoreClaim, ALaneThatIsGivenMoreKeepsItsPlace) {
  keep("busy", "busy");
  for (int i = 0; i < 10; ++i) keep("still" + std::to_string(i), "still");
  size_t busy = 0;
  for (int i = 0; i < 10; ++i) {
    clock_.advance(1ms);
    keep("busy" + std::to_string(i), "busy");
    for (const Claimed& each : claim(1)) {
      busy += each.id.starts_with("busy") ? 1 : 0;
      settle(each, State::delivered);
    }
  }
  EXPECT_EQ(busy, 5U);
}

TEST_P(StoreClaim, ALaneThatIsNotDueHoldsUpNoOther) {
  NewDelivery later = new_delivery("later", now(), "later");
  later.due = now() + 1h;
  accept(later).value();
  keep("now", "now");
  EXPECT_EQ(claim_ids(1), Ids{"now"});
}

TEST_P(StoreClaim, TakesAFewOfALaneAtOnceWhileOthersWait) {
  for (const bool others : {true, false}) {
    const std::string name = others ? "one of many" : "alone";
    NewDelivery made = new_delivery("", now(), name);
    made.width = 100;
    for (int i = 0; i < 100; ++i) {
      made.id = name + std::to_string(i);
      accept(made).value();
    }
    for (int i = 0; others && i < 20; ++i) keep("other" + std::to_string(i), std::to_string(i));
    // Each success widens the window.
    size_t most = 0;
    for (int i = 0; i < 60; ++i) {
      std::vector<Claimed> lent = claim(100);
      size_t of_it = 0;
      for (const Claimed& each : lent) {
        of_it += each.id.starts_with(name) ? 1 : 0;
        // The others wait for ever.
        if (each.id.starts_with(name)) {
          settle(each, State::delivered);
        } else {
          settle({.number = each.number, .lane = each.lane, .fence = each.fence, .due = now()});
        }
      }
      most = std::max(most, of_it);
    }
    EXPECT_EQ(others, most == 8U) << most;
    EXPECT_EQ(store_->stats()->delivered, others ? 100U : 200U);
    for (int i = 0; others && i < 20; ++i) {
      EXPECT_TRUE(within([&] { return store_->cancel("other" + std::to_string(i), now()); }));
    }
  }
}

// What is lent is queued as before in a transaction that is undone, and lent as before.
TEST_P(StoreClaim, ARollbackUndoesLoansAndSettlements) {
  for (int i = 0; i < 4; ++i) keep("dlv_" + std::to_string(i), std::to_string(i));
  const Claimed lent = claim(1).at(0);
  EXPECT_EQ(lent.id, "dlv_0");
  EXPECT_TRUE(store_->begin());
  EXPECT_TRUE(store_->settle({.number = lent.number,
                              .lane = lent.lane,
                              .fence = lent.fence,
                              .state = State::delivered,
                              .attempt = Attempt{.began = now(), .status = 204},
                              .well = true},
                             now()));
  EXPECT_EQ(store_->claim({.most = 2, .most_bytes = 1U << 30}, now())->size(), 2U);
  store_->rollback();
  EXPECT_EQ(show("dlv_0").delivery.state, State::running);
  EXPECT_EQ(show("dlv_1").delivery.state, State::queued);
  EXPECT_EQ(claim_ids(), (Ids{"dlv_1", "dlv_2", "dlv_3"}));
  settle(lent, State::delivered);
  EXPECT_EQ(show("dlv_0").delivery.state, State::delivered);
  EXPECT_EQ(show("dlv_0").attempts.size(), 1U);
  close_soundly();
}

// Due times of one lane come in any order: from a clock that is set back, from schedules.
TEST_P(StoreClaim, FindsWhatIsDueBeforeWhatWasLentAlready) {
  const Settled back{.number = 0, .lane = 0, .state = State::queued};
  NewDelivery made = new_delivery("", now());
  made.width = 8;
  for (const char* id : {"a", "b", "c", "d"}) {
    made.id = id;
    made.due += 1s;
    accept(made).value();
  }
  clock_.advance(10s);
  for (int i = 0; i < 3; ++i) {
    for (const Claimed& each : claim(1)) settle(each, State::delivered);
  }
  made.id = "early";
  made.due = now() - 9s - 500ms;  // between a and b
  accept(made).value();
  const std::vector<Claimed> early = claim(1);
  ASSERT_EQ(early.size(), 1U);
  EXPECT_EQ(early[0].id, "early");
  Settled given = back;
  given.number = early[0].number;
  given.lane = early[0].lane;
  given.fence = early[0].fence;
  given.due = now();
  settle(given);
  EXPECT_EQ(claim_ids(1), Ids{"early"}) << "given back, it stands where it stood";
  EXPECT_EQ(claim_ids(), Ids{"d"});
}

TEST_P(StoreClaim, TheWindowOfALaneGrowsWithEachSuccessAndClosesOnAFailure) {
  for (int i = 0; i < 40; ++i) keep("dlv_" + std::to_string(i));
  std::vector<Claimed> lent;
  const auto lend = [&] {
    for (Claimed& each : claim()) lent.push_back(std::move(each));
    return lent.size();
  };
  const auto settle_one = [&](State state) {
    settle(lent.back(), state);
    lent.pop_back();
  };
  EXPECT_EQ(lend(), 1U);
  for (const size_t window : {2U, 3U, 4U, 4U}) {
    settle_one(State::delivered);
    EXPECT_EQ(lend(), window);
  }
  settle_one(State::queued);
  EXPECT_EQ(lend(), 3U);  // nothing more until only the one of the window is left
  while (lent.size() > 1) settle_one(State::queued);
  EXPECT_EQ(lend(), 1U);
  settle_one(State::delivered);
  EXPECT_EQ(lend(), 2U);
}

TEST_P(StoreClaim, ALaneMadeNarrowerTakesNoMoreThanThat) {
  for (int i = 0; i < 12; ++i) keep("dlv_" + std::to_string(i));
  std::vector<Claimed> lent;
  for (int i = 0; i < 4; ++i) {
    for (const Claimed& each : claim(1)) settle(each, State::delivered);
  }
  lent = claim();
  ASSERT_EQ(lent.size(), 4U);
  NewDelivery narrow = new_delivery("narrow", now());
  narrow.width = 2;
  accept(narrow).value();
  EXPECT_EQ(claim_ids(), Ids{});
  for (const Claimed& each : lent) settle(each, State::delivered);
  EXPECT_EQ(claim_ids().size(), 2U);
}

TEST_P(StoreClaim, AFifoLaneIsOneAtATimeInOrderOfAcceptance) {
  NewDelivery made = new_delivery("", now());
  made.fifo = true;
  for (const char* id : {"first", "second", "third"}) {
    made.id = id;
    accept(made).value();
    made.due -= 1s;  // a later one is due earlier
  }
  for (const char* id : {"first", "second", "third"}) {
    const std::vector<Claimed> claimed = claim();
    ASSERT_EQ(claimed.size(), 1U);
    EXPECT_EQ(claimed[0].id, id);
    EXPECT_EQ(claim_ids(), Ids{});
    EXPECT_EQ(store_->next_due().value(), std::nullopt);
    settle(claimed[0], State::delivered);
  }
  EXPECT_EQ(store_->next_due().value(), std::nullopt);
}

TEST_P(StoreClaim, AFailedHeadOfAFifoLaneIsNeverOvertaken) {
  NewDelivery made = new_delivery("head", now());
  made.fifo = true;
  made.width = 1;
  accept(made).value();
  made.id = "next";
  accept(made).value();
  settle(claim().at(0), State::queued, now() + 1min);
  EXPECT_EQ(store_->next_due().value(), now() + 1min);
  made.id = "late";
  accept(made).value();
  EXPECT_EQ(claim_ids(), Ids{});
  clock_.advance(1min);
  const std::vector<Claimed> again = claim();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].id, "head");
  settle(again[0], State::dead);
  EXPECT_EQ(claim_ids(), Ids{"next"});
}

// A rule's `order` may change, and two rules may differ, while deliveries are kept.
TEST_P(StoreClaim, AFifoLaneAndAnotherOfTheSameNameAreTwo) {
  for (const bool first : {false, true}) {
    const std::string lane = first ? "fifo first" : "fifo second";
    NewDelivery made = new_delivery(lane + " 1", now(), lane);
    made.fifo = first;
    accept(made).value();
    made.id = lane + " 2";
    made.fifo = !first;
    accept(made).value();
  }
  EXPECT_EQ(claim_ids().size(), 4U);
}

TEST_P(StoreClaim, StopsAtTheOneThatPassesTheBytes) {
  for (int i = 0; i < 10; ++i) {
    NewDelivery made = new_delivery("dlv_" + std::to_string(i), now(), std::to_string(i));
    made.body.assign(1000 - made.head.size(), 'x');
    accept(made).value();
  }
  EXPECT_EQ(claim_ids(100, 0), Ids{});
  EXPECT_EQ(claim_ids(100, 1), Ids{"dlv_0"});
  EXPECT_EQ(claim_ids(100, 2000).size(), 2U);
  EXPECT_EQ(claim_ids(100, 2001).size(), 3U);
  EXPECT_EQ(claim_ids(1).size(), 1U);
  EXPECT_EQ(claim_ids().size(), 3U);
}

TEST_P(StoreSettle, GivesBackUncountedWhatWasNotTried) {
  keep("dlv_1");
  const Claimed claimed = claim().at(0);
  settle(
      {.number = claimed.number, .lane = claimed.lane, .fence = claimed.fence, .due = now() + 1s});
  EXPECT_EQ(show("dlv_1").delivery.state, State::queued);
  EXPECT_EQ(show("dlv_1").delivery.attempts, 0U);
  EXPECT_EQ(store_->next_due().value(), now() + 1s);
  clock_.advance(1s);
  EXPECT_EQ(claim().at(0).tries, 0U);
}

TEST_P(StoreSettle, GivingBackLeavesTheWindowAsItIs) {
  for (int i = 0; i < 10; ++i) keep("dlv_" + std::to_string(i));
  settle(claim().at(0), State::delivered);
  for (int i = 0; i < 3; ++i) {
    const std::vector<Claimed> claimed = claim();
    ASSERT_EQ(claimed.size(), 2U);
    for (const Claimed& each : claimed)
      settle({.number = each.number, .lane = each.lane, .fence = each.fence});
  }
}

TEST_P(StoreSettle, AHoldKeepsTheWholeLaneBackAndNoOther) {
  for (int i = 0; i < 20; ++i) keep("dlv_" + std::to_string(i));
  keep("other", "lane of another");
  const Claimed claimed = claim(1).at(0);
  settle({.number = claimed.number,
          .lane = claimed.lane,
          .fence = claimed.fence,
          .due = now(),
          .hold = now() + 30s});
  EXPECT_EQ(claim_ids(), Ids{"other"});
  EXPECT_EQ(store_->next_due().value(), now() + 30s);
  keep("dlv_20");
  EXPECT_TRUE(claim().empty()) << "one more does not end it";
  clock_.advance(30s);
  EXPECT_EQ(claim_ids(), Ids{"dlv_0"}) << "it is given back as it was";
}

TEST_P(StoreSettle, ALaneThatIsHeldIsFreeWhenItsHostIsSwitchedOn) {
  keep("dlv_1");
  const Claimed claimed = claim(1).at(0);
  settle({.number = claimed.number,
          .lane = claimed.lane,
          .fence = claimed.fence,
          .due = now(),
          .hold = now() + 30s});
  EXPECT_FALSE(*within([&] { return store_->enable("hooks.example", now()); }));
  EXPECT_EQ(claim_ids(), Ids{"dlv_1"});
}

TEST_P(StoreSettle, CountsTheBytesOfAnAttempt) {
  keep("dlv_1");
  const uint64_t before = store_->stats()->bytes;
  const Claimed claimed = claim(1).at(0);
  settle({.number = claimed.number,
          .lane = claimed.lane,
          .fence = claimed.fence,
          .due = now(),
          .attempt = Attempt{.began = now(), .detail = "1234", .answer = "123456"}});
  EXPECT_EQ(store_->stats()->bytes, before + 10);
  close_soundly();
}

TEST_P(StoreSettle, ASecondTimeChangesNothing) {
  keep("dlv_1");
  keep("dlv_2");
  const Claimed claimed = claim().at(0);
  settle(claimed, State::delivered);
  settle(claimed, State::dead);
  settle(claimed, State::queued, now());
  EXPECT_EQ(show("dlv_1").delivery.state, State::delivered);
  EXPECT_EQ(show("dlv_1").attempts.size(), 1U);
  EXPECT_EQ(store_->stats()->running, 0U);
  EXPECT_EQ(claim_ids(), Ids{"dlv_2"});
  close_soundly();
}

// Whoever was not told that it was kept tells it again.
TEST_P(StoreSettle, OfAFormerLoanChangesNothingOfALaterOne) {
  keep("dlv_1");
  const Claimed former = claim().at(0);
  settle(former, State::queued, now());
  const Claimed later = claim().at(0);
  settle(former, State::dead);
  settle({.number = former.number, .lane = former.lane, .fence = former.fence, .due = now()});
  EXPECT_EQ(show("dlv_1").delivery.state, State::running);
  EXPECT_EQ(show("dlv_1").attempts.size(), 1U);
  settle(later, State::delivered);
  EXPECT_EQ(show("dlv_1").delivery.state, State::delivered);
  EXPECT_EQ(show("dlv_1").attempts.size(), 2U);
  close_soundly();
}

TEST_P(StoreSettle, NeverTouchesWhatIsNotLent) {
  keep("dlv_1");
  settle({.number = show("dlv_1").delivery.number, .lane = 1, .state = State::dead});
  settle({.number = 77, .lane = 77, .state = State::dead});
  EXPECT_EQ(claim_ids(), Ids{"dlv_1"});
}

EGRET_BOTH_STORES(StoreClaim);
EGRET_BOTH_STORES(StoreSettle);

}  // namespace
}  // namespace egret::queue
