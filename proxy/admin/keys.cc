#include "proxy/admin/keys.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "policy/url.h"
#include "proxy/admin/query.h"
#include "proxy/signing/signing.h"

namespace egret::admin {
namespace {

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

Response jwks(const config::Settings& settings, WallTime now) {
  return {.content_type = "application/jwk-set+json",  // RFC 7517 8.5.2
          .content = signing::jwks(settings.keys, now),
          .fields = {}};
}

Response derived_secret(const config::Settings& settings, std::string_view name,
                        std::string_view query) {
  const auto key = std::ranges::find(settings.keys, name, &policy::SigningKey::name);
  if (key == settings.keys.end() || !key->derive) {
    return plain(404, "no key of that name has derive: true");
  }
  const Result<Query> parameters = parse_query(query, {"host"});
  if (!parameters) return plain(400, parameters.error().detail);
  const auto written = parameters->find("host");
  if (written == parameters->end()) {
    return plain(400, "say the destination's host: ?host=hooks.example.com");
  }
  const Result<policy::Host> host = policy::canonical_host(written->second);
  if (!host) return plain(400, "host: " + host.error().detail);
  return derived(*key, *host);
}

}  // namespace egret::admin
