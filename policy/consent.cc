#include "policy/consent.h"

#include <algorithm>

#include "base/text.h"

namespace egret::policy {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// A million a second: what is granted beyond it bounds nothing.
constexpr uint64_t kAnyRate = 60'000'000;
constexpr size_t kLongestNumber = 18;

std::string_view to_string(ConsentScheme scheme) {
  switch (scheme) {
    case ConsentScheme::cloudevents:
      return "cloudevents";
    case ConsentScheme::challenge:
      return "challenge";
    default:
      return "none";
  }
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

Asked refused(std::string why) {
  return {.what = Asked::What::refused, .per_minute = 0, .why = std::move(why)};
}

}  // namespace

std::string to_text(const Grant& grant) {
  const auto until = std::chrono::floor<seconds>(grant.until.time_since_epoch()).count();
  return std::to_string(until) + " " + std::to_string(grant.per_minute);
}

std::optional<Grant> parse_grant(std::string_view text) {
  constexpr uint64_t kLatest = 7'258'118'400;  // 2200
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto until = text::parse_decimal(text.substr(0, space), kLatest);
  const auto rate = text::parse_decimal(text.substr(space + 1), kAnyRate);
  if (!until || !rate) return std::nullopt;
  return Grant{WallTime(seconds(*until)), *rate};
}

Rate rate_of(const Grant& grant) {
  if (grant.per_minute == 0) return {};
  const uint64_t burst = std::max<uint64_t>(1, grant.per_minute / 10);
  const auto others = static_cast<int64_t>(grant.per_minute - burst + 1);
  constexpr Duration kMinute = minutes(1);
  return {Duration((kMinute.count() + others - 1) / others), static_cast<uint32_t>(burst)};
}

std::string consent_name(const Consent& rule, const Url& url) {
  std::string name = "consent:";
  name.append(to_string(rule.scheme)).append(":").append(rule.origin).append(":");
  name.append(to_string(url.scheme)).append("://").append(url.authority().to_string());
  return name;
}

std::optional<uint64_t> parse_allowed_rate(std::string_view text) {
  if (text == "*") return 0;
  if (!all_digits(text)) return std::nullopt;
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
  if (text.empty()) return std::nullopt;  // zero a minute is no agreement
  if (text.size() > kLongestNumber) return 0;
  const std::optional<uint64_t> number = text::parse_decimal(text);
  if (!number || *number >= kAnyRate) return 0;
  return number;
}

uint64_t rate_to_ask_for(const Rate& rate) {
  if (rate.every <= Duration::zero()) return 0;
  constexpr Duration kMinute = minutes(1);
  return std::max<uint64_t>(1, static_cast<uint64_t>(kMinute / rate.every));
}

Asked read_webhook_answer(int status, std::span<const std::string_view> origins,
                          std::span<const std::string_view> rates, std::string_view origin) {
  const std::string answered = "answered " + std::to_string(status);
  if (origins.empty()) return refused(answered + " without WebHook-Allowed-Origin");
  if (status < 200 || status > 299) return refused(answered);
  if (origins.size() > 1) return refused(answered + " with several WebHook-Allowed-Origin");
  if (origins[0] != "*" && !text::equals_ignore_case(origins[0], origin)) {
    return refused(answered + " with the WebHook-Allowed-Origin of somebody else");
  }
  if (rates.empty()) return {.what = Asked::What::granted, .per_minute = 0, .why = {}};
  std::optional<uint64_t> rate;
  if (rates.size() == 1) rate = parse_allowed_rate(rates[0]);
  if (!rate) return refused(answered + " with a WebHook-Allowed-Rate that is none");
  return {.what = Asked::What::granted, .per_minute = *rate, .why = {}};
}

Asked read_challenge_answer(int status, std::string_view content, std::string_view token) {
  const std::string answered = "answered " + std::to_string(status);
  if (status < 200 || status > 299) return refused(answered);
  if (content != token) return refused(answered + " with other content than the challenge");
  return {.what = Asked::What::granted, .per_minute = 0, .why = {}};
}

Url challenge_url(const Url& url, std::string_view token, Duration valid) {
  Url asked = url;
  if (!asked.query.empty()) asked.query += '&';
  const auto lease = std::chrono::floor<seconds>(valid).count();
  asked.query.append("hub.mode=subscribe&hub.challenge=").append(token);
  asked.query.append("&hub.lease_seconds=").append(std::to_string(lease));
  asked.has_query = true;
  return asked;
}

ConsentState::Verdict ConsentState::enter(const Consent& rule, Able able, TimePoint now,
                                          WallTime wall) {
  using Step = Verdict::Step;
  if (grant_ && wall < grant_->until) {
    const Duration wait = rate_.take(rate_of(*grant_), now);
    if (wait == Duration::zero()) return {};
    return {.step = Step::over_grant, .wait = wait};
  }
  grant_.reset();
  const Duration wait = above_.take(rule.above, now);
  if (wait == Duration::zero()) return {};
  Verdict verdict{.step = Step::missing, .wait = wait};
  if (busy_) return verdict;
  if (now < ask_at_) verdict.ask_again = ask_at_ - now;
  verdict.turn = {.look = able.look && now >= look_at_, .ask = able.ask && now >= ask_at_};
  if (verdict.turn.look || verdict.turn.ask) {
    verdict.step = Step::turn;
    busy_ = true;
  }
  return verdict;
}

void ConsentState::granted(const Grant& grant) {
  if (!grant_ || grant_->per_minute != grant.per_minute) rate_ = {};
  grant_ = grant;
  denials_ = 0;
  ask_at_ = TimePoint::min();
  forgotten_at_ = TimePoint::min();
}

void ConsentState::ended(End end, TimePoint now) {
  busy_ = false;
  look_at_ = deadline_after(now, kLookAgain);
  if (end != End::denied) return;
  Duration wait = kFirstBackoff;
  for (uint32_t i = 0; i < denials_ && wait < kLongestBackoff; ++i) wait *= 2;
  wait = std::min(wait, kLongestBackoff);
  ++denials_;
  ask_at_ = deadline_after(now, wait);
  // A while longer, so that the next wait is longer too.
  forgotten_at_ = deadline_after(ask_at_, kLongestBackoff);
}

bool ConsentState::at_rest(TimePoint now, WallTime wall) const {
  const bool granted = grant_ && wall < grant_->until;
  return !busy_ && !granted && now >= forgotten_at_ && above_.at_rest(now);
}

}  // namespace egret::policy
