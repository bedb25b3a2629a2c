#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using StoreAccept = StoreTest;

TEST_P(StoreAccept, CountsTheTriesThatWereMadeBefore) {
  NewDelivery made = new_delivery("dlv_1", now());
  made.tries = 1;
  EXPECT_TRUE(accept(made));
  EXPECT_EQ(claim().at(0).tries, 1U);
}

TEST_P(StoreAccept, KnowsAnIdempotencyKeyOfTheSameSender) {
  NewDelivery first = new_delivery("dlv_1", now());
  first.idempotency_key = "key";
  first.digest = "digest";
  EXPECT_FALSE(store_->known(first)->has_value());
  EXPECT_FALSE(accept(first)->known);
  struct Case {
    const char *sender, *key, *digest;
    bool known, differs;
  };
  const Case cases[] = {
      {"shop", "key", "digest", true, false},   {"shop", "key", "other", true, true},
      {"bank", "key", "other", false, false},   {"", "key", "digest", false, false},
      {"shop", "key2", "digest", false, false}, {"shop", "", "digest", false, false},
      {"shop", "", "digest", false, false},
  };
  uint64_t queued = 1;
  for (const Case& each : cases) {
    NewDelivery made = new_delivery("dlv_" + std::to_string(queued + 1), now());
    made.sender = each.sender;
    made.idempotency_key = each.key;
    made.digest = each.digest;
    const std::string what = each.sender + std::string(" ") + each.key + " " + each.digest;
    EXPECT_EQ(store_->known(made)->has_value(), each.known) << what;
    const Accepted accepted = accept(made).value();
    EXPECT_EQ(accepted.known, each.known) << what;
    EXPECT_EQ(accepted.differs, each.differs) << what;
    EXPECT_EQ(accepted.id, each.known ? "dlv_1" : made.id) << what;
    EXPECT_EQ(accepted.state, State::queued) << what;
    queued += each.known ? 0 : 1;
    EXPECT_EQ(store_->stats()->queued, queued) << what;
  }
  EXPECT_EQ(*within([&] { return store_->cancel("dlv_1", now()); }), State::queued);
  EXPECT_EQ(accept(first)->state, State::cancelled) << "what is said is what is so";
}

TEST_P(StoreAccept, RefusesMoreThanTheDeliveriesOfItsBounds) {
  bounds_.max_deliveries = 2;
  NewDelivery keyed = new_delivery("dlv_1", now());
  keyed.idempotency_key = "key";
  accept(keyed).value();
  keep("dlv_2");
  EXPECT_EQ(accept(new_delivery("dlv_3", now())).error().reason, Reason::queue_full);
  keyed.id = "dlv_4";
  EXPECT_TRUE(accept(keyed)->known);
  // One that runs is one, too; one that has come to its end is none.
  const Claimed claimed = claim(1).at(0);
  EXPECT_FALSE(accept(new_delivery("dlv_3", now())));
  settle(claimed, State::delivered);
  EXPECT_TRUE(accept(new_delivery("dlv_3", now())));
}

TEST_P(StoreAccept, ForgetsWhatHasEndedToMakeRoomAndTheDeadLast) {
  const uint64_t each =
      new_delivery("dlv_1", now()).head.size() + new_delivery("dlv_1", now()).body.size();
  bounds_.max_size = 4 * each;
  finish("dlv_1", State::delivered);
  finish("dlv_2", State::cancelled);
  finish("dlv_3", State::dead);
  keep("dlv_4");
  EXPECT_EQ(store_->stats()->bytes, 4 * each);
  for (const std::string gone : {"dlv_1", "dlv_2"}) {
    EXPECT_TRUE(is_there(gone));
    EXPECT_TRUE(accept(new_delivery(gone == "dlv_1" ? "dlv_5" : "dlv_6", now())));
    EXPECT_FALSE(is_there(gone));
  }
  EXPECT_EQ(store_->stats()->evicted, 0U);
  EXPECT_TRUE(accept(new_delivery("dlv_7", now())));
  EXPECT_FALSE(is_there("dlv_3"));
  EXPECT_EQ(store_->stats()->evicted, 1U);
  const Result<Accepted> refused = accept(new_delivery("dlv_8", now()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::queue_full);
  close_soundly();
}

// Many small ones stand where one large one is to be.
TEST_P(StoreAccept, ALargeOneTakesTheDeadNotWhileOthersAreLeft) {
  EXPECT_TRUE(store_->begin());
  for (int i = 0; i < 150; ++i) {
    const std::string id = "dlv_" + std::to_string(i);
    EXPECT_TRUE(store_->accept(new_delivery(id, now(), id), bounds_));
  }
  EXPECT_TRUE(store_->commit());
  const std::vector<Claimed> lent = claim(200);
  EXPECT_TRUE(store_->begin());
  for (const Claimed& each : lent) {
    const State state = each.id == "dlv_0" ? State::dead : State::delivered;
    EXPECT_TRUE(store_->settle({.number = each.number,
                                .lane = each.lane,
                                .fence = each.fence,
                                .state = state,
                                .attempt = Attempt{.began = now(), .status = 204}},
                               now()));
  }
  EXPECT_TRUE(store_->commit());
  const Stats before = *store_->stats();
  EXPECT_EQ(before.delivered, 149U);
  bounds_.max_size = before.bytes;

  NewDelivery large = new_delivery("large", now());
  large.body.assign(before.bytes, 'x');
  EXPECT_EQ(accept(large).error().reason, Reason::queue_full);
  EXPECT_EQ(store_->stats()->bytes, before.bytes) << "nothing goes for what has no room anyway";

  large.body.assign(before.bytes / 5 * 4, 'x');
  EXPECT_TRUE(accept(large));
  EXPECT_LT(store_->stats()->delivered, 49U);
  EXPECT_TRUE(is_there("dlv_0"));
  EXPECT_EQ(store_->stats()->evicted, 0U);
  close_soundly();
}

TEST_P(StoreAccept, NothingGoesForWhatIsKnown) {
  NewDelivery keyed = new_delivery("keyed", now(), "other lane");
  keyed.idempotency_key = "key";
  accept(keyed).value();
  settle(claim(1).at(0), State::dead);
  finish("dlv_1", State::delivered);
  bounds_.max_size = store_->stats()->bytes;
  keyed.id = "again";
  EXPECT_EQ(accept(keyed)->id, "keyed");
  EXPECT_TRUE(is_there("dlv_1"));
}

TEST_P(StoreAccept, IsUndoneByARollback) {
  keep("dlv_1");
  EXPECT_TRUE(store_->begin());
  EXPECT_TRUE(store_->accept(new_delivery("dlv_2", now()), bounds_));
  store_->rollback();
  EXPECT_FALSE(is_there("dlv_2"));
  EXPECT_EQ(store_->stats()->queued, 1U);
  keep("dlv_2");
  close_soundly();
}

EGRET_BOTH_STORES(StoreAccept);

}  // namespace
}  // namespace egret::queue
