#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <openssl/evp.h>

#include "base/result.h"
#include "policy/signing.h"

namespace egret::signing {

// What signatures are made of, over OpenSSL. Nothing here knows a scheme.

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Pkey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

// A raw signature. RSA of 16,384 bits is the largest that OpenSSL makes.
struct Raw {
  std::array<unsigned char, 2048> bytes;  // not cleared
  size_t size = 0;
  [[nodiscard]] std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), size};
  }
};
using Parts = std::span<const std::string_view>;  // one message, in pieces

// A key that signs, set up once. One thread.
class SigningPrimitive {
 public:
  virtual ~SigningPrimitive() = default;
  // False: OpenSSL failed.
  [[nodiscard]] virtual bool sign(Parts parts, Raw& out) = 0;
};
// `secret` as policy::SigningSecret has it: HMAC bytes, an Ed25519 seed, or PEM. Null: it is none.
std::unique_ptr<SigningPrimitive> make_primitive(policy::SigningAlgorithm algorithm,
                                                 std::string_view secret);

// HMAC-SHA256 in one call.
std::array<unsigned char, 32> hmac_sha256(std::string_view key, Parts parts);
// The private key that PEM or 32 bytes of an Ed25519 seed are; null: none.
Pkey private_key(std::string_view secret);
// PEM (SubjectPublicKeyInfo), or the 32 bytes of an Ed25519 public key; null: none.
Pkey public_key(std::string_view text);
// ECDSA: r and s, 32 bytes each (RFC 9421 3.3.4). RSA-PSS: MGF1 with SHA-512, a salt of 64 bytes.
bool verify_by(policy::SigningAlgorithm algorithm, EVP_PKEY* key, std::string_view message,
               std::string_view signature);
// What the key can sign by; nothing: none of ours.
std::optional<policy::SigningAlgorithm> algorithm_of(const EVP_PKEY* key);

std::array<unsigned char, 32> sha256(std::string_view bytes);
std::array<unsigned char, 64> sha512(std::string_view bytes);
// RFC 5869 with SHA-256 and no salt.
std::string hkdf_sha256(std::string_view master, std::string_view info, size_t size);
// The same time for every `b` of one length.
bool equal(std::string_view a, std::string_view b);

template <size_t N>
std::string_view view(const std::array<unsigned char, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), N};
}

// Appended without a string of its own: RFC 4648 4, 5 (without padding), and hexadecimal digits.
void append_base64(std::string& out, std::string_view bytes);
std::string base64url(std::string_view bytes);
void append_hex(std::string& out, std::string_view bytes);

}  // namespace egret::signing
