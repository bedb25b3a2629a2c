#pragma once

#include "base/clock.h"

namespace egret::test {

// ManualClock stands still until a test moves it. It starts at a round instant that is not zero,
// so that a forgotten "now" is seen.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall() const override { return wall_at_start_ + (now_ - start_); }

  void advance(Duration by) { now_ += by; }
  // Never backwards: the clock it stands for is monotonic.
  void advance_to(TimePoint instant) {
    if (instant > now_) now_ = instant;
  }

 private:
  static constexpr TimePoint start_{std::chrono::hours(1000)};
  // 2026-01-02T03:04:05Z
  static constexpr WallTime wall_at_start_{std::chrono::seconds(1'767'323'045)};
  TimePoint now_ = start_;
};

}  // namespace egret::test
