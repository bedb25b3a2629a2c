#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/signing.h"
#include "policy/url.h"
#include "proxy/http/message.h"

namespace egret::signing {

// A request as it is about to leave: exactly the bytes that will be sent.
struct Message {
  std::string_view method;
  const policy::Url& url;
  std::span<const http::Field> fields;  // that leave, in order, without those that signing adds
  std::string_view content;
  std::string_view id;  // webhook-id: the same for every attempt at this webhook
  WallTime now{};
};

// Signer signs for one choice of keys. One thread. Keys of one scheme share their headers: both
// standard-webhooks schemes one `webhook-signature`, http-message-signatures one dictionary, stripe
// one list; every active secret of each key signs. github, shopify and slack have room for one
// signature: the first active secret of the key.
class Signer {
 public:
  virtual ~Signer() = default;
  // Names, lower case, of the fields that append() may write: those of the sender are not sent.
  [[nodiscard]] virtual std::span<const std::string> owned() const = 0;
  // Whether a signature covers fields of the message: others need not be collected.
  [[nodiscard]] virtual bool covers_fields() const = 0;
  // Appends complete field lines, `webhook-id` first ("webhook-id: …\r\n").
  //   Errors: signing_failed (no secret is active now; a covered component is missing).
  virtual Result<> append(std::string& out, const Message& message) = 0;
};

// Errors: signing_failed, when OpenSSL does not take a key, which loading has excluded; keys that
// cannot share a header.
Result<std::unique_ptr<Signer>> make_signer(std::span<const policy::SigningKey* const> keys);

// "msg_" and 26 letters and digits of 130 random bits. Any thread.
std::string new_id();
// What a sender's webhook-id must be to be taken: 1 to 256 bytes of printable ASCII without space,
// comma, quote or backslash; no ".": it separates what is signed.
bool is_well_formed_id(std::string_view id);

// The secret for `host` of a key with `derive`, as SigningSecret::bytes: HKDF-SHA256 (RFC 5869) of
// `master`, no salt, info "egret:derive:v1:" and the canonical host, 32 bytes; of stripe, github,
// shopify and slack their 64 hexadecimal digits, since those secrets are texts.
Secret derived(const policy::SigningKey& key, const Secret& master, std::string_view host);

// What a receiver needs to know of a secret: of HMAC schemes the secret itself as that scheme's
// receivers write it (whsec_…), else the public key (whpk_…, or PEM).
Secret receiver_secret(const policy::SigningKey& key, const policy::SigningSecret& secret);

// The id of a secret: its own, or the first 16 hex digits of the SHA-256 of its JWK (RFC 7638).
// HMAC: the key's name.
std::string key_id(const policy::SigningKey& key, const policy::SigningSecret& secret);

// RFC 7517: the public key of an asymmetric secret; empty for HMAC.
std::string jwk(const policy::SigningKey& key, const policy::SigningSecret& secret);
// RFC 7517 5: the public keys of all asymmetric secrets that have not expired by `now`, those of
// not_before still to come too, so that receivers can know them first. Keys with `derive` have
// none.
std::string jwks(std::span<const policy::SigningKey> keys, WallTime now);

}  // namespace egret::signing
