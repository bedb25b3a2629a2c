#include "proxy/consent.h"

#include <gtest/gtest.h>

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using policy::ConsentState;

constexpr TimePoint kStart{1000h};
constexpr WallTime kWall{500000h};

policy::Consent rule() {
  policy::Consent rule;
  rule.scheme = policy::ConsentScheme::challenge;
  rule.above = {60s, 1};
  return rule;
}

TEST(Consents, AreBoundedAndForgetTheOldestFirst) {
  Consents table;
  constexpr ConsentState::Able kAsk{.look = false, .ask = true};
  table.granted("first", {.until = kWall + 1h}, kStart);
  for (size_t i = 0; i < 2 * Consents::kMost; ++i) {
    table.granted(std::to_string(i), {.until = kWall + 1h}, kStart + 1s);
  }
  EXPECT_LE(table.size(), Consents::kMost);
  EXPECT_GE(table.size(), Consents::kMost / 2);
  table.enter("first", rule(), kAsk, kStart + 2s, kWall);
  EXPECT_EQ(table.enter("first", rule(), kAsk, kStart + 2s, kWall).verdict.step,
            ConsentState::Verdict::Step::turn)
      << "it was forgotten, and is asked again";
  for (size_t i = 0; i < 2 * Consents::kMost; ++i) {
    table.granted("x" + std::to_string(i), {.until = kWall + 1h}, kStart + 3s);
  }
  EXPECT_EQ(table.enter("first", rule(), kAsk, kStart + 3s, kWall).verdict.step,
            ConsentState::Verdict::Step::missing)
      << "what is being asked is never forgotten";
}

TEST(Consents, ExpectABoundedNumberOfCallbacks) {
  Consents table;
  const std::string first = table.expect_callback("a", 1h, kStart);
  std::string last;
  for (size_t i = 0; i < Consents::kMostCallbacks; ++i) {
    last = table.expect_callback("b", 1h, kStart);
  }
  EXPECT_NE(first, last);
  EXPECT_FALSE(table.redeem(first, 0, kStart, kWall));
  const auto redeemed = table.redeem(last, 30, kStart, kWall);
  ASSERT_TRUE(redeemed);
  EXPECT_EQ(redeemed->name, "b");
  EXPECT_EQ(redeemed->grant, (policy::Grant{kWall + 1h, 30}));
  EXPECT_EQ(table.counts().callbacks, 1U);
}

}  // namespace
}  // namespace egret::proxy
