#include "policy/delivery.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace egret::policy {
namespace {

// The end of an element that begins at `text`: `separator` outside of quotes.
size_t end_of_element(std::string_view text, char separator) {
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == separator && !quoted) {
      return i;
    }
  }
  return text.size();
}

std::optional<Duration> parse_seconds(std::string_view digits) {
  constexpr uint32_t kMost = 24 * 60 * 60;
  uint64_t seconds = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  if (digits.empty() || end != digits.data() + digits.size()) return std::nullopt;
  if (error != std::errc() || seconds > kMost) seconds = kMost;
  return std::chrono::seconds(seconds);
}

void read_preference(std::string_view element, Preferences& preferences) {
  const std::string_view pair = text::trim(element.substr(0, end_of_element(element, ';')));
  const size_t equals = pair.find('=');
  const std::string_view name = text::trim(pair.substr(0, equals));
  std::string_view value;
  if (equals != std::string_view::npos) value = text::trim(pair.substr(equals + 1));
  if (text::equals_ignore_case(name, "respond-async")) preferences.respond_async = true;
  if (!text::equals_ignore_case(name, "wait") || preferences.wait) return;
  if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) {
    value = value.substr(1, value.size() - 2);
  }
  preferences.wait = parse_seconds(value);
}

}  // namespace

void read_preferences(std::string_view value, Preferences& preferences) {
  while (!value.empty()) {
    const size_t end = end_of_element(value, ',');
    read_preference(value.substr(0, end), preferences);
    value.remove_prefix(std::min(value.size(), end + 1));
  }
}

KeepPlan plan_keeping(DeliveryMode mode, const Preferences& preferences) {
  using When = KeepPlan::When;
  if (mode == DeliveryMode::sync) return {};
  const bool waits = preferences.wait && *preferences.wait > Duration::zero();
  if (waits) return {When::after_trying, preferences.wait};
  if (mode == DeliveryMode::async || preferences.any()) return {When::at_once};
  if (mode == DeliveryMode::fallback) return {When::after_trying};
  return {};
}

bool may_be_kept(Reason reason) {
  switch (reason) {
    case Reason::in_flight_limit:
    case Reason::breaker_open:
    case Reason::rate_limited:
    case Reason::consent_missing:
      return true;
    case Reason::name_not_found:
    case Reason::name_has_no_address:
    case Reason::peer_mismatch:
    case Reason::interception_failed:
      return false;
    default:
      return status(reason) == 502 || status(reason) == 504;
  }
}

bool is_no_attempt(Reason reason) {
  switch (reason) {
    case Reason::in_flight_limit:
    case Reason::breaker_open:
    case Reason::rate_limited:
    case Reason::consent_missing:
    case Reason::memory_limit:
    case Reason::out_of_resources:
    case Reason::draining:
    case Reason::stopped:
    case Reason::sender_unknown:
      return true;
    default:
      return false;
  }
}

std::optional<Duration> wait_of_schedule(const Delivery& rule, uint32_t tries, double dice) {
  if (tries >= rule.schedule.size()) return std::nullopt;
  const auto plain = static_cast<double>(rule.schedule[tries].count());
  return Duration(static_cast<int64_t>(plain * (1 + rule.jitter * (2 * dice - 1))));
}

Next after_attempt(const Delivery& rule, const Delivered& attempt, uint32_t tries, double dice) {
  if (attempt.successful) return {Next::What::delivered};
  if (attempt.status == 410 || attempt.unwanted) return {Next::What::dead};
  const std::optional<Duration> wait = wait_of_schedule(rule, tries, dice);
  if (!wait) return {Next::What::dead};
  const Duration asked = std::min(attempt.retry_after.value_or(Duration::zero()), kLongestAsked);
  return {Next::What::again, std::max(*wait, asked)};
}

bool says_unwanted(std::string_view value) {
  return text::equals_ignore_case(value, "abort-message") || says_disable(value);
}

bool says_disable(std::string_view value) { return text::equals_ignore_case(value, "disable"); }

}  // namespace egret::policy
