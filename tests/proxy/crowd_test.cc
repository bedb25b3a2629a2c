#include "proxy/crowd.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;

TEST(Crowd, OneAfterTheOtherAsksAgainHoweverManyWait) {
  Crowd crowd;
  test::ManualClock clock;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(crowd.wait("a", clock.now(), 1s), 1s + i * Crowd::kApart);
  }
  EXPECT_EQ(crowd.wait("b", clock.now(), 1s), 1s) << "another's";
  clock.advance(4s);
  EXPECT_EQ(crowd.wait("a", clock.now(), 1s), 5s);
  clock.advance(10s);
  EXPECT_EQ(crowd.wait("a", clock.now(), 1s), 1s) << "all have asked";
}

TEST(Crowd, WhereManyAreServedNobodyWaitsLonger) {
  Crowd crowd;
  test::ManualClock clock;
  for (int i = 0; i < 1000; ++i) {
    crowd.wait("a", clock.now(), 1s);
    if (i % Crowd::kForOne == 0) crowd.served("a");
  }
  EXPECT_LT(crowd.wait("a", clock.now(), 1s), 1s + Crowd::kForOne * Crowd::kApart);
}

TEST(Crowd, NobodyWaitsForEver) {
  Crowd crowd;
  test::ManualClock clock;
  for (int i = 0; i < 100'000; ++i) crowd.wait("a", clock.now(), 1s);
  EXPECT_EQ(crowd.wait("a", clock.now(), 1s), Crowd::kLongest);
  EXPECT_EQ(crowd.wait("a", clock.now(), 1h), 1h);
}

TEST(Crowd, KnowsABoundedNumberOfNames) {
  Crowd crowd;
  test::ManualClock clock;
  for (size_t i = 0; i < Crowd::kMost; ++i) crowd.wait(std::to_string(i), clock.now(), 1s);
  EXPECT_EQ(crowd.wait("0", clock.now(), 1s), 1s) << "it began anew";
}

}  // namespace
}  // namespace egret::proxy
