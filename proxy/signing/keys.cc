// Ids of webhooks and keys; what receivers and operators are told of them.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <new>

#include "base/text.h"
#include "proxy/signing/primitives.h"
#include "proxy/signing/signing.h"

namespace egret::signing {
namespace {

using policy::SigningAlgorithm;
using policy::SigningKey;
using policy::SigningScheme;
using policy::SigningSecret;

// Random bytes for ids, from the kernel a page at a time.
class IdBytes {
 public:
  std::span<const unsigned char> take(size_t count) {
    if (used_ + count > bytes_.size()) refill();
    used_ += count;
    return {bytes_.data() + used_ - count, count};
  }

 private:
  void refill() {
    size_t have = 0;
    while (have < bytes_.size()) {
      const ssize_t got = getrandom(bytes_.data() + have, bytes_.size() - have, 0);
      if (got > 0) have += static_cast<size_t>(got);
    }
    used_ = 0;
  }
  std::array<unsigned char, 4096> bytes_{};
  size_t used_ = bytes_.size();
};

std::string number(const EVP_PKEY* key, const char* parameter, size_t width) {
  BIGNUM* value = nullptr;
  if (EVP_PKEY_get_bn_param(key, parameter, &value) != 1) return {};
  const size_t size = std::max(width, static_cast<size_t>(BN_num_bytes(value)));
  std::string bytes(size, '\0');
  BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size));
  BN_free(value);
  return base64url(bytes);
}

std::string raw_public(const EVP_PKEY* key) {
  std::array<unsigned char, 32> bytes{};
  size_t size = bytes.size();
  EVP_PKEY_get_raw_public_key(key, bytes.data(), &size);
  return std::string(view(bytes));
}

// The members that RFC 7638 3.2 requires, in its order: what the key is, and nothing else.
std::string jwk_members(const EVP_PKEY* key) {
  switch (algorithm_of(key).value_or(SigningAlgorithm::hmac_sha256)) {
    case SigningAlgorithm::ed25519:
      return R"("crv":"Ed25519","kty":"OKP","x":")" + base64url(raw_public(key)) + "\"";
    case SigningAlgorithm::ecdsa_p256_sha256:
      return R"("crv":"P-256","kty":"EC","x":")" + number(key, OSSL_PKEY_PARAM_EC_PUB_X, 32) +
             R"(","y":")" + number(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32) + "\"";
    case SigningAlgorithm::rsa_pss_sha512:
      return R"("e":")" + number(key, OSSL_PKEY_PARAM_RSA_E, 0) + R"(","kty":"RSA","n":")" +
             number(key, OSSL_PKEY_PARAM_RSA_N, 0) + "\"";
    case SigningAlgorithm::hmac_sha256:
      break;
  }
  return {};
}

// RFC 7518 3.1, RFC 8037 3.1.
std::string_view jwa_name(SigningAlgorithm algorithm) {
  switch (algorithm) {
    case SigningAlgorithm::ed25519:
      return "EdDSA";
    case SigningAlgorithm::ecdsa_p256_sha256:
      return "ES256";
    case SigningAlgorithm::rsa_pss_sha512:
      return "PS512";
    case SigningAlgorithm::hmac_sha256:
      break;
  }
  return "HS256";
}

std::string public_pem(const EVP_PKEY* key) {
  const std::unique_ptr<BIO, Freed<BIO_free_all>> bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), key) != 1) throw std::bad_alloc();
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return {bytes, static_cast<size_t>(size)};
}

bool is_hmac(const SigningKey& key) { return key.algorithm == SigningAlgorithm::hmac_sha256; }

// Schemes whose secret is a text that people paste.
bool is_text(SigningScheme scheme) {
  return scheme == SigningScheme::stripe || scheme == SigningScheme::github ||
         scheme == SigningScheme::shopify || scheme == SigningScheme::slack;
}

}  // namespace

std::string new_id() {
  static constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";  // 5 bits each
  static constexpr size_t kLetters = 26;                                             // 130 bits
  thread_local IdBytes bytes;
  std::string id = "msg_";
  for (const unsigned char byte : bytes.take(kLetters)) id += kAlphabet[byte & 31];
  return id;
}

bool is_well_formed_id(std::string_view id) {
  constexpr size_t kLongest = 256;
  return !id.empty() && id.size() <= kLongest && std::ranges::all_of(id, [](char c) {
    return c > ' ' && c < 0x7F && c != ',' && c != '"' && c != '\\' && c != '.';
  });
}

Secret derived(const SigningKey& key, const Secret& master, std::string_view host) {
  constexpr size_t kBytes = 32;
  std::string bytes = hkdf_sha256(master.reveal(), "egret:derive:v1:" + std::string(host), kBytes);
  if (!is_text(key.scheme)) return Secret(std::move(bytes));
  const Secret raw(std::move(bytes));
  std::string digits;
  append_hex(digits, raw.reveal());
  return Secret(std::move(digits));
}

Secret receiver_secret(const SigningKey& key, const SigningSecret& secret) {
  const std::string_view bytes = secret.bytes.reveal();
  std::string text;
  if (key.scheme == SigningScheme::standard_webhooks) {
    text = "whsec_";
    append_base64(text, bytes);
  } else if (key.scheme == SigningScheme::standard_webhooks_ed25519) {
    const Pkey pair = private_key(bytes);
    text = "whpk_";
    append_base64(text, raw_public(pair.get()));
  } else if (is_text(key.scheme)) {
    text = bytes;
  } else if (is_hmac(key)) {
    append_base64(text, bytes);
  } else {
    text = public_pem(private_key(bytes).get());
  }
  return Secret(std::move(text));
}

std::string key_id(const SigningKey& key, const SigningSecret& secret) {
  if (!secret.id.empty()) return secret.id;
  const Pkey pair = is_hmac(key) ? Pkey() : private_key(secret.bytes.reveal());
  if (!pair) return key.name;
  std::string id;
  append_hex(id, view(sha256("{" + jwk_members(pair.get()) + "}")).substr(0, 8));
  return id;
}

std::string jwk(const SigningKey& key, const SigningSecret& secret) {
  const Pkey pair = is_hmac(key) ? Pkey() : private_key(secret.bytes.reveal());
  if (!pair) return {};
  std::string out = "{" + jwk_members(pair.get()) + R"(,"kid":")";
  text::append_json(out, key_id(key, secret));
  out.append(R"(","use":"sig","alg":")").append(jwa_name(key.algorithm)).append("\"}");
  return out;
}

std::string jwks(std::span<const SigningKey> keys, WallTime now) {
  std::string out = R"({"keys":[)";
  for (const SigningKey& key : keys) {
    if (key.derive) continue;
    for (const SigningSecret& secret : key.secrets) {
      if (secret.not_after <= now) continue;
      const std::string one = jwk(key, secret);
      if (one.empty()) continue;
      if (!out.ends_with('[')) out += ',';
      out += one;
    }
  }
  return out + "]}\n";
}

}  // namespace egret::signing
