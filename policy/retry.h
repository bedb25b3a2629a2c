#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/reason.h"
#include "policy/status_set.h"

namespace egret::policy {

// How long between two attempts: initial × factor^n, at most `max`, then up to `jitter` of it less
// or more.
struct Backoff {
  Duration initial = std::chrono::milliseconds(200);
  double factor = 2;  // 1 to 10
  Duration max = std::chrono::seconds(5);
  double jitter = 0.2;  // 0 to 1
  bool operator==(const Backoff&) const = default;
};

// Retry says which failed attempts of a waiting sender's request are made again.
struct Retry {
  uint32_t attempts = 1;  // in all, the first included
  // No request has left: the name could not be resolved for now, no connection could be made.
  bool on_connect = true;
  // It may have arrived: no answer in time.
  bool on_timeout = true;
  // It may have arrived: the connection broke before a whole answer's head.
  bool on_reset = false;
  StatusSet on_status{{{429, 429}, {502, 502}, {503, 503}, {504, 504}}};
  Backoff backoff;
  bool operator==(const Retry&) const = default;
};

// How an attempt ended: with a failure, or with an answer that is not a success.
struct Attempted {
  std::optional<Reason> failure = {};
  int status = 0;
  std::optional<Duration> retry_after = {};  // from now, as the answer asked
};

// True when `reason` means that no byte of the request has reached the destination, and that
// another attempt may fare better.
bool is_connect_failure(Reason reason);

// How long to wait before the next attempt, or nothing when there is to be none: `made` attempts
// are all that there may be, the rule does not list what happened, or waiting would leave nothing
// of `left`, the time until timeouts.total. `dice` is from 0 to below 1.
//   Retry-After (RFC 9110 10.2.3) makes the wait longer, never shorter.
std::optional<Duration> wait_before_retry(const Retry& rule, const Attempted& attempted,
                                          uint32_t made, Duration left, double dice);

// Retry-After as delay-seconds or HTTP-date (RFC 9110 5.6.7, all three forms); a date that has
// passed is zero, more than a year is a year. Nothing for any other text.
std::optional<Duration> parse_retry_after(std::string_view value, WallTime now);

}  // namespace egret::policy
