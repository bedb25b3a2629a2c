#include "policy/breaker.h"

#include <gtest/gtest.h>

namespace egret::policy {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1000h};
constexpr Breaker kThree{.failures = 3, .window = 60s, .cooldown = 30s};

void fail(BreakerState& state, TimePoint now, int times = 1) {
  for (int i = 0; i < times; ++i) {
    EXPECT_EQ(state.enter(kThree, now), Duration::zero());
    state.ended(kThree, Health::failing, now);
  }
}

TEST(Breaker, OpensAfterSoManyFailuresInARow) {
  BreakerState state;
  fail(state, kStart, 2);
  EXPECT_FALSE(state.is_open());
  fail(state, kStart);
  EXPECT_TRUE(state.is_open());
  EXPECT_EQ(state.enter(kThree, kStart + 10s), 20s);
}

TEST(Breaker, ASuccessBetweenBeginsAnew) {
  BreakerState state;
  fail(state, kStart, 2);
  state.ended(kThree, Health::well, kStart);
  fail(state, kStart, 2);
  EXPECT_FALSE(state.is_open());
}

TEST(Breaker, WhatSaysNothingOfTheDestinationChangesNothing) {
  BreakerState state;
  fail(state, kStart, 2);
  state.ended(kThree, Health::unknown, kStart);
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
  EXPECT_EQ(state.enter(kThree, later), Duration::zero());
  EXPECT_GT(state.enter(kThree, later), Duration::zero()) << "one only";
  state.ended(kThree, Health::failing, later + 1s);
  EXPECT_EQ(state.enter(kThree, later + 1s), 30s) << "it failed: as long again";
  EXPECT_EQ(state.enter(kThree, later + 31s), Duration::zero());
  state.ended(kThree, Health::well, later + 32s);
  EXPECT_FALSE(state.is_open());
  EXPECT_EQ(state.enter(kThree, later + 32s), Duration::zero());
}

TEST(Breaker, OneThatSawNothingLetsAnotherSee) {
  BreakerState state;
  fail(state, kStart, 3);
  EXPECT_EQ(state.enter(kThree, kStart + 30s), Duration::zero());
  state.ended(kThree, Health::unknown, kStart + 31s);
  EXPECT_TRUE(state.is_open());
  EXPECT_EQ(state.enter(kThree, kStart + 31s), Duration::zero());
}

TEST(Breaker, NoneNeverOpens) {
  BreakerState state;
  for (int i = 0; i < 100; ++i) state.ended({.failures = 0}, Health::failing, kStart);
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
