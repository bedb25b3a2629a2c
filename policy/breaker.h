#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/reason.h"

namespace egret::policy {

// When requests to a destination that fails are no longer made (a circuit breaker): after so many
// failures in a row, all within `window`, for `cooldown`; then one request is let through to see.
struct Breaker {
  uint32_t failures = 10;  // 0: never
  Duration window = std::chrono::minutes(1);
  Duration cooldown = std::chrono::seconds(30);
  bool operator==(const Breaker&) const = default;
};

// A token bucket for each destination: `burst` requests at once, then one each `every`.
struct Rate {
  Duration every{};  // zero: any
  uint32_t burst = 1;
  bool operator==(const Rate&) const = default;
};

// How a request to a destination ended, as far as that says something of the destination.
enum class Health : uint8_t { unknown, well, failing };
// Failing: it could not be reached, it did not answer in time or not whole, or it answered 502, 503
// or 504. Any other answer is one. Policy, the sender and Egret itself say nothing of it.
Health health_of(std::optional<Reason> failure, int status);

// What is known of one destination. Pure: the caller has the time.
class BreakerState {
 public:
  struct Pass {
    Duration closed{};   // zero: the request may be made, and ended() is called; else for how long
                         // none may
    uint32_t look = 0;   // not zero: it is the one that is let through to see; for ended()
    bool later = false;  // it may become that one: enter() once more, when it can be sent at once
  };
  // `ready`: the request can be sent at once. One that cannot keeps nobody from looking.
  Pass enter(const Breaker& rule, TimePoint now, bool ready);
  // `look`: as enter() gave it. While requests are refused, only who looks is heard: what began
  // before says nothing of how it is now.
  void ended(const Breaker& rule, Health health, TimePoint now, uint32_t look);
  // Requests are refused, or one is on its way to see.
  [[nodiscard]] bool is_open() const { return open_; }
  // Nothing would be lost with it: what was seen is too old to count.
  [[nodiscard]] bool at_rest(TimePoint now) const { return now >= forgotten_at_; }
  // The operator says that it is well.
  void close();

 private:
  uint32_t failures_ = 0;  // in a row
  TimePoint first_{};      // of them
  TimePoint forgotten_at_ = TimePoint::min();
  TimePoint open_until_{};
  bool open_ = false;
  uint32_t looks_ = 0;    // so far
  uint32_t looking_ = 0;  // the one that has not come back yet; 0: none
};

class RateState {
 public:
  // Zero: the request may be made. Else how long until one may be.
  Duration take(const Rate& rule, TimePoint now);
  [[nodiscard]] bool at_rest(TimePoint now) const { return now >= full_at_; }

 private:
  TimePoint full_at_ = TimePoint::min();  // when every token is back
};

}  // namespace egret::policy
