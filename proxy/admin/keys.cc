#include "proxy/admin/keys.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "policy/url.h"
#include "proxy/signing/signing.h"

namespace egret::admin {
namespace {

constexpr std::string_view kFolder = "/v1/keys/";
constexpr std::string_view kJwks = "/v1/keys/jwks.json";
constexpr std::string_view kDerived = "/derived";

void member(std::string& json, std::string_view key, std::string_view value) {
  if (!json.ends_with('{')) json += ',';
  json.append("\"").append(key).append("\":\"");
  text::append_json(json, value);
  json += '"';
}

std::string rfc3339(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

// The value of the one parameter `host`.
std::optional<std::string_view> host_of(std::string_view query) {
  constexpr std::string_view kName = "host=";
  if (!query.starts_with(kName) || query.find('&') != std::string_view::npos) return std::nullopt;
  return query.substr(kName.size());
}

Response derived(const policy::SigningKey& key, const policy::Host& host) {
  std::string json = "{";
  member(json, "key", key.name);
  member(json, "scheme", to_string(key.scheme));
  member(json, "host", host.text);
  json += ",\"secrets\":[";
  for (const policy::SigningSecret& secret : key.secrets) {
    policy::SigningSecret own = secret;
    own.bytes = signing::derived(key, secret.bytes, host.text);
    if (!json.ends_with('[')) json += ',';
    json += '{';
    member(json, "id", signing::key_id(key, secret));
    const Secret told = signing::receiver_secret(key, own);
    member(json, "secret", told.reveal());
    if (secret.not_before != WallTime::min()) {
      member(json, "not_before", rfc3339(secret.not_before));
    }
    if (secret.not_after != WallTime::max()) member(json, "not_after", rfc3339(secret.not_after));
    json += '}';
  }
  return {.content_type = "application/json", .content = json + "]}\n", .fields = {}};
}

}  // namespace

bool is_about_keys(std::string_view path) {
  return path == kJwks || (path.starts_with(kFolder) && path.ends_with(kDerived) &&
                           path.size() > kFolder.size() + kDerived.size());
}

Response about_keys(const config::Settings& settings, std::string_view path, std::string_view query,
                    bool private_way, WallTime now) {
  if (path == kJwks) {
    return {.content_type = "application/jwk-set+json",  // RFC 7517 8.5.2
            .content = signing::jwks(settings.keys, now),
            .fields = {}};
  }
  if (!private_way) {
    return plain(403,
                 "this tells a secret: set admin.token and send it, or let admin.address be a Unix "
                 "socket");
  }
  path.remove_prefix(kFolder.size());
  path.remove_suffix(kDerived.size());
  const auto key = std::ranges::find(settings.keys, path, &policy::SigningKey::name);
  if (key == settings.keys.end() || !key->derive) {
    return plain(404, "no key of that name has derive: true");
  }
  const std::optional<std::string_view> written = host_of(query);
  if (!written) return plain(400, "say the destination's host: ?host=hooks.example.com");
  const Result<policy::Host> host = policy::canonical_host(*written);
  if (!host) return plain(400, "host: " + host.error().detail);
  return derived(*key, *host);
}

}  // namespace egret::admin
