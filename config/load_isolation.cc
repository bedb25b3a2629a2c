// breaker, rate and disable: what keeps a destination that fails, or is called too often, from
// harm.
#include "base/text.h"
#include "config/scalars.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

void read_breaker(const Mapping& mapping, policy::Breaker& breaker) {
  const auto time = between<Duration>(milliseconds(1), hours(24), parse_duration, duration_text);
  mapping.count("failures", breaker.failures, 1, 1'000'000);
  mapping.scalar("window", breaker.window, time);
  mapping.scalar("cooldown", breaker.cooldown, time);
}

void read_disable(const Mapping& root, const Mapping& mapping, bool own, policy::Disable& disable) {
  mapping.boolean("on_410", disable.on_410);
  mapping.scalar("after", disable.after,
                 or_none(between<Duration>(std::chrono::minutes(1), hours(24 * 365), parse_duration,
                                           duration_text)));
  if (own && !root.has("queue")) {
    mapping.warning("after", "disable: without a queue nothing is switched off");
  }
}

void read_rate(const Mapping& mapping, bool own, policy::Rate& rate) {
  mapping.scalar("per_host", rate.every, parse_rate);
  mapping.count("burst", rate.burst, 1, 1'000'000);
  if (own && mapping.has("burst") && rate.every == Duration::zero()) {
    mapping.warning("burst", "burst: nothing is held back while per_host is none");
  }
}

}  // namespace

void read_isolation(const Mapping& root, const Mapping& mapping, policy::Rule& rule) {
  if (mapping.is_none("breaker")) {
    rule.breaker.failures = 0;
  } else if (const auto breaker = mapping.mapping("breaker")) {
    if (rule.breaker.failures == 0) rule.breaker.failures = policy::Breaker().failures;
    read_breaker(*breaker, rule.breaker);
  }
  if (const auto disable = mapping.mapping("disable")) {
    read_disable(root, *disable, mapping.has("name"), rule.disable);
  }
  if (const auto rate = mapping.mapping("rate")) {
    read_rate(*rate, mapping.has("name"), rule.rate);
  }
}

}  // namespace egret::config
