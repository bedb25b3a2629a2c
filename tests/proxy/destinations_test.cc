// What the workers together know of a destination.
#include "proxy/destinations.h"

#include <gtest/gtest.h>

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using Slots = std::vector<Destinations::Slot>;

constexpr TimePoint kStart{1000h};

policy::Rule rule(const char* name) {
  policy::Rule made;
  made.name = name;
  made.breaker = {.failures = 1, .window = 60s, .cooldown = 30s};
  return made;
}

policy::Url url(const std::string& host = "hooks.acme.io") {
  return *policy::parse_url("http://" + host + "/");
}

// Why not, or "".
std::string entered(Destinations& table, const Destinations::Asks& asks, TimePoint now,
                    Slots& slots) {
  Destinations::Slot slot;
  const auto refused = table.enter(asks, now, slot);
  if (refused) return std::string(name(refused->failure.reason));
  slots.push_back(std::move(slot));
  return {};
}

std::string failed(Destinations& table, const Destinations::Asks& asks, TimePoint now) {
  Slots slots;
  std::string refused = entered(table, asks, now, slots);
  for (auto& each : slots) each.note(policy::Health::failing, now);
  return refused;
}

TEST(Destinations, ABreakerIsItsRulesOwn) {
  Destinations table;
  const policy::Rule hasty = rule("hasty");
  const policy::Rule calm = rule("calm");
  const policy::Url to = url();
  EXPECT_EQ(failed(table, {.url = to, .rule = hasty, .sender = {}}, kStart), "");
  Slots slots;
  EXPECT_EQ(entered(table, {.url = to, .rule = hasty, .sender = {}}, kStart, slots),
            "breaker_open");
  EXPECT_EQ(entered(table, {.url = to, .rule = calm, .sender = {}}, kStart, slots), "");
  EXPECT_EQ(table.open_breakers().size(), 1U);
  EXPECT_EQ(table.close_breakers("hooks.acme.io"), 1U);
  EXPECT_EQ(entered(table, {.url = to, .rule = hasty, .sender = {}}, kStart, slots), "");
}

TEST(Destinations, ASlowRateDoesNotHoldUpAFastOne) {
  Destinations table;
  policy::Rule slow = rule("slow");
  slow.rate = {.every = 3s, .burst = 100};
  policy::Rule fast = rule("fast");
  fast.rate = {.every = 10ms, .burst = 10};
  policy::Rule same = rule("same");
  same.rate = slow.rate;
  const policy::Url to = url();
  Slots slots;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(entered(table, {.url = to, .rule = slow, .sender = {}}, kStart, slots), "");
    EXPECT_EQ(entered(table, {.url = to, .rule = same, .sender = {}}, kStart, slots), "");
    slots.clear();
  }
  EXPECT_EQ(entered(table, {.url = to, .rule = slow, .sender = {}}, kStart, slots), "rate_limited");
  EXPECT_EQ(entered(table, {.url = to, .rule = same, .sender = {}}, kStart, slots), "rate_limited");
  EXPECT_EQ(entered(table, {.url = to, .rule = fast, .sender = {}}, kStart, slots), "");
}

TEST(Destinations, TheQueueLeavesPlacesToThoseThatWait) {
  Destinations table;
  policy::Rule four = rule("four");
  four.limits.in_flight_per_host = 4;
  const policy::Url to = url();
  Slots slots;
  const Destinations::Asks a{.url = to, .rule = four, .sender = "a", .queued = true};
  const Destinations::Asks b{.url = to, .rule = four, .sender = "b", .queued = true};
  const Destinations::Asks waits{.url = to, .rule = four, .sender = "a"};
  EXPECT_EQ(entered(table, a, kStart, slots), "");
  EXPECT_EQ(entered(table, a, kStart, slots), "in_flight_limit");
  EXPECT_EQ(entered(table, b, kStart, slots), "");
  EXPECT_EQ(entered(table, waits, kStart, slots), "");
  EXPECT_EQ(entered(table, waits, kStart, slots), "");
  EXPECT_EQ(entered(table, waits, kStart, slots), "in_flight_limit");
  slots.clear();
  EXPECT_EQ(entered(table, a, kStart, slots), "");
  EXPECT_EQ(Destinations::most_queued(1), 1U);
  EXPECT_EQ(Destinations::most_queued(5), 3U);
  EXPECT_EQ(Destinations::most_queued_of("", 5), 3U);
  EXPECT_EQ(Destinations::most_queued_of("a", 5), 2U);
  EXPECT_EQ(Destinations::most_queued_of("a", 1), 1U);
}

TEST(Destinations, ForgetWhatNobodyAsksForAnyMore) {
  Destinations table;
  const policy::Rule one = rule("one");
  for (int i = 0; i < 1000; ++i) {
    const policy::Url to = url("n" + std::to_string(i) + ".acme.io");
    EXPECT_EQ(failed(table, {.url = to, .rule = one, .sender = {}}, kStart), "");
  }
  EXPECT_EQ(table.open_breakers().size(), 1000U);
  for (int i = 0; i < 1000; ++i) {
    const policy::Url to = url("m" + std::to_string(i) + ".acme.io");
    Slots slots;
    EXPECT_EQ(entered(table, {.url = to, .rule = one, .sender = {}}, kStart + 10min, slots), "");
  }
  EXPECT_EQ(table.size(), 0U);
}

TEST(Destinations, WhoLooksLaterLooksWhenItCan) {
  Destinations table;
  const policy::Rule one = rule("one");
  const policy::Url to = url();
  failed(table, {.url = to, .rule = one, .sender = {}}, kStart);
  const TimePoint later = kStart + 30s;
  Destinations::Slot slow;
  EXPECT_FALSE(table.enter({.url = to, .rule = one, .sender = {}, .ready = false}, later, slow));
  EXPECT_TRUE(slow.looks_later());
  Destinations::Slot quick;
  EXPECT_FALSE(table.enter({.url = to, .rule = one, .sender = {}}, later, quick));
  EXPECT_TRUE(table.look(slow, later)) << "another looks";
  quick.tell(policy::Health::well, later);
  EXPECT_FALSE(table.look(slow, later)) << "the breaker is closed";
}

}  // namespace
}  // namespace egret::proxy
