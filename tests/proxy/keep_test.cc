// What is kept: 202 once it is on stable storage, and delivered when its sender has gone.

#include <gtest/gtest.h>

#include "tests/support/proxy_queue.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using queue::State;
using test::FarEnd;
using test::KeepingSandbox;
using test::Kind;
using test::kOk;
using test::Message;
using test::post;

constexpr std::string_view kAsync =
    "defaults: {delivery: {mode: async, schedule: [10s, 60s], jitter: 0%}}\n";
constexpr std::string_view kOnRequest = "defaults: {delivery: {mode: on-request, jitter: 0%}}\n";
constexpr std::string_view kFallback =
    "defaults: {delivery: {mode: fallback, schedule: [10s, 60s], jitter: 0%}}\n";

std::string answer(int status, std::string_view fields = {}) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + std::string(fields) +
         "Content-Length: 2\r\n\r\nno";
}

std::string id_of(const Message& accepted) { return accepted.field("Egret-Delivery"); }

TEST(Keeping, AnswersWith202AndDeliversWhenTheSenderHasGone) {
  KeepingSandbox gateway(kAsync);
  gateway.stop_dispatcher();
  FarEnd sender = gateway.connect();
  sender.send(post("hello", "X-Own: 1\r\nwebhook-id: mine_1\r\nPrefer: return=minimal\r\n"));
  EXPECT_EQ(sender.received(), "") << "nothing is said before it is on stable storage";
  const Message accepted = gateway.answer(sender);
  EXPECT_EQ(accepted.status(), 202);
  EXPECT_EQ(accepted.field("Content-Type"), "application/json");
  EXPECT_EQ(accepted.body, "{\"delivery\":\"" + id_of(accepted) + "\",\"status\":\"queued\"}\n");
  EXPECT_EQ(accepted.field("Location"), "http://127.0.0.1:4751/v1/deliveries/" + id_of(accepted));
  EXPECT_EQ(accepted.field("Preference-Applied"), "");
  EXPECT_EQ(accepted.field("Proxy-Status"), "egret");
  EXPECT_EQ(accepted.field("Egret-Attempts"), "");
  EXPECT_EQ(gateway.logged("status"), "202");
  EXPECT_EQ(gateway.logged("delivery"), id_of(accepted));
  EXPECT_EQ(gateway.destinations(), 0U);
  sender.close();
  gateway.start_dispatcher();
  const Message got = gateway.request();
  EXPECT_EQ(got.start, "POST /in HTTP/1.1");
  EXPECT_EQ(got.body, "hello");
  EXPECT_EQ(got.field("Host"), "hooks.acme.io");
  EXPECT_EQ(got.field("X-Own"), "1");
  EXPECT_EQ(got.field("webhook-id"), "mine_1");
  EXPECT_EQ(got.count("webhook-id"), 1U);
  EXPECT_EQ(got.count("Via"), 1U);
  gateway.destination().send(kOk);
  gateway.settle();
  const auto shown = gateway.show(id_of(accepted));
  ASSERT_TRUE(shown.has_value());
  EXPECT_EQ(shown->delivery.state, State::delivered);
  ASSERT_EQ(shown->attempts.size(), 1U);
  EXPECT_EQ(shown->attempts[0].status, 200);
  EXPECT_EQ(shown->attempts[0].answer, "ok");
  EXPECT_EQ(shown->attempts[0].address, KeepingSandbox::kEndpoint);
  EXPECT_EQ(gateway.logged("listener"), "queue");
  EXPECT_EQ(gateway.logged("delivery"), id_of(accepted));
  gateway.expect_at_rest();
}

TEST(Keeping, KeepsTheSendersConnection) {
  KeepingSandbox gateway(kAsync);
  FarEnd sender = gateway.connect();
  // Two at once: what is behind the first is the second, and no part of it.
  sender.send(post("one") + post("two"));
  EXPECT_EQ(gateway.answer(sender).status(), 202);
  EXPECT_EQ(gateway.answer(sender).status(), 202);
  std::string chunked =
      "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\n"
      "Transfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n";
  sender.send(chunked);
  EXPECT_EQ(gateway.answer(sender).status(), 202);
  EXPECT_EQ(gateway.request().body, "one");
  gateway.destination().send(kOk);
  gateway.settle();
  // The lane's window begins at one and has widened.
  EXPECT_EQ(gateway.request(0).body, "two");
  EXPECT_EQ(gateway.request(1).body, "three");
  EXPECT_EQ(gateway.stats().running, 2U);
}

TEST(Keeping, JudgesAtAcceptance) {
  KeepingSandbox gateway(kAsync);
  gateway.dns.answer("inside.acme.io", {"10.0.0.7"});
  gateway.dns.fail("broken.acme.io", Reason::dns_timeout);
  struct Judged {
    const char* url;
    int status;
    const char* reason;
  };
  const Judged all[] = {
      {"http://10.0.0.7/", 403, "address_prohibited"},
      {"http://inside.acme.io/", 403, "address_prohibited"},
      {"http://hooks.acme.io:81/", 403, "port_prohibited"},
      {"http://nowhere.acme.io/", 502, "name_not_found"},
      // For now only: it is kept, and judged when its address is known.
      {"http://broken.acme.io/", 202, ""},
  };
  for (const Judged& each : all) {
    const Message got = gateway.sent(std::string("POST ") + each.url +
                                     " HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
    EXPECT_EQ(got.status(), each.status) << each.url;
    if (each.status != 202) {
      EXPECT_EQ(got.problem("reason"), each.reason) << each.url;
    }
  }
  EXPECT_EQ(gateway.stats().queued, 1U);
}

TEST(Keeping, JudgesAgainBeforeEachAttempt) {
  KeepingSandbox gateway(kAsync);
  gateway.stop_dispatcher();
  gateway.dns.answer("moves.acme.io", {"93.184.215.20"});
  gateway.dns.answer("moves.acme.io", {"10.0.0.7"});
  const std::string id = id_of(
      gateway.sent("POST http://moves.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"));
  gateway.advance(10min);  // the cache has forgotten
  gateway.start_dispatcher();
  gateway.settle();
  EXPECT_EQ(gateway.destinations(), 0U);
  const auto shown = gateway.show(id);
  EXPECT_EQ(shown->delivery.state, State::queued);
  ASSERT_EQ(shown->attempts.size(), 1U);
  EXPECT_EQ(shown->attempts[0].reason, "address_prohibited");
}

TEST(Keeping, FollowsTheScheduleUntilItIsDead) {
  KeepingSandbox gateway(kAsync);
  const std::string id = id_of(gateway.sent(post("x")));
  const std::string webhook_id = gateway.request().field("webhook-id");
  EXPECT_NE(webhook_id, "");
  gateway.destination().send(answer(500));
  gateway.settle();
  for (const Duration wait : {Duration(10s), Duration(60s)}) {
    EXPECT_EQ(gateway.show(id)->delivery.state, State::queued);
    gateway.advance(wait - 1ms);
    EXPECT_EQ(gateway.stats().running, 0U);
    gateway.advance(1ms);
    const size_t last = gateway.destinations() - 1;
    EXPECT_EQ(gateway.request(last).field("webhook-id"), webhook_id);
    gateway.destination(last).send(answer(503));
    gateway.settle();
  }
  const auto shown = gateway.show(id);
  EXPECT_EQ(shown->delivery.state, State::dead);
  EXPECT_EQ(shown->attempts.size(), 3U);
  EXPECT_EQ(shown->attempts[2].answer, "no");
  EXPECT_EQ(gateway.queue().counts().dead, 1U);
  EXPECT_EQ(gateway.queue().counts().again, 2U);
}

TEST(Keeping, ObeysWhatTheDestinationSays) {
  struct Said {
    std::string answer;
    State state;
  };
  const Said all[] = {
      {answer(410), State::dead},
      {answer(400, "webhook-delivery: abort-message\r\n"), State::dead},
      {answer(503, "webhook-delivery: disable\r\n"), State::dead},
      {answer(400), State::queued},
      {answer(302, "Location: http://10.0.0.7/\r\n"), State::queued},
      {"nonsense\r\n\r\n", State::queued},
      {std::string(kOk), State::delivered},
  };
  for (const Said& each : all) {
    KeepingSandbox gateway(kAsync);
    const std::string id = id_of(gateway.sent(post("x")));
    gateway.request();
    gateway.destination().send(each.answer);
    gateway.settle();
    EXPECT_EQ(gateway.show(id)->delivery.state, each.state) << each.answer;
  }
}

TEST(Keeping, RetryAfterLengthensAWait) {
  KeepingSandbox gateway(kAsync);
  gateway.sent(post("x"));
  gateway.request();
  gateway.destination().send(answer(429, "Retry-After: 30\r\n"));
  gateway.settle();
  gateway.advance(29s);
  EXPECT_EQ(gateway.destination().received(), "");
  gateway.advance(1s);
  EXPECT_EQ(gateway.request(gateway.destinations() - 1).body, "x");
}

TEST(Keeping, SignsEachAttemptAnewAndStoresNoKey) {
  test::Gateway::environment()["HUB"] = "hub-secret-hub-secret";
  KeepingSandbox gateway(
      "keys: {hub: {scheme: slack, secrets: [{env: HUB}]}}\n"
      "defaults: {sign: [hub], delivery: {mode: async, schedule: [10s], jitter: 0%}}\n");
  FarEnd sender = gateway.connect();
  sender.send(post("x", "X-Slack-Signature: forged\r\n"));
  gateway.settle();
  const Message first = gateway.request();
  gateway.destination().send(answer(500));
  gateway.advance(10s);
  const Message second = gateway.request(gateway.destinations() - 1);
  EXPECT_NE(first.field("X-Slack-Signature"), "");
  EXPECT_NE(first.field("X-Slack-Signature"), second.field("X-Slack-Signature"));
  EXPECT_EQ(second.count("X-Slack-Signature"), 1U);
  EXPECT_EQ(first.field("webhook-id"), second.field("webhook-id"));
}

TEST(Keeping, OnRequestIsForWhoAsks) {
  struct Asked {
    const char* fields;
    int status;
    const char* applied;
  };
  const Asked all[] = {
      {"", 200, ""},
      {"Prefer: return=minimal\r\n", 200, ""},
      {"Prefer: respond-async\r\n", 202, "respond-async"},
      {"Prefer: return=minimal\r\nPrefer: respond-async; x=y\r\n", 202, "respond-async"},
      {"Prefer: respond-async, wait=0\r\n", 202, "respond-async, wait=0"},
      {"Prefer: wait=5\r\n", 200, ""},  // it answers in time
  };
  for (const Asked& each : all) {
    KeepingSandbox gateway(kOnRequest);
    FarEnd sender = gateway.connect();
    sender.send(post("x", each.fields));
    const Message got = gateway.request();
    EXPECT_EQ(got.body, "x");
    const bool asks = std::string_view(each.fields).find("respond") != std::string_view::npos ||
                      std::string_view(each.fields).find("wait") != std::string_view::npos;
    if (asks) {
      EXPECT_EQ(got.field("Prefer"), "") << each.fields;
    }
    gateway.destination().send(kOk);
    const Message answered = gateway.answer(sender);
    EXPECT_EQ(answered.status(), each.status) << each.fields;
    EXPECT_EQ(answered.field("Preference-Applied"), each.applied) << each.fields;
  }
}

TEST(Keeping, WaitsAsLongAsTheSenderDoesAndThenKeepsIt) {
  KeepingSandbox gateway(kOnRequest);
  FarEnd sender = gateway.connect();
  sender.send(post("x", "Prefer: wait=3\r\n"));
  const Message first = gateway.request();
  gateway.advance(2999ms);
  EXPECT_EQ(sender.received(), "");
  gateway.advance(1ms);
  const Message accepted = gateway.answer(sender);
  EXPECT_EQ(accepted.status(), 202);
  EXPECT_EQ(accepted.field("Preference-Applied"), "wait=3");
  EXPECT_EQ(accepted.field("Egret-Attempts"), "1");
  EXPECT_TRUE(gateway.destination(0).ended()) << "the attempt that was cut off";
  gateway.advance(5s);  // the first wait of the schedule
  const Message second = gateway.request(1);
  EXPECT_EQ(second.field("webhook-id"), first.field("webhook-id"));
  EXPECT_NE(first.field("webhook-id"), "");
  gateway.destination(1).send(kOk);
  gateway.settle();
  EXPECT_EQ(gateway.show(id_of(accepted))->delivery.state, State::delivered);
}

TEST(Keeping, FallbackKeepsWhatFailed) {
  struct Failed {
    std::string answer;  // empty: the connection is reset
    int status;
  };
  const Failed all[] = {
      {"", 202},
      {answer(500), 202},
      {answer(404), 202},
      {answer(302, "Location: http://elsewhere.example/\r\n"), 202},
      {"nonsense\r\n\r\n", 202},
      {std::string(kOk), 200},
      {answer(410), 410},
      {answer(400, "webhook-delivery: abort-message\r\n"), 400},
  };
  for (const Failed& each : all) {
    KeepingSandbox gateway(kFallback);
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    const Message first = gateway.request();
    if (each.answer.empty()) {
      gateway.destination().reset();
    } else {
      gateway.destination().send(each.answer);
    }
    const Message got = gateway.answer(sender);
    EXPECT_EQ(got.status(), each.status) << each.answer;
    if (each.status != 202) {
      EXPECT_EQ(gateway.stats().queued, 0U);
      continue;
    }
    gateway.advance(10s);
    const size_t last = gateway.destinations() - 1;
    const Message second = gateway.request(last);
    EXPECT_EQ(second.body, "x") << each.answer;
    EXPECT_EQ(second.field("webhook-id"), first.field("webhook-id"));
    gateway.destination(last).send(kOk);
    gateway.settle();
    EXPECT_EQ(gateway.show(id_of(got))->delivery.state, State::delivered);
  }
}

TEST(Keeping, FallbackKeepsTheUrlThatWasAskedForAndNotTheLastHop) {
  KeepingSandbox gateway(
      "defaults: {redirects: {follow: any}, delivery: {mode: fallback, schedule: [10s], jitter: "
      "0%}}\n");
  gateway.dns.answer("other.acme.io", {"93.184.215.99"});
  FarEnd sender = gateway.connect();
  sender.send(post("x", "Authorization: Bearer t\r\n"));
  gateway.request();
  gateway.destination().send(answer(307, "Location: http://other.acme.io/there\r\n"));
  const Message hop = gateway.request(1);
  EXPECT_EQ(hop.field("Host"), "other.acme.io");
  EXPECT_EQ(hop.field("Authorization"), "");
  gateway.destination(1).send(answer(500));
  EXPECT_EQ(gateway.answer(sender).status(), 202);
  gateway.advance(10s);
  const Message again = gateway.request(gateway.destinations() - 1);
  EXPECT_EQ(again.field("Host"), "hooks.acme.io");
  EXPECT_EQ(again.field("Authorization"), "Bearer t");
}

TEST(Keeping, KeepsWhatTheAttemptNeedsOfTheHead) {
  KeepingSandbox gateway(
      "defaults: {redirects: {follow: any}, delivery: {mode: async, schedule: [10s]}}\n");
  gateway.dns.answer("other.acme.io", {"93.184.215.99"});
  gateway.sent(post("x",
                    "Egret-Sensitive: X-Token\r\nX-Token: t\r\nProxy-Authorization: Basic "
                    "eDp5\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"));
  const Message got = gateway.request();
  EXPECT_EQ(got.field("X-Token"), "t");
  EXPECT_EQ(got.field("X-Hop"), "");
  EXPECT_EQ(got.head.find("Egret-"), std::string::npos);
  EXPECT_EQ(got.head.find("Proxy-"), std::string::npos);
  gateway.destination().send(answer(307, "Location: http://other.acme.io/there\r\n"));
  EXPECT_EQ(gateway.request(1).field("X-Token"), "");
}

TEST(Keeping, TellsOneSenderNothingOfAnothersKey) {
  KeepingSandbox gateway(kAsync);
  gateway.stop_dispatcher();
  const std::string key = "Idempotency-Key: k1\r\n";
  const Message first = gateway.sent(post("x", key));
  const Message again = gateway.sent(post("x", key));
  EXPECT_EQ(id_of(again), id_of(first));
  EXPECT_EQ(gateway.stats().queued, 1U);
  const Message other = gateway.sent(post("y", key));
  EXPECT_EQ(other.status(), 422);
  EXPECT_EQ(other.problem("reason"), "idempotency_key_reused");
  EXPECT_EQ(gateway.sent(post("x", key + key)).problem("reason"), "header_invalid");
  EXPECT_EQ(gateway.sent(post("x", "Idempotency-Key: " + std::string(257, 'k') + "\r\n"))
                .problem("reason"),
            "header_invalid");
  gateway.start_dispatcher();
  EXPECT_EQ(gateway.request().field("Idempotency-Key"), "k1") << "forwarded too";
}

TEST(Keeping, AKnownKeyIsNotTriedASecondTime) {
  KeepingSandbox gateway(kFallback);
  FarEnd sender = gateway.connect();
  const std::string request = post("x", "Idempotency-Key: k1\r\n");
  sender.send(request);
  gateway.request();
  gateway.destination().send(answer(500));
  const Message first = gateway.answer(sender);
  EXPECT_EQ(first.status(), 202);
  const Message again = gateway.sent(request);
  EXPECT_EQ(id_of(again), id_of(first));
  EXPECT_EQ(gateway.destination().received(), "");
}

TEST(Keeping, SaysWhenItCannotKeep) {
  KeepingSandbox gateway(kAsync, {.max_deliveries = 1});
  gateway.stop_dispatcher();
  EXPECT_EQ(gateway.sent(post("x")).status(), 202);
  const Message full = gateway.sent(post("x"));
  EXPECT_EQ(full.status(), 503);
  EXPECT_EQ(full.problem("reason"), "queue_full");
  EXPECT_NE(full.field("Retry-After"), "");
  gateway.break_store(true);
  const Message broken = gateway.sent(post("x"));
  EXPECT_EQ(broken.status(), 503);
  EXPECT_EQ(broken.problem("reason"), "queue_unavailable");
  gateway.break_store(false);
  EXPECT_EQ(gateway.sent(post("x")).problem("reason"), "queue_full") << "it works again";
}

// Content that was received apart from its head has left the buffer: nothing more may be taken out.
TEST(Keeping, GoesOnWithTheConnectionWhenGatheredContentCannotBeKept) {
  KeepingSandbox gateway(kAsync);
  gateway.stop_dispatcher();
  gateway.break_store(true);
  FarEnd sender = gateway.connect();
  const std::string whole = post(std::string(50'000, 'x'));
  sender.send(std::string_view(whole).substr(0, 20'000));
  sender.send(std::string_view(whole).substr(20'000));
  EXPECT_EQ(gateway.answer(sender).problem("reason"), "queue_unavailable");
  gateway.break_store(false);
  sender.send(post("next") + post("behind"));
  EXPECT_EQ(gateway.answer(sender).status(), 202);
  EXPECT_EQ(gateway.answer(sender).status(), 202);
}

TEST(Keeping, AStoreThatFailsLosesNoOutcome) {
  KeepingSandbox gateway(kAsync);
  const std::string id = id_of(gateway.sent(post("x")));
  gateway.request();
  gateway.break_store(true);
  gateway.destination().send(kOk);
  gateway.settle();
  gateway.advance(3s);
  gateway.break_store(false);
  gateway.advance(1s);
  EXPECT_EQ(gateway.show(id)->delivery.state, State::delivered);
  EXPECT_EQ(gateway.destination().received(), "") << "it was sent once";
}

TEST(Keeping, ADrainLetsAttemptsFinishAndBeginsNone) {
  KeepingSandbox gateway(kAsync);
  const std::string first = id_of(gateway.sent(post("1")));
  const std::string second = id_of(gateway.sent(post("2")));
  gateway.request();
  gateway.dispatcher().drain();
  gateway.drain();
  EXPECT_FALSE(gateway.dispatcher().at_rest());
  gateway.destination().send(kOk);
  gateway.settle();
  EXPECT_TRUE(gateway.dispatcher().at_rest());
  EXPECT_EQ(gateway.show(first)->delivery.state, State::delivered);
  EXPECT_EQ(gateway.show(second)->delivery.state, State::queued);
  EXPECT_TRUE(gateway.show(second)->attempts.empty());
}

TEST(Keeping, ADeadDestinationDelaysNobodyElse) {
  KeepingSandbox gateway(kAsync);
  gateway.dns.answer("dead.acme.io", {"93.184.215.77"});
  for (int i = 0; i < 100; ++i) {
    gateway.sent("POST http://dead.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
  }
  const std::string id = id_of(gateway.sent(post("live")));
  EXPECT_EQ(gateway.destinations(), 2U) << "one attempt at the dead one, one at the other";
  EXPECT_EQ(gateway.request(1).body, "live");
  gateway.destination(1).send(kOk);
  gateway.settle();
  EXPECT_EQ(gateway.show(id)->delivery.state, State::delivered);
}

TEST(Keeping, InOrderNothingOvertakes) {
  KeepingSandbox gateway(
      "defaults: {delivery: {mode: async, order: key, schedule: [10s], jitter: 0%}}\n");
  gateway.sent(post("a1", "Egret-Order-Key: a\r\n"));
  gateway.sent(post("a2", "Egret-Order-Key: a\r\n"));
  gateway.sent(post("b1", "Egret-Order-Key: b\r\n"));
  EXPECT_EQ(gateway.request(0).body, "a1");
  EXPECT_EQ(gateway.request(1).body, "b1");
  gateway.destination(0).send(answer(500));
  gateway.destination(1).send(kOk);
  gateway.settle();
  EXPECT_EQ(gateway.destination(0).received() + gateway.destination(1).received(), "");
  gateway.advance(10s);
  const size_t next = gateway.destinations() - 1;
  EXPECT_EQ(gateway.request(next).body, "a1");
  gateway.destination(next).send(kOk);
  gateway.settle();
  EXPECT_EQ(gateway.stats().running, 1U);
  EXPECT_EQ(gateway.sent(post("x", "Egret-Order-Key: " + std::string(257, 'k') + "\r\n"))
                .problem("reason"),
            "header_invalid");
}

}  // namespace
}  // namespace egret::proxy
