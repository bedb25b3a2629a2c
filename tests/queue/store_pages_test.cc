#include <map>

#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

using StoreReplay = StoreTest;
using StoreCancel = StoreTest;
using StoreShow = StoreTest;
using StoreSweep = StoreTest;

Ids ids_of(const Page& page) {
  Ids ids;
  for (const Listed& each : page.deliveries) ids.push_back(each.id);
  return ids;
}

TEST_P(StoreReplay, QueuesWhatHasEndedFromTheBeginning) {
  for (const State state : {State::delivered, State::dead, State::cancelled}) {
    const std::string id(to_string(state));
    finish(id, state);
    clock_.advance(1s);
    EXPECT_EQ(within([&] { return store_->replay(id, now()); }).value(), state);
    const Listed listed = show(id).delivery;
    EXPECT_EQ(listed.state, State::queued);
    EXPECT_EQ(listed.due, now());
    EXPECT_EQ(listed.finished, std::nullopt);
    const std::vector<Claimed> claimed = claim();
    ASSERT_EQ(claimed.size(), 1U) << id;
    EXPECT_EQ(claimed[0].tries, 0U);
    settle(claimed[0], State::dead);
    EXPECT_EQ(show(id).attempts.size(), state == State::cancelled ? 1U : 2U);
  }
  EXPECT_EQ(store_->stats()->dead, 3U);
  close_soundly();
}

TEST_P(StoreReplay, LeavesWhatIsQueuedOrRunningAsItIs) {
  NewDelivery made = new_delivery("dlv_1", now());
  made.due = now() + 1h;
  accept(made).value();
  EXPECT_EQ(within([&] { return store_->replay("dlv_1", now()); }).value(), State::queued);
  EXPECT_EQ(store_->next_due().value(), now() + 1h);
  clock_.advance(1h);
  const std::vector<Claimed> claimed = claim();
  EXPECT_EQ(within([&] { return store_->replay("dlv_1", now()); }).value(), State::running);
  EXPECT_EQ(claim_ids(), Ids{});
  EXPECT_EQ(within([&] { return store_->replay("none", now()); }).value(), std::nullopt);
}

TEST_P(StoreReplay, OfAFifoLaneComesFirstAgain) {
  NewDelivery made = new_delivery("dlv_1", now());
  made.fifo = true;
  accept(made).value();
  settle(claim().at(0), State::dead);
  made.id = "dlv_2";
  made.due = now() + 1h;
  accept(made).value();
  EXPECT_EQ(within([&] { return store_->replay("dlv_1", now()); }).value(), State::dead);
  EXPECT_EQ(claim_ids(), Ids{"dlv_1"});
}

TEST_P(StoreCancel, TakesOnlyWhatIsQueued) {
  finish("delivered", State::delivered);
  finish("dead", State::dead);
  finish("cancelled", State::cancelled);
  keep("running");
  const Claimed running = claim().at(0);
  keep("queued");
  for (const State state :
       {State::delivered, State::dead, State::cancelled, State::running, State::queued}) {
    const std::string id(to_string(state));
    EXPECT_EQ(within([&] { return store_->cancel(id, now()); }).value(), state);
    EXPECT_EQ(show(id).delivery.state, state == State::queued ? State::cancelled : state);
  }
  EXPECT_EQ(within([&] { return store_->cancel("none", now()); }).value(), std::nullopt);
  settle(running, State::delivered);
  EXPECT_EQ(claim_ids(), Ids{});
  EXPECT_EQ(store_->next_due().value(), std::nullopt);
  close_soundly();
}

TEST_P(StoreCancel, OfAFifoHeadLetsTheNextGo) {
  NewDelivery made = new_delivery("head", now());
  made.fifo = true;
  made.due = now() + 1h;
  accept(made).value();
  made.id = "next";
  made.due = now();
  accept(made).value();
  EXPECT_EQ(claim_ids(), Ids{});
  EXPECT_EQ(within([&] { return store_->cancel("head", now()); }).value(), State::queued);
  EXPECT_EQ(claim_ids(), Ids{"next"});
}

class StoreList : public StoreTest {
 protected:
  // Newest first: e (bank, 7 o'clock), d, c (other host), b (dead), a.
  void fill() {
    for (const char* id : {"a", "b", "c", "d", "e"}) {
      NewDelivery made = new_delivery(id, now(), id);
      if (*id == 'c') made.destination = "https://[2001:db8::1]:8443/x:y";
      if (*id == 'e') made.sender = "bank";
      accept(made).value();
      clock_.advance(1min);
    }
    for (const Claimed& each : claim()) settle(each, each.id == "b" ? State::dead : State::queued);
  }
};

TEST_P(StoreList, ShowsWhatItsFilterLetsThroughNewestFirst) {
  const WallTime start = now();
  fill();
  struct Case {
    Filter filter;
    Ids ids;
  };
  const Case cases[] = {
      {{}, {"e", "d", "c", "b", "a"}},
      {{.state = State::dead}, {"b"}},
      {{.state = State::queued}, {"e", "d", "c", "a"}},
      {{.state = State::running}, {}},
      {{.host = "hooks.example"}, {"e", "d", "b", "a"}},
      {{.host = "2001:db8::1"}, {"c"}},
      {{.host = "hooks"}, {}},
      {{.sender = "bank"}, {"e"}},
      {{.sender = "nobody"}, {}},
      {{.since = start + 3min}, {"e", "d"}},
      {{.since = start + 1h}, {}},
      {{.state = State::queued, .host = "hooks.example", .sender = "shop", .since = start + 1min},
       {"d"}},
      {{.before = 3}, {"b", "a"}},
      {{.before = 1}, {}},
      {{.before = -1}, {}},
      {{.limit = 2}, {"e", "d"}},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(ids_of(store_->list(each.filter).value()), each.ids)
        << &each - cases << ". of the table";
  }
}

TEST_P(StoreList, GoesOnWhereItsCursorIs) {
  fill();
  Ids all;
  Filter filter{.host = "hooks.example", .limit = 2};
  for (int pages = 0; pages < 3; ++pages) {
    const Page page = store_->list(filter).value();
    for (const std::string& id : ids_of(page)) all.push_back(id);
    if (!page.next) break;
    filter.before = *page.next;
    keep("late" + std::to_string(pages));  // what comes meanwhile disturbs nothing
  }
  EXPECT_EQ(all, (Ids{"e", "d", "b", "a"}));
}

TEST_P(StoreList, IsEmptyWhenNothingIsThere) {
  const Page page = store_->list({}).value();
  EXPECT_TRUE(page.deliveries.empty());
  EXPECT_FALSE(page.next);
}

TEST_P(StoreShow, TellsADeliveryWithItsAttempts) {
  const WallTime accepted = now();
  keep("dlv_1");
  const Attempt failed{.began = now(),
                       .resolve_ms = 1,
                       .connect_ms = 2,
                       .tls_ms = 3,
                       .wait_ms = 4,
                       .total_ms = 10,
                       .status = 0,
                       .reason = "connection_refused",
                       .detail = "detail",
                       .address = "192.0.2.1:443",
                       .answer = std::string("\0answer", 7)};
  Claimed claimed = claim().at(0);
  settle({.number = claimed.number,
          .lane = claimed.lane,
          .fence = claimed.fence,
          .due = now() + 1s,
          .attempt = failed});
  EXPECT_EQ(show("dlv_1").delivery.due, now() + 1s);
  clock_.advance(1s);
  claimed = claim().at(0);
  settle(claimed, State::delivered);

  const Shown shown = show("dlv_1");
  EXPECT_EQ(shown.delivery.webhook_id, "msg_dlv_1");
  EXPECT_EQ(shown.delivery.sender, "shop");
  EXPECT_EQ(shown.delivery.rule, "hooks");
  EXPECT_EQ(shown.delivery.method, "POST");
  EXPECT_EQ(shown.delivery.destination, "https://hooks.example:443/in");
  EXPECT_EQ(shown.delivery.state, State::delivered);
  EXPECT_EQ(shown.delivery.attempts, 2U);
  EXPECT_EQ(shown.delivery.accepted, accepted);
  EXPECT_EQ(shown.delivery.finished, now());
  EXPECT_EQ(shown.delivery.size, std::string("content of dlv_1").size());
  ASSERT_EQ(shown.attempts.size(), 2U);
  const Attempt& first = shown.attempts[0];
  EXPECT_EQ(first.began, failed.began);
  EXPECT_EQ((std::vector{first.resolve_ms, first.connect_ms, first.tls_ms, first.wait_ms,
                         first.total_ms, int64_t{first.status}}),
            (std::vector<int64_t>{1, 2, 3, 4, 10, 0}));
  EXPECT_EQ(first.reason, failed.reason);
  EXPECT_EQ(first.detail, failed.detail);
  EXPECT_EQ(first.address, failed.address);
  EXPECT_EQ(first.answer, failed.answer);
  EXPECT_EQ(shown.attempts[1].status, 204);
}

TEST_P(StoreShow, TellsTheContent) {
  NewDelivery made = new_delivery("dlv_1", now());
  made.body.assign(100'000, '\0');
  accept(made).value();
  NewDelivery empty = new_delivery("dlv_2", now());
  empty.body.clear();
  accept(empty).value();
  const Content content = store_->content("dlv_1").value().value();
  EXPECT_EQ(content.head, made.head);
  EXPECT_EQ(content.body, made.body);
  EXPECT_EQ(store_->content("dlv_2").value()->body, "");
  EXPECT_FALSE(store_->content("none")->has_value());
  EXPECT_FALSE(is_there("none"));
}

TEST_P(StoreSweep, ForgetsWhatIsOverItsTime) {
  bounds_.delivered = 10min;
  bounds_.dead = 30min;
  finish("delivered", State::delivered);
  finish("cancelled", State::cancelled);
  finish("dead", State::dead);
  keep("queued");
  const auto left = [&] {
    EXPECT_FALSE(*within([&] { return store_->sweep(bounds_, now()); }));
    return ids_of(store_->list({}).value());
  };
  clock_.advance(10min);
  EXPECT_EQ(left(), (Ids{"queued", "dead", "cancelled", "delivered"}));
  clock_.advance(1ms);
  EXPECT_EQ(left(), (Ids{"queued", "dead"}));
  clock_.advance(20min);
  EXPECT_EQ(left(), Ids{"queued"});
  bounds_.dead = Duration::max();
  settle(claim().at(0), State::dead);
  clock_.advance(std::chrono::hours(24 * 365));
  EXPECT_EQ(left(), Ids{"queued"});
  close_soundly();
}

TEST_P(StoreSweep, ForgetsABoundedNumberAtOnce) {
  EXPECT_TRUE(store_->begin());
  for (int i = 0; i < 250; ++i) {
    const std::string id = std::to_string(i);
    EXPECT_TRUE(store_->accept(new_delivery(id, now()), bounds_));
    EXPECT_TRUE(store_->cancel(id, now()));
  }
  EXPECT_TRUE(store_->commit());
  clock_.advance(bounds_.delivered + 1ms);
  EXPECT_TRUE(*within([&] { return store_->sweep(bounds_, now()); }));
  EXPECT_EQ(store_->stats()->cancelled, 50U);
  EXPECT_FALSE(*within([&] { return store_->sweep(bounds_, now()); }));
  EXPECT_EQ(store_->stats()->bytes, 0U);
  store_.reset();
  EXPECT_EQ(place_.count("lanes"), Ids{"0"});
  place_.expect_sound();
}

TEST_P(StoreShow, StatsTellHowManyThereAreOfEachAndTheOldest) {
  EXPECT_EQ(store_->stats()->oldest, std::nullopt);
  finish("delivered", State::delivered);
  finish("dead", State::dead);
  finish("cancelled", State::cancelled);
  clock_.advance(1min);
  const WallTime oldest = now();
  keep("running");
  EXPECT_EQ(claim_ids(), Ids{"running"});
  clock_.advance(1min);
  keep("queued");
  const Stats stats = store_->stats().value();
  EXPECT_EQ(stats.queued, 2U);
  EXPECT_EQ(stats.running, 1U);
  EXPECT_EQ(stats.delivered, 1U);
  EXPECT_EQ(stats.dead, 1U);
  EXPECT_EQ(stats.cancelled, 1U);
  EXPECT_EQ(stats.oldest, oldest);
  uint64_t bytes = 0;
  for (const char* id : {"delivered", "dead", "cancelled", "running", "queued"}) {
    bytes += new_delivery(id, now()).head.size() + new_delivery(id, now()).body.size();
  }
  EXPECT_EQ(stats.bytes, bytes);
}

TEST_P(StoreShow, TheOldestIsFoundInTheEndBehindMuchThatIsOver) {
  keep("first");
  ASSERT_TRUE(store_->begin());
  for (int i = 0; i < 2500; ++i) {
    const std::string id = std::to_string(i);
    ASSERT_TRUE(store_->accept(new_delivery(id, now()), bounds_));
    ASSERT_TRUE(store_->cancel(id, now()));
  }
  EXPECT_TRUE(store_->commit());
  clock_.advance(1min);
  keep("last");
  EXPECT_TRUE(store_->stats());
  EXPECT_TRUE(within([&] { return store_->cancel("first", now()); }));
  int looks = 0;
  while (store_->stats()->oldest != now() && looks < 10) ++looks;
  EXPECT_LE(looks, 3);
}

TEST_P(StoreShow, TheOldestIsTheOneOfThoseThatAreQueuedWhateverBecomesOfOthers) {
  const auto oldest = [&] { return store_->stats()->oldest; };
  std::map<std::string, WallTime> at;
  for (const char* id : {"a", "b", "c"}) {
    clock_.advance(1min);
    at[id] = now();
    keep(id);
  }
  EXPECT_EQ(oldest(), at["a"]);
  EXPECT_TRUE(within([&] { return store_->cancel("a", now()); }));
  EXPECT_EQ(oldest(), at["b"]);
  EXPECT_TRUE(within([&] { return store_->cancel("b", now()); }));
  EXPECT_EQ(oldest(), at["c"]);

  ASSERT_TRUE(store_->begin());
  EXPECT_TRUE(store_->replay("a", now()));
  store_->rollback();
  EXPECT_EQ(oldest(), at["c"]);
  EXPECT_TRUE(within([&] { return store_->replay("b", now()); }));
  EXPECT_EQ(oldest(), at["b"]);
  EXPECT_TRUE(within([&] { return store_->replay("a", now()); }));
  EXPECT_EQ(oldest(), at["a"]);
  reopen();
  EXPECT_EQ(oldest(), at["a"]);

  for (const char* id : {"a", "b", "c"}) {
    EXPECT_TRUE(within([&] { return store_->cancel(id, now()); }));
  }
  EXPECT_EQ(oldest(), std::nullopt);
  clock_.advance(bounds_.delivered + 1ms);
  EXPECT_TRUE(within([&] { return store_->sweep(bounds_, now()); }));
  EXPECT_FALSE(is_there("c"));
  keep("d");  // its number may have been another's
  EXPECT_EQ(oldest(), now());
  close_soundly();
}

EGRET_BOTH_STORES(StoreReplay);
EGRET_BOTH_STORES(StoreCancel);
EGRET_BOTH_STORES(StoreList);
EGRET_BOTH_STORES(StoreShow);
EGRET_BOTH_STORES(StoreSweep);

}  // namespace
}  // namespace egret::queue
