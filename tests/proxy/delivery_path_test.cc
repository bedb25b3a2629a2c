// What the dispatcher makes of what its exchanges came to, and what a sender hears of it.

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/proxy_queue.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using queue::State;
using test::FarEnd;
using test::KeepingSandbox;
using test::kOk;
using test::Message;
using test::post;

constexpr std::string_view kAsync =
    "defaults: {delivery: {mode: async, schedule: [10s, 60s], jitter: 0%}}\n";

std::string answer(int status, std::string_view fields = {}) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + std::string(fields) +
         "Content-Length: 2\r\n\r\nno";
}

std::string to(std::string_view host) {
  return "POST http://" + std::string(host) + "/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
}

std::string id_of(const Message& accepted) { return accepted.field("Egret-Delivery"); }

TEST(DeliveryPath, ARefusalForNowHoldsTheLane) {
  KeepingSandbox gateway("defaults: {rate: {per_host: 20/min}, delivery: {mode: async}}\n");
  gateway.sent(post("1"));
  gateway.sent(post("2"));
  gateway.request();
  gateway.destination().send(kOk);
  gateway.settle();
  ASSERT_EQ(gateway.settled().size(), 2U);
  const queue::Settled& held = gateway.settled().back();
  EXPECT_FALSE(held.attempt);
  EXPECT_EQ(held.state, State::queued);
  ASSERT_TRUE(held.hold);
  EXPECT_EQ(*held.hold, gateway.loop.clock().wall() + 3s);
  EXPECT_FALSE(gateway.settled().front().hold);
}

TEST(DeliveryPath, ABugEndsOneAttemptAndNothingElse) {
  KeepingSandbox gateway(kAsync);
  gateway.expect_bugs();
  const AccessLog log = gateway.services.access_log;
  bool thrown = false;
  const std::string id = id_of(gateway.sent(post("x")));
  gateway.services.access_log = [&](const std::string& line) {
    if (std::exchange(thrown, true)) return log(line);
    throw std::runtime_error("a bug");
  };
  gateway.request();
  gateway.destination().send(kOk);
  gateway.settle();
  EXPECT_EQ(gateway.bugs(), 1U);
  EXPECT_EQ(gateway.stats().running, 0U);
  auto shown = gateway.show(id);
  ASSERT_EQ(shown->attempts.size(), 1U);
  EXPECT_EQ(shown->attempts[0].reason, "internal_error");
  gateway.advance(5min);
  gateway.request(gateway.destinations() - 1);
  gateway.destination(gateway.destinations() - 1).send(kOk);
  gateway.settle();
  EXPECT_EQ(gateway.show(id)->delivery.state, State::delivered);
}

TEST(DeliveryPath, WhatWasSentCountsWhateverALaterHopRefuses) {
  KeepingSandbox gateway(
      "defaults: {redirects: {follow: any}, delivery: {mode: async, schedule: [10s], jitter: 0%}}\n"
      "rules: [{name: slow, match: {hosts: [other.acme.io]}, rate: {per_host: 1/min}}]\n");
  gateway.dns.answer("other.acme.io", {"93.184.215.99"});
  gateway.sent(post("1"));
  gateway.request();
  gateway.destination().send(answer(307, "Location: http://other.acme.io/\r\n"));
  gateway.request(1);
  gateway.destination(1).send(kOk);
  gateway.settle();
  const std::string id = id_of(gateway.sent(post("2")));
  const size_t last = gateway.destinations() - 1;
  gateway.settle();
  FarEnd& first = gateway.destination(gateway.destinations() > 2 ? last : 0);
  first.send(answer(307, "Location: http://other.acme.io/\r\n"));
  gateway.settle();
  const auto shown = gateway.show(id);
  ASSERT_EQ(shown->attempts.size(), 1U);
  EXPECT_EQ(shown->attempts[0].reason, "rate_limited");
  EXPECT_FALSE(gateway.settled().back().hold);
  EXPECT_FALSE(gateway.settled().back().blame) << "not the first host's doing";
}

TEST(DeliveryPath, OnlyItsOwnFailuresAreAHostsFault) {
  struct Ended {
    std::string host;
    std::string answer;  // empty: the connection breaks
    bool blame;
  };
  const Ended all[] = {
      {"hooks.acme.io", answer(500), true}, {"hooks.acme.io", answer(400), true},
      {"hooks.acme.io", "", true},          {"hooks.acme.io", std::string(kOk), false},
      {"broken.acme.io", "", false},        {"moves.acme.io", "", false}};
  for (const Ended& each : all) {
    KeepingSandbox gateway(kAsync);
    gateway.dns.fail("broken.acme.io", Reason::dns_timeout);
    gateway.dns.answer("moves.acme.io", {"93.184.215.20"});
    gateway.dns.answer("moves.acme.io", {"10.0.0.7"});
    gateway.stop_dispatcher();
    gateway.sent(to(each.host));
    gateway.advance(10min);
    gateway.start_dispatcher();
    gateway.settle();
    if (gateway.destinations() > 0) {
      each.answer.empty() ? gateway.destination().reset() : gateway.destination().send(each.answer);
    }
    gateway.settle();
    ASSERT_EQ(gateway.settled().size(), 1U) << each.host;
    EXPECT_EQ(gateway.settled()[0].blame, each.blame) << each.host << each.answer;
  }
}

TEST(DeliveryPath, AnUnknownSendersDeliveriesWaitUntilItIsKnown) {
  const std::string queue = "queue: {store: \"sqlite:elsewhere\"}\n";
  const std::string crm = "senders: [{name: crm, networks: [198.51.100.0/24]}]\n";
  const std::string sales = "senders: [{name: sales, networks: [198.51.100.0/24]}]\n";
  KeepingSandbox gateway(crm + std::string(kAsync));
  gateway.stop_dispatcher();
  const std::string id = id_of(gateway.sent(post("x")));
  gateway.reload(queue + sales + std::string(kAsync));
  gateway.start_dispatcher();
  gateway.settle();
  const queue::Settled held = gateway.settled().back();
  EXPECT_FALSE(held.attempt);
  EXPECT_FALSE(held.blame);
  EXPECT_EQ(*held.hold, gateway.loop.clock().wall() + 1min);
  EXPECT_EQ(gateway.show(id)->delivery.state, State::queued);
  gateway.reload(queue + crm + std::string(kAsync));
  gateway.advance(1min);
  EXPECT_EQ(gateway.request().body, "x");
}

TEST(DeliveryPath, SaysThatItIsDeadWhenItsHostIsSwitchedOff) {
  KeepingSandbox gateway(kAsync);
  gateway.disable("hooks.acme.io");
  const Message got = gateway.sent(post("x"));
  EXPECT_EQ(got.status(), 202);
  EXPECT_EQ(got.body, "{\"delivery\":\"" + id_of(got) + "\",\"status\":\"dead\"}\n");
  EXPECT_EQ(gateway.logged("success"), "false");
}

TEST(DeliveryPath, TheFirstTrysRetryAfterCounts) {
  KeepingSandbox gateway("defaults: {delivery: {mode: fallback, schedule: [10s], jitter: 0%}}\n");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.request();
  gateway.destination().send(answer(503, "Retry-After: 60\r\n"));
  EXPECT_EQ(gateway.answer(sender).status(), 202);
  EXPECT_EQ(gateway.logged("detail"), "Tried first: it answered 503.");
  gateway.advance(59s);
  EXPECT_EQ(gateway.stats().running, 0U);
  gateway.advance(1s);
  EXPECT_EQ(gateway.stats().running, 1U);
}

TEST(DeliveryPath, TheFirstTryIsTheFirstAttemptOfTheSchedule) {
  KeepingSandbox gateway("defaults: {delivery: {mode: fallback, schedule: [10s], jitter: 0%}}\n");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.request();
  gateway.destination().send(answer(500));
  const std::string id = id_of(gateway.answer(sender));
  gateway.advance(10s);
  gateway.destination(gateway.destinations() - 1).send(answer(500));
  gateway.settle();
  EXPECT_EQ(gateway.show(id)->delivery.state, State::dead);
}

TEST(DeliveryPath, AScheduleOfOneAttemptIsOverOnceItWasTried) {
  KeepingSandbox gateway("defaults: {delivery: {mode: fallback, schedule: []}}\n");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.request();
  gateway.destination().send(answer(500));
  EXPECT_EQ(gateway.answer(sender).status(), 500);
  EXPECT_EQ(gateway.stats().queued, 0U);
}

TEST(DeliveryPath, NoSenderIsToldThatMoreWasTriedThanWas) {
  KeepingSandbox gateway(
      "defaults: {timeouts: {total: 2s}, delivery: {mode: on-request, jitter: 0%}}\n");
  FarEnd sender = gateway.connect();
  sender.send(post("x", "Prefer: wait=30\r\n"));
  gateway.request();
  gateway.advance(2s);
  const Message got = gateway.answer(sender);
  EXPECT_EQ(got.status(), 202);
  EXPECT_EQ(got.field("Preference-Applied"), "wait=2");
}

TEST(DeliveryPath, AnAnswerIsTheDestinationsOwn) {
  struct Said {
    std::string answer;  // empty: the connection breaks
    std::string kept;
  };
  const Said all[] = {
      {"", ""},
      {answer(500), "no"},
      {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(500, "X-Own: 1\r\n"), "no"}};
  for (const Said& each : all) {
    KeepingSandbox gateway(kAsync);
    const std::string id = id_of(gateway.sent(post("x")));
    gateway.request();
    each.answer.empty() ? gateway.destination().reset() : gateway.destination().send(each.answer);
    gateway.settle();
    const auto shown = gateway.show(id);
    ASSERT_EQ(shown->attempts.size(), 1U);
    EXPECT_EQ(shown->attempts[0].answer, each.kept) << each.answer;
  }
}

TEST(DeliveryPath, NothingIsKeptThatCouldNotBeReadAgain) {
  KeepingSandbox gateway(kAsync);
  std::string fields;
  for (int i = 0; i < 98; ++i) fields += "X-" + std::to_string(i) + ": 1\r\n";
  const Message got = gateway.sent(post("x", fields));
  EXPECT_EQ(got.status(), 431);
  EXPECT_EQ(got.problem("reason"), "request_headers_too_large");
  EXPECT_EQ(gateway.stats().queued, 0U);
}

TEST(DeliveryPath, WhatTheStoreHasNotTakenYetIsSettledWhenTheDispatcherEnds) {
  for (const bool waits : {false, true}) {
    KeepingSandbox gateway(kAsync);
    const std::string id = id_of(gateway.sent(post("x")));
    gateway.request();
    gateway.break_store(true);
    gateway.destination().send(kOk);
    waits ? gateway.settle() : gateway.loop.run_until_idle();
    gateway.stop_dispatcher();
    gateway.break_store(false);
    gateway.settle();
    EXPECT_EQ(gateway.show(id)->delivery.state, State::delivered) << waits;
    EXPECT_EQ(gateway.show(id)->attempts.size(), 1U) << waits;
  }
}

// Each key is a lane: all of them are due, and the destination has one place.
TEST(DeliveryPath, OfManyLanesThatWaitForOnePlaceAFewAskAtOnce) {
  KeepingSandbox gateway(
      "defaults: {limits: {in_flight_per_host: 1}, delivery: {mode: async, order: key}}\n");
  gateway.stop_dispatcher();
  for (int i = 0; i < 300; ++i) {
    gateway.sent(post("x", "Egret-Order-Key: " + std::to_string(i) + "\r\n"));
  }
  gateway.start_dispatcher();
  gateway.settle();
  EXPECT_EQ(gateway.settled().size(), 299U) << "one is under way";
  gateway.advance(1s);
  for (int second = 0; second < 3; ++second) {
    const size_t before = gateway.settled().size();
    for (int i = 0; i < 100; ++i) gateway.advance(10ms);
    EXPECT_LE(gateway.settled().size() - before, static_cast<size_t>(1s / Crowd::kApart) + 2);
    EXPECT_GT(gateway.settled().size(), before + 50);
  }
}

TEST(DeliveryPath, OneSenderCannotTakeEveryPlace) {
  KeepingSandbox gateway(
      "senders:\n  - {name: a, networks: [198.51.100.0/24]}\n"
      "  - {name: b, networks: [203.0.113.0/24]}\n" +
      std::string(kAsync));
  constexpr size_t kOne = Dispatcher::kMostAtOnce / 4 * 3;
  for (size_t i = 0; i < kOne + 20; ++i) {
    gateway.sent(to("93.184." + std::to_string(i / 200) + "." + std::to_string(i % 200)));
  }
  EXPECT_EQ(gateway.destinations(), kOne);
  EXPECT_EQ(*gateway.settled().front().hold, gateway.loop.clock().wall() + Dispatcher::kOverShare);
  EXPECT_EQ(*gateway.settled().back().hold, *gateway.settled().front().hold + 19 * Crowd::kApart);
  FarEnd other = gateway.connect({.address = "203.0.113.9"});
  other.send(to("93.184.217.1"));
  EXPECT_EQ(gateway.answer(other).status(), 202);
  EXPECT_EQ(gateway.destinations(), kOne + 1);
}

}  // namespace
}  // namespace egret::proxy
