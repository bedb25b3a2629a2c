// What all workers share, used by several threads at once.
#include "proxy/destinations.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace egret::proxy {
namespace {

TEST(Destinations, NeverGrantMoreOverAllThreads) {
  constexpr uint32_t kLimit = 3;
  Destinations table;
  policy::Rule rule;
  rule.limits.in_flight_per_host = kLimit;
  std::atomic<uint32_t> inside{0};
  std::atomic<uint32_t> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const policy::Url there = *policy::parse_url("http://a/");
      for (int round = 0; round < 5000; ++round) {
        Destinations::Slot slot;
        if (table.enter({.url = there, .rule = rule, .sender = {}}, TimePoint(), slot)) continue;
        const uint32_t now = ++inside;
        uint32_t seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most.load(), kLimit);
  EXPECT_EQ(table.size(), 0U);
}

}  // namespace
}  // namespace egret::proxy
