#include "policy/retry.h"

#include <gtest/gtest.h>

#include <set>

namespace egret::policy {
namespace {

using namespace std::chrono_literals;

constexpr double kMiddle = 0.5;  // of the dice: no jitter

Retry rule_of(uint32_t attempts) {
  Retry rule;
  rule.attempts = attempts;
  return rule;
}

TEST(Retry, WaitsLongerEachTimeUpToTheMost) {
  Retry rule = rule_of(20);
  rule.backoff = {.initial = 100ms, .factor = 3, .max = 2s, .jitter = 0.5};
  const Attempted failed{.failure = Reason::connection_refused};
  const Duration expected[] = {100ms, 300ms, 900ms, 2s, 2s};
  for (uint32_t made = 1; made <= 5; ++made) {
    EXPECT_EQ(wait_before_retry(rule, failed, made, 1h, kMiddle), expected[made - 1]) << made;
    EXPECT_EQ(wait_before_retry(rule, failed, made, 1h, 0), expected[made - 1] / 2) << made;
    const auto most = wait_before_retry(rule, failed, made, 1h, 0.999999);
    EXPECT_LT(*most, expected[made - 1] * 3 / 2);
    EXPECT_GT(*most, expected[made - 1]);
  }
}

TEST(Retry, NeverOverflows) {
  Retry rule = rule_of(20);
  rule.backoff = {.initial = 1h, .factor = 10, .max = 1h, .jitter = 1};
  for (uint32_t made = 1; made < 20; ++made) {
    const auto wait = wait_before_retry(rule, {.status = 503}, made, Duration::max(), 0.999999);
    ASSERT_TRUE(wait);
    EXPECT_LE(*wait, 2h);
    EXPECT_GE(*wait, Duration::zero());
  }
}

TEST(Retry, MakesNoMoreThanTheAttempts) {
  const Attempted failed{.status = 503};
  EXPECT_FALSE(wait_before_retry(rule_of(1), failed, 1, 1h, kMiddle));
  EXPECT_TRUE(wait_before_retry(rule_of(3), failed, 2, 1h, kMiddle));
  EXPECT_FALSE(wait_before_retry(rule_of(3), failed, 3, 1h, kMiddle));
  EXPECT_FALSE(wait_before_retry(rule_of(3), failed, 4, 1h, kMiddle));
}

TEST(Retry, LeavesTimeForTheAttempt) {
  const Attempted failed{.status = 503};
  EXPECT_TRUE(wait_before_retry(rule_of(2), failed, 1, 201ms, kMiddle));
  EXPECT_FALSE(wait_before_retry(rule_of(2), failed, 1, 200ms, kMiddle));
  EXPECT_FALSE(wait_before_retry(rule_of(2), failed, 1, -1s, kMiddle));
}

TEST(Retry, AfterMakesTheWaitLongerNeverShorter) {
  const auto wait = [](std::optional<Duration> after, Duration left) {
    return wait_before_retry(rule_of(2), {.status = 429, .retry_after = after}, 1, left, kMiddle);
  };
  EXPECT_EQ(wait(0s, 1h), 200ms);
  EXPECT_EQ(wait(3s, 1h), 3s);
  EXPECT_EQ(wait(3s, 3s), std::nullopt);
  EXPECT_EQ(wait(std::nullopt, 1h), 200ms);
}

// Every reason is in one class: nothing is tried again by default of a switch.
TEST(Retry, IsForFailuresThatMayPass) {
  const std::set<Reason> connect = {Reason::dns_error,          Reason::dns_timeout,
                                    Reason::connection_refused, Reason::connection_failed,
                                    Reason::connection_timeout, Reason::destination_unroutable,
                                    Reason::tls_timeout,        Reason::parent_proxy_failed};
  const std::set<Reason> timeout = {Reason::response_timeout, Reason::write_timeout};
  const std::set<Reason> reset = {Reason::connection_terminated, Reason::response_incomplete};
  for (const ReasonInfo& each : all_reasons()) {
    for (const int which : {0, 1, 2, 3}) {
      Retry rule = rule_of(2);
      rule.on_connect = which == 0;
      rule.on_timeout = which == 1;
      rule.on_reset = which == 2;
      const bool expected = (which == 0 && connect.contains(each.reason)) ||
                            (which == 1 && timeout.contains(each.reason)) ||
                            (which == 2 && reset.contains(each.reason));
      EXPECT_EQ(wait_before_retry(rule, {.failure = each.reason}, 1, 1h, kMiddle).has_value(),
                expected)
          << each.name << " " << which;
    }
    EXPECT_EQ(is_connect_failure(each.reason), connect.contains(each.reason)) << each.name;
  }
}

TEST(Retry, IsForTheStatusesOfTheRule) {
  Retry rule = rule_of(2);
  rule.on_status = StatusSet({{503, 503}, {400, 409}});
  for (int status = 100; status < 600; ++status) {
    const bool listed = status == 503 || (status >= 400 && status <= 409);
    EXPECT_EQ(wait_before_retry(rule, {.status = status}, 1, 1h, kMiddle).has_value(), listed)
        << status;
  }
}

TEST(RetryAfter, IsSecondsOrADate) {
  // 2026-01-02T03:04:05Z, a Friday.
  const WallTime now(std::chrono::seconds(1'767'323'045) + 250ms);
  struct Case {
    std::string_view value;
    std::optional<Duration> wait;
  };
  constexpr Duration kYear = std::chrono::hours(24 * 365);
  const Case cases[] = {
      {"0", 0s},
      {"120", 120s},
      {"000120", 120s},
      {"99999999999999999999999", kYear},
      {"31536001", kYear},
      {"-1", std::nullopt},
      {"+1", std::nullopt},
      {"1.5", std::nullopt},
      {"1s", std::nullopt},
      {"", std::nullopt},
      {"soon", std::nullopt},
      {"Fri, 02 Jan 2026 03:04:15 GMT", 10s},
      {"Fri, 02 Jan 2026 03:04:05 GMT", 0s},
      {"Thu, 01 Jan 1970 00:00:00 GMT", 0s},
      {"Fri, 02 Jan 1063 03:04:15 GMT", 0s},
      {"Sat, 01 Jan 0000 00:00:00 GMT", 0s},
      {"Fri, 31 Dec 9999 23:59:59 GMT", kYear},
      {"Friday, 02-Jan-26 03:04:15 GMT", 10s},
      {"Friday, 02-Jan-76 03:04:15 GMT", kYear},  // 50 years ahead
      {"Sunday, 02-Jan-77 03:04:15 GMT", 0s},     // 1977
      {"Fri Jan  2 03:04:15 2026", 10s},
      {"Fri Jan 02 03:04:15 2026", 10s},
      {"Fri, 02 Jan 2026 03:04:15 CET", std::nullopt},
      {"Fri, 2 Jan 2026 03:04:15 GMT", std::nullopt},
      {"Fri, 30 Feb 2026 03:04:15 GMT", std::nullopt},
      {"Fri, 02 Jan 2026 24:00:00 GMT", std::nullopt},
      {"Fri, 02 Jan 2026 03:04:15 GMT trailing", std::nullopt},
      {"fri, 02 jan 2026 03:04:15 gmt", std::nullopt},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(parse_retry_after(each.value, now), each.wait) << each.value;
  }
}

TEST(StatusRange, IsAStatusOrAClass) {
  const auto text = [](std::string_view written) {
    const auto range = StatusRange::parse(written);
    return range ? std::to_string(range->first) + "-" + std::to_string(range->last) : "none";
  };
  EXPECT_EQ(text("204"), "204-204");
  EXPECT_EQ(text("2xx"), "200-299");
  EXPECT_EQ(text("5xx"), "500-599");
  for (const std::string_view bad : {"", "2", "20", "2000", "1xx", "6xx", "100", "199", "600",
                                     "2XX", "nxx", "2x0", " 204", "-04"}) {
    EXPECT_EQ(text(bad), "none") << bad;
  }
}

}  // namespace
}  // namespace egret::policy
