#pragma once

#include <chrono>
#include <cstdint>

namespace egret {

// Durations and instants are nanoseconds in 64 bits; the epoch of TimePoint is the clock's own.
using Duration = std::chrono::nanoseconds;
struct Monotonic {
  using rep = int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<Monotonic>;
  static constexpr bool is_steady = true;
};
using TimePoint = Monotonic::time_point;
using WallTime = std::chrono::sys_time<Duration>;

// A deadline is absolute: the instant from which waiting is over. `kNever` waits for ever.
using Deadline = TimePoint;
inline constexpr Deadline kNever = Deadline::max();

// `now + after`, saturating at kNever (a configured "none" is Duration::max()).
constexpr Deadline deadline_after(TimePoint now, Duration after) {
  return after >= kNever - now ? kNever : now + after;
}

// Clock is the only source of time. Told to the timers once a turn of the loop, never asked twice
// within one: everything in a turn happens at the same instant.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  // Civil time in UTC, for logs and for how long certificates are valid: nothing waits by it.
  virtual WallTime wall() const = 0;
};

// CLOCK_MONOTONIC and CLOCK_REALTIME. Any thread.
class SystemClock final : public Clock {
 public:
  TimePoint now() const override;
  WallTime wall() const override;
};

}  // namespace egret
