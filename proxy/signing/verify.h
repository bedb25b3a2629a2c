#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/signing.h"
#include "policy/url.h"
#include "proxy/http/message.h"

namespace egret::signing {

// A request as a receiver has it.
struct Received {
  std::string_view method;
  const policy::Url& url;  // as the sender named it: scheme, Host, path, query
  std::span<const http::Field> fields;
  std::string_view content;
  WallTime now{};
  // http-message-signatures: whether a signature counts only when it covers the content.
  bool content_must_be_covered = true;
};

// How far a timestamp may be off, both ways (Standard Webhooks, Stripe and Slack: 5 minutes).
inline constexpr Duration kTolerance = std::chrono::minutes(5);

// What verifies: an HMAC secret or a public key, as `egret keygen` gave it to the receiver.
struct VerifyKey {
  policy::SigningScheme scheme = policy::SigningScheme::standard_webhooks;
  policy::SigningAlgorithm algorithm = policy::SigningAlgorithm::hmac_sha256;
  Secret bytes;                  // HMAC key bytes, 32 bytes of an Ed25519 public key, or PEM
  std::string signature_header;  // the scheme's own unless set
  std::string timestamp_header;
};

// Reads the text of a key file: whsec_…, whpk_…, a PEM public key, or for the other HMAC schemes
// the bytes as they are. `scheme` says which when the text does not.
//   Errors: internal_error with a sentence.
Result<VerifyKey> parse_verify_key(std::string_view text,
                                   std::optional<policy::SigningScheme> scheme);

// Whether one of the message's signatures is by `key`, over exactly this message and in time.
//   Errors: signing_failed with one sentence that says what is wrong (no signature, another key or
//   changed content, a timestamp too old or too new, a digest that differs).
Result<> verify(const VerifyKey& key, const Received& message);

}  // namespace egret::signing
