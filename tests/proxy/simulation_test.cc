// The whole gateway in memory, thousands of lives: docs/design/0006-simulation.md.
//   EGRET_SIMULATION_SEED=123     replays one seed, with its trace
//   EGRET_SIMULATION_SEEDS=20000  so many instead of the usual number
//   EGRET_SIMULATION_BASE=random  not the usual ones (or a number)

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "tests/support/proxy_simulation.h"

namespace egret::proxy {
namespace {

using test::sim::Outcome;
using test::sim::Sabotage;
using test::sim::simulate;

constexpr uint64_t kShards = 8;
constexpr uint64_t kUsualSeeds = 4800;  // in all shards

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

uint64_t number(const char* name, uint64_t usual) {
  const auto value = environment(name);
  if (!value) return usual;
  return *value == "random" ? std::random_device{}() * uint64_t{1'000'000} : std::stoull(*value);
}

std::string joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  return all;
}

void expect_good(uint64_t seed) {
  const Outcome outcome = simulate(seed);
  if (outcome.violations.empty()) return;
  ADD_FAILURE()
      << joined(outcome.violations) << "Replay: EGRET_SIMULATION_SEED=" << seed
      << " build/dev/tests/egret_proxy_test --gtest_filter='SimulationItself.ReplaysOneSeed'";
}

class Simulation : public testing::TestWithParam<uint64_t> {};

TEST_P(Simulation, HoldsItsInvariantsWhateverHappens) {
  const uint64_t base = number("EGRET_SIMULATION_BASE", 1);
  const uint64_t seeds = number("EGRET_SIMULATION_SEEDS", kUsualSeeds);
  for (uint64_t seed = GetParam(); seed < seeds && !HasFailure(); seed += kShards) {
    expect_good(base + seed);
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, Simulation, testing::Range(uint64_t{0}, kShards));

TEST(SimulationItself, ReplaysOneSeed) {
  const auto seed = environment("EGRET_SIMULATION_SEED");
  if (!seed) GTEST_SKIP() << "EGRET_SIMULATION_SEED is not set";
  const Outcome outcome = simulate(std::stoull(*seed));
  std::puts(joined(outcome.trace).c_str());
  EXPECT_TRUE(outcome.violations.empty()) << joined(outcome.violations);
}

TEST(SimulationItself, IsTheSameForTheSameSeed) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome first = simulate(seed);
    const Outcome second = simulate(seed);
    EXPECT_EQ(first.trace, second.trace) << "seed " << seed;
    EXPECT_NE(first.trace, simulate(seed + 1000).trace);
  }
}

// A watcher that never barks is no watcher.
TEST(SimulationItself, SeesABugOfEachKind) {
  struct Case {
    Sabotage sabotage;
    std::string_view seen;
  };
  const Case cases[] = {
      {Sabotage::permits_private, "a denied dial"},
      {Sabotage::permits_private, "which no configuration since it was sent permits"},
      {Sabotage::answers_twice, "one answer more than it has requests"},
      {Sabotage::swaps_answers, "which is another's"},
      {Sabotage::cuts_unseen, "no destination sent that whole"},
      {Sabotage::loses_a_line, "log lines of"},
      {Sabotage::doubles_a_line, "a second line"},
      {Sabotage::keeps_a_buffer, "still open at the end: buffers 1"},
      {Sabotage::waits_too_long, "it took too long"},
      {Sabotage::forwards_twice, "30 times"},
      {Sabotage::retries_more, "more attempts than any configuration allows"},
      {Sabotage::follows_more, "more redirects than any configuration allows"},
  };
  for (const Case& each : cases) {
    bool seen = false;
    for (uint64_t seed = 1; seed <= 100 && !seen; ++seed) {
      seen = joined(simulate(seed, each.sabotage).violations).find(each.seen) != std::string::npos;
    }
    EXPECT_TRUE(seen) << each.seen;
  }
}

}  // namespace
}  // namespace egret::proxy
