// What goes wrong between a store and its server: nothing that was said to be kept is lost, nothing
// is kept twice, nothing waits for ever.
#include <signal.h>

#include <chrono>
#include <functional>

#include "tests/queue/cutting_proxy.h"
#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;

class PostgresFaults : public testing::Test {
 protected:
  explicit PostgresFaults(PostgresServer& server = PostgresServer::shared())
      : server_(server), schema_(server.new_schema()), proxy_(server.socket()) {}

  PostgresOptions options() {
    return {.uri = server_.uri(schema_, proxy_.folder()),
            .say = [this](const std::string& what) { said_.push_back(what); },
            .answer = 3s,
            .stats = Duration::zero()};
  }
  std::unique_ptr<Store> open() { return open(options()); }
  static std::unique_ptr<Store> open(PostgresOptions options) {
    Result<std::unique_ptr<Store>> opened = open_postgres_store(std::move(options));
    if (!opened) throw std::runtime_error(opened.error().detail);
    return std::move(*opened);
  }
  [[nodiscard]] WallTime now() const { return clock_.wall(); }
  // A transaction; what fails is rolled back, as the queue does.
  static Result<> within(Store& store, const std::function<Result<>()>& work) {
    Result<> done = store.begin();
    if (done) done = work();
    if (done) done = store.commit();
    if (!done) store.rollback();
    return done;
  }
  Result<> keep(Store& store, const std::string& id, const std::string& lane = "lane") {
    return within(store, [&]() -> Result<> {
      const Result<Accepted> accepted = store.accept(new_delivery(id, now(), lane), {});
      if (!accepted) return Unexpected(accepted.error());
      return {};
    });
  }
  Result<> claim(Store& store, std::vector<Claimed>& all) {
    const Result<> done = within(store, [&]() -> Result<> {
      Result<std::vector<Claimed>> some =
          store.claim({.most = 100, .most_bytes = UINT64_MAX}, now());
      if (!some) return Unexpected(some.error());
      all = std::move(*some);
      return {};
    });
    if (!done) all.clear();
    return done;
  }
  Result<> settle(Store& store, const Claimed& claimed) {
    return within(store, [&] {
      return store.settle({.number = claimed.number,
                           .lane = claimed.lane,
                           .fence = claimed.fence,
                           .state = State::delivered,
                           .attempt = Attempt{.began = now(), .status = 204},
                           .well = true},
                          now());
    });
  }
  // As the queue does it: once more after a failure, until it is there again.
  template <typename Step>
  void surely(Step step) {
    Result<> done = step();
    for (int i = 0; i < 50 && !done; ++i) {
      std::this_thread::sleep_for(50ms);
      done = step();
    }
    EXPECT_TRUE(done) << done.error().detail;
  }
  Rows rows(const std::string& sql) { return server_.rows(schema_, sql); }

  PostgresServer& server_;
  std::string schema_;
  CuttingProxy proxy_;
  test::ManualClock clock_;
  std::vector<std::string> said_;
};

TEST_F(PostgresFaults, ACommitWhoseAnswerIsLostIsDoneOnce) {
  const std::unique_ptr<Store> store = open();
  EXPECT_TRUE(keep(*store, "dlv_0"));
  proxy_.cut_at_request("commit");
  EXPECT_FALSE(keep(*store, "dlv_1"));
  EXPECT_EQ(proxy_.cuts(), 1);
  EXPECT_EQ(rows("SELECT id FROM egret_deliveries ORDER BY number"), (Rows{"dlv_0", "dlv_1"}));
  EXPECT_TRUE(keep(*store, "dlv_1")) << "it finds itself";
  EXPECT_EQ(store->stats()->queued, 2U);

  std::vector<Claimed> claimed;
  EXPECT_TRUE(claim(*store, claimed));
  ASSERT_EQ(claimed.size(), 1U);
  proxy_.cut_at_request("commit");
  EXPECT_FALSE(settle(*store, claimed[0]));
  EXPECT_TRUE(settle(*store, claimed[0]));
  EXPECT_EQ(store->show("dlv_0").value()->attempts.size(), 1U);
  EXPECT_EQ(store->stats()->running, 0U);
}

TEST_F(PostgresFaults, AClaimWhoseAnswerIsLostIsGivenBack) {
  std::unique_ptr<Store> store = open();
  EXPECT_TRUE(keep(*store, "dlv_1"));
  proxy_.cut_at_request("commit");
  std::vector<Claimed> claimed;
  EXPECT_FALSE(claim(*store, claimed));
  EXPECT_EQ(rows("SELECT state FROM egret_deliveries"), Rows{"1"}) << "lent, and nobody knows it";
  surely([&] { return store->tick(now()); });
  EXPECT_EQ(rows("SELECT state FROM egret_deliveries"), Rows{"0"});
  claimed.clear();
  EXPECT_TRUE(claim(*store, claimed));
  EXPECT_EQ(claimed.size(), 1U);
  store.reset();
  expect_sound(server_, schema_);
}

// A round of all that a queue does, cut at each point at which anything is sent.
TEST_F(PostgresFaults, WhereverItIsCutNothingIsLostAndNothingIsTwice) {
  int round = 0;
  int last = 1;
  for (int at = 1; at <= last; ++at, ++round) {
    const std::string id = "dlv_" + std::to_string(round);
    {
      const std::unique_ptr<Store> store = open();
      const int before = proxy_.requests();
      if (round > 0) proxy_.cut_before_request(at);
      surely([&] { return keep(*store, id); });
      std::vector<Claimed> claimed;
      for (int i = 0; i < 50 && claimed.empty(); ++i) {
        static_cast<void>(claim(*store, claimed));
        if (claimed.empty()) static_cast<void>(store->tick(now()));
        if (claimed.empty()) std::this_thread::sleep_for(20ms);
      }
      ASSERT_EQ(claimed.size(), 1U) << at;
      surely([&] { return settle(*store, claimed[0]); });
      surely([&] { return store->tick(now()); });
      proxy_.cut_before_request(0);
      if (round == 0) last = proxy_.requests() - before + 2;
      EXPECT_EQ(store->show(id).value()->delivery.state, State::delivered);
      EXPECT_EQ(store->show(id).value()->attempts.size(), 1U) << at;
    }
    expect_sound(server_, schema_);
  }
  EXPECT_GE(proxy_.cuts(), last - 2);
}

TEST_F(PostgresFaults, AnIdleConnectionThatWasEndedIsMadeAnewAtOnce) {
  const std::unique_ptr<Store> store = open();
  EXPECT_TRUE(keep(*store, "dlv_1"));
  const std::string owner = rows("SELECT owner FROM egret_owners").front();
  EXPECT_EQ(rows("SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity "
                 "WHERE application_name = 'egret' AND pid <> pg_backend_pid()"),
            Rows{"t"});
  EXPECT_TRUE(keep(*store, "dlv_2"));
  EXPECT_EQ(rows("SELECT owner FROM egret_owners"), Rows{owner}) << "the same as before";
  EXPECT_TRUE(said_.empty());
}

TEST_F(PostgresFaults, OneThatIsEndedInATransactionLosesThatOnly) {
  std::unique_ptr<Store> store = open();
  EXPECT_TRUE(keep(*store, "dlv_1"));
  EXPECT_TRUE(store->begin());
  EXPECT_TRUE(store->accept(new_delivery("dlv_2", now()), {}));
  rows(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'egret' "
      "AND pid <> pg_backend_pid()");
  const Result<> kept = store->commit();
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().reason, Reason::queue_unavailable);
  store->rollback();
  EXPECT_TRUE(keep(*store, "dlv_2"));
  EXPECT_EQ(store->stats()->queued, 2U);
  store.reset();
  expect_sound(server_, schema_);
}

TEST_F(PostgresFaults, WhatCannotBeReachedIsRefusedAtOnceAndSaidOnce) {
  proxy_.refuse(true);
  const std::unique_ptr<Store> store = open();
  EXPECT_FALSE(keep(*store, "dlv_1"));
  EXPECT_FALSE(store->stats());
  EXPECT_FALSE(store->next_due());
  EXPECT_FALSE(store->show("dlv_1"));
  EXPECT_FALSE(store->tick(now()));
  ASSERT_EQ(said_.size(), 1U);
  EXPECT_NE(said_[0].find("PostgreSQL"), std::string::npos) << said_[0];
  proxy_.refuse(false);
  surely([&] { return keep(*store, "dlv_1"); });
  ASSERT_EQ(said_.size(), 2U);
  EXPECT_NE(said_[1].find("there again"), std::string::npos) << said_[1];
}

TEST_F(PostgresFaults, DataThatItDoesNotTakeIsRefusedAndHurtsNoOther) {
  const std::unique_ptr<Store> store = open();
  NewDelivery odd = new_delivery("dlv_1", now());
  odd.sender = "\xFF";
  EXPECT_FALSE(within(*store, [&]() -> Result<> {
    const Result<Accepted> accepted = store->accept(odd, {});
    if (!accepted) return Unexpected(accepted.error());
    return {};
  }));
  EXPECT_TRUE(keep(*store, "dlv_2"));
  // Where any byte may stand, any may.
  NewDelivery any = new_delivery("dlv_3", now(), "lane \xFF\n\x01");
  any.head = "POST http://a/ HTTP/1.1\r\nX: \xFF\xFE\r\n\r\n";
  any.idempotency_key = "\xFF";
  EXPECT_TRUE(within(*store, [&]() -> Result<> {
    const Result<Accepted> accepted = store->accept(any, {});
    if (!accepted) return Unexpected(accepted.error());
    return {};
  }));
  EXPECT_EQ(store->content("dlv_3").value()->head, any.head);
  EXPECT_TRUE(store->known(any)->has_value());
}

TEST_F(PostgresFaults, ADatabaseThatBecomesReadOnlyIsSaidToBe) {
  const std::unique_ptr<Store> store = open();
  EXPECT_TRUE(keep(*store, "dlv_1"));
  EXPECT_EQ(server_.run("public", "ALTER ROLE egret SET default_transaction_read_only = on"), "");
  EXPECT_EQ(check_postgres_store(server_.uri(schema_), Secret()).value(),
            "The queue's store: PostgreSQL: it is read-only (a standby?).");
  rows(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'egret' "
      "AND pid <> pg_backend_pid()");
  const Result<> kept = keep(*store, "dlv_2");
  ASSERT_FALSE(kept);
  EXPECT_NE(kept.error().detail.find("read-only"), std::string::npos) << kept.error().detail;
  EXPECT_EQ(server_.run("public",
                        "BEGIN READ WRITE; "
                        "ALTER ROLE egret RESET default_transaction_read_only; COMMIT"),
            "");
  surely([&] { return keep(*store, "dlv_2"); });
}

TEST_F(PostgresFaults, TablesOfALaterVersionOrOfSomebodyElseAreLeftAlone) {
  open().reset();
  EXPECT_EQ(check_postgres_store(server_.uri(schema_), Secret()).value(), "");
  EXPECT_EQ(server_.run(schema_, "UPDATE egret_schema SET version = 99"), "");
  const auto why_not = [&](const std::string& schema) {
    const Result<std::string> checked = check_postgres_store(server_.uri(schema), Secret());
    const Result<std::unique_ptr<Store>> opened = open_postgres_store({.uri = server_.uri(schema)});
    EXPECT_FALSE(opened);
    EXPECT_EQ(opened ? "" : opened.error().detail, checked.error().detail);
    return checked.error().detail;
  };
  EXPECT_EQ(why_not(schema_), "The queue's store: it was made by a later version of Egret.");
  const std::string other = server_.new_schema();
  EXPECT_EQ(server_.run(other, "CREATE TABLE egret_lanes (x integer)"), "");
  EXPECT_NE(why_not(other).find("not Egret's"), std::string::npos);
  EXPECT_EQ(server_.run(other, "CREATE TABLE egret_schema (x integer)"), "");
  EXPECT_NE(why_not(other).find("not Egret's"), std::string::npos);
}

TEST_F(PostgresFaults, ADatabaseThatCannotBeReachedIsCheckedAsWhatMayPass) {
  const Result<std::string> none = check_postgres_store("postgresql://?oops=1", Secret());
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().detail.find("oops"), std::string::npos) << none.error().detail;
  const Result<std::string> away = check_postgres_store("postgresql:///x?host=/nowhere", Secret());
  EXPECT_NE(away.value().find("/nowhere"), std::string::npos) << *away;
}

TEST_F(PostgresFaults, AnEmptyDatabaseIsCheckedAndLeftEmpty) {
  EXPECT_EQ(check_postgres_store(server_.uri(schema_), Secret()).value(), "");
  EXPECT_EQ(
      rows("SELECT count(*) FROM information_schema.tables WHERE table_schema = '" + schema_ + "'"),
      Rows{"0"});
}

// With a server of its own, which is stopped.
class PostgresDown : public testing::Test {};

TEST_F(PostgresDown, AServerThatHangsIsHungUpOn) {
  PostgresServer server;
  const std::string schema = server.new_schema();
  Result<std::unique_ptr<Store>> store = open_postgres_store(
      {.uri = server.uri(schema), .connect = 200ms, .answer = 200ms, .stats = Duration::zero()});
  ASSERT_TRUE(store);
  EXPECT_TRUE((*store)->begin());
  server.signal_all(SIGSTOP);
  const Result<Accepted> accepted =
      (*store)->accept(new_delivery("dlv_1", test::ManualClock().wall()), {});
  ASSERT_FALSE(accepted);
  EXPECT_NE(accepted.error().detail.find("not answered"), std::string::npos);
  (*store)->rollback();
  EXPECT_FALSE((*store)->begin());
  server.signal_all(SIGCONT);
  bool there = false;
  for (int i = 0; i < 200 && !there; ++i) {
    there = (*store)->begin().has_value();
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_TRUE(there);
  (*store)->rollback();
}

TEST_F(PostgresDown, OneThatWasKilledLosesNothingThatItHadCommitted) {
  PostgresServer server("fsync = on\n");
  const std::string schema = server.new_schema();
  Result<std::unique_ptr<Store>> store =
      open_postgres_store({.uri = server.uri(schema), .stats = Duration::zero()});
  ASSERT_TRUE(store);
  const auto keep = [&](const std::string& id) -> Result<> {
    Result<> done = (*store)->begin();
    if (done) {
      const Result<Accepted> accepted =
          (*store)->accept(new_delivery(id, test::ManualClock().wall()), {});
      if (!accepted) done = Unexpected(accepted.error());
    }
    if (done) done = (*store)->commit();
    if (!done) (*store)->rollback();
    return done;
  };
  EXPECT_TRUE(keep("dlv_1"));
  EXPECT_TRUE((*store)->begin());
  server.stop(SIGQUIT);
  (*store)->rollback();
  EXPECT_FALSE(keep("dlv_2"));
  server.start();
  Result<> kept = keep("dlv_2");
  for (int i = 0; i < 200 && !kept; ++i) {
    std::this_thread::sleep_for(50ms);
    kept = keep("dlv_2");
  }
  EXPECT_TRUE(kept);
  EXPECT_EQ((*store)->stats()->queued, 2U);
  store->reset();
  expect_sound(server, schema);
}

}  // namespace
}  // namespace egret::queue
