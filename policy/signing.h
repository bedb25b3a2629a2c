#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"

namespace egret::policy {

// How a webhook is signed, by the names of the configuration (docs/signing.md).
enum class SigningScheme : uint8_t {
  standard_webhooks,          // HMAC-SHA256, "v1"
  standard_webhooks_ed25519,  // Ed25519, "v1a"
  http_message_signatures,    // RFC 9421 with RFC 9530
  stripe,
  github,
  shopify,
  slack
};
std::span<const std::pair<std::string_view, SigningScheme>> signing_schemes();
std::string_view to_string(SigningScheme scheme);
// Nothing for any other word.
std::optional<SigningScheme> parse_signing_scheme(std::string_view word);

// RFC 9421 3.3; every other scheme has one algorithm only.
enum class SigningAlgorithm : uint8_t { hmac_sha256, ed25519, ecdsa_p256_sha256, rsa_pss_sha512 };
std::span<const std::pair<std::string_view, SigningAlgorithm>> signing_algorithms();
std::string_view to_string(SigningAlgorithm algorithm);  // as RFC 9421 registers it
std::optional<SigningAlgorithm> parse_signing_algorithm(std::string_view word);

// One secret of a key, and when it signs.
struct SigningSecret {
  // HMAC: the key's bytes, decoded. standard-webhooks-ed25519: the 32 bytes of the private key
  // (RFC 8032 5.1.5). Other asymmetric algorithms: the private key as PEM.
  Secret bytes;
  std::string id;  // RFC 9421 keyid, JWK kid; empty: see signing::key_id
  WallTime not_before = WallTime::min();
  WallTime not_after = WallTime::max();  // from here on it does not sign
  [[nodiscard]] bool active(WallTime now) const { return not_before <= now && now < not_after; }
  bool operator==(const SigningSecret&) const = default;
};

// A key that rules name in `sign`.
struct SigningKey {
  std::string name;
  SigningScheme scheme = SigningScheme::standard_webhooks;
  SigningAlgorithm algorithm = SigningAlgorithm::hmac_sha256;  // what the scheme says, or the rule
  std::vector<SigningSecret> secrets;                          // never empty; the first signs first
  // One secret a destination host, made from each of `secrets` (signing::derived).
  bool derive = false;
  // Header names, the scheme's own unless the configuration says otherwise; empty where the scheme
  // has none. http-message-signatures: always Signature (beside Signature-Input, Content-Digest).
  std::string signature_header;
  std::string timestamp_header;
  // http-message-signatures. Covered components in order, as RFC 9421 2 spells them without quotes
  // ("@method", "content-digest"); none: usual_components(), of which content-type is left out when
  // the request has none.
  std::vector<std::string> components;
  std::string label;  // empty: sig1, sig2, … by the order of signatures
  // How long after `created` it `expires`, if at all.
  std::optional<Duration> expires;
  std::string tag;
  bool operator==(const SigningKey&) const = default;
};

// The header names that each scheme has unless a key says otherwise; either may be empty.
struct SigningHeaders {
  std::string_view signature;
  std::string_view timestamp;
};
SigningHeaders usual_headers(SigningScheme scheme);
// What http-message-signatures covers unless a key says otherwise.
std::vector<std::string> usual_components();

}  // namespace egret::policy
