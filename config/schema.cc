#include "config/schema.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace egret::config {
namespace {

constexpr std::array kKeys = std::to_array<std::string_view>({
    "listeners",
    "listeners.address",
    "listeners.max_connections",
    "listeners.tls",
    "listeners.tls.certificate",
    "listeners.tls.private_key",
    "listeners.tls.client_ca",
    "listeners.tls.crl",
    "listeners.tls.client_certificate",
    "listeners.proxy_protocol",
    "listeners.proxy_protocol_from",
    "admin",
    "admin.address",
    "admin.token",
    "workers",
    "buffer_memory",
    "mode",
    "sandbox",
    "log",
    "log.format",
    "log.level",
    "log.access",
    "log.detail",
    "resolver",
    "resolver.servers",
    "resolver.timeout",
    "resolver.tries",
    "resolver.hosts_file",
    "resolver.cache",
    "resolver.cache.entries",
    "resolver.cache.min_ttl",
    "resolver.cache.max_ttl",
    "resolver.cache.negative_ttl",
    "resolver.nat64_prefixes",
    "interception",
    "interception.ca_certificate",
    "interception.ca_key",
    "queue",
    "queue.store",
    "queue.password",
    "queue.max_deliveries",
    "queue.max_size",
    "queue.retention",
    "queue.retention.delivered",
    "queue.retention.dead",
    "senders",
    "senders.name",
    "senders.credentials",
    "senders.credentials.username",
    "senders.credentials.password",
    "senders.credentials.token",
    "senders.networks",
    "senders.listeners",
    "senders.certificates",
    "keys",
    "keys.scheme",
    "keys.secrets",
    "keys.secrets.file",
    "keys.secrets.env",
    "keys.secrets.command",
    "keys.secrets.id",
    "keys.secrets.not_before",
    "keys.secrets.not_after",
    "keys.derive",
    "keys.headers",
    "keys.headers.signature",
    "keys.headers.timestamp",
    "keys.algorithm",
    "keys.components",
    "keys.label",
    "keys.expires",
    "keys.tag",
    "defaults",
    "defaults.action",
    "defaults.addresses",
    "defaults.addresses.allow",
    "defaults.addresses.deny",
    "defaults.addresses.mixed",
    "defaults.ports",
    "defaults.methods",
    "defaults.scheme",
    "defaults.connect",
    "defaults.tunnel_sni",
    "defaults.tls",
    "defaults.tls.min_version",
    "defaults.tls.ca",
    "defaults.tls.crl",
    "defaults.tls.pins",
    "defaults.tls.client_certificate",
    "defaults.tls.client_certificate.certificate",
    "defaults.tls.client_certificate.private_key",
    "defaults.via",
    "defaults.via.proxy",
    "defaults.via.username",
    "defaults.via.password",
    "defaults.via.ask",
    "defaults.source",
    "defaults.timeouts",
    "defaults.timeouts.resolve",
    "defaults.timeouts.connect",
    "defaults.timeouts.tls",
    "defaults.timeouts.response",
    "defaults.timeouts.idle",
    "defaults.timeouts.total",
    "defaults.timeouts.tunnel",
    "defaults.limits",
    "defaults.limits.request_body",
    "defaults.limits.response_body",
    "defaults.limits.oversize",
    "defaults.limits.headers",
    "defaults.limits.min_rate",
    "defaults.limits.in_flight_per_host",
    "defaults.headers",
    "defaults.headers.set",
    "defaults.headers.remove",
    "defaults.sign",
    "defaults.redirects",
    "defaults.redirects.follow",
    "defaults.redirects.max",
    "defaults.success",
    "defaults.retry",
    "defaults.retry.attempts",
    "defaults.retry.on",
    "defaults.retry.backoff",
    "defaults.retry.backoff.initial",
    "defaults.retry.backoff.factor",
    "defaults.retry.backoff.max",
    "defaults.retry.backoff.jitter",
    "defaults.rate",
    "defaults.rate.per_host",
    "defaults.rate.burst",
    "defaults.breaker",
    "defaults.breaker.failures",
    "defaults.breaker.window",
    "defaults.breaker.cooldown",
    "defaults.disable",
    "defaults.disable.on_410",
    "defaults.disable.after",
    "defaults.consent",
    "defaults.consent.scheme",
    "defaults.consent.above",
    "defaults.consent.valid",
    "defaults.consent.origin",
    "defaults.consent.callback",
    "defaults.delivery",
    "defaults.delivery.mode",
    "defaults.delivery.schedule",
    "defaults.delivery.jitter",
    "defaults.delivery.order",
    "rules",
    "rules.name",
    "rules.match",
    "rules.match.senders",
    "rules.match.hosts",
    "rules.match.ports",
    "rules.match.methods",
    "rules.match.paths",
});

// `key` below `path`, or empty: ("a.b.c", "a") → "b.c".
std::string_view below(std::string_view key, std::string_view path) {
  if (path.empty()) return key;
  if (!key.starts_with(path) || key.size() <= path.size() || key[path.size()] != '.') return {};
  return key.substr(path.size() + 1);
}

// "rules.timeouts" is spelled "defaults.timeouts" in the table.
std::string as_defaults(std::string_view path) {
  if (path == "rules") return "defaults";
  const std::string_view rest = below(path, "rules");
  return rest.empty() ? std::string() : "defaults." + std::string(rest);
}

// Calls `visit` with each key below `path`, relative to it.
template <typename Visit>
void each_below(std::string_view path, Visit visit) {
  const std::string other = as_defaults(path);
  for (const std::string_view key : kKeys) {
    if (const auto rest = below(key, path); !rest.empty()) visit(rest);
    if (other.empty()) continue;
    if (const auto rest = below(key, other); !rest.empty()) visit(rest);
  }
}

// How many edits a person may be away: a short word is easily near to everything.
size_t tolerance(std::string_view word) {
  if (word.size() <= 4) return 1;
  return word.size() <= 8 ? 2 : 3;
}

constexpr size_t kLongestWord = 64;
constexpr size_t kMostCandidates = 500;  // a list that long has no "the" nearest

}  // namespace

std::span<const std::string_view> known_keys() { return kKeys; }

std::vector<std::string_view> keys_of(std::string_view path) {
  std::vector<std::string_view> keys;
  each_below(path, [&](std::string_view rest) {
    if (rest.find('.') == std::string_view::npos) keys.push_back(rest);
  });
  return keys;
}

bool may_be_none(std::string_view key, std::string_view path) {
  static constexpr std::array kNoneAllowed = std::to_array<std::string_view>(
      {"defaults.tls.crl", "defaults.tls.client_certificate", "defaults.via", "defaults.source",
       "defaults.breaker", "defaults.disable"});
  const std::string other = as_defaults(path);
  const std::string whole = (other.empty() ? std::string(path) : other) + "." + std::string(key);
  return std::find(kNoneAllowed.begin(), kNoneAllowed.end(), whole) != kNoneAllowed.end();
}

std::string nearest_key(std::string_view key, std::string_view path) {
  std::string found;
  each_below(path, [&](std::string_view rest) {
    const bool same = rest.ends_with(key) && rest.size() > key.size() &&
                      rest[rest.size() - key.size() - 1] == '.';
    if (found.empty() && !key.empty() && same) found = std::string(rest);
  });
  if (!found.empty()) return found;
  return std::string(nearest(key, keys_of(path)));
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> names) {
  if (name.size() > kLongestWord || names.size() > kMostCandidates) return {};
  const std::string lower = text::to_lower(name);
  std::string_view best;
  size_t best_distance = tolerance(name) + 1;
  for (const std::string_view candidate : names) {
    if (candidate.size() > kLongestWord) continue;
    const size_t distance = text::edit_distance(lower, text::to_lower(candidate));
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  if (!best.empty() || lower.size() < 3) return best;
  // "warning" for "warn", "addr" for "address".
  const auto begins = [&](std::string_view candidate) {
    return candidate.starts_with(lower) || (candidate.size() >= 3 && lower.starts_with(candidate));
  };
  const auto found = std::find_if(names.begin(), names.end(), begins);
  return found == names.end() ? std::string_view() : *found;
}

}  // namespace egret::config
