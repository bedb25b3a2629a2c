// The keys that `defaults` and every rule share.
#include <algorithm>
#include <array>

#include "config/scalars.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// An allow entry wider than every built-in one decides nothing that they decide.
void check_allow(const Mapping& mapping, const policy::AddressPolicy& addresses,
                 const std::vector<Span>& spans) {
  static constexpr std::array<std::string_view, 4> kMetadata = {
      "169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"};
  for (size_t i = 0; i < addresses.allow.size(); ++i) {
    const policy::Prefix& entry = addresses.allow[i];
    if (entry.length == 0) {
      mapping.diagnostics().warning(
          spans[i], "allow: " + in_quotes(entry.to_string()) +
                        " opens nothing: the longest entry decides, and the built-in ones are all "
                        "longer; name the networks that you mean");
      continue;
    }
    for (const std::string_view text : kMetadata) {
      const policy::Endpoint endpoint{policy::Address::parse(text).value_or(policy::Address()), 80};
      if (entry.is_single() || !entry.contains(endpoint.address)) continue;
      if (policy::classify(endpoint, addresses, {}).permitted) continue;
      mapping.diagnostics().warning(
          spans[i], "allow: " + std::string(text) + " (cloud metadata) in " +
                        in_quotes(entry.to_string()) +
                        " stays refused; only an entry of exactly that address opens it");
    }
  }
}

void check_allow_and_deny(const Mapping& mapping, const policy::AddressPolicy& addresses,
                          const std::vector<Span>& spans) {
  for (size_t i = 0; i < addresses.allow.size() && i < spans.size(); ++i) {
    const auto same = std::find(addresses.deny.begin(), addresses.deny.end(), addresses.allow[i]);
    if (same == addresses.deny.end()) continue;
    mapping.diagnostics().warning(
        spans[i], "allow: " + in_quotes(same->to_string()) + " is in deny too, and deny wins");
  }
}

void read_addresses(const Mapping& mapping, policy::AddressPolicy& addresses) {
  mapping.choice<policy::Mixed>("mixed", addresses.mixed,
                                {{"deny", policy::Mixed::deny}, {"filter", policy::Mixed::filter}});
  std::vector<Span> spans;
  const bool allow = mapping.list("allow", addresses.allow, parse_prefix, &spans);
  mapping.list("deny", addresses.deny, parse_prefix);
  if (!allow) return;
  check_allow(mapping, addresses, spans);
  check_allow_and_deny(mapping, addresses, spans);
}

void read_timeouts(const Mapping& mapping, policy::Timeouts& timeouts) {
  const auto bounded =
      between<Duration>(milliseconds(1), hours(24 * 365), parse_duration, duration_text);
  const auto optional = or_none(bounded);
  mapping.scalar("resolve", timeouts.resolve, bounded);
  mapping.scalar("connect", timeouts.connect, bounded);
  mapping.scalar("tls", timeouts.tls, bounded);
  mapping.scalar("response", timeouts.response, optional);
  mapping.scalar("idle", timeouts.idle, optional);
  mapping.scalar("total", timeouts.total, optional);
  mapping.scalar("tunnel", timeouts.tunnel, optional);
  const std::pair<std::string_view, Duration> phases[] = {{"resolve", timeouts.resolve},
                                                          {"connect", timeouts.connect},
                                                          {"tls", timeouts.tls},
                                                          {"response", timeouts.response}};
  for (const auto& [key, value] : phases) {
    if (!mapping.has(key) || value <= timeouts.total || value == Duration::max()) continue;
    mapping.warning(key, std::string(key) + ": " + duration_text(value) +
                             " cannot run out in a plain request; total is " +
                             duration_text(timeouts.total));
  }
}

void read_limits(const Mapping& mapping, policy::Limits& limits) {
  constexpr uint64_t kKiB = 1024;
  const auto body = between<uint64_t>(0, kKiB * kKiB * kKiB * kKiB, parse_size, size_text);
  const auto head = between<uint64_t>(kKiB, kKiB * kKiB, parse_size, size_text);
  mapping.scalar("request_body", limits.request_body, body);
  mapping.scalar("response_body", limits.response_body, body);
  mapping.choice<policy::Oversize>(
      "oversize", limits.oversize,
      {{"truncate", policy::Oversize::truncate}, {"fail", policy::Oversize::fail}});
  mapping.scalar("headers", limits.headers, head);
  const auto rate = between<uint64_t>(1, kKiB * kKiB * kKiB, parse_byte_rate, byte_rate_text);
  mapping.scalar("min_rate", limits.min_rate,
                 [rate](std::string_view text, std::string& why) -> std::optional<uint64_t> {
                   if (text == "none") return 0;
                   return rate(text, why);
                 });
  mapping.count("in_flight_per_host", limits.in_flight_per_host, 1, 1'000'000);
}

std::optional<std::string> parse_policy_method(std::string_view text, std::string& why) {
  if (text == "CONNECT") {
    why = "CONNECT is allowed or denied by the key \"connect\"";
    return std::nullopt;
  }
  return parse_method(text, why);
}

void read_connect(const Mapping& mapping, policy::Rule& rule) {
  using policy::ConnectMode;
  using policy::TunnelSni;
  mapping.choice<ConnectMode>("connect", rule.connect,
                              {{"tunnel", ConnectMode::tunnel},
                               {"intercept", ConnectMode::intercept},
                               {"deny", ConnectMode::deny}});
  mapping.choice<TunnelSni>("tunnel_sni", rule.tunnel_sni,
                            {{"any", TunnelSni::any}, {"match", TunnelSni::match}});
  const bool idle = mapping.has("connect") && rule.connect == ConnectMode::deny &&
                    mapping.has("tunnel_sni") && rule.tunnel_sni == TunnelSni::match;
  if (idle) {
    mapping.warning("tunnel_sni", "tunnel_sni: there is no tunnel to look at; connect is deny");
  }
}

}  // namespace

void read_policy(const Mapping& mapping, policy::Rule& rule, SecretSource& secrets, PemFiles& pem) {
  mapping.choice<policy::Action>(
      "action", rule.action, {{"allow", policy::Action::allow}, {"deny", policy::Action::deny}});
  if (const auto addresses = mapping.mapping("addresses")) {
    read_addresses(*addresses, rule.addresses);
  }
  mapping.not_empty("ports", "an empty list allows nothing; to refuse all write action: deny");
  mapping.list("ports", rule.ports, parse_ports);
  mapping.not_empty("methods", "an empty list allows nothing; to refuse all write action: deny");
  mapping.list("methods", rule.methods, parse_policy_method);
  mapping.choice<policy::SchemeMode>("scheme", rule.scheme,
                                     {{"as-sent", policy::SchemeMode::as_sent},
                                      {"https", policy::SchemeMode::https},
                                      {"https-only", policy::SchemeMode::https_only}});
  read_connect(mapping, rule);
  read_way(mapping, rule.way, secrets, pem);
  if (const auto timeouts = mapping.mapping("timeouts")) read_timeouts(*timeouts, rule.timeouts);
  if (const auto limits = mapping.mapping("limits")) read_limits(*limits, rule.limits);
}

}  // namespace egret::config
