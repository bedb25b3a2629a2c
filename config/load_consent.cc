// consent: from which rate on a destination must have agreed, and how it is asked.
#include "base/text.h"
#include "config/scalars.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using policy::Consent;
using policy::ConsentScheme;
using std::chrono::hours;

// As many at once as the rate says.
std::optional<policy::Rate> parse_above(std::string_view text, std::string& why) {
  const std::optional<Duration> every = parse_rate(text, why);
  if (!every) return std::nullopt;
  const auto count = text::parse_decimal(text.substr(0, text.find('/')), UINT32_MAX);
  if (*every > Duration::zero() && count)
    return policy::Rate{*every, static_cast<uint32_t>(*count)};
  why = "a rate is needed, as 100/min; write scheme: none to ask nobody";
  return std::nullopt;
}

std::optional<std::string> parse_origin(std::string_view text, std::string& why) {
  Result<policy::Host> host = policy::canonical_host(text);
  if (host && !host->literal) return std::move(host->text);
  why = in_quotes(text) + " is no DNS name; write who sends, as events.example.com";
  return std::nullopt;
}

std::optional<std::string> parse_callback(std::string_view text, std::string& why) {
  const Result<policy::Url> url = policy::parse_url(text);
  if (url && !url->has_query && url->path.ends_with('/')) {
    return std::string(policy::to_string(url->scheme)) + "://" + url->host_header() + url->path;
  }
  why = in_quotes(text) +
        " is no URL with a slash at its end and no query; write "
        "https://egret.example.com/consent/";
  return std::nullopt;
}

// Keys that nothing will use as the rule is now.
void warn_idle(const Mapping& mapping, bool own, const policy::Rule& rule) {
  const Consent& consent = rule.consent;
  if (!consent.asks()) {
    if (!own) return;
    for (const std::string_view key : {"above", "valid", "origin", "callback"}) {
      if (!mapping.has(key)) continue;
      mapping.warning(key, std::string(key) +
                               ": nobody is asked while scheme is none; write scheme: cloudevents "
                               "or challenge");
      return;
    }
    return;
  }
  if (consent.scheme == ConsentScheme::challenge) {
    for (const std::string_view key : {"origin", "callback"}) {
      if (!mapping.has(key)) continue;
      mapping.warning(key, std::string(key) + ": only scheme: cloudevents tells it");
    }
  } else if (mapping.has("callback") && consent.callback.starts_with("http://")) {
    mapping.warning("callback",
                    "callback: whoever sees the URL on its way can agree in the destination's "
                    "place; write https");
  }
}

}  // namespace

void read_consent(const Mapping& root, const Mapping& mapping, policy::Rule& rule) {
  const auto found = mapping.mapping("consent");
  if (!found) return;
  Consent& consent = rule.consent;
  const bool asks = found->choice<ConsentScheme>("scheme", consent.scheme,
                                                 {{"none", ConsentScheme::none},
                                                  {"cloudevents", ConsentScheme::cloudevents},
                                                  {"challenge", ConsentScheme::challenge}}) &&
                    consent.asks();
  found->scalar("above", consent.above, parse_above);
  found->scalar(
      "valid", consent.valid,
      between<Duration>(std::chrono::minutes(1), hours(24 * 365), parse_duration, duration_text));
  const bool named = found->scalar("origin", consent.origin, parse_origin);
  found->scalar("callback", consent.callback, parse_callback);
  warn_idle(*found, mapping.has("name"), rule);
  if (!asks) return;
  if (consent.scheme == ConsentScheme::cloudevents && consent.origin.empty() && !named &&
      !found->has("origin")) {
    found->error("scheme",
                 "scheme: cloudevents tells destinations who asks; write origin: "
                 "events.example.com beside it");
  }
  if (!root.has("queue")) {
    found->warning("scheme",
                   "consent: without a queue what destinations agree to is forgotten when Egret "
                   "stops; write queue: {store: \"sqlite:/var/lib/egret/queue.db\"} at the top");
  }
  const policy::Rate& rate = rule.rate;
  if (rate.every > Duration::zero() && rate.every >= consent.above.every &&
      rate.burst <= consent.above.burst) {
    found->warning("scheme", "consent: nobody is ever asked; rate.per_host is not over above");
  }
}

}  // namespace egret::config
