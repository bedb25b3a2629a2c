#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/reason.h"
#include "policy/retry.h"

namespace egret::policy {

// When a request is kept and delivered later, instead of while its sender waits.
enum class DeliveryMode : uint8_t {
  sync,        // never
  async,       // always
  on_request,  // when the sender prefers it: `Prefer: respond-async` or `wait=N`
  fallback     // when the tries within the sender's request have failed
};

// Which deliveries go one at a time, in the order of their acceptance.
enum class Order : uint8_t {
  none,
  host,  // those of one destination: scheme, host and port
  key    // of them, those of one Egret-Order-Key
};

// Store-and-forward, as a rule has it.
struct Delivery {
  DeliveryMode mode = DeliveryMode::sync;
  // How long after each failed attempt the next one follows: one more attempt than waits. The
  // built-in one is that of Standard Webhooks ("Deliverability and Reliability").
  std::vector<Duration> schedule = {
      std::chrono::seconds(5), std::chrono::minutes(5), std::chrono::minutes(30),
      std::chrono::hours(2),   std::chrono::hours(5),   std::chrono::hours(10),
      std::chrono::hours(14),  std::chrono::hours(20),  std::chrono::hours(24)};
  double jitter = 0.2;  // 0 to 1: up to that part of a wait less or more
  Order order = Order::none;
  bool operator==(const Delivery&) const = default;
};

// When a host is switched off: what waits for it becomes dead, until the operator switches it on.
struct Disable {
  bool on_410 = true;                           // RFC 9110 15.5.11
  Duration after = std::chrono::hours(24 * 5);  // of failures only; max: never
  bool operator==(const Disable&) const = default;
};

// What a sender prefers, of what Egret knows (RFC 7240 4.1, 4.3).
struct Preferences {
  bool respond_async = false;
  std::optional<Duration> wait = {};
  [[nodiscard]] bool any() const { return respond_async || wait; }
};
// One Prefer field; the first of a name counts (RFC 7240 2). What is malformed is no preference.
void read_preferences(std::string_view value, Preferences& preferences);

// Whether a request is kept, and when.
struct KeepPlan {
  enum class When : uint8_t {
    never,
    at_once,
    after_trying  // for `patience`, or as long as the rule tries
  } when = When::never;
  std::optional<Duration> patience = {};
};
KeepPlan plan_keeping(DeliveryMode mode, const Preferences& preferences);

// True when a request that failed so may be kept: later it may fare better. A refusal by policy, a
// request that is wrong and a name that does not exist are answered instead.
bool may_be_kept(Reason reason);

// True when nothing was tried: Egret itself had no room or no time, the destination is left alone,
// or the configuration does not know the delivery's sender, which may be a name that was changed.
// If nothing was sent by then, a queued delivery is given back as it was.
bool is_no_attempt(Reason reason);

// How an attempt at a queued delivery ended.
struct Delivered {
  std::optional<Reason> failure = {};
  int status = 0;
  bool successful = false;  // the status is one of the rule's `success`
  bool unwanted = false;    // `webhook-delivery: abort-message` or `disable`
  std::optional<Duration> retry_after = {};
};

// What becomes of a delivery.
struct Next {
  enum class What : uint8_t { delivered, again, dead } what = What::dead;
  Duration wait{};  // of again
};
// `tries`: attempts made before this one. `dice` is from 0 to below 1. A destination that answers
// 410 (RFC 9110 15.5.11), or says that it does not want the message, gets it no more. Retry-After
// makes a wait longer, by at most kLongestAsked.
inline constexpr Duration kLongestAsked = std::chrono::hours(24);
Next after_attempt(const Delivery& rule, const Delivered& attempt, uint32_t tries, double dice);

// The wait before an attempt that follows `tries` failed ones; nothing when there is none.
std::optional<Duration> wait_of_schedule(const Delivery& rule, uint32_t tries, double dice);

// `webhook-delivery` of an answer: abort-message or disable; the second is for the whole host.
bool says_unwanted(std::string_view value);
bool says_disable(std::string_view value);

}  // namespace egret::policy
