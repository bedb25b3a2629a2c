// breaker, rate and disable: what keeps a destination that fails, or is called too often, from
// harm.
#include <algorithm>

#include "base/text.h"
#include "config/scalars.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

void read_breaker(const Mapping& mapping, policy::Breaker& breaker) {
  const auto time = between<Duration>(milliseconds(1), hours(24), parse_duration, duration_text);
  const Node* failures = mapping.find("failures");
  if (failures != nullptr && failures->text == "0") {
    mapping.error("failures",
                  "failures: none would open it without any; breaker: none switches it off");
  } else {
    mapping.count("failures", breaker.failures, 1, 1'000'000);
  }
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

// Whether the defaults or a rule say so.
template <typename Says>
bool anywhere(const Settings& settings, Says says) {
  return says(settings.defaults) || std::any_of(settings.rules.begin(), settings.rules.end(), says);
}

}  // namespace

void read_isolation(const Mapping& root, const Mapping& mapping, policy::Rule& rule) {
  if (mapping.is_none("breaker")) {
    rule.breaker.failures = 0;
  } else if (const auto breaker = mapping.mapping("breaker")) {
    if (rule.breaker.failures == 0) rule.breaker.failures = policy::Breaker().failures;
    read_breaker(*breaker, rule.breaker);
  }
  if (mapping.is_none("disable")) {
    rule.disable = {.on_410 = false, .after = Duration::max()};
  } else if (const auto disable = mapping.mapping("disable")) {
    read_disable(root, *disable, mapping.has("name"), rule.disable);
  }
  if (const auto rate = mapping.mapping("rate")) {
    read_rate(*rate, mapping.has("name"), rule.rate);
  }
}

void warn_idle_defaults(const Mapping& root, const Mapping& defaults, const Settings& settings) {
  const policy::Rule built_in;
  const auto keeps = [](const policy::Rule& rule) {
    return rule.delivery.mode != policy::DeliveryMode::sync;
  };
  const auto slows = [](const policy::Rule& rule) { return rule.rate.every != Duration::zero(); };
  if (settings.defaults.delivery != built_in.delivery && !anywhere(settings, keeps)) {
    defaults.warning("delivery",
                     "delivery: nothing is kept while mode is sync, here and in every rule; write "
                     "mode: async, on-request or fallback");
  }
  if (settings.defaults.rate.burst != built_in.rate.burst && !anywhere(settings, slows)) {
    defaults.warning("rate",
                     "rate: nothing is held back while per_host is none, here and in every rule");
  }
  const bool switches_off =
      settings.defaults.disable != built_in.disable && !defaults.is_none("disable");
  if (switches_off && !root.has("queue")) {
    defaults.warning("disable", "disable: without a queue nothing is switched off");
  }
}

}  // namespace egret::config
