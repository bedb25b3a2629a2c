// A destination that fails, or is called too often, is left alone for a while; nobody else is.

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

constexpr std::string_view kTwo = "breaker: {failures: 2, window: 60s, cooldown: 30s}";

std::string rule(std::string_view more) {
  return "defaults: {" + std::string(kTwo) + std::string(more) + "}\n";
}

// A request that its destination answers so; empty: the connection breaks.
Message answered(Sandbox& gateway, std::string_view answer) {
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  FarEnd& destination = gateway.destination(gateway.destinations() - 1);
  EXPECT_EQ(destination.take(Kind::request).body, "x");
  answer.empty() ? destination.reset() : destination.send(answer);
  Message got = sender.take(Kind::answer);
  sender.close();
  return got;
}

Message sent(Sandbox& gateway, std::string_view request) {
  FarEnd sender = gateway.connect();
  sender.send(request);
  Message got = sender.take(Kind::answer);
  sender.close();
  return got;
}

constexpr std::string_view kUnavailable =
    "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
constexpr std::string_view kError =
    "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

TEST(Breaker, RefusesWhatHasFailedAndLetsOneSeeLater) {
  Sandbox gateway(rule(""));
  EXPECT_EQ(answered(gateway, "").status(), 502);
  EXPECT_EQ(answered(gateway, kUnavailable).status(), 503);
  const size_t connections = gateway.destinations();
  const Message refused = sent(gateway, post("x"));
  EXPECT_EQ(refused.status(), 503);
  EXPECT_EQ(refused.problem("reason"), "breaker_open");
  EXPECT_EQ(refused.field("Retry-After"), "30");
  EXPECT_EQ(gateway.destinations(), connections) << "it is left alone";
  gateway.dns.answer("other.acme.io", {"93.184.215.15"});
  FarEnd other = gateway.connect();
  other.send("POST http://other.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(gateway.destinations(), connections + 1) << "another is not";
  other.close();
  gateway.loop.advance(30s);
  FarEnd look = gateway.connect();
  look.send(post("x"));
  EXPECT_EQ(sent(gateway, post("x")).problem("reason"), "breaker_open") << "one only";
  gateway.destination(gateway.destinations() - 1).send(kOk);
  EXPECT_EQ(look.take(Kind::answer).status(), 200);
  EXPECT_EQ(answered(gateway, kOk).status(), 200);
  look.close();
  gateway.expect_at_rest();
}

TEST(Breaker, ASenderWithoutItsContentKeepsNobodyFromLooking) {
  Sandbox gateway(rule(""));
  EXPECT_EQ(answered(gateway, "").status(), 502);
  EXPECT_EQ(answered(gateway, kUnavailable).status(), 503);
  gateway.loop.advance(30s);
  FarEnd slow = gateway.connect();
  const std::string whole = post("slow");
  slow.send(std::string_view(whole).substr(0, whole.size() - 4));
  EXPECT_EQ(answered(gateway, kOk).status(), 200);
  slow.send("slow");
  EXPECT_EQ(gateway.destination(gateway.destinations() - 1).take(Kind::request).body, "slow");
}

TEST(Breaker, AnAnswerThatSaysNoIsNoFailureOfTheDestination) {
  Sandbox gateway(rule(""));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(answered(gateway, kError).status(), 500);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(sent(gateway, "GET http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n").status(), 403);
  EXPECT_EQ(answered(gateway, kOk).status(), 200);
}

TEST(Breaker, ASenderThatHangsUpSaysNothingOfTheDestination) {
  Sandbox gateway(rule(""));
  for (int i = 0; i < 3; ++i) {
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    sender.close();
  }
  EXPECT_EQ(answered(gateway, kOk).status(), 200);
}

TEST(Breaker, NoneIsNeverOpen) {
  Sandbox gateway("defaults: {breaker: none}\n");
  for (int i = 0; i < 30; ++i) EXPECT_EQ(answered(gateway, "").status(), 502);
}

TEST(Breaker, KeepsQueuedDeliveriesAndCountsNoAttempt) {
  KeepingSandbox gateway(rule(", delivery: {mode: async, schedule: [1s, 1s, 1s, 1s], jitter: 0%}"));
  const Message accepted = gateway.sent(post("x"));
  const std::string id = accepted.field("Egret-Delivery");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(gateway.request(gateway.destinations() - 1).body, "x");
    gateway.destination(gateway.destinations() - 1).reset();
    gateway.settle();
    gateway.advance(1s);
  }
  EXPECT_EQ(gateway.show(id)->attempts.size(), 2U);
  gateway.advance(20s);
  EXPECT_EQ(gateway.show(id)->attempts.size(), 2U) << "given back as it was";
  EXPECT_EQ(gateway.show(id)->delivery.state, State::queued);
  gateway.advance(10s);
  EXPECT_EQ(gateway.request(gateway.destinations() - 1).body, "x");
  gateway.destination(gateway.destinations() - 1).send(kOk);
  gateway.settle();
  EXPECT_EQ(gateway.show(id)->delivery.state, State::delivered);
}

TEST(Breaker, ASendersPatienceSaysNothingOfTheDestination) {
  KeepingSandbox gateway(rule(", delivery: {mode: on-request, schedule: [1h]}"));
  for (int i = 0; i < 3; ++i) {
    FarEnd sender = gateway.connect();
    sender.send(post("x", "Prefer: wait=1\r\n"));
    EXPECT_EQ(gateway.request(gateway.destinations() - 1).body, "x");
    gateway.advance(1s);
    EXPECT_EQ(gateway.answer(sender).status(), 202);
    sender.close();
  }
  FarEnd sender = gateway.connect();
  sender.send(post("y"));
  EXPECT_EQ(gateway.request(gateway.destinations() - 1).body, "y") << "no breaker is open";
}

TEST(Breaker, WhatIsRefusedFallsBackToTheQueue) {
  KeepingSandbox gateway(rule(", delivery: {mode: fallback, schedule: [1s]}"));
  for (int i = 0; i < 2; ++i) {
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.settle();
    gateway.destination(gateway.destinations() - 1).reset();
    EXPECT_EQ(gateway.answer(sender).status(), 202);
    sender.close();
  }
  const size_t connections = gateway.destinations();
  EXPECT_EQ(gateway.sent(post("y")).status(), 202);
  EXPECT_EQ(gateway.destinations(), connections);
}

TEST(Rate, HoldsBackWhatIsTooMuch) {
  Sandbox gateway("defaults: {rate: {per_host: 20/min, burst: 2}}\n");
  EXPECT_EQ(answered(gateway, kOk).status(), 200);
  EXPECT_EQ(answered(gateway, kOk).status(), 200);
  const Message refused = sent(gateway, post("x"));
  EXPECT_EQ(refused.status(), 429);
  EXPECT_EQ(refused.problem("reason"), "rate_limited");
  EXPECT_EQ(refused.field("Retry-After"), "3");
  gateway.loop.advance(3s);
  EXPECT_EQ(answered(gateway, kOk).status(), 200);
  gateway.expect_at_rest();
}

TEST(Rate, SpreadsWhatIsQueued) {
  KeepingSandbox gateway(
      "defaults: {rate: {per_host: 20/min}, delivery: {mode: async, schedule: [1s]}}\n");
  for (int i = 0; i < 3; ++i) gateway.sent(post(std::to_string(i)));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(gateway.request(gateway.destinations() - 1).body.size(), 1U);
    gateway.destination(gateway.destinations() - 1).send(kOk);
    gateway.settle();
    EXPECT_EQ(gateway.stats().delivered, static_cast<uint64_t>(i) + 1);
    gateway.advance(3s);
  }
  EXPECT_EQ(gateway.queue().counts().delivered, 3U);
}

}  // namespace
}  // namespace egret::proxy
