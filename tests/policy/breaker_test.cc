#include "policy/breaker.h"

#include <gtest/gtest.h>

namespace egret::policy {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1000h};
constexpr Breaker kThree{.failures = 3, .window = 60s, .cooldown = 30s};

Duration enter(BreakerState& state, TimePoint now) { return state.enter(kThree, now, true).closed; }

void fail(BreakerState& state, TimePoint now, int times = 1) {
  for (int i = 0; i < times; ++i) {
    EXPECT_EQ(enter(state, now), Duration::zero());
    state.ended(kThree, Health::failing, now, 0);
  }
}

TEST(Breaker, OpensAfterSoManyFailuresInARow) {
  BreakerState state;
  fail(state, kStart, 2);
  EXPECT_FALSE(state.is_open());
  fail(state, kStart);
  EXPECT_TRUE(state.is_open());
  EXPECT_EQ(enter(state, kStart + 10s), 20s);
}

TEST(Breaker, ASuccessBetweenBeginsAnew) {
  BreakerState state;
  fail(state, kStart, 2);
  state.ended(kThree, Health::well, kStart, 0);
  fail(state, kStart, 2);
  EXPECT_FALSE(state.is_open());
}

TEST(Breaker, WhatSaysNothingOfTheDestinationChangesNothing) {
  BreakerState state;
  fail(state, kStart, 2);
  state.ended(kThree, Health::unknown, kStart, 0);
  fail(state, kStart);
  EXPECT_TRUE(state.is_open());
}

TEST(Breaker, FailuresOfLongAgoDoNotCount) {
  BreakerState state;
  fail(state, kStart, 2);
  fail(state, kStart + 61s, 2);
  EXPECT_FALSE(state.is_open());
  EXPECT_FALSE(state.at_rest(kStart + 61s));
  EXPECT_TRUE(state.at_rest(kStart + 121s));
}

TEST(Breaker, LetsOneThroughToSee) {
  BreakerState state;
  fail(state, kStart, 3);
  const TimePoint later = kStart + 30s;
  BreakerState::Pass look = state.enter(kThree, later, true);
  EXPECT_EQ(look.closed, Duration::zero());
  EXPECT_NE(look.look, 0U);
  EXPECT_GT(enter(state, later), Duration::zero()) << "one only";
  state.ended(kThree, Health::failing, later + 1s, look.look);
  EXPECT_EQ(enter(state, later + 1s), 30s) << "it failed: as long again";
  look = state.enter(kThree, later + 31s, true);
  EXPECT_EQ(look.closed, Duration::zero());
  state.ended(kThree, Health::well, later + 32s, look.look);
  EXPECT_FALSE(state.is_open());
  EXPECT_EQ(enter(state, later + 32s), Duration::zero());
}

TEST(Breaker, OneThatSawNothingLetsAnotherSee) {
  BreakerState state;
  fail(state, kStart, 3);
  const BreakerState::Pass look = state.enter(kThree, kStart + 30s, true);
  state.ended(kThree, Health::unknown, kStart + 31s, look.look);
  EXPECT_TRUE(state.is_open());
  EXPECT_EQ(enter(state, kStart + 31s), Duration::zero());
}

TEST(Breaker, WhatBeganBeforeItOpenedIsNotHeard) {
  BreakerState state;
  fail(state, kStart, 3);
  state.ended(kThree, Health::failing, kStart + 20s, 0);
  EXPECT_EQ(enter(state, kStart + 29s), 1s) << "no longer than it was";
  const BreakerState::Pass look = state.enter(kThree, kStart + 30s, true);
  state.ended(kThree, Health::unknown, kStart + 30s, 0);
  state.ended(kThree, Health::failing, kStart + 30s, 0);
  EXPECT_GT(enter(state, kStart + 30s), Duration::zero()) << "still one only";
  state.close();
  fail(state, kStart + 31s, 3);
  const BreakerState::Pass second = state.enter(kThree, kStart + 61s, true);
  state.ended(kThree, Health::well, kStart + 61s, look.look);
  EXPECT_TRUE(state.is_open()) << "that was the look of another time";
  state.ended(kThree, Health::well, kStart + 61s, second.look);
  EXPECT_FALSE(state.is_open());
}

TEST(Breaker, WhoCannotSendYetKeepsNobodyFromLooking) {
  BreakerState state;
  fail(state, kStart, 3);
  const BreakerState::Pass slow = state.enter(kThree, kStart + 30s, false);
  EXPECT_EQ(slow.closed, Duration::zero());
  EXPECT_TRUE(slow.later);
  EXPECT_NE(state.enter(kThree, kStart + 30s, true).look, 0U);
  EXPECT_GT(enter(state, kStart + 30s), Duration::zero()) << "too late: another looks";
}

TEST(Breaker, AnOpenOneIsForgottenWhenNobodyAsksAnyMore) {
  BreakerState state;
  fail(state, kStart, 3);
  EXPECT_FALSE(state.at_rest(kStart + 89s));
  EXPECT_TRUE(state.at_rest(kStart + 90s));
}

TEST(Breaker, NoneNeverOpens) {
  BreakerState state;
  for (int i = 0; i < 100; ++i) state.ended({.failures = 0}, Health::failing, kStart, 0);
  EXPECT_FALSE(state.is_open());
}

TEST(Health, IsToldByWhatTheDestinationDid) {
  struct Told {
    std::optional<Reason> failure;
    int status;
    Health health;
  };
  const Told all[] = {
      {std::nullopt, 200, Health::well},
      {std::nullopt, 404, Health::well},
      {std::nullopt, 429, Health::well},
      {std::nullopt, 500, Health::well},
      {std::nullopt, 502, Health::failing},
      {std::nullopt, 503, Health::failing},
      {std::nullopt, 504, Health::failing},
      {Reason::connection_refused, 0, Health::failing},
      {Reason::response_timeout, 0, Health::failing},
      {Reason::tls_certificate_error, 0, Health::failing},
      {Reason::address_prohibited, 0, Health::unknown},
      {Reason::dns_timeout, 0, Health::unknown},
      {Reason::sender_disconnected, 0, Health::unknown},
      {Reason::memory_limit, 0, Health::unknown},
      {Reason::redirect_loop, 0, Health::unknown},
  };
  for (const Told& each : all) {
    EXPECT_EQ(health_of(each.failure, each.status), each.health)
        << (each.failure ? name(*each.failure) : "") << each.status;
  }
}

TEST(Rate, LetsABurstThroughAndThenOneATime) {
  const Rate rule{.every = 100ms, .burst = 3};
  RateState state;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(state.take(rule, kStart), Duration::zero());
  EXPECT_EQ(state.take(rule, kStart), 100ms);
  EXPECT_EQ(state.take(rule, kStart + 60ms), 40ms);
  EXPECT_EQ(state.take(rule, kStart + 100ms), Duration::zero());
  EXPECT_EQ(state.take(rule, kStart + 100ms), 100ms);
  EXPECT_FALSE(state.at_rest(kStart + 100ms));
  EXPECT_TRUE(state.at_rest(kStart + 1s));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(state.take(rule, kStart + 1h), Duration::zero());
  EXPECT_GT(state.take(rule, kStart + 1h), Duration::zero()) << "idle time earns no more";
}

TEST(Rate, NoneLetsEverythingThrough) {
  RateState state;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(state.take({}, kStart), Duration::zero());
  EXPECT_TRUE(state.at_rest(kStart));
}

}  // namespace
}  // namespace egret::policy
