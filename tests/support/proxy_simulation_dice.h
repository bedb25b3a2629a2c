#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>
#include <random>

#include "base/clock.h"

namespace egret::test::sim {

// Dice are all the chance that a simulation has: one seed, one run. The distributions are our own,
// since those of the standard library differ from one to the next.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}

  // From 0 to `n` - 1.
  uint64_t below(uint64_t n) { return engine_() % n; }
  // Both ends included.
  size_t between(size_t least, size_t most) { return least + below(most - least + 1); }
  bool percent(uint64_t chance) { return below(100) < chance; }
  // As often a short one as a long one: every power of two between the ends is equally likely.
  Duration duration(Duration least, Duration most) {
    const auto times = static_cast<uint64_t>(most / least);
    const uint64_t power = below(static_cast<uint64_t>(std::bit_width(times)));
    const Duration base = least * (uint64_t{1} << power);
    return std::min(most, base + Duration(below(static_cast<uint64_t>(base.count()))));
  }
  // The same for sizes.
  size_t size(size_t most) {
    if (most == 0) return 0;
    return below((uint64_t{1} << below(static_cast<uint64_t>(std::bit_width(most)))) + 1);
  }
  template <typename Range>
  auto& pick(Range& range) {
    return range[below(std::size(range))];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace egret::test::sim
