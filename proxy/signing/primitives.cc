#include "proxy/signing/primitives.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <new>

namespace egret::signing {
namespace {

using policy::SigningAlgorithm;
using Mac = std::unique_ptr<EVP_MAC, Freed<EVP_MAC_free>>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, Freed<EVP_MAC_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;

constexpr size_t kEd25519Bytes = 32;  // RFC 8032 5.1.5
constexpr size_t kP256Bytes = 32;     // of a coordinate, and of each half of a signature

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Fetched once: looking an algorithm up costs more than a short message.
EVP_MAC* hmac() {
  static const Mac fetched(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  return fetched.get();
}
const EVP_MD* digest(const char* name) { return EVP_get_digestbyname(name); }

class Hmac final : public SigningPrimitive {
 public:
  explicit Hmac(std::string_view key) : context_(EVP_MAC_CTX_new(hmac())) {
    char name[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_END};
    if (!context_ || EVP_MAC_init(context_.get(), bytes_of(key), key.size(), parameters) != 1) {
      throw std::bad_alloc();
    }
  }
  bool sign(Parts parts, Raw& out) override {
    // Without a key: the one that it has, set up already.
    if (EVP_MAC_init(context_.get(), nullptr, 0, nullptr) != 1) return false;
    for (const std::string_view part : parts) {
      if (EVP_MAC_update(context_.get(), bytes_of(part), part.size()) != 1) return false;
    }
    return EVP_MAC_final(context_.get(), out.bytes.data(), &out.size, out.bytes.size()) == 1;
  }

 private:
  MacContext context_;
};

// What EVP must be told beside the key. False: OpenSSL failed.
bool set_up(EVP_PKEY_CTX* context, SigningAlgorithm algorithm) {
  if (algorithm != SigningAlgorithm::rsa_pss_sha512) return true;
  constexpr int kSalt = 64;  // RFC 9421 3.3.1
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, kSalt) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest("SHA512")) == 1;
}

const EVP_MD* digest_of(SigningAlgorithm algorithm) {
  switch (algorithm) {
    case SigningAlgorithm::ecdsa_p256_sha256:
      return digest("SHA256");
    case SigningAlgorithm::rsa_pss_sha512:
      return digest("SHA512");
    default:
      return nullptr;  // Ed25519 has its own
  }
}

// OpenSSL's DER form (RFC 3279 2.2.3) as r and s.
bool from_der(Raw& raw) {
  const unsigned char* at = raw.bytes.data();
  const EcSignature parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(raw.size)));
  if (!parsed) return false;
  raw.size = 2 * kP256Bytes;
  return BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), raw.bytes.data(), kP256Bytes) ==
             static_cast<int>(kP256Bytes) &&
         BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), raw.bytes.data() + kP256Bytes, kP256Bytes) ==
             static_cast<int>(kP256Bytes);
}

std::string to_der(std::string_view raw) {
  if (raw.size() != 2 * kP256Bytes) return {};
  EcSignature signature(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(bytes_of(raw), kP256Bytes, nullptr);
  BIGNUM* s = BN_bin2bn(bytes_of(raw) + kP256Bytes, kP256Bytes, nullptr);
  if (!signature || ECDSA_SIG_set0(signature.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  std::string text(reinterpret_cast<const char*>(der), size > 0 ? static_cast<size_t>(size) : 0);
  OPENSSL_free(der);
  return text;
}

class KeyPair final : public SigningPrimitive {
 public:
  KeyPair(SigningAlgorithm algorithm, Pkey key) : algorithm_(algorithm), key_(std::move(key)) {}
  bool sign(Parts parts, Raw& out) override {
    if (message_.capacity() > kKept) message_ = {};
    message_.clear();  // Ed25519 takes a message whole
    for (const std::string_view part : parts) message_.append(part);
    const DigestContext context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* settings = nullptr;
    out.size = out.bytes.size();
    const bool made = context &&
                      EVP_DigestSignInit(context.get(), &settings, digest_of(algorithm_), nullptr,
                                         key_.get()) == 1 &&
                      set_up(settings, algorithm_) &&
                      EVP_DigestSign(context.get(), out.bytes.data(), &out.size, bytes_of(message_),
                                     message_.size()) == 1;
    ERR_clear_error();
    if (!made) return false;
    return algorithm_ != SigningAlgorithm::ecdsa_p256_sha256 || from_der(out);
  }

 private:
  static constexpr size_t kKept = 64 << 10;  // of a large message's memory, for the next
  SigningAlgorithm algorithm_;
  Pkey key_;
  std::string message_;
};

int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace

std::unique_ptr<SigningPrimitive> make_primitive(SigningAlgorithm algorithm,
                                                 std::string_view secret) {
  if (algorithm == SigningAlgorithm::hmac_sha256) return std::make_unique<Hmac>(secret);
  Pkey key = private_key(secret);
  if (!key || algorithm_of(key.get()) != algorithm) return nullptr;
  return std::make_unique<KeyPair>(algorithm, std::move(key));
}

std::array<unsigned char, 32> hmac_sha256(std::string_view key, Parts parts) {
  Hmac mac(key);
  Raw raw;
  std::array<unsigned char, 32> out{};
  if (!mac.sign(parts, raw) || raw.size != out.size()) throw std::bad_alloc();
  std::copy_n(raw.bytes.data(), out.size(), out.data());
  return out;
}

Pkey private_key(std::string_view secret) {
  Pkey key;
  if (secret.size() == kEd25519Bytes) {
    key.reset(
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes_of(secret), secret.size()));
  } else {
    const Bio bio(BIO_new_mem_buf(secret.data(), static_cast<int>(secret.size())));
    if (bio) key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  }
  ERR_clear_error();
  return key;
}

Pkey public_key(std::string_view text) {
  Pkey key;
  if (text.size() == kEd25519Bytes) {
    key.reset(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(text), text.size()));
  } else {
    const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    if (bio) key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr));
  }
  ERR_clear_error();
  return key;
}

bool verify_by(SigningAlgorithm algorithm, EVP_PKEY* key, std::string_view message,
               std::string_view signature) {
  if (algorithm_of(key) != algorithm) return false;
  const bool ecdsa = algorithm == SigningAlgorithm::ecdsa_p256_sha256;
  const std::string der = ecdsa ? to_der(signature) : std::string();
  if (ecdsa) signature = der;
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* settings = nullptr;
  const bool good =
      context && !signature.empty() &&
      EVP_DigestVerifyInit(context.get(), &settings, digest_of(algorithm), nullptr, key) == 1 &&
      set_up(settings, algorithm) &&
      EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                       message.size()) == 1;
  ERR_clear_error();
  return good;
}

std::optional<SigningAlgorithm> algorithm_of(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_ED25519:
      return SigningAlgorithm::ed25519;
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
      return SigningAlgorithm::rsa_pss_sha512;
    case EVP_PKEY_EC: {
      std::array<char, 32> group{};
      size_t size = 0;
      EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(),
                                     &size);
      if (std::string_view(group.data()) == "prime256v1") {
        return SigningAlgorithm::ecdsa_p256_sha256;
      }
      return std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

std::array<unsigned char, 32> sha256(std::string_view bytes) {
  std::array<unsigned char, 32> out{};
  EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, digest("SHA256"), nullptr);
  return out;
}

std::array<unsigned char, 64> sha512(std::string_view bytes) {
  std::array<unsigned char, 64> out{};
  EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, digest("SHA512"), nullptr);
  return out;
}

std::string hkdf_sha256(std::string_view master, std::string_view info, size_t size) {
  using Kdf = std::unique_ptr<EVP_KDF, Freed<EVP_KDF_free>>;
  using KdfContext = std::unique_ptr<EVP_KDF_CTX, Freed<EVP_KDF_CTX_free>>;
  const Kdf kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const KdfContext context(EVP_KDF_CTX_new(kdf.get()));
  char name[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, const_cast<char*>(master.data()),
                                        master.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, const_cast<char*>(info.data()),
                                        info.size()),
      OSSL_PARAM_END};
  std::string out(size, '\0');
  if (!context || EVP_KDF_derive(context.get(), reinterpret_cast<unsigned char*>(out.data()), size,
                                 parameters) != 1) {
    throw std::bad_alloc();
  }
  return out;
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void append_base64(std::string& out, std::string_view bytes) {
  const size_t before = out.size();
  out.resize(before + (bytes.size() + 2) / 3 * 4 + 1);  // and the NUL that it writes
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data() + before),
                                   bytes_of(bytes), static_cast<int>(bytes.size()));
  out.resize(before + static_cast<size_t>(size));
}

std::string base64url(std::string_view bytes) {
  std::string out;
  append_base64(out, bytes);
  while (out.ends_with('=')) out.pop_back();
  for (char& c : out) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  return out;
}

void append_hex(std::string& out, std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

}  // namespace egret::signing
