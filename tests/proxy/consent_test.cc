// Over `consent.above` a destination must have agreed; it is asked once, and what it says holds.

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
using test::Sandbox;

constexpr std::string_view kWebhook =
    "consent: {scheme: cloudevents, above: 1/min, origin: events.acme.io}";
constexpr std::string_view kChallenge = "consent: {scheme: challenge, above: 1/min}";
constexpr std::string_view kGranted =
    "HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: events.acme.io\r\nWebHook-Allowed-Rate: *\r\n"
    "Content-Length: 0\r\n\r\n";

std::string rule(std::string_view consent, std::string_view more = "") {
  return "defaults: {" + std::string(consent) + std::string(more) + "}\n";
}

// The connection to a destination on which a request has come, and that request: requests take
// idle connections, handshakes new ones.
size_t at = 0;
Message arrived(Sandbox& gateway) {
  for (size_t i = gateway.destinations(); i-- > 0;) {
    Message got = gateway.destination(i).take(Kind::request);
    at = i;
    if (!got.start.empty()) return got;
  }
  return {};
}
void reply(Sandbox& gateway, std::string_view answer) { gateway.destination(at).send(answer); }

// A request that passes, and what its destination got.
Message passes(Sandbox& gateway, std::string_view fields = "") {
  FarEnd sender = gateway.connect();
  sender.send(post("x", fields));
  Message got = arrived(gateway);
  EXPECT_EQ(got.body, "x");
  reply(gateway, kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  sender.close();
  return got;
}

Message refused(Sandbox& gateway) {
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  Message got = sender.take(Kind::answer);
  EXPECT_EQ(got.status(), 429);
  sender.close();
  return got;
}

// One that is over it, and asks; its answer is still to come.
FarEnd asks(Sandbox& gateway, Message& handshake, std::string_view fields = "") {
  FarEnd sender = gateway.connect();
  sender.send(post("x", fields));
  handshake = arrived(gateway);
  return sender;
}

TEST(Consent, IsAskedForAboveTheRateAndHolds) {
  Sandbox::environment()["SECRET"] = "s3cret";
  Sandbox gateway(rule(kWebhook,
                       ", rate: {per_host: 100/s, burst: 100}, headers: {set: {X-Key: "
                       "{env: SECRET}}}"));
  EXPECT_EQ(passes(gateway).field("WebHook-Request-Origin"), "events.acme.io");
  Message handshake;
  FarEnd sender = asks(gateway, handshake, "Authorization: Bearer s\r\nCookie: c\r\n");
  EXPECT_EQ(handshake.start, "OPTIONS /in HTTP/1.1");
  EXPECT_EQ(handshake.field("Host"), "hooks.acme.io");
  EXPECT_EQ(handshake.field("WebHook-Request-Origin"), "events.acme.io");
  EXPECT_EQ(handshake.field("WebHook-Request-Rate"), "6000");
  EXPECT_EQ(handshake.count("WebHook-Request-Callback"), 0U);
  for (const char* name : {"Authorization", "Cookie", "X-Key", "Content-Length"}) {
    EXPECT_EQ(handshake.count(name), 0U) << name;
  }
  EXPECT_EQ(handshake.count("Via"), 1U) << "a circle is seen";
  reply(gateway, kGranted);
  EXPECT_EQ(arrived(gateway).body, "x");
  reply(gateway, kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  sender.close();
  for (int i = 0; i < 20; ++i) passes(gateway);
  EXPECT_EQ(gateway.consent_table.counts().granted, 1U);
  gateway.expect_at_rest();
}

TEST(Consent, ReplacesTheSendersOrigin) {
  Sandbox gateway(rule(kWebhook));
  const Message got = passes(gateway, "WebHook-Request-Origin: evil.example\r\n");
  EXPECT_EQ(got.count("WebHook-Request-Origin"), 1U);
  EXPECT_EQ(got.field("WebHook-Request-Origin"), "events.acme.io");
}

TEST(Consent, WhatIsNoYesIsANo) {
  const std::pair<std::string_view, std::string_view> all[] = {
      {"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n", "405 without"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 without"},
      {"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: other.example\r\nContent-Length: 0\r\n\r\n",
       "somebody else"},
      {"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nWebHook-Allowed-Rate: -1\r\n"
       "Content-Length: 0\r\n\r\n",
       "that is none"},
      {"HTTP/1.1 307 Away\r\nLocation: http://hooks.acme.io/yes\r\nWebHook-Allowed-Origin: *\r\n"
       "Content-Length: 0\r\n\r\n",
       "answered 307"},
      {"SSH-2.0-OpenSSH\r\n\r\n", "response_malformed"},
  };
  for (const auto& [answer, why] : all) {
    Sandbox gateway(rule(kWebhook, ", redirects: {follow: any}"));
    passes(gateway);
    Message handshake;
    FarEnd sender = asks(gateway, handshake);
    const size_t connections = gateway.destinations();
    reply(gateway, answer);
    const Message got = sender.take(Kind::answer);
    EXPECT_EQ(got.status(), 429);
    EXPECT_EQ(got.problem("reason"), "consent_missing");
    EXPECT_NE(got.problem("detail").find(why), std::string::npos) << got.body;
    EXPECT_EQ(got.field("Retry-After"), "60");
    EXPECT_EQ(gateway.destinations(), connections) << "nothing is followed";
    EXPECT_EQ(gateway.logged("reason"), "consent_missing");
    EXPECT_EQ(gateway.logged("attempts"), "0");
    sender.close();
    gateway.expect_at_rest();
  }
}

TEST(Consent, FloodsAndLongAnswersAreNoYes) {
  std::string flood = "HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\n";
  for (int i = 0; i < 200; ++i) flood += "X-" + std::to_string(i) + ": y\r\n";
  for (const std::string_view consent : {kWebhook, kChallenge}) {
    Sandbox gateway(rule(consent));
    passes(gateway);
    Message handshake;
    FarEnd sender = asks(gateway, handshake);
    reply(gateway, consent == kWebhook ? flood + "\r\n"
                                       : "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" +
                                             std::string(5000, 'x'));
    EXPECT_EQ(sender.take(Kind::answer).problem("reason"), "consent_missing");
    sender.close();
    gateway.expect_at_rest();
  }
}

TEST(Consent, ARateThatWasGrantedIsKept) {
  Sandbox gateway(rule(kWebhook));
  passes(gateway);
  Message handshake;
  FarEnd sender = asks(gateway, handshake);
  reply(gateway,
        "HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nWebHook-Allowed-Rate: 6\r\n"
        "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(arrived(gateway).body, "x");
  reply(gateway, kOk);
  sender.close();
  const Message over = refused(gateway);
  EXPECT_EQ(over.problem("reason"), "rate_limited");
  EXPECT_EQ(over.field("Retry-After"), "10");
  gateway.loop.advance(10s);
  passes(gateway);
}

TEST(Consent, AChallengeMustComeBack) {
  for (const bool right : {true, false}) {
    Sandbox gateway(rule(kChallenge));
    passes(gateway);
    Message handshake;
    FarEnd sender = asks(gateway, handshake);
    constexpr std::string_view kBefore = "GET /in?hub.mode=subscribe&hub.challenge=";
    ASSERT_TRUE(handshake.start.starts_with(kBefore)) << handshake.start;
    const std::string token = handshake.start.substr(
        kBefore.size(), handshake.start.find("&hub.lease_seconds=2592000 ") - kBefore.size());
    EXPECT_GE(token.size(), 26U);
    const std::string content = right ? token : token + "\n";
    reply(gateway, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(content.size()) +
                       "\r\n\r\n" + content);
    if (right) {
      EXPECT_EQ(arrived(gateway).body, "x");
      reply(gateway, kOk);
    }
    EXPECT_EQ(sender.take(Kind::answer).status(), right ? 200 : 429);
    sender.close();
    gateway.expect_at_rest();
  }
}

TEST(Consent, OneAsksForAHundred) {
  Sandbox gateway(rule(kWebhook, ", limits: {in_flight_per_host: 1000}"));
  passes(gateway);
  const size_t before = gateway.destinations();
  Message handshake;
  FarEnd first = asks(gateway, handshake);
  for (int i = 0; i < 100; ++i) {
    const Message got = refused(gateway);
    EXPECT_NE(got.problem("detail").find("it is being asked"), std::string::npos) << got.body;
  }
  EXPECT_EQ(gateway.destinations(), before + 1);
  gateway.dns.answer("other.acme.io", {"93.184.215.15"});
  FarEnd other = gateway.connect();
  other.send("POST http://other.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(gateway.destinations(), before + 2) << "another is not held up";
  other.close();
  first.close();
}

TEST(Consent, OneThatHangsIsGivenUpAndNotAskedAgainForAWhile) {
  Sandbox gateway(rule(kWebhook));
  passes(gateway);
  Message handshake;
  FarEnd sender = asks(gateway, handshake);
  gateway.loop.advance(15s);
  const Message got = sender.take(Kind::answer);
  EXPECT_EQ(got.problem("reason"), "consent_missing");
  EXPECT_NE(got.problem("detail").find("response_timeout"), std::string::npos) << got.body;
  sender.close();
  const size_t connections = gateway.destinations();
  EXPECT_EQ(gateway.consent_table.counts().failed, 1U);
  refused(gateway);
  EXPECT_EQ(gateway.destinations(), connections);
  gateway.loop.advance(60s);
  passes(gateway);  // that needs no consent
  FarEnd again = asks(gateway, handshake);
  EXPECT_EQ(handshake.start, "OPTIONS /in HTTP/1.1");
  again.close();
}

TEST(Consent, ASenderThatHangsUpBreaksNothingOff) {
  Sandbox gateway(rule(kWebhook));
  passes(gateway);
  Message handshake;
  FarEnd sender = asks(gateway, handshake);
  FarEnd& asked = gateway.destination(at);
  sender.reset();
  asked.send(kGranted);
  for (int i = 0; i < 5; ++i) passes(gateway);
  EXPECT_EQ(gateway.consent_table.counts().granted, 1U);
}

TEST(Consent, IsOverWhenItsTimeIs) {
  Sandbox gateway(
      rule("consent: {scheme: cloudevents, above: 1/min, origin: events.acme.io, "
           "valid: 10m}"));
  passes(gateway);
  Message handshake;
  FarEnd sender = asks(gateway, handshake);
  reply(gateway, kGranted);
  EXPECT_EQ(arrived(gateway).body, "x");
  reply(gateway, kOk);
  sender.close();
  gateway.loop.advance(9min);
  for (int i = 0; i < 5; ++i) passes(gateway);
  gateway.loop.advance(1min);
  passes(gateway);
  FarEnd again = asks(gateway, handshake);
  EXPECT_EQ(handshake.start, "OPTIONS /in HTTP/1.1");
  again.close();
  gateway.reload(rule("consent: {scheme: cloudevents, above: 1/min, origin: new.acme.io}"));
  passes(gateway);
  FarEnd renamed = asks(gateway, handshake);
  EXPECT_EQ(handshake.field("WebHook-Request-Origin"), "new.acme.io");
  renamed.close();
}

TEST(Consent, AnOpaqueTunnelIsRefusedAndAsksNothing) {
  Sandbox gateway(rule(kWebhook));
  FarEnd first = gateway.connect();
  first.send(test::connect_request());
  EXPECT_EQ(first.take(Kind::answer).status(), 200);
  const size_t connections = gateway.destinations();
  FarEnd second = gateway.connect();
  second.send(test::connect_request());
  EXPECT_EQ(second.take(Kind::answer).problem("reason"), "consent_missing");
  EXPECT_EQ(gateway.destinations(), connections);
  first.close();
  second.close();
}

TEST(Consent, TheStoreRemembersOverARestart) {
  KeepingSandbox gateway(rule(kWebhook));
  const auto pass = [&] {
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.settle();
    EXPECT_EQ(arrived(gateway).body, "x");
    reply(gateway, kOk);
    EXPECT_EQ(gateway.answer(sender).status(), 200);
    sender.close();
  };
  pass();
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.settle();
  EXPECT_EQ(arrived(gateway).start, "OPTIONS /in HTTP/1.1");
  reply(gateway, kGranted);
  gateway.settle();
  EXPECT_EQ(arrived(gateway).body, "x");
  reply(gateway, kOk);
  EXPECT_EQ(gateway.answer(sender).status(), 200);
  sender.close();
  Consents fresh;
  ConsentDesk desk(gateway.services, fresh, {});
  gateway.services.consent = &desk;
  for (int i = 0; i < 5; ++i) pass();
  EXPECT_EQ(fresh.counts().granted, 0U) << "not asked again";
  gateway.stop();
  gateway.services.consent = &gateway.consent_desk;
}

TEST(Consent, AStoreThatFailsIsNoYes) {
  KeepingSandbox gateway(rule(kWebhook));
  gateway.break_store(true);
  FarEnd first = gateway.connect();
  first.send(post("x"));
  gateway.settle();
  EXPECT_EQ(arrived(gateway).body, "x");
  reply(gateway, kOk);
  first.close();
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.settle();
  EXPECT_EQ(arrived(gateway).start, "OPTIONS /in HTTP/1.1");
  reply(gateway, "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(gateway.answer(sender).problem("reason"), "consent_missing");
  sender.close();
}

TEST(Consent, HoldsQueuedDeliveriesAndCountsNoAttempt) {
  KeepingSandbox gateway(rule(kWebhook, ", delivery: {mode: async, schedule: [1s], jitter: 0%}"));
  gateway.sent(post("first"));
  EXPECT_EQ(arrived(gateway).body, "first");
  reply(gateway, kOk);
  gateway.settle();
  const std::string id = gateway.sent(post("second")).field("Egret-Delivery");
  EXPECT_EQ(arrived(gateway).start, "OPTIONS /in HTTP/1.1");
  reply(gateway, "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n");
  gateway.settle();
  gateway.advance(30s);
  EXPECT_EQ(gateway.show(id)->attempts.size(), 0U);
  EXPECT_EQ(gateway.show(id)->delivery.state, State::queued);
  gateway.advance(30s);
  EXPECT_EQ(arrived(gateway).body, "second") << "within what needs no consent";
  reply(gateway, kOk);
  gateway.settle();
  EXPECT_EQ(gateway.show(id)->delivery.state, State::delivered);
}

TEST(Consent, ACallbackAgreesLater) {
  Sandbox gateway(
      rule("consent: {scheme: cloudevents, above: 1/min, origin: events.acme.io, "
           "callback: \"https://egret.acme.io/c/\"}"));
  passes(gateway);
  Message handshake;
  FarEnd sender = asks(gateway, handshake);
  const std::string url = handshake.field("WebHook-Request-Callback");
  ASSERT_TRUE(url.starts_with("https://egret.acme.io/c/")) << url;
  reply(gateway, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(sender.take(Kind::answer).status(), 429);
  sender.close();
  const std::string token = url.substr(24);
  const TimePoint now = gateway.loop.clock().now();
  const WallTime wall = gateway.loop.clock().wall();
  EXPECT_FALSE(gateway.consent_table.redeem("", 0, now, wall));
  EXPECT_FALSE(gateway.consent_table.redeem(token + "x", 0, now, wall));
  EXPECT_FALSE(gateway.consent_table.redeem(token, 0, now + 25h, wall)) << "too late";
  EXPECT_TRUE(gateway.consent_table.redeem(token, 0, now, wall));
  EXPECT_FALSE(gateway.consent_table.redeem(token, 0, now, wall)) << "once";
  for (int i = 0; i < 5; ++i) passes(gateway);
}

}  // namespace
}  // namespace egret::proxy
