#include "proxy/signing/generate.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <array>
#include <new>

#include "proxy/signing/primitives.h"
#include "proxy/signing/signing.h"

namespace egret::signing {
namespace {

using policy::SigningAlgorithm;
using policy::SigningKey;
using policy::SigningScheme;

constexpr size_t kBytes = 32;
constexpr unsigned kRsaBits = 3072;

Secret random_bytes() {
  std::array<unsigned char, kBytes> bytes{};
  if (RAND_priv_bytes(bytes.data(), bytes.size()) != 1) throw std::bad_alloc();
  Secret secret{std::string(view(bytes))};
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return secret;
}

Secret new_pem(SigningAlgorithm algorithm) {
  const Pkey key(algorithm == SigningAlgorithm::ed25519
                     ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                 : algorithm == SigningAlgorithm::rsa_pss_sha512 ? EVP_RSA_gen(kRsaBits)
                                                                 : EVP_EC_gen("P-256"));
  const std::unique_ptr<BIO, Freed<BIO_free_all>> bio(BIO_new(BIO_s_secmem()));
  if (!key || !bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    throw std::bad_alloc();
  }
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return Secret(std::string(bytes, static_cast<size_t>(size)));
}

Secret base64_text(std::string_view prefix, std::string_view bytes) {
  std::string text(prefix);
  append_base64(text, bytes);
  return Secret(text + "\n");
}

// whsk_: the seed and the public key behind it.
Secret ed25519_text(const Secret& seed) {
  const Pkey key = private_key(seed.reveal());
  std::array<unsigned char, kBytes> half{};
  size_t size = half.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), half.data(), &size) != 1) {
    throw std::bad_alloc();
  }
  const Secret both{std::string(seed.reveal()) + std::string(view(half))};
  return base64_text("whsk_", both.reveal());
}

}  // namespace

Generated generate(SigningScheme scheme, SigningAlgorithm algorithm) {
  Generated made;
  SigningKey key;
  key.scheme = scheme;
  key.algorithm =
      scheme == SigningScheme::standard_webhooks_ed25519 ? SigningAlgorithm::ed25519 : algorithm;
  policy::SigningSecret secret;
  if (scheme == SigningScheme::standard_webhooks) {
    secret.bytes = random_bytes();
    made.secret = base64_text("whsec_", secret.bytes.reveal());
  } else if (scheme == SigningScheme::standard_webhooks_ed25519) {
    secret.bytes = random_bytes();
    made.secret = ed25519_text(secret.bytes);
  } else if (scheme != SigningScheme::http_message_signatures) {
    secret.bytes = random_bytes();
    std::string digits;
    append_hex(digits, secret.bytes.reveal());
    made.secret = Secret(digits + "\n");
  } else if (algorithm == SigningAlgorithm::hmac_sha256) {
    secret.bytes = random_bytes();
    made.secret = base64_text("", secret.bytes.reveal());
  } else {
    secret.bytes = new_pem(algorithm);
    made.secret = secret.bytes;
  }
  const bool pair = key.algorithm != SigningAlgorithm::hmac_sha256;
  if (!pair) return made;
  made.public_part = receiver_secret(key, secret).reveal();
  if (!made.public_part.ends_with('\n')) made.public_part += '\n';
  made.jwk = jwk(key, secret);
  return made;
}

}  // namespace egret::signing
