#include <gtest/gtest.h>

#include "tests/config/support.h"

namespace egret::config {
namespace {

using policy::DeliveryMode;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Queue, IsReadWhole) {
  const auto settings = must_load(
      "queue:\n"
      "  store: sqlite:/var/lib/egret/q.db\n"
      "  max_deliveries: 5\n"
      "  max_size: 2MiB\n"
      "  retention: {delivered: 1m, dead: 2d}\n"
      "defaults:\n"
      "  delivery: {mode: async, schedule: [5s, 5s, 1m], jitter: 0%, order: host}\n"
      "rules:\n"
      "  - name: a\n"
      "    match: {hosts: [a.example]}\n"
      "    delivery: {mode: fallback, order: none}\n"
      "  - name: b\n"
      "    delivery: {mode: on-request, order: key, schedule: []}\n");
  const Queue wanted{.path = "/var/lib/egret/q.db",
                     .max_deliveries = 5,
                     .max_size = 2 << 20,
                     .delivered = minutes(1),
                     .dead = hours(48)};
  EXPECT_EQ(settings->queue, wanted);
  const policy::Delivery& defaults = settings->defaults.delivery;
  EXPECT_EQ(defaults.mode, DeliveryMode::async);
  EXPECT_EQ(defaults.schedule, (std::vector<Duration>{seconds(5), seconds(5), minutes(1)}));
  EXPECT_EQ(defaults.jitter, 0);
  EXPECT_EQ(defaults.order, policy::Order::host);
  EXPECT_EQ(settings->rules[0].delivery.mode, DeliveryMode::fallback);
  EXPECT_EQ(settings->rules[0].delivery.order, policy::Order::none);
  EXPECT_EQ(settings->rules[0].delivery.schedule, defaults.schedule);
  EXPECT_EQ(settings->rules[1].delivery.mode, DeliveryMode::on_request);
  EXPECT_EQ(settings->rules[1].delivery.order, policy::Order::key);
  EXPECT_TRUE(settings->rules[1].delivery.schedule.empty());
}

TEST(Queue, IsNotThereUnlessItIsAskedFor) {
  EXPECT_FALSE(must_load("{}")->queue.has_value());
  EXPECT_EQ(must_load("{}")->defaults.delivery.mode, DeliveryMode::sync);
}

TEST(Isolation, IsRead) {
  const auto settings = must_load(
      "queue: {store: \"sqlite:q\"}\n"
      "defaults:\n"
      "  delivery: {mode: async}\n"
      "  breaker: {failures: 3, window: 10s, cooldown: 5s}\n"
      "  rate: {per_host: 20/min, burst: 4}\n"
      "  disable: {on_410: false, after: none}\n"
      "rules:\n"
      "  - name: a\n"
      "    match: {hosts: [a.example]}\n"
      "    breaker: none\n"
      "    rate: {per_host: none}\n"
      "  - name: b\n"
      "    rate: {per_host: 100/s}\n"
      "    disable: {after: 1d}\n");
  const policy::Rule& defaults = settings->defaults;
  EXPECT_EQ(defaults.breaker, (policy::Breaker{3, seconds(10), seconds(5)}));
  EXPECT_EQ(defaults.rate, (policy::Rate{seconds(3), 4}));
  EXPECT_EQ(defaults.disable, (policy::Disable{false, Duration::max()}));
  EXPECT_EQ(settings->rules[0].breaker.failures, 0U);
  EXPECT_EQ(settings->rules[0].rate.every, Duration::zero());
  EXPECT_EQ(settings->rules[1].rate.every, std::chrono::milliseconds(10));
  EXPECT_EQ(settings->rules[1].disable, (policy::Disable{false, hours(24)}));
  for (const char* wrong :
       {"0/s", "1", "1/h", "-1/s", "1.5/s", "01/s", "2000000/s", "/s", "1/s/s"}) {
    const Loaded loaded = load("defaults: {rate: {per_host: " + std::string(wrong) + "}}\n");
    EXPECT_NE(all_text(loaded).find("per_host"), std::string::npos) << wrong;
  }
}

TEST(Isolation, ARuleMaySwitchNothingOff) {
  const policy::Disable never{.on_410 = false, .after = Duration::max()};
  const auto settings = must_load(
      "queue: {store: \"sqlite:q\"}\n"
      "defaults: {delivery: {mode: async}, disable: {after: 1d}}\n"
      "rules: [{name: a, disable: none}]\n");
  EXPECT_EQ(settings->defaults.disable, (policy::Disable{true, hours(24)}));
  EXPECT_EQ(settings->rules[0].disable, never);
  EXPECT_EQ(must_load("defaults: {disable: none}\n")->defaults.disable, never);
}

TEST(Queue, MistakesAreSaid) {
  const std::pair<const char*, const char*> all[] = {
      {"queue: {}\n", "a store is needed"},
      {"queue: {max_deliveries: 5}\n", "a store is needed"},
      {"queue: {store: queue.db}\n", "is no store"},
      {"queue: {store: \"sqlite:\"}\n", "is no store"},
      {"queue: {store: \"sqlite:/var/lib/\"}\n", "is no store"},
      {"queue: {store: \"postgresql:u@h/db\"}\n", "is no store"},
      {"queue: {store: \"postgresql://\"}\n", "is no URI"},
      {"queue: {store: \"postgresql://h/d b\"}\n", "is no URI"},
      {"queue: {store: \"postgresql://u:plant@h/db\"}\n", "a secret does not stand in the text"},
      {"queue: {store: \"postgres://h/db?password=plant\"}\n", "a secret does not stand"},
      {"queue: {store: \"postgresql://h/db?sslPassword=plant\"}\n", "a secret does not stand"},
      {"queue: {store: \"postgresql://h/db\", password: plant}\n", "a secret does not stand"},
      {"queue: {store: \"sqlite:q\", password: {env: DB_WORD}}\n", "only a postgresql://"},
      {"queue: {store: \"sqlite:q\", max_deliveries: 0}\n", "max_deliveries"},
      {"queue: {store: \"sqlite:q\", max_size: 1B}\n", "out of range"},
      {"queue: {store: \"sqlite:q\", retention: {dead: 0s}}\n", "out of range"},
      {"queue: {store: \"sqlite:q\", retention: {died: 1d}}\n", "unknown key"},
      {"queue: {store: \"sqlite:q\"}\n", "nothing uses it"},
      {"defaults: {delivery: {mode: async}}\n", "a store is needed"},
      {"defaults: {delivery: {mode: later}}\n", "not one of"},
      {"defaults: {delivery: async}\n", "found \"async\"; write {mode: async}"},
      {"defaults: {delivery: 5}\n", "expected a mapping of keys, found one value"},
      {"defaults: {delivery: {schedule: [5]}}\n", "schedule"},
      {"defaults: {delivery: {order: fifo}}\n", "not one of"},
      {"rules: [{name: a, disable: {after: 1d}}]\n", "without a queue"},
      {"rules: [{name: a, rate: {burst: 5}}]\n", "per_host is none"},
      {"defaults: {breaker: {failures: 0}}\n", "breaker: none switches it off"},
      {"defaults: {disable: {after: never}}\n", "; or write none"},
      {"defaults: {disable: {after: 1d}}\n", "without a queue"},
      {"defaults: {rate: {burst: 5}}\n", "here and in every rule"},
      {"defaults: {delivery: {order: host}}\n", "here and in every rule"},
      {"defaults: {breaker: never}\n", "breaker"},
      {"defaults: {disable: never}\n", "disable: expected a mapping"},
      {"rules: [{name: a, delivery: {order: host}}]\n", "nothing is kept while mode is sync"},
      {"defaults: {delivery: {mode: fallback, order: key}}\n", "may overtake"},
      {"defaults: {delivery: {order: host}}\nrules: [{name: a, delivery: {mode: fallback}}]\n",
       "may overtake"},
  };
  for (const auto& [text, wanted] : all) {
    const Loaded loaded = load(text);
    EXPECT_NE(all_text(loaded).find(wanted), std::string::npos) << text << all_text(loaded);
    EXPECT_EQ(all_text(loaded).find("plant"), std::string::npos) << all_text(loaded);
  }
}

TEST(Queue, IsNotSaidToBeUnusedWhenWhatUsesItIsWrong) {
  for (const char* delivery : {"async", "{mode: asinc}", "[]"}) {
    const std::string text =
        "queue: {store: \"sqlite:q\"}\ndefaults: {delivery: " + std::string(delivery) + "}\n";
    const Loaded loaded = load(text);
    EXPECT_EQ(loaded.settings, nullptr) << text;
    EXPECT_EQ(loaded.diagnostics.size(), 1U) << text << all_text(loaded);
  }
}

TEST(Queue, MayBeAPostgresqlWithItsPasswordElsewhere) {
  for (const char* uri :
       {"postgresql://egret@db.example/egret?sslmode=verify-full&passfile=/etc/egret/pgpass",
        "postgres:///egret?host=/run/postgresql", "postgresql://egret@[2001:db8::1]:5433/egret",
        "postgresql://a.example:5432,b.example:5433/egret?target_session_attrs=read-write"}) {
    const auto settings =
        must_load("queue: {store: \"" + std::string(uri) + "\", max_deliveries: 5}\n" +
                  "defaults: {delivery: {mode: async}}\n");
    EXPECT_EQ(settings->queue->postgres, uri);
    EXPECT_EQ(settings->queue->path, "");
    EXPECT_FALSE(settings->queue->password);
    EXPECT_FALSE(settings->holds_secrets());
  }
  const auto settings = must_load(
      "queue: {store: \"postgresql://egret@db.example/egret\", password: {env: DB_WORD}}\n"
      "defaults: {delivery: {mode: async}}\n");
  EXPECT_TRUE(settings->queue->password->equals("s3cret"));
  EXPECT_TRUE(settings->holds_secrets());
}

TEST(Queue, AnAdminListenerThatSendersMayUseIsWarnedOf) {
  const std::string keeping =
      "queue: {store: \"sqlite:q\"}\n"
      "defaults: {delivery: {mode: async}}\n";
  const std::string senders = "senders: [{name: a, networks: [127.0.0.0/8]}]\n";
  const std::pair<std::string, bool> all[] = {
      {keeping + senders, true},
      {keeping + senders + "admin: {address: \"[::1]:4751\"}\n", true},
      {keeping + senders + "admin: {address: \"unix:/run/admin.sock\"}\n", false},
      {keeping + senders + "admin: {token: {file: token}}\n", false},
      {keeping, false},
      {senders, false},
  };
  for (const auto& [text, warned] : all) {
    const std::string said = all_text(load(text));
    EXPECT_EQ(said.find("without a token every process") != std::string::npos, warned)
        << text << said;
    EXPECT_EQ(said.empty(), !warned) << text << said;
  }
}

TEST(Queue, DefaultsThatARuleCompletesOrThatAreBuiltInAreNoMistake) {
  for (const char* text :
       {"defaults: {disable: {on_410: true}, rate: {burst: 1}, delivery: {order: none}}\n",
        "defaults: {rate: {burst: 5}}\nrules: [{name: a, rate: {per_host: 1/s}}]\n",
        "queue: {store: \"sqlite:q\"}\ndefaults: {delivery: {mode: fallback, order: none}}\n",
        "queue: {store: \"sqlite:q\"}\ndefaults: {delivery: {mode: on-request, order: key}}\n",
        "queue: {store: \"sqlite:q\"}\n"
        "defaults: {delivery: {order: host}, disable: {after: 1d}}\n"
        "rules: [{name: a, delivery: {mode: async}}]\n"}) {
    EXPECT_EQ(all_text(load(text)), "") << text;
  }
}

}  // namespace
}  // namespace egret::config
