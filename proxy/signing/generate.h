#pragma once

#include <string>

#include "base/secret.h"
#include "policy/signing.h"

namespace egret::signing {

// A new secret, or key pair, of a scheme.
struct Generated {
  Secret secret;            // the text of its file: whsec_…, whsk_…, PEM (PKCS #8), or digits
  std::string public_part;  // for receivers: whpk_…, or PEM; empty for HMAC
  std::string jwk;          // of `public_part` (RFC 7517); empty for HMAC
};
// From OpenSSL's random numbers: 32 bytes, Ed25519, P-256, or RSA of 3072 bits (NIST SP 800-57: 128
// bits of security). Throws std::bad_alloc. `algorithm`: of http-message-signatures.
Generated generate(policy::SigningScheme scheme, policy::SigningAlgorithm algorithm);

}  // namespace egret::signing
