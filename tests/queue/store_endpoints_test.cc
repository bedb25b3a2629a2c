#include <gtest/gtest.h>

#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;

class StoreEndpoints : public testing::TestWithParam<Kind> {
 protected:
  WallTime now() { return clock_.wall(); }
  // Within a transaction, which is kept.
  template <typename Work>
  auto in(Work work) {
    EXPECT_TRUE(store_->begin());
    auto result = work();
    EXPECT_TRUE(result);
    EXPECT_TRUE(store_->commit());
    return std::move(*result);
  }
  Accepted accept(const std::string& id, const std::string& host = "a.example", bool fifo = false,
                  const std::string& path = "/") {
    const NewDelivery delivery{.id = id,
                               .webhook_id = "msg_" + id,
                               .sender = "",
                               .rule = "r",
                               .method = "POST",
                               .destination = "https://" + host + ":443" + path,
                               .host = host,
                               .lane = "https://" + host,
                               .fifo = fifo,
                               .width = 8,
                               .idempotency_key = "",
                               .digest = "",
                               .head = "POST https://" + host + "/ HTTP/1.1\r\n\r\n",
                               .body = "x",
                               .accepted = now(),
                               .due = now()};
    return in([&] { return store_->accept(delivery, Bounds()); });
  }
  std::vector<Claimed> claim(size_t most = 100) {
    return in([&] { return store_->claim({.most = most, .most_bytes = UINT64_MAX}, now()); });
  }
  void settle(const Claimed& claimed, bool well, std::string why = {}, bool blame = true) {
    in([&] {
      return store_->settle({.number = claimed.number,
                             .lane = claimed.lane,
                             .fence = claimed.fence,
                             .state = well ? State::delivered : State::queued,
                             .due = now(),
                             .attempt = Attempt{.began = now(), .status = well ? 200 : 500},
                             .well = well,
                             .blame = !well && blame,
                             .disable_why = std::move(why),
                             .disable_after = 120h},
                            now());
    });
  }
  std::vector<Endpoint> endpoints() {
    return in([&] { return store_->endpoints(); });
  }
  State state_of(const std::string& id) {
    return in([&] { return store_->show(id); })->delivery.state;
  }
  bool sweep() {
    return in([&] { return store_->sweep(Bounds(), now()); });
  }

  Place place_{GetParam()};
  test::ManualClock clock_;
  std::unique_ptr<Store> store_ = place_.open(clock_.wall());
};

TEST_P(StoreEndpoints, OneThatFailsIsKnownUntilItSucceeds) {
  accept("1");
  const WallTime first = now();
  settle(claim().at(0), false);
  clock_.advance(1h);
  settle(claim().at(0), false);
  ASSERT_EQ(endpoints().size(), 1U);
  EXPECT_EQ(endpoints()[0].host, "a.example");
  EXPECT_EQ(endpoints()[0].url, "https://a.example:443/");
  EXPECT_EQ(endpoints()[0].failing_since, first);
  EXPECT_FALSE(endpoints()[0].disabled);
  settle(claim().at(0), true);
  EXPECT_TRUE(endpoints().empty());
}

TEST_P(StoreEndpoints, OneThatHasFailedForTooLongIsSwitchedOff) {
  accept("1");
  settle(claim().at(0), false);
  for (const Duration wait : {Duration(40h), Duration(40h), Duration(39h)}) {
    clock_.advance(wait);
    settle(claim().at(0), false);
  }
  EXPECT_FALSE(endpoints().at(0).disabled);
  clock_.advance(1h);
  settle(claim().at(0), false);
  EXPECT_EQ(endpoints().at(0).disabled, now());
  EXPECT_EQ(endpoints().at(0).why, "nothing has succeeded for 120 h");
  EXPECT_TRUE(claim().empty());
  EXPECT_EQ(state_of("1"), State::dead);
}

TEST_P(StoreEndpoints, FewFailuresOrASilenceSayNothing) {
  accept("1");
  for (int i = 0; i < 3; ++i) {
    settle(claim().at(0), false);
    clock_.advance(45h);
  }
  settle(claim().at(0), false);  // the fourth, after 135 h
  EXPECT_FALSE(endpoints().at(0).disabled) << "four failures are few";
  clock_.advance(49h);
  settle(claim().at(0), false);
  EXPECT_FALSE(endpoints().at(0).disabled) << "nobody has tried for two days";
  EXPECT_EQ(endpoints().at(0).failing_since, now());
}

TEST_P(StoreEndpoints, WhatIsNotItsFaultIsNotHeldAgainstIt) {
  accept("1");
  settle(claim().at(0), false, "", false);
  EXPECT_TRUE(endpoints().empty());
}

TEST_P(StoreEndpoints, AnOldFailureIsForgotten) {
  accept("1");
  settle(claim().at(0), false);
  clock_.advance(24h * 7);
  sweep();
  EXPECT_EQ(endpoints().size(), 1U);
  clock_.advance(1s);
  sweep();
  EXPECT_TRUE(endpoints().empty());
}

TEST_P(StoreEndpoints, ManyAreForgottenInSteps) {
  for (int i = 0; i < 600; ++i) accept(std::to_string(i), std::to_string(i) + ".example");
  for (const Claimed& each : claim(600)) {
    settle(each, false, std::stoi(each.id) < 60 ? "it answers 410 Gone" : "");
    const std::string note = "note " + each.id;
    in([&] { return store_->remember(note, "1", now()); });
  }
  EXPECT_TRUE(sweep()) << "notes";
  EXPECT_FALSE(sweep());
  clock_.advance(24h * 8);
  EXPECT_TRUE(sweep()) << "what has failed";
  EXPECT_FALSE(sweep());
  EXPECT_EQ(endpoints().size(), 60U);
}

TEST_P(StoreEndpoints, AUrlIsSwitchedOffAsLongAsWhatIsDeadIsKeptAndAHostUntilItIsSwitchedOn) {
  accept("1");
  settle(claim().at(0), false, "it answers 410 Gone");
  in([&] { return store_->disable("b.example", "by the operator", now()); });
  clock_.advance(24h * 30);
  EXPECT_FALSE(sweep());
  EXPECT_EQ(accept("2").state, State::dead);
  clock_.advance(1s);
  EXPECT_FALSE(sweep());
  EXPECT_EQ(accept("3").state, State::queued);
  EXPECT_EQ(store_->stats()->disabled, 1U);
  ASSERT_EQ(endpoints().size(), 1U);
  EXPECT_EQ(endpoints()[0].host, "b.example");
  EXPECT_EQ(accept("4", "b.example").state, State::dead);
}

TEST_P(StoreEndpoints, AUrlThatWantsNoMoreIsSwitchedOffAndNothingElseOfItsHost) {
  for (const bool fifo : {false, true}) {
    accept(fifo ? "f1" : "1", "a.example", fifo, "/gone");
    accept(fifo ? "f2" : "2", "a.example", fifo, "/gone");
  }
  accept("well", "a.example", false, "/");
  std::vector<Claimed> claimed = claim();
  ASSERT_EQ(claimed.size(), 2U) << "one of each lane";
  for (const Claimed& each : claimed) settle(each, false, "it answers 410 Gone");
  EXPECT_EQ(endpoints().at(0).url, "https://a.example:443/gone");
  EXPECT_EQ(endpoints().at(0).why, "it answers 410 Gone");
  std::vector<std::string> sent;
  for (int i = 0; i < 5; ++i) {
    for (const Claimed& each : claim()) {
      sent.push_back(each.id);
      settle(each, true);
    }
  }
  EXPECT_EQ(sent, std::vector<std::string>{"well"});
  for (const char* id : {"1", "2", "f1", "f2"}) EXPECT_EQ(state_of(id), State::dead) << id;
  EXPECT_EQ(accept("3", "a.example", false, "/gone").state, State::dead);
  EXPECT_EQ(state_of("3"), State::dead);
  EXPECT_EQ(accept("4").state, State::queued);
  const Result<Stats> stats = store_->stats();
  EXPECT_EQ(stats->dead, 5U);
  EXPECT_EQ(stats->queued, 1U);
  EXPECT_EQ(stats->disabled, 1U);
  EXPECT_TRUE(in([&] { return store_->enable("a.example", now()); }));
  EXPECT_EQ(store_->stats()->disabled, 0U);
  EXPECT_EQ(accept("5", "a.example", false, "/gone").state, State::queued);
}

TEST_P(StoreEndpoints, TheOperatorSwitchesOffAndOn) {
  accept("1");
  EXPECT_TRUE(in([&] { return store_->disable("a.example", "by the operator", now()); }));
  EXPECT_FALSE(in([&] { return store_->disable("a.example", "again", now()); }));
  EXPECT_EQ(endpoints().at(0).why, "by the operator");
  EXPECT_TRUE(claim().empty());
  EXPECT_TRUE(in([&] { return store_->enable("a.example", now()); }));
  EXPECT_FALSE(in([&] { return store_->enable("a.example", now()); }));
  EXPECT_EQ(claim().size(), 1U) << "what was not dead yet goes on";
  EXPECT_TRUE(endpoints().empty());
}

TEST_P(StoreEndpoints, WhatIsUnderWayWhenItsHostIsSwitchedOffIsSettledAsItGoes) {
  for (const char* id : {"1", "2"}) accept(id);
  const std::vector<Claimed> lent = claim();
  ASSERT_EQ(lent.size(), 1U);
  EXPECT_TRUE(in([&] { return store_->disable("a.example", "by the operator", now()); }));
  EXPECT_FALSE(sweep()) << "there is no more to do";
  EXPECT_EQ(state_of("1"), State::running);
  EXPECT_EQ(state_of("2"), State::dead);
  settle(lent[0], true);
  EXPECT_EQ(state_of("1"), State::delivered);
  EXPECT_EQ(store_->stats()->queued, 0U);
}

// One that is dead at once is none of the lane's that run, but it tells how wide the lane is now.
TEST_P(StoreEndpoints, ADeadOneThatMakesItsLaneNarrowerLendsNothing) {
  accept("gone", "a.example", false, "/gone");
  settle(claim().at(0), false, "it answers 410 Gone");
  EXPECT_TRUE(claim().empty());
  NewDelivery made = new_delivery("", now());
  made.width = 8;
  for (int i = 0; i < 20; ++i) {
    made.id = std::to_string(i);
    EXPECT_EQ(in([&] { return store_->accept(made, Bounds()); }).state, State::queued);
  }
  for (int i = 0; i < 4; ++i) settle(claim(1).at(0), true);
  EXPECT_EQ(claim(3).size(), 3U);
  made.id = "narrow";
  made.width = 2;
  made.destination = "https://a.example:443/gone";
  EXPECT_EQ(in([&] { return store_->accept(made, Bounds()); }).state, State::dead);
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreEndpoints, AHostThatIsOffStaysSoAfterACrash) {
  accept("1");
  EXPECT_EQ(claim().size(), 1U);
  in([&] { return store_->disable("a.example", "by the operator", now()); });
  store_.reset();
  store_ = place_.open(now());
  EXPECT_TRUE(claim().empty());
  EXPECT_EQ(store_->stats()->disabled, 1U);
}

TEST_P(StoreEndpoints, WhatIsDeadComesBackByReplay) {
  accept("1");
  in([&] { return store_->disable("a.example", "by the operator", now()); });
  sweep();
  in([&] { return store_->enable("a.example", now()); });
  EXPECT_TRUE(claim().empty());
  in([&] { return store_->replay("1", now()); });
  EXPECT_EQ(claim().size(), 1U);
}

TEST_P(StoreEndpoints, ManyAreBuriedInSteps) {
  for (int i = 0; i < 1200; ++i) accept(std::to_string(i));
  in([&] { return store_->disable("a.example", "by the operator", now()); });
  EXPECT_TRUE(sweep());
  EXPECT_TRUE(sweep());
  EXPECT_FALSE(sweep());
  EXPECT_EQ(store_->stats()->dead, 1200U);
}

TEST_P(StoreEndpoints, NotesAreKeptUntilTheirTime) {
  const WallTime until = now() + 1h;
  in([&] { return store_->remember("consent:a", "1", until); });
  in([&] { return store_->remember("consent:a", "2", until); });
  EXPECT_EQ(in([&] { return store_->recall("consent:a", now()); }), "2");
  EXPECT_EQ(in([&] { return store_->recall("consent:b", now()); }), std::nullopt);
  EXPECT_EQ(in([&] { return store_->recall("consent:a", until); }), std::nullopt);
  clock_.advance(1h);
  sweep();
  store_.reset();
  EXPECT_EQ(place_.count("notes"), Rows{"0"});
}

EGRET_BOTH_STORES(StoreEndpoints);

}  // namespace
}  // namespace egret::queue
