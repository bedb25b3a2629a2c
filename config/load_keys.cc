// keys: what webhooks are signed with.
#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "config/pem.h"
#include "config/scalars.h"
#include "config/schema.h"
#include "config/secrets.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using policy::SigningAlgorithm;
using policy::SigningKey;
using policy::SigningScheme;
using policy::SigningSecret;

constexpr size_t kMostKeys = 1000;
constexpr size_t kMostSecrets = 16;  // every one of them signs
constexpr size_t kMostComponents = 32;

WallTime now() { return std::chrono::system_clock::now(); }

bool is_hmac(const SigningKey& key) { return key.algorithm == SigningAlgorithm::hmac_sha256; }

// What a secret's text stands for, or why it is none: never with a byte of it.
std::optional<Secret> decoded(std::string_view text, std::string_view prefix, size_t least,
                              size_t most, std::string& why) {
  std::optional<std::string> bytes;
  if (text.starts_with(prefix)) bytes = text::from_base64(text.substr(prefix.size()));
  if (bytes && least <= bytes->size() && bytes->size() <= most) return Secret(std::move(*bytes));
  if (bytes) Secret(std::move(*bytes));  // wiped
  why = "is not " + (prefix.empty() ? "" : in_quotes(prefix) + " and ") + "the base64 of " +
        std::to_string(least) + " to " + std::to_string(most) + " bytes; `egret keygen` makes one";
  return std::nullopt;
}

// whsk_: the seed, or the seed and the public key behind it (RFC 8032 5.1.5).
std::optional<Secret> decoded_ed25519(std::string_view text, std::string& why) {
  constexpr size_t kSeed = 32;
  std::optional<Secret> both = decoded(text, "whsk_", kSeed, 2 * kSeed, why);
  if (!both) return both;
  const std::string_view bytes = both->reveal();
  Secret seed{std::string(bytes.substr(0, kSeed))};
  const bool good =
      bytes.size() == kSeed || (bytes.size() == 2 * kSeed &&
                                pem::is_ed25519_pair(bytes.substr(0, kSeed), bytes.substr(kSeed)));
  if (good) return seed;
  why = "is no Ed25519 key: its second half is not the public key of its first";
  return std::nullopt;
}

std::optional<Secret> as_it_is(const Secret& text, std::string& why) {
  constexpr size_t kLeast = 8;
  if (text.reveal().size() >= kLeast) return text;
  why = "is too short for a secret; at least " + std::to_string(kLeast) + " bytes";
  return std::nullopt;
}

std::optional<Secret> private_key(const Secret& text, SigningAlgorithm algorithm,
                                  std::string& why) {
  const pem::Checked checked = pem::check_signing_key(text.reveal(), to_string(algorithm));
  why = checked.error;
  if (!why.empty()) return std::nullopt;
  return text;
}

std::optional<Secret> material(const SigningKey& key, const Secret& text, std::string& why) {
  switch (key.scheme) {
    case SigningScheme::standard_webhooks:
      return decoded(text.reveal(), "whsec_", 24, 64, why);
    case SigningScheme::standard_webhooks_ed25519:
      return decoded_ed25519(text.reveal(), why);
    case SigningScheme::http_message_signatures:
      if (!is_hmac(key)) return private_key(text, key.algorithm, why);
      return decoded(text.reveal(), text.reveal().starts_with("whsec_") ? "whsec_" : "", 16, 128,
                     why);
    default:
      return as_it_is(text, why);
  }
}

std::optional<SigningSecret> read_signing_secret(const Mapping& mapping, const SigningKey& key,
                                                 SecretSource& source) {
  SigningSecret secret;
  mapping.scalar("id", secret.id, parse_key_id);
  const bool begins = mapping.scalar("not_before", secret.not_before, parse_time);
  const bool ends = mapping.scalar("not_after", secret.not_after, parse_time);
  if (begins && ends && secret.not_after <= secret.not_before) {
    mapping.error("not_after", "not_after: it is not after not_before, so this would never sign");
  } else if (ends && secret.not_after <= now()) {
    mapping.warning("not_after", "not_after: it has passed; this secret does not sign any more");
  }
  const std::optional<Secret> text = read_secret_of(mapping, "secrets", source);
  if (!text || !mapping.is_mapping()) return std::nullopt;
  std::string why;
  std::optional<Secret> bytes = material(key, *text, why);
  if (!bytes) {
    mapping.error("", "secrets: what it names " + why);
    return std::nullopt;
  }
  secret.bytes = std::move(*bytes);
  return secret;
}

void read_secrets(const Mapping& mapping, SigningKey& key, SecretSource& source) {
  mapping.not_empty("secrets", "a key without a secret cannot sign");
  if (!mapping.has("secrets")) {
    mapping.error(
        "", "key " + in_quotes(key.name) + ": secrets are needed, such as secrets: [{file: path}]");
  }
  bool one_is_left = false;
  for (const Mapping& entry : mapping.mappings("secrets", "secret", kMostSecrets)) {
    std::optional<SigningSecret> secret = read_signing_secret(entry, key, source);
    if (!secret) continue;
    one_is_left |= secret->not_after > now();
    key.secrets.push_back(std::move(*secret));
  }
  if (!key.secrets.empty() && !one_is_left) {
    mapping.warning("secrets",
                    "secrets: all of them have ended; requests that this key must sign "
                    "are refused (signing_failed)");
  }
}

// github, shopify and slack have room for one signature.
bool has_one_signature(SigningScheme scheme) {
  return scheme == SigningScheme::github || scheme == SigningScheme::shopify ||
         scheme == SigningScheme::slack;
}

void check_overlap(const Mapping& mapping, const SigningKey& key) {
  if (!has_one_signature(key.scheme)) return;
  for (size_t i = 0; i < key.secrets.size(); ++i) {
    for (size_t j = i + 1; j < key.secrets.size(); ++j) {
      const SigningSecret& a = key.secrets[i];
      const SigningSecret& b = key.secrets[j];
      const bool overlap =
          std::max(a.not_before, b.not_before) < std::min(a.not_after, b.not_after);
      if (!overlap) continue;
      mapping.warning("secrets", "secrets: " + std::string(to_string(key.scheme)) +
                                     " has room for one signature; while several are valid only "
                                     "the first of them signs");
      return;
    }
  }
}

void read_header_names(const Mapping& mapping, SigningKey& key) {
  const policy::SigningHeaders usual = policy::usual_headers(key.scheme);
  key.signature_header = usual.signature;
  key.timestamp_header = usual.timestamp;
  const std::optional<Mapping> headers = mapping.mapping("headers");
  if (!headers) return;
  if (key.scheme == SigningScheme::http_message_signatures) {
    mapping.error("headers", "headers: RFC 9421 names its fields itself; leave the key out");
    return;
  }
  headers->scalar("signature", key.signature_header, parse_settable_field);
  if (usual.timestamp.empty() && headers->has("timestamp")) {
    headers->error("timestamp", "timestamp: " + std::string(to_string(key.scheme)) +
                                    " has no field for it; leave the key out");
    return;
  }
  headers->scalar("timestamp", key.timestamp_header, parse_settable_field);
  if (text::equals_ignore_case(key.signature_header, key.timestamp_header)) {
    headers->error("timestamp", "timestamp: that is the signature's field");
  }
}

// What only http-message-signatures has.
void read_message_signatures(const Mapping& mapping, SigningKey& key) {
  constexpr std::string_view kOwn[] = {"algorithm", "components", "label", "expires", "tag"};
  if (key.scheme != SigningScheme::http_message_signatures) {
    for (const std::string_view own : kOwn) {
      if (!mapping.has(own)) continue;
      mapping.error(own, std::string(own) + ": only http-message-signatures has that; " +
                             std::string(to_string(key.scheme)) + " leaves no choice");
    }
    if (key.scheme == SigningScheme::standard_webhooks_ed25519) {
      key.algorithm = SigningAlgorithm::ed25519;
    }
    return;
  }
  if (!mapping.has("algorithm")) {
    mapping.error("", "key " + in_quotes(key.name) +
                          ": an algorithm is needed: hmac-sha256, ed25519, ecdsa-p256-sha256 or "
                          "rsa-pss-sha512");
  }
  mapping.choice("algorithm", key.algorithm, policy::signing_algorithms());
  mapping.not_empty("components", "a signature over nothing proves nothing; leave the key out");
  mapping.list("components", key.components, parse_component, nullptr, kMostComponents);
  mapping.scalar("label", key.label, parse_signature_label);
  mapping.scalar("tag", key.tag, parse_sf_text);
  Duration expires{};
  const auto bounded = between<Duration>(std::chrono::seconds(1), std::chrono::hours(24 * 365),
                                         parse_duration, duration_text);
  if (mapping.scalar("expires", expires, bounded)) key.expires = expires;
}

SigningKey read_key(const Mapping& mapping, std::string name, SecretSource& source) {
  SigningKey key;
  key.name = std::move(name);
  if (!mapping.is_mapping()) return key;
  if (!mapping.has("scheme")) {
    mapping.error("", "key " + in_quotes(key.name) +
                          ": a scheme is needed, such as scheme: standard-webhooks");
  }
  const bool known = mapping.choice("scheme", key.scheme, policy::signing_schemes());
  if (!known) return key;  // nothing else can be told right from wrong
  read_message_signatures(mapping, key);
  read_header_names(mapping, key);
  mapping.boolean("derive", key.derive);
  if (key.derive && !is_hmac(key) && key.scheme != SigningScheme::standard_webhooks_ed25519) {
    mapping.error("derive", "derive: no key for each host can be made from a key pair of " +
                                std::string(to_string(key.algorithm)));
  }
  read_secrets(mapping, key, source);
  check_overlap(mapping, key);
  return key;
}

}  // namespace

std::vector<NamedSpan> read_keys(const Mapping& root, Settings& settings, SecretSource& source) {
  std::vector<NamedSpan> names;
  for (const Named& each : root.named("keys", "key", kMostKeys)) {
    settings.keys.push_back(read_key(each.mapping, each.name, source));
    names.push_back({each.name, each.where});
  }
  return names;
}

void warn_unused_keys(const std::vector<NamedSpan>& keys, const Settings& settings,
                      Diagnostics& diagnostics) {
  const auto signs = [](const policy::Rule& rule, const std::string& name) {
    return std::ranges::find(rule.sign, name) != rule.sign.end();
  };
  for (const NamedSpan& key : keys) {
    const bool used = signs(settings.defaults, key.name) ||
                      std::ranges::any_of(settings.rules, [&](const policy::Rule& rule) {
                        return signs(rule, key.name);
                      });
    if (used) continue;
    diagnostics.warning(key.where, "keys: nothing signs with " + in_quotes(key.name) +
                                       "; name it in sign, of a rule or of defaults");
  }
}

}  // namespace egret::config
