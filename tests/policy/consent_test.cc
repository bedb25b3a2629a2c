#include "policy/consent.h"

#include <gtest/gtest.h>

#include <vector>

namespace egret::policy {
namespace {

using namespace std::chrono_literals;
using Step = ConsentState::Verdict::Step;
using End = ConsentState::End;

constexpr TimePoint kStart{1000h};
constexpr WallTime kWall{500000h};
constexpr ConsentState::Able kBoth{.look = true, .ask = true};
constexpr ConsentState::Able kAsk{.look = false, .ask = true};

Consent three_a_minute() {
  Consent rule;
  rule.scheme = ConsentScheme::challenge;
  rule.above = {20s, 3};
  return rule;
}

// What needs no consent is used up.
void fill(ConsentState& state, TimePoint now = kStart) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(state.enter(three_a_minute(), kBoth, now, kWall).step, Step::pass);
  }
}

TEST(ConsentState, AsksNothingBelow) {
  ConsentState state;
  for (int i = 0; i < 100; ++i) {
    const auto verdict = state.enter(three_a_minute(), kBoth, kStart + i * 20s, kWall);
    EXPECT_EQ(verdict.step, Step::pass);
  }
}

TEST(ConsentState, GivesATurnToOneAndRefusesTheOthers) {
  ConsentState state;
  fill(state);
  const auto turn = state.enter(three_a_minute(), kBoth, kStart, kWall);
  EXPECT_EQ(turn.step, Step::turn);
  EXPECT_TRUE(turn.turn.look);
  EXPECT_TRUE(turn.turn.ask);
  for (int i = 0; i < 100; ++i) {
    const auto other = state.enter(three_a_minute(), kBoth, kStart, kWall);
    EXPECT_EQ(other.step, Step::missing);
    EXPECT_EQ(other.wait, 20s);
  }
  EXPECT_EQ(state.enter(three_a_minute(), kBoth, kStart + 20s, kWall).step, Step::pass);
}

TEST(ConsentState, HoldsUntilItsTimeIsOver) {
  ConsentState state;
  fill(state);
  state.enter(three_a_minute(), kAsk, kStart, kWall);
  state.granted({.until = kWall + 1h});
  state.ended(End::granted, kStart);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(state.enter(three_a_minute(), kAsk, kStart, kWall + 59min).step, Step::pass);
  }
  EXPECT_FALSE(state.at_rest(kStart + 59min, kWall + 59min));
  EXPECT_EQ(state.enter(three_a_minute(), kAsk, kStart, kWall + 1h).step, Step::turn);
}

TEST(ConsentState, AFewerRateThatWasGrantedIsKept) {
  ConsentState state;
  state.granted({.until = kWall + 1h, .per_minute = 6});
  EXPECT_EQ(state.enter(three_a_minute(), kAsk, kStart, kWall).step, Step::pass);
  const auto second = state.enter(three_a_minute(), kAsk, kStart, kWall);
  EXPECT_EQ(second.step, Step::over_grant);
  EXPECT_EQ(second.wait, 10s);
}

TEST(ConsentState, WaitsLongerAfterEachRefusal) {
  ConsentState state;
  TimePoint now = kStart;
  fill(state, now);
  for (const Duration wait : {1min, 2min, 4min, 8min, 16min, 32min, 60min, 60min}) {
    ASSERT_EQ(state.enter(three_a_minute(), kAsk, now, kWall).step, Step::turn);
    state.ended(End::denied, now);
    const auto before = state.enter(three_a_minute(), kAsk, now, kWall);
    EXPECT_EQ(before.step, Step::missing);
    EXPECT_EQ(before.ask_again, wait);
    now += wait;
    EXPECT_FALSE(state.at_rest(now, kWall)) << "it remembers how often";
    fill(state, now);
  }
  EXPECT_TRUE(state.at_rest(now + 61min, kWall));
}

TEST(ConsentState, LooksIntoTheStoreWhileItMayNotAsk) {
  ConsentState state;
  fill(state);
  state.enter(three_a_minute(), kBoth, kStart, kWall);
  state.ended(End::denied, kStart);
  EXPECT_EQ(state.enter(three_a_minute(), kBoth, kStart + 9s, kWall).step, Step::missing);
  const auto turn = state.enter(three_a_minute(), kBoth, kStart + 10s, kWall);
  EXPECT_EQ(turn.step, Step::turn);
  EXPECT_TRUE(turn.turn.look);
  EXPECT_FALSE(turn.turn.ask);
  state.ended(End::not_asked, kStart + 10s);
  const auto later = state.enter(three_a_minute(), kBoth, kStart + 11s, kWall);
  EXPECT_EQ(later.step, Step::missing);
  EXPECT_EQ(later.ask_again, 49s) << "a look is no refusal";
}

TEST(ConsentState, ACallbackCountsEvenWhileItIsAsked) {
  ConsentState state;
  fill(state);
  state.enter(three_a_minute(), kAsk, kStart, kWall);
  state.granted({.until = kWall + 1h});
  state.ended(End::denied, kStart);
  EXPECT_EQ(state.enter(three_a_minute(), kAsk, kStart, kWall).step, Step::pass);
}

TEST(ConsentState, WhoCanDoNothingHasNoTurn) {
  ConsentState state;
  fill(state);
  EXPECT_EQ(state.enter(three_a_minute(), {}, kStart, kWall).step, Step::missing);
  EXPECT_FALSE(state.busy());
}

TEST(Grant, AllowsInNoMinuteMoreThanWasGranted) {
  for (const uint64_t granted : {1U, 2U, 7U, 10U, 60U, 119U, 1000U, 100'000U}) {
    const Rate rate = rate_of({.until = kWall, .per_minute = granted});
    RateState state;
    uint64_t passed = 0;
    for (TimePoint now = kStart; now < kStart + 1min;) {
      const Duration wait = state.take(rate, now);
      wait == Duration::zero() ? void(++passed) : void(now += wait);
    }
    EXPECT_LE(passed, granted);
    EXPECT_GE(passed + passed / 10 + 1, granted);
  }
  EXPECT_EQ(rate_of({}).every, Duration::zero());
}

TEST(Grant, IsKeptAsText) {
  for (const Grant& grant : {Grant{kWall, 0}, Grant{kWall + 1s, 120}}) {
    EXPECT_EQ(parse_grant(to_text(grant)), grant);
  }
  for (const char* bad : {"", "1", "1 ", " 1", "1 2 3", "-1 2", "1 -2", "99999999999 1", "1 x"}) {
    EXPECT_FALSE(parse_grant(bad)) << bad;
  }
}

TEST(AllowedRate, IsAWholeNumberOrAny) {
  const std::pair<const char*, std::optional<uint64_t>> all[] = {
      {"*", 0},
      {"1", 1},
      {"120", 120},
      {"0120", 120},
      {"59999999", 59'999'999},
      {"60000000", 0},
      {"99999999999999999999999999999999", 0},
      {"0", std::nullopt},
      {"000", std::nullopt},
      {"", std::nullopt},
      {"-1", std::nullopt},
      {"+1", std::nullopt},
      {"1.5", std::nullopt},
      {"1e9", std::nullopt},
      {"NaN", std::nullopt},
      {"inf", std::nullopt},
      {"0x10", std::nullopt},
      {"1, 2", std::nullopt},
      {"**", std::nullopt},
      {" 1", std::nullopt},
  };
  for (const auto& [text, wanted] : all) EXPECT_EQ(parse_allowed_rate(text), wanted) << text;
}

TEST(RateToAskFor, IsWhatTheRuleLetsThrough) {
  EXPECT_EQ(rate_to_ask_for({}), 0U);
  EXPECT_EQ(rate_to_ask_for({10ms, 5}), 6000U);
  EXPECT_EQ(rate_to_ask_for({60s, 1}), 1U);
}

struct Answered {
  int status;
  std::vector<std::string_view> origins;
  std::vector<std::string_view> rates;
  bool granted;
  uint64_t per_minute;
};

TEST(WebhookAnswer, MustNameTheOriginOnce) {
  const Answered all[] = {
      {200, {"events.example.com"}, {"120"}, true, 120},
      {204, {"*"}, {"*"}, true, 0},
      {200, {"EVENTS.example.com"}, {}, true, 0},
      {200, {}, {"120"}, false, 0},
      {200, {"other.example.com"}, {"120"}, false, 0},
      {200, {"events.example.com.evil.example"}, {}, false, 0},
      {200, {"events.example.com, *"}, {}, false, 0},
      {200, {"*", "*"}, {}, false, 0},
      {200, {""}, {}, false, 0},
      {200, {"*"}, {"1", "2"}, false, 0},
      {200, {"*"}, {"-5"}, false, 0},
      {301, {"*"}, {"120"}, false, 0},
      {405, {"*"}, {"120"}, false, 0},
      {500, {"*"}, {"120"}, false, 0},
  };
  for (const Answered& each : all) {
    const Asked asked =
        read_webhook_answer(each.status, each.origins, each.rates, "events.example.com");
    EXPECT_EQ(asked.what == Asked::What::granted, each.granted) << each.status << asked.why;
    EXPECT_EQ(asked.per_minute, each.per_minute);
    EXPECT_EQ(asked.why.empty(), each.granted);
  }
}

TEST(ChallengeAnswer, IsTheTokenAndNothingElse) {
  EXPECT_EQ(read_challenge_answer(200, "abc", "abc").what, Asked::What::granted);
  for (const char* content : {"", "ab", "abc\n", "ABC", "abcabc", "{\"challenge\":\"abc\"}"}) {
    EXPECT_EQ(read_challenge_answer(200, content, "abc").what, Asked::What::refused) << content;
  }
  EXPECT_EQ(read_challenge_answer(302, "abc", "abc").what, Asked::What::refused);
  EXPECT_EQ(read_challenge_answer(404, "abc", "abc").what, Asked::What::refused);
}

TEST(ChallengeUrl, KeepsTheQuery) {
  const Consent rule;
  Url url = parse_url("http://a.example/in").value();
  EXPECT_EQ(challenge_url(url, "T", 1h).origin_form(),
            "/in?hub.mode=subscribe&hub.challenge=T&hub.lease_seconds=3600");
  url = parse_url("http://a.example/in?key=1").value();
  EXPECT_EQ(challenge_url(url, "T", 1h).origin_form(),
            "/in?key=1&hub.mode=subscribe&hub.challenge=T&hub.lease_seconds=3600");
}

TEST(ConsentName, TellsSchemesOriginsAndDestinationsApart) {
  Consent rule;
  rule.scheme = ConsentScheme::cloudevents;
  rule.origin = "events.example.com";
  const Url url = parse_url("https://a.example/in?x").value();
  EXPECT_EQ(consent_name(rule, url),
            "consent:cloudevents:events.example.com:https://a.example:443");
  rule.origin = "other.example.com";
  EXPECT_EQ(consent_name(rule, url), "consent:cloudevents:other.example.com:https://a.example:443");
  const Url plain = parse_url("http://[2001:db8::1]:8080/").value();
  rule.scheme = ConsentScheme::challenge;
  rule.origin.clear();
  EXPECT_EQ(consent_name(rule, plain), "consent:challenge::http://[2001:db8::1]:8080");
}

}  // namespace
}  // namespace egret::policy
