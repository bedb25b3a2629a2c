#include "policy/breaker.h"

#include <algorithm>

namespace egret::policy {

Health health_of(std::optional<Reason> failure, int status) {
  if (!failure) return status >= 502 && status <= 504 ? Health::failing : Health::well;
  switch (*failure) {
    case Reason::connection_refused:
    case Reason::destination_unroutable:
    case Reason::connection_failed:
    case Reason::connection_timeout:
    case Reason::connection_terminated:
    case Reason::tls_certificate_error:
    case Reason::tls_protocol_error:
    case Reason::tls_alert_received:
    case Reason::tls_timeout:
    case Reason::write_timeout:
    case Reason::response_timeout:
    case Reason::response_incomplete:
    case Reason::response_malformed:
    case Reason::idle_timeout:
    case Reason::response_too_slow:
      return Health::failing;
    default:
      return Health::unknown;
  }
}

BreakerState::Pass BreakerState::enter(const Breaker& rule, TimePoint now, bool ready) {
  if (!open_ || rule.failures == 0) return {};
  if (now < open_until_) return {.closed = open_until_ - now};
  // The one that looks has not come back yet.
  if (looking_ != 0) return {.closed = std::min<Duration>(rule.cooldown, std::chrono::seconds(1))};
  if (!ready) return {.later = true};
  looking_ = ++looks_;
  return {.look = looking_};
}

void BreakerState::ended(const Breaker& rule, Health health, TimePoint now, uint32_t look) {
  const bool looked = look != 0 && look == looking_;
  if (looked) looking_ = 0;
  if (rule.failures == 0 || health == Health::unknown || (open_ && !looked)) return;
  if (health == Health::well) {
    close();
    return;
  }
  if (failures_ == 0 || now - first_ > rule.window) {
    failures_ = 0;
    first_ = now;
  }
  ++failures_;
  forgotten_at_ = deadline_after(first_, rule.window);
  if (!open_ && failures_ < rule.failures) return;
  open_ = true;
  open_until_ = deadline_after(now, rule.cooldown);
  forgotten_at_ = deadline_after(open_until_, std::max(rule.window, rule.cooldown));
}

void BreakerState::close() {
  const uint32_t looks = looks_;
  *this = {};
  looks_ = looks;
}

Duration RateState::take(const Rate& rule, TimePoint now) {
  if (rule.every == Duration::zero()) return Duration::zero();
  // When a token is there for this one: all but burst - 1 of the tokens may be out.
  const TimePoint begins = std::max(full_at_, now);
  const TimePoint allowed = begins - rule.every * (static_cast<int64_t>(rule.burst) - 1);
  if (allowed > now) return allowed - now;
  full_at_ = begins + rule.every;
  return Duration::zero();
}

}  // namespace egret::policy
