#include "proxy/signing/verify.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/text.h"
#include "proxy/signing/components.h"
#include "proxy/signing/primitives.h"

namespace egret::signing {
namespace {

using policy::SigningAlgorithm;
using policy::SigningScheme;

Unexpected refused(std::string detail) {
  return Unexpected(Reason::signing_failed, std::move(detail));
}

// The one field of that name. Errors: none, or several.
Result<std::string_view> single(const Received& message, std::string_view name) {
  const http::Field* found = nullptr;
  for (const http::Field& field : message.fields) {
    if (!text::equals_ignore_case(field.name, name)) continue;
    if (found != nullptr) return refused("There are several " + std::string(name) + " fields.");
    found = &field;
  }
  if (found == nullptr) return refused("There is no " + std::string(name) + ".");
  return found->value;
}

Result<> in_time(std::string_view timestamp, WallTime now) {
  const auto seconds = text::parse_decimal(timestamp, 99'999'999'999);
  if (!seconds) return refused("The timestamp is no number of seconds.");
  const WallTime::duration::rep of_now =
      std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  const auto tolerance = std::chrono::duration_cast<std::chrono::seconds>(kTolerance).count();
  const int64_t age = of_now - static_cast<int64_t>(*seconds);
  if (age > tolerance) return refused("The timestamp is too old.");
  if (-age > tolerance) return refused("The timestamp is in the future.");
  return {};
}

// Calls `visit(item)` for each piece between `mark`s; true when one says so.
template <typename Visit>
bool any_piece(std::string_view list, char mark, Visit visit) {
  while (!list.empty()) {
    const std::string_view piece = list.substr(0, list.find(mark));
    list.remove_prefix(std::min(list.size(), piece.size() + 1));
    if (visit(text::trim(piece))) return true;
  }
  return false;
}

constexpr std::string_view kDoesNotFit =
    "No signature fits: it is by another key, or what it is over was changed.";

Result<> verify_standard(const VerifyKey& key, const Received& message,
                         std::string_view signature_header, std::string_view timestamp_header) {
  const Result<std::string_view> id = single(message, "webhook-id");
  const Result<std::string_view> timestamp = single(message, timestamp_header);
  const Result<std::string_view> signatures = single(message, signature_header);
  if (!id) return Unexpected(id.error());
  if (!timestamp) return Unexpected(timestamp.error());
  if (!signatures) return Unexpected(signatures.error());
  const Result<> timely = in_time(*timestamp, message.now);
  if (!timely) return timely;
  const bool pair = key.scheme == SigningScheme::standard_webhooks_ed25519;
  const std::string_view version = pair ? "v1a," : "v1,";
  const std::string_view parts[] = {*id, ".", *timestamp, ".", message.content};
  // Once, however many signatures there are to compare.
  std::string whole;
  std::array<unsigned char, 32> expected{};
  if (!pair) expected = hmac_sha256(key.bytes.reveal(), parts);
  if (pair) {
    for (const std::string_view part : parts) whole += part;
  }
  const Pkey public_half = pair ? public_key(key.bytes.reveal()) : Pkey();
  const bool good = any_piece(*signatures, ' ', [&](std::string_view each) {
    if (!each.starts_with(version)) return false;
    const auto raw = text::from_base64(each.substr(version.size()));
    if (!raw) return false;
    if (pair) return verify_by(SigningAlgorithm::ed25519, public_half.get(), whole, *raw);
    return equal(*raw, view(expected));
  });
  return good ? Result<>() : refused(std::string(kDoesNotFit));
}

std::string hex_mac(std::string_view key, Parts parts) {
  std::string digits;
  append_hex(digits, view(hmac_sha256(key, parts)));
  return digits;
}

Result<> verify_stripe(const VerifyKey& key, const Received& message, std::string_view header) {
  const Result<std::string_view> value = single(message, header);
  if (!value) return Unexpected(value.error());
  std::string_view timestamp;
  any_piece(*value, ',', [&](std::string_view each) {
    if (each.starts_with("t=") && timestamp.empty()) timestamp = each.substr(2);
    return false;
  });
  const Result<> timely = in_time(timestamp, message.now);
  if (!timely) return timely;
  const std::string_view parts[] = {timestamp, ".", message.content};
  const std::string expected = hex_mac(key.bytes.reveal(), parts);
  const bool good = any_piece(*value, ',', [&](std::string_view each) {
    return each.starts_with("v1=") && equal(each.substr(3), expected);
  });
  return good ? Result<>() : refused(std::string(kDoesNotFit));
}

Result<> verify_single(const VerifyKey& key, const Received& message, std::string_view header,
                       std::string_view timestamp_header) {
  const Result<std::string_view> value = single(message, header);
  if (!value) return Unexpected(value.error());
  const std::string_view body[] = {message.content};
  std::string expected;
  if (key.scheme == SigningScheme::slack) {
    const Result<std::string_view> timestamp = single(message, timestamp_header);
    if (!timestamp) return Unexpected(timestamp.error());
    const Result<> timely = in_time(*timestamp, message.now);
    if (!timely) return timely;
    const std::string_view parts[] = {"v0:", *timestamp, ":", message.content};
    expected = "v0=" + hex_mac(key.bytes.reveal(), parts);
  } else if (key.scheme == SigningScheme::shopify) {
    append_base64(expected, view(hmac_sha256(key.bytes.reveal(), body)));
  } else {
    expected = "sha256=" + hex_mac(key.bytes.reveal(), body);
  }
  return equal(*value, expected) ? Result<>() : refused(std::string(kDoesNotFit));
}

// RFC 9530: each digest that is there of a known algorithm must be right, and one must be there.
Result<> check_digest(const Received& message) {
  const std::optional<std::string> value =
      component_value({"content-digest", {}}, {message.method, message.url, message.fields});
  if (!value) return refused("There is no Content-Digest.");
  const std::optional<std::string> short_one = dictionary_bytes(*value, "sha-256");
  const std::optional<std::string> long_one = dictionary_bytes(*value, "sha-512");
  if (!short_one && !long_one) {
    return refused("The Content-Digest has neither sha-256 nor sha-512.");
  }
  if (short_one && !equal(*short_one, view(sha256(message.content)))) {
    return refused("The content was changed: its sha-256 is not that of Content-Digest.");
  }
  if (long_one && !equal(*long_one, view(sha512(message.content)))) {
    return refused("The content was changed: its sha-512 is not that of Content-Digest.");
  }
  return {};
}

bool covers(const SignatureInput& input, std::string_view name) {
  return std::ranges::any_of(input.components,
                             [name](const Component& each) { return each.name == name; });
}

Result<> verify_one(const VerifyKey& key, const Received& message, const SignatureInput& input,
                    std::string_view signature) {
  if (!input.alg.empty() && input.alg != to_string(key.algorithm)) {
    return refused("The signature says another algorithm than the key's.");
  }
  if (!input.created) return refused("The signature does not say when it was made (created).");
  const Result<> timely =
      in_time(std::to_string(std::max<int64_t>(0, *input.created)), message.now);
  if (!timely) return timely;
  const auto now = std::chrono::floor<std::chrono::seconds>(message.now.time_since_epoch()).count();
  if (input.expires && *input.expires < now) return refused("The signature has expired.");
  if (message.content_must_be_covered && !covers(input, "content-digest")) {
    return refused("The signature does not cover the content (content-digest).");
  }
  const Result<std::string> base =
      signature_base(input.components, input.params, {message.method, message.url, message.fields});
  if (!base) return Unexpected(base.error());
  bool good = false;
  if (key.algorithm == SigningAlgorithm::hmac_sha256) {
    const std::string_view parts[] = {*base};
    good = equal(signature, view(hmac_sha256(key.bytes.reveal(), parts)));
  } else {
    const Pkey public_half = public_key(key.bytes.reveal());
    good = public_half && verify_by(key.algorithm, public_half.get(), *base, signature);
  }
  return good ? Result<>() : refused(std::string(kDoesNotFit));
}

Result<> verify_message(const VerifyKey& key, const Received& message) {
  const Covered covered{message.method, message.url, message.fields};
  const auto input = component_value({"signature-input", {}}, covered);
  const auto signatures = component_value({"signature", {}}, covered);
  if (!input || !signatures) return refused("There is no Signature with its Signature-Input.");
  const auto members = parse_signature_input(*input);
  if (!members) return refused("Signature-Input is malformed, or covers what is not known here.");
  Result<> last = refused("No signature has bytes under its label.");
  for (const SignatureInput& member : *members) {
    const std::optional<std::string> raw = dictionary_bytes(*signatures, member.label);
    if (!raw) continue;
    last = verify_one(key, message, member, *raw);
    if (!last) continue;
    if (covers(member, "content-digest")) return check_digest(message);
    return last;
  }
  return last;
}

}  // namespace

Result<VerifyKey> parse_verify_key(std::string_view text, std::optional<SigningScheme> scheme) {
  const auto wrong = [](std::string_view what) {
    return Unexpected(Reason::internal_error, std::string(what));
  };
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  VerifyKey key;
  if (text.starts_with("whsk_") || text.find("PRIVATE KEY") != std::string_view::npos) {
    return wrong("that is a private key; a receiver has the public one");
  }
  if (text.starts_with("whpk_")) {
    key.scheme = SigningScheme::standard_webhooks_ed25519;
    key.algorithm = SigningAlgorithm::ed25519;
    const auto bytes = text::from_base64(text.substr(5));
    if (!bytes || bytes->size() != 32)
      return wrong("whpk_ is not followed by the base64 of 32 bytes");
    key.bytes = Secret(*bytes);
  } else if (text.starts_with("-----BEGIN")) {
    const Pkey parsed = public_key(text);
    const auto algorithm = parsed ? algorithm_of(parsed.get()) : std::nullopt;
    if (!algorithm) return wrong("that is no public key of Ed25519, P-256 or RSA in PEM form");
    key.scheme = SigningScheme::http_message_signatures;
    key.algorithm = *algorithm;
    key.bytes = Secret(std::string(text));
  } else if (text.starts_with("whsec_")) {
    const auto bytes = text::from_base64(text.substr(6));
    if (!bytes || bytes->empty()) return wrong("whsec_ is not followed by base64");
    key.bytes = Secret(*bytes);
    if (scheme == SigningScheme::http_message_signatures) key.scheme = *scheme;
  } else if (!scheme || *scheme == SigningScheme::standard_webhooks ||
             *scheme == SigningScheme::standard_webhooks_ed25519) {
    return wrong(
        "that is neither whsec_…, whpk_… nor a public key in PEM form; say its scheme (--scheme)");
  } else if (*scheme == SigningScheme::http_message_signatures) {
    const auto bytes = text::from_base64(text);
    if (!bytes || bytes->empty()) return wrong("that is not base64");
    key.scheme = *scheme;
    key.bytes = Secret(*bytes);
  } else {
    if (text.empty()) return wrong("that is empty");
    key.scheme = *scheme;
    key.bytes = Secret(std::string(text));
  }
  if (scheme && *scheme != key.scheme) return wrong("that is a key of another scheme");
  return key;
}

Result<> verify(const VerifyKey& key, const Received& message) {
  const policy::SigningHeaders usual = policy::usual_headers(key.scheme);
  const std::string_view signature =
      key.signature_header.empty() ? usual.signature : std::string_view(key.signature_header);
  const std::string_view timestamp =
      key.timestamp_header.empty() ? usual.timestamp : std::string_view(key.timestamp_header);
  switch (key.scheme) {
    case SigningScheme::standard_webhooks:
    case SigningScheme::standard_webhooks_ed25519:
      return verify_standard(key, message, signature, timestamp);
    case SigningScheme::http_message_signatures:
      return verify_message(key, message);
    case SigningScheme::stripe:
      return verify_stripe(key, message, signature);
    default:
      return verify_single(key, message, signature, timestamp);
  }
}

}  // namespace egret::signing
